/* SPDX-License-Identifier: Apache-2.0 */
/* Lines for people: docs/design.md, "Text format". Nothing of the traced program reaches the terminal unescaped. */
#include "format.h"
#include "frames.h"

#include <string.h>
#include <time.h>

#include "../offsets/utf8.h"

#define DIM "\033[2m"
#define BOLD "\033[1m"
#define YELLOW "\033[33m"
#define RED "\033[31m"
#define PLAIN "\033[0m"

#define put_color(out, on, text)                                                                                       \
	do {                                                                                                           \
		if (on)                                                                                                \
			put_lit(out, text);                                                                            \
	} while (0)

static void put_hex(struct jout *out, uint64_t v)
{
	if (jout_reserve(out, JOUT_INT_MAX))
		out->len += jout_format_hex(out->buf + out->len, v);
}

static void put_byte_escape(struct jout *out, uint8_t c)
{
	static const char hex[] = "0123456789abcdef";
	char text[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };

	jout_append(out, text, sizeof(text));
}

static void put_character_escape(struct jout *out, uint32_t c)
{
	static const char hex[] = "0123456789abcdef";
	char text[6] = { '\\', 'u', hex[c >> 12 & 15], hex[c >> 8 & 15], hex[c >> 4 & 15], hex[c & 15] };

	if (c == '\n')
		put_lit(out, "\\n");
	else if (c == '\t')
		put_lit(out, "\\t");
	else if (c == '\r')
		put_lit(out, "\\r");
	else if (c < 0x80)
		put_byte_escape(out, (uint8_t)c);
	else
		jout_append(out, text, sizeof(text)); /* all of utf8_is_control() lies below U+10000 */
}

/* Bytes of the traced program. In quotes, quotes and backslashes are escaped as well. */
static void put_escaped(struct jout *out, const uint8_t *s, size_t n, bool in_quotes)
{
	size_t i = 0;

	while (i < n) {
		size_t run = i, len;
		uint32_t c;

		while (i < n && s[i] >= 0x20 && s[i] < 0x7f && s[i] != '"' && s[i] != '\\')
			i++;
		jout_append(out, s + run, i - run);
		if (i == n)
			break;
		len = utf8_sequence(s + i, n - i);
		if (!len) {
			put_byte_escape(out, s[i++]);
			continue;
		}
		c = utf8_decode(s + i, len);
		if (utf8_is_control(c)) {
			put_character_escape(out, c);
		} else {
			if (in_quotes && (c == '"' || c == '\\'))
				jout_putc(out, '\\');
			jout_append(out, s + i, len);
		}
		i += len;
	}
}

static void put_name(struct jout *out, const char *name)
{
	put_escaped(out, (const uint8_t *)name, strlen(name), false);
}

static void put_separator(struct jout *out)
{
	if (out->comma)
		put_lit(out, ", ");
	out->comma = true;
}

static void put_open(struct jout *out, char bracket)
{
	jout_putc(out, bracket);
	out->comma = false;
}

static void put_close(struct jout *out, char bracket)
{
	jout_putc(out, bracket);
	out->comma = true;
}

/* ---- values ---------------------------------------------------------------------------------------------- */

static void value_integer(struct decoder *d, uint64_t v, bool is_signed)
{
	if (is_signed && (int64_t)v < 0) {
		jout_putc(d->out, '-');
		v = 0 - v;
	}
	put_u64(d->out, v);
}

static void value_boolean(struct decoder *d, bool v)
{
	jout_append(d->out, v ? "true" : "false", v ? 4 : 5);
}

static void value_real(struct decoder *d, double v, int width)
{
	if (jout_reserve(d->out, JOUT_DOUBLE_MAX))
		d->out->len += jout_format_double(d->out->buf + d->out->len, v, width);
}

static void value_complex(struct decoder *d, double re, double im, int width)
{
	size_t sign;

	jout_putc(d->out, '(');
	value_real(d, re, width);
	sign = d->out->len;
	value_real(d, im, width);
	if (!d->out->failed && d->out->buf[sign] != '-' && d->out->buf[sign] != '+' && jout_reserve(d->out, 1)) {
		memmove(d->out->buf + sign + 1, d->out->buf + sign, d->out->len - sign);
		d->out->buf[sign] = '+';
		d->out->len++;
	}
	put_lit(d->out, "i)");
}

