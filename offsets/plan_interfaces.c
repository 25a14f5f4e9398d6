/* SPDX-License-Identifier: Apache-2.0 */
/* What an interface can hold: for each run-time type that has the methods asked for, the steps that read a value of it.
 *
 * The types are those that DWARF gives a run-time type; their methods are read from the run-time system's own descriptions, as it does
 * itself when it converts (runtime/iface.go). One group of lists for each number of pointer hops left. */
#include <stdlib.h>
#include <string.h>

#include "plan_follow.h"
#include "rtypes.h"

#define ANY_MAX 2048u   /* types that an interface without methods is prepared for, of each group */
#define ITAB_TYPE 8     /* offset of the type in runtime.itab (internal/abi.ITab) */
#define ASKED_MAX 1024u /* interface types: a plan that has more prepares for no others */

/* An interface type, and what it can hold. */
struct asked {
	uint64_t interface;             /* run-time type; 0: without methods */
	uint32_t *types;                /* indices in plan_interfaces.v, in the order in which they are prepared */
	size_t n, most;                 /* at most so many are prepared that were not yet */
	uint8_t done[HOPS_MAX / 8 + 1]; /* bits, by hops */
};

struct plan_interfaces {
	struct rtypes *rt;
	struct dwarf_rtype *v;
	size_t n;
	uint64_t *masks;             /* rtypes_mask() of each; NULL until one is asked for */
	uint8_t *prepared[HOPS_MAX]; /* by hops: for each of v, whether it is; NULL where none is */
	size_t n_asked;
	struct asked asked[ASKED_MAX];
};

void plan_interfaces_destroy(struct plan_interfaces *in)
{
	if (!in)
		return;
	for (size_t i = 0; i < HOPS_MAX; i++)
		free(in->prepared[i]);
	for (size_t i = 0; i < in->n_asked; i++)
		free(in->asked[i].types);
	rtypes_destroy(in->rt);
	free(in->masks);
	free(in->v);
	free(in);
}

static struct err *open_interfaces(struct plan_builder *b)
{
	struct plan_interfaces *in = b->interfaces;
	const struct plan_binary *bin = &b->plan->binary;
	struct err *err;

	if (in)
		return NULL;
	in = b->interfaces = calloc(1, sizeof(*in));
	if (!in)
		return &err_nomem;
	if (!bin->types_base || !b->dwarf)
		return NULL;
	err = rtypes_open(b->program->elf, bin->go_minor, bin->types_base, &in->rt);
	if (!err)
		err = dwarf_info_runtime_types(b->dwarf, &in->v, &in->n);
	if (err && err->code != ERR_NOMEM) {
		/* then no type is known, and each value is shown as its first bytes */
		err_destroy(err);
		err = NULL;
	}
	return err;
}

