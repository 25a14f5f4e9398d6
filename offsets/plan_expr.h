/* SPDX-License-Identifier: Apache-2.0 */
/* What expressions make of a plan: instead of whole parameters a site reads what they lead to, and nothing else. */
#ifndef OFFSETS_PLAN_EXPR_H
#define OFFSETS_PLAN_EXPR_H

#include "expression.h"
#include "plan_build.h"

struct plan_expressions {
	struct expression_list parsed;
	struct expression *typed[EXPR_LIST_MAX]; /* for the function in hand */
	struct plan_func *func;                  /* which that is */
	bool cut;                                /* it was told that there is no room for all of them */
	size_t n_fit;                            /* functions so far that they fit */
	struct err *misfit;                      /* why they did not fit the first that they did not */
};

/* Parse those of the options. *ret is NULL where there are none. ERR_USAGE with the place. */
struct err *plan_expressions_create(const struct plan_options *options, struct plan_expressions **ret);
void plan_expressions_destroy(struct plan_expressions *x);

/* Give them the types of a function, whose signature is in the plan. Where one does not fit: a function that a pattern found gets its
 * `refused`; for one that was named it is ERR_USAGE with the place. */
struct err *plan_expressions_enter(struct plan_builder *b, struct plan_func *f);

/* Is any of them about results? */
bool plan_expressions_have_results(const struct plan_expressions *x);

/* Does one of them need this word of a parameter? */
bool plan_expressions_need(const struct plan_builder *b, const struct site_word *word);

/* As plan_site_reads(), for what the expressions about parameters, or results, lead to. */
struct err *plan_site_expressions(struct plan_builder *b, bool results, const struct site_word *words, size_t n_words);

/* ---- between the files plan_expr*.c -------------------------------------------------------------------------- */

/* Bytes of the parameter or result that a way begins with. */
struct plan_need {
	uint32_t var; /* parameters and results are counted each by themselves */
	bool is_param;
	uint64_t offset, size;
};

struct plan_need plan_expression_need(const struct plan_builder *b, const struct plan_func *f,
				      const struct expression *e, uint16_t end);

/* The nodes from the name on to `end`, in the order of the way. Returns how many: at most PLAN_WAYS_MAX for an expression that was entered. */
size_t plan_expression_chain(const struct expression *e, uint16_t end, uint16_t chain[EXPR_NODES_MAX]);

/* Is a value of this type in an interface the data word itself, not behind it? */
bool plan_type_is_direct(const struct type_table *types, uint32_t type);

static inline uint64_t plan_size_of(const struct plan_builder *b, uint32_t type)
{
	return type < b->plan->types.n ? b->plan->types.v[type].size : 0;
}

static inline uint32_t plan_elem_of(const struct plan_builder *b, uint32_t type)
{
	return type < b->plan->types.n ? b->plan->types.v[type].elem : TYPE_NONE;
}

static inline uint8_t plan_kind_of(const struct plan_builder *b, uint32_t type)
{
	return type < b->plan->types.n ? b->plan->types.v[type].kind : GO_INVALID;
}

#endif
