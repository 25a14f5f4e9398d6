/* SPDX-License-Identifier: Apache-2.0 */
/* Values that people read otherwise than Go keeps them: durations, times, addresses; written as their String methods do. */
#include <stdio.h>
#include <string.h>

#include "decode_priv.h"

#define SECOND INT64_C(1000000000)

static size_t put_number(char *to, uint64_t v)
{
	return (size_t)sprintf(to, "%llu", (unsigned long long)v);
}

/* A number of `digits` decimals, without zeros at its end; "" for 0. */
static size_t put_fraction(char *to, uint64_t v, int digits)
{
	char all[24];
	size_t n = (size_t)snprintf(all, sizeof(all), ".%0*llu", digits, (unsigned long long)v);

	while (n && all[n - 1] == '0')
		n--;
	if (n == 1)
		n = 0;
	memcpy(to, all, n);
	return n;
}

/* As time.Duration.String: "1h2m3.5s", below a second in the largest unit that gives a whole part. */
size_t duration_text(int64_t ns, char text[VALUE_TEXT_MAX])
{
	static const struct {
		uint64_t ns;
		int digits;
		const char *unit;
	} small[] = { { 1000000, 6, "ms" }, { 1000, 3, "µs" }, { 1, 0, "ns" } };
	uint64_t v = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	char *p = text;

	if (!v)
		return (size_t)sprintf(text, "0s");
	if (ns < 0)
		*p++ = '-';
	if (v < SECOND) {
		size_t i = 0;

		while (v < small[i].ns)
			i++;
		p += put_number(p, v / small[i].ns);
		if (small[i].digits)
			p += put_fraction(p, v % small[i].ns, small[i].digits);
		p += sprintf(p, "%s", small[i].unit);
		return (size_t)(p - text);
	}
	uint64_t seconds = v / SECOND;
	if (seconds >= 3600)
		p += sprintf(p, "%lluh", (unsigned long long)(seconds / 3600));
	if (seconds >= 60)
		p += sprintf(p, "%llum", (unsigned long long)(seconds / 60 % 60));
	p += put_number(p, seconds % 60);
	p += put_fraction(p, v % SECOND, 9);
	*p++ = 's';
	return (size_t)(p - text);
}

/* Seconds from the first of January of the year 1 to the starts of the other two counts (time/time.go: a Time that has a monotonic part
 * counts from 1885). */
#define FROM_1885 (INT64_C(1884) * 365 * 86400 + (1884 / 4 - 1884 / 100 + 1884 / 400) * INT64_C(86400))
#define DAYS_400 146097 /* of 400 years */

/* RFC 3339 in UTC. 0 for years that it cannot write. */
size_t time_text(uint64_t wall, int64_t ext, char text[VALUE_TEXT_MAX])
{
	static const uint16_t before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	int64_t seconds = wall >> 63 ? FROM_1885 + (int64_t)(wall << 1 >> 31) : ext;
	uint32_t ns = wall & ((1u << 30) - 1);
	int month = 11;

	/* up to the end of the year 9999 */
	if (seconds < 0 || seconds >= INT64_C(315537897600) || ns >= SECOND)
		return 0;
	int64_t days = seconds / 86400, rest = seconds % 86400;
	int64_t year = days / DAYS_400 * 400;
	days %= DAYS_400;
	/* the last day of 400 years and of 4 years belongs to the year before */
	int64_t n = days / 36524 < 3 ? days / 36524 : 3;
	year += n * 100;
	days -= n * 36524;
	n = days / 1461;
	year += n * 4;
	days -= n * 1461;
	n = days / 365 < 3 ? days / 365 : 3;
	year += n + 1;
	days -= n * 365;
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	while (days < before[month] + (leap && month > 1))
		month--;
	char *p = text;
	p += sprintf(p, "%04d-%02d-%02dT%02d:%02d:%02d", (int)year, month + 1,
		     (int)(days - before[month] - (leap && month > 1)) + 1, (int)(rest / 3600), (int)(rest / 60 % 60),
		     (int)(rest % 60));
	p += put_fraction(p, ns, 9);
	*p++ = 'Z';
	return (size_t)(p - text);
}

