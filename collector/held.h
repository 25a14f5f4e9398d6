/* SPDX-License-Identifier: Apache-2.0 */
/* Records of calls that are written only if their return says that they are wanted (REC_UNDECIDED). */
#ifndef COLLECTOR_HELD_H
#define COLLECTOR_HELD_H

#include <stddef.h>
#include <stdint.h>

#include "../bpf_c/record.h"

#define HELD_BYTES_MAX ((size_t)256 << 20) /* of all records together; calls past it are lost, and counted */

struct held {
	size_t size;
	_Alignas(8) uint8_t record[]; /* struct record and its data */
};

struct held_budget {
	size_t bytes;
	uint64_t n;
};

/* A copy; NULL where there is no room. */
struct held *held_keep(struct held_budget *budget, const struct record *r, size_t size);
void held_drop(struct held_budget *budget, struct held *held); /* NULL is legal */

#endif
