/* SPDX-License-Identifier: Apache-2.0 */
/* The command `offsets`: what is known about a Go program's file, as JSON. Needs no root and runs nothing of the
 * file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"

enum exit_code { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOTHING = 3 };

static const struct command {
	const char *name, *args, *what;
	struct err *(*run)(struct program *program, int argc, char **argv, struct jout *out);
} commands[] = {
	{ "functions", "FILE [PATTERN]", "functions with their addresses, files and lines", command_functions },
	{ "params", "FILE FUNC [--pc ADDR]", "parameters and results of a function, and where they are",
	  command_params },
	{ "type", "FILE TYPE", "a type with its fields", command_type },
	{ "sites", "FILE FUNC", "where calls and returns of a function can be probed", command_sites },
	{ "plan", "FILE FUNC [OPTION …]", "what a probe on a function reads; --args EXPR: only what it leads to",
	  command_plan },
	{ "walk", "FILE", "how many parameters there are, and of how many the place is told", command_walk },
};

#define N_COMMANDS (sizeof(commands) / sizeof(*commands))

static void print_usage(FILE *f)
{
	fprintf(f, "usage: offsets COMMAND FILE [ARGUMENT …]\n"
		   "       offsets --debug-file DEBUGFILE COMMAND FILE [ARGUMENT …]\n\n"
		   "Prints as JSON what is known about a Go program from its file.\n\n"
		   "examples:\n"
		   "  offsets functions ./tracee 'main.*'\n"
		   "  offsets params ./tracee main.ebpfDemo\n\n"
		   "commands:\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(f, "  %-9s %-26s %s\n", commands[i].name, commands[i].args, commands[i].what);
	fprintf(f, "\nexit: 0 done, 1 failed, 2 wrong usage or FILE cannot be read, 3 FILE is no Go program for amd64 "
		   "or does not have it\n");
}

static enum exit_code exit_code_of(const struct err *err)
{
	switch (err->code) {
	case ERR_USAGE:
	case ERR_IO:
		return EXIT_USAGE;
	case ERR_NOTFOUND:
	case ERR_NOLOC:
	case ERR_MALFORMED:
	case ERR_UNSUPPORTED:
	case ERR_NOT_ELF:
	case ERR_ARCH:
	case ERR_NOT_GO:
	case ERR_NO_DWARF:
	case ERR_INLINED:
		return EXIT_NOTHING;
	default:
		return EXIT_FAILED;
	}
}

/* What to do about it, where the error does not say it itself. */
static const char *hint_of(const struct err *err)
{
	switch (err->code) {
	case ERR_NOT_ELF:
	case ERR_NOT_GO:
		return "FILE is the executable that 'go build' makes";
	case ERR_MALFORMED:
		return "was FILE copied completely? build or copy it again";
	case ERR_NO_DWARF:
		return "build it without -ldflags=-w or -s, do not strip it, or name its debug file: --debug-file";
	default:
		return NULL;
	}
}

/* What kind, the place in an expression where there is one, what to do. Consumes err. */
static enum exit_code fail(struct err *err)
{
	enum exit_code code = exit_code_of(err);
	char *mark = strstr(err->msg, COMMAND_HINT_MARK);
	const char *hint = hint_of(err);

	if (mark) {
		*mark = '\0';
		hint = mark + strlen(COMMAND_HINT_MARK);
	}
	fprintf(stderr, "error: %s\n", err->msg);
	if (err->line)
		fprintf(stderr, "  %s\n  %*s^\n", err->line, (int)err->column, "");
	if (hint)
		fprintf(stderr, "hint: %s\n", hint);
	err_destroy(err);
	return code;
}

static enum exit_code run(const struct command *command, const char *path, const char *debug_file, int argc,
			  char **argv)
{
	struct program *program;
	enum exit_code code = EXIT_OK;
	struct jout out;
	struct err *err;

	err = program_open(path, debug_file, &program);
	if (err)
		return fail(err);
	jout_init(&out, STDOUT_FILENO);
	err = command->run(program, argc, argv, &out);
	if (err) {
		code = fail(err);
	} else {
		jout_newline(&out);
		err = jout_flush(&out);
		if (err) {
			fail(err);
			code = EXIT_FAILED; /* ERR_IO of the output, not of FILE */
		}
	}
	jout_deinit(&out);
	program_destroy(program);
	return code;
}

int main(int argc, char **argv)
{
	if (argc >= 2 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		print_usage(stdout);
		return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
	}
	const char *debug_file = NULL;
	if (argc >= 3 && !strcmp(argv[1], "--debug-file")) {
		debug_file = argv[2];
		argc -= 2;
		argv += 2;
	}
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (argc < 3) {
			fprintf(stderr, "error: FILE is missing\nhint: offsets %s %s\n", commands[i].name,
				commands[i].args);
			return EXIT_USAGE;
		}
		return (int)run(&commands[i], argv[2], debug_file, argc - 3, argv + 3);
	}
	return (int)fail(
		err_create(ERR_USAGE, "no command '%s'" COMMAND_HINT_MARK "offsets --help lists them", argv[1]));
}
