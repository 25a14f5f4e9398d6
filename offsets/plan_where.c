/* SPDX-License-Identifier: Apache-2.0 */
#include "plan_where.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "func_name.h"
#include "plan_expr.h"

static const char *const special_names[WHERE_NAMES] = {
	[WHERE_NAME_DURATION] = "duration",
	[WHERE_NAME_PID] = "pid",
	[WHERE_NAME_GOID] = "goid",
};

struct err *plan_condition_create(const struct plan_options *options, struct plan_condition **ret)
{
	struct plan_condition *c;
	struct err *err;

	*ret = NULL;
	if (!options->where && !options->by)
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return &err_nomem;
	err = options->where ? expression_parse(options->where, &c->parsed) : NULL;
	if (!err && options->by)
		err = expression_parse(options->by, &c->by);
	if (err)
		plan_condition_destroy(c);
	else
		*ret = c;
	return err;
}

static void leave(struct plan_condition *c)
{
	expression_destroy(c->typed);
	expression_destroy(c->typed_by);
	c->typed = c->typed_by = NULL;
}

void plan_condition_destroy(struct plan_condition *c)
{
	if (!c)
		return;
	leave(c);
	expression_destroy(c->parsed);
	expression_destroy(c->by);
	err_destroy(c->misfit);
	free(c);
}

static bool is_special(const char *name)
{
	for (int i = 0; i < WHERE_NAMES; i++)
		if (!strcmp(name, special_names[i]))
			return true;
	return false;
}

static bool has_name(const struct expression *e, bool special)
{
	for (uint16_t i = 1; e && i < e->n; i++)
		if (e->nodes[i].op == EXPR_NAME && is_special(expression_string(e, &e->nodes[i])) == special)
			return true;
	return false;
}

bool plan_condition_needs_types(const struct plan_condition *c)
{
	return has_name(c->parsed, false) || has_name(c->by, false);
}

bool plan_condition_wants_types(const struct plan_condition *c)
{
	return plan_condition_needs_types(c) || has_name(c->parsed, true) || has_name(c->by, true);
}

/* ---- types --------------------------------------------------------------------------------------------------- */

static struct err *special_type(struct type_table *types, int special, uint32_t *ret)
{
	struct go_type t = { .kind = special == WHERE_NAME_DURATION ? GO_INT64 : GO_UINT64,
			     .flags = TYPE_COMPLETE,
			     .align = 8,
			     .size = 8,
			     .elem = TYPE_NONE,
			     .key = TYPE_NONE };
	const char *name = special == WHERE_NAME_DURATION ? "time.Duration" : "uint64";

	for (uint32_t i = 0; i < types->n; i++)
		if (types->v[i].kind == t.kind && (types->v[i].flags & TYPE_COMPLETE) &&
		    !strcmp(type_string(types, types->v[i].name), name)) {
			*ret = i;
			return NULL;
		}
	struct err *err = type_table_intern(types, name, &t.name);
	return err ? err : type_table_add(types, &t, ret);
}

static struct err *resolve(struct plan_builder *b, struct plan_func *f)
{
	size_t n_vars = f->n_params + f->n_results, n = n_vars + WHERE_NAMES;
	struct expression_name *names _cleanup_free_ = calloc(n, sizeof(*names));
	struct expression_scope scope = { .types = &b->plan->types, .dwarf = b->dwarf, .names = names, .n_names = n };
	struct plan_condition *c = b->where;
	const struct expr_node *root;
	struct err *err = NULL;

	if (!names)
		return &err_nomem;
	if (!f->has_types && plan_condition_needs_types(c))
		return err_create(ERR_USAGE,
				  "its parameters and results are not known; hint: a condition on them needs "
				  "debug information");
	for (size_t i = 0; i < n && !err; i++) {
		if (i < n_vars) {
			const struct plan_var *var =
				&b->plan->vars[i < f->n_params ? f->first_param + i
							       : f->first_result + i - f->n_params];

			/* a copy: the table's strings move when types are added */
			names[i].name = strdup(plan_string(b->plan, var->name));
			names[i].type = var->type;
			names[i].result = i >= f->n_params;
		} else {
			names[i].name = strdup(special_names[i - n_vars]);
			names[i].hit = true;
			err = special_type(&b->plan->types, (int)(i - n_vars), &names[i].type);
		}
		if (!names[i].name)
			err = &err_nomem;
	}
	if (!err && c->parsed)
		err = expression_resolve(c->parsed, &scope, &c->typed);
	if (!err && c->by)
		err = expression_resolve(c->by, &scope, &c->typed_by);
	for (size_t i = 0; i < n; i++)
		free((char *)names[i].name);
	if (err || !c->typed)
		return err;
	root = &c->typed->nodes[c->typed->root];
	if (root->kind != GO_BOOL || root->lists)
		return expression_error(c->parsed->text, 0, "compare it with something", "this is no condition");
	return NULL;
}

/* ---- functions that it does not fit -------------------------------------------------------------------------- */

