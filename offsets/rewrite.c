/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include "rewrite.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rewrite_place.h"

void rewrite_destroy(struct rewrite *r)
{
	if (!r)
		return;
	for (int k = 0; k < 2; k++) {
		for (size_t i = 0; i < r->site[k].n_changes; i++) {
			struct rewrite_change *c = &r->site[k].changes[i];
			free(c->name);
			free(c->type);
			free(c->value);
			free(c->shown);
			free(c->place);
		}
		free(r->site[k].changes);
	}
	plan_destroy(r->plan);
	free(r);
}

/* ---- strings --------------------------------------------------------------------------------------------------- */

/* Link address of these bytes in the program's constants, which stay where they are and which nobody writes; 0: they are not there. */
static struct err *find_constant(struct elf_file *elf, const char *s, size_t n, uint64_t *ret)
{
	const struct elf_section *section = elf_file_find_section(elf, ".rodata");
	struct bytes data;
	struct err *err;

	*ret = 0;
	if (!section || !(section->flags & SHF_ALLOC) || section->flags & SHF_WRITE)
		return NULL;
	err = elf_file_section_data(elf, ".rodata", &data);
	if (err && err->code == ERR_NOTFOUND) {
		err_destroy(err);
		return NULL;
	}
	if (err)
		return err;
	const uint8_t *at = memmem(data.data, data.size, s, n);
	if (at)
		*ret = section->addr + (uint64_t)(at - data.data);
	return NULL;
}

/* ---- one change ------------------------------------------------------------------------------------------------ */

struct builder {
	struct program *program;
	struct rewrite *rewrite;
	const struct plan_func *func;
	struct rewrite_places places;
};

static struct err *refuse(const struct rewrite_assignment *a, const char *hint, const char *why)
{
	return err_create(ERR_UNSUPPORTED, "%s cannot be written: %s%s%s", a->place, why, *hint ? "; hint: " : "",
			  hint);
}

static struct err *add_write(struct rewrite_site *site, struct rewrite_change *change, const struct write *w)
{
	if (site->n_writes == WRITES_MAX)
		return err_create(ERR_UNSUPPORTED,
				  "more than %d words are to be written at once; hint: set fewer values", WRITES_MAX);
	site->writes[site->n_writes++] = *w;
	change->n_writes++;
	return NULL;
}

/* `size` bytes, all zero or those of `bytes`, as they lie in memory. */
static struct err *write_memory(struct rewrite_site *site, struct rewrite_change *change, const struct write *place,
				const uint8_t *bytes, uint64_t size)
{
	struct write w = *place;

	if (size > WRITE_BYTES)
		return err_create(ERR_UNSUPPORTED, "%s has %llu bytes, and at most %d are written", change->name,
				  (unsigned long long)size, WRITE_BYTES);
	if (!size)
		return NULL;
	w.source = WRITE_CONST;
	w.len = (uint16_t)size;
	if (bytes)
		memcpy(w.bytes, bytes, size);
	change->needs |= REWRITE_NEEDS_MEMORY;
	return add_write(site, change, &w);
}

/* What is on the stack or behind pointers: one range of memory. In registers: each word by itself. */
static struct err *write_zero(struct rewrite_site *site, struct rewrite_change *change, const struct rewrite_place *p)
{
	struct write w = p->write;

	if (!p->in_registers)
		return write_memory(site, change, &p->write, NULL, p->size);
	w.source = WRITE_CONST;
	w.n_words = 1;
	for (size_t i = 0; i < p->n_words; i++) {
		struct err *err;

		if (p->words[i].where != ABI_INT_REG)
			return err_create(ERR_UNSUPPORTED, "%s stands in xmm%d, which no BPF program can write",
					  change->name, p->words[i].place);
		w.reg[0] = (uint8_t)p->words[i].place;
		change->needs |= REWRITE_NEEDS_REGISTERS;
		err = add_write(site, change, &w);
		if (err)
			return err;
	}
	return NULL;
}

