/* SPDX-License-Identifier: Apache-2.0 */
/* Source: the Go specification, "Lexical elements". */
#include "expression_lex.h"

#include <stdlib.h>
#include <string.h>

#include "utf8.h"

#define NUMBER_MAX 64 /* characters of a number: more is nothing that a machine word or a double holds */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Bytes of the letter at s that a name may hold; 0: none. */
static size_t letter(const char *s)
{
	size_t n;

	if ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_')
		return 1;
	if ((unsigned char)*s < 0x80)
		return 0;
	n = utf8_sequence(s, strnlen(s, 4));
	return n && !utf8_is_control(utf8_decode(s, n)) ? n : 0;
}

/* The compiler's own names of unnamed results are ~r0, ~r1. */
static bool lex_name(struct lexer *lex)
{
	const char *s = lex->text + lex->at;
	size_t n = *s == '~' ? 1 : 0, more;

	if (!letter(s + n))
		return false;
	while ((more = letter(s + n)) || (is_digit(s[n]) && (more = 1)))
		n += more;
	lex->token.kind = TOKEN_NAME;
	lex->at += n;
	return true;
}

/* ---- numbers ------------------------------------------------------------------------------------------------- */

static int digit_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

static struct err *lex_real(struct lexer *lex, uint32_t start)
{
	const char *s = lex->text;
	char digits[NUMBER_MAX + 1];
	size_t n = 0;

	while (is_digit(s[lex->at]) || s[lex->at] == '_')
		lex->at++;
	if (s[lex->at] == '.' && is_digit(s[lex->at + 1]))
		for (lex->at++; is_digit(s[lex->at]) || s[lex->at] == '_';)
			lex->at++;
	if ((s[lex->at] | 32) == 'e') {
		uint32_t e = lex->at + 1;
		e += s[e] == '+' || s[e] == '-';
		if (!is_digit(s[e]))
			return expression_error(s, lex->at, "", "a number's exponent is missing");
		for (lex->at = e; is_digit(s[lex->at]);)
			lex->at++;
	}
	for (uint32_t i = start; i < lex->at && n < NUMBER_MAX; i++)
		if (s[i] != '_')
			digits[n++] = s[i];
	digits[n] = '\0';
	if (n == NUMBER_MAX)
		return expression_error(s, start, "", "a number with more than %d characters", NUMBER_MAX);
	lex->token.kind = TOKEN_REAL;
	lex->token.real = strtod(digits, NULL);
	return NULL;
}

/* A unit of time at s, longest first; its length in bytes, 0 where there is none or a longer word begins there. */
static size_t time_unit(const char *s, uint64_t *ns_ret)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = { { "ns", 1 },
		      { "us", 1000 },
		      { "\xc2\xb5s", 1000 }, /* U+00B5 */
		      { "\xce\xbcs", 1000 }, /* U+03BC */
		      { "ms", 1000000 },
		      { "s", 1000000000 },
		      { "m", UINT64_C(60000000000) },
		      { "h", UINT64_C(3600000000000) } };

	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		size_t n = strlen(units[i].name);

		if (!strncmp(s, units[i].name, n) && !letter(s + n)) {
			*ns_ret = units[i].ns;
			return n;
		}
	}
	return 0;
}

/* One number with its unit at s, like 1.5s; its length, 0 where it is none. *ns_ret: a duration that does not fit is UINT64_MAX. */
static size_t duration_part(const char *s, uint64_t *ns_ret)
{
	uint64_t whole = 0, unit = 0, fraction = 0;
	size_t n = 0, point = 0, used;
	bool fits = true;

	for (; is_digit(s[n]); n++)
		fits = fits && !__builtin_mul_overflow(whole, UINT64_C(10), &whole) &&
		       !__builtin_add_overflow(whole, (uint64_t)(s[n] - '0'), &whole);
	if (!n)
		return 0;
	if (s[n] == '.' && is_digit(s[n + 1]))
		for (point = n++; is_digit(s[n]);)
			n++;
	used = time_unit(s + n, &unit);
	if (!used)
		return 0;
	for (size_t i = point + 1, digit = unit / 10; point && i < n; i++, digit /= 10)
		fraction += (uint64_t)(s[i] - '0') * digit;
	fits = fits && !__builtin_mul_overflow(whole, unit, &whole) && !__builtin_add_overflow(whole, fraction, &whole);
	*ns_ret = fits ? whole : UINT64_MAX;
	return n + used;
}

