/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of net/netip and URLs, as their String methods write them. */
#include <stdio.h>
#include <string.h>

#include "decode_priv.h"

/* ---- net/netip --------------------------------------------------------------------------------------------- */

struct addr {
	enum { ADDR_NONE, ADDR_4, ADDR_6 } kind;
	uint8_t bytes[16];
	bool mapped; /* an IPv4 address written as one of IPv6 */
	struct jout zone;
};

/* From Go 1.23 on the handle points to what tells the kind: struct { isV6 bool; zoneV6 string }. */
static bool read_detail(struct decoder *d, const struct place *p, const struct go_type *t, struct addr *ret)
{
	const struct go_field *six = field_of(d, t, "isV6", GO_BOOL), *zone = field_of(d, t, "zoneV6", GO_STRING);
	struct place at;
	uint8_t is_six;

	if (!six || !zone || !place_read(d, p, six->offset, 1, &is_six))
		return false;
	at = place_at(p, zone->offset);
	ret->kind = is_six ? ADDR_6 : ADDR_4;
	return !is_six || put_string(d, &at, &ret->zone);
}

/* Up to Go 1.22 it is one of two markers, or a zone's name; the markers are told apart by their addresses alone, which are not known. But
 * an address that could not be IPv4 is none. */
static bool read_marker(struct decoder *d, const struct place *p, const struct go_type *t, struct addr *ret)
{
	const struct go_field *zone = field_of(d, t, "cmpVal", GO_INTERFACE);
	uint64_t type;

	ret->kind = ADDR_6;
	return zone && !ret->mapped && place_read(d, p, zone->offset, 8, &type) && !type;
}

static bool read_addr(struct decoder *d, const struct place *p, const struct go_type *t, struct addr *ret)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	const struct go_field *addr = field_of(d, t, "addr", GO_STRUCT), *z = field_of(d, t, "z", 0);
	const struct go_type *words = addr ? type_at(d, addr->type) : NULL, *handle = z ? type_at(d, z->type) : NULL;
	const struct go_field *hi = words ? field_of(d, words, "hi", GO_UINT64) : NULL;
	const struct go_field *lo = words ? field_of(d, words, "lo", GO_UINT64) : NULL;
	const struct go_field *value = NULL;
	uint64_t high, low, pointer;
	struct place at, detail;

	if (!hi || !lo || !handle || !place_read(d, p, addr->offset + hi->offset, 8, &high) ||
	    !place_read(d, p, addr->offset + lo->offset, 8, &low))
		return false;
	for (int i = 0; i < 8; i++) {
		ret->bytes[i] = (uint8_t)(high >> (56 - 8 * i));
		ret->bytes[8 + i] = (uint8_t)(low >> (56 - 8 * i));
	}
	ret->mapped = !memcmp(ret->bytes, mapped, sizeof(mapped));
	at = place_at(p, z->offset);
	if (handle->kind == GO_STRUCT) { /* unique.Handle */
		value = field_of(d, handle, "value", GO_POINTER);
		if (!value)
			return false;
		at = place_at(&at, value->offset);
		handle = type_at(d, value->type);
	}
	if (!handle || handle->kind != GO_POINTER || !place_read(d, &at, 0, 8, &pointer))
		return false;
	ret->kind = ADDR_NONE;
	if (!pointer)
		return true;
	if (!dereference(d, &at, &handle, &detail))
		return false;
	return value ? read_detail(d, &detail, handle, ret) : read_marker(d, &detail, handle, ret);
}

static void put_addr(const struct addr *addr, struct jout *out)
{
	char text[VALUE_TEXT_MAX];

	if (addr->kind == ADDR_6 && addr->mapped)
		jout_append(out, "::ffff:", 7);
	jout_append(out, text, ip_text(addr->bytes, sizeof(addr->bytes), text));
	if (addr->zone.len) {
		jout_putc(out, '%');
		jout_append(out, addr->zone.buf, addr->zone.len);
	}
}

