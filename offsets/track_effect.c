/* SPDX-License-Identifier: Apache-2.0 */
#include "track_effect.h"

#include <elf.h>
#include <string.h>

enum { R_AX = 0, R_CX = 2, R_DI = 3, R_SI = 4, R_DX = 9, R_BP = 14, R_SP = 15, R_NONE = -1 };

void float_state_start(struct float_state *s)
{
	memset(s, 0, sizeof(*s));
	s->seen = s->valid = true;
	s->sp_cfa = -8; /* the call has pushed the return address */
	s->gpr_is_stack[R_SP] = true;
	s->gpr_cfa[R_SP] = -8;
}

static bool same_place(const struct float_place *a, const struct float_place *b)
{
	return a->where == b->where && a->reg == b->reg && a->place == b->place;
}

static void add_place(struct float_state *s, int x, const struct float_place *p)
{
	for (uint8_t i = 0; i < s->n[x]; i++)
		if (same_place(&s->x[x][i], p))
			return;
	if (s->n[x] < FLOAT_PLACES)
		s->x[x][s->n[x]++] = *p;
}

bool float_state_meet(struct float_state *into, const struct float_state *from)
{
	bool less = false;

	if (!into->seen) {
		*into = *from;
		return true;
	}
	if (into->valid && (!from->valid || into->sp_cfa != from->sp_cfa)) {
		into->valid = false;
		less = true;
	}
	for (int i = 0; i < 16; i++) {
		if (into->gpr_is_stack[i] && (!from->gpr_is_stack[i] || into->gpr_cfa[i] != from->gpr_cfa[i])) {
			into->gpr_is_stack[i] = false;
			less = true;
		}
		for (uint8_t k = 0; k < into->n[i];) {
			struct float_place *p = &into->x[i][k];
			uint8_t size = 0;

			for (uint8_t j = 0; j < from->n[i]; j++)
				if (same_place(p, &from->x[i][j]))
					size = from->x[i][j].size;
			if (size >= p->size) {
				k++;
			} else if (size) {
				p->size = size;
				less = true;
				k++;
			} else {
				*p = into->x[i][--into->n[i]];
				less = true;
			}
		}
	}
	return less;
}

void float_state_forget(struct float_state *s)
{
	memset(s->n, 0, sizeof(s->n));
	for (int i = 0; i < 16; i++)
		s->gpr_is_stack[i] = i == R_SP && s->valid;
}

/* ---- what is no longer true ------------------------------------------------------------------------------------ */

enum lost {
	LOST_GPR = 1,     /* register `reg` was written */
	LOST_MEMORY = 2,  /* what lies behind pointers may have been */
	LOST_STACK = 4,   /* bytes [cfa, cfa + size) of the stack were */
	LOST_ALL = 8 | 2, /* all memory may have been */
};

static void lose(struct float_state *s, unsigned what, int reg, int64_t cfa, uint32_t size)
{
	for (int x = 0; x < 16; x++)
		for (uint8_t i = 0; i < s->n[x];) {
			const struct float_place *p = &s->x[x][i];
			bool lost = false;

			switch (p->where) {
			case FLOAT_REG:
				lost = (what & LOST_GPR) && p->reg == reg;
				break;
			case FLOAT_MEMORY:
				lost = (what & LOST_MEMORY) || ((what & LOST_GPR) && p->reg == reg);
				break;
			case FLOAT_STACK:
				lost = (what & 8) || ((what & LOST_STACK) && p->place < cfa + (int64_t)size &&
						      cfa < p->place + (int64_t)p->size);
				break;
			default:
				break;
			}
			if (lost)
				s->x[x][i] = s->x[x][--s->n[x]];
			else
				i++;
		}
}

static void wrote_gpr(struct float_state *s, int reg)
{
	if (reg < 0)
		return;
	lose(s, LOST_GPR, reg, 0, 0);
	s->gpr_is_stack[reg] = false;
	if (reg == R_SP)
		s->valid = false;
}

static void set_stack(struct float_state *s, int reg, int64_t cfa)
{
	bool valid = s->valid;

	wrote_gpr(s, reg);
	s->gpr_is_stack[reg] = true;
	s->gpr_cfa[reg] = cfa;
	if (reg == R_SP) {
		s->valid = valid;
		s->sp_cfa = cfa;
	}
}

