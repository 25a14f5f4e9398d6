/* SPDX-License-Identifier: Apache-2.0 */
/* Where the float registers of results can be read at a return: a probe is not given them, but the code has often just loaded one from
 * memory, copied it from a general register or set it to a constant, and the same bytes are still there.
 *
 * A forward data flow over the whole function: for each float register the places that are known to hold its low bytes, on every path. What
 * an instruction does that is not listed here is taken to be anything. */
#include <stdlib.h>
#include <string.h>

#include "../bpf_c/record.h"
#include "disassembler.h"
#include "sites.h"
#include "track_effect.h"

#define FLOW_BLOCKS_MAX 4096      /* a state takes about 1 KiB */
#define FLOW_INSNS_MAX (1u << 17) /* instructions followed, those of loops several times: 0.1 s */

struct flow {
	const struct code *code;
	struct elf_file *elf;
	csh cs;
	cs_insn *insn;
	uint8_t *leader;        /* by instruction: a block begins here */
	uint32_t *block;        /* by instruction that is a leader: index of its state */
	struct float_state *in; /* by block: before its first instruction */
	uint32_t *first;        /* by block: its first instruction */
	uint32_t *work;         /* blocks to look at (again), a ring of n_blocks + 1 */
	uint8_t *waiting;
	size_t n_blocks, head, tail;
	size_t n_followed;
	int64_t lowest; /* stack pointer − CFA: the least that was seen */
};

static void flow_deinit(struct flow *f)
{
	free(f->leader);
	free(f->block);
	free(f->in);
	free(f->first);
	free(f->work);
	free(f->waiting);
}
#define _cleanup_flow_ __attribute__((cleanup(flow_deinit)))

static bool is_branch(const struct insn *in)
{
	return in->cls == INSN_JMP || in->cls == INSN_JCC;
}

static struct err *find_blocks(struct flow *f)
{
	const struct code *code = f->code;

	f->leader = calloc(code->n + 1, 1);
	f->block = calloc(code->n + 1, sizeof(*f->block));
	if (!f->leader || !f->block)
		return &err_nomem;
	f->leader[0] = 1;
	for (size_t i = 0; i < code->n; i++) {
		const struct insn *in = &code->insns[i];
		size_t to = is_branch(in) ? code_find(code, in->target) : SIZE_MAX;

		if (to != SIZE_MAX)
			f->leader[to] = 1;
		if (in->cls != INSN_OTHER && in->cls != INSN_CALL && in->cls != INSN_CALL_IND)
			f->leader[i + 1] = 1;
	}
	for (size_t i = 0; i < code->n; i++)
		if (f->leader[i])
			f->block[i] = f->n_blocks++;
	if (f->n_blocks > FLOW_BLOCKS_MAX)
		return NULL;
	f->in = calloc(f->n_blocks, sizeof(*f->in));
	f->first = calloc(f->n_blocks, sizeof(*f->first));
	f->work = calloc(f->n_blocks + 1, sizeof(*f->work));
	f->waiting = calloc(f->n_blocks, 1);
	if (!f->in || !f->first || !f->work || !f->waiting)
		return &err_nomem;
	for (size_t i = 0; i < code->n; i++)
		if (f->leader[i])
			f->first[f->block[i]] = i;
	return NULL;
}

/* What one instruction does to the state. Capstone decodes it anew each time: to keep it costs more than most functions are long. */
static void follow_insn(struct flow *f, size_t i, struct float_state *s)
{
	const struct insn *in = &f->code->insns[i];
	const uint8_t *p = f->code->text + (in->addr - f->code->entry);
	uint64_t addr = in->addr;
	size_t left = in->size;

	f->n_followed++;
	if (in->cls == INSN_CALL || in->cls == INSN_CALL_IND) {
		float_state_forget(s); /* no register survives a call, and it may write to what is pointed to */
	} else if (in->cls == INSN_OTHER) {
		if (!cs_disasm_iter(f->cs, &p, &left, &addr, f->insn)) {
			float_state_forget(s);
			s->valid = false;
		} else {
			float_state_follow(s, f->insn, f->elf);
		}
	}
	if (s->valid && s->sp_cfa < f->lowest)
		f->lowest = s->sp_cfa;
}

static void come_to(struct flow *f, size_t i, const struct float_state *s)
{
	uint32_t block = f->block[i];

	if (!float_state_meet(&f->in[block], s) || f->waiting[block])
		return;
	f->waiting[block] = 1;
	f->work[f->tail] = block;
	f->tail = (f->tail + 1) % (f->n_blocks + 1);
}

static void follow_block(struct flow *f, uint32_t block)
{
	const struct code *code = f->code;
	struct float_state s = f->in[block];

	for (size_t i = f->first[block]; i < code->n; i++) {
		const struct insn *in = &code->insns[i];

		follow_insn(f, i, &s);
		if (is_branch(in)) {
			size_t to = code_find(code, in->target);
			if (to != SIZE_MAX)
				come_to(f, to, &s);
		}
		if (in->cls == INSN_JMP || in->cls == INSN_JMP_IND || in->cls == INSN_RET || in->cls == INSN_STOP)
			return;
		if (i + 1 < code->n && f->leader[i + 1]) {
			come_to(f, i + 1, &s);
			return;
		}
	}
}

