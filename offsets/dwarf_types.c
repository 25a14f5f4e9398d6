/* SPDX-License-Identifier: Apache-2.0 */
/* Go's types from DWARF, as cmd/link/internal/ld/dwarf.go writes them.
 *
 * A named type is a typedef before the DIE that has its layout, sometimes two of one name; DW_AT_go_kind stands on the DIE that the
 * type's own name belongs to, which for an interface, a map or a channel is the typedef (their layout is a struct of the run-time system,
 * or a pointer to one). Pointers of Go 1.15 and before have kind 0, and unsafe.Pointer has none. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf_priv.h"

#define NESTING_MAX 64    /* values within values; Go code has some ten */
#define TYPE_BUSY 128     /* in go_type.flags while it is being completed: found again, it contains itself */
#define GO_KIND_MASK 31   /* reflect.Kind without the flags that the compiler kept beside it (abi.KindMask) */
#define NAME_MAX_MADE 256 /* bytes of a name that is made here */
#define ANY_POINTER "go.shape.*uint8"
#define NAME_NESTING_MAX 4

/* What the way from a type's DIE to its layout tells. */
struct walk {
	uint64_t canonical;       /* the last DIE on the way that has the type's name */
	uint64_t seen[CHAIN_MAX]; /* those before it */
	size_t n_seen;
	const char *name;
	uint64_t kind; /* 0: nothing said */
	uint64_t size, runtime_type;
	bool has_size;
	Dwarf_Attribute key, elem;
	Dwarf_Die layout;
	struct dwarf_attrs layout_attrs;
	int layout_tag; /* DW_TAG_invalid: C's void behind a qualifier */
	const char *layout_name;
	bool foreign;
};

static bool is_transparent(int tag)
{
	return tag == DW_TAG_typedef || tag == DW_TAG_const_type || tag == DW_TAG_volatile_type ||
	       tag == DW_TAG_restrict_type || tag == DW_TAG_atomic_type;
}

/* A parameter of a generic function is typed by a local typedef (".param0"), which names a place in its dictionary. What is known without
 * running the program is the shape behind it. */
static bool is_dictionary_entry(int tag, const char *name)
{
	return tag == DW_TAG_typedef && !strncmp(name, ".param", 6);
}

static struct err *walk_step(struct dwarf_info *dw, struct walk *w, const char *name, uint64_t at, bool *same)
{
	struct dwarf_attrs *a = &w->layout_attrs;
	struct err *err = NULL;

	if (!*w->name)
		w->name = name;
	if (*same && (!*name || !strcmp(name, w->name))) {
		if (w->canonical)
			w->seen[w->n_seen++] = w->canonical;
		w->canonical = at;
	} else {
		*same = false;
	}
	if (!w->kind)
		err = dwarf_attr_u64(dw, &a->go_kind, 0, &w->kind);
	if (!err && !w->runtime_type)
		err = dwarf_attr_u64(dw, &a->go_runtime_type, 0, &w->runtime_type);
	if (!err && !w->has_size && a->byte_size.code) {
		w->has_size = true;
		err = dwarf_attr_u64(dw, &a->byte_size, 0, &w->size);
	}
	if (!w->key.code)
		w->key = a->go_key;
	if (!w->elem.code)
		w->elem = a->go_elem;
	w->kind &= GO_KIND_MASK;
	return err;
}

static struct err *walk_type(struct dwarf_info *dw, uint64_t offset, struct walk *w)
{
	const struct dwarf_unit *unit = dwarf_unit_of(dw, offset);
	bool same = true;
	struct err *err;

