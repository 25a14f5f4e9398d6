/* SPDX-License-Identifier: Apache-2.0 */
/* --raw-words: what can be shown of a function of which only the code is known, the words where integers and pointers may stand. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* At the return the same words hold the results. */
static struct err *repeat_at_return(struct plan_builder *b, struct plan_func *f, struct abi_layout *abi)
{
	struct abi_value *values = reallocarray(abi->values, 2 * abi->n_values + 1, sizeof(*values));
	uint32_t n = f->n_params;

	if (!values)
		return &err_nomem;
	abi->values = values;
	memcpy(values + n, values, n * sizeof(*values));
	abi->n_values = 2 * n;
	f->first_result = b->plan->n_vars;
	for (uint32_t i = 0; i < n; i++) {
		struct plan_var var = b->plan->vars[f->first_param + i];
		struct err *err = plan_append(b, vars, var);

		if (err)
			return err;
		f->n_results++;
	}
	return NULL;
}

struct err *plan_raw_signature(struct plan_builder *b, struct plan_func *f, const struct func *func,
			       struct abi_layout *abi_ret, size_t *n_params_ret)
{
	uint32_t *types _cleanup_free_ = NULL;
	uint32_t size = 0, type;
	struct err *err = func_table_args_size(b->program->funcs, func, &size);
	bool on_stack = f->abi == GO_ABI0;

	if (err && err->code == ERR_NOMEM)
		return err;
	bool unknown = err != NULL;
	err_destroy(err);
	if (!b->abi.certain || (unknown && on_stack))
		return plan_warn(b, f, "assembly that does not tell how it is called: its words are not known");
	f->first_param = f->first_result = b->plan->n_vars;
	f->has_types = 1;
	if (!size && !unknown)
		return NULL;
	err = plan_word_type(b, &type);
	if (!err)
		err = on_stack ? add_stack_words(b, f, size, type) : add_registers(b, f, type);
	if (err)
		return err;
	types = calloc(f->n_params + f->n_results + 1, sizeof(*types));
	if (!types)
		return &err_nomem;
	for (uint32_t i = 0; i < f->n_params + f->n_results; i++)
		types[i] = type;
	*n_params_ret = f->n_params;
	err = abi_assign(&b->plan->types, f->abi, types, f->n_params, f->n_results, abi_ret);
	if (!err && on_stack)
		err = repeat_at_return(b, f, abi_ret);
	if (err)
		return err;
	return plan_warn(b, f,
			 on_stack ? "raw words: the caller's words as they are; which of them are arguments, and which "
				    "results, is "
				    "not known"
				  : "raw words: the integer registers as they are; how many of them are arguments or "
				    "results is not "
				    "known, and floats are in others");
}
