/* SPDX-License-Identifier: Apache-2.0 */
#include "frames.h"

#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "names.h"
#include "recording.h"

/* Distinct addresses that are kept: of a program of 100 MB some thousands are ever seen. A power of two, half of it used at most. */
#define ENTRIES 131072u
#define TEXT_MAX (32u << 20)

struct entry {
	uint64_t addr; /* link address */
	uint32_t at;   /* in text, of its block; 0: free */
	uint32_t binary_id;
};

struct frames {
	struct entry *entries; /* ENTRIES */
	uint32_t n;
	struct jout text; /* blocks as a recording has them, one after the other; the first byte stands for none */
	enum chain_kind chain;
};

/* ---- addresses ---------------------------------------------------------------------------------------------- */

bool site_is_push(const struct site_ref *ref)
{
	return !strcmp(plan_string(ref->plan->plan, ref->site->insn), "push");
}

/* ---- names -------------------------------------------------------------------------------------------------- */

struct err *frames_create(struct frames **ret)
{
	struct frames *f = calloc(1, sizeof(*f));

	if (!f)
		return &err_nomem;
	jout_init(&f->text, -1);
	f->entries = calloc(ENTRIES, sizeof(*f->entries));
	if (!f->entries) {
		frames_destroy(f);
		return &err_nomem;
	}
	*ret = f;
	return NULL;
}

void frames_destroy(struct frames *f)
{
	if (!f)
		return;
	jout_deinit(&f->text);
	free(f->entries);
	free(f);
}

static struct entry *find(struct frames *f, uint32_t binary_id, uint64_t addr)
{
	uint64_t hash = (addr ^ (uint64_t)binary_id << 48) * 0x9e3779b97f4a7c15ull;
	uint32_t i = (uint32_t)(hash >> 40) & (ENTRIES - 1);

	while (f->entries[i].at && (f->entries[i].addr != addr || f->entries[i].binary_id != binary_id))
		i = (i + 1) & (ENTRIES - 1);
	return &f->entries[i];
}

/* Keep a block: its entry, or NULL where memory is short. What replays a recording comes here with the same blocks in the same order, and
 * begins anew where the recorder did. */
static struct entry *keep(struct frames *f, const struct recording_frames *head, const void *rest, size_t size)
{
	struct entry *e;

	if (f->n >= ENTRIES / 2 || f->text.len > TEXT_MAX) {
		memset(f->entries, 0, ENTRIES * sizeof(*f->entries));
		f->n = 0;
		f->text.len = 0;
	}
	if (!f->text.len)
		jout_putc(&f->text, 0);
	e = find(f, head->binary_id, head->addr);
	f->n += !e->at;
	*e = (struct entry){ .addr = head->addr, .at = (uint32_t)f->text.len, .binary_id = head->binary_id };
	jout_append(&f->text, (const char *)head, sizeof(*head));
	jout_append(&f->text, rest, size);
	if (f->text.failed) {
		jout_reset(&f->text);
		memset(f->entries, 0, ENTRIES * sizeof(*f->entries));
		f->n = 0;
		return NULL;
	}
	return e;
}

/* Of each frame: line, inlined, the names of the function and the file. */
static const char *next_frame(const char *p, const char *end, struct frame_view *v)
{
	uint32_t words[2];
	size_t n;

	if ((size_t)(end - p) < sizeof(words))
		return NULL;
	memcpy(words, p, sizeof(words));
	p += sizeof(words);
	v->line = words[0];
	v->inlined = words[1];
	v->func = p;
	n = strnlen(p, (size_t)(end - p));
	if (n == (size_t)(end - p))
		return NULL;
	p += n + 1;
	v->file = p;
	n = strnlen(p, (size_t)(end - p));
	return n == (size_t)(end - p) ? NULL : p + n + 1;
}

struct err *frames_take(struct frames *f, const void *data, size_t size)
{
	struct recording_frames head;
	const char *p, *end = (const char *)data + size;
	struct frame_view v;

	if (size < sizeof(head))
		return err_create(ERR_MALFORMED, "names of a stack are too short");
	memcpy(&head, data, sizeof(head));
	p = (const char *)data + sizeof(head);
	if (head.n > FUNC_FRAMES_MAX)
		return err_create(ERR_MALFORMED, "an address with more than %d frames", FUNC_FRAMES_MAX);
	for (uint32_t i = 0; i < head.n; i++) {
		p = next_frame(p, end, &v);
		if (!p)
			return err_create(ERR_MALFORMED, "names of a stack do not end");
	}
	keep(f, &head, (const char *)data + sizeof(head), size - sizeof(head));
	return NULL;
}

static void put_string(struct jout *out, const char *s)
{
	jout_append(out, s ? s : "", s ? strlen(s) + 1 : 1);
}

static struct entry *look_up(struct frames *f, const struct site_ref *ref, uint64_t addr, struct jout *record)
{
	struct recording_frames head = { .addr = addr, .binary_id = ref->plan->binary_id };
	struct func_frame v[FUNC_FRAMES_MAX];
	struct jout text;
	struct entry *e;

	jout_init(&text, -1);
	head.n = (uint32_t)names_frames(ref->plan->names, addr, v, FUNC_FRAMES_MAX);
	for (uint32_t i = 0; i < head.n; i++) {
		const uint32_t words[2] = { v[i].file ? v[i].line : 0, i + 1 < head.n };

		jout_append(&text, (const char *)words, sizeof(words));
		put_string(&text, v[i].func);
		put_string(&text, v[i].file);
	}
	e = text.failed ? NULL : keep(f, &head, text.buf, text.len);
	if (e && record)
		recording_block(record, RECORDING_FRAMES, f->text.buf + e->at, f->text.len - e->at);
	jout_deinit(&text);
	return e;
}

void frames_each(struct collector *c, const struct site_ref *ref, const struct record_view *view, struct jout *record,
		 frame_fn fn, void *arg)
{
	const struct record *r = view->head;
	const uint64_t bias = r->ip - ref->site->addr;
	uint32_t left = c->options.stack, n;
	uint64_t addrs[STACK_FRAMES + 2];
	struct frames *f = c->frames;
	bool push = site_is_push(ref);

	if (!f || !view->stack)
		return;
	if (f->chain == CHAIN_UNKNOWN)
		f->chain = chain_kind_of(view->stack, push, r->ip, view->chain, view->n_chain);
	n = stack_join(view->stack, push, f->chain, r->ip, view->chain, view->n_chain, addrs, STACK_FRAMES + 2);
	for (uint32_t i = 0; i < n && left; i++) {
		/* a return address is behind the call: one byte before it is the call's line */
		uint64_t addr = addrs[i] - bias - (i > 0);
		struct entry *e = find(f, ref->plan->binary_id, addr);
		struct recording_frames head = { 0 };
		struct frame_view v = { 0 };
		const char *p;

		if (!e->at)
			e = look_up(f, ref, addr, record);
		if (e)
			memcpy(&head, f->text.buf + e->at, sizeof(head));
		p = e ? f->text.buf + e->at + sizeof(head) : NULL;
		if (!head.n) {
			left--;
			if (fn)
				fn(arg, &v, addrs[i] - bias);
			continue;
		}
		for (uint32_t k = 0; k < head.n && left && p; k++) {
			p = next_frame(p, f->text.buf + f->text.len, &v);
			/* the call was of the function itself, also where the probed instruction belongs to what was inlined into it */
			if (!p || (!i && k + 1 < head.n))
				continue;
			if (!i)
				v.func = function_name(c, ref->fid);
			left--;
			if (fn)
				fn(arg, &v, addrs[i] - bias);
		}
	}
}