/* The CFA offset that a memory operand names. False where it is not known to lie on this stack. */
static bool stack_operand(const struct float_state *s, const cs_x86_op *op, int64_t *cfa_ret)
{
	uint32_t width;
	int base = x86_gpr(op->mem.base, &width);

	if (op->mem.segment != X86_REG_INVALID || op->mem.index != X86_REG_INVALID || base < 0 || width != 8 ||
	    !s->gpr_is_stack[base])
		return false;
	*cfa_ret = s->gpr_cfa[base] + op->mem.disp;
	return true;
}

/* A store. Where it cannot be told to what, it may be to this frame too; but variables of the program and of the thread are not there. */
static void wrote_memory(struct float_state *s, const cs_x86_op *op, uint32_t size)
{
	int64_t cfa;

	if (stack_operand(s, op, &cfa))
		lose(s, LOST_STACK | LOST_MEMORY, 0, cfa, size ? size : 64);
	else if (op->mem.base == X86_REG_RIP || op->mem.segment != X86_REG_INVALID)
		lose(s, LOST_MEMORY, 0, 0, 0);
	else
		lose(s, LOST_ALL, 0, 0, 0);
}

/* ---- moves ------------------------------------------------------------------------------------------------------ */

/* The place that a memory operand names. False: one that a probe cannot read. */
static bool memory_place(const struct float_state *s, const cs_insn *in, const cs_x86_op *op, uint32_t size,
			 struct elf_file *elf, struct float_place *ret)
{
	uint32_t width;
	int base;

	*ret = (struct float_place){ .size = size };
	if (stack_operand(s, op, &ret->place)) {
		ret->where = FLOAT_STACK;
		return true;
	}
	if (op->mem.segment != X86_REG_INVALID || op->mem.index != X86_REG_INVALID)
		return false;
	if (op->mem.base == X86_REG_RIP) {
		uint64_t at = in->address + in->size + (uint64_t)op->mem.disp, value = 0;

		if (!elf || !elf_file_is_constant(elf, at, size))
			return false;
		struct err *err = elf_file_read(elf, at, &value, size);
		if (err) {
			err_destroy(err);
			return false;
		}
		ret->where = FLOAT_CONSTANT;
		ret->place = (int64_t)value;
		return true;
	}
	base = x86_gpr(op->mem.base, &width);
	if (base < 0 || width != 8 || base == R_SP || op->mem.disp < INT32_MIN || op->mem.disp > INT32_MAX)
		return false;
	ret->where = FLOAT_MEMORY;
	ret->reg = base;
	ret->place = op->mem.disp;
	return true;
}

/* Bytes that a move to or from a float register is known to copy unchanged, from the lowest on; 0: it is none. */
static uint32_t float_move_size(const cs_insn *in, uint32_t *stored_ret)
{
	const cs_x86_op *ops = in->detail->x86.operands;
	uint32_t width;

	switch (in->id) {
	case X86_INS_MOVSS:
		*stored_ret = 4;
		return 4;
	case X86_INS_MOVSD:
		*stored_ret = 8;
		return 8;
	case X86_INS_MOVD:
	case X86_INS_MOVQ:
		*stored_ret = 8;
		for (int i = 0; i < 2; i++) {
			if (ops[i].type == X86_OP_MEM)
				return ops[i].size == 4 || ops[i].size == 8 ? ops[i].size : 0;
			if (ops[i].type == X86_OP_REG && x86_gpr(ops[i].reg, &width) >= 0)
				return width == 4 || width == 8 ? width : 0;
		}
		return 8;
	case X86_INS_MOVUPS:
	case X86_INS_MOVAPS:
	case X86_INS_MOVUPD:
	case X86_INS_MOVAPD:
	case X86_INS_MOVDQU:
	case X86_INS_MOVDQA:
		*stored_ret = 16;
		return 8;
	}
	return 0;
}

