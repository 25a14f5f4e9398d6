/* SPDX-License-Identifier: Apache-2.0 */
/* JSON lines: docs/design.md, "JSON lines". One object a line; its members and their order are a contract. */
#include "format.h"
#include "frames.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- remarks --------------------------------------------------------------------------------------------- */

/* Open a remark about the value in hand: up to its text. Remarks on one path come one after the other and make one list. */
static void remark_begin(struct decoder *d)
{
	struct jout *notes = &d->notes;

	jout_reset(&d->scratch);
	path_write(d->path, d->n_path, &d->scratch);
	if (notes->len && d->scratch.len == d->last_path.len &&
	    (!d->scratch.len || !memcmp(d->scratch.buf, d->last_path.buf, d->scratch.len))) {
		put_lit(notes, ",\"");
		return;
	}
	if (notes->len)
		put_lit(notes, "],");
	jout_putc(notes, '"');
	jout_string_part(notes, d->scratch.buf, d->scratch.len);
	put_lit(notes, "\":[\"");
	jout_reset(&d->last_path);
	jout_append(&d->last_path, d->scratch.buf, d->scratch.len);
}

static void remark_end(struct decoder *d)
{
	jout_putc(&d->notes, '"');
}

/* "word: why" */
static void remark(struct decoder *d, const char *word, const char *why)
{
	/* why may stand in d->scratch, which the path is put together in */
	char kept[256];

	snprintf(kept, sizeof(kept), "%s", why);
	remark_begin(d);
	jout_append(&d->notes, word, strlen(word));
	if (kept[0]) {
		put_lit(&d->notes, ": ");
		jout_string_part(&d->notes, kept, strlen(kept));
	}
	remark_end(d);
}

/* ---- values ---------------------------------------------------------------------------------------------- */

static void value_integer(struct decoder *d, uint64_t v, bool is_signed)
{
	if (is_signed)
		jout_i64(d->out, (int64_t)v);
	else
		jout_u64(d->out, v);
}

static void value_boolean(struct decoder *d, bool v)
{
	jout_bool(d->out, v);
}

static void value_real(struct decoder *d, double v, int width)
{
	jout_double(d->out, v, width);
}

static void value_complex(struct decoder *d, double re, double im, int width)
{
	jout_array_begin(d->out);
	jout_double(d->out, re, width);
	jout_double(d->out, im, width);
	jout_array_end(d->out);
}

static void value_bytes(struct decoder *d, const uint8_t *s, size_t n)
{
	static const char hex[] = "0123456789abcdef";

	remark_begin(d);
	put_lit(&d->notes, "bytes: ");
	for (size_t i = 0; i < n; i++) {
		jout_putc(&d->notes, hex[s[i] >> 4]);
		jout_putc(&d->notes, hex[s[i] & 15]);
	}
	remark_end(d);
}

static void value_string(struct decoder *d, const uint8_t *s, size_t n, uint64_t full)
{
	bool valid = jout_string_n(d->out, s, n);

	if (n < full) {
		d->short_of.strings++;
		remark_begin(d);
		put_lit(&d->notes, "truncated: ");
		put_u64(&d->notes, full);
		put_lit(&d->notes, " bytes");
		remark_end(d);
	}
	if (!valid)
		value_bytes(d, s, n);
}

static void value_nil(struct decoder *d)
{
	jout_null(d->out);
}

static void value_masked(struct decoder *d)
{
	jout_string(d->out, "***");
	remark(d, "masked", "");
}

static void value_absent(struct decoder *d, const char *word, const char *why)
{
	jout_null(d->out);
	count_absent(d, word, why);
	remark(d, word, why);
}

static void value_struct_begin(struct decoder *d)
{
	jout_object_begin(d->out);
}

static void value_field(struct decoder *d, const char *name)
{
	jout_key(d->out, name);
}

static void value_struct_end(struct decoder *d)
{
	jout_object_end(d->out);
}

