/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The least that a probe can do: what every figure of the bench is a ratio to. */
#include <uapi/linux/ptrace.h>

int call_empty(struct pt_regs *ctx)
{
	return 0;
}
