/* SPDX-License-Identifier: Apache-2.0 */
/* What we ask of the running kernel's type information. */
#ifndef COLLECTOR_BTF_H
#define COLLECTOR_BTF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Offset in bytes of thread.fsbase in task_struct (amd64), from /sys/kernel/btf/vmlinux. False where that is not there. */
bool btf_fsbase_offset(uint32_t *offset_ret);

/* Offset in bytes of pid, which is the thread's, in task_struct. */
bool btf_task_pid_offset(uint32_t *offset_ret);

/* The same over BTF bytes (tests): offset of `member` in `type`, or with `inner` of that in the struct that `member` is. */
bool btf_member_offset(const void *btf, size_t size, const char *type, const char *member, const char *inner,
		       uint32_t *offset_ret);

#endif
