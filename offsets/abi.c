/* SPDX-License-Identifier: Apache-2.0 */
#include "abi.h"

#include <stdlib.h>
#include <string.h>

#define INT_REGS 9    /* amd64: RAX RBX RCX RDI RSI R8 R9 R10 R11 */
#define FLOAT_REGS 15 /* amd64: X0–X14 */
#define PTR_SIZE 8
#define NESTING_MAX 64       /* structs in structs; Go's own compiler gives up far earlier on real code */
#define STACK_MAX (1u << 30) /* bytes of stack arguments: a frame larger than that does not link */

struct assigner {
	const struct type_table *table;
	struct abi_layout *out;
	size_t cap_words;
	uint32_t ints, floats; /* registers used so far */
	uint64_t stack;        /* bytes used so far */
	uint64_t spill;        /* bytes of the spill area so far */
};

enum go_abi abi_of(int go_minor, bool abi0_symbol)
{
	/* A version that cannot be told is taken for a recent one: those before 1.17 always leave theirs. */
	return abi0_symbol || (go_minor >= 0 && go_minor < 17) ? GO_ABI0 : GO_ABI_INTERNAL;
}

void abi_layout_deinit(struct abi_layout *layout)
{
	free(layout->values);
	free(layout->words);
	memset(layout, 0, sizeof(*layout));
}

static struct err *push_word(struct assigner *a, uint64_t offset, uint64_t size, int where, int64_t place)
{
	struct abi_layout *out = a->out;

	if (offset > UINT32_MAX || size > UINT32_MAX)
		return err_create(ERR_MALFORMED, "a parameter of more than 4 GiB");
	if (out->n_words == a->cap_words) {
		size_t cap = a->cap_words ? 2 * a->cap_words : 32;
		struct abi_word *words = realloc(out->words, cap * sizeof(*words));
		if (!words)
			return &err_nomem;
		out->words = words;
		a->cap_words = cap;
	}
	out->words[out->n_words++] =
		(struct abi_word){ .offset = offset, .size = size, .where = where, .place = place };
	return NULL;
}

/* Take registers for one basic word. *fits_ret is false where they have run out (which is no error: the value goes to the stack). */
static struct err *take_register(struct assigner *a, uint64_t offset, uint64_t size, bool is_float, bool *fits_ret)
{
	uint32_t *used = is_float ? &a->floats : &a->ints;

	if (*used >= (is_float ? FLOAT_REGS : INT_REGS)) {
		*fits_ret = false;
		return NULL;
	}
	*fits_ret = true;
	return push_word(a, offset, size, is_float ? ABI_FLOAT_REG : ABI_INT_REG, (*used)++);
}

/* Vectors (simd/archsimd, GOEXPERIMENT=simd from Go 1.26 on) are structs that begin with one of three marker types, and stand in one
 * register whole (cmd/compile/internal/types/size.go, simdify). Names may have "noalg." before them. */
static bool is_vector(const struct type_table *table, const struct go_type *t)
{
	static const char *const markers[] = { "simd/archsimd.v128", "simd/archsimd.v256", "simd/archsimd.v512" };
	uint32_t first = t->n_fields ? table->fields[t->first_field].type : TYPE_NONE;

	if (first >= table->n)
		return false;
	const char *name = type_string(table, table->v[first].name);
	size_t n = strlen(name);

	for (size_t i = 0; i < sizeof(markers) / sizeof(*markers); i++)
		if (n >= strlen(markers[i]) && !strcmp(name + n - strlen(markers[i]), markers[i]))
			return true;
	return false;
}

/* The register-assign recursion of abi-internal.md. */
static struct err *assign_registers(struct assigner *a, uint32_t index, uint64_t offset, int depth, bool *fits_ret)
{
	struct err *err;

	if (index >= a->table->n || depth > NESTING_MAX)
		return err_create(ERR_MALFORMED, "a parameter's type is not known or nested too deep");

	const struct go_type *t = &a->table->v[index];
	uint32_t words = 1;