/* 10ms, 1m30s: true where it is one. */
static bool lex_duration(struct lexer *lex, struct err **err_ret)
{
	const char *s = lex->text + lex->at;
	uint64_t sum = 0, part;
	size_t n = 0, used;

	while ((used = duration_part(s + n, &part))) {
		n += used;
		if (__builtin_add_overflow(sum, part, &sum))
			sum = UINT64_MAX;
	}
	if (!n || letter(s + n) || is_digit(s[n]))
		return false;
	*err_ret =
		sum > INT64_MAX ? expression_error(lex->text, lex->at, "", "a duration of more than 292 years") : NULL;
	lex->token.kind = TOKEN_DURATION;
	lex->token.integer = sum;
	lex->at += n;
	return true;
}

static struct err *lex_number(struct lexer *lex)
{
	const char *s = lex->text;
	uint32_t start = lex->at, i = start;
	struct err *err;
	int base = 10;
	bool any = false;
	uint64_t v = 0;

	if (lex_duration(lex, &err))
		return err;
	if (s[i] == '0' && s[i + 1]) {
		char c = s[i + 1] | 32;
		base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 10;
		if (base != 10)
			i += 2;
		else if (is_digit(s[i + 1]))
			return expression_error(s, start, "",
						"a number with a leading zero; octal numbers begin with 0o");
	}
	for (; s[i] == '_' || digit_value(s[i]) < base; i++) {
		if (s[i] == '_')
			continue;
		any = true;
		if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)digit_value(s[i]), &v))
			return expression_error(s, start, "", "a number with more than 64 bits");
	}
	if (base == 10 && ((s[i] == '.' && is_digit(s[i + 1])) || (s[i] | 32) == 'e'))
		return lex_real(lex, start);
	if (!any || letter(s + i) || is_digit(s[i]))
		return expression_error(s, i, "", "this is no number");
	lex->at = i;
	lex->token.kind = TOKEN_INT;
	lex->token.integer = v;
	return NULL;
}

/* ---- strings ------------------------------------------------------------------------------------------------- */

static void put_utf8(struct lexer *lex, uint32_t c)
{
	char *to = lex->literal + lex->literal_len;
	int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (int i = n - 1; i > 0; i--, c >>= 6)
		to[i] = (char)(0x80 | (c & 0x3f));
	to[0] = (char)(n == 1 ? c : (0xf00u >> n & 0xff) | c);
	lex->literal_len += n;
}

/* An escape sequence behind its backslash. *bytes_ret: a byte, no character. Its text is never shorter than what it stands for. */
static struct err *lex_escape(struct lexer *lex, uint32_t *c_ret, bool *byte_ret)
{
	static const char plain[] = "abfnrtv\\'\"", means[] = "\a\b\f\n\r\t\v\\'\"";
	const char *s = lex->text, *found;
	uint32_t start = lex->at - 1, v = 0;
	int digits = 0, base = 16;
	char c = s[lex->at];

