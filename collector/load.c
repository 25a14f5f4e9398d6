/* SPDX-License-Identifier: Apache-2.0 */
/* Loading the programs. The compiler's output names maps, whose descriptors are put into the instructions. */
#include "load.h"

#include <bcc/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blob.h"
#include "btf.h"
#include "mappings.h"

#define CPUS_MAX 8192        /* CONFIG_NR_CPUS of the largest kernels */
#define LOG_SIZE (16u << 20) /* before Linux 6.4 the beginning of a longer log is kept, not the reason at its end */

static const char *const variant_names[PROGRAM_VARIANTS] = {
	[PROGRAM_REGS] = "call_regs",    [PROGRAM_FEW] = "call_few",          [PROGRAM_MANY] = "call_many",
	[PROGRAM_DEEP] = "call_deep",    [PROGRAM_GOEXIT] = "goroutine_exit", [PROGRAM_UNWOUND] = "goroutine_unwound",
	[PROGRAM_COUNT] = "count_hit",   [PROGRAM_HIST] = "hist_hit",         [PROGRAM_STACK] = "stack_hit",
	[PROGRAM_STATUS] = "status_hit", [PROGRAM_SWITCH] = "thread_switch",
};

long bpf_call(int cmd, void *attr, size_t size)
{
	return syscall(SYS_bpf, cmd, attr, size);
}

static int map_of(const void *to, const char *name)
{
	return map_by_name(to, name);
}

/* Keep the instructions of a program that sites may need. */
static struct err *take_program(void *to, struct blob_program *program)
{
	struct loaded_program *programs = ((struct collector *)to)->loader->programs, *deep = &programs[PROGRAM_DEEP];
	int variant = -1;

	if (!strcmp(program->name, "call_deep_short") && !deep->shorter) {
		deep->shorter = program->insns;
		deep->n_short = program->n_insns;
		program->insns = NULL;
		return NULL;
	}
	for (int i = 0; i < PROGRAM_VARIANTS; i++)
		if (!strcmp(program->name, variant_names[i]))
			variant = i;
	if (variant < 0)
		return NULL;
	if (programs[variant].insns)
		return blob_damaged("a program twice");
	programs[variant].insns = program->insns;
	programs[variant].n_insns = program->n_insns;
	program->insns = NULL;
	return NULL;
}

/* Levels of the verifier's log: only its counts; every step, and at the end the reason. */
#define LOG_COUNTS 4
#define LOG_STEPS 1

/* The last lines of the verifier's log hold its reason and its count. */
static const char *log_tail(const char *log)
{
	size_t n = strlen(log);
	int lines = 0;

	while (n && log[n - 1] == '\n')
		n--;
	while (n && (log[n - 1] != '\n' || ++lines < 3))
		n--;
	return log + n;
}

int program_load(struct collector *c, enum program_variant variant, uint32_t attach_type, char *log, size_t log_size)
{
	struct loaded_program *p = &c->loader->programs[variant];
	union bpf_attr attr = {};

	attr.prog_type = variant == PROGRAM_SWITCH ? BPF_PROG_TYPE_RAW_TRACEPOINT : BPF_PROG_TYPE_KPROBE;
	attr.insn_cnt = p->n_insns;
	attr.insns = (uintptr_t)p->insns;
	attr.license = (uintptr_t) "Dual BSD/GPL";
	attr.expected_attach_type = variant == PROGRAM_SWITCH ? 0 : attach_type;
	if (c->loader->sleepable && variant != PROGRAM_GOEXIT)
		attr.prog_flags = BPF_F_SLEEPABLE;
	snprintf(attr.prog_name, sizeof(attr.prog_name), "%s", variant_names[variant]);
	if (log) {
		log[0] = 0;
		attr.log_level = LOG_COUNTS;
		attr.log_buf = (uintptr_t)log;
		attr.log_size = log_size;
	}
	int fd = bpf_call(BPF_PROG_LOAD, &attr, sizeof(attr)), error = errno;
	if (fd >= 0 || !log || !*log)
		return fd;
	/* Once more for the reason, which older kernels leave out of a log of counts. */
	attr.log_level = LOG_STEPS;
	fd = bpf_call(BPF_PROG_LOAD, &attr, sizeof(attr));
	errno = error;
	return fd;
}

