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
	/* A func value that captures nothing stands in the file; those that do are made at run time. */
	d->ops->func(d, addr, name ? name : "", !d->names || !names_in_file(d->names, link_address(d, addr)));
}
