/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "../../offsets/callers.h"
#include "../../offsets/inlines.h"
#include "../../offsets/dwarf_info.h"
#include "../../offsets/go_build.h"
#include "../../offsets/plan.h"
#include "../../offsets/sites.h"
#include "fuzz.h"

/* Functions of one input that are looked at: an input is meant to take milliseconds. */
#define FUNCS_MAX 64
#define CALLS_MAX 64

static bool touch_symbol(void *arg, const struct elf_symbol *symbol)
{
	*(size_t *)arg += strlen(symbol->name);
	return true;
}

static void touch_elf(struct elf_file *elf)
{
	struct bytes data;
	uint64_t value;
	size_t total = 0;
	uint8_t byte;
	int32_t g;

	for (size_t i = 0; i < elf->n_sections; i++)
		err_destroy(elf_file_section_data(elf, elf->sections[i].name, &data));
	for (size_t i = 0; i < elf->n_segments; i++)
		err_destroy(elf_file_read_relocated(elf, elf->segments[i].vaddr, &byte, 1));
	err_destroy(elf_file_each_symbol(elf, touch_symbol, &total));
	err_destroy(elf_file_offset(elf, elf->entry, &value));
	err_destroy(go_tls_g_offset(elf, &g));
}

static void touch_functions(struct elf_file *elf, const struct func_table *table)
{
	const struct func *same[4], **found;
	struct inlined_copy *copies = NULL;
	const char *near[3];
	size_t n;

	for (size_t i = 0; i < table->n && i < FUNCS_MAX; i++) {
		const struct func *f = &table->v[i];
		struct code *code = NULL;
		struct entry_site *sites = NULL;
		struct func_frame frames[FUNC_FRAMES_MAX];
		const char *file;
		uint32_t line, args;

		err_destroy(func_table_line(table, f, f->entry, &file, &line));
		err_destroy(func_table_line(table, f, f->end - 1, &file, &line));
		err_destroy(func_table_args_size(table, f, &args));
		func_table_find_addr(table, f->entry);
		for (uint64_t addr = f->entry; addr < f->end && addr < f->entry + 64; addr += 5)
			func_table_frames(table, f, addr, frames, FUNC_FRAMES_MAX);
		func_table_find_name(table, f->name, same, 4);
		struct err *err = code_read(elf, table, f, &code);
		if (!err)
			err = entry_candidates(code, &sites, &n);
		for (size_t k = 0; !err && k < code->n && k < CALLS_MAX; k++) {
			struct float_place x[FLOAT_REGS];
			const struct insn *in = &code->insns[k];
			if (in->cls == INSN_CALL)
				err_destroy(call_floats(code, elf, in->addr, in->target, x));
		}
		err_destroy(err);
		free(sites);
		code_destroy(code);
	}
	struct err *err = func_table_select(table, "main.*", &found, &n);
	if (!err)
		free(found);
	err_destroy(err);
	err = func_table_inlined(table, NULL, &copies, &n);
	if (!err)
		free(copies);
	err_destroy(err);
	struct call_places *places = NULL;
	uint64_t entry = table->n ? table->v[table->n / 2].entry : 0;
	err = call_places_find(elf, table, &entry, 1, &places);
	if (!err)
		call_places_of(places, entry, &n);
	err_destroy(err);
	call_places_destroy(places);
	func_table_suggest(table, "main.ebpfdemo", near, 3);
}

void fuzz_functions(struct elf_file *elf)
{
	struct func_table *table = NULL;
	struct err *err = func_table_read(elf, &table);

	if (!err)
		touch_functions(elf, table);
	err_destroy(err);
	func_table_destroy(table);
}

struct walk {
	struct dwarf_info *dw;
	struct type_table types;
	size_t n;
};

static bool walk_func(void *arg, const char *name, uint64_t low, uint64_t high, uint64_t die)
{
	struct dwarf_piece pieces[DWARF_PIECES_MAX];
	struct walk *w = arg;
	struct dwarf_func *f = NULL;
	int64_t offset;
	size_t n;
	int reg;

	(void)die;
	err_destroy(dwarf_info_func(w->dw, name, low, &w->types, &f));
	for (size_t i = 0; f && i < f->n_params; i++) {
		uint64_t size = w->types.v[f->params[i].type].size;

		err_destroy(dwarf_info_location(w->dw, f, f->params[i].die, size, low, pieces, &n));
		err_destroy(dwarf_info_location(w->dw, f, f->params[i].die, size, high - 1, pieces, &n));
	}
	if (f)
		err_destroy(dwarf_info_decl(w->dw, f));
	dwarf_func_destroy(f);
	err_destroy(dwarf_info_cfa(w->dw, low, &reg, &offset));
	return ++w->n < FUNCS_MAX;
}

static void touch_debug(struct dwarf_info *dw)
{
	struct walk w = { .dw = dw };
	uint64_t offset;
	uint32_t type;

	type_table_init(&w.types);
	err_destroy(dwarf_info_each_func(dw, walk_func, &w));
	struct err *err = dwarf_info_type(dw, "*main.T", &w.types, &type);
	if (!err)
		err = dwarf_info_complete(dw, &w.types, type);
	err_destroy(err);
	for (uint32_t i = 0; i < w.types.n && i < 4096; i++)
		err_destroy(dwarf_info_complete(dw, &w.types, i));
	err_destroy(dwarf_info_field_offset(dw, "runtime.g", "goid", &offset));
	type_table_deinit(&w.types);
}

void fuzz_debug(struct elf_file *elf)
{
	struct dwarf_info *dw = NULL;
	struct err *err = dwarf_info_open(elf, &dw);

	if (!err)
		touch_debug(dw);
	err_destroy(err);
	dwarf_info_destroy(dw);
}

void fuzz_program(struct elf_file *elf)
{
	struct plan_options options = { .args = true,
					.results = true,
					.returns = true,
					.optional = true,
					.raw_words = true,
					.string_size = 256,
					.depth = 2,
					.elements = 8 };
	struct program program = { .elf = elf };
	const char *pattern = "main.*";
	struct plan *plan = NULL;
	struct err *err;

	touch_elf(elf);
	err = go_build_read(elf, &program.build);
	if (!err)
		err = func_table_read(elf, &program.funcs);
	if (!err) {
		touch_functions(elf, program.funcs);
		err = plan_create(&program, &pattern, 1, NULL, 0, &options, &plan);
	}
	if (!err)
		err = plan_check(plan);
	err_destroy(err);
	plan_destroy(plan);
	fuzz_debug(elf);
	dwarf_info_destroy(program.dwarf);
	func_table_destroy(program.funcs);
	go_build_destroy(program.build);
}
