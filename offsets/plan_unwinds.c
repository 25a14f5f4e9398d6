/* SPDX-License-Identifier: Apache-2.0 */
/* Where calls end that do not return: which instructions of the run-time system tell that a panic was recovered, that none was, that a
 * goroutine was ended by Goexit. All are passed at such an end only, so they cost a call nothing. */
#include <string.h>

#include "plan_build.h"

static uint8_t g_source(const struct plan_builder *b)
{
	return b->plan->binary.go_minor >= 0 && b->plan->binary.go_minor < 17 ? G_TLS : G_R14;
}

static struct err *set_unwind(struct plan_builder *b, enum site_kind kind, uint64_t addr)
{
	struct plan_unwind *u = &b->plan->binary.unwinds[kind - SITE_RECOVERY];

	u->addr = addr;
	u->g_source = g_source(b);
	return elf_file_offset(b->program->elf, addr, &u->file_off);
}

/* The one instruction of `func` that calls `callee`, whose arguments are on the stack where `on_stack`. ERR_UNSUPPORTED where there is none
 * or more than one. */
static struct err *find_call(struct plan_builder *b, const struct func *func, const char *callee, bool on_stack,
			     uint64_t *addr_ret)
{
	struct code *code = NULL;
	struct func_abi abi;
	size_t n = 0;
	struct err *err = code_read(b->program->elf, b->program->funcs, func, &code);

	for (size_t i = 0; !err && i < code->n; i++) {
		const struct insn *in = &code->insns[i];
		const struct func *to;

		if (in->cls != INSN_CALL)
			continue;
		to = func_table_find_addr(b->program->funcs, in->target);
		if (!to || to->entry != in->target || strcmp(to->name, callee) != 0)
			continue;
		err = func_abi_find(b->program, to, &abi);
		if (!err && on_stack && abi.abi != GO_ABI0)
			continue;
		*addr_ret = in->addr;
		n++;
	}
	code_destroy(code);
	if (!err && n != 1)
		err = err_create(ERR_UNSUPPORTED, "%s does not call %s as in the versions known", func->name, callee);
	return err;
}

/* runtime/panic.go, of Go 1.13 to 1.27: recovery() ends with gogo(&gp.sched), in which is where the goroutine goes on; Goexit() ends with
 * goexit1(). */
static struct err *find_unwind(struct plan_builder *b, enum site_kind kind)
{
	static const struct {
		const char *func, *callee; /* callee NULL: the first instruction */
		bool on_stack;
	} places[PLAN_UNWINDS] = {
		[SITE_RECOVERY - SITE_RECOVERY] = { "runtime.recovery", "runtime.gogo", true },
		[SITE_FATAL_PANIC - SITE_RECOVERY] = { "runtime.fatalpanic", NULL, false },
		[SITE_GOEXIT - SITE_RECOVERY] = { "runtime.Goexit", "runtime.goexit1", false },
	};
	const char *callee = places[kind - SITE_RECOVERY].callee;
	const struct func *func;
	uint64_t addr;
	struct err *err = NULL;

	/* The linker leaves out what nothing calls. */
	if (!func_table_find_name(b->program->funcs, places[kind - SITE_RECOVERY].func, &func, 1))
		return NULL;
	addr = func->entry;
	if (callee)
		err = find_call(b, func, callee, places[kind - SITE_RECOVERY].on_stack, &addr);
	return err ? err : set_unwind(b, kind, addr);
}

struct err *plan_find_unwinds(struct plan_builder *b, bool gobuf_known)
{
	struct plan_binary *bin = &b->plan->binary;

	for (int kind = SITE_RECOVERY; kind <= SITE_GOEXIT; kind++) {
		struct err *err = kind == SITE_RECOVERY && !gobuf_known
					  ? err_create(ERR_UNSUPPORTED, "runtime.gobuf is unlike that of any known "
									"Go version")
					  : find_unwind(b, kind);
		if (!err)
			continue;
		bin->unwinds[kind - SITE_RECOVERY] = (struct plan_unwind){ 0 };
		if (err->code == ERR_NOMEM)
			return err;
		struct err *e = plan_intern(b, err->msg, &bin->unwinds_why);
		err_destroy(err);
		if (e)
			return e;
	}
	return NULL;
}
