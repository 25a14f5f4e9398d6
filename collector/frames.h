/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks of records: their addresses, and the source that they stand for. */
#ifndef COLLECTOR_FRAMES_H
#define COLLECTOR_FRAMES_H

#include "../offsets/inlines.h"
#include "../offsets/json_out.h"
#include "chain.h"
#include "decode.h"
#include "internal.h"

bool site_is_push(const struct site_ref *ref);

/* A frame as its source has it. func NULL: nothing is known of the address. */
struct frame_view {
	const char *func, *file; /* file "": not known */
	uint32_t line;
	bool inlined; /* its code stands in the next one's */
};

/* What addresses stand for, each looked up once. Bounded: when it is full it begins anew. */
struct frames;
struct err *frames_create(struct frames **ret);
void frames_destroy(struct frames *frames);

typedef void (*frame_fn)(void *arg, const struct frame_view *frame, uint64_t addr);

/* Hand over the frames of a record's stack, innermost first, at most options.stack. record: blocks with the names that are new are
 * appended there; NULL: not wanted. fn may be NULL. */
void frames_each(struct collector *c, const struct site_ref *ref, const struct record_view *view, struct jout *record,
		 frame_fn fn, void *arg);

/* A block of a recording: ERR_MALFORMED says what is wrong. */
struct err *frames_take(struct frames *frames, const void *data, size_t size);

#endif
