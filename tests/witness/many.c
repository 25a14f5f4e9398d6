/* SPDX-License-Identifier: Apache-2.0 */
/* Many `offsets` commands on one file in one process, so that hundreds of functions do not each open it anew: many FILE.
 *
 * Each line of stdin is a command and its arguments behind FILE, separated by tabs; for each, one line of JSON is printed: what the
 * command prints, or {"error": …, "code": …}. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../offsets/commands.h"

#define ARGS_MAX 8

static struct err *run(struct program *program, char *line, struct jout *out)
{
	char *argv[ARGS_MAX + 1];
	int argc = 0;

	for (char *save, *arg = strtok_r(line, "\t\n", &save); arg && argc < ARGS_MAX; arg = strtok_r(NULL, "\t\n", &save))
		argv[argc++] = arg;
	if (argc && !strcmp(argv[0], "params"))
		return command_params(program, argc - 1, argv + 1, out);
	if (argc && !strcmp(argv[0], "sites"))
		return command_sites(program, argc - 1, argv + 1, out);
	if (argc && !strcmp(argv[0], "plan"))
		return command_plan(program, argc - 1, argv + 1, out);
	return err_create(ERR_USAGE, "no command");
}

int main(int argc, char **argv)
{
	struct program *program;
	char *line _cleanup_free_ = NULL;
	struct jout out;
	size_t cap = 0;
	struct err *err = argc == 2 ? program_open(argv[1], NULL, &program) : err_create(ERR_USAGE, "many FILE");

	if (err) {
		fprintf(stderr, "error: %s\n", err->msg);
		err_destroy(err);
		return 1;
	}
	jout_init(&out, STDOUT_FILENO);
	while (!err && getline(&line, &cap, stdin) > 0) {
		struct err *failed = run(program, line, &out);

		if (failed) {
			jout_reset(&out);
			jout_object_begin(&out);
			jout_key_lit(&out, "error");
			jout_string(&out, failed->msg);
			jout_key_lit(&out, "code");
			jout_string(&out, err_code_name(failed->code));
			jout_object_end(&out);
			err_destroy(failed);
		}
		jout_newline(&out);
		err = jout_flush(&out);
	}
	jout_deinit(&out);
	program_destroy(program);
	if (err) {
		fprintf(stderr, "error: %s\n", err->msg);
		err_destroy(err);
		return 1;
	}
	return 0;
}
