/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of one site where expressions say what is read: along the way of each, then what hangs behind its end. */
#include <stdlib.h>
#include <string.h>

#include "plan_expr.h"
#include "plan_follow.h"

/* Elements of a range are read together where they are small: a read costs more than the bytes between what is wanted. */
#define ELEMENT_SMALL 256u
#define TOGETHER_MAX 4096u

/* Elements of a range; an open one is bounded by the options. */
static uint32_t range_count(const struct plan_builder *b, uint32_t lo, uint32_t hi)
{
	return hi != EXPR_OPEN ? hi - lo : b->options->elements;
}

/* Where a value on the way is. */
struct spot {
	enum {
		SPOT_LOST,   /* out of reach: the decoder says why */
		SPOT_VAR,    /* in the parameter's pieces, from `offset` on */
		SPOT_MEMORY, /* `offset` bytes behind the word of `ptr`; not read yet */
		SPOT_CHUNK,  /* in what `step` has read */
	} where;
	uint64_t offset;
	location_t ptr;
	/* MEMORY: an element, there only if the word of `len` is greater than `skip`; LOC_NONE: it is no element */
	location_t len;
	uint32_t skip;
	uint64_t each;
	uint32_t step;
};

struct way_reads {
	struct plan_builder *b;
	struct list_builder *list; /* of the site */
	const struct expression *e;
	uint32_t first_piece, n_pieces; /* of the value */
	uint16_t chain[EXPR_NODES_MAX];
	size_t n_chain;
};

/* A step, or the one in the list that is the same. *index_ret is STEPS_MAX where the list is full. */
static struct err *add_step(struct way_reads *w, const struct step *step, uint32_t *index_ret)
{
	uint32_t first = w->list->first_step, n = w->b->plan->n_steps - first;
	bool added;

	for (uint32_t i = 0; i < n; i++)
		if (!memcmp(&w->b->plan->steps[first + i], step, sizeof(*step))) {
			*index_ret = i;
			return NULL;
		}
	struct err *err = list_step(w->list, step, &added);
	*index_ret = added ? n : STEPS_MAX;
	return err;
}

/* Read `size` bytes of a spot in memory: it is in a chunk from then on. */
static struct err *fetch(struct way_reads *w, struct spot *at, uint64_t size)
{
	struct step step = { .op = STEP_READ, .len = size, .off = at->offset, .src.ptr = at->ptr };
	struct err *err;

	if (at->where != SPOT_MEMORY)
		return NULL;
	if (!size || size > READ_MAX || at->offset > INT32_MAX || at->each > UINT32_MAX || at->ptr.kind == LOC_NONE) {
		at->where = SPOT_LOST;
		return NULL;
	}
	if (at->len.kind != LOC_NONE) {
		step.op = STEP_COUNTED;
		step.len = at->each;
		step.max = size;
		step.n = at->skip;
		step.src.len = at->len;
	}
	err = add_step(w, &step, &at->step);
	at->where = at->step == STEPS_MAX ? SPOT_LOST : SPOT_CHUNK;
	at->offset = 0;
	return err;
}

/* The place of the 8-byte word `offset` bytes into a spot, which is read for it where it was not. */
static struct err *word_at(struct way_reads *w, const struct spot *spot, uint64_t offset, location_t *ret)
{
	struct spot at = *spot;
	struct err *err;

	*ret = (location_t){ .kind = LOC_NONE };
	at.offset += offset;
	err = fetch(w, &at, 8);
	if (err || at.where == SPOT_LOST)
		return err;
	if (at.where == SPOT_CHUNK) {
		*ret = (location_t){ .kind = LOC_CHUNK, .index = at.step, .offset = at.offset };
		return NULL;
	}
	for (uint32_t i = w->first_piece; i < w->first_piece + w->n_pieces; i++) {
		const struct plan_piece *p = &w->b->plan->pieces[i];

		if (at.offset < p->offset || at.offset + 8 > (uint64_t)p->offset + p->size ||
		    (p->at.kind != LOC_CHUNK && at.offset != p->offset))
			continue;
		*ret = p->at;
		if (p->at.kind == LOC_CHUNK)
			ret->offset += at.offset - p->offset;
	}
	return NULL;
}

