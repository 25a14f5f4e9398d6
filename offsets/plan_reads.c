/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of one site: first what lies on the stack, then what the words read so far point to, nearest first. */
#include <stdlib.h>
#include <string.h>

#include "plan_build.h"

#define READ_MAX 32768u   /* bytes that one step reads: more does not fit a record */
#define POINTEE_MAX 4096u /* bytes read behind one pointer */
#define SPAN_GAP                                                                                                       \
	32 /* stack ranges nearer than this (bytes) are read as one: a read costs more than the bytes between */
#define QUEUE_MAX 4096 /* places waiting to be followed: far more than steps can be made of */

/* Where a part of a value stands: in a value's pieces, or in what a step has read. */
struct source {
	uint32_t type;
	uint32_t hops; /* pointer hops left */
	bool chunk;
	uint32_t first, n; /* pieces, where !chunk */
	uint32_t step;     /* chunk */
	uint32_t offset;   /* of this part within the pieces' value or the chunk */
};

struct reads {
	struct plan_builder *b;
	struct plan_site *site;
	uint32_t first_step;
	struct source *queue;
	size_t head, tail;
};

static struct err *add_step(struct reads *r, const struct step *step, bool *added_ret)
{
	uint32_t n = r->b->plan->n_steps - r->first_step;

	*added_ret = n < STEPS_MAX;
	if (!*added_ret)
		return NULL;
	uint32_t bytes = step->op == STEP_COUNTED ? step->max : step->len;
	r->site->data_max += sizeof(struct chunk) + ((bytes + 7) & ~7u);
	return plan_append(r->b, steps, *step);
}

static void enqueue(struct reads *r, const struct source *s)
{
	if (r->tail < QUEUE_MAX)
		r->queue[r->tail++] = *s;
}

/* The place of the 8-byte word at `offset` of a source. LOC_NONE where it was not read. */
static location_t word_at(const struct reads *r, const struct source *s, uint32_t offset)
{
	location_t none = { .kind = LOC_NONE };

	if (s->chunk)
		return (location_t){ .kind = LOC_CHUNK, .index = s->step, .offset = s->offset + offset };
	for (uint32_t i = s->first; i < s->first + s->n; i++) {
		const struct plan_piece *p = &r->b->plan->pieces[i];
		uint32_t want = s->offset + offset;
		if (want < p->offset || want + 8 > p->offset + p->size)
			continue;
		location_t at = p->at;
		if (at.kind == LOC_CHUNK)
			at.offset += want - p->offset;
		else if (want != p->offset)
			return none;
		return at;
	}
	return none;
}

/* Read behind a word, and go on there. */
static struct err *follow(struct reads *r, const struct step *step, uint32_t type, uint32_t hops, uint32_t each,
			  uint32_t n)
{
	bool added;
	struct err *err;

	if (step->src.ptr.kind == LOC_NONE || (step->op == STEP_COUNTED && step->src.len.kind == LOC_NONE))
		return NULL;
	err = add_step(r, step, &added);
	if (err || !added || type == TYPE_NONE)
		return err;
	for (uint32_t i = 0; i < n; i++) {
		struct source next = { .type = type,
				       .hops = hops,
				       .chunk = true,
				       .step = r->b->plan->n_steps - 1 - r->first_step,
				       .offset = i * each };
		enqueue(r, &next);
	}
	return NULL;
}

/* Does a value of this type hold anything that is followed? */
static bool holds_pointers(const struct type_table *types, uint32_t type, int depth)
{
	if (type >= types->n || depth > 16)
		return false;
	const struct go_type *t = &types->v[type];
	switch (t->kind) {
	case GO_STRING:
	case GO_SLICE:
	case GO_POINTER:
		return true;
	case GO_ARRAY:
		return t->count && holds_pointers(types, t->elem, depth + 1);
	case GO_STRUCT:
		for (uint32_t i = 0; i < t->n_fields; i++)
			if (holds_pointers(types, types->fields[t->first_field + i].type, depth + 1))
				return true;
	}
	return false;
}

static struct err *complete(struct reads *r, uint32_t type)
{
	return r->b->dwarf && type < r->b->plan->types.n ? dwarf_info_complete(r->b->dwarf, &r->b->plan->types, type)
							 : NULL;
}

static struct err *read_slice(struct reads *r, const struct source *s, const struct go_type *t)
{
	const struct plan_options *o = r->b->options;
	struct err *err = complete(r, t->elem);

