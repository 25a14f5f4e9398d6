/* SPDX-License-Identifier: Apache-2.0 */
/* Ways to values get their types: what Go does by itself on the way is written out. */
#include "expression_resolve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf_info.h"
#include "func_name.h"

#define NAMES_SHOWN 8 /* in a hint that lists what there is */

const char *resolver_type_name(const struct resolver *r, uint32_t type)
{
	const struct type_table *types = r->scope->types;

	return type < types->n ? type_string(types, types->v[type].name) : "?";
}

/* ---- hints --------------------------------------------------------------------------------------------------- */

/* Names seen one after the other: the nearest to what was written, else all of them. */
struct hint {
	const char *wanted;
	size_t best_score, n;
	char best[128], list[256];
};

static void hint_see(struct hint *h, const char *name)
{
	size_t s = func_name_nearness(name, h->wanted), len = strlen(h->list);

	if (!*name || !strcmp(name, "_"))
		return;
	if (s != SIZE_MAX && (!*h->best || s < h->best_score) && strlen(name) < sizeof(h->best)) {
		strcpy(h->best, name);
		h->best_score = s;
	}
	if (h->n++ < NAMES_SHOWN)
		snprintf(h->list + len, sizeof(h->list) - len, "%s%s", len ? ", " : "", name);
}

static const char *hint_text(struct hint *h, const char *none, char *buf, size_t size)
{
	if (*h->best)
		snprintf(buf, size, "did you mean '%s'?", h->best);
	else if (h->n)
		snprintf(buf, size, "there is %s%s", h->list, h->n > NAMES_SHOWN ? " …" : "");
	else
		snprintf(buf, size, "%s", none);
	return buf;
}

/* ---- types --------------------------------------------------------------------------------------------------- */

static struct err *complete(const struct resolver *r, uint32_t type)
{
	return r->scope->dwarf ? dwarf_info_complete(r->scope->dwarf, r->scope->types, type) : NULL;
}

/* A type of the language that need not be in the debug information under its name. */
static struct err *basic_type(const struct resolver *r, enum go_kind kind, uint32_t size, uint32_t *ret)
{
	struct type_table *types = r->scope->types;
	struct go_type t = {
		.kind = kind, .flags = TYPE_COMPLETE, .align = size, .size = size, .elem = TYPE_NONE, .key = TYPE_NONE
	};

	for (uint32_t i = 0; i < types->n; i++)
		if (types->v[i].kind == kind && (types->v[i].flags & TYPE_COMPLETE) &&
		    !strcmp(type_string(types, types->v[i].name), go_kind_name(kind))) {
			*ret = i;
			return NULL;
		}
	struct err *err = type_table_intern(types, go_kind_name(kind), &t.name);
	return err ? err : type_table_add(types, &t, ret);
}

/* Give a node its type, completed; errors of the debug information are about the place. */
static struct err *set_type(const struct resolver *r, struct expr_node *node, uint32_t type)
{
	struct err *err = type < r->scope->types->n ? complete(r, type) : NULL;

	if (type >= r->scope->types->n)
		return expression_error(r->in->text, node->at, "",
					"what this points to is not in the debug information");
	if (err)
		return err;
	node->type = type;
	node->kind = r->scope->types->v[type].kind;
	return NULL;
}

static const struct go_type *type_of(const struct resolver *r, const struct expr_node *node)
{
	return &r->scope->types->v[node->type];
}

/* A node that starts from another, with its type until it gets its own. */
static struct expr_node derive(const struct resolver *r, uint8_t op, uint16_t from, uint32_t end)
{
	const struct expr_node *a = &r->out->nodes[from];

	return (struct expr_node){
		.op = op, .a = from, .at = a->at, .end = end, .kind = a->kind, .lists = a->lists, .type = a->type
	};
}

static bool is_range(const struct expr_node *node)
{
	return node->op == EXPR_SLICE;
}

/* Go follows a pointer by itself where something of this kind is wanted: an EXPR_DEREF between. */
static struct err *follow_to(struct resolver *r, enum go_kind kind, uint16_t *node_io)
{
	struct expr_node deref = derive(r, EXPR_DEREF, *node_io, r->out->nodes[*node_io].end);

