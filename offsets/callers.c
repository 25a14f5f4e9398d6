/* SPDX-License-Identifier: Apache-2.0 */
#include "callers.h"

#include <stdlib.h>
#include <string.h>

#include "disassembler.h"
#include "track_effect.h"

#define CALL_OPCODE 0xe8      /* CALL rel32 (Intel SDM, volume 2) */
#define BLOCK (1u << 20)      /* bytes of text read at a time */
#define TEXT_MAX (1ull << 30) /* bytes of text searched: no program known has as many */
#define PLACES_MAX (1u << 20) /* calls found: more are left out */

enum { R_SP = 15 }; /* its index in struct float_state */

void call_places_destroy(struct call_places *places)
{
	if (!places)
		return;
	free(places->v);
	free(places);
}

static bool is_wanted(const uint64_t *entries, size_t n, uint64_t target)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (entries[mid] < target)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && entries[lo] == target;
}

static int by_target(const void *a, const void *b)
{
	const struct call_place *x = a, *y = b;

	if (x->target != y->target)
		return x->target < y->target ? -1 : 1;
	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static struct err *add_place(struct call_places *p, size_t *cap, const struct call_place *place)
{
	if (p->n == *cap) {
		size_t want = *cap ? 2 * *cap : 64;
		struct call_place *v = realloc(p->v, want * sizeof(*v));
		if (!v)
			return &err_nomem;
		p->v = v;
		*cap = want;
	}
	p->v[p->n++] = *place;
	return NULL;
}

/* The calls that begin in the first `n` bytes of `text`, which has CALL_SIZE − 1 more where the program has. */
static struct err *find_in(const uint8_t *text, size_t n, size_t size, uint64_t addr, const struct func_table *funcs,
			   const uint64_t *entries, size_t n_entries, struct call_places *p, size_t *cap)
{
	const uint8_t *at = text, *end = text + n;
	struct err *err = NULL;
	int32_t distance;

	for (; !err && at < end && (at = memchr(at, CALL_OPCODE, end - at)); at++) {
		if ((size_t)(at - text) + CALL_SIZE > size)
			break;
		memcpy(&distance, at + 1, sizeof(distance));
		struct call_place place = { .addr = addr + (at - text) };
		place.target = place.addr + CALL_SIZE + (uint64_t)(int64_t)distance;
		if (place.target < entries[0] || place.target > entries[n_entries - 1] ||
		    !is_wanted(entries, n_entries, place.target))
			continue;
		place.from = func_table_find_addr(funcs, place.addr);
		if (place.from && p->n < PLACES_MAX)
			err = add_place(p, cap, &place);
	}
	return err;
}

struct err *call_places_find(struct elf_file *elf, const struct func_table *funcs, const uint64_t *entries, size_t n,
			     struct call_places **ret)
{
	struct call_places *p = calloc(1, sizeof(*p));
	uint8_t *block _cleanup_free_ = malloc(BLOCK + CALL_SIZE);
	struct err *err = NULL;
	size_t cap = 0;

	if (!p || !block) {
		free(p);
		return &err_nomem;
	}
	uint64_t start = funcs->n && n ? funcs->v[0].entry : 0, end = funcs->n && n ? funcs->v[funcs->n - 1].end : 0;
	if (end - start > TEXT_MAX)
		end = start;
	for (uint64_t done = 0; done < end - start && !err; done += BLOCK) {
		uint64_t at = start + done;
		size_t size = end - at < BLOCK + CALL_SIZE - 1 ? end - at : BLOCK + CALL_SIZE - 1;

		err = elf_file_read(elf, at, block, size);
		if (err && err->code == ERR_NOTFOUND) { /* a hole between two segments */
			err_destroy(err);
			err = NULL;
			continue;
		}
		if (!err)
			err = find_in(block, size < BLOCK ? size : BLOCK, size, at, funcs, entries, n, p, &cap);
	}
	if (err) {
		call_places_destroy(p);
		return err;
	}
	if (p->n)
		qsort(p->v, p->n, sizeof(*p->v), by_target);
	*ret = p;
	return NULL;
}

size_t call_places_of(const struct call_places *places, uint64_t entry, size_t *n_ret)
{
	size_t lo = 0, hi = places->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (places->v[mid].target < entry)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (*n_ret = 0; lo + *n_ret < places->n && places->v[lo + *n_ret].target == entry;)
		++*n_ret;
	return lo;
}

/* The first instruction of the straight line that leads to instruction `to`: no branch comes in behind it, and no call is on it. */
static size_t line_before(const struct code *code, size_t to)
{
	uint64_t first;
	size_t i = to;

	while (i && code->insns[i - 1].cls == INSN_OTHER)
		i--;
	first = code->insns[i].addr;
	for (size_t k = 0; k < code->n; k++) {
		const struct insn *in = &code->insns[k];
		if ((in->cls == INSN_JMP || in->cls == INSN_JCC) && in->target > first &&
		    in->target <= code->insns[to].addr)
			first = in->target;
	}
	while (code->insns[i].addr < first)
		i++;
	return i;
}

struct err *call_floats(const struct code *code, struct elf_file *elf, uint64_t addr, uint64_t target,
			struct float_place x[FLOAT_REGS])
{
	struct float_state s;
	size_t call = 0;
	struct err *err;
	cs_insn *insn;
	csh cs;

	memset(x, 0, FLOAT_REGS * sizeof(*x));
	while (call < code->n && code->insns[call].addr < addr)
		call++;
	if (call == code->n || code->insns[call].addr != addr || code->insns[call].cls != INSN_CALL ||
	    code->insns[call].target != target)
		return &err_notfound;
	/* A jump through a table may come anywhere. */
	if (code->has_indirect)
		return NULL;
	err = disassembler_open(&cs, &insn);
	if (err)
		return err;
	/* Where the frame ends is of no interest here: the stack pointer at the line's first instruction counts as 0. */
	float_state_start(&s);
	s.sp_cfa = s.gpr_cfa[R_SP] = 0;
	for (size_t i = line_before(code, call); i < call && s.valid; i++) {
		const uint8_t *p = code->text + (code->insns[i].addr - code->entry);
		uint64_t at = code->insns[i].addr;
		size_t left = code->insns[i].size;

		if (!cs_disasm_iter(cs, &p, &left, &at, insn))
			return NULL;
		float_state_follow(&s, insn, elf);
	}
	if (!s.valid)
		return NULL;
	for (int reg = 0; reg < FLOAT_REGS; reg++)
		for (uint8_t i = 0; i < s.n[reg]; i++) {
			const struct float_place *p = &s.x[reg][i];
			/* below the stack pointer is what the call itself writes to */
			bool stands = p->where == FLOAT_CONSTANT || (p->where == FLOAT_STACK && p->place >= s.sp_cfa);

			if (!stands || p->size < x[reg].size || x[reg].where == FLOAT_CONSTANT)
				continue;
			x[reg] = *p;
			if (p->where == FLOAT_STACK)
				x[reg].place -= s.sp_cfa;
		}
	return NULL;
}
