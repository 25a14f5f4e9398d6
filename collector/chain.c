/* SPDX-License-Identifier: Apache-2.0 */
#include "chain.h"

enum chain_kind chain_kind_of(const struct stack_head *head, bool at_push, uint64_t ip, const uint64_t *chain,
			      uint32_t n)
{
	uint32_t at = n && chain[0] == ip;

	if (!at_push || head->own_frame || !head->caller || n <= at)
		return CHAIN_UNKNOWN;
	if (chain[at] != head->caller)
		return CHAIN_WITHOUT_CALLER;
	if (head->next != head->caller)
		return CHAIN_WITH_CALLER;
	/* a function that calls itself: the chain has the same address once for each of its calls */
	return n > at + 1 && chain[at + 1] == head->caller ? CHAIN_UNKNOWN : CHAIN_WITHOUT_CALLER;
}

static bool chain_has_caller(const struct stack_head *head, bool at_push, enum chain_kind kind)
{
	if (head->own_frame || head->next != head->caller)
		return true; /* then it is there only if it is the caller's own entry */
	return at_push && kind != CHAIN_WITHOUT_CALLER;
}

uint32_t stack_join(const struct stack_head *head, bool at_push, enum chain_kind kind, uint64_t ip,
		    const uint64_t *chain, uint32_t n, uint64_t *frames, uint32_t max)
{
	uint32_t at = n && chain[0] == ip, out = 0;

	if (out < max)
		frames[out++] = ip;
	if (head->caller && out < max) {
		frames[out++] = head->caller;
		if (at < n && chain[at] == head->caller && chain_has_caller(head, at_push, kind))
			at++;
	}
	for (; at < n && chain[at] && out < max; at++)
		frames[out++] = chain[at];
	return out;
}
