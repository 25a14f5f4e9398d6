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

struct err *flat_put(struct collector *c, struct flat *flat, uint32_t plan_index, uint32_t first, uint32_t n)
{
	const struct plan *plan = c->plans[plan_index].plan;
	struct err *err = NULL;

	for (uint32_t i = 0; i < n && !err; i++) {
		struct step step = plan->steps[first + i];

		if (step.op == STEP_EACH) {
			step.n = plan->lists[step.off].n_steps;
			step.off = flat->lists[plan_index][step.off];
		} else if (step.op == STEP_DISPATCH) {
			step.max = global_group(plan_index, step.max);
		}
		err = map_put(c->maps.flat, "flat", flat->next++, &step);
	}
	return err;
}

static struct err *fill_lists(struct collector *c, struct flat *flat, uint32_t plan_index)
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
		err = flat_put(c, flat, plan_index, plan->lists[i].first_step, plan->lists[i].n_steps);
	for (size_t i = 0; i < plan->n_dispatches && !err; i++) {
		const struct plan_dispatch *d = &plan->dispatches[i];
		struct dispatch_key key = { d->type, global_group(plan_index, d->group) };
		struct dispatch_list value = { flat->lists[plan_index][d->list], plan->lists[d->list].n_steps };

		if (bpf_update_elem(c->maps.dispatch, &key, &value, BPF_ANY))
			err = err_create(ERR_KERNEL, "map 'dispatch': %s", strerror(errno));
	}
	return err;
}

struct err *flat_fill_lists(struct collector *c, struct flat *flat)
{
	struct err *err = NULL;

	for (uint32_t i = 0; i < c->n_plans && !err && c->maps.flat >= 0; i++)
		err = fill_lists(c, flat, i);
	return err;
}

void flat_deinit(struct flat *flat)
{
	for (uint32_t i = 0; i < PLANS_MAX; i++)
		free(flat->lists[i]);
}
