/* SPDX-License-Identifier: Apache-2.0 */
/* The writer thread: blocks of the queue → pairing → lines → out_fd. */
#ifndef COLLECTOR_WRITER_H
#define COLLECTOR_WRITER_H

#include "format.h"
#include "pairing.h"
#include "queue.h"

/* What user space adds to the counters of one function. */
struct fn_written {
	uint64_t calls_written, returns_written, unpaired, unwound;
	uint64_t duplicates;               /* hits whose call was open already */
	uint64_t sampled_returns;          /* of calls that --sample left out */
	uint64_t limited, limited_returns; /* past --max-events, --max-rate, or past what the reader of out_fd took */
	uint64_t calls_lost, returns_lost; /* after writing failed */
};

struct writer;

struct err *writer_create(struct collector *c, struct writer **ret);
void writer_destroy(struct writer *w);

void writer_meta(struct writer *w);                                             /* before the thread runs */
void writer_summary(struct writer *w, const struct collector_summary *summary); /* after it ended */

/* Until BLOCK_STOP: body of the thread. */
void writer_run(struct writer *w);

/* One block: for writer_run() and for tests. */
void writer_block(struct writer *w, enum block_kind kind, const void *data, size_t size);

/* Write what was put together. Failures are kept in the collector. */
void writer_flush(struct writer *w);

const struct fn_written *writer_counts(const struct writer *w, uint32_t fid);
const struct shortfalls *writer_shortfalls(const struct writer *w);
uint64_t writer_evicted(const struct writer *w);

#endif
