/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the BPF programs and user space share: sites, steps, records, counters. Read by both sides from this one file.
 *
 * Offsets named "in the record" count bytes from the start of struct record. All integers are little endian, as the machine's.
 */
#ifndef BPF_RECORD_H
#define BPF_RECORD_H

#ifndef __BPF_TRACER__
#include <linux/types.h>
#endif

/* ---- places ---------------------------------------------------------------------------------------------- */

/* Index in struct record.regs: the integer argument registers of Go's ABIInternal in their order, then the closure context.
 * amd64 (abi-internal.md, "amd64 architecture"): RAX RBX RCX RDI RSI R8 R9 R10 R11, RDX. */
#define RECORD_REGS 10

enum location_kind {
	LOC_NONE = 0,
	LOC_REGISTER = 1, /* index: in struct record.regs */
	LOC_STACK = 2,    /* offset: bytes from the stack pointer at the hit */
	LOC_CHUNK = 3,    /* index: the step that read the chunk; offset: bytes into what it read */
	LOC_SP = 4,   /* the stack pointer itself plus offset is the word: what lies on the stack is read through it */
	LOC_ITEM = 5, /* in a list that STEP_EACH runs: offset: bytes into the item in hand */
	LOC_DATA = 6, /* in a list that STEP_DISPATCH runs: the interface's data word itself, plus offset */
	LOC_CONSTANT = 7, /* of a piece of a value alone: nothing is read, the plan has the bytes */
};

/* Where one 8-byte word stands. */
typedef struct location {
	__u16 kind; /* enum location_kind */
	__u16 index;
	__s32 offset;
} location_t;

/* Where the words of a slice (or string: without cap) stand. */
typedef struct slice_location {
	location_t ptr;
	location_t len;
} slice_location_t;

/* ---- steps ----------------------------------------------------------------------------------------------- */

enum step_op {
	STEP_END = 0,
	STEP_READ = 1, /* read `len` bytes at (word of src.ptr) + off */
	/* read min((word of src.len + plus - n) * len, max) bytes at (word of src.ptr) + off; len is the element's size, n the elements that
	 * are passed over, which off is the size of. A count that does not reach past them is passed over. */
	STEP_COUNTED = 2,
	/* The others are known to the program call_deep alone, which takes its steps from the map `flat`. */
	STEP_UNLESS = 3,  /* STEP_READ where the word of src.len was read and is 0 */
	STEP_SHIFTED = 4, /* STEP_COUNTED, the count being 1 << (lowest byte of the word of src.len, minus plus) */
	/* Run a list of n steps, the first of which is `off`, for each item of len bytes: of those that the chunk src.ptr holds from its
	 * offset on (LOC_CHUNK), of max within the item in hand (LOC_ITEM); at most max. With `plus`, which is an enum slots, the items are
	 * the 8 slots of a map's group in hand, of which those are taken that are live by the 8 bytes at src.len. */
	STEP_EACH = 5,
	/* Run the list that the map `dispatch` has for a run-time type, in group max. The type is the word of src.ptr, or where len is not 0
	 * the word that lies len bytes behind it, of which a chunk is made. The word of src.len is the interface's data. */
	STEP_DISPATCH = 6,
};

enum slots {
	SLOTS_OLD = 1,   /* live: from 5 on (runtime/map.go, minTopHash) */
	SLOTS_SWISS = 2, /* live: the top bit is 0 (internal/runtime/maps/group.go) */
};

/* A nil pointer, a count of 0, and a step whose source chunk was not read are passed over: they leave no chunk. */
struct step {
	__u8 op;
	__u8 plus; /* STEP_COUNTED: added to the count; STEP_SHIFTED: taken from the shift */
	__u16 n; /* STEP_COUNTED: elements passed over. STEP_EACH: steps of its list; in a plan `off` is the list's index and n is 0 */
	__u32 len; /* bytes; of one element where counted */
	__u32 max; /* bytes, at most this is read */
	__s32 off; /* added to the pointer */
	slice_location_t src;
};

/* Of one list: what the verifier follows on every kernel tried (docs/design.md, "The step loop"). */
#define STEPS_MAX 128

/* call_deep: lists that one record has run or waiting, and turns of its loop (a step, or the next item or list). */
#define JOBS_MAX 128
#define TURNS_MAX 256
#define TURNS_SHORT 96 /* of call_deep_short, for kernels whose verifier cannot follow so many */
#define TURNS_REWRITE 24

