/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions: two bytes that choose a function of a Go program (FUZZ_PROGRAM; without it that of the examples), then the text. What parses
 * is given types, and made a plan of. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../offsets/plan.h"
#include "fuzz.h"

static struct program *open_program(void)
{
	const char *path = getenv("FUZZ_PROGRAM");
	struct program *program = NULL;
	struct dwarf_info *dw;
	struct err *err = program_open(path ? path : "examples/tracee/tracee", NULL, &program);

	if (!err)
		err = program_dwarf(program, &dw);
	if (err) {
		fprintf(stderr, "fuzz_expression: %s\n", err->msg);
		exit(1);
	}
	return program;
}

static void check(struct err *err)
{
	if (err && err->code == ERR_MALFORMED) {
		fprintf(stderr, "fuzz_expression: %s\n", err->msg);
		abort(); /* the program is whole: what was made of it contradicts itself */
	}
	err_destroy(err);
}

static void plan_with(struct program *program, const struct func *func, const char *text)
{
	struct plan_options options = { .args = true,
					.results = true,
					.returns = true,
					.string_size = 64,
					.depth = 1,
					.elements = 4,
					.expressions = &text,
					.n_expressions = 1 };
	struct plan *plan = NULL;
	struct err *err = plan_create(program, &func->name, 1, NULL, 0, &options, &plan);

	if (err) {
		err_destroy(err); /* mostly: it does not fit */
		return;
	}
	check(plan_check(plan));
	plan_destroy(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct program *program;
	struct expression_list list = { 0 };
	char text[EXPR_TEXT_MAX + 16] = { 0 };

	if (!program)
		program = open_program();
	if (size < 2 || size - 2 >= sizeof(text))
		return 0;
	memcpy(text, data + 2, size - 2);
	struct err *err = expression_list_parse(&list, text);
	expression_list_deinit(&list);
	if (!err)
		plan_with(program, &program->funcs->v[(data[0] | data[1] << 8) % program->funcs->n], text);
	err_destroy(err);
	return 0;
}
