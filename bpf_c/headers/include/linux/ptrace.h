/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The registers of a user task as a uprobe program's context has them (amd64): the order is the kernel's user ABI. */
#ifndef GS_LINUX_PTRACE_H
#define GS_LINUX_PTRACE_H

#include <linux/types.h>

struct pt_regs {
	unsigned long r15, r14, r13, r12;
	unsigned long bp, bx;
	unsigned long r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di;
	unsigned long orig_ax;
	unsigned long ip, cs, flags, sp, ss;
};

#endif
