/* SPDX-License-Identifier: Apache-2.0 */
/* Maps: where their parts are, and the steps that read them.
 *
 * The older kind (runtime/map.go, up to Go 1.23): a header, 2^B buckets of 8 slots, each with a chain of further ones; while it grows, the
 * buckets before. The newer (internal/runtime/maps, from 1.24): a header and either one group of 8 slots or a directory of tables, each with
 * an array of groups. cmd/link writes both with their types into DWARF. */
#include <string.h>

#include "plan_follow.h"

#define GROUPS_MAX 8u      /* buckets or groups that are read of one array */
#define AGAIN_MAX 4096u    /* bytes of groups that are read twice */
#define DIRECTORY_MAX 2u   /* tables that are read: up to 1024 entries each */
#define MAP_KEY_INLINE 128 /* bytes: larger keys and elements stand behind a pointer (internal/abi.MapMaxKeyBytes) */

struct field {
	uint32_t offset, type, size;
};

/* A field of a struct type; false where there is none, or where it lies past `limit`. */
static bool find_field(struct list_builder *r, uint32_t type, const char *name, uint64_t limit, struct field *ret)
{
	const struct type_table *types = &r->b->plan->types;
	const struct go_type *t = &types->v[type];

	for (uint32_t i = 0; i < t->n_fields; i++) {
		const struct go_field *f = &types->fields[t->first_field + i];
		if (strcmp(type_string(types, f->name), name) != 0 || f->type >= types->n)
			continue;
		uint64_t size = types->v[f->type].size;
		if (f->offset > limit || size > limit - f->offset)
			return false;
		*ret = (struct field){ f->offset, f->type, size };
		return true;
	}
	return false;
}

/* What a pointer field points to, completed. */
static bool behind(struct list_builder *r, uint32_t pointer, uint32_t *type_ret, struct err **err_ret)
{
	*err_ret = NULL;
	if (!follow_complete(r, pointer, err_ret) || r->b->plan->types.v[pointer].kind != GO_POINTER)
		return false;
	*type_ret = r->b->plan->types.v[pointer].elem;
	return follow_complete(r, *type_ret, err_ret) && r->b->plan->types.v[*type_ret].size &&
	       r->b->plan->types.v[*type_ret].size <= READ_MAX;
}

/* Keys or elements: 8 in an array, or one in each of 8 slots of `slot_type`. */
static bool find_slots(struct list_builder *r, uint32_t group, const char *array, const char *member, uint64_t limit,
		       uint32_t *offset_ret, uint32_t *stride_ret, uint32_t *size_ret)
{
	const struct type_table *types = &r->b->plan->types;
	struct field f, slots;
	struct err *err;

	if (array && find_field(r, group, array, limit, &f)) {
		if (!follow_complete(r, f.type, &err) || types->v[f.type].kind != GO_ARRAY ||
		    types->v[f.type].count != MAP_SLOTS)
			return false;
		*offset_ret = f.offset;
		*stride_ret = *size_ret = f.size / MAP_SLOTS;
		return true;
	}
	if (!find_field(r, group, "slots", limit, &slots) || !follow_complete(r, slots.type, &err) ||
	    types->v[slots.type].kind != GO_ARRAY || types->v[slots.type].count != MAP_SLOTS)
		return false;
	uint32_t slot = types->v[slots.type].elem;
	if (!follow_complete(r, slot, &err) || !find_field(r, slot, member, types->v[slot].size, &f))
		return false;
	*offset_ret = slots.offset + f.offset;
	*stride_ret = slots.size / MAP_SLOTS;
	*size_ret = f.size;
	return true;
}

