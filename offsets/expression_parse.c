/* SPDX-License-Identifier: Apache-2.0 */
/* Grammar, the tightest last (the Go specification, "Operators"; no arithmetic):
 *   or   = and { "||" and }              and  = comparison { "&&" comparison }
 *   comparison = unary [ op unary ]      unary = ( "!" | "*" | "-" ) unary | access
 *   access = operand { "." NAME | ".(" TYPE ")" | "[" or "]" | "[" [INT] ":" [INT] "]" }
 *   operand = NAME | literal | "(" or ")" | ( "len" | "cap" ) "(" or ")" */
#include <stdlib.h>
#include <string.h>

#include "expression_lex.h"

struct parser {
	struct lexer lex;
	struct expression *e;
	int depth;
};

static struct err *parse_or(struct parser *p, uint16_t *ret);

static bool is_sign(const struct parser *p, int sign)
{
	return p->lex.token.kind == TOKEN_SIGN && p->lex.token.sign == sign;
}

static struct err *unexpected(const struct parser *p, const char *wanted)
{
	const struct token *t = &p->lex.token;

	if (t->kind == TOKEN_END)
		return expression_error(p->lex.text, t->at, "", "%s is missing at the end", wanted);
	return expression_error(p->lex.text, t->at, "", "%s is expected here", wanted);
}

static struct err *expect(struct parser *p, int sign, const char *what)
{
	return is_sign(p, sign) ? lexer_next(&p->lex) : unexpected(p, what);
}

static struct err *enter(struct parser *p)
{
	if (++p->depth > EXPR_DEPTH_MAX)
		return expression_error(p->lex.text, p->lex.token.at, "", "more than %d levels within each other",
					EXPR_DEPTH_MAX);
	return NULL;
}

static struct err *add(struct parser *p, struct expr_node node, uint16_t *ret)
{
	node.type = TYPE_NONE;
	return expression_add(p->e, &node, ret);
}

static struct err *add_binary(struct parser *p, uint8_t op, uint16_t a, uint16_t b, uint16_t *ret)
{
	return add(p,
		   (struct expr_node){ .op = op, .a = a, .b = b, .at = p->e->nodes[a].at, .end = p->e->nodes[b].end },
		   ret);
}

/* ---- operands ------------------------------------------------------------------------------------------------ */

static bool token_is(const struct parser *p, const char *word)
{
	const struct token *t = &p->lex.token;

	return t->kind == TOKEN_NAME && t->end - t->at == strlen(word) &&
	       !memcmp(p->lex.text + t->at, word, t->end - t->at);
}

/* A name, or a word of the language. */
static struct err *parse_name(struct parser *p, uint16_t *ret)
{
	const struct token t = p->lex.token;
	struct expr_node node = { .op = EXPR_NAME, .at = t.at, .end = t.end };
	struct err *err;

	if (token_is(p, "true") || token_is(p, "false")) {
		node.op = EXPR_BOOL;
		node.integer = p->lex.text[t.at] == 't';
	} else if (token_is(p, "nil")) {
		node.op = EXPR_NIL;
	} else if (token_is(p, "len")) {
		node.op = EXPR_LEN;
	} else if (token_is(p, "cap")) {
		node.op = EXPR_CAP;
	}
	node.name_len = t.end - t.at;
	err = expression_intern(p->e, p->lex.text + t.at, node.name_len, &node.name);
	if (!err)
		err = lexer_next(&p->lex);
	if (err)
		return err;
	if ((node.op == EXPR_LEN || node.op == EXPR_CAP) && is_sign(p, '(')) {
		err = lexer_next(&p->lex);
		if (!err)
			err = parse_or(p, &node.a);
		node.end = p->lex.token.end;
		if (!err)
			err = expect(p, ')', "')'");
	} else if (node.op == EXPR_LEN || node.op == EXPR_CAP) {
		node.op = EXPR_NAME; /* a parameter may have that name */
	} else if (is_sign(p, '(')) {
		err = expression_error(p->lex.text, p->lex.token.at, "only len and cap can be called",
				       "functions of the program cannot be called");
	}
	return err ? err : add(p, node, ret);
}

