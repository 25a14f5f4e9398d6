/* SPDX-License-Identifier: Apache-2.0 */
/* Making the maps, with the sizes that the plans need, and filling them. */
#include <bcc/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flat.h"
#include "load.h"

#define PIDS_MAX 65536
#define SCRATCH_THREADS                                                                                                \
	16384 /* threads that are in a probe at once, with room: a mistaken eviction would mix two records */
#define OPEN_CALLS_MAX 131072 /* MODE_HIST; of more the oldest are forgotten, and their returns counted as unpaired */
#define GOROUTINES_MAX 131072 /* hist --split: goroutines that are followed; of more the oldest are forgotten */
#define THREADS_MAX 16384
#define DURATIONS_MAX 65536 /* classes of all functions together */
#define WAITING_MAX                                                                                                    \
	131072 /* calls with a condition that have not returned; of more the oldest are forgotten, and counted */
#define STACKS_MAX 16384  /* MODE_STACK: distinct stacks */
#define CALLERS_MAX 65536 /* distinct ways to a function */

static struct err *make_map(int *fd_ret, enum bpf_map_type type, const char *name, uint32_t key, uint32_t value,
			    uint32_t entries)
{
	int fd = bcc_create_map(type, name, key, value, entries ? entries : 1, 0);

	if (fd < 0)
		return err_create(errno == EPERM ? ERR_PRIVILEGE : ERR_KERNEL, "map '%s' (%u entries of %u bytes): %s",
				  name, entries, value, strerror(errno));
	*fd_ret = fd;
	return NULL;
}

/* A ring buffer's size is a power of two of whole pages. */
static uint64_t ring_size(uint64_t wanted)
{
	uint64_t size = sysconf(_SC_PAGESIZE);

	while (size < wanted && size < (1u << 31))
		size *= 2;
	return size;
}

static struct err *make_split_maps(struct collector_maps *m)
{
	struct err *err = make_map(&m->off_times, BPF_MAP_TYPE_LRU_HASH, "off_times", sizeof(struct goroutine_key),
				   sizeof(struct off_time), GOROUTINES_MAX);

	if (!err)
		err = make_map(&m->threads, BPF_MAP_TYPE_LRU_HASH, "threads", 4, sizeof(struct goroutine_key),
			       THREADS_MAX);
	if (!err)
		err = make_map(&m->off_begun, BPF_MAP_TYPE_LRU_HASH, "off_begun", sizeof(struct open_key),
			       sizeof(struct off_begun), OPEN_CALLS_MAX);
	if (!err)
		err = make_map(&m->split_hits, BPF_MAP_TYPE_PERCPU_ARRAY, "split_hits", 4, sizeof(struct split_hits),
			       1);
	return err;
}

struct err *maps_make(struct collector *c, struct loader *l)
{
	struct collector_maps *m = &c->maps;
	uint32_t list = l->steps_list * sizeof(struct step);
	uint32_t n_lists = l->programs[PROGRAM_FEW].n_sites + l->programs[PROGRAM_MANY].n_sites;
	uint32_t record = sizeof(struct record) + l->data_max + sizeof(struct chunk) + l->chunk_max + 2 * l->steps_list;
	struct err *err;

