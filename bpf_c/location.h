/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reading what a location_t names: a register as it was at the hit, a word of the stack, a word of an earlier chunk. */
#ifndef BPF_LOCATION_H
#define BPF_LOCATION_H

#include "read_user.h"

/* The whole record of a program variant. A chunk is begun only while `used` <= DATA_MAX, and reads at most CHUNK_MAX bytes. */
struct call_record {
	struct record head;
	u8 data[DATA_MAX + sizeof(struct chunk) + CHUNK_MAX];
	u16 where[STEPS_LIST]; /* offset in data of what step i read; 0: it read nothing */
};

/* The register copy at `index`. 0 on success, -1 where there is no such register. */
static __always_inline int read_register(struct call_record *r, u64 index, u64 *word)
{
	opaque(index);
	if (index >= RECORD_REGS)
		return -1;
	*word = r->head.regs[index];
	return 0;
}

/* The 8 bytes at the stack pointer + offset. 0, or the helper's negative error. */
static __always_inline int read_stack(struct call_record *r, s32 offset, u64 *word)
{
	return read_user(word, sizeof(*word), r->head.sp + (s64)offset);
}

/* The 8 bytes at `offset` of what an earlier step read. 0, or -1 where the step read nothing or less than that. */
static __always_inline int read_chunk(struct call_record *r, u64 step, u64 offset, u64 *word)
{
	u64 at, len;

	opaque(step);
	if (step >= STEPS_LIST)
		return -1;
	at = r->where[step];
	opaque(at);
	if (at > DATA_MAX + sizeof(struct chunk))
		return -1;
	/* Apart, or the compiler makes one comparison of a difference of the two, from which older verifiers learn nothing about `at`. */
	opaque(at);
	if (at < sizeof(struct chunk))
		return -1;
	/* the length that the chunk's head holds */
	struct chunk *head = (struct chunk *)(r->data + at - sizeof(struct chunk));
	len = head->len;
	opaque(offset);
	if (offset > CHUNK_MAX - 8 || offset + 8 > len)
		return -1;
	*word = *(u64 *)(r->data + at + offset);
	return 0;
}

static __always_inline int read_location(struct call_record *r, const location_t *loc, u64 *word)
{
	switch (loc->kind) {
	case LOC_REGISTER:
		return read_register(r, loc->index, word);
	case LOC_STACK:
		return read_stack(r, loc->offset, word);
	case LOC_CHUNK:
		return read_chunk(r, loc->index, loc->offset, word);
	case LOC_SP:
		*word = r->head.sp + (s64)loc->offset;
		return 0;
	}
	return -1;
}

/* Execute step i: read what it names behind the data written so far. Passing a step over is no failure. */
static __always_inline void read_step(struct call_record *r, const struct step *s, u64 i, struct fn_counters *n)
{
	u64 ptr = 0, count = 0;
	u64 used, len, max, at;
	int error;

	if (i < STEPS_LIST)
		r->where[i] = 0;
	if (read_location(r, &s->src.ptr, &ptr) || !ptr)
		return;
	len = s->len;
	if (s->op == STEP_COUNTED) {
		u64 skip = s->n;
		if (read_location(r, &s->src.len, &count))
			return;
		count += s->plus;
		if (count <= skip)
			return;
		max = s->max;
		/* count is the traced program's: compare before multiplying */
		if (count - skip > max)
			len = max;
		else {
			len *= count - skip;
			if (len > max)
				len = max;
		}
	}
	used = *(volatile u32 *)&r->head.used;
	opaque(used);
	if (used > DATA_MAX) {
		r->head.flags |= REC_FULL;
		return;
	}
	struct chunk *head = (struct chunk *)(r->data + used);
	head->step = i;
	head->status = CHUNK_OK;
	head->addr = ptr + (s64)s->off;
	head->count = count;
	opaque(len);
	if (len > CHUNK_MAX) {
		len = CHUNK_MAX;
		head->status = CHUNK_SHORT;
	}
	at = used + sizeof(struct chunk);
	error = read_user(r->data + at, len, ptr + (s64)s->off);
	if (error) {
		head->status = CHUNK_FAULT;
		head->len = 0;
		r->head.used = at;
		__sync_fetch_and_add(&n->read_failures, 1);
		telemetry_count(BPF_FILE_LOCATION, __LINE__, error);
		return;
	}
	head->len = len;
	if (i < STEPS_LIST)
		r->where[i] = at;
	r->head.used = (at + len + 7) & ~7ull;
}

#endif