static struct err *write_string(struct builder *b, const struct rewrite_assignment *a, struct rewrite_site *site,
				struct rewrite_change *change, const struct rewrite_place *p,
				const struct rewrite_value *v)
{
	struct write w = p->write;
	uint64_t constant = 0;
	struct err *err = NULL;

	/* Behind a pointer the string's own pointer stays what it is: the garbage collector follows it. */
	if (!p->write.n_hops && v->size)
		err = find_constant(b->program->elf, v->string, v->size, &constant);
	if (err)
		return err;
	if (b->rewrite->skip && !v->size)
		return write_zero(site, change, p);
	if (b->rewrite->skip && !constant)
		return refuse(a, "",
			      "the program has no constant with these bytes, and a skipped call has no string whose "
			      "memory could hold them");
	w.n_words = 2;
	if (constant) {
		w.source = WRITE_ADDRESS;
		w.word[0] = constant;
		w.word[1] = v->size;
		change->needs |= p->in_registers ? REWRITE_NEEDS_REGISTERS : REWRITE_NEEDS_MEMORY;
		return add_write(site, change, &w);
	}
	if (v->size > WRITE_BYTES)
		return refuse(a, "",
			      "the string is longer than what is written in place, and the program has no constant "
			      "that holds it");
	w.source = WRITE_STRING;
	w.len = (uint16_t)v->size;
	memcpy(w.bytes, v->string, v->size);
	if (v->size)
		change->needs |= REWRITE_NEEDS_MEMORY;
	change->needs |= p->in_registers ? REWRITE_NEEDS_REGISTERS : REWRITE_NEEDS_MEMORY;
	return add_write(site, change, &w);
}

static struct err *write_value(struct builder *b, const struct rewrite_assignment *a, struct rewrite_site *site,
			       struct rewrite_change *change, const struct rewrite_place *p,
			       const struct rewrite_value *v)
{
	struct write w = p->write;

	for (size_t i = 0; p->in_registers && i < p->n_words; i++)
		if (p->words[i].where != ABI_INT_REG) {
			char why[96];
			snprintf(why, sizeof(why),
				 "it stands in xmm%d, and no BPF program can write a floating-point register",
				 p->words[i].place);
			return refuse(a,
				      "a float in memory can be set: behind a pointer, or on the stack (Go up to 1.16)",
				      why);
		}
	switch (v->kind) {
	case VALUE_STRING:
		return write_string(b, a, site, change, p, v);
	case VALUE_VARIABLE:
	case VALUE_NIL:
		if (p->write.n_hops)
			return refuse(a, "", "pointers in memory that the garbage collector watches are not changed");
		if (v->kind == VALUE_NIL)
			return write_zero(site, change, p);
		w.source = WRITE_VARIABLE;
		w.n_words = 2;
		w.word[0] = v->variable;
		change->variable = v->variable;
		change->needs |= p->in_registers ? REWRITE_NEEDS_REGISTERS : REWRITE_NEEDS_MEMORY;
		return add_write(site, change, &w);
	case VALUE_BYTES:
		break;
	}
	if (!p->in_registers)
		return write_memory(site, change, &p->write, v->bytes, v->size);
	w.source = WRITE_CONST;
	w.n_words = 1;
	w.word[0] = v->word;
	change->needs |= REWRITE_NEEDS_REGISTERS;
	return add_write(site, change, &w);
}

static struct err *new_change(struct rewrite_site *site, const char *name, struct rewrite_change **ret)
{
	struct rewrite_change *v = realloc(site->changes, (site->n_changes + 1) * sizeof(*v));

	if (!v)
		return &err_nomem;
	site->changes = v;
	v += site->n_changes;
	*v = (struct rewrite_change){ .name = strdup(name), .first_write = (uint32_t)site->n_writes };
	if (!v->name)
		return &err_nomem;
	site->n_changes++;
	*ret = v;
	return NULL;
}

static struct err *describe(struct builder *b, struct rewrite_change *change, const struct rewrite_place *p)
{
	const struct type_table *types = &b->rewrite->plan->types;

	change->var = p->var;
	change->type = strdup(type_string(types, types->v[p->type].name));
	change->place = rewrite_place_text(p);
	b->rewrite->needs |= change->needs;
	return change->type && change->place ? NULL : &err_nomem;
}

