/* SPDX-License-Identifier: Apache-2.0 */
/* What an output format does with the events of a trace. Formats append whole lines to `out` and cannot fail. */
#ifndef COLLECTOR_FORMAT_H
#define COLLECTOR_FORMAT_H

#include "decode.h"
#include "internal.h"

/* Who made a call, and which. */
struct event {
	uint64_t ts;
	uint32_t pid, tid, fid;
	bool goid_known;
	uint64_t goid;
	uint64_t call;
	uint16_t flags;       /* enum record_flags */
	const char *goid_why; /* where it is not known */
};

struct format {
	const struct value_ops *values; /* NULL: values are not decoded */
	struct jout *out;
	struct decoder decoder;
	struct collector *c;
	int64_t wall_offset; /* wall clock − CLOCK_MONOTONIC, ns, at the start */
	bool no_args, no_results;

	/* JSON and text: the unchanging middle of a function's lines, made once: `,"fid":0,"func":"main.f"` */
	char *middles;
	uint32_t *middle_at; /* n_fids + 1 offsets */

	/* text: the time of day of one second, as text */
	int64_t second;
	char second_text[16];
};

struct format_ops {
	const struct value_ops *values;
	void (*middle)(const struct collector *c, uint32_t fid, struct jout *to);
	void (*meta)(struct format *f, const struct collector_plan *plan);
	void (*process)(struct format *f, bool end, uint32_t pid, uint32_t binary_id, uint64_t bias);
	void (*call)(struct format *f, const struct event *e, const struct site_ref *ref,
		     const struct record_view *view);
	/* a return that was seen: view is its record */
	void (*ret)(struct format *f, const struct event *e, uint64_t duration, const struct site_ref *ref,
		    const struct record_view *view);
	/* what was changed at a call or return */
	void (*rewritten)(struct format *f, const struct event *e, const struct site_ref *ref,
			  const struct record_view *view);
	/* a call left otherwise */
	void (*unwound)(struct format *f, const struct event *e, const char *how);
	void (*lost)(struct format *f, uint64_t ts, uint64_t count);
	void (*summary)(struct format *f, const struct collector_summary *summary);
};

extern const struct format_ops format_json, format_text, format_none;

struct err *format_init(struct format *f, const struct format_ops *ops, struct collector *c, struct jout *out);
void format_deinit(struct format *f);

static inline void format_middle(struct format *f, uint32_t fid)
{
	jout_append(f->out, f->middles + f->middle_at[fid], f->middle_at[fid + 1] - f->middle_at[fid]);
}

static inline const char *function_name(const struct collector *c, uint32_t fid)
{
	return plan_string(c->plans[c->function_plan[fid]].plan, c->functions[fid]->name);
}

/* The value of that name among those that a site reads: its index, or −1. */
int format_find_value(const struct site_ref *ref, const char *name);

/* How one change of a record went: the first of its writes that failed, else WRITE_DONE; WRITE_NOT_TRIED where the call was to be skipped
 * and was not, since the body ran then and made the results. */
enum write_outcome format_outcome(const struct rewrite *rewrite, const struct record_view *view,
				  const struct rewrite_change *change);

/* A call is skipped with all of its results, or not: then none of them is what the caller sees. */
bool format_is_skipped(const struct rewrite *rewrite, const struct record_view *view);

/* Text that is known when compiling. */
#define put_lit(out, text) jout_append(out, "" text, sizeof(text) - 1) /* the "" lets nothing but a literal compile */

static inline void put_u64(struct jout *out, uint64_t v)
{
	if (jout_reserve(out, JOUT_INT_MAX))
		out->len += jout_format_u64(out->buf + out->len, v);
}

#endif
