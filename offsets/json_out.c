/* SPDX-License-Identifier: Apache-2.0 */
#include "json_out.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "utf8.h"

#define JOUT_FIRST_CAP 4096 /* bytes: a usual line fits, and a buffer is used for many lines */

/* Escapes take 6 bytes (\u001b) for what is at least one byte of the input. */
#define ESCAPE_MAX 6

static const char hex_digits[] = "0123456789abcdef";

void jout_init(struct jout *j, int fd)
{
	*j = (struct jout){ .fd = fd };
}

void jout_deinit(struct jout *j)
{
	free(j->buf);
	*j = (struct jout){ .fd = -1 };
}

void jout_reset(struct jout *j)
{
	j->len = 0;
	j->comma = false;
	j->failed = false;
}

struct err *jout_error(const struct jout *j)
{
	return j->failed ? &err_nomem : NULL;
}

bool jout_grow(struct jout *j, size_t n)
{
	size_t cap = j->cap ? j->cap : JOUT_FIRST_CAP;
	char *buf;

	if (j->failed)
		return false;
	while (cap - j->len < n) {
		if (cap > SIZE_MAX / 2) {
			j->failed = true;
			return false;
		}
		cap *= 2;
	}
	if (cap == j->cap)
		return true;
	buf = realloc(j->buf, cap);
	if (!buf) {
		j->failed = true;
		return false;
	}
	j->buf = buf;
	j->cap = cap;
	return true;
}

struct err *jout_flush(struct jout *j)
{
	size_t done = 0;

	if (j->failed)
		return &err_nomem;
	if (j->fd < 0)
		return NULL;
	while (done < j->len) {
		ssize_t n = write(j->fd, j->buf + done, j->len - done);

		if (n < 0) {
			int saved = errno;
			struct err *err;

			if (saved == EINTR)
				continue;
			/* What was written must not be written again by a later flush. */
			memmove(j->buf, j->buf + done, j->len - done);
			j->len -= done;
			err = err_create(ERR_IO, "write: %s", strerror(saved));
			errno = saved;
			return err;
		}
		done += (size_t)n;
	}
	j->len = 0;
	return NULL;
}

static char *put_u_escape(char *p, uint32_t c)
{
	*p++ = '\\';
	*p++ = 'u';
	for (int shift = 12; shift >= 0; shift -= 4)
		*p++ = hex_digits[c >> shift & 15];
	return p;
}

static char *put_escaped(char *p, uint32_t c)
{
	char letter = 0;

	switch (c) {
	case '"':
	case '\\':
		letter = (char)c;
		break;
	case '\b':
		letter = 'b';
		break;
	case '\f':
		letter = 'f';
		break;
	case '\n':
		letter = 'n';
		break;
	case '\r':
		letter = 'r';
		break;
	case '\t':
		letter = 't';
		break;
	}
	if (!letter)
		return put_u_escape(p, c); /* all of utf8_is_control() lies below U+10000 */
	*p++ = '\\';
	*p++ = letter;
	return p;
}

bool jout_string_part(struct jout *j, const void *bytes, size_t n)
{
	const uint8_t *s = bytes, *end = n ? s + n : s; /* bytes may be NULL where n is 0 */
	bool valid = true;

	while (s < end) {
		const uint8_t *run = s;
		size_t len;
		uint32_t c;
		char *p;

		while (s < end && *s >= 0x20 && *s < 0x7f && *s != '"' && *s != '\\')
			s++;
		jout_append(j, run, (size_t)(s - run));
		if (s == end)
			break;
		if (!jout_reserve(j, ESCAPE_MAX))
			break;
		p = j->buf + j->len;
		len = utf8_sequence(s, (size_t)(end - s));
		if (!len) {
			valid = false;
			p = put_u_escape(p, 0xfffd);
			s++;
		} else {
			c = utf8_decode(s, len);
			if (utf8_is_control(c) || c == '"' || c == '\\') {
				p = put_escaped(p, c);
			} else {
				memcpy(p, s, len);
				p += len;
			}
			s += len;
		}
		j->len = (size_t)(p - j->buf);
	}
	return valid;
}

bool jout_string_n(struct jout *j, const void *bytes, size_t n)
{
	bool valid;

	jout_open(j, '"');
	valid = jout_string_part(j, bytes, n);
	jout_close(j, '"');
	return valid;
}

