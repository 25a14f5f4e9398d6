/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Processes that execute a file, end, bind a port or begin to listen: hints of where user space should look.
 *
 * On raw tracepoints, which every kernel since 4.17 has, and for bind on the function that asks the security modules, where there are
 * kprobes. Wake-ups are wanted here: such events are rare, and each is to be answered at once. */
#define __BPF_TRACER__
#include <uapi/linux/ptrace.h>
#include <linux/types.h>

#ifndef PAGE_SIZE
#define PAGE_SIZE 4096 /* BCC's ring buffer macro wants it */
#endif
#define AF_INET 2
#define AF_INET6 10
#define TCP_LISTEN 10 /* include/net/tcp_states.h */

#include "watch.h"

BPF_RINGBUF_OUTPUT(events, 1);
BPF_ARRAY(lost, u64, 1);

struct raw_arguments {
	u64 args[3];
};

static __always_inline int tell(u32 kind, u32 port)
{
	struct watch_event e = { .kind = kind, .pid = bpf_get_current_pid_tgid() >> 32, .port = port };
	u32 zero = 0;

	if (events.ringbuf_output(&e, sizeof(e), 0)) {
		u64 *n = lost.lookup(&zero);
		if (n)
			__sync_fetch_and_add(n, 1);
	}
	return 0;
}

/* sched_process_exec */
int watch_exec(struct raw_arguments *ctx)
{
	return tell(WATCH_EXEC, 0);
}

/* sched_process_exit: of the first thread only. Where it ends before others, the poll sees the process's end. */
int watch_exit(struct raw_arguments *ctx)
{
	u64 id = bpf_get_current_pid_tgid();

	if (id >> 32 != (u32)id)
		return 0;
	return tell(WATCH_EXIT, 0);
}

/* inet_sock_set_state(sk, old, new): in the process that calls listen(). */
int watch_listen(struct raw_arguments *ctx)
{
	if ((u32)ctx->args[2] != TCP_LISTEN)
		return 0;
	return tell(WATCH_LISTEN, 0);
}

/* security_socket_bind(sock, address, size): the address is the kernel's copy already. */
int watch_bind(struct pt_regs *ctx)
{
	u16 head[2] = {}; /* family, port (big endian); struct sockaddr_in and sockaddr_in6 begin alike */

	if (bpf_probe_read_kernel(head, sizeof(head), (void *)ctx->si))
		return 0;
	if (head[0] != AF_INET && head[0] != AF_INET6)
		return 0;
	return tell(WATCH_BIND, (u32)(u16)(head[1] << 8 | head[1] >> 8));
}
