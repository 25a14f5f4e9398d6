/* SPDX-License-Identifier: Apache-2.0 */
/* Where the parameters and results of one function are: the calling convention's rule, and where the debug information lists fewer than
 * there are, what can still be said. */
#include <stdlib.h>
#include <string.h>

#include "func_name.h"
#include "plan_build.h"

/* ---- the rule -------------------------------------------------------------------------------------------------- */

static bool is_generic(const char *name)
{
	return strstr(name, "[go.shape.") || strstr(name, "[...]");
}

/* Types of the call in ABI order: the parameters with a generic function's dictionary put in, then the results. *dict_ret is the
 * index of the dictionary, or SIZE_MAX. */
static struct err *abi_types(struct plan_builder *b, const struct plan_func *f, const char *name, bool generic,
			     uint32_t **ret, size_t *n_params_ret, size_t *dict_ret)
{
	const struct type_table *types = &b->plan->types;
	const char *first = f->n_params ? type_string(types, types->v[b->plan->vars[f->first_param].type].name) : "";
	enum func_dictionary kind = generic ? func_name_dictionary(name, first) : FUNC_DICT_NONE;
	uint32_t *v = calloc(f->n_params + f->n_results + 1, sizeof(*v));
	size_t n = 0, dict = SIZE_MAX;
	struct err *err = NULL;

	if (!v)
		return &err_nomem;
	/* A method's stands before the receiver up to Go 1.19, behind it from 1.20 (cmd/compile/internal/noder). */
	if (kind != FUNC_DICT_NONE)
		dict = kind == FUNC_DICT_METHOD && b->plan->binary.go_minor >= 20 ? 1 : 0;
	for (uint32_t i = 0; i < f->n_params && !err; i++) {
		if (n == dict)
			err = plan_word_type(b, &v[n++]);
		v[n++] = b->plan->vars[f->first_param + i].type;
	}
	if (!err && n == dict)
		err = plan_word_type(b, &v[n++]);
	*n_params_ret = n;
	for (uint32_t i = 0; i < f->n_results; i++)
		v[n++] = b->plan->vars[f->first_result + i].type;
	if (err) {
		free(v);
		return err;
	}
	*ret = v;
	*dict_ret = dict;
	return NULL;
}

/* ---- what the debug information leaves out --------------------------------------------------------------------- */

/* Up to Go 1.21 blank and unnamed parameters are not in DWARF, and what stands behind them lies elsewhere than the rule says. The pclntab
 * has the size of all (_func.args): of parameters and results on the stack, and of the spill area of those in registers. A size that is not
 * that of the layout says that some are missing. */
#define LISTS_ALL_MINOR 22

static struct err *args_size(struct plan_builder *b, const struct func *func, bool *known_ret, uint32_t *ret)
{
	struct err *err = func_table_args_size(b->program->funcs, func, ret);

	*known_ret = !err;
	if (!err)
		*ret = (*ret + 7) & ~7u;
	if (!err || err->code == ERR_NOMEM)
		return err;
	err_destroy(err);
	return NULL;
}

static uint32_t layout_size(const struct abi_layout *abi)
{
	return abi->stack_args_size + abi->spill_size;
}

/* The location that DWARF gives a parameter at the function's first instruction, if it covers all of it. */
static struct err *known_place(struct plan_builder *b, const struct plan_func *f, const struct dwarf_func *df,
			       const struct dwarf_param *param, struct dwarf_piece *pieces, size_t *n_ret)
{
	uint64_t size = b->plan->types.v[param->type].size, covered = 0;
	struct err *err;

	*n_ret = 0;
	if (!param->has_location)
		return NULL;
	err = dwarf_info_location(b->dwarf, df, param->die, size, f->entry, pieces, n_ret);
	if (err && err->code == ERR_NOMEM)
		return err;
	if (err) {
		err_destroy(err);
		*n_ret = 0;
		return NULL;
	}
	for (size_t i = 0; i < *n_ret; i++)
		if (pieces[i].place == DWARF_PLACE_REG || pieces[i].place == DWARF_PLACE_CFA)
			covered += pieces[i].size;
	if (covered != size)
		*n_ret = 0;
	return NULL;
}