	if (err) {
		err_destroy(err); /* its elements cannot be shown; the rest can */
		return NULL;
	}
	const struct type_table *types = &r->b->plan->types;
	if (t->elem >= types->n)
		return NULL;
	uint64_t size = types->v[t->elem].size, max = size * o->elements;
	if (!size || size > READ_MAX || !o->elements)
		return NULL;
	if (max > READ_MAX)
		max = READ_MAX / size * size;
	struct step step = {
		.op = STEP_COUNTED, .len = size, .max = max, .src.ptr = word_at(r, s, 0), .src.len = word_at(r, s, 8)
	};
	bool deeper = holds_pointers(types, t->elem, 0);
	return follow(r, &step, deeper ? t->elem : TYPE_NONE, s->hops, size, deeper ? max / size : 0);
}

static struct err *read_pointer(struct reads *r, const struct source *s, const struct go_type *t)
{
	uint32_t elem = t->elem;

	if (!s->hops)
		return NULL;
	struct err *err = complete(r, elem);
	if (err) {
		err_destroy(err);
		return NULL;
	}
	const struct type_table *types = &r->b->plan->types;
	if (elem >= types->n || !types->v[elem].size)
		return NULL;
	uint64_t size = types->v[elem].size;
	struct step step = { .op = STEP_READ,
			     .len = size > POINTEE_MAX ? POINTEE_MAX : size,
			     .src.ptr = word_at(r, s, 0) };
	return follow(r, &step, holds_pointers(types, elem, 0) ? elem : TYPE_NONE, s->hops - 1, 0, 1);
}

static struct err *read_source(struct reads *r, const struct source *s)
{
	const struct type_table *types = &r->b->plan->types;

	if (s->type >= types->n)
		return NULL;
	const struct go_type t = types->v[s->type]; /* a copy: the table may grow */
	struct source part = *s;
	switch (t.kind) {
	case GO_STRING: {
		uint32_t max = r->b->options->string_size;
		struct step step = { .op = STEP_COUNTED,
				     .len = 1,
				     .max = max > READ_MAX ? READ_MAX : max,
				     .src.ptr = word_at(r, s, 0),
				     .src.len = word_at(r, s, 8) };
		return max ? follow(r, &step, TYPE_NONE, 0, 0, 0) : NULL;
	}
	case GO_SLICE:
		return read_slice(r, s, &t);
	case GO_POINTER:
		return read_pointer(r, s, &t);
	case GO_STRUCT:
		for (uint32_t i = 0; i < t.n_fields; i++) {
			const struct go_field *f = &types->fields[t.first_field + i];
			part.type = f->type;
			part.offset = s->offset + f->offset;
			if (holds_pointers(types, f->type, 0))
				enqueue(r, &part);
		}
		return NULL;
	case GO_ARRAY:
		part.type = t.elem;
		if (t.elem >= types->n || !holds_pointers(types, t.elem, 0))
			return NULL;
		for (uint64_t i = 0; i < t.count && i < r->b->options->elements; i++) {
			part.offset = s->offset + i * types->v[t.elem].size;
			enqueue(r, &part);
		}
		return NULL;
	}
	return NULL;
}

static int by_place(const void *a, const void *b)
{
	const struct site_word *x = *(const struct site_word *const *)a, *y = *(const struct site_word *const *)b;

	return x->place < y->place ? -1 : x->place > y->place;
}

/* One step for each run of stack words that lie close together; their pieces then name chunks. */
static struct err *read_stack_words(struct reads *r, struct site_word *words, size_t n_words, location_t *places)
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
		struct err *err = add_step(r, &step, &added);
		if (err)
			return err;
		for (size_t k = i; k < j; k++) {
			if (!added || v[k]->place - start + v[k]->size > step.len) {
				v[k]->where = WORD_LOST;
				v[k]->reason = PLAN_TOO_LARGE;
				continue;
			}
			places[v[k] - words] = (location_t){ .kind = LOC_CHUNK,
							     .index = r->b->plan->n_steps - 1 - r->first_step,
							     .offset = v[k]->place - start };
		}
	}
	return NULL;
}

struct err *plan_site_reads(struct plan_builder *b, uint32_t first_var, uint32_t n_vars, struct site_word *words,
			    size_t n_words)
{
	struct reads r = { .b = b, .site = &b->plan->sites[b->plan->n_sites - 1], .first_step = b->plan->n_steps };
	location_t *places _cleanup_free_ = calloc(n_words ? n_words : 1, sizeof(*places));
	struct source *queue _cleanup_free_ = calloc(QUEUE_MAX, sizeof(*queue));
	struct err *err;
	size_t w = 0;

	if (!places || !queue)
		return &err_nomem;
	r.queue = queue;
	err = read_stack_words(&r, words, n_words, places);
	r.site->first_value = b->plan->n_values;
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
		enqueue(&r, &s);
	}
	r.site->n_values = n_vars;
	while (!err && r.head < r.tail) {
		struct source s = queue[r.head++];
		err = read_source(&r, &s);
	}
	r.site->first_step = r.first_step;
	r.site->n_steps = b->plan->n_steps - r.first_step;
	return err;
}
