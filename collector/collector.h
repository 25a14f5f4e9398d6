/* SPDX-License-Identifier: Apache-2.0 */
/* The collector: maps, programs, links, the event path and the output of one trace.
 *
 * Order of calls: collector_create → collector_add_plan … → collector_load → collector_allow_pid … → collector_attach →
 * collector_start → (collector_wait …) → collector_disable → collector_stop → collector_destroy. Nothing here calls back into Python.
 * Threads: `drain` (ring or perf buffers → queue) and `writer` (pairing, decoding, output). */
#ifndef COLLECTOR_COLLECTOR_H
#define COLLECTOR_COLLECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "../offsets/error.h"
#include "../offsets/plan.h"
#include "../offsets/rewrite.h"

enum collector_buffer { BUFFER_AUTO = 0, BUFFER_RING, BUFFER_PERF };
enum collector_attach { ATTACH_AUTO = 0, ATTACH_MULTI, ATTACH_PERF };
/* What the programs do at a hit: send it (MODE_TRACE), or sum it in the kernel (collector/sums.c). */
enum collector_mode { MODE_TRACE = 0, MODE_COUNT, MODE_HIST, MODE_STACK };
enum collector_format { FORMAT_TEXT = 0, FORMAT_JSON, FORMAT_NONE, FORMAT_RECORDING };

struct collector_options {
	enum collector_mode mode;
	enum collector_buffer buffer;
	enum collector_attach attach;
	enum collector_format format;
	uint64_t buffer_size; /* bytes; rounded up to a power of two of pages */
	uint64_t max_calls;   /* 0: no limit */
	uint64_t max_rate;    /* calls a second; 0: no limit */
	uint32_t sample_each; /* one call of so many; 0: every call */
	bool read_goids;      /* goroutine ids are read at each hit: no probe tells where goroutines end */
	bool compact;         /* ring buffer: an event takes only the room it needs, for one copy more */
	bool force;           /* also what will take long: see collector_attach() */
	bool filter_pids;     /* only processes given by collector_allow_pid() */
	bool color;           /* text: ANSI colours */
	bool utc;             /* text: times of day in UTC instead of local time (tests) */
	bool no_args, no_results, no_returns;  /* what was asked: returns are not probed with no_returns */
	int out_fd;                            /* where events go; not closed by the collector */
	uint32_t string_size, depth, elements; /* as in plan_options: for remarks */
	uint32_t stack; /* MODE_TRACE: frames shown of each call's and return's stack, at most STACK_FRAMES; 0: none */
	/* What is to be changed in the one function of the one plan, which is this one's; NULL: nothing, and no program is loaded that
	 * could. Kept by the caller until collector_destroy. Only sites that write are probed. */
	const struct rewrite *rewrite;
	const char *tracer_version;
	/* MODE_HIST: also tell how long calls did not run (bpf_c/split.h); file_off 0: no. Of the first plan's file. */
	struct collector_split_site {
		uint64_t file_off;    /* a place in runtime.casgstatus that each of its calls passes once */
		location_t g, status; /* its parameters gp and newval there: LOC_REGISTER both, or LOC_STACK both */
	} split;
	const char *where; /* the condition that the plans have, as it was written: for the meta line; NULL: none */
	const char *
		mask; /* regular expression: values of names in which it is found are not shown (mask.h); NULL: all are */
};

struct collector;

struct err *collector_create(const struct collector_options *options, struct collector **ret);
void collector_destroy(struct collector *c); /* detaches what is attached; NULL is legal */

/* The plan (kept by the caller until collector_destroy) and a descriptor of its file (kept open by the caller as well). */
struct err *collector_add_plan(struct collector *c, const struct plan *plan, int fd, uint32_t *binary_id_ret);

/* -D flags that the plans need, space separated ("-DDATA_MAX=1024 -DCHUNK_MAX=256 …"), for the compiler. Valid until destroy. */
const char *collector_cflags(struct collector *c);

/* Make the maps and load what the compiler made (format: blob.h). ERR_KERNEL with the verifier's last lines, ERR_PRIVILEGE. */
struct err *collector_load(struct collector *c, const void *blob, size_t size);

struct err *collector_allow_pid(struct collector *c, uint32_t pid);

/* With options.filter_pids, and no process given by collector_allow_pid(): from now on this process too, or no more; also while tracing.
 * From any thread. Nobody waits for its end. ERR_KERNEL. */
struct err *collector_set_pid(struct collector *c, uint32_t pid, bool allowed);

/* One line about what the verifier said of each program: "call_regs: 312 insns, processed 1240 of 1000000". */
const char *collector_load_report(struct collector *c);

/* Did the verifier give up on call_deep? What is loaded then reads TURNS_SHORT parts of a call's values, instead of TURNS_MAX (bpf_c/record.h). */
bool collector_shortened(const struct collector *c);

/* Attach all sites, still disabled. ERR_CHANGED if the file is not what was planned; ERR_KERNEL where taking the probes away again
 * would take long and options.force is not set. */
struct err *collector_attach(struct collector *c);

