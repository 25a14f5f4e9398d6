/* SPDX-License-Identifier: Apache-2.0 */
/* The pclntab as it stands in the file: found and checked by pclntab.c, used by func_table.c. */
#ifndef OFFSETS_PCLNTAB_PRIV_H
#define OFFSETS_PCLNTAB_PRIV_H

#include "pclntab.h"

struct pclntab {
	uint8_t *data;  /* own copy, relocated */
	size_t size;    /* where the table has no section of its own: to the end of its segment */
	uint64_t vaddr; /* link address */
	int minor;      /* 2, 16, 18, 20: since which Go 1.x this layout */
	uint32_t n_funcs;
	uint32_t field;      /* bytes of one of the two fields of a functab entry: 8 up to 1.17, 4 from 1.18 */
	uint64_t text_start; /* added to what functab holds; 0 up to 1.17 */
	/* parts of `data`, each to the end of what it may use */
	struct bytes names, cu_files, files, pc_values,
		funcs; /* funcs: functab first, then the records that it points to */
};

/* What the table of functions keeps for itself. */
struct func_priv {
	struct elf_file *elf;
	struct pclntab pcln;
	bool gofunc_asked, has_gofunc;
	uint64_t gofunc; /* pclntab_gofunc() */
	size_t n_owned;
	char **owned; /* names that had to be copied */
	uint32_t n_lookups;
	size_t n_buckets;         /* power of two */
	uint32_t *buckets, *next; /* index + 1 in the table, 0 at the end; NULL before LOOKUPS_WITHOUT_INDEX */
};

/* One record (_func in runtime/runtime2.go): what of it is used here. Offsets into the parts above. */
struct pclntab_func {
	uint32_t name, pc_file, pc_line, cu;
	int32_t args; /* bytes of parameters and results as ABI0 lays them out; negative where assembly does not say */
	uint32_t
		pc_inline; /* the table that tells which inlined call an address belongs to (PCDATA_InlTreeIndex); 0: none */
	bool has_inline;     /* it has a tree of inlined calls (FUNCDATA_InlTree) */
	uint64_t inline_off; /* of the tree, from pclntab_gofunc() */
};

/* ERR_NOT_GO where there is none, ERR_MALFORMED. */
struct err *pclntab_open(struct elf_file *elf, struct pclntab *ret);
void pclntab_deinit(struct pclntab *t);

/* Link address of function i, of n_funcs + 1: the last is the end of the last function. */
uint64_t pclntab_entry(const struct pclntab *t, uint32_t i);

/* ERR_MALFORMED where the record is out of bounds. */
struct err *pclntab_func(const struct pclntab *t, uint32_t i, struct pclntab_func *ret);

/* Link address that trees of inlined calls are counted from (moduledata.gofunc); 0 up to Go 1.17, where they are addresses already.
 * ERR_NOTFOUND where it cannot be told. */
struct err *pclntab_gofunc(struct elf_file *elf, const struct pclntab *t, uint64_t *ret);

/* The value at `addr` in a pc-value table of a function that begins at `entry`. False where it has none. */
bool pclntab_value(const struct pclntab *t, uint64_t entry, uint32_t offset, uint64_t addr, int32_t *ret);

/* The parts of such a table, one after the other: *pc is where the part ends. Begin with *at the table's offset, *pc the entry, *value -1. */
bool pclntab_step(const struct pclntab *t, uint64_t entry, uint32_t *at, uint64_t *pc, int32_t *value);

/* The string at an offset of a part; NULL where it is out of bounds, does not end or is longer than any name. */
const char *pclntab_string(struct bytes part, uint64_t offset);

/* Whether a pclntab is there, without reading it. */
struct err *pclntab_exists(struct elf_file *elf, bool *ret);

#endif
