/* SPDX-License-Identifier: Apache-2.0 */
/* What functions capture: the variables of a function literal that stand in its func value (DW_AT_go_closure_offset, from Go 1.23 on;
 * cmd/compile/internal/dwarfgen/dwarf.go). */
#include <stdlib.h>
#include <string.h>

#include "dwarf_priv.h"

#define DW_AT_GO_CLOSURE_OFFSET 0x2907
#define CAPTURES_MAX 256 /* of one function: far more than anybody writes */

struct captures {
	struct dwarf_info *dw;
	struct type_table *types; /* NULL: is there any? */
	size_t n;
	struct dwarf_capture *v;
};

static struct err *read_capture(void *arg, Dwarf_Die *die, bool *stop)
{
	struct dwarf_attrs own, origin = { 0 };
	struct dwarf_capture capture = { 0 };
	struct captures *c = arg;
	Dwarf_Attribute attr;
	Dwarf_Die from;
	struct err *err;

	if (dwarf_tag(die) != DW_TAG_variable || !dwarf_attr(die, DW_AT_GO_CLOSURE_OFFSET, &attr))
		return NULL;
	if (!c->types) {
		c->n = 1;
		*stop = true;
		return NULL;
	}
	err = dwarf_attr_u64(c->dw, &attr, 0, &capture.offset);
	if (!err)
		err = dwarf_attrs_read(c->dw, die, &own);
	if (!err && own.origin.code) {
		if (!dwarf_formref_die(&own.origin, &from))
			return dwarf_malformed(c->dw, dwarf_dieoffset(die), "DW_AT_abstract_origin");
		err = dwarf_attrs_read(c->dw, &from, &origin);
	}
	if (!err)
		err = dwarf_attr_string(c->dw, own.name.code ? &own.name : &origin.name, &capture.name);
	Dwarf_Attribute *type = own.type.code ? &own.type : &origin.type;
	if (!err && !type->code)
		return dwarf_malformed(c->dw, dwarf_dieoffset(die), "a variable without a type");
	if (!err)
		err = dwarf_type_of_attr(c->dw, type, c->types, &capture.type);
	if (!err)
		err = dwarf_info_complete(c->dw, c->types, capture.type);
	if (err)
		return err;
	/* optimised code can list a variable twice; the pointer to it says more */
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].offset == capture.offset) {
			if (capture.name[0] == '&')
				c->v[i] = capture;
			return NULL;
		}
	if (c->n == CAPTURES_MAX)
		return dwarf_malformed(c->dw, dwarf_dieoffset(die), "too many captured variables");
	c->v[c->n++] = capture;
	return NULL;
}

static int by_offset(const void *a, const void *b)
{
	const struct dwarf_capture *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

struct err *dwarf_info_captures(struct dwarf_info *dw, uint64_t die_offset, struct type_table *types,
				struct dwarf_capture **ret, size_t *n_ret)
{
	struct captures c = { .dw = dw, .types = types };
	struct err *err;
	Dwarf_Die die;

	c.v = calloc(CAPTURES_MAX, sizeof(*c.v));
	if (!c.v)
		return &err_nomem;
	err = dwarf_die_at(dw, dw->info.dbg, die_offset, &die);
	if (!err)
		err = dwarf_each_child(dw, &die, read_capture, &c);
	if (err) {
		free(c.v);
		return err;
	}
	qsort(c.v, c.n, sizeof(*c.v), by_offset);
	*ret = c.v;
	*n_ret = c.n;
	return NULL;
}

/* A unit of the packages that are the program's own. */
static bool is_own(const char *package, const char *module)
{
	size_t n = strlen(module);

	return !strcmp(package, "main") || (n && !strncmp(package, module, n) && (!package[n] || package[n] == '/'));
}

static struct err *has_captures(struct dwarf_info *dw, uint64_t die_offset, bool *ret)
{
	struct captures c = { .dw = dw };
	Dwarf_Die die;
	struct err *err = dwarf_die_at(dw, dw->info.dbg, die_offset, &die);

	if (!err)
		err = dwarf_each_child(dw, &die, read_capture, &c);
	*ret = c.n;
	return err;
}

struct err *dwarf_info_closures(struct dwarf_info *dw, const char *module, size_t most, struct dwarf_closure **ret,
				size_t *n_ret)
{
	struct dwarf_closure *v = calloc(most, sizeof(*v));
	struct err *err = NULL;
	size_t n = 0;

	if (!v)
		return &err_nomem;
	for (size_t u = 0; u < dw->n_units && !err; u++) {
		if (!dw->units[u].go || !is_own(dw->units[u].name, module))
			continue;
		err = dwarf_index_unit(dw, u);
		for (size_t i = 0; !err && i < dw->units[u].n_entries && n < most; i++) {
			const struct dwarf_entry *e = &dw->entries[dw->units[u].first_entry + i];
			bool has = dwarf_is_method_value(e->name);

			if (!e->is_func || !e->high)
				continue;
			if (!has)
				err = has_captures(dw, e->die, &has);
			if (!err && has)
				v[n++] = (struct dwarf_closure){ .entry = e->low, .die = e->die, .name = e->name };
		}
	}
	if (err) {
		free(v);
		return err;
	}
	*ret = v;
	*n_ret = n;
	return NULL;
}

bool dwarf_is_method_value(const char *name)
{
	size_t n = strlen(name);

	return n > 3 && !strcmp(name + n - 3, "-fm");
}
