/* SPDX-License-Identifier: Apache-2.0 */
/* Opening an ELF file: headers (by libelf), sections, segments, notes. Its contents are read in elf_data.c, symbols
 * in elf_symbol.c. */
#include "elf_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf_priv.h"

/* More sections than e_shnum can count need an extension that no Go linker writes; a program has some tens. */
#define SECTIONS_MAX SHN_LORESERVE
/* Program headers; a program has some ten. */
#define SEGMENTS_MAX 4096
/* Bytes of the file that two loaded segments may share: linkers let them share a page. A hostile file could have all its segments be the same bytes,
 * and those who search go through each. */
#define SHARED_MAX 4096
/* Bytes of section names; some hundred in a Go program. */
#define SHSTRTAB_MAX (16 << 20)
/* Bytes of one note segment that are looked at: the build ids stand in the first few hundred. */
#define NOTES_MAX (64 << 10)
/* Bytes of a build id; GNU's has 20, Go's 83. */
#define BUILD_ID_MAX 256

static struct err *malformed_elf(const char *what)
{
	return err_create(ERR_MALFORMED, "damaged ELF file: %s: %s", what, elf_errmsg(-1));
}

static void file_id_of(const struct stat *st, struct file_id *id)
{
	*id = (struct file_id){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime_ns = (uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec,
		.ctime_ns = (uint64_t)st->st_ctim.tv_sec * 1000000000 + (uint64_t)st->st_ctim.tv_nsec,
	};
}

static const char *machine_name(unsigned int machine)
{
	switch (machine) {
	case EM_386:
		return "386";
	case EM_X86_64:
		return "amd64";
	case EM_ARM:
		return "arm";
	case EM_AARCH64:
		return "arm64";
	case EM_RISCV:
		return "riscv64";
	case EM_PPC64:
		return "ppc64";
	case EM_S390:
		return "s390x";
	case EM_MIPS:
		return "mips";
	case 258: /* EM_LOONGARCH, younger than some elf.h */
		return "loong64";
	}
	return NULL;
}

/* What can be told from the first bytes, before libelf sees the file. */
static struct err *check_ident(const struct elf_file *elf)
{
	unsigned char head[sizeof(Elf64_Ehdr)] = { 0 };
	size_t n = elf->id.size < sizeof(head) ? elf->id.size : sizeof(head);
	struct err *err = elf_pread(elf, 0, head, n);
	const char *name;
	uint16_t type, machine;

	if (err)
		return err;
	if (n < SELFMAG || memcmp(head, ELFMAG, SELFMAG) != 0) {
		if (!n)
			return err_create(ERR_NOT_ELF, "not an ELF file: it is empty");
		if (n >= 2 && head[0] == '#' && head[1] == '!')
			return err_create(ERR_NOT_ELF, "not an ELF file: it is a script");
		return err_create(ERR_NOT_ELF, "not an ELF file");
	}
	if (n < EI_NIDENT)
		return err_create(ERR_MALFORMED, "damaged ELF file: its header is cut off after %zu bytes", n);
	if (head[EI_CLASS] == ELFCLASS32)
		return err_create(ERR_ARCH, "32-bit ELF file: only 64-bit programs for amd64 are handled");
	if (head[EI_CLASS] != ELFCLASS64)
		return err_create(ERR_MALFORMED, "damaged ELF file: class %u in its header", head[EI_CLASS]);
	if (head[EI_DATA] == ELFDATA2MSB)
		return err_create(ERR_ARCH, "big-endian ELF file: only programs for amd64 are handled");
	if (head[EI_DATA] != ELFDATA2LSB)
		return err_create(ERR_MALFORMED, "damaged ELF file: byte order %u in its header", head[EI_DATA]);
	if (n < sizeof(head))
		return err_create(ERR_MALFORMED, "damaged ELF file: its header is cut off after %zu bytes", n);
	type = (uint16_t)(head[offsetof(Elf64_Ehdr, e_type)] | head[offsetof(Elf64_Ehdr, e_type) + 1] << 8);
	machine = (uint16_t)(head[offsetof(Elf64_Ehdr, e_machine)] | head[offsetof(Elf64_Ehdr, e_machine) + 1] << 8);
	name = machine_name(machine);
	if (machine != EM_X86_64 && name)
		return err_create(ERR_ARCH, "ELF file for %s: only amd64 is handled", name);
	if (machine != EM_X86_64)
		return err_create(ERR_ARCH, "ELF file for machine %u: only amd64 is handled", machine);
	if (type == ET_REL || type == ET_CORE)
		return err_create(ERR_UNSUPPORTED, "not a program but %s",
				  type == ET_REL ? "an object file" : "a core dump");
	if (type != ET_EXEC && type != ET_DYN)
		return err_create(ERR_MALFORMED, "damaged ELF file: type %u in its header", type);
	return NULL;
}

static struct err *check_overlaps(const struct elf_file *elf)
{
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		for (size_t j = 0; j < i; j++) {
			const struct elf_segment *t = &elf->segments[j];
			uint64_t start = s->offset > t->offset ? s->offset : t->offset;
			uint64_t s_end = s->offset + s->filesz, t_end = t->offset + t->filesz;
			uint64_t end = s_end < t_end ? s_end : t_end;

			if (end > start && end - start > SHARED_MAX)
				return err_create(ERR_MALFORMED,
						  "damaged ELF file: two loaded segments share %#" PRIx64
						  " bytes at offset %#" PRIx64,
						  end - start, start);
		}
	}
	return NULL;
}

