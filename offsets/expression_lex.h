/* SPDX-License-Identifier: Apache-2.0 */
/* The words of an expression. */
#ifndef OFFSETS_EXPRESSION_LEX_H
#define OFFSETS_EXPRESSION_LEX_H

#include "expression.h"

enum token_kind {
	TOKEN_END,
	TOKEN_NAME,
	TOKEN_INT,      /* `integer`; a rune literal too */
	TOKEN_REAL,     /* `real` */
	TOKEN_DURATION, /* `integer`: ns; as time.ParseDuration reads it, without sign */
	TOKEN_STRING,   /* decoded in the lexer's `literal` */
	TOKEN_SIGN,     /* `sign`: one character, or two as 256 * first + second ("==") */
};

#define SIGN2(a, b) (256 * (a) + (b))

struct token {
	enum token_kind kind;
	uint32_t at, end; /* bytes of the text */
	int sign;
	uint64_t integer;
	double real;
};

struct lexer {
	const char *text; /* NUL-terminated; errors show it */
	uint32_t at;
	struct token token;          /* the one in hand */
	char literal[EXPR_TEXT_MAX]; /* of the string in hand */
	uint32_t literal_len;
};

/* Take the next word in hand. ERR_USAGE with the place. */
struct err *lexer_next(struct lexer *lex);

#endif
