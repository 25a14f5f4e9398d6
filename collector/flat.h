/* SPDX-License-Identifier: Apache-2.0 */
/* The maps `flat` and `dispatch` of call_deep: the lists of steps of all plans, one after the other. */
#ifndef COLLECTOR_FLAT_H
#define COLLECTOR_FLAT_H

#include "internal.h"

struct flat {
	uint32_t next, cap;
	struct step *steps;         /* of the map, until flat_end() */
	uint32_t *lists[PLANS_MAX]; /* by plan: where its lists begin in the map */
};

/* Entries that the two maps need. */
void flat_count(const struct collector *c, uint32_t *n_flat, uint32_t *n_dispatch);

/* Put in the lists of all plans, and what leads to them; nothing where the maps are not there. */
struct err *flat_begin(struct collector *c, struct flat *flat);

/* Append steps of a plan at flat->next. */
struct err *flat_put(struct flat *flat, const struct plan *plan, uint32_t plan_index, uint32_t first, uint32_t n);

/* All is there: give it to the kernel. */
struct err *flat_end(struct collector *c, struct flat *flat);
void flat_deinit(struct flat *flat);

#endif
