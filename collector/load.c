/* SPDX-License-Identifier: Apache-2.0 */
/* Maps and programs. The compiler's output names maps; they are made here, with the sizes that the plans need, and their descriptors
 * are put into the instructions. */
#include "load.h"

#include <bcc/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "btf.h"
#include "doctor.h"
#include "flat.h"
#include "mappings.h"

#define BLOB_MAGIC "GSPROG1"
#define INSNS_MAX 1000000 /* the verifier's own limit */
#define REFS_MAX 4096
#define NAME_MAX_ 64
#define PIDS_MAX 65536
#define CPUS_MAX 8192 /* CONFIG_NR_CPUS of the largest kernels */
#define SCRATCH_THREADS                                                                                                \
	16384 /* threads that are in a probe at once, with room: a mistaken eviction would mix two records */
#define DATA_LIMIT 32768u /* bytes of data of one record; a plan that may need more says what was left out */
/* Bytes of data of a record whose site leads to lists: what those read is not known beforehand. */
#define DEEP_DATA 8192u
#define DEEP_CHUNK 4096u      /* bytes that a step of such a list reads at most */
#define LOG_SIZE (16u << 20)  /* before Linux 6.4 the beginning of a longer log is kept, not the reason at its end */
#define OPEN_CALLS_MAX 131072 /* MODE_HIST; of more the oldest are forgotten, and their returns counted as unpaired */
#define DURATIONS_MAX 65536   /* classes of all functions together */
#define WAITING_MAX                                                                                                    \
	131072 /* calls with a condition that have not returned; of more the oldest are forgotten, and counted */
#define STACKS_MAX 16384  /* MODE_STACK: distinct stacks */
#define CALLERS_MAX 65536 /* distinct ways to a function */

static const char *const variant_names[PROGRAM_VARIANTS] = {
	[PROGRAM_REGS] = "call_regs",  [PROGRAM_FEW] = "call_few",          [PROGRAM_MANY] = "call_many",
	[PROGRAM_DEEP] = "call_deep",  [PROGRAM_GOEXIT] = "goroutine_exit", [PROGRAM_UNWOUND] = "goroutine_unwound",
	[PROGRAM_COUNT] = "count_hit", [PROGRAM_HIST] = "hist_hit",         [PROGRAM_STACK] = "stack_hit",
};

long bpf_call(int cmd, void *attr, size_t size)
{
	return syscall(SYS_bpf, cmd, attr, size);
}

enum program_variant site_variant(const struct collector *c, const struct plan_site *site)
{
	switch (c->options.mode) {
	case MODE_COUNT:
		return PROGRAM_COUNT;
	case MODE_HIST:
		return PROGRAM_HIST;
	case MODE_STACK:
		return PROGRAM_STACK;
	case MODE_TRACE:
		break;
	}
	if (site->deep)
		return PROGRAM_DEEP;
	return site->n_steps == 0 ? PROGRAM_REGS : site->n_steps <= FEW_STEPS ? PROGRAM_FEW : PROGRAM_MANY;
}

static struct err *loader_get(struct collector *c, struct loader **ret)
{
	if (!c->loader) {
		c->loader = calloc(1, sizeof(*c->loader));
		if (!c->loader)
			return &err_nomem;
		for (int i = 0; i < PROGRAM_VARIANTS; i++)
			c->loader->programs[i].fd = -1;
	}
	*ret = c->loader;
	return NULL;
}

/* ---- sizes --------------------------------------------------------------------------------------------------- */

static uint32_t step_bytes(const struct step *s)
{
	switch (s->op) {
	case STEP_COUNTED:
	case STEP_SHIFTED:
		return s->max;
	case STEP_EACH:
		return 0;
	case STEP_DISPATCH:
		return 8;
	}
	return s->len;
}

/* Few distinct sizes, so that few programs are ever compiled: multiples of 64, from 512 on powers of two. */
static uint32_t size_class(uint32_t n)
{
	uint32_t size = 512;

	if (n <= size)
		return (n + 63) / 64 * 64;
	while (size < n && size < DATA_LIMIT)
		size *= 2;
	return size;
}