/* The compiler keeps the words of these apart, and old ones then give the place of one word for that of the whole value. */
static bool kept_in_words(const struct go_type *t)
{
	return t->kind == GO_STRING || t->kind == GO_SLICE || t->kind == GO_INTERFACE || t->kind == GO_COMPLEX64 ||
	       t->kind == GO_COMPLEX128 || t->kind == GO_STRUCT || t->kind == GO_ARRAY;
}

/* Bytes from the CFA at which the pieces say that the value begins; false where they do not agree on it. */
static bool stack_place(const struct go_type *t, bool optimized, const struct dwarf_piece *pieces, size_t n,
			int64_t *ret)
{
	for (size_t i = 0; i < n; i++)
		if (pieces[i].place != DWARF_PLACE_CFA || pieces[i].value - pieces[i].offset != pieces[0].value)
			return false;
	*ret = n ? pieces[0].value : 0;
	return n > 1 || (n == 1 && (!optimized || !kept_in_words(t) || t->size <= 8));
}

static uint64_t align_to(uint64_t n, uint64_t align)
{
	return align > 1 ? (n + align - 1) / align * align : n;
}

/* Bytes of the results on the stack. */
static uint64_t results_size(const struct plan_builder *b, const struct abi_layout *abi, size_t n_params)
{
	uint64_t at = 0;

	for (size_t i = n_params; i < abi->n_values; i++) {
		const struct go_type *t = &b->plan->types.v[abi->values[i].type];
		at = align_to(at, t->align) + t->size;
	}
	return align_to(at, 8);
}

/* A value on the stack that DWARF does not place may stand behind something small that is not listed and fits the padding, which no size
 * tells: it is known only where there is no room for it to stand later. limit: bytes from the CFA at which the parameters end. */
static void give_up_hidden(struct plan_builder *b, const struct abi_layout *abi, size_t n_params, const bool *located,
			   uint64_t limit)
{
	for (size_t i = n_params; i-- > 0;) {
		const struct abi_value *v = &abi->values[i];
		const struct go_type *t = &b->plan->types.v[v->type];

		if (v->in_registers || !v->n_words)
			continue;
		uint64_t place = abi->words[v->first_word].place, align = t->align ? t->align : 1;
		if (located[i]) {
			limit = place;
			continue;
		}
		limit = limit < t->size ? 0 : (limit - t->size) / align * align;
		if (limit > place)
			b->unplaced[i] = true;
	}
}

/* The stack convention: DWARF's places hold where it gives them. What lies between two of them, where there is room for something that
 * is not listed, is not known. */
static struct err *fit_stack(struct plan_builder *b, const struct plan_func *f, const struct dwarf_func *df,
			     const struct abi_layout *abi, size_t n_params, bool size_known, uint32_t size)
{
	bool *located _cleanup_free_ = calloc(abi->n_values, sizeof(*located));
	uint64_t at = 0, results = results_size(b, abi, n_params);
	size_t since = 0; /* the first value behind the last one whose place is known */

	if (!located)
		return &err_nomem;

	for (size_t i = 0; i < abi->n_values; i++) {
		const struct abi_value *v = &abi->values[i];
		const struct go_type *t = &b->plan->types.v[v->type];
		struct dwarf_piece pieces[DWARF_PIECES_MAX];
		size_t n, left = i < n_params ? i : i - n_params;
		const struct dwarf_param *param = df->params, *end = df->params + df->n_params;
		int64_t place;

		while (param < end && (param->result != (i >= n_params) || left))
			left -= param++->result == (i >= n_params);
		if (param == end)
			return err_create(ERR_MALFORMED, "fewer parameters than places");
		struct err *err = known_place(b, f, df, param, pieces, &n);
		if (err)
			return err;
		if (i == n_params) {
			/* Results are all listed, and end where everything ends. */
			at = align_to(at, 8);
			for (; size_known && at + results < size && since < i; since++)
				b->unplaced[since] = true;
			if (size_known && at + results < size)
				at = size - results;
			since = i;
		}
		at = align_to(at, t->align);
		if (stack_place(t, df->optimized, pieces, n, &place) && place >= 0 && (uint64_t)place >= at) {
			for (; (uint64_t)place > at && since < i; since++)
				b->unplaced[since] = true;
			since = i + 1;
			at = place;
			located[i] = true;
		}
		if (v->n_words)
			abi->words[v->first_word].place = at;
		at += t->size;
	}
	if (size_known && align_to(at, 8) != size)
		for (; since < abi->n_values; since++)
			b->unplaced[since] = true;
	if (size_known && size >= results)
		give_up_hidden(b, abi, n_params, located, size - results);
	return NULL;
}

