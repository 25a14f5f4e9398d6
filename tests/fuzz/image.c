/* SPDX-License-Identifier: Apache-2.0 */
#include "image.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_SIZE 512
#define SECTIONS_MAX 16

void *image_make(const struct image_section *sections, size_t n, const uint8_t *data, size_t size, size_t *size_ret)
{
	size_t head = sizeof(Elf64_Ehdr) + n * sizeof(Elf64_Phdr) + (n + 2) * sizeof(Elf64_Shdr) + NAMES_SIZE;
	size_t at = head, used = 1;
	uint32_t sizes[SECTIONS_MAX];

	if (n > SECTIONS_MAX || size < n * sizeof(*sizes))
		return NULL;
	memcpy(sizes, data, n * sizeof(*sizes));
	data += n * sizeof(*sizes);
	size -= n * sizeof(*sizes);
	/* of exactly its size, so that a byte read past it is seen */
	uint8_t *file = calloc(1, head + size);
	if (!file)
		return NULL;
	memcpy(file + head, data, size);
	Elf64_Ehdr *eh = (Elf64_Ehdr *)file;
	Elf64_Phdr *ph = (Elf64_Phdr *)(eh + 1);
	Elf64_Shdr *sh = (Elf64_Shdr *)(ph + n);
	char *names = (char *)(sh + n + 2);
	memcpy(eh->e_ident, ELFMAG, SELFMAG);
	eh->e_ident[EI_CLASS] = ELFCLASS64;
	eh->e_ident[EI_DATA] = ELFDATA2LSB;
	eh->e_ident[EI_VERSION] = EV_CURRENT;
	eh->e_type = ET_EXEC;
	eh->e_machine = EM_X86_64;
	eh->e_version = EV_CURRENT;
	eh->e_entry = IMAGE_CODE_ADDR;
	eh->e_ehsize = sizeof(*eh);
	eh->e_phoff = sizeof(*eh);
	eh->e_phentsize = sizeof(*ph);
	eh->e_shoff = (size_t)((uint8_t *)sh - file);
	eh->e_shentsize = sizeof(*sh);
	eh->e_shnum = n + 2;
	eh->e_shstrndx = n + 1;
	for (size_t i = 0; i < n; i++) {
		size_t left = head + size - at, take = sizes[i] < left ? sizes[i] : left;

		sh[i + 1] = (Elf64_Shdr){ .sh_name = used,
					  .sh_type = SHT_PROGBITS,
					  .sh_addr = sections[i].addr,
					  .sh_offset = at,
					  .sh_size = take };
		if (sections[i].addr) {
			sh[i + 1].sh_flags = SHF_ALLOC;
			ph[eh->e_phnum++] = (Elf64_Phdr){ .p_type = PT_LOAD,
							  .p_flags = sections[i].flags,
							  .p_offset = at,
							  .p_vaddr = sections[i].addr,
							  .p_filesz = take,
							  .p_memsz = take };
		}
		strcpy(names + used, sections[i].name);
		used += strlen(sections[i].name) + 1;
		at += take;
	}
	sh[n + 1] = (Elf64_Shdr){ .sh_name = used,
				  .sh_type = SHT_STRTAB,
				  .sh_offset = (size_t)((uint8_t *)names - file),
				  .sh_size = NAMES_SIZE };
	strcpy(names + used, ".shstrtab");
	*size_ret = head + size;
	return file;
}