static bool is_same_place(const struct write *x, const struct write *y)
{
	if (x->base != y->base || x->n_hops != y->n_hops)
		return false;
	if (x->base == WRITE_IN_REGISTERS ? x->reg[0] != y->reg[0] : x->offset != y->offset)
		return false;
	for (int i = 0; i < x->n_hops; i++)
		if (x->hop[i].offset != y->hop[i].offset || x->hop[i].bound != y->hop[i].bound)
			return false;
	return true;
}

/* Two texts may name one place: `a1` and `(a1)`, `p.X` and `(*p).X`. */
static struct err *check_twice(const struct rewrite_site *site, const struct rewrite_assignment *a,
			       const struct rewrite_change *change)
{
	for (const struct rewrite_change *c = site->changes; c < change; c++)
		if (c->n_writes && change->n_writes &&
		    is_same_place(&site->writes[c->first_write], &site->writes[change->first_write]))
			return expression_error(a->text, 0, "", "%s is set twice: it is the place of %s", a->place,
						c->name);
	return NULL;
}

static struct err *make_change(struct builder *b, enum site_kind kind, const struct rewrite_assignment *a,
			       bool is_variable)
{
	struct rewrite_site *site = &b->rewrite->site[kind];
	struct rewrite_change *change;
	struct rewrite_value value = { 0 };
	struct rewrite_place place;
	struct err *err =
		rewrite_place_find(&b->places, a, b->rewrite->skip || kind == SITE_RETURN, b->rewrite->skip, &place);

	if (err)
		return err;
	err = rewrite_value_parse(b->program, &b->rewrite->plan->types, place.type, a, is_variable, &value);
	if (!err)
		err = new_change(site, a->place, &change);
	if (!err)
		err = write_value(b, a, site, change, &place, &value);
	if (!err)
		err = check_twice(site, a, change);
	if (!err)
		err = describe(b, change, &place);
	if (!err) {
		change->value = value.json;
		change->shown = value.shown;
		value.json = value.shown = NULL;
	}
	rewrite_value_deinit(&value);
	return err;
}

/* ---- a call that is skipped ------------------------------------------------------------------------------------ */

static bool is_named(const struct rewrite_site *site, uint32_t var)
{
	for (size_t i = 0; i < site->n_changes; i++)
		if (site->changes[i].var == var)
			return true;
	return false;
}

/* Memory can refuse, a variable can be nil; a register takes any value. */
static int turn_of(const struct rewrite_change *c)
{
	return c->needs != REWRITE_NEEDS_REGISTERS ? 0 : c->variable ? 1 : 2;
}

/* What can fail comes first, and registers last: they still hold the arguments of a call that goes on after all, while the results' places
 * on the stack hold nothing yet. */
static void order_writes(struct rewrite_site *site)
{
	struct write sorted[WRITES_MAX];
	uint32_t n = 0;

	for (int turn = 0; turn < 3; turn++)
		for (size_t i = 0; i < site->n_changes; i++) {
			struct rewrite_change *c = &site->changes[i];
			uint32_t from = c->first_write;

			if (turn_of(c) != turn)
				continue;
			c->first_write = n;
			for (uint32_t k = 0; k < c->n_writes; k++)
				sorted[n++] = site->writes[from + k];
		}
	memcpy(site->writes, sorted, n * sizeof(*sorted));
}

static const char *zero_of(uint8_t kind)
{
	switch (kind) {
	case GO_BOOL:
		return "false";
	case GO_STRING:
		return "\"\"";
	case GO_STRUCT:
		return "{}";
	case GO_ARRAY:
		return "[]";
	case GO_CHAN:
	case GO_FUNC:
	case GO_INTERFACE:
	case GO_MAP:
	case GO_POINTER:
	case GO_SLICE:
	case GO_UNSAFE_POINTER:
		return "nil";
	default:
		return "0";
	}
}

static struct err *add_skip(struct builder *b, const struct rewrite_assignments *named)
{
	struct rewrite_site *site = &b->rewrite->site[SITE_ENTRY];
	struct plan *plan = b->rewrite->plan;
	const struct plan_func *f = b->func;
	size_t variables = 0;
	struct err *err = NULL;

