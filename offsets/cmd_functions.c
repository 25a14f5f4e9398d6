/* SPDX-License-Identifier: Apache-2.0 */
/* offsets functions FILE [PATTERN] */
#include <stdlib.h>

#include "commands.h"

static struct err *write_func(const struct func_table *table, const struct func *func, struct jout *out)
{
	const char *file = NULL;
	uint32_t line = 0;
	struct err *err = func_table_line(table, func, func->entry, &file, &line);

	if (err && err != &err_notfound)
		return err;
	jout_object_begin(out);
	jout_key_lit(out, "name");
	jout_string(out, func->name);
	jout_key_lit(out, "entry");
	jout_hex(out, func->entry);
	jout_key_lit(out, "end");
	jout_hex(out, func->end);
	jout_key_lit(out, "source");
	jout_array_begin(out);
	if (func->source & FUNC_PCLNTAB)
		jout_string(out, "pclntab");
	if (func->source & FUNC_SYMTAB)
		jout_string(out, "symtab");
	jout_array_end(out);
	jout_key_lit(out, "file");
	if (file)
		jout_string(out, file);
	else
		jout_null(out);
	jout_key_lit(out, "line");
	if (file)
		jout_u64(out, line);
	else
		jout_null(out);
	jout_key_lit(out, "abi0");
	jout_bool(out, func->abi0);
	jout_object_end(out);
	return NULL;
}

struct err *command_functions(struct program *program, int argc, char **argv, struct jout *out)
{
	const struct func_table *table = program->funcs;
	const struct func **selected _cleanup_free_ = NULL;
	size_t n = table->n;
	struct err *err;

	if (argc > 1)
		return err_create(ERR_USAGE, "functions: one PATTERN at most");
	if (argc == 1) {
		err = func_table_select(table, argv[0], &selected, &n);
		if (err)
			return err;
		if (!n)
			return command_func_notfound(program, argv[0]);
	}
	jout_object_begin(out);
	command_write_file(program, out);
	jout_key_lit(out, "functions");
	jout_array_begin(out);
	for (size_t i = 0; i < n; i++) {
		err = write_func(table, selected ? selected[i] : &table->v[i], out);
		if (err)
			return err;
	}
	jout_array_end(out);
	jout_object_end(out);
	return NULL;
}