static void put_text(struct jout *out, const char *text)
{
	jout_append(out, text, strlen(text));
}

bool netip_text(struct decoder *d, const struct place *p, const struct go_type *t, bool port, struct jout *out)
{
	const struct go_field *ip = port ? field_of(d, t, "ip", GO_STRUCT) : NULL;
	const struct go_field *number = port ? field_of(d, t, "port", GO_UINT16) : NULL;
	struct place at = ip ? place_at(p, ip->offset) : *p;
	struct addr addr = { 0 };
	uint16_t n = 0;
	bool ok;

	if (port && (!ip || !number || !place_read(d, p, number->offset, 2, &n)))
		return false;
	jout_init(&addr.zone, -1);
	ok = read_addr(d, &at, ip ? type_at(d, ip->type) : t, &addr) && !addr.zone.failed;
	if (ok && addr.kind == ADDR_NONE) {
		put_text(out, port ? "invalid AddrPort" : "invalid IP");
	} else if (ok) {
		char tail[16];

		if (port && addr.kind == ADDR_6)
			jout_putc(out, '[');
		put_addr(&addr, out);
		snprintf(tail, sizeof(tail), "%s:%u", addr.kind == ADDR_6 ? "]" : "", n);
		if (port)
			put_text(out, tail);
	}
	jout_deinit(&addr.zone);
	return ok;
}

/* ---- net/url ----------------------------------------------------------------------------------------------- */

/* Parts of a URL that go without escape, beside letters and digits (net/url, shouldEscape). */
#define UNRESERVED "-_.~"
#define PATH_PLAIN UNRESERVED "$&+,/:;=@"
#define FRAGMENT_PLAIN UNRESERVED "$&+,/:;=?@!()*"
#define HOST_PLAIN UNRESERVED "!$&'()*+,;=:[]<>\""
#define RAW_PLAIN "!$&'()*+,;=:@[]%" /* also where a form was chosen by who made the URL (validEncoded) */

struct text {
	const uint8_t *s;
	size_t n;
};

static bool is_plain(uint8_t c, const char *plain)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr(plain, c));
}

static void escape(const struct text *s, const char *plain, struct jout *out)
{
	for (size_t i = 0; i < s->n; i++) {
		if (is_plain(s->s[i], plain)) {
			jout_putc(out, (char)s->s[i]);
		} else {
			jout_putc(out, '%');
			jout_putc(out, "0123456789ABCDEF"[s->s[i] >> 4]);
			jout_putc(out, "0123456789ABCDEF"[s->s[i] & 15]);
		}
	}
}

