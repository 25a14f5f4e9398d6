/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The programs behind `count`, `hist` and `stack`: what they see is summed here in the kernel, and user space reads the sums.
 *
 *   -DWITH_COUNT   count_hit: calls
 *   -DWITH_HIST    hist_hit: durations from call to return, at entry and return sites
 *   -DWITH_STACK   stack_hit: calls by who made them
 *   -DWITH_SPLIT … with hist_hit, see split.h
 *   -DWHERE …      see where.h
 *   -DLOG_LEVEL    see telemetry.h
 */
#define __BPF_TRACER__
#include <uapi/linux/ptrace.h>
#include <linux/types.h>

#include "record.h"
#include "telemetry.h"
#include "probe.h"
#if defined(WITH_HIST) || defined(WHERE)
#include "goroutine.h"
#endif
#ifdef WHERE
#include "where.h"
#endif
#ifdef WITH_SPLIT
#include "split.h"
#endif

/* The site of this hit and its counters, counted as a hit; NULL where there is nothing to do. */
static __always_inline struct site *begin_hit(struct pt_regs *ctx, struct control *ctl, struct fn_counters **n_ret,
					      u32 *index_ret)
{
	u32 index = bpf_get_attach_cookie(ctx);
	struct site *site = sites.lookup(&index);

	if (!site)
		return 0;
	u32 fid = site->fid;
	struct fn_counters *n = counters.lookup(&fid);
	if (!n)
		return 0;
	if (site->kind == SITE_ENTRY)
		add(n->entry_hits);
	else
		add(n->return_hits);
	if (passed_over(ctx, site, ctl, n, ctl->filter_pids ? bpf_get_current_pid_tgid() >> 32 : 0))
		return 0;
#if !defined(WITH_COUNT) || defined(WHERE)
	if (moved_on(ctx, site)) {
		count_lost(site, n);
		return 0;
	}
#endif
#ifndef WHERE
	if (site->kind == SITE_ENTRY && left_out(ctl, n) != WAITING_WANTED)
		return 0;
#endif
	*n_ret = n;
	*index_ret = index;
	return site;
}

#ifdef WHERE
/* Is the call of this hit wanted, as far as it can be told now? Else it is counted; at a return *began_ret is the time of its call,
 * *group_ret its group. key: where returns are probed, which call it is. */
static __always_inline int where_hit(struct pt_regs *ctx, const struct site *site, struct control *ctl,
				     struct fn_counters *n, u64 now, struct open_key *key, u64 *began_ret,
				     u32 *group_ret)
{
	u64 id = bpf_get_current_pid_tgid(), left = WAITING_WANTED;
	int late = site->flags & SITE_DECIDES_LATE;
	struct goroutine g = {};
	struct where_room room;
	struct where w;

#ifdef WHERE_GOID
	read_goroutine(ctx, site, ctl, id, &g);
#endif
	where_init(&w, &room, ctx, site, ctl, &g, id);
	if (site->kind == SITE_ENTRY) {
		if (!where_begins(&w, ctx, site, n)) {
#ifdef WHERE_TABLE
			where_refused(&w, ctx, site, ctl, &g, id, n);
#endif
			return 0;
		}
		if (!late)
			left = left_out(ctl, n);
#ifdef WHERE_BY
		if (!(site->flags & SITE_GROUPS_LATE))
			w.group = where_group(&w, ctx, site, ctl);
#endif
	}
#ifdef WHERE_TABLE
	struct waiting_call call;

	if (site->flags & SITE_WAITS || site->kind == SITE_RETURN) {
#ifndef WHERE_GOID
		read_goroutine(ctx, site, ctl, id, &g);
#endif
		where_key(key, &w, site, &g, id);
		if (site->kind == SITE_RETURN) {
			if (where_ends(&w, key, ctx, site, ctl, n, now, began_ret) != END_WANTED)
				return 0;
#ifdef WHERE_BY
			if (site->flags & SITE_GROUPS_LATE)
				w.group = where_group(&w, ctx, site, ctl);
#endif
			*group_ret = w.group;
			return 1;
		}
		where_call(&call, &w, now);
		if (where_wait(key, &call, late ? WAITING_UNDECIDED : left, n)) {
			if (left == WAITING_WANTED)
				add(n->calls_lost);
			return 0;
		}
#ifdef WITH_SPLIT
		split_begin(site, key, now);
#endif
	}
#endif
	return !late && left == WAITING_WANTED;
}
#endif

#ifdef WITH_COUNT
int count_hit(struct pt_regs *ctx)
{
	u32 zero = 0, index;
	struct control *ctl = control.lookup(&zero);
	struct fn_counters *n;

	if (!ctl) {
		guard_stack(ctx); /* never comes to pass */
		return 0;
	}
	if (!ctl->enabled)
		return 0;
	struct site *site = begin_hit(ctx, ctl, &n, &index);
	if (!site)
		return 0;
#ifdef WHERE
	struct open_key key = {};
	u64 began = 0;
	u32 group = 0;

	if (!where_hit(ctx, site, ctl, n, bpf_ktime_get_ns(), &key, &began, &group))
		return 0;
	if (site->kind == SITE_RETURN)
		add(n->counted_returns);
#endif
	add(n->counted);
	return 0;
}
#endif

#ifdef WITH_HIST
#ifndef WHERE
BPF_TABLE("lru_hash", struct open_key, u64, open_calls, 1);
#endif
BPF_TABLE("percpu_hash", struct duration_key, struct duration_sum, durations, 1);