static struct err *read_segments(struct elf_file *elf, Elf *e, const GElf_Ehdr *ehdr)
{
	size_t n;

	if (elf_getphdrnum(e, &n))
		return malformed_elf("program headers");
	if (n > SEGMENTS_MAX)
		return err_create(ERR_UNSUPPORTED, "%zu program headers, at most %d are read", n, SEGMENTS_MAX);
	if (n && ehdr->e_phentsize != sizeof(Elf64_Phdr))
		return err_create(ERR_MALFORMED, "damaged ELF file: a program header of %u bytes", ehdr->e_phentsize);
	elf->segments = calloc(n ? n : 1, sizeof(*elf->segments));
	if (!elf->segments)
		return &err_nomem;
	for (size_t i = 0; i < n; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(e, (int)i, &ph))
			return malformed_elf("program headers");
		if (ph.p_type == PT_INTERP)
			elf->has_interp = true;
		if (ph.p_type == PT_DYNAMIC) {
			elf->priv->dynamic_vaddr = ph.p_vaddr;
			elf->priv->dynamic_size = ph.p_filesz;
		}
		if (ph.p_type == PT_TLS) {
			uint64_t align = ph.p_align ? ph.p_align : 1;

			if (align & (align - 1) || ph.p_memsz > INT32_MAX || align > INT32_MAX)
				return err_create(ERR_MALFORMED,
						  "damaged ELF file: thread-local segment of %#" PRIx64
						  " bytes, alignment %#" PRIx64,
						  ph.p_memsz, align);
			/* ELF Handling For Thread-Local Storage, variant II: the program's block ends at the thread
			 * pointer or just below it, so that its start is congruent to p_vaddr modulo p_align. */
			elf->has_tls = true;
			elf->tls_offset = -(int64_t)(ph.p_memsz + ((0 - ph.p_vaddr - ph.p_memsz) & (align - 1)));
			elf->priv->tls_memsz = ph.p_memsz;
		}
		if (ph.p_type != PT_LOAD)
			continue;
		if (!range_within(ph.p_offset, ph.p_filesz, elf->id.size))
			return err_create(ERR_MALFORMED,
					  "damaged ELF file: segment %zu (offset %#" PRIx64 ", %#" PRIx64
					  " bytes) goes past the end of the file (%#" PRIx64 " bytes): is it cut off?",
					  i, ph.p_offset, ph.p_filesz, elf->id.size);
		if (ph.p_memsz < ph.p_filesz || !range_within(ph.p_vaddr, ph.p_memsz, UINT64_MAX))
			return err_create(ERR_MALFORMED,
					  "damaged ELF file: segment %zu has %#" PRIx64
					  " bytes in the file and %#" PRIx64 " in memory at %#" PRIx64,
					  i, ph.p_filesz, ph.p_memsz, ph.p_vaddr);
		elf->segments[elf->n_segments++] = (struct elf_segment){
			.vaddr = ph.p_vaddr,
			.memsz = ph.p_memsz,
			.offset = ph.p_offset,
			.filesz = ph.p_filesz,
			.flags = ph.p_flags,
		};
	}
	if (!elf->n_segments)
		return err_create(ERR_MALFORMED, "damaged ELF file: no segment is loaded");
	return check_overlaps(elf);
}

