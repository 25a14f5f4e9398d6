/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Errors inside BPF programs, counted by place, and log lines that are compiled in on request.
 *
 * -DLOG_LEVEL=1 compiles log_debug in, 2 log_trace too; both write to the kernel's trace_pipe. */
#ifndef BPF_TELEMETRY_H
#define BPF_TELEMETRY_H

#include "opaque.h"

#ifndef LOG_LEVEL
#define LOG_LEVEL 0
#endif

#if LOG_LEVEL >= 1
#define log_debug(fmt, ...) bpf_trace_printk("gopherscope: " fmt "\n", ##__VA_ARGS__)
#else
#define log_debug(fmt, ...)                                                                                            \
	do {                                                                                                           \
	} while (0)
#endif
#if LOG_LEVEL >= 2
#define log_trace(fmt, ...) bpf_trace_printk("gopherscope: " fmt "\n", ##__VA_ARGS__)
#else
#define log_trace(fmt, ...)                                                                                            \
	do {                                                                                                           \
	} while (0)
#endif

BPF_HASH(telemetry, struct telemetry_key, u64, TELEMETRY_MAX);

/* Count one error at this place. Cold: called only where something failed. */
static __always_inline void telemetry_count(u16 file, u16 line, s32 error)
{
	/* a struct telemetry_key, in one word (opaque.h) */
	u64 key = file | (u64)line << 16 | (u64)(u32)error << 32, other = 0, one = 1;

	opaque(key);
	u64 *n = telemetry.lookup((struct telemetry_key *)&key);

	if (!n) {
		/* insert fails where another CPU was first, and with -E2BIG where the map is full */
		if (!telemetry.insert((struct telemetry_key *)&key, &one))
			return;
		n = telemetry.lookup((struct telemetry_key *)&key);
	}
	if (!n)
		n = telemetry.lookup((struct telemetry_key *)&other);
	if (n)
		__sync_fetch_and_add(n, 1);
}

#endif