static void put_partial(struct decoder *d, uint64_t shown, uint64_t total)
{
	d->short_of.lists++;
	remark_begin(d);
	put_lit(&d->notes, "partial: ");
	put_u64(&d->notes, shown);
	put_lit(&d->notes, " of ");
	put_u64(&d->notes, total);
	remark_end(d);
}

static void value_list_begin(struct decoder *d, uint64_t shown, uint64_t total)
{
	if (shown < total)
		put_partial(d, shown, total);
	jout_array_begin(d->out);
}

static void value_item(struct decoder *d)
{
	(void)d;
}

static void value_list_end(struct decoder *d, uint64_t shown, uint64_t total)
{
	(void)shown;
	(void)total;
	jout_array_end(d->out);
}

static void value_pointer_begin(struct decoder *d, uint64_t addr)
{
	jout_object_begin(d->out);
	jout_key_lit(d->out, "ptr");
	jout_hex(d->out, addr);
}

static void value_pointer_to(struct decoder *d, bool is_struct)
{
	(void)is_struct;
	jout_key_lit(d->out, "to");
}

static void value_pointer_end(struct decoder *d, const char *word, const char *why)
{
	jout_object_end(d->out);
	if (!word)
		return;
	count_absent(d, word, why);
	remark(d, word, why);
}

static void value_chan(struct decoder *d, uint64_t addr, uint64_t len, uint64_t cap)
{
	jout_object_begin(d->out);
	jout_key_lit(d->out, "ptr");
	jout_hex(d->out, addr);
	jout_key_lit(d->out, "len");
	jout_u64(d->out, len);
	jout_key_lit(d->out, "cap");
	jout_u64(d->out, cap);
	jout_object_end(d->out);
}

static void value_func(struct decoder *d, uint64_t addr, const char *name, enum captured captured)
{
	jout_object_begin(d->out);
	jout_key_lit(d->out, "ptr");
	jout_hex(d->out, addr);
	jout_key_lit(d->out, "func");
	if (*name)
		jout_string(d->out, name);
	else
		jout_null(d->out);
	jout_key_lit(d->out, "captured");
	if (captured == CAPTURED_UNKNOWN) {
		jout_null(d->out);
		remark(d, d->word, d->why);
	} else if (captured == CAPTURED_NOTHING) {
		jout_object_begin(d->out);
		jout_object_end(d->out);
	}
	if (captured != CAPTURED_FOLLOWS)
		jout_object_end(d->out);
	if (!*name)
		remark(d, "not decoded", "the name of the function");
}

static void value_func_end(struct decoder *d)
{
	jout_object_end(d->out);
}

static void value_map_begin(struct decoder *d, bool as_object, uint64_t shown, uint64_t total)
{
	if (shown < total)
		put_partial(d, shown, total);
	if (as_object)
		jout_object_begin(d->out);
	else
		jout_array_begin(d->out);
}

static void value_map_end(struct decoder *d, bool as_object, uint64_t shown, uint64_t total)
{
	(void)shown;
	(void)total;
	if (as_object)
		jout_object_end(d->out);
	else
		jout_array_end(d->out);
}

static void value_map_key(struct decoder *d, bool as_object)
{
	const struct path_part *part = &d->path[d->n_path - 1];
	char number[JOUT_INT_MAX];

	if (!as_object) {
		jout_array_begin(d->out);
		return;
	}
	switch (part->kind) {
	case PATH_STRING:
		jout_key_n(d->out, part->bytes, part->n);
		return;
	case PATH_BOOL:
		jout_key(d->out, part->index ? "true" : "false");
		return;
	case PATH_SIGNED:
		jout_key_n(d->out, number, jout_format_i64(number, (int64_t)part->index));
		return;
	default:
		jout_key_n(d->out, number, jout_format_u64(number, part->index));
	}
}

static void value_map_value(struct decoder *d, bool as_object)
{
	(void)d;
	(void)as_object;
}

static void value_map_pair_end(struct decoder *d, bool as_object)
{
	if (!as_object)
		jout_array_end(d->out);
}