/* Seconds that taking the probes away will take at most, about: 0 where they are one link. After collector_load(). */
double collector_detach_seconds(const struct collector *c);

/* Write the meta lines (JSON), enable the programs and start the threads. */
struct err *collector_start(struct collector *c);

enum collector_event {
	COLLECTOR_TIMEOUT = 0,
	COLLECTOR_LIMIT,  /* max_calls reached and the open calls have returned */
	COLLECTOR_CLOSED, /* the reader of out_fd went away (EPIPE) */
	COLLECTOR_FAILED, /* writing failed (disk full …): collector_failure() says why */
	COLLECTOR_EXITED, /* every process given by collector_allow_pid() has ended */
};

/* Wait at most timeout_ms. Safe to call without Python's lock. */
enum collector_event collector_wait(struct collector *c, int timeout_ms);
const char *collector_failure(struct collector *c);

/* Stop all probes from doing anything, at once: one map update. Async-signal-safe, idempotent. */
void collector_disable(struct collector *c);

/* Drain what is there, close open calls ("detached"), write the summary (JSON), join the threads. Links stay until destroy. */
struct err *collector_stop(struct collector *c);

struct collector_function_summary {
	const char *name;
	uint32_t fid;
	uint64_t entry_hits, duplicates, calls_written, filtered, sampled, limited, calls_lost;
	uint64_t return_hits, returns_written, unpaired, filtered_returns, sampled_returns, limited_returns,
		returns_lost;
	uint64_t unwound; /* made-up returns */
	uint64_t read_failures;
	uint64_t undecidable;              /* filtered, because what the condition asks could not be read */
	uint64_t unfinished;               /* filtered, because they had not returned when their return should decide */
	uint64_t counted, counted_returns; /* in the sums; 0 with MODE_TRACE */
	uint64_t changed, unchanged;       /* rewriting: hits at which all was written; at which something was not */
};

struct collector_summary {
	double duration_s;
	uint64_t lost; /* calls_lost + returns_lost + misses */
	/* Hits for which the kernel did not run the program, or had no room to tell of the end of a goroutine's calls. */
	uint64_t misses;
	/* Values shown short or not at all, and what would show them: cut at the options' bounds, in float registers, for want of room in the
	 * record, for other reasons. */
	uint64_t cut_strings, cut_lists, cut_pointers, in_float, record_full, unreadable;
	bool reconciled;                         /* the accounting holds for every function and in total */
	struct collector_function_summary total; /* name NULL */
	uint32_t n_functions;
	const struct collector_function_summary *functions;
	uint32_t n_telemetry;
	const struct telemetry_count {
		const char *file;
		uint32_t line;
		int32_t error;
		uint64_t count;
	} * telemetry;
};

/* Valid after collector_stop(), until destroy. */
const struct collector_summary *collector_summary(struct collector *c);

/* Write a recording (FORMAT_RECORDING, collector/recording.h) in the format that options name, to options->out_fd; what was asked when it
 * was made stands in it. *ret, where it is not NULL, is for collector_summary(), collector_failure() and collector_destroy().
 * ERR_MALFORMED says what is wrong with the file: what stands before the damage is written all the same. */
struct err *collector_replay(int fd, const struct collector_options *options, struct collector **ret);

/* ---- sums: valid from collector_load() until destroy, while tracing goes on too ------------------------------- */

/* Of one function (fid): calls that went into the sums so far. */
uint64_t collector_count(struct collector *c, uint32_t fid);

/* Calls of it that the programs let through so far, in any mode. */
uint64_t collector_calls(struct collector *c, uint32_t fid);

/* MODE_HIST: durations of one function, DURATION_CLASSES of bpf_c/record.h, and what they add up to. */
struct collector_durations {
	uint64_t count, total_ns, max_ns;
	uint64_t known_ns, runnable_ns, blocked_ns; /* options.split: of those of which it is known; else 0 */
	uint64_t classes[DURATION_CLASSES];
};
struct err *collector_durations(struct collector *c, struct collector_durations *functions, uint32_t n_functions);

/* options.split: hits so far of runtime.casgstatus and of switched threads: what the splitting costs. */
struct split_hits collector_split_hits(struct collector *c);

/* With --by: one for each function and value that came, and for what is summed together (enum group). */
struct collector_split {
	uint32_t fid, group; /* group: below GROUP_FIRST an enum group, and the value means nothing */
	struct group_key value;
	struct collector_durations durations;
};
struct err *collector_splits(struct collector *c, struct collector_split **ret, uint32_t *n_ret); /* free() */

/* Shortest duration (ns) of a class. */
uint64_t duration_class_start(uint32_t class);

/* MODE_STACK: one for each way that led to a function in a process. */
struct collector_stack {
	uint32_t fid, pid;
	uint64_t count;
	uint64_t bias;     /* load bias: addresses below are link addresses plus this */
	bool cut;          /* the stack itself was not kept: the table was full */
	uint32_t n_frames; /* the function itself first, then return addresses, outermost last */
	uint64_t frames[STACK_FRAMES + 1];
};
struct err *collector_stacks(struct collector *c, struct collector_stack **ret, uint32_t *n_ret); /* free() */

#endif