/* Is the first piece in another register than the rule's first word? DWARF's numbers: 0 RAX, 3 RBX, 2 RCX, 5 RDI, 4 RSI, 8–11 R8–R11, 17 X0. */
static bool elsewhere(const struct abi_layout *abi, const struct abi_value *v, const struct dwarf_piece *first)
{
	static const int8_t numbers[] = { 0, 3, 2, 5, 4, 8, 9, 10, 11 };
	const struct abi_word *w = &abi->words[v->first_word];

	if (first->place != DWARF_PLACE_REG || !v->n_words)
		return false;
	if (w->where == ABI_FLOAT_REG)
		return first->reg != 17 + w->place;
	return w->where != ABI_INT_REG || first->reg != numbers[w->place];
}

/* A slot on the stack is a register parameter's home, which nothing has been written to at the entry: it says nothing of the register. */
static bool in_registers(const struct dwarf_piece *pieces, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (pieces[i].place != DWARF_PLACE_REG)
			return false;
	return n;
}

/* Registers: only parameters whose place DWARF gives are known where some are missing: where the size says so, or one place. */
static struct err *fit_registers(struct plan_builder *b, const struct plan_func *f, const struct dwarf_func *df,
				 const struct abi_layout *abi, size_t n_params, size_t dict, bool missing)
{
	const struct dwarf_param *param = df->params, *end = df->params + df->n_params;
	bool *located _cleanup_free_ = calloc(abi->n_values, sizeof(*located));
	uint64_t limit = 0;

	if (!located)
		return &err_nomem;
	for (size_t i = 0; i < abi->n_values; i++) {
		const struct go_type *t = &b->plan->types.v[abi->values[i].type];
		struct dwarf_piece pieces[DWARF_PIECES_MAX];
		struct err *err = NULL;
		int64_t place;
		size_t n = 0;

		if (i == dict)
			continue;
		if (i >= n_params) {
			b->unplaced[i] = !abi->values[i].in_registers && abi->values[i].n_words;
			continue;
		}
		while (param < end && param->result)
			param++;
		if (param < end)
			err = known_place(b, f, df, param++, pieces, &n);
		if (err)
			return err;
		if (!abi->values[i].in_registers && abi->values[i].n_words) {
			struct abi_word *word = &abi->words[abi->values[i].first_word];

			located[i] = stack_place(t, df->optimized, pieces, n, &place) && place >= 0;
			if (located[i]) {
				missing = missing || place != word->place;
				word->place = place;
			}
			b->unplaced[i] = !located[i];
			limit = align_to(word->place + t->size, 8);
			continue;
		}
		b->unplaced[i] = !in_registers(pieces, n) && abi->values[i].n_words;
		missing = missing || (n && elsewhere(abi, &abi->values[i], pieces));
	}
	if (!missing)
		memset(b->unplaced, 0, abi->n_values * sizeof(*b->unplaced));
	give_up_hidden(b, abi, n_params, located, limit);
	return NULL;
}

/* Assembly, whose types are those of its compiled wrapper: the wrapper's own size tells whether all are there. */
static struct err *fit_assembly(struct plan_builder *b, const struct abi_layout *abi, size_t n_params)
{
	uint32_t *types _cleanup_free_ = calloc(abi->n_values, sizeof(*types)), size = 0;
	struct abi_layout wrapper = { 0 };
	struct err *err;
	bool known;