static bool value_interface_begin(struct decoder *d, const char *type, const char *text, size_t n)
{
	(void)text;
	(void)n;
	jout_object_begin(d->out);
	jout_key_lit(d->out, "type");
	jout_string(d->out, type);
	jout_key_lit(d->out, "value");
	return false;
}

static void value_interface_end(struct decoder *d, const char *text, size_t n)
{
	if (text) {
		jout_key_lit(d->out, "text");
		jout_string_n(d->out, text, n);
	}
	jout_object_end(d->out);
}

static bool value_texted_begin(struct decoder *d, const char *text, size_t n)
{
	(void)text;
	(void)n;
	jout_object_begin(d->out);
	jout_key_lit(d->out, "value");
	return false;
}

static const struct value_ops json_values = {
	.integer = value_integer,
	.boolean = value_boolean,
	.real = value_real,
	.complex = value_complex,
	.string = value_string,
	.nil = value_nil,
	.masked = value_masked,
	.absent = value_absent,
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
	.texted_end = value_interface_end,
	.remark = remark,
	.bytes = value_bytes,
};

/* ---- calls and returns ------------------------------------------------------------------------------------- */

static void json_middle(const struct collector *c, uint32_t fid, struct jout *to)
{
	put_lit(to, ",\"fid\":");
	put_u64(to, fid);
	put_lit(to, ",\"func\":\"");
	jout_string_part(to, function_name(c, fid), strlen(function_name(c, fid)));
	put_lit(to, "\"");
}

/* The members that calls and returns share, from `ts` on. */
static void put_event(struct format *f, const struct event *e)
{
	put_u64(f->out, e->ts);
	put_lit(f->out, ",\"pid\":");
	put_u64(f->out, e->pid);
	put_lit(f->out, ",\"tid\":");
	put_u64(f->out, e->tid);
	if (e->goid_known) {
		put_lit(f->out, ",\"goid\":");
		put_u64(f->out, e->goid);
	} else {
		put_lit(f->out, ",\"goid\":null");
	}
	put_lit(f->out, ",\"call\":");
	put_u64(f->out, e->call);
	format_middle(f, e->fid);
}

static void put_values(struct format *f, const struct site_ref *ref, const struct record_view *view, bool wanted)
{
	decoder_begin(&f->decoder, view, ref->plan->plan, ref->site, ref->plan->names);
	jout_putc(f->out, '{');
	f->out->comma = false;
	for (uint32_t i = 0; wanted && i < ref->site->n_values; i++) {
		const struct plan_value *value = &ref->plan->plan->values[ref->site->first_value + i];

		jout_key(f->out, plan_string(ref->plan->plan, value->name));
		decode_site_value(&f->decoder, i);
	}
	jout_putc(f->out, '}');
}

static void put_frame(void *arg, const struct frame_view *frame, uint64_t addr)
{
	struct jout *out = arg;

	jout_object_begin(out);
	if (frame->func) {
		jout_key_lit(out, "func");
		jout_string(out, frame->func);
		jout_key_lit(out, "file");
		jout_string(out, frame->file);
		jout_key_lit(out, "line");
		jout_u64(out, frame->line);
	} else {
		jout_key_lit(out, "addr");
		jout_hex(out, addr);
	}
	if (frame->inlined) {
		jout_key_lit(out, "inlined");
		jout_bool(out, true);
	}
	jout_object_end(out);
}

static void put_stack(struct format *f, const struct site_ref *ref, const struct record_view *view)
{
	if (!f->c->frames || !view->stack)
		return;
	put_lit(f->out, ",\"stack\":[");
	f->out->comma = false;
	frames_each(f->c, ref, view, NULL, put_frame, f->out);
	put_lit(f->out, "]");
}

static void put_notes(struct format *f, const struct event *e)
{
	struct decoder *d = &f->decoder;

	d->n_path = 0;
	if (e->flags & REC_SYSTEM_STACK)
		remark(d, "on the system stack", "");
	if (!e->goid_known)
		remark(d, "goroutine unknown", e->goid_why);
	put_lit(f->out, ",\"notes\":{");
	if (d->notes.len) {
		jout_append(f->out, d->notes.buf, d->notes.len);
		put_lit(f->out, "]");
	}
	put_lit(f->out, "}}\n");
	f->out->comma = false;
}

