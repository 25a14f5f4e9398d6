/* SPDX-License-Identifier: Apache-2.0 */
/* One function: its DIE, its parameters and results. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf_priv.h"

#define PARAMS_MAX 4096 /* Go's own compiler refuses far less readable functions */
#define QUICK_LOOKUPS                                                                                                  \
	16 /* functions found through their package's unit alone; with more of them the whole index pays */

/* Length of the package path that a function's name begins with: up to the first dot behind the last slash. Slashes in type
 * arguments and receivers do not count. */
static size_t package_length(const char *name)
{
	size_t end = strcspn(name, "[("), slash = 0;

	for (size_t i = 0; i < end; i++)
		if (name[i] == '/')
			slash = i;
	for (size_t i = slash; i < end; i++)
		if (name[i] == '.')
			return i;
	return end && name[end] ? end - (name[end - 1] == '.') : 0;
}

/* A function with code at `pc` in the units indexed of one package. */
static const struct dwarf_entry *by_pc_in_package(const struct dwarf_info *dw, const char *name, size_t len,
						  uint64_t pc)
{
	for (size_t u = 0; u < dw->n_units; u++) {
		const struct dwarf_unit *unit = &dw->units[u];

		if (!unit->indexed || strncmp(unit->name, name, len) || unit->name[len])
			continue;
		for (size_t i = unit->first_entry; i < unit->first_entry + unit->n_entries; i++)
			if (dw->entries[i].low == pc && dw->entries[i].high)
				return &dw->entries[i];
	}
	return NULL;
}

static struct err *find_by_entry(struct dwarf_info *dw, const char *name, uint64_t entry,
				 const struct dwarf_entry **ret)
{
	size_t len = name ? package_length(name) : 0;
	struct err *err;

	if (!dw->by_pc && len && dw->lookups++ < QUICK_LOOKUPS) {
		err = dwarf_index_package(dw, name, len);
		if (err)
			return err;
		*ret = by_pc_in_package(dw, name, len, entry);
		if (*ret)
			return NULL;
	}
	err = dwarf_index_all(dw);
	if (err)
		return err;
	*ret = dwarf_entry_around(dw, entry);
	if (*ret && (*ret)->low != entry)
		*ret = NULL;
	return NULL;
}

/* The first function of that name with code; else an abstract instance. */
static const struct dwarf_entry *by_name(const struct dwarf_info *dw, const char *name)
{
	const struct dwarf_entry *abstract = NULL;

	for (const struct dwarf_entry *e = dwarf_entry_find(dw, name); e; e = dwarf_entry_next(dw, e)) {
		if (e->is_func && e->high)
			return e;
		if (e->is_func && e->is_inline && !abstract)
			abstract = e;
	}
	return abstract;
}

static struct err *find_by_name(struct dwarf_info *dw, const char *name, const struct dwarf_entry **ret)
{
	size_t len = package_length(name);
	struct err *err = NULL;

	if (!dw->by_pc && len)
		err = dwarf_index_package(dw, name, len);
	if (err)
		return err;
	*ret = by_name(dw, name);
	if (*ret && (*ret)->high)
		return NULL;
	err = dwarf_index_all(dw);
	if (!err)
		*ret = by_name(dw, name);
	return err;
}

/* ---- parameters --------------------------------------------------------------------------------------------- */

struct params {
	struct dwarf_info *dw;
	struct type_table *types;
	struct dwarf_func *func;
	size_t cap;
	size_t at;         /* where the next one that is not listed yet belongs: behind the last one of this DIE */
	uint64_t *origins; /* of each parameter: its DIE in the abstract instance, 0 if there is none */
	bool abstract;     /* what is being read is the abstract instance */
	bool moved;        /* a variable that is no parameter was moved to the heap: "&name" stands for it */
};

static struct err *add_param(struct params *p, const struct dwarf_param *param, uint64_t origin)
{
	struct dwarf_func *f = p->func;

	if (f->n_params == PARAMS_MAX)
		return dwarf_malformed(p->dw, f->die, "too many parameters");
	if (f->n_params == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 16;
		struct dwarf_param *v = realloc(f->params, cap * sizeof(*v));

		if (!v)
			return &err_nomem;
		f->params = v;
		uint64_t *origins = realloc(p->origins, cap * sizeof(*origins));
		if (!origins)
			return &err_nomem;
		p->origins = origins;
		p->cap = cap;
	}
	/* What the abstract instance leaves out (parameters without a name) stands in the concrete one between the others. */
	memmove(&f->params[p->at + 1], &f->params[p->at], (f->n_params - p->at) * sizeof(*f->params));
	memmove(&p->origins[p->at + 1], &p->origins[p->at], (f->n_params - p->at) * sizeof(*p->origins));
	p->origins[p->at] = origin;
	f->params[p->at++] = *param;
	f->n_params++;
	return NULL;
}

