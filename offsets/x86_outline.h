/* SPDX-License-Identifier: Apache-2.0 */
/* How long an x86-64 instruction is and where it goes, without a disassembler: a function is walked for its branches and returns, and a
 * disassembler takes thirty times as long to say what nobody asked. */
#ifndef OFFSETS_X86_OUTLINE_H
#define OFFSETS_X86_OUTLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum x86_flow {
	X86_FLOW_NEXT = 0,
	X86_FLOW_CALL, /* direct */
	X86_FLOW_CALL_IND,
	X86_FLOW_JMP, /* direct */
	X86_FLOW_JMP_IND,
	X86_FLOW_JCC, /* conditional, JRCXZ and LOOP too */
	X86_FLOW_RET,
	X86_FLOW_STOP, /* UD2, HLT, INT3 */
};

struct x86_outline {
	uint8_t size;   /* bytes, 1 to 15 */
	uint8_t flow;   /* enum x86_flow */
	bool prefixed;  /* a LOCK, REP or operand-size prefix */
	int64_t target; /* of a direct branch or call: bytes from the instruction's first byte */
};

/* False for what is rare in programs, not sure or no instruction at all: then a disassembler must tell. */
bool x86_outline_read(const uint8_t *code, size_t size, struct x86_outline *ret);

#endif