static void json_call(struct format *f, const struct event *e, const struct site_ref *ref,
		      const struct record_view *view)
{
	put_lit(f->out, "{\"type\":\"call\",\"ts\":");
	put_event(f, e);
	put_lit(f->out, ",\"args\":");
	put_values(f, ref, view, !f->no_args);
	put_stack(f, ref, view);
	put_notes(f, e);
}

static void json_ret(struct format *f, const struct event *e, uint64_t duration, const struct site_ref *ref,
		     const struct record_view *view)
{
	put_lit(f->out, "{\"type\":\"return\",\"ts\":");
	put_event(f, e);
	put_lit(f->out, ",\"duration_ns\":");
	put_u64(f->out, duration);
	put_lit(f->out, ",\"results\":");
	put_values(f, ref, view, !f->no_results);
	put_stack(f, ref, view);
	put_notes(f, e);
}

static void json_unwound(struct format *f, const struct event *e, const char *how)
{
	put_lit(f->out, "{\"type\":\"return\",\"ts\":");
	put_event(f, e);
	put_lit(f->out, ",\"duration_ns\":null,\"unwound\":\"");
	jout_append(f->out, how, strlen(how));
	put_lit(f->out, "\"");
	decoder_begin(&f->decoder, NULL, NULL, NULL, NULL);
	put_notes(f, e);
}

/* ---- changes ------------------------------------------------------------------------------------------------ */

static void put_change(struct format *f, const struct site_ref *ref, const struct record_view *view,
		       const struct rewrite_change *change)
{
	enum write_outcome outcome = format_outcome(f->c->options.rewrite, view, change);
	int value = f->c->options.rewrite->skip ? -1 : format_find_value(ref, change->name);
	struct jout *j = f->out;

	jout_object_begin(j);
	jout_key_lit(j, "name");
	jout_string(j, change->name);
	if (value >= 0) {
		jout_key_lit(j, "old");
		decode_site_value(&f->decoder, (uint32_t)value);
	}
	jout_key_lit(j, "new");
	jout_raw(j, change->value, strlen(change->value));
	jout_key_lit(j, "written");
	jout_bool(j, outcome == WRITE_DONE);
	if (outcome != WRITE_DONE) {
		jout_key_lit(j, "why");
		jout_string(j, rewrite_outcome_name(outcome));
	}
	jout_object_end(j);
}

static void json_rewritten(struct format *f, const struct event *e, const struct site_ref *ref,
			   const struct record_view *view)
{
	const struct rewrite *r = f->c->options.rewrite;
	const struct rewrite_site *site = &r->site[ref->site->kind];

	put_lit(f->out, "{\"type\":\"rewrite\",\"ts\":");
	put_event(f, e);
	put_lit(f->out, ",\"at\":");
	f->out->comma = false;
	jout_string(f->out, ref->site->kind == SITE_RETURN ? "return" : r->skip ? "skip" : "entry");
	if (r->skip) {
		put_lit(f->out, ",\"args\":");
		put_values(f, ref, view, true);
	} else {
		decoder_begin(&f->decoder, view, ref->plan->plan, ref->site, ref->plan->names);
	}
	f->out->comma = true;
	jout_key_lit(f->out, "changes");
	jout_array_begin(f->out);
	for (size_t i = 0; i < site->n_changes; i++)
		put_change(f, ref, view, &site->changes[i]);
	jout_array_end(f->out);
	put_notes(f, e);
}

/* ---- the other lines --------------------------------------------------------------------------------------- */

static void put_member(struct jout *j, const char *key, const char *value)
{
	jout_key(j, key);
	jout_string(j, value);
}

