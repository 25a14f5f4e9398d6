/* SPDX-License-Identifier: Apache-2.0 */
/* Where the words of the parameters stand before each instruction of the entry block: the truth of the code itself, which holds for
 * parameters that DWARF is silent about, and for floats, which a probe can read only once the code has put them into memory. */
#include <stdlib.h>
#include <string.h>

#include "disassembler.h"
#include "sites.h"

enum { R_SP = 15, R_NONE = -1 };

static void forget_gpr(struct track *t, int i)
{
	t->gpr[i] = TRACK_NONE;
	t->gpr_is_stack[i] = false;
	if (i == R_SP)
		t->valid = false;
}

/* Something was stored at [cfa, cfa + size): what overlaps is gone. */
static void forget_slots(struct track *t, int64_t cfa, uint32_t size)
{
	if (cfa + (int64_t)size > t->above)
		t->above = cfa + (int64_t)size;
	for (size_t i = 0; i < t->n_slots;)
		if (t->slots[i].cfa < cfa + (int64_t)size && cfa < t->slots[i].cfa + (int64_t)t->slots[i].size)
			t->slots[i] = t->slots[--t->n_slots];
		else
			i++;
}

static void store_word(struct track *t, int64_t cfa, uint32_t size, uint16_t word, const struct track_word *words)
{
	forget_slots(t, cfa, size);
	if (word == TRACK_NONE || words[word].size > size || t->n_slots == TRACK_SLOTS)
		return;
	t->slots[t->n_slots++] = (struct track_slot){ .cfa = cfa, .size = words[word].size, .word = word };
}

/* The CFA offset that a memory operand names. False where it is not known to lie in this frame. */
static bool stack_operand(const struct track *t, const cs_x86_op *op, int64_t *cfa_ret)
{
	uint32_t width;
	int base = x86_gpr(op->mem.base, &width);

	if (op->mem.segment != X86_REG_INVALID || op->mem.index != X86_REG_INVALID || base < 0 || width != 8)
		return false;
	if (!t->gpr_is_stack[base])
		return false;
	*cfa_ret = t->gpr_cfa[base] + op->mem.disp;
	return true;
}

/* A store whose address cannot be told: into this frame only through a register that holds a stack address. */
static void store_unknown(struct track *t, const cs_x86_op *op)
{
	uint32_t width;
	int base = x86_gpr(op->mem.base, &width), index = x86_gpr(op->mem.index, &width);

	t->wrote = true;
	if ((base >= 0 && t->gpr_is_stack[base]) || (index >= 0 && t->gpr_is_stack[index]))
		t->n_slots = 0;
}

static void set_stack(struct track *t, int reg, int64_t cfa)
{
	t->gpr[reg] = TRACK_NONE;
	t->gpr_is_stack[reg] = true;
	t->gpr_cfa[reg] = cfa;
	if (reg == R_SP)
		t->sp_cfa = cfa;
}

static void load_word(const struct track *t, int64_t cfa, uint32_t size, const struct track_word *words,
		      uint16_t *word_ret)
{
	*word_ret = TRACK_NONE;
	for (size_t i = 0; i < t->n_slots; i++)
		if (t->slots[i].cfa == cfa && words[t->slots[i].word].size <= size)
			*word_ret = t->slots[i].word;
}

static bool is_float_move(unsigned id)
{
	switch (id) {
	case X86_INS_MOVSS:
	case X86_INS_MOVSD:
	case X86_INS_MOVUPS:
	case X86_INS_MOVAPS:
	case X86_INS_MOVUPD:
	case X86_INS_MOVAPD:
	case X86_INS_MOVD:
	case X86_INS_MOVQ:
	case X86_INS_MOVDQU:
	case X86_INS_MOVDQA:
		return true;
	}
	return false;
}