/* Between a float register and a place. True where the instruction was handled whole. */
static bool follow_float_move(struct float_state *s, const cs_insn *in, struct elf_file *elf)
{
	const cs_x86_op *d = &in->detail->x86.operands[0], *o = &in->detail->x86.operands[1];
	uint32_t stored = 0, width, size;
	struct float_place place;
	int to, from, reg;

	if (in->detail->x86.op_count != 2 || !(size = float_move_size(in, &stored)))
		return false;
	to = d->type == X86_OP_REG ? x86_xmm(d->reg) : R_NONE;
	from = o->type == X86_OP_REG ? x86_xmm(o->reg) : R_NONE;
	if (to >= 0 && from >= 0) {
		struct float_place places[FLOAT_PLACES];
		uint8_t n = s->n[from];

		memcpy(places, s->x[from], sizeof(places));
		s->n[to] = 0;
		for (uint8_t i = 0; i < n; i++) {
			if (places[i].size > size)
				places[i].size = size;
			add_place(s, to, &places[i]);
		}
		return true;
	}
	if (to >= 0) {
		bool known;

		if (o->type == X86_OP_MEM) {
			known = memory_place(s, in, o, size, elf, &place);
		} else {
			reg = o->type == X86_OP_REG ? x86_gpr(o->reg, &width) : R_NONE;
			place = (struct float_place){ .where = FLOAT_REG, .size = size, .reg = reg };
			known = reg >= 0;
		}
		s->n[to] = 0;
		if (known)
			add_place(s, to, &place);
		return true;
	}
	if (from < 0)
		return false;
	if (d->type == X86_OP_MEM) {
		wrote_memory(s, d, d->size > stored ? d->size : stored);
		/* Of a constant nothing can be stored to. */
		if (d->mem.base != X86_REG_RIP && memory_place(s, in, d, size, NULL, &place))
			add_place(s, from, &place);
		return true;
	}
	reg = d->type == X86_OP_REG ? x86_gpr(d->reg, &width) : R_NONE;
	if (reg < 0)
		return false;
	wrote_gpr(s, reg);
	if (reg != R_SP) {
		place = (struct float_place){ .where = FLOAT_REG, .size = size, .reg = reg };
		add_place(s, from, &place);
	}
	return true;
}

/* What moves the stack pointer, and addresses of the stack in other registers. */
static bool follow_stack(struct float_state *s, const cs_insn *in)
{
	const cs_x86 *x = &in->detail->x86;
	const cs_x86_op *d = &x->operands[0], *o = &x->operands[1];
	uint32_t width, from_width;
	int64_t cfa;
	int reg, from;

	switch (in->id) {
	case X86_INS_PUSH:
		if (d->size != 8)
			return false;
		set_stack(s, R_SP, s->sp_cfa - 8);
		lose(s, LOST_STACK | LOST_MEMORY, 0, s->sp_cfa, 8);
		return true;
	case X86_INS_POP:
		if (d->type != X86_OP_REG || (reg = x86_gpr(d->reg, &width)) < 0 || width != 8 || reg == R_SP)
			return false;
		wrote_gpr(s, reg);
		set_stack(s, R_SP, s->sp_cfa + 8);
		return true;
	case X86_INS_SUB:
	case X86_INS_ADD:
		if (x->op_count != 2 || d->type != X86_OP_REG || o->type != X86_OP_IMM ||
		    x86_gpr(d->reg, &width) != R_SP || width != 8)
			return false;
		set_stack(s, R_SP, s->sp_cfa + (in->id == X86_INS_ADD ? o->imm : -o->imm));
		return true;
	case X86_INS_LEA:
		if (x->op_count != 2 || d->type != X86_OP_REG || (reg = x86_gpr(d->reg, &width)) < 0 || width != 8 ||
		    !stack_operand(s, o, &cfa))
			return false;
		set_stack(s, reg, cfa);
		return true;
	case X86_INS_MOV:
		if (x->op_count != 2 || d->type != X86_OP_REG || o->type != X86_OP_REG)
			return false;
		reg = x86_gpr(d->reg, &width);
		from = x86_gpr(o->reg, &from_width);
		if (reg < 0 || from < 0 || width != 8 || from_width != 8 || !s->gpr_is_stack[from])
			return false;
		set_stack(s, reg, s->gpr_cfa[from]);
		return true;
	}
	return false;
}

/* ---- everything else -------------------------------------------------------------------------------------------- */

enum shape {
	ANYTHING = 0, /* not listed: it may do anything */
	READS,        /* flags at most */
	FIRST,        /* its first operand is written, and flags */
	FIRST_TWO,
	WIDE_ARITHMETIC, /* RAX and RDX */
	EXTENDS_AX,      /* RAX */
	EXTENDS_DX,      /* RDX */
	STRING,          /* memory, RDI, RSI, RCX */
};