static void value_string(struct decoder *d, const uint8_t *s, size_t n, uint64_t full)
{
	jout_putc(d->out, '"');
	put_escaped(d->out, s, n, true);
	if (n < full)
		put_lit(d->out, "…");
	jout_putc(d->out, '"');
	if (n < full) {
		d->short_of.strings++;
		jout_putc(d->out, '(');
		put_u64(d->out, full);
		put_lit(d->out, " bytes)");
	}
}

static void value_nil(struct decoder *d)
{
	put_lit(d->out, "nil");
}

static void value_masked(struct decoder *d)
{
	put_lit(d->out, "\"***\"");
}

static void put_absent(struct decoder *d, const char *word, const char *why)
{
	count_absent(d, word, why);
	put_color(d->out, d->color, RED);
	jout_putc(d->out, '<');
	if (strcmp(word, "unreadable")) {
		put_name(d->out, word);
		put_lit(d->out, ": ");
		put_name(d->out, why);
	} else {
		put_name(d->out, why);
		put_lit(d->out, ": not readable here");
	}
	jout_putc(d->out, '>');
	put_color(d->out, d->color, PLAIN);
}

static void value_struct_begin(struct decoder *d)
{
	put_open(d->out, '{');
}

static void value_field(struct decoder *d, const char *name)
{
	put_separator(d->out);
	put_name(d->out, name);
	jout_putc(d->out, '=');
}

static void value_struct_end(struct decoder *d)
{
	put_close(d->out, '}');
}

static void value_list_begin(struct decoder *d, uint64_t shown, uint64_t total)
{
	(void)shown;
	(void)total;
	put_open(d->out, '[');
}

static void value_item(struct decoder *d)
{
	put_separator(d->out);
}

static void value_list_end(struct decoder *d, uint64_t shown, uint64_t total)
{
	if (shown < total) {
		d->short_of.lists++;
		put_separator(d->out);
		put_lit(d->out, "…(");
		put_u64(d->out, total);
		jout_putc(d->out, ')');
	}
	put_close(d->out, ']');
}

static void value_pointer_begin(struct decoder *d, uint64_t addr)
{
	d->pointer = addr;
}

static void value_pointer_to(struct decoder *d, bool is_struct)
{
	if (is_struct) {
		jout_putc(d->out, '&');
	} else {
		put_hex(d->out, d->pointer);
		put_lit(d->out, " → ");
	}
	d->pointer = 0;
}

static void value_pointer_end(struct decoder *d, const char *word, const char *why)
{
	if (!d->pointer)
		return;
	put_hex(d->out, d->pointer);
	d->pointer = 0;
	if (!word)
		return;
	if (!strcmp(word, "depth")) {
		count_absent(d, word, why);
		return;
	}
	if (!strcmp(word, "cycle")) {
		put_lit(d->out, " (cycle)");
		return;
	}
	put_lit(d->out, " → ");
	put_absent(d, word, why);
}

static void value_chan(struct decoder *d, uint64_t addr, uint64_t len, uint64_t cap)
{
	put_lit(d->out, "chan(len=");
	put_u64(d->out, len);
	put_lit(d->out, ", cap=");
	put_u64(d->out, cap);
	put_lit(d->out, ") ");
	put_hex(d->out, addr);
}

static void value_func(struct decoder *d, uint64_t addr, const char *name, enum captured captured)
{
	(void)captured;
	put_lit(d->out, "func ");
	if (*name)
		put_name(d->out, name);
	else
		put_hex(d->out, addr);
}

static void value_func_end(struct decoder *d)
{
	(void)d;
}

static void value_map_begin(struct decoder *d, bool as_object, uint64_t shown, uint64_t total)
{
	(void)as_object;
	(void)shown;
	(void)total;
	put_lit(d->out, "map");
	put_open(d->out, '[');
}

static void value_map_key(struct decoder *d, bool as_object)
{
	const struct path_part *part = &d->path[d->n_path - 1];

	put_separator(d->out);
	if (!as_object)
		return;
	if (part->kind == PATH_STRING)
		value_string(d, part->bytes, part->n, part->n);
	else if (part->kind == PATH_BOOL)
		value_boolean(d, part->index);
	else
		value_integer(d, part->index, part->kind == PATH_SIGNED);
}

