/* SPDX-License-Identifier: Apache-2.0 */
/* Links: one uprobe_multi link for each program and file, or one perf event with a cookie for each site.
 *
 * The file is named by its descriptor (/proc/self/fd/N): what was planned is what is probed, also if the path leads elsewhere by now. */
#include <bcc/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "doctor.h"
#include "load.h"

#define ATTACH_TYPE_UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI, Linux 6.6 */
#define UPROBE_PMU_TYPE "/sys/bus/event_source/devices/uprobe/type"

/* The start of union bpf_attr for BPF_LINK_CREATE with a uprobe_multi link (Linux 6.6), which older headers lack. */
struct multi_attr {
	__u32 prog_fd, target_fd, attach_type, flags;
	__u64 path, offsets, ref_ctr_offsets, cookies;
	__u32 cnt, multi_flags, pid, reserved;
};

struct err *collector_unchanged(const struct collector_plan *p)
{
	const struct file_id *id = &p->plan->binary.id;
	struct stat st;

	if (fstat(p->fd, &st))
		return err_create(ERR_IO, "%s: %s", plan_string(p->plan, p->plan->binary.path), strerror(errno));
	if (id->dev != st.st_dev || id->ino != st.st_ino || id->size != (uint64_t)st.st_size ||
	    id->mtime_ns != (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec)
		return err_create(ERR_CHANGED, "%s has changed since it was read; hint: start again",
				  plan_string(p->plan, p->plan->binary.path));
	return NULL;
}

static struct err *keep(int **v, size_t *n, int fd)
{
	int *more = realloc(*v, (*n + 1) * sizeof(**v));

	if (!more) {
		close(fd);
		return &err_nomem;
	}
	*v = more;
	(*v)[(*n)++] = fd;
	return NULL;
}

static struct err *refused(const char *what)
{
	int error = errno;

