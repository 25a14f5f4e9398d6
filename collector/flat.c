/* SPDX-License-Identifier: Apache-2.0 */
#include "flat.h"

#include <bcc/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

void flat_count(const struct collector *c, uint32_t *n_flat, uint32_t *n_dispatch)
{
	for (uint32_t i = 0; i < c->n_sites; i++)
		if (c->site_refs[i].site->deep)
			*n_flat += c->site_refs[i].site->n_steps;
	for (uint32_t i = 0; i < c->n_plans; i++) {
		const struct plan *plan = c->plans[i].plan;

		*n_dispatch += plan->n_dispatches;
		for (size_t k = 0; k < plan->n_lists; k++)
			*n_flat += plan->lists[k].n_steps;
	}
}

/* Groups of several plans are apart. */
static uint32_t global_group(uint32_t plan, uint32_t group)
{
	return plan * GROUPS_END + group;
}

struct err *flat_put(struct flat *flat, const struct plan *plan, uint32_t plan_index, uint32_t first, uint32_t n)
{
	if (n > flat->cap - flat->next)
		return err_create(ERR_MALFORMED, "a plan with more steps than it has lists and sites");
	for (uint32_t i = 0; i < n; i++) {
		struct step step = plan->steps[first + i];

		if (step.op == STEP_EACH) {
			step.n = plan->lists[step.off].n_steps;
			step.off = flat->lists[plan_index][step.off];
		} else if (step.op == STEP_DISPATCH) {
			step.max = global_group(plan_index, step.max);
		}
		flat->steps[flat->next++] = step;
	}
	return NULL;
}

/* All at once where the kernel can (Linux 5.6): a large program has tens of thousands. */
static struct err *map_put_all(int fd, const char *map, const void *keys, size_t key_size, const void *values,
			       size_t value_size, uint32_t n)
{
	uint32_t done = n;

	if (!n || !bpf_update_batch(fd, (void *)keys, (void *)values, &done))
		return NULL;
	for (uint32_t i = 0; i < n; i++)
		if (bpf_update_elem(fd, (char *)keys + i * key_size, (char *)values + i * value_size, BPF_ANY))
			return err_create(ERR_KERNEL, "map '%s', entry %u: %s", map, i, strerror(errno));
	return NULL;
}

static struct err *put_dispatches(struct collector *c, const struct flat *flat, uint32_t plan_index)
{
	const struct plan *plan = c->plans[plan_index].plan;
	size_t n = plan->n_dispatches;
	struct dispatch_key *keys _cleanup_free_ = calloc(n ? n : 1, sizeof(*keys));
	struct dispatch_list *values _cleanup_free_ = calloc(n ? n : 1, sizeof(*values));

	if (!keys || !values)
		return &err_nomem;
	for (size_t i = 0; i < n; i++) {
		const struct plan_dispatch *d = &plan->dispatches[i];

		keys[i] = (struct dispatch_key){ d->type, global_group(plan_index, d->group) };
		values[i] = (struct dispatch_list){ flat->lists[plan_index][d->list], plan->lists[d->list].n_steps };
	}
	return map_put_all(c->maps.dispatch, "dispatch", keys, sizeof(*keys), values, sizeof(*values), n);
}

static struct err *begin_plan(struct collector *c, struct flat *flat, uint32_t plan_index)
{
	const struct plan *plan = c->plans[plan_index].plan;
	uint32_t next = flat->next;
	struct err *err = NULL;

	flat->lists[plan_index] = calloc(plan->n_lists ? plan->n_lists : 1, sizeof(uint32_t));
	if (!flat->lists[plan_index])
		return &err_nomem;
	for (size_t i = 0; i < plan->n_lists; i++) {
		flat->lists[plan_index][i] = next;
		next += plan->lists[i].n_steps;
	}
	for (size_t i = 0; i < plan->n_lists && !err; i++)
		err = flat_put(flat, plan, plan_index, plan->lists[i].first_step, plan->lists[i].n_steps);
	return err ? err : put_dispatches(c, flat, plan_index);
}

struct err *flat_begin(struct collector *c, struct flat *flat)
{
	uint32_t n_flat = 0, n_dispatch = 0;
	struct err *err = NULL;

	if (c->maps.flat < 0)
		return NULL;
	flat_count(c, &n_flat, &n_dispatch);
	flat->cap = n_flat;
	flat->steps = calloc(n_flat ? n_flat : 1, sizeof(*flat->steps));
	if (!flat->steps)
		return &err_nomem;
	for (uint32_t i = 0; i < c->n_plans && !err; i++)
		err = begin_plan(c, flat, i);
	return err;
}

struct err *flat_end(struct collector *c, struct flat *flat)
{
	uint32_t *keys _cleanup_free_ = calloc(flat->next ? flat->next : 1, sizeof(*keys));

	if (!keys)
		return &err_nomem;
	for (uint32_t i = 0; i < flat->next; i++)
		keys[i] = i;
	return map_put_all(c->maps.flat, "flat", keys, sizeof(*keys), flat->steps, sizeof(*flat->steps), flat->next);
}

void flat_deinit(struct flat *flat)
{
	for (uint32_t i = 0; i < PLANS_MAX; i++)
		free(flat->lists[i]);
	free(flat->steps);
}