/* Eight classes an octave (record.h). */
static __always_inline u32 duration_class(u64 ns)
{
	u64 top = ns >> 32 ? 32 : 0;

	top += ns >> top >> 16 ? 16 : 0;
	top += ns >> top >> 8 ? 8 : 0;
	top += ns >> top >> 4 ? 4 : 0;
	top += ns >> top >> 2 ? 2 : 0;
	top += ns >> top >> 1 ? 1 : 0;
	if (top < DURATION_SUB_BITS)
		return ns;
	return ((top - DURATION_SUB_BITS + 1) << DURATION_SUB_BITS) +
	       (ns >> (top - DURATION_SUB_BITS) & ((1 << DURATION_SUB_BITS) - 1));
}

static __always_inline void add_duration(struct fn_counters *n, const struct open_key *call, u32 group, u64 began,
					 u64 now)
{
	u64 ns = now - began;
	struct duration_key key = { .fid = call->fid, .class = duration_class(ns), .group = group };
	struct duration_sum *sum = durations.lookup(&key);
	int error;

	if (!sum) {
		struct duration_sum none = {};

		error = durations.insert(&key, &none); /* for all CPUs; fails where another was first */
		sum = durations.lookup(&key);
		if (!sum) {
			telemetry_count(BPF_FILE_AGGREGATE, __LINE__, error);
			add(n->returns_lost);
			return;
		}
	}
	add(sum->count);
	__sync_fetch_and_add(&sum->total, ns);
	if (sum->max < ns)
		sum->max = ns;
#ifdef WITH_SPLIT
	split_end(call, now, ns, sum);
#endif
	add(n->counted_returns);
}

int hist_hit(struct pt_regs *ctx)
{
	u64 now = bpf_ktime_get_ns();
	u32 zero = 0, index;
	struct control *ctl = control.lookup(&zero);
	struct open_key key = {};
	struct fn_counters *n;
#ifndef WHERE
	u64 hi = 0;
	int error;
#endif

	if (!ctl) {
		guard_stack(ctx); /* never comes to pass */
		return 0;
	}
	if (!ctl->enabled)
		return 0;
	struct site *site = begin_hit(ctx, ctl, &n, &index);
	if (!site)
		return 0;
#ifdef WHERE
	u64 began = 0;
	u32 group = 0;

	if (where_hit(ctx, site, ctl, n, now, &key, &began, &group)) {
		if (site->kind == SITE_RETURN)
			add_duration(n, &key, group, began, now);
		if (site->kind == SITE_ENTRY || site->flags & SITE_DECIDES_LATE)
			add(n->counted);
	}
#else
	key.g = find_g(ctx, site, ctl);
	error = key.g ? bpf_probe_read_user(&hi, sizeof(hi), (void *)(key.g + G_STACK_HI)) : -1;
	if (error) {
		telemetry_count(BPF_FILE_AGGREGATE, __LINE__, error);
		count_lost(site, n);
		return 0;
	}
	key.depth = hi - ctx->sp - site->frame;
	key.pid = bpf_get_current_pid_tgid() >> 32;
	key.fid = site->fid;
	if (site->kind == SITE_ENTRY) {
		error = open_calls.update(&key, &now);
		if (error) {
			telemetry_count(BPF_FILE_AGGREGATE, __LINE__, error);
			add(n->calls_lost);
		} else {
			add(n->counted);
#ifdef WITH_SPLIT
			split_begin(site, &key, now);
#endif
		}
		return 0;
	}
	u64 *begin = open_calls.lookup(&key);
	if (!begin) {
		add(n->unpaired);
	} else {
		add_duration(n, &key, 0, *begin, now);
		open_calls.delete(&key);
	}
#endif
#ifdef PERFORM_RET
	perform_ret(ctx, site);
#endif
	return 0;
}
#endif

#ifdef WITH_STACK
#include "stack.h"

/* Not BPF_STACK_TRACE: that one wants a kernel header. */
BPF_TABLE("stacktrace", int, struct bpf_stacktrace, stacks, 1);
BPF_HASH(callers, struct caller_key, u64, 1);

/* With a condition on what a call returns, its stack is taken there: the same but for the function's own line. */
static __always_inline void count_stack(const struct site *site, struct fn_counters *n)
{
	add(n->counted);
	if (site->kind == SITE_RETURN)
		add(n->counted_returns);
}

static __always_inline void lose_stack(const struct site *site, struct fn_counters *n)
{
	add(n->calls_lost);
	if (site->kind == SITE_RETURN)
		add(n->returns_lost);
}

int stack_hit(struct pt_regs *ctx)
{
	u32 zero = 0, index;
	struct control *ctl = control.lookup(&zero);
	struct caller_key key = {};
	struct fn_counters *n;
	u64 one = 1, *count;

	if (!ctl) {
		guard_stack(ctx); /* never comes to pass */
		return 0;
	}
	if (!ctl->enabled)
		return 0;
	struct site *site = begin_hit(ctx, ctl, &n, &index);
	if (!site)
		return 0;
#ifdef WHERE
	struct open_key call = {};
	u64 began = 0;
	u32 group = 0;

	if (!where_hit(ctx, site, ctl, n, bpf_ktime_get_ns(), &call, &began, &group))
		return 0;
#endif
	key.bias = ctx->ip;
	key.site = index;
	key.pid = bpf_get_current_pid_tgid() >> 32;
	read_callers(ctx, site, &key.head);
	key.stack = stacks.get_stackid(ctx, BPF_F_USER_STACK);
	count = callers.lookup(&key);
	if (!count) {
		/* insert fails where another CPU was first */
		int error = callers.insert(&key, &one);
		if (!error) {
			count_stack(site, n);
			return 0;
		}
		count = callers.lookup(&key);
		if (!count) {
			telemetry_count(BPF_FILE_AGGREGATE, __LINE__, error);
			lose_stack(site, n);
			return 0;
		}
	}
	add(*count);
	count_stack(site, n);
	return 0;
}
#endif
