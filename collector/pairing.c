/* SPDX-License-Identifier: Apache-2.0 */
#include "pairing.h"

#include <stdlib.h>
#include <string.h>

#define NO_CALL UINT32_MAX
#define GOROUTINES_FIRST 1024u
#define CALLS_FIRST 1024u

/* An entry stays when its last call ends, as the next one often comes soon; entries without calls go when the table is rebuilt. */
struct goroutine {
	uint64_t g; /* 0: free */
	uint64_t goid;
	uint32_t pid;
	uint32_t top; /* innermost open call, or NO_CALL */
	bool goid_known;
	bool used; /* since the clock's hand passed (eviction) */
};

struct pairing {
	unwound_fn unwound;
	void *arg;
	struct goroutine *table; /* open addressing */
	uint32_t size, filled;   /* size: a power of two */
	uint32_t hand;
	struct open_call *calls;
	uint32_t n_calls, free; /* free: list through `below` */
	uint32_t open;
	uint64_t evicted;
};

static uint32_t hash(uint32_t pid, uint64_t g)
{
	uint64_t h = (g ^ (uint64_t)pid << 40) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(h >> 32);
}

static struct goroutine *find_slot(struct goroutine *table, uint32_t size, uint32_t pid, uint64_t g)
{
	uint32_t i = hash(pid, g) & (size - 1);

	while (table[i].g && (table[i].g != g || table[i].pid != pid))
		i = (i + 1) & (size - 1);
	return &table[i];
}

static void put_back(struct pairing *p, uint32_t index)
{
	p->calls[index].below = p->free;
	p->free = index;
	p->open--;
}

static void close_top(struct pairing *p, struct goroutine *gr, const char *how, uint64_t now)
{
	uint32_t index = gr->top;
	struct open_call call = p->calls[index];

	gr->top = call.below;
	put_back(p, index);
	p->unwound(p->arg, &call, how, now);
}

static void close_goroutine(struct pairing *p, struct goroutine *gr, const char *how, uint64_t now)
{
	while (gr->top != NO_CALL)
		close_top(p, gr, how, now);
}

/* Close all calls of one goroutine that has not been heard of since the hand passed; of `kept` only if there is no other. */
static void evict(struct pairing *p, const struct goroutine *kept, uint64_t now)
{
	struct goroutine *victim = NULL;

	for (uint32_t turn = 0; turn < 2 * p->size && !victim; turn++) {
		struct goroutine *gr = &p->table[p->hand];

		p->hand = (p->hand + 1) & (p->size - 1);
		if (!gr->g || gr->top == NO_CALL || gr == kept)
			continue;
		if (gr->used)
			gr->used = false;
		else
			victim = gr;
	}
	if (!victim && kept)
		victim = &p->table[kept - p->table];
	if (!victim)
		return;
	for (uint32_t i = victim->top; i != NO_CALL; i = p->calls[i].below)
		p->evicted++;
	close_goroutine(p, victim, "unknown", now);
}

/* Make the table anew without the goroutines that have no open call, twice as large where that is not enough. */
static bool rebuild(struct pairing *p, uint64_t now)
{
	struct goroutine *table;
	uint32_t size = p->size, live = 0;
	bool evicting = false;

	for (uint32_t i = 0; i < p->size; i++)
		live += p->table[i].g && p->table[i].top != NO_CALL;
	/* A good part at once, so that the next rebuild is far. */
	for (; live >= GOROUTINES_MAX || (evicting && live > GOROUTINES_MAX / 4 * 3); live--) {
		evict(p, NULL, now);
		evicting = true;
	}
	while (live >= size / 2)
		size *= 2;
	table = calloc(size, sizeof(*table));
	if (!table)
		return false;
	p->filled = 0;
	for (uint32_t i = 0; i < p->size; i++) {
		const struct goroutine *gr = &p->table[i];

		if (!gr->g || gr->top == NO_CALL)
			continue;
		*find_slot(table, size, gr->pid, gr->g) = *gr;
		p->filled++;
	}
	free(p->table);
	p->table = table;
	p->size = size;
	p->hand = 0;
	return true;
}

/* The goroutine's entry; made where there is none and `make`. */
static struct goroutine *find_goroutine(struct pairing *p, uint32_t pid, uint64_t g, bool make, uint64_t now)
{
	struct goroutine *gr = find_slot(p->table, p->size, pid, g);

	if (gr->g || !make)
		return gr->g ? gr : NULL;
	if (p->filled >= p->size / 4 * 3) {
		/* With no memory for a larger table, go on in this one as long as a free slot ends every search. */
		if (!rebuild(p, now) && p->filled >= p->size - 1)
			return NULL;
		gr = find_slot(p->table, p->size, pid, g);
	}
	*gr = (struct goroutine){ .g = g, .pid = pid, .top = NO_CALL };
	p->filled++;
	return gr;
}

