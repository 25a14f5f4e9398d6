/* SPDX-License-Identifier: Apache-2.0 */
/* The package-level errors of a program: what an error can be set to without making anything in its memory. */
#include <stdlib.h>
#include <string.h>

#include "rewrite.h"

#define VARIABLES_MAX (1u << 20) /* the largest Go programs have some ten thousand */

struct found {
	size_t n, cap;
	struct rewrite_variable *v;
};

void rewrite_variables_free(struct rewrite_variable *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i].name);
	free(v);
}

static struct err *add(void *arg, const char *name, uint64_t addr)
{
	struct found *f = arg;

	if (f->n == VARIABLES_MAX)
		return err_create(ERR_MALFORMED, "more than %u package-level variables", VARIABLES_MAX);
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 64;
		struct rewrite_variable *v = realloc(f->v, cap * sizeof(*v));
		if (!v)
			return &err_nomem;
		f->v = v;
		f->cap = cap;
	}
	f->v[f->n] = (struct rewrite_variable){ .name = strdup(name), .addr = addr };
	if (!f->v[f->n].name)
		return &err_nomem;
	f->n++;
	return NULL;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct rewrite_variable *)a)->name, ((const struct rewrite_variable *)b)->name);
}

struct err *rewrite_variables(struct program *program, struct rewrite_variable **ret, size_t *n_ret)
{
	struct found f = { 0 };
	struct dwarf_info *dw;
	struct err *err = program_dwarf(program, &dw);

	if (!err)
		err = dwarf_info_variables(dw, "error", add, &f);
	if (err) {
		rewrite_variables_free(f.v, f.n);
		return err;
	}
	qsort(f.v, f.n, sizeof(*f.v), by_name);
	*ret = f.v;
	*n_ret = f.n;
	return NULL;
}
