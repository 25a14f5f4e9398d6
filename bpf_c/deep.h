/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The steps of call_deep: lists that are run for each item of a chunk (STEP_EACH) and by an interface's type (STEP_DISPATCH).
 *
 * What is still to be run stands in a queue in the record. What a turn of the loop finds out goes through memory of the record: what is
 * read back from there the verifier knows nothing about, so it follows the rest of the turn once and not once for each way to it. */
#ifndef BPF_DEEP_H
#define BPF_DEEP_H

/* A list of steps, and the items or the interface that it is about. */
struct job {
	u64 data;   /* LOC_DATA */
	u32 item;   /* LOC_ITEM: offset in data of the item in hand */
	u32 stride; /* bytes to the next */
	u32 first;  /* step, in `flat` */
	u16 n;      /* steps */
	u16 left;   /* items after the one in hand */
	u32 base;   /* slots: offset in data of the first */
	u32 live;   /* slots: bits of those after the one in hand */
};

struct deep_record {
	struct call_record r;
	struct job now;
	u32 head, tail; /* of the queue: both only grow */
	/* of the turn: */
	u64 ptr, count; /* words that the step names */
	u64 known;      /* bits: 1 ptr was read, 2 count was */
	u64 addr, len;
	struct job queue[JOBS_MAX];
};

_Static_assert(sizeof(struct deep_record) == sizeof(struct call_record) + DEEP_STATE, "the loader counts on it");

#define DATA_END (DATA_MAX + sizeof(struct chunk) + CHUNK_MAX)
#define again(field) (*(volatile typeof(field) *)&(field))

/* Is that where the bytes of a chunk are? Two comparisons that the compiler must not make one of: older verifiers do not follow it. */
#define is_data(at)                                                                                                    \
	({                                                                                                             \
		int is_data_ = 0;                                                                                      \
		opaque(at);                                                                                            \
		if (at <= DATA_MAX + sizeof(struct chunk)) {                                                           \
			opaque(at);                                                                                    \
			is_data_ = at >= sizeof(struct chunk);                                                         \
		}                                                                                                      \
		is_data_;                                                                                              \
	})

/* A word into again(*to); 1 where it could be had. */
static __always_inline u64 deep_word(struct deep_record *d, const location_t *loc, u64 *to)
{
	u64 kind = loc->kind, index = loc->index, at;
	s64 offset = loc->offset;

	if (kind == LOC_REGISTER) {
		opaque(index);
		if (index >= RECORD_REGS)
			return 0;
		again(*to) = d->r.head.regs[index];
		return 1;
	}
	if (kind == LOC_SP || kind == LOC_DATA) {
		again(*to) = (kind == LOC_SP ? d->r.head.sp : d->now.data) + offset;
		return 1;
	}
	if (kind == LOC_ITEM) {
		at = d->now.item;
	} else {
		if (kind != LOC_CHUNK)
			return 0;
		opaque(index);
		if (index >= STEPS_LIST)
			return 0;
		at = d->r.where[index];
		if (!is_data(at))
			return 0;
		if ((u64)offset + 8 > ((struct chunk *)(d->r.data + at - sizeof(struct chunk)))->len)
			return 0;
	}
	at += offset;
	opaque(at);
	if (at > DATA_END - 8)
		return 0;
	again(*to) = *(u64 *)(d->r.data + at);
	return 1;
}

