/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the collector share. Who writes what:
 *   collector.c  the object, its threads, waiting, stopping       load.c    loading; cflags.c: how programs are compiled
 *   fill.c       making maps                                      maps.c    reading maps
 *   ring.c       kernel buffers → queue                           attach.c  links
 *   queue.c      bytes from the drain thread to the writer        process.c processes seen, their start and end
 *   pairing.c    open calls                                       summary.c accounting
 *   decode*.c    record + plan → values, given to text.c or json.c; names.c, value_text.c, error_text.c, net_text.c: what people read
 *   flat.c       the lists of steps that call_deep runs
 *   held.c       records that wait for their return   waiting.c the same in the kernel, when tracing has ended
 *
 * Sites and functions are numbered through all plans: a plan's site i is site first_site + i, its function i is first_fid + i. */
#ifndef COLLECTOR_INTERNAL_H
#define COLLECTOR_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "collector.h"
#include "mask.h"

#define PLANS_MAX 64 /* binaries of one trace */

struct names; /* names.h */

struct collector_plan {
	const struct plan *plan;
	struct names *names; /* the writer's */
	int fd;              /* of the file; the caller's */
	uint32_t first_site, first_fid;
	uint32_t binary_id; /* its index */
};

/* One of these for each global site, so that a record finds its plan in one step. */
struct site_ref {
	const struct collector_plan *plan;
	const struct plan_site *site;
	uint32_t fid;
};

struct collector_maps { /* descriptors, -1 where there is none */
	int sites, steps, counters, control, pids, telemetry, events;
	int goids;
	int flat, dispatch;                            /* call_deep's steps and lists; -1 where no site needs them */
	int nothing;                                   /* see doctor.h, doctor_private_stacks() */
	int scratch, blank;                            /* perf output only */
	int claims, slots;                             /* options.compact */
	int open_calls, durations;                     /* MODE_HIST */
	int groups;                                    /* hist --by */
	int off_times, threads, off_begun, split_hits; /* hist --split */
	int waiting;                                   /* where there is a condition and returns are probed */
	int stacks, callers;                           /* MODE_STACK */
	int writes;                                    /* rewriting */
};

struct loader;    /* load.c and attach.c */
struct queue;     /* queue.c */
struct drain;     /* ring.c */
struct processes; /* process.c: owned by the drain thread once it runs */
struct writer;    /* writer.c: owned by the writer thread once it runs */
struct frames;    /* frames.c */

struct collector {
	struct collector_options options;
	struct collector_plan plans[PLANS_MAX];
	uint32_t n_plans, n_sites, n_fids;
	struct site_ref *site_refs;         /* n_sites; made by collector_add_plan */
	const struct plan_func **functions; /* n_fids */
	uint32_t *function_plan;            /* n_fids: index in plans */

	struct collector_maps maps;
	enum collector_buffer
		buffer; /* BUFFER_RING or BUFFER_PERF once loaded (cflags.c); of no meaning where nothing is sent */
	enum collector_attach attach; /* ATTACH_MULTI or ATTACH_PERF once attached (attach.c) */
	uint32_t ncpu;                /* possible CPUs: values of a per-CPU map (load.c) */
	struct loader *loader;        /* load.c's own, NULL until it makes it */

	/* For the writer's decoder (decode.h), from loading on: what it is told depends on how the programs read. */
	const char *(*fault_why)(void *arg, uint32_t pid, uint64_t addr);
	void *fault_arg;

	struct queue *queue;
	size_t ring_size; /* bytes of the ring buffer, where c->buffer is BUFFER_RING */
	struct drain *drain;
	struct processes *processes;
	struct writer *writer;
	struct mask *mask;     /* NULL: nothing is hidden; used by the writer */
	struct frames *frames; /* frames.h; NULL: no stacks; the writer's */
	pthread_t drain_thread, writer_thread;
	bool drain_running, writer_running;
	bool started, stopped;
	int wake_fd;            /* eventfd: the drain thread looks at `stopping` */
	uint64_t started_ns;    /* CLOCK_MONOTONIC */
	uint64_t limit_seen_ns; /* when max_calls was first seen reached; 0 */

	_Atomic bool stopping;
	_Atomic uint64_t received;      /* records taken from the kernel */
	_Atomic uint64_t malformed;     /* of them, those that are no record of ours */
	_Atomic uint64_t perf_lost;     /* as told by PERF_RECORD_LOST */
	_Atomic uint64_t handled_calls; /* call records that the writer is done with */
	_Atomic uint64_t open_calls;
	_Atomic bool all_exited, out_closed, out_failed;
	pthread_mutex_t lock; /* for `wake` and `failure` */
	pthread_cond_t wake;  /* one of the three flags above was set */
	char failure[256];

	struct collector_summary summary;
	bool have_summary;
	uint64_t *unfinished; /* n_fids; waiting.c, once tracing has ended; NULL before, or where nothing waits */

	/* Of a recording (recording.c), else 0 and NULL. */
	struct fn_counters *replayed; /* n_fids: what the kernel had counted */
	uint64_t replayed_misses;
	uint64_t wall_ns; /* wall clock at started_ns */
	struct plan *own_plans[PLANS_MAX];
	uint32_t n_own_plans;
};

/* ---- cflags.c, load.c, maps.c, attach.c ----------------------------------------------------------------------------  */

/* Also there: collector_cflags, collector_load, collector_load_report, collector_attach (collector.h). */
struct err *collector_unchanged(const struct collector_plan *p); /* ERR_CHANGED if the file is not what was planned */
void collector_detach(struct collector *c);                      /* close links; idempotent */
void collector_loader_destroy(struct collector *c); /* close programs and maps, free c->loader; NULL is legal */

/* One update of the map `control`. Async-signal-safe. Does nothing where the map is not there. */
void maps_set_enabled(struct collector *c, bool enabled);

/* Add up the counters of one function over the CPUs. All zero where the map is not there. */
void maps_read_counters(struct collector *c, uint32_t fid, struct fn_counters *sum);

/* Errors inside the programs: an array to be freed by the caller, file being a string constant. */
struct err *maps_read_telemetry(struct collector *c, struct telemetry_count **counts_ret, uint32_t *n_ret);

/* Hits of all programs so far that the kernel did not run them for, and of goroutine_unwound those for which there was no room. */
uint64_t maps_read_misses(struct collector *c);
uint64_t maps_calls(struct collector *c);                           /* control.calls */
bool maps_allow_pid(struct collector *c, uint32_t pid);             /* into `pids`; false with errno */
bool maps_set_pid(struct collector *c, uint32_t pid, bool allowed); /* in or out of `pids`; false with errno */
bool maps_set_event_fd(struct collector *c, uint32_t cpu, int fd); /* perf output: events[cpu] = fd; false with errno */

/* ---- rewriting (rewriting.c) ----------------------------------------------------------------------------- */

/* Does the site write anything? Always true where nothing is rewritten. */
bool rewriting_uses(const struct collector *c, const struct plan_site *site);

/* -D flags for bpf_c/rewrite.h, with a blank before each; "" where nothing is rewritten. */
void rewriting_cflags(const struct collector *c, char *to, size_t size);

/* The map `writes`. */
struct err *rewriting_fill(const struct collector *c);

/* ---- waiting.c ------------------------------------------------------------------------------------------- */

/* Tracing has ended: see which calls still wait. */
struct err *waiting_settle(struct collector *c);
/* Account for them in the kernel's counters. Before waiting_settle() nothing. */
void waiting_count(const struct collector *c, uint32_t fid, struct fn_counters *n);

/* ---- time ------------------------------------------------------------------------------------------------ */

static inline uint64_t monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
