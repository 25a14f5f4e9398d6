/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* --where: which calls are wanted. What is asked comes from filters.h, which is made for each trace (offsets/where_c.c); here is what that
 * is made with, and the table of calls that wait for their return.
 *
 *   -DWHERE        there is a condition
 *   -DWHERE_GOID   it asks for the goroutine's id
 *   -DWHERE_TABLE  there are functions whose returns are probed
 *   -DWHERE_BY     calls are split by a value */
#ifndef BPF_WHERE_H
#define BPF_WHERE_H

#include "read_user.h"

/* Ordered so that && is the least and || the greatest of two. */
enum where_answer {
	WHERE_NO = 0,
	WHERE_NOTHING = 1,    /* there is no such value: a nil pointer, an index past the end, another type */
	WHERE_UNREADABLE = 2, /* it could not be read */
	WHERE_YES = 3,
};

#define WHERE_TEXT 16 /* words of text that are compared at most: a literal whole, of two strings half of it each */

struct where {
	u64 regs[RECORD_REGS]; /* as in struct record */
	u64 sp;
	u64 bias;
	u64 goid;
	u64 no_goid;
	u64 pid;
	u64 ns;      /* at a return: since the entry */
	u64 unknown; /* 0, which the verifier does not know */
	u32 group;   /* -DWHERE_BY: enum group */
	u64 kept[WHERE_KEPT_MAX];
	/* Apart, since helpers get their addresses: the compiler keeps the rest in registers. */
	u64 *text; /* WHERE_TEXT words */
	struct group_key *by;
};

/* What `text` and `by` lead to. */
struct where_room {
	u64 text[WHERE_TEXT];
#ifdef WHERE_BY
	struct group_key by;
#endif
};

/* What is known of a value makes the verifier follow the rest of the program once for each: let it know nothing. */
#define where_forget(w, answer) ((answer) ^= (w)->unknown)

/* The same, which the compiler does not put off. */
#define where_forget_here(w, x)                                                                                        \
	do {                                                                                                           \
		where_forget(w, x);                                                                                    \
		opaque(x);                                                                                             \
	} while (0)

static __always_inline u64 where_not(u64 answer)
{
	return answer == WHERE_YES ? WHERE_NO : answer == WHERE_NO ? WHERE_YES : answer;
}

/* IEEE 754 as integers in the same order: those below 0 upside down, and -0 is 0. */
static __always_inline u64 where_order64(u64 bits)
{
	if (!(bits << 1))
		bits = 0;
	return bits >> 63 ? ~bits : bits | 1ull << 63;
}

static __always_inline u64 where_order32(u64 bits)
{
	return where_order64(bits << 32);
}

static __always_inline int where_is_nan64(u64 bits)
{
	return bits << 1 > 0x7ffull << 53;
}

static __always_inline int where_is_nan32(u64 bits)
{
	return bits << 33 > 0xffull << 56;
}

/* Are two strings the same? Longer ones than half of `text` are not compared. */
static __always_inline u64 where_same_text(struct where *w, u64 a, u64 a_len, u64 b, u64 b_len)
{
	u64 len = a_len;

	if (a_len != b_len)
		return WHERE_NO;
	if (a == b || !len)
		return WHERE_YES;
	opaque(len);
	if (len > 4 * WHERE_TEXT)
		return WHERE_UNREADABLE;
#pragma unroll
	for (int i = 0; i < WHERE_TEXT; i++)
		w->text[i] = 0;
	if (read_user(w->text, len, a) || read_user(w->text + WHERE_TEXT / 2, len, b))
		return WHERE_UNREADABLE;
	u64 differs = 0;
#pragma unroll
	for (int i = 0; i < WHERE_TEXT / 2; i++)
		differs |= w->text[i] ^ w->text[WHERE_TEXT / 2 + i];
	return differs ? WHERE_NO : WHERE_YES;
}

#ifdef WHERE_BY
/* The string by which calls are split, as far as it is told apart. */
static __always_inline u64 where_by_text(struct where *w, u64 from, u64 len)
{
	opaque(len);
	if (len > GROUP_TEXT)
		len = GROUP_TEXT;
	if (len && read_user(w->by->text, len, from))
		return WHERE_UNREADABLE;
	return WHERE_YES;
}
#endif