	*w = (struct walk){ .name = "" };
	w->foreign = !unit || !unit->go;
	err = dwarf_die_at(dw, dw->info.dbg, offset, &w->layout);
	if (err)
		return err;
	for (size_t i = 0; i < CHAIN_MAX; i++) {
		uint64_t at = dwarf_dieoffset(&w->layout);
		const char *name;
		Dwarf_Die next;

		w->layout_tag = dwarf_tag(&w->layout);
		if (w->layout_tag == DW_TAG_invalid)
			return dwarf_malformed(dw, at, "an entry without an abbreviation");
		err = dwarf_attrs_read(dw, &w->layout, &w->layout_attrs);
		if (!err)
			err = dwarf_attr_string(dw, &w->layout_attrs.name, &name);
		if (err)
			return err;
		w->layout_name = name;
		if (is_dictionary_entry(w->layout_tag, name))
			w->seen[w->n_seen++] = at;
		else
			err = walk_step(dw, w, name, at, &same);
		if (err || !is_transparent(w->layout_tag))
			return err;
		if (!w->layout_attrs.type.code) {
			w->layout_tag = DW_TAG_invalid;
			return NULL;
		}
		if (!dwarf_formref_die(&w->layout_attrs.type, &next))
			return dwarf_malformed(dw, at, "DW_AT_type");
		w->layout = next;
	}
	return dwarf_malformed(dw, offset, "a type that is defined by itself");
}

static enum go_kind int_kind(uint64_t size, bool is_signed)
{
	switch (size) {
	case 1:
		return is_signed ? GO_INT8 : GO_UINT8;
	case 2:
		return is_signed ? GO_INT16 : GO_UINT16;
	case 4:
		return is_signed ? GO_INT32 : GO_UINT32;
	case 8:
		return is_signed ? GO_INT64 : GO_UINT64;
	}
	return GO_INVALID;
}

static struct err *kind_of_base(const struct dwarf_info *dw, struct walk *w, enum go_kind *ret)
{
	uint64_t encoding;
	struct err *err = dwarf_attr_u64(dw, &w->layout_attrs.encoding, 0, &encoding);

	if (err)
		return err;
	*ret = GO_INVALID;
	switch (encoding) {
	case DW_ATE_boolean:
		*ret = w->size == 1 ? GO_BOOL : GO_INVALID;
		break;
	case DW_ATE_float:
		*ret = w->size == 4 ? GO_FLOAT32 : w->size == 8 ? GO_FLOAT64 : GO_INVALID;
		break;
	case DW_ATE_complex_float:
		*ret = w->size == 8 ? GO_COMPLEX64 : w->size == 16 ? GO_COMPLEX128 : GO_INVALID;
		break;
	case DW_ATE_signed:
	case DW_ATE_signed_char:
		*ret = int_kind(w->size, true);
		break;
	case DW_ATE_unsigned:
	case DW_ATE_unsigned_char:
	case DW_ATE_UTF:
		*ret = int_kind(w->size, false);
		break;
	}
	return NULL;
}

/* The kind where DW_AT_go_kind does not say it: told by the layout. */
static struct err *guess_kind(const struct dwarf_info *dw, struct walk *w, enum go_kind *ret)
{
	*ret = GO_INVALID;
	switch (w->layout_tag) {
	case DW_TAG_base_type:
		return kind_of_base(dw, w, ret);
	case DW_TAG_enumeration_type:
		*ret = int_kind(w->size, false);
		break;
	case DW_TAG_structure_type:
	case DW_TAG_class_type:
	case DW_TAG_union_type:
		*ret = GO_STRUCT;
		if (!w->foreign && !strcmp(w->layout_name, "string"))
			*ret = GO_STRING;
		else if (!w->foreign && !strncmp(w->layout_name, "[]", 2))
			*ret = GO_SLICE;
		break;
	case DW_TAG_array_type:
		*ret = GO_ARRAY;
		break;
	case DW_TAG_pointer_type:
		*ret = w->layout_attrs.type.code ? GO_POINTER : GO_UNSAFE_POINTER;
		break;
	case DW_TAG_subroutine_type:
		*ret = GO_FUNC;
		break;
	}
	return NULL;
}