	if (deref.kind != GO_POINTER || deref.type == TYPE_NONE)
		return NULL;
	uint32_t elem = type_of(r, &deref)->elem;
	if (elem >= r->scope->types->n || r->scope->types->v[elem].kind != kind)
		return NULL;
	deref.implied = true;
	struct err *err = set_type(r, &deref, elem);
	return err ? err : expression_add(r->out, &deref, node_io);
}

/* Values that are made of the ranges up to this node; of an open range only what the reader's own limit lets through. */
static uint64_t values_of(const struct resolver *r, uint16_t node)
{
	uint64_t n = 1;

	for (; node; node = r->out->nodes[node].a) {
		const struct expr_node *each = &r->out->nodes[node];
		if (each->op == EXPR_EACH && each->hi != EXPR_OPEN)
			n *= each->hi - each->lo > EXPR_VALUES_MAX ? EXPR_VALUES_MAX + 1 : each->hi - each->lo;
		if (n > EXPR_VALUES_MAX)
			break;
	}
	return n;
}

/* What follows a range takes its elements one by one. */
static struct err *take_each(struct resolver *r, uint16_t node)
{
	struct expr_node *n = &r->out->nodes[node];

	if (!is_range(n))
		return NULL;
	if (n->kind == GO_STRING)
		return NULL;
	n->op = EXPR_EACH;
	n->lists++;
	if (values_of(r, node) > EXPR_VALUES_MAX)
		return expression_error(r->in->text, r->out->nodes[n->a].end, "bound the range: xs[:8].Name",
					"these are more than %d values", EXPR_VALUES_MAX);
	return set_type(r, n, type_of(r, n)->elem);
}

/* ---- names --------------------------------------------------------------------------------------------------- */

static struct err *add_implied(struct resolver *r, struct expr_node *node, uint32_t type, uint16_t *node_io)
{
	struct err *err = set_type(r, node, type);

	node->implied = true;
	return err ? err : expression_add(r->out, node, node_io);
}

/* A captured variable: from the closure's context to its field, and on where that is a pointer to it. */
static struct err *resolve_captured(struct resolver *r, const struct expr_node *in, const struct expression_name *n,
				    uint16_t *ret)
{
	struct expr_node node = *in;
	struct err *err = expression_intern(r->out, n->name, (uint32_t)strlen(n->name), &node.name);

	r->out->params = true;
	node.var = EXPR_CONTEXT;
	if (!err)
		err = set_type(r, &node, r->scope->context);
	if (!err)
		err = expression_add(r->out, &node, ret);
	if (!err)
		err = follow_to(r, GO_STRUCT, ret);
	if (err)
		return err;
	struct expr_node field = derive(r, EXPR_FIELD, *ret, in->end);
	field.offset = n->offset;
	field.name = node.name;
	field.name_len = (uint32_t)strlen(n->name);
	err = add_implied(r, &field, n->type, ret);
	if (err || !n->shared)
		return err;
	struct expr_node deref = derive(r, EXPR_DEREF, *ret, in->end);
	return add_implied(r, &deref, r->scope->types->v[n->type].elem, ret);
}

static struct err *resolve_name(struct resolver *r, const struct expr_node *in, uint16_t *ret)
{
	struct expr_node node = *in;
	const char *name = expression_string(r->in, in);
	struct hint hint = { .wanted = name };
	char text[400];

	for (uint32_t i = 0; i < r->scope->n_names; i++) {
		const struct expression_name *n = &r->scope->names[i];

		if (!strcmp(n->name, name)) {
			if (n->captured)
				return resolve_captured(r, in, n, ret);
			node.var = i;
			r->out->params |= !n->result && !n->hit;
			r->out->results |= n->result;
			struct err *err = expression_intern(r->out, name, in->name_len, &node.name);
			if (!err)
				err = set_type(r, &node, n->type);
			return err ? err : expression_add(r->out, &node, ret);
		}
		hint_see(&hint, n->name);
	}
	return expression_error(r->in->text, in->at,
				hint_text(&hint, "it has no parameters or results", text, sizeof(text)),
				"there is no parameter or result '%s'", name);
}

/* ---- fields -------------------------------------------------------------------------------------------------- */

/* Structs in which a field is looked for: the one that was named, then those embedded in it, level by level (the Go specification,
 * "Selectors"). */
#define LEVELS_MAX 8
#define EMBEDDED_MAX 128