/* ---- at a return ----------------------------------------------------------------------------------------------- */

/* Is it part of what takes the frame away, and changes nothing but RSP and RBP? */
static bool is_epilogue(struct flow *f, size_t i)
{
	const struct insn *in = &f->code->insns[i];
	const uint8_t *p = f->code->text + (in->addr - f->code->entry);
	uint64_t addr = in->addr;
	size_t left = in->size;

	if (in->cls != INSN_OTHER || !cs_disasm_iter(f->cs, &p, &left, &addr, f->insn))
		return false;
	const cs_x86 *x = &f->insn->detail->x86;
	const cs_x86_op *d = &x->operands[0], *s = &x->operands[1];
	if (f->insn->id == X86_INS_POP)
		return d->type == X86_OP_REG && d->reg == X86_REG_RBP;
	return (f->insn->id == X86_INS_ADD || f->insn->id == X86_INS_SUB) && x->op_count == 2 &&
	       d->type == X86_OP_REG && d->reg == X86_REG_RSP && s->type == X86_OP_IMM;
}

/* The best place of one register. *early_ret: it must be read before the frame is taken away. What lies below the stack pointer is anyone's:
 * a goroutine that is preempted has its registers pushed there (runtime.asyncPreempt), and a stack that is copied loses it. */
static bool choose_place(const struct float_state *s, int reg, uint32_t size, bool memory, struct float_place *ret,
			 bool *early_ret)
{
	int best = INT32_MAX;

	for (uint8_t i = 0; i < s->n[reg]; i++) {
		const struct float_place *p = &s->x[reg][i];
		int rank;

		if (p->size < size)
			continue;
		switch (p->where) {
		case FLOAT_CONSTANT:
			rank = 0;
			break;
		case FLOAT_REG:
			rank = p->reg < RECORD_REGS ? 1 : INT32_MAX;
			break;
		case FLOAT_STACK:
			rank = p->place >= 0 ? 2 : p->place >= s->sp_cfa && p->place + p->size <= -8 ? 3 : INT32_MAX;
			break;
		default:
			rank = memory && p->reg < RECORD_REGS ? 4 : INT32_MAX;
			break;
		}
		if (rank < best) {
			best = rank;
			*ret = *p;
		}
	}
	*early_ret = best == 3 || best == 4;
	return best != INT32_MAX;
}

static void at_return(struct flow *f, size_t ret, const uint8_t sizes[FLOAT_REGS], struct return_site *out)
{
	size_t early = ret, block = ret;

	*out = (struct return_site){ .ret = ret, .insn = ret, .sp_cfa = -8 };
	while (early && !f->leader[early] && is_epilogue(f, early - 1))
		early--;
	for (block = early; !f->leader[block]; block--)
		;
	struct float_state s = f->in[f->block[block]];
	for (size_t i = block; i < early; i++)
		follow_insn(f, i, &s);
	struct float_state end = s;
	for (size_t i = early; i < ret; i++)
		follow_insn(f, i, &end);
	if (!s.seen || !end.valid || end.sp_cfa != -8)
		return;
	/* A pointer may point into the frame, which is there no more where the epilogue is not in this straight line. */
	bool memory = s.sp_cfa < -8 || f->lowest == -8, needed = false;
	for (int reg = 0; reg < FLOAT_REGS; reg++) {
		bool before;
		if (sizes[reg] && choose_place(&s, reg, sizes[reg], memory, &out->x[reg], &before))
			needed |= before;
	}
	if (needed) {
		out->insn = early;
		out->sp_cfa = s.sp_cfa;
	}
}

struct err *track_returns(const struct code *code, struct elf_file *elf, const uint8_t sizes[FLOAT_REGS],
			  struct return_site **ret, size_t *n_ret)
{
	struct flow f _cleanup_flow_ = { .code = code, .elf = elf, .lowest = -8 };
	struct float_state start;
	size_t n = 0;

	*n_ret = 0;
	for (size_t i = 0; i < code->n; i++)
		n += code->insns[i].cls == INSN_RET;
	struct return_site *v = calloc(n ? n : 1, sizeof(*v));
	if (!v)
		return &err_nomem;
	struct err *err = disassembler_open(&f.cs, &f.insn);
	if (!err)
		err = find_blocks(&f);
	if (err) {
		free(v);
		return err;
	}
	/* A jump through a table may come to any instruction, and what is too large is not followed. */
	bool followed = !code->has_indirect && f.n_blocks <= FLOW_BLOCKS_MAX && code->n;
	if (followed) {
		float_state_start(&start);
		come_to(&f, 0, &start);
	}
	while (followed && f.head != f.tail) {
		uint32_t block = f.work[f.head];
		f.head = (f.head + 1) % (f.n_blocks + 1);
		f.waiting[block] = 0;
		follow_block(&f, block);
		followed = f.n_followed <= FLOW_INSNS_MAX;
	}
	for (size_t i = 0; i < code->n; i++) {
		if (code->insns[i].cls != INSN_RET)
			continue;
		if (followed)
			at_return(&f, i, sizes, &v[*n_ret]);
		else
			v[*n_ret] = (struct return_site){ .ret = i, .insn = i, .sp_cfa = -8 };
		++*n_ret;
	}
	*ret = v;
	return NULL;
}
