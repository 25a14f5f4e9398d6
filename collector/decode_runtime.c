/* SPDX-License-Identifier: Apache-2.0 */
/* Values that are pointers into the run-time system: channels, functions. Maps: decode_map.c. */
#include <string.h>

#include "decode_priv.h"

bool place_behind(struct decoder *d, uint64_t addr, uint64_t size, struct place *ret)
{
	*ret = (struct place){ 0 };
	if (find_bytes(d->view, addr, &ret->mem, &ret->n_mem) && ret->n_mem >= size)
		return true;
	if (is_fault(d, addr))
		return missing(d, "unreadable", fault_why(d, addr));
	return missing(d, "unreadable", d->view->full ? "record full" : "not read");
}

static uint64_t link_address(const struct decoder *d, uint64_t addr)
{
	return addr - (d->view->head->ip - d->site->addr);
}

void decode_bare_pointer(struct decoder *d, uint64_t addr, const char *word, const char *why)
{
	d->ops->pointer_begin(d, addr);
	d->ops->pointer_end(d, word, why);
}

bool decode_read_pointer(struct decoder *d, const struct place *p, uint64_t *addr_ret)
{
	if (!place_read(d, p, 0, 8, addr_ret)) {
		decode_absent(d);
		return false;
	}
	if (!*addr_ret)
		d->ops->nil(d);
	return *addr_ret;
}

void decode_chan(struct decoder *d, const struct place *p)
{
	const struct plan_binary *bin = &d->plan->binary;
	uint64_t addr, len, cap;
	struct place head;

	if (!decode_read_pointer(d, p, &addr))
		return;
	if (!bin->chan_len_off && !bin->chan_cap_off)
		decode_bare_pointer(d, addr, "not decoded", "the layout of runtime.hchan is not known");
	else if (!place_behind(d, addr, 0, &head) || !place_read(d, &head, bin->chan_len_off, 8, &len) ||
		 !place_read(d, &head, bin->chan_cap_off, 8, &cap))
		decode_bare_pointer(d, addr, d->word, d->why);
	else
		d->ops->chan(d, addr, len, cap);
}

/* What func values of the function at that link address point to; NULL where the plan does not know. */
static const struct plan_closure *closure_of(const struct decoder *d, uint64_t entry)
{
	size_t low = 0, n = d->plan->n_closures;

	while (n) {
		size_t half = n / 2;

		if (d->plan->closures[low + half].entry < entry) {
			low += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return low < d->plan->n_closures && d->plan->closures[low].entry == entry ? &d->plan->closures[low] : NULL;
}

/* A func value, with what it captured where that was read. */
static void decode_captured(struct decoder *d, uint64_t addr, const char *name, const struct plan_closure *closure)
{
	const struct go_type *t = closure ? type_at(d, closure->type) : NULL;
	uint32_t followed = d->n_followed;
	struct place value;

	bool known = t;
	if (!t)
		missing(d, "not decoded", "captured variables");
	else if (d->hops >= d->limits.depth)
		known = missing(d, "depth", "captured variables");
	else if (find_cycle(d, addr, closure->type))
		known = missing(d, "cycle", "captured variables");
	else
		known = place_behind(d, addr, t->size, &value);
	if (!known) {
		d->ops->func(d, addr, name, CAPTURED_UNKNOWN);
		return;
	}
	if (closure->partial)
		d->ops->remark(d, "partial", "captured variables that the debug information has");
	d->ops->func(d, addr, name, CAPTURED_FOLLOWS);
	decode_follow(d, addr, closure->type, d->n_path);
	d->hops++;
	decode_value(d, &value, closure->type);
	d->hops--;
	d->n_followed = followed;
	d->ops->func_end(d);
}

void decode_func(struct decoder *d, const struct place *p)
{
	const char *name = NULL;
	uint64_t addr, code;
	struct place value;

	if (!decode_read_pointer(d, p, &addr))
		return;
	if (!place_behind(d, addr, 8, &value) || !place_read(d, &value, 0, 8, &code)) {
		decode_bare_pointer(d, addr, d->word, d->why);
		return;
	}
	if (d->names)
		name = names_function(d->names, link_address(d, code));
	name = name ? name : "";
	/* A func value that captures nothing stands in the file; those that do are made at run time. */
	if (d->names && names_in_file(d->names, link_address(d, addr)))
		d->ops->func(d, addr, name, CAPTURED_NOTHING);
	else
		decode_captured(d, addr, name, closure_of(d, link_address(d, code)));
}