	return err_create(error == EPERM || error == EACCES ? ERR_PRIVILEGE : ERR_KERNEL, "%s: %s", what,
			  strerror(error));
}

bool multi_links_exist(int prog_fd)
{
	__u64 offset = 0;
	struct multi_attr attr = { .prog_fd = prog_fd,
				   .attach_type = ATTACH_TYPE_UPROBE_MULTI,
				   .path = (uintptr_t) "/",
				   .offsets = (uintptr_t)&offset,
				   .cnt = 1 };
	int fd = bpf_call(BPF_LINK_CREATE, &attr, sizeof(attr));

	if (fd >= 0)
		close(fd);
	/* EBADF: it has looked at the path, which is no file. EINVAL: it does not know what is asked for. */
	return fd >= 0 || errno == EBADF;
}

/* Is it the return of a function that consists of it: where the call is seen too? The function's entry site comes first. */
static bool is_whole_function(const struct plan *plan, uint32_t site)
{
	return site && plan->sites[site].kind == SITE_RETURN && plan->sites[site - 1].kind == SITE_ENTRY &&
	       plan->sites[site].addr == plan->sites[site - 1].addr;
}

/* The sites of one plan that use one variant: file offsets and cookies. `first`: those that are to be attached before all others. */
static size_t gather(const struct collector *c, const struct collector_plan *p, int variant, bool first,
		     uint64_t *offsets, uint64_t *cookies)
{
	size_t n = 0;

	if (variant == PROGRAM_GOEXIT) {
		if (first)
			return 0;
		for (const struct collector_plan *before = c->plans; before < p; before++)
			if (before->plan->binary.id.ino == p->plan->binary.id.ino &&
			    before->plan->binary.id.dev == p->plan->binary.id.dev)
				return 0; /* one for each file */
		offsets[0] = p->plan->binary.goexit_off;
		cookies[0] = 0;
		return keeps_goids(c, p->plan);
	}
	if (variant == PROGRAM_SWITCH)
		return 0; /* attach_switch() */
	if (variant == PROGRAM_STATUS) {
		offsets[0] = c->options.split.file_off;
		cookies[0] = 0;
		return offsets[0] && !first && p == c->plans;
	}
	if (variant == PROGRAM_UNWOUND) {
		for (uint32_t i = 0; i < PLAN_UNWINDS && !first && count_unwinds(c, p->plan); i++) {
			if (!p->plan->binary.unwinds[i].file_off)
				continue;
			offsets[n] = p->plan->binary.unwinds[i].file_off;
			cookies[n++] = c->n_sites + p->binary_id * PLAN_UNWINDS + i;
		}
		return n;
	}
	for (uint32_t i = 0; i < p->plan->n_sites; i++) {
		if ((int)site_variant(c, &p->plan->sites[i]) != variant || is_whole_function(p->plan, i) != first ||
		    !rewriting_uses(c, &p->plan->sites[i]))
			continue;
		offsets[n] = p->plan->sites[i].file_off;
		cookies[n++] = p->first_site + i;
	}
	return n;
}

/* The one process that is asked for, where a link can be for it alone: then no other runs into the probes. 0: any. */
static uint32_t link_pid(struct collector *c)
{
	struct loader *l = c->loader;

	if (!c->options.filter_pids || l->n_pids != 1)
		return 0;
	struct err *err = doctor_try(DOCTOR_MULTI_PID);
	bool works = !err;
	err_destroy(err);
	return works ? l->only_pid : 0;
}

static struct err *attach_multi(struct collector *c, int variant, const char *path, uint64_t *offsets,
				uint64_t *cookies, size_t n)
{
	struct multi_attr attr = { .prog_fd = c->loader->programs[variant].fd,
				   .attach_type = ATTACH_TYPE_UPROBE_MULTI,
				   .path = (uintptr_t)path,
				   .offsets = (uintptr_t)offsets,
				   .cookies = (uintptr_t)cookies,
				   .cnt = n,
				   .pid = c->loader->link_pid };
	int fd = bpf_call(BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? refused("attaching a uprobe_multi link") : keep(&c->loader->links, &c->loader->n_links, fd);
}

static int uprobe_pmu(void)
{
	FILE *f = fopen(UPROBE_PMU_TYPE, "re");
	int type = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%d", &type) != 1)
		type = -1;
	fclose(f);
	return type;
}

static struct err *attach_perf(struct collector *c, int variant, const char *path, const uint64_t *offsets,
			       const uint64_t *cookies, size_t n)
{
	int type = uprobe_pmu();

	if (type < 0)
		return err_create(ERR_KERNEL, "this kernel has no uprobes (%s is not there)", UPROBE_PMU_TYPE);
	for (size_t i = 0; i < n; i++) {
		struct perf_event_attr event = {
			.type = type, .size = sizeof(event), .config1 = (uintptr_t)path, .config2 = offsets[i]
		};
		/* every process, so a CPU must be named; the probe itself knows no CPU */
		int fd = syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
		if (fd < 0)
			return refused("opening a uprobe event");
		struct err *err = keep(&c->loader->events, &c->loader->n_events, fd);
		if (err)
			return err;
		union bpf_attr attr = {};
		attr.link_create.prog_fd = c->loader->programs[variant].fd;
		attr.link_create.target_fd = fd;
		attr.link_create.attach_type = BPF_PERF_EVENT;
		attr.link_create.perf_event.bpf_cookie = cookies[i];
		int link = bpf_call(BPF_LINK_CREATE, &attr, sizeof(attr));
		if (link < 0)
			return refused("attaching a program with a cookie to a uprobe event");
		err = keep(&c->loader->links, &c->loader->n_links, link);
		if (err)
			return err;
	}
	return NULL;
}

static struct err *attach_plan(struct collector *c, const struct collector_plan *p)
{
	size_t max = p->plan->n_sites > PLAN_UNWINDS ? p->plan->n_sites : PLAN_UNWINDS;
	uint64_t *offsets _cleanup_free_ = calloc(max, sizeof(*offsets));
	uint64_t *cookies _cleanup_free_ = calloc(max, sizeof(*cookies));
	char path[64];
	struct err *err = NULL;

	if (!offsets || !cookies)
		return &err_nomem;
	err = collector_unchanged(p);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p->fd);
	/* Where two probes are at one place the kernel runs the one that came last first (kernel/events/uprobes.c, consumer_add): the call
	 * must be seen before its return. */
	for (int i = 0; i < 2 * PROGRAM_VARIANTS && !err; i++) {
		int v = i % PROGRAM_VARIANTS;
		size_t n = gather(c, p, v, i < PROGRAM_VARIANTS, offsets, cookies);
		if (!n)
			continue;
		err = c->attach == ATTACH_MULTI ? attach_multi(c, v, path, offsets, cookies, n)
						: attach_perf(c, v, path, offsets, cookies, n);
	}
	return err ? err_wrap(err, "%s", plan_string(p->plan, p->plan->binary.path)) : NULL;
}

static struct err *attach_switch(struct collector *c)
{
	union bpf_attr attr = {};
	int fd;

