/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What watch.bpf.c tells user space. */
#ifndef BPF_WATCH_H
#define BPF_WATCH_H

#ifndef __BPF_TRACER__
#include <linux/types.h>
#endif

enum watch_source { WATCH_EXEC, WATCH_EXIT, WATCH_LISTEN, WATCH_BIND, WATCH_SOURCES };

struct watch_event {
	__u32 kind; /* enum watch_source */
	__u32 pid;
	__u32 port; /* WATCH_BIND; 0: not told */
	__u32 reserved;
};

#endif
