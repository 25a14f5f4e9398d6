/* SPDX-License-Identifier: Apache-2.0 */
/* Source of the layout: include/uapi/linux/perf_event.h, struct perf_event_mmap_page and PERF_RECORD_SAMPLE with PERF_SAMPLE_RAW. */
#include "perf.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RECORD_SIZE_MAX 65536 /* of a perf record: its size is 16 bits wide */
#define PAGES_MIN 32          /* of one CPU: two of the largest records */

struct cpu_buffer {
	int fd;
	struct perf_event_mmap_page *head;
	uint8_t *bytes;
	uint64_t size;        /* of bytes: a power of two */
	uint64_t tail, limit; /* taken up to tail; there is data up to limit */
	uint64_t ts;          /* of the record at tail, where has_record */
	bool has_record;
	const uint8_t *data;    /* the record at tail, in one piece */
	size_t data_size, step; /* step: to the next one */
	uint8_t *joined; /* RECORD_SIZE_MAX bytes: a record that goes over the end of the buffer is put together here */
};

struct perf_buffers {
	uint32_t n;
	size_t mapped; /* bytes of one mapping */
	uint64_t lost;
	struct cpu_buffer *cpus;
};

static struct err *map_buffer(struct cpu_buffer *b, size_t pages, size_t page)
{
	void *at = mmap(NULL, (1 + pages) * page, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);

	if (at == MAP_FAILED)
		return err_create(errno == EPERM || errno == EACCES ? ERR_PRIVILEGE : ERR_KERNEL,
				  "cannot map a perf buffer of %zu KiB: %s", pages * page / 1024, strerror(errno));
	b->head = at;
	b->bytes = (uint8_t *)at + page;
	b->size = pages * page;
	return NULL;
}

static struct err *open_cpu(struct collector *c, struct perf_buffers *p, uint32_t cpu, size_t pages, size_t page)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_type = PERF_SAMPLE_RAW,
		.sample_period = 1,
		.watermark = 1,
		.wakeup_watermark = UINT32_MAX, /* never: the thread looks on a timer */
	};
	struct cpu_buffer *b = &p->cpus[p->n];
	struct err *err;

	memset(b, 0, sizeof(*b));
	b->fd = (int)syscall(SYS_perf_event_open, &attr, -1, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (b->fd < 0) {
		if (errno == ENODEV || errno == EINVAL)
			return NULL; /* no such CPU now */
		return err_create(errno == EPERM || errno == EACCES ? ERR_PRIVILEGE : ERR_KERNEL,
				  "perf_event_open on CPU %u: %s", cpu, strerror(errno));
	}
	p->n++;
	b->joined = malloc(RECORD_SIZE_MAX);
	if (!b->joined)
		return &err_nomem;
	err = map_buffer(b, pages, page);
	if (err)
		return err;
	if (!maps_set_event_fd(c, cpu, b->fd))
		return err_create(ERR_KERNEL, "cannot put the perf buffer of CPU %u into its map: %s", cpu,
				  strerror(errno));
	return NULL;
}

struct err *perf_buffers_create(struct collector *c, struct perf_buffers **ret)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = PAGES_MIN;
	struct perf_buffers *p = calloc(1, sizeof(*p));
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t ncpu = c->ncpu ? c->ncpu : (uint32_t)sysconf(_SC_NPROCESSORS_CONF);
	struct err *err = NULL;

	if (!p)
		return &err_nomem;
	/* --buffer is the size of all of them together */
	while (pages * 2 * page * (size_t)(online > 0 ? online : 1) <= c->options.buffer_size)
		pages *= 2;
	p->mapped = (1 + pages) * page;
	p->cpus = calloc(ncpu, sizeof(*p->cpus));
	if (!p->cpus)
		err = &err_nomem;
	for (uint32_t cpu = 0; cpu < ncpu && !err; cpu++)
		err = open_cpu(c, p, cpu, pages, page);
	if (!err && !p->n)
		err = err_create(ERR_KERNEL, "perf_event_open: no CPU has a buffer");
	if (err) {
		perf_buffers_destroy(p);
		return err;
	}
	*ret = p;
	return NULL;
}