/* Is there anything in DW_AT_location? A list is taken to have something: it is read only when it is asked for. */
static bool has_location(Dwarf_Attribute *attr)
{
	Dwarf_Block block;

	if (!attr->code)
		return false;
	switch (dwarf_whatform(attr)) {
	case DW_FORM_exprloc:
	case DW_FORM_block:
	case DW_FORM_block1:
	case DW_FORM_block2:
	case DW_FORM_block4:
		return dwarf_attr_block(attr, &block) && block.length;
	}
	return true;
}

/* The parameter that `attrs` describe, if it is listed already: the same in the abstract instance, or a double of the same name. */
static struct dwarf_param *known_param(struct params *p, uint64_t origin, const char *name, bool result)
{
	struct dwarf_func *f = p->func;

	for (size_t i = 0; i < f->n_params; i++) {
		if (origin && p->origins[i] == origin)
			return &f->params[i];
		if (*name && strcmp(name, "_") != 0 && f->params[i].result == result &&
		    !strcmp(f->params[i].name, name))
			return &f->params[i];
	}
	return NULL;
}

/* Go 1.17 lists a result that it moved to the heap only so, like any other variable. */
static struct err *read_variable(struct params *p, Dwarf_Die *die)
{
	struct dwarf_attrs own;
	const char *name = "";
	struct err *err = dwarf_attrs_read(p->dw, die, &own);

	if (!err && own.name.code)
		err = dwarf_attr_string(p->dw, &own.name, &name);
	if (err || name[0] != '&')
		return err;
	for (size_t i = 0; i < p->func->n_params; i++)
		if (!strcmp(p->func->params[i].name, name + 1))
			return NULL;
	p->moved = true;
	return NULL;
}

static struct err *read_param(void *arg, Dwarf_Die *die, bool *stop)
{
	struct dwarf_param param = { .die = dwarf_dieoffset(die) };
	struct dwarf_attrs own, origin = { 0 };
	struct params *p = arg;
	struct dwarf_info *dw = p->dw;
	uint64_t origin_die = 0, result = 0;
	const char *name;
	Dwarf_Die from;
	struct err *err;

	(void)stop;
	if (dwarf_tag(die) == DW_TAG_variable)
		return read_variable(p, die);
	if (dwarf_tag(die) != DW_TAG_formal_parameter)
		return NULL;
	err = dwarf_attrs_read(dw, die, &own);
	if (!err && own.origin.code) {
		if (!dwarf_formref_die(&own.origin, &from))
			return dwarf_malformed(dw, param.die, "DW_AT_abstract_origin");
		origin_die = dwarf_dieoffset(&from);
		err = dwarf_attrs_read(dw, &from, &origin);
	}
	if (!err)
		err = dwarf_attr_string(dw, own.name.code ? &own.name : &origin.name, &name);
	if (!err)
		err = dwarf_attr_u64(dw,
				     own.variable_parameter.code ? &own.variable_parameter : &origin.variable_parameter,
				     0, &result);
	if (err)
		return err;
	if (!strcmp(name, ".dict")) {
		p->func->has_dict = true;
		return NULL;
	}
	param.result = result != 0;
	param.has_location = !p->abstract && has_location(&own.location);
	struct dwarf_param *known = known_param(p, origin_die, name, param.result);
	if (known) {
		if ((size_t)(known - p->func->params) >= p->at)
			p->at = known - p->func->params + 1;
		/* The DIE that says most stands for both. */
		if (!known->has_location && !p->abstract) {
			known->die = param.die;
			known->has_location = param.has_location;
		}
		return NULL;
	}
	Dwarf_Attribute *type = own.type.code ? &own.type : &origin.type;
	if (!type->code)
		return dwarf_malformed(dw, param.die, "a parameter without a type");
	err = dwarf_type_of_attr(dw, type, p->types, &param.type);
	if (!err)
		err = dwarf_info_complete(dw, p->types, param.type);
	if (err)
		return err;
	param.name = strdup(name);
	if (!param.name)
		return &err_nomem;
	err = add_param(p, &param, p->abstract ? param.die : origin_die);
	if (err)
		free(param.name);
	return err;
}

/* Go 1.17, where the register convention was new, leaves results out of optimised code; elsewhere those moved to the heap. */
static bool omits_results(const struct dwarf_unit *unit, bool moved)
{
	const char *go = strstr(unit->producer, "cmd/compile") ? strstr(unit->producer, "go1.17") : NULL;

	return go && (unit->optimized || moved) &&
	       (go[6] == '\0' || go[6] == '.' || go[6] == ';' || go[6] == ' ' || go[6] == 'r' || go[6] == 'b');
}

/* Some results are there nevertheless (those that were moved to the heap). Without the others nobody can say where they lie. */
static void drop_results(struct dwarf_func *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_params; i++) {
		if (f->params[i].result)
			free(f->params[i].name);
		else
			f->params[n++] = f->params[i];
	}
	f->n_params = n;
}

static struct err *read_params(struct dwarf_info *dw, Dwarf_Die *die, Dwarf_Die *abstract, struct type_table *types,
			       struct dwarf_func *f, bool *moved_ret)
{
	struct params p = { .dw = dw, .types = types, .func = f };
	struct err *err = NULL;

