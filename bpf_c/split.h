/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* hist --split: for how long a goroutine did not run while a call of it was open, and why. Time is summed while it is off: where its state
 * changes (runtime.casgstatus), and where its thread is taken off the CPU or put back (sched_switch). What is left is on-CPU time.
 *
 *   -DSTATUS_G=…, -DSTATUS_NEW=…   the parameters gp and newval of runtime.casgstatus at its site: registers of ctx, or
 *   -DSTATUS_SP                    bytes from the stack pointer
 *
 * Only goroutines that have entered a traced function are followed. Two ways by which Go changes a state are not seen here: a goroutine
 * that the garbage collector stops to scan its stack, which is taken for blocked once its thread runs another; and one that hands over to a
 * coroutine (iter.Pull), which is taken for running. */
#ifndef BPF_SPLIT_H
#define BPF_SPLIT_H

/* runtime/runtime2.go, the same in Go 1.13 to 1.27. */
#define G_RUNNABLE 1
#define G_RUNNING 2
#define G_SYSCALL 3
#define G_WAITING 4
#define G_DEAD 6

BPF_TABLE("lru_hash", struct goroutine_key, struct off_time, off_times, 1);
BPF_TABLE("lru_hash", u32, struct goroutine_key, threads, 1);           /* the goroutine that a thread runs */
BPF_TABLE("lru_hash", struct open_key, struct off_begun, off_begun, 1); /* what there was when a call began */
BPF_PERCPU_ARRAY(split_hits, struct split_hits, 1);

static __always_inline void off_begin(struct off_time *t, u32 why, u64 now)
{
	t->since = now;
	t->why = why;
}

static __always_inline void off_end(struct off_time *t, u64 now)
{
	if (t->why == OFF_RUNNABLE)
		t->runnable += now - t->since;
	else if (t->why == OFF_BLOCKED)
		t->blocked += now - t->since;
	if (t->why != OFF_NOT)
		t->last = now - t->since;
	t->why = OFF_NOT;
}

/* The sum as it was at `now`, which a program takes before it comes here: in between it can be preempted, and another thread run. */
static __always_inline u64 runnable_at(const struct off_time *t, u64 now)
{
	return t->since > now ? t->runnable - t->last : t->runnable;
}

/* The call of `key` begins. Goroutine 0 is every g0's, on which the run-time system runs for others: not followed. */
static __always_inline void split_begin(const struct site *site, const struct open_key *key, u64 now)
{
	struct goroutine_key who = { .g = key->g, .pid = key->pid };
	struct off_begun begun = {};
	struct off_time *t = off_times.lookup(&who);
	u32 tid = bpf_get_current_pid_tgid();
	int error;

	if (!t) {
		struct off_time none = {};
		u64 goid = 0;

		error = site->goid_off ? bpf_probe_read_user(&goid, sizeof(goid), (void *)(key->g + site->goid_off))
				       : -1;
		if (error || !goid)
			return;
		error = off_times.update(&who, &none);
		if (!error)
			error = threads.update(&tid, &who);
		if (error) {
			telemetry_count(BPF_FILE_SPLIT, __LINE__, error);
			return;
		}
	} else {
		begun.runnable = runnable_at(t, now);
		begun.blocked = t->blocked;
	}
	error = off_begun.update(key, &begun);
	if (error)
		telemetry_count(BPF_FILE_SPLIT, __LINE__, error);
}

/* The call of `key` ends at `now`, which took ns: into its sum, where it is known what of it was what. */
static __always_inline void split_end(const struct open_key *key, u64 now, u64 ns, struct duration_sum *sum)
{
	struct goroutine_key who = { .g = key->g, .pid = key->pid };
	struct off_begun *begun = off_begun.lookup(key);
	struct off_time *t = off_times.lookup(&who);

	if (begun && t) {
		u64 runnable = runnable_at(t, now) - begun->runnable, blocked = t->blocked - begun->blocked;

		if (runnable + blocked <= ns) {
			__sync_fetch_and_add(&sum->known, ns);
			__sync_fetch_and_add(&sum->runnable, runnable);
			__sync_fetch_and_add(&sum->blocked, blocked);
		}
	}
	if (begun)
		off_begun.delete(key);
}

