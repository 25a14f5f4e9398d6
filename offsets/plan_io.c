/* SPDX-License-Identifier: Apache-2.0 */
/* A plan in a file: a head with the sizes of every structure and the length of every array, then the arrays as they stand in memory.
 * It is read back only by the build that wrote it (the sizes and PLAN_FORMAT must agree), and is as untrusted as any other file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plan.h"

#define PLAN_MAGIC "GSPLAN\0"
#define PLAN_FORMAT 10
#define PLAN_FILE_MAX (1u << 30) /* bytes: 100,000 functions take about 300 MiB */
#define ARRAYS 17

struct plan_head {
	char magic[8];
	uint32_t format;
	uint32_t item[ARRAYS]; /* bytes of one element */
	uint64_t count[ARRAYS];
	uint32_t binary_size;
};

struct array {
	void **v;
	size_t *n;
	uint32_t item;
};

static void list_arrays(struct plan *p, struct array a[ARRAYS])
{
	size_t i = 0;

	a[i++] = (struct array){ (void **)&p->types.v, &p->types.n, sizeof(*p->types.v) };
	a[i++] = (struct array){ (void **)&p->types.fields, &p->types.n_fields, sizeof(*p->types.fields) };
	a[i++] = (struct array){ (void **)&p->types.strings, &p->types.strings_size, 1 };
	a[i++] = (struct array){ (void **)&p->funcs, &p->n_funcs, sizeof(*p->funcs) };
	a[i++] = (struct array){ (void **)&p->sites, &p->n_sites, sizeof(*p->sites) };
	a[i++] = (struct array){ (void **)&p->values, &p->n_values, sizeof(*p->values) };
	a[i++] = (struct array){ (void **)&p->pieces, &p->n_pieces, sizeof(*p->pieces) };
	a[i++] = (struct array){ (void **)&p->steps, &p->n_steps, sizeof(*p->steps) };
	a[i++] = (struct array){ (void **)&p->vars, &p->n_vars, sizeof(*p->vars) };
	a[i++] = (struct array){ (void **)&p->warnings, &p->n_warnings, sizeof(*p->warnings) };
	a[i++] = (struct array){ (void **)&p->lists, &p->n_lists, sizeof(*p->lists) };
	a[i++] = (struct array){ (void **)&p->dispatches, &p->n_dispatches, sizeof(*p->dispatches) };
	a[i++] = (struct array){ (void **)&p->maps, &p->n_maps, sizeof(*p->maps) };
	a[i++] = (struct array){ (void **)&p->ways, &p->n_ways, sizeof(*p->ways) };
	a[i++] = (struct array){ (void **)&p->closures, &p->n_closures, sizeof(*p->closures) };
	a[i++] = (struct array){ (void **)&p->filters, &p->n_filters, sizeof(*p->filters) };
	a[i++] = (struct array){ (void **)&p->callers, &p->n_callers, sizeof(*p->callers) };
}

static void make_head(struct plan_head *h, const struct array a[ARRAYS])
{
	memset(h, 0, sizeof(*h));
	memcpy(h->magic, PLAN_MAGIC, sizeof(h->magic));
	h->format = PLAN_FORMAT;
	for (size_t i = 0; i < ARRAYS; i++) {
		h->item[i] = a[i].item;
		h->count[i] = *a[i].n;
	}
	h->binary_size = sizeof(struct plan_binary);
}