struct search {
	size_t n;
	struct embedded {
		uint32_t type;  /* a struct */
		uint32_t field; /* by which it is embedded */
		size_t parent;  /* index here */
		bool pointer;   /* embedded by a pointer */
	} v[EMBEDDED_MAX];
};

static bool search_has(const struct search *s, uint32_t type)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].type == type)
			return true;
	return false;
}

/* Put the structs embedded in s->v[parent] behind the others. */
static struct err *search_add(const struct resolver *r, struct search *s, size_t parent)
{
	const struct type_table *types = r->scope->types;
	struct err *err = NULL;

	for (uint32_t i = 0; i < types->v[s->v[parent].type].n_fields && !err; i++) {
		uint32_t field = types->v[s->v[parent].type].first_field + i, type = types->fields[field].type;
		bool pointer;

		if (!types->fields[field].embedded)
			continue;
		err = complete(r, type);
		pointer = !err && types->v[type].kind == GO_POINTER;
		if (pointer) {
			type = types->v[type].elem;
			err = type < types->n ? complete(r, type) : NULL;
		}
		if (err || type >= types->n || types->v[type].kind != GO_STRUCT || search_has(s, type) ||
		    s->n == EMBEDDED_MAX)
			continue;
		s->v[s->n++] = (struct embedded){ type, field, parent, pointer };
	}
	return err;
}

static struct err *add_field(struct resolver *r, uint32_t field, const struct expr_node *like, bool implied,
			     uint16_t *node_io)
{
	const struct go_field *f = &r->scope->types->fields[field];
	const char *name = type_string(r->scope->types, f->name);
	struct expr_node node = derive(r, EXPR_FIELD, *node_io, like->end);
	struct err *err;

	if (f->offset > UINT32_MAX)
		return expression_error(r->in->text, like->at, "",
					"a field that is too far from the start of its struct");
	node.implied = implied;
	node.field = field;
	node.offset = (uint32_t)f->offset;
	node.name_len = (uint32_t)strlen(name);
	err = expression_intern(r->out, name, node.name_len, &node.name);
	if (!err)
		err = set_type(r, &node, f->type);
	return err ? err : expression_add(r->out, &node, node_io);
}

/* The fields that lead to `field` of s->v[at], outermost first. */
static struct err *add_path(struct resolver *r, const struct search *s, size_t at, uint32_t field,
			    const struct expr_node *like, uint16_t *node_io)
{
	size_t way[LEVELS_MAX + 1], n = 0;
	struct err *err = NULL;

	for (; at; at = s->v[at].parent)
		way[n++] = at;
	while (n-- && !err) {
		err = add_field(r, s->v[way[n]].field, like, true, node_io);
		if (!err && s->v[way[n]].pointer)
			err = follow_to(r, GO_STRUCT, node_io);
	}
	return err ? err : add_field(r, field, like, false, node_io);
}

static struct err *find_field(struct resolver *r, const struct expr_node *in, uint16_t *node_io)
{
	const struct type_table *types = r->scope->types;
	const char *name = expression_string(r->in, in);
	uint32_t place = in->end - in->name_len, root = r->out->nodes[*node_io].type;
	struct search *s _cleanup_free_ = calloc(1, sizeof(*s));
	struct hint hint = { .wanted = name };
	size_t level = 0, end;
	char text[400];

	if (!s)
		return &err_nomem;
	s->v[s->n++].type = root;
	for (int depth = 0; level < s->n && depth < LEVELS_MAX; depth++, level = end) {
		size_t found = 0, found_at = 0;
		uint32_t field = 0;

		end = s->n;
		for (size_t i = level; i < end; i++) {
			const struct go_type *t = &types->v[s->v[i].type];

			for (uint32_t k = 0; k < t->n_fields; k++) {
				const char *has = type_string(types, types->fields[t->first_field + k].name);

				hint_see(&hint, has);
				if (strcmp(has, name) != 0 || !strcmp(has, "_"))
					continue;
				found++;
				found_at = i;
				field = t->first_field + k;
			}
		}
		if (found > 1)
			return expression_error(r->in->text, place, "name the embedded struct too",
						"'%s' is ambiguous: several structs in %s have it", name,
						resolver_type_name(r, root));
		if (found)
			return add_path(r, s, found_at, field, in, node_io);
		for (size_t i = level; i < end; i++) {
			struct err *err = search_add(r, s, i);
			if (err)
				return err;
		}
	}
	return expression_error(r->in->text, place, hint_text(&hint, "it has no fields", text, sizeof(text)),
				"%s has no field '%s'", resolver_type_name(r, root), name);
}

