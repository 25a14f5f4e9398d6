/* SPDX-License-Identifier: Apache-2.0 */
/* Go types as a flat table: indices instead of pointers, so that a plan can be kept in a file and checked when it is read back. */
#ifndef OFFSETS_TYPES_H
#define OFFSETS_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* Numbers of reflect.Kind (src/reflect/type.go), which DW_AT_go_kind carries too. */
enum go_kind {
	GO_INVALID,
	GO_BOOL,
	GO_INT,
	GO_INT8,
	GO_INT16,
	GO_INT32,
	GO_INT64,
	GO_UINT,
	GO_UINT8,
	GO_UINT16,
	GO_UINT32,
	GO_UINT64,
	GO_UINTPTR,
	GO_FLOAT32,
	GO_FLOAT64,
	GO_COMPLEX64,
	GO_COMPLEX128,
	GO_ARRAY,
	GO_CHAN,
	GO_FUNC,
	GO_INTERFACE,
	GO_MAP,
	GO_POINTER,
	GO_SLICE,
	GO_STRING,
	GO_STRUCT,
	GO_UNSAFE_POINTER,
};

#define TYPE_NONE UINT32_MAX

enum go_type_flags {
	TYPE_COMPLETE = 1,    /* elem, key, fields and count are filled in (types_complete) */
	TYPE_EMPTY_IFACE = 2, /* GO_INTERFACE without methods (runtime.eface), else runtime.iface */
	TYPE_FOREIGN = 4,     /* not from a Go unit (C in a cgo program) */
	TYPE_DIRECT = 8, /* an interface's data word is the value itself, not a pointer to it (set by the planner) */
	/* Of a complete struct or array, kept because types of a hostile file can share their parts: n of them have 2^n ways down. */
	TYPE_POINTERS = 16, /* a value of it holds something that is followed (holds_pointers) */
	TYPE_WORDLESS = 32, /* a value of it needs no register to be passed */
};

struct go_type {
	uint32_t name;  /* offset in strings */
	uint8_t kind;   /* enum go_kind */
	uint8_t flags;  /* enum go_type_flags */
	uint16_t align; /* bytes; 0 until complete */
	uint64_t size;  /* bytes */
	uint64_t count; /* GO_ARRAY: elements */
	uint32_t elem;  /* GO_ARRAY, GO_SLICE, GO_POINTER, GO_CHAN, GO_MAP: type index, else TYPE_NONE */
	uint32_t key;   /* GO_MAP */
	/* GO_STRUCT; also the words of string, slice and interface where DWARF lists them, and of what a GO_MAP points to */
	uint32_t first_field, n_fields;
	uint32_t map;          /* GO_MAP: 1 + index in the plan's maps; 0 if none */
	uint64_t runtime_type; /* offset from the run-time system's types (DW_AT_go_runtime_type); 0 if none */
	uint64_t die;          /* offset of its DIE in .debug_info; 0 for a made-up type */
};

struct go_field {
	uint32_t name;   /* offset in strings */
	uint32_t type;   /* type index */
	uint64_t offset; /* bytes from the start of the struct */
	uint8_t embedded;
};

struct type_table {
	size_t n, cap;
	struct go_type *v;
	size_t n_fields, cap_fields;
	struct go_field *fields;
	char *strings; /* NUL-terminated strings one after the other; offset 0 is "" */
	size_t strings_size, strings_cap;
	struct type_priv *priv; /* lookup tables of the builder; NULL in a table that was read back */
};

void type_table_init(struct type_table *table);
void type_table_deinit(struct type_table *table);

static inline const char *type_string(const struct type_table *table, uint32_t offset)
{
	return offset < table->strings_size ? table->strings + offset : "";
}

/* Offset of a string, added once. */
struct err *type_table_intern(struct type_table *table, const char *s, uint32_t *offset_ret);

/* Append one entry or field; indices stay valid, pointers into the table do not. */
struct err *type_table_add(struct type_table *table, const struct go_type *type, uint32_t *index_ret);
struct err *type_table_add_field(struct type_table *table, const struct go_field *field);

/* Another DIE (a typedef) of a type that is in the table; type_table_by_die() finds it from then on. */
struct err *type_table_alias(struct type_table *table, uint64_t die, uint32_t type);

/* The entry made for the DIE at that offset, or TYPE_NONE. */
uint32_t type_table_by_die(const struct type_table *table, uint64_t die);

/* Does a value of this type hold anything that is followed? What a struct or array that is not complete holds is not known: no. */
bool holds_pointers(const struct type_table *types, uint32_t type);

const char *go_kind_name(enum go_kind kind); /* "int", "slice", … */

#endif
