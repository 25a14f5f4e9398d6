/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of the float registers between two instructions, and what an instruction does to it; for track_return.c alone. */
#ifndef OFFSETS_TRACK_EFFECT_H
#define OFFSETS_TRACK_EFFECT_H

#include "disassembler.h"
#include "sites.h"

#define FLOAT_PLACES 4 /* places kept of one register: a slot, a copy of it, a general register, a constant */

struct float_state {
	bool seen;      /* some path comes here */
	bool valid;     /* the stack pointer is known */
	int64_t sp_cfa; /* stack pointer − CFA, bytes */
	bool gpr_is_stack[16];
	int64_t gpr_cfa[16]; /* where gpr_is_stack: the address it holds, from the CFA */
	uint8_t n[16];
	struct float_place x[16][FLOAT_PLACES]; /* where the low bytes of each stand too */
};

/* At a function's first instruction. */
void float_state_start(struct float_state *s);

/* Another path comes to `into`: what holds on both remains. True where that is less than before. */
bool float_state_meet(struct float_state *into, const struct float_state *from);

/* Nothing is known any more but the stack pointer. */
void float_state_forget(struct float_state *s);

/* One instruction that is neither a branch nor a call. */
void float_state_follow(struct float_state *s, const cs_insn *in, struct elf_file *elf);

#endif