/* MOV and its kin between two places: the word moves along. True where the instruction was handled whole. */
static bool track_move(struct track *t, const cs_insn *in, const struct track_word *words)
{
	const cs_x86_op *d = &in->detail->x86.operands[0], *s = &in->detail->x86.operands[1];
	uint16_t word = TRACK_NONE;
	uint32_t width = 0;
	bool stack = false;
	int64_t cfa, from = 0;
	int reg;

	bool is_mov = in->id == X86_INS_MOV || in->id == X86_INS_MOVZX || in->id == X86_INS_MOVABS;

	if (in->detail->x86.op_count != 2 || (!is_mov && !is_float_move(in->id)))
		return false;
	/* source */
	if (s->type == X86_OP_REG) {
		if ((reg = x86_gpr(s->reg, &width)) >= 0 && width) {
			stack = t->gpr_is_stack[reg] && width == 8;
			from = t->gpr_cfa[reg];
			word = t->gpr[reg];
		} else if ((reg = x86_xmm(s->reg)) >= 0) {
			/* MOVSS to a register copies 4 bytes, MOVSD 8; the wide forms all 16 */
			width = s->size > 8 ? 8 : s->size;
			if (in->id == X86_INS_MOVSS || in->id == X86_INS_MOVD)
				width = 4;
			word = t->xmm[reg];
		}
	} else if (s->type == X86_OP_MEM && stack_operand(t, s, &cfa)) {
		width = s->size;
		load_word(t, cfa, width, words, &word);
	}
	if (word != TRACK_NONE && words[word].size > width)
		word = TRACK_NONE;
	/* destination */
	if (d->type == X86_OP_REG && (reg = x86_gpr(d->reg, &width)) >= 0) {
		if (stack && width == 8)
			set_stack(t, reg, from);
		else {
			forget_gpr(t, reg);
			if (word != TRACK_NONE && words[word].size <= width)
				t->gpr[reg] = word;
		}
		return true;
	}
	if (d->type == X86_OP_REG && (reg = x86_xmm(d->reg)) >= 0) {
		t->xmm[reg] = word;
		return true;
	}
	if (d->type == X86_OP_MEM) {
		if (stack_operand(t, d, &cfa))
			store_word(t, cfa, d->size, word, words);
		else
			store_unknown(t, d);
		return true;
	}
	return false;
}

/* What changes the stack pointer by a constant, and LEA of a stack address. */
static bool track_stack(struct track *t, const cs_insn *in, const struct track_word *words)
{
	const cs_x86 *x = &in->detail->x86;
	const cs_x86_op *d = &x->operands[0], *s = &x->operands[1];
	uint32_t width;
	int64_t cfa;
	int reg;

	switch (in->id) {
	case X86_INS_PUSH:
		set_stack(t, R_SP, t->sp_cfa - 8);
		reg = d->type == X86_OP_REG ? x86_gpr(d->reg, &width) : R_NONE;
		store_word(t, t->sp_cfa, 8, reg >= 0 && width == 8 ? t->gpr[reg] : TRACK_NONE, words);
		return d->size == 8;
	case X86_INS_POP:
		if (d->type != X86_OP_REG || (reg = x86_gpr(d->reg, &width)) < 0 || width != 8 || reg == R_SP)
			return false;
		forget_gpr(t, reg);
		load_word(t, t->sp_cfa, 8, words, &t->gpr[reg]);
		set_stack(t, R_SP, t->sp_cfa + 8);
		return true;
	case X86_INS_SUB:
	case X86_INS_ADD:
		if (x->op_count != 2 || d->type != X86_OP_REG || s->type != X86_OP_IMM ||
		    x86_gpr(d->reg, &width) != R_SP || width != 8)
			return false;
		set_stack(t, R_SP, t->sp_cfa + (in->id == X86_INS_ADD ? s->imm : -s->imm));
		return true;
	case X86_INS_LEA:
		if (d->type != X86_OP_REG || (reg = x86_gpr(d->reg, &width)) < 0 || width != 8 ||
		    !stack_operand(t, s, &cfa))
			return false;
		set_stack(t, reg, cfa);
		return true;
	}
	return false;
}

static bool writes_memory(unsigned id)
{
	return id != X86_INS_CMP && id != X86_INS_TEST && id != X86_INS_NOP && id != X86_INS_UCOMISS &&
	       id != X86_INS_UCOMISD && id != X86_INS_BT;
}

