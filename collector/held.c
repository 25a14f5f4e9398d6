/* SPDX-License-Identifier: Apache-2.0 */
#include "held.h"

#include <stdlib.h>
#include <string.h>

struct held *held_keep(struct held_budget *budget, const struct record *r, size_t size)
{
	size_t whole = sizeof(*r) + (size_t)r->used;
	struct held *held;

	if (whole > size)
		whole = size;
	if (whole > HELD_BYTES_MAX - budget->bytes)
		return NULL;
	held = malloc(sizeof(*held) + whole);
	if (!held)
		return NULL;
	held->size = whole;
	memcpy(held->record, r, whole);
	budget->bytes += whole;
	budget->n++;
	return held;
}

void held_drop(struct held_budget *budget, struct held *held)
{
	if (!held)
		return;
	budget->bytes -= held->size;
	budget->n--;
	free(held);
}
