/* SPDX-License-Identifier: Apache-2.0 */
#include "mappings.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "internal.h"

#define SLOTS 8            /* processes remembered */
#define RANGES_MAX 262144u /* of one process; vm.max_map_count is usually a quarter of it */
#define LINE_SIZE 4352     /* PATH_MAX, and the numbers before it */
#define USER_FIRST                                                                                                     \
	4096 /* the first page is never mapped (vm.mmap_min_addr), and nil pointers with an offset lead there */
#define FRESH_NS                                                                                                       \
	1000000 /* a list is read again at the earliest after this time, and after COST times what reading it took */
#define COST 10
#define INITIAL_PID_NS 0xeffffffcu /* inode of the machine's own pid namespace (include/linux/proc_ns.h) */

struct range {
	uint64_t start, end;
};

struct process_map {
	uint32_t pid; /* 0: free */
	size_t n, room;
	struct range *ranges; /* in order; neighbours are one */
	uint64_t next_ns;     /* CLOCK_MONOTONIC: not to be read again before */
};

struct mappings {
	bool pids_are_the_kernels;
	struct process_map slots[SLOTS];
};

struct mappings *mappings_create(void)
{
	struct mappings *m = calloc(1, sizeof(*m));
	struct stat st;

	if (m)
		m->pids_are_the_kernels = !stat("/proc/self/ns/pid", &st) && st.st_ino == INITIAL_PID_NS;
	return m;
}

void mappings_destroy(struct mappings *m)
{
	if (!m)
		return;
	for (int i = 0; i < SLOTS; i++)
		free(m->slots[i].ranges);
	free(m);
}

static bool add_range(struct process_map *p, uint64_t start, uint64_t end)
{
	if (p->n && p->ranges[p->n - 1].end == start) {
		p->ranges[p->n - 1].end = end;
		return true;
	}
	if (p->n == p->room) {
		size_t room = p->room ? 2 * p->room : 64;
		struct range *more = p->n < RANGES_MAX ? realloc(p->ranges, room * sizeof(*more)) : NULL;

		if (!more)
			return false;
		p->ranges = more;
		p->room = room;
	}
	p->ranges[p->n++] = (struct range){ start, end };
	return true;
}

/* Read what is mapped readable now. Leaves none where the process has ended. */
static void read_ranges(struct process_map *p, uint32_t pid)
{
	uint64_t begun = monotonic_ns(), now;
	char line[LINE_SIZE];
	FILE *maps;

	p->pid = pid;
	p->n = 0;
	snprintf(line, sizeof(line), "/proc/%" PRIu32 "/maps", pid);
	maps = fopen(line, "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		uint64_t start, end;
		char readable;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %c", &start, &end, &readable) != 3)
			continue;
		if (readable == 'r' && !add_range(p, start, end))
			break;
	}
	if (maps)
		fclose(maps);
	now = monotonic_ns();
	p->next_ns = now + FRESH_NS + COST * (now - begun);
}

static bool holds(const struct process_map *p, uint64_t addr)
{
	size_t low = 0, high = p->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (addr < p->ranges[middle].start)
			high = middle;
		else if (addr >= p->ranges[middle].end)
			low = middle + 1;
		else
			return true;
	}
	return false;
}

const char *mappings_fault_why(void *arg, uint32_t pid, uint64_t addr)
{
	struct mappings *m = arg;
	struct process_map *p = &m->slots[pid % SLOTS];

	if (addr < USER_FIRST || addr >> 56)
		return "bad address";
	if (!m->pids_are_the_kernels)
		return "not resident or bad address";
	if (p->pid != pid || (!holds(p, addr) && monotonic_ns() >= p->next_ns))
		read_ranges(p, pid);
	if (!p->n)
		return "not resident or bad address";
	return holds(p, addr) ? "not resident" : "bad address";
}