static bool begins(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

/* Is it likely that a program passes such a type as `any`? What only the run-time system and the compiler have is not. */
static bool is_usual(const char *name)
{
	name += strspn(name, "*[]");
	return !begins(name, "runtime.") && !begins(name, "internal/") && !begins(name, "noalg.") &&
	       !begins(name, "map.") && !begins(name, "func(") && !begins(name, "struct { F uintptr");
}

/* The program's own types and the language's are prepared before those of packages. */
static bool is_near(const char *name)
{
	return !strchr(name, '.') || strstr(name, "main.");
}

/* One type of a group. *added_ret: it counts. */
static struct err *prepare_type(struct list_builder *r, size_t index, uint32_t hops, bool *added_ret)
{
	struct plan_builder *b = r->b;
	struct plan_interfaces *in = b->interfaces;
	const struct dwarf_rtype *d = &in->v[index];
	struct plan_dispatch entry = { .group = hops };
	struct rtype rt;
	uint32_t type;
	struct err *err;

	*added_ret = false;
	if (in->prepared[hops][index] || b->plan->n_dispatches >= DISPATCH_MAX)
		return NULL;
	in->prepared[hops][index] = 1;
	err = rtypes_read(in->rt, d->runtime_type, &rt);
	if (!err)
		err = dwarf_info_type_at(b->dwarf, d->die, &b->plan->types, &type);
	if (err) {
		bool memory = err->code == ERR_NOMEM;
		if (!memory)
			err_destroy(err); /* values of it are then shown as bytes */
		return memory ? err : NULL;
	}
	if (!follow_complete(r, type, &err))
		return err;
	struct go_type *t = &b->plan->types.v[type];
	if (rt.kind != t->kind || rt.size != t->size || rt.kind == GO_INTERFACE)
		return NULL;
	t->runtime_type = d->runtime_type;
	if (rt.direct)
		t->flags |= TYPE_DIRECT;
	entry.type = b->plan->binary.types_base + d->runtime_type;
	err = plan_list_for(b, rt.direct ? LIST_DATA : LIST_BOXED, type, hops, &entry.list);
	if (!err)
		err = plan_append(b, dispatches, entry);
	*added_ret = !err;
	return err;
}

static struct err *make_masks(struct plan_interfaces *in)
{
	if (in->masks)
		return NULL;
	in->masks = malloc((in->n + 1) * sizeof(*in->masks));
	if (!in->masks)
		return &err_nomem;
	for (size_t i = 0; i < in->n; i++)
		in->masks[i] = rtypes_mask(in->rt, in->v[i].runtime_type);
	return NULL;
}

/* Which types an interface can hold. `any` holds what is usual. */
static struct err *find_held(struct plan_interfaces *in, struct asked *a)
{
	struct rtype_methods methods;
	struct err *err;

	a->most = a->interface ? in->n : ANY_MAX;
	if (!in->rt || (a->interface && !rtypes_asked(in->rt, a->interface, &methods)))
		return NULL;
	if (!a->interface) {
		for (int pass = 0; pass < 2; pass++)
			for (size_t i = 0; i < in->n; i++)
				if (is_usual(in->v[i].name) && is_near(in->v[i].name) != pass)
					a->types[a->n++] = i;
		return NULL;
	}
	err = make_masks(in);
	for (size_t i = 0; i < in->n && !err; i++)
		if (!(methods.mask & ~in->masks[i]) && rtypes_implements(in->rt, in->v[i].runtime_type, &methods))
			a->types[a->n++] = i;
	return err;
}

/* *ret is NULL where there are too many. */
static struct err *asked_for(struct plan_interfaces *in, uint64_t interface, struct asked **ret)
{
	struct asked *a;

	*ret = NULL;
	for (size_t i = 0; i < in->n_asked; i++)
		if (in->asked[i].interface == interface) {
			*ret = &in->asked[i];
			return NULL;
		}
	if (in->n_asked == ASKED_MAX)
		return NULL;
	a = &in->asked[in->n_asked];
	*a = (struct asked){ .interface = interface, .types = malloc((in->n + 1) * sizeof(*a->types)) };
	if (!a->types)
		return &err_nomem;
	in->n_asked++;
	struct err *err = find_held(in, a);
	uint32_t *less = realloc(a->types, (a->n + 1) * sizeof(*a->types));
	if (less)
		a->types = less;
	*ret = a;
	return err;
}

/* Every type that an interface of that type can hold. `interface` 0: any. */
static struct err *prepare(struct list_builder *r, uint64_t interface, uint32_t hops)
{
	struct plan_builder *b = r->b;
	struct plan_interfaces *in = b->interfaces;
	struct plan_dispatch unknown = { .group = hops };
	struct asked *a;
	struct err *err = asked_for(in, interface, &a);
	size_t n = 0;
	bool added;

	if (err || !a || a->done[hops / 8] >> hops % 8 & 1)
		return err;
	a->done[hops / 8] |= 1 << hops % 8;
	if (!in->prepared[hops]) {
		in->prepared[hops] = calloc(1, in->n + 1);
		if (!in->prepared[hops])
			return &err_nomem;
		err = plan_list_for(b, LIST_UNKNOWN, TYPE_NONE, 0, &unknown.list);
		if (!err)
			err = plan_append(b, dispatches, unknown);
	}
	for (size_t i = 0; i < a->n && n < a->most && !err; i++) {
		err = prepare_type(r, a->types[i], hops, &added);
		n += added;
	}
	return err;
}

struct err *follow_interface(struct list_builder *r, const struct source *s, uint32_t type)
{
	const struct go_type t = r->b->plan->types.v[type];
	struct step step = { .op = STEP_DISPATCH,
			     .len = t.flags & TYPE_EMPTY_IFACE ? 0 : ITAB_TYPE,
			     .max = s->hops,
			     .src = { list_word(r, s, 0), list_word(r, s, 8) } };
	struct err *err;
	bool added;

	if (step.src.ptr.kind == LOC_NONE || step.src.len.kind == LOC_NONE || s->hops >= HOPS_MAX)
		return NULL;
	err = open_interfaces(r->b);
	/* An interface type that the run-time system does not know: what methods it asks for is not known either, so it may be anything. */
	if (!err)
		err = prepare(r, t.flags & TYPE_EMPTY_IFACE ? 0 : t.runtime_type, s->hops);
	return err ? err : list_step(r, &step, &added);
}
