/* SPDX-License-Identifier: Apache-2.0 */
#include "ringbuf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Given back after this share of the buffer, so that the programs find room while a long pass goes on. */
#define BATCH_SHARE 16

struct ringbuf {
	size_t size, page;
	unsigned long *consumer; /* a page of its own, which we write */
	const uint8_t *mapped;   /* producer page, then the data twice in a row: a record never wraps */
	const unsigned long *producer;
	const uint8_t *data;
};

struct err *ringbuf_open(int fd, size_t size, struct ringbuf **ret)
{
	struct ringbuf *r = calloc(1, sizeof(*r));
	void *mapped;

	if (!r)
		return &err_nomem;
	r->size = size;
	r->page = sysconf(_SC_PAGESIZE);
	mapped = mmap(NULL, r->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped != MAP_FAILED)
		r->consumer = mapped;
	mapped = mmap(NULL, r->page + 2 * size, PROT_READ, MAP_SHARED, fd, r->page);
	if (mapped != MAP_FAILED)
		r->mapped = mapped;
	if (!r->consumer || !r->mapped) {
		struct err *err = err_create(ERR_KERNEL, "cannot map the ring buffer: %s", strerror(errno));

		ringbuf_close(r);
		return err;
	}
	r->producer = (const unsigned long *)r->mapped;
	r->data = r->mapped + r->page;
	*ret = r;
	return NULL;
}

void ringbuf_close(struct ringbuf *r)
{
	if (!r)
		return;
	if (r->consumer)
		munmap(r->consumer, r->page);
	if (r->mapped)
		munmap((void *)r->mapped, r->page + 2 * r->size);
	free(r);
}

void ringbuf_take(struct ringbuf *r, bool (*fn)(void *arg, const void *data, size_t size), void *arg)
{
	unsigned long at = *r->consumer, given = at, end = __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
	bool more = true;

	while (more && at != end) {
		const uint8_t *head = r->data + (at & (r->size - 1));
		uint32_t len = __atomic_load_n((const uint32_t *)head, __ATOMIC_ACQUIRE);

		if (len & BPF_RINGBUF_BUSY_BIT)
			break; /* reserved, not submitted yet: those behind it wait */
		if (!(len & BPF_RINGBUF_DISCARD_BIT))
			more = fn(arg, head + BPF_RINGBUF_HDR_SZ, len);
		len &= ~BPF_RINGBUF_DISCARD_BIT;
		at += (len + BPF_RINGBUF_HDR_SZ + 7) & ~7ul;
		if (at - given >= r->size / BATCH_SHARE) {
			__atomic_store_n(r->consumer, at, __ATOMIC_RELEASE);
			given = at;
		}
	}
	if (at != given)
		__atomic_store_n(r->consumer, at, __ATOMIC_RELEASE);
}

unsigned long ringbuf_end(const struct ringbuf *r)
{
	return __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
}

bool ringbuf_taken(const struct ringbuf *r, unsigned long place)
{
	return (long)(*r->consumer - place) >= 0;
}
