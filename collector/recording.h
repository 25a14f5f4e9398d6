/* SPDX-License-Identifier: Apache-2.0 */
/* A recording: everything that a trace saw, as it came, so that any format can be made of it later and without root.
 *
 * A file of blocks after an 8-byte magic; each block: u32 size, u32 kind, the bytes, padding to 8. First RECORDING_HEAD, then a
 * RECORDING_PLAN for each binary (offsets/plan_io.c), then what the queue held (enum block_kind), RECORDING_FAULT and RECORDING_FRAMES
 * before the record that they belong to, last RECORDING_END. Little endian. A recording is read as a hostile file is: every size and index is checked. */
#ifndef COLLECTOR_RECORDING_H
#define COLLECTOR_RECORDING_H

#include "internal.h"
#include "queue.h"
#include "../offsets/json_out.h"

#define RECORDING_MAGIC "GSCOPE3\n" /* the number grows with every change that an older reader cannot pass over */

enum recording_kind {
	RECORDING_HEAD = 0x100,
	RECORDING_PLAN,
	RECORDING_FAULT, /* struct recording_fault */
	RECORDING_END,   /* struct recording_end, then struct fn_counters for each function */
	RECORDING_FRAMES, /* struct recording_frames, then for each frame: u32 line, u32 inlined, names of function and file, each with its 0 */
};

struct recording_head {
	uint64_t monotonic_ns, wall_ns; /* at the start */
	uint32_t n_plans, n_functions;
	uint32_t string_size, depth, elements;
	uint8_t no_args, no_results, no_returns, reserved;
	uint64_t max_calls, max_rate;
	uint32_t sample_each, stack;
	char tracer_version[32];
	char where[EXPR_TEXT_MAX];     /* the condition */
	char mask[MASK_REGEX_MAX + 8]; /* what is not to be shown of it (mask.h); it is in the file all the same */
};

/* Why memory could not be read, which only the running process could tell. */
struct recording_fault {
	uint64_t addr;
	char why[56];
};

/* What an address in a stack stands for; before the first record that it is in. */
struct recording_frames {
	uint64_t addr; /* link address */
	uint32_t binary_id, n;
};

struct recording_end {
	uint64_t stopped_ns; /* CLOCK_MONOTONIC */
	uint64_t misses, perf_lost;
};

/* Append what stands before the events; the writer flushes `out` to the file. */
void recording_begin(struct collector *c, struct jout *out);
void recording_block(struct jout *out, uint32_t kind, const void *data, size_t size);
/* A record, and of its reads that failed what is known of the reason. */
void recording_record(struct collector *c, struct jout *out, const void *data, size_t size);
void recording_end(struct collector *c, struct jout *out, uint64_t now);

#endif
