/* SPDX-License-Identifier: Apache-2.0 */
/* The calling convention's part of a plan alone, for those who want to see it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plan_build.h"

struct err *plan_abi_layout(struct program *program, const struct func *func, struct abi_layout *ret)
{
	const struct plan_options options = { .args = true, .results = true };
	struct plan_builder b = { .program = program, .options = &options };
	struct plan_func f = { .entry = func->entry, .end = func->end };
	struct abi_layout layout = {};
	struct dwarf_func *df = NULL;
	size_t n_params = 0, dict = SIZE_MAX;
	struct err *err;

	b.plan = calloc(1, sizeof(*b.plan));
	if (!b.plan)
		return &err_nomem;
	type_table_init(&b.plan->types);
	b.plan->binary.go_minor = program->build->minor;
	err = func_abi_find(program, func, &b.abi);
	f.abi = b.abi.abi;
	if (!err)
		err = program_dwarf(program, &b.dwarf);
	if (!err)
		err = plan_read_signature(&b, &f, func, &df, &layout, &n_params, &dict);
	dwarf_func_destroy(df);
	plan_destroy(b.plan);
	/* Where it is not known, no words are said to be there. */
	for (size_t i = 0; b.unplaced && i < layout.n_values; i++)
		if (b.unplaced[i])
			layout.values[i].first_word = PLAN_ABI_UNKNOWN;
	free(b.unplaced);
	if (err) {
		abi_layout_deinit(&layout);
		return err;
	}
	if (dict < layout.n_values)
		memmove(layout.values + dict, layout.values + dict + 1,
			(--layout.n_values - dict) * sizeof(*layout.values));
	*ret = layout;
	return NULL;
}