/* Can goroutine ids be kept from hit to hit? Where the end of goroutines is seen. TRACER_KEEP_GOID=0 reads them at each hit. */
bool keeps_goids(const struct collector *c, const struct plan *plan)
{
	const char *env = getenv("TRACER_KEEP_GOID");

	return c->options.mode == MODE_TRACE && plan->binary.goexit_off && plan->binary.has_g &&
	       !(env && !strcmp(env, "0"));
}

/* As with sizes: few. */
static uint32_t stack_class(uint32_t frames)
{
	return frames <= 8 ? 8 : frames <= 32 ? 32 : STACK_FRAMES;
}

uint32_t count_unwinds(const struct collector *c, const struct plan *plan)
{
	uint32_t n = 0;

	for (int i = 0; i < PLAN_UNWINDS && c->options.mode == MODE_TRACE && !c->options.rewrite; i++)
		n += plan->binary.unwinds[i].file_off != 0;
	return n;
}

static void measure(struct collector *c, struct loader *l)
{
	uint32_t stack =
		l->stack_max ? (uint32_t)(sizeof(struct chunk) + sizeof(struct stack_head) + 8 * l->stack_max) : 0;
	uint32_t last = stack, chunk = 64, steps = FEW_STEPS;

	for (uint32_t i = 0; i < c->n_sites; i++) {
		const struct plan_site *site = c->site_refs[i].site;
		const struct plan *plan = c->site_refs[i].plan->plan;
		uint64_t used = stack;

		for (uint32_t s = 0; s < site->n_steps; s++) {
			uint32_t bytes = step_bytes(&plan->steps[site->first_step + s]);
			if (used > last)
				last = used > DATA_LIMIT ? DATA_LIMIT : used;
			if (bytes > chunk)
				chunk = bytes > DATA_LIMIT ? DATA_LIMIT : bytes;
			used += sizeof(struct chunk) + ((bytes + 7) & ~7u);
		}
		enum program_variant variant = site_variant(c, site);
		l->programs[variant].n_sites += rewriting_uses(c, site);
		if (variant == PROGRAM_FEW && site->n_steps > l->few_steps)
			l->few_steps = site->n_steps;
		if (site->filter) {
			l->where = true;
			l->where_goid |= plan->filters[site->filter - 1].goid;
			l->where_table |= site->kind == SITE_RETURN;
			l->where_by |= *plan_string(plan, plan->filters[site->filter - 1].by) != '\0';
		}
		if (site->n_steps > FEW_STEPS || site->deep)
			while (steps < site->n_steps)
				steps *= 2;
	}
	for (uint32_t i = 0; i < c->n_plans; i++) {
		const struct plan *plan = c->plans[i].plan;

		l->programs[PROGRAM_GOEXIT].n_sites += keeps_goids(c, plan);
		l->programs[PROGRAM_UNWOUND].n_sites += count_unwinds(c, plan);
		for (size_t k = 0; k < plan->n_lists && l->programs[PROGRAM_DEEP].n_sites; k++) {
			const struct plan_list *list = &plan->lists[k];

			while (steps < list->n_steps)
				steps *= 2;
			for (uint32_t s = 0; s < list->n_steps; s++) {
				uint32_t bytes = step_bytes(&plan->steps[list->first_step + s]);
				if (bytes > chunk)
					chunk = bytes > DEEP_CHUNK ? DEEP_CHUNK : bytes;
			}
		}
	}
	if (l->programs[PROGRAM_DEEP].n_sites && last < DEEP_DATA)
		last = DEEP_DATA;
	l->data_max = size_class(last);
	l->chunk_max = size_class(chunk);
	l->steps_list = steps > STEPS_MAX ? STEPS_MAX : steps;
}

static bool ring_is_wanted(const struct collector *c)
{
	return c->options.buffer != BUFFER_PERF;
}

