/* SPDX-License-Identifier: Apache-2.0 */
/* What became of the calls that wait for their return to decide (map `waiting`), once tracing has ended. */
#include <bcc/libbpf.h>
#include <stdlib.h>

#include "internal.h"

struct err *waiting_settle(struct collector *c)
{
	struct open_key key, next;

	if (c->maps.waiting < 0 || c->unfinished)
		return NULL;
	c->unfinished = calloc((size_t)c->n_fids + 1, sizeof(*c->unfinished));
	if (!c->unfinished)
		return &err_nomem;
	for (int more = bpf_get_first_key(c->maps.waiting, &next, sizeof(next)); !more;
	     more = bpf_get_next_key(c->maps.waiting, &key, &next)) {
		struct waiting_call call;

		if (next.fid < c->n_fids && !bpf_lookup_elem(c->maps.waiting, &next, &call) &&
		    call.state == WAITING_UNDECIDED)
			c->unfinished[next.fid]++;
		key = next;
	}
	return NULL;
}

void waiting_count(const struct collector *c, uint32_t fid, struct fn_counters *n)
{
	uint64_t left = n->waited - n->decided, there;

	if (!c->unfinished)
		return;
	there = c->unfinished[fid] < left ? c->unfinished[fid] : left;
	n->unfinished = there;
	n->filtered += there;
	n->calls_lost += left - there; /* the map was full and has forgotten them */
	n->decided = n->waited;
}
