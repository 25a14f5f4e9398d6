/* SPDX-License-Identifier: Apache-2.0 */
/* The instructions of one function, and where on them a probe is hit exactly once a call.
 *
 * Source of the prologue's shape: cmd/internal/obj/x86/obj6.go (stacksplit), checked on every Go version that the tests build. */
#ifndef OFFSETS_SITES_H
#define OFFSETS_SITES_H

#include "abi.h"
#include "elf_file.h"
#include "pclntab.h"

enum insn_class {
	INSN_OTHER = 0,
	INSN_CALL, /* direct */
	INSN_CALL_IND,
	INSN_JMP, /* direct */
	INSN_JMP_IND,
	INSN_JCC, /* conditional, JRCXZ and LOOP too */
	INSN_RET,
	INSN_STOP, /* UD2, HLT, INT3: nothing comes after it */
};

struct insn {
	uint64_t addr;
	uint64_t target; /* of a direct branch or call, else 0 */
	uint8_t size;
	uint8_t cls; /* enum insn_class */
	bool emulated; /* the kernel emulates it under a probe: arch/x86/kernel/uprobes.c, branch_setup_xol_ops and push_setup_xol_ops */
	bool check; /* a branch of the stack check: taken, it goes to morestack */
};

struct code {
	uint64_t entry, end; /* end: past the last instruction, without padding */
	size_t n;
	struct insn *insns;
	uint8_t *text;        /* bytes of [entry, end) */
	bool has_check;       /* begins with a stack check */
	bool has_indirect;    /* has a jump through a register or memory (a switch's table, or a tail call) */
	bool entry_is_target; /* a branch of the function itself, other than morestack's, goes to its first instruction */
	size_t n_entry; /* instructions from the entry on that are executed at most once a call, and in this order */
};

#define ENTRY_LOOK_MAX 256 /* instructions of the entry block looked at: spills of 24 registers end long before */
#define CODE_SIZE_MAX (64u << 20) /* bytes of one function: the largest generated ones known have a few MiB */

/* Decode a function. ERR_MALFORMED where its text does not decode to the end or a branch goes into the middle of an instruction. */
struct err *code_read(struct elf_file *elf, const struct func_table *funcs, const struct func *func, struct code **ret);
void code_destroy(struct code *code);

/* Index of the instruction at addr, or SIZE_MAX. */
size_t code_find(const struct code *code, uint64_t addr);

#define INSN_NAME_MAX 32 /* as long as Capstone's */

/* The mnemonic of an instruction. */
struct err *code_insn_name(const struct code *code, size_t i, char name[INSN_NAME_MAX]);

/* ---- what stands where in the entry block ------------------------------------------------------------------ */

#define TRACK_WORDS 64 /* parameter words followed: 9 + 15 registers, and values on the stack */
#define TRACK_SLOTS 96 /* stack slots that hold one */
#define TRACK_NONE 0xffff

struct track_word {    /* a word of a parameter at the first instruction */
	uint32_t size; /* bytes */
	bool on_stack;
	bool in_float;
	int32_t place; /* register index in ABI order (9: RDX), or bytes from the CFA (the stack pointer before the call) */
};

struct track_slot {
	int64_t cfa; /* bytes from the CFA */
	uint32_t size;
	uint16_t word;
};

/* The state before one instruction. */
struct track {
	bool valid; /* the stack pointer is known */
	bool wrote; /* memory that is not known to be this frame has been written to: what parameters point to may be other than it was */
	int64_t sp_cfa; /* stack pointer − CFA, bytes; −8 at the first instruction */
	int64_t above;  /* bytes [0, above) from the CFA, in the caller's frame, may have been written to */
	uint16_t gpr
		[16]; /* word held, in Capstone-free order: ABI order 0–8, 9 RDX, 10 R12, 11 R13, 12 R14, 13 R15, 14 RBP, 15 RSP */
	bool gpr_is_stack[16];
	int64_t gpr_cfa[16]; /* where gpr_is_stack: the address it holds, from the CFA */
	uint16_t xmm[16];
	size_t n_slots;
	struct track_slot slots[TRACK_SLOTS];
};

/* Follow the words through the entry block. states_ret: code->n_entry states, state i before instruction i; freed by the caller. */
struct err *track_entry(const struct code *code, const struct track_word *words, size_t n_words,
			struct track **states_ret);

/* ---- float registers at a return ----------------------------------------------------------------------------- */

#define FLOAT_REGS 15 /* X0–X14 hold results */

/* Where the low bytes of a float register stand too. */
struct float_place {
	enum {
		FLOAT_LOST = 0,
		FLOAT_REG,      /* in general register `reg` */
		FLOAT_STACK,    /* `place` bytes from the CFA */
		FLOAT_MEMORY,   /* `place` bytes behind what general register `reg` holds */
		FLOAT_CONSTANT, /* they are those of `place` */
	} where;
	uint8_t size; /* bytes, 4 or 8 */
	uint8_t reg;  /* index as in struct track */
	int64_t place;
};

/* A return: where to probe it, and where the float registers can be read there. */
struct return_site {
	size_t ret;     /* index of the RET */
	size_t insn;    /* of the instruction to probe: it, or the first of the epilogue that leads to nothing else */
	int64_t sp_cfa; /* stack pointer − CFA there */
	struct float_place x[FLOAT_REGS];
};

/* One for each RET, in order. sizes: bytes wanted of X0–X14, 0: it holds no result. Not followed: code with jumps through tables, and what
 * is larger than the limits in track_return.c; then nothing can be read. elf: for constants, may be NULL. */
struct err *track_returns(const struct code *code, struct elf_file *elf, const uint8_t sizes[FLOAT_REGS],
			  struct return_site **ret, size_t *n_ret);

/* ---- choice ------------------------------------------------------------------------------------------------- */

struct entry_site {
	size_t insn;        /* index */
	uint8_t flags;      /* enum site_flags: SITE_CHECK_BRANCH */
	bool can_duplicate; /* a hit whose call is open already is a duplicate */
};

/* Candidates for an entry probe, in order of address. n_ret may be 0: then the function has no such place. */
struct err *entry_candidates(const struct code *code, struct entry_site **ret, size_t *n_ret);

#endif
