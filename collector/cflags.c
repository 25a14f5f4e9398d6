/* SPDX-License-Identifier: Apache-2.0 */
/* How the programs of this trace are compiled: which of them, for records of which size, with what this kernel allows. */
#include <bcc/libbpf.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "load.h"

#define DATA_LIMIT 32768u /* bytes of data of one record; a plan that may need more says what was left out */
/* Bytes of data of a record whose site leads to lists: what those read is not known beforehand. */
#define DEEP_DATA 8192u
#define DEEP_CHUNK 4096u /* bytes that a step of such a list reads at most */

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

struct err *loader_get(struct collector *c, struct loader **ret)
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

	return c->options.mode == MODE_TRACE && !c->options.read_goids && plan->binary.goexit_off &&
	       plan->binary.has_g && !(env && !strcmp(env, "0"));
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
	bool maps = false;

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
		maps |= plan->n_maps != 0;
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
	uint32_t deep = maps ? 2 * DEEP_DATA : DEEP_DATA; /* what a map has is read twice */
	if (l->programs[PROGRAM_DEEP].n_sites && last < deep)
		last = deep;
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
 * Sleepable programs bring in pages that are not resident. They may use no perf buffer, and only those that follow pointers or write need
 * it. */
static void choose_features(struct collector *c, struct loader *l)
{
	bool follows = l->programs[PROGRAM_FEW].n_sites || l->programs[PROGRAM_MANY].n_sites ||
		       l->programs[PROGRAM_DEEP].n_sites || (l->where && c->options.mode == MODE_TRACE) ||
		       c->options.rewrite;

	/* A rewriting program asks too whether another's has moved the hit on. */
	l->perform_ret =
		(has_returns(c) || c->options.rewrite) && !is_off("TRACER_PERFORM_RET") && works(DOCTOR_CONTEXT_WRITE);
	l->sleepable = follows && c->buffer == BUFFER_RING && !is_off("TRACER_SLEEPABLE") && works(DOCTOR_SLEEPABLE);
	l->guard_sleepable = l->sleepable && doctor_private_stacks();
}

/* The registers of struct record.regs, as struct pt_regs names them. */
static const char *const register_names[RECORD_REGS] = { "ax", "bx", "cx", "di", "si", "r8", "r9", "r10", "r11", "dx" };

static void add_split(const struct collector *c, struct loader *l)
{
	const struct collector_split_site *s = &c->options.split;
	size_t used = strlen(l->cflags);

	if (s->g.kind == LOC_STACK)
		snprintf(l->cflags + used, sizeof(l->cflags) - used,
			 " -DWITH_SPLIT -DSTATUS_SP -DSTATUS_G=%d -DSTATUS_NEW=%d", s->g.offset, s->status.offset);
	else
		snprintf(l->cflags + used, sizeof(l->cflags) - used, " -DWITH_SPLIT -DSTATUS_G=%s -DSTATUS_NEW=%s",
			 register_names[s->g.index], register_names[s->status.index]);
	l->programs[PROGRAM_STATUS].n_sites = l->programs[PROGRAM_SWITCH].n_sites = 1;
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
			if (c->options.split.file_off)
				add_split(c, l);
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
