/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Integer types under the kernel's names, for programs that BCC compiles without the kernel's headers. */
#ifndef GS_LINUX_TYPES_H
#define GS_LINUX_TYPES_H

typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
typedef __s64 int64_t;

/* BCC's helpers.h names these in its declarations of helpers and protocol headers. */
typedef __u16 __le16, __be16, __sum16;
typedef __u32 __le32, __be32, __wsum;
typedef __u64 __le64, __be64;
typedef __u64 __aligned_u64 __attribute__((aligned(8)));

typedef unsigned long size_t;
typedef long ssize_t;
typedef unsigned long uintptr_t;
typedef int pid_t;
typedef _Bool bool;

#ifndef NULL
#define NULL ((void *)0)
#endif
#define true 1
#define false 0
#define __always_inline inline __attribute__((always_inline))

#endif