static bool write_all(int fd, const void *data, size_t size)
{
	const uint8_t *p = data;

	while (size) {
		ssize_t n = write(fd, p, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		size -= n;
	}
	return true;
}

struct err *plan_write_fd(const struct plan *plan, int fd)
{
	struct array a[ARRAYS];
	struct plan_head head;
	bool ok;

	list_arrays((struct plan *)plan, a);
	make_head(&head, a);
	ok = write_all(fd, &head, sizeof(head)) && write_all(fd, &plan->binary, sizeof(plan->binary));
	for (size_t i = 0; i < ARRAYS && ok; i++)
		ok = write_all(fd, *a[i].v, *a[i].n * a[i].item);
	return ok ? NULL : err_create(ERR_IO, "writing a plan: %s", strerror(errno));
}

static bool read_all(int fd, void *data, size_t size)
{
	uint8_t *p = data;

	while (size) {
		ssize_t n = read(fd, p, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		size -= n;
	}
	return true;
}

struct err *plan_read_fd(int fd, struct plan **ret)
{
	struct array a[ARRAYS];
	struct plan_head head, want;
	struct stat st;
	uint64_t total = sizeof(head) + sizeof(struct plan_binary);

	if (fstat(fd, &st))
		return err_create(ERR_IO, "plan: %s", strerror(errno));
	struct plan *plan = calloc(1, sizeof(*plan));
	if (!plan)
		return &err_nomem;
	list_arrays(plan, a);
	make_head(&want, a);
	off_t at = lseek(fd, 0, SEEK_CUR);
	if (at < 0)
		at = 0;
	uint64_t left = st.st_size > at ? st.st_size - at : 0;
	bool ok = left <= PLAN_FILE_MAX && read_all(fd, &head, sizeof(head)) &&
		  !memcmp(head.magic, want.magic, sizeof(head.magic)) && head.format == want.format &&
		  head.binary_size == want.binary_size && !memcmp(head.item, want.item, sizeof(head.item));
	for (size_t i = 0; i < ARRAYS && ok; i++) {
		ok = head.count[i] <= PLAN_FILE_MAX;
		if (ok)
			total += head.count[i] * a[i].item;
	}
	ok = ok && total == left && read_all(fd, &plan->binary, sizeof(plan->binary));
	for (size_t i = 0; i < ARRAYS && ok; i++) {
		/* one more byte, so that an empty array is no NULL */
		*a[i].v = malloc(head.count[i] * a[i].item + 1);
		if (!*a[i].v) {
			plan_destroy(plan);
			return &err_nomem;
		}
		*a[i].n = head.count[i];
		ok = read_all(fd, *a[i].v, head.count[i] * a[i].item);
	}
	plan->types.cap = plan->types.n;
	plan->types.cap_fields = plan->types.n_fields;
	plan->types.strings_cap = plan->types.strings_size;
	struct err *err = ok ? plan_check(plan) : err_create(ERR_MALFORMED, "not a plan of this version, or damaged");
	if (err) {
		plan_destroy(plan);
		return err;
	}
	*ret = plan;
	return NULL;
}

struct err *plan_set_file(struct plan *plan, const char *path, const struct file_id *id)
{
	struct type_table *t = &plan->types;
	size_t len = strlen(path) + 1;
	char *strings;

	if (len > UINT32_MAX - t->strings_size)
		return err_create(ERR_UNSUPPORTED, "too many names in a plan");
	/* Not interned: a table that was read back has no lookup tables, and needs none for one name. */
	strings = realloc(t->strings, t->strings_size + len);
	if (!strings)
		return &err_nomem;
	t->strings = strings;
	memcpy(strings + t->strings_size, path, len);
	plan->binary.path = t->strings_size;
	t->strings_size += len;
	t->strings_cap = t->strings_size;
	plan->binary.id = *id;
	return NULL;
}

/* ---- checking ------------------------------------------------------------------------------------------------ */

static bool range_ok(uint64_t first, uint64_t n, uint64_t of)
{
	return first <= of && n <= of - first;
}

static bool string_ok(const struct plan *p, uint32_t offset)
{
	return offset < p->types.strings_size;
}

static bool type_ok(const struct plan *p, uint32_t type)
{
	return type < p->types.n;
}

static const char *check_types(const struct plan *p)
{
	if (!p->types.strings_size || p->types.strings[0] || p->types.strings[p->types.strings_size - 1])
		return "strings";
	for (size_t i = 0; i < p->types.n; i++) {
		const struct go_type *t = &p->types.v[i];
		if (!string_ok(p, t->name) || t->kind > GO_UNSAFE_POINTER ||
		    (t->elem != TYPE_NONE && !type_ok(p, t->elem)) || (t->key != TYPE_NONE && !type_ok(p, t->key)) ||
		    !range_ok(t->first_field, t->n_fields, p->types.n_fields) || t->map > p->n_maps)
			return "a type";
	}
	for (size_t i = 0; i < p->types.n_fields; i++)
		if (!string_ok(p, p->types.fields[i].name) || !type_ok(p, p->types.fields[i].type))
			return "a field";
	return NULL;
}

static bool location_ok(const location_t *l, uint32_t step)
{
	switch (l->kind) {
	case LOC_NONE:
	case LOC_STACK:
	case LOC_SP:
	case LOC_DATA:
		return true;
	case LOC_ITEM:
		return l->offset >= 0;
	case LOC_REGISTER:
		return l->index < RECORD_REGS;
	case LOC_CHUNK:
		return l->index < step && l->offset >= 0;
	}
	return false;
}

/* The programs check every place that they read; what is checked here is what the loader takes apart. */
static const char *check_steps(const struct plan *p, uint32_t first, uint32_t n, bool deep)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct step *st = &p->steps[first + i];
		if (st->op < STEP_READ || st->op > (deep ? STEP_DISPATCH : STEP_COUNTED) ||
		    !location_ok(&st->src.ptr, i) || !location_ok(&st->src.len, i) ||
		    (st->op == STEP_EACH && (st->off < 0 || (uint32_t)st->off >= p->n_lists)))
			return "a step";
	}
	return NULL;
}

