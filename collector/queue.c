/* SPDX-License-Identifier: Apache-2.0 */
#include "queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CACHE_LINE 64
#define PUBLISH_BYTES                                                                                                  \
	(64u << 10) /* bytes put before they are shown: one store and at most one wake-up for some hundred records */

struct head {
	uint32_t size; /* bytes that follow, without padding */
	uint32_t kind;
};

struct queue {
	uint8_t *bytes;
	size_t size;
	/* the putter's */
	_Alignas(CACHE_LINE) size_t put; /* bytes put since the beginning */
	size_t seen_taken;               /* `taken` as last read */
	/* the taker's */
	_Alignas(CACHE_LINE) size_t take;
	size_t seen_put;
	size_t current; /* bytes of the block in hand, with head and padding */
	/* shared */
	_Alignas(CACHE_LINE) _Atomic size_t published;
	_Alignas(CACHE_LINE) _Atomic size_t taken;
	_Alignas(CACHE_LINE) _Atomic bool taker_waits, putter_waits, closed;
	pthread_mutex_t lock;
	pthread_cond_t wake;
};

struct err *queue_create(size_t size, struct queue **ret)
{
	struct queue *q = aligned_alloc(CACHE_LINE, (sizeof(*q) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
	pthread_condattr_t attr;

	if (!q)
		return &err_nomem;
	memset(q, 0, sizeof(*q));
	q->size = size;
	q->bytes = aligned_alloc(CACHE_LINE, size);
	if (!q->bytes) {
		free(q);
		return &err_nomem;
	}
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->wake, &attr);
	pthread_condattr_destroy(&attr);
	*ret = q;
	return NULL;
}

void queue_destroy(struct queue *q)
{
	if (!q)
		return;
	pthread_cond_destroy(&q->wake);
	pthread_mutex_destroy(&q->lock);
	free(q->bytes);
	free(q);
}

static void wake_other(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	pthread_cond_broadcast(&q->wake);
	pthread_mutex_unlock(&q->lock);
}

/* Sequentially consistent: the flag must not be read before the store is seen, nor the other side's check pass its own flag. */
void queue_publish(struct queue *q)
{
	if (atomic_load_explicit(&q->published, memory_order_relaxed) == q->put)
		return;
	atomic_store(&q->published, q->put);
	if (atomic_load(&q->taker_waits))
		wake_other(q);
}

/* False where the deadline is over. Woken can be also who has nothing to do: by a call that was meant for its wait before. */
static bool wait_until(struct queue *q, const struct timespec *deadline)
{
	int error =
		deadline ? pthread_cond_timedwait(&q->wake, &q->lock, deadline) : pthread_cond_wait(&q->wake, &q->lock);

	return !error;
}

/* Room for `need` bytes behind `put`. False where the taker is gone. */
static bool wait_for_room(struct queue *q, size_t need)
{
	if (q->size - (q->put - q->seen_taken) >= need)
		return true;
	q->seen_taken = atomic_load(&q->taken);
	if (q->size - (q->put - q->seen_taken) >= need)
		return true;
	queue_publish(q);
	pthread_mutex_lock(&q->lock);
	atomic_store(&q->putter_waits, true);
	/* Half of it, not the one block: else both threads would be woken for each block. */
	while (!atomic_load(&q->closed) && q->size - (q->put - (q->seen_taken = atomic_load(&q->taken))) < q->size / 2)
		wait_until(q, NULL);
	atomic_store(&q->putter_waits, false);
	pthread_mutex_unlock(&q->lock);
	return !atomic_load(&q->closed);
}

bool queue_put(struct queue *q, enum block_kind kind, const void *data, size_t size)
{
	size_t whole = (sizeof(struct head) + size + 7) & ~(size_t)7;
	size_t at = q->put & (q->size - 1), left = q->size - at;
	struct head *head;

	if (size > q->size / 4 - sizeof(struct head))
		return false;
	if (left < whole) {
		/* A block is not split: pass over the end. Its head always fits, as all is in steps of 8. */
		if (!wait_for_room(q, left))
			return false;
		head = (struct head *)(q->bytes + at);
		*head = (struct head){ .size = (uint32_t)(left - sizeof(*head)), .kind = BLOCK_WRAP };
		q->put += left;
		at = 0;
	}
	if (!wait_for_room(q, whole))
		return false;
	head = (struct head *)(q->bytes + at);
	*head = (struct head){ .size = (uint32_t)size, .kind = kind };
	if (size)
		memcpy(head + 1, data, size);
	q->put += whole;
	if (q->put - atomic_load_explicit(&q->published, memory_order_relaxed) >= PUBLISH_BYTES)
		queue_publish(q);
	return true;
}

static bool is_empty(struct queue *q)
{
	if (q->seen_put != q->take)
		return false;
	q->seen_put = atomic_load(&q->published);
	return q->seen_put == q->take;
}

const void *queue_take(struct queue *q, int timeout_ms, enum block_kind *kind_ret, size_t *size_ret)
{
	const struct head *head;

	for (;;) {
		if (is_empty(q)) {
			struct timespec deadline;

			if (!timeout_ms)
				return NULL;
			clock_gettime(CLOCK_MONOTONIC, &deadline);
			deadline.tv_nsec += timeout_ms % 1000 * 1000000L;
			deadline.tv_sec += timeout_ms / 1000 + deadline.tv_nsec / 1000000000;
			deadline.tv_nsec %= 1000000000;
			pthread_mutex_lock(&q->lock);
			atomic_store(&q->taker_waits, true);
			while (is_empty(q) && wait_until(q, &deadline))
				;
			atomic_store(&q->taker_waits, false);
			pthread_mutex_unlock(&q->lock);
			if (is_empty(q))
				return NULL;
		}
		head = (const struct head *)(q->bytes + (q->take & (q->size - 1)));
		q->current = (sizeof(*head) + head->size + 7) & ~(size_t)7;
		if (head->kind != BLOCK_WRAP)
			break;
		queue_drop(q);
	}
	*kind_ret = head->kind;
	*size_ret = head->size;
	return head + 1;
}

void queue_drop(struct queue *q)
{
	size_t before = q->take;

	q->take += q->current;
	q->current = 0;
	/* A putter that waits wants half of the queue: it is enough to look now and then, and when the queue is empty. Then the
	 * store must come before the load, as the putter stores its flag before it loads `taken`: both sequentially consistent. */
	if (before / PUBLISH_BYTES == q->take / PUBLISH_BYTES && q->seen_put != q->take) {
		atomic_store_explicit(&q->taken, q->take, memory_order_release);
		return;
	}
	atomic_store(&q->taken, q->take);
	if (atomic_load(&q->putter_waits))
		wake_other(q);
}

void queue_close(struct queue *q)
{
	atomic_store(&q->closed, true);
	wake_other(q);
}
