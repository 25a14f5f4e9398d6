/* SPDX-License-Identifier: Apache-2.0 */
/* The drain thread, and the ring buffer. Perf buffers: perf.c.
 *
 * The programs submit without wake-ups (a wake-up costs more than the rest of a submission), so the thread looks on a timer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "drain.h"
#include "perf.h"
#include "ringbuf.h"

#define BUSY_MS 2  /* between looks, after one that found something: at most some MiB of records */
#define IDLE_MS 10 /* a person does not see it */
#define LOST_NS UINT64_C(250000000)
#define PASS_RECORDS 65536 /* taken in one go, so that ends of processes and losses are told of under load as well */
#define SETTLE_NS                                                                                                      \
	UINT64_C(500000000) /* at the end: for programs that were interrupted between counting and submitting */

struct drain {
	struct collector *c;
	struct ringbuf *ring;
	struct perf_buffers *perf;
	int epoll;
	uint32_t pass; /* records taken in this pass */
	uint64_t lost_told, lost_looked;
	/* Ends of processes up to `ends_seen` are told of once all that was in the buffer then has been taken; 0: none to come. */
	uint64_t ends_seen;
	unsigned long ends_behind;
};

/* One record from the kernel's buffer. False: enough for this pass. */
static bool take_record(struct drain *d, const void *data, size_t size)
{
	struct collector *c = d->c;
	uint32_t pid, used;

	atomic_fetch_add_explicit(&c->received, 1, memory_order_relaxed);
	if (size < sizeof(struct record)) {
		atomic_fetch_add(&c->malformed, 1);
		return ++d->pass < PASS_RECORDS;
	}
	/* Copied: perf's records are not aligned to 8. */
	memcpy(&pid, (const uint8_t *)data + offsetof(struct record, pid), sizeof(pid));
	memcpy(&used, (const uint8_t *)data + offsetof(struct record, used), sizeof(used));
	processes_see(c->processes, pid);
	/* The ring's records are of constant size: leave out what this one does not use. */
	if (used < size - sizeof(struct record))
		size = sizeof(struct record) + used;
	if (!queue_put(c->queue, BLOCK_RECORD, data, size))
		atomic_fetch_add(&c->malformed, 1);
	return ++d->pass < PASS_RECORDS;
}

static bool on_record(void *arg, const void *data, size_t size)
{
	return take_record(arg, data, size);
}

/* Take what is there, of perf buffers what is older than `until`. True where the pass ended before the buffer did. */
static bool take_all(struct drain *d, uint64_t until)
{
	d->pass = 0;
	if (d->perf)
		perf_buffers_take(d->perf, until, on_record, d);
	else if (d->ring)
		ringbuf_take(d->ring, on_record, d);
	if (d->perf)
		atomic_store(&d->c->perf_lost, perf_buffers_lost(d->perf));
	queue_publish(d->c->queue);
	return d->pass >= PASS_RECORDS;
}

static void tell_losses(struct drain *d, uint64_t now)
{
	uint64_t sent, lost;

	d->lost_looked = now;
	count_sent(d->c, &sent, &lost);
	lost += maps_read_misses(d->c);
	if (lost > d->lost_told) {
		struct lost_block block = { .ts = now, .count = lost - d->lost_told };

		d->lost_told = lost;
		queue_put(d->c->queue, BLOCK_LOST, &block, sizeof(block));
		queue_publish(d->c->queue);
	}
}

/* The programs are disabled: take what they have still to submit. */
static void settle(struct drain *d)
{
	uint64_t deadline = monotonic_ns() + SETTLE_NS, sent, lost;

	for (;;) {
		bool late = monotonic_ns() >= deadline;

		while (take_all(d, UINT64_MAX))
			;
		count_sent(d->c, &sent, &lost);
		if (late || atomic_load(&d->c->received) >= sent)
			break;
		usleep(1000);
	}
}

/* Tell of processes that have ended, behind their last records. */
static void tell_ends(struct drain *d, uint64_t now)
{
	if (d->perf) {
		processes_report(d->c->processes, d->c->queue, now - PERF_SLACK_NS);
		return;
	}
	if (!d->ends_seen || (d->ring && !ringbuf_taken(d->ring, d->ends_behind)))
		return;
	processes_report(d->c->processes, d->c->queue, d->ends_seen);
	d->ends_seen = 0;
}

void drain_run(struct drain *d)
{
	struct collector *c = d->c;
	struct epoll_event event;

	d->lost_looked = monotonic_ns();
	while (!atomic_load(&c->stopping)) {
		uint64_t now = monotonic_ns();
		bool more;

		processes_poll(c->processes);
		if (!d->ends_seen) {
			d->ends_seen = monotonic_ns();
			d->ends_behind = d->ring ? ringbuf_end(d->ring) : 0;
		}
		more = take_all(d, now > PERF_SLACK_NS ? now - PERF_SLACK_NS : 0);
		if (!more) {
			tell_ends(d, now);
			queue_publish(c->queue);
		}
		now = monotonic_ns();
		if (now - d->lost_looked >= LOST_NS)
			tell_losses(d, now);
		if (!more)
			epoll_wait(d->epoll, &event, 1, d->pass ? BUSY_MS : IDLE_MS);
	}
	settle(d);
	processes_poll(c->processes);
	processes_report(c->processes, c->queue, UINT64_MAX);
	tell_losses(d, monotonic_ns());
	uint64_t now = monotonic_ns();

	queue_put(c->queue, BLOCK_STOP, &now, sizeof(now));
	queue_publish(c->queue);
}

static struct err *watch(struct drain *d, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &event))
		return err_create(ERR_IO, "epoll_ctl: %s", strerror(errno));
	return NULL;
}

static struct err *open_buffers(struct drain *d)
{
	struct collector *c = d->c;

	if (c->options.mode != MODE_TRACE)
		return NULL; /* nothing is sent: the thread watches processes only */
	if (c->buffer == BUFFER_PERF)
		return perf_buffers_create(c, &d->perf);
	return ringbuf_open(c->maps.events, c->ring_size, &d->ring);
}

struct err *drain_create(struct collector *c, struct drain **ret)
{
	struct drain *d = calloc(1, sizeof(*d));
	struct err *err;

	if (!d)
		return &err_nomem;
	d->c = c;
	d->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (d->epoll < 0) {
		free(d);
		return err_create(ERR_IO, "epoll_create1: %s", strerror(errno));
	}
	err = open_buffers(d);
	if (!err)
		err = watch(d, c->wake_fd);
	if (!err)
		err = watch(d, processes_fd(c->processes));
	if (err) {
		drain_destroy(d);
		return err;
	}
	*ret = d;
	return NULL;
}

void drain_destroy(struct drain *d)
{
	if (!d)
		return;
	ringbuf_close(d->ring);
	perf_buffers_destroy(d->perf);
	close(d->epoll);
	free(d);
}
