/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "debug_file.h"
#include "disassembler.h"
#include "elf_priv.h"
#include "plan.h"

#define DYNAMIC_MAX (64 << 10) /* bytes of the dynamic section that are looked at: it has some thirty entries of 16 */

/* Debug information of another file, if it fits; the names in its symbol table then complete those of the function table. */
static struct err *use_debug(struct program *program)
{
	struct err *err = dwarf_info_open(program->debug, &program->dwarf);

	if (!err)
		err = debug_file_check(program->elf, program->funcs, program->debug, program->dwarf);
	if (!err && !elf_file_find_section(program->elf, ".symtab"))
		err = func_table_add_symbols(program->funcs, program->elf, program->debug);
	return err;
}

static void drop_debug(struct program *program)
{
	dwarf_info_destroy(program->dwarf);
	elf_file_destroy(program->debug);
	program->dwarf = NULL;
	program->debug = NULL;
}

/* A file that was named must fit; what is wrong with it is an error. */
static struct err *open_given(struct program *program, const char *path)
{
	struct err *err = elf_file_open(path, &program->debug);

	if (err)
		return err;
	err = use_debug(program);
	if (err && err->code == ERR_USAGE)
		return err_wrap(err, "the debug file %s does not fit %s", path, program->elf->path);
	return err;
}

/* One that was found by itself and does not fit is as good as none; `debug_why` says so. */
static struct err *find_debug(struct program *program)
{
	struct err *err = debug_file_find(program->elf, &program->debug, &program->debug_why);

	if (err || !program->debug)
		return err;
	free(program->debug_why); /* of one that was tried before */
	program->debug_why = NULL;
	err = use_debug(program);
	if (!err)
		return NULL;
	if (err->code != ERR_NOMEM &&
	    asprintf(&program->debug_why, "%s is not taken: it does not fit: %s", program->debug->path, err->msg) < 0)
		program->debug_why = NULL;
	drop_debug(program);
	if (err->code == ERR_NOMEM)
		return err;
	err_destroy(err);
	return program->debug_why ? NULL : &err_nomem;
}

/* A position-independent program says so in DT_FLAGS_1, or names an interpreter; a library does neither. */
static bool looks_like_program(struct elf_file *elf)
{
	const struct elf_priv *priv = elf->priv;

	if (!elf->pie || elf->has_interp)
		return true;
	for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= priv->dynamic_size && at < DYNAMIC_MAX;
	     at += sizeof(Elf64_Dyn)) {
		Elf64_Dyn entry;
		struct err *err = elf_file_read(elf, priv->dynamic_vaddr + at, &entry, sizeof(entry));

		if (err) {
			err_destroy(err);
			return false;
		}
		if (entry.d_tag == DT_FLAGS_1)
			return entry.d_un.d_val & DF_1_PIE;
	}
	return false;
}

/* Libraries with Go in them begin elsewhere, share a run-time system or have several: their probes are another matter. */
static struct err *refuse_library(struct program *program)
{
	static const char *const modes[] = { "c-shared", "plugin", "shared" };
	const struct go_build *build = program->build;

	for (size_t i = 0; i < build->n_settings; i++)
		for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++)
			if (!strcmp(build->settings[i].path, "-buildmode") &&
			    !strcmp(build->settings[i].version, modes[m]))
				return err_create(ERR_UNSUPPORTED,
						  "%s is a library (-buildmode=%s): only programs can be traced",
						  program->elf->path, modes[m]);
	if (looks_like_program(program->elf))
		return NULL;
	return err_create(ERR_UNSUPPORTED, "%s is a library: only programs can be traced", program->elf->path);
}

/* Go 1.17 alone lets one switch the register convention off again, and then notes it behind its version (internal/buildcfg). */
static struct err *refuse_experiment(const struct program *program)
{
	const struct go_build *build = program->build;

	if (build->minor != 17 || !strstr(build->version, "noregabi"))
		return NULL;
	return err_create(ERR_UNSUPPORTED,
			  "%s was built by Go 1.17 with GOEXPERIMENT=noregabi: how it calls is not known",
			  program->elf->path);
}

struct err *program_open(const char *path, const char *debug_file, struct program **ret)
{
	struct program *program = calloc(1, sizeof(*program));
	struct err *err;

	if (!program)
		return &err_nomem;
	err = elf_file_open(path, &program->elf);
	if (!err)
		err = go_build_read(program->elf, &program->build);
	if (!err)
		err = refuse_library(program);
	if (!err)
		err = refuse_experiment(program);
	if (!err)
		err = func_table_read(program->elf, &program->funcs);
	if (!err && debug_file)
		err = open_given(program, debug_file);
	else if (!err && !elf_file_find_section(program->elf, ".debug_info"))
		err = find_debug(program);
	if (err) {
		program_destroy(program);
		return err;
	}
	*ret = program;
	return NULL;
}

struct err *program_debug_file(const char *path, char **ret)
{
	struct elf_file *elf _cleanup_elf_ = NULL, *found _cleanup_elf_ = NULL;
	char *why _cleanup_free_ = NULL, *name = NULL;
	struct err *err = elf_file_open(path, &elf);

	if (!err && !elf_file_find_section(elf, ".debug_info"))
		err = debug_file_find(elf, &found, &why);
	if (err)
		return err;
	if (found) {
		name = strdup(found->path);
		if (!name)
			return &err_nomem;
	}
	*ret = name;
	return NULL;
}

void program_destroy(struct program *program)
{
	if (!program)
		return;
	dwarf_info_destroy(program->dwarf);
	func_table_destroy(program->funcs);
	go_build_destroy(program->build);
	elf_file_destroy(program->debug);
	elf_file_destroy(program->elf);
	free(program->debug_why);
	free(program);
	disassembler_close();
}

struct err *program_dwarf(struct program *program, struct dwarf_info **ret)
{
	if (!program->dwarf) {
		struct err *err = dwarf_info_open(program->elf, &program->dwarf);

		if (err && err->code == ERR_NO_DWARF && program->debug_why) {
			struct err *e = err_create(ERR_NO_DWARF, "%s; %s", err->msg, program->debug_why);
			err_destroy(err);
			return e;
		}
		if (err)
			return err;
	}
	*ret = program->dwarf;
	return NULL;
}