/* Bytes and alignment by Go's rules on amd64 and arm64 (types.CalcSize); size 0: differs from type to type. */
static const struct {
	uint8_t size, align;
} kind_layout[] = {
	[GO_INVALID] = { 0, 1 },   [GO_BOOL] = { 1, 1 },        [GO_INT] = { 8, 8 },
	[GO_INT8] = { 1, 1 },      [GO_INT16] = { 2, 2 },       [GO_INT32] = { 4, 4 },
	[GO_INT64] = { 8, 8 },     [GO_UINT] = { 8, 8 },        [GO_UINT8] = { 1, 1 },
	[GO_UINT16] = { 2, 2 },    [GO_UINT32] = { 4, 4 },      [GO_UINT64] = { 8, 8 },
	[GO_UINTPTR] = { 8, 8 },   [GO_FLOAT32] = { 4, 4 },     [GO_FLOAT64] = { 8, 8 },
	[GO_COMPLEX64] = { 8, 4 }, [GO_COMPLEX128] = { 16, 8 }, [GO_ARRAY] = { 0, 1 },
	[GO_CHAN] = { 8, 8 },      [GO_FUNC] = { 8, 8 },        [GO_INTERFACE] = { 16, 8 },
	[GO_MAP] = { 8, 8 },       [GO_POINTER] = { 8, 8 },     [GO_SLICE] = { 24, 8 },
	[GO_STRING] = { 16, 8 },   [GO_STRUCT] = { 0, 1 },      [GO_UNSAFE_POINTER] = { 8, 8 },
};

/* A name for what C leaves without one. */
static struct err *made_name(struct dwarf_info *dw, struct walk *w, char *buf, size_t size, int depth)
{
	struct walk target;
	Dwarf_Die die;
	struct err *err;

	buf[0] = '\0';
	if (*w->name) {
		snprintf(buf, size, "%s", w->name);
		return NULL;
	}
	if ((w->layout_tag == DW_TAG_pointer_type || w->layout_tag == DW_TAG_array_type) && w->layout_attrs.type.code &&
	    depth < NAME_NESTING_MAX) {
		char of[NAME_MAX_MADE];

		if (!dwarf_formref_die(&w->layout_attrs.type, &die))
			return dwarf_malformed(dw, w->canonical, "DW_AT_type");
		err = walk_type(dw, dwarf_dieoffset(&die), &target);
		if (!err)
			err = made_name(dw, &target, of, sizeof(of), depth + 1);
		if (!err)
			snprintf(buf, size, "%s%.200s", w->layout_tag == DW_TAG_pointer_type ? "*" : "[]", of);
		return err;
	}
	switch (w->layout_tag) {
	case DW_TAG_pointer_type:
		snprintf(buf, size, "unsafe.Pointer");
		break;
	case DW_TAG_invalid:
		snprintf(buf, size, "void");
		break;
	case DW_TAG_union_type:
		snprintf(buf, size, "union");
		break;
	case DW_TAG_enumeration_type:
		snprintf(buf, size, "enum");
		break;
	case DW_TAG_subroutine_type:
		snprintf(buf, size, "func");
		break;
	default:
		snprintf(buf, size, "struct");
	}
	return NULL;
}

static struct err *new_type(struct dwarf_info *dw, struct walk *w, struct type_table *types, uint32_t *ret)
{
	struct go_type t = {
		.elem = TYPE_NONE, .key = TYPE_NONE, .runtime_type = w->runtime_type, .die = w->canonical
	};
	enum go_kind kind = w->kind;
	char made[NAME_MAX_MADE];
	struct err *err = NULL;

	if (kind == GO_INVALID)
		err = guess_kind(dw, w, &kind);
	if (err)
		return err;
	if ((size_t)kind >= sizeof(kind_layout) / sizeof(kind_layout[0]))
		return dwarf_malformed(dw, w->canonical, "no such DW_AT_go_kind");
	t.size = w->has_size ? w->size : kind_layout[kind].size;
	bool fits = !kind_layout[kind].size || t.size == kind_layout[kind].size;
	/* What is not Go's may say a kind of Go, but is of that kind only as Go has it. */
	t.kind = fits || !w->foreign ? kind : GO_INVALID;
	if (w->foreign)
		t.flags |= TYPE_FOREIGN;
	else if (!fits)
		return err_create(ERR_MALFORMED,
				  "%s: .debug_info+%#" PRIx64 ": type '%.200s' of kind %s has %" PRIu64 " bytes",
				  dw->elf->path, w->canonical, w->name, go_kind_name(kind), t.size);
	if (kind == GO_INTERFACE && !strcmp(w->layout_name, "runtime.eface"))
		t.flags |= TYPE_EMPTY_IFACE;
	if (*w->name) {
		err = type_table_intern(types, w->name, &t.name);
	} else {
		err = made_name(dw, w, made, sizeof(made), 0);
		if (!err)
			err = type_table_intern(types, made, &t.name);
	}
	return err ? err : type_table_add(types, &t, ret);
}

