/* SPDX-License-Identifier: Apache-2.0 */
/* Capstone, opened once a thread: it makes tables of its own when it decodes for the first time, which takes longer than the instructions
 * of most functions. */
#ifndef OFFSETS_DISASSEMBLER_H
#define OFFSETS_DISASSEMBLER_H

#include <capstone/capstone.h>
#include <stdint.h>

#include "error.h"

/* A handle with details and one instruction to decode into; both stay the thread's own, until disassembler_close() or its end. */
struct err *disassembler_open(csh *cs_ret, cs_insn **insn_ret);

/* Give this thread's handle back. */
void disassembler_close(void);

/* Capstone's register → its index (ABI order 0–8, then RDX, R12–R15, RBP, RSP) and width in bytes, 0 for AH and its kin; -1 where it is no
 * general register. */
int x86_gpr(unsigned reg, uint32_t *width_ret);

/* The number of XMM0–XMM15, also where it is part of a wider one; -1 for others. */
int x86_xmm(unsigned reg);

#endif