/* Any other instruction: what it writes is forgotten. Capstone's access lists have holes, so the first operand always counts as written. */
static void track_other(csh cs, struct track *t, const cs_insn *in)
{
	const cs_x86 *x = &in->detail->x86;
	cs_regs read, write;
	uint8_t n_read, n_write;
	uint32_t width;
	int64_t cfa;
	int reg;

	if (cs_regs_access(cs, in, read, &n_read, write, &n_write))
		n_write = 0;
	for (uint8_t i = 0; i < n_write; i++) {
		if ((reg = x86_gpr(write[i], &width)) >= 0)
			forget_gpr(t, reg);
		else if ((reg = x86_xmm(write[i])) >= 0)
			t->xmm[reg] = TRACK_NONE;
	}
	for (uint8_t i = 0; i < x->op_count && i < 2; i++) {
		const cs_x86_op *op = &x->operands[i];
		/* XCHG and XADD write both */
		if (i && in->id != X86_INS_XCHG && in->id != X86_INS_XADD)
			break;
		if (!writes_memory(in->id))
			break;
		if (op->type == X86_OP_REG) {
			if ((reg = x86_gpr(op->reg, &width)) >= 0)
				forget_gpr(t, reg);
			else if ((reg = x86_xmm(op->reg)) >= 0)
				t->xmm[reg] = TRACK_NONE;
		} else if (op->type == X86_OP_MEM && in->id != X86_INS_LEA) {
			if (stack_operand(t, op, &cfa))
				forget_slots(t, cfa, op->size ? op->size : 64);
			else
				store_unknown(t, op);
		}
	}
	/* String stores go through RDI, however often. */
	if (x->prefix[0] == X86_PREFIX_REP || x->prefix[0] == X86_PREFIX_REPNE || in->id == X86_INS_STOSQ ||
	    in->id == X86_INS_MOVSQ) {
		t->n_slots = 0;
		t->wrote = true;
	}
}

static void start_state(struct track *t, const struct track_word *words, size_t n_words)
{
	memset(t, 0, sizeof(*t));
	t->valid = true;
	for (int i = 0; i < 16; i++)
		t->gpr[i] = t->xmm[i] = TRACK_NONE;
	for (size_t i = 0; i < n_words; i++) {
		const struct track_word *w = &words[i];
		if (w->on_stack) {
			if (t->n_slots < TRACK_SLOTS)
				t->slots[t->n_slots++] =
					(struct track_slot){ .cfa = w->place, .size = w->size, .word = i };
		} else if (w->in_float && w->place >= 0 && w->place < 16) {
			t->xmm[w->place] = i;
		} else if (w->place >= 0 && w->place <= 9) {
			t->gpr[w->place] = i;
		}
	}
	set_stack(t, R_SP, -8); /* the call has pushed the return address */
}

struct err *track_entry(const struct code *code, const struct track_word *words, size_t n_words,
			struct track **states_ret)
{
	struct track *states = calloc(code->n_entry ? code->n_entry : 1, sizeof(*states));
	struct err *err;
	cs_insn *in;
	csh cs;

	if (!states || n_words > TRACK_WORDS) {
		free(states);
		return states ? err_create(ERR_UNSUPPORTED, "more than %d words of parameters", TRACK_WORDS)
			      : &err_nomem;
	}
	err = disassembler_open(&cs, &in);
	if (err) {
		free(states);
		return err;
	}
	const uint8_t *p = code->text;
	size_t left = code->end - code->entry;
	uint64_t addr = code->entry;
	if (code->n_entry)
		start_state(&states[0], words, n_words);
	for (size_t i = 0; i + 1 < code->n_entry; i++) {
		struct track *t = &states[i + 1];

		/* Of one that Capstone does not know nobody can tell what it writes: what comes after is no place to read. */
		if (!cs_disasm_iter(cs, &p, &left, &addr, in))
			break;
		*t = states[i];
		if (!t->valid || track_move(t, in, words) || track_stack(t, in, words))
			continue;
		track_other(cs, t, in);
	}
	*states_ret = states;
	return NULL;
}
