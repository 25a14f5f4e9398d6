/* SPDX-License-Identifier: Apache-2.0 */
/* All types that the run-time system knows: what an interface can hold. */
#include <stdlib.h>
#include <string.h>

#include "dwarf_priv.h"

static int by_runtime_type(const void *a, const void *b)
{
	const struct dwarf_rtype *x = a, *y = b;

	if (x->runtime_type != y->runtime_type)
		return x->runtime_type < y->runtime_type ? -1 : 1;
	return x->die < y->die ? -1 : x->die > y->die;
}

struct err *dwarf_info_runtime_types(struct dwarf_info *dw, struct dwarf_rtype **ret, size_t *n_ret)
{
	/* Go's linker puts all types into a unit of the run-time system. */
	struct err *err = dwarf_index_package(dw, "runtime", strlen("runtime"));
	struct dwarf_rtype *v;
	size_t n = 0, kept = 0;

	if (err)
		return err;
	v = malloc((dw->n_entries ? dw->n_entries : 1) * sizeof(*v));
	if (!v)
		return &err_nomem;
	for (size_t i = 0; i < dw->n_entries; i++) {
		const struct dwarf_entry *e = &dw->entries[i];

		if (!e->is_func && e->runtime_type && dw->units[e->unit].go &&
		    !strcmp(dw->units[e->unit].name, "runtime"))
			v[n++] =
				(struct dwarf_rtype){ .runtime_type = e->runtime_type, .die = e->die, .name = e->name };
	}
	qsort(v, n, sizeof(*v), by_runtime_type);
	for (size_t i = 0; i < n; i++)
		if (!kept || v[kept - 1].runtime_type != v[i].runtime_type)
			v[kept++] = v[i];
	*ret = v;
	*n_ret = kept;
	return NULL;
}

struct err *dwarf_info_type_at(struct dwarf_info *dw, uint64_t die, struct type_table *types, uint32_t *type_ret)
{
	return dwarf_type_at(dw, die, types, type_ret);
}
