/* SPDX-License-Identifier: Apache-2.0 */
/* What the files dwarf_*.c share. */
#ifndef OFFSETS_DWARF_PRIV_H
#define OFFSETS_DWARF_PRIV_H

#include <dwarf.h>
#include <elfutils/libdw.h>

#include "dwarf_info.h"

/* Attributes that Go adds (cmd/internal/dwarf/dwarf.go) */
#define DW_AT_GO_KIND 0x2900
#define DW_AT_GO_KEY 0x2901
#define DW_AT_GO_ELEM 0x2902
#define DW_AT_GO_EMBEDDED_FIELD 0x2903
#define DW_AT_GO_RUNTIME_TYPE 0x2904

#ifndef DW_LANG_Go
#define DW_LANG_Go 0x16
#endif

#define DIE_CHILDREN_MAX                                                                                               \
	(1u << 20)   /* children of one DIE that are looked at: a struct's fields, a function's variables */
#define CHAIN_MAX 32 /* typedefs and qualifiers on the way to a type: Go writes three at most */

/* The sections of one handle of libdw, in an ELF image of their own. */
struct dwarf_image {
	void *bytes;
	Elf *elf;
	Dwarf *dbg;
};

/* A top-level DIE that has a name: a function or a type. */
struct dwarf_entry {
	const char *name;
	uint64_t die;
	union {
		uint64_t low;          /* of a function; 0 where it has no code of its own, as high then is */
		uint64_t runtime_type; /* of a type: DW_AT_go_runtime_type; 0 if none */
	};
	uint64_t high; /* 0 of a type */
	uint32_t unit;
	uint32_t hash; /* of the name */
	uint32_t next; /* of the same bucket; index + 1, 0 at the end */
	uint8_t is_func;
	uint8_t is_inline; /* an abstract instance: DW_AT_inline */
};

struct dwarf_unit {
	uint64_t die;
	const char *name;     /* package path; "" if it has none */
	const char *producer; /* "" if it has none */
	bool go;              /* DW_LANG_Go */
	bool optimized;
	bool indexed;
	size_t first_entry, n_entries; /* where indexed */
};

struct cfi_image {
	bool tried;
	struct dwarf_image image;
	Dwarf_CFI *cfi; /* NULL where the file has no such section */
};

struct dwarf_info {
	struct elf_file *elf;
	struct dwarf_image info; /* names, types, functions */
	struct dwarf_image loc;  /* the same and the location sections; opened when a location is first asked for */
	struct dwarf_image line; /* the same and .debug_line */
	struct cfi_image debug_frame, eh_frame;
	struct {
		char *data;
		const void *of;
	} padded[16]; /* sections that had to be copied */
	size_t n_padded;
	size_t n_units;
	struct dwarf_unit *units;
	size_t n_entries, cap_entries;
	struct dwarf_entry *entries;
	size_t n_buckets;  /* power of two */
	uint32_t *buckets; /* index + 1 */
	size_t n_by_pc;    /* entries with code, by low; made when all units are indexed */
	uint32_t *by_pc;
	uint32_t lookups;      /* of functions, so far */
	uint64_t long_strings; /* bytes of long strings read so far */
};

/* An error with libdw's own text and the place. */
struct err *dwarf_malformed(const struct dwarf_info *dw, uint64_t die, const char *what);

/* Attributes of one DIE that are asked for together: one pass over its bytes. */
struct dwarf_attrs {
	Dwarf_Attribute name, low_pc, high_pc, type, origin, inlined, byte_size, go_kind, go_key, go_elem,
		go_runtime_type, go_embedded, member_offset, variable_parameter, trampoline, location, encoding,
		declaration;
};

/* Attributes that the DIE does not have get code 0. */
struct err *dwarf_attrs_read(const struct dwarf_info *dw, Dwarf_Die *die, struct dwarf_attrs *ret);

/* The string, or "" where there is none. ERR_MALFORMED only where it lies outside its section or is longer than any name. */
struct err *dwarf_attr_string(struct dwarf_info *dw, Dwarf_Attribute *attr, const char **ret);

/* The abbreviations of all units, before libdw reads them: ERR_MALFORMED where going through them would take for ever. */
struct err *dwarf_check_abbrevs(const struct dwarf_info *dw);

/* An unsigned number; `missing` where the attribute is not there. */
struct err *dwarf_attr_u64(const struct dwarf_info *dw, Dwarf_Attribute *attr, uint64_t missing, uint64_t *ret);

/* Is it a block of bytes? */
bool dwarf_attr_block(Dwarf_Attribute *attr, Dwarf_Block *ret);

/* low and high address; 0, 0 where the DIE has none. */
struct err *dwarf_attr_pcs(const struct dwarf_info *dw, struct dwarf_attrs *attrs, uint64_t *low_ret,
			   uint64_t *high_ret);

/* The DIE at an offset, in `dbg`. */
struct err *dwarf_die_at(const struct dwarf_info *dw, Dwarf *dbg, uint64_t offset, Dwarf_Die *ret);

/* Visit the children of a DIE in order; stops at an error or where fn says so (*stop). */
struct err *dwarf_each_child(const struct dwarf_info *dw, Dwarf_Die *die,
			     struct err *(*fn)(void *arg, Dwarf_Die *child, bool *stop), void *arg);

/* Next sibling, with a guard: *more_ret false at the end. ERR_MALFORMED where the DIE does not lie behind the last one. */
struct err *dwarf_next_sibling(const struct dwarf_info *dw, Dwarf_Die *die, bool *more_ret);

/* Put the functions and types of a unit into the index, or of all. */
struct err *dwarf_index_unit(struct dwarf_info *dw, size_t unit);
struct err *dwarf_index_all(struct dwarf_info *dw);

/* First indexed entry of that name and next ones: NULL at the end. */
const struct dwarf_entry *dwarf_entry_find(const struct dwarf_info *dw, const char *name);
const struct dwarf_entry *dwarf_entry_next(const struct dwarf_info *dw, const struct dwarf_entry *entry);

/* The function whose code holds an address, after dwarf_index_all(); or NULL. */
const struct dwarf_entry *dwarf_entry_around(const struct dwarf_info *dw, uint64_t pc);

/* The unit that a DIE lies in. */
const struct dwarf_unit *dwarf_unit_of(const struct dwarf_info *dw, uint64_t die);

/* Index the units of one package: assembly files have units of their own, with its name. */
struct err *dwarf_index_package(struct dwarf_info *dw, const char *package, size_t len);

/* The handle with the location sections, and the one with .debug_line (ERR_NOTFOUND without). */
struct err *dwarf_open_lines(struct dwarf_info *dw);
struct err *dwarf_open_locations(struct dwarf_info *dw);

/* The type that a DW_AT_type or DW_AT_go_elem attribute names, as a new or known entry of the table; not completed. */
struct err *dwarf_type_of_attr(struct dwarf_info *dw, Dwarf_Attribute *attr, struct type_table *types, uint32_t *ret);
struct err *dwarf_type_at(struct dwarf_info *dw, uint64_t die, struct type_table *types, uint32_t *ret);

/* Append to the parameters of a function the results that its callers show (results_inferred), if any do. */
struct err *dwarf_infer_results(struct dwarf_info *dw, struct type_table *types, struct dwarf_func *func);

#endif