/* Index of a free open_call, or NO_CALL. */
static uint32_t take_call(struct pairing *p, const struct goroutine *gr, uint64_t now)
{
	uint32_t index;

	if (p->free == NO_CALL && p->open >= OPEN_CALLS_MAX)
		evict(p, gr, now);
	if (p->free == NO_CALL) {
		uint32_t n = p->n_calls ? p->n_calls * 2 : CALLS_FIRST;
		struct open_call *calls = realloc(p->calls, n * sizeof(*calls));

		if (!calls)
			evict(p, gr, now);
		if (calls) {
			p->calls = calls;
			for (uint32_t i = n; i-- > p->n_calls;) {
				calls[i].below = p->free;
				p->free = i;
			}
			p->n_calls = n;
		}
	}
	index = p->free;
	if (index != NO_CALL) {
		p->free = p->calls[index].below;
		p->open++;
	}
	return index;
}

/* Another goroutine runs on this g: the one that its open calls belong to has ended, and how was not seen. On the system stack the id is
 * that of the goroutine that the thread happens to run for, and says nothing. */
static void check_goid(struct pairing *p, struct goroutine *gr, const struct open_call *at)
{
	if (!at->goid_known || at->flags)
		return;
	if (gr->goid_known && gr->goid != at->goid)
		close_goroutine(p, gr, "unknown", at->ts);
	gr->goid = at->goid;
	gr->goid_known = true;
}

bool pairing_enter(struct pairing *p, uint64_t g, const struct open_call *call, bool once)
{
	struct goroutine *gr = find_goroutine(p, call->pid, g, true, call->ts);
	uint32_t index;

	if (!gr) {
		p->evicted++;
		p->unwound(p->arg, call, "unknown", call->ts);
		return true;
	}
	gr->used = true;
	check_goid(p, gr, call);
	while (gr->top != NO_CALL && p->calls[gr->top].depth >= call->depth) {
		const struct open_call *top = &p->calls[gr->top];

		if (once && top->depth == call->depth && top->fid == call->fid)
			return false;
		close_top(p, gr, "unknown", call->ts);
	}
	index = take_call(p, gr, call->ts);
	if (index == NO_CALL) {
		p->evicted++;
		p->unwound(p->arg, call, "unknown", call->ts);
		return true;
	}
	p->calls[index] = *call;
	p->calls[index].below = gr->top;
	gr->top = index;
	return true;
}

bool pairing_leave(struct pairing *p, uint64_t g, const struct open_call *at, struct open_call *ret)
{
	struct goroutine *gr = find_goroutine(p, at->pid, g, false, at->ts);
	uint32_t index;

	if (!gr)
		return false;
	gr->used = true;
	check_goid(p, gr, at);
	while (gr->top != NO_CALL && p->calls[gr->top].depth > at->depth)
		close_top(p, gr, "unknown", at->ts);
	index = gr->top;
	if (index == NO_CALL || p->calls[index].depth != at->depth || p->calls[index].fid != at->fid)
		return false;
	if (p->calls[index].gap != at->gap) {
		close_top(p, gr, "unknown", at->ts);
		return false;
	}
	*ret = p->calls[index];
	gr->top = ret->below;
	put_back(p, index);
	return true;
}

void pairing_unwind(struct pairing *p, uint64_t g, const struct open_call *at, const char *how)
{
	struct goroutine *gr = find_goroutine(p, at->pid, g, false, at->ts);

	if (!gr)
		return;
	check_goid(p, gr, at);
	while (gr->top != NO_CALL && p->calls[gr->top].depth > at->depth)
		close_top(p, gr, how, at->ts);
}

void pairing_close_process(struct pairing *p, uint32_t pid, const char *how, uint64_t now)
{
	for (uint32_t i = 0; i < p->size; i++)
		if (p->table[i].g && p->table[i].pid == pid) {
			close_goroutine(p, &p->table[i], how, now);
			p->table[i].goid_known = false;
		}
}

void pairing_close_all(struct pairing *p, const char *how, uint64_t now)
{
	for (uint32_t i = 0; i < p->size; i++)
		if (p->table[i].g)
			close_goroutine(p, &p->table[i], how, now);
}

uint32_t pairing_open(const struct pairing *p)
{
	return p->open;
}

uint64_t pairing_evicted(const struct pairing *p)
{
	return p->evicted;
}

struct err *pairing_create(unwound_fn unwound, void *arg, struct pairing **ret)
{
	struct pairing *p = calloc(1, sizeof(*p));

	if (!p)
		return &err_nomem;
	p->unwound = unwound;
	p->arg = arg;
	p->free = NO_CALL;
	p->size = GOROUTINES_FIRST;
	p->table = calloc(p->size, sizeof(*p->table));
	if (!p->table) {
		pairing_destroy(p);
		return &err_nomem;
	}
	*ret = p;
	return NULL;
}

void pairing_destroy(struct pairing *p)
{
	if (!p)
		return;
	free(p->table);
	free(p->calls);
	free(p);
}