/* Go on behind a pointer. */
static struct err *behind(struct way_reads *w, struct spot *at, uint64_t offset)
{
	location_t ptr;
	struct err *err = word_at(w, at, offset, &ptr);

	*at = (struct spot){ .where = ptr.kind == LOC_NONE ? SPOT_LOST : SPOT_MEMORY, .ptr = ptr };
	return err;
}

/* Element `index` of what a slice's or string's header stands for. */
static struct err *element(struct way_reads *w, struct spot *at, uint32_t index, uint64_t each)
{
	struct spot header = *at;
	location_t len = { .kind = LOC_NONE };
	struct err *err = fetch(w, &header, 16);

	if (!err)
		err = word_at(w, &header, 8, &len);
	*at = header;
	if (!err)
		err = behind(w, at, 0);
	if (len.kind == LOC_NONE)
		at->where = SPOT_LOST;
	at->len = len;
	at->skip = index;
	at->each = each;
	at->offset = (uint64_t)index * each;
	return err;
}

/* The first of `n` elements from `lo` on, all of them read where `together`. */
static struct err *range_start(struct way_reads *w, struct spot *at, uint8_t kind, uint32_t lo, uint64_t n,
			       uint64_t each, bool together)
{
	struct err *err = NULL;

	if (kind == GO_ARRAY)
		at->offset += lo * each;
	else
		err = element(w, at, lo, each);
	return err || !together ? err : fetch(w, at, n * each);
}

/* A value at the end of a way: what hangs behind it is read after all ways, nearest first. */
static void add_end(struct way_reads *w, const struct spot *at, uint32_t type)
{
	struct source s = { .type = type,
			    .hops = w->b->options->depth,
			    .in = at->where == SPOT_CHUNK ? SOURCE_CHUNK : SOURCE_PIECES,
			    .first = w->first_piece,
			    .n = w->n_pieces,
			    .step = at->step,
			    .offset = at->offset };

	if (at->where == SPOT_LOST)
		return;
	if (plan_kind_of(w->b, type) == GO_MAP)
		list_map(w->list, &s);
	else
		list_source(w->list, &s);
}

/* The end of a way at a whole value: it, and what hangs behind it. */
static struct err *read_value(struct way_reads *w, struct spot at, uint32_t type)
{
	uint64_t size = plan_size_of(w->b, type);
	struct err *err = fetch(w, &at, size < READ_MAX ? size : READ_MAX);

	if (!err)
		add_end(w, &at, type);
	return err;
}

/* The end of a way at a range. */
static struct err *read_range(struct way_reads *w, struct spot at, const struct expr_node *node, uint8_t kind,
			      uint32_t elem)
{
	uint64_t each = kind == GO_STRING ? 1 : plan_size_of(w->b, elem), n = range_count(w->b, node->lo, node->hi);
	struct err *err;

	if (kind == GO_STRING && node->hi == EXPR_OPEN)
		n = w->b->options->string_size;
	if (!each || each > READ_MAX)
		return NULL;
	if (n > READ_MAX / each)
		n = READ_MAX / each;
	err = range_start(w, &at, kind, node->lo, n, each, true);
	for (uint64_t i = 0; i < n && !err && kind != GO_STRING; i++, at.offset += each)
		add_end(w, &at, elem);
	return err;
}

static struct err *read_count(struct way_reads *w, struct spot at, const struct expr_node *node, uint8_t kind)
{
	location_t word;
	struct err *err;

	switch (kind) {
	case GO_ARRAY:
		return NULL;
	case GO_STRING:
	case GO_SLICE:
		return word_at(w, &at, node->op == EXPR_LEN ? 8 : 16, &word);
	}
	/* The first word of a map is its count (runtime.hmap, internal/runtime/maps.Map); a channel has its two first (runtime.hchan). */
	err = behind(w, &at, 0);
	return err ? err : word_at(w, &at, node->op == EXPR_LEN ? 0 : 8, &word);
}

