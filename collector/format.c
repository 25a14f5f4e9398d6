/* SPDX-License-Identifier: Apache-2.0 */
#include "format.h"

#include <stdlib.h>

struct err *format_init(struct format *f, const struct format_ops *ops, struct collector *c, struct jout *out)
{
	struct decode_limits limits = { c->options.string_size, c->options.depth, c->options.elements };
	struct timespec wall, mono;
	struct jout middles;

	*f = (struct format){ .c = c, .out = out, .values = ops->values, .second = INT64_MIN };
	f->no_args = c->options.no_args;
	f->no_results = c->options.no_results;
	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &wall);
	if (c->wall_ns)
		f->wall_offset = (int64_t)(c->wall_ns - c->started_ns);
	else
		f->wall_offset = (wall.tv_sec - mono.tv_sec) * INT64_C(1000000000) + wall.tv_nsec - mono.tv_nsec;
	decoder_init(&f->decoder, ops->values, out, &limits);
	f->decoder.color = c->options.color;
	f->decoder.mask = c->mask;
	f->decoder.fault_why = c->fault_why;
	f->decoder.fault_arg = c->fault_arg;
	f->middle_at = calloc((size_t)c->n_fids + 1, sizeof(*f->middle_at));
	if (!f->middle_at)
		return &err_nomem;
	jout_init(&middles, -1);
	if (!jout_reserve(&middles, 1)) /* not NULL, also where no function has a name */
		return &err_nomem;
	for (uint32_t fid = 0; fid < c->n_fids; fid++) {
		f->middle_at[fid] = (uint32_t)middles.len;
		if (ops->middle)
			ops->middle(c, fid, &middles);
	}
	f->middle_at[c->n_fids] = (uint32_t)middles.len;
	f->middles = middles.buf;
	return jout_error(&middles);
}

void format_deinit(struct format *f)
{
	decoder_deinit(&f->decoder);
	free(f->middles);
	free(f->middle_at);
	f->middles = NULL;
	f->middle_at = NULL;
}

static void none_meta(struct format *f, const struct collector_plan *plan)
{
	(void)f;
	(void)plan;
}

static void none_process(struct format *f, bool end, uint32_t pid, uint32_t binary_id, uint64_t bias)
{
	(void)f;
	(void)end;
	(void)pid;
	(void)binary_id;
	(void)bias;
}

static void none_call(struct format *f, const struct event *e, const struct site_ref *ref,
		      const struct record_view *view)
{
	(void)f;
	(void)e;
	(void)ref;
	(void)view;
}

static void none_ret(struct format *f, const struct event *e, uint64_t duration, const struct site_ref *ref,
		     const struct record_view *view)
{
	(void)f;
	(void)e;
	(void)duration;
	(void)ref;
	(void)view;
}

static void none_rewritten(struct format *f, const struct event *e, const struct site_ref *ref,
			   const struct record_view *view)
{
	(void)f;
	(void)e;
	(void)ref;
	(void)view;
}

static void none_unwound(struct format *f, const struct event *e, const char *how)
{
	(void)f;
	(void)e;
	(void)how;
}

static void none_lost(struct format *f, uint64_t ts, uint64_t count)
{
	(void)f;
	(void)ts;
	(void)count;
}

static void none_summary(struct format *f, const struct collector_summary *summary)
{
	(void)f;
	(void)summary;
}

const struct format_ops format_none = {
	.meta = none_meta,
	.process = none_process,
	.call = none_call,
	.ret = none_ret,
	.unwound = none_unwound,
	.rewritten = none_rewritten,
	.lost = none_lost,
	.summary = none_summary,
};

/* ---- changes ------------------------------------------------------------------------------------------------ */

int format_find_value(const struct site_ref *ref, const char *name)
{
	const struct plan *plan = ref->plan->plan;

	for (uint32_t i = 0; i < ref->site->n_values; i++)
		if (!strcmp(plan_string(plan, plan->values[ref->site->first_value + i].name), name))
			return (int)i;
	return -1;
}

bool format_is_skipped(const struct rewrite *rewrite, const struct record_view *view)
{
	for (uint32_t i = 0; i < rewrite->site[SITE_ENTRY].n_writes; i++)
		if ((view->head->cursor >> (4 * i) & 15) != WRITE_DONE)
			return false;
	return rewrite->skip;
}

enum write_outcome format_outcome(const struct rewrite *rewrite, const struct record_view *view,
				  const struct rewrite_change *change)
{
	for (uint32_t i = change->first_write; i < change->first_write + change->n_writes; i++) {
		enum write_outcome outcome = view->head->cursor >> (4 * i) & 15;
		if (outcome != WRITE_DONE)
			return outcome;
	}
	return rewrite->skip && !format_is_skipped(rewrite, view) ? WRITE_NOT_TRIED : WRITE_DONE;
}
