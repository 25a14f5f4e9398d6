/* SPDX-License-Identifier: Apache-2.0 */
/* The returns of a function: where to probe each, and where its results are. General registers and the stack are the same at all; float
 * registers are found for each by what the code did before it (track_return.c). */
#include <stdlib.h>
#include <string.h>

#include "plan_build.h"
#include "plan_expr.h"

#define READS_MAX 32 /* different lists of steps for one function's returns: more are left without floats */

/* Float registers are lost, until words_at() finds them. */
size_t plan_result_words(const struct plan_builder *b, const struct plan_func *f, const struct abi_layout *abi,
			 size_t n_params, struct site_word *words)
{
	size_t n = 0;

	for (uint32_t i = 0; i < f->n_results; i++) {
		const struct abi_value *v = &abi->values[n_params + i];
		for (uint32_t k = 0; k < v->n_words; k++) {
			const struct abi_word *w = &abi->words[v->first_word + k];
			struct site_word out = { .value = i, .offset = w->offset, .size = w->size };
			switch (w->where) {
			case ABI_INT_REG:
				out.where = WORD_REG;
				out.place = w->place;
				break;
			case ABI_STACK: /* at RET the stack pointer is at the return address */
				out.where = WORD_STACK;
				out.place = w->place + 8;
				break;
			case ABI_FLOAT_REG:
				out.where = WORD_LOST;
				out.reason = PLAN_IN_FLOAT_REG;
				out.detail = w->place;
				break;
			}
			if (b->unplaced && b->unplaced[n_params + i]) {
				out.where = WORD_LOST;
				out.reason = PLAN_UNPLACED;
				out.detail = 0;
			}
			words[n++] = out;
		}
	}
	return n;
}

static bool is_float(const struct site_word *w)
{
	return w->where == WORD_LOST && w->reason == PLAN_IN_FLOAT_REG && w->detail < FLOAT_REGS;
}

/* The words as they are at one return, `frame` bytes of which are still there. */
static void words_at(const struct site_word *words, size_t n, const struct return_site *at, uint32_t frame,
		     struct site_word *ret)
{
	for (size_t i = 0; i < n; i++) {
		struct site_word *w = &ret[i];

		*w = words[i];
		if (w->where == WORD_STACK)
			w->place += frame;
		if (!is_float(w))
			continue;
		const struct float_place *x = &at->x[w->detail];
		if (x->where == FLOAT_LOST || x->size < w->size)
			continue;
		w->place = x->place;
		switch (x->where) {
		case FLOAT_REG:
			w->where = WORD_REG;
			w->place = x->reg;
			break;
		case FLOAT_STACK:
			w->where = WORD_STACK;
			w->place -= at->sp_cfa;
			break;
		case FLOAT_MEMORY:
			w->where = WORD_MEMORY;
			w->base = x->reg;
			break;
		case FLOAT_CONSTANT:
			w->where = WORD_CONSTANT;
			break;
		default:
			continue;
		}
		w->reason = PLAN_OK;
		w->detail = 0;
	}
}

static bool same_words(const struct site_word *a, const struct site_word *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i].where != b[i].where || a[i].place != b[i].place || a[i].base != b[i].base ||
		    a[i].reason != b[i].reason || a[i].detail != b[i].detail)
			return false;
	return true;
}

/* The same words at the same places are read by the same steps: many functions have tens of returns. */
static void share_reads(struct plan_site *site, const struct plan_site *with)
{
	site->first_step = with->first_step;
	site->n_steps = with->n_steps;
	site->first_value = with->first_value;
	site->n_values = with->n_values;
	site->data_max = with->data_max;
	site->deep = with->deep;
}

/* What has been read at the returns so far. */
struct read_sites {
	size_t n, n_words;
	size_t site[READS_MAX];
	struct site_word *words; /* READS_MAX × n_words, as they were asked for */
};

/* Steps and values of the site that was just appended. */
static struct err *site_reads(struct plan_builder *b, const struct plan_func *f, struct read_sites *known,
			      struct site_word *words)
{
	struct plan *plan = b->plan;

	for (size_t i = 0; i < known->n; i++)
		if (same_words(known->words + i * known->n_words, words, known->n_words)) {
			share_reads(&plan->sites[plan->n_sites - 1], &plan->sites[known->site[i]]);
			return NULL;
		}
	known->site[known->n] = plan->n_sites - 1;
	memcpy(known->words + known->n * known->n_words, words, known->n_words * sizeof(*words));
	known->n++;
	/* planning takes words out that have no room */
	return b->expressions && plan_expressions_have_results(b->expressions)
		       ? plan_site_expressions(b, true, words, known->n_words)
		       : plan_site_reads(b, f->first_result, f->n_results, words, known->n_words);
}

struct err *plan_add_returns(struct plan_builder *b, struct plan_func *f, const struct code *code,
			     const struct abi_layout *abi, size_t n_params)
{
	struct site_word *words _cleanup_free_ = NULL, *here _cleanup_free_ = NULL, *kept _cleanup_free_ = NULL;
	struct return_site *sites _cleanup_free_ = NULL;
	struct read_sites known = { 0 };
	uint8_t sizes[FLOAT_REGS] = { 0 };
	bool reads = abi && b->options->results, floats = false;
	struct err *err = NULL;
	size_t n_sites = 0, at = 0;

	if (reads) {
		size_t room = abi->n_words ? abi->n_words : 1;
		words = calloc(room, sizeof(*words));
		here = calloc(room, sizeof(*here));
		kept = calloc(room * READS_MAX, sizeof(*kept));
		if (!words || !here || !kept)
			return &err_nomem;
		known.n_words = plan_result_words(b, f, abi, n_params, words);
		known.words = kept;
		for (size_t i = 0; i < known.n_words; i++)
			if (is_float(&words[i])) {
				sizes[words[i].detail] = words[i].size;
				floats = true;
			}
	}
	/* Assembly may be entered anywhere. */
	if (floats && !b->abi.assembly && !b->options->at_call)
		err = track_returns(code, b->program->elf, sizes, &sites, &n_sites);
	for (size_t i = 0; i < code->n && !err; i++) {
		struct return_site plain = { .ret = i, .insn = i, .sp_cfa = -8 };
		if (code->insns[i].cls != INSN_RET)
			continue;
		const struct return_site *s = at < n_sites ? &sites[at++] : &plain;
		/* The last list is for those without floats, which any return can do with. */
		if (known.n >= READS_MAX - 1)
			s = &plain;
		uint32_t frame = -8 - s->sp_cfa;
		err = plan_add_site(b, f, code, s->insn, SITE_RETURN, s->insn == i ? 0 : SITE_BEFORE_RET, frame);
		if (err || !reads)
			continue;
		words_at(words, known.n_words, s, frame, here);
		err = site_reads(b, f, &known, here);
	}
	return err;
}