static enum shape shape_of(const cs_insn *in)
{
	switch (in->id) {
	case X86_INS_CMP:
	case X86_INS_TEST:
	case X86_INS_NOP:
	case X86_INS_BT:
	case X86_INS_UCOMISS:
	case X86_INS_UCOMISD:
	case X86_INS_COMISS:
	case X86_INS_COMISD:
	case X86_INS_PAUSE:
		return READS;
	case X86_INS_MOV:
	case X86_INS_MOVABS:
	case X86_INS_MOVZX:
	case X86_INS_MOVSX:
	case X86_INS_MOVSXD:
	case X86_INS_LEA:
	case X86_INS_ADD:
	case X86_INS_ADC:
	case X86_INS_SUB:
	case X86_INS_SBB:
	case X86_INS_AND:
	case X86_INS_OR:
	case X86_INS_XOR:
	case X86_INS_NOT:
	case X86_INS_NEG:
	case X86_INS_INC:
	case X86_INS_DEC:
	case X86_INS_SHL:
	case X86_INS_SAL:
	case X86_INS_SHR:
	case X86_INS_SAR:
	case X86_INS_ROL:
	case X86_INS_ROR:
	case X86_INS_SHLD:
	case X86_INS_SHRD:
	case X86_INS_BSF:
	case X86_INS_BSR:
	case X86_INS_TZCNT:
	case X86_INS_LZCNT:
	case X86_INS_POPCNT:
	case X86_INS_BSWAP:
	case X86_INS_BTS:
	case X86_INS_BTR:
	case X86_INS_BTC:
	case X86_INS_CMOVA:
	case X86_INS_CMOVAE:
	case X86_INS_CMOVB:
	case X86_INS_CMOVBE:
	case X86_INS_CMOVE:
	case X86_INS_CMOVG:
	case X86_INS_CMOVGE:
	case X86_INS_CMOVL:
	case X86_INS_CMOVLE:
	case X86_INS_CMOVNE:
	case X86_INS_CMOVNO:
	case X86_INS_CMOVNP:
	case X86_INS_CMOVNS:
	case X86_INS_CMOVO:
	case X86_INS_CMOVP:
	case X86_INS_CMOVS:
	case X86_INS_SETA:
	case X86_INS_SETAE:
	case X86_INS_SETB:
	case X86_INS_SETBE:
	case X86_INS_SETE:
	case X86_INS_SETG:
	case X86_INS_SETGE:
	case X86_INS_SETL:
	case X86_INS_SETLE:
	case X86_INS_SETNE:
	case X86_INS_SETNO:
	case X86_INS_SETNP:
	case X86_INS_SETNS:
	case X86_INS_SETO:
	case X86_INS_SETP:
	case X86_INS_SETS:
	case X86_INS_ADDSS:
	case X86_INS_ADDSD:
	case X86_INS_SUBSS:
	case X86_INS_SUBSD:
	case X86_INS_MULSS:
	case X86_INS_MULSD:
	case X86_INS_DIVSS:
	case X86_INS_DIVSD:
	case X86_INS_SQRTSS:
	case X86_INS_SQRTSD:
	case X86_INS_MINSS:
	case X86_INS_MINSD:
	case X86_INS_MAXSS:
	case X86_INS_MAXSD:
	case X86_INS_ROUNDSS:
	case X86_INS_ROUNDSD:
	case X86_INS_CVTSI2SS:
	case X86_INS_CVTSI2SD:
	case X86_INS_CVTSS2SD:
	case X86_INS_CVTSD2SS:
	case X86_INS_CVTTSS2SI:
	case X86_INS_CVTTSD2SI:
	case X86_INS_CVTSS2SI:
	case X86_INS_CVTSD2SI:
	case X86_INS_ANDPS:
	case X86_INS_ANDPD:
	case X86_INS_ANDNPS:
	case X86_INS_ANDNPD:
	case X86_INS_ORPS:
	case X86_INS_ORPD:
	case X86_INS_XORPS:
	case X86_INS_XORPD:
	case X86_INS_PXOR:
	case X86_INS_POR:
	case X86_INS_PAND:
	case X86_INS_PANDN:
	case X86_INS_PSLLQ:
	case X86_INS_PSRLQ:
	case X86_INS_PSLLD:
	case X86_INS_PSRLD:
	case X86_INS_PCMPEQD:
	case X86_INS_UNPCKLPS:
	case X86_INS_UNPCKLPD:
	case X86_INS_PUNPCKLQDQ:
	case X86_INS_MOVLPS:
	case X86_INS_MOVLPD:
	case X86_INS_MOVHPS:
	case X86_INS_MOVHPD:
	case X86_INS_MOVHLPS:
	case X86_INS_MOVLHPS:
	/* moves of float registers that were not handled whole */
	case X86_INS_MOVSS:
	case X86_INS_MOVD:
	case X86_INS_MOVQ:
	case X86_INS_MOVUPS:
	case X86_INS_MOVAPS:
	case X86_INS_MOVUPD:
	case X86_INS_MOVAPD:
	case X86_INS_MOVDQU:
	case X86_INS_MOVDQA:
	case X86_INS_VFMADD231SD:
	case X86_INS_VFMADD231SS:
		return FIRST;
	case X86_INS_XCHG:
	case X86_INS_XADD:
		return FIRST_TWO;
	case X86_INS_IMUL:
		return in->detail->x86.op_count > 1 ? FIRST : WIDE_ARITHMETIC;
	case X86_INS_MUL:
	case X86_INS_DIV:
	case X86_INS_IDIV:
		return WIDE_ARITHMETIC;
	case X86_INS_CMPXCHG:
		return FIRST;
	case X86_INS_CBW:
	case X86_INS_CWDE:
	case X86_INS_CDQE:
		return EXTENDS_AX;
	case X86_INS_CWD:
	case X86_INS_CDQ:
	case X86_INS_CQO:
		return EXTENDS_DX;
	case X86_INS_MOVSB:
	case X86_INS_MOVSW:
	case X86_INS_MOVSD: /* the string move: that of float registers was handled */
	case X86_INS_MOVSQ:
	case X86_INS_STOSB:
	case X86_INS_STOSW:
	case X86_INS_STOSD:
	case X86_INS_STOSQ:
		return STRING;
	}
	return ANYTHING;
}

