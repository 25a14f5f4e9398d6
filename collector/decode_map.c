/* SPDX-License-Identifier: Apache-2.0 */
/* Maps: which entries they have, by what was read of them. Layouts: struct plan_map. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../offsets/utf8.h"
#include "decode_priv.h"

#define RACED "written during the read"
#define SLOTS_MAX 4096u /* live slots that are kept of one map: more than a record holds */

struct map_slot {
	struct place key, elem;
	uint64_t at; /* address of the element */
};

/* What is known of a map while its groups are looked through. */
struct map_walk {
	const struct plan_map *m;
	size_t first;                                 /* of its slots in d->slots */
	bool changed;                                 /* while it was read */
	char cut[sizeof(((struct decoder *)0)->why)]; /* why a part of it was not read; "" */
};

static void cut(struct decoder *d, struct map_walk *w)
{
	memcpy(w->cut, d->why, sizeof(w->cut));
}

static bool add_slot(struct decoder *d, struct map_walk *w, const struct place *group, uint64_t addr, uint32_t i)
{
	const struct plan_map *m = w->m;

	if (d->n_slots - w->first >= SLOTS_MAX)
		return false;
	if (d->n_slots == d->cap_slots) {
		size_t cap = d->cap_slots ? 2 * d->cap_slots : 64;
		struct map_slot *v = realloc(d->slots, cap * sizeof(*v));

		if (!v)
			return false;
		d->slots = v;
		d->cap_slots = cap;
	}
	uint64_t elem = m->elems + (uint64_t)i * m->elem_stride;
	d->slots[d->n_slots++] = (struct map_slot){ place_at(group, m->keys + (uint64_t)i * m->key_stride),
						    place_at(group, elem), addr + elem };
	return true;
}

/* Is slot i live, by its byte of control? Older: 0 and 1 are empty, 2 to 4 say where its bucket went (runtime/map.go, emptyRest to
 * minTopHash); newer: the top bit says that it is empty or deleted (internal/runtime/maps/group.go). */
static bool is_live(const struct plan_map *m, uint8_t control)
{
	return m->swiss ? !(control & 0x80) : control >= 5;
}

static bool is_evacuated(uint8_t control)
{
	return control >= 2 && control <= 4;
}

static bool add_group(struct decoder *d, struct map_walk *w, const struct place *group, uint64_t addr)
{
	uint8_t control[MAP_SLOTS];

	if (!place_read(d, group, w->m->control, sizeof(control), control)) {
		cut(d, w);
		return false;
	}
	if (!w->m->swiss && is_evacuated(control[0]))
		return true;
	for (uint32_t i = 0; i < MAP_SLOTS; i++)
		if (is_live(w->m, control[i]) && !add_slot(d, w, group, addr, i))
			break;
	return true;
}

/* Was something read twice, and not the same? */
static bool has_changed(const struct decoder *d, uint64_t addr)
{
	const struct chunk_view *first = NULL;

	for (uint32_t i = 0; i < d->view->n_chunks; i++) {
		const struct chunk_view *v = &d->view->chunks[i];

		if (v->addr != addr || !v->len)
			continue;
		if (first && memcmp(first->data, v->data, first->len < v->len ? first->len : v->len) != 0)
			return true;
		first = first ? first : v;
	}
	return false;
}

/* Buckets from an address on, each with its chain of further ones. */
static void add_buckets(struct decoder *d, struct map_walk *w, uint64_t addr, uint64_t n)
{
	struct place bucket, next;
	uint64_t overflow, at;

	if (!place_behind(d, addr, w->m->group_size, &bucket)) {
		cut(d, w);
		return;
	}
	w->changed |= has_changed(d, addr);
	for (uint64_t i = 0; i < n && (i + 1) * w->m->group_size <= bucket.n_mem; i++) {
		next = place_at(&bucket, i * w->m->group_size);
		at = addr + i * w->m->group_size;
		/* a chain has no more links than the record has chunks */
		for (uint32_t k = 0; k < CHUNKS_MAX; k++) {
			if (!add_group(d, w, &next, at) || !place_read(d, &next, w->m->overflow, 8, &overflow) ||
			    !overflow)
				break;
			if (!place_behind(d, overflow, w->m->group_size, &next)) {
				cut(d, w);
				break;
			}
			at = overflow;
		}
	}
}

