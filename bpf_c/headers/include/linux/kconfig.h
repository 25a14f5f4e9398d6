/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* BCC includes this first and asks it for these two. */
#define CONFIG_BPF_SYSCALL 1
#define CONFIG_X86_64 1
