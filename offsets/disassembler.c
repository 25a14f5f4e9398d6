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
