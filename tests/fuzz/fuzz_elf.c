/* SPDX-License-Identifier: Apache-2.0 */
/* A whole file: headers, sections, compressed ones, symbols, notes, relocations, build information, and whatever a program has. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_file *elf = NULL;
	struct err *err = elf_file_open_memory(data, size, &elf);

	if (!err)
		fuzz_program(elf);
	err_destroy(err);
	elf_file_destroy(elf);
	return 0;
}