static void value_map_value(struct decoder *d, bool as_object)
{
	(void)as_object;
	put_lit(d->out, ": ");
}

static void value_map_pair_end(struct decoder *d, bool as_object)
{
	(void)as_object;
	d->out->comma = true;
}

static void value_map_end(struct decoder *d, bool as_object, uint64_t shown, uint64_t total)
{
	(void)as_object;
	value_list_end(d, shown, total);
}

/* *errors.errorString("…"), main.T{…}: where there is a text, nothing else is shown. */
static bool value_interface_begin(struct decoder *d, const char *type, const char *text, size_t n)
{
	put_name(d->out, type);
	jout_putc(d->out, '(');
	if (!text)
		return false;
	jout_putc(d->out, '"');
	put_escaped(d->out, (const uint8_t *)text, n, true);
	jout_putc(d->out, '"');
	return true;
}

static void value_interface_end(struct decoder *d, const char *text, size_t n)
{
	(void)text;
	(void)n;
	put_close(d->out, ')');
}

static bool value_texted_begin(struct decoder *d, const char *text, size_t n)
{
	put_escaped(d->out, (const uint8_t *)text, n, false);
	return true;
}

static void value_texted_end(struct decoder *d, const char *text, size_t n)
{
	(void)d;
	(void)text;
	(void)n;
}

static void value_remark(struct decoder *d, const char *word, const char *why)
{
	put_absent(d, word, why);
	jout_putc(d->out, ' ');
}

/* What was read of a value that cannot be shown is for programs. */
static void value_bytes(struct decoder *d, const uint8_t *s, size_t n)
{
	(void)d;
	(void)s;
	(void)n;
}

static const struct value_ops text_values = {
	.integer = value_integer,
	.boolean = value_boolean,
	.real = value_real,
	.complex = value_complex,
	.string = value_string,
	.nil = value_nil,
	.masked = value_masked,
	.absent = put_absent,
	.struct_begin = value_struct_begin,
	.field = value_field,
	.struct_end = value_struct_end,
	.list_begin = value_list_begin,
	.item = value_item,
	.list_end = value_list_end,
	.pointer_begin = value_pointer_begin,
	.pointer_to = value_pointer_to,
	.pointer_end = value_pointer_end,
	.chan = value_chan,
	.func = value_func,
	.func_end = value_func_end,
	.map_begin = value_map_begin,
	.map_key = value_map_key,
	.map_value = value_map_value,
	.map_pair_end = value_map_pair_end,
	.map_end = value_map_end,
	.interface_begin = value_interface_begin,
	.interface_end = value_interface_end,
	.texted_begin = value_texted_begin,
	.texted_end = value_texted_end,
	.remark = value_remark,
	.bytes = value_bytes,
};

/* ---- lines ----------------------------------------------------------------------------------------------- */

static void text_middle(const struct collector *c, uint32_t fid, struct jout *to)
{
	put_color(to, c->options.color, BOLD);
	put_name(to, function_name(c, fid));
	put_color(to, c->options.color, PLAIN);
}

static char *put_two(char *p, int v)
{
	*p++ = (char)('0' + v / 10);
	*p++ = (char)('0' + v % 10);
	return p;
}

/* Time of day with microseconds. */
static void put_time(struct format *f, uint64_t ts)
{
	int64_t wall = (int64_t)(ts + (uint64_t)f->wall_offset);
	int64_t second = wall / 1000000000;
	uint32_t us = (uint32_t)(wall % 1000000000) / 1000;
	char digits[6];

	if (wall < 0)
		second = us = 0; /* no clock of ours gave that ts */
	if (second != f->second) {
		time_t t = (time_t)second;
		char *p = f->second_text;
		struct tm tm = { 0 };

		if (f->c->options.utc)
			gmtime_r(&t, &tm);
		else
			localtime_r(&t, &tm);
		p = put_two(p, tm.tm_hour);
		*p++ = ':';
		p = put_two(p, tm.tm_min);
		*p++ = ':';
		p = put_two(p, tm.tm_sec);
		*p++ = '.';
		f->second = second;
	}
	for (int i = 5; i >= 0; i--, us /= 10)
		digits[i] = (char)('0' + us % 10);
	put_color(f->out, f->decoder.color, DIM);
	jout_append(f->out, f->second_text, 9);
	jout_append(f->out, digits, sizeof(digits));
	put_color(f->out, f->decoder.color, PLAIN);
}