static struct err *resolve_field(struct resolver *r, const struct expr_node *in, uint16_t *node_io)
{
	struct err *err = take_each(r, *node_io);
	uint32_t place = in->end - in->name_len;

	if (!err)
		err = follow_to(r, GO_STRUCT, node_io);
	if (err)
		return err;
	const struct expr_node *node = &r->out->nodes[*node_io];
	if (node->kind == GO_STRUCT && node->type != TYPE_NONE)
		return find_field(r, in, node_io);
	if (node->kind == GO_INTERFACE)
		return expression_error(r->in->text, place, "name the type that it holds: x.(*pkg.T).Field",
					"an interface (%s) has no fields", resolver_type_name(r, node->type));
	return expression_error(r->in->text, place, "", "%s has no fields", resolver_node_type(r, node));
}

const char *resolver_node_type(const struct resolver *r, const struct expr_node *node)
{
	if (node->type != TYPE_NONE)
		return resolver_type_name(r, node->type);
	switch (node->op) {
	case EXPR_NIL:
		return "nil";
	case EXPR_INT:
	case EXPR_REAL:
		return "a number";
	case EXPR_STRING:
		return "a string literal";
	}
	return "a condition";
}

/* ---- elements ------------------------------------------------------------------------------------------------ */

/* An index of an array, slice, string or a range of one. */
static struct err *resolve_index(struct resolver *r, const struct expr_node *in, uint16_t *node_io)
{
	const struct expr_node *key = &r->in->nodes[in->b];
	const struct expr_node of = r->out->nodes[*node_io];
	bool in_place = is_range(&of);
	struct expr_node node = derive(r, EXPR_INDEX, in_place ? of.a : *node_io, in->end);
	uint64_t index = key->integer;

	if (key->op != EXPR_INT || key->duration)
		return expression_error(r->in->text, key->at, "", "an index of %s is a number",
					resolver_node_type(r, &of));
	if (key->negative)
		return expression_error(r->in->text, key->at, "", "an index is not negative");
	if (in_place) {
		if (of.hi != EXPR_OPEN && index >= of.hi - of.lo)
			return expression_error(r->in->text, key->at, "", "the range has only %u elements",
						of.hi - of.lo);
		index += of.lo;
	}
	if (node.kind == GO_ARRAY && index >= type_of(r, &node)->count)
		return expression_error(r->in->text, key->at, "", "%s has only %llu elements",
					resolver_node_type(r, &node), (unsigned long long)type_of(r, &node)->count);
	if (index > EXPR_INDEX_MAX)
		return expression_error(r->in->text, key->at, "", "an index can be at most %d", EXPR_INDEX_MAX);
	uint32_t type = type_of(r, &node)->elem;
	struct err *err = node.kind == GO_STRING ? basic_type(r, GO_UINT8, 1, &type) : NULL;

	node.lo = (uint32_t)index;
	if (!err)
		err = set_type(r, &node, type);
	if (err)
		return err;
	if (!in_place)
		return expression_add(r->out, &node, node_io);
	r->out->nodes[*node_io] = node;
	return NULL;
}

static bool is_key_kind(uint8_t kind)
{
	return kind == GO_STRING || (kind >= GO_BOOL && kind <= GO_UINTPTR);
}

static struct err *resolve_key(struct resolver *r, const struct expr_node *in, uint16_t *node_io)
{
	struct expr_node node = derive(r, EXPR_KEY, *node_io, in->end), key = r->in->nodes[in->b];
	const struct go_type *map = type_of(r, &node);
	struct err *err;

	if (map->key >= r->scope->types->n || map->elem >= r->scope->types->n)
		return expression_error(r->in->text, in->at, "",
					"the debug information does not say what this map holds");
	err = set_type(r, &key, map->key);
	if (!err && !is_key_kind(key.kind))
		err = expression_error(r->in->text, key.at, "a key is a string, an integer or a bool",
				       "a key of type %s cannot be written", resolver_type_name(r, key.type));
	if (!err && key.op == EXPR_STRING && memchr(expression_string(r->in, &key), 0, key.name_len))
		err = expression_error(r->in->text, key.at, "", "a key with a zero byte is not looked for");
	if (!err)
		err = resolver_check_literal(r, &r->in->nodes[in->b], &key);
	if (!err && key.op == EXPR_STRING)
		err = expression_intern(r->out, expression_string(r->in, &key), key.name_len, &key.name);
	if (!err)
		err = expression_add(r->out, &key, &node.b);
	if (!err)
		err = set_type(r, &node, type_of(r, &node)->elem);
	return err ? err : expression_add(r->out, &node, node_io);
}

