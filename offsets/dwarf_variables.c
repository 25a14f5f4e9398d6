/* SPDX-License-Identifier: Apache-2.0 */
/* Package-level variables. */
#include <string.h>

#include "dwarf_priv.h"

struct search {
	struct dwarf_info *dw;
	const char *type;
	uint64_t type_die; /* the last that had that name; 0: none yet */
	struct err *(*fn)(void *arg, const char *name, uint64_t addr);
	void *arg;
};

static struct err *has_type(struct search *s, Dwarf_Attribute *attr, bool *ret)
{
	struct dwarf_attrs a;
	const char *name;
	Dwarf_Die die;

	*ret = false;
	if (!attr->code || !dwarf_formref_die(attr, &die))
		return NULL;
	uint64_t offset = dwarf_dieoffset(&die);
	if (s->type_die && offset == s->type_die) {
		*ret = true;
		return NULL;
	}
	struct err *err = dwarf_attrs_read(s->dw, &die, &a);
	if (!err)
		err = dwarf_attr_string(s->dw, &a.name, &name);
	if (err)
		return err;
	*ret = !strcmp(name, s->type);
	if (*ret)
		s->type_die = offset;
	return NULL;
}

static struct err *look(void *arg, Dwarf_Die *die, bool *stop)
{
	struct search *s = arg;
	struct dwarf_attrs a;
	Dwarf_Block block;
	const char *name;
	uint64_t addr;
	bool fits;
	struct err *err;

	(void)stop;
	if (dwarf_tag(die) != DW_TAG_variable)
		return NULL;
	err = dwarf_attrs_read(s->dw, die, &a);
	if (!err)
		err = dwarf_attr_string(s->dw, &a.name, &name);
	if (err || !*name || !a.location.code)
		return err;
	err = has_type(s, &a.type, &fits);
	if (err || !fits)
		return err;
	/* Not through dwarf_getlocation(), which refuses the form that Go uses, DW_FORM_block1. */
	if (dwarf_formblock(&a.location, &block) || block.length != 1 + sizeof(addr) || block.data[0] != DW_OP_addr)
		return NULL; /* it has no memory of its own */
	memcpy(&addr, block.data + 1, sizeof(addr));
	return s->fn(s->arg, name, addr);
}

struct err *dwarf_info_variables(struct dwarf_info *dw, const char *type,
				 struct err *(*fn)(void *arg, const char *name, uint64_t addr), void *arg)
{
	struct search s = { .dw = dw, .type = type, .fn = fn, .arg = arg };

	for (size_t i = 0; i < dw->n_units; i++) {
		Dwarf_Die unit;
		struct err *err;

		if (!dw->units[i].go)
			continue;
		err = dwarf_die_at(dw, dw->info.dbg, dw->units[i].die, &unit);
		if (!err)
			err = dwarf_each_child(dw, &unit, look, &s);
		if (err)
			return err;
	}
	return NULL;
}

struct err *dwarf_info_may_be_inlined(struct dwarf_info *dw, const char *name, bool *ret)
{
	struct err *err = dwarf_index_all(dw);

	*ret = false;
	if (err)
		return err;
	for (const struct dwarf_entry *e = dwarf_entry_find(dw, name); e; e = dwarf_entry_next(dw, e))
		*ret = *ret || e->is_inline;
	return NULL;
}
