/* SPDX-License-Identifier: Apache-2.0 */
#include "plan_expr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "func_name.h"

/* ---- the list ------------------------------------------------------------------------------------------------ */

struct err *plan_expressions_create(const struct plan_options *options, struct plan_expressions **ret)
{
	struct plan_expressions *x;
	struct err *err = NULL;

	*ret = NULL;
	if (!options->n_expressions)
		return NULL;
	x = calloc(1, sizeof(*x));
	if (!x)
		return &err_nomem;
	for (size_t i = 0; i < options->n_expressions && !err; i++)
		err = expression_list_parse(&x->parsed, options->expressions[i]);
	for (size_t i = 0; i < x->parsed.n && !err; i++)
		if (!expression_is_path(x->parsed.v[i]))
			err = expression_error(x->parsed.v[i]->text, 0, "", "this is no value of a call");
	if (err)
		plan_expressions_destroy(x);
	else
		*ret = x;
	return err;
}

static void leave(struct plan_expressions *x)
{
	for (size_t i = 0; i < x->parsed.n; i++) {
		expression_destroy(x->typed[i]);
		x->typed[i] = NULL;
	}
}

void plan_expressions_destroy(struct plan_expressions *x)
{
	if (!x)
		return;
	leave(x);
	expression_list_deinit(&x->parsed);
	err_destroy(x->misfit);
	free(x);
}

size_t plan_expression_chain(const struct expression *e, uint16_t end, uint16_t chain[EXPR_NODES_MAX])
{
	size_t n = 0;

	for (uint16_t i = end; i; i = e->nodes[i].a)
		n++;
	size_t at = n;
	for (uint16_t i = end; i; i = e->nodes[i].a)
		chain[--at] = i;
	return n;
}

static struct err *check_typed(const struct expression *e)
{
	uint16_t chain[EXPR_NODES_MAX];

	if (plan_expression_chain(e, e->root, chain) > PLAN_WAYS_MAX)
		return expression_error(e->text, 0, "", "a way of more than %d steps", PLAN_WAYS_MAX - 1);
	return NULL;
}

static struct err *resolve_all(struct plan_builder *b, struct plan_func *f)
{
	struct plan_expressions *x = b->expressions;
	const struct go_type *context = b->context == TYPE_NONE ? NULL : &b->plan->types.v[b->context];
	const struct go_type *captured = context ? &b->plan->types.v[context->elem] : NULL;
	size_t n_vars = f->n_params + f->n_results, n = n_vars + (captured ? captured->n_fields : 0);
	struct expression_name *names _cleanup_free_ = calloc(n + 1, sizeof(*names));
	struct expression_scope scope = {
		.types = &b->plan->types, .dwarf = b->dwarf, .names = names, .n_names = n, .context = b->context
	};
	struct err *err = NULL;

	leave(x);
	x->func = f;
	x->cut = false;
	if (!names)
		return &err_nomem;
	if (!f->has_types)
		return err_create(ERR_USAGE,
				  "its parameters and results are not known; hint: expressions need debug information");
	for (size_t i = n_vars; i < n && !err; i++) {
		const struct go_field *field = &b->plan->types.fields[captured->first_field + i - n_vars];
		const char *name = plan_string(b->plan, field->name);

		names[i].captured = true;
		names[i].shared = name[0] == '&';
		names[i].name = strdup(name + names[i].shared);
		names[i].type = field->type;
		names[i].offset = (uint32_t)field->offset;
		if (!names[i].name)
			err = &err_nomem;
	}
	for (size_t i = 0; i < n_vars && !err; i++) {
		const struct plan_var *var =
			&b->plan->vars[i < f->n_params ? f->first_param + i : f->first_result + i - f->n_params];
		/* a copy: the table's strings move when types are added */
		names[i].name = strdup(plan_string(b->plan, var->name));
		names[i].type = var->type;
		names[i].result = i >= f->n_params;
		if (!names[i].name)
			err = &err_nomem;
	}
	for (size_t i = 0; i < x->parsed.n && !err; i++) {
		err = expression_resolve(x->parsed.v[i], &scope, &x->typed[i]);
		if (!err)
			err = check_typed(x->typed[i]);
	}
	for (size_t i = 0; i < n; i++)
		free((char *)names[i].name);
	return err;
}