static struct err *resolve_element(struct resolver *r, const struct expr_node *in, uint16_t *node_io)
{
	struct err *err = follow_to(r, GO_ARRAY, node_io);

	if (err)
		return err;
	const struct expr_node *node = &r->out->nodes[*node_io], *key = &r->in->nodes[in->b];
	if (key->op < EXPR_INT || key->op > EXPR_NIL)
		return expression_error(r->in->text, key->at, "", "an index is a literal");
	switch (node->type == TYPE_NONE ? GO_INVALID : node->kind) {
	case GO_ARRAY:
	case GO_SLICE:
	case GO_STRING:
		return resolve_index(r, in, node_io);
	case GO_MAP:
		return resolve_key(r, in, node_io);
	}
	return expression_error(r->in->text, in->at, "", "%s has no elements", resolver_node_type(r, node));
}

static struct err *resolve_range(struct resolver *r, const struct expr_node *in, uint16_t *node_io)
{
	struct err *err = follow_to(r, GO_ARRAY, node_io);
	uint32_t place = r->in->nodes[in->a].end;

	if (err)
		return err;
	const struct expr_node of = r->out->nodes[*node_io];
	bool in_place = is_range(&of);
	struct expr_node node = derive(r, EXPR_SLICE, in_place ? of.a : *node_io, in->end);
	uint32_t base = in_place ? of.lo : 0, end = in_place ? of.hi : EXPR_OPEN;

	if (node.type == TYPE_NONE || (node.kind != GO_ARRAY && node.kind != GO_SLICE && node.kind != GO_STRING))
		return expression_error(r->in->text, in->at, "", "%s has no elements", resolver_node_type(r, &node));
	/* an array that is larger than any bound can say stays open */
	if (node.kind == GO_ARRAY && end == EXPR_OPEN && type_of(r, &node)->count <= EXPR_INDEX_MAX)
		end = (uint32_t)type_of(r, &node)->count;
	if (end != EXPR_OPEN && (in->lo > end - base || (in->hi != EXPR_OPEN && in->hi > end - base)))
		return expression_error(r->in->text, place, "", "%s has only %u elements",
					in_place ? "the range" : resolver_node_type(r, &node), end - base);
	node.lo = base + in->lo;
	node.hi = in->hi == EXPR_OPEN ? end : base + in->hi;
	if (node.lo > EXPR_INDEX_MAX || (node.hi != EXPR_OPEN && node.hi > EXPR_INDEX_MAX))
		return expression_error(r->in->text, place, "", "a bound can be at most %d", EXPR_INDEX_MAX);
	if (!in_place)
		return expression_add(r->out, &node, node_io);
	r->out->nodes[*node_io] = node;
	return NULL;
}

/* ---- the other ways ------------------------------------------------------------------------------------------ */

static struct err *resolve_deref(struct resolver *r, const struct expr_node *in, uint16_t *node_io)
{
	struct err *err = take_each(r, *node_io);
	struct expr_node node = derive(r, EXPR_DEREF, *node_io, in->end);

	if (err)
		return err;
	if (node.kind != GO_POINTER || node.type == TYPE_NONE)
		return expression_error(r->in->text, in->at, "", "%s is no pointer", resolver_node_type(r, &node));
	node.at = in->at;
	err = set_type(r, &node, type_of(r, &node)->elem);
	return err ? err : expression_add(r->out, &node, node_io);
}

static struct err *find_type(const struct resolver *r, const char *name, uint32_t *ret)
{
	const struct type_table *types = r->scope->types;

	if (r->scope->dwarf)
		return dwarf_info_type(r->scope->dwarf, name, r->scope->types, ret);
	for (uint32_t i = 0; i < types->n; i++)
		if (!strcmp(type_string(types, types->v[i].name), name)) {
			*ret = i;
			return NULL;
		}
	return &err_notfound;
}

