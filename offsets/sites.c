/* SPDX-License-Identifier: Apache-2.0 */
#include "sites.h"

#include <capstone/capstone.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf_c/record.h"
#include "disassembler.h"
#include "x86_outline.h"

#define MORESTACK_LOOK 64 /* instructions around a call of morestack: 24 words put away and taken back, padding */

void code_destroy(struct code *code)
{
	if (!code)
		return;
	free(code->insns);
	free(code->text);
	free(code);
}

static bool in_group(const cs_insn *in, uint8_t group)
{
	for (uint8_t i = 0; i < in->detail->groups_count; i++)
		if (in->detail->groups[i] == group)
			return true;
	return false;
}

/* PUSH of a register, NOP, and near branches; with a REX prefix too. A LOCK, REP or operand-size prefix on a branch
 * makes the kernel single-step it (arch/x86/kernel/uprobes.c), and so do those forms here. */
static bool is_emulated(const uint8_t *b, size_t size, enum insn_class cls, bool prefixed)
{
	switch (cls) {
	case INSN_CALL:
	case INSN_JMP:
		return !prefixed;
	case INSN_JCC: /* 0x70–0x7f and 0x0f 0x80–0x8f; not LOOP and JRCXZ */
		return !prefixed && ((b[0] & 0xf0) == 0x70 || (b[0] == 0x0f && (b[1] & 0xf0) == 0x80));
	default:
		break;
	}
	/* Of the NOPs only the one of one byte is emulated by every kernel (6.1 too). */
	if (size == 1)
		return (b[0] & 0xf8) == 0x50 || b[0] == 0x90;
	return size == 2 && b[0] == 0x41 && (b[1] & 0xf8) == 0x50;
}

static void classify(const cs_insn *in, struct insn *out)
{
	const cs_x86 *x = &in->detail->x86;
	bool direct = x->op_count == 1 && x->operands[0].type == X86_OP_IMM;

	*out = (struct insn){ .addr = in->address, .size = in->size };
	if (in_group(in, CS_GRP_CALL))
		out->cls = direct ? INSN_CALL : INSN_CALL_IND;
	else if (in_group(in, CS_GRP_RET) || in_group(in, CS_GRP_IRET))
		out->cls = INSN_RET;
	else if (in->id == X86_INS_JMP || in->id == X86_INS_LJMP)
		out->cls = direct ? INSN_JMP : INSN_JMP_IND;
	else if (in_group(in, CS_GRP_JUMP) || in->id == X86_INS_LOOP || in->id == X86_INS_LOOPE ||
		 in->id == X86_INS_LOOPNE)
		out->cls = INSN_JCC;
	else if (in->id == X86_INS_UD2 || in->id == X86_INS_HLT || in->id == X86_INS_INT3)
		out->cls = INSN_STOP;
	if (direct && (out->cls == INSN_CALL || out->cls == INSN_JMP || out->cls == INSN_JCC))
		out->target = x->operands[0].imm;
	out->emulated =
		is_emulated(in->bytes, in->size, out->cls, in->detail->x86.prefix[0] || in->detail->x86.prefix[2]);
}

/* The quick reading, which is held against Capstone's by a test; false where it cannot tell. */
static bool classify_quickly(const uint8_t *p, size_t left, uint64_t addr, struct insn *out)
{
	static const uint8_t classes[] = {
		[X86_FLOW_NEXT] = INSN_OTHER, [X86_FLOW_CALL] = INSN_CALL,       [X86_FLOW_CALL_IND] = INSN_CALL_IND,
		[X86_FLOW_JMP] = INSN_JMP,    [X86_FLOW_JMP_IND] = INSN_JMP_IND, [X86_FLOW_JCC] = INSN_JCC,
		[X86_FLOW_RET] = INSN_RET,    [X86_FLOW_STOP] = INSN_STOP,
	};
	struct x86_outline in;

	if (!x86_outline_read(p, left, &in))
		return false;
	*out = (struct insn){ .addr = addr, .size = in.size, .cls = classes[in.flow] };
	if (out->cls == INSN_CALL || out->cls == INSN_JMP || out->cls == INSN_JCC)
		out->target = addr + (uint64_t)in.target;
	out->emulated = is_emulated(p, in.size, out->cls, in.prefixed);
	return true;
}

