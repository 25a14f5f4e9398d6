/* SPDX-License-Identifier: Apache-2.0 */
/* What the files elf_*.c share. */
#ifndef OFFSETS_ELF_PRIV_H
#define OFFSETS_ELF_PRIV_H

#include "elf_file.h"

struct elf_section_priv {
	uint32_t link;
	uint64_t entsize;
	bool loaded;
	uint8_t *data; /* inflated where the section is compressed */
	size_t data_size;
};

struct elf_reloc { /* of type R_X86_64_RELATIVE: the word at `offset` is load bias + addend */
	uint64_t offset, addend;
};

struct elf_priv {
	const uint8_t *memory; /* the image of elf_file_open_memory(), else NULL */
	bool by_path;          /* opened by its path: elf_file_unchanged() looks there too */
	char *shstrtab;
	struct elf_section_priv *sections;    /* one for each of elf->sections */
	uint64_t dynamic_vaddr, dynamic_size; /* PT_DYNAMIC; 0, 0 if there is none */
	uint64_t tls_memsz;                   /* PT_TLS */
	uint64_t scanned;                     /* bytes of segments, so far */
	uint64_t loaded;                      /* bytes of sections that are kept */
	bool relocs_loaded;
	size_t n_relocs;
	struct elf_reloc *relocs; /* sorted by offset */
};

/* Read `size` bytes at a file offset, all or nothing. ERR_IO, ERR_MALFORMED past the end, ERR_CHANGED if the file
 * has become shorter. */
struct err *elf_pread(const struct elf_file *elf, uint64_t offset, void *buf, size_t size);

/* The same, of a segment that is searched from end to end: ERR_UNSUPPORTED where so much has been searched that the file is no program (a
 * sparse one can be of any size). */
struct err *elf_scan(struct elf_file *elf, uint64_t offset, void *buf, size_t size);

/* Contents of sections[index]. */
struct err *elf_section_load(struct elf_file *elf, size_t index, struct bytes *ret);

/* The relocations of a position-independent program; none for any other. */
struct err *elf_relocs(struct elf_file *elf, const struct elf_reloc **v_ret, size_t *n_ret);

/* Index of the first relocation at `offset` or after it. */
size_t elf_reloc_lower_bound(const struct elf_reloc *v, size_t n, uint64_t offset);

/* Index of the section of that name; elf->n_sections if there is none. */
size_t elf_section_index(const struct elf_file *elf, const char *name);

/* Overflow-safe: [offset, offset + size) lies within [0, limit). */
static inline bool range_within(uint64_t offset, uint64_t size, uint64_t limit)
{
	return offset <= limit && size <= limit - offset;
}

#endif