#include "filters.h"

#define where_register(to, word)                                                                                       \
	do {                                                                                                           \
		u64 where_word_ = (word);                                                                              \
		opaque(where_word_);                                                                                   \
		(to) = where_word_;                                                                                    \
	} while (0)

static __always_inline void where_init(struct where *w, struct where_room *room, struct pt_regs *ctx,
				       const struct site *site, const struct control *ctl, const struct goroutine *g,
				       u64 id)
{
	/* Read once and here: of reads at many places the compiler makes one of an address that it has worked out, which the verifier
	 * refuses in the context. */
	where_register(w->regs[0], ctx->ax);
	where_register(w->regs[1], ctx->bx);
	where_register(w->regs[2], ctx->cx);
	where_register(w->regs[3], ctx->di);
	where_register(w->regs[4], ctx->si);
	where_register(w->regs[5], ctx->r8);
	where_register(w->regs[6], ctx->r9);
	where_register(w->regs[7], ctx->r10);
	where_register(w->regs[8], ctx->r11);
	where_register(w->regs[9], ctx->dx);
	where_register(w->sp, ctx->sp);
	/* at a return as at its RET, also where it is probed before */
	if (site->kind == SITE_RETURN)
		w->sp += site->frame;
	w->bias = ctx->ip - site->addr;
	w->goid = g->goid;
	w->no_goid = g->flags & (REC_NO_G | REC_NO_CURG);
	w->pid = id >> 32;
	w->ns = 0;
	w->unknown = ctl->zero;
	w->group = 0;
	w->text = room->text;
	w->by = 0;
#ifdef WHERE_BY
	__builtin_memset(&room->by, 0, sizeof(room->by));
	w->by = &room->by;
#endif
#pragma unroll
	for (int i = 0; i < WHERE_KEPT_MAX; i++)
		w->kept[i] = 0;
}

/* At an entry: 1 where the call is wanted, or may be; 0 where it is not, which is counted. */
static __always_inline int where_begins(struct where *w, struct pt_regs *ctx, const struct site *site,
					struct fn_counters *n)
{
	u64 answer = where_enter(site->filter, ctx, w);

	if (answer == WHERE_YES)
		return 1;
	add(n->filtered);
	if (answer == WHERE_UNREADABLE)
		add(n->undecidable);
	return 0;
}

#ifdef WHERE_BY
BPF_HASH(groups, struct group_key, u32, 1);

/* The group of the value that this hit has. */
static __always_inline u32 where_group(struct where *w, struct pt_regs *ctx, const struct site *site,
				       struct control *ctl)
{
	u64 answer = where_by(site->filter, ctx, w), number;
	u32 *group, made;

	if (answer != WHERE_YES)
		return answer == WHERE_UNREADABLE ? GROUP_UNREADABLE : GROUP_NOTHING;
	group = groups.lookup(w->by);
	if (group)
		return *group;
	if (ctl->groups >= SPLIT_GROUPS_MAX)
		return GROUP_OTHER;
	number = __sync_fetch_and_add(&ctl->groups, 1);
	if (number >= SPLIT_GROUPS_MAX)
		return GROUP_OTHER;
	made = GROUP_FIRST + number;
	if (!groups.insert(w->by, &made))
		return made;
	group = groups.lookup(w->by); /* another CPU was first */
	return group ? *group : GROUP_OTHER;
}
#endif

#ifdef WHERE_TABLE
BPF_TABLE("lru_hash", struct open_key, struct waiting_call, waiting, 1);

/* As the collector pairs (writer.c): without g a thread stands for it. */
static __always_inline void where_key(struct open_key *key, const struct where *w, const struct site *site,
				      const struct goroutine *g, u64 id)
{
	key->g = g->g ? g->g : 1ull << 63 | (u32)id;
	key->depth = g->stack_hi - w->sp - (site->kind == SITE_RETURN ? 0 : site->frame);
	key->pid = id >> 32;
	key->fid = site->fid;
}