static bool find_group(struct list_builder *r, uint32_t group, struct plan_map *m)
{
	const struct type_table *types = &r->b->plan->types;
	uint64_t limit = types->v[group].size;
	uint32_t key_size, elem_size;
	struct field f;

	m->group_size = limit;
	if (!find_field(r, group, m->swiss ? "ctrl" : "tophash", limit, &f) || f.size != MAP_SLOTS)
		return false;
	m->control = f.offset;
	if (!find_slots(r, group, "keys", "key", limit, &m->keys, &m->key_stride, &key_size) ||
	    !find_slots(r, group, m->swiss ? "elems" : "values", "elem", limit, &m->elems, &m->elem_stride, &elem_size))
		return false;
	if (!m->swiss && (!find_field(r, group, "overflow", limit, &f) || f.size != 8))
		return false;
	m->overflow = f.offset;
	m->key_indirect = types->v[m->key].size > MAP_KEY_INLINE && key_size == 8;
	m->elem_indirect = types->v[m->elem].size > MAP_KEY_INLINE && elem_size == 8;
	return (m->key_indirect || types->v[m->key].size == key_size) &&
	       (m->elem_indirect || types->v[m->elem].size == elem_size);
}

/* As find_field(), the field being of that size; its offset. */
static bool place(struct list_builder *r, uint32_t type, const char *name, uint64_t limit, uint32_t size, uint32_t *ret)
{
	struct field f;

	if (!find_field(r, type, name, limit, &f) || f.size != size)
		return false;
	*ret = f.offset;
	return true;
}

static bool find_swiss(struct list_builder *r, uint32_t type, struct plan_map *m)
{
	const uint64_t limit = READ_MAX;
	uint32_t directory, table, groups, group;
	struct field f, g;
	struct err *err;

	m->swiss = 1;
	m->header_size = 48;
	if (!place(r, type, "used", limit, 8, &m->count) || !place(r, type, "dirLen", limit, 8, &m->dir_len) ||
	    !place(r, type, "writing", limit, 1, &m->writing) || !find_field(r, type, "dirPtr", limit, &f))
		return false;
	m->dir = f.offset;
	/* **table: the directory holds pointers to tables */
	if (!follow_complete(r, f.type, &err) || r->b->plan->types.v[f.type].kind != GO_POINTER)
		return false;
	directory = r->b->plan->types.v[f.type].elem;
	if (!behind(r, directory, &table, &err) || !find_field(r, table, "groups", READ_MAX, &g))
		return false;
	m->table_size = r->b->plan->types.v[table].size;
	groups = g.type;
	if (!follow_complete(r, groups, &err) || !find_field(r, groups, "data", READ_MAX, &f) ||
	    !place(r, groups, "lengthMask", READ_MAX, 8, &m->table_mask))
		return false;
	m->table_groups = g.offset + f.offset;
	m->table_mask += g.offset;
	return m->table_mask + 8 <= m->table_size && m->table_groups + 8 <= m->table_size &&
	       behind(r, f.type, &group, &err) && find_group(r, group, m);
}

static bool find_buckets(struct list_builder *r, uint32_t type, struct plan_map *m)
{
	const uint64_t limit = READ_MAX;
	struct err *err;
	uint32_t bucket;
	struct field f;

	m->header_size = 48;
	if (!place(r, type, "count", limit, 8, &m->count) || !place(r, type, "flags", limit, 1, &m->flags) ||
	    !place(r, type, "B", limit, 1, &m->shift) || !place(r, type, "oldbuckets", limit, 8, &m->old_buckets) ||
	    !find_field(r, type, "buckets", limit, &f))
		return false;
	m->buckets = f.offset;
	return behind(r, f.type, &bucket, &err) && find_group(r, bucket, m);
}

/* The words that are read of the header lie in it, whatever DWARF says. */
static bool header_fits(const struct plan_map *m)
{
	const uint32_t of[] = {
		m->count, m->flags, m->shift, m->buckets, m->old_buckets, m->writing, m->dir, m->dir_len
	};

	for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++)
		if (of[i] + 8 > m->header_size)
			return false;
	return true;
}

/* The map's entry among the plan's maps, made when first asked for. */
static struct err *map_of(struct list_builder *r, uint32_t type, const struct plan_map **ret)
{
	struct plan *plan = r->b->plan;
	struct plan_map m = { .key = plan->types.v[type].key, .elem = plan->types.v[type].elem };
	uint32_t n = plan->types.v[type].n_fields;
	struct err *err;

