/* SPDX-License-Identifier: Apache-2.0 */
/* x86_outline.c against Capstone, on each instruction of each function of a program: prints what they do not agree about, and counts. Then
 * code_read() on each function: prints which it refuses. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <capstone/capstone.h>

#include "elf_file.h"
#include "plan.h"
#include "sites.h"
#include "x86_outline.h"

static size_t n_same, n_not_told, n_capstone_unknown, n_differ;

static bool in_group(const cs_insn *in, uint8_t group)
{
	for (uint8_t i = 0; i < in->detail->groups_count; i++)
		if (in->detail->groups[i] == group)
			return true;
	return false;
}

static enum x86_flow flow_of(const cs_insn *in)
{
	bool direct = in->detail->x86.op_count == 1 && in->detail->x86.operands[0].type == X86_OP_IMM;

	if (in_group(in, CS_GRP_CALL))
		return direct ? X86_FLOW_CALL : X86_FLOW_CALL_IND;
	if (in_group(in, CS_GRP_RET) || in_group(in, CS_GRP_IRET))
		return X86_FLOW_RET;
	if (in->id == X86_INS_JMP || in->id == X86_INS_LJMP)
		return direct ? X86_FLOW_JMP : X86_FLOW_JMP_IND;
	if (in_group(in, CS_GRP_JUMP) || in->id == X86_INS_LOOP || in->id == X86_INS_LOOPE || in->id == X86_INS_LOOPNE)
		return X86_FLOW_JCC;
	if (in->id == X86_INS_UD2 || in->id == X86_INS_HLT || in->id == X86_INS_INT3)
		return X86_FLOW_STOP;
	return X86_FLOW_NEXT;
}

static bool has_target(enum x86_flow flow)
{
	return flow == X86_FLOW_CALL || flow == X86_FLOW_JMP || flow == X86_FLOW_JCC;
}

static void compare(csh cs, cs_insn *in, const char *name, const uint8_t *text, size_t size, uint64_t addr)
{
	while (size) {
		const uint8_t *p = text;
		size_t left = size;
		uint64_t next = addr;
		struct x86_outline outline;
		bool told = x86_outline_read(text, size, &outline), known = cs_disasm_iter(cs, &p, &left, &next, in);
		size_t step = known ? in->size : told ? outline.size : 1;

		if (!known) {
			n_capstone_unknown++;
		} else if (!told) {
			n_not_told++;
		} else if (outline.size != in->size || outline.flow != flow_of(in) ||
			   (has_target(outline.flow) &&
			    addr + (uint64_t)outline.target != (uint64_t)in->detail->x86.operands[0].imm)) {
			n_differ++;
			printf("%s+%#" PRIx64 ": %u bytes, flow %u; Capstone: %u bytes, %s %s\n", name, addr,
			       outline.size, outline.flow, in->size, in->mnemonic, in->op_str);
		} else {
			n_same++;
		}
		text += step;
		size -= step;
		addr += step;
	}
}

int main(int argc, char **argv)
{
	struct program *program;
	struct err *err = argc == 2 ? program_open(argv[1], NULL, &program) : &err_notfound;
	size_t n_funcs = 0;
	csh cs;

	if (err || cs_open(CS_ARCH_X86, CS_MODE_64, &cs) != CS_ERR_OK)
		return 2;
	cs_option(cs, CS_OPT_DETAIL, CS_OPT_ON);
	cs_insn *in = cs_malloc(cs);
	for (size_t i = 0; i < program->funcs->n; i++) {
		const struct func *f = &program->funcs->v[i];
		struct code *code = NULL;

		if (!(f->source & FUNC_PCLNTAB))
			continue;
		n_funcs++;
		err = code_read(program->elf, program->funcs, f, &code);
		if (err) {
			printf("refused: %s: %s\n", f->name, err->msg);
			err_destroy(err);
		}
		code_destroy(code);
		uint8_t *text = malloc(f->end - f->entry);
		if (text && !elf_file_read(program->elf, f->entry, text, f->end - f->entry))
			compare(cs, in, f->name, text, f->end - f->entry, f->entry);
		free(text);
	}
	printf("functions %zu same %zu differ %zu not_told %zu capstone_unknown %zu\n", n_funcs, n_same, n_differ,
	       n_not_told, n_capstone_unknown);
	cs_free(in, 1);
	cs_close(&cs);
	program_destroy(program);
	return 0;
}
