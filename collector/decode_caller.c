/* SPDX-License-Identifier: Apache-2.0 */
/* Floats of arguments that are in no place of the function's own: the return address tells which call it was, and of direct calls the plan
 * knows where the caller has them (offsets/callers.h). */
#include <string.h>

#include "decode_priv.h"

static const struct plan_caller *find_caller(const struct decoder *d, uint64_t ret, uint8_t reg)
{
	const struct plan_caller *v = d->plan->callers + d->site->first_caller;
	size_t lo = 0, hi = d->site->n_callers;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (v[mid].ret < ret || (v[mid].ret == ret && v[mid].reg < reg))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < d->site->n_callers && v[lo].ret == ret && v[lo].reg == reg ? &v[lo] : NULL;
}

/* Bytes of what a step of the site itself read. */
static bool read_chunk(const struct decoder *d, const location_t *at, uint64_t offset, uint32_t size, void *to)
{
	for (uint32_t i = 0; i < d->view->n_chunks; i++) {
		const struct chunk_view *v = &d->view->chunks[i];

		if (v->step != at->index)
			continue;
		if (at->kind != LOC_CHUNK || at->offset < 0)
			return false;
		offset += (uint64_t)at->offset;
		if (offset > v->len || v->len - offset < size)
			return false;
		memcpy(to, v->data + offset, size);
		return true;
	}
	return false;
}

bool caller_read(struct decoder *d, const struct plan_piece *piece, uint64_t offset, uint32_t size, void *to)
{
	uint64_t ret;

	if (!piece->came_in || !d->site->n_callers || !read_chunk(d, &d->site->return_at, 0, sizeof(ret), &ret))
		return false;
	ret -= d->view->head->ip - d->site->addr;
	const struct plan_caller *c = find_caller(d, ret, piece->came_in - 1);
	if (!c || offset > c->size || c->size - offset < size)
		return false;
	if (c->at.kind != LOC_CONSTANT)
		return read_chunk(d, &c->at, offset, size, to);
	if (offset + size > sizeof(c->constant))
		return false;
	memcpy(to, (const uint8_t *)&c->constant + offset, size);
	return true;
}