/* Copy d->len bytes from d->addr into a new chunk. */
static __always_inline void deep_read(struct deep_record *d, u64 step, u64 count, struct fn_counters *n)
{
	u64 used = again(d->r.head.used), len = again(d->len), addr = again(d->addr), at;
	int error;

	opaque(used);
	if (used > DATA_MAX) {
		d->r.head.flags |= REC_FULL;
		return;
	}
	struct chunk *head = (struct chunk *)(d->r.data + used);
	head->step = step;
	head->status = CHUNK_OK;
	head->addr = addr;
	head->count = count;
	opaque(len);
	if (len > CHUNK_MAX) {
		len = CHUNK_MAX;
		head->status = CHUNK_SHORT;
	}
	at = used + sizeof(struct chunk);
	error = read_user(d->r.data + at, len, addr);
#ifndef SLEEPABLE
	/* What the program has not touched yet is not resident: what lies before the end of the first page may be. */
	u64 page = PAGE_SIZE - (addr & (PAGE_SIZE - 1));
	opaque(page);
	if (error && page < len && page <= CHUNK_MAX) {
		len = page;
		error = read_user(d->r.data + at, len, addr);
	}
#endif
	if (error) {
		head->status = CHUNK_FAULT;
		len = 0;
		__sync_fetch_and_add(&n->read_failures, 1);
		telemetry_count(BPF_FILE_DEEP, __LINE__, error);
	} else {
		u64 i = step & (STEP_OF_JOB - 1);

		if (i < STEPS_LIST)
			d->r.where[i] = at;
	}
	head->len = len;
	again(d->r.head.used) = (at + len + 7) & ~7ull;
}

static __always_inline void queue_job(struct deep_record *d, const struct job *job)
{
	u64 tail = again(d->tail);

	opaque(tail);
	if (tail >= JOBS_MAX) {
		d->r.head.flags |= REC_FULL;
		return;
	}
	d->queue[tail] = *job;
	again(d->tail) = tail + 1;
}

/* The place of the lowest of 8 bits that is set; one is. Without branches: each is another way for the verifier. The product with a de
 * Bruijn sequence has another number in bits 5 to 7 for each place. */
static __always_inline u32 lowest(u32 bits)
{
	u32 one = bits & -bits;

	return 0x56374210u >> ((one * 0x17 >> 5 & 7) * 4) & 15;
}

/* One bit for each of the 8 bytes of control: is its slot live? */
static __always_inline u32 live_slots(u64 control, u32 kind)
{
	u64 top =
		kind == SLOTS_SWISS ? ~control : ((control & 0x7f7f7f7f7f7f7f7full) + 0x7b7b7b7b7b7b7b7bull) | control;

	/* the top bit of byte i comes to bit i of the highest byte */
	return (top >> 7 & 0x0101010101010101ull) * 0x0102040810204080ull >> 56;
}

/* STEP_EACH over slots: the control bytes are in d->count. */
static __always_inline void queue_slots(struct deep_record *d, const struct step *s)
{
	struct job job = { .first = s->off, .n = s->n, .stride = s->len };
	u32 live = live_slots(again(d->count), s->plus), first;

	if (!live || !job.n)
		return;
	first = lowest(live);
	job.base = d->now.item + s->src.ptr.offset;
	job.item = job.base + first * job.stride;
	job.live = live & (live - 1);
	queue_job(d, &job);
}

/* STEP_EACH */
static __always_inline void queue_each(struct deep_record *d, const struct step *s)
{
	struct job job = { .first = s->off, .n = s->n, .stride = s->len };
	u64 index = s->src.ptr.index, offset = (u32)s->src.ptr.offset, count = s->max, at, len;

	if (s->src.ptr.kind == LOC_ITEM) {
		at = d->now.item;
	} else {
		opaque(index);
		if (index >= STEPS_LIST)
			return;
		at = d->r.where[index];
		if (!is_data(at))
			return;
		len = ((struct chunk *)(d->r.data + at - sizeof(struct chunk)))->len;
		if (offset >= len || !job.stride)
			return;
		len = (len - offset) / job.stride;
		if (len < count)
			count = len;
	}
	if (!count || !job.n)
		return;
	job.item = at + offset;
	job.left = count - 1;
	queue_job(d, &job);
}

/* STEP_DISPATCH, once the type's address is in d->ptr and the data word in d->count */
static __always_inline void queue_dispatch(struct deep_record *d, const struct step *s, const struct site *site)
{
	struct dispatch_key key = { .type = again(d->ptr) - (d->r.head.ip - site->addr), .group = s->max };
	struct dispatch_list *list = dispatch.lookup(&key);
	struct job job = {};

	if (!list) {
		key.type = 0;
		list = dispatch.lookup(&key);
		if (!list)
			return;
	}
	job.data = again(d->count);
	job.first = list->first;
	job.n = list->n;
	if (job.n)
		queue_job(d, &job);
}

