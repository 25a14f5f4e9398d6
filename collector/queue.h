/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded queue of blocks of bytes between two threads: one that puts, one that takes. Full, it makes the putter wait: then the
 * kernel's buffer fills, and what does not fit there is counted in the kernel, at the one place where losses are counted. */
#ifndef COLLECTOR_QUEUE_H
#define COLLECTOR_QUEUE_H

#include "../offsets/error.h"

struct queue;

enum block_kind {
	BLOCK_RECORD = 1,  /* struct record, without what it does not use */
	BLOCK_LOST,        /* struct lost_block */
	BLOCK_PROCESS_END, /* struct end_block */
	BLOCK_ALL_EXITED,  /* nothing */
	BLOCK_STOP,        /* uint64_t time, ns: the last one */
	BLOCK_WRAP,        /* queue.c's own */
};

struct lost_block {
	uint64_t ts, count;
};

struct end_block {
	uint64_t ts;
	uint32_t pid, reserved;
};

/* size: bytes, a power of two. A block is at most a quarter of it. */
struct err *queue_create(size_t size, struct queue **ret);
void queue_destroy(struct queue *q);

/* Copy a block in, waiting for room. False where it is larger than a block may be, or the taker is gone. */
bool queue_put(struct queue *q, enum block_kind kind, const void *data, size_t size);

/* Let the taker see what was put. queue_put() does so by itself now and then. */
void queue_publish(struct queue *q);

/* The next block, aligned to 8, valid until queue_drop(). NULL if there is none within timeout_ms (0: at once). */
const void *queue_take(struct queue *q, int timeout_ms, enum block_kind *kind_ret, size_t *size_ret);
void queue_drop(struct queue *q);

/* The taker goes: no queue_put() waits any more. */
void queue_close(struct queue *q);

#endif
