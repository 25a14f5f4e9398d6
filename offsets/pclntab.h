/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of a Go program, from its own run-time tables, so also of stripped programs.
 *
 * Layouts: Go 1.2–1.15 (magic 0xfffffffb), 1.16–1.17 (0xfffffffa), 1.18–1.19 (0xfffffff0), 1.20– (0xfffffff1);
 * written by cmd/link/internal/ld/pcln.go, read by runtime/symtab.go. Found by section (.gopclntab,
 * .data.rel.ro.gopclntab), else by magic in the loaded segments. */
#ifndef OFFSETS_PCLNTAB_H
#define OFFSETS_PCLNTAB_H

#include "elf_file.h"

enum func_source { FUNC_PCLNTAB = 1, FUNC_SYMTAB = 2 }; /* bits: where the entry was seen */

struct func {
	const char *name; /* as the linker has it, without ".abi0"; owned by the table */
	uint64_t entry;   /* link address of the first instruction */
	uint64_t end;     /* past the last byte of its text: the next function's entry (sites trims the padding) */
	uint8_t source;   /* enum func_source bits */
	bool abi0;        /* the symbol table calls it NAME.abi0 */
	uint32_t pcln_id; /* index in the pclntab, UINT32_MAX if only in .symtab */
};

struct func_table {
	size_t n;
	struct func *v; /* sorted by entry, unique by entry */
	int pcln_minor; /* layout: 2, 16, 18, 20 */
	uint64_t text_start;
	struct func_priv *priv;
};

/* ERR_NOT_GO without a pclntab; ERR_MALFORMED. The table keeps what it needs of `elf`, which must outlive it. */
struct err *func_table_read(struct elf_file *elf, struct func_table **ret);
void func_table_destroy(struct func_table *table);

/* Add what the symbol table of `from` knows: full names, ABIs, functions that are not Go's. Done by func_table_read() for the program
 * itself; `from` is then the program's debug file, and must outlive the table. Entries of the table move. */
struct err *func_table_add_symbols(struct func_table *table, const struct elf_file *elf, struct elf_file *from);

/* The function whose [entry, end) holds addr, or NULL. */
const struct func *func_table_find_addr(const struct func_table *table, uint64_t addr);

/* All functions whose name is exactly `name` (two bodies of one name are possible: NAME and NAME.abi0): first index
 * and how many through a caller's array of at most `max`; returns how many there are. */
size_t func_table_find_name(const struct func_table *table, const char *name, const struct func **v, size_t max);

/* Pattern language of --func: an exact name matches itself; else only '*' and '?' are wild ('*' crosses dots and
 * slashes); `F` and `F[...]` also match every instance F[go.shape…] of a generic F; /RE/ is a POSIX extended regular expression, found
 * anywhere in the name. */
struct func_matcher; /* several of them, made ready */
struct err *func_matcher_create(const char *const *patterns, size_t n,
				struct func_matcher **ret); /* ERR_USAGE: a regular expression that is none */
void func_matcher_destroy(struct func_matcher *matcher);
bool func_matcher_match(const struct func_matcher *matcher, const char *name); /* any of them */
bool func_pattern_is_wild(const char *pattern);

/* The functions that --func PATTERN means, in order of entry: those of exactly that name (both bodies, NAME and
 * NAME.abi0); else, where the pattern names a generic function, its instances; else those that match it as a
 * pattern. Functions that only the symbol table knows (C code) are left out. *v_ret is to be freed; NULL and 0 where
 * nothing matches. */
struct err *func_table_select(const struct func_table *table, const char *pattern, const struct func ***v_ret,
			      size_t *n_ret);

/* Up to `max` names nearest to `name` by edit distance (case-insensitive matches first), for "did you mean". */
size_t func_table_suggest(const struct func_table *table, const char *name, const char **v, size_t max);

/* Bytes of the function's parameters and results together as the stack convention lays them out, from the pclntab (_func.args).
 * ERR_NOTFOUND where it does not say (assembly may leave it out). */
struct err *func_table_args_size(const struct func_table *table, const struct func *func, uint32_t *ret);

/* Source file and line of an address from the pclntab's tables. ERR_NOTFOUND. */
struct err *func_table_line(const struct func_table *table, const struct func *func, uint64_t addr,
			    const char **file_ret, uint32_t *line_ret);

#endif