static void wrote_operand(struct float_state *s, const cs_x86_op *op)
{
	uint32_t width;

	if (op->type == X86_OP_MEM) {
		wrote_memory(s, op, op->size);
	} else if (op->type == X86_OP_REG) {
		wrote_gpr(s, x86_gpr(op->reg, &width));
		if (x86_xmm(op->reg) >= 0)
			s->n[x86_xmm(op->reg)] = 0;
	}
}

/* XORPS X0, X0 */
static bool sets_to_zero(const cs_insn *in)
{
	const cs_x86_op *ops = in->detail->x86.operands;

	return (in->id == X86_INS_XORPS || in->id == X86_INS_XORPD || in->id == X86_INS_PXOR) &&
	       in->detail->x86.op_count == 2 && ops[0].type == X86_OP_REG && ops[1].type == X86_OP_REG &&
	       ops[0].reg == ops[1].reg && x86_xmm(ops[0].reg) >= 0;
}

void float_state_follow(struct float_state *s, const cs_insn *in, struct elf_file *elf)
{
	const struct float_place zero = { .where = FLOAT_CONSTANT, .size = 8 };
	const cs_x86 *x = &in->detail->x86;
	enum shape shape;
	bool locked;

	if (!s->valid || follow_float_move(s, in, elf) || follow_stack(s, in))
		return;
	shape = shape_of(in);
	/* An instruction that orders memory may let another goroutine change what pointers lead to. XCHG with memory always does. */
	locked = x->prefix[0] == X86_PREFIX_LOCK ||
		 (in->id == X86_INS_XCHG && (x->operands[0].type == X86_OP_MEM || x->operands[1].type == X86_OP_MEM));
	if (locked || shape == STRING)
		lose(s, LOST_ALL, 0, 0, 0);
	switch (shape) {
	case READS:
		return;
	case FIRST:
		wrote_operand(s, &x->operands[0]);
		break;
	case FIRST_TWO:
		wrote_operand(s, &x->operands[0]);
		wrote_operand(s, &x->operands[1]);
		return;
	case WIDE_ARITHMETIC:
		wrote_gpr(s, R_AX);
		wrote_gpr(s, R_DX);
		return;
	case EXTENDS_AX:
		wrote_gpr(s, R_AX);
		return;
	case EXTENDS_DX:
		wrote_gpr(s, R_DX);
		return;
	case STRING:
		wrote_gpr(s, R_DI);
		wrote_gpr(s, R_SI);
		wrote_gpr(s, R_CX);
		return;
	case ANYTHING:
		float_state_forget(s);
		s->valid = false;
		return;
	}
	if (in->id == X86_INS_CMPXCHG)
		wrote_gpr(s, R_AX);
	if (sets_to_zero(in))
		add_place(s, x86_xmm(x->operands[0].reg), &zero);
}