/* runtime.casgstatus(gp *g, oldval, newval uint32), before it does it. It is called by the thread that will run the goroutine, or has. */
int status_hit(struct pt_regs *ctx)
{
	struct goroutine_key who = {}, *mine;
	u64 now = bpf_ktime_get_ns(), id = bpf_get_current_pid_tgid();
	u32 zero = 0, tid = id, status = 0;
	struct control *ctl = control.lookup(&zero);
	struct split_hits *hits = split_hits.lookup(&zero);
	struct off_time *t;
	int error = 0;

	if (!ctl) {
		guard_stack(ctx); /* never comes to pass */
		return 0;
	}
	if (!ctl->enabled || !hits)
		return 0;
	hits->states++;
#ifdef STATUS_SP
	error = bpf_probe_read_user(&who.g, sizeof(who.g), (void *)(ctx->sp + STATUS_G));
	if (!error)
		error = bpf_probe_read_user(&status, sizeof(status), (void *)(ctx->sp + STATUS_NEW));
	if (error) {
		telemetry_count(BPF_FILE_SPLIT, __LINE__, error);
		return 0;
	}
#else
	who.g = ctx->STATUS_G;
	status = ctx->STATUS_NEW;
#endif
	who.pid = id >> 32;
	mine = threads.lookup(&tid);
	if (status == G_RUNNING && mine && mine->g != who.g) {
		/* it was taken off this thread by another way */
		struct goroutine_key other = *mine;
		struct off_time *left = off_times.lookup(&other);

		if (left && left->why == OFF_NOT)
			off_begin(left, OFF_BLOCKED, now);
		threads.delete(&tid);
	}
	t = off_times.lookup(&who);
	if (!t)
		return 0;
	if (status == G_RUNNING) {
		off_end(t, now);
		error = threads.update(&tid, &who);
		if (error)
			telemetry_count(BPF_FILE_SPLIT, __LINE__, error);
		return 0;
	}
	if (status != G_RUNNABLE && status != G_WAITING && status != G_DEAD)
		return 0;
	if (mine && mine->g == who.g)
		threads.delete(&tid);
	if (status == G_DEAD) {
		off_times.delete(&who);
		return 0;
	}
	off_end(t, now);
	off_begin(t, status == G_RUNNABLE ? OFF_RUNNABLE : OFF_BLOCKED, now);
	return 0;
}

struct switch_arguments {
	u64 args[4];
};

/* sched_switch(preempt, prev, next, prev_state): prev is the current thread still. A thread that waits in the kernel blocks its goroutine, also
 * in a system call; that it has been woken and waits for a CPU is not told apart. */
int thread_switch(struct switch_arguments *ctx)
{
	u64 now = bpf_ktime_get_ns(), next = ctx->args[2];
	u32 zero = 0, tid = bpf_get_current_pid_tgid();
	struct control *ctl = control.lookup(&zero);
	struct split_hits *hits = split_hits.lookup(&zero);
	struct goroutine_key *found, who;
	struct off_time *t;

	if (!ctl || !ctl->enabled || !hits)
		return 0;
	hits->switches++;
	found = threads.lookup(&tid);
	if (found) {
		who = *found;
		t = off_times.lookup(&who);
		if (t && t->why == OFF_NOT)
			off_begin(t, (u8)ctx->args[0] || !(u32)ctx->args[3] ? OFF_RUNNABLE : OFF_BLOCKED, now);
	}
	if (bpf_probe_read_kernel(&tid, sizeof(tid), (void *)(next + ctl->task_pid_off)))
		return 0;
	found = threads.lookup(&tid);
	if (found) {
		who = *found;
		t = off_times.lookup(&who);
		if (t)
			off_end(t, now);
	}
	return 0;
}

#endif