	*fits_ret = true;
	if (t->flags & TYPE_WORDLESS) /* so that each way down takes a register: there are few */
		return NULL;
	switch (t->kind) {
	case GO_FLOAT32:
	case GO_FLOAT64:
		return take_register(a, offset, t->size, true, fits_ret);
	case GO_COMPLEX64:
	case GO_COMPLEX128:
		err = take_register(a, offset, t->size / 2, true, fits_ret);
		if (err || !*fits_ret)
			return err;
		return take_register(a, offset + t->size / 2, t->size / 2, true, fits_ret);
	case GO_STRING:
	case GO_INTERFACE:
		words = 2;
		break;
	case GO_SLICE:
		words = 3;
		break;
	case GO_STRUCT:
		if (!(t->flags & TYPE_COMPLETE) || (uint64_t)t->first_field + t->n_fields > a->table->n_fields)
			return err_create(ERR_MALFORMED, "the struct type '%s' is incomplete",
					  type_string(a->table, t->name));
		if (is_vector(a->table, t))
			return take_register(a, offset, t->size, true, fits_ret);
		for (uint32_t i = 0; i < t->n_fields; i++) {
			const struct go_field *f = &a->table->fields[t->first_field + i];
			err = assign_registers(a, f->type, offset + f->offset, depth + 1, fits_ret);
			if (err || !*fits_ret)
				return err;
		}
		return NULL;
	case GO_ARRAY:
		if (!(t->flags & TYPE_COMPLETE))
			return err_create(ERR_MALFORMED, "the array type '%s' is incomplete",
					  type_string(a->table, t->name));
		if (t->count == 0)
			return NULL;
		if (t->count > 1) {
			*fits_ret = false;
			return NULL;
		}
		return assign_registers(a, t->elem, offset, depth + 1, fits_ret);
	case GO_INVALID:
		return err_create(ERR_MALFORMED, "a parameter of unknown kind: '%s'", type_string(a->table, t->name));
	default: /* one word or less */
		return take_register(a, offset, t->size, false, fits_ret);
	}
	for (uint32_t i = 0; i < words; i++) {
		err = take_register(a, offset + i * PTR_SIZE, PTR_SIZE, false, fits_ret);
		if (err || !*fits_ret)
			return err;
	}
	return NULL;
}

static uint64_t align_up(uint64_t n, uint64_t align)
{
	return align > 1 ? (n + align - 1) / align * align : n;
}

static struct err *assign_value(struct assigner *a, enum go_abi abi, uint32_t type, struct abi_value *value)
{
	struct err *err;

	if (type >= a->table->n)
		return err_create(ERR_MALFORMED, "a parameter's type is not known");

	const struct go_type *t = &a->table->v[type];

	*value = (struct abi_value){ .type = type, .first_word = a->out->n_words };
	if (abi == GO_ABI_INTERNAL) {
		uint32_t ints = a->ints, floats = a->floats;
		bool fits;

		/* A value goes into registers whole or not at all. */
		err = assign_registers(a, type, 0, 0, &fits);
		if (err)
			return err;
		if (fits && t->size) {
			value->in_registers = true;
			value->n_words = a->out->n_words - value->first_word;
			return NULL;
		}
		a->ints = ints;
		a->floats = floats;
		a->out->n_words = value->first_word;
	}
	a->stack = align_up(a->stack, t->align);
	if (t->size) {
		err = push_word(a, 0, t->size, ABI_STACK, a->stack);
		if (err)
			return err;
		value->n_words = 1;
	}
	a->stack += t->size;
	if (t->size > STACK_MAX || a->stack > STACK_MAX)
		return err_create(ERR_MALFORMED, "more than %u bytes of stack arguments", STACK_MAX);
	return NULL;
}

struct err *abi_assign(const struct type_table *table, enum go_abi abi, const uint32_t *types, size_t n_params,
		       size_t n_results, struct abi_layout *ret)
{
	struct abi_layout layout = { .n_values = n_params + n_results };
	struct assigner a = { .table = table, .out = &layout };
	struct err *err = NULL;

	layout.values = calloc(layout.n_values ? layout.n_values : 1, sizeof(*layout.values));
	if (!layout.values)
		return &err_nomem;
	for (size_t i = 0; i < layout.n_values && !err; i++) {
		if (i == n_params) {
			/* Results start over with the registers, and on the stack at a pointer's alignment. */
			a.ints = a.floats = 0;
			a.stack = align_up(a.stack, PTR_SIZE);
		}
		err = assign_value(&a, abi, types[i], &layout.values[i]);
		if (!err && i < n_params && layout.values[i].in_registers)
			a.spill = align_up(a.spill, table->v[types[i]].align) + table->v[types[i]].size;
	}
	if (err) {
		abi_layout_deinit(&layout);
		return err;
	}
	layout.stack_args_size = align_up(a.stack, PTR_SIZE);
	layout.spill_size = align_up(a.spill, PTR_SIZE);
	*ret = layout;
	return NULL;
}
