/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The program behind `trace`: at each probe hit one record of who, where, the argument registers, and what the site's steps read.
 *
 * It knows nothing of Go types: the plan's steps say what to read (record.h). Four variants of one body, so that a site pays
 * only for what it needs: call_regs (no steps), call_few (up to FEW_STEPS, unrolled), call_many (a bounded loop), call_deep (deep.h: lists
 * of steps that are run for each element, or by an interface's type).
 *
 * Compiled by BCC, which offers no subprograms, no global variables and reservations of constant size only; hence the macros.
 *   -DDATA_MAX, -DCHUNK_MAX  bytes of data in a record; bytes that one step reads at most
 *   -DSTEPS_LIST             steps in a list (the size of a value of the map `steps`)
 *   -DFEW_STEPS=1…4          most steps of a site that runs call_few: each costs the compiler 30 ms
 *   -DWITHOUT_REGS, _FEW, _MANY, _DEEP, _UNWOUND  leave a variant, or goroutine_unwound, out
 *   -DSTACK_MAX              frames of the kernel's chain that a record begins with, for `trace -s`
 *   -DUSE_PERF               events go through perf output, where the kernel has no ring buffer
 *   -DCOMPACT                a record takes the room in the ring buffer that it uses, for the price of a copy
 *   -DPERFORM_RET            at a RET the program does what the instruction does, so that the kernel need not single-step it: only
 *                            where the verifier lets a program write the registers
 *   -DGUARD_SLEEPABLE        sleepable programs must not use their CPU's stack, see guard_stack()
 *   -DSLEEPABLE              pages that are not resident are brought in (location.h); the program must be loaded as sleepable
 *   -DWHERE …                see where.h
 *   -DLOG_LEVEL=0|1|2        see telemetry.h
 */
#define __BPF_TRACER__
#include <uapi/linux/ptrace.h>
#include <linux/types.h>

#ifndef DATA_MAX
#define DATA_MAX 256
#endif
#ifndef CHUNK_MAX
#define CHUNK_MAX 256
#endif
#ifndef STEPS_LIST
#define STEPS_LIST 4
#endif
#ifndef FEW_STEPS
#define FEW_STEPS 4
#endif
#ifndef PAGE_SIZE
#define PAGE_SIZE 4096 /* BCC's ring buffer macro wants it */
#endif

#include "record.h"

struct step_list {
	struct step step[STEPS_LIST];
};

BPF_ARRAY(steps, struct step_list, 1);
#ifndef WITHOUT_DEEP
BPF_ARRAY(flat, struct step, 1);
BPF_HASH(dispatch, struct dispatch_key, struct dispatch_list, 1);
#endif

#include "telemetry.h"
#include "probe.h"
#include "location.h"
#ifndef WITHOUT_DEEP
#include "deep.h"
typedef struct deep_record any_record;
#else
typedef struct call_record any_record;
#endif
#include "goroutine.h"
#ifdef REWRITE
#include "rewrite.h"
#endif
#ifdef WHERE
#include "where.h"
#endif

#ifdef STACK_MAX
#include "stack.h"

struct stack_chunk {
	struct chunk chunk;
	struct stack_head head;
	u64 chain[STACK_MAX];
};

/* The first chunk of the record, of a size that never changes. */
static __always_inline void read_stack_chunk(struct pt_regs *ctx, const struct site *site, struct call_record *r)
{
	struct stack_chunk *s = (struct stack_chunk *)r->data;

	s->chunk.step = STEP_STACK;
	s->chunk.status = CHUNK_OK;
	s->chunk.len = sizeof(*s) - sizeof(s->chunk);
	s->chunk.addr = 0;
	s->chunk.count = 0;
	read_callers(ctx, site, &s->head);
	/* the rest is zeroed by the kernel */
	if (bpf_get_stack(ctx, s->chain, sizeof(s->chain), BPF_F_USER_STACK) <= 0)
		s->chain[0] = 0;
	r->head.used = sizeof(*s);
}
#define STACK_BYTES sizeof(struct stack_chunk)
#else
#define STACK_BYTES 0
#endif

#ifdef USE_PERF
BPF_PERF_OUTPUT(events);
/* A record is put together in memory of its thread's own: a program on a uprobe can be preempted, so a CPU's would not do. */
BPF_TABLE("lru_hash", u32, any_record, scratch, 1);
BPF_ARRAY(blank, any_record, 1);
#else
BPF_RINGBUF_OUTPUT(events, 1);
#endif

#ifdef COMPACT
/* A record is put together in a slot and copied into the buffer, where room can be reserved of constant size only. A slot is claimed by an
 * entry in `claims`: its thread can be preempted or sleep, and another's hit come to the same CPU. */
struct slot {
	any_record record;
	u32 number, reserved;
};

BPF_HASH(claims, u32, u32, 1);
BPF_ARRAY(slots, struct slot, 1);
#endif

static __always_inline void fill_record(struct pt_regs *ctx, struct call_record *r, const struct site *site, u32 index,
					u64 id, u64 now)
{
	r->head.ts = now;
	r->head.ip = ctx->ip;
	r->head.sp = ctx->sp;
	r->head.pid = id >> 32;
	r->head.tid = (u32)id;
	r->head.site = index;
	r->head.used = 0;
	r->head.cursor = 0;
	r->head.regs[0] = ctx->ax;
	r->head.regs[1] = ctx->bx;
	r->head.regs[2] = ctx->cx;
	r->head.regs[3] = ctx->di;
	r->head.regs[4] = ctx->si;
	r->head.regs[5] = ctx->r8;
	r->head.regs[6] = ctx->r9;
	r->head.regs[7] = ctx->r10;
	r->head.regs[8] = ctx->r11;
	r->head.regs[9] = ctx->dx;
}

static __always_inline void fill_goroutine(struct call_record *r, const struct goroutine *g, struct control *ctl,
					   u64 id)
{
	r->head.gap = *(volatile u32 *)gap_of(ctl, g->g, id);
	r->head.g = g->g;
	r->head.goid = g->goid;
	r->head.stack_hi = g->stack_hi;
	r->head.flags = g->flags;
}

/* Of an old value that is about to be replaced little is enough: the verifier follows the writes behind each turn. */
#ifdef REWRITE
#define TURNS TURNS_REWRITE
#else
#define TURNS TURNS_MAX
#endif

enum variant { REGS, FEW, MANY, DEEP, DEEP_SHORT };

#ifdef USE_PERF
static __always_inline struct call_record *reserve_record(u32 tid, const enum variant variant)
{
	u32 zero = 0;
	any_record *r = scratch.lookup(&tid);

	if (r)
		return (struct call_record *)r;
	any_record *empty = blank.lookup(&zero);
	if (!empty)
		return 0;
	scratch.update(&tid, empty);
	return (struct call_record *)scratch.lookup(&tid);
}

static __always_inline int submit_record(struct pt_regs *ctx, struct call_record *r)
{
	u64 size = r->head.used;

	opaque(size);
	if (size > sizeof(r->data))
		size = sizeof(r->data);
	return events.perf_submit(ctx, r, sizeof(struct record) + size);
}
#elif defined(COMPACT)
static __always_inline struct call_record *reserve_record(u32 tid, const enum variant variant)
{
	u64 first = bpf_get_smp_processor_id() * CPU_SLOTS, owner = tid;

#pragma unroll
	for (u64 i = 0; i < CPU_SLOTS; i++) {
		u64 number = first + i;
		struct slot *slot = slots.lookup((u32 *)&number);

		if (slot && !claims.insert((u32 *)&number, (u32 *)&owner)) {
			slot->number = number;
			return (struct call_record *)slot;
		}
	}
	return 0;
}

static __always_inline int submit_record(struct pt_regs *ctx, struct call_record *r)
{
	u64 number = ((struct slot *)r)->number, size = r->head.used;
	int error;

	opaque(size);
	if (size > sizeof(r->data))
		size = sizeof(r->data);
	error = events.ringbuf_output(r, sizeof(struct record) + size, BPF_RB_NO_WAKEUP);
	claims.delete((u32 *)&number);
	return error;
}
#else
static __always_inline struct call_record *reserve_record(u32 tid, const enum variant variant)
{
	if (variant == DEEP || variant == DEEP_SHORT)
		return events.ringbuf_reserve(sizeof(any_record));
	if (variant != REGS)
		return events.ringbuf_reserve(sizeof(struct call_record));
	return events.ringbuf_reserve(sizeof(struct record) + STACK_BYTES);
}

static __always_inline int submit_record(struct pt_regs *ctx, struct call_record *r)
{
	events.ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	return 0;
}
#endif

/* Of a call and its return both are sent, or neither; changes stand each for themselves. */
#if defined(WHERE_TABLE) && !defined(REWRITE)
#define PAIRS_RECORDS
#endif

/* There is no record of this hit. Where nothing but the records says which return is whose, the goroutine's next ones tell. */
static __always_inline void lose(struct pt_regs *ctx, const struct site *site, struct control *ctl, u64 id,
				 struct fn_counters *n)
{
	count_lost(site, n);
#if !defined(WHERE_TABLE) && !defined(REWRITE)
	add(*gap_of(ctl, find_g(ctx, site, ctl), id));
#endif
}

#ifdef PAIRS_RECORDS
/* The call was sent, and its return says that it is not wanted: tell. */
static __always_inline void tell_unwanted(struct pt_regs *ctx, const struct site *site, u32 index,
					  const struct goroutine *g, struct control *ctl, u64 id, u64 now,
					  struct fn_counters *n)
{
	struct call_record *r = reserve_record((u32)id, REGS);

	add(n->untold);
	if (!r)
		return; /* the collector finds out by itself, later */
	fill_record(ctx, r, site, index, id, now);
	fill_goroutine(r, g, ctl, id);
	r->head.flags |= REC_UNWANTED;
	if (!submit_record(ctx, r))
		add(n->untold);
}

/* The key of the call that a record is about. */
static __always_inline void record_key(struct open_key *key, const struct call_record *r, const struct site *site)
{
	key->g = r->head.g ? r->head.g : 1ull << 63 | r->head.tid;
	key->depth = r->head.stack_hi - r->head.sp - site->frame;
	key->pid = r->head.pid;
	key->fid = site->fid;
}

/* There was no room for the record of this hit. */
static __always_inline void lost_with_condition(const struct site *site, struct open_key *key, int late,
						struct fn_counters *n)
{
	if (site->kind == SITE_ENTRY) {
		if (site->flags & SITE_WAITS)
			where_lose(key, n);
	} else if (late) {
		/* both or neither: of its call, which was sent, nothing is shown */
		add(n->calls_lost);
		add(n->untold);
	}
}
#endif

static __always_inline int call_hit(struct pt_regs *ctx, const enum variant variant)
{
	u32 zero = 0, index = bpf_get_attach_cookie(ctx);
	u64 id = bpf_get_current_pid_tgid();
	struct control *ctl = control.lookup(&zero);
	struct step_list *list = 0;
	int error;

	if (!ctl) {
		guard_stack(ctx); /* never comes to pass */
		return 0;
	}
	if (!ctl->enabled)
		return 0;
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
	if (passed_over(ctx, site, ctl, n, id >> 32))
		return 0;
#ifndef REWRITE /* which asks for itself: here it would make the verifier follow twice as much */
	if (moved_on(ctx, site)) {
		lose(ctx, site, ctl, id, n);
		return 0;
	}
#endif
	u64 now = bpf_ktime_get_ns(), left = WAITING_WANTED;
	struct goroutine g = {};
	int late = 0;
#ifdef WHERE
	struct where_room room;
	struct where w;
#ifdef WHERE_GOID
	read_goroutine(ctx, site, ctl, id, &g);
#endif
	where_init(&w, &room, ctx, site, ctl, &g, id);
	if (site->filter && site->kind == SITE_ENTRY && !where_begins(&w, ctx, site, n)) {
#ifdef WHERE_TABLE
		where_refused(&w, ctx, site, ctl, &g, id, n);
#endif
		return 0;
	}
#ifdef WHERE_TABLE
	late = site->flags & SITE_DECIDES_LATE;
#endif
#endif
#ifndef REWRITE
	if (site->kind == SITE_ENTRY && !late)
		left = left_out(ctl, n);
#elif !defined(WHERE_TABLE)
	if (left_alone(site, ctl, n))
		return 0;
#endif
#ifndef WHERE_TABLE
	if (left != WAITING_WANTED)
		return 0;
#endif
#if defined(WHERE) && !defined(WHERE_GOID)
	read_goroutine(ctx, site, ctl, id, &g);
#endif
#ifdef WHERE_TABLE
	/* Both made on every way, which the verifier then does not follow apart. */
	struct open_key key;
	struct waiting_call call;
	u64 began = 0;
	where_key(&key, &w, site, &g, id);
	where_call(&call, &w, now);
	if (left != WAITING_WANTED) {
		if (site->flags & SITE_WAITS)
			where_wait(&key, &call, left, n);
		return 0;
	}
	if (site->kind == SITE_RETURN && site->filter) {
		int end = where_ends(&w, &key, ctx, site, ctl, n, now, &began);
#ifdef PAIRS_RECORDS
		if (end == END_UNWANTED)
			tell_unwanted(ctx, site, index, &g, ctl, id, now, n);
#endif
		if (end != END_WANTED) {
#ifdef PERFORM_RET
			perform_ret(ctx, site);
#endif
			return 0;
		}
	}
#endif
	if (variant == FEW || variant == MANY) {
		u32 at = site->steps;
		list = steps.lookup(&at);
		if (!list) {
			lose(ctx, site, ctl, id, n);
			return 0;
		}
	}
#ifdef WHERE_TABLE
	if (site->kind == SITE_ENTRY && (site->flags & SITE_WAITS) &&
	    where_wait(&key, &call, late ? WAITING_UNDECIDED : WAITING_WANTED, n)) {
		add(n->calls_lost);
		return 0;
	}
#ifdef REWRITE
	if (ENTRY_WRITES == 0 && site->kind == (late ? SITE_RETURN : SITE_ENTRY))
		__sync_fetch_and_add(&n->entry_hits, -1ull); /* it has only asked: the return is what is told of */
	if ((ENTRY_WRITES == 0 && site->kind == SITE_ENTRY) || left_alone(site, ctl, n))
		return 0;
#endif
#endif
#ifdef WHERE
	/* Linux 6.1 takes each record for another one, so what is not found to be the same here is followed apart through all the steps: of
	 * 96 turns of call_deep_short more than 1,000,000 instructions instead of 290,000. */
	u64 any = now;
	where_forget_here(&w, g.g);
	where_forget_here(&w, g.goid);
	where_forget_here(&w, g.stack_hi);
	where_forget_here(&w, g.flags);
	where_forget_here(&w, late);
	opaque(any);
	checkpoint(any);
#endif
	struct call_record *r = reserve_record((u32)id, variant);
	if (!r) {
#ifdef PAIRS_RECORDS
		lost_with_condition(site, &key, late, n);
#endif
		lose(ctx, site, ctl, id, n);
#ifdef REWRITE
		rewrite(ctx, site, n); /* what is asked for is done, also where nobody can be told */
#endif
		return 0;
	}
	fill_record(ctx, r, site, index, id, now);
#ifndef WHERE
	/* Only now, and out of hand at once: Linux 6.1 follows what is kept of it apart through all the steps. */
	read_goroutine(ctx, site, ctl, id, &g);
#endif
	fill_goroutine(r, &g, ctl, id);
#ifdef PAIRS_RECORDS
	if (late && site->kind == SITE_ENTRY)
		r->head.flags |= REC_UNDECIDED;
#endif
#ifdef STACK_MAX
	read_stack_chunk(ctx, site, r);
#endif
	if (variant == FEW) {
		u64 todo = site->n_steps;
#pragma unroll
		for (u64 i = 0; i < FEW_STEPS; i++)
			if (i < todo)
				read_step(r, &list->step[i], i, n);
	}
	if (variant == MANY) {
		for (u64 turn = 0; turn < STEPS_LIST; turn++) {
			/* The cursor lives in the record and is read back, so that the verifier forgets its value and does
			 * not follow every combination of outcomes of the steps before. */
			u64 i = *(volatile u32 *)&r->head.cursor;
			opaque(i);
			if (i >= STEPS_LIST || i >= site->n_steps)
				break;
			read_step(r, &list->step[i], i, n);
			r->head.cursor = i + 1;
		}
	}
#ifndef WITHOUT_DEEP
	if (variant == DEEP)
		read_deep((struct deep_record *)r, site, n, TURNS);
	if (variant == DEEP_SHORT)
		read_deep((struct deep_record *)r, site, n, TURNS_SHORT);
#endif
#ifdef REWRITE
	r->head.cursor = rewrite(ctx, site, n);
#endif
	error = submit_record(ctx, r);
	if (error) {
#ifdef PAIRS_RECORDS
		/* Made anew: what is kept over the steps the verifier follows apart. */
		record_key(&key, r, site);
		lost_with_condition(site, &key, site->flags & SITE_DECIDES_LATE, n);
#endif
		lose(ctx, site, ctl, id, n);
		telemetry_count(BPF_FILE_CALL, __LINE__, error);
	}
#ifdef PERFORM_RET
	perform_ret(ctx, site);
#endif
	return 0;
}

/* Each takes the compiler a tenth of a second: only those are compiled that the plan needs. */
#ifndef WITHOUT_REGS
int call_regs(struct pt_regs *ctx)
{
	return call_hit(ctx, REGS);
}
#endif

#ifndef WITHOUT_FEW
int call_few(struct pt_regs *ctx)
{
	return call_hit(ctx, FEW);
}
#endif

#ifndef WITHOUT_MANY
int call_many(struct pt_regs *ctx)
{
	return call_hit(ctx, MANY);
}
#endif

#ifndef WITHOUT_DEEP
int call_deep(struct pt_regs *ctx)
{
	return call_hit(ctx, DEEP);
}

#ifndef REWRITE
/* Where a kernel's verifier gives up on call_deep. */
int call_deep_short(struct pt_regs *ctx)
{
	return call_hit(ctx, DEEP_SHORT);
}
#endif
#endif

/* At runtime.gdestroy or goexit0: a goroutine ends, and its g may become another's. */
int goroutine_exit(struct pt_regs *ctx)
{
	u32 zero = 0;
	struct control *ctl = control.lookup(&zero);

	if (ctl && ctl->enabled)
		add(ctl->exits);
	return 0;
}

#ifndef WITHOUT_UNWOUND
/* Where calls end that do not return (record.h, SITE_RECOVERY …). */
int goroutine_unwound(struct pt_regs *ctx)
{
	u32 zero = 0, index = bpf_get_attach_cookie(ctx);
	u64 id = bpf_get_current_pid_tgid();
	u32 pid = id >> 32;
	struct control *ctl = control.lookup(&zero);
	int error;

	if (!ctl) {
		guard_stack(ctx); /* never comes to pass */
		return 0;
	}
	if (!ctl->enabled || (ctl->filter_pids && !pids.lookup(&pid)))
		return 0;
	struct site *site = sites.lookup(&index);
	if (!site)
		return 0;
	u32 fid = site->fid;
	struct fn_counters *n = counters.lookup(&fid);
	if (!n)
		return 0;
	add(n->entry_hits);
	struct goroutine g;
	u64 sp = read_unwound(ctx, site, ctl, &g);
	struct call_record *r = reserve_record((u32)id, REGS);
	if (!r) {
		add(n->calls_lost);
		add(*gap_of(ctl, g.g, id));
		return 0;
	}
	r->head.ts = bpf_ktime_get_ns();
	r->head.ip = ctx->ip;
	r->head.pid = pid;
	r->head.tid = (u32)id;
	r->head.site = index;
	r->head.used = 0;
	r->head.cursor = 0;
#pragma unroll
	for (int i = 0; i < RECORD_REGS; i++)
		r->head.regs[i] = 0;
	r->head.sp = sp;
	fill_goroutine(r, &g, ctl, id);
	error = submit_record(ctx, r);
	if (error) {
		add(n->calls_lost);
		add(*gap_of(ctl, g.g, id));
		telemetry_count(BPF_FILE_CALL, __LINE__, error);
	}
	return 0;
}
#endif