/* -DCOMPACT: records that one CPU can have in hand, of threads that were preempted or sleep; a hit beyond them is lost, and counted. */
#define CPU_SLOTS 4

/* Bytes behind the record proper that call_deep keeps its state in (deep.h). */
#define DEEP_STATE (72 + 8 + 32 * JOBS_MAX)

struct dispatch_key {
	__u64 type; /* link address of a run-time type; 0: the list for types that are not in the map */
	__u64 group;
};

struct dispatch_list {
	__u32 first, n; /* steps, in `flat` */
};

/* ---- conditions (where.h) -------------------------------------------------------------------------------- */

#define WHERE_KEPT_MAX 6 /* words that a call keeps from its entry for what its return is asked */

enum waiting_state {
	WAITING_WANTED = 0,    /* the entry has decided, and it was taken */
	WAITING_UNDECIDED = 1, /* the return decides */
	WAITING_SAMPLED = 2,   /* wanted, and left out by --sample */
	WAITING_LIMITED = 3,   /* wanted, and past --max-events or --max-rate */
	WAITING_LOST = 4,      /* wanted, and there was no room for it */
};

/* A call that has not returned, of a function with a condition (map `waiting`, key: struct open_key). The map forgets the oldest when it is
 * full; how many that were comes out of fn_counters.waited. */
struct waiting_call {
	__u64 ts; /* CLOCK_MONOTONIC, ns */
	__u32 state;
	__u32 group; /* of hist --by */
	__u64 kept[WHERE_KEPT_MAX];
};

/* A value by which hist --by splits (map `groups`, value: u32 number of the group). */
#define GROUP_TEXT 32        /* bytes of a string that are told apart, besides its length */
#define SPLIT_GROUPS_MAX 256 /* values; calls with others are summed in GROUP_OTHER */

enum group_kind { GROUP_SIGNED = 1, GROUP_UNSIGNED, GROUP_BOOL, GROUP_STRING };

struct group_key {
	__u64 kind;  /* enum group_kind */
	__u64 value; /* of a string its length */
	__u8 text[GROUP_TEXT];
};

enum group {
	GROUP_OTHER = 0,
	GROUP_NOTHING = 1, /* there is no such value: WHERE_NOTHING */
	GROUP_UNREADABLE = 2,
	GROUP_FIRST = 3, /* from here on: the values */
};

/* ---- sites ----------------------------------------------------------------------------------------------- */

/* The first two are a function's own. The others are places of the run-time system at which calls end that do not return; their records
 * say which: those of goroutine `g` that are deeper than `sp`, at the others all. */
enum site_kind {
	SITE_ENTRY = 0,
	SITE_RETURN = 1,
	SITE_RECOVERY =
		2, /* runtime.recovery goes on in the function whose deferred call has recovered; `sp` is its stack pointer */
	SITE_FATAL_PANIC = 3, /* runtime.fatalpanic: nothing has recovered */
	SITE_GOEXIT = 4,      /* runtime.Goexit has run the deferred calls */
};

enum g_source {
	G_R14 = 0, /* ABIInternal: R14 (amd64); ABI0 of Go 1.17 and newer at the branch of the stack check */
	G_RCX = 1, /* ABI0 up to Go 1.16 at the branch of the stack check: the prologue has just loaded it */
	G_TLS = 2, /* *(thread pointer + tls_offset) */
};

enum site_flags {
	/* the instruction is the stack check's JBE: a hit that will branch (CF or ZF) is a duplicate */
	SITE_CHECK_BRANCH = 1,
	/* returns are traced: g.stack.hi is wanted for pairing */
	SITE_READ_STACK_HI = 2,
	/* the end of goroutines is watched (goroutine_exit): a goroutine id may be kept from hit to hit */
	SITE_KEEP_GOID = 4,
	/* a return that is probed before its RET, at the first instruction of the epilogue */
	SITE_BEFORE_RET = 8,
	/* there is a condition, and returns are probed: calls that it lets through are in the map `waiting` until they return */
	SITE_WAITS = 16,
	SITE_DECIDES_LATE = 32, /* the return decides whether a call is wanted */
	SITE_PASSES = 64,       /* the entry lets every call through: one that is not in `waiting` was not seen */
	SITE_GROUPS_LATE = 128, /* hist --by: the return tells by which value */
};