struct err *dwarf_type_at(struct dwarf_info *dw, uint64_t die, struct type_table *types, uint32_t *ret)
{
	uint32_t index = type_table_by_die(types, die);
	struct err *err = NULL;
	struct walk w;

	if (index == TYPE_NONE) {
		err = walk_type(dw, die, &w);
		if (err)
			return err;
		index = type_table_by_die(types, w.canonical);
		if (index == TYPE_NONE)
			err = new_type(dw, &w, types, &index);
		for (size_t i = 0; i < w.n_seen && !err; i++)
			err = type_table_alias(types, w.seen[i], index);
	}
	if (!err)
		*ret = index;
	return err;
}

struct err *dwarf_type_of_attr(struct dwarf_info *dw, Dwarf_Attribute *attr, struct type_table *types, uint32_t *ret)
{
	Dwarf_Die die;

	if (!dwarf_formref_die(attr, &die))
		return dwarf_malformed(dw, 0, "a reference to a type");
	return dwarf_type_at(dw, dwarf_dieoffset(&die), types, ret);
}

/* ---- completing --------------------------------------------------------------------------------------------- */

struct member {
	const char *name;
	uint64_t die, type_die, offset;
	bool embedded;
};

struct members {
	struct dwarf_info *dw;
	size_t n, cap;
	struct member *v;
};

/* DW_AT_data_member_location: a number, or (before DWARF 3) DW_OP_plus_uconst. */
static struct err *member_offset(const struct dwarf_info *dw, Dwarf_Attribute *attr, uint64_t *ret)
{
	Dwarf_Block block;
	Dwarf_Op *ops;
	size_t n;

	*ret = 0; /* of a union */
	if (!attr->code)
		return NULL;
	if (!dwarf_attr_block(attr, &block))
		return dwarf_attr_u64(dw, attr, 0, ret);
	if (dwarf_getlocation(attr, &ops, &n) || n != 1 || ops[0].atom != DW_OP_plus_uconst)
		return dwarf_malformed(dw, 0, "DW_AT_data_member_location");
	*ret = ops[0].number;
	return NULL;
}

static struct err *take_member(void *arg, Dwarf_Die *die, bool *stop)
{
	struct members *m = arg;
	struct member member = { .die = dwarf_dieoffset(die) };
	struct dwarf_attrs a;
	uint64_t embedded;
	Dwarf_Die type;
	struct err *err;

	(void)stop;
	/* A bit field of C is no run of bytes. */
	if (dwarf_tag(die) != DW_TAG_member || dwarf_hasattr(die, DW_AT_data_bit_offset))
		return NULL;
	err = dwarf_attrs_read(m->dw, die, &a);
	if (!err)
		err = dwarf_attr_string(m->dw, &a.name, &member.name);
	if (!err)
		err = dwarf_attr_u64(m->dw, &a.go_embedded, 0, &embedded);
	if (!err)
		err = member_offset(m->dw, &a.member_offset, &member.offset);
	if (err)
		return err;
	if (!a.type.code || !dwarf_formref_die(&a.type, &type))
		return dwarf_malformed(m->dw, member.die, "a field without a type");
	member.type_die = dwarf_dieoffset(&type);
	member.embedded = embedded != 0;
	if (m->n == m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 16;
		struct member *v = realloc(m->v, cap * sizeof(*v));

		if (!v)
			return &err_nomem;
		m->v = v;
		m->cap = cap;
	}
	m->v[m->n++] = member;
	return NULL;
}

/* Put the members of a struct into the table, in one run. */
static struct err *add_fields(struct dwarf_info *dw, struct type_table *types, uint32_t index, const struct members *m)
{
	uint32_t first = types->n_fields;
	struct err *err = NULL;

	for (size_t i = 0; i < m->n && !err; i++) {
		struct go_field f = { .offset = m->v[i].offset, .embedded = m->v[i].embedded };

		err = type_table_intern(types, m->v[i].name, &f.name);
		if (!err)
			err = dwarf_type_at(dw, m->v[i].type_die, types, &f.type);
		if (!err)
			err = type_table_add_field(types, &f);
	}
	if (err) {
		types->n_fields = first;
		return err;
	}
	types->v[index].first_field = first;
	types->v[index].n_fields = m->n;
	return NULL;
}

