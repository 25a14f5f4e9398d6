/* SPDX-License-Identifier: Apache-2.0 */
/* An ELF file around sections: the input is their sizes (u32 each, little endian) and then their bytes, one after the other; what is
 * missing is empty. So the bytes that change are those that are meant, not the headers. */
#ifndef TESTS_FUZZ_IMAGE_H
#define TESTS_FUZZ_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#define IMAGE_CODE_ADDR 0x401000
#define IMAGE_DATA_ADDR 0x600000

struct image_section {
	const char *name;
	uint64_t addr;  /* 0: not loaded */
	uint32_t flags; /* PF_X …, where it is loaded */
};

/* The file in memory for free(), or NULL where the input is too short. */
void *image_make(const struct image_section *sections, size_t n, const uint8_t *data, size_t size, size_t *size_ret);

#endif
