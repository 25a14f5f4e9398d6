/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that the compiler inlined, from the pclntab (FUNCDATA_InlTree), so also of stripped programs.
 *
 * Layouts: 20 bytes a call with its own file and line up to Go 1.19, 16 bytes from 1.20. Only calls that left code behind are in it. */
#ifndef OFFSETS_INLINES_H
#define OFFSETS_INLINES_H

#include "pclntab.h"

/* A frame as its source has it. */
struct func_frame {
	const char *func; /* owned by the table; of an inlined generic function the abbreviated name, F[...] */
	const char *file; /* NULL: not known */
	uint32_t line;
};

#define FUNC_FRAMES_MAX 64 /* inlined into each other: the inliner's budget ends long before */

/* What stands at a link address of `func`: inlined calls, the innermost first, then the function itself, with the line that each is at.
 * Returns how many were written, at most `max`: 0 where the address is not the function's. */
size_t func_table_frames(const struct func_table *table, const struct func *func, uint64_t addr, struct func_frame *v,
			 size_t max);

/* One inlined copy of a function. */
struct inlined_copy {
	const char *name;      /* of the function that was copied; owned by the table */
	const struct func *in; /* whose code the copy is in */
	uint64_t addr;         /* link address of its first instruction */
	const char *file;      /* where the call stands in the source; NULL: not known */
	uint32_t line;
};

#define INLINED_COPIES_MAX (1u << 22)

/* The copies of functions whose name is accepted by `matcher` (NULL: all), in order of the function that they are in. *v_ret is to be freed.
 * ERR_NOTFOUND where it cannot be told where the trees are; ERR_USAGE with more than INLINED_COPIES_MAX; ERR_MALFORMED. */
struct err *func_table_inlined(const struct func_table *table, const struct func_matcher *matcher,
			       struct inlined_copy **v_ret, size_t *n_ret);

#endif
