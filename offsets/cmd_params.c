/* SPDX-License-Identifier: Apache-2.0 */
/* `offsets params FILE FUNC [--pc ADDR]` and `offsets type FILE TYPE`. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"

#define SAME_NAME_MAX 8
#define DWARF_XMM0 17

/* DWARF's register numbers (System V ABI for amd64, figure 3.36). */
static void write_register(struct jout *out, int reg)
{
	static const char *const names[] = { "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8",
					     "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip" };
	char name[16];

	if (reg >= 0 && (size_t)reg < sizeof(names) / sizeof(names[0]))
		snprintf(name, sizeof(name), "%s", names[reg]);
	else if (reg >= 17 && reg <= 32)
		snprintf(name, sizeof(name), "xmm%d", reg - 17);
	else
		snprintf(name, sizeof(name), "reg%d", reg);
	jout_string(out, name);
}

static void write_piece(struct jout *out, const struct dwarf_piece *p)
{
	static const char *const places[] = { "none", "reg", "cfa", "addr", "value", "deref" };

	jout_object_begin(out);
	jout_key_lit(out, "offset");
	jout_u64(out, p->offset);
	jout_key_lit(out, "size");
	jout_u64(out, p->size);
	jout_key_lit(out, "place");
	jout_string(out, places[p->place]);
	switch (p->place) {
	case DWARF_PLACE_NONE:
		break;
	case DWARF_PLACE_REG:
		jout_key_lit(out, "reg");
		write_register(out, p->reg);
		break;
	case DWARF_PLACE_CFA:
	case DWARF_PLACE_CFA_DEREF:
	case DWARF_PLACE_VALUE:
		jout_key_lit(out, "value");
		jout_i64(out, p->value);
		break;
	case DWARF_PLACE_ADDR:
		jout_key_lit(out, "value");
		jout_hex(out, (uint64_t)p->value);
		break;
	}
	jout_object_end(out);
}

static void write_status(struct jout *out, const char *status)
{
	jout_key_lit(out, "status");
	jout_string(out, status);
}

