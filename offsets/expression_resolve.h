/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of expression_resolve() share: ways to values, and conditions. */
#ifndef OFFSETS_EXPRESSION_RESOLVE_H
#define OFFSETS_EXPRESSION_RESOLVE_H

#include "expression.h"

struct resolver {
	const struct expression *in;
	struct expression *out;
	const struct expression_scope *scope;
	uint16_t made[EXPR_NODES_MAX]; /* in `out`, of a node of `in` */
};

const char *resolver_type_name(const struct resolver *r, uint32_t type);
const char *resolver_node_type(const struct resolver *r, const struct expr_node *node); /* for people */

/* expression_condition.c: does a literal fit a value of `typed`'s kind? ERR_USAGE with the place. */
struct err *resolver_check_literal(const struct resolver *r, const struct expr_node *literal,
				   const struct expr_node *typed);

/* expression_condition.c: literals, comparisons, && || !. */
struct err *resolver_condition(struct resolver *r, const struct expr_node *in, uint16_t *ret);

#endif
