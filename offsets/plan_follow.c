/* SPDX-License-Identifier: Apache-2.0 */
#include "plan_follow.h"

#include <stdlib.h>
#include <string.h>

#define POINTEE_MAX 4096u /* bytes read behind one pointer */
#define QUEUE_MAX 4096    /* places waiting to be followed: far more than steps can be made of */
#define LISTS_MAX 65536u  /* lists of one plan: some bytes each, and a type makes few */
#define UNKNOWN_BYTES 64  /* read of a value whose type is not known */

/* ---- lists ------------------------------------------------------------------------------------------------- */

struct list_key {
	uint32_t kind, type, hops;
	uint32_t partial, part, offset; /* struct map_part; without holes: keys are compared byte by byte */
};

/* Lists by what they are about; index in the plan's lists is index here. */
struct plan_lists {
	size_t n, cap, done; /* the first `done` are made */
	struct list_key *keys;
	size_t n_buckets;
	uint32_t *buckets; /* index + 1 */
};

static size_t list_slot(const struct plan_lists *lists, const struct list_key *key)
{
	uint64_t what = (uint64_t)key->kind << 40 ^ (uint64_t)key->hops << 32 ^ key->type;
	uint64_t h = (what ^ (uint64_t)key->part << 8 ^ (uint64_t)key->offset << 20) * 0x9e3779b97f4a7c15ull;
	size_t i = (h >> 32) & (lists->n_buckets - 1);

	while (lists->buckets[i] && memcmp(&lists->keys[lists->buckets[i] - 1], key, sizeof(*key)) != 0)
		i = (i + 1) & (lists->n_buckets - 1);
	return i;
}

static struct err *lists_grow(struct plan_lists *lists)
{
	size_t want = lists->n_buckets ? 2 * lists->n_buckets : 64;
	uint32_t *buckets = calloc(want, sizeof(*buckets));

	if (!buckets)
		return &err_nomem;
	free(lists->buckets);
	lists->buckets = buckets;
	lists->n_buckets = want;
	for (size_t i = 0; i < lists->n; i++)
		buckets[list_slot(lists, &lists->keys[i])] = i + 1;
	return NULL;
}

void plan_lists_destroy(struct plan_lists *lists)
{
	if (!lists)
		return;
	free(lists->keys);
	free(lists->buckets);
	free(lists);
}

struct err *plan_list_for(struct plan_builder *b, enum list_kind kind, uint32_t type, uint32_t hops, uint32_t *list_ret)
{
	return plan_list_for_part(b, kind, type, hops, &(struct map_part){ 0 }, list_ret);
}

struct err *plan_list_for_part(struct plan_builder *b, enum list_kind kind, uint32_t type, uint32_t hops,
			       const struct map_part *part, uint32_t *list_ret)
{
	struct list_key key = { kind, type, hops, part->partial, part->type, part->offset };
	struct plan_lists *lists = b->lists;
	struct plan_list none = { 0 };
	struct err *err = NULL;

	if (!lists) {
		lists = b->lists = calloc(1, sizeof(*lists));
		if (!lists)
			return &err_nomem;
	}
	if (2 * (lists->n + 1) > lists->n_buckets)
		err = lists_grow(lists);
	if (err)
		return err;
	size_t slot = list_slot(lists, &key);
	if (!lists->buckets[slot]) {
		if (lists->n == LISTS_MAX)
			return err_create(ERR_UNSUPPORTED, "more than %u lists of steps", LISTS_MAX);
		err = plan_grow(&lists->keys, &lists->cap, lists->n, sizeof(*lists->keys));
		if (!err)
			err = plan_append(b, lists, none);
		if (err)
			return err;
		lists->keys[lists->n++] = key;
		lists->buckets[slot] = lists->n;
	}
	*list_ret = lists->buckets[slot] - 1;
	return NULL;
}

/* ---- one list ---------------------------------------------------------------------------------------------- */