	for (size_t i = 0; i < named->n && !err; i++)
		err = make_change(b, SITE_ENTRY, &named->v[i], false);
	for (uint32_t i = 0; i < f->n_results && !err; i++) {
		const char *name = plan_string(plan, plan->vars[f->first_result + i].name);
		struct rewrite_change *change;
		struct rewrite_place place;

		if (is_named(site, f->n_params + i))
			continue;
		err = rewrite_place_whole(&b->places, f->n_params + i, &place);
		if (!err)
			err = new_change(site, name, &change);
		if (err)
			break;
		change->implied = true;
		err = write_zero(site, change, &place);
		if (!err)
			err = describe(b, change, &place);
		const char *zero = zero_of(plan->types.v[place.type].kind);
		change->value = strdup(strcmp(zero, "nil") ? zero : "null");
		change->shown = strdup(zero);
		if (!err && (!change->value || !change->shown))
			err = &err_nomem;
	}
	for (size_t i = 0; i < site->n_changes && !err; i++)
		variables += site->changes[i].variable != 0;
	if (!err && variables > 1)
		err = err_create(ERR_UNSUPPORTED,
				 "--skip with more than one variable: it is all or nothing, and one of "
				 "them may be nil");
	if (err)
		return err;
	order_writes(site);
	b->rewrite->needs |= REWRITE_NEEDS_REGISTERS; /* the instruction and stack pointers */
	return NULL;
}

/* ---- all of it ------------------------------------------------------------------------------------------------- */

struct parsed {
	struct rewrite_assignments set, results, skip, fail;
};

static void parsed_deinit(struct parsed *p)
{
	rewrite_assignments_deinit(&p->set);
	rewrite_assignments_deinit(&p->results);
	rewrite_assignments_deinit(&p->skip);
	rewrite_assignments_deinit(&p->fail);
}

static struct err *parse(const struct rewrite_request *request, struct parsed *p)
{
	struct err *err = NULL;

	for (size_t i = 0; i < request->n_set && !err; i++)
		err = rewrite_assignments_parse(&p->set, request->set[i], "--set");
	for (size_t i = 0; i < request->n_set_results && !err; i++)
		err = rewrite_assignments_parse(&p->results, request->set_results[i], "--set-result");
	if (!err && request->skip && request->skip[strspn(request->skip, " ")])
		err = rewrite_assignments_parse(&p->skip, request->skip, "--skip");
	if (!err && request->fail)
		err = rewrite_assignments_parse(&p->fail, request->fail, "--fail");
	if (!err && p->fail.n > 1)
		err = expression_error(p->fail.v[1].text, 0, "", "--fail sets one error");
	if (!err && request->skip && (p->set.n || p->results.n || p->fail.n))
		err = err_create(ERR_USAGE,
				 "--skip gives the results itself: it goes with no --set, --set-result or --fail");
	if (!err && !request->skip && !p->set.n && !p->results.n && !p->fail.n)
		err = err_create(ERR_USAGE,
				 "nothing is to be changed; hint: --set, --set-result, --skip or --fail says what");
	return err;
}

static void add_texts(const struct rewrite_assignments *list, const char **texts, size_t *n)
{
	for (size_t i = 0; i < list->n; i++)
		texts[(*n)++] = list->v[i].place;
}