static void add_report(struct loader *l, const char *name, size_t n_insns, const char *log)
{
	const char *processed = strstr(log, "processed ");
	unsigned long long seen = 0;
	size_t used = strlen(l->report);

	if (processed)
		sscanf(processed, "processed %llu", &seen);
	snprintf(l->report + used, sizeof(l->report) - used,
		 "%s%s: %zu instructions, the verifier followed %llu of 1000000", used ? "; " : "", name, n_insns,
		 seen);
}

/* Where the verifier cannot follow call_deep its shorter form is loaded; TRACER_CALL_DEEP=short asks for that. */
static struct err *load_variant(struct collector *c, struct loader *l, int variant, uint32_t attach_type)
{
	struct loaded_program *p = &l->programs[variant];
	char *log _cleanup_free_ = malloc(LOG_SIZE);

	if (!log)
		return &err_nomem;
	if (!p->insns)
		return blob_damaged("a program is missing");
	const char *name = variant_names[variant], *asked = getenv("TRACER_CALL_DEEP");
	bool is_short = p->shorter && asked && !strcmp(asked, "short");

	p->fd = is_short ? -1 : program_load(c, variant, attach_type, log, LOG_SIZE);
	if (p->fd < 0 && p->shorter && (is_short || errno != EPERM)) {
		free(p->insns);
		p->insns = p->shorter;
		p->n_insns = p->n_short;
		p->shorter = NULL;
		l->shortened = true;
		name = "call_deep_short";
		p->fd = program_load(c, variant, attach_type, log, LOG_SIZE);
	}
	if (p->fd < 0) {
		int error = errno;
		if (error == EPERM && !*log)
			return err_create(ERR_PRIVILEGE, "the kernel refuses to load BPF programs: %s",
					  strerror(error));
		return err_create(ERR_KERNEL, "program %s does not load: %s: %s", name, strerror(error), log_tail(log));
	}
	add_report(l, name, p->n_insns, log);
	return NULL;
}

#define ATTACH_TYPE_UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI, Linux 6.6 */

/* Does the kernel have uprobe_multi links? Asked with a program that does nothing, and before the real ones are loaded: programs of
 * one attach type cannot be given maps of programs that those of another have named (`nothing`). */
static bool has_multi(void)
{
	struct bpf_insn insns[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K }, { .code = BPF_JMP | BPF_EXIT } };
	union bpf_attr attr = {};
	bool there;
	int fd;

	attr.prog_type = BPF_PROG_TYPE_KPROBE;
	attr.insn_cnt = sizeof(insns) / sizeof(*insns);
	attr.insns = (uintptr_t)insns;
	attr.license = (uintptr_t) "Dual BSD/GPL";
	attr.expected_attach_type = ATTACH_TYPE_UPROBE_MULTI;
	fd = bpf_call(BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd < 0)
		return false;
	/* before Linux 6.6 an attach type that is not known is no reason to refuse a program */
	there = multi_links_exist(fd);
	close(fd);
	return there;
}

static struct err *load_programs(struct collector *c, struct loader *l)
{
	bool multi = c->options.attach != ATTACH_PERF && has_multi();

	if (c->options.attach == ATTACH_MULTI && !multi)
		return err_create(ERR_KERNEL, "this kernel has no uprobe_multi links");
	for (int v = 0; v < PROGRAM_VARIANTS; v++) {
		struct err *err = NULL;

		if (l->programs[v].n_sites)
			err = load_variant(c, l, v, multi ? ATTACH_TYPE_UPROBE_MULTI : 0);
		if (err)
			return err;
	}
	c->attach = multi ? ATTACH_MULTI : ATTACH_PERF;
	return NULL;
}