struct err *list_begin(struct list_builder *r, struct plan_builder *b)
{
	*r = (struct list_builder){ .b = b, .first_step = b->plan->n_steps };
	r->queue = malloc(QUEUE_MAX * sizeof(*r->queue));
	return r->queue ? NULL : &err_nomem;
}

void list_end(struct list_builder *r)
{
	free(r->queue);
	r->queue = NULL;
}

struct err *list_step(struct list_builder *r, const struct step *step, bool *added_ret)
{
	uint32_t n = r->b->plan->n_steps - r->first_step;
	uint32_t bytes = step->op == STEP_COUNTED || step->op == STEP_SHIFTED ? step->max : step->len;

	*added_ret = n < STEPS_MAX;
	if (!*added_ret)
		return NULL;
	if (step->op > STEP_COUNTED)
		r->deep = true;
	if (step->op == STEP_DISPATCH)
		bytes = 8;
	if (step->op != STEP_EACH)
		r->data_max += sizeof(struct chunk) + ((bytes + 7) & ~7u);
	return plan_append(r->b, steps, *step);
}

void list_source(struct list_builder *r, const struct source *s)
{
	if (r->tail < QUEUE_MAX)
		r->queue[r->tail++] = *s;
}

static bool same_place(const location_t *a, const location_t *b)
{
	return a->kind == b->kind && a->index == b->index && a->offset == b->offset;
}

/* What is enough for both. */
static struct map_part both_parts(const struct map_part *a, const struct map_part *b)
{
	const struct map_part all = { 0 };

	if (!a->partial || !b->partial)
		return all;
	if (a->type == TYPE_NONE || b->type == TYPE_NONE)
		return a->type == TYPE_NONE ? *b : *a;
	return a->type == b->type && a->offset == b->offset ? *a : all;
}

void list_map(struct list_builder *r, const struct source *s)
{
	location_t at = list_word(r, s, 0);

	for (size_t i = r->head; i < r->tail; i++) {
		struct source *has = &r->queue[i];
		location_t other = list_word(r, has, 0);

		if (has->type != s->type || !same_place(&at, &other))
			continue;
		has->hops = has->hops > s->hops ? has->hops : s->hops;
		has->part = both_parts(&has->part, &s->part);
		return;
	}
	list_source(r, s);
}

location_t list_word(const struct list_builder *r, const struct source *s, uint32_t offset)
{
	location_t none = { .kind = LOC_NONE };

	offset += s->offset;
	switch (s->in) {
	case SOURCE_CHUNK:
		return (location_t){ .kind = LOC_CHUNK, .index = s->step, .offset = offset };
	case SOURCE_ITEM:
		return (location_t){ .kind = LOC_ITEM, .offset = offset };
	case SOURCE_DATA:
		return offset ? none : (location_t){ .kind = LOC_DATA };
	case SOURCE_PIECES:
		break;
	}
	for (uint32_t i = s->first; i < s->first + s->n; i++) {
		const struct plan_piece *p = &r->b->plan->pieces[i];
		if (offset < p->offset || offset + 8 > p->offset + p->size)
			continue;
		location_t at = p->at;
		if (at.kind == LOC_CHUNK)
			at.offset += offset - p->offset;
		else if (offset != p->offset)
			return none;
		return at;
	}
	return none;
}

bool follow_complete(struct list_builder *r, uint32_t type, struct err **err_ret)
{
	struct plan *plan = r->b->plan;
	struct err *err;

	*err_ret = NULL;
	if (type >= plan->types.n)
		return false;
	if (!r->b->dwarf)
		return plan->types.v[type].flags & TYPE_COMPLETE;
	err = dwarf_info_complete(r->b->dwarf, &plan->types, type);
	if (err && err->code == ERR_NOMEM)
		*err_ret = err;
	else
		err_destroy(err); /* what it holds cannot be shown; the rest can */
	return !err;
}

