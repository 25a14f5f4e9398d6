/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions: from a parameter along the ways of the plan to the value, through what the steps have read. Every pointer on the way is
 * looked up in the record by its address, so that a way holds whatever step the bytes came by. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "decode_priv.h"

/* Where the value in hand is: in the parameter's pieces, or in memory. */
struct spot {
	struct place pieces;
	bool memory;
	uint64_t addr;
	uint32_t type;
};

static void advance(struct spot *at, uint64_t n)
{
	if (at->memory)
		at->addr += n;
	else
		at->pieces.offset += n;
}

static bool spot_place(struct decoder *d, const struct spot *at, uint64_t size, struct place *ret)
{
	if (at->memory)
		return place_behind(d, at->addr, size, ret);
	*ret = at->pieces;
	return true;
}

static bool spot_word(struct decoder *d, const struct spot *at, uint64_t offset, uint64_t *ret)
{
	struct spot word = *at;
	struct place p;

	advance(&word, offset);
	return spot_place(d, &word, 8, &p) && place_read(d, &p, 0, 8, ret);
}

static uint64_t size_of(const struct decoder *d, uint32_t type)
{
	const struct go_type *t = type_at(d, type);

	return t ? t->size : 0;
}

static uint8_t kind_of(const struct decoder *d, uint32_t type)
{
	const struct go_type *t = type_at(d, type);

	return t ? t->kind : GO_INVALID;
}

/* Pointer and length of a slice or string; an array has its own length and stays where it is. */
static bool spot_elements(struct decoder *d, const struct spot *at, struct spot *first_ret, uint64_t *len_ret)
{
	const struct go_type *t = type_at(d, at->type);

	*first_ret = *at;
	if (t && t->kind == GO_ARRAY) {
		*len_ret = t->count;
		return true;
	}
	first_ret->memory = true;
	if (!spot_word(d, at, 8, len_ret) || !spot_word(d, at, 0, &first_ret->addr))
		return false;
	if (*len_ret > LENGTH_MAX) {
		missing(d, "unreadable", "");
		snprintf(d->why, sizeof(d->why), "length %" PRId64, (int64_t)*len_ret);
		return false;
	}
	return true;
}

/* ---- steps of a way ------------------------------------------------------------------------------------------- */

static bool go_behind(struct decoder *d, struct spot *at, uint64_t offset, const char *nil)
{
	uint64_t addr;

	if (!spot_word(d, at, offset, &addr))
		return false;
	if (!addr)
		return missing(d, "unreadable", nil);
	at->memory = true;
	at->addr = addr;
	return true;
}

static bool go_index(struct decoder *d, struct spot *at, const struct plan_way *way)
{
	struct spot first;
	uint64_t len;

	if (!spot_elements(d, at, &first, &len))
		return false;
	if (way->lo >= len) {
		missing(d, "unreadable", "");
		snprintf(d->why, sizeof(d->why), "index %" PRIu32 ", length %" PRIu64, way->lo, len);
		return false;
	}
	*at = first;
	advance(at, way->lo * size_of(d, way->type));
	return true;
}

static bool go_key(struct decoder *d, struct spot *at, const struct plan_way *way)
{
	uint64_t addr;

	if (!spot_word(d, at, 0, &addr))
		return false;
	if (!addr)
		return missing(d, "absent", "nil map");
	at->memory = true;
	return map_find(d, addr, at->type, way, &at->addr);
}

/* The name of a run-time type, by its link address. */
static const char *name_of_type(const struct decoder *d, uint64_t addr, char buf[RTYPE_NAME_MAX])
{
	for (size_t i = 0; i < d->plan->types.n; i++)
		if (d->plan->types.v[i].runtime_type &&
		    d->plan->binary.types_base + d->plan->types.v[i].runtime_type == addr)
			return plan_string(d->plan, d->plan->types.v[i].name);
	return d->names && names_type_name(d->names, addr, buf) ? buf : "another type";
}

static bool go_assert(struct decoder *d, struct spot *at, const struct plan_way *way)
{
	const struct go_type *iface = type_at(d, at->type), *want = type_at(d, way->type);
	uint64_t bias = d->view->head->ip - d->site->addr, type;
	struct spot itab = *at;

	if (!iface || !want)
		return missing(d, "not decoded", "unknown type");
	if (!spot_word(d, at, 0, &type))
		return false;
	if (!type)
		return missing(d, "unreadable", "nil interface");
	if (!(iface->flags & TYPE_EMPTY_IFACE)) {
		itab.memory = true;
		itab.addr = type;
		if (!spot_word(d, &itab, 8, &type)) /* runtime.itab: the interface's type, then the value's */
			return false;
	}
	if (!want->runtime_type)
		return missing(d, "not decoded", "a type without a run-time type");
	if (type - bias - d->plan->binary.types_base != want->runtime_type) {
		char name[RTYPE_NAME_MAX];

		missing(d, "unreadable", "");
		snprintf(d->why, sizeof(d->why), "it holds %.50s", name_of_type(d, type - bias, name));
		return false;
	}
	if (way->lo) {
		advance(at, 8); /* the data word is the value */
		return true;
	}
	return go_behind(d, at, 8, "nil interface");
}

