/* SPDX-License-Identifier: Apache-2.0 */
/* Why could memory not be read at a hit? A plain BPF program reads only pages that are resident; whether the address was good all the
 * same is asked of /proc/PID/maps, when a fault is shown and not before. */
#ifndef COLLECTOR_MAPPINGS_H
#define COLLECTOR_MAPPINGS_H

#include <stdint.h>

struct mappings;

struct mappings *mappings_create(void); /* NULL: no memory */
void mappings_destroy(struct mappings *m);

/* "not resident": a readable mapping holds the address · "bad address": none does · "not resident or bad address": the process has ended,
 * or its id here is not the kernel's. Mappings are remembered for a moment. For one thread. arg: struct mappings. */
const char *mappings_fault_why(void *arg, uint32_t pid, uint64_t addr);

#endif