static struct err *parse_literal(struct parser *p, bool negative, uint16_t *ret)
{
	const struct token t = p->lex.token;
	struct expr_node node = { .at = t.at, .end = t.end, .negative = negative };
	struct err *err = NULL;

	switch (t.kind) {
	case TOKEN_INT:
		node.op = EXPR_INT;
		node.integer = t.integer;
		node.negative = negative && t.integer;
		if (negative && t.integer > UINT64_C(1) << 63)
			return expression_error(p->lex.text, t.at, "", "a number with more than 64 bits");
		break;
	case TOKEN_DURATION:
		node.op = EXPR_INT;
		node.duration = true;
		node.integer = t.integer;
		node.negative = negative && t.integer;
		break;
	case TOKEN_REAL:
		node.op = EXPR_REAL;
		node.real = negative ? -t.real : t.real;
		break;
	case TOKEN_STRING:
		if (negative)
			return unexpected(p, "a number");
		node.op = EXPR_STRING;
		node.name_len = p->lex.literal_len;
		err = expression_intern(p->e, p->lex.literal, p->lex.literal_len, &node.name);
		break;
	default:
		return unexpected(p, negative ? "a number" : "a name or a value");
	}
	if (!err)
		err = lexer_next(&p->lex);
	return err ? err : add(p, node, ret);
}

static struct err *parse_operand(struct parser *p, uint16_t *ret)
{
	struct err *err;

	if (p->lex.token.kind == TOKEN_NAME)
		return parse_name(p, ret);
	if (!is_sign(p, '('))
		return parse_literal(p, false, ret);
	err = lexer_next(&p->lex);
	if (!err)
		err = parse_or(p, ret);
	return err ? err : expect(p, ')', "')'");
}

/* ---- accesses ------------------------------------------------------------------------------------------------ */

/* The type between ".(" and its ")", as text: what names it is the program's business. */
static struct err *parse_assert(struct parser *p, uint16_t *node_io)
{
	struct expr_node node = { .op = EXPR_ASSERT, .a = *node_io, .at = p->e->nodes[*node_io].at };
	const char *s = p->lex.text;
	uint32_t at = p->lex.token.end, open = p->lex.token.at, end;
	int level = 1;
	struct err *err;

	while (s[at] == ' ')
		at++;
	for (end = at; s[end]; end++) {
		level += s[end] == '(' || s[end] == '[' || s[end] == '{';
		level -= s[end] == ')' || s[end] == ']' || s[end] == '}';
		if (!level)
			break;
	}
	if (s[end] != ')')
		return expression_error(s, open, "", "a parenthesis that is not closed");
	p->lex.at = end + 1;
	node.end = end + 1;
	while (end > at && s[end - 1] == ' ')
		end--;
	if (end == at)
		return expression_error(s, at, "", "a type is missing");
	node.name_len = end - at;
	err = expression_intern(p->e, s + at, node.name_len, &node.name);
	if (!err)
		err = lexer_next(&p->lex);
	return err ? err : add(p, node, node_io);
}

static struct err *parse_field(struct parser *p, uint16_t *node_io)
{
	struct expr_node node = { .op = EXPR_FIELD, .a = *node_io, .at = p->e->nodes[*node_io].at };
	struct err *err = lexer_next(&p->lex);

	if (err)
		return err;
	if (is_sign(p, '('))
		return parse_assert(p, node_io);
	if (p->lex.token.kind != TOKEN_NAME)
		return unexpected(p, "a field's name");
	node.end = p->lex.token.end;
	node.name_len = p->lex.token.end - p->lex.token.at;
	err = expression_intern(p->e, p->lex.text + p->lex.token.at, node.name_len, &node.name);
	if (!err)
		err = lexer_next(&p->lex);
	if (!err && is_sign(p, '('))
		err = expression_error(p->lex.text, p->lex.token.at, "only len and cap can be called",
				       "methods of the program cannot be called");
	return err ? err : add(p, node, node_io);
}

/* A bound is a number that is known now. */
static struct err *parse_bound(struct parser *p, uint32_t *ret)
{
	const struct token t = p->lex.token;

