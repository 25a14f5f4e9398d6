/* SPDX-License-Identifier: Apache-2.0 */
/* read_sections FILE SECTION …: reads and inflates sections and does nothing else: what reading debug information is held against. */
#include <stdio.h>

#include "../../offsets/elf_file.h"

int main(int argc, char **argv)
{
	struct elf_file *elf;
	size_t total = 0;
	struct bytes data;

	if (argc < 3 || elf_file_open(argv[1], &elf))
		return 2;
	for (int i = 2; i < argc; i++) {
		struct err *err = elf_file_section_data(elf, argv[i], &data);

		if (!err)
			total += data.size;
		else if (err->code != ERR_NOTFOUND)
			return 1;
	}
	printf("%zu\n", total);
	elf_file_destroy(elf);
	return 0;
}