/* Was the function named, or did a pattern with a * or ? find it? */
static bool is_named(const struct plan_builder *b, const char *name)
{
	for (size_t i = 0; i < b->n_patterns; i++)
		if (func_pattern_kind(b->patterns[i], name) >= FUNC_MATCH_INSTANCE)
			return true;
	return false;
}

/* The error's own words, without the hint, as the reason for leaving a function out. */
static struct err *refuse(struct plan_builder *b, struct plan_func *f, const struct err *why)
{
	const char *hint = strstr(why->msg, "; hint: ");
	size_t n = hint ? (size_t)(hint - why->msg) : strlen(why->msg);
	char text[600];

	snprintf(text, sizeof(text), "the expressions do not fit: %.*s", (int)n, why->msg);
	return type_table_intern(&b->plan->types, text, &f->refused);
}

struct err *plan_expressions_enter(struct plan_builder *b, struct plan_func *f)
{
	struct plan_expressions *x = b->expressions;
	struct err *err = resolve_all(b, f), *refused;

	if (!err)
		x->n_fit++;
	if (!err || err->code == ERR_NOMEM)
		return err;
	if (is_named(b, plan_string(b->plan, f->name)))
		return err_wrap(err, "%s", plan_string(b->plan, f->name));
	refused = refuse(b, f, err);
	if (refused || x->misfit)
		err_destroy(err);
	else
		x->misfit = err_wrap(err, "%s", plan_string(b->plan, f->name));
	return refused;
}

bool plan_expressions_have_results(const struct plan_expressions *x)
{
	for (size_t i = 0; i < x->parsed.n; i++)
		if (x->typed[i] && x->typed[i]->results)
			return true;
	return false;
}

/* ---- what of a parameter is needed --------------------------------------------------------------------------- */

/* The bytes of the parameter or result that the way begins with. */
struct plan_need plan_expression_need(const struct plan_builder *b, const struct plan_func *f,
				      const struct expression *e, uint16_t end)
{
	uint16_t chain[EXPR_NODES_MAX] = { 0 };
	size_t n = plan_expression_chain(e, end, chain);
	uint32_t var = e->nodes[chain[0]].var, type = e->nodes[chain[0]].type;
	struct plan_need need = { .var = var == EXPR_CONTEXT ? f->n_params
					 : var < f->n_params ? var
							     : var - f->n_params,
				  .is_param = var == EXPR_CONTEXT || var < f->n_params };

	for (size_t i = 1; i < n; i++) {
		const struct expr_node *node = &e->nodes[chain[i]];
		uint8_t from = plan_kind_of(b, type);
		uint64_t each = plan_size_of(b, plan_elem_of(b, type));

		need.size = 16; /* pointer and length, or the two words of an interface */
		switch (node->op) {
		case EXPR_FIELD:
			need.offset += node->offset;
			type = node->type;
			continue;
		case EXPR_INDEX:
			if (from != GO_ARRAY)
				return need;
			need.offset += node->lo * each;
			type = node->type;
			continue;
		case EXPR_SLICE:
		case EXPR_EACH:
			if (from == GO_ARRAY) {
				need.offset += node->lo * each;
				need.size = (node->hi - node->lo) * each;
			}
			return need;
		case EXPR_LEN:
		case EXPR_CAP:
			need.size = from == GO_ARRAY ? 0 : 8;
			if (from == GO_STRING || from == GO_SLICE)
				need.offset += node->op == EXPR_LEN ? 8 : 16;
			return need;
		case EXPR_ASSERT:
			return need;
		default:
			need.size = 8;
			return need;
		}
	}
	need.size = plan_size_of(b, type);
	return need;
}

bool plan_expressions_need(const struct plan_builder *b, const struct site_word *word)
{
	const struct plan_expressions *x = b->expressions;

	for (size_t i = 0; i < x->parsed.n; i++) {
		struct plan_need need;

		if (!x->typed[i]->params)
			continue;
		need = plan_expression_need(b, x->func, x->typed[i], x->typed[i]->root);
		if (need.var == word->value && need.offset < (uint64_t)word->offset + word->size &&
		    word->offset < need.offset + need.size)
			return true;
	}
	return false;
}
