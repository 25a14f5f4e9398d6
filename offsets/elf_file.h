/* SPDX-License-Identifier: Apache-2.0 */
/* An ELF file, opened for reading its sections and the bytes behind virtual addresses.
 *
 * The file is untrusted: it may be truncated, damaged or change while it is read. Nothing is mapped (a mapping of a
 * file that shrinks raises SIGBUS); every read is a bounded pread into memory that the elf_file owns.
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
	int64_t tls_offset; /* of PT_TLS: its first byte, from the thread pointer (amd64: negative); 0 without one */
	bool has_tls;
	size_t n_sections;
	struct elf_section *sections;
	size_t n_segments;
	struct elf_segment *segments;
	char *build_id;    /* lower-case hex of the GNU build id note, NULL without one */
	char *go_build_id; /* Go's own build id (.note.go.buildid), NULL without one */
	struct elf_priv *priv;
};

/* Open and check. ERR_IO · ERR_NOT_ELF · ERR_ARCH (not 64-bit little-endian amd64; also relocatable objects and
 * cores: ERR_UNSUPPORTED) · ERR_MALFORMED with section or segment and offset. */
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

/* Contents of a section, inflated where it is compressed (SHF_COMPRESSED; ".zdebug_x" is found under ".debug_x" as
 * well). Owned by the elf_file, kept until it is destroyed. ERR_NOTFOUND without such a section; ERR_MALFORMED for a
 * lying size (a bound on the inflated size applies) or a broken stream. SHT_NOBITS gives ERR_NOTFOUND. */
struct err *elf_file_section_data(struct elf_file *elf, const char *name, struct bytes *ret);

/* Read exactly `size` bytes at link address `vaddr` from the file. ERR_NOTFOUND where no segment holds all of them
 * in the file. */
struct err *elf_file_read(struct elf_file *elf, uint64_t vaddr, void *buf, size_t size);

/* File offset of link address `vaddr` (what a uprobe wants). ERR_NOTFOUND where no segment holds it. */
struct err *elf_file_offset(const struct elf_file *elf, uint64_t vaddr, uint64_t *offset_ret);

/* Are the bytes at link address `vaddr` in the file, and never written to: in a segment that is not writable, and in no other? */
bool elf_file_is_constant(const struct elf_file *elf, uint64_t vaddr, size_t size);

/* The value of one symbol by exact name from .symtab, else .dynsym. ERR_NOTFOUND. */
struct err *elf_file_symbol(struct elf_file *elf, const char *name, uint64_t *value_ret, uint64_t *size_ret);

/* As elf_file_read(), with what the dynamic loader would put there at load bias 0: a position-independent program
 * that the C linker made has zeros in the file where its pointers will stand, and their values only in its
 * relocations (R_X86_64_RELATIVE). */
struct err *elf_file_read_relocated(struct elf_file *elf, uint64_t vaddr, void *buf, size_t size);

struct elf_symbol {
	const char *name; /* owned by the elf_file */
	uint64_t value, size;
	uint8_t type;   /* STT_… */
	uint8_t bind;   /* STB_… */
	uint16_t shndx; /* SHN_UNDEF: only used here, defined elsewhere */
};

/* Visit the symbols of .symtab, or of .dynsym where there is no .symtab; stops when fn returns false. ERR_NOTFOUND
 * without either. */
struct err *elf_file_each_symbol(struct elf_file *elf, bool (*fn)(void *arg, const struct elf_symbol *symbol),
				 void *arg);

/* Where a Go program keeps g: bytes from the thread pointer (amd64: FS base).
 *
 * Go's linker uses -8 whenever it links by itself, also where it writes a PT_TLS segment
 * (cmd/link/internal/ld/sym.go, Tlsoffset: -1 * PtrSize; its only thread-local variable is runtime.tlsg, 8 bytes).
 * Where the C linker did it (cgo), runtime.tlsg is one variable in the program's TLS segment: tls_offset + its
 * symbol's value. Stripped, and with more than that one variable in the segment, the code that loads g is asked (mov
 * %fs:offset, reg). ERR_NOTFOUND where that does not tell either. */
struct err *go_tls_g_offset(struct elf_file *elf, int32_t *ret);

/* ERR_CHANGED if the file behind the descriptor or under its path is not what was opened. */
struct err *elf_file_unchanged(const struct elf_file *elf);

#endif
