/* SPDX-License-Identifier: Apache-2.0 */
/* The table of functions (pclntab), the code they are made of, build information. */
#include <elf.h>
#include <stdlib.h>

#include "../../offsets/go_build.h"
#include "fuzz.h"
#include "image.h"

static const struct image_section sections[] = {
	{ ".text", IMAGE_CODE_ADDR, PF_R | PF_X },
	{ ".gopclntab", IMAGE_DATA_ADDR, PF_R },
	{ ".go.buildinfo", IMAGE_DATA_ADDR + 0x1000000, PF_R | PF_W },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_file *elf = NULL;
	struct go_build *build = NULL;
	size_t file_size;
	void *file = image_make(sections, sizeof(sections) / sizeof(*sections), data, size, &file_size);
	struct err *err = file ? elf_file_open_memory(file, file_size, &elf) : NULL;

	if (elf) {
		err_destroy(go_build_read(elf, &build));
		go_build_destroy(build);
		fuzz_functions(elf);
	}
	err_destroy(err);
	elf_file_destroy(elf);
	free(file);
	return 0;
}