/* "location" where there is one, "status" where there is none. */
static struct err *write_location(struct dwarf_info *dw, const struct dwarf_func *f, const struct dwarf_param *param,
				  uint64_t size, uint64_t pc, struct jout *out)
{
	struct dwarf_piece pieces[DWARF_PIECES_MAX];
	bool readable = false;
	size_t n = 0;
	struct err *err = &err_notfound;

	if (param->has_location)
		err = dwarf_info_location(dw, f, param->die, size, pc, pieces, &n);
	if (err) {
		switch (err->code) {
		case ERR_NOTFOUND:
			write_status(out, "no location");
			break;
		case ERR_NOLOC:
			write_status(out, "no location at this pc");
			break;
		case ERR_UNSUPPORTED:
		case ERR_MALFORMED:
			write_status(out, err_code_name(err->code));
			jout_key_lit(out, "reason");
			jout_string(out, err->msg);
			break;
		default:
			return err;
		}
		err_destroy(err);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		readable |= pieces[i].place != DWARF_PLACE_NONE;
	if (!readable) {
		write_status(out, "optimised out");
		return NULL;
	}
	jout_key_lit(out, "location");
	jout_array_begin(out);
	for (size_t i = 0; i < n; i++)
		write_piece(out, &pieces[i]);
	jout_array_end(out);
	return NULL;
}

/* Where the calling convention puts the value: a parameter at the entry, a result at the return. NULL: not known. */
static void write_abi(const struct abi_layout *abi, const struct abi_value *value, struct jout *out)
{
	static const int8_t dwarf_regs[] = { 0, 3, 2, 5, 4, 8, 9, 10, 11 }; /* of RAX RBX RCX RDI RSI R8–R11 */

	jout_key_lit(out, "abi");
	if (!value || value->first_word == PLAN_ABI_UNKNOWN) {
		jout_null(out);
		return;
	}
	jout_array_begin(out);
	for (uint32_t i = value->first_word; i < value->first_word + value->n_words; i++) {
		const struct abi_word *w = &abi->words[i];
		struct dwarf_piece piece = { .offset = w->offset, .size = w->size, .value = w->place };

		piece.place = w->where == ABI_STACK ? DWARF_PLACE_CFA : DWARF_PLACE_REG;
		if (w->where == ABI_INT_REG)
			piece.reg = dwarf_regs[w->place];
		else if (w->where == ABI_FLOAT_REG)
			piece.reg = DWARF_XMM0 + w->place;
		write_piece(out, &piece);
	}
	jout_array_end(out);
}

static struct err *write_params(struct dwarf_info *dw, const struct dwarf_func *f, const struct abi_layout *abi,
				const struct type_table *types, uint64_t pc, struct jout *out)
{
	size_t param = 0, result = 0;
	struct err *err = NULL;

	/* In the layout all results stand behind all parameters. */
	for (size_t i = 0; i < f->n_params; i++)
		result += !f->params[i].result;
	jout_key_lit(out, "params");
	jout_array_begin(out);
	for (size_t i = 0; i < f->n_params && !err; i++) {
		const struct dwarf_param *p = &f->params[i];
		const struct go_type *t = &types->v[p->type];

		jout_object_begin(out);
		jout_key_lit(out, "name");
		jout_string(out, p->name);
		jout_key_lit(out, "type");
		jout_string(out, type_string(types, t->name));
		jout_key_lit(out, "kind");
		jout_string(out, go_kind_name(t->kind));
		jout_key_lit(out, "size");
		jout_u64(out, t->size);
		jout_key_lit(out, "result");
		jout_bool(out, p->result);
		jout_key_lit(out, "at");
		jout_hex(out, pc);
		write_abi(abi, abi->n_values == f->n_params ? &abi->values[p->result ? result++ : param++] : NULL, out);
		err = write_location(dw, f, p, t->size, pc, out);
		jout_object_end(out);
	}
	jout_array_end(out);
	return err;
}

/* Where the function is declared: the pclntab tells it at once; DWARF's own answer needs .debug_line. */
static struct err *write_declaration(struct program *program, struct dwarf_info *dw, const struct func *func,
				     struct dwarf_func *f, struct jout *out)
{
	const char *file = NULL;
	uint32_t line = 0;
	struct err *err = func ? func_table_line(program->funcs, func, func->entry, &file, &line) : &err_notfound;

	if (err) {
		err_destroy(err);
		err = dwarf_info_decl(dw, f);
		if (err)
			return err;
		file = f->decl_file;
		line = f->decl_line;
	}
	jout_key_lit(out, "source_file");
	if (file)
		jout_string(out, file);
	else
		jout_null(out);
	jout_key_lit(out, "source_line");
	if (line)
		jout_u64(out, line);
	else
		jout_null(out);
	return NULL;
}

static struct err *write_func(struct program *program, struct dwarf_info *dw, const struct func *func,
			      struct dwarf_func *f, const struct type_table *types, uint64_t pc, struct jout *out)
{
	struct err *err;

	jout_object_begin(out);
	command_write_file(program, out);
	jout_key_lit(out, "function");
	jout_string(out, f->name);
	jout_key_lit(out, "entry");
	jout_hex(out, f->low_pc);
	jout_key_lit(out, "end");
	jout_hex(out, f->high_pc);
	err = write_declaration(program, dw, func, f, out);
	if (err)
		return err;
	jout_key_lit(out, "optimized");
	jout_bool(out, f->optimized);
	jout_key_lit(out, "trampoline");
	jout_bool(out, f->trampoline);
	jout_key_lit(out, "producer");
	jout_string(out, f->producer);
	jout_key_lit(out, "dictionary");
	jout_bool(out, f->has_dict);
	jout_key_lit(out, "results_missing");
	jout_bool(out, f->results_missing);
	jout_key_lit(out, "results_inferred");
	jout_bool(out, f->results_inferred);
	struct abi_layout abi = {};
	err = func ? plan_abi_layout(program, func, &abi) : NULL;
	if (!err)
		err = write_params(dw, f, &abi, types, pc, out);
	abi_layout_deinit(&abi);
	jout_object_end(out);
	return err;
}

static struct err *parse_address(const char *s, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(s, &end, 0);
	if (errno || end == s || *end || *s == '-')
		return err_create(ERR_USAGE, "params: '%s' is no address", s);
	return NULL;
}

/* The body that is called from Go, where assembly has one of the same name. */
static const struct func *find_body(const struct program *program, const char *name)
{
	const struct func *same[SAME_NAME_MAX];
	size_t n = func_table_find_name(program->funcs, name, same, SAME_NAME_MAX);

	for (size_t i = 0; i < n && i < SAME_NAME_MAX; i++)
		if (!same[i]->abi0)
			return same[i];
	return n ? same[0] : NULL;
}

struct err *command_params(struct program *program, int argc, char **argv, struct jout *out)
{
	struct dwarf_func *f = NULL;
	struct type_table types;
	struct dwarf_info *dw;
	uint64_t pc = 0;
	struct err *err = NULL;
	bool has_pc = argc == 3 && !strcmp(argv[1], "--pc");

	if (argc != 1 && !has_pc)
		return err_create(ERR_USAGE, "params: FUNC [--pc ADDR] is wanted");
	if (has_pc)
		err = parse_address(argv[2], &pc);
	if (!err)
		err = program_dwarf(program, &dw);
	if (err)
		return err;
	const struct func *func = find_body(program, argv[0]);
	type_table_init(&types);
	err = dwarf_info_func(dw, argv[0], func ? func->entry : 0, &types, &f);
	if (err && err->code == ERR_NOTFOUND && !func) {
		err_destroy(err);
		err = command_func_notfound(program, argv[0]);
	}
	if (!err && has_pc && (pc < f->low_pc || pc >= f->high_pc))
		err = err_create(ERR_USAGE, "params: %#" PRIx64 " does not lie in %s (%#" PRIx64 " to %#" PRIx64 ")",
				 pc, f->name, f->low_pc, f->high_pc);
	if (!err)
		err = write_func(program, dw, func, f, &types, has_pc ? pc : f->low_pc, out);
	dwarf_func_destroy(f);
	type_table_deinit(&types);
	return err;
}

/* ---- type --------------------------------------------------------------------------------------------------- */

static void write_type_name(const struct type_table *types, uint32_t type, struct jout *out)
{
	if (type < types->n)
		jout_string(out, type_string(types, types->v[type].name));
	else
		jout_null(out);
}

static void write_field(const struct type_table *types, const struct go_field *f, struct jout *out)
{
	const struct go_type *t = &types->v[f->type];

	jout_object_begin(out);
	jout_key_lit(out, "name");
	jout_string(out, type_string(types, f->name));
	jout_key_lit(out, "type");
	jout_string(out, type_string(types, t->name));
	jout_key_lit(out, "kind");
	jout_string(out, go_kind_name(t->kind));
	jout_key_lit(out, "offset");
	jout_u64(out, f->offset);
	jout_key_lit(out, "size");
	jout_u64(out, t->size);
	jout_key_lit(out, "embedded");
	jout_bool(out, f->embedded);
	jout_object_end(out);
}

static void write_type(struct program *program, const struct type_table *types, uint32_t index, struct jout *out)
{
	const struct go_type *t = &types->v[index];

	jout_object_begin(out);
	command_write_file(program, out);
	jout_key_lit(out, "type");
	write_type_name(types, index, out);
	jout_key_lit(out, "kind");
	jout_string(out, go_kind_name(t->kind));
	jout_key_lit(out, "size");
	jout_u64(out, t->size);
	jout_key_lit(out, "align");
	jout_u64(out, t->align);
	jout_key_lit(out, "elem");
	write_type_name(types, t->elem, out);
	jout_key_lit(out, "key");
	write_type_name(types, t->key, out);
	jout_key_lit(out, "count");
	if (t->kind == GO_ARRAY)
		jout_u64(out, t->count);
	else
		jout_null(out);
	jout_key_lit(out, "runtime_type");
	if (t->runtime_type)
		jout_hex(out, t->runtime_type);
	else
		jout_null(out);
	jout_key_lit(out, "empty_interface");
	jout_bool(out, t->flags & TYPE_EMPTY_IFACE);
	jout_key_lit(out, "foreign");
	jout_bool(out, t->flags & TYPE_FOREIGN);
	jout_key_lit(out, "fields");
	jout_array_begin(out);
	for (uint32_t i = 0; i < t->n_fields; i++)
		write_field(types, &types->fields[t->first_field + i], out);
	jout_array_end(out);
	jout_object_end(out);
}

struct err *command_type(struct program *program, int argc, char **argv, struct jout *out)
{
	struct type_table types;
	struct dwarf_info *dw;
	uint32_t index;
	struct err *err;

	if (argc != 1)
		return err_create(ERR_USAGE, "type: one TYPE is wanted");
	err = program_dwarf(program, &dw);
	if (err)
		return err;
	type_table_init(&types);
	err = dwarf_info_type(dw, argv[0], &types, &index);
	if (!err)
		err = dwarf_info_complete(dw, &types, index);
	if (!err)
		write_type(program, &types, index, out);
	type_table_deinit(&types);
	return err;
}