/* Does the kernel have ring buffers? By making one. */
static bool ring_is_there(void)
{
	int fd = bcc_create_map(BPF_MAP_TYPE_RINGBUF, "try", 0, 0, sysconf(_SC_PAGESIZE), 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool works(enum doctor_check check)
{
	struct err *err = doctor_try(check);
	bool ok = !err;

	err_destroy(err);
	return ok;
}

static bool has_returns(const struct collector *c)
{
	for (uint32_t i = 0; i < c->n_sites; i++)
		if (c->site_refs[i].site->kind == SITE_RETURN)
			return true;
	return false;
}

static bool is_off(const char *variable)
{
	const char *value = getenv(variable);

	return value && !strcmp(value, "0");
}

/* What this kernel allows beyond the common ground, each found out by trying; TRACER_PERFORM_RET=0 and TRACER_SLEEPABLE=0 do without.
 * Sleepable programs bring in pages that are not resident. They may use no perf buffer, and only those that follow pointers need it. */
static void choose_features(struct collector *c, struct loader *l)
{
	bool follows = l->programs[PROGRAM_FEW].n_sites || l->programs[PROGRAM_MANY].n_sites ||
		       l->programs[PROGRAM_DEEP].n_sites || (l->where && c->options.mode == MODE_TRACE);

	if (c->options.rewrite)
		follows = false; /* what is read and written is the caller's own stack, or was just used */
	l->perform_ret = has_returns(c) && !is_off("TRACER_PERFORM_RET") && works(DOCTOR_CONTEXT_WRITE);
	l->sleepable = follows && c->buffer == BUFFER_RING && !is_off("TRACER_SLEEPABLE") && works(DOCTOR_SLEEPABLE);
	l->guard_sleepable = l->sleepable && doctor_private_stacks();
}

const char *collector_cflags(struct collector *c)
{
	struct loader *l;
	struct err *err = loader_get(c, &l);

	if (err)
		return "";
	if (!*l->cflags) {
		char where[64] = "";

		l->stack_max = c->options.mode == MODE_TRACE && c->options.stack ? stack_class(c->options.stack) : 0;
		measure(c, l);
		c->buffer = ring_is_wanted(c) && (c->options.buffer == BUFFER_RING || ring_is_there()) ? BUFFER_RING
												       : BUFFER_PERF;
		choose_features(c, l);
		if (l->where)
			snprintf(where, sizeof(where), " -DWHERE%s%s%s", l->where_goid ? " -DWHERE_GOID" : "",
				 l->where_table ? " -DWHERE_TABLE" : "", l->where_by ? " -DWHERE_BY" : "");
		if (c->options.mode != MODE_TRACE) {
			static const char *const with[] = { [MODE_COUNT] = "-DWITH_COUNT",
							    [MODE_HIST] = "-DWITH_HIST",
							    [MODE_STACK] = "-DWITH_STACK" };

			snprintf(l->cflags, sizeof(l->cflags), "%s%s%s", with[c->options.mode],
				 l->perform_ret ? " -DPERFORM_RET" : "", where);
			return l->cflags;
		}
		snprintf(l->cflags, sizeof(l->cflags),
			 "-DDATA_MAX=%u -DCHUNK_MAX=%u -DSTEPS_LIST=%u%s%s%s%s%s%s%s%s%s%s", l->data_max, l->chunk_max,
			 l->steps_list,
			 c->buffer == BUFFER_PERF ? " -DUSE_PERF"
			 : c->options.compact     ? " -DCOMPACT"
						  : "",
			 l->perform_ret ? " -DPERFORM_RET" : "", l->sleepable ? " -DSLEEPABLE" : "",
			 l->guard_sleepable ? " -DGUARD_SLEEPABLE" : "",
			 l->programs[PROGRAM_REGS].n_sites ? "" : " -DWITHOUT_REGS",
			 l->programs[PROGRAM_FEW].n_sites ? "" : " -DWITHOUT_FEW",
			 l->programs[PROGRAM_MANY].n_sites ? "" : " -DWITHOUT_MANY",
			 l->programs[PROGRAM_DEEP].n_sites ? "" : " -DWITHOUT_DEEP",
			 l->programs[PROGRAM_UNWOUND].n_sites ? "" : " -DWITHOUT_UNWOUND", where);
		if (l->stack_max)
			snprintf(l->cflags + strlen(l->cflags), sizeof(l->cflags) - strlen(l->cflags),
				 " -DSTACK_MAX=%u", l->stack_max);
		if (l->few_steps)
			snprintf(l->cflags + strlen(l->cflags), sizeof(l->cflags) - strlen(l->cflags),
				 " -DFEW_STEPS=%u", l->few_steps);
		rewriting_cflags(c, l->cflags + strlen(l->cflags), sizeof(l->cflags) - strlen(l->cflags));
	}
	return l->cflags;
}

/* ---- maps ---------------------------------------------------------------------------------------------------- */

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

static struct err *make_maps(struct collector *c, struct loader *l)
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
	if (!err)
		err = make_map(&m->nothing, BPF_MAP_TYPE_PROG_ARRAY, "nothing", 4, 4, 1);
	if (!err && l->guard_sleepable)
		err = make_map(&m->nothing_sleep, BPF_MAP_TYPE_PROG_ARRAY, "nothing_sleep", 4, 4, 1);
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

static int map_by_name(const struct collector *c, const char *name)
{
	const struct {
		const char *name;
		int fd;
	} v[] = { { "control", c->maps.control }, { "sites", c->maps.sites },
		  { "steps", c->maps.steps },     { "counters", c->maps.counters },
		  { "pids", c->maps.pids },       { "telemetry", c->maps.telemetry },
		  { "events", c->maps.events },   { "scratch", c->maps.scratch },
		  { "blank", c->maps.blank },     { "goids", c->maps.goids },
		  { "flat", c->maps.flat },       { "dispatch", c->maps.dispatch },
		  { "nothing", c->maps.nothing }, { "nothing_sleep", c->maps.nothing_sleep },
		  { "stacks", c->maps.stacks },   { "open_calls", c->maps.open_calls },
		  { "callers", c->maps.callers }, { "durations", c->maps.durations },
		  { "writes", c->maps.writes },   { "waiting", c->maps.waiting },
		  { "groups", c->maps.groups },   { "claims", c->maps.claims },
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

/* Sums have no use for goroutine ids but in a condition. */
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
	if (c->options.mode != MODE_TRACE && !filter->goid)
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

static struct err *fill_maps(struct collector *c, struct loader *l)
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

/* ---- programs ------------------------------------------------------------------------------------------------ */

struct cursor {
	const uint8_t *p;
	size_t left;
};

static bool take(struct cursor *in, void *out, size_t n)
{
	if (in->left < n)
		return false;
	memcpy(out, in->p, n);
	in->p += n;
	in->left -= n;
	return true;
}

static bool take_name(struct cursor *in, char name[NAME_MAX_])
{
	uint32_t n;

	if (!take(in, &n, 4) || n >= NAME_MAX_ || !take(in, name, n))
		return false;
	name[n] = 0;
	return true;
}

static struct err *bad_blob(const char *what)
{
	return err_create(ERR_MALFORMED, "the compiled program is damaged: %s", what);
}

static struct err *read_program(struct collector *c, struct loader *l, struct cursor *in)
{
	char name[NAME_MAX_];
	uint32_t n, refs;
	int variant = -1;

	if (!take_name(in, name) || !take(in, &n, 4) || n > INSNS_MAX)
		return bad_blob("header of a program");
	for (int i = 0; i < PROGRAM_VARIANTS; i++)
		if (!strcmp(name, variant_names[i]))
			variant = i;
	bool is_short = !strcmp(name, "call_deep_short");
	struct bpf_insn *insns = calloc(n ? n : 1, sizeof(*insns));
	if (!insns)
		return &err_nomem;
	if (!take(in, insns, n * sizeof(*insns)) || !take(in, &refs, 4) || refs > REFS_MAX) {
		free(insns);
		return bad_blob("instructions");
	}
	for (uint32_t i = 0; i < refs; i++) {
		uint32_t at;
		int fd;

		if (!take(in, &at, 4) || !take_name(in, name) || at >= n || (fd = map_by_name(c, name)) < 0 ||
		    insns[at].code != (BPF_LD | BPF_DW | BPF_IMM)) {
			free(insns);
			return bad_blob("reference to a map");
		}
		insns[at].src_reg = BPF_PSEUDO_MAP_FD;
		insns[at].imm = fd;
	}
	if (is_short && !l->programs[PROGRAM_DEEP].shorter) {
		l->programs[PROGRAM_DEEP].shorter = insns;
		l->programs[PROGRAM_DEEP].n_short = n;
		return NULL;
	}
	if (variant < 0 || l->programs[variant].insns) {
		free(insns);
		return variant < 0 ? NULL : bad_blob("a program twice");
	}
	l->programs[variant].insns = insns;
	l->programs[variant].n_insns = n;
	return NULL;
}

static struct err *read_blob(struct collector *c, struct loader *l, const void *blob, size_t size)
{
	struct cursor in = { blob, size };
	char magic[8];
	uint32_t n;

	if (!take(&in, magic, 8) || memcmp(magic, BLOB_MAGIC, 8) || !take(&in, &n, 4) || n > 64)
		return bad_blob("magic");
	for (uint32_t i = 0; i < n; i++) {
		struct err *err = read_program(c, l, &in);
		if (err)
			return err;
	}
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

	attr.prog_type = BPF_PROG_TYPE_KPROBE;
	attr.insn_cnt = p->n_insns;
	attr.insns = (uintptr_t)p->insns;
	attr.license = (uintptr_t) "Dual BSD/GPL";
	attr.expected_attach_type = attach_type;
	if (c->loader->sleepable && (variant == PROGRAM_FEW || variant == PROGRAM_MANY || variant == PROGRAM_DEEP ||
				     (variant == PROGRAM_REGS && c->loader->where)))
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
		return bad_blob("a program is missing");
	const char *name = variant_names[variant], *asked = getenv("TRACER_CALL_DEEP");
	bool is_short = p->shorter && asked && !strcmp(asked, "short");

	p->fd = is_short ? -1 : program_load(c, variant, attach_type, log, LOG_SIZE);
	if (p->fd < 0 && p->shorter && (is_short || errno != EPERM)) {
		free(p->insns);
		p->insns = p->shorter;
		p->n_insns = p->n_short;
		p->shorter = NULL;
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
	c->ncpu = possible_cpus();
	l->control.filter_pids = c->options.filter_pids;
	l->control.max_calls = c->options.max_calls;
	l->control.max_rate = c->options.max_rate;
	l->control.sample_each = c->options.sample_each;
	if (needs_tls(c))
		btf_fsbase_offset(&l->control.fsbase_off); /* without it those sites show no goroutine */
	err = make_maps(c, l);
	if (!err)
		err = fill_maps(c, l);
	if (!err)
		err = read_blob(c, l, blob, size);
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

void collector_loader_destroy(struct collector *c)
{
	int *fds[] = { &c->maps.sites,  &c->maps.steps,     &c->maps.counters,   &c->maps.control,
		       &c->maps.pids,   &c->maps.telemetry, &c->maps.events,     &c->maps.scratch,
		       &c->maps.blank,  &c->maps.goids,     &c->maps.nothing,    &c->maps.nothing_sleep,
		       &c->maps.stacks, &c->maps.callers,   &c->maps.open_calls, &c->maps.durations,
		       &c->maps.flat,   &c->maps.dispatch,  &c->maps.writes,     &c->maps.waiting,
		       &c->maps.groups, &c->maps.claims,    &c->maps.slots };

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
