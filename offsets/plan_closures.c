/* SPDX-License-Identifier: Apache-2.0 */
/* Func values: which function it is, is known at the hit; then what it captured is read by that function's own list of steps.
 *
 * A func value points to the address of its code, behind which the captured variables stand (cmd/compile/internal/typecheck/func.go,
 * ClosureStructIter). Prepared are the function literals and method values of the program's own packages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan_follow.h"

#define CLOSURES_MAX 1024u    /* functions that capture something */
#define CLOSURE_SIZE_MAX 4096 /* bytes of what one captures */
#define CODE_POINTER 8        /* what a func value begins with */

struct plan_closures {
	size_t n;
	struct dwarf_closure *v;
	uint32_t *types; /* of each; TYPE_NONE: it cannot be shown */
	bool prepared[HOPS_MAX + 1];
};

void plan_closures_destroy(struct plan_closures *c)
{
	if (!c)
		return;
	free(c->v);
	free(c->types);
	free(c);
}

/* Errors of the debug information: what it captured is not known then. */
static struct err *forgive(struct err *err)
{
	if (err && err->code == ERR_NOMEM)
		return err;
	err_destroy(err);
	return NULL;
}

/* "main.(*T).Method-fm", "main.T.Method-fm" → the receiver's type. False for names that do not tell it: of generic types. */
static bool receiver_name(const char *name, char *ret, size_t size)
{
	const char *slash = strchr(name, '[') ? NULL : strrchr(name, '/'), *dot, *end;
	size_t package;

	if (strchr(name, '['))
		return false;
	dot = strchr(slash ? slash : name, '.');
	end = strrchr(name, '.');
	if (!dot || end == dot)
		return false;
	package = (size_t)(dot - name);
	if (dot[1] != '(')
		return (size_t)snprintf(ret, size, "%.*s", (int)(end - name), name) < size;
	if (dot[2] != '*' || end[-1] != ')')
		return false;
	return (size_t)snprintf(ret, size, "*%.*s.%.*s", (int)package, name, (int)(end - 1 - (dot + 3)), dot + 3) <
	       size;
}

/* The one variable that a method value has. */
static struct err *read_receiver(struct plan_builder *b, const char *function, struct dwarf_capture **ret,
				 size_t *n_ret)
{
	char name[512];
	struct err *err;

	*ret = NULL;
	*n_ret = 0;
	if (!receiver_name(function, name, sizeof(name)))
		return NULL;
	struct dwarf_capture *v = calloc(1, sizeof(*v));
	if (!v)
		return &err_nomem;
	v->name = "receiver";
	v->offset = CODE_POINTER;
	err = dwarf_info_type(b->dwarf, name, &b->plan->types, &v->type);
	if (!err)
		err = dwarf_info_complete(b->dwarf, &b->plan->types, v->type);
	if (err) {
		free(v);
		return err;
	}
	*ret = v;
	*n_ret = 1;
	return NULL;
}

/* "&x" with a pointer's type: the func value holds that pointer, or, of a variable that the function keeps in memory, the value itself
 * (cmd/compile/internal/ssagen, the same name for both). It is the pointer where the value does not fit before the next variable, or would
 * be kept in registers: what is one word or a few of the language's own; but in instances of generic functions anything can be in memory. */
static bool is_ambiguous(const struct type_table *types, const char *function, const struct dwarf_capture *v, size_t i,
			 size_t n)
{
	uint32_t elem = types->v[v[i].type].elem;

	if (v[i].name[0] != '&')
		return false;
	if (types->v[v[i].type].kind != GO_POINTER || elem >= types->n || !(types->v[elem].flags & TYPE_COMPLETE))
		return true;
	if (i + 1 < n && v[i + 1].offset < v[i].offset + types->v[elem].size)
		return false;
	return types->v[elem].kind == GO_STRUCT || types->v[elem].kind == GO_ARRAY || strchr(function, '[');
}

/* What pointers among them lead to. */
static struct err *complete_all(struct plan_builder *b, const struct dwarf_capture *v, size_t n)
{
	struct err *err = NULL;

	for (size_t i = 0; i < n && !err; i++)
		if (b->plan->types.v[v[i].type].kind == GO_POINTER &&
		    b->plan->types.v[v[i].type].elem < b->plan->types.n)
			err = forgive(dwarf_info_complete(b->dwarf, &b->plan->types, b->plan->types.v[v[i].type].elem));
	return err;
}

/* A struct type for what a func value of this function points to. *partial_ret: there are holes in it, where a variable stood that the
 * debug information leaves out. TYPE_NONE where the offsets make no struct. */
static struct err *make_type(struct plan_builder *b, const char *name, const struct dwarf_capture *v, size_t n,
			     uint32_t *type_ret, bool *partial_ret)
{
	struct type_table *types = &b->plan->types;
	struct go_type t = { .kind = GO_STRUCT,
			     .flags = TYPE_COMPLETE,
			     .align = 8,
			     .elem = TYPE_NONE,
			     .key = TYPE_NONE,
			     .first_field = (uint32_t)types->n_fields };
	uint64_t end = CODE_POINTER;
	struct err *err = type_table_intern(types, name, &t.name);

	*type_ret = TYPE_NONE;
	*partial_ret = false;
	for (size_t i = 0; i < n && !err; i++) {
		struct go_field field = { .type = v[i].type, .offset = v[i].offset };
		const struct go_type *of = &types->v[v[i].type];
		uint64_t align = of->align ? of->align : 1;

		if (v[i].offset < end || v[i].offset > CLOSURE_SIZE_MAX || of->size > CLOSURE_SIZE_MAX)
			return NULL;
		*partial_ret |= v[i].offset >= (end + align - 1) / align * align + align;
		end = v[i].offset + of->size;
		if (is_ambiguous(types, name, v, i, n)) {
			*partial_ret = true;
			continue;
		}
		if (v[i].name[0] == '.') /* a dictionary, or what the compiler made */
			continue;
		err = type_table_intern(types, v[i].name, &field.name);
		if (!err)
			err = type_table_add_field(types, &field);
		if (holds_pointers(types, field.type))
			t.flags |= TYPE_POINTERS;
		t.n_fields++;
	}
	if (err || !t.n_fields)
		return err;
	t.size = end;
	return type_table_add(types, &t, type_ret);
}

