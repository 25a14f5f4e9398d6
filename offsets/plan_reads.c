/* SPDX-License-Identifier: Apache-2.0 */
/* Values, pieces and steps of one site: first what lies in memory, then what the words read so far point to (plan_follow.c). */
#include <stdlib.h>
#include <string.h>

#include "plan_follow.h"

#define SPAN_GAP                                                                                                       \
	32 /* stack ranges nearer than this (bytes) are read as one: a read costs more than the bytes between */

static int by_place(const void *a, const void *b)
{
	const struct site_word *x = *(const struct site_word *const *)a, *y = *(const struct site_word *const *)b;

	if (x->where != y->where)
		return x->where < y->where ? -1 : 1;
	if (x->where == WORD_MEMORY && x->base != y->base)
		return x->base < y->base ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

static bool same_base(const struct site_word *a, const struct site_word *b)
{
	return a->where == b->where && (a->where == WORD_STACK || a->base == b->base);
}

/* One step for each run of words in memory that lie close together; their pieces then name chunks. */
struct err *plan_memory_words(struct list_builder *r, struct site_word *words, size_t n_words, location_t *places_ret)
{
	struct site_word **v _cleanup_free_ = calloc(n_words ? n_words : 1, sizeof(*v));
	size_t n = 0;

	if (!v)
		return &err_nomem;
	for (size_t i = 0; i < n_words; i++)
		if (words[i].where == WORD_STACK || words[i].where == WORD_MEMORY)
			v[n++] = &words[i];
	qsort(v, n, sizeof(*v), by_place);
	for (size_t i = 0, j; i < n; i = j) {
		int64_t start = v[i]->place, end = start + v[i]->size;
		/* Behind a register the bytes between may be in a page that is not there. */
		int64_t gap = v[i]->where == WORD_STACK ? SPAN_GAP : 0;
		for (j = i + 1; j < n && same_base(v[i], v[j]) && v[j]->place <= end + gap &&
				v[j]->place + v[j]->size - start <= READ_MAX;
		     j++)
			if (v[j]->place + v[j]->size > end)
				end = v[j]->place + v[j]->size;
		struct step step = { .op = STEP_READ, .len = end - start > READ_MAX ? READ_MAX : end - start };
		if (v[i]->where == WORD_STACK) {
			step.src.ptr = (location_t){ .kind = LOC_SP, .offset = start };
		} else {
			step.off = start;
			step.src.ptr = (location_t){ .kind = LOC_REGISTER, .index = v[i]->base };
		}
		bool added;
		struct err *err = list_step(r, &step, &added);
		if (err)
			return err;
		for (size_t k = i; k < j; k++) {
			if (!added || v[k]->place - start + v[k]->size > step.len) {
				v[k]->where = WORD_LOST;
				v[k]->reason = PLAN_TOO_LARGE;
				continue;
			}
			places_ret[v[k] - words] = (location_t){ .kind = LOC_CHUNK,
								 .index = r->b->plan->n_steps - 1 - r->first_step,
								 .offset = v[k]->place - start };
		}
	}
	return NULL;
}

struct plan_piece plan_word_piece(const struct site_word *word, const location_t *chunk)
{
	struct plan_piece piece = { .offset = word->offset, .size = word->size };

	switch (word->where) {
	case WORD_REG:
		piece.at = (location_t){ .kind = LOC_REGISTER, .index = word->place };
		break;
	case WORD_STACK:
	case WORD_MEMORY:
		piece.at = *chunk;
		break;
	case WORD_CONSTANT:
		piece.at.kind = LOC_CONSTANT;
		piece.constant = (uint64_t)word->place;
		break;
	case WORD_LOST:
		piece.reason = word->reason;
		piece.detail = word->detail;
		piece.came_in = word->came_in;
		break;
	}
	return piece;
}

struct err *plan_site_reads(struct plan_builder *b, uint32_t first_var, uint32_t n_vars, struct site_word *words,
			    size_t n_words)
{
	struct plan_site *site = &b->plan->sites[b->plan->n_sites - 1];
	location_t *places _cleanup_free_ = calloc(n_words ? n_words : 1, sizeof(*places));
	struct list_builder r;
	struct err *err;
	size_t w = 0;

	if (!places)
		return &err_nomem;
	err = list_begin(&r, b);
	if (err)
		return err;
	err = plan_memory_words(&r, words, n_words, places);
	if (!err)
		err = plan_caller_reads(&r, words, n_words);
	site->first_value = b->plan->n_values;
	for (uint32_t v = 0; v < n_vars && !err; v++) {
		const struct plan_var *var = &b->plan->vars[first_var + v];
		struct plan_value value = { .name = var->name, .type = var->type, .first_piece = b->plan->n_pieces };

		for (; w < n_words && words[w].value == v && !err; w++)
			err = plan_append(b, pieces, plan_word_piece(&words[w], &places[w]));
		if (err)
			break;
		value.n_pieces = b->plan->n_pieces - value.first_piece;
		err = plan_append(b, values, value);
		struct source s = {
			.type = value.type, .hops = b->options->depth, .first = value.first_piece, .n = value.n_pieces
		};
		list_source(&r, &s);
	}
	site->n_values = n_vars;
	if (!err)
		err = list_follow(&r);
	site->first_step = r.first_step;
	site->n_steps = b->plan->n_steps - r.first_step;
	site->data_max = r.data_max;
	site->deep = r.deep;
	list_end(&r);
	return err ? err : plan_pending_lists(b);
}