	record = (record + 7) & ~7u;
	if (l->programs[PROGRAM_DEEP].n_sites)
		record += DEEP_STATE;
	err = make_map(&m->control, BPF_MAP_TYPE_ARRAY, "control", 4, sizeof(struct control), 1);
	if (!err)
		err = make_map(&m->sites, BPF_MAP_TYPE_ARRAY, "sites", 4, sizeof(struct site),
			       c->n_sites + c->n_plans * PLAN_UNWINDS);
	if (!err)
		err = make_map(&m->steps, BPF_MAP_TYPE_ARRAY, "steps", 4, list, n_lists);
	if (!err)
		err = make_map(&m->counters, BPF_MAP_TYPE_PERCPU_ARRAY, "counters", 4, sizeof(struct fn_counters),
			       c->n_fids + 1); /* the last: of goroutine_unwound */
	if (!err)
		err = make_map(&m->pids, BPF_MAP_TYPE_HASH, "pids", 4, 4, PIDS_MAX);
	if (!err)
		err = make_map(&m->telemetry, BPF_MAP_TYPE_HASH, "telemetry", sizeof(struct telemetry_key), 8,
			       TELEMETRY_MAX);
	if (!err)
		err = make_map(&m->goids, BPF_MAP_TYPE_PERCPU_ARRAY, "goids", 4, sizeof(struct kept_goid), 1);
	if (!err && l->programs[PROGRAM_DEEP].n_sites) {
		uint32_t n_flat = 0, n_dispatch = 0;

		flat_count(c, &n_flat, &n_dispatch);
		err = make_map(&m->flat, BPF_MAP_TYPE_ARRAY, "flat", 4, sizeof(struct step), n_flat);
		if (!err)
			err = make_map(&m->dispatch, BPF_MAP_TYPE_HASH, "dispatch", sizeof(struct dispatch_key),
				       sizeof(struct dispatch_list), n_dispatch);
	}
	if (!err && (!l->sleepable || l->guard_sleepable))
		err = make_map(&m->nothing, BPF_MAP_TYPE_PROG_ARRAY, "nothing", 4, 4, 1);
	if (!err && l->where_table)
		err = make_map(&m->waiting, BPF_MAP_TYPE_LRU_HASH, "waiting", sizeof(struct open_key),
			       sizeof(struct waiting_call), WAITING_MAX);
	if (!err && l->where_by)
		err = make_map(&m->groups, BPF_MAP_TYPE_HASH, "groups", sizeof(struct group_key), 4, SPLIT_GROUPS_MAX);
	if (!err && c->options.mode == MODE_HIST && !l->where)
		err = make_map(&m->open_calls, BPF_MAP_TYPE_LRU_HASH, "open_calls", sizeof(struct open_key), 8,
			       OPEN_CALLS_MAX);
	if (!err && c->options.mode == MODE_HIST)
		err = make_map(&m->durations, BPF_MAP_TYPE_PERCPU_HASH, "durations", sizeof(struct duration_key),
			       sizeof(struct duration_sum), DURATIONS_MAX);
	if (!err && c->options.split.file_off)
		err = make_split_maps(m);
	if (!err && c->options.mode == MODE_STACK)
		err = make_map(&m->stacks, BPF_MAP_TYPE_STACK_TRACE, "stacks", 4, STACK_FRAMES * 8, STACKS_MAX);
	if (!err && c->options.mode == MODE_STACK)
		err = make_map(&m->callers, BPF_MAP_TYPE_HASH, "callers", sizeof(struct caller_key), 8, CALLERS_MAX);
	if (!err && c->options.rewrite)
		err = make_map(&m->writes, BPF_MAP_TYPE_ARRAY, "writes", 4, sizeof(struct write), 2 * WRITES_MAX);
	if (err || c->options.mode != MODE_TRACE)
		return err;
	if (!err && c->buffer == BUFFER_RING) {
		c->ring_size = ring_size(c->options.buffer_size);
		err = make_map(&m->events, BPF_MAP_TYPE_RINGBUF, "events", 0, 0, c->ring_size);
		if (!err && c->options.compact)
			err = make_map(&m->claims, BPF_MAP_TYPE_HASH, "claims", 4, 4, c->ncpu * CPU_SLOTS);
		if (!err && c->options.compact)
			err = make_map(&m->slots, BPF_MAP_TYPE_ARRAY, "slots", 4, record + 8, c->ncpu * CPU_SLOTS);
	}
	if (!err && c->buffer == BUFFER_PERF) {
		err = make_map(&m->events, BPF_MAP_TYPE_PERF_EVENT_ARRAY, "events", 4, 4, c->ncpu);
		if (!err)
			err = make_map(&m->scratch, BPF_MAP_TYPE_LRU_HASH, "scratch", 4, record, SCRATCH_THREADS);
		if (!err)
			err = make_map(&m->blank, BPF_MAP_TYPE_ARRAY, "blank", 4, record, 1);
	}
	return err;
}

int map_by_name(const struct collector *c, const char *name)
{
	const struct {
		const char *name;
		int fd;
	} v[] = { { "control", c->maps.control },
		  { "sites", c->maps.sites },
		  { "steps", c->maps.steps },
		  { "counters", c->maps.counters },
		  { "pids", c->maps.pids },
		  { "telemetry", c->maps.telemetry },
		  { "events", c->maps.events },
		  { "scratch", c->maps.scratch },
		  { "blank", c->maps.blank },
		  { "goids", c->maps.goids },
		  { "flat", c->maps.flat },
		  { "dispatch", c->maps.dispatch },
		  { "nothing", c->maps.nothing },
		  { "stacks", c->maps.stacks },
		  { "open_calls", c->maps.open_calls },
		  { "callers", c->maps.callers },
		  { "durations", c->maps.durations },
		  { "writes", c->maps.writes },
		  { "waiting", c->maps.waiting },
		  { "groups", c->maps.groups },
		  { "off_times", c->maps.off_times },
		  { "threads", c->maps.threads },
		  { "off_begun", c->maps.off_begun },
		  { "split_hits", c->maps.split_hits },
		  { "claims", c->maps.claims },
		  { "slots", c->maps.slots } };

	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++)
		if (!strcmp(v[i].name, name))
			return v[i].fd;
	return -1;
}