static int hex_digit(uint8_t c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* Does the form that was chosen stand for the same text? */
static bool stands_for(const struct text *raw, const struct text *text, const char *plain)
{
	size_t n = 0;

	for (size_t i = 0; i < raw->n; i++) {
		uint8_t c = raw->s[i];

		if (!is_plain(c, plain) && !is_plain(c, RAW_PLAIN))
			return false;
		if (c == '%') {
			int high = i + 2 < raw->n ? hex_digit(raw->s[i + 1]) : -1,
			    low = high < 0 ? -1 : hex_digit(raw->s[i + 2]);
			if (low < 0)
				return false;
			c = (uint8_t)(high << 4 | low);
			i += 2;
		}
		if (n == text->n || text->s[n++] != c)
			return false;
	}
	return n == text->n;
}

static void put_escaped(const struct text *raw, const struct text *text, const char *plain, struct jout *out)
{
	if (raw->n && stands_for(raw, text, plain))
		jout_append(out, raw->s, raw->n);
	else if (text->n == 1 && text->s[0] == '*')
		jout_putc(out, '*');
	else
		escape(text, plain, out);
}

static bool read_part(struct decoder *d, const struct place *p, const struct go_type *t, const char *name,
		      struct text *ret)
{
	const struct go_field *f = field_of(d, t, name, GO_STRING);
	struct place at;

	if (!f)
		return false;
	at = place_at(p, f->offset);
	return read_string(d, &at, &ret->s, &ret->n);
}

/* A flag; false where the type has none of that name, as older ones. */
static bool read_flag(struct decoder *d, const struct place *p, const struct go_type *t, const char *name, bool *ret)
{
	const struct go_field *f = field_of(d, t, name, GO_BOOL);
	uint8_t byte = 0;

	*ret = false;
	if (f && !place_read(d, p, f->offset, 1, &byte))
		return false;
	*ret = byte;
	return true;
}

/* Path and what is before it, once all parts are known. */
static void put_place(const struct text *scheme, const struct text *host, const struct text *path,
		      const struct text *raw, struct jout *out)
{
	size_t start = out->len, first;

	if (scheme->n) {
		jout_append(out, scheme->s, scheme->n);
		jout_putc(out, ':');
	}
	if (host->n || (scheme->n && path->n))
		put_text(out, "//");
	jout_append(out, host->s, host->n);
	if (path->n && path->s[0] != '/' && host->n)
		jout_putc(out, '/');
	first = out->len;
	put_escaped(raw, path, PATH_PLAIN, out);
	if (first != start || out->failed)
		return;
	/* RFC 3986 4.2: what stands before a colon would be taken for a scheme */
	const char *slash = memchr(out->buf + first, '/', out->len - first);
	size_t n = slash ? (size_t)(slash - out->buf) - first : out->len - first;
	if (n && memchr(out->buf + first, ':', n) && jout_reserve(out, 2)) {
		memmove(out->buf + first + 2, out->buf + first, out->len - first);
		memcpy(out->buf + first, "./", 2);
		out->len += 2;
	}
}

bool url_text(struct decoder *d, const struct place *p, const struct go_type *t, struct jout *out)
{
	const struct go_field *user = field_of(d, t, "User", GO_POINTER);
	struct text scheme, opaque, host, path, raw_path, query, fragment, raw_fragment = { (const uint8_t *)"", 0 };
	bool omit_host, force_query;
	uint64_t word;

	/* With a name and a password in it the text is for nobody. One without a host on purpose depends on the version of Go. */
	if (!user || !place_read(d, p, user->offset, 8, &word) || word || !read_flag(d, p, t, "OmitHost", &omit_host) ||
	    !read_flag(d, p, t, "ForceQuery", &force_query) || omit_host)
		return false;
	if (!read_part(d, p, t, "Scheme", &scheme) || !read_part(d, p, t, "Opaque", &opaque) ||
	    !read_part(d, p, t, "Host", &host) || !read_part(d, p, t, "Path", &path) ||
	    !read_part(d, p, t, "RawPath", &raw_path) || !read_part(d, p, t, "RawQuery", &query) ||
	    !read_part(d, p, t, "Fragment", &fragment) || !read_part(d, p, t, "RawFragment", &raw_fragment))
		return false;
	for (size_t i = 0; i < host.n; i++)
		if (!is_plain(host.s[i], HOST_PLAIN))
			return false;
	if (opaque.n) {
		if (scheme.n) {
			jout_append(out, scheme.s, scheme.n);
			jout_putc(out, ':');
		}
		jout_append(out, opaque.s, opaque.n);
	} else {
		put_place(&scheme, &host, &path, &raw_path, out);
	}
	if (force_query || query.n) {
		jout_putc(out, '?');
		jout_append(out, query.s, query.n);
	}
	if (fragment.n) {
		jout_putc(out, '#');
		if (raw_fragment.n && stands_for(&raw_fragment, &fragment, FRAGMENT_PLAIN))
			jout_append(out, raw_fragment.s, raw_fragment.n);
		else
			escape(&fragment, FRAGMENT_PLAIN, out);
	}
	return true;
}
