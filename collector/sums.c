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

static void add_durations(struct collector_durations *to, uint32_t class, const struct duration_sum *cpus,
			  uint32_t ncpu)
{
	for (uint32_t cpu = 0; cpu < ncpu; cpu++) {
		to->classes[class] += cpus[cpu].count;
		to->count += cpus[cpu].count;
		to->total_ns += cpus[cpu].total;
		if (cpus[cpu].max > to->max_ns)
			to->max_ns = cpus[cpu].max;
		to->known_ns += cpus[cpu].known;
		to->runnable_ns += cpus[cpu].runnable;
		to->blocked_ns += cpus[cpu].blocked;
	}
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
		add_durations(&functions[key.fid], key.class, cpus, c->ncpu);
	}
	return NULL;
}

struct split_hits collector_split_hits(struct collector *c)
{
	struct split_hits *cpus _cleanup_free_ = calloc(c->ncpu ? c->ncpu : 1, sizeof(*cpus)), sum = { 0 };
	uint32_t zero = 0;

	if (!cpus || c->maps.split_hits < 0 || bpf_lookup_elem(c->maps.split_hits, &zero, cpus))
		return sum;
	for (uint32_t cpu = 0; cpu < c->ncpu; cpu++) {
		sum.states += cpus[cpu].states;
		sum.switches += cpus[cpu].switches;
	}
	return sum;
}

/* The values that groups stand for: an array by number, those that are not there zeroed. */
static struct group_key *read_groups(struct collector *c)
{
	struct group_key *v = calloc(GROUP_FIRST + SPLIT_GROUPS_MAX, sizeof(*v)), key, next;

	for (int more = v ? bpf_get_first_key(c->maps.groups, &next, sizeof(next)) : -1; !more;
	     more = bpf_get_next_key(c->maps.groups, &key, &next)) {
		uint32_t number;

		if (!bpf_lookup_elem(c->maps.groups, &next, &number) && number < GROUP_FIRST + SPLIT_GROUPS_MAX)
			v[number] = next;
		key = next;
	}
	return v;
}

static struct collector_split *find_split(struct collector_split *v, uint32_t n, const struct duration_key *key)
{
	for (uint32_t i = 0; i < n; i++)
		if (v[i].fid == key->fid && v[i].group == key->group)
			return &v[i];
	return NULL;
}

struct err *collector_splits(struct collector *c, struct collector_split **ret, uint32_t *n_ret)
{
	struct duration_sum *cpus _cleanup_free_ = calloc(c->ncpu ? c->ncpu : 1, sizeof(*cpus));
	struct group_key *groups _cleanup_free_ = NULL;
	struct collector_split *v = NULL, *split;
	struct duration_key key, next;
	uint32_t n = 0;

	if (c->maps.durations < 0 || c->maps.groups < 0)
		return err_create(ERR_USAGE, "durations are not split in this trace");
	groups = read_groups(c);
	if (!cpus || !groups)
		return &err_nomem;
	for (int more = bpf_get_first_key(c->maps.durations, &next, sizeof(next)); !more;
	     more = bpf_get_next_key(c->maps.durations, &key, &next)) {
		key = next;
		if (key.fid >= c->n_fids || key.class >= DURATION_CLASSES ||
		    key.group >= GROUP_FIRST + SPLIT_GROUPS_MAX || bpf_lookup_elem(c->maps.durations, &key, cpus))
			continue;
		split = find_split(v, n, &key);
		if (!split) {
			struct collector_split *grown = realloc(v, (n + 1) * sizeof(*v));

			if (!grown) {
				free(v);
				return &err_nomem;
			}
			v = grown;
			split = &v[n++];
			memset(split, 0, sizeof(*split));
			split->fid = key.fid;
			split->group = key.group;
			split->value = groups[key.group];
		}
		add_durations(&split->durations, key.class, cpus, c->ncpu);
	}
	*ret = v;
	*n_ret = n;
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
