/* SPDX-License-Identifier: Apache-2.0 */
/* Debug information alone. */
#include <elf.h>
#include <stdlib.h>

#include "fuzz.h"
#include "image.h"

static const struct image_section sections[] = {
	{ ".text", IMAGE_CODE_ADDR, PF_R | PF_X },
	{ ".debug_abbrev", 0, 0 },
	{ ".debug_info", 0, 0 },
	{ ".debug_addr", 0, 0 },
	{ ".debug_str", 0, 0 },
	{ ".debug_loclists", 0, 0 },
	{ ".debug_loc", 0, 0 },
	{ ".debug_line", 0, 0 },
	{ ".debug_frame", 0, 0 },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_file *elf = NULL;
	size_t file_size;
	void *file = image_make(sections, sizeof(sections) / sizeof(*sections), data, size, &file_size);
	struct err *err = file ? elf_file_open_memory(file, file_size, &elf) : NULL;

	if (elf)
		fuzz_debug(elf);
	err_destroy(err);
	elf_file_destroy(elf);
	free(file);
	return 0;
}