static bool map_ok(const struct plan *p, const struct plan_map *m)
{
	const uint64_t group = m->group_size;
	const uint32_t header[] = { m->count,       m->flags,   m->shift, m->buckets,
				    m->old_buckets, m->writing, m->dir,   m->dir_len };

	for (size_t i = 0; i < sizeof(header) / sizeof(*header); i++)
		if (!range_ok(header[i], 8, m->header_size))
			return false;
	return type_ok(p, m->key) && type_ok(p, m->elem) && range_ok(m->control, MAP_SLOTS, group) &&
	       m->keys + MAP_SLOTS * (uint64_t)m->key_stride <= group + m->key_stride &&
	       m->elems + MAP_SLOTS * (uint64_t)m->elem_stride <= group + m->elem_stride &&
	       (m->swiss ? range_ok(m->table_groups, 8, m->table_size) && range_ok(m->table_mask, 8, m->table_size)
			 : range_ok(m->overflow, 8, group));
}

static const char *check_lists(const struct plan *p)
{
	for (size_t i = 0; i < p->n_lists; i++) {
		const struct plan_list *l = &p->lists[i];
		if (l->n_steps > STEPS_MAX || !range_ok(l->first_step, l->n_steps, p->n_steps) ||
		    check_steps(p, l->first_step, l->n_steps, true))
			return "a list of steps";
	}
	for (size_t i = 0; i < p->n_dispatches; i++)
		if (p->dispatches[i].list >= p->n_lists || p->dispatches[i].group >= GROUPS_END)
			return "what an interface holds";
	for (size_t i = 0; i < p->n_closures; i++)
		if (!type_ok(p, p->closures[i].type) || p->types.v[p->closures[i].type].kind != GO_STRUCT)
			return "what a function captured";
	for (size_t i = 0; i < p->n_maps; i++)
		if (!map_ok(p, &p->maps[i]))
			return "a map";
	return NULL;
}

static const char *check_ways(const struct plan *p, const struct plan_value *v)
{
	if (v->n_ways > PLAN_WAYS_MAX || !range_ok(v->first_way, v->n_ways, p->n_ways))
		return "the way to a value";
	for (uint32_t i = 0; i < v->n_ways; i++) {
		const struct plan_way *w = &p->ways[v->first_way + i];
		if (w->op < EXPR_FIELD || w->op > EXPR_CAP || !type_ok(p, w->type) || !string_ok(p, w->name) ||
		    ((w->op == EXPR_SLICE || w->op == EXPR_EACH) && w->hi < w->lo))
			return "the way to a value";
	}
	return NULL;
}

/* C that goes to the compiler: only what where_c.c writes, so no preprocessor, no strings, no comments. */
static bool filter_text_ok(const struct plan *p, uint32_t string)
{
	static const char signs[] = " \n_(){}[]=!<>&+*?:;,.-";
	const char *s = string_ok(p, string) ? p->types.strings + string : "#";

	for (; *s; s++)
		if (!(*s >= '0' && *s <= '9') && !(*s >= 'a' && *s <= 'z') && !(*s >= 'A' && *s <= 'Z') &&
		    !strchr(signs, *s))
			return false;
	return true;
}

static const char *check_filters(const struct plan *p)
{
	if (p->n_filters > PLAN_FILTERS_MAX)
		return "too many conditions";
	for (size_t i = 0; i < p->n_filters; i++)
		if (!filter_text_ok(p, p->filters[i].enter) || !filter_text_ok(p, p->filters[i].leave) ||
		    !filter_text_ok(p, p->filters[i].by))
			return "a condition";
	return NULL;
}