void perf_buffers_destroy(struct perf_buffers *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->n; i++) {
		struct cpu_buffer *b = &p->cpus[i];

		if (b->head)
			munmap(b->head, p->mapped);
		close(b->fd);
		free(b->joined);
	}
	free(p->cpus);
	free(p);
}

uint64_t perf_buffers_lost(const struct perf_buffers *p)
{
	return p->lost;
}

/* n bytes at position `at`, in one piece: copied where they go over the buffer's end. */
static const uint8_t *piece(struct cpu_buffer *b, uint64_t at, size_t n)
{
	uint64_t offset = at & (b->size - 1), left = b->size - offset;

	if (n <= left)
		return b->bytes + offset;
	memcpy(b->joined, b->bytes + offset, left);
	memcpy(b->joined + left, b->bytes, n - left);
	return b->joined;
}

static void release(struct cpu_buffer *b)
{
	__atomic_store_n(&b->head->data_tail, b->tail, __ATOMIC_RELEASE);
}

/* Look at the record at the tail; count and pass over those that hold none of ours. */
static void peek(struct perf_buffers *p, struct cpu_buffer *b)
{
	b->has_record = false;
	while (b->limit - b->tail >= sizeof(struct perf_event_header)) {
		/* A header is 8 bytes, and all is aligned to 8: it does not go over the end. */
		const struct perf_event_header *header = (const void *)(b->bytes + (b->tail & (b->size - 1)));
		size_t size = header->size;
		uint32_t type = header->type;

		if (size < sizeof(*header) || size > b->limit - b->tail) {
			b->tail = b->limit; /* nothing of the kernel's looks like this */
			break;
		}
		if (type == PERF_RECORD_LOST && size >= sizeof(*header) + 16) {
			uint64_t lost;

			memcpy(&lost, piece(b, b->tail, size) + sizeof(*header) + 8, sizeof(lost));
			p->lost += lost;
		}
		if (type == PERF_RECORD_SAMPLE && size >= sizeof(*header) + 4) {
			/* header, u32 size, data: the data is 4 bytes off alignment, so it is handed over from a copy that is not */
			const uint8_t *record = piece(b, b->tail, size);
			uint32_t raw;

			memcpy(&raw, record + sizeof(*header), sizeof(raw));
			if (raw > size - sizeof(*header) - 4)
				raw = (uint32_t)(size - sizeof(*header) - 4);
			b->data = record + sizeof(*header) + 4;
			b->data_size = raw;
			b->ts = 0;
			if (raw >= sizeof(b->ts))
				memcpy(&b->ts, b->data, sizeof(b->ts)); /* the first member of struct record */
			b->step = size;
			b->has_record = true;
			return;
		}
		b->tail += size;
	}
	release(b);
}

void perf_buffers_take(struct perf_buffers *p, uint64_t until, bool (*fn)(void *arg, const void *data, size_t size),
		       void *arg)
{
	bool go_on = true;

	for (uint32_t i = 0; i < p->n; i++) {
		struct cpu_buffer *b = &p->cpus[i];

		b->limit = __atomic_load_n(&b->head->data_head, __ATOMIC_ACQUIRE);
		if (!b->has_record)
			peek(p, b);
	}
	while (go_on) {
		struct cpu_buffer *first = NULL;
		uint64_t second = until;
		uint32_t taken = 0;

		for (uint32_t i = 0; i < p->n; i++) {
			struct cpu_buffer *b = &p->cpus[i];

			if (!b->has_record)
				continue;
			if (!first || b->ts < first->ts) {
				if (first && first->ts < second)
					second = first->ts;
				first = b;
			} else if (b->ts < second) {
				second = b->ts;
			}
		}
		if (!first || first->ts > until)
			break;
		/* as long as no other CPU has an older one */
		do {
			go_on = fn(arg, first->data, first->data_size);
			first->tail += first->step;
			if (++taken % 64 == 0)
				release(first);
			peek(p, first);
		} while (go_on && first->has_record && first->ts <= second);
		release(first);
	}
}
