/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The programs behind `count`, `hist` and `stack`: what they see is summed here in the kernel, and user space reads the sums.
 *
 *   -DWITH_COUNT   count_hit: calls
 *   -DWITH_HIST    hist_hit: durations from call to return, at entry and return sites
 *   -DWITH_STACK   stack_hit: calls by who made them
 *   -DLOG_LEVEL    see telemetry.h
 */
#define __BPF_TRACER__
#include <uapi/linux/ptrace.h>
#include <linux/types.h>

#include "record.h"
#include "telemetry.h"
#include "probe.h"

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
	*n_ret = n;
	*index_ret = index;
	return site;
}

#ifdef WITH_COUNT
int count_hit(struct pt_regs *ctx)
{
	u32 zero = 0, index;
	struct control *ctl = control.lookup(&zero);
	struct fn_counters *n;

	if (!ctl) {
		guard_stack(ctx, 0); /* never comes to pass */
		return 0;
	}
	if (ctl->enabled && begin_hit(ctx, ctl, &n, &index))
		add(n->counted);
	return 0;
}
#endif

#ifdef WITH_HIST
#include "goroutine.h"

BPF_TABLE("lru_hash", struct open_key, u64, open_calls, 1);
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

static __always_inline void add_duration(struct fn_counters *n, u32 fid, u64 ns)
{
	struct duration_key key = { .fid = fid, .class = duration_class(ns) };
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
	add(n->counted_returns);
}

int hist_hit(struct pt_regs *ctx)
{
	u64 now = bpf_ktime_get_ns(), hi = 0;
	u32 zero = 0, index;
	struct control *ctl = control.lookup(&zero);
	struct fn_counters *n;
	struct open_key key = {};
	int error;

	if (!ctl) {
		guard_stack(ctx, 0); /* never comes to pass */
		return 0;
	}
	if (!ctl->enabled)
		return 0;
	struct site *site = begin_hit(ctx, ctl, &n, &index);
	if (!site)
		return 0;
	key.g = find_g(ctx, site, ctl);
	error = key.g ? bpf_probe_read_user(&hi, sizeof(hi), (void *)(key.g + G_STACK_HI)) : -1;
	if (error) {
		telemetry_count(BPF_FILE_AGGREGATE, __LINE__, error);
		if (site->kind == SITE_ENTRY)
			add(n->calls_lost);
		else
			add(n->returns_lost);
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
		}
		return 0;
	}
	u64 *begin = open_calls.lookup(&key);
	if (!begin) {
		add(n->unpaired);
	} else {
		add_duration(n, site->fid, now - *begin);
		open_calls.delete(&key);
	}
#ifdef PERFORM_RET
	if (!(site->flags & SITE_BEFORE_RET))
		perform_ret(ctx);
#endif
	return 0;
}
#endif

#ifdef WITH_STACK
#include "stack.h"

/* Not BPF_STACK_TRACE: that one wants a kernel header. */
BPF_TABLE("stacktrace", int, struct bpf_stacktrace, stacks, 1);
BPF_HASH(callers, struct caller_key, u64, 1);

int stack_hit(struct pt_regs *ctx)
{
	u32 zero = 0, index;
	struct control *ctl = control.lookup(&zero);
	struct caller_key key = {};
	struct fn_counters *n;
	u64 one = 1, *count;

	if (!ctl) {
		guard_stack(ctx, 0); /* never comes to pass */
		return 0;
	}
	if (!ctl->enabled)
		return 0;
	struct site *site = begin_hit(ctx, ctl, &n, &index);
	if (!site)
		return 0;
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
			add(n->counted);
			return 0;
		}
		count = callers.lookup(&key);
		if (!count) {
			telemetry_count(BPF_FILE_AGGREGATE, __LINE__, error);
			add(n->calls_lost);
			return 0;
		}
	}
	add(*count);
	add(n->counted);
	return 0;
}
#endif
