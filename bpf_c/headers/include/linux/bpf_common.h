/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Instruction fields of classic BPF that BCC's helpers.h refers to (values: the kernel's user interface). */
#ifndef GS_LINUX_BPF_COMMON_H
#define GS_LINUX_BPF_COMMON_H

enum {
	BPF_LD = 0x00, BPF_LDX = 0x01, BPF_ST = 0x02, BPF_STX = 0x03,
	BPF_ALU = 0x04, BPF_JMP = 0x05, BPF_RET = 0x06, BPF_MISC = 0x07,
};
enum { BPF_W = 0x00, BPF_H = 0x08, BPF_B = 0x10 };
enum { BPF_IMM = 0x00, BPF_ABS = 0x20, BPF_IND = 0x40, BPF_MEM = 0x60 };
enum { BPF_K = 0x00, BPF_X = 0x08 };
#define BPF_CLASS(code) ((code) & 0x07)

#endif