	if (!types)
		return &err_nomem;
	for (size_t i = 0; i < abi->n_values; i++)
		types[i] = abi->values[i].type;
	err = args_size(b, b->abi.wrapper, &known, &size);
	if (!err)
		err = abi_assign(&b->plan->types, GO_ABI_INTERNAL, types, n_params, abi->n_values - n_params, &wrapper);
	for (size_t i = 0; i < abi->n_values && !err; i++)
		b->unplaced[i] = !known || size != layout_size(&wrapper);
	abi_layout_deinit(&wrapper);
	return err;
}

/* Everything is listed, and its size is another one: of a type it is not known how it is passed. DWARF's own places hold; results have none. */
static struct err *distrust(struct plan_builder *b, const struct plan_func *f, const struct dwarf_func *df,
			    const struct abi_layout *abi, size_t n_params, size_t dict)
{
	struct err *err;

	b->unplaced = calloc(abi->n_values, sizeof(*b->unplaced));
	if (!b->unplaced)
		return &err_nomem;
	err = fit_registers(b, f, df, abi, n_params, dict, true);
	for (size_t i = n_params; i < abi->n_values && !err; i++)
		b->unplaced[i] = true;
	return err;
}

static struct err *find_missing(struct plan_builder *b, const struct plan_func *f, const struct func *func,
				const struct dwarf_func *df, const struct abi_layout *abi, size_t n_params, size_t dict)
{
	int minor = b->plan->binary.go_minor;
	struct err *err;
	uint32_t size;
	bool known;

	if (!abi->n_values)
		return NULL;
	err = args_size(b, func, &known, &size);
	if (err)
		return err;
	/* The body of a loop over a function (F-range1) goes without its blank ones in any version. */
	if (minor >= LISTS_ALL_MINOR && !strstr(func->name, "-range"))
		return f->abi == GO_ABI_INTERNAL && known && size != layout_size(abi)
			       ? distrust(b, f, df, abi, n_params, dict)
			       : NULL;
	b->unplaced = calloc(abi->n_values, sizeof(*b->unplaced));
	if (!b->unplaced)
		return &err_nomem;
	if (f->abi == GO_ABI_INTERNAL)
		return fit_registers(b, f, df, abi, n_params, dict, known && size != layout_size(abi));
	if (!b->abi.assembly)
		return fit_stack(b, f, df, abi, n_params, known, size);
	return fit_assembly(b, abi, n_params);
}

/* ---- together -------------------------------------------------------------------------------------------------- */

static struct err *assign(struct plan_builder *b, const struct plan_func *f, const struct func *func, bool generic,
			  struct abi_layout *abi_ret, size_t *n_params_ret, size_t *dict_ret)
{
	uint32_t *types _cleanup_free_ = NULL;
	struct err *err = abi_types(b, f, func->name, generic, &types, n_params_ret, dict_ret);

	return err ? err : abi_assign(&b->plan->types, f->abi, types, *n_params_ret, f->n_results, abi_ret);
}

struct err *plan_layout(struct plan_builder *b, struct plan_func *f, const struct func *func,
			const struct dwarf_func *df, struct abi_layout *abi_ret, size_t *n_params_ret, size_t *dict_ret)
{
	bool generic = is_generic(func->name), known = false;
	struct err *err = assign(b, f, func, generic, abi_ret, n_params_ret, dict_ret);
	uint32_t size = 0;

	/* A closure within a generic function has the dictionary in its context, and type:.eq.T for an instance T needs none: their names do
	 * not tell, the size of their parameters does. */
	if (!err && generic)
		err = args_size(b, func, &known, &size);
	if (!err && known && size != layout_size(abi_ret)) {
		struct abi_layout without = { 0 };
		size_t n_params, dict;

		err = assign(b, f, func, false, &without, &n_params, &dict);
		if (!err && layout_size(&without) == size) {
			abi_layout_deinit(abi_ret);
			*abi_ret = without;
			*n_params_ret = n_params;
			*dict_ret = dict;
		} else {
			abi_layout_deinit(&without);
		}
	}
	return err ? err : find_missing(b, f, func, df, abi_ret, *n_params_ret, *dict_ret);
}
