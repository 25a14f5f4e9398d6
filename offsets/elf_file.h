/* SPDX-License-Identifier: Apache-2.0 */
/* An ELF file, opened for reading its sections and the bytes behind virtual addresses.
 *
 * The file is untrusted: it may be truncated, damaged or change while it is read. Nothing is mapped (a mapping of a file
 * that shrinks raises SIGBUS); every read is a bounded pread into memory that the elf_file owns.
 */
#ifndef OFFSETS_ELF_FILE_H
#define OFFSETS_ELF_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

struct bytes {
	const uint8_t *data;
	size_t size;
};

enum elf_arch { ELF_ARCH_AMD64 = 1, ELF_ARCH_ARM64 };

/* What tells one version of a file from another without reading it. */
struct file_id {
	uint64_t dev, ino, size, mtime_ns, ctime_ns;
};

struct elf_section {
	const char *name; /* "" where the name cannot be read */
	uint32_t type;    /* SHT_… */
	uint64_t flags;   /* SHF_… */
	uint64_t addr;    /* link (virtual) address, 0 if not loaded */
	uint64_t offset;  /* file offset, bytes */
	uint64_t size;    /* bytes in the file (compressed size where compressed) */
};

struct elf_segment { /* PT_LOAD only */
	uint64_t vaddr, memsz, offset, filesz;
	uint32_t flags; /* PF_X … */
};

struct elf_file {
	char *path;
	int fd; /* -1 for a memory image */
	struct file_id id;
	enum elf_arch arch;
	bool pie;           /* ET_DYN */
	bool has_interp;    /* PT_INTERP: dynamically linked */
	uint64_t entry;     /* e_entry */
	int64_t tls_offset; /* offset from the thread pointer of the TLS segment's first byte (amd64: negative); 0 if there is no PT_TLS */
	bool has_tls;
	size_t n_sections;
	struct elf_section *sections;
	size_t n_segments;
	struct elf_segment *segments;
	char *build_id;     /* lower-case hex of the GNU build id note, NULL without one */
	char *go_build_id;  /* Go's own build id (.note.go.buildid), NULL without one */
	struct elf_priv *priv;
};

/* Open and check. ERR_IO · ERR_NOT_ELF · ERR_ARCH (not 64-bit little-endian amd64; also relocatable objects and cores: ERR_UNSUPPORTED) ·
 * ERR_MALFORMED with section or segment and offset. */
struct err *elf_file_open(const char *path, struct elf_file **ret);

/* The same from an open descriptor, which is duplicated; `path` is for messages only. */
struct err *elf_file_open_fd(int fd, const char *path, struct elf_file **ret);

/* The same over bytes in memory (fuzzing, tests); the bytes must outlive the elf_file. */
struct err *elf_file_open_memory(const void *data, size_t size, struct elf_file **ret);

void elf_file_destroy(struct elf_file *elf);

static inline void elf_file_cleanup(struct elf_file **p)
{
	elf_file_destroy(*p);
}
#define _cleanup_elf_ __attribute__((cleanup(elf_file_cleanup)))

/* The section of that name, or NULL. */
const struct elf_section *elf_file_find_section(const struct elf_file *elf, const char *name);

/* Contents of a section, inflated where it is compressed (SHF_COMPRESSED; ".zdebug_x" is found under ".debug_x" as well). Owned by
 * the elf_file, kept until it is destroyed. ERR_NOTFOUND without such a section; ERR_MALFORMED for a lying size (a bound on the
 * inflated size applies) or a broken stream. SHT_NOBITS gives ERR_NOTFOUND. */
struct err *elf_file_section_data(struct elf_file *elf, const char *name, struct bytes *ret);

/* Read exactly `size` bytes at link address `vaddr` from the file. ERR_NOTFOUND where no segment holds all of them in the file. */
struct err *elf_file_read(struct elf_file *elf, uint64_t vaddr, void *buf, size_t size);

/* File offset of link address `vaddr` (what a uprobe wants). ERR_NOTFOUND where no segment holds it. */
struct err *elf_file_offset(const struct elf_file *elf, uint64_t vaddr, uint64_t *offset_ret);

/* The value of one symbol by exact name from .symtab, else .dynsym. ERR_NOTFOUND. */
struct err *elf_file_symbol(struct elf_file *elf, const char *name, uint64_t *value_ret, uint64_t *size_ret);

/* ERR_CHANGED if the file behind the descriptor or under its path is not what was opened. */
struct err *elf_file_unchanged(const struct elf_file *elf);

#endif