struct err *map_put(int fd, const char *map, uint32_t key, const void *value)
{
	if (bpf_update_elem(fd, &key, (void *)value, BPF_ANY))
		return err_create(ERR_KERNEL, "map '%s', entry %u: %s", map, key, strerror(errno));
	return NULL;
}

static bool is_probed_at_return(const struct plan *plan, const struct plan_func *f)
{
	return f->n_sites > 1 && plan->sites[f->first_site + 1].kind == SITE_RETURN;
}

/* Sums have no use for goroutine ids but in a condition, and to split durations. */
static void set_filter(const struct collector *c, const struct site_ref *ref, struct site *site)
{
	const struct plan *plan = ref->plan->plan;
	const struct plan_filter *filter;

	if (!ref->site->filter)
		return;
	filter = &plan->filters[ref->site->filter - 1];
	site->filter = ref->site->filter;
	if (is_probed_at_return(plan, c->functions[ref->fid]))
		site->flags |= SITE_WAITS;
	if (filter->late)
		site->flags |= SITE_DECIDES_LATE;
	if (filter->passes)
		site->flags |= SITE_PASSES;
	if (filter->by_late)
		site->flags |= SITE_GROUPS_LATE;
	if (c->options.mode != MODE_TRACE && !filter->goid && !c->options.split.file_off)
		site->goid_off = 0;
}

static struct err *fill_sites(struct collector *c, struct loader *l, struct flat *flat)
{
	struct step *list _cleanup_free_ = calloc(l->steps_list, sizeof(*list));
	uint32_t lists = 0;
	struct err *err = NULL;

	if (!list)
		return &err_nomem;
	for (uint32_t i = 0; i < c->n_sites && !err; i++) {
		const struct plan_site *s = c->site_refs[i].site;
		const struct plan *plan = c->site_refs[i].plan->plan;
		const struct plan_binary *bin = &plan->binary;
		bool has_g = bin->has_g && (s->g_source != G_TLS || (bin->tls_offset && l->control.fsbase_off));
		struct site site = { .addr = s->addr,
				     .fid = c->site_refs[i].fid,
				     .n_steps = s->n_steps,
				     .kind = s->kind,
				     .flags = s->flags,
				     .g_source = s->g_source,
				     .goid_off = has_g ? bin->goid_off : 0,
				     .m_off = bin->m_off,
				     .curg_off = bin->curg_off,
				     .tls_offset = bin->tls_offset,
				     .frame = s->frame };

		if (keeps_goids(c, plan))
			site.flags |= SITE_KEEP_GOID;
		set_filter(c, &c->site_refs[i], &site);

		if (s->deep) {
			site.steps = flat->next;
			err = flat_put(flat, plan, c->site_refs[i].plan->binary_id, s->first_step, s->n_steps);
		} else if (s->n_steps) {
			memset(list, 0, l->steps_list * sizeof(*list));
			memcpy(list, plan->steps + s->first_step, s->n_steps * sizeof(*list));
			site.steps = lists;
			err = map_put(c->maps.steps, "steps", lists++, list);
		}
		if (!err)
			err = map_put(c->maps.sites, "sites", i, &site);
	}
	return err ? err : map_put(c->maps.control, "control", 0, &l->control);
}

static struct err *fill_unwinds(struct collector *c, struct loader *l)
{
	struct err *err = NULL;

	for (uint32_t i = 0; i < c->n_plans * PLAN_UNWINDS && !err; i++) {
		const struct plan_binary *bin = &c->plans[i / PLAN_UNWINDS].plan->binary;
		const struct plan_unwind *u = &bin->unwinds[i % PLAN_UNWINDS];
		bool has_g = bin->has_g && (u->g_source != G_TLS || (bin->tls_offset && l->control.fsbase_off));
		struct site site = { .addr = u->addr,
				     .fid = c->n_fids,
				     .kind = SITE_RECOVERY + i % PLAN_UNWINDS,
				     .g_source = u->g_source,
				     .goid_off = has_g ? bin->goid_off : 0,
				     .tls_offset = bin->tls_offset };

		err = map_put(c->maps.sites, "sites", c->n_sites + i, &site);
	}
	return err;
}

struct err *maps_fill(struct collector *c, struct loader *l)
{
	struct flat flat = { 0 };
	struct err *err = flat_begin(c, &flat);

	if (!err)
		err = fill_sites(c, l, &flat);
	if (!err)
		err = flat_end(c, &flat);
	if (!err)
		err = fill_unwinds(c, l);
	flat_deinit(&flat);
	return err ? err : rewriting_fill(c);
}
