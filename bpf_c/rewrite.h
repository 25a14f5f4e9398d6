/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Writing what the plan says: into the registers of the thread, and into the memory of its process (record.h, struct write).
 *
 * Nothing of this is compiled into any other program. -DENTRY_WRITES, -DRETURN_WRITES: how many there are; -DSKIP_CALL: the entry's are
 * results, and the call returns at once; -DWRITE_REGISTERS: only where the verifier lets a program write them. */
#ifndef BPF_REWRITE_H
#define BPF_REWRITE_H

BPF_ARRAY(writes, struct write, 1);

#define NEW_BYTES 8   /* read back after a write: its last ones */
#define WRITE_TRIES 8 /* once more, where the page was on its way */

/* One after the other, each hidden from the compiler: it would choose between addresses in the context, which the verifier refuses. */
static __always_inline u64 get_register(struct pt_regs *ctx, u64 index)
{
	u64 v = 0, x;

#define TAKE(i, name)                                                                                                  \
	x = ctx->name;                                                                                                 \
	opaque(x);                                                                                                     \
	if (index == i)                                                                                                \
		v = x;
	TAKE(0, ax)
	TAKE(1, bx)
	TAKE(2, cx)
	TAKE(3, di)
	TAKE(4, si)
	TAKE(5, r8)
	TAKE(6, r9)
	TAKE(7, r10)
	TAKE(8, r11)
#undef TAKE
	return v;
}

#ifdef WRITE_REGISTERS
static __always_inline void set_register(struct pt_regs *ctx, u64 index, u64 v)
{
#define PUT(i, name)                                                                                                   \
	if (index == i) {                                                                                              \
		ctx->name = v;                                                                                         \
		asm volatile("" ::: "memory");                                                                         \
	}
	PUT(0, ax)
	PUT(1, bx)
	PUT(2, cx)
	PUT(3, di)
	PUT(4, si)
	PUT(5, r8)
	PUT(6, r9)
	PUT(7, r10)
	PUT(8, r11)
#undef PUT
}
#endif

static __always_inline int read_word(u64 at, u64 *word)
{
	return read_user(word, sizeof(*word), at);
}

/* A page that the kernel is moving at this moment (compaction, huge pages that are made or split) takes no write: with -DSLEEPABLE reading
 * its bytes waits until it is there. One that only a write would make the process's own (after a fork) stays as it is. */
static __always_inline int write_user(u64 to, const void *from, u64 len)
{
	int error = bpf_probe_write_user((void *)to, from, len);

#ifdef SLEEPABLE
#pragma clang loop unroll(disable)
	for (u64 turn = 0; turn < WRITE_TRIES; turn++) {
		u64 i = turn;
		u8 byte;

		opaque(i);
		if (!error || i >= WRITE_TRIES)
			break;
		if (bpf_copy_from_user(&byte, 1, (void *)to) || bpf_copy_from_user(&byte, 1, (void *)(to + len - 1)))
			break;
		error = bpf_probe_write_user((void *)to, from, len);
		opaque(error);
	}
	opaque(error);
	checkpoint(error);
#endif
	return error;
}

/* Do the len bytes that were written end with these, the last of them (at most 8) as a number? */
static __always_inline u64 check_written(u64 at, u64 len, u64 last)
{
	u64 now = 0, tail = len < NEW_BYTES ? len : NEW_BYTES;

	opaque(tail);
	if (tail > NEW_BYTES)
		return WRITE_DIFFERS;
	if (read_user(&now, tail, at + len - tail))
		return WRITE_DONE; /* the kernel has said so; the page is on its way somewhere else by now */
	return now == last ? WRITE_DONE : WRITE_DIFFERS;
}

static __always_inline u64 refused(int error)
{
	telemetry_count(BPF_FILE_REWRITE, __LINE__, error);
	return WRITE_REFUSED;
}