/* A type that an interface's data word is itself, not a pointer to it (cmd/compile/internal/types, IsDirectIface). */
static bool is_direct(const struct type_table *types, uint32_t type, int depth)
{
	if (type >= types->n || depth > 16)
		return false;
	const struct go_type *t = &types->v[type];
	switch (t->kind) {
	case GO_POINTER:
	case GO_MAP:
	case GO_CHAN:
	case GO_FUNC:
	case GO_UNSAFE_POINTER:
		return true;
	case GO_ARRAY:
		return t->count == 1 && is_direct(types, t->elem, depth + 1);
	case GO_STRUCT:
		return t->n_fields == 1 && is_direct(types, types->fields[t->first_field].type, depth + 1);
	}
	return false;
}

bool plan_type_is_direct(const struct type_table *types, uint32_t type)
{
	return is_direct(types, type, 0);
}

/* An interface's data; beside it the word that tells its type is read: the decoder compares it. */
static struct err *read_assert(struct way_reads *w, struct spot *at, uint32_t from, uint32_t to)
{
	const struct type_table *types = &w->b->plan->types;
	struct err *err = fetch(w, at, 16);
	struct spot itab = *at;
	location_t word;

	if (!err && !(types->v[from].flags & TYPE_EMPTY_IFACE)) {
		err = behind(w, &itab, 0);
		if (!err)
			err = word_at(w, &itab, 8, &word); /* runtime.itab: the interface's type, then the value's */
	}
	if (err)
		return err;
	if (is_direct(types, to, 0)) {
		at->offset += 8;
		return NULL;
	}
	return behind(w, at, 8);
}

/* The part of a map's element that the way leads through, from node i on. */
static struct map_part part_of_element(const struct way_reads *w, size_t i, uint32_t elem)
{
	struct map_part part = { .partial = true, .type = elem };

	for (; i < w->n_chain; i++) {
		const struct expr_node *node = &w->e->nodes[w->chain[i]];
		uint8_t from = plan_kind_of(w->b, part.type);

		if (node->op == EXPR_FIELD)
			part.offset += node->offset;
		else if (node->op == EXPR_INDEX && from == GO_ARRAY)
			part.offset += node->lo * plan_size_of(w->b, node->type);
		else
			break;
		part.type = node->type;
	}
	bool counted =
		i < w->n_chain && (w->e->nodes[w->chain[i]].op == EXPR_LEN || w->e->nodes[w->chain[i]].op == EXPR_CAP);
	uint8_t kind = plan_kind_of(w->b, part.type);
	/* the words that tell a length stand in the slot */
	if ((counted && kind != GO_MAP && kind != GO_CHAN) || !holds_pointers(&w->b->plan->types, part.type))
		part = (struct map_part){ .partial = true, .type = TYPE_NONE };
	return part;
}

/* An entry of a map: which slot it has only the decoder can tell, so the keys of all are read, and of their elements as far as the rest of
 * the way goes. */
static struct err *read_key(struct way_reads *w, size_t i, struct spot at, uint32_t map)
{
	const struct expr_node *end = &w->e->nodes[w->chain[w->n_chain - 1]];
	uint32_t hops = end->kind == GO_STRING ? 0 : w->b->options->depth;
	struct err *err = fetch(w, &at, 8);

	for (size_t k = i + 1; k < w->n_chain; k++)
		hops += w->e->nodes[w->chain[k]].op == EXPR_DEREF;
	if (err || at.where == SPOT_LOST)
		return err;
	struct source s = { .type = map,
			    .hops = hops < HOPS_MAX ? hops : HOPS_MAX,
			    .part = part_of_element(w, i + 1, w->e->nodes[w->chain[i]].type),
			    .in = at.where == SPOT_CHUNK ? SOURCE_CHUNK : SOURCE_PIECES,
			    .first = w->first_piece,
			    .n = w->n_pieces,
			    .step = at.step,
			    .offset = at.offset };
	list_map(w->list, &s);
	return NULL;
}

static struct err *read_way(struct way_reads *w, size_t i, struct spot at);

/* What follows, for each element. */
static struct err *read_each(struct way_reads *w, size_t i, struct spot at, uint8_t kind)
{
	const struct expr_node *node = &w->e->nodes[w->chain[i]];
	uint64_t each = plan_size_of(w->b, node->type), n = range_count(w->b, node->lo, node->hi);
	bool together;
	struct err *err;

