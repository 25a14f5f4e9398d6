/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"

#include <bcc/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blob.h"
#include "load.h"
#include "ringbuf.h"

#define RING_SIZE (1u << 17) /* 5,000 events: a moment in which a machine starts as many processes */
#define KPROBE_PMU_TYPE "/sys/bus/event_source/devices/kprobe/type"

static const struct source {
	const char *program, *place;
	bool kprobe;
} sources[WATCH_SOURCES] = {
	[WATCH_EXEC] = { "watch_exec", "sched_process_exec", false },
	[WATCH_EXIT] = { "watch_exit", "sched_process_exit", false },
	[WATCH_LISTEN] = { "watch_listen", "inet_sock_set_state", false },
	[WATCH_BIND] = { "watch_bind", "security_socket_bind", true },
};

struct watch {
	int ring_fd, lost_fd;
	struct ringbuf *ring;
	int progs[WATCH_SOURCES], links[WATCH_SOURCES], events[WATCH_SOURCES];
	char missing[WATCH_SOURCES][160];
	int error; /* errno of the last failure, for a total one */
	struct watch_event *into;
	size_t n, max;
};

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void watch_close(struct watch *w)
{
	if (!w)
		return;
	for (int i = 0; i < WATCH_SOURCES; i++) {
		close_fd(w->links[i]);
		close_fd(w->events[i]);
		close_fd(w->progs[i]);
	}
	ringbuf_close(w->ring);
	close_fd(w->ring_fd);
	close_fd(w->lost_fd);
	free(w);
}

static void note_missing(struct watch *w, int source, const char *what)
{
	w->error = errno;
	snprintf(w->missing[source], sizeof(w->missing[source]), "%s: %s", what, strerror(errno));
}

/* The kprobe on its own perf event: no name in tracefs, which may not be there. */
static int attach_kprobe(struct watch *w, int source)
{
	FILE *f = fopen(KPROBE_PMU_TYPE, "re");
	struct perf_event_attr event = { .size = sizeof(event), .config1 = (uintptr_t)sources[source].place };
	int type = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%d", &type) != 1)
		type = -1;
	fclose(f);
	if (type < 0) {
		errno = ENOENT;
		return -1;
	}
	event.type = type;
	w->events[source] = syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (w->events[source] < 0)
		return -1;
	if (ioctl(w->events[source], PERF_EVENT_IOC_SET_BPF, w->progs[source]))
		return -1;
	return ioctl(w->events[source], PERF_EVENT_IOC_ENABLE, 0);
}

static void attach(struct watch *w, int source, const struct bpf_insn *insns, size_t n)
{
	union bpf_attr attr = {};

	attr.prog_type = sources[source].kprobe ? BPF_PROG_TYPE_KPROBE : BPF_PROG_TYPE_RAW_TRACEPOINT;
	attr.insn_cnt = n;
	attr.insns = (uintptr_t)insns;
	attr.license = (uintptr_t) "Dual BSD/GPL";
	snprintf(attr.prog_name, sizeof(attr.prog_name), "%s", sources[source].program);
	w->progs[source] = bpf_call(BPF_PROG_LOAD, &attr, sizeof(attr));
	if (w->progs[source] < 0) {
		note_missing(w, source, "the program cannot be loaded");
		return;
	}
	w->missing[source][0] = 0;
	if (sources[source].kprobe) {
		if (attach_kprobe(w, source))
			note_missing(w, source, "no kprobe");
		return;
	}
	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.name = (uintptr_t)sources[source].place;
	attr.raw_tracepoint.prog_fd = w->progs[source];
	w->links[source] = bpf_call(BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof(attr));
	if (w->links[source] < 0)
		note_missing(w, source, "no raw tracepoint");
}

static int map_of(const void *to, const char *name)
{
	const struct watch *w = to;

	return !strcmp(name, "events") ? w->ring_fd : !strcmp(name, "lost") ? w->lost_fd : -1;
}

static struct err *take_program(void *to, struct blob_program *program)
{
	struct watch *w = to;

	for (int i = 0; i < WATCH_SOURCES; i++)
		if (!strcmp(program->name, sources[i].program) && w->progs[i] < 0)
			attach(w, i, program->insns, program->n_insns);
	return NULL;
}

struct err *watch_open(const void *blob, size_t size, struct watch **ret)
{
	struct watch *w = calloc(1, sizeof(*w));
	struct err *err;
	bool any = false;

	if (!w)
		return &err_nomem;
	w->ring_fd = w->lost_fd = -1;
	for (int i = 0; i < WATCH_SOURCES; i++) {
		w->progs[i] = w->links[i] = w->events[i] = -1;
		snprintf(w->missing[i], sizeof(w->missing[i]), "it was not compiled");
	}
	w->ring_fd = bcc_create_map(BPF_MAP_TYPE_RINGBUF, "watch", 0, 0, RING_SIZE, 0);
	if (w->ring_fd >= 0)
		w->lost_fd = bcc_create_map(BPF_MAP_TYPE_ARRAY, "watch_lost", 4, 8, 1, 0);
	if (w->ring_fd < 0 || w->lost_fd < 0) {
		err = err_create(errno == EPERM ? ERR_PRIVILEGE : ERR_KERNEL, "cannot make a ring buffer: %s",
				 strerror(errno));
		watch_close(w);
		return err;
	}
	err = ringbuf_open(w->ring_fd, RING_SIZE, &w->ring);
	if (err) {
		watch_close(w);
		return err;
	}
	const struct blob_reader reader = { .to = w, .map_fd = map_of, .take = take_program };
	err = blob_read(blob, size, &reader);
	if (err) {
		watch_close(w);
		return err;
	}
	for (int i = 0; i < WATCH_SOURCES; i++)
		any |= !w->missing[i][0];
	if (!any) {
		err = err_create(w->error == EPERM ? ERR_PRIVILEGE : ERR_KERNEL, "%s", w->missing[WATCH_EXEC]);
		watch_close(w);
		return err;
	}
	*ret = w;
	return NULL;
}

const char *watch_missing(const struct watch *w, uint32_t source)
{
	return source < WATCH_SOURCES ? w->missing[source] : "there is no such source";
}

int watch_fd(const struct watch *w)
{
	return w->ring_fd;
}

static bool keep_event(void *arg, const void *data, size_t size)
{
	struct watch *w = arg;

	if (size == sizeof(*w->into))
		memcpy(&w->into[w->n++], data, size);
	return w->n < w->max;
}

size_t watch_take(struct watch *w, struct watch_event *events, size_t max)
{
	w->into = events;
	w->n = 0;
	w->max = max;
	if (max)
		ringbuf_take(w->ring, keep_event, w);
	return w->n;
}

uint64_t watch_lost(const struct watch *w)
{
	uint32_t zero = 0;
	uint64_t n = 0;

	return bpf_lookup_elem(w->lost_fd, &zero, &n) ? 0 : n;
}
