/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "plan.h"

struct err *program_open(const char *path, struct program **ret)
{
	struct program *program = calloc(1, sizeof(*program));
	struct err *err;

	if (!program)
		return &err_nomem;
	err = elf_file_open(path, &program->elf);
	if (!err)
		err = go_build_read(program->elf, &program->build);
	if (!err)
		err = func_table_read(program->elf, &program->funcs);
	if (err) {
		program_destroy(program);
		return err;
	}
	*ret = program;
	return NULL;
}

void program_destroy(struct program *program)
{
	if (!program)
		return;
	dwarf_info_destroy(program->dwarf);
	func_table_destroy(program->funcs);
	go_build_destroy(program->build);
	elf_file_destroy(program->elf);
	free(program);
}

struct err *program_dwarf(struct program *program, struct dwarf_info **ret)
{
	if (!program->dwarf) {
		struct err *err = dwarf_info_open(program->elf, &program->dwarf);

		if (err)
			return err;
	}
	*ret = program->dwarf;
	return NULL;
}
