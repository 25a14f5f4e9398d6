/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that have not returned yet, by goroutine: which return belongs to which call.
 *
 * A goroutine is (process, address of its g): g does not move, while goroutine id 0 is shared by every g0. A call is at a depth:
 * g.stack.hi − SP, bytes, which outlives growth of the stack; what is called from it is deeper, that is, has a larger one. */
#ifndef COLLECTOR_PAIRING_H
#define COLLECTOR_PAIRING_H

#include "../offsets/error.h"

#define OPEN_CALLS_MAX (1u << 20) /* 64 MiB of them; more than a recursion that fills a 1 GB stack with 1 KB frames */
#define GOROUTINES_MAX                                                                                                 \
	(1u << 17) /* with open calls, looked at when their table is rebuilt: it stays below 2^18 entries, 10 MiB */

struct open_call {
	uint64_t call; /* its number */
	uint64_t ts;
	uint64_t depth;
	uint64_t goid;
	uint32_t pid, tid, fid;
	uint32_t below;      /* the call that it was made from, of those traced; for pairing.c */
	uint16_t flags, gap; /* of its record */
	bool goid_known;
	struct held *held; /* held.h: its record, which is not written yet; NULL: it is */
};

/* Told of each call that ended without a return that we saw. how: "unknown", "panic", "goexit", "exit", "detached". */
typedef void (*unwound_fn)(void *arg, const struct open_call *call, const char *how, uint64_t now);

struct pairing;

struct err *pairing_create(unwound_fn unwound, void *arg, struct pairing **ret);
void pairing_destroy(struct pairing *p); /* tells of nothing */

/* A call begins (pid, g, depth, goid … in `call`). Calls of the goroutine that it shows to be over are closed first. False: with
 * `once`, a call of the same function is open at this depth already, and this hit is not a call of its own. */
bool pairing_enter(struct pairing *p, uint64_t g, const struct open_call *call, bool once);

/* A return: the call that it ends, taken out. False where there is none, or where records of the goroutine were lost since: the call's own
 * return may be among them, and this one be that of a later call at its place. `at`: pid, goid, depth, fid, gap, ts of the return. */
bool pairing_leave(struct pairing *p, uint64_t g, const struct open_call *at, struct open_call *ret);

/* The calls of a goroutine that are deeper than at->depth end so (`at` as above, without fid). */
void pairing_unwind(struct pairing *p, uint64_t g, const struct open_call *at, const char *how);

void pairing_close_process(struct pairing *p, uint32_t pid, const char *how, uint64_t now);
void pairing_close_all(struct pairing *p, const char *how, uint64_t now);

uint32_t pairing_open(const struct pairing *p);    /* calls open now */
uint64_t pairing_evicted(const struct pairing *p); /* calls closed for want of room */

#endif