static const char *check_site(const struct plan *p, const struct plan_site *s)
{
	if (!string_ok(p, s->insn) || s->kind > SITE_RETURN || s->g_source > G_TLS || s->n_steps > STEPS_MAX ||
	    s->filter > p->n_filters || !range_ok(s->first_step, s->n_steps, p->n_steps) ||
	    !range_ok(s->first_value, s->n_values, p->n_values) ||
	    !range_ok(s->first_caller, s->n_callers, p->n_callers) || !location_ok(&s->return_at, s->n_steps))
		return "a site";
	for (uint32_t i = 0; i < s->n_callers; i++) {
		const struct plan_caller *c = &p->callers[s->first_caller + i];
		if (c->at.kind != LOC_CONSTANT && !location_ok(&c->at, s->n_steps))
			return "a caller";
	}
	const char *bad = check_steps(p, s->first_step, s->n_steps, s->deep);
	if (bad)
		return bad;
	for (uint32_t i = 0; i < s->n_values; i++) {
		const struct plan_value *v = &p->values[s->first_value + i];
		if (!string_ok(p, v->name) || !type_ok(p, v->type) ||
		    !range_ok(v->first_piece, v->n_pieces, p->n_pieces))
			return "a value";
		if (check_ways(p, v))
			return check_ways(p, v);
		for (uint32_t k = 0; k < v->n_pieces; k++) {
			const struct plan_piece *pc = &p->pieces[v->first_piece + k];
			bool constant = pc->at.kind == LOC_CONSTANT && pc->size <= sizeof(pc->constant);
			if ((!constant && !location_ok(&pc->at, s->n_steps)) || pc->reason > PLAN_UNPLACED ||
			    !range_ok(pc->offset, pc->size, p->types.v[v->type].size))
				return "a piece";
		}
	}
	return NULL;
}

static const char *check_func(const struct plan *p, const struct plan_func *f)
{
	if (!string_ok(p, f->name) || !string_ok(p, f->file) || !string_ok(p, f->refused) || f->abi > GO_ABI_INTERNAL ||
	    !range_ok(f->first_site, f->n_sites, p->n_sites) ||
	    !range_ok(f->first_warning, f->n_warnings, p->n_warnings) ||
	    !range_ok(f->first_param, f->n_params, p->n_vars) || !range_ok(f->first_result, f->n_results, p->n_vars))
		return "a function";
	for (uint32_t i = 0; i < f->n_warnings; i++)
		if (!string_ok(p, p->warnings[f->first_warning + i]))
			return "a warning";
	return NULL;
}

struct err *plan_check(const struct plan *p)
{
	const char *bad = check_types(p);

	if (!bad && (!string_ok(p, p->binary.path) || !string_ok(p, p->binary.build_id) ||
		     !string_ok(p, p->binary.go_version) || !string_ok(p, p->binary.g_why) ||
		     !string_ok(p, p->binary.dwarf_why) || !string_ok(p, p->binary.debug_file) ||
		     !string_ok(p, p->binary.unwinds_why)))
		bad = "the binary";
	for (int i = 0; i < PLAN_UNWINDS && !bad; i++)
		if (p->binary.unwinds[i].g_source > G_TLS)
			bad = "the binary";
	if (!bad)
		bad = check_lists(p);
	if (!bad && p->n_sites && !p->n_funcs)
		bad = "sites of no function";
	if (!bad)
		bad = check_filters(p);
	for (size_t i = 0; i < p->n_vars && !bad; i++)
		if (!string_ok(p, p->vars[i].name) || !type_ok(p, p->vars[i].type))
			bad = "a parameter";
	for (size_t i = 0; i < p->n_funcs && !bad; i++)
		bad = check_func(p, &p->funcs[i]);
	for (size_t i = 0; i < p->n_sites && !bad; i++)
		bad = check_site(p, &p->sites[i]);
	return bad ? err_create(ERR_MALFORMED, "a plan with bad contents: %s", bad) : NULL;
}

void plan_destroy(struct plan *plan)
{
	if (!plan)
		return;
	type_table_deinit(&plan->types);
	free(plan->funcs);
	free(plan->sites);
	free(plan->values);
	free(plan->pieces);
	free(plan->steps);
	free(plan->vars);
	free(plan->warnings);
	free(plan->lists);
	free(plan->dispatches);
	free(plan->maps);
	free(plan->ways);
	free(plan->closures);
	free(plan->filters);
	free(plan->callers);
	free(plan);
}