/* Take the next item or list in hand. 0 where there is none. */
static __always_inline int next_job(struct deep_record *d)
{
	again(d->r.head.cursor) = 0;
	if (d->now.left) {
		again(d->now.left) = d->now.left - 1;
		again(d->now.item) = d->now.item + d->now.stride;
		return 1;
	}
	u32 live = again(d->now.live);
	if (live) {
		again(d->now.item) = d->now.base + lowest(live) * d->now.stride;
		again(d->now.live) = live & (live - 1);
		return 1;
	}
	u64 head = again(d->head);
	opaque(head);
	if (head >= JOBS_MAX || head >= again(d->tail))
		return 0;
	d->now = d->queue[head];
	again(d->head) = head + 1;
	return 1;
}

static __always_inline void deep_step(struct deep_record *d, const struct step *s, u64 i, const struct site *site,
				      struct fn_counters *n)
{
	u64 op = s->op, len = s->len;
	int kept;

	if (i < STEPS_LIST)
		d->r.where[i] = 0;
	if (op == STEP_EACH) {
		if (!s->plus)
			queue_each(d, s);
		else if (deep_word(d, &s->src.len, &d->count))
			queue_slots(d, s);
		return;
	}
	kept = deep_word(d, &s->src.ptr, &d->ptr);
	again(d->known) = kept;
	kept = deep_word(d, &s->src.len, &d->count);
	again(d->known) |= kept << 1;
	u64 known = again(d->known), count = again(d->count), ptr = again(d->ptr);
	if (!(known & 1) || !ptr)
		return;
	if (!(known & 2)) {
		if (op != STEP_READ)
			return;
		count = 0;
	}
	if (op == STEP_UNLESS) {
		if (count)
			return;
	} else if (op == STEP_COUNTED || op == STEP_SHIFTED) {
		u64 max = s->max, skip = 0;

		if (op == STEP_COUNTED) {
			count += s->plus;
			skip = s->n;
		} else {
			count = (count & 0xff) - s->plus;
			count = count < 32 ? 1ull << count : 0;
		}
		if (count <= skip)
			return;
		if (count - skip > max)
			len = max;
		else {
			len *= count - skip;
			if (len > max)
				len = max;
		}
	} else if (op == STEP_DISPATCH && len) {
		again(d->addr) = ptr + len;
		len = 8;
	}
	if (op != STEP_DISPATCH)
		again(d->addr) = ptr + (s64)s->off;
	again(d->len) = len;
	if (len || op != STEP_DISPATCH) {
		/* the first list is the site's: it is run before any other is taken from the queue */
		u64 step = i | (d->head ? STEP_OF_JOB : 0);

		deep_read(d, step, op == STEP_COUNTED || op == STEP_SHIFTED ? count : 0, n);
	}
	/* of a nil pointer in an interface only the type is told */
	if (op != STEP_DISPATCH || !count)
		return;
	if (s->len) {
		location_t type = { .kind = LOC_CHUNK, .index = i };

		if (!deep_word(d, &type, &d->ptr))
			return;
	}
	queue_dispatch(d, s, site);
}

static __always_inline void read_deep(struct deep_record *d, const struct site *site, struct fn_counters *n,
				      const u64 turns)
{
	struct job first = { .first = site->steps, .n = site->n_steps };
	int more = 1;

	d->now = first;
	d->head = d->tail = 0;
	for (u64 turn = 0; turn < turns; turn++) {
		if (again(d->r.head.cursor) >= again(d->now.n)) {
			more = next_job(d);
			if (!more)
				break;
		}
		u64 i = again(d->r.head.cursor);
		opaque(i);
		if (i >= STEPS_LIST || i >= again(d->now.n))
			break; /* no list is empty, none is longer */
		u64 at = again(d->now.first) + i;
		struct step *s = flat.lookup((u32 *)&at);
		if (!s)
			break;
		deep_step(d, s, i, site, n);
		again(d->r.head.cursor) = again(d->r.head.cursor) + 1;
	}
	if (more)
		d->r.head.flags |= REC_FULL;
}

#endif