/* Was the function named, or did a pattern with a * or ? find it? */
static bool is_named(const struct plan_builder *b, const char *name)
{
	for (size_t i = 0; i < b->n_patterns; i++)
		if (func_pattern_kind(b->patterns[i], name) >= FUNC_MATCH_INSTANCE)
			return true;
	return false;
}

/* Takes the error: the function is left out with the error's own words, without the hint, as the reason. */
static struct err *misfit(struct plan_builder *b, struct plan_func *f, struct err *why)
{
	struct plan_condition *c = b->where;
	const char *end = strstr(why->msg, "; hint: ");
	char text[600];
	struct err *err;

	leave(c);
	if (why->code == ERR_NOMEM)
		return why;
	if (is_named(b, plan_string(b->plan, f->name)))
		return err_wrap(why, "%s", plan_string(b->plan, f->name));
	snprintf(text, sizeof(text), "the condition does not fit: %.*s",
		 end ? (int)(end - why->msg) : (int)strlen(why->msg), why->msg);
	err = type_table_intern(&b->plan->types, text, &f->refused);
	if (err || c->misfit)
		err_destroy(why);
	else
		c->misfit = err_wrap(why, "%s", plan_string(b->plan, f->name));
	return err;
}

struct err *plan_condition_enter(struct plan_builder *b, struct plan_func *f)
{
	struct plan_condition *c = b->where;
	uint8_t needs[EXPR_NODES_MAX];
	struct err *err;

	leave(c);
	c->func = f;
	c->late = false;
	err = resolve(b, f);
	if (err)
		return misfit(b, f, err);
	if (c->typed) {
		where_needs(c->typed, f, needs);
		c->late = needs[c->typed->root] & WHERE_NEEDS_RETURN;
	}
	return NULL;
}

/* ---- what is needed ------------------------------------------------------------------------------------------ */

static bool needs_word(const struct plan_builder *b, const struct expression *e, const struct site_word *word)
{
	bool inner[EXPR_NODES_MAX] = { false };

	for (uint16_t i = 1; i < e->n; i++)
		if (e->nodes[i].op >= EXPR_FIELD && e->nodes[i].op <= EXPR_CAP)
			inner[e->nodes[i].a] = true;
	for (uint16_t i = 1; i < e->n; i++) {
		struct plan_need need;

		if (inner[i] || e->nodes[i].op < EXPR_NAME || e->nodes[i].op > EXPR_CAP)
			continue;
		need = plan_expression_need(b, b->where->func, e, i);
		if (need.is_param && need.var == word->value && need.offset < (uint64_t)word->offset + word->size &&
		    word->offset < need.offset + need.size)
			return true;
	}
	return false;
}

bool plan_condition_needs(const struct plan_builder *b, const struct site_word *word)
{
	const struct plan_condition *c = b->where;

	return c && ((c->typed && needs_word(b, c->typed, word)) || (c->typed_by && needs_word(b, c->typed_by, word)));
}

void plan_condition_drop(const struct plan_builder *b, struct track_word *track, struct site_word *words, size_t *n)
{
	size_t kept = 0;

	for (size_t i = 0; i < *n; i++) {
		if (!plan_condition_needs(b, &words[i]) &&
		    (!b->options->args || (b->expressions && !plan_expressions_need(b, &words[i]))))
			continue;
		track[kept] = track[i];
		words[kept++] = words[i];
	}
	*n = kept;
}

/* ---- the filter ---------------------------------------------------------------------------------------------- */

static bool is_same(const struct plan_builder *b, const struct plan_filter *x, const struct plan_filter *y)
{
	return !strcmp(plan_string(b->plan, x->enter), plan_string(b->plan, y->enter)) &&
	       !strcmp(plan_string(b->plan, x->leave), plan_string(b->plan, y->leave)) &&
	       !strcmp(plan_string(b->plan, x->by), plan_string(b->plan, y->by)) && x->by_late == y->by_late;
}

struct err *plan_condition_compile(struct plan_builder *b, struct plan_func *f, const struct site_word *entry,
				   size_t n_entry, const struct site_word *results, size_t n_results,
				   uint16_t *index_ret)
{
	const struct where_words at_entry = { entry, n_entry }, at_return = { results, n_results };
	struct plan_filter filter;
	struct err *err = where_compile(b, f, b->where->typed, b->where->typed_by, &at_entry, &at_return, &filter);

	*index_ret = 0;
	if (err)
		return misfit(b, f, err);
	b->where->n_fit++;
	for (size_t i = 0; i < b->plan->n_filters; i++)
		if (is_same(b, &b->plan->filters[i], &filter)) {
			*index_ret = (uint16_t)(1 + i);
			return NULL;
		}
	if (b->plan->n_filters == PLAN_FILTERS_MAX)
		return misfit(
			b, f,
			err_create(ERR_UNSUPPORTED,
				   "its values lie otherwise than those of the functions before it, and only %d ways "
				   "become part of a program",
				   PLAN_FILTERS_MAX));
	*index_ret = (uint16_t)(1 + b->plan->n_filters);
	return plan_append(b, filters, filter);
}