/* As net.IP.String: RFC 5952 for IPv6. 0 for other lengths. */
size_t ip_text(const uint8_t *ip, size_t n, char text[VALUE_TEXT_MAX])
{
	static const uint8_t v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	int longest = -1, length = 1;
	char *p = text;

	if (n == 16 && !memcmp(ip, v4_prefix, sizeof(v4_prefix))) {
		ip += 12;
		n = 4;
	}
	if (n == 4)
		return (size_t)sprintf(text, "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
	if (n != 16)
		return 0;
	for (int i = 0, k; i < 8; i = k + 1) {
		for (k = i; k < 8 && !ip[2 * k] && !ip[2 * k + 1]; k++)
			;
		if (k - i > length) {
			longest = i;
			length = k - i;
		}
	}
	for (int i = 0; i < 8; i++) {
		if (i == longest) {
			p += sprintf(p, "::");
			i += length - 1;
			continue;
		}
		if (i && i != longest + length)
			*p++ = ':';
		p += sprintf(p, "%x", ip[2 * i] << 8 | ip[2 * i + 1]);
	}
	return (size_t)(p - text);
}

/* ---- of what texts are made ---------------------------------------------------------------------------------- */

const struct go_field *field_of(const struct decoder *d, const struct go_type *t, const char *name, uint8_t kind)
{
	for (uint32_t i = 0; t->kind == GO_STRUCT && i < t->n_fields; i++) {
		const struct go_field *f = &d->plan->types.fields[t->first_field + i];
		const struct go_type *of = type_at(d, f->type);

		if (of && !strcmp(plan_string(d->plan, f->name), name))
			return (kind && of->kind != kind) || mask_hides(d->mask, plan_string(d->plan, f->name)) ? NULL
														: f;
	}
	return NULL;
}

bool dereference(struct decoder *d, const struct place *p, const struct go_type **t, struct place *ret)
{
	uint64_t addr;

	*ret = *p;
	if ((*t)->kind != GO_POINTER)
		return true;
	*t = type_at(d, (*t)->elem);
	if (!*t || is_left_out(*t) || !place_read(d, p, 0, 8, &addr) || !addr)
		return false;
	if (!(*t)->size) {
		*ret = (struct place){ .mem = (const uint8_t *)"" };
		return true;
	}
	return place_behind(d, addr, (*t)->size, ret);
}

bool put_string(struct decoder *d, const struct place *p, struct jout *out)
{
	const uint8_t *s;
	size_t n;

	if (!read_string(d, p, &s, &n))
		return false;
	jout_append(out, s, n);
	return true;
}

/* ---- values -------------------------------------------------------------------------------------------------- */

/* time.Time: seconds and ns in `wall`, or seconds in `ext`. */
static size_t put_time(struct decoder *d, const struct place *p, const struct go_type *t, char text[VALUE_TEXT_MAX])
{
	const struct go_field *wall = field_of(d, t, "wall", GO_UINT64), *ext = field_of(d, t, "ext", GO_INT64);
	uint64_t first, second;

	return wall && ext && place_read(d, p, wall->offset, 8, &first) && place_read(d, p, ext->offset, 8, &second)
		       ? time_text(first, (int64_t)second, text)
		       : 0;
}

static size_t put_ip(struct decoder *d, const struct place *p, const struct go_type *t, char text[VALUE_TEXT_MAX])
{
	const struct go_type *elem = t->kind == GO_SLICE ? type_at(d, t->elem) : NULL;
	struct place bytes;
	uint64_t addr, n;
	uint8_t ip[16];

	if (!elem || elem->kind != GO_UINT8 || !place_read(d, p, 0, 8, &addr) || !place_read(d, p, 8, 8, &n) ||
	    (n != 4 && n != 16) || !place_behind(d, addr, n, &bytes) || !place_read(d, &bytes, 0, (uint32_t)n, ip))
		return 0;
	return ip_text(ip, n, text);
}

bool value_text(struct decoder *d, const struct place *p, uint32_t type, struct jout *out)
{
	const struct go_type *t = type_at(d, type);
	char text[VALUE_TEXT_MAX];
	size_t start = out->len, n = 0;
	uint32_t pattern;
	uint64_t word;
	bool ok = false;

	switch (names_special(d->names, type, &pattern)) {
	case SPECIAL_DURATION:
		n = t->kind == GO_INT64 && place_read(d, p, 0, 8, &word) ? duration_text((int64_t)word, text) : 0;
		break;
	case SPECIAL_TIME:
		n = put_time(d, p, t, text);
		break;
	case SPECIAL_IP:
		n = put_ip(d, p, t, text);
		break;
	case SPECIAL_NETIP:
	case SPECIAL_NETIP_PORT:
		ok = netip_text(d, p, t, names_special(d->names, type, &pattern) == SPECIAL_NETIP_PORT, out);
		break;
	case SPECIAL_URL:
		ok = url_text(d, p, t, out);
		break;
	default:
		return false;
	}
	jout_append(out, text, n);
	ok = (ok || n) && !out->failed;
	if (!ok)
		out->len = start;
	return ok;
}
