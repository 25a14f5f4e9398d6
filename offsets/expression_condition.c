/* SPDX-License-Identifier: Apache-2.0 */
/* Literals and conditions, checked as Go does: both sides of a comparison are of one kind, and a literal fits it. */
#include "expression_resolve.h"

#include <string.h>

static bool is_signed(uint8_t kind)
{
	return kind >= GO_INT && kind <= GO_INT64;
}

static bool is_integer(uint8_t kind)
{
	return kind >= GO_INT && kind <= GO_UINTPTR;
}

static bool is_real(uint8_t kind)
{
	return kind == GO_FLOAT32 || kind == GO_FLOAT64;
}

/* Kinds that can be nil. */
static bool has_nil(uint8_t kind)
{
	switch (kind) {
	case GO_CHAN:
	case GO_FUNC:
	case GO_INTERFACE:
	case GO_MAP:
	case GO_POINTER:
	case GO_SLICE:
	case GO_UNSAFE_POINTER:
		return true;
	}
	return false;
}

static bool is_literal(const struct expr_node *node)
{
	return node->op >= EXPR_INT && node->op <= EXPR_NIL;
}

static bool integer_fits(const struct expr_node *literal, uint8_t kind, uint64_t size)
{
	unsigned int bits = size >= 8 ? 64 : 8 * (unsigned int)size;
	uint64_t most = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;

	if (!is_signed(kind))
		return !literal->negative && literal->integer <= most;
	return literal->integer <= most / 2 + literal->negative;
}

struct err *resolver_check_literal(const struct resolver *r, const struct expr_node *literal,
				   const struct expr_node *typed)
{
	uint64_t size = typed->type == TYPE_NONE ? 8 : r->scope->types->v[typed->type].size;
	bool ok = false;

	switch (literal->op) {
	case EXPR_INT:
		if (literal->duration && strcmp(resolver_node_type(r, typed), "time.Duration") != 0)
			return expression_error(r->in->text, literal->at, "", "%s is no duration",
						resolver_node_type(r, typed));
		if (is_integer(typed->kind) && !integer_fits(literal, typed->kind, size))
			return expression_error(r->in->text, literal->at, "", "the number does not fit %s",
						resolver_node_type(r, typed));
		ok = is_integer(typed->kind) || is_real(typed->kind);
		break;
	case EXPR_REAL:
		ok = is_real(typed->kind);
		break;
	case EXPR_STRING:
		ok = typed->kind == GO_STRING;
		break;
	case EXPR_BOOL:
		ok = typed->kind == GO_BOOL;
		break;
	case EXPR_NIL:
		ok = has_nil(typed->kind);
		break;
	}
	return ok ? NULL
		  : expression_error(r->in->text, literal->at, "", "this is no %s", resolver_node_type(r, typed));
}

static struct err *add_literal(struct resolver *r, const struct expr_node *in, uint16_t *ret)
{
	static const uint8_t kinds[] = { GO_INT, GO_FLOAT64, GO_STRING, GO_BOOL, GO_INVALID };
	struct expr_node node = *in;
	struct err *err = NULL;

	node.kind = kinds[in->op - EXPR_INT];
	if (in->op == EXPR_STRING)
		err = expression_intern(r->out, expression_string(r->in, in), in->name_len, &node.name);
	return err ? err : expression_add(r->out, &node, ret);
}

/* A list of values is neither true nor false. */
static struct err *refuse_lists(const struct resolver *r, const struct expr_node *node, uint32_t at)
{
	if (node->lists || node->op == EXPR_SLICE)
		return expression_error(r->in->text, at, "name one element", "a range is not compared");
	return NULL;
}

static struct err *check_bool(const struct resolver *r, uint16_t parsed)
{
	const struct expr_node *node = &r->out->nodes[r->made[parsed]];
	uint32_t at = r->in->nodes[parsed].at;
	struct err *err = refuse_lists(r, node, at);

	if (!err && node->kind != GO_BOOL)
		err = expression_error(r->in->text, at, "", "a condition is wanted here, and this is %s",
				       resolver_node_type(r, node));
	return err;
}

/* Two values, neither of which is a literal. */
static struct err *check_kinds(const struct resolver *r, const struct expr_node *in, const struct expr_node *a,
			       const struct expr_node *b)
{
	bool same = a->kind == b->kind;

	/* Go wants one type; values of several widths are compared here as the numbers that they are. */
	if (is_integer(a->kind) && is_integer(b->kind))
		same = is_signed(a->kind) == is_signed(b->kind);
	else if (is_real(a->kind) && is_real(b->kind))
		same = true;
	if (!same)
		return expression_error(r->in->text, in->at, "", "%s and %s are not compared", resolver_node_type(r, a),
					resolver_node_type(r, b));
	return NULL;
}

static struct err *check_comparison(const struct resolver *r, const struct expr_node *in)
{
	const struct expr_node *pa = &r->in->nodes[in->a], *pb = &r->in->nodes[in->b];
	const struct expr_node *a = &r->out->nodes[r->made[in->a]], *b = &r->out->nodes[r->made[in->b]];
	struct err *err = refuse_lists(r, a, pa->at);
	uint8_t kind;

	if (!err)
		err = refuse_lists(r, b, pb->at);
	if (err)
		return err;
	if (is_literal(a) && is_literal(b))
		return expression_error(r->in->text, in->at, "", "two literals are compared");
	if (is_literal(b))
		err = resolver_check_literal(r, pb, a);
	else if (is_literal(a))
		err = resolver_check_literal(r, pa, b);
	else
		err = check_kinds(r, in, a, b);
	if (err)
		return err;
	kind = is_literal(a) ? b->kind : a->kind;
	if (is_integer(kind) || is_real(kind) || kind == GO_STRING)
		return NULL;
	if (in->op != EXPR_EQ && in->op != EXPR_NE)
		return expression_error(r->in->text, in->at, "", "%s has no order; == and != can be asked",
					resolver_node_type(r, is_literal(a) ? b : a));
	if (kind == GO_BOOL || a->op == EXPR_NIL || b->op == EXPR_NIL || kind == GO_POINTER || kind == GO_CHAN ||
	    kind == GO_UNSAFE_POINTER)
		return NULL;
	return expression_error(r->in->text, in->at, "name what in it is to be compared", "%s is not compared",
				resolver_node_type(r, is_literal(a) ? b : a));
}

struct err *resolver_condition(struct resolver *r, const struct expr_node *in, uint16_t *ret)
{
	struct expr_node node = *in;
	struct err *err;

	if (is_literal(in))
		return add_literal(r, in, ret);
	switch (in->op) {
	case EXPR_NOT:
		err = check_bool(r, in->a);
		break;
	case EXPR_AND:
	case EXPR_OR:
		err = check_bool(r, in->a);
		if (!err)
			err = check_bool(r, in->b);
		break;
	default:
		err = check_comparison(r, in);
	}
	node.kind = GO_BOOL;
	node.type = TYPE_NONE;
	node.a = r->made[in->a];
	node.b = in->b ? r->made[in->b] : 0;
	return err ? err : expression_add(r->out, &node, ret);
}
