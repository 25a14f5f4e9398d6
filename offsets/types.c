/* SPDX-License-Identifier: Apache-2.0 */
#include "types.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 64
#define STRINGS_MAX ((size_t)1 << 31) /* bytes; offsets have 32 bits, and no program needs near as many */
#define EMPTY UINT32_MAX              /* a free place in a lookup table */

/* Lookup tables with open addressing; sizes are powers of two, at most half full. */
struct type_priv {
	size_t n_names, cap_names;
	uint32_t *names; /* offsets of strings */
	size_t n_dies, cap_dies;
	struct {
		uint64_t die;
		uint32_t type;
	} * dies;
};

static const char *const kind_names[] = {
	[GO_INVALID] = "invalid",
	[GO_BOOL] = "bool",
	[GO_INT] = "int",
	[GO_INT8] = "int8",
	[GO_INT16] = "int16",
	[GO_INT32] = "int32",
	[GO_INT64] = "int64",
	[GO_UINT] = "uint",
	[GO_UINT8] = "uint8",
	[GO_UINT16] = "uint16",
	[GO_UINT32] = "uint32",
	[GO_UINT64] = "uint64",
	[GO_UINTPTR] = "uintptr",
	[GO_FLOAT32] = "float32",
	[GO_FLOAT64] = "float64",
	[GO_COMPLEX64] = "complex64",
	[GO_COMPLEX128] = "complex128",
	[GO_ARRAY] = "array",
	[GO_CHAN] = "chan",
	[GO_FUNC] = "func",
	[GO_INTERFACE] = "interface",
	[GO_MAP] = "map",
	[GO_POINTER] = "pointer",
	[GO_SLICE] = "slice",
	[GO_STRING] = "string",
	[GO_STRUCT] = "struct",
	[GO_UNSAFE_POINTER] = "unsafe_pointer",
};

const char *go_kind_name(enum go_kind kind)
{
	return (size_t)kind < sizeof(kind_names) / sizeof(kind_names[0]) ? kind_names[kind] : "invalid";
}

bool holds_pointers(const struct type_table *types, uint32_t type)
{
	if (type >= types->n)
		return false;
	switch (types->v[type].kind) {
	case GO_STRING:
	case GO_SLICE:
	case GO_POINTER:
	case GO_MAP:
	case GO_CHAN:
	case GO_FUNC:
	case GO_INTERFACE:
		return true;
	}
	return types->v[type].flags & TYPE_POINTERS;
}

void type_table_init(struct type_table *table)
{
	*table = (struct type_table){ 0 };
}

void type_table_deinit(struct type_table *table)
{
	if (table->priv) {
		free(table->priv->names);
		free(table->priv->dies);
		free(table->priv);
	}
	free(table->v);
	free(table->fields);
	free(table->strings);
	type_table_init(table);
}

/* FNV-1a */
static uint64_t hash_string(const char *s)
{
	uint64_t h = 14695981039346656037ull;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 1099511628211ull;
	return h;
}

static uint64_t hash_u64(uint64_t v)
{
	v *= 0x9e3779b97f4a7c15ull;
	return v ^ v >> 32;
}

static struct err *grow(void *arrayp, size_t *cap, size_t need, size_t item)
{
	size_t want = *cap ? *cap : FIRST_CAP;
	void *p;

	if (need <= *cap)
		return NULL;
	while (want < need)
		want *= 2;
	p = realloc(*(void **)arrayp, want * item);
	if (!p)
		return &err_nomem;
	*(void **)arrayp = p;
	*cap = want;
	return NULL;
}

/* Where the string stands in the lookup table, or where it would. */
static size_t name_slot(const struct type_table *table, const char *s)
{
	const struct type_priv *priv = table->priv;
	size_t i = hash_string(s) & (priv->cap_names - 1);

	while (priv->names[i] != EMPTY && strcmp(table->strings + priv->names[i], s) != 0)
		i = (i + 1) & (priv->cap_names - 1);
	return i;
}

static struct err *rehash_names(struct type_table *table, size_t cap)
{
	struct type_priv *priv = table->priv;
	uint32_t *old = priv->names;
	size_t n = priv->cap_names;

	priv->names = malloc(cap * sizeof(*priv->names));
	if (!priv->names) {
		priv->names = old;
		return &err_nomem;
	}
	memset(priv->names, 0xff, cap * sizeof(*priv->names));
	priv->cap_names = cap;
	for (size_t i = 0; i < n; i++)
		if (old[i] != EMPTY)
			priv->names[name_slot(table, table->strings + old[i])] = old[i];
	free(old);
	return NULL;
}

/* The lookup tables, made when they are first needed: a table that was read back has none. */
static struct err *need_priv(struct type_table *table)
{
	struct err *err;