	*ret = NULL;
	if (!plan->types.v[type].map) {
		if (!n || !follow_complete(r, m.key, &err) || !follow_complete(r, m.elem, &err))
			return NULL;
		uint32_t unused;
		bool swiss = place(r, type, "dirLen", READ_MAX, 8, &unused);
		if (!(swiss ? find_swiss(r, type, &m) : find_buckets(r, type, &m)) || !header_fits(&m))
			return NULL;
		err = plan_append(r->b, maps, m);
		if (err)
			return err;
		plan->types.v[type].map = plan->n_maps;
	}
	*ret = &plan->maps[plan->types.v[type].map - 1];
	return NULL;
}

/* Is there anything to read behind the slots of a group? */
static bool group_leads_on(const struct list_builder *r, const struct plan_map *m, const struct map_part *part)
{
	const struct type_table *types = &r->b->plan->types;

	return !m->swiss || m->key_indirect || m->elem_indirect || holds_pointers(types, m->key) ||
	       (part->partial ? part->type != TYPE_NONE : holds_pointers(types, m->elem));
}

/* For each group in what the last step reads. */
static struct err *each_group(struct list_builder *r, const struct plan_map *m, uint32_t type, uint32_t hops,
			      const struct map_part *part)
{
	struct step each = { .op = STEP_EACH,
			     .len = m->group_size,
			     .max = GROUPS_MAX,
			     .src.ptr = { .kind = LOC_CHUNK, .index = r->b->plan->n_steps - 1 - r->first_step } };
	uint32_t list;
	bool added;

	if (!group_leads_on(r, m, part))
		return NULL;
	struct err *err = plan_list_for_part(r->b, LIST_GROUP, type, hops, part, &list);
	if (err)
		return err;
	each.off = list;
	return list_step(r, &each, &added);
}

static uint32_t groups_bytes(const struct plan_map *m)
{
	uint32_t n = READ_MAX / m->group_size;

	return (n < GROUPS_MAX ? n : GROUPS_MAX) * m->group_size;
}

/* A step, then the groups in what it read. */
static struct err *read_groups(struct list_builder *r, const struct step *step, const struct plan_map *m, uint32_t type,
			       uint32_t hops, const struct map_part *part)
{
	const struct plan_map copy = *m; /* the array may move */
	bool added;
	struct err *err = list_step(r, step, &added);

	return err || !added ? err : each_group(r, &copy, type, hops, part);
}

/* What was read first is read again when the rest has been: a map that is written meanwhile differs, where its flag did not tell. */
static struct err *read_again(struct list_builder *r, const struct step *head, const struct step *first)
{
	struct err *err = NULL;
	bool added;

	if (r->nested)
		return NULL;
	if ((first->op == STEP_UNLESS ? first->len : first->max) <= AGAIN_MAX)
		err = list_step(r, first, &added);
	return err ? err : list_step(r, head, &added);
}

struct err *follow_map(struct list_builder *r, const struct source *s, uint32_t type)
{
	struct step head = { .op = STEP_READ, .src.ptr = list_word(r, s, 0) };
	const struct plan_map *found;
	struct err *err = map_of(r, type, &found);
	uint32_t list;
	bool added;