size_t code_find(const struct code *code, uint64_t addr)
{
	size_t lo = 0, hi = code->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (code->insns[mid].addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < code->n && code->insns[lo].addr == addr ? lo : SIZE_MAX;
}

static bool inside(const struct code *code, uint64_t addr)
{
	return addr >= code->entry && addr < code->end;
}

/* Does the straight line from `i` lead to a call of runtime.morestack* and then back to the entry? Gives the index of that jump. */
static bool leads_to_morestack(const struct code *code, const struct func_table *funcs, size_t i, size_t *jump_ret)
{
	bool called = false;

	for (size_t n = 0; n < MORESTACK_LOOK && i < code->n; n++, i++) {
		const struct insn *in = &code->insns[i];

		switch (in->cls) {
		case INSN_CALL: {
			const struct func *to = func_table_find_addr(funcs, in->target);
			if (called || !to || strncmp(to->name, "runtime.morestack", strlen("runtime.morestack")))
				return false;
			called = true;
			break;
		}
		case INSN_JMP:
			/* before the call, the check may go through a jump to a shared tail */
			if (!called) {
				size_t to = inside(code, in->target) ? code_find(code, in->target) : SIZE_MAX;
				if (to == SIZE_MAX)
					return false;
				i = to - 1;
				break;
			}
			*jump_ret = i;
			return in->target == code->entry;
		case INSN_OTHER:
			break;
		default:
			return false;
		}
	}
	return false;
}

/* The stack check: the branches from the first straight line whose taken way is morestack, and the jumps back to the entry. */
static void find_check(struct code *code, const struct func_table *funcs, uint8_t *is_back_jump)
{
	for (size_t i = 0; i < code->n && i < 16; i++) {
		struct insn *in = &code->insns[i];
		size_t to, jump;

		if (in->cls == INSN_OTHER)
			continue;
		if (in->cls != INSN_JCC || !inside(code, in->target))
			return;
		to = code_find(code, in->target);
		if (to == SIZE_MAX || !leads_to_morestack(code, funcs, to, &jump))
			return;
		in->check = true;
		code->has_check = true;
		is_back_jump[jump] = 1;
	}
}

/* How many instructions from the entry on are executed at most once a call: up to the first that some branch of the function comes
 * to, and not past one that may leave the straight line (that one included: it is itself executed once). */
static struct err *find_entry_block(struct code *code, const struct func_table *funcs)
{
	uint8_t *target _cleanup_free_ = calloc(2, code->n ? code->n : 1);
	uint8_t *is_back_jump = target + code->n;

	if (!target)
		return &err_nomem;
	find_check(code, funcs, is_back_jump);
	for (size_t i = 0; i < code->n; i++) {
		const struct insn *in = &code->insns[i];

		if (in->cls == INSN_JMP_IND)
			code->has_indirect = true;
		if ((in->cls != INSN_JMP && in->cls != INSN_JCC) || !inside(code, in->target) || is_back_jump[i])
			continue;
		size_t to = code_find(code, in->target);
		if (to == SIZE_MAX)
			return err_create(ERR_MALFORMED, "a branch at 0x%llx goes into the middle of an instruction",
					  (unsigned long long)in->addr);
		target[to] = 1;
	}
	code->entry_is_target = code->n && target[0];
	size_t n = 0;
	while (n < code->n && n < ENTRY_LOOK_MAX && (n == 0 || !target[n])) {
		const struct insn *in = &code->insns[n++];
		if (in->cls != INSN_OTHER && !in->check)
			break;
		/* A jump through a table may come back anywhere but into the prologue: it ends with the frame's set-up. */
		if (code->has_indirect && !in->check && in->emulated)
			break;
	}
	code->n_entry = n;
	return NULL;
}

static struct err *classify_slowly(const uint8_t *p, size_t left, uint64_t addr, struct insn *out)
{
	cs_insn *in;
	csh cs;
	struct err *err = disassembler_open(&cs, &in);

	if (err)
		return err;
	if (!cs_disasm_iter(cs, &p, &left, &addr, in))
		return &err_notfound;
	classify(in, out);
	return NULL;
}

static struct err *decode(struct code *code, const char *name)
{
	size_t size = code->end - code->entry, cap = 0;
	struct err *err = NULL;

	for (size_t at = 0; at < size && !err;) {
		if (code->n == cap) {
			/* of Go's code an instruction takes about 5 bytes */
			cap = cap ? 2 * cap : size / 4 + 16;
			struct insn *insns = realloc(code->insns, cap * sizeof(*insns));
			if (!insns) {
				err = &err_nomem;
				break;
			}
			code->insns = insns;
		}
		struct insn *in = &code->insns[code->n++];
		if (!classify_quickly(code->text + at, size - at, code->entry + at, in))
			err = classify_slowly(code->text + at, size - at, code->entry + at, in);
		if (err == &err_notfound)
			err = err_create(ERR_MALFORMED, "an unknown instruction at 0x%llx in '%s'",
					 (unsigned long long)(code->entry + at), name);
		if (!err)
			at += in->size;
	}
	return err;
}

struct err *code_insn_name(const struct code *code, size_t i, char name[INSN_NAME_MAX])
{
	const struct insn *in = &code->insns[i];
	const uint8_t *p = code->text + (in->addr - code->entry);
	size_t left = in->size;
	uint64_t addr = in->addr;
	struct err *err;
	cs_insn *insn;
	csh cs;

	/* the usual sites, not worth a disassembler */
	const char *usual = in->cls == INSN_RET && in->size == 1                  ? "ret"
			    : in->cls == INSN_OTHER && in->emulated && *p != 0x90 ? "push"
										  : NULL;
	if (usual) {
		snprintf(name, INSN_NAME_MAX, "%s", usual);
		return NULL;
	}
	err = disassembler_open(&cs, &insn);
	if (err)
		return err;
	bool known = cs_disasm_iter(cs, &p, &left, &addr, insn);
	snprintf(name, INSN_NAME_MAX, "%s", known ? insn->mnemonic : "?");
	return NULL;
}

struct err *code_read(struct elf_file *elf, const struct func_table *funcs, const struct func *func, struct code **ret)
{
	uint64_t size = func->end - func->entry;
	struct err *err = NULL;

	if (func->end <= func->entry || size > CODE_SIZE_MAX)
		return err_create(ERR_MALFORMED, "function '%s' has no sensible size", func->name);

	struct code *code = calloc(1, sizeof(*code));
	if (!code)
		return &err_nomem;
	code->text = malloc(size);
	if (!code->text) {
		code_destroy(code);
		return &err_nomem;
	}
	err = elf_file_read(elf, func->entry, code->text, size);
	if (err) {
		code_destroy(code);
		return err_wrap(err, "text of '%s'", func->name);
	}
	code->entry = func->entry;
	code->end = func->entry + size;

	err = decode(code, func->name);
	/* The linker pads with INT3 (NOP before Go 1.16 in places); the last byte of a jump may look the same. */
	while (!err && code->n > 1 && code->text[code->insns[code->n - 1].addr - code->entry] == 0xcc)
		code->end = code->insns[--code->n].addr;
	if (!err)
		err = find_entry_block(code, funcs);
	if (err) {
		code_destroy(code);
		return err;
	}
	*ret = code;
	return NULL;
}

static bool is_jbe(const struct code *code, const struct insn *in)
{
	const uint8_t *b = code->text + (in->addr - code->entry);

	return (in->size == 2 && b[0] == 0x76) || (in->size == 6 && b[0] == 0x0f && b[1] == 0x86);
}

struct err *entry_candidates(const struct code *code, struct entry_site **ret, size_t *n_ret)
{
	struct entry_site *v = calloc(code->n_entry ? code->n_entry : 1, sizeof(*v));
	size_t n = 0, last_check = SIZE_MAX;

	if (!v)
		return &err_nomem;
	for (size_t i = 0; i < code->n_entry; i++)
		if (code->insns[i].check)
			last_check = i;
	for (size_t i = 0; i < code->n_entry; i++) {
		const struct insn *in = &code->insns[i];

		/* Before the last branch of the check a hit may come again; at it the flags tell, where it is a JBE. */
		if (last_check != SIZE_MAX && i < last_check)
			continue;
		if (in->cls == INSN_STOP || (in->check && !is_jbe(code, in)))
			continue;
		v[n++] = (struct entry_site){
			.insn = i,
			.flags = in->check ? SITE_CHECK_BRANCH : 0,
			/* What comes after a check is passed again by a branch to the entry as well. */
			.can_duplicate = code->entry_is_target,
		};
	}
	*ret = v;
	*n_ret = n;
	return NULL;
}