/* Three significant digits, or more where whole seconds have them: 950ns 37.1µs 1.00ms 12.3s 1234s */
static void put_duration(struct jout *out, uint64_t ns)
{
	static const char *const units[] = { "ns", "µs", "ms", "s" };
	uint64_t scale = 1, whole, part;
	int unit = 0, decimals;

	while (unit < 3 && ns / scale >= 1000) {
		scale *= 1000;
		unit++;
	}
	/* rounding may carry into the next digit: 9996 ns are 10.0 µs */
	for (;;) {
		uint64_t step, value;

		decimals = unit ? (ns / scale < 10 ? 2 : ns / scale < 100 ? 1 : 0) : 0;
		step = decimals == 2 ? 100 : decimals ? 10 : 1;
		value = (ns / scale) * step + ((ns % scale) * step + scale / 2) / scale;
		if (decimals && value >= 1000) {
			decimals--;
			value = (value + 5) / 10;
			step /= 10;
		}
		if (!decimals && value >= 1000 && unit < 3) {
			scale *= 1000;
			unit++;
			continue;
		}
		whole = value / step;
		part = value % step;
		break;
	}
	put_u64(out, whole);
	if (decimals) {
		jout_putc(out, '.');
		if (decimals == 2)
			jout_putc(out, (char)('0' + part / 10));
		jout_putc(out, (char)('0' + part % 10));
	}
	jout_append(out, units[unit], strlen(units[unit]));
}

/* Time, goroutine, function. */
static void put_event(struct format *f, const struct event *e)
{
	put_time(f, e->ts);
	put_lit(f->out, "  ");
	put_color(f->out, f->decoder.color, YELLOW);
	jout_putc(f->out, 'G');
	if (e->goid_known)
		put_u64(f->out, e->goid);
	else
		jout_putc(f->out, '?');
	put_color(f->out, f->decoder.color, PLAIN);
	put_lit(f->out, "  ");
	format_middle(f, e->fid);
}

static void put_values(struct format *f, const struct site_ref *ref, const struct record_view *view, bool wanted)
{
	decoder_begin(&f->decoder, view, ref->plan->plan, ref->site, ref->plan->names);
	f->decoder.pointer = 0;
	/* A function whose types are not known takes more than nothing. */
	wanted = wanted && f->c->functions[ref->fid]->has_types;
	put_open(f->out, '(');
	for (uint32_t i = 0; wanted && i < ref->site->n_values; i++) {
		const struct plan_value *value = &ref->plan->plan->values[ref->site->first_value + i];

		put_separator(f->out);
		put_name(f->out, plan_string(ref->plan->plan, value->name));
		jout_putc(f->out, '=');
		decode_site_value(&f->decoder, i);
	}
	if (!wanted)
		put_lit(f->out, "…");
	put_close(f->out, ')');
}

static void end_line(struct format *f, const struct event *e)
{
	if (e->flags & REC_SYSTEM_STACK)
		put_lit(f->out, "  [on the system stack]");
	jout_newline(f->out);
}

static void put_frame(void *arg, const struct frame_view *frame, uint64_t addr)
{
	struct format *f = arg;

	put_lit(f->out, "    ");
	put_color(f->out, f->decoder.color, DIM);
	if (frame->func)
		put_name(f->out, frame->func);
	else
		put_hex(f->out, addr);
	if (frame->func && *frame->file) {
		put_lit(f->out, "  ");
		put_name(f->out, frame->file);
		jout_putc(f->out, ':');
		put_u64(f->out, frame->line);
	}
	if (frame->inlined)
		put_lit(f->out, "  (inlined)");
	put_color(f->out, f->decoder.color, PLAIN);
	jout_newline(f->out);
}

static void put_stack(struct format *f, const struct site_ref *ref, const struct record_view *view)
{
	if (f->c->frames)
		frames_each(f->c, ref, view, NULL, put_frame, f);
}

