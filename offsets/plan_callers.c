/* SPDX-License-Identifier: Apache-2.0 */
/* Floats of arguments that the function itself puts nowhere: where its direct callers have them. */
#include <stdlib.h>
#include <string.h>

#include "callers.h"
#include "plan_follow.h"

#define SLOTS_MAX 8    /* places in callers' frames that one site reads: each is read at every hit, whoever called */
#define FRAME_MAX 4096 /* bytes from the CFA: what is further off need not be a stack any more where another calls */

struct plan_callers {
	struct call_places *places; /* of all functions that are planned */
	struct code *code;          /* of the last caller: many call a function several times */
	const struct func *from;
	uint64_t text, looked; /* bytes decoded so far; looked through for calls */
};

void plan_callers_destroy(struct plan_callers *callers)
{
	if (!callers)
		return;
	call_places_destroy(callers->places);
	code_destroy(callers->code);
	free(callers);
}

static struct err *find_places(struct plan_builder *b)
{
	uint64_t *entries _cleanup_free_ = calloc(b->n_selected + 1, sizeof(*entries));

	b->callers = calloc(1, sizeof(*b->callers));
	if (!b->callers || !entries)
		return &err_nomem;
	for (size_t i = 0; i < b->n_selected; i++)
		entries[i] = b->selected[i]->entry;
	return call_places_find(b->program->elf, b->program->funcs, entries, b->n_selected, &b->callers->places);
}

/* The code of a caller; NULL where it cannot be had, or enough has been read. */
static struct err *caller_code(struct plan_builder *b, const struct func *from, struct code **ret)
{
	struct plan_callers *c = b->callers;
	struct err *err;

	if (c->from != from) {
		code_destroy(c->code);
		c->code = NULL;
		c->from = from;
		c->text += from->end - from->entry;
		err = c->text > CALLERS_TEXT_MAX ? NULL : code_read(b->program->elf, b->program->funcs, from, &c->code);
		if (err && err->code == ERR_NOMEM)
			return err;
		err_destroy(err);
	}
	c->looked += from->end - from->entry;
	*ret = c->looked > CALLERS_LOOK_MAX ? NULL : c->code;
	return NULL;
}

/* What is read of the frames: the first word is the return address. */
struct frame_slots {
	size_t n;
	struct site_word v[1 + SLOTS_MAX];
};

/* The index of a place among the slots, which it becomes one of; 0 where there is no room. */
static size_t slot_of(struct frame_slots *s, int64_t place, uint32_t size)
{
	for (size_t i = 1; i < s->n; i++)
		if (s->v[i].place == place && s->v[i].size == size)
			return i;
	if (s->n == 1 + SLOTS_MAX)
		return 0;
	s->v[s->n] = (struct site_word){ .where = WORD_STACK, .place = place, .size = size };
	return s->n++;
}

/* One call: what it has of the registers in `sizes`. at.index is the slot, until that has been read. */
static struct err *add_call(struct plan_builder *b, const struct call_place *place, const uint8_t sizes[FLOAT_REGS],
			    struct frame_slots *slots)
{
	struct float_place x[FLOAT_REGS];
	struct code *code;
	struct err *err = caller_code(b, place->from, &code);

	if (err || !code)
		return err;
	err = call_floats(code, b->program->elf, place->addr, place->target, x);
	if (err) {
		if (err->code == ERR_NOMEM)
			return err;
		err_destroy(err);
		return NULL;
	}
	for (int reg = 0; reg < FLOAT_REGS && !err; reg++) {
		struct plan_caller c = { .ret = place->addr + CALL_SIZE, .reg = reg, .size = sizes[reg] };

		if (!sizes[reg] || x[reg].where == FLOAT_LOST || x[reg].size < sizes[reg])
			continue;
		if (x[reg].where == FLOAT_CONSTANT) {
			c.at.kind = LOC_CONSTANT;
			c.constant = (uint64_t)x[reg].place;
		} else {
			/* The caller's frame begins at the CFA: what the function writes there before the site is no argument. */
			if (x[reg].place < b->entry.above || x[reg].place + sizes[reg] > FRAME_MAX)
				continue;
			c.at.kind = LOC_CHUNK;
			c.at.index = slot_of(slots, b->entry.frame + 8 + x[reg].place, sizes[reg]);
			if (!c.at.index)
				continue;
		}
		err = plan_append(b, callers, c);
	}
	return err;
}

/* Read the slots, and say of each call where its are. What there was no room for is left out. */
static struct err *read_slots(struct list_builder *r, struct frame_slots *slots, uint32_t first)
{
	struct plan *plan = r->b->plan;
	location_t places[1 + SLOTS_MAX] = { { 0 } };
	struct err *err = plan_memory_words(r, slots->v, slots->n, places);
	size_t n = first;

	if (err)
		return err;
	for (size_t i = first; i < plan->n_callers && slots->v[0].where == WORD_STACK; i++) {
		struct plan_caller *c = &plan->callers[i];

		if (c->at.kind == LOC_CHUNK) {
			if (slots->v[c->at.index].where != WORD_STACK)
				continue;
			c->at = places[c->at.index];
		}
		plan->callers[n++] = *c;
	}
	plan->n_callers = n;
	struct plan_site *site = &plan->sites[plan->n_sites - 1];
	site->first_caller = first;
	site->n_callers = n - first;
	if (site->n_callers)
		site->return_at = places[0];
	return NULL;
}

/* Before it asks for a larger stack the function puts the arguments that are in registers into the room that its caller has for them, behind
 * those on the stack (cmd/internal/obj/x86/obj6.go, stacksplit); then it begins anew. */
static struct err *find_written(struct plan_builder *b)
{
	const struct func *func = func_table_find_addr(b->program->funcs, b->entry.func->entry);
	uint32_t size;
	struct err *err;

	if (!b->entry.has_check)
		return NULL;
	err = func ? func_table_args_size(b->program->funcs, func, &size) : &err_notfound;
	if (err && err->code == ERR_NOMEM)
		return err;
	if (err)
		b->entry.above = INT64_MAX;
	else if (size > b->entry.above)
		b->entry.above = size;
	err_destroy(err);
	return NULL;
}

struct err *plan_caller_reads(struct list_builder *r, const struct site_word *words, size_t n_words)
{
	struct plan_builder *b = r->b;
	struct frame_slots slots = { .n = 1 };
	uint8_t sizes[FLOAT_REGS] = { 0 };
	uint32_t first = b->plan->n_callers;
	struct err *err = NULL;
	bool wanted = false;
	size_t n, at;

	for (size_t i = 0; i < n_words; i++) {
		const struct site_word *w = &words[i];
		if (w->where != WORD_LOST || !w->came_in || w->came_in > FLOAT_REGS || (w->size != 4 && w->size != 8))
			continue;
		sizes[w->came_in - 1] = w->size;
		wanted = true;
	}
	if (!b->entry.func || !wanted)
		return NULL;
	err = find_written(b);
	if (err || b->entry.above == INT64_MAX)
		return err;
	if (!b->callers)
		err = find_places(b);
	if (err)
		return err;
	slots.v[0] = (struct site_word){ .where = WORD_STACK, .place = b->entry.frame, .size = 8 };
	at = call_places_of(b->callers->places, b->entry.func->entry, &n);
	for (size_t i = 0; i < n && i < CALLERS_MAX && !err; i++)
		err = add_call(b, &b->callers->places->v[at + i], sizes, &slots);
	return err || b->plan->n_callers == first ? err : read_slots(r, &slots, first);
}
