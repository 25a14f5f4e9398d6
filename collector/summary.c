/* SPDX-License-Identifier: Apache-2.0 */
/* The accounting: what the kernel counted, what was written, and whether the two add up (docs/design.md, "Accounting"). */
#include <stdlib.h>
#include <string.h>

#include "drain.h"
#include "writer.h"

static bool is_traced(const struct collector *c, uint32_t fid)
{
	return c->functions[fid]->n_sites;
}

void count_sent(struct collector *c, uint64_t *sent_ret, uint64_t *lost_ret)
{
	uint64_t sent = 0, lost = 0, perf_lost = atomic_load(&c->perf_lost);

	for (uint32_t fid = 0; fid < c->n_fids; fid++) {
		struct fn_counters n;

		if (!is_traced(c, fid))
			continue;
		maps_read_counters(c, fid, &n);
		lost += n.calls_lost + n.returns_lost;
		if (c->options.mode != MODE_TRACE)
			continue;
		sent += n.entry_hits - n.duplicates - n.filtered - n.sampled - n.limited - n.calls_lost;
		sent += n.return_hits - n.filtered_returns - n.sampled_returns - n.limited_returns - n.returns_lost;
		sent += n.untold - n.unpaired;
	}
	if (c->options.mode == MODE_TRACE) {
		struct fn_counters unwinds;

		maps_read_counters(c, c->n_fids, &unwinds);
		sent += unwinds.entry_hits - unwinds.calls_lost;
	}
	*sent_ret = sent;
	/* The program counts a perf_submit that fails; where the kernel does not tell it (before 4.20), the records of loss do. */
	*lost_ret = perf_lost > lost ? perf_lost : lost;
}

static void add_counts(struct collector_function_summary *to, const struct collector_function_summary *s)
{
	to->entry_hits += s->entry_hits;
	to->duplicates += s->duplicates;
	to->calls_written += s->calls_written;
	to->filtered += s->filtered;
	to->sampled += s->sampled;
	to->limited += s->limited;
	to->calls_lost += s->calls_lost;
	to->return_hits += s->return_hits;
	to->returns_written += s->returns_written;
	to->unpaired += s->unpaired;
	to->filtered_returns += s->filtered_returns;
	to->sampled_returns += s->sampled_returns;
	to->limited_returns += s->limited_returns;
	to->returns_lost += s->returns_lost;
	to->unwound += s->unwound;
	to->read_failures += s->read_failures;
	to->undecidable += s->undecidable;
	to->unfinished += s->unfinished;
	to->counted += s->counted;
	to->counted_returns += s->counted_returns;
	to->changed += s->changed;
	to->unchanged += s->unchanged;
}

static bool adds_up(const struct collector_function_summary *s)
{
	return s->entry_hits == s->duplicates + s->calls_written + s->counted + s->filtered + s->sampled + s->limited +
					s->calls_lost &&
	       s->return_hits == s->returns_written + s->counted_returns + s->unpaired + s->filtered_returns +
					 s->sampled_returns + s->limited_returns + s->returns_lost;
}

static void sum_function(struct collector *c, uint32_t fid, struct collector_function_summary *s)
{
	const struct fn_written *w = writer_counts(c->writer, fid);
	struct fn_counters n;

	maps_read_counters(c, fid, &n);
	*s = (struct collector_function_summary){
		.name = function_name(c, fid),
		.fid = fid,
		.entry_hits = n.entry_hits,
		.duplicates = n.duplicates + w->duplicates,
		.calls_written = w->calls_written,
		.filtered = n.filtered,
		.sampled = n.sampled,
		.limited = n.limited + w->limited,
		.calls_lost = n.calls_lost + w->calls_lost,
		.return_hits = n.return_hits,
		.returns_written = w->returns_written,
		.unpaired = n.unpaired + w->unpaired,
		.filtered_returns = n.filtered_returns,
		.sampled_returns = n.sampled_returns + w->sampled_returns,
		.limited_returns = n.limited_returns + w->limited_returns,
		.returns_lost = n.returns_lost + w->returns_lost,
		.unwound = w->unwound,
		.read_failures = n.read_failures,
		.undecidable = n.undecidable,
		.unfinished = n.unfinished,
		.counted = n.counted,
		.counted_returns = n.counted_returns,
		.changed = n.changed,
		.unchanged = n.unchanged,
	};
}

struct err *summary_make(struct collector *c, uint64_t now)
{
	struct collector_function_summary *functions = calloc((size_t)c->n_fids + 1, sizeof(*functions));
	struct collector_summary *s = &c->summary;
	struct telemetry_count *telemetry = NULL;
	struct err *err;
	uint64_t lost, perf_lost = atomic_load(&c->perf_lost);
	uint32_t n = 0;

	if (!functions)
		return &err_nomem;
	err = waiting_settle(c);
	if (err) {
		free(functions);
		return err;
	}
	memset(s, 0, sizeof(*s));
	s->functions = functions;
	s->duration_s = (double)(now - c->started_ns) / 1e9;
	s->reconciled = true;
	for (uint32_t fid = 0; fid < c->n_fids; fid++) {
		if (!is_traced(c, fid))
			continue;
		sum_function(c, fid, &functions[n]);
		add_counts(&s->total, &functions[n]);
		s->reconciled = s->reconciled && adds_up(&functions[n]);
		n++;
	}
	s->n_functions = n;
	const struct shortfalls *shown = writer_shortfalls(c->writer);
	s->cut_strings = shown->strings;
	s->cut_lists = shown->lists;
	s->cut_pointers = shown->pointers;
	s->in_float = shown->in_float;
	s->record_full = shown->record_full;
	s->unreadable = shown->unreadable;
	s->misses = maps_read_misses(c);
	lost = s->total.calls_lost + s->total.returns_lost;
	s->lost = (perf_lost > lost ? perf_lost : lost) + s->misses;
	err = maps_read_telemetry(c, &telemetry, &s->n_telemetry);
	if (err) {
		err_destroy(err); /* what it would have told is for curiosity; the accounting stands without it */
		s->n_telemetry = 0;
	}
	s->telemetry = telemetry;
	c->have_summary = true;
	return NULL;
}

void summary_deinit(struct collector *c)
{
	free((void *)c->summary.functions);
	free((void *)c->summary.telemetry);
	memset(&c->summary, 0, sizeof(c->summary));
	c->have_summary = false;
}