static __always_inline void where_call(struct waiting_call *call, const struct where *w, u64 now)
{
	call->ts = now;
	call->state = WAITING_WANTED;
	call->group = w->group;
#pragma unroll
	for (int i = 0; i < WHERE_KEPT_MAX; i++)
		call->kept[i] = w->kept[i];
}

/* A call that waits was left by a panic, say: it has no results. */
static __always_inline void where_left(const struct waiting_call *call, struct fn_counters *n)
{
	if (call->state == WAITING_UNDECIDED) {
		add(n->decided);
		add(n->filtered);
	}
}

/* Remember a call that the entry let through, as what it became. 0, or the helper's negative error. */
static __always_inline int where_wait(struct open_key *key, struct waiting_call *call, u64 state, struct fn_counters *n)
{
	struct waiting_call *before = waiting.lookup(key);
	int error;

	call->state = state;
	if (before)
		where_left(before, n);
	error = waiting.update(key, call);
	if (error)
		telemetry_count(BPF_FILE_WHERE, __LINE__, error);
	else if (state == WAITING_UNDECIDED)
		add(n->waited);
	return error;
}

/* The entry does not let this call through. The return that comes is its, and of nothing that waits at its place. */
static __always_inline void where_refused(struct where *w, struct pt_regs *ctx, const struct site *site,
					  const struct control *ctl, struct goroutine *g, u64 id, struct fn_counters *n)
{
	struct open_key key;
	struct waiting_call *before;

	if (!(site->flags & SITE_WAITS))
		return;
#ifndef WHERE_GOID
	read_goroutine(ctx, site, ctl, id, g);
#endif
	where_key(&key, w, site, g, id);
	before = waiting.lookup(&key);
	if (!before)
		return;
	where_left(before, n);
	waiting.delete(&key);
}

/* There was no room for a call that waits. */
static __always_inline void where_lose(struct open_key *key, struct fn_counters *n)
{
	struct waiting_call *call = waiting.lookup(key);

	if (!call)
		return;
	if (call->state == WAITING_UNDECIDED)
		add(n->decided);
	call->state = WAITING_LOST;
}

enum where_end {
	END_COUNTED = 0, /* it is counted, and that is all */
	END_WANTED,
	END_UNWANTED, /* so is this, and its call was sent already */
};

/* At a return. *began_ret: the time of the call, where it is wanted. */
static __always_inline int where_ends(struct where *w, struct open_key *key, struct pt_regs *ctx,
				      const struct site *site, struct control *ctl, struct fn_counters *n, u64 now,
				      u64 *began_ret)
{
	struct waiting_call *call = waiting.lookup(key);
	u64 state, answer;

	if (!call) {
		if (site->flags & SITE_PASSES)
			add(n->unpaired);
		else
			add(n->filtered_returns);
		return END_COUNTED;
	}
	state = call->state;
	*began_ret = call->ts;
	w->ns = now - call->ts;
	w->group = call->group;
#pragma unroll
	for (int i = 0; i < WHERE_KEPT_MAX; i++)
		w->kept[i] = call->kept[i];
	waiting.delete(key);
	if (state == WAITING_WANTED)
		return END_WANTED;
	if (state != WAITING_UNDECIDED) {
		if (state == WAITING_SAMPLED)
			add(n->sampled_returns);
		else if (state == WAITING_LIMITED)
			add(n->limited_returns);
		else
			add(n->unpaired);
		return END_COUNTED;
	}
	add(n->decided);
	answer = where_leave(site->filter, ctx, w);
	if (answer != WHERE_YES) {
		add(n->filtered);
		add(n->filtered_returns);
		if (answer == WHERE_UNREADABLE)
			add(n->undecidable);
		return END_UNWANTED;
	}
#ifdef REWRITE
	return END_WANTED; /* of those that are wanted left_alone() chooses */
#endif
	state = left_out(ctl, n);
	if (state == WAITING_WANTED)
		return END_WANTED;
	if (state == WAITING_SAMPLED)
		add(n->sampled_returns);
	else
		add(n->limited_returns);
	return END_UNWANTED;
}
#endif

#endif