	*byte_ret = false;
	found = c ? strchr(plain, c) : NULL;
	if (found) {
		lex->at++;
		*c_ret = (uint8_t)means[found - plain];
		return NULL;
	}
	switch (c) {
	case 'x':
		digits = 2;
		break;
	case 'u':
		digits = 4;
		break;
	case 'U':
		digits = 8;
		break;
	default:
		if (c < '0' || c > '7')
			return expression_error(s, start, "", "an unknown escape sequence");
		base = 8;
		digits = 3;
		lex->at--;
	}
	*byte_ret = digits < 4;
	for (int i = 0; i < digits; i++) {
		int d = digit_value(s[++lex->at]);
		if (d >= base)
			return expression_error(s, start, "", "an escape sequence of %d digits is cut short", digits);
		v = v * base + d;
	}
	lex->at++;
	if (*byte_ret ? v > 255 : v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
		return expression_error(s, start, "", "an escape sequence for what is no character");
	*c_ret = v;
	return NULL;
}

static struct err *lex_string(struct lexer *lex)
{
	const char *s = lex->text;
	uint32_t start = lex->at;
	char quote = s[lex->at++];
	uint32_t c;
	bool byte;

	lex->literal_len = 0;
	while (s[lex->at] != quote) {
		if (!s[lex->at])
			return expression_error(s, start, "", "a string without its end");
		if (s[lex->at] != '\\' || quote == '`') {
			lex->literal[lex->literal_len++] = s[lex->at++];
			continue;
		}
		lex->at++;
		struct err *err = lex_escape(lex, &c, &byte);
		if (err)
			return err;
		if (byte)
			lex->literal[lex->literal_len++] = (char)c;
		else
			put_utf8(lex, c);
	}
	lex->at++;
	lex->token.kind = TOKEN_STRING;
	return NULL;
}

/* 'x' is a number in Go. */
static struct err *lex_rune(struct lexer *lex)
{
	const char *s = lex->text;
	uint32_t start = lex->at++, c = 0;
	size_t n;
	bool byte;

	if (s[lex->at] == '\\') {
		lex->at++;
		struct err *err = lex_escape(lex, &c, &byte);
		if (err)
			return err;
	} else {
		n = utf8_sequence(s + lex->at, strnlen(s + lex->at, 4));
		if (n && s[lex->at] != '\'')
			c = utf8_decode(s + lex->at, n);
		lex->at += s[lex->at] == '\'' ? 0 : n;
	}
	if (lex->at == start + 1 || s[lex->at] != '\'')
		return expression_error(s, start, "strings stand in double quotes",
					"one character and a ' must follow this");
	lex->at++;
	lex->token.kind = TOKEN_INT;
	lex->token.integer = c;
	return NULL;
}

/* ---- all of them --------------------------------------------------------------------------------------------- */

static bool lex_sign(struct lexer *lex)
{
	static const char pairs[][3] = { "==", "!=", "<=", ">=", "&&", "||" };
	const char *s = lex->text + lex->at;

	lex->token.kind = TOKEN_SIGN;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
		if (s[0] == pairs[i][0] && s[1] == pairs[i][1]) {
			lex->token.sign = SIGN2(s[0], s[1]);
			lex->at += 2;
			return true;
		}
	if (!strchr(".,()[]:*!<>-", s[0]))
		return false;
	lex->token.sign = s[0];
	lex->at++;
	return true;
}

struct err *lexer_next(struct lexer *lex)
{
	struct err *err = NULL;
	char c;

	while (lex->text[lex->at] == ' ' || lex->text[lex->at] == '\t' || lex->text[lex->at] == '\n')
		lex->at++;
	c = lex->text[lex->at];
	lex->token = (struct token){ .at = lex->at };
	if (!c)
		lex->token.kind = TOKEN_END;
	else if (is_digit(c))
		err = lex_number(lex);
	else if (c == '"' || c == '`')
		err = lex_string(lex);
	else if (c == '\'')
		err = lex_rune(lex);
	else if (!lex_name(lex) && !lex_sign(lex))
		err = expression_error(lex->text, lex->at,
				       c == '='               ? "equality is =="
				       : c == '&' || c == '|' ? "conditions are joined with && and ||"
							      : "",
				       "this character means nothing here");
	lex->token.end = lex->at;
	return err;
}