static struct err *fields_of(struct dwarf_info *dw, struct type_table *types, uint32_t index, struct walk *w)
{
	struct members m = { .dw = dw };
	struct err *err = dwarf_each_child(dw, &w->layout, take_member, &m);

	if (!err)
		err = add_fields(dw, types, index, &m);
	free(m.v);
	return err;
}

static struct err *complete_at(struct dwarf_info *dw, struct type_table *types, uint32_t index, int depth);

static struct err *malformed_type(const struct dwarf_info *dw, const struct type_table *types, uint32_t index,
				  const char *what)
{
	return err_create(ERR_MALFORMED, "%s: .debug_info+%#" PRIx64 ": type '%.200s' %s", dw->elf->path,
			  types->v[index].die, type_string(types, types->v[index].name), what);
}

static struct err *complete_struct(struct dwarf_info *dw, struct type_table *types, uint32_t index, struct walk *w,
				   int depth)
{
	struct err *err = fields_of(dw, types, index, w);
	uint8_t flags = TYPE_WORDLESS;
	uint16_t align = 1;

	if (err)
		return err;
	for (uint32_t i = 0; i < types->v[index].n_fields; i++) {
		const struct go_field f = types->fields[types->v[index].first_field + i];

		err = complete_at(dw, types, f.type, depth + 1);
		if (err)
			return err;
		const struct go_type *ft = &types->v[f.type], *t = &types->v[index];
		if (!w->foreign && (f.offset > t->size || ft->size > t->size - f.offset))
			return malformed_type(dw, types, index, "has a field that reaches past its end");
		if (ft->align > align)
			align = ft->align;
		if (!(ft->flags & TYPE_WORDLESS))
			flags &= ~TYPE_WORDLESS;
		if (holds_pointers(types, f.type))
			flags |= TYPE_POINTERS;
	}
	types->v[index].align = align;
	types->v[index].flags |= flags;
	return NULL;
}

static struct err *take_count(void *arg, Dwarf_Die *die, bool *stop)
{
	Dwarf_Attribute attr;
	uint64_t *count = arg;
	Dwarf_Word v;

	if (dwarf_tag(die) != DW_TAG_subrange_type)
		return NULL;
	*stop = true;
	if (dwarf_attr(die, DW_AT_count, &attr) && !dwarf_formudata(&attr, &v))
		*count = v;
	else if (dwarf_attr(die, DW_AT_upper_bound, &attr) && !dwarf_formudata(&attr, &v))
		*count = v + 1;
	return NULL;
}

static struct err *complete_array(struct dwarf_info *dw, struct type_table *types, uint32_t index, struct walk *w,
				  int depth)
{
	uint64_t count = 0, size;
	uint32_t elem;
	struct err *err;

	if (!w->layout_attrs.type.code)
		return malformed_type(dw, types, index, "has no element type");
	err = dwarf_type_of_attr(dw, &w->layout_attrs.type, types, &elem);
	if (!err)
		err = complete_at(dw, types, elem, depth + 1);
	if (!err)
		err = dwarf_each_child(dw, &w->layout, take_count, &count);
	if (err)
		return err;
	size = types->v[elem].size;
	if (w->foreign) {
		/* Several dimensions are taken as one; C leaves out the size. */
		if (!w->has_size && !__builtin_mul_overflow(count, size, &types->v[index].size))
			w->has_size = true;
		count = size ? types->v[index].size / size : 0;
	} else if (__builtin_mul_overflow(count, size, &size) || size != types->v[index].size) {
		return malformed_type(dw, types, index, "has another size than its elements");
	}
	types->v[index].count = count;
	types->v[index].elem = elem;
	types->v[index].align = types->v[elem].align;
	if (count && holds_pointers(types, elem))
		types->v[index].flags |= TYPE_POINTERS;
	if (!count || (count == 1 && types->v[elem].flags & TYPE_WORDLESS))
		types->v[index].flags |= TYPE_WORDLESS;
	return NULL;
}

/* Element and key, not completed: they lie behind a pointer. */
static struct err *complete_reference(struct dwarf_info *dw, struct type_table *types, uint32_t index, struct walk *w)
{
	uint32_t elem = TYPE_NONE, key = TYPE_NONE;
	Dwarf_Attribute *from = &w->elem, unknown = {};
	struct err *err = NULL;