static struct err *resolve_assert(struct resolver *r, const struct expr_node *in, uint16_t *node_io)
{
	const char *name = expression_string(r->in, in), *text = r->in->text;
	struct err *err = take_each(r, *node_io);
	struct expr_node node = derive(r, EXPR_ASSERT, *node_io, in->end);
	uint32_t place = in->end - 1, type; /* the parenthesis behind the type */

	if (err)
		return err;
	if (node.kind != GO_INTERFACE || node.type == TYPE_NONE)
		return expression_error(text, in->at, "", "%s is no interface", resolver_node_type(r, &node));
	while (place > in->name_len && text[place - 1] == ' ')
		place--;
	place -= in->name_len;
	err = find_type(r, name, &type);
	if (err && err->code == ERR_NOTFOUND) {
		err_destroy(err);
		return expression_error(text, place, "a type has its package's whole path: *net/http.Request",
					"the program has no type '%s'", name);
	}
	if (err)
		return err;
	node.name_len = in->name_len;
	err = expression_intern(r->out, name, in->name_len, &node.name);
	if (!err)
		err = set_type(r, &node, type);
	if (!err && node.kind == GO_INTERFACE)
		err = expression_error(text, place, "name the type that it holds",
				       "'%s' is an interface, and an interface holds no other", name);
	return err ? err : expression_add(r->out, &node, node_io);
}

static struct err *resolve_len(struct resolver *r, const struct expr_node *in, uint16_t *node_io)
{
	struct err *err = follow_to(r, GO_ARRAY, node_io);

	if (err)
		return err;
	struct expr_node node = derive(r, in->op, *node_io, in->end);
	const char *what = in->op == EXPR_LEN ? "length" : "capacity";
	uint32_t place = r->in->nodes[in->a].at, type;

	if (is_range(&r->out->nodes[*node_io]))
		return expression_error(r->in->text, place, "", "the %s of a range is not read", what);
	switch (node.type == TYPE_NONE ? GO_INVALID : node.kind) {
	case GO_ARRAY:
		node.integer = type_of(r, &node)->count;
		break;
	case GO_SLICE:
	case GO_CHAN:
		break;
	case GO_STRING:
	case GO_MAP:
		if (in->op == EXPR_LEN)
			break;
		/* fallthrough */
	default:
		return expression_error(r->in->text, place, "", "%s has no %s", resolver_node_type(r, &node), what);
	}
	node.at = in->at;
	err = basic_type(r, GO_INT, 8, &type);
	if (!err)
		err = set_type(r, &node, type);
	return err ? err : expression_add(r->out, &node, node_io);
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

/* Is it a literal that an index or a key takes its value from? Its user makes of it what it needs. */
static bool is_used_as_key(const struct expression *e, uint16_t node)
{
	for (uint16_t i = node + 1; i < e->n; i++)
		if (e->nodes[i].op == EXPR_KEY && e->nodes[i].b == node)
			return true;
	return false;
}

static struct err *resolve_node(struct resolver *r, uint16_t index, uint16_t *ret)
{
	const struct expr_node *in = &r->in->nodes[index];

	if (in->op >= EXPR_FIELD && in->op <= EXPR_CAP)
		*ret = r->made[in->a];
	switch (in->op) {
	case EXPR_NAME:
		return resolve_name(r, in, ret);
	case EXPR_FIELD:
		return resolve_field(r, in, ret);
	case EXPR_DEREF:
		return resolve_deref(r, in, ret);
	case EXPR_KEY:
		return resolve_element(r, in, ret);
	case EXPR_SLICE:
		return resolve_range(r, in, ret);
	case EXPR_ASSERT:
		return resolve_assert(r, in, ret);
	case EXPR_LEN:
	case EXPR_CAP:
		return resolve_len(r, in, ret);
	}
	return resolver_condition(r, in, ret);
}

struct err *expression_resolve(const struct expression *parsed, const struct expression_scope *scope,
			       struct expression **ret)
{
	struct resolver r = { .in = parsed, .scope = scope };
	struct err *err = expression_create(parsed->text, strlen(parsed->text), &r.out);

	for (uint16_t i = 1; i < parsed->n && !err; i++)
		if (!is_used_as_key(parsed, i))
			err = resolve_node(&r, i, &r.made[i]);
	if (err) {
		expression_destroy(r.out);
		return err;
	}
	r.out->root = r.made[parsed->root];
	*ret = r.out;
	return NULL;
}
