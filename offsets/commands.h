/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `offsets`. Each has a file cmd_*.c of its own; main.c holds their table, opens FILE and prints
 * errors.
 *
 * argv[0] … argv[argc - 1] are the arguments that stand after FILE. A command writes one JSON value to `out`,
 * without the newline; main.c adds that and flushes. What was written before an error is dropped. Wrong arguments:
 * ERR_USAGE.
 */
#ifndef OFFSETS_COMMANDS_H
#define OFFSETS_COMMANDS_H

#include "json_out.h"
#include "plan.h"

struct err *command_functions(struct program *program, int argc, char **argv, struct jout *out); /* [PATTERN] */
struct err *command_params(struct program *program, int argc, char **argv, struct jout *out);    /* FUNC [--pc ADDR] */
struct err *command_type(struct program *program, int argc, char **argv, struct jout *out);      /* TYPE */
struct err *command_sites(struct program *program, int argc, char **argv, struct jout *out);     /* FUNC */
struct err *command_plan(struct program *program, int argc, char **argv, struct jout *out);      /* FUNC */
struct err *command_walk(struct program *program, int argc, char **argv, struct jout *out);

/* Members "file", "go", "build_id", "pie", "arch" of the object that is open in `out`. */
void command_write_file(struct program *program, struct jout *out);

/* ERR_NOTFOUND "function 'x' not found in FILE" with a second line "did you mean 'y'?" for main.c to print as a hint
 * (see command_hint_mark). For a function name or a pattern that matches nothing. */
struct err *command_func_notfound(struct program *program, const char *name);

/* In an error's message: what stands after this text is printed as a hint of its own. */
#define COMMAND_HINT_MARK "; hint: "

#endif