	if (t.kind != TOKEN_INT)
		return unexpected(p, "a number");
	if (t.integer > EXPR_INDEX_MAX)
		return expression_error(p->lex.text, t.at, "", "a bound can be at most %d", EXPR_INDEX_MAX);
	*ret = (uint32_t)t.integer;
	return lexer_next(&p->lex);
}

static struct err *parse_range(struct parser *p, struct expr_node *node)
{
	uint32_t at = p->lex.token.at;
	struct err *err = lexer_next(&p->lex); /* the colon */

	node->op = EXPR_SLICE;
	node->hi = EXPR_OPEN;
	if (!err && !is_sign(p, ']'))
		err = parse_bound(p, &node->hi);
	if (!err && node->hi < node->lo)
		err = expression_error(p->lex.text, at, "", "the lower bound is above the upper one");
	return err;
}

static struct err *parse_index(struct parser *p, uint16_t *node_io)
{
	struct expr_node node = { .op = EXPR_KEY, .a = *node_io, .at = p->e->nodes[*node_io].at };
	struct err *err = lexer_next(&p->lex);

	if (!err && is_sign(p, ':')) {
		err = parse_range(p, &node);
	} else if (!err) {
		struct token first = p->lex.token;

		err = parse_or(p, &node.b);
		if (!err && is_sign(p, ':')) {
			const struct expr_node *lo = &p->e->nodes[node.b];
			if (lo->op != EXPR_INT || lo->duration || lo->negative || lo->integer > EXPR_INDEX_MAX)
				return expression_error(p->lex.text, first.at, "", "a bound is a number of at most %d",
							EXPR_INDEX_MAX);
			node.lo = (uint32_t)lo->integer;
			node.b = 0;
			p->e->n--; /* the literal, the last that was made */
			err = parse_range(p, &node);
		}
	}
	node.end = p->lex.token.end;
	if (!err)
		err = expect(p, ']', "']'");
	return err ? err : add(p, node, node_io);
}

static struct err *parse_access(struct parser *p, uint16_t *ret)
{
	int before = p->depth;
	struct err *err = parse_operand(p, ret);

	while (!err && (is_sign(p, '.') || is_sign(p, '['))) {
		err = enter(p);
		if (!err)
			err = is_sign(p, '.') ? parse_field(p, ret) : parse_index(p, ret);
	}
	p->depth = before;
	return err;
}

/* ---- operators ----------------------------------------------------------------------------------------------- */

static struct err *parse_unary(struct parser *p, uint16_t *ret)
{
	struct expr_node node = { .at = p->lex.token.at };
	struct err *err;

	if (!is_sign(p, '!') && !is_sign(p, '*') && !is_sign(p, '-'))
		return parse_access(p, ret);
	node.op = is_sign(p, '!') ? EXPR_NOT : is_sign(p, '*') ? EXPR_DEREF : EXPR_NONE;
	err = enter(p);
	if (!err)
		err = lexer_next(&p->lex);
	if (!err && node.op == EXPR_NONE) {
		err = parse_literal(p, true, ret);
		if (!err)
			p->e->nodes[*ret].at = node.at;
	} else if (!err) {
		err = parse_unary(p, &node.a);
		node.end = p->e->nodes[node.a].end;
		if (!err)
			err = add(p, node, ret);
	}
	p->depth--;
	return err;
}

static uint8_t comparison(const struct parser *p)
{
	static const struct {
		int sign;
		uint8_t op;
	} ops[] = { { SIGN2('=', '='), EXPR_EQ },
		    { SIGN2('!', '='), EXPR_NE },
		    { '<', EXPR_LT },
		    { SIGN2('<', '='), EXPR_LE },
		    { '>', EXPR_GT },
		    { SIGN2('>', '='), EXPR_GE } };

	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		if (is_sign(p, ops[i].sign))
			return ops[i].op;
	return EXPR_NONE;
}

static struct err *parse_comparison(struct parser *p, uint16_t *ret)
{
	struct err *err = parse_unary(p, ret);
	uint8_t op = comparison(p);
	uint16_t right;

