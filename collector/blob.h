/* SPDX-License-Identifier: Apache-2.0 */
/* What the compiler's child process hands over: programs, whose instructions name maps.
 *
 * Little endian and without padding: "GSPROG1\0", u32 programs; each program: u32 length and bytes of its name, u32 instructions and
 * 8 bytes for each, u32 references to maps; each reference: u32 index of the LD_IMM64 instruction whose immediate the map's descriptor
 * becomes, u32 length and bytes of the map's name. tracer/program.py writes it. */
#ifndef COLLECTOR_BLOB_H
#define COLLECTOR_BLOB_H

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>

#include "../offsets/error.h"

#define BLOB_NAME_MAX 64

struct blob_program {
	char name[BLOB_NAME_MAX];
	uint32_t n_insns;
	struct bpf_insn *insns; /* the maps put in; freed after it was taken, but where NULL was put here */
};

struct blob_reader {
	void *to;                                        /* what both are given */
	int (*map_fd)(const void *to, const char *name); /* −1: there is no such map */
	struct err *(*take)(void *to, struct blob_program *program);
};

/* Each program in turn. ERR_MALFORMED; what `take` returned. */
struct err *blob_read(const void *blob, size_t size, const struct blob_reader *reader);

/* ERR_MALFORMED: the blob is damaged, and where. */
struct err *blob_damaged(const char *where);

#endif
