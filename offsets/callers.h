/* SPDX-License-Identifier: Apache-2.0 */
/* The direct calls of a function, and where a caller has float arguments that it passes in registers: a probe is not given those, but what
 * the caller has loaded into one is still in the caller's frame when the call has just been made. Which call it was, the return address tells. */
#ifndef OFFSETS_CALLERS_H
#define OFFSETS_CALLERS_H

#include "pclntab.h"
#include "sites.h"

#define CALL_SIZE 5                  /* bytes of a direct call */
#define CALLERS_MAX 1024             /* direct calls of one function that are looked at: each costs some microseconds */
#define CALLERS_TEXT_MAX (16u << 20) /* bytes of callers decoded for one plan: 0.2 s */
#define CALLERS_LOOK_MAX (256u << 20) /* bytes of callers looked through for branches, for each call again: 0.2 s */

/* A direct call: the instruction and the function that it is in. */
struct call_place {
	uint64_t target; /* entry of the function that is called */
	uint64_t addr;   /* of the CALL; link addresses */
	const struct func *from;
};

struct call_places {
	size_t n;
	struct call_place *v; /* by target, then address */
};

/* All direct calls of the functions that begin at `entries` (sorted, n of them), found by reading the program's text once. What looks like
 * a call and is none may be among them: call_floats() tells. */
struct err *call_places_find(struct elf_file *elf, const struct func_table *funcs, const uint64_t *entries, size_t n,
			     struct call_places **ret);
void call_places_destroy(struct call_places *places);

/* Those of one function: index of the first, and how many. */
size_t call_places_of(const struct call_places *places, uint64_t entry, size_t *n_ret);

/* Where the low bytes of X0–X14 stand when the CALL at `addr` of this code is made: FLOAT_CONSTANT, or FLOAT_STACK, `place` then being bytes
 * from the stack pointer before the call; else FLOAT_LOST. Followed is the straight line that leads to it. ERR_NOTFOUND: there is no such
 * instruction, or it is no call of `target`. */
struct err *call_floats(const struct code *code, struct elf_file *elf, uint64_t addr, uint64_t target,
			struct float_place x[FLOAT_REGS]);

#endif