/* The plan of the one function. What is set is read before it is written, and nothing else; of a call that is skipped, all arguments. */
static struct err *make_plan(struct program *program, const struct rewrite_request *request, const struct parsed *p,
			     const struct plan_options *reading, struct plan **ret)
{
	const char *texts[4 * ASSIGNMENTS_MAX];
	const char *patterns[] = { request->function };
	struct plan_options options = *reading;
	size_t n = 0;
	struct err *err;

	add_texts(&p->set, texts, &n);
	add_texts(&p->results, texts, &n);
	add_texts(&p->fail, texts, &n);
	options.args = true;
	options.results = options.returns = p->results.n || p->fail.n;
	options.optional = options.raw_words = false;
	options.at_call = true;
	options.expressions = texts;
	options.n_expressions = n;
	err = plan_create(program, patterns, 1, NULL, 0, &options, ret);
	if (err)
		return err;
	struct plan *plan = *ret;
	if (plan->n_funcs != 1)
		err = err_create(ERR_USAGE,
				 "'%s' stands for %zu functions, and one is rewritten; hint: `list` shows their "
				 "names",
				 request->function, plan->n_funcs);
	else if (plan->funcs[0].refused)
		err = err_create(ERR_UNSUPPORTED, "%s cannot be rewritten: %s", request->function,
				 plan_string(plan, plan->funcs[0].refused));
	else if (!plan->funcs[0].has_types)
		err = err_create(ERR_UNSUPPORTED, "the types of %s are not known%s%s", request->function,
				 plan->funcs[0].n_warnings ? ": " : "",
				 plan->funcs[0].n_warnings
					 ? plan_string(plan, plan->warnings[plan->funcs[0].first_warning])
					 : "");
	if (err) {
		plan_destroy(plan);
		*ret = NULL;
	}
	return err;
}

static struct err *check_sites(const struct rewrite *r, const char *name)
{
	const struct plan_func *f = &r->plan->funcs[0];

	if (r->site[SITE_ENTRY].n_changes || r->skip) {
		const struct plan_site *entry = &r->plan->sites[f->first_site];
		if (f->can_duplicate)
			return err_create(
				ERR_UNSUPPORTED,
				"the arguments of %s cannot be written: its first instruction is a loop's head", name);
		if (entry->frame)
			return err_create(
				ERR_UNSUPPORTED,
				"the arguments of %s cannot be written: it has no place that is passed once a call "
				"before its frame is set up",
				name);
	}
	for (size_t i = 0; i < r->plan->n_filters; i++)
		if (r->plan->filters[i].late && (r->site[SITE_ENTRY].n_changes || r->skip))
			return err_create(ERR_USAGE,
					  "--where asks for what is known only at the return, when %s; hint: "
					  "a condition on arguments, or --set-result",
					  r->skip ? "the call was to be skipped already"
						  : "the arguments are long written");
	if (r->site[SITE_RETURN].n_changes && f->n_sites < 2)
		return err_create(ERR_UNSUPPORTED, "the results of %s cannot be written: it has no RET", name);
	return NULL;
}

static struct err *fill(struct builder *b, const struct rewrite_request *request, const struct parsed *p)
{
	struct rewrite *r = b->rewrite;
	struct dwarf_info *dw;
	struct err *err = rewrite_places_init(b->program, r->plan, &b->places);

	for (size_t i = 0; i < p->set.n && !err; i++)
		err = make_change(b, SITE_ENTRY, &p->set.v[i], false);
	for (size_t i = 0; i < p->results.n && !err; i++)
		err = make_change(b, SITE_RETURN, &p->results.v[i], false);
	for (size_t i = 0; i < p->fail.n && !err; i++)
		err = make_change(b, SITE_RETURN, &p->fail.v[i], true);
	if (!err && r->skip)
		err = add_skip(b, &p->skip);
	if (!err)
		err = check_sites(r, request->function);
	if (!err)
		err = program_dwarf(b->program, &dw);
	if (!err)
		err = dwarf_info_may_be_inlined(dw, plan_string(r->plan, b->func->name), &r->may_be_inlined);
	rewrite_places_deinit(&b->places);
	return err;
}

struct err *rewrite_create(struct program *program, const struct rewrite_request *request,
			   const struct plan_options *reading, struct rewrite **ret)
{
	struct rewrite *r = calloc(1, sizeof(*r));
	struct builder b = { .program = program, .rewrite = r };
	struct parsed p = { 0 };
	struct err *err;

	if (!r)
		return &err_nomem;
	r->skip = request->skip != NULL;
	err = parse(request, &p);
	if (!err)
		err = make_plan(program, request, &p, reading, &r->plan);
	if (!err) {
		b.func = &r->plan->funcs[0];
		err = fill(&b, request, &p);
	}
	parsed_deinit(&p);
	if (err) {
		rewrite_destroy(r);
		return err;
	}
	*ret = r;
	return NULL;
}