static void text_call(struct format *f, const struct event *e, const struct site_ref *ref,
		      const struct record_view *view)
{
	put_event(f, e);
	put_values(f, ref, view, !f->no_args);
	end_line(f, e);
	put_stack(f, ref, view);
}

static void text_ret(struct format *f, const struct event *e, uint64_t duration, const struct site_ref *ref,
		     const struct record_view *view)
{
	put_event(f, e);
	put_lit(f->out, " → ");
	put_values(f, ref, view, !f->no_results);
	put_lit(f->out, "  ");
	put_duration(f->out, duration);
	end_line(f, e);
	put_stack(f, ref, view);
}

/* `a1: 100 → 2021`, or what a skipped call returned. */
static void put_change(struct format *f, const struct site_ref *ref, const struct record_view *view,
		       const struct rewrite_change *change)
{
	enum write_outcome outcome = format_outcome(f->c->options.rewrite, view, change);
	int value = f->c->options.rewrite->skip ? -1 : format_find_value(ref, change->name);

	put_name(f->out, change->name);
	if (value >= 0) {
		put_lit(f->out, ": ");
		decode_site_value(&f->decoder, (uint32_t)value);
		put_lit(f->out, " → ");
	} else {
		jout_putc(f->out, '=');
	}
	jout_append(f->out, change->shown, strlen(change->shown));
	if (outcome == WRITE_DONE)
		return;
	put_color(f->out, f->decoder.color, RED);
	put_lit(f->out, " <not written: ");
	jout_append(f->out, rewrite_outcome_name(outcome), strlen(rewrite_outcome_name(outcome)));
	jout_putc(f->out, '>');
	put_color(f->out, f->decoder.color, PLAIN);
}

static void text_rewritten(struct format *f, const struct event *e, const struct site_ref *ref,
			   const struct record_view *view)
{
	const struct rewrite *r = f->c->options.rewrite;
	const struct rewrite_site *site = &r->site[ref->site->kind];

	put_event(f, e);
	if (r->skip) {
		put_values(f, ref, view, true);
		if (format_is_skipped(r, view))
			put_lit(f->out, " skipped → (");
		else
			put_lit(f->out, " not skipped → (");
	} else {
		decoder_begin(&f->decoder, view, ref->plan->plan, ref->site, ref->plan->names);
		f->decoder.pointer = 0;
		put_lit(f->out, "  ");
		if (ref->site->kind == SITE_RETURN)
			put_lit(f->out, "return ");
	}
	for (size_t i = 0; i < site->n_changes; i++) {
		if (i)
			put_lit(f->out, ", ");
		put_change(f, ref, view, &site->changes[i]);
	}
	if (r->skip)
		jout_putc(f->out, ')');
	end_line(f, e);
}

static void text_unwound(struct format *f, const struct event *e, const char *how)
{
	put_event(f, e);
	put_color(f->out, f->decoder.color, RED);
	put_lit(f->out, " ⇠ unwound: ");
	jout_append(f->out, how, strlen(how));
	put_color(f->out, f->decoder.color, PLAIN);
	end_line(f, e);
}

static void text_lost(struct format *f, uint64_t ts, uint64_t count)
{
	(void)ts;
	put_color(f->out, f->decoder.color, RED);
	put_lit(f->out, "-- lost ");
	put_u64(f->out, count);
	if (count == 1)
		put_lit(f->out, " event --");
	else
		put_lit(f->out, " events --");
	put_color(f->out, f->decoder.color, PLAIN);
	jout_newline(f->out);
}

/* Start, processes and the summary are told on stderr, by the command line. */
static void text_meta(struct format *f, const struct collector_plan *plan)
{
	(void)f;
	(void)plan;
}

static void text_process(struct format *f, bool end, uint32_t pid, uint32_t binary_id, uint64_t bias)
{
	(void)f;
	(void)end;
	(void)pid;
	(void)binary_id;
	(void)bias;
}

static void text_summary(struct format *f, const struct collector_summary *summary)
{
	(void)f;
	(void)summary;
}

const struct format_ops format_text = {
	.values = &text_values,
	.middle = text_middle,
	.meta = text_meta,
	.process = text_process,
	.call = text_call,
	.ret = text_ret,
	.unwound = text_unwound,
	.rewritten = text_rewritten,
	.lost = text_lost,
	.summary = text_summary,
};
