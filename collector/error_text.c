/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strerrordesc_np */
#endif
#include "error_text.h"

#include <string.h>

#include "decode_priv.h"

#define ERRORS_NESTED_MAX 16 /* an error inside an error; a chain of so many has no room in a record */
#define ERRNO_MAX 133        /* past the last that Go's table has on amd64 (syscall/zerrors_linux_amd64.go) */
#define ERRNO_STALE 116      /* its text differs: "stale NFS file handle" up to Go 1.24 */

/* {field} is a string, or an error that gives its own text; {"field"} a string in Go's quotes; {field?before|after} a string with what
 * stands around it, nothing where it is empty; {} is a string type's own value. Sources: the Error methods of Go 1.15 to 1.27 and of
 * github.com/pkg/errors. */
static const struct {
	const char *type, *pattern;
} patterns[] = {
	{ "*errors.errorString", "{s}" },
	{ "*fmt.wrapError", "{msg}" },
	{ "*fmt.wrapErrors", "{msg}" },
	{ "*io/fs.PathError", "{Op} {Path}: {Err}" },
	{ "*os.PathError", "{Op} {Path}: {Err}" },
	{ "*os.SyscallError", "{Syscall}: {Err}" },
	{ "*os.LinkError", "{Op} {Old} {New}: {Err}" },
	{ "*net/url.Error", "{Op} {\"URL\"}: {Err}" },
	{ "*strconv.NumError", "strconv.{Func}: parsing {\"Num\"}: {Err}" },
	{ "*os/exec.Error", "exec: {\"Name\"}: {Err}" },
	{ "*net.DNSError", "lookup {Name}{Server? on |}: {Err}" },
	{ "*net.AddrError", "{Addr?address |: }{Err}" },
	{ "*net.ParseError", "invalid {Type}: {Text}" },
	{ "*net.timeoutError", "i/o timeout" },
	{ "*internal/poll.DeadlineExceededError", "i/o timeout" },
	{ "internal/poll.errNetClosing", "use of closed network connection" },
	{ "*encoding/json.SyntaxError", "{msg}" },
	{ "context.deadlineExceededError", "context deadline exceeded" },
	{ "net.UnknownNetworkError", "unknown network {}" },
	{ "net.InvalidAddrError", "{}" },
	{ "net/http.ProtocolError", "{ErrorString}" },
	{ "*net/http.ProtocolError", "{ErrorString}" },
	{ "runtime.errorString", "runtime error: {}" },
	{ "runtime.plainError", "{}" },
	{ "*github.com/pkg/errors.fundamental", "{msg}" },
	{ "*github.com/pkg/errors.withMessage", "{msg}: {cause}" },
	{ "*github.com/pkg/errors.withStack", "{error}" },
};

int error_pattern(const char *type_name)
{
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++)
		if (!strcmp(patterns[i].type, type_name))
			return (int)i;
	return -1;
}

static bool put_error(struct decoder *d, const struct place *p, uint32_t type, struct jout *out, int depth);

/* The error that an interface holds. */
static bool put_held(struct decoder *d, const struct place *p, const struct go_type *t, struct jout *out, int depth)
{
	struct place value;
	uint32_t type;

	return interface_holds(d, p, t, &type, &value) && put_error(d, &value, type, out, depth + 1);
}

bool read_string(struct decoder *d, const struct place *p, const uint8_t **s_ret, size_t *n_ret)
{
	uint64_t addr, len;
	struct place bytes;

	if (!place_read(d, p, 8, 8, &len))
		return false;
	*s_ret = (const uint8_t *)"";
	*n_ret = 0;
	if (!len)
		return true;
	if (len > d->limits.string_size || !place_read(d, p, 0, 8, &addr) || !place_behind(d, addr, len, &bytes))
		return false;
	*s_ret = bytes.mem;
	*n_ret = len;
	return true;
}

/* As strconv.Quote; false for what only tables of Unicode tell whether it is printed, and for DEL, whose form depends on the version. */
static bool put_quoted(const uint8_t *s, size_t n, struct jout *out)
{
	static const char short_forms[] = "abtnvfr"; /* from 7 on */

	jout_putc(out, '"');
	for (size_t i = 0; i < n; i++) {
		if (s[i] >= 0x7f)
			return false;
		if (s[i] == '"' || s[i] == '\\') {
			jout_putc(out, '\\');
			jout_putc(out, (char)s[i]);
		} else if (s[i] >= 7 && s[i] <= 13) {
			jout_putc(out, '\\');
			jout_putc(out, short_forms[s[i] - 7]);
		} else if (s[i] < ' ') {
			jout_append(out, "\\x", 2);
			jout_putc(out, "0123456789abcdef"[s[i] >> 4]);
			jout_putc(out, "0123456789abcdef"[s[i] & 15]);
		} else {
			jout_putc(out, (char)s[i]);
		}
	}
	jout_putc(out, '"');
	return true;
}