	if (err || !found || head.src.ptr.kind == LOC_NONE)
		return err;
	const struct plan_map m = *found;
	head.len = m.header_size;
	err = list_step(r, &head, &added);
	if (err || !added || !r->b->options->elements)
		return err;
	uint32_t index = r->b->plan->n_steps - 1 - r->first_step;
#define HEADER_WORD(at) ((location_t){ .kind = LOC_CHUNK, .index = index, .offset = (at) })
	if (!m.swiss) {
		struct step buckets = { .op = STEP_SHIFTED,
					.len = m.group_size,
					.max = groups_bytes(&m),
					.src = { HEADER_WORD(m.buckets), HEADER_WORD(m.shift) } };
		struct step old = buckets;

		old.plus = 1; /* a map that grows for want of room has half as many old ones */
		old.src.ptr = HEADER_WORD(m.old_buckets);
		err = read_groups(r, &buckets, &m, type, s->hops, &s->part);
		if (!err)
			err = read_groups(r, &old, &m, type, s->hops, &s->part);
		return err ? err : read_again(r, &head, &buckets);
	}
	struct step small = { .op = STEP_UNLESS,
			      .len = m.group_size,
			      .src = { HEADER_WORD(m.dir), HEADER_WORD(m.dir_len) } };
	struct step dir = { .op = STEP_COUNTED,
			    .len = 8,
			    .max = 8 * DIRECTORY_MAX,
			    .src = { HEADER_WORD(m.dir), HEADER_WORD(m.dir_len) } };
#undef HEADER_WORD
	err = read_groups(r, &small, &m, type, s->hops, &s->part);
	if (!err)
		err = list_step(r, &dir, &added);
	if (err || !added)
		return err;
	err = plan_list_for_part(r->b, LIST_TABLE, type, s->hops, &s->part, &list);
	struct step each = { .op = STEP_EACH,
			     .len = 8,
			     .max = DIRECTORY_MAX,
			     .off = list,
			     .src.ptr = { .kind = LOC_CHUNK, .index = r->b->plan->n_steps - 1 - r->first_step } };
	if (!err)
		err = list_step(r, &each, &added);
	return err ? err : read_again(r, &head, &small);
}

struct err *follow_table(struct list_builder *r, uint32_t type, uint32_t hops, const struct map_part *part)
{
	const struct plan_map *found;
	struct err *err = map_of(r, type, &found);
	bool added;

	if (err || !found)
		return err;
	const struct plan_map m = *found;
	struct step table = { .op = STEP_READ, .len = m.table_size, .src.ptr = { .kind = LOC_ITEM } };
	struct step groups = { .op = STEP_COUNTED,
			       .plus = 1,
			       .len = m.group_size,
			       .max = groups_bytes(&m),
			       .src = { { .kind = LOC_CHUNK, .offset = m.table_groups },
					{ .kind = LOC_CHUNK, .offset = m.table_mask } } };
	err = list_step(r, &table, &added);
	if (!err)
		err = read_groups(r, &groups, &m, type, hops, part);
	/* The header does not tell of a key that went and one that came: the groups do. */
	return err || groups.max > AGAIN_MAX ? err : list_step(r, &groups, &added);
}

/* Keys or elements of a group: 8 of them. */
static struct err *follow_slots(struct list_builder *r, const struct plan_map *m, uint32_t type, bool indirect,
				uint32_t offset, uint32_t stride, uint32_t hops)
{
	struct step each = { .op = STEP_EACH,
			     .plus = m->swiss ? SLOTS_SWISS : SLOTS_OLD,
			     .len = stride,
			     .max = MAP_SLOTS,
			     .src = { { .kind = LOC_ITEM, .offset = offset },
				      { .kind = LOC_ITEM, .offset = m->control } } };
	uint32_t list;
	bool added;

	if (!indirect && !holds_pointers(&r->b->plan->types, type))
		return NULL;
	struct err *err = plan_list_for(r->b, indirect ? LIST_INDIRECT : LIST_ITEM, type, hops, &list);
	each.off = list;
	return err ? err : list_step(r, &each, &added);
}

struct err *follow_group(struct list_builder *r, uint32_t type, uint32_t hops, const struct map_part *part)
{
	const struct plan_map *found;
	struct err *err = map_of(r, type, &found);

	if (err || !found)
		return err;
	const struct plan_map m = *found;
	err = follow_slots(r, &m, m.key, m.key_indirect, m.keys, m.key_stride, hops);
	if (!err && (!part->partial || m.elem_indirect))
		err = follow_slots(r, &m, m.elem, m.elem_indirect, m.elems, m.elem_stride, hops);
	else if (!err && part->type != TYPE_NONE && part->offset < m.elem_stride)
		err = follow_slots(r, &m, part->type, false, m.elems + part->offset, m.elem_stride, hops);
	if (err || m.swiss)
		return err;
	struct step next = { .op = STEP_READ,
			     .len = m.group_size,
			     .src.ptr = { .kind = LOC_ITEM, .offset = m.overflow } };
	return read_groups(r, &next, &m, type, hops, part);
}