/* Values in a per-CPU map: the kernel writes one for every possible CPU, so this must not be too few. */
static uint32_t possible_cpus(void)
{
	FILE *f = fopen("/sys/devices/system/cpu/possible", "re");
	unsigned last = CPUS_MAX - 1, first, n;
	char sep = ',';

	/* "0-3" or "0,2-5": the last number counts */
	if (f) {
		last = 0;
		while (sep == ',' && (n = fscanf(f, "%u-%u", &first, &last)) >= 1) {
			if (n == 1)
				last = first;
			if (fscanf(f, "%c", &sep) != 1)
				break;
		}
		fclose(f);
	}
	return last < CPUS_MAX ? last + 1 : CPUS_MAX;
}

static bool needs_tls(const struct collector *c)
{
	for (uint32_t i = 0; i < c->n_sites; i++)
		if (c->site_refs[i].site->g_source == G_TLS)
			return true;
	for (uint32_t i = 0; i < c->n_plans * PLAN_UNWINDS; i++)
		if (c->plans[i / PLAN_UNWINDS].plan->binary.unwinds[i % PLAN_UNWINDS].g_source == G_TLS)
			return true;
	return false;
}

struct err *collector_load(struct collector *c, const void *blob, size_t size)
{
	struct loader *l;
	struct err *err = loader_get(c, &l);

	if (err)
		return err;
	collector_cflags(c);
	if (c->options.split.file_off && !btf_task_pid_offset(&l->control.task_pid_off))
		return err_create(ERR_KERNEL, "durations cannot be split: the kernel's type information "
					      "(/sys/kernel/btf/vmlinux) is not there");
	c->ncpu = possible_cpus();
	l->control.filter_pids = c->options.filter_pids;
	l->control.max_calls = c->options.max_calls;
	l->control.max_rate = c->options.max_rate;
	l->control.sample_each = c->options.sample_each;
	if (needs_tls(c))
		btf_fsbase_offset(&l->control.fsbase_off); /* without it those sites show no goroutine */
	err = maps_make(c, l);
	if (!err)
		err = maps_fill(c, l);
	const struct blob_reader reader = { .to = c, .map_fd = map_of, .take = take_program };
	if (!err)
		err = blob_read(blob, size, &reader);
	if (!err && !l->sleepable) {
		/* else what cannot be read is no address of the program */
		c->fault_arg = mappings_create();
		c->fault_why = c->fault_arg ? mappings_fault_why : NULL;
	}
	return err ? err : load_programs(c, l);
}

const char *collector_load_report(struct collector *c)
{
	return c->loader ? c->loader->report : "";
}

bool collector_shortened(const struct collector *c)
{
	return c->loader && c->loader->shortened;
}

void collector_loader_destroy(struct collector *c)
{
	int *fds[] = { &c->maps.off_times, &c->maps.threads,    &c->maps.off_begun, &c->maps.split_hits,
		       &c->maps.sites,     &c->maps.steps,      &c->maps.counters,  &c->maps.control,
		       &c->maps.pids,      &c->maps.telemetry,  &c->maps.events,    &c->maps.scratch,
		       &c->maps.blank,     &c->maps.goids,      &c->maps.nothing,   &c->maps.stacks,
		       &c->maps.callers,   &c->maps.open_calls, &c->maps.durations, &c->maps.flat,
		       &c->maps.dispatch,  &c->maps.writes,     &c->maps.waiting,   &c->maps.groups,
		       &c->maps.claims,    &c->maps.slots };

	collector_detach(c);
	c->fault_why = NULL;
	mappings_destroy(c->fault_arg);
	c->fault_arg = NULL;
	if (c->loader) {
		for (int i = 0; i < PROGRAM_VARIANTS; i++) {
			if (c->loader->programs[i].fd >= 0)
				close(c->loader->programs[i].fd);
			free(c->loader->programs[i].insns);
			free(c->loader->programs[i].shorter);
		}
		free(c->loader);
		c->loader = NULL;
	}
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
