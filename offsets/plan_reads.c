/* SPDX-License-Identifier: Apache-2.0 */
/* Values, pieces and steps of one site: first what lies on the stack, then what the words read so far point to (plan_follow.c). */
#include <stdlib.h>
#include <string.h>

#include "plan_follow.h"

#define SPAN_GAP                                                                                                       \
	32 /* stack ranges nearer than this (bytes) are read as one: a read costs more than the bytes between */

static int by_place(const void *a, const void *b)
{
	const struct site_word *x = *(const struct site_word *const *)a, *y = *(const struct site_word *const *)b;

	return x->place < y->place ? -1 : x->place > y->place;
}

/* One step for each run of stack words that lie close together; their pieces then name chunks. */
struct err *plan_stack_words(struct list_builder *r, struct site_word *words, size_t n_words, location_t *places_ret)
{
	struct site_word **v _cleanup_free_ = calloc(n_words ? n_words : 1, sizeof(*v));
	size_t n = 0;

	if (!v)
		return &err_nomem;
	for (size_t i = 0; i < n_words; i++)
		if (words[i].where == WORD_STACK)
			v[n++] = &words[i];
	qsort(v, n, sizeof(*v), by_place);
	for (size_t i = 0, j; i < n; i = j) {
		int64_t start = v[i]->place, end = start + v[i]->size;
		for (j = i + 1; j < n && v[j]->place <= end + SPAN_GAP && v[j]->place + v[j]->size - start <= READ_MAX;
		     j++)
			if (v[j]->place + v[j]->size > end)
				end = v[j]->place + v[j]->size;
		struct step step = { .op = STEP_READ,
				     .len = end - start > READ_MAX ? READ_MAX : end - start,
				     .src.ptr = { .kind = LOC_SP, .offset = start } };
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
	err = plan_stack_words(&r, words, n_words, places);
	site->first_value = b->plan->n_values;
	for (uint32_t v = 0; v < n_vars && !err; v++) {
		const struct plan_var *var = &b->plan->vars[first_var + v];
		struct plan_value value = { .name = var->name, .type = var->type, .first_piece = b->plan->n_pieces };

		for (; w < n_words && words[w].value == v && !err; w++) {
			struct plan_piece piece = { .offset = words[w].offset, .size = words[w].size };
			if (words[w].where == WORD_REG)
				piece.at = (location_t){ .kind = LOC_REGISTER, .index = words[w].place };
			else if (words[w].where == WORD_STACK)
				piece.at = places[w];
			else {
				piece.reason = words[w].reason;
				piece.detail = words[w].detail;
			}
			err = plan_append(b, pieces, piece);
		}
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
