/* SPDX-License-Identifier: Apache-2.0 */
/* The drain thread: the kernel's buffers and the ends of processes → queue. */
#ifndef COLLECTOR_DRAIN_H
#define COLLECTOR_DRAIN_H

#include "internal.h"
#include "queue.h"

/* ---- ring.c ---------------------------------------------------------------------------------------------- */

/* Open the ring buffer or one perf buffer per CPU, as c->buffer says. ERR_KERNEL, ERR_PRIVILEGE. */
struct err *drain_create(struct collector *c, struct drain **ret);
void drain_destroy(struct drain *d);

/* Body of the thread: until c->stopping, then the rest, then BLOCK_STOP. */
void drain_run(struct drain *d);

/* ---- process.c ------------------------------------------------------------------------------------------- */

#define PROCESSES_MAX 4096u /* watched at one time, by one descriptor each; the ends of others are not noticed */

struct err *processes_create(struct processes **ret);
void processes_destroy(struct processes *p);

/* A process that must end before the trace may (collector_allow_pid). ERR_NOTFOUND where there is none. */
struct err *processes_add_allowed(struct processes *p, uint32_t pid);

/* A record of this process was seen: watch it. Cheap when it is the same one again. */
void processes_see(struct processes *p, uint32_t pid);

/* A descriptor that is readable when a process has ended; -1 on kernels without. */
int processes_fd(const struct processes *p);

/* Note which have ended by now. */
void processes_poll(struct processes *p);

/* All records up to time `until` are in the queue: put the ends noted up to then behind them. */
void processes_report(struct processes *p, struct queue *queue, uint64_t until);

/* ---- summary.c ------------------------------------------------------------------------------------------- */

/* Records that the programs have sent so far by their own counters, and what is lost so far (misses not included). */
void count_sent(struct collector *c, uint64_t *sent_ret, uint64_t *lost_ret);

/* Fill c->summary: after both threads have ended. */
struct err *summary_make(struct collector *c, uint64_t now);
void summary_deinit(struct collector *c);

#endif
