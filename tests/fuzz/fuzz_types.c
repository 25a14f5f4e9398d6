/* SPDX-License-Identifier: Apache-2.0 */
/* The run-time system's descriptions of types. The input: the minor version of Go and the number of offsets (a byte each), the offsets (four
 * bytes each, the first is where the types begin), the section. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "../../offsets/rtypes.h"
#include "fuzz.h"
#include "image.h"

static const struct image_section sections[] = { { ".rodata", IMAGE_DATA_ADDR, PF_R } };

static void look(struct elf_file *elf, int go_minor, const uint32_t *offsets, size_t n)
{
	struct rtypes *rt = NULL;
	struct err *err = rtypes_open(elf, go_minor, IMAGE_DATA_ADDR + (uint64_t)offsets[0], &rt);
	struct rtype_methods asked;
	char name[RTYPE_NAME_MAX];
	struct rtype type;

	for (size_t i = 1; i < n && !err; i++) {
		err_destroy(rtypes_read(rt, offsets[i], &type));
		rtypes_name(rt, offsets[i], name);
		if (!rtypes_asked(rt, offsets[i], &asked))
			continue;
		for (size_t k = 1; k < n; k++)
			rtypes_implements(rt, offsets[k], &asked);
	}
	err_destroy(err);
	rtypes_destroy(rt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_file *elf = NULL;
	uint32_t offsets[255];
	size_t n, file_size, image_size;
	uint8_t *image;

	if (size < 2 || !data[1] || size - 2 < 4 * (n = data[1]))
		return 0;
	memcpy(offsets, data + 2, 4 * n);
	/* the image begins with the size of its one section */
	image_size = size - 2 - 4 * n;
	image = malloc(4 + image_size);
	if (!image)
		return 0;
	memcpy(image, &(uint32_t){ image_size }, 4);
	memcpy(image + 4, data + 2 + 4 * n, image_size);
	void *file = image_make(sections, 1, image, 4 + image_size, &file_size);
	struct err *err = file ? elf_file_open_memory(file, file_size, &elf) : NULL;

	if (elf)
		look(elf, data[0], offsets, n);
	err_destroy(err);
	elf_file_destroy(elf);
	free(file);
	free(image);
	return 0;
}
