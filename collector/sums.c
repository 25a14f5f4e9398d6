/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs of aggregate.bpf.c summed in the kernel, read from their maps. */
#include <bcc/libbpf.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

uint64_t collector_count(struct collector *c, uint32_t fid)
{
	struct fn_counters n;

	maps_read_counters(c, fid, &n);
	return n.counted;
}

uint64_t duration_class_start(uint32_t class)
{
	uint32_t sub = 1u << DURATION_SUB_BITS;

	if (class < sub)
		return class;
	if (class >= DURATION_CLASSES)
		return UINT64_MAX;
	return (uint64_t)(sub + class % sub) << (class / sub - 1);
}

struct err *collector_durations(struct collector *c, struct collector_durations *functions, uint32_t n_functions)
{
	struct duration_sum *cpus _cleanup_free_ = calloc(c->ncpu ? c->ncpu : 1, sizeof(*cpus));
	struct duration_key key, next;

	if (!cpus)
		return &err_nomem;
	memset(functions, 0, n_functions * sizeof(*functions));
	if (c->maps.durations < 0)
		return err_create(ERR_USAGE, "durations are not summed in this mode");
	for (int more = bpf_get_first_key(c->maps.durations, &next, sizeof(next)); !more;
	     more = bpf_get_next_key(c->maps.durations, &key, &next)) {
		key = next;
		if (key.fid >= n_functions || key.class >= DURATION_CLASSES ||
		    bpf_lookup_elem(c->maps.durations, &key, cpus))
			continue;
		struct collector_durations *f = &functions[key.fid];
		for (uint32_t cpu = 0; cpu < c->ncpu; cpu++) {
			f->classes[key.class] += cpus[cpu].count;
			f->count += cpus[cpu].count;
			f->total_ns += cpus[cpu].total;
			if (cpus[cpu].max > f->max_ns)
				f->max_ns = cpus[cpu].max;
		}
	}
	return NULL;
}

/* The function, its caller, then the kernel's chain without what it repeats: that one begins with the function, and has the caller
 * only where the frame was set up at the hit. */
static void join_frames(struct collector_stack *s, uint64_t ip, uint64_t caller, const uint64_t *chain, uint32_t n)
{
	uint32_t at = 0;

	s->frames[s->n_frames++] = ip;
	if (n && chain[0] == ip)
		at++;
	if (caller) {
		s->frames[s->n_frames++] = caller;
		if (at < n && chain[at] == caller)
			at++;
	}
	for (; at < n && chain[at] && s->n_frames < STACK_FRAMES + 1; at++)
		s->frames[s->n_frames++] = chain[at];
}

static void read_stack(struct collector *c, const struct caller_key *key, uint64_t count, struct collector_stack *s)
{
	const struct site_ref *ref = &c->site_refs[key->site];
	uint64_t chain[STACK_FRAMES] = { 0 };
	uint32_t n = 0;

	*s = (struct collector_stack){
		.fid = ref->fid, .pid = key->pid, .count = count, .bias = key->bias - ref->site->addr
	};
	s->cut = key->stack < 0;
	if (key->stack >= 0) {
		uint32_t id = (uint32_t)key->stack;

		s->cut = bpf_lookup_elem(c->maps.stacks, &id, chain) != 0;
		while (!s->cut && n < STACK_FRAMES && chain[n])
			n++;
	}
	join_frames(s, key->bias, key->caller, chain, n);
}

struct err *collector_stacks(struct collector *c, struct collector_stack **ret, uint32_t *n_ret)
{
	struct collector_stack *v = NULL;
	struct caller_key key, next;
	uint32_t n = 0, cap = 0;

	if (c->maps.callers < 0)
		return err_create(ERR_USAGE, "stacks are not counted in this mode");
	for (int more = bpf_get_first_key(c->maps.callers, &next, sizeof(next)); !more;
	     more = bpf_get_next_key(c->maps.callers, &key, &next)) {
		uint64_t count;

		key = next;
		if (key.site >= c->n_sites || bpf_lookup_elem(c->maps.callers, &key, &count))
			continue;
		if (n == cap) {
			uint32_t wanted = cap ? 2 * cap : 64;
			struct collector_stack *grown = realloc(v, wanted * sizeof(*v));

			if (!grown) {
				free(v);
				return &err_nomem;
			}
			v = grown;
			cap = wanted;
		}
		read_stack(c, &key, count, &v[n++]);
	}
	*ret = v;
	*n_ret = n;
	return NULL;
}
