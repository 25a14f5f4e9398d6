/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

/* Bytes of a message before escaping. Names in it come from hostile files, and a name of megabytes is of no use to
 * anybody. */
#define ERR_MSG_MAX 4096

struct err err_nomem = { .code = ERR_NOMEM, .is_static = true, .msg = "out of memory" };
struct err err_notfound = { .code = ERR_NOTFOUND, .is_static = true, .msg = "not found" };

/* A copy of s with control characters and bytes that are no UTF-8 as \xNN. Text that was escaped before comes out
 * as it went in: the escapes consist of plain characters. */
static char *escaped(const char *s)
{
	size_t n = strlen(s);
	char *out = malloc(n * 4 + 1), *p = out; /* 4: the longest escape, per byte of the input */

	if (!out)
		return NULL;
	while (n) {
		size_t len = utf8_sequence(s, n);

		if (len && !utf8_is_control(utf8_decode(s, len))) {
			memcpy(p, s, len);
			p += len;
		} else {
			len = len ? len : 1;
			for (size_t i = 0; i < len; i++)
				p += sprintf(p, "\\x%02x", (unsigned char)s[i]);
		}
		s += len;
		n -= len;
	}
	*p = '\0';
	return out;
}

static char *format_escaped(const char *fmt, va_list ap)
{
	char text[ERR_MSG_MAX];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (n < 0)
		return NULL;
	if ((size_t)n >= sizeof(text))
		memcpy(text + sizeof(text) - sizeof("..."), "...", sizeof("..."));
	return escaped(text);
}

static struct err *make(enum err_code code, char *msg)
{
	struct err *err;

	if (!msg)
		return &err_nomem;
	err = malloc(sizeof(*err));
	if (!err) {
		free(msg);
		return &err_nomem;
	}
	*err = (struct err){ .code = code, .msg = msg };
	return err;
}

struct err *err_create(enum err_code code, const char *fmt, ...)
{
	va_list ap;
	char *msg;

	va_start(ap, fmt);
	msg = format_escaped(fmt, ap);
	va_end(ap);
	return make(code, msg);
}

struct err *err_wrap(struct err *err, const char *fmt, ...)
{
	enum err_code code;
	struct err *wrapped;
	va_list ap;
	char *context;

	if (!err || err->code == ERR_NOMEM)
		return err; /* want of memory says enough, and there is none to say more */
	code = err->code;
	va_start(ap, fmt);
	context = format_escaped(fmt, ap);
	va_end(ap);
	if (!context) {
		err_destroy(err);
		return &err_nomem;
	}
	wrapped = err_create(code, "%s: %s", context, err->msg);
	free(context);
	if (!wrapped->is_static) {
		wrapped->line = err->line;
		wrapped->column = err->column;
		if (!err->is_static)
			err->line = NULL;
	}
	err_destroy(err);
	return wrapped;
}

struct err *err_at(struct err *err, const char *line, uint32_t column)
{
	if (err->is_static)
		return err;
	free(err->line);
	err->line = escaped(line);
	err->column = column;
	if (err->line)
		return err;
	err_destroy(err);
	return &err_nomem;
}

const char *err_code_name(enum err_code code)
{
	switch (code) {
	case ERR_NOMEM:
		return "no_memory";
	case ERR_NOTFOUND:
		return "not_found";
	case ERR_NOLOC:
		return "no_location";
	case ERR_MALFORMED:
		return "malformed";
	case ERR_UNSUPPORTED:
		return "unsupported";
	case ERR_IO:
		return "io";
	case ERR_NOT_ELF:
		return "not_elf";
	case ERR_ARCH:
		return "arch";
	case ERR_NOT_GO:
		return "not_go";
	case ERR_NO_DWARF:
		return "no_dwarf";
	case ERR_INLINED:
		return "inlined";
	case ERR_CHANGED:
		return "changed";
	case ERR_USAGE:
		return "usage";
	case ERR_PRIVILEGE:
		return "privilege";
	case ERR_KERNEL:
		return "kernel";
	}
	return "unknown";
}

void err_destroy(struct err *err)
{
	if (!err || err->is_static)
		return;
	free(err->msg);
	free(err->line);
	free(err);
}
