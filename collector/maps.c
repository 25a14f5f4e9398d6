/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing the maps while the programs use them. */
#include <errno.h>
#include <bcc/libbpf.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

void maps_set_enabled(struct collector *c, bool enabled)
{
	uint32_t zero = 0;

	if (c->maps.control < 0 || !c->loader)
		return;
	struct control now = c->loader->control;
	/* these are the kernel's: keep what it has counted */
	struct control seen;
	if (!bpf_lookup_elem(c->maps.control, &zero, &seen)) {
		now.calls = seen.calls;
		now.exits = seen.exits;
		now.seen = seen.seen;
		now.groups = seen.groups;
		now.rate_since = seen.rate_since;
		now.rate_calls = seen.rate_calls;
	}
	now.enabled = enabled;
	bpf_update_elem(c->maps.control, &zero, &now, BPF_ANY);
}

void maps_read_counters(struct collector *c, uint32_t fid, struct fn_counters *sum)
{
	memset(sum, 0, sizeof(*sum));
	if (c->replayed) {
		*sum = c->replayed[fid];
		return;
	}
	struct fn_counters *v _cleanup_free_ = calloc(c->ncpu, sizeof(*v));
	if (!v || c->maps.counters < 0 || bpf_lookup_elem(c->maps.counters, &fid, v))
		return;
	for (uint32_t cpu = 0; cpu < c->ncpu; cpu++)
		for (size_t i = 0; i < sizeof(*v) / sizeof(__u64); i++)
			((__u64 *)sum)[i] += ((__u64 *)&v[cpu])[i];
	waiting_count(c, fid, sum);
}

static const char *file_name(uint16_t file)
{
	switch (file) {
	case BPF_FILE_CALL:
		return "call.bpf.c";
	case BPF_FILE_LOCATION:
		return "location.h";
	case BPF_FILE_GOROUTINE:
		return "goroutine.h";
	case BPF_FILE_AGGREGATE:
		return "aggregate.bpf.c";
	case BPF_FILE_DEEP:
		return "deep.h";
	case BPF_FILE_REWRITE:
		return "rewrite.h";
	case BPF_FILE_WHERE:
		return "where.h";
	case BPF_FILE_SPLIT:
		return "split.h";
	}
	return "other";
}

struct err *maps_read_telemetry(struct collector *c, struct telemetry_count **counts_ret, uint32_t *n_ret)
{
	struct telemetry_count *v = calloc(TELEMETRY_MAX, sizeof(*v));
	struct telemetry_key key, next;
	uint32_t n = 0;

	if (!v)
		return &err_nomem;
	for (int more = c->maps.telemetry >= 0 ? bpf_get_first_key(c->maps.telemetry, &next, sizeof(next)) : -1;
	     !more && n < TELEMETRY_MAX; more = bpf_get_next_key(c->maps.telemetry, &key, &next)) {
		uint64_t count;
		if (!bpf_lookup_elem(c->maps.telemetry, &next, &count))
			v[n++] = (struct telemetry_count){
				.file = file_name(next.file), .line = next.line, .error = next.error, .count = count
			};
		key = next;
	}
	*counts_ret = v;
	*n_ret = n;
	return NULL;
}

uint64_t maps_read_misses(struct collector *c)
{
	uint64_t misses = c->replayed_misses;
	struct fn_counters unwinds;

	for (int i = 0; c->loader && i < PROGRAM_VARIANTS; i++) {
		/* struct bpf_prog_info ends, from Linux 5.12 on, with what is read here; an older kernel leaves it 0 */
		struct {
			struct bpf_prog_info info;
		} known = {};
		uint32_t size = sizeof(known.info);
		if (c->loader->programs[i].fd >= 0 && !bpf_obj_get_info(c->loader->programs[i].fd, &known.info, &size))
			misses += known.info.recursion_misses;
	}
	if (!c->replayed) {
		maps_read_counters(c, c->n_fids, &unwinds);
		misses += unwinds.calls_lost;
	}
	return misses;
}

uint64_t maps_calls(struct collector *c)
{
	struct control seen;
	uint32_t zero = 0;

	return c->maps.control < 0 || bpf_lookup_elem(c->maps.control, &zero, &seen) ? 0 : seen.calls;
}

bool maps_allow_pid(struct collector *c, uint32_t pid)
{
	uint32_t one = 1;

	if (c->maps.pids < 0 || bpf_update_elem(c->maps.pids, &pid, &one, BPF_ANY))
		return false;
	c->loader->n_pids++;
	c->loader->only_pid = pid;
	return true;
}

bool maps_set_pid(struct collector *c, uint32_t pid, bool allowed)
{
	uint32_t one = 1;

	if (c->maps.pids < 0)
		errno = EBADF;
	else if (allowed)
		return !bpf_update_elem(c->maps.pids, &pid, &one, BPF_ANY);
	else
		return !bpf_delete_elem(c->maps.pids, &pid) || errno == ENOENT;
	return false;
}

bool maps_set_event_fd(struct collector *c, uint32_t cpu, int fd)
{
	return c->maps.events >= 0 && !bpf_update_elem(c->maps.events, &cpu, &fd, BPF_ANY);
}