/* One per probe; the attach cookie is its index. */
struct site {
	__u64 addr;  /* link address; record.ip minus this is the load bias */
	__u32 fid;   /* function: index of the counters */
	__u32 steps; /* index of its step list (call_deep: of its first step); meaningless with n_steps 0 */
	__u16 n_steps;
	__u8 kind;     /* enum site_kind */
	__u8 flags;    /* enum site_flags */
	__u8 g_source; /* enum g_source */
	__u8 reserved;
	__u16 goid_off;   /* offset of goid in runtime.g; 0: not known */
	__u16 m_off;      /* offset of m in runtime.g */
	__u16 curg_off;   /* offset of curg in runtime.m; 0: not known */
	__s32 tls_offset; /* of g from the thread pointer (amd64: usually -8) */
	__u32 frame;      /* bytes from the stack pointer at the hit up to the return address */
	__u16 filter;     /* which of filters.h; 0: every call is wanted */
	__u16 reserved2;
};

/* ---- records --------------------------------------------------------------------------------------------- */

enum record_flags {
	REC_SYSTEM_STACK = 1, /* g is g0 or gsignal; goid is that of m.curg, 0 if none */
	REC_NO_G = 2,         /* g, or where its id stands, could not be found or read: goid is 0 */
	REC_NO_CURG = 4,      /* on the system stack and m.curg could not be read */
	REC_FULL = 8,         /* a step was left out because the record was full */
	REC_UNDECIDED = 16,   /* a call of which its return will tell whether it is wanted: held until then */
	REC_UNWANTED = 32,    /* a return that tells that its call is not; nothing was read */
};

struct record {
	__u64 ts; /* CLOCK_MONOTONIC, ns */
	__u64 ip; /* of the probed instruction; minus the site's link address: the load bias */
	__u64 sp;
	__u64 g; /* address of runtime.g, 0 if it could not be found */
	__u64 goid;
	__u64 stack_hi; /* g.stack.hi where SITE_READ_STACK_HI, else 0 */
	__u32 pid, tid; /* pid: thread group */
	__u32 site;
	__u16 flags; /* enum record_flags */
	__u16 gap; /* low bits of control.gaps of the goroutine: where two of its records differ in it, others between them may be lost */
	__u32 used; /* bytes of `data` written: chunks, one after the other */
	__u32 cursor; /* the step loop's own state; where rewritten, then the outcomes: 4 bits for each write (enum write_outcome) */
	__u64 regs[RECORD_REGS];
	/* then: __u8 data[] */
};

/* What one step read; the bytes follow, padded to 8. */
struct chunk {
	__u16 step;   /* index of the step in the site's list; STEP_OF_JOB is set where it stands in another list */
	__u16 status; /* enum chunk_status */
	__u32 len;    /* bytes that follow; 0 unless CHUNK_OK or CHUNK_SHORT */
	__u64 addr;   /* address that was read */
	__u64 count;  /* STEP_COUNTED: the count as the program had it (elements), else 0 */
};

#define STEP_OF_JOB 0x8000
#define STEP_STACK 0xffff /* no step's: the first chunk, struct stack_head and frames up to the first 0 (stack.h) */

/* ---- stacks ---------------------------------------------------------------------------------------------- */

#define STACK_FRAMES 127 /* PERF_MAX_STACK_DEPTH: the most that the kernel follows */

/* What the kernel's chain of frame pointers leaves out, and what tells whether it does: it begins with the instruction pointer, then goes on
 * from RBP, which is the caller's where the function has not set up its frame. At a `push` newer kernels put the caller in. */
struct stack_head {
	__u64 caller;    /* the return address on top of the frame; 0 if it could not be read */
	__u64 next;      /* the return address that RBP leads to; 0 if it could not be read */
	__u64 own_frame; /* RBP is the function's own */
};

enum chunk_status {
	CHUNK_OK = 0,
	CHUNK_SHORT = 1, /* less than the plan asked for, because the record was full */
	CHUNK_FAULT = 2, /* the address could not be read */
	CHUNK_FULL = 3,  /* no room in the record: nothing was read */
};

/* Most bytes that one step reads, by program variant (-DCHUNK_MAX) and most bytes of data in a record (-DDATA_MAX): powers of two. */

/* ---- counters -------------------------------------------------------------------------------------------- */

