/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs of aggregate.bpf.c summed in the kernel, read from their maps. */
#include <bcc/libbpf.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "internal.h"

uint64_t collector_count(struct collector *c, uint32_t fid)
{
	struct fn_counters n;

	maps_read_counters(c, fid, &n);
	return n.counted;
}

uint64_t collector_calls(struct collector *c, uint32_t fid)
{
	struct fn_counters n;

	maps_read_counters(c, fid, &n);
	return n.entry_hits - n.duplicates - n.filtered - n.sampled - n.limited - n.calls_lost;
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

/* The kernel's chain of frames of one key; false where it was not kept. */
static bool read_chain(struct collector *c, const struct caller_key *key, uint64_t *chain, uint32_t *n_ret)
{
	uint32_t id = (uint32_t)key->stack, n = 0;

	*n_ret = 0;
	if (key->stack < 0 || bpf_lookup_elem(c->maps.stacks, &id, chain))
		return false;
	while (n < STACK_FRAMES && chain[n])
		n++;
	*n_ret = n;
	return true;
}

static void read_stack(struct collector *c, const struct caller_key *key, uint64_t count, enum chain_kind kind,
		       struct collector_stack *s)
{
	const struct site_ref *ref = &c->site_refs[key->site];
	uint64_t chain[STACK_FRAMES] = { 0 };
	uint32_t n;

	*s = (struct collector_stack){
		.fid = ref->fid, .pid = key->pid, .count = count, .bias = key->bias - ref->site->addr
	};
	s->cut = !read_chain(c, key, chain, &n);
	s->n_frames = stack_join(&key->head, site_is_push(ref), kind, key->bias, chain, n, s->frames, STACK_FRAMES + 1);
}

/* From the first stack that tells. */
static enum chain_kind find_chain_kind(struct collector *c)
{
	enum chain_kind kind = CHAIN_UNKNOWN;
	struct caller_key key, next;

	for (int more = bpf_get_first_key(c->maps.callers, &next, sizeof(next)); !more && kind == CHAIN_UNKNOWN;
	     more = bpf_get_next_key(c->maps.callers, &key, &next)) {
		uint64_t chain[STACK_FRAMES] = { 0 };
		uint32_t n;

		key = next;
		if (key.site < c->n_sites && read_chain(c, &key, chain, &n))
			kind = chain_kind_of(&key.head, site_is_push(&c->site_refs[key.site]), key.bias, chain, n);
	}
	return kind;
}

struct err *collector_stacks(struct collector *c, struct collector_stack **ret, uint32_t *n_ret)
{
	struct collector_stack *v = NULL;
	struct caller_key key, next;
	enum chain_kind kind;
	uint32_t n = 0, cap = 0;

	if (c->maps.callers < 0)
		return err_create(ERR_USAGE, "stacks are not counted in this mode");
	kind = find_chain_kind(c);
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
		read_stack(c, &key, count, kind, &v[n++]);
	}
	*ret = v;
	*n_ret = n;
	return NULL;
}
