/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands share. */
#include "commands.h"

#include <stdlib.h>

#define SUGGESTIONS_MAX 3

static void write_string_or_null(struct jout *out, const char *s)
{
	if (s && *s)
		jout_string(out, s);
	else
		jout_null(out);
}

void command_write_file(struct program *program, struct jout *out)
{
	jout_key_lit(out, "file");
	jout_string(out, program->elf->path);
	jout_key_lit(out, "go");
	write_string_or_null(out, program->build->version);
	jout_key_lit(out, "build_id");
	write_string_or_null(out, program->elf->build_id);
	if (program->debug) {
		jout_key_lit(out, "debug_file");
		jout_string(out, program->debug->path);
	}
	jout_key_lit(out, "pie");
	jout_bool(out, program->elf->pie);
	jout_key_lit(out, "arch");
	jout_string(out, program->elf->arch == ELF_ARCH_ARM64 ? "arm64" : "amd64");
}

struct err *command_func_notfound(struct program *program, const char *name)
{
	const char *near[SUGGESTIONS_MAX], *what = func_pattern_is_wild(name) ? "no function matches" : "no function";
	size_t n = func_table_suggest(program->funcs, name, near, SUGGESTIONS_MAX);

	switch (n) {
	case 0:
		return err_create(ERR_NOTFOUND, "%s '%s' in %s", what, name, program->elf->path);
	case 1:
		return err_create(ERR_NOTFOUND, "%s '%s' in %s" COMMAND_HINT_MARK "did you mean '%s'?", what, name,
				  program->elf->path, near[0]);
	case 2:
		return err_create(ERR_NOTFOUND, "%s '%s' in %s" COMMAND_HINT_MARK "did you mean '%s' or '%s'?", what,
				  name, program->elf->path, near[0], near[1]);
	default:
		return err_create(ERR_NOTFOUND, "%s '%s' in %s" COMMAND_HINT_MARK "did you mean '%s', '%s' or '%s'?",
				  what, name, program->elf->path, near[0], near[1], near[2]);
	}
}
