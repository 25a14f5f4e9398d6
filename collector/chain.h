/* SPDX-License-Identifier: Apache-2.0 */
/* A stack put together from what the programs read and the kernel's chain of frame pointers, which leaves out who called at most sites. */
#ifndef COLLECTOR_CHAIN_H
#define COLLECTOR_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "../bpf_c/record.h"

/* Does this kernel put the caller into the chain where the probe is at a `push`? Seen at the first hit that tells. */
enum chain_kind { CHAIN_UNKNOWN = 0, CHAIN_WITHOUT_CALLER, CHAIN_WITH_CALLER };

/* What one hit tells of that. */
enum chain_kind chain_kind_of(const struct stack_head *head, bool at_push, uint64_t ip, const uint64_t *chain,
			      uint32_t n);

/* The instruction pointer, who called, then the kernel's chain without what it repeats: at most `max` addresses. */
uint32_t stack_join(const struct stack_head *head, bool at_push, enum chain_kind kind, uint64_t ip,
		    const uint64_t *chain, uint32_t n, uint64_t *frames, uint32_t max);

#endif
