/* SPDX-License-Identifier: Apache-2.0 */
/* A writer of JSON text into a growing buffer, with or without a descriptor behind it. Commas and quotes come by
 * themselves.
 *
 * struct jout j; jout_init(&j, STDOUT_FILENO); jout_object_begin(&j); jout_key(&j, "name"); jout_string(&j,
 * "main.main"); jout_object_end(&j); jout_newline(&j); err = jout_flush(&j);
 *
 * Functions that append cannot fail by themselves: want of memory is kept and reported by jout_error() and
 * jout_flush(), and nothing is appended from then on. Nothing is written before jout_flush() is called.
 */
#ifndef OFFSETS_JSON_OUT_H
#define OFFSETS_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "error.h"

struct jout {
	char *buf;
	size_t len, cap;
	int fd;      /* -1: only the buffer */
	bool comma;  /* the next value or key is preceded by a comma */
	bool failed; /* out of memory: the text is incomplete */
};

void jout_init(struct jout *j, int fd);
void jout_deinit(struct jout *j); /* does not flush, does not close */

/* Forget the text, keep the memory. */
void jout_reset(struct jout *j);

/* Write the whole buffer to the descriptor (again after a short write or EINTR) and empty it. ERR_NOMEM if memory
 * was short since the last reset, ERR_IO with errno kept as it was set by write(2), so that EPIPE can be told. With
 * fd -1 only the check is done. */
struct err *jout_flush(struct jout *j);

/* NULL or &err_nomem. */
struct err *jout_error(const struct jout *j);

/* Room for n more bytes. False when memory is short. */
bool jout_grow(struct jout *j, size_t n);

static inline bool jout_reserve(struct jout *j, size_t n)
{
	return (!j->failed && j->cap - j->len >= n) || jout_grow(j, n);
}

/* Text as it stands: no comma, no quotes. */
static inline void jout_append(struct jout *j, const void *text, size_t n)
{
	if (n && jout_reserve(j, n)) {
		memcpy(j->buf + j->len, text, n);
		j->len += n;
	}
}

static inline void jout_putc(struct jout *j, char c)
{
	if (jout_reserve(j, 1))
		j->buf[j->len++] = c;
}

/* Put the comma that is due, if any; the value to come will be followed by one. */
static inline void jout_begin_value(struct jout *j)
{
	if (j->comma)
		jout_putc(j, ',');
	j->comma = true;
}

static inline void jout_open(struct jout *j, char bracket)
{
	jout_begin_value(j);
	jout_putc(j, bracket);
	j->comma = false;
}

static inline void jout_close(struct jout *j, char bracket)
{
	jout_putc(j, bracket);
	j->comma = true;
}

static inline void jout_object_begin(struct jout *j)
{
	jout_open(j, '{');
}

static inline void jout_object_end(struct jout *j)
{
	jout_close(j, '}');
}

static inline void jout_array_begin(struct jout *j)
{
	jout_open(j, '[');
}

static inline void jout_array_end(struct jout *j)
{
	jout_close(j, ']');
}

/* End of a top-level value: '\n', and no comma before what comes next. */
static inline void jout_newline(struct jout *j)
{
	jout_putc(j, '\n');
	j->comma = false;
}

/* A string value. Control characters (utf8_is_control) are escaped, each byte that is not part of well-formed UTF-8
 * becomes \ufffd. Returns whether the bytes were well-formed UTF-8. */
bool jout_string_n(struct jout *j, const void *bytes, size_t n);

static inline bool jout_string(struct jout *j, const char *s)
{
	return jout_string_n(j, s, strlen(s));
}

/* A string without its quotes and without a comma, to be put together from parts: jout_open(j, '"'), parts,
 * jout_close(j, '"'). */
bool jout_string_part(struct jout *j, const void *bytes, size_t n);

static inline void jout_key_n(struct jout *j, const void *bytes, size_t n)
{
	jout_string_n(j, bytes, n);
	jout_putc(j, ':');
	j->comma = false;
}

static inline void jout_key(struct jout *j, const char *key)
{
	jout_key_n(j, key, strlen(key));
}

/* A key that is known to need no escaping (a literal): cheaper. */
#define jout_key_lit(j, key)                                                                                           \
	do {                                                                                                           \
		jout_begin_value(j);                                                                                   \
		jout_append(j, "\"" key "\":", sizeof(key) + 2);                                                       \
		(j)->comma = false;                                                                                    \
	} while (0)

void jout_u64(struct jout *j, uint64_t v);
void jout_i64(struct jout *j, int64_t v);
void jout_hex(struct jout *j, uint64_t v); /* "0x1f", with the quotes */
void jout_bool(struct jout *j, bool v);
void jout_null(struct jout *j);

/* Shortest decimal text that reads back as the same value of `width` bits (32 or 64); "NaN", "+Inf", "-Inf" as
 * strings. */
void jout_double(struct jout *j, double v, int width);

/* A value that is JSON text already. */
static inline void jout_raw(struct jout *j, const char *text, size_t n)
{
	jout_begin_value(j);
	jout_append(j, text, n);
}

/* The texts behind the above, for other formats, into a buffer of the size named. Return the length; no NUL is
 * written by the integer ones. */
#define JOUT_INT_MAX 24    /* bytes: room for any of the integers */
#define JOUT_DOUBLE_MAX 40 /* bytes, NUL included */
size_t jout_format_u64(char *buf, uint64_t v);
size_t jout_format_i64(char *buf, int64_t v);
size_t jout_format_hex(char *buf, uint64_t v);             /* 0x1f */
size_t jout_format_double(char *buf, double v, int width); /* NaN, +Inf, -Inf without quotes */

#endif