static void put_variables(struct jout *j, const struct plan *plan, const char *key, uint32_t first, uint32_t n)
{
	jout_key(j, key);
	jout_array_begin(j);
	for (uint32_t i = 0; i < n; i++) {
		const struct plan_var *var = &plan->vars[first + i];

		jout_object_begin(j);
		put_member(j, "name", plan_string(plan, var->name));
		put_member(j, "type",
			   var->type < plan->types.n ? plan_string(plan, plan->types.v[var->type].name) : "");
		jout_object_end(j);
	}
	jout_array_end(j);
}

static void put_function(struct jout *j, const struct plan *plan, const struct plan_func *func, uint32_t fid)
{
	jout_object_begin(j);
	jout_key_lit(j, "fid");
	jout_u64(j, fid);
	put_member(j, "name", plan_string(plan, func->name));
	put_member(j, "file", plan_string(plan, func->file));
	jout_key_lit(j, "line");
	jout_u64(j, func->line);
	put_variables(j, plan, "params", func->first_param, func->n_params);
	put_variables(j, plan, "results", func->first_result, func->n_results);
	jout_key_lit(j, "returns");
	jout_bool(j, plan_ends_are_told(plan, func));
	jout_key_lit(j, "warnings");
	jout_array_begin(j);
	for (uint32_t i = 0; i < func->n_warnings; i++)
		jout_string(j, plan_string(plan, plan->warnings[func->first_warning + i]));
	jout_array_end(j);
	jout_object_end(j);
}

/* Then calls are written when they have returned: those that they made stand before them. */
static bool any_decides_late(const struct plan *plan)
{
	for (size_t i = 0; i < plan->n_filters; i++)
		if (plan->filters[i].late)
			return true;
	return false;
}

static void json_meta(struct format *f, const struct collector_plan *cp)
{
	const struct plan *plan = cp->plan;
	struct jout *j = f->out;
	uint64_t now = f->c->wall_ns ? f->c->started_ns : monotonic_ns();
	int64_t wall = (int64_t)now + f->wall_offset;
	time_t seconds = (time_t)(wall / 1000000000);
	char text[40], whole[64];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(whole, sizeof(whole), "%s.%09uZ", text, (unsigned int)(wall % 1000000000));
	jout_object_begin(j);
	put_member(j, "type", "meta");
	jout_key_lit(j, "v");
	jout_u64(j, 1);
	put_member(j, "tracer", f->c->options.tracer_version ? f->c->options.tracer_version : "");
	jout_key_lit(j, "binary_id");
	jout_u64(j, cp->binary_id);
	put_member(j, "binary", plan_string(plan, plan->binary.path));
	put_member(j, "build_id", plan_string(plan, plan->binary.build_id));
	put_member(j, "go", plan_string(plan, plan->binary.go_version));
	if (f->c->options.where) {
		put_member(j, "where", f->c->options.where);
		put_member(j, "where_decides", any_decides_late(plan) ? "return" : "entry");
	}
	jout_key_lit(j, "clock");
	jout_object_begin(j);
	jout_key_lit(j, "monotonic_ns");
	jout_u64(j, now);
	put_member(j, "wall", whole);
	jout_object_end(j);
	jout_key_lit(j, "functions");
	jout_array_begin(j);
	for (size_t i = 0; i < plan->n_funcs; i++)
		if (plan->funcs[i].n_sites)
			put_function(j, plan, &plan->funcs[i], cp->first_fid + (uint32_t)i);
	jout_array_end(j);
	jout_object_end(j);
	jout_newline(j);
}

static void json_process(struct format *f, bool end, uint32_t pid, uint32_t binary_id, uint64_t bias)
{
	struct jout *j = f->out;

	jout_object_begin(j);
	put_member(j, "type", "process");
	put_member(j, "event", end ? "end" : "start");
	jout_key_lit(j, "pid");
	jout_u64(j, pid);
	jout_key_lit(j, "binary_id");
	jout_u64(j, binary_id);
	jout_key_lit(j, "bias");
	jout_hex(j, bias);
	jout_object_end(j);
	jout_newline(j);
}

