/* SPDX-License-Identifier: Apache-2.0 */
/* --raw-words: what can be shown of a function of which only the code is known, the words where integers and pointers may stand. */
#include <stdio.h>
#include <stdlib.h>

#include "plan_build.h"

#define STACK_WORDS_MAX 16   /* of the caller's frame, where arguments are on the stack: more is no use to anybody */
#define RESULT_REGISTERS 4   /* results take more than these only where a value of many words is returned */
#define ARGUMENT_REGISTERS 9 /* amd64, ABIInternal */

static const char *const registers[ARGUMENT_REGISTERS] = {
	"rax", "rbx", "rcx", "rdi", "rsi", "r8", "r9", "r10", "r11"
};

/* "stack0", "stack8": bytes from the first argument. Arguments and results share one area, whose parts are not told apart. */
static struct err *add_stack_words(struct plan_builder *b, struct plan_func *f, uint32_t size, uint32_t type)
{
	uint32_t n = (size + 7) / 8;
	struct err *err = NULL;

	for (uint32_t i = 0; i < n && i < STACK_WORDS_MAX && !err; i++) {
		char name[32];

		snprintf(name, sizeof(name), "stack%u", 8 * i);
		err = plan_add_var(b, name, false, f->n_params++, type);
	}
	return err;
}

static struct err *add_registers(struct plan_builder *b, struct plan_func *f, uint32_t type)
{
	struct err *err = NULL;

	for (uint32_t i = 0; i < ARGUMENT_REGISTERS && !err; i++)
		err = plan_add_var(b, registers[i], false, f->n_params++, type);
	f->first_result = b->plan->n_vars;
	for (uint32_t i = 0; i < RESULT_REGISTERS && !err; i++)
		err = plan_add_var(b, registers[i], true, f->n_results++, type);
	return err;
}

struct err *plan_raw_signature(struct plan_builder *b, struct plan_func *f, const struct func *func,
			       struct abi_layout *abi_ret, size_t *n_params_ret)
{
	uint32_t *types _cleanup_free_ = NULL;
	uint32_t size = 0, type;
	struct err *err = func_table_args_size(b->program->funcs, func, &size);

	if (err) {
		bool memory = err->code == ERR_NOMEM;
		if (memory)
			return err;
		err_destroy(err);
		if (f->abi == GO_ABI0)
			return plan_warn(b, f,
					 "assembly that does not tell how many arguments it has: no words are shown");
		size = 1;
	}
	f->first_param = f->first_result = b->plan->n_vars;
	f->has_types = 1;
	if (!size)
		return NULL;
	err = plan_word_type(b, &type);
	if (!err)
		err = f->abi == GO_ABI0 ? add_stack_words(b, f, size, type) : add_registers(b, f, type);
	if (err)
		return err;
	if (f->abi == GO_ABI0)
		f->first_result = b->plan->n_vars;
	types = calloc(f->n_params + f->n_results + 1, sizeof(*types));
	if (!types)
		return &err_nomem;
	for (uint32_t i = 0; i < f->n_params + f->n_results; i++)
		types[i] = type;
	*n_params_ret = f->n_params;
	err = abi_assign(&b->plan->types, f->abi, types, f->n_params, f->n_results, abi_ret);
	if (err)
		return err;
	return plan_warn(b, f,
			 f->abi == GO_ABI0
				 ? "raw words: which of them are arguments, and which results, is not known"
				 : "raw words: the integer registers as they are; how many of them are arguments or "
				   "results is not known, and floats are in others");
}
