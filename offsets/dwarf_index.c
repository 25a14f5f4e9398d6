/* SPDX-License-Identifier: Apache-2.0 */
/* The index of what has a name: functions and types, unit by unit as they are asked for. */
#include <stdlib.h>
#include <string.h>

#include "dwarf_priv.h"

#define ENTRIES_MAX (1u << 27) /* a DIE takes at least 3 bytes, and .debug_info has no more than some hundred MB */
#define FIRST_BUCKETS 1024

static uint32_t hash_of(const char *name)
{
	uint64_t h = 14695981039346656037ull; /* FNV-1a */

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 1099511628211ull;
	return h ^ h >> 32;
}

static uint32_t *bucket_of(const struct dwarf_info *dw, uint32_t hash)
{
	return &dw->buckets[hash & (dw->n_buckets - 1)];
}

static bool has_name(const struct dwarf_entry *entry, const char *name, uint32_t hash)
{
	return entry->hash == hash && (entry->name == name || !strcmp(entry->name, name));
}

static struct err *rehash(struct dwarf_info *dw, size_t n_buckets)
{
	uint32_t *buckets = calloc(n_buckets, sizeof(*buckets));

	if (!buckets)
		return &err_nomem;
	free(dw->buckets);
	dw->buckets = buckets;
	dw->n_buckets = n_buckets;
	/* Backwards, so that a chain keeps the order of the file. */
	for (size_t i = dw->n_entries; i-- > 0;) {
		uint32_t *head = bucket_of(dw, dw->entries[i].hash);

		dw->entries[i].next = *head;
		*head = i + 1;
	}
	return NULL;
}

static struct err *add_entry(struct dwarf_info *dw, const struct dwarf_entry *entry)
{
	if (dw->n_entries == ENTRIES_MAX)
		return dwarf_malformed(dw, entry->die, "too many entries");
	if (dw->n_entries == dw->cap_entries) {
		size_t cap = dw->cap_entries ? 2 * dw->cap_entries : 1024;
		struct dwarf_entry *v = realloc(dw->entries, cap * sizeof(*v));

		if (!v)
			return &err_nomem;
		dw->entries = v;
		dw->cap_entries = cap;
	}
	dw->entries[dw->n_entries] = *entry;
	dw->entries[dw->n_entries++].hash = hash_of(entry->name);
	return NULL;
}

const struct dwarf_entry *dwarf_entry_find(const struct dwarf_info *dw, const char *name)
{
	uint32_t hash = hash_of(name);

	if (!dw->n_buckets)
		return NULL;
	for (uint32_t i = *bucket_of(dw, hash); i; i = dw->entries[i - 1].next)
		if (has_name(&dw->entries[i - 1], name, hash))
			return &dw->entries[i - 1];
	return NULL;
}

const struct dwarf_entry *dwarf_entry_next(const struct dwarf_info *dw, const struct dwarf_entry *entry)
{
	for (uint32_t i = entry->next; i; i = dw->entries[i - 1].next)
		if (has_name(&dw->entries[i - 1], entry->name, entry->hash))
			return &dw->entries[i - 1];
	return NULL;
}

static bool is_type_tag(int tag)
{
	switch (tag) {
	case DW_TAG_array_type:
	case DW_TAG_base_type:
	case DW_TAG_enumeration_type:
	case DW_TAG_pointer_type:
	case DW_TAG_structure_type:
	case DW_TAG_subroutine_type:
	case DW_TAG_typedef:
	case DW_TAG_union_type:
		return true;
	}
	return false;
}

struct indexer {
	struct dwarf_info *dw;
	uint32_t unit;
};

/* The name of a function's body that is kept in its abstract instance. */
static struct err *origin_name(struct dwarf_info *dw, Dwarf_Attribute *origin, const char **ret)
{
	struct dwarf_attrs a;
	Dwarf_Die die;
	struct err *err;

	if (!dwarf_formref_die(origin, &die))
		return dwarf_malformed(dw, 0, "DW_AT_abstract_origin");
	err = dwarf_attrs_read(dw, &die, &a);
	return err ? err : dwarf_attr_string(dw, &a.name, ret);
}

static struct err *index_child(void *arg, Dwarf_Die *die, bool *stop)
{
	struct indexer *ix = arg;
	struct dwarf_info *dw = ix->dw;
	struct dwarf_entry e = { .die = dwarf_dieoffset(die), .unit = ix->unit };
	int tag = dwarf_tag(die);
	struct dwarf_attrs a;
	struct err *err;