	if (err || !op)
		return err;
	err = lexer_next(&p->lex);
	if (!err)
		err = parse_unary(p, &right);
	if (!err)
		err = add_binary(p, op, *ret, right, ret);
	if (!err && comparison(p))
		err = expression_error(p->lex.text, p->lex.token.at, "join two comparisons with &&",
				       "comparisons do not chain");
	return err;
}

static struct err *parse_and(struct parser *p, uint16_t *ret)
{
	struct err *err = parse_comparison(p, ret);
	uint16_t right;

	while (!err && is_sign(p, SIGN2('&', '&'))) {
		err = lexer_next(&p->lex);
		if (!err)
			err = parse_comparison(p, &right);
		if (!err)
			err = add_binary(p, EXPR_AND, *ret, right, ret);
	}
	return err;
}

static struct err *parse_or(struct parser *p, uint16_t *ret)
{
	struct err *err = enter(p);
	uint16_t right;

	if (!err)
		err = parse_and(p, ret);
	while (!err && is_sign(p, SIGN2('|', '|'))) {
		err = lexer_next(&p->lex);
		if (!err)
			err = parse_and(p, &right);
		if (!err)
			err = add_binary(p, EXPR_OR, *ret, right, ret);
	}
	p->depth--;
	return err;
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

/* The expression that begins with the word in hand. Nodes get their places in its own text. */
static struct err *parse_one(struct parser *p, struct expression **ret)
{
	uint32_t start = p->lex.token.at, end;
	struct err *err = expression_create(p->lex.text, strlen(p->lex.text), &p->e);

	if (!err)
		err = parse_or(p, &p->e->root);
	if (err) {
		expression_destroy(p->e);
		return err;
	}
	for (end = p->lex.token.at; end > start && strchr(" \t\n", p->e->text[end - 1]);)
		end--;
	memmove(p->e->text, p->e->text + start, end - start);
	p->e->text[end - start] = '\0';
	for (uint16_t i = 1; i < p->e->n; i++) {
		p->e->nodes[i].at -= start;
		p->e->nodes[i].end -= start;
	}
	*ret = p->e;
	return NULL;
}

static struct err *parser_begin(struct parser *p, const char *text)
{
	if (strlen(text) >= EXPR_TEXT_MAX)
		return err_create(ERR_USAGE, "an expression of more than %d bytes", EXPR_TEXT_MAX - 1);
	memset(p, 0, sizeof(*p));
	p->lex.text = text;
	return lexer_next(&p->lex);
}

struct err *expression_parse(const char *text, struct expression **ret)
{
	struct expression *e;
	struct parser p;
	struct err *err = parser_begin(&p, text);

	if (!err)
		err = parse_one(&p, &e);
	if (err)
		return err;
	if (p.lex.token.kind != TOKEN_END) {
		expression_destroy(e);
		return unexpected(&p, "the end");
	}
	*ret = e;
	return NULL;
}

static bool is_listed(const struct expression_list *list, const char *text)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->v[i]->text, text))
			return true;
	return false;
}

static struct err *list_add(struct expression_list *list, struct expression *e)
{
	if (is_listed(list, e->text)) {
		expression_destroy(e);
		return NULL;
	}
	if (!list->v)
		list->v = calloc(EXPR_LIST_MAX, sizeof(*list->v));
	struct err *err = !list->v                   ? &err_nomem
			  : list->n == EXPR_LIST_MAX ? err_create(ERR_USAGE, "more than %d expressions", EXPR_LIST_MAX)
						     : NULL;
	if (err)
		expression_destroy(e);
	else
		list->v[list->n++] = e;
	return err;
}

struct err *expression_list_parse(struct expression_list *list, const char *text)
{
	struct expression *e;
	struct parser p;
	struct err *err = parser_begin(&p, text);

	while (!err) {
		err = parse_one(&p, &e);
		if (!err)
			err = list_add(list, e);
		if (err || p.lex.token.kind == TOKEN_END)
			return err;
		if (!is_sign(&p, ','))
			return unexpected(&p, "a comma or the end");
		err = lexer_next(&p.lex);
	}
	return err;
}