/* Per function and CPU, added up by user space. The accounting (docs/design.md, "Accounting") is made of these. */
struct fn_counters {
	__u64 entry_hits;
	__u64 duplicates; /* hits of the stack check that came again */
	__u64 filtered;   /* calls of processes that are not asked for, and those that --where does not let through */
	__u64 sampled;    /* calls that --sample leaves out */
	__u64 limited;    /* calls past --max-events or --max-rate */
	__u64 calls_lost; /* no room in the buffer */
	__u64 return_hits;
	__u64 filtered_returns;
	__u64 limited_returns;
	__u64 returns_lost;
	__u64 read_failures; /* chunks that are CHUNK_FAULT */
	__u64 undecidable;   /* filtered, because what --where asks could not be read */
	__u64 waited;        /* calls that went into `waiting` undecided */
	__u64 decided;       /* of them, those that came out again */
	__u64 unfinished;    /* of them, those that had not returned at the end; the collector's own count */
	__u64 untold; /* records that were sent of calls that are counted as filtered, sampled, limited or lost after all */
	/* aggregate.bpf.c; `trace` counts these where it writes, but for `unpaired` where there is a condition */
	__u64 counted;         /* calls that went into the sums */
	__u64 counted_returns; /* returns that did */
	__u64 unpaired;        /* returns whose call was not seen */
	__u64 sampled_returns; /* where the programs know which those are: with --where, and in rewrite.bpf.c */
	/* rewrite.bpf.c only */
	__u64 changed;   /* hits at which everything was written */
	__u64 unchanged; /* hits at which something could not be written */
};

/* A call that has not returned (map `open_calls`, value: u64 time of the call, ns; map `waiting`). g never moves, and the depth survives
 * stack growth. */
struct open_key {
	__u64 g;
	__u64 depth; /* g.stack.hi - address of the return address */
	__u32 pid, fid;
};

#define GAPS 256 /* a power of two */

/* One entry, index 0. */
struct control {
	__u32 enabled;      /* 0: every program returns at once and counts nothing */
	__u32 filter_pids;  /* 1: only processes in the map `pids` */
	__u64 max_calls;    /* 0: no limit */
	__u64 calls;        /* calls let through so far, where max_calls is set */
	__u64 exits;        /* goroutines that have ended: what was kept of them before is void */
	__u64 seen;         /* calls so far, where sample_each is set */
	__u64 max_rate;     /* calls a second; 0: no limit */
	__u64 rate_since;   /* CLOCK_MONOTONIC, ns: start of the second that is counted, where max_rate is set */
	__u64 rate_calls;   /* calls since then */
	__u32 sample_each;  /* one call of so many; 0: every call */
	__u32 fsbase_off;   /* offset of thread.fsbase in task_struct, for G_TLS; 0: not known */
	__u32 task_pid_off; /* offset of pid in task_struct, for split.h */
	__u32 reserved;
	__u64 groups;     /* values so far by which hist --by splits */
	__u64 zero;       /* where.h: what the verifier does not know */
	__u32 gaps[GAPS]; /* records that found no room, by a hash of the goroutine */
};

/* The goroutine that a CPU saw last (map `goids`, one entry a CPU). A program on a uprobe can be preempted while it writes this, so
 * `check` tells whether the words belong together. */
struct kept_goid {
	__u64 thread; /* pid << 32 | tid */
	__u64 g;
	__u64 goid;
	__u64 exits; /* control.exits when it was read: a g is used again only after its goroutine has ended */
	__u64 check;
};

/* ---- sums (aggregate.bpf.c) ------------------------------------------------------------------------------ */

/* Durations are summed in classes of which eight make an octave: a class is at most 1/8 wide. 0–7 ns are classes of their own. */
#define DURATION_SUB_BITS 3
#define DURATION_CLASSES 496 /* (64 - 3 + 1) * 8: every u64 */

struct duration_key {
	__u32 fid;
	__u16 class;
	__u16 group; /* hist --by, else 0 */
};

struct duration_sum { /* per CPU */
	__u64 count;
	__u64 total; /* ns */
	__u64 max; /* ns; a program that is preempted between reading and writing it can put back a smaller one of the same class */
	/* hist --split: of the calls of which it is known, ns in all, and of that without running. */
	__u64 known;
	__u64 runnable;
	__u64 blocked;
};

/* hist --split (split.h): what keeps a goroutine from running. */
enum off_why { OFF_NOT = 0, OFF_RUNNABLE = 1, OFF_BLOCKED = 2 };

struct goroutine_key { /* map `off_times`, value: struct off_time; value of the map `threads`, key: u32 thread */
	__u64 g;
	__u32 pid, zero;
};