	if (n > EXPR_VALUES_MAX)
		n = EXPR_VALUES_MAX;
	together = each <= ELEMENT_SMALL && n * each <= TOGETHER_MAX;
	err = range_start(w, &at, kind, node->lo, n, each, together);
	for (uint64_t k = 0; k < n && !err && at.where != SPOT_LOST; k++) {
		err = read_way(w, i + 1, at);
		at.offset += each;
		at.skip++;
	}
	return err;
}

/* The way from node i of the chain on. */
static struct err *read_way(struct way_reads *w, size_t i, struct spot at)
{
	struct err *err = NULL;

	for (; i < w->n_chain && !err; i++) {
		const struct expr_node *node = &w->e->nodes[w->chain[i]];
		uint32_t from = w->e->nodes[w->chain[i - 1]].type;
		uint8_t kind = plan_kind_of(w->b, from);

		switch (node->op) {
		case EXPR_FIELD:
			at.offset += node->offset;
			break;
		case EXPR_DEREF:
			err = behind(w, &at, 0);
			break;
		case EXPR_INDEX:
			if (kind == GO_ARRAY)
				at.offset += node->lo * plan_size_of(w->b, node->type);
			else
				err = element(w, &at, node->lo, plan_size_of(w->b, node->type));
			break;
		case EXPR_EACH:
			return read_each(w, i, at, kind);
		case EXPR_SLICE:
			return read_range(w, at, node, kind, plan_elem_of(w->b, from));
		case EXPR_LEN:
		case EXPR_CAP:
			return read_count(w, at, node, kind);
		case EXPR_ASSERT:
			err = read_assert(w, &at, from, node->type);
			break;
		case EXPR_KEY:
			return read_key(w, i, at, from);
		default:
			return NULL; /* the decoder says that it is not decoded */
		}
	}
	return err ? err : read_value(w, at, w->e->nodes[w->chain[w->n_chain - 1]].type);
}

/* ---- the values ---------------------------------------------------------------------------------------------- */

/* The text of the expression up to the range of an EXPR_EACH. */
static struct err *text_before(struct plan_builder *b, const struct expression *e, const struct expr_node *each,
			       uint32_t *ret)
{
	uint32_t at = e->nodes[each->a].end;
	char *text;
	struct err *err;

	while (e->text[at] && e->text[at] != '[')
		at++;
	text = strndup(e->text + each->at, at - each->at);
	err = text ? type_table_intern(&b->plan->types, text, ret) : &err_nomem;
	free(text);
	return err;
}

static struct err *add_way(struct plan_builder *b, const struct expression *e, const struct expr_node *node)
{
	struct plan_way way = {
		.op = node->op, .implied = node->implied, .type = node->type, .lo = node->lo, .hi = node->hi
	};
	const struct expr_node *key = &e->nodes[node->b];
	struct err *err = NULL;

	switch (node->op) {
	case EXPR_FIELD:
		way.lo = node->offset;
		err = type_table_intern(&b->plan->types, expression_string(e, node), &way.name);
		break;
	case EXPR_EACH:
		err = text_before(b, e, node, &way.name);
		break;
	case EXPR_KEY:
		way.integer = key->integer;
		way.negative = key->negative;
		way.key_kind = key->kind;
		if (key->op == EXPR_STRING)
			err = type_table_intern(&b->plan->types, expression_string(e, key), &way.name);
		break;
	case EXPR_ASSERT:
		way.lo = is_direct(&b->plan->types, node->type, 0);
		break;
	}
	return err ? err : plan_append(b, ways, way);
}

static struct err *add_value(struct plan_builder *b, const struct expression *e, const struct site_word *words,
			     const location_t *places, size_t n_words)
{
	uint16_t chain[EXPR_NODES_MAX] = { 0 };
	size_t n_chain = plan_expression_chain(e, e->root, chain);
	struct plan_value value = { .first_piece = b->plan->n_pieces, .first_way = b->plan->n_ways };
	struct err *err = type_table_intern(&b->plan->types, e->text, &value.name);

	value.type = e->nodes[chain[0]].type;
	for (size_t i = 0; i < n_words && !err; i++)
		err = plan_append(b, pieces, plan_word_piece(&words[i], &places[i]));
	value.n_pieces = b->plan->n_pieces - value.first_piece;
	for (size_t i = 1; i < n_chain && !err; i++)
		err = add_way(b, e, &e->nodes[chain[i]]);
	value.n_ways = b->plan->n_ways - value.first_way;
	return err ? err : plan_append(b, values, value);
}