/* Read behind a word. *added_ret: its index in the list is the last. */
static struct err *follow(struct list_builder *r, const struct step *step, bool *added_ret)
{
	*added_ret = false;
	if (step->src.ptr.kind == LOC_NONE || (step->op == STEP_COUNTED && step->src.len.kind == LOC_NONE))
		return NULL;
	return list_step(r, step, added_ret);
}

static struct err *follow_slice(struct list_builder *r, const struct source *s, const struct go_type *t)
{
	const struct plan_options *o = r->b->options;
	struct err *err;
	uint32_t list;
	bool added;

	if (!follow_complete(r, t->elem, &err))
		return err;
	const struct type_table *types = &r->b->plan->types;
	uint64_t size = types->v[t->elem].size, max = size * o->elements;
	if (!size || size > READ_MAX || !o->elements)
		return NULL;
	if (max > READ_MAX)
		max = READ_MAX / size * size;
	struct step step = { .op = STEP_COUNTED,
			     .len = size,
			     .max = max,
			     .src.ptr = list_word(r, s, 0),
			     .src.len = list_word(r, s, 8) };
	err = follow(r, &step, &added);
	if (err || !added || !holds_pointers(types, t->elem))
		return err;
	err = plan_list_for(r->b, LIST_ITEM, t->elem, s->hops, &list);
	if (err)
		return err;
	struct step each = { .op = STEP_EACH,
			     .len = size,
			     .max = max / size,
			     .off = list,
			     .src.ptr = { .kind = LOC_CHUNK, .index = r->b->plan->n_steps - 1 - r->first_step } };
	return list_step(r, &each, &added);
}

static struct err *follow_pointer(struct list_builder *r, const struct source *s, const struct go_type *t)
{
	uint32_t elem = t->elem;
	struct err *err;
	bool added;

	if (!s->hops || !follow_complete(r, elem, &err))
		return s->hops ? err : NULL;
	const struct type_table *types = &r->b->plan->types;
	if (!types->v[elem].size)
		return NULL;
	uint64_t size = types->v[elem].size;
	struct step step = { .op = STEP_READ,
			     .len = size > POINTEE_MAX ? POINTEE_MAX : size,
			     .src.ptr = list_word(r, s, 0) };
	err = follow(r, &step, &added);
	if (err || !added || !holds_pointers(types, elem))
		return err;
	struct source next = {
		.type = elem, .hops = s->hops - 1, .in = SOURCE_CHUNK, .step = r->b->plan->n_steps - 1 - r->first_step
	};
	list_source(r, &next);
	return NULL;
}

/* The first bytes behind a word: a channel's lengths. */
static struct err *follow_head(struct list_builder *r, const struct source *s, uint32_t size)
{
	struct step step = { .op = STEP_READ, .len = size, .src.ptr = list_word(r, s, 0) };
	bool added;

	return size ? follow(r, &step, &added) : NULL;
}

static uint32_t chan_head(const struct plan_binary *bin)
{
	uint32_t last = bin->chan_len_off > bin->chan_cap_off ? bin->chan_len_off : bin->chan_cap_off;

	return last ? last + 8 : 0;
}

static struct err *follow_source(struct list_builder *r, const struct source *s)
{
	const struct type_table *types = &r->b->plan->types;
	struct err *err;
	bool added;

