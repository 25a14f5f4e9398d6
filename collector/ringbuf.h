/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF ring buffer as user space sees it (linux/bpf.h, BPF_MAP_TYPE_RINGBUF; layout: kernel/bpf/ringbuf.c, a stable interface).
 *
 * Not libbcc_bpf's: that one gives each record's place back on its own, and each such store takes the cache line away from the programs
 * that reserve. Here it is given back in batches. */
#ifndef COLLECTOR_RINGBUF_H
#define COLLECTOR_RINGBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../offsets/error.h"

struct ringbuf;

/* `fd` is the map, `size` its bytes (a power of two). ERR_KERNEL. */
struct err *ringbuf_open(int fd, size_t size, struct ringbuf **ret);
void ringbuf_close(struct ringbuf *r);

/* Hand over what is submitted, oldest first, aligned to 8, until there is none or fn returns false: the record it returned false for is
 * taken too. The bytes are the kernel's again when this returns. */
void ringbuf_take(struct ringbuf *r, bool (*fn)(void *arg, const void *data, size_t size), void *arg);

/* Where what is reserved by now ends; has all before such a place been taken? A record that is not submitted yet holds up those behind it. */
unsigned long ringbuf_end(const struct ringbuf *r);
bool ringbuf_taken(const struct ringbuf *r, unsigned long place);

#endif