/* ---- ends of a way -------------------------------------------------------------------------------------------- */

static void show_count(struct decoder *d, struct spot *at, const struct plan_way *way)
{
	uint64_t v = 0;

	switch (kind_of(d, at->type)) {
	case GO_ARRAY:
		v = type_at(d, at->type)->count;
		break;
	case GO_STRING:
	case GO_SLICE:
		if (!spot_word(d, at, way->op == EXPR_LEN ? 8 : 16, &v)) {
			decode_absent(d);
			return;
		}
		break;
	default: /* a map or a channel: its counts stand at its beginning; nil has none */
		if (!spot_word(d, at, 0, &v)) {
			decode_absent(d);
			return;
		}
		at->memory = true;
		at->addr = v;
		if (v && !spot_word(d, at, way->op == EXPR_LEN ? 0 : 8, &v)) {
			decode_absent(d);
			return;
		}
	}
	d->ops->integer(d, v, true);
}

/* How many of a range's elements there are. */
static uint64_t range_total(const struct plan_way *way, uint64_t len)
{
	uint64_t end = way->hi != EXPR_OPEN && way->hi < len ? way->hi : len;

	return end > way->lo ? end - way->lo : 0;
}

/* How many of them are shown: an explicit bound counts for more than the limit. A plan that lies cannot make it long. */
static uint64_t shown_of(const struct decoder *d, const struct plan_way *way, uint64_t total)
{
	uint64_t most = way->hi == EXPR_OPEN ? d->limits.elements : EXPR_INDEX_MAX;

	if (most > d->values_left)
		most = d->values_left;
	return total < most ? total : most;
}

/* A range of a slice or string is shown as one whose header has other words. An explicit bound counts for more than the limits. */
static void show_range(struct decoder *d, const struct spot *at, const struct plan_way *way)
{
	const struct go_type *t = type_at(d, at->type);
	struct decode_limits limits = d->limits;
	uint64_t len, total, shown, header[3];
	struct place p = { .mem = (const uint8_t *)header, .n_mem = sizeof(header) };
	struct spot first;

	if (!t || !spot_elements(d, at, &first, &len)) {
		decode_absent(d);
		return;
	}
	total = range_total(way, len);
	if (t->kind == GO_ARRAY) {
		advance(&first, way->lo * size_of(d, t->elem));
		first.type = t->elem;
		shown = shown_of(d, way, total);
		d->ops->list_begin(d, shown, total);
		path_push(d, (struct path_part){ .kind = PATH_INDEX });
		for (uint64_t i = 0; i < shown; i++, advance(&first, size_of(d, t->elem))) {
			d->path[d->n_path - 1].index = i;
			d->ops->item(d);
			if (spot_place(d, &first, size_of(d, t->elem), &p))
				decode_value(d, &p, t->elem);
			else
				decode_absent(d);
		}
		d->n_path--;
		d->ops->list_end(d, shown, total);
		return;
	}
	header[0] = first.addr && total ? first.addr + way->lo * (t->kind == GO_STRING ? 1 : size_of(d, t->elem))
					: first.addr;
	header[1] = header[2] = total;
	if (way->hi != EXPR_OPEN) {
		d->limits.string_size = UINT32_MAX;
		d->limits.elements = UINT32_MAX;
	}
	decode_value(d, &p, at->type);
	d->limits = limits;
}

