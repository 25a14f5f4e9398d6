/* SPDX-License-Identifier: Apache-2.0 */
#include "inlines.h"

#include <stdlib.h>
#include <string.h>

#include "inlines_priv.h"

#define CALL_SIZE_MAX 20
#define TREE_MAX (1u << 20) /* calls in one function: as many as the run-time system can count */
/* The trees of a damaged file may overlap, and their names; what is read of them is at most this many times the file. */
#define READ_RATIO_MAX 16

static size_t call_size(const struct pclntab *t)
{
	return t->minor >= 20 ? 16 : 20;
}

/* Link address of a function's tree. */
static bool tree_addr(const struct func_table *table, const struct pclntab_func *record, uint64_t *ret)
{
	struct func_priv *priv = table->priv;

	if (!record->has_inline)
		return false;
	if (!priv->gofunc_asked) {
		struct err *err = pclntab_gofunc(priv->elf, &priv->pcln, &priv->gofunc);

		priv->gofunc_asked = true;
		priv->has_gofunc = !err;
		err_destroy(err);
	}
	return priv->has_gofunc && !__builtin_add_overflow(priv->gofunc, record->inline_off, ret);
}

static bool parse_call(const struct pclntab *t, const uint8_t *p, struct inlined_call *ret)
{
	uint32_t name;

	/* funcID, then the name and the pc; before 1.20: parent, funcID, file, line, the name and the pc */
	p += t->minor >= 20 ? 4 : 12;
	memcpy(&name, p, 4);
	memcpy(&ret->parent_pc, p + 4, 4);
	ret->name = pclntab_string(t->names, name);
	return ret->name != NULL;
}

bool inlined_call_read(const struct func_table *table, const struct pclntab_func *record, uint32_t index,
		       struct inlined_call *ret)
{
	const struct pclntab *t = &table->priv->pcln;
	uint8_t raw[CALL_SIZE_MAX];
	uint64_t addr;
	struct err *err;

	if (index >= TREE_MAX || !tree_addr(table, record, &addr) ||
	    __builtin_add_overflow(addr, (uint64_t)index * call_size(t), &addr))
		return false;
	err = elf_file_read(table->priv->elf, addr, raw, call_size(t));
	if (err) {
		err_destroy(err);
		return false;
	}
	return parse_call(t, raw, ret);
}

/* ---- all copies ------------------------------------------------------------------------------------------- */

struct found {
	const struct func_matcher *matcher;
	struct inlined_copy *v;
	size_t n, cap;
	uint64_t budget; /* bytes of trees and names that may still be read */
};

static struct err *append(struct found *f, struct inlined_copy copy)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 256;
		struct inlined_copy *grown = reallocarray(f->v, cap, sizeof(*f->v));

		if (!grown)
			return &err_nomem;
		f->v = grown;
		f->cap = cap;
	}
	if (f->n == INLINED_COPIES_MAX)
		return err_create(ERR_USAGE, "more than %u inlined copies match; hint: ask for a narrower pattern",
				  INLINED_COPIES_MAX);
	f->v[f->n++] = copy;
	return NULL;
}

/* The first address of each call of the tree; UINT64_MAX where it has no code of its own. *n_ret 0: no inlined call. */
static struct err *first_addresses(const struct pclntab *t, const struct func *func, const struct pclntab_func *record,
				   uint64_t **ret, size_t *n_ret)
{
	uint64_t pc = func->entry, from = pc, *v = NULL;
	uint32_t at = record->pc_inline;
	int32_t value = -1;
	size_t n = 0;

	for (; pc < func->end && pclntab_step(t, func->entry, &at, &pc, &value); from = pc) {
		if (value < 0 || (uint32_t)value >= TREE_MAX)
			continue;
		if ((size_t)value >= n) {
			size_t wanted = (size_t)value + 1;
			uint64_t *grown = reallocarray(v, wanted, sizeof(*v));

			if (!grown) {
				free(v);
				return &err_nomem;
			}
			v = grown;
			while (n < wanted)
				v[n++] = UINT64_MAX;
		}
		if (v[value] == UINT64_MAX)
			v[value] = from;
	}
	*ret = v;
	*n_ret = n;
	return NULL;
}

/* Take from what may still be read. */
static struct err *spend(const struct func_table *table, struct found *f, uint64_t size)
{
	if (size > f->budget)
		return err_create(ERR_MALFORMED, "%s: damaged Go function table: its trees of inlined calls overlap",
				  table->priv->elf->path);
	f->budget -= size;
	return NULL;
}

static struct err *copies_in(const struct func_table *table, const struct func *func, struct found *f)
{
	const struct pclntab *t = &table->priv->pcln;
	uint64_t *first _cleanup_free_ = NULL, addr;
	uint8_t *tree _cleanup_free_ = NULL;
	struct pclntab_func record;
	size_t n;
	struct err *err;

	err = pclntab_func(t, func->pcln_id, &record);
	if (err || !tree_addr(table, &record, &addr))
		return err;
	err = first_addresses(t, func, &record, &first, &n);
	if (!err && n)
		err = spend(table, f, n * call_size(t));
	if (err || !n)
		return err;
	tree = malloc(n * call_size(t));
	if (!tree)
		return &err_nomem;
	err = elf_file_read(table->priv->elf, addr, tree, n * call_size(t));
	if (err == &err_notfound)
		return err_create(ERR_MALFORMED,
				  "%s: damaged Go function table: the inlined calls of %s are out of bounds",
				  table->priv->elf->path, func->name);
	for (size_t i = 0; i < n && !err; i++) {
		struct inlined_copy copy = { .in = func, .addr = first[i] };
		struct inlined_call call;

		if (first[i] == UINT64_MAX || !parse_call(t, tree + i * call_size(t), &call))
			continue;
		err = spend(table, f, strlen(call.name));
		if (err || (f->matcher && !func_matcher_match(f->matcher, call.name)))
			continue;
		copy.name = call.name;
		if (call.parent_pc < func->end - func->entry)
			func_record_line(t, func, &record, func->entry + call.parent_pc, &copy.file, &copy.line);
		err = append(f, copy);
	}
	return err;
}

struct err *func_table_inlined(const struct func_table *table, const struct func_matcher *matcher,
			       struct inlined_copy **v_ret, size_t *n_ret)
{
	struct found f = { .matcher = matcher, .budget = table->priv->elf->id.size };
	const struct pclntab_func any = { .has_inline = true };
	struct err *err = NULL;
	uint64_t addr;

	if (__builtin_mul_overflow(f.budget, READ_RATIO_MAX, &f.budget))
		f.budget = UINT64_MAX;
	if (!tree_addr(table, &any, &addr))
		return err_create(ERR_NOTFOUND, "%s: where its table of inlined calls is cannot be told",
				  table->priv->elf->path);
	for (size_t i = 0; i < table->n && !err; i++)
		if (table->v[i].pcln_id != UINT32_MAX)
			err = copies_in(table, &table->v[i], &f);
	if (err) {
		free(f.v);
		return err;
	}
	*v_ret = f.v;
	*n_ret = f.n;
	return NULL;
}