	if (!table->strings_size) {
		err = grow(&table->strings, &table->strings_cap, 1, 1);
		if (err)
			return err;
		table->strings[table->strings_size++] = '\0';
	}
	if (table->priv)
		return NULL;
	table->priv = calloc(1, sizeof(*table->priv));
	if (!table->priv)
		return &err_nomem;
	err = rehash_names(table, FIRST_CAP);
	for (size_t at = 0; at < table->strings_size && !err; at += strlen(table->strings + at) + 1) {
		if (2 * (table->priv->n_names + 1) > table->priv->cap_names)
			err = rehash_names(table, 2 * table->priv->cap_names);
		size_t slot = err ? 0 : name_slot(table, table->strings + at);
		if (!err && table->priv->names[slot] == EMPTY) {
			table->priv->names[slot] = at;
			table->priv->n_names++;
		}
	}
	for (size_t i = 0; i < table->n && !err; i++)
		if (table->v[i].die)
			err = type_table_alias(table, table->v[i].die, i);
	if (err) {
		free(table->priv->names);
		free(table->priv->dies);
		free(table->priv);
		table->priv = NULL;
	}
	return err;
}

struct err *type_table_intern(struct type_table *table, const char *s, uint32_t *offset_ret)
{
	struct err *err = need_priv(table);
	size_t slot, len = strlen(s) + 1;

	if (err)
		return err;
	slot = name_slot(table, s);
	if (table->priv->names[slot] == EMPTY) {
		if (len > STRINGS_MAX - table->strings_size)
			return err_create(ERR_UNSUPPORTED, "more than %zu bytes of names", STRINGS_MAX);
		if (2 * (table->priv->n_names + 1) > table->priv->cap_names) {
			err = rehash_names(table, 2 * table->priv->cap_names);
			if (err)
				return err;
			slot = name_slot(table, s);
		}
		err = grow(&table->strings, &table->strings_cap, table->strings_size + len, 1);
		if (err)
			return err;
		memcpy(table->strings + table->strings_size, s, len);
		table->priv->names[slot] = table->strings_size;
		table->priv->n_names++;
		table->strings_size += len;
	}
	*offset_ret = table->priv->names[slot];
	return NULL;
}

static size_t die_slot(const struct type_priv *priv, uint64_t die)
{
	size_t i = hash_u64(die) & (priv->cap_dies - 1);

	while (priv->dies[i].die && priv->dies[i].die != die)
		i = (i + 1) & (priv->cap_dies - 1);
	return i;
}

struct err *type_table_alias(struct type_table *table, uint64_t die, uint32_t type)
{
	struct err *err = need_priv(table);
	struct type_priv *priv = table->priv;

	if (err || !die)
		return err;
	if (2 * (priv->n_dies + 1) > priv->cap_dies) {
		struct type_priv old = *priv;

		priv->cap_dies = old.cap_dies ? 2 * old.cap_dies : FIRST_CAP;
		priv->dies = calloc(priv->cap_dies, sizeof(*priv->dies));
		if (!priv->dies) {
			*priv = old;
			return &err_nomem;
		}
		for (size_t i = 0; i < old.cap_dies; i++)
			if (old.dies[i].die)
				priv->dies[die_slot(priv, old.dies[i].die)] = old.dies[i];
		free(old.dies);
	}
	size_t slot = die_slot(priv, die);
	if (!priv->dies[slot].die)
		priv->n_dies++;
	priv->dies[slot].die = die;
	priv->dies[slot].type = type;
	return NULL;
}

uint32_t type_table_by_die(const struct type_table *table, uint64_t die)
{
	if (!die)
		return TYPE_NONE;
	if (!table->priv) {
		for (size_t i = 0; i < table->n; i++)
			if (table->v[i].die == die)
				return i;
		return TYPE_NONE;
	}
	if (!table->priv->cap_dies)
		return TYPE_NONE;
	size_t slot = die_slot(table->priv, die);
	return table->priv->dies[slot].die ? table->priv->dies[slot].type : TYPE_NONE;
}

struct err *type_table_add(struct type_table *table, const struct go_type *type, uint32_t *index_ret)
{
	struct go_type copy = *type; /* may stand in the table itself, which moves */
	struct err *err;

	if (table->n >= TYPE_NONE)
		return err_create(ERR_UNSUPPORTED, "more types than can be counted");
	err = grow(&table->v, &table->cap, table->n + 1, sizeof(*table->v));
	if (!err)
		err = type_table_alias(table, copy.die, table->n);
	if (err)
		return err;
	table->v[table->n] = copy;
	*index_ret = table->n++;
	return NULL;
}

struct err *type_table_add_field(struct type_table *table, const struct go_field *field)
{
	struct go_field copy = *field;
	struct err *err;

	if (table->n_fields >= UINT32_MAX)
		return err_create(ERR_UNSUPPORTED, "more fields than can be counted");
	err = grow(&table->fields, &table->cap_fields, table->n_fields + 1, sizeof(*table->fields));
	if (err)
		return err;
	table->fields[table->n_fields++] = copy;
	return NULL;
}