	if (types->v[index].kind == GO_POINTER)
		from = &w->layout_attrs.type;
	/* This shape stands for any pointer (cmd/compile/internal/noder, shapify): what it leads to only the dictionary knows. */
	if (!strncmp(type_string(types, types->v[index].name), ANY_POINTER, strlen(ANY_POINTER)))
		from = &unknown;
	if (from->code)
		err = dwarf_type_of_attr(dw, from, types, &elem);
	if (!err && types->v[index].kind == GO_MAP && w->key.code)
		err = dwarf_type_of_attr(dw, &w->key, types, &key);
	if (err)
		return err;
	types->v[index].elem = elem;
	types->v[index].key = key;
	return NULL;
}

/* The fields of the header that a map points to. Without them the map is shown by its address. */
static struct err *map_header(struct dwarf_info *dw, struct type_table *types, uint32_t index, struct walk *w)
{
	struct walk header;
	Dwarf_Die die;
	struct err *err;

	if (w->layout_tag != DW_TAG_pointer_type || !w->layout_attrs.type.code)
		return NULL;
	if (!dwarf_formref_die(&w->layout_attrs.type, &die))
		return dwarf_malformed(dw, w->canonical, "DW_AT_type");
	err = walk_type(dw, dwarf_dieoffset(&die), &header);
	return err || header.layout_tag != DW_TAG_structure_type ? err : fields_of(dw, types, index, &header);
}

/* A slice without DW_AT_go_elem: its first word is a pointer to the elements. */
static void slice_elem(struct dwarf_info *dw, struct type_table *types, uint32_t index)
{
	const struct go_type *t = &types->v[index];

	if (t->elem != TYPE_NONE || !t->n_fields)
		return;
	uint32_t pointer = types->fields[t->first_field].type;
	struct err *err = complete_at(dw, types, pointer, 0);
	if (err)
		err_destroy(err); /* the slice is then shown without its elements */
	else
		types->v[index].elem = types->v[pointer].elem;
}

static struct err *complete_kind(struct dwarf_info *dw, struct type_table *types, uint32_t index, int depth)
{
	struct err *err = NULL;
	struct walk w;

	if (types->v[index].die) {
		err = walk_type(dw, types->v[index].die, &w);
		if (err)
			return err;
	}
	types->v[index].align = kind_layout[types->v[index].kind].align;
	if (!types->v[index].die)
		return NULL;
	switch (types->v[index].kind) {
	case GO_STRUCT:
		return complete_struct(dw, types, index, &w, depth);
	case GO_ARRAY:
		return complete_array(dw, types, index, &w, depth);
	case GO_STRING:
	case GO_INTERFACE:
		return w.layout_tag == DW_TAG_structure_type ? fields_of(dw, types, index, &w) : NULL;
	case GO_SLICE:
		err = complete_reference(dw, types, index, &w);
		if (!err && w.layout_tag == DW_TAG_structure_type)
			err = fields_of(dw, types, index, &w);
		if (!err)
			slice_elem(dw, types, index);
		return err;
	case GO_MAP:
		err = complete_reference(dw, types, index, &w);
		return err ? err : map_header(dw, types, index, &w);
	case GO_POINTER:
	case GO_CHAN:
		return complete_reference(dw, types, index, &w);
	}
	return NULL;
}

static struct err *complete_at(struct dwarf_info *dw, struct type_table *types, uint32_t index, int depth)
{
	struct err *err;

	if (index >= types->n)
		return err_create(ERR_MALFORMED, "%s: a type that is not in the table", dw->elf->path);
	if (types->v[index].flags & TYPE_COMPLETE)
		return NULL;
	if (types->v[index].flags & TYPE_BUSY)
		return malformed_type(dw, types, index, "contains itself");
	if (depth > NESTING_MAX)
		return malformed_type(dw, types, index, "is nested too deep");
	types->v[index].flags |= TYPE_BUSY;
	err = complete_kind(dw, types, index, depth);
	types->v[index].flags &= ~TYPE_BUSY;
	if (err) {
		types->v[index].n_fields = 0;
		return err;
	}
	types->v[index].flags |= TYPE_COMPLETE;
	return NULL;
}