	attr.raw_tracepoint.name = (uintptr_t) "sched_switch";
	attr.raw_tracepoint.prog_fd = c->loader->programs[PROGRAM_SWITCH].fd;
	fd = bpf_call(BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof(attr));
	return fd < 0 ? refused("attaching to the raw tracepoint sched_switch")
		      : keep(&c->loader->links, &c->loader->n_links, fd);
}

/* Closing a perf event makes the kernel wait until no program runs any more, one event after the other: 70 to 130 ms each. */
#define DETACH_SECONDS 0.1
#define PERF_SITES_MAX 200 /* without --force */

static size_t perf_events(const struct collector *c)
{
	size_t n = c->n_sites;

	if (!c->loader || c->attach != ATTACH_PERF)
		return 0;
	n += c->options.split.file_off != 0;
	for (uint32_t i = 0; i < c->n_plans; i++)
		n += keeps_goids(c, c->plans[i].plan) + count_unwinds(c, c->plans[i].plan);
	return n;
}

double collector_detach_seconds(const struct collector *c)
{
	return perf_events(c) * DETACH_SECONDS;
}

struct err *collector_attach(struct collector *c)
{
	if (!c->loader)
		return err_create(ERR_USAGE, "nothing is loaded");
	if (perf_events(c) > PERF_SITES_MAX && !c->options.force)
		return err_create(ERR_KERNEL,
				  "%zu probes: this kernel takes them away one by one, which needs up to %.0f s, so "
				  "more than %d are "
				  "not put in place unasked; hint: choose fewer functions, or give --force",
				  perf_events(c), collector_detach_seconds(c), PERF_SITES_MAX);
	if (c->attach == ATTACH_MULTI)
		c->loader->link_pid = link_pid(c);
	if (c->loader->link_pid) {
		c->loader->control.filter_pids = 0; /* the kernel has done it when the programs run */
		maps_set_enabled(c, false);
	}
	for (uint32_t i = 0; i <= c->n_plans; i++) {
		struct err *err = i < c->n_plans              ? attach_plan(c, &c->plans[i])
				  : c->options.split.file_off ? attach_switch(c)
							      : NULL;
		if (err) {
			collector_detach(c);
			return err;
		}
	}
	return NULL;
}

/* Several threads would hardly be faster: the kernel does it under one lock (1.2 times on 6.1). */
void collector_detach(struct collector *c)
{
	struct loader *l = c->loader;

	if (!l)
		return;
	for (size_t i = 0; i < l->n_links; i++)
		close(l->links[i]);
	for (size_t i = 0; i < l->n_events; i++)
		close(l->events[i]);
	free(l->links);
	free(l->events);
	l->links = l->events = NULL;
	l->n_links = l->n_events = 0;
}
