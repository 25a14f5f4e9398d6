/* SPDX-License-Identifier: Apache-2.0 */
/* What this kernel lets us do, each found out by doing it: a tiny program of hand-made instructions, loaded with bpf(2)
 * and, where it is about probes, attached to a function of our own that is then called. Needs no compiler. */
#ifndef COLLECTOR_DOCTOR_H
#define COLLECTOR_DOCTOR_H

#include <stdbool.h>

#include "../offsets/error.h"

enum doctor_check {
	DOCTOR_BPF,              /* a map and a program of type kprobe (uprobes are of that type) */
	DOCTOR_UPROBE_PERF,      /* a probe through the perf uprobe PMU; it fired */
	DOCTOR_UPROBE_MULTI,     /* a probe through a uprobe_multi link; it fired */
	DOCTOR_COOKIE_PERF,      /* bpf_get_attach_cookie() gave the cookie of a BPF link on a perf event */
	DOCTOR_COOKIE_MULTI,     /* the same of a uprobe_multi link */
	DOCTOR_RING_BUFFER,      /* a ring buffer map, and a program that writes to it */
	DOCTOR_PERF_BUFFER,      /* a perf event array, and a program that writes to it */
	DOCTOR_PROBE_READ_USER,  /* bpf_probe_read_user() */
	DOCTOR_PROBE_WRITE_USER, /* bpf_probe_write_user() (refused by lockdown) */
	DOCTOR_CONTEXT_WRITE,    /* a program that writes a register of the probed thread */
	DOCTOR_SLEEPABLE, /* a sleepable uprobe program with bpf_copy_from_user() that may be preempted, see doctor_stack_guard() */
	DOCTOR_KPROBE,         /* a probe on a kernel function */
	DOCTOR_RAW_TRACEPOINT, /* sched_switch; it fired */
	DOCTOR_BTF,            /* the kernel's own type information is there */
	DOCTOR_MEMLOCK,        /* a map larger than RLIMIT_MEMLOCK: the limit does not apply to maps */
	DOCTOR_MULTI_PID,      /* a uprobe_multi link for one process fires in each of its threads */
	DOCTOR_CAPABILITIES,   /* CAP_BPF and CAP_PERFMON alone are enough for a probe */
	DOCTOR_N_CHECKS,
};

/* Try it. NULL: it works. ERR_PRIVILEGE: only root may · ERR_KERNEL: refused or lacking, with the kernel's or the verifier's words.
 * Nothing stays loaded or attached. Checks do not depend on each other's outcome. */
struct err *doctor_try(enum doctor_check check);

/* From Linux 6.13 on a program of type kprobe has one stack a CPU ("private stack"), on the ground that it is never preempted. Those on
 * uprobes are, and sleepable ones sleep: two threads then write to one stack, records are mixed up, and a RET that is performed leads
 * anywhere. A program with a tail call in it keeps to the thread's stack, so all of ours have one, to nowhere (bpf_c/call.bpf.c).
 * Older kernels refuse the map for it to sleepable programs, and newer ones need it there: true where sleepable programs need one. */
bool doctor_private_stacks(void);

#endif
