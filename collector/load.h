/* SPDX-License-Identifier: Apache-2.0 */
/* Loading the programs of a blob (blob.h), and what is kept of that. */
#ifndef COLLECTOR_LOAD_H
#define COLLECTOR_LOAD_H

#include "internal.h"

enum program_variant {
	PROGRAM_REGS,
	PROGRAM_FEW,
	PROGRAM_MANY,
	PROGRAM_DEEP,
	PROGRAM_GOEXIT,
	PROGRAM_UNWOUND,
	PROGRAM_COUNT,
	PROGRAM_HIST,
	PROGRAM_STACK,
	PROGRAM_STATUS, /* hist --split: runtime.casgstatus */
	PROGRAM_SWITCH, /* and the raw tracepoint sched_switch */
	PROGRAM_VARIANTS
};

#define FEW_STEPS 4 /* most that call_few is compiled for */

struct loaded_program {
	int fd; /* -1: not needed, or not loaded */
	size_t n_insns;
	struct bpf_insn *insns;
	size_t n_short; /* of call_deep: what is loaded in its place where the verifier gives up on it; 0: none */
	struct bpf_insn *shorter;
	uint32_t n_sites; /* sites that use it */
};

struct loader {
	char cflags[384];
	uint32_t data_max, chunk_max, steps_list; /* -DDATA_MAX, -DCHUNK_MAX, -DSTEPS_LIST */
	uint32_t few_steps;                       /* -DFEW_STEPS; 0: no site runs call_few */
	uint32_t stack_max;                       /* -DSTACK_MAX; 0: no stacks */
	bool guard_sleepable;
	bool perform_ret, sleepable;                   /* -DPERFORM_RET, -DSLEEPABLE */
	bool where, where_goid, where_table, where_by; /* -DWHERE, … (bpf_c/where.h) */
	bool shortened;                                /* call_deep_short is loaded in call_deep's place */
	struct loaded_program programs[PROGRAM_VARIANTS];
	char report[1024];
	size_t n_links;
	int *links; /* descriptors of links */
	size_t n_events;
	int *events;               /* descriptors of perf events, where attached so */
	uint32_t n_pids, only_pid; /* processes allowed; the last of them */
	uint32_t link_pid;         /* attach.c: whose links are; 0: anyone's */
	struct control control;    /* as last written; `enabled` is set by maps_set_enabled() */
};

/* The loader's state, made when it is first asked for. */
struct err *loader_get(struct collector *c, struct loader **ret);

bool keeps_goids(const struct collector *c, const struct plan *plan);

/* Of the places of one plan where calls end that do not return, how many are to be probed. The i-th of the plan p is site
 * c->n_sites + p * PLAN_UNWINDS + i. */
uint32_t count_unwinds(const struct collector *c, const struct plan *plan);

/* Which program a site needs. */
enum program_variant site_variant(const struct collector *c, const struct plan_site *site);

/* Load one variant for an attach type (0 for perf events, BPF_TRACE_UPROBE_MULTI); the descriptor, or −1 with errno and the verifier's
 * last lines in `log`. */
int program_load(struct collector *c, enum program_variant variant, uint32_t attach_type, char *log, size_t log_size);

/* Has this kernel links for many uprobes? By asking for one that cannot be. */
bool multi_links_exist(int prog_fd);

/* bpf(2). */
long bpf_call(int cmd, void *attr, size_t size);

/* All maps that the trace needs, and what is in them (fill.c). */
struct err *maps_make(struct collector *c, struct loader *l);
struct err *maps_fill(struct collector *c, struct loader *l);

/* Descriptor of the map that the programs know by this name; −1: there is none. */
int map_by_name(const struct collector *c, const char *name);

/* One entry of an array map. */
struct err *map_put(int fd, const char *map, uint32_t key, const void *value);

#endif