/* The names of sections; not having them is no error, a program runs without. */
static struct err *read_section_names(struct elf_file *elf, Elf *e, const GElf_Word *names)
{
	size_t index;
	const struct elf_section *strings;
	struct err *err;

	if (elf_getshdrstrndx(e, &index))
		return malformed_elf("section names");
	if (index == SHN_UNDEF)
		return NULL;
	if (index >= elf->n_sections || elf->sections[index].type != SHT_STRTAB)
		return err_create(ERR_MALFORMED,
				  "damaged ELF file: section %zu, said to hold the names of sections, does not", index);
	strings = &elf->sections[index];
	if (strings->size > SHSTRTAB_MAX)
		return err_create(ERR_UNSUPPORTED, "section names of %#" PRIx64 " bytes, at most %#x are read",
				  strings->size, SHSTRTAB_MAX);
	elf->priv->shstrtab = malloc(strings->size + 1);
	if (!elf->priv->shstrtab)
		return &err_nomem;
	err = elf_pread(elf, strings->offset, elf->priv->shstrtab, strings->size);
	if (err)
		return err;
	elf->priv->shstrtab[strings->size] = '\0';
	for (size_t i = 0; i < elf->n_sections; i++)
		if (names[i] < strings->size)
			elf->sections[i].name = elf->priv->shstrtab + names[i];
	return NULL;
}

static struct err *read_sections(struct elf_file *elf, Elf *e, const GElf_Ehdr *ehdr)
{
	GElf_Word *names _cleanup_free_ = NULL;
	struct err *err;
	size_t n;

	if (elf_getshdrnum(e, &n))
		return malformed_elf("section headers");
	if (!n)
		return NULL;
	if (n > SECTIONS_MAX)
		return err_create(ERR_UNSUPPORTED, "%zu sections, at most %d are read", n, SECTIONS_MAX);
	if (ehdr->e_shentsize != sizeof(Elf64_Shdr))
		return err_create(ERR_MALFORMED, "damaged ELF file: a section header of %u bytes", ehdr->e_shentsize);
	elf->sections = calloc(n, sizeof(*elf->sections));
	elf->priv->sections = calloc(n, sizeof(*elf->priv->sections));
	names = calloc(n, sizeof(*names));
	if (!elf->sections || !elf->priv->sections || !names)
		return &err_nomem;
	for (size_t i = 0; i < n; i++) {
		Elf_Scn *scn = elf_getscn(e, i);
		GElf_Shdr sh;

		if (!scn || !gelf_getshdr(scn, &sh))
			return malformed_elf("section headers");
		elf->sections[i] = (struct elf_section){
			.name = "",
			.type = sh.sh_type,
			.flags = sh.sh_flags,
			.addr = sh.sh_addr,
			.offset = sh.sh_offset,
			.size = sh.sh_size,
		};
		elf->priv->sections[i].link = sh.sh_link;
		elf->priv->sections[i].entsize = sh.sh_entsize;
		names[i] = sh.sh_name;
	}
	elf->n_sections = n;
	err = read_section_names(elf, e, names);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		const struct elf_section *s = &elf->sections[i];

		if (s->type != SHT_NOBITS && s->type != SHT_NULL && !range_within(s->offset, s->size, elf->id.size))
			return err_create(ERR_MALFORMED,
					  "damaged ELF file: section %zu '%.64s' (offset %#" PRIx64 ", %#" PRIx64
					  " bytes) goes past the end of the file (%#" PRIx64 " bytes): is it cut off?",
					  i, s->name, s->offset, s->size, elf->id.size);
	}
	return NULL;
}

