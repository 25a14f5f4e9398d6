/* SPDX-License-Identifier: Apache-2.0 */
/* Perf output: one buffer per CPU, where the kernel has no BPF ring buffer. Records come out in order of time over all CPUs. */
#ifndef COLLECTOR_PERF_H
#define COLLECTOR_PERF_H

#include "internal.h"

/* A record is taken only when it is this old: by then every record that is older has been submitted, unless its program was
 * interrupted for longer between reading the clock and submitting. */
#define PERF_SLACK_NS UINT64_C(1000000)

struct perf_buffers;

/* Open the buffers and put them into the map. They stay in their memory until taken: nothing is copied to put them in order. */
struct err *perf_buffers_create(struct collector *c, struct perf_buffers **ret);
void perf_buffers_destroy(struct perf_buffers *p);

/* Hand over the records older than `until` (ns), oldest first, until there are none or fn returns false. */
void perf_buffers_take(struct perf_buffers *p, uint64_t until, bool (*fn)(void *arg, const void *data, size_t size),
		       void *arg);

uint64_t perf_buffers_lost(const struct perf_buffers *p); /* as told by PERF_RECORD_LOST */

#endif