size_t jout_format_u64(char *buf, uint64_t v)
{
	char reversed[JOUT_INT_MAX];
	size_t n = 0;

	do {
		reversed[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	for (size_t i = 0; i < n; i++)
		buf[i] = reversed[n - 1 - i];
	return n;
}

size_t jout_format_i64(char *buf, int64_t v)
{
	if (v >= 0)
		return jout_format_u64(buf, (uint64_t)v);
	buf[0] = '-';
	return 1 + jout_format_u64(buf + 1, 0 - (uint64_t)v);
}

size_t jout_format_hex(char *buf, uint64_t v)
{
	size_t n = 2;
	int shift = 60;

	buf[0] = '0';
	buf[1] = 'x';
	while (shift && !(v >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		buf[n++] = hex_digits[v >> shift & 15];
	return n;
}

/* printf and strtod use the decimal point of the process's locale, which a host program may have set; JSON knows
 * only '.'. */
static size_t plain_point(char *s)
{
	char *start = s, *out = s;
	bool in_point = false;

	for (; *s; s++) {
		if ((*s >= '0' && *s <= '9') || *s == '-' || *s == '+' || *s == 'e') {
			*out++ = *s;
			in_point = false;
		} else if (!in_point) {
			*out++ = '.';
			in_point = true;
		}
	}
	*out = '\0';
	return (size_t)(out - start);
}

size_t jout_format_double(char *buf, double v, int width)
{
	/* Below these every integer is exact and its digits are the shortest text; whole numbers are common and
	 * snprintf is slow. */
	double whole_max = width == 32 ? 1 << FLT_MANT_DIG : 1e15;
	/* Any text of so many digits survives the way through a normal number and back (C11 5.2.4.2.2), so if the
	 * shortest text has no more, then this precision prints it. */
	int first = width == 32 ? FLT_DIG : DBL_DIG;
	int last = width == 32 ? FLT_DECIMAL_DIG : DBL_DECIMAL_DIG;

	if (isnan(v))
		return (size_t)sprintf(buf, "NaN");
	if (isinf(v))
		return (size_t)sprintf(buf, v < 0 ? "-Inf" : "+Inf");
	if (fabs(v) < whole_max && v == (double)(int64_t)v && !(v == 0 && signbit(v))) {
		size_t n = jout_format_i64(buf, (int64_t)v);

		buf[n] = '\0';
		return n;
	}
	if (fabs(v) < (width == 32 ? (double)FLT_MIN : DBL_MIN))
		first = 1; /* subnormal numbers have fewer digits */
	for (int digits = first; digits <= last; digits++) {
		snprintf(buf, JOUT_DOUBLE_MAX, "%.*g", digits, v);
		if (width == 32 ? strtof(buf, NULL) == (float)v : strtod(buf, NULL) == v)
			break;
	}
	return plain_point(buf);
}

void jout_u64(struct jout *j, uint64_t v)
{
	jout_begin_value(j);
	if (jout_reserve(j, JOUT_INT_MAX))
		j->len += jout_format_u64(j->buf + j->len, v);
}

void jout_i64(struct jout *j, int64_t v)
{
	jout_begin_value(j);
	if (jout_reserve(j, JOUT_INT_MAX))
		j->len += jout_format_i64(j->buf + j->len, v);
}

void jout_hex(struct jout *j, uint64_t v)
{
	jout_open(j, '"');
	if (jout_reserve(j, JOUT_INT_MAX))
		j->len += jout_format_hex(j->buf + j->len, v);
	jout_close(j, '"');
}

void jout_double(struct jout *j, double v, int width)
{
	bool quoted = !isfinite(v);

	jout_begin_value(j);
	if (quoted)
		jout_putc(j, '"');
	if (jout_reserve(j, JOUT_DOUBLE_MAX))
		j->len += jout_format_double(j->buf + j->len, v, width);
	if (quoted)
		jout_putc(j, '"');
}

void jout_bool(struct jout *j, bool v)
{
	jout_raw(j, v ? "true" : "false", v ? 4 : 5);
}

void jout_null(struct jout *j)
{
	jout_raw(j, "null", 4);
}