static char *hex_of(const uint8_t *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	char *s = malloc(2 * n + 1);

	if (!s)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		s[2 * i] = digits[bytes[i] >> 4];
		s[2 * i + 1] = digits[bytes[i] & 15];
	}
	s[2 * n] = '\0';
	return s;
}

/* Take the build ids from the notes at a file offset. Notes serve only to be shown, so damaged ones are passed over. */
static struct err *read_notes(struct elf_file *elf, uint64_t offset, uint64_t size)
{
	uint8_t *notes _cleanup_free_ = NULL;
	struct err *err;
	size_t at = 0;

	if (size > NOTES_MAX)
		size = NOTES_MAX;
	if (!range_within(offset, size, elf->id.size) || !size)
		return NULL;
	notes = malloc(size);
	if (!notes)
		return &err_nomem;
	err = elf_pread(elf, offset, notes, size);
	if (err)
		return err;
	while (size - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr nh;
		uint64_t name_at = at + sizeof(nh), desc_at, next;

		memcpy(&nh, notes + at, sizeof(nh));
		desc_at = name_at + (((uint64_t)nh.n_namesz + 3) & ~(uint64_t)3);
		next = desc_at + (((uint64_t)nh.n_descsz + 3) & ~(uint64_t)3);
		if (desc_at > size || nh.n_descsz > size - desc_at)
			break;
		if (nh.n_namesz == 4 && nh.n_descsz && nh.n_descsz <= BUILD_ID_MAX) {
			char **idp = NULL, *id;

			if (nh.n_type == NT_GNU_BUILD_ID && !memcmp(notes + name_at, "GNU", 4))
				idp = &elf->build_id;
			else if (nh.n_type == 4 &&
				 !memcmp(notes + name_at, "Go\0", 4)) /* ELF_NOTE_GOBUILDID_TAG, cmd/link */
				idp = &elf->go_build_id;
			if (idp && !*idp) {
				id = idp == &elf->build_id ? hex_of(notes + desc_at, nh.n_descsz)
							   : strndup((char *)notes + desc_at, nh.n_descsz);
				if (!id)
					return &err_nomem;
				*idp = id;
			}
		}
		if (next > size)
			break;
		at = next;
	}
	return NULL;
}

static struct err *read_all_notes(struct elf_file *elf, Elf *e)
{
	struct err *err;
	size_t n = 0;

	elf_getphdrnum(e, &n);
	for (size_t i = 0; i < n; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(e, (int)i, &ph) || ph.p_type != PT_NOTE)
			continue;
		err = read_notes(elf, ph.p_offset, ph.p_filesz);
		if (err)
			return err;
	}
	for (size_t i = 0; i < elf->n_sections; i++) {
		if (elf->sections[i].type != SHT_NOTE)
			continue;
		err = read_notes(elf, elf->sections[i].offset, elf->sections[i].size);
		if (err)
			return err;
	}
	return NULL;
}

static struct err *read_headers(struct elf_file *elf, Elf *e)
{
	GElf_Ehdr ehdr;
	struct err *err;

	if (elf_kind(e) != ELF_K_ELF || !gelf_getehdr(e, &ehdr))
		return malformed_elf("header");
	elf->arch = ELF_ARCH_AMD64;
	elf->pie = ehdr.e_type == ET_DYN;
	elf->entry = ehdr.e_entry;
	if ((err = read_segments(elf, e, &ehdr)) || (err = read_sections(elf, e, &ehdr)))
		return err;
	return read_all_notes(elf, e);
}

/* The rest of opening; consumes elf if it fails. */
static struct err *finish_open(struct elf_file *elf, struct elf_file **ret)
{
	struct err *err = check_ident(elf);
	Elf *e;

