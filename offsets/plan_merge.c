/* SPDX-License-Identifier: Apache-2.0 */
/* One list of steps for all that are read alike. Lists are made by type, and of the thousands that an interface of a large program can hold,
 * most are read as some other is: the values are told apart by their types, which the lists do not name. */
#include <stdlib.h>
#include <string.h>

#include "plan_build.h"

#define PASSES_MAX 8 /* what is not found by then stays apart: it costs room, no more */

struct merger {
	struct plan *plan;
	uint32_t *same; /* for each list the one that stands for it; itself where it stands */
	uint8_t *leads; /* for each list: does it run others? */
	size_t n_buckets;
	uint32_t *buckets; /* index + 1 */
};

/* A step as it compares: lists that it runs by what stands for them. */
static struct step step_as_is(const struct merger *m, uint32_t index)
{
	struct step step = m->plan->steps[index];

	if (step.op == STEP_EACH)
		step.off = (int32_t)m->same[step.off];
	return step;
}

static uint64_t hash_list(const struct merger *m, const struct plan_list *list)
{
	uint64_t h = list->n_steps;

	for (uint32_t i = 0; i < list->n_steps; i++) {
		struct step step = step_as_is(m, list->first_step + i);
		uint64_t words[sizeof(step) / 8];

		memcpy(words, &step, sizeof(words));
		for (size_t k = 0; k < sizeof(words) / sizeof(*words); k++) {
			h = (h ^ words[k]) * 0x9e3779b97f4a7c15ull;
			h ^= h >> 29;
		}
	}
	return h;
}

static bool lists_equal(const struct merger *m, const struct plan_list *a, const struct plan_list *b)
{
	if (a->n_steps != b->n_steps)
		return false;
	for (uint32_t i = 0; i < a->n_steps; i++) {
		struct step x = step_as_is(m, a->first_step + i), y = step_as_is(m, b->first_step + i);

		if (memcmp(&x, &y, sizeof(x)) != 0)
			return false;
	}
	return true;
}

/* One pass over the lists that still stand, backwards: a list is mostly made before those that it runs. False where nothing more was found. */
static bool merge_once(struct merger *m, bool first)
{
	const struct plan *plan = m->plan;
	bool found = false;

	memset(m->buckets, 0, m->n_buckets * sizeof(*m->buckets));
	for (uint32_t i = plan->n_lists; i-- > 0;) {
		if (m->same[i] != i || (!first && !m->leads[i]))
			continue;
		size_t at = hash_list(m, &plan->lists[i]) & (m->n_buckets - 1);

		while (m->buckets[at] && !lists_equal(m, &plan->lists[m->buckets[at] - 1], &plan->lists[i]))
			at = (at + 1) & (m->n_buckets - 1);
		if (m->buckets[at]) {
			m->same[i] = m->buckets[at] - 1;
			found = true;
		} else {
			m->buckets[at] = i + 1;
		}
	}
	/* What was merged before may stand for one that was merged now. */
	for (uint32_t i = 0; i < plan->n_lists; i++)
		m->same[i] = m->same[m->same[i]];
	return found;
}

/* Leave out the lists that do not stand, and their steps. `steps`: for each step its new index, and for the end. */
static void compact(struct merger *m, uint32_t *steps)
{
	struct plan *plan = m->plan;
	uint32_t n = 0, n_lists = 0;

	memset(steps, 0, plan->n_steps * sizeof(*steps));
	for (size_t i = 0; i < plan->n_lists; i++)
		for (uint32_t k = 0; k < plan->lists[i].n_steps && m->same[i] != i; k++)
			steps[plan->lists[i].first_step + k] = UINT32_MAX;
	for (size_t i = 0; i < plan->n_steps; i++) {
		bool stays = steps[i] != UINT32_MAX;

		steps[i] = n; /* of one that goes: where those behind it begin */
		if (stays)
			plan->steps[n++] = plan->steps[i];
	}
	steps[plan->n_steps] = n;
	for (size_t i = 0; i < plan->n_lists; i++)
		if (m->same[i] == i) {
			plan->lists[n_lists] = plan->lists[i];
			m->buckets[i] = n_lists++;
		}
	for (size_t i = 0; i < plan->n_lists; i++)
		m->same[i] = m->buckets[m->same[i]];
	for (size_t i = 0; i < n; i++)
		if (plan->steps[i].op == STEP_EACH)
			plan->steps[i].off = (int32_t)m->same[plan->steps[i].off];
	for (size_t i = 0; i < plan->n_dispatches; i++)
		plan->dispatches[i].list = m->same[plan->dispatches[i].list];
	/* Those without steps too: theirs begin where there may be none any more. */
	for (size_t i = 0; i < n_lists; i++)
		plan->lists[i].first_step = steps[plan->lists[i].first_step];
	for (size_t i = 0; i < plan->n_sites; i++)
		plan->sites[i].first_step = steps[plan->sites[i].first_step];
	plan->n_lists = n_lists;
	plan->n_steps = n;
}

struct err *plan_merge_lists(struct plan *plan)
{
	uint32_t *same _cleanup_free_ = calloc(plan->n_lists + 1, sizeof(*same));
	uint8_t *leads _cleanup_free_ = calloc(plan->n_lists + 1, sizeof(*leads));
	uint32_t *steps _cleanup_free_ = calloc(plan->n_steps + 1, sizeof(*steps));
	struct merger m = { .plan = plan, .same = same, .leads = leads, .n_buckets = 64 };
	uint32_t *buckets _cleanup_free_ = NULL;

	while (m.n_buckets < 2 * plan->n_lists)
		m.n_buckets *= 2;
	m.buckets = buckets = calloc(m.n_buckets, sizeof(*buckets));
	if (!same || !leads || !steps || !buckets)
		return &err_nomem;
	for (uint32_t i = 0; i < plan->n_lists; i++) {
		const struct plan_list *l = &plan->lists[i];

		same[i] = i;
		for (uint32_t k = 0; k < l->n_steps; k++)
			leads[i] |= plan->steps[l->first_step + k].op == STEP_EACH;
	}
	/* Lists become alike when those that they run have been merged. */
	for (int pass = 0; pass < PASSES_MAX && merge_once(&m, !pass); pass++)
		;
	compact(&m, steps);
	return NULL;
}