static void add_groups(struct decoder *d, struct map_walk *w, uint64_t addr, uint64_t n)
{
	struct place groups, group;

	if (!place_behind(d, addr, w->m->group_size, &groups)) {
		cut(d, w);
		return;
	}
	w->changed |= has_changed(d, addr);
	for (uint64_t i = 0; i < n && (i + 1) * w->m->group_size <= groups.n_mem; i++) {
		group = place_at(&groups, i * w->m->group_size);
		add_group(d, w, &group, addr + i * w->m->group_size);
	}
}

static void add_table(struct decoder *d, struct map_walk *w, uint64_t addr)
{
	uint64_t groups, mask;
	struct place table;

	if (!place_behind(d, addr, w->m->table_size, &table) ||
	    !place_read(d, &table, w->m->table_groups, 8, &groups) ||
	    !place_read(d, &table, w->m->table_mask, 8, &mask))
		cut(d, w);
	else
		add_groups(d, w, groups, mask == UINT64_MAX ? mask : mask + 1);
}

/* Entries and whether the map was being written. False where the header was not read. */
static bool walk_map(struct decoder *d, struct map_walk *w, const struct place *header, uint64_t *total_ret,
		     bool *raced_ret)
{
	const struct plan_map *m = w->m;
	uint64_t buckets, old, dir, n, table, last = 0;
	struct place tables;
	uint8_t byte, flags;

	if (!place_read(d, header, m->count, 8, total_ret))
		return false;
	if (!m->swiss) {
		if (!place_read(d, header, m->shift, 1, &byte) || !place_read(d, header, m->flags, 1, &flags) ||
		    !place_read(d, header, m->buckets, 8, &buckets) || !place_read(d, header, m->old_buckets, 8, &old))
			return false;
		*raced_ret = flags & 4; /* hashWriting */
		n = byte < 63 ? UINT64_C(1) << byte : 0;
		if (old)
			add_buckets(d, w, old, flags & 8 ? n : n / 2); /* sameSizeGrow */
		if (buckets)
			add_buckets(d, w, buckets, n);
		return true;
	}
	if (!place_read(d, header, m->dir, 8, &dir) || !place_read(d, header, m->dir_len, 8, &n) ||
	    !place_read(d, header, m->writing, 1, &byte))
		return false;
	*raced_ret = byte;
	if (!n) {
		if (dir)
			add_groups(d, w, dir, 1);
		return true;
	}
	if (!place_behind(d, dir, 8, &tables))
		cut(d, w);
	for (uint64_t i = 0; i < n && place_read(d, &tables, 8 * i, 8, &table); i++) {
		/* a table stands in the directory as often as it needs bits less than it */
		if (table != last)
			add_table(d, w, table);
		last = table;
	}
	return true;
}

/* A key as the member of an object, or as a path. False where it has none. */
static bool key_part(struct decoder *d, const struct place *p, uint32_t type, struct path_part *ret)
{
	const struct go_type *t = type_at(d, type);
	const uint8_t *s;
	uint64_t v = 0;
	size_t n;

	if (!t)
		return false;
	if (t->kind == GO_STRING) {
		if (!read_string(d, p, &s, &n))
			return false;
		*ret = (struct path_part){ .kind = PATH_STRING, .bytes = s, .n = (uint32_t)n };
		return true;
	}
	if (t->kind < GO_BOOL || t->kind > GO_UINTPTR || t->size > 8 || !t->size ||
	    !place_read(d, p, 0, (uint32_t)t->size, &v))
		return false;
	*ret = (struct path_part){ .kind = PATH_INDEX, .index = v };
	if (t->kind == GO_BOOL) {
		ret->kind = PATH_BOOL;
		ret->index = v != 0;
	} else if (t->kind <= GO_INT64) {
		unsigned int shift = 64 - 8 * (unsigned int)t->size;

		ret->kind = PATH_SIGNED;
		ret->index = (uint64_t)((int64_t)(v << shift) >> shift);
	}
	return true;
}