struct err *dwarf_info_complete(struct dwarf_info *dw, struct type_table *types, uint32_t type)
{
	return complete_at(dw, types, type, 0);
}

/* ---- by name ------------------------------------------------------------------------------------------------ */

/* Go's own before C's: a cgo program can have both. */
static const struct dwarf_entry *find_type(const struct dwarf_info *dw, const char *name)
{
	const struct dwarf_entry *foreign = NULL;

	for (const struct dwarf_entry *e = dwarf_entry_find(dw, name); e; e = dwarf_entry_next(dw, e)) {
		if (e->is_func)
			continue;
		if (dw->units[e->unit].go)
			return e;
		if (!foreign)
			foreign = e;
	}
	return foreign;
}

static struct err *type_die(struct dwarf_info *dw, const char *name, uint64_t *die_ret)
{
	const struct dwarf_entry *e;
	struct err *err;

	/* Go's linker puts all types into a unit of the run-time system. */
	err = dwarf_index_package(dw, "runtime", strlen("runtime"));
	if (err)
		return err;
	e = find_type(dw, name);
	if (!e) {
		err = dwarf_index_all(dw);
		if (err)
			return err;
		e = find_type(dw, name);
	}
	if (!e)
		return err_create(ERR_NOTFOUND, "%s: the debug information has no type '%s'", dw->elf->path, name);
	*die_ret = e->die;
	return NULL;
}

/* A pointer that the program does not use by itself has no DIE, but what it points to tells all of it. */
static struct err *made_pointer(struct dwarf_info *dw, const char *name, struct type_table *types, uint32_t *ret)
{
	struct go_type t = { .kind = GO_POINTER,
			     .flags = TYPE_COMPLETE,
			     .align = kind_layout[GO_POINTER].align,
			     .size = kind_layout[GO_POINTER].size,
			     .key = TYPE_NONE };
	size_t stars = strspn(name, "*");
	uint64_t die;
	struct err *err;

	if (stars > NAME_NESTING_MAX)
		return err_create(ERR_NOTFOUND, "%s: the debug information has no type '%s'", dw->elf->path, name);
	err = type_die(dw, name + stars, &die);
	if (!err)
		err = dwarf_type_at(dw, die, types, &t.elem);
	for (; stars && !err; stars--) {
		err = type_table_intern(types, name + stars - 1, &t.name);
		if (!err)
			err = type_table_add(types, &t, ret);
		if (!err)
			t.elem = *ret;
	}
	return err;
}

struct err *dwarf_info_type(struct dwarf_info *dw, const char *name, struct type_table *types, uint32_t *type_ret)
{
	uint64_t die;
	struct err *err = type_die(dw, name, &die);

	if (!err)
		return dwarf_type_at(dw, die, types, type_ret);
	if (err->code != ERR_NOTFOUND || *name != '*')
		return err;
	err_destroy(err);
	return made_pointer(dw, name, types, type_ret);
}

struct err *dwarf_info_field_offset(struct dwarf_info *dw, const char *type, const char *path, uint64_t *offset_ret)
{
	struct members m = { .dw = dw };
	uint64_t die, offset = 0;
	struct walk w;
	struct err *err = type_die(dw, type, &die);

	for (const char *p = path; p && !err;) {
		size_t len = strcspn(p, "."), i;

		err = walk_type(dw, die, &w);
		m.n = 0;
		if (!err)
			err = dwarf_each_child(dw, &w.layout, take_member, &m);
		if (err)
			break;
		for (i = 0; i < m.n; i++)
			if (!strncmp(m.v[i].name, p, len) && !m.v[i].name[len])
				break;
		if (i == m.n) {
			err = err_create(ERR_NOTFOUND, "%s: type '%s' has no field '%s'", dw->elf->path, type, path);
			break;
		}
		if (__builtin_add_overflow(offset, m.v[i].offset, &offset)) {
			err = dwarf_malformed(dw, m.v[i].die, "the offset of a field");
			break;
		}
		die = m.v[i].type_die;
		p = p[len] ? p + len + 1 : NULL;
	}
	free(m.v);
	if (!err)
		*offset_ret = offset;
	return err;
}