static void show_value(struct decoder *d, const struct spot *at)
{
	uint64_t size = size_of(d, at->type);
	struct place p = { .mem = (const uint8_t *)"" };

	/* Of a value that is larger than what is read its beginning is shown. */
	if (size && !spot_place(d, at, size < 8 ? size : 1, &p))
		decode_absent(d);
	else
		decode_value(d, &p, at->type);
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

struct walk {
	const struct plan_way *ways;
	uint32_t n;
	bool in_list; /* the path has left the expression's text: what follows is added to it */
};

static void walk(struct decoder *d, struct walk *w, uint32_t i, struct spot at);

static void walk_each(struct decoder *d, struct walk *w, uint32_t i, const struct spot *at)
{
	const struct plan_way *way = &w->ways[i];
	uint64_t each = size_of(d, way->type), len, total, shown;
	const char *text = d->path[0].name;
	bool outermost = !w->in_list;
	struct spot item;

	if (!spot_elements(d, at, &item, &len)) {
		decode_absent(d);
		return;
	}
	total = range_total(way, len);
	shown = shown_of(d, way, total);
	if (shown > EXPR_VALUES_MAX)
		shown = EXPR_VALUES_MAX;
	item.type = way->type;
	advance(&item, way->lo * each);
	d->ops->list_begin(d, shown, total);
	if (outermost)
		d->path[0].name = plan_string(d->plan, way->name);
	w->in_list = true;
	for (uint64_t k = 0; k < shown; k++, advance(&item, each)) {
		uint32_t n_path = d->n_path;

		path_push(d, (struct path_part){ .kind = PATH_INDEX, .index = way->lo + k });
		d->values_left -= d->values_left > 0;
		d->ops->item(d);
		walk(d, w, i + 1, item);
		d->n_path = n_path;
	}
	if (outermost)
		d->path[0].name = text;
	w->in_list = !outermost;
	d->ops->list_end(d, shown, total);
}

static struct path_part key_of_way(const struct decoder *d, const struct plan_way *way)
{
	const char *text = plan_string(d->plan, way->name);

	switch (way->key_kind) {
	case GO_STRING:
		return (struct path_part){ .kind = PATH_STRING,
					   .bytes = (const uint8_t *)text,
					   .n = (uint32_t)strlen(text) };
	case GO_BOOL:
		return (struct path_part){ .kind = PATH_BOOL, .index = way->integer };
	}
	if (way->negative)
		return (struct path_part){ .kind = PATH_SIGNED, .index = 0 - way->integer };
	return (struct path_part){ .kind = PATH_INDEX, .index = way->integer };
}

static void add_to_path(struct decoder *d, const struct walk *w, const struct plan_way *way)
{
	if (!w->in_list || way->implied)
		return;
	if (way->op == EXPR_FIELD)
		path_push(d, (struct path_part){ .kind = PATH_FIELD, .name = plan_string(d->plan, way->name) });
	else if (way->op == EXPR_DEREF)
		path_push(d, (struct path_part){ .kind = PATH_DEREF });
	else if (way->op == EXPR_INDEX)
		path_push(d, (struct path_part){ .kind = PATH_INDEX, .index = way->lo });
	else if (way->op == EXPR_KEY)
		path_push(d, key_of_way(d, way));
}

/* From way i on. Recursion is bounded by the lists on the way: PLAN_WAYS_MAX at most. */
static void walk(struct decoder *d, struct walk *w, uint32_t i, struct spot at)
{
	bool there = true;

	for (; i < w->n && there; i++) {
		const struct plan_way *way = &w->ways[i];

		add_to_path(d, w, way);
		switch (way->op) {
		case EXPR_FIELD:
			advance(&at, way->lo);
			break;
		case EXPR_DEREF:
			there = go_behind(d, &at, 0, "nil pointer");
			break;
		case EXPR_INDEX:
			there = go_index(d, &at, way);
			break;
		case EXPR_ASSERT:
			there = go_assert(d, &at, way);
			break;
		case EXPR_EACH:
			walk_each(d, w, i, &at);
			return;
		case EXPR_SLICE:
			show_range(d, &at, way);
			return;
		case EXPR_LEN:
		case EXPR_CAP:
			show_count(d, &at, way);
			return;
		case EXPR_KEY:
			there = go_key(d, &at, way);
			break;
		default:
			there = missing(d, "not decoded", "a step that is not known");
		}
		at.type = way->type;
	}
	if (there) {
		show_value(d, &at);
		return;
	}
	/* the remark is about the whole way, as it is where there is no list */
	for (; i < w->n; i++)
		add_to_path(d, w, &w->ways[i]);
	decode_absent(d);
}

void decode_ways(struct decoder *d, const struct plan_value *value)
{
	struct walk w = { .ways = d->plan->ways + value->first_way, .n = value->n_ways };
	struct spot at = { .pieces = { .pieces = d->plan->pieces + value->first_piece, .n_pieces = value->n_pieces },
			   .type = value->type };

	bool hidden = mask_hides_expression(d->mask, plan_string(d->plan, value->name));

	/* a field that Go finds in an embedded struct belongs to what that is called as well; a key can be written in other ways */
	for (uint32_t i = 0; i < w.n; i++)
		hidden |=
			(w.ways[i].op == EXPR_FIELD || (w.ways[i].op == EXPR_KEY && w.ways[i].key_kind == GO_STRING)) &&
			mask_hides(d->mask, plan_string(d->plan, w.ways[i].name));
	if (hidden)
		d->ops->masked(d);
	else
		walk(d, &w, 0, at);
}