#define PATTERN_NAME_MAX 32 /* of a field in the patterns above */

/* What stands in the braces: n bytes. */
static bool put_field(struct decoder *d, const struct place *p, const struct go_type *t, const char *what, size_t n,
		      struct jout *out, int depth)
{
	bool quoted = *what == '"';
	size_t len = quoted ? n - 2 : strcspn(what, "?}");
	const char *around = !quoted && len < n ? what + len + 1 : NULL;
	char name[PATTERN_NAME_MAX];
	const struct go_field *f;
	const uint8_t *s;
	struct place at;
	size_t size;

	if (!n) /* the value itself */
		return t->kind == GO_STRING && put_string(d, p, out);
	if (len >= sizeof(name))
		return false;
	memcpy(name, what + quoted, len);
	name[len] = '\0';
	f = field_of(d, t, name, 0);
	if (!f)
		return false;
	at = place_at(p, f->offset);
	if (type_at(d, f->type)->kind == GO_INTERFACE && !quoted && !around)
		return put_held(d, &at, type_at(d, f->type), out, depth);
	if (type_at(d, f->type)->kind != GO_STRING || !read_string(d, &at, &s, &size))
		return false;
	if (quoted)
		return put_quoted(s, size, out);
	size_t before = around ? strcspn(around, "|") : 0;
	if (around && size)
		jout_append(out, around, before);
	jout_append(out, s, size);
	if (around && size)
		jout_append(out, around + before + 1, strcspn(around + before + 1, "}"));
	return true;
}

static bool put_pattern(struct decoder *d, const struct place *p, const struct go_type *t, const char *s,
			struct jout *out, int depth)
{
	struct place value;

	if (!dereference(d, p, &t, &value))
		return false;
	while (*s) {
		size_t n = strcspn(s, "{");

		jout_append(out, s, n);
		s += n;
		if (!*s)
			break;
		n = strcspn(++s, "}");
		if (!put_field(d, &value, t, s, n, out, depth))
			return false;
		s += n + 1;
	}
	return true;
}

/* As Go has it: the C library's text, its first letter small where the second one is. */
static bool put_errno(struct decoder *d, const struct place *p, struct jout *out)
{
	const char *text;
	uint64_t code;
	char number[JOUT_INT_MAX];

	if (!place_read(d, p, 0, 8, &code))
		return false;
	text = code && code < ERRNO_MAX ? strerrordesc_np((int)code) : NULL;
	if (!text) {
		jout_append(out, "errno ", 6);
		jout_append(out, number, jout_format_u64(number, code));
		return true;
	}
	if (code == ERRNO_STALE)
		text = d->plan->binary.go_minor < 25 ? "stale NFS file handle" : "stale file handle";
	char first = *text;
	if (first >= 'A' && first <= 'Z' && text[1] >= 'a' && text[1] <= 'z')
		first = (char)(first - 'A' + 'a');
	jout_putc(out, first);
	jout_append(out, text + 1, strlen(text + 1));
	return true;
}

/* errors.Join: a line for each. */
static bool put_joined(struct decoder *d, const struct place *p, const struct go_type *t, struct jout *out, int depth)
{
	const struct go_type *slice, *elem;
	const struct go_field *f;
	struct place value, items, at;
	uint64_t addr, n;

	if (!dereference(d, p, &t, &value))
		return false;
	f = field_of(d, t, "errs", GO_SLICE);
	slice = f ? type_at(d, f->type) : NULL;
	elem = slice ? type_at(d, slice->elem) : NULL;
	if (!elem || elem->kind != GO_INTERFACE)
		return false;
	at = place_at(&value, f->offset);
	if (!place_read(d, &at, 0, 8, &addr) || !place_read(d, &at, 8, 8, &n) || n > d->limits.elements ||
	    !place_behind(d, addr, n * elem->size, &items))
		return false;
	for (uint64_t i = 0; i < n; i++) {
		at = place_at(&items, i * elem->size);
		if (i)
			jout_putc(out, '\n');
		if (!put_held(d, &at, elem, out, depth))
			return false;
	}
	return true;
}