	if (abstract) {
		p.abstract = true;
		err = dwarf_each_child(dw, abstract, read_param, &p);
		p.abstract = false;
		p.at = 0;
	}
	if (!err)
		err = dwarf_each_child(dw, die, read_param, &p);
	free(p.origins);
	*moved_ret = p.moved;
	return err;
}

static struct err *read_func(struct dwarf_info *dw, const struct dwarf_entry *entry, struct type_table *types,
			     struct dwarf_func *f)
{
	const struct dwarf_unit *unit = &dw->units[entry->unit];
	struct dwarf_attrs own, origin = { 0 };
	Dwarf_Die die, abstract;
	uint64_t trampoline = 0;
	bool moved = false;
	struct err *err;

	f->die = entry->die;
	f->low_pc = entry->low;
	f->high_pc = entry->high;
	f->optimized = unit->optimized;
	f->name = strdup(entry->name);
	f->producer = strdup(unit->producer);
	if (!f->name || !f->producer)
		return &err_nomem;
	err = dwarf_die_at(dw, dw->info.dbg, entry->die, &die);
	if (!err)
		err = dwarf_attrs_read(dw, &die, &own);
	if (!err && own.origin.code) {
		if (!dwarf_formref_die(&own.origin, &abstract))
			return dwarf_malformed(dw, entry->die, "DW_AT_abstract_origin");
		err = dwarf_attrs_read(dw, &abstract, &origin);
	}
	if (err)
		return err;
	/* A wrapper's DW_AT_trampoline is a flag, or names what it jumps to. */
	Dwarf_Attribute *t = own.trampoline.code ? &own.trampoline : &origin.trampoline;
	if (t->code && (dwarf_whatform(t) == DW_FORM_flag || dwarf_whatform(t) == DW_FORM_flag_present)) {
		err = dwarf_attr_u64(dw, t, 0, &trampoline);
		if (err)
			return err;
	} else {
		trampoline = t->code != 0;
	}
	f->trampoline = trampoline != 0;
	err = read_params(dw, &die, own.origin.code ? &abstract : NULL, types, f, &moved);
	f->results_missing = !err && !own.origin.code && omits_results(unit, moved);
	if (!f->results_missing)
		return err;
	drop_results(f);
	err = dwarf_infer_results(dw, types, f);
	if (err && err->code != ERR_NOMEM) {
		/* A damaged caller is no reason to refuse this function. */
		err_destroy(err);
		return NULL;
	}
	return err;
}

struct err *dwarf_info_func(struct dwarf_info *dw, const char *name, uint64_t entry, struct type_table *types,
			    struct dwarf_func **ret)
{
	const struct dwarf_entry *found = NULL;
	struct dwarf_func *f;
	struct err *err;

	err = entry ? find_by_entry(dw, name, entry, &found) : find_by_name(dw, name, &found);
	if (err)
		return err;
	if (!found) {
		if (name)
			return err_create(ERR_NOTFOUND, "%s: the debug information has no function '%s'", dw->elf->path,
					  name);
		return err_create(ERR_NOTFOUND, "%s: the debug information has no function at %#" PRIx64, dw->elf->path,
				  entry);
	}
	if (!found->high)
		return err_create(ERR_INLINED, "function '%s' exists in %s only as inlined copies", name,
				  dw->elf->path);
	f = calloc(1, sizeof(*f));
	if (!f)
		return &err_nomem;
	const struct dwarf_entry copy = *found; /* the index may grow */
	err = read_func(dw, &copy, types, f);
	if (err) {
		dwarf_func_destroy(f);
		return err;
	}
	*ret = f;
	return NULL;
}

void dwarf_func_destroy(struct dwarf_func *func)
{
	if (!func)
		return;
	for (size_t i = 0; i < func->n_params; i++)
		free(func->params[i].name);
	free(func->params);
	free(func->name);
	free(func->decl_file);
	free(func->producer);
	free(func);
}

struct err *dwarf_info_decl(struct dwarf_info *dw, struct dwarf_func *func)
{
	struct err *err = dwarf_open_lines(dw);
	const char *file;
	Dwarf_Die die;
	int line = 0;

	if (err && err->code == ERR_NOTFOUND) {
		err_destroy(err);
		return NULL;
	}
	if (!err)
		err = dwarf_die_at(dw, dw->line.dbg, func->die, &die);
	if (err || func->decl_file)
		return err;
	file = dwarf_decl_file(&die);
	if (file) {
		func->decl_file = strdup(file);
		if (!func->decl_file)
			return &err_nomem;
	}
	if (!dwarf_decl_line(&die, &line) && line > 0)
		func->decl_line = line;
	return NULL;
}

struct err *dwarf_info_each_func(struct dwarf_info *dw,
				 bool (*fn)(void *arg, const char *name, uint64_t low, uint64_t high, uint64_t die),
				 void *arg)
{
	struct err *err = dwarf_index_all(dw);

	for (size_t i = 0; i < dw->n_by_pc && !err; i++) {
		const struct dwarf_entry *e = &dw->entries[dw->by_pc[i]];

		if (!fn(arg, e->name, e->low, e->high, e->die))
			break;
	}
	return err;
}
