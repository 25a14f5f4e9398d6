/* SPDX-License-Identifier: Apache-2.0 */
/* Events of processes and ports, for discovery: programs on raw tracepoints and, where there are kprobes, on security_socket_bind. */
#ifndef COLLECTOR_WATCH_H
#define COLLECTOR_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "../bpf_c/watch.h"
#include "../offsets/error.h"

struct watch;

/* blob: what the compiler made of watch.bpf.c (format: blob.h). What this kernel lacks is left out, see watch_missing(); ERR_KERNEL,
 * ERR_PRIVILEGE where nothing of it can be had. */
struct err *watch_open(const void *blob, size_t size, struct watch **ret);
void watch_close(struct watch *w); /* NULL is legal */

/* Why this kernel does not tell of one source (enum watch_source), in one line; "" where it does. */
const char *watch_missing(const struct watch *w, uint32_t source);

/* For poll(): readable when there are events. */
int watch_fd(const struct watch *w);

/* At most `max` events, oldest first; how many. */
size_t watch_take(struct watch *w, struct watch_event *events, size_t max);

/* Events for which there was no room so far. */
uint64_t watch_lost(const struct watch *w);

#endif