static void json_lost(struct format *f, uint64_t ts, uint64_t count)
{
	struct jout *j = f->out;

	jout_object_begin(j);
	put_member(j, "type", "lost");
	jout_key_lit(j, "ts");
	jout_u64(j, ts);
	jout_key_lit(j, "count");
	jout_u64(j, count);
	jout_object_end(j);
	jout_newline(j);
}

static void put_counts(struct jout *j, const struct collector_function_summary *s, bool rewriting)
{
	const struct {
		const char *name;
		uint64_t value;
	} counts[] = {
		{ "entry_hits", s->entry_hits },
		{ "duplicates", s->duplicates },
		{ "calls_written", s->calls_written },
		{ "filtered", s->filtered },
		{ "sampled", s->sampled },
		{ "limited", s->limited },
		{ "calls_lost", s->calls_lost },
		{ "return_hits", s->return_hits },
		{ "returns_written", s->returns_written },
		{ "unpaired", s->unpaired },
		{ "filtered_returns", s->filtered_returns },
		{ "sampled_returns", s->sampled_returns },
		{ "limited_returns", s->limited_returns },
		{ "returns_lost", s->returns_lost },
		{ "unwound", s->unwound },
		{ "read_failures", s->read_failures },
		{ "undecidable", s->undecidable },
		{ "unfinished", s->unfinished },
		/* only where something is rewritten */
		{ "changed", s->changed },
		{ "unchanged", s->unchanged },
	};
	size_t n = sizeof(counts) / sizeof(counts[0]) - (rewriting ? 0 : 2);

	for (size_t i = 0; i < n; i++) {
		jout_key(j, counts[i].name);
		jout_u64(j, counts[i].value);
	}
}

static void json_summary(struct format *f, const struct collector_summary *s)
{
	struct jout *j = f->out;

	jout_object_begin(j);
	put_member(j, "type", "summary");
	jout_key_lit(j, "lost");
	jout_u64(j, s->lost);
	jout_key_lit(j, "duration_s");
	jout_double(j, s->duration_s, 64);
	jout_key_lit(j, "functions");
	jout_array_begin(j);
	for (uint32_t i = 0; i < s->n_functions; i++) {
		jout_object_begin(j);
		jout_key_lit(j, "fid");
		jout_u64(j, s->functions[i].fid);
		put_member(j, "name", s->functions[i].name);
		put_counts(j, &s->functions[i], f->c->options.rewrite != NULL);
		jout_object_end(j);
	}
	jout_array_end(j);
	jout_key_lit(j, "totals");
	jout_object_begin(j);
	put_counts(j, &s->total, f->c->options.rewrite != NULL);
	jout_object_end(j);
	jout_key_lit(j, "misses");
	jout_u64(j, s->misses);
	jout_key_lit(j, "reconciled");
	jout_bool(j, s->reconciled);
	put_member(j, "buffer", f->c->buffer == BUFFER_PERF ? "perf" : "ring");
	put_member(j, "attach", f->c->attach == ATTACH_PERF ? "perf" : "multi");
	jout_key_lit(j, "telemetry");
	jout_array_begin(j);
	for (uint32_t i = 0; i < s->n_telemetry; i++) {
		jout_object_begin(j);
		put_member(j, "file", s->telemetry[i].file);
		jout_key_lit(j, "line");
		jout_u64(j, s->telemetry[i].line);
		jout_key_lit(j, "error");
		jout_i64(j, s->telemetry[i].error);
		jout_key_lit(j, "count");
		jout_u64(j, s->telemetry[i].count);
		jout_object_end(j);
	}
	jout_array_end(j);
	jout_object_end(j);
	jout_newline(j);
}

const struct format_ops format_json = {
	.values = &json_values,
	.middle = json_middle,
	.meta = json_meta,
	.process = json_process,
	.call = json_call,
	.ret = json_ret,
	.unwound = json_unwound,
	.rewritten = json_rewritten,
	.lost = json_lost,
	.summary = json_summary,
};