struct off_time {
	__u64 since; /* CLOCK_MONOTONIC, ns; where it runs, of the last time that it did not */
	__u64 last;  /* ns: how long that was */
	__u64 runnable, blocked;
	__u32 why; /* enum off_why */
	__u32 zero;
};

struct off_begun { /* map `off_begun`, key: struct open_key: as it was at the call */
	__u64 runnable, blocked;
};

struct split_hits {     /* map `split_hits`, one entry a CPU */
	__u64 states;   /* hits of runtime.casgstatus */
	__u64 switches; /* threads that were switched */
};

/* Who calls (map `callers`, value: u64 count). */
struct caller_key {
	__u64 bias; /* instruction pointer of the hit; minus the site's link address: the load bias */
	struct stack_head head;
	__s64 stack; /* id in the map `stacks`, or the helper's negative error */
	__u32 site;
	__u32 pid;
};

/* ---- rewriting (rewrite.bpf.c) --------------------------------------------------------------------------- */

#define WRITES_MAX 8    /* of the entry, and of the returns: their outcomes fit the 32 bits of record.cursor */
#define WRITE_HOPS 4    /* pointers followed on the way to what is written */
#define WRITE_BYTES 256 /* most that one write puts into memory */

/* What a write begins with: itself, or with hops the pointer to follow first. */
enum write_base {
	WRITE_IN_REGISTERS = 0, /* reg[0]; the second word, or the length of what it points to: reg[1] */
	WRITE_ON_STACK = 1,     /* `offset` bytes from the stack pointer at the hit; the second word behind it */
};

enum write_source {
	WRITE_CONST = 0,    /* registers: word[]; memory: `len` bytes of `bytes` */
	WRITE_ADDRESS = 1,  /* word[0] is a link address, word[1] as it is */
	WRITE_VARIABLE = 2, /* the two words that stand at link address word[0]: an interface; not if it is nil */
	WRITE_STRING =
		3, /* what stands there is a string: its bytes become `bytes`, its length `len`, if it is not shorter */
};

/* A pointer on the way. It must not be nil. */
struct write_hop {
	__u32 offset; /* added to the pointer */
	__u32 bound;  /* the length beside the pointer must be at least this; 0: it has none */
};

/* Key of the map `writes`: enum site_kind * WRITES_MAX + its number. */
struct write {
	__u8 base;    /* enum write_base */
	__u8 source;  /* enum write_source */
	__u8 n_words; /* 1 or 2, where it is not bytes */
	__u8 n_hops;
	__u8 reg[2]; /* index in struct record.regs */
	__u16 len;   /* bytes; at most WRITE_BYTES */
	__s32 offset;
	__u32 reserved;
	struct write_hop hop[WRITE_HOPS];
	__u64 word[2];
	__u8 bytes[WRITE_BYTES];
};

enum write_outcome {
	WRITE_NOT_TRIED = 0,  /* or of no effect: another one failed, and it is all or nothing */
	WRITE_DONE = 1,       /* written, and read back */
	WRITE_REFUSED = 2,    /* the memory takes no writes */
	WRITE_DIFFERS = 3,    /* something else stands there after the write */
	WRITE_LONGER = 4,     /* the string there is shorter than the new one */
	WRITE_NIL = 5,        /* a pointer on the way is nil */
	WRITE_OUTSIDE = 6,    /* an index on the way is past the length */
	WRITE_UNREADABLE = 7, /* a pointer on the way cannot be read */
	WRITE_NIL_VARIABLE = 8,
	WRITE_PARTLY = 9, /* the bytes of a string, and not its length; or the first ones of them */
};

/* Errors seen inside BPF programs, by place: key of the map `telemetry`, value __u64 count. */
struct telemetry_key {
	__u16 file; /* enum bpf_file */
	__u16 line;
	__s32 error; /* what the helper returned */
};

enum bpf_file {
	BPF_FILE_CALL = 1,
	BPF_FILE_LOCATION = 2,
	BPF_FILE_GOROUTINE = 3,
	BPF_FILE_AGGREGATE = 4,
	BPF_FILE_DEEP = 5,
	BPF_FILE_REWRITE = 6,
	BPF_FILE_WHERE = 7,
	BPF_FILE_SPLIT = 8,
};

#define TELEMETRY_MAX 256 /* distinct places and errors; more are counted under {0,0,0} */

#endif
