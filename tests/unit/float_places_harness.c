/* SPDX-License-Identifier: Apache-2.0 */
/* track_returns() on each function of an assembled file: for each return the site and the place of
 * each float register that can be read. Functions f32… are asked for 4 bytes, others for 8.
 * Of functions calls… each direct call: where call_floats() says that the caller has them. */
#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callers.h"
#include "elf_file.h"
#include "sites.h"

static struct elf_file *elf;

static void show(const struct code *code, const struct return_site *s)
{
	static const char *const regs[] = { "rax", "rbx", "rcx", "rdi", "rsi", "r8",  "r9",  "r10",
					    "r11", "rdx", "r12", "r13", "r14", "r15", "rbp", "rsp" };

	if (s->insn == s->ret)
		printf(s->sp_cfa == -8 ? " ret" : " ret?");
	else
		printf(" +%" PRIu64 "/%" PRId64, code->insns[s->insn].addr - code->entry, -8 - s->sp_cfa);
	for (int i = 0; i < FLOAT_REGS; i++) {
		const struct float_place *x = &s->x[i];
		if (x->where == FLOAT_REG)
			printf(" x%d=%s", i, regs[x->reg]);
		if (x->where == FLOAT_STACK)
			printf(" x%d=cfa%+" PRId64, i, x->place);
		if (x->where == FLOAT_MEMORY)
			printf(" x%d=[%s%+" PRId64 "]", i, regs[x->reg], x->place);
		if (x->where == FLOAT_CONSTANT)
			printf(" x%d=%#" PRIx64, i, (uint64_t)x->place);
	}
	printf(";");
}

static struct err *show_calls(const struct code *code)
{
	struct float_place x[FLOAT_REGS];
	struct err *err = NULL;

	for (size_t i = 0; i < code->n && !err; i++) {
		const struct insn *in = &code->insns[i];
		if (in->cls != INSN_CALL)
			continue;
		/* not another function's call, nor one in the midst of an instruction */
		for (int k = 0; k <= 1; k++) {
			err = call_floats(code, elf, in->addr + !k, in->target + k, x);
			if (!err || err->code != ERR_NOTFOUND)
				printf(" found?");
			err_destroy(err);
		}
		err = call_floats(code, elf, in->addr, in->target, x);
		printf(" call");
		for (int reg = 0; reg < FLOAT_REGS; reg++) {
			if (x[reg].where == FLOAT_STACK)
				printf(" x%d=sp%+" PRId64 "/%u", reg, x[reg].place, x[reg].size);
			else if (x[reg].where == FLOAT_CONSTANT)
				printf(" x%d=%#" PRIx64 "/%u", reg, (uint64_t)x[reg].place, x[reg].size);
			else if (x[reg].where != FLOAT_LOST)
				printf(" x%d?", reg);
		}
		printf(";");
	}
	return err;
}

static bool one(void *arg, const struct elf_symbol *symbol)
{
	struct func f = { .name = symbol->name, .entry = symbol->value, .end = symbol->value + symbol->size };
	struct func_table *none = arg;
	struct return_site *v = NULL;
	struct code *code = NULL;
	uint8_t sizes[FLOAT_REGS];
	size_t n = 0;

	if (symbol->type != STT_FUNC)
		return true;
	memset(sizes, strncmp(symbol->name, "f32", 3) ? 8 : 4, sizeof(sizes));
	struct err *err = code_read(elf, none, &f, &code);
	printf("%s:", symbol->name);
	if (!err && !strncmp(symbol->name, "calls", 5))
		err = show_calls(code);
	else if (!err)
		err = track_returns(code, elf, sizes, &v, &n);
	if (err)
		printf(" %s", err->msg);
	for (size_t i = 0; i < n; i++)
		show(code, &v[i]);
	printf("\n");
	free(v);
	code_destroy(code);
	err_destroy(err);
	return true;
}

int main(int argc, char **argv)
{
	struct func_table none = { 0 };
	struct err *err = argc == 2 ? elf_file_open(argv[1], &elf) : &err_notfound;

	if (!err)
		err = elf_file_each_symbol(elf, one, &none);
	if (err)
		fprintf(stderr, "%s\n", err->msg);
	elf_file_destroy(elf);
	return err ? 1 : 0;
}