	if (err)
		goto fail;
	elf_version(EV_CURRENT);
	/* ELF_C_READ: a file that is mapped and then shrinks would end the process by SIGBUS. */
	e = elf->priv->memory ? elf_memory((char *)(uintptr_t)elf->priv->memory, elf->id.size)
			      : elf_begin(elf->fd, ELF_C_READ, NULL);
	if (!e) {
		err = malformed_elf("header");
		goto fail;
	}
	err = read_headers(elf, e);
	elf_end(e);
	if (err)
		goto fail;
	*ret = elf;
	return NULL;
fail:
	elf_file_destroy(elf);
	return err;
}

static struct elf_file *create(const char *path)
{
	struct elf_file *elf = calloc(1, sizeof(*elf));

	if (!elf)
		return NULL;
	elf->fd = -1;
	elf->path = strdup(path);
	elf->priv = calloc(1, sizeof(*elf->priv));
	if (!elf->path || !elf->priv) {
		elf_file_destroy(elf);
		return NULL;
	}
	return elf;
}

/* Takes over fd, also if it fails. */
static struct err *open_own_fd(int fd, const char *path, bool by_path, struct elf_file **ret)
{
	struct elf_file *elf = create(path);
	struct stat st;
	struct err *err;

	if (!elf) {
		close(fd);
		return &err_nomem;
	}
	elf->fd = fd;
	elf->priv->by_path = by_path;
	if (fstat(fd, &st)) {
		err = err_create(ERR_IO, "%s: %s", path, strerror(errno));
	} else if (S_ISDIR(st.st_mode)) {
		err = err_create(ERR_IO, "%s: %s", path, strerror(EISDIR));
	} else if (!S_ISREG(st.st_mode)) {
		err = err_create(ERR_IO, "%s: not a regular file", path);
	} else {
		file_id_of(&st, &elf->id);
		err = finish_open(elf, ret);
		return err ? err_wrap(err, "%s", path) : NULL;
	}
	elf_file_destroy(elf);
	return err;
}

struct err *elf_file_open(const char *path, struct elf_file **ret)
{
	/* O_NONBLOCK: a FIFO without a writer would hold us up. It does nothing to a regular file. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return err_create(ERR_IO, "%s: %s", path, strerror(errno));
	return open_own_fd(fd, path, true, ret);
}

struct err *elf_file_open_fd(int fd, const char *path, struct elf_file **ret)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0)
		return err_create(ERR_IO, "%s: %s", path, strerror(errno));
	return open_own_fd(copy, path, false, ret);
}

struct err *elf_file_open_memory(const void *data, size_t size, struct elf_file **ret)
{
	struct elf_file *elf = create("(memory)");

	if (!elf)
		return &err_nomem;
	elf->priv->memory = data ? data : (const void *)"";
	elf->id.size = data ? size : 0;
	return finish_open(elf, ret);
}

void elf_file_destroy(struct elf_file *elf)
{
	if (!elf)
		return;
	if (elf->priv) {
		for (size_t i = 0; elf->priv->sections && i < elf->n_sections; i++)
			free(elf->priv->sections[i].data);
		free(elf->priv->sections);
		free(elf->priv->shstrtab);
		free(elf->priv->relocs);
		free(elf->priv);
	}
	if (elf->fd >= 0)
		close(elf->fd);
	free(elf->sections);
	free(elf->segments);
	free(elf->build_id);
	free(elf->go_build_id);
	free(elf->path);
	free(elf);
}

struct err *elf_file_unchanged(const struct elf_file *elf)
{
	struct file_id now;
	struct stat st;

	if (elf->fd < 0)
		return NULL;
	for (int by_path = 0; by_path <= (elf->priv->by_path ? 1 : 0); by_path++) {
		if (by_path ? stat(elf->path, &st) : fstat(elf->fd, &st))
			return err_create(ERR_CHANGED, "%s: %s", elf->path, strerror(errno));
		file_id_of(&st, &now);
		if (memcmp(&now, &elf->id, sizeof(now)) != 0)
			return err_create(ERR_CHANGED, "%s: the file was %s since it was opened", elf->path,
					  now.ino != elf->id.ino || now.dev != elf->id.dev ? "replaced" : "changed");
	}
	return NULL;
}
