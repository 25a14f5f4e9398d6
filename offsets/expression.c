/* SPDX-License-Identifier: Apache-2.0 */
#include "expression.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

#define SHOWN_BEFORE 60 /* characters of the text shown before and behind the place of an error */
#define SHOWN_BEHIND 40

struct err *expression_create(const char *text, size_t size, struct expression **ret)
{
	struct expression *e = calloc(1, sizeof(*e));

	if (!e)
		return &err_nomem;
	e->text = strndup(text, size);
	/* Every name and literal takes at least one byte of the text, and gets a NUL here; a type that is named takes its own. */
	e->strings = calloc(2, size + 1);
	if (!e->text || !e->strings) {
		expression_destroy(e);
		return &err_nomem;
	}
	e->strings_size = 1;
	e->n = 1;
	*ret = e;
	return NULL;
}

void expression_destroy(struct expression *e)
{
	if (!e)
		return;
	free(e->text);
	free(e->strings);
	free(e);
}

struct err *expression_add(struct expression *e, const struct expr_node *node, uint16_t *index_ret)
{
	if (e->n == EXPR_NODES_MAX)
		return expression_error(e->text, node->at, "", "an expression of more than %d parts",
					EXPR_NODES_MAX - 1);
	e->nodes[e->n] = *node;
	*index_ret = e->n++;
	return NULL;
}

struct err *expression_intern(struct expression *e, const char *s, size_t size, uint32_t *offset_ret)
{
	char *grown = realloc(e->strings, e->strings_size + size + 1);

	if (!grown)
		return &err_nomem;
	e->strings = grown;
	memcpy(e->strings + e->strings_size, s, size);
	e->strings[e->strings_size + size] = '\0';
	*offset_ret = e->strings_size;
	e->strings_size += size + 1;
	return NULL;
}

/* ---- lists --------------------------------------------------------------------------------------------------- */

void expression_list_deinit(struct expression_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		expression_destroy(list->v[i]);
	free(list->v);
	*list = (struct expression_list){ 0 };
}

/* ---- errors -------------------------------------------------------------------------------------------------- */

/* Bytes of the character at s, which is shown as one column. */
static size_t character(const char *s)
{
	size_t n = utf8_sequence(s, strnlen(s, 4));

	return n ? n : 1;
}

/* The text around the place as one line, and the column of the place in it. */
static size_t excerpt(const char *text, uint32_t at, char *buf, size_t size)
{
	size_t before = 0, start = 0, column = 0, n = 0, shown = 0;

	for (size_t i = 0; i < at && text[i]; i += character(text + i))
		before++;
	for (size_t skip = before > SHOWN_BEFORE ? before - SHOWN_BEFORE : 0; skip; skip--)
		start += character(text + start);
	if (start) {
		n = (size_t)snprintf(buf, size, "…");
		column++;
	}
	for (size_t i = start; text[i]; shown++) {
		size_t len = character(text + i);

		column += i < at;
		if (shown == SHOWN_BEFORE + SHOWN_BEHIND) {
			n += (size_t)snprintf(buf + n, size - n, "…");
			break;
		}
		if (!utf8_sequence(text + i, len) || utf8_is_control(utf8_decode(text + i, len))) {
			buf[n++] = text[i] == '\t' || text[i] == '\n' ? ' ' : '?';
		} else {
			memcpy(buf + n, text + i, len);
			n += len;
		}
		i += len;
	}
	buf[n] = '\0';
	return column;
}

struct err *expression_error(const char *text, uint32_t at, const char *hint, const char *fmt, ...)
{
	char message[512], line[4 * (SHOWN_BEFORE + SHOWN_BEHIND + 2) + 8];
	size_t column = excerpt(text, at, line, sizeof(line));
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	return err_at(err_create(ERR_USAGE, "%s%s%s", message, *hint ? "; hint: " : "", hint), line, (uint32_t)column);
}