static bool utf8_valid(const uint8_t *s, size_t n)
{
	for (size_t i = 0, len; i < n; i += len) {
		len = utf8_sequence(s + i, n - i);
		if (!len)
			return false;
	}
	return true;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Can the map be shown as an object: is every key whole, and no two the same? (Keys of one hash count as the same.) */
static bool keys_are_members(struct decoder *d, const struct map_walk *w, size_t n)
{
	uint64_t *hashes = malloc((n + 1) * sizeof(*hashes));
	struct path_part part;
	bool ok = hashes;

	for (size_t i = 0; i < n && ok; i++) {
		ok = key_part(d, &d->slots[w->first + i].key, w->m->key, &part);
		if (!ok)
			break;
		hashes[i] = 14695981039346656037u;
		if (part.kind == PATH_STRING) {
			ok = utf8_valid(part.bytes, part.n);
			for (uint32_t k = 0; k < part.n; k++)
				hashes[i] = (hashes[i] ^ part.bytes[k]) * 1099511628211u;
		} else {
			hashes[i] = part.index;
		}
	}
	if (ok)
		qsort(hashes, n, sizeof(*hashes), by_number);
	for (size_t i = 1; i < n && ok; i++)
		ok = hashes[i] != hashes[i - 1];
	free(hashes);
	return ok;
}

/* Where the value of a slot is: in the slot, or behind the pointer that stands there. */
static void slot_value(struct decoder *d, const struct place *slot, bool indirect, uint32_t type)
{
	const struct go_type *t = type_at(d, type);
	struct place p = *slot;
	uint64_t addr;

	if (indirect && (!t || !place_read(d, slot, 0, 8, &addr) || !place_behind(d, addr, t->size, &p)))
		decode_absent(d);
	else
		decode_value(d, &p, type);
}

/* Is the value to be hidden for its key? Also where the key may be text that is not known: better too little is shown than too much. */
static bool key_hides(struct decoder *d, const struct path_part *part, uint32_t type)
{
	const struct go_type *t = type_at(d, type);

	if (!d->mask)
		return false;
	if (part->kind == PATH_STRING)
		return mask_hides_bytes(d->mask, part->bytes, part->n);
	return part->kind == PATH_PAIR && (!t || t->kind == GO_STRING || t->kind == GO_INTERFACE);
}

static void show_slots(struct decoder *d, const struct map_walk *w, uint64_t total)
{
	const struct plan_map *m = w->m;
	size_t n = d->n_slots - w->first;

	if (n > d->limits.elements)
		n = d->limits.elements;
	bool object = !m->key_indirect && keys_are_members(d, w, n);
	d->ops->map_begin(d, object, n, total);
	path_push(d, (struct path_part){ 0 });
	for (size_t i = 0; i < n; i++) {
		const struct map_slot slot = d->slots[w->first + i]; /* the array may move */
		struct path_part part;

		if (m->key_indirect || !key_part(d, &slot.key, m->key, &part))
			part = (struct path_part){ .kind = PATH_PAIR, .index = i };
		d->path[d->n_path - 1] = part;
		d->ops->map_key(d, object);
		if (!object)
			slot_value(d, &slot.key, m->key_indirect, m->key);
		d->ops->map_value(d, object);
		if (key_hides(d, &part, m->key))
			d->ops->masked(d);
		else
			slot_value(d, &slot.elem, m->elem_indirect, m->elem);
		d->ops->map_pair_end(d, object);
	}
	d->n_path--;
	d->ops->map_end(d, object, n, total);
}

/* Look a map through: its entries' slots are those from w->first on, *total_ret is how many it says it has. NULL; or a word, d->why being
 * the rest. */
static const char *open_map(struct decoder *d, struct map_walk *w, uint64_t addr, const struct go_type *t,
			    uint64_t *total_ret, bool *raced_ret)
{
	struct place header;

	*raced_ret = false;
	if (!t->map || t->map > d->plan->n_maps)
		return missing(d, "not decoded", "the layout of this map is not known") ? NULL : d->word;
	w->m = &d->plan->maps[t->map - 1];
	if (!place_behind(d, addr, w->m->header_size, &header) || !walk_map(d, w, &header, total_ret, raced_ret))
		return d->word;
	if (*total_ret > LENGTH_MAX)
		return missing(d, "unreadable", "its count is no number of entries") ? NULL : d->word;
	/* More live slots than entries: it changed between the reads. */
	*raced_ret |= d->n_slots - w->first > *total_ret || w->changed || has_changed(d, addr);
	return NULL;
}

void decode_map(struct decoder *d, const struct place *p, uint32_t type, const struct go_type *t)
{
	struct map_walk w = { .first = d->n_slots };
	uint64_t addr, total = 0;
	uint32_t followed = d->n_followed;
	bool raced = false;

	if (!decode_read_pointer(d, p, &addr))
		return;
	const char *word = find_cycle(d, addr, type) ? "cycle" : open_map(d, &w, addr, t, &total, &raced);
	if (word) {
		decode_bare_pointer(d, addr, word, find_cycle(d, addr, type) ? "" : d->why);
		d->n_slots = w.first;
		return;
	}
	decode_follow(d, addr, type, d->n_path);
	if (raced)
		d->ops->remark(d, "raced", RACED);
	if (*w.cut && strcmp(w.cut, "not read") != 0)
		d->ops->remark(d, "unreadable", w.cut);
	show_slots(d, &w, total);
	d->n_followed = followed;
	d->n_slots = w.first;
}

/* ---- one entry ----------------------------------------------------------------------------------------------- */

enum same { SAME, OTHER, UNSURE };

static enum same same_string(struct decoder *d, const struct place *p, const char *want)
{
	const uint64_t n = strlen(want);
	uint64_t addr, len;
	struct place bytes;

	if (!place_read(d, p, 8, 8, &len))
		return UNSURE;
	if (len != n)
		return OTHER;
	if (!n)
		return SAME;
	if (!place_read(d, p, 0, 8, &addr))
		return UNSURE;
	/* where it was not read to its end, its beginning can tell them apart */
	bool whole = place_behind(d, addr, n, &bytes);
	if (!whole && !bytes.mem)
		return UNSURE;
	if (memcmp(bytes.mem, want, whole ? n : bytes.n_mem) != 0)
		return OTHER;
	return whole ? SAME : UNSURE;
}

static enum same same_key(struct decoder *d, const struct place *p, const struct plan_map *m,
			  const struct plan_way *way)
{
	const struct go_type *t = type_at(d, m->key);
	struct path_part part;

	if (!t || m->key_indirect)
		return UNSURE;
	if (t->kind == GO_STRING)
		return same_string(d, p, plan_string(d->plan, way->name));
	if (!key_part(d, p, m->key, &part))
		return UNSURE;
	return part.index == (way->negative ? 0 - way->integer : way->integer) ? SAME : OTHER;
}

/* Why a key was not found. */
static bool not_found(struct decoder *d, const struct map_walk *w, uint64_t total, size_t unsure)
{
	uint32_t n = (uint32_t)(d->n_slots - w->first); /* at most SLOTS_MAX */

	if (n < total) {
		missing(d, "unreadable", "");
		snprintf(d->why, sizeof(d->why), "not among the %" PRIu32 " of %" PRIu64 " entries read", n, total);
		return false;
	}
	return unsure ? missing(d, "unreadable", "not all of its keys were read") : missing(d, "absent", "no such key");
}

bool map_find(struct decoder *d, uint64_t addr, uint32_t type, const struct plan_way *way, uint64_t *elem_ret)
{
	const struct go_type *t = type_at(d, type);
	struct map_walk w = { .first = d->n_slots };
	size_t found = 0, unsure = 0;
	struct map_slot slot = { 0 };
	uint64_t total = 0;
	bool raced, ok;

	if (!t)
		return missing(d, "not decoded", "unknown type");
	ok = !open_map(d, &w, addr, t, &total, &raced);
	for (size_t i = w.first; i < d->n_slots && ok; i++) {
		enum same same = same_key(d, &d->slots[i].key, w.m, way);

		unsure += same == UNSURE;
		if (same == SAME && !found++)
			slot = d->slots[i];
	}
	/* Nothing can be said of what is missing while others write, and a key that is there twice has two values. */
	if (ok && (found > 1 || (raced && !found)))
		ok = missing(d, "raced", RACED);
	else if (ok && !found)
		ok = not_found(d, &w, total, unsure);
	if (ok && raced)
		d->ops->remark(d, "raced", RACED);
	*elem_ret = slot.at;
	if (ok && w.m->elem_indirect)
		ok = place_read(d, &slot.elem, 0, 8, elem_ret);
	d->n_slots = w.first;
	return ok;
}
