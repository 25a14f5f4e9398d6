/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of calls that were inlined into one function, as it stands in the file. */
#ifndef OFFSETS_INLINES_PRIV_H
#define OFFSETS_INLINES_PRIV_H

#include "inlines.h"
#include "pclntab_priv.h"

/* One entry (inlinedCall in runtime/symtab.go, from Go 1.21 runtime/symtabinl.go). */
struct inlined_call {
	const char *name;
	uint32_t
		parent_pc; /* of an instruction in the caller whose line is that of the call; bytes from the function's entry */
};

/* False where there is none, or it is out of bounds. */
bool inlined_call_read(const struct func_table *table, const struct pclntab_func *record, uint32_t index,
		       struct inlined_call *ret);

/* File and line at an address of a function whose record is in hand. False: not known. */
bool func_record_line(const struct pclntab *t, const struct func *func, const struct pclntab_func *record,
		      uint64_t addr, const char **file_ret, uint32_t *line_ret);

#endif