/* net.TCPAddr and net.UDPAddr: "1.2.3.4:80", "1.2.3.4%zone:80", "[::1%zone]:80", ":80". */
static bool put_address(struct decoder *d, const struct place *p, const struct go_type *t, struct jout *out)
{
	const struct go_field *ip, *port, *zone;
	char text[VALUE_TEXT_MAX], number[JOUT_INT_MAX];
	uint64_t addr, len, n;
	struct place value, bytes, at;
	uint8_t raw[16];
	size_t size = 0;

	if (!dereference(d, p, &t, &value))
		return false;
	ip = field_of(d, t, "IP", GO_SLICE);
	port = field_of(d, t, "Port", GO_INT);
	zone = field_of(d, t, "Zone", GO_STRING);
	if (!ip || !port || !zone || !place_read(d, &value, ip->offset, 8, &addr) ||
	    !place_read(d, &value, ip->offset + 8, 8, &len) || !place_read(d, &value, port->offset, 8, &n))
		return false;
	if (len) {
		if ((len != 4 && len != 16) || !place_behind(d, addr, len, &bytes) ||
		    !place_read(d, &bytes, 0, (uint32_t)len, raw))
			return false;
		size = ip_text(raw, len, text);
	}
	bool six = memchr(text, ':', size);
	at = place_at(&value, zone->offset);
	uint64_t zone_len;
	if (!place_read(d, &at, 8, 8, &zone_len))
		return false;
	if (six)
		jout_putc(out, '[');
	jout_append(out, text, size);
	if (zone_len) {
		size_t start = out->len;

		jout_putc(out, '%');
		if (!put_string(d, &at, out) || out->failed)
			return false;
		/* net.JoinHostPort looks for a colon in the zone too. */
		if (!six && memchr(out->buf + start, ':', out->len - start))
			return false;
	}
	if (six)
		jout_putc(out, ']');
	jout_putc(out, ':');
	jout_append(out, number, jout_format_i64(number, (int64_t)n));
	return true;
}

/* An address in a field that is an interface. 1 written, 0 it is nil, -1 it cannot be had. */
static int put_address_field(struct decoder *d, const struct place *p, const struct go_type *t, const char *name,
			     const char *before, struct jout *out)
{
	const struct go_field *f = field_of(d, t, name, GO_INTERFACE);
	const struct go_type *ft = f ? type_at(d, f->type) : NULL;
	uint32_t type, pattern;
	struct place at, value;
	uint64_t word;

	if (!ft)
		return -1;
	at = place_at(p, f->offset);
	if (!place_read(d, &at, 0, 8, &word))
		return -1;
	if (!word)
		return 0;
	if (!interface_holds(d, &at, ft, &type, &value) || names_special(d->names, type, &pattern) != SPECIAL_ADDR)
		return -1;
	jout_append(out, before, strlen(before));
	return put_address(d, &value, type_at(d, type), out) ? 1 : -1;
}

/* net/net.go, (*OpError).Error: "dial tcp 1.2.3.4:5->6.7.8.9:80: …" */
static bool put_op_error(struct decoder *d, const struct place *p, const struct go_type *t, struct jout *out, int depth)
{
	struct place value;
	size_t before;
	int source;

	if (!dereference(d, p, &t, &value) || !put_field(d, &value, t, "Op", 2, out, depth))
		return false;
	before = out->len;
	jout_putc(out, ' ');
	if (!put_field(d, &value, t, "Net", 3, out, depth))
		return false;
	if (out->len == before + 1)
		out->len = before;
	source = put_address_field(d, &value, t, "Source", " ", out);
	if (source < 0 || put_address_field(d, &value, t, "Addr", source ? "->" : " ", out) < 0)
		return false;
	jout_append(out, ": ", 2);
	return put_field(d, &value, t, "Err", 3, out, depth);
}

static bool put_error(struct decoder *d, const struct place *p, uint32_t type, struct jout *out, int depth)
{
	const struct go_type *t = type_at(d, type);
	uint32_t pattern;

	if (!t || depth > ERRORS_NESTED_MAX)
		return false;
	switch (names_special(d->names, type, &pattern)) {
	case SPECIAL_ERROR:
		return put_pattern(d, p, t, patterns[pattern].pattern, out, depth);
	case SPECIAL_ERRNO:
		return t->kind == GO_UINTPTR && put_errno(d, p, out);
	case SPECIAL_JOIN:
		return put_joined(d, p, t, out, depth);
	case SPECIAL_OP_ERROR:
		return put_op_error(d, p, t, out, depth);
	default:
		return false;
	}
}

bool error_text(struct decoder *d, const struct place *p, uint32_t type, struct jout *out)
{
	uint32_t pattern;
	bool ok;

	if (names_special(d->names, type, &pattern) == SPECIAL_ADDR)
		ok = put_address(d, p, type_at(d, type), out);
	else
		ok = put_error(d, p, type, out, 0);
	if (ok && !out->failed)
		return true;
	out->len = 0;
	return value_text(d, p, type, out);
}
