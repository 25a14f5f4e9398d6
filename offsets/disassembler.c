/* SPDX-License-Identifier: Apache-2.0 */
#include "disassembler.h"

static _Thread_local csh handle;
static _Thread_local cs_insn *insn;

struct err *disassembler_open(csh *cs_ret, cs_insn **insn_ret)
{
	if (!insn) {
		if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
			return &err_nomem;
		cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
		insn = cs_malloc(handle);
		if (!insn) {
			cs_close(&handle);
			return &err_nomem;
		}
	}
	*cs_ret = handle;
	*insn_ret = insn;
	return NULL;
}

void disassembler_close(void)
{
	if (!insn)
		return;
	cs_free(insn, 1);
	cs_close(&handle);
	insn = NULL;
}

int x86_gpr(unsigned reg, uint32_t *width_ret)
{
	static const struct {
		uint16_t r64, r32, r16, r8;
	} regs[16] = {
		{ X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL },
		{ X86_REG_RBX, X86_REG_EBX, X86_REG_BX, X86_REG_BL },
		{ X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL },
		{ X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL },
		{ X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL },
		{ X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B },
		{ X86_REG_R9, X86_REG_R9D, X86_REG_R9W, X86_REG_R9B },
		{ X86_REG_R10, X86_REG_R10D, X86_REG_R10W, X86_REG_R10B },
		{ X86_REG_R11, X86_REG_R11D, X86_REG_R11W, X86_REG_R11B },
		{ X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL },
		{ X86_REG_R12, X86_REG_R12D, X86_REG_R12W, X86_REG_R12B },
		{ X86_REG_R13, X86_REG_R13D, X86_REG_R13W, X86_REG_R13B },
		{ X86_REG_R14, X86_REG_R14D, X86_REG_R14W, X86_REG_R14B },
		{ X86_REG_R15, X86_REG_R15D, X86_REG_R15W, X86_REG_R15B },
		{ X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL },
		{ X86_REG_RSP, X86_REG_ESP, X86_REG_SP, X86_REG_SPL },
	};
	static const uint16_t high[4] = { X86_REG_AH, X86_REG_BH, X86_REG_CH, X86_REG_DH };
	static const int high_of[4] = { 0, 1, 2, 9 };

	for (int i = 0; i < 16; i++) {
		*width_ret = reg == regs[i].r64   ? 8
			     : reg == regs[i].r32 ? 4
			     : reg == regs[i].r16 ? 2
			     : reg == regs[i].r8  ? 1
						  : 0;
		if (*width_ret)
			return i;
	}
	for (int i = 0; i < 4; i++)
		if (reg == high[i])
			return high_of[i]; /* width 0: only ever overwritten */
	return -1;
}

int x86_xmm(unsigned reg)
{
	if (reg >= X86_REG_XMM0 && reg <= X86_REG_XMM15)
		return reg - X86_REG_XMM0;
	if (reg >= X86_REG_YMM0 && reg <= X86_REG_YMM15)
		return reg - X86_REG_YMM0;
	if (reg >= X86_REG_ZMM0 && reg <= X86_REG_ZMM15)
		return reg - X86_REG_ZMM0;
	return -1;
}