struct err *plan_closure_type(struct plan_builder *b, const struct dwarf_closure *closure, uint32_t *type_ret,
			      bool *partial_ret)
{
	struct dwarf_capture *v = NULL;
	size_t n = 0;
	struct err *err = dwarf_is_method_value(closure->name)
				  ? read_receiver(b, closure->name, &v, &n)
				  : dwarf_info_captures(b->dwarf, closure->die, &b->plan->types, &v, &n);

	*type_ret = TYPE_NONE;
	*partial_ret = false;
	if (!err)
		err = complete_all(b, v, n);
	if (!err)
		err = make_type(b, closure->name, v, n, type_ret, partial_ret);
	free(v);
	return err;
}

struct err *plan_read_context(struct plan_builder *b, const struct plan_func *f, const struct dwarf_func *df)
{
	struct go_type t = {
		.kind = GO_POINTER, .flags = TYPE_COMPLETE, .align = 8, .size = 8, .elem = TYPE_NONE, .key = TYPE_NONE
	};
	struct err *err;
	bool partial;

	b->context = TYPE_NONE;
	if (!df || f->abi != GO_ABI_INTERNAL || dwarf_is_method_value(df->name))
		return NULL;
	struct dwarf_closure closure = { .entry = f->entry, .die = df->die, .name = df->name };
	err = forgive(plan_closure_type(b, &closure, &t.elem, &partial));
	return err || t.elem == TYPE_NONE ? err : type_table_add(&b->plan->types, &t, &b->context);
}

static int by_entry(const void *a, const void *b)
{
	const struct dwarf_closure *x = a, *y = b;

	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

static struct err *open_closures(struct plan_builder *b)
{
	struct plan_closures *c = b->closures;
	const struct go_build *build = b->program->build;
	struct err *err;

	if (c)
		return NULL;
	c = b->closures = calloc(1, sizeof(*c));
	if (!c)
		return &err_nomem;
	if (!b->dwarf)
		return NULL;
	const char *module = build && build->main_module.path ? build->main_module.path : "";
	err = forgive(dwarf_info_closures(b->dwarf, module, CLOSURES_MAX, &c->v, &c->n));
	c->types = calloc(c->n + 1, sizeof(*c->types));
	if (!err && !c->types)
		err = &err_nomem;
	qsort(c->v, c->n, c->n ? sizeof(*c->v) : 1, by_entry);
	for (size_t i = 0; i < c->n && !err; i++) {
		struct plan_closure known = { .entry = c->v[i].entry };
		bool partial = false;

		c->types[i] = TYPE_NONE;
		err = forgive(plan_closure_type(b, &c->v[i], &c->types[i], &partial));
		known.type = c->types[i];
		known.partial = partial;
		if (!err && c->types[i] != TYPE_NONE)
			err = plan_append(b, closures, known);
	}
	return err;
}

/* The lists for all functions, for so many hops that are left behind what they captured. *any_ret: there are some. */
static struct err *prepare(struct plan_builder *b, uint32_t hops, bool *any_ret)
{
	struct err *err = open_closures(b);
	struct plan_closures *c = b->closures;

	*any_ret = !err && b->plan->n_closures;
	if (err || c->prepared[hops])
		return err;
	c->prepared[hops] = true;
	for (size_t i = 0; i < c->n && !err; i++) {
		struct plan_dispatch entry = { .type = c->v[i].entry, .group = GROUP_FUNCS + hops };

		if (c->types[i] == TYPE_NONE || b->plan->n_dispatches >= DISPATCH_MAX)
			continue;
		err = plan_list_for(b, LIST_BOXED, c->types[i], hops, &entry.list);
		if (!err)
			err = plan_append(b, dispatches, entry);
	}
	return err;
}

struct err *follow_func(struct list_builder *r, const struct source *s)
{
	struct step code = { .op = STEP_READ, .len = CODE_POINTER, .src.ptr = list_word(r, s, 0) };
	struct err *err = NULL;
	bool any = false, added;

	if (code.src.ptr.kind == LOC_NONE)
		return NULL;
	/* what is captured is behind a pointer: a hop */
	if (s->hops && s->hops <= HOPS_MAX)
		err = prepare(r->b, s->hops - 1, &any);
	if (!err)
		err = list_step(r, &code, &added);
	if (err || !added || !any)
		return err;
	struct step step = { .op = STEP_DISPATCH,
			     .max = GROUP_FUNCS + s->hops - 1,
			     .src = { { .kind = LOC_CHUNK, .index = r->b->plan->n_steps - 1 - r->first_step },
				      code.src.ptr } };
	return list_step(r, &step, &added);
}