/* Both or neither, also where the second one is on a page that takes no write. */
static __always_inline u64 write_words(u64 at, u64 *words, const u64 n)
{
	u64 old = 0, len = 8 * n, is_apart = n == 2 && (at & (PAGE_BYTES - 1)) == PAGE_BYTES - 8;
	int error;

	if (is_apart) {
		if (read_word(at + 8, &old))
			return WRITE_UNREADABLE;
		error = write_user(at + 8, &words[1], 8);
		if (error)
			return refused(error);
		len = 8;
	}
	opaque(len);
	if (len > 8 * n)
		return WRITE_NOT_TRIED;
	error = write_user(at, words, len);
	if (error && is_apart)
		bpf_probe_write_user((void *)(at + 8), &old, 8);
	return error ? refused(error) : check_written(at, 8 * n, words[n - 1]);
}

/* Of bytes across a page border the first ones can be written though the kernel says that it failed. */
static __always_inline u64 refused_bytes(u64 at, const struct write *w, u64 len, int error)
{
	u64 now = 0, first = 0, head = len < NEW_BYTES ? len : NEW_BYTES, room = PAGE_BYTES - (at & (PAGE_BYTES - 1));

	if (room >= len)
		return refused(error);
	if (head > room)
		head = room;
	opaque(head);
	if (head > NEW_BYTES)
		return refused(error);
	__builtin_memcpy(&first, w->bytes, NEW_BYTES);
	if (read_user(&now, head, at))
		return refused(error);
	if ((now ^ first) << (8 * (NEW_BYTES - head))) /* of little-endian words the first bytes are the low ones */
		return refused(error);
	return WRITE_PARTLY;
}

/* The constant bytes of a write. */
static __always_inline u64 write_bytes(u64 at, const struct write *w)
{
	u64 len = w->len, from = 0, last = 0;
	int error;

	if (!len)
		return WRITE_DONE;
	if (len >= NEW_BYTES)
		from = len - NEW_BYTES;
	opaque(from);
	if (from > WRITE_BYTES - NEW_BYTES)
		return WRITE_NOT_TRIED;
	__builtin_memcpy(&last, w->bytes + from, NEW_BYTES); /* behind shorter ones are zeros */
	/* Linux 6.1 does not learn from a comparison with 0 that a length is at least 1; adding 1 tells it. */
	from = len - 1;
	opaque(from);
	if (from >= WRITE_BYTES)
		return WRITE_NOT_TRIED;
	opaque(from);
	len = from + 1;
	error = write_user(at, w->bytes, len);
	return error ? refused_bytes(at, w, len, error) : check_written(at, len, last);
}

/* A string where it is: ptr and len are its two words, which stand at `at`, or in registers. */
static __always_inline u64 write_string(struct pt_regs *ctx, const struct write *w, u64 at, u64 ptr, u64 len)
{
	u64 new_len = w->len, done;

	if (new_len > len)
		return WRITE_LONGER;
	done = write_bytes(ptr, w);
	if (done != WRITE_DONE || new_len == len)
		return done; /* whole strings: what is behind the border keeps its old bytes */
#ifdef WRITE_REGISTERS
	if (w->base == WRITE_IN_REGISTERS && !w->n_hops) {
		set_register(ctx, w->reg[1], new_len);
		return WRITE_DONE;
	}
#endif
	if (!at)
		return WRITE_PARTLY;
	done = write_words(at + 8, &new_len, 1);
	return done == WRITE_DONE ? done : WRITE_PARTLY;
}