	(void)stop;
	if (tag == DW_TAG_invalid)
		return dwarf_malformed(dw, e.die, "an entry without an abbreviation");
	/* A C function has no Go signature, and its name could be a Go function's. */
	e.is_func = tag == DW_TAG_subprogram;
	if (e.is_func ? !dw->units[ix->unit].go : !is_type_tag(tag))
		return NULL;
	err = dwarf_attrs_read(dw, die, &a);
	if (err)
		return err;
	if (a.declaration.code)
		return NULL;
	err = dwarf_attr_string(dw, &a.name, &e.name);
	if (!err && e.is_func && !a.name.code && a.origin.code)
		err = origin_name(dw, &a.origin, &e.name);
	if (!err && e.is_func)
		err = dwarf_attr_pcs(dw, &a, &e.low, &e.high);
	else if (!err)
		err = dwarf_attr_u64(dw, &a.go_runtime_type, 0, &e.runtime_type);
	e.is_inline = a.inlined.code != 0;
	if (err)
		return err;
	return *e.name ? add_entry(dw, &e) : NULL;
}

struct err *dwarf_index_unit(struct dwarf_info *dw, size_t unit)
{
	struct indexer ix = { .dw = dw, .unit = unit };
	size_t first = dw->n_entries;
	struct err *err;
	Dwarf_Die die;

	if (dw->units[unit].indexed)
		return NULL;
	err = dwarf_die_at(dw, dw->info.dbg, dw->units[unit].die, &die);
	if (!err)
		err = dwarf_each_child(dw, &die, index_child, &ix);
	if (err) {
		dw->n_entries = first;
		return err;
	}
	size_t buckets = dw->n_buckets ? dw->n_buckets : FIRST_BUCKETS;
	while (buckets < dw->n_entries)
		buckets *= 2;
	if (buckets != dw->n_buckets) {
		err = rehash(dw, buckets);
		if (err) {
			dw->n_entries = first;
			return err;
		}
	} else {
		for (size_t i = dw->n_entries; i-- > first;) {
			uint32_t *head = bucket_of(dw, dw->entries[i].hash);

			dw->entries[i].next = *head;
			*head = i + 1;
		}
	}
	dw->units[unit].indexed = true;
	dw->units[unit].first_entry = first;
	dw->units[unit].n_entries = dw->n_entries - first;
	return NULL;
}

struct err *dwarf_index_package(struct dwarf_info *dw, const char *package, size_t len)
{
	struct err *err = NULL;

	for (size_t i = 0; i < dw->n_units && !err; i++)
		if (dw->units[i].go && !strncmp(dw->units[i].name, package, len) && !dw->units[i].name[len])
			err = dwarf_index_unit(dw, i);
	return err;
}

static int compare_low(const void *a, const void *b, void *arg)
{
	const struct dwarf_info *dw = arg;
	const struct dwarf_entry *x = &dw->entries[*(const uint32_t *)a], *y = &dw->entries[*(const uint32_t *)b];

	if (x->low != y->low)
		return x->low < y->low ? -1 : 1;
	return x->die < y->die ? -1 : x->die > y->die;
}

struct err *dwarf_index_all(struct dwarf_info *dw)
{
	if (dw->by_pc)
		return NULL;
	for (size_t i = 0; i < dw->n_units; i++) {
		struct err *err = dwarf_index_unit(dw, i);

		if (err)
			return err;
	}
	dw->by_pc = malloc((dw->n_entries ? dw->n_entries : 1) * sizeof(*dw->by_pc));
	if (!dw->by_pc)
		return &err_nomem;
	for (size_t i = 0; i < dw->n_entries; i++)
		if (dw->entries[i].high)
			dw->by_pc[dw->n_by_pc++] = i;
	qsort_r(dw->by_pc, dw->n_by_pc, sizeof(*dw->by_pc), compare_low, dw);
	return NULL;
}

const struct dwarf_entry *dwarf_entry_around(const struct dwarf_info *dw, uint64_t pc)
{
	size_t low = 0, n = dw->n_by_pc;

	/* The last entry that begins at pc or before; of several the first, which has the lowest DIE. */
	while (n) {
		size_t half = n / 2;

		if (dw->entries[dw->by_pc[low + half]].low <= pc) {
			low += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	if (!low)
		return NULL;
	const struct dwarf_entry *e = &dw->entries[dw->by_pc[low - 1]];
	for (; low > 1 && dw->entries[dw->by_pc[low - 2]].low == e->low; low--)
		e = &dw->entries[dw->by_pc[low - 2]];
	return pc < e->high ? e : NULL;
}
