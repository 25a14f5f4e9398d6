/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What every program does first: is tracing on, which site is this, is this process asked for, is the hit a duplicate.
 *
 * Sizes of maps here and elsewhere are placeholders: the collector makes the maps (collector/fill.c), of the same names, keys and
 * values. */
#ifndef BPF_PROBE_H
#define BPF_PROBE_H

#include "opaque.h"
#include "read_user.h"

#define PAGE_BYTES 4096   /* a program is loaded at a multiple of it */
#define EFLAGS_CF_ZF 0x41 /* JBE branches where CF or ZF is set */

BPF_ARRAY(control, struct control, 1);
BPF_ARRAY(sites, struct site, 1);
BPF_PERCPU_ARRAY(counters, struct fn_counters, 1);
BPF_HASH(pids, u32, u32, 1);

#define add(field) __sync_fetch_and_add(&(field), 1)

/* Without a tail call in it a program's stack would be its CPU's (collector/doctor.h, doctor_private_stacks). Nothing is ever in here. */
#if !defined(SLEEPABLE) || defined(GUARD_SLEEPABLE)
#define GUARD_STACK
BPF_PROG_ARRAY(nothing, 1);
#endif

static __always_inline void guard_stack(struct pt_regs *ctx)
{
#ifdef GUARD_STACK
	nothing.call(ctx, 0);
#endif
}

/* Two CPUs that begin a second at once begin it twice: a few calls more than max_rate pass then. */
static __always_inline int is_too_often(struct control *ctl)
{
	u64 now = bpf_ktime_get_ns();

	if (now - ctl->rate_since >= 1000000000) {
		ctl->rate_since = now;
		ctl->rate_calls = 0;
	}
	return __sync_fetch_and_add(&ctl->rate_calls, 1) >= ctl->max_rate;
}

/* What this hit had to tell cannot be told. */
static __always_inline void count_lost(const struct site *site, struct fn_counters *n)
{
	if (site->kind == SITE_ENTRY)
		add(n->calls_lost);
	else
		add(n->returns_lost);
}

/* A hit of a process that is not asked for, or one that will come again, is counted and left: 1. */
static __always_inline int passed_over(struct pt_regs *ctx, const struct site *site, struct control *ctl,
				       struct fn_counters *n, u32 pid)
{
	if (ctl->filter_pids && !pids.lookup(&pid)) {
		if (site->kind == SITE_ENTRY)
			add(n->filtered);
		else
			add(n->filtered_returns);
		return 1;
	}
	if ((site->flags & SITE_CHECK_BRANCH) && (ctx->flags & EFLAGS_CF_ZF)) {
		add(n->duplicates);
		return 1;
	}
	return 0;
}

/* A call that is left out, as asked for (--sample, --max-rate, --max-events), is counted: what became of it, or WAITING_WANTED. */
static __always_inline u64 left_out(struct control *ctl, struct fn_counters *n)
{
	if (ctl->sample_each && __sync_fetch_and_add(&ctl->seen, 1) % ctl->sample_each) {
		add(n->sampled);
		return WAITING_SAMPLED;
	}
	if (ctl->max_rate && is_too_often(ctl)) {
		add(n->limited);
		return WAITING_LIMITED;
	}
	if (ctl->max_calls && __sync_fetch_and_add(&ctl->calls, 1) >= ctl->max_calls) {
		add(n->limited);
		return WAITING_LIMITED;
	}
	return WAITING_WANTED;
}

#ifdef REWRITE
/* Calls and returns are changed each for themselves, so either is what is counted. 1: it keeps its own values. */
static __always_inline int left_alone(const struct site *site, struct control *ctl, struct fn_counters *n)
{
	if (ctl->sample_each && __sync_fetch_and_add(&ctl->seen, 1) % ctl->sample_each) {
		if (site->kind == SITE_ENTRY)
			add(n->sampled);
		else
			add(n->sampled_returns);
		return 1;
	}
	if (ctl->max_calls && __sync_fetch_and_add(&ctl->calls, 1) >= ctl->max_calls) {
		if (site->kind == SITE_ENTRY)
			add(n->limited);
		else
			add(n->limited_returns);
		return 1;
	}
	return 0;
}
#endif

/* Is this hit no longer at its instruction? The programs of one probe run one after another, each on the registers that the one before it
 * has left: another tracer's can have performed the RET, or skipped the call, and there is nothing to be seen any more. Here a RET is taken
 * back where the kernel tells its address; perform_ret() performs it again, or the kernel does. */
static __always_inline int moved_on(struct pt_regs *ctx, const struct site *site)
{
	u64 bias = ctx->ip - site->addr;

	opaque(bias); /* else the compiler keeps it for later, and the verifier what was found of it */
	if (!(bias & (PAGE_BYTES - 1)))
		return 0;
#ifdef PERFORM_RET
	if (site->kind == SITE_RETURN && !(site->flags & SITE_BEFORE_RET)) {
		u64 ip = bpf_get_func_ip(ctx), sp = ctx->sp;

		if (ip && !((ip - site->addr) & (PAGE_BYTES - 1))) {
			ctx->ip = ip;
			ctx->sp = sp - 8;
			return 0;
		}
	}
#endif
	return 1;
}

#ifdef PERFORM_RET
/* At a RET: pop the return address into the instruction pointer. A program that changed the instruction pointer is not single-stepped. */
static __always_inline void perform_ret(struct pt_regs *ctx, const struct site *site)
{
	u64 to = 0, sp = ctx->sp, bias = ctx->ip - site->addr;

	opaque(bias);
	if (site->kind != SITE_RETURN || site->flags & SITE_BEFORE_RET || bias & (PAGE_BYTES - 1))
		return;
	if (read_user(&to, sizeof(to), sp))
		return; /* then the kernel steps it, as without us */
	ctx->ip = to;
	ctx->sp = sp + 8;
}
#endif

#endif