	if (s->type >= types->n)
		return NULL;
	if (types->v[s->type].kind == GO_MAP && !follow_complete(r, s->type, &err))
		return err;
	const struct go_type t = types->v[s->type]; /* a copy: the table may grow */
	struct source part = *s;
	switch (t.kind) {
	case GO_STRING: {
		uint32_t max = r->b->options->string_size;
		struct step step = { .op = STEP_COUNTED,
				     .len = 1,
				     .max = max > READ_MAX ? READ_MAX : max,
				     .src.ptr = list_word(r, s, 0),
				     .src.len = list_word(r, s, 8) };
		return max ? follow(r, &step, &added) : NULL;
	}
	case GO_SLICE:
		return follow_slice(r, s, &t);
	case GO_POINTER:
		return follow_pointer(r, s, &t);
	case GO_CHAN:
		return follow_head(r, s, chan_head(&r->b->plan->binary));
	case GO_FUNC:
		return follow_func(r, s);
	case GO_MAP:
		return follow_map(r, s, s->type);
	case GO_INTERFACE:
		return follow_interface(r, s, s->type);
	case GO_STRUCT:
		for (uint32_t i = 0; i < t.n_fields; i++) {
			const struct go_field *f = &types->fields[t.first_field + i];
			part.type = f->type;
			part.offset = s->offset + f->offset;
			if (holds_pointers(types, f->type))
				list_source(r, &part);
		}
		return NULL;
	case GO_ARRAY:
		part.type = t.elem;
		if (t.elem >= types->n || !holds_pointers(types, t.elem))
			return NULL;
		for (uint64_t i = 0; i < t.count && i < r->b->options->elements; i++) {
			part.offset = s->offset + i * types->v[t.elem].size;
			list_source(r, &part);
		}
		return NULL;
	}
	return NULL;
}

struct err *list_follow(struct list_builder *r)
{
	struct err *err = NULL;

	while (!err && r->head < r->tail) {
		struct source s = r->queue[r->head++];
		err = follow_source(r, &s);
	}
	return err;
}

/* ---- the lists that lists ask for ---------------------------------------------------------------------------- */

/* A value behind a word that is no pointer of Go's: an interface's data word, a map's slot. */
static struct err *follow_boxed(struct list_builder *r, uint16_t word, uint32_t type, uint32_t hops)
{
	struct err *err;
	bool added;

	if (!follow_complete(r, type, &err))
		return err;
	uint64_t size = r->b->plan->types.v[type].size;
	struct step step = { .op = STEP_READ,
			     .len = size > POINTEE_MAX ? POINTEE_MAX : size,
			     .src.ptr = { .kind = word } };
	struct source s = { .type = type, .hops = hops, .in = SOURCE_CHUNK };
	if (!size)
		return NULL;
	err = list_step(r, &step, &added);
	if (!err)
		list_source(r, &s);
	return err;
}

static struct err *make_list(struct plan_builder *b, size_t index)
{
	const struct list_key key = b->lists->keys[index];
	const struct map_part part = { key.partial, key.part, key.offset };
	struct source s = { .type = key.type, .hops = key.hops };
	struct step unknown = { .op = STEP_READ, .len = UNKNOWN_BYTES, .src.ptr = { .kind = LOC_DATA } };
	struct list_builder r;
	struct err *err = list_begin(&r, b);
	bool added;

	if (err)
		return err;
	r.nested = true;
	switch ((enum list_kind)key.kind) {
	case LIST_ITEM:
		s.in = SOURCE_ITEM;
		list_source(&r, &s);
		break;
	case LIST_DATA:
		s.in = SOURCE_DATA;
		list_source(&r, &s);
		break;
	case LIST_BOXED:
		err = follow_boxed(&r, LOC_DATA, key.type, key.hops);
		break;
	case LIST_INDIRECT:
		err = follow_boxed(&r, LOC_ITEM, key.type, key.hops);
		break;
	case LIST_UNKNOWN:
		err = list_step(&r, &unknown, &added);
		break;
	case LIST_TABLE:
		err = follow_table(&r, key.type, key.hops, &part);
		break;
	case LIST_GROUP:
		err = follow_group(&r, key.type, key.hops, &part);
		break;
	}
	if (!err)
		err = list_follow(&r);
	b->plan->lists[index] = (struct plan_list){ r.first_step, b->plan->n_steps - r.first_step };
	list_end(&r);
	return err;
}

struct err *plan_pending_lists(struct plan_builder *b)
{
	struct err *err = NULL;

	while (b->lists && b->lists->done < b->lists->n && !err)
		err = make_list(b, b->lists->done++);
	return err;
}