static struct err *add_reads(struct plan_builder *b, const struct expression *e, uint32_t value,
			     struct list_builder *list)
{
	struct way_reads w = { .b = b,
			       .list = list,
			       .e = e,
			       .first_piece = b->plan->values[value].first_piece,
			       .n_pieces = b->plan->values[value].n_pieces };
	struct spot at = { .where = SPOT_VAR };

	w.n_chain = plan_expression_chain(e, e->root, w.chain);
	return read_way(&w, 1, at);
}

/* The part of a word that is needed. What is in a register comes whole. */
static bool cut_word(const struct site_word *word, const struct plan_need *need, struct site_word *ret)
{
	uint64_t start = word->offset, end = start + word->size;

	if (word->value != need->var || need->offset >= end || need->offset + need->size <= start)
		return false;
	*ret = *word;
	if (word->where != WORD_STACK)
		return true;
	if (start < need->offset)
		start = need->offset;
	if (end > need->offset + need->size)
		end = need->offset + need->size;
	ret->place += start - word->offset;
	ret->offset = start;
	ret->size = end - start;
	return true;
}

struct err *plan_site_expressions(struct plan_builder *b, bool results, const struct site_word *words, size_t n_words)
{
	struct plan_expressions *x = b->expressions;
	uint32_t first_value = b->plan->n_values, at;
	struct list_builder list;
	struct plan_site *site = &b->plan->sites[b->plan->n_sites - 1];
	size_t most = x->parsed.n * n_words, n = 0, first[EXPR_LIST_MAX + 1];
	struct site_word *cut _cleanup_free_ = calloc(most + 1, sizeof(*cut));
	location_t *places _cleanup_free_ = calloc(most + 1, sizeof(*places));
	struct err *err;

	if (!cut || !places)
		return &err_nomem;
	for (size_t i = 0; i < x->parsed.n; i++) {
		struct plan_need need = plan_expression_need(b, x->func, x->typed[i], x->typed[i]->root);

		first[i] = n;
		for (size_t k = 0; k < n_words && (results ? x->typed[i]->results : x->typed[i]->params); k++)
			n += cut_word(&words[k], &need, &cut[n]);
	}
	first[x->parsed.n] = n;
	err = list_begin(&list, b);
	if (err)
		return err;
	err = plan_memory_words(&list, cut, n, places);
	if (!err)
		err = plan_caller_reads(&list, cut, n);
	for (size_t i = 0; i < x->parsed.n && !err; i++)
		if (results ? x->typed[i]->results : x->typed[i]->params)
			err = add_value(b, x->typed[i], cut + first[i], places + first[i], first[i + 1] - first[i]);
	/* Lists last, and then what hangs behind: these can use up what steps there are. */
	for (int lists = 0; lists <= 1; lists++) {
		at = first_value;
		for (size_t i = 0; i < x->parsed.n && !err; i++) {
			if (!(results ? x->typed[i]->results : x->typed[i]->params))
				continue;
			if (lists == !!x->typed[i]->nodes[x->typed[i]->root].lists)
				err = add_reads(b, x->typed[i], at, &list);
			at++;
		}
	}
	if (!err)
		err = list_follow(&list);
	site->first_value = first_value;
	site->n_values = b->plan->n_values - first_value;
	site->first_step = list.first_step;
	site->n_steps = b->plan->n_steps - list.first_step;
	site->data_max = list.data_max;
	site->deep = list.deep;
	list_end(&list);
	if (!err)
		err = plan_pending_lists(b);
	if (err || site->n_steps < STEPS_MAX || x->cut)
		return err;
	x->cut = true;
	return plan_warn(b, x->func,
			 "not all that the expressions lead to can be read at once; bound ranges: xs[:8].Name");
}