/* One write. Nothing is changed unless the outcome is WRITE_DONE, _PARTLY or _DIFFERS. */
static __always_inline u64 write_one(struct pt_regs *ctx, const struct write *w, u64 bias)
{
	u64 at = 0, ptr = 0, len = 0, words[2], n = w->n_hops, source = w->source;
	u64 in_registers = w->base == WRITE_IN_REGISTERS;

	if (in_registers) {
		ptr = get_register(ctx, w->reg[0]);
		len = get_register(ctx, w->reg[1]);
	} else {
		at = ctx->sp + (s64)w->offset;
	}
	if (!in_registers && n) {
		if (read_word(at, &ptr) || (w->hop[0].bound && read_word(at + 8, &len)))
			return WRITE_UNREADABLE;
	}
#pragma clang loop unroll(disable)
	for (u64 turn = 0; turn < WRITE_HOPS; turn++) {
		u64 i = turn;

		opaque(i);
		if (i >= WRITE_HOPS || i >= n)
			break;
		const struct write_hop *hop = &w->hop[i];
		if (i && (read_word(at, &ptr) || (hop->bound && read_word(at + 8, &len))))
			return WRITE_UNREADABLE;
		if (hop->bound && hop->bound > len)
			return WRITE_OUTSIDE;
		if (!ptr)
			return WRITE_NIL;
		at = ptr + hop->offset;
		in_registers = 0;
	}
	if (source == WRITE_STRING) {
		if (!in_registers && (read_word(at, &ptr) || read_word(at + 8, &len)))
			return WRITE_UNREADABLE;
		return write_string(ctx, w, at, ptr, len);
	}
	if (source == WRITE_CONST && !in_registers)
		return write_bytes(at, w);
	words[0] = w->word[0];
	words[1] = w->word[1];
	if (source == WRITE_ADDRESS)
		words[0] += bias;
	if (source == WRITE_VARIABLE) {
		u64 from = words[0] + bias;
		if (read_word(from, &words[0]) || read_word(from + 8, &words[1]))
			return WRITE_UNREADABLE;
		if (!words[0])
			return WRITE_NIL_VARIABLE;
	}
	if (!in_registers)
		return write_words(at, words, 2);
#ifdef WRITE_REGISTERS
	set_register(ctx, w->reg[0], words[0]);
	if (w->n_words == 2)
		set_register(ctx, w->reg[1], words[1]);
	return WRITE_DONE;
#else
	return WRITE_NOT_TRIED;
#endif
}

/* All that the site asks for. Returns the outcomes, 4 bits each, and counts. */
static __always_inline u32 rewrite(struct pt_regs *ctx, const struct site *site, struct fn_counters *n)
{
	u64 is_entry = site->kind == SITE_ENTRY, count = is_entry ? ENTRY_WRITES : RETURN_WRITES;
	u64 bias = ctx->ip - site->addr, sp = ctx->sp, outcomes = 0, failed = 0, skip = 0, to = 0, moved = 0;

#ifdef SKIP_CALL
	skip = is_entry;
	if (skip)
		failed = read_word(sp, &to) != 0;
#endif
#ifdef PERFORM_RET
	/* Another's program may have moved the hit on here (probe.h): then nothing stands where the writes are to go. Worked out, not asked:
	 * the verifier would follow each answer. */
	moved = -(bias & (PAGE_BYTES - 1)) >> 63;
	opaque(moved);
	failed |= moved;
	opaque(failed);
#endif
	opaque(count);
#pragma clang loop unroll(disable)
	for (u64 i = 0; i < WRITES_MAX; i++) {
		u32 key = (is_entry ? 0 : WRITES_MAX) + i;
		u64 outcome = WRITE_NOT_TRIED;

		if (i >= count)
			break;
		checkpoint(i);
		struct write *w = writes.lookup(&key);
		if (w && !((skip | moved) && failed)) /* a call is skipped with all of its results, or not */
			outcome = write_one(ctx, w, bias);
		/* The verifier is to forget what it knows of these, else it would follow every combination. */
		opaque(outcome);
		outcomes |= (outcome & 15) << (4 * i);
		opaque(outcomes);
		failed |= (outcome & 15) != WRITE_DONE;
		opaque(failed);
	}
#ifdef SKIP_CALL
	if (skip && !failed) {
		ctx->ip = to;
		ctx->sp = sp + 8;
	}
#endif
	if (failed)
		add(n->unchanged);
	else
		add(n->changed);
	return outcomes;
}

#endif
