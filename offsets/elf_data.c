/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of an ELF file: by file offset, by section (inflated), by link address, with relocations. */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf_priv.h"

/* Most bytes of one inflated section. The largest Go programs known have some hundred MB of debug information. */
#define INFLATED_MAX ((uint64_t)4 << 30)
/* No deflate stream of n bytes gives more than 1032 n (a match of 258 bytes takes at least 2 bits), so a header that
 * promises more lies, and memory is not set aside on its word. */
#define DEFLATE_RATIO_MAX 1032
/* Debug information inflates three- to tenfold. A section that is large and inflates far more is made to exhaust
 * memory. */
#define INFLATED_LARGE ((uint64_t)64 << 20)
#define LARGE_RATIO_MAX 100
/* Bytes of all sections that are kept in memory. */
#define LOADED_MAX ((uint64_t)6 << 30)
/* Bytes that are searched in one file, all searches together. */
#define SCANNED_MAX ((uint64_t)4 << 30)
/* Entries of the dynamic section; a program has some thirty. */
#define DYNAMIC_MAX 4096

struct err *elf_pread(const struct elf_file *elf, uint64_t offset, void *buf, size_t size)
{
	size_t done = 0;

	if (!range_within(offset, size, elf->id.size))
		return err_create(ERR_MALFORMED, "offset %#" PRIx64 ", %#zx bytes: past the end of the file", offset,
				  size);
	if (elf->priv->memory) {
		if (size)
			memcpy(buf, elf->priv->memory + offset, size);
		return NULL;
	}
	while (done < size) {
		ssize_t n = pread(elf->fd, (char *)buf + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_create(ERR_IO, "read at offset %#" PRIx64 ": %s", offset + done, strerror(errno));
		if (!n)
			return err_create(ERR_CHANGED, "the file has become shorter since it was opened");
		done += (size_t)n;
	}
	return NULL;
}

struct err *elf_scan(struct elf_file *elf, uint64_t offset, void *buf, size_t size)
{
	elf->priv->scanned += size;
	if (elf->priv->scanned > SCANNED_MAX)
		return err_create(ERR_UNSUPPORTED, "%s: its segments are too large to be searched", elf->path);
	return elf_pread(elf, offset, buf, size);
}

size_t elf_section_index(const struct elf_file *elf, const char *name)
{
	for (size_t i = 0; i < elf->n_sections; i++)
		if (!strcmp(elf->sections[i].name, name))
			return i;
	if (!strncmp(name, ".debug_", 7))
		for (size_t i = 0; i < elf->n_sections; i++)
			if (!strncmp(elf->sections[i].name, ".zdebug_", 8) &&
			    !strcmp(elf->sections[i].name + 8, name + 7))
				return i;
	return elf->n_sections;
}

const struct elf_section *elf_file_find_section(const struct elf_file *elf, const char *name)
{
	size_t i = elf_section_index(elf, name);

	return i < elf->n_sections ? &elf->sections[i] : NULL;
}

/* Take memory for a section's bytes, of which `limit` may be kept in all. */
static struct err *reserve(struct elf_file *elf, uint64_t size, uint64_t limit)
{
	if (size > limit || elf->priv->loaded > limit - size)
		return err_create(ERR_UNSUPPORTED,
				  "%#" PRIx64 " bytes beside the %#" PRIx64 " of other sections, at most %#" PRIx64
				  " are read",
				  size, elf->priv->loaded, limit);
	elf->priv->loaded += size;
	return NULL;
}

/* Of inflated sections: a file can have many, each as large as one may be. */
static uint64_t loaded_max(const struct elf_file *elf)
{
	uint64_t most = elf->id.size > LOADED_MAX / LARGE_RATIO_MAX ? LOADED_MAX : elf->id.size * LARGE_RATIO_MAX;

	return most > INFLATED_LARGE ? most : INFLATED_LARGE;
}

/* Inflate a zlib stream that is said to give exactly `size` bytes. */
static struct err *inflate_zlib(struct elf_file *elf, const uint8_t *in, size_t in_size, uint64_t size, uint8_t **ret)
{
	struct err *err;
	struct libdeflate_decompressor *d;
	enum libdeflate_result result;
	uint8_t *out;

	if (size > INFLATED_MAX)
		return err_create(ERR_UNSUPPORTED, "%#" PRIx64 " bytes when inflated, at most %#" PRIx64 " are read",
				  size, INFLATED_MAX);
	if (size / DEFLATE_RATIO_MAX > in_size)
		return err_create(ERR_MALFORMED,
				  "said to inflate from %#zx to %#" PRIx64 " bytes, which no zlib stream does", in_size,
				  size);
	if (size > INFLATED_LARGE && size / LARGE_RATIO_MAX > in_size)
		return err_create(ERR_UNSUPPORTED,
				  "inflates from %#zx to %#" PRIx64 " bytes, which no debug information does", in_size,
				  size);
	err = reserve(elf, size, loaded_max(elf));
	if (err)
		return err;
	out = malloc(size ? size : 1);
	d = libdeflate_alloc_decompressor();
	if (!out || !d) {
		elf->priv->loaded -= size;
		free(out);
		libdeflate_free_decompressor(d);
		return &err_nomem;
	}
	result = libdeflate_zlib_decompress(d, in, in_size, out, size, NULL);
	libdeflate_free_decompressor(d);
	if (result != LIBDEFLATE_SUCCESS) {
		elf->priv->loaded -= size;
		free(out);
		return err_create(ERR_MALFORMED,
				  result == LIBDEFLATE_BAD_DATA ? "broken zlib stream"
								: "does not inflate to the %#" PRIx64
								  " bytes that it names",
				  size);
	}
	*ret = out;
	return NULL;
}

static struct err *inflate_section(struct elf_file *elf, const struct elf_section *section, const uint8_t *raw,
				   uint8_t **ret, size_t *size_ret)
{
	struct err *err;

	if (section->flags & SHF_COMPRESSED) {
		Elf64_Chdr ch;

		if (section->size < sizeof(ch))
			return err_create(ERR_MALFORMED, "too short for its compression header");
		memcpy(&ch, raw, sizeof(ch));
		if (ch.ch_type != ELFCOMPRESS_ZLIB)
			return err_create(ERR_UNSUPPORTED, "compressed by %s",
					  ch.ch_type == 2 ? "zstd" : "an unknown method");
		err = inflate_zlib(elf, raw + sizeof(ch), section->size - sizeof(ch), ch.ch_size, ret);
		if (!err)
			*size_ret = ch.ch_size;
		return err;
	}
	/* .zdebug_*: "ZLIB", the inflated size in 8 bytes of big endian, a zlib stream. */
	uint64_t size = 0;

	if (section->size < 12 || memcmp(raw, "ZLIB", 4) != 0)
		return err_create(ERR_MALFORMED, "no ZLIB header");
	for (int i = 4; i < 12; i++)
		size = size << 8 | raw[i];
	err = inflate_zlib(elf, raw + 12, section->size - 12, size, ret);
	if (!err)
		*size_ret = size;
	return err;
}

struct err *elf_section_load(struct elf_file *elf, size_t index, struct bytes *ret)
{
	const struct elf_section *section = &elf->sections[index];
	struct elf_section_priv *priv = &elf->priv->sections[index];
	uint8_t *raw = NULL;
	struct err *err;

	if (section->type == SHT_NOBITS || section->type == SHT_NULL)
		return &err_notfound;
	if (!priv->loaded) {
		bool compressed = section->flags & SHF_COMPRESSED || !strncmp(section->name, ".zdebug_", 8);
		size_t size = section->size;

		if (size > INFLATED_MAX)
			err = err_create(ERR_UNSUPPORTED, "%#zx bytes, at most %#" PRIx64 " are read", size,
					 INFLATED_MAX);
		else
			err = compressed ? NULL : reserve(elf, size, LOADED_MAX);
		if (!err) {
			raw = malloc(size ? size : 1);
			err = raw ? elf_pread(elf, section->offset, raw, size) : &err_nomem;
		}
		if (!err && compressed) {
			uint8_t *inflated = NULL;

			err = inflate_section(elf, section, raw, &inflated, &size);
			free(raw);
			raw = inflated;
		}
		if (err) {
			free(raw);
			return err_wrap(err, "%s: section %.64s (offset %#" PRIx64 ")", elf->path, section->name,
					section->offset);
		}
		priv->data = raw;
		priv->data_size = size;
		priv->loaded = true;
	}
	*ret = (struct bytes){ .data = priv->data, .size = priv->data_size };
	return NULL;
}

struct err *elf_file_section_data(struct elf_file *elf, const char *name, struct bytes *ret)
{
	size_t index = elf_section_index(elf, name);

	return index < elf->n_sections ? elf_section_load(elf, index, ret) : &err_notfound;
}

static const struct elf_segment *segment_of(const struct elf_file *elf, uint64_t vaddr, size_t size)
{
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (vaddr >= s->vaddr && vaddr - s->vaddr < s->filesz && size <= s->filesz - (vaddr - s->vaddr))
			return s;
	}
	return NULL;
}

struct err *elf_file_read(struct elf_file *elf, uint64_t vaddr, void *buf, size_t size)
{
	const struct elf_segment *s = segment_of(elf, vaddr, size);

	if (!s)
		return &err_notfound;
	return elf_pread(elf, s->offset + (vaddr - s->vaddr), buf, size);
}

struct err *elf_file_offset(const struct elf_file *elf, uint64_t vaddr, uint64_t *offset_ret)
{
	const struct elf_segment *s = segment_of(elf, vaddr, 1);

	if (!s)
		return &err_notfound;
	*offset_ret = s->offset + (vaddr - s->vaddr);
	return NULL;
}

bool elf_file_is_constant(const struct elf_file *elf, uint64_t vaddr, size_t size)
{
	const struct elf_segment *in = segment_of(elf, vaddr, size);

	for (size_t i = 0; i < elf->n_segments && in; i++) {
		const struct elf_segment *s = &elf->segments[i];
		bool overlaps = vaddr < s->vaddr ? s->vaddr - vaddr < size : vaddr - s->vaddr < s->memsz;
		if (overlaps && (s->flags & PF_W))
			return false;
	}
	return in;
}

static int compare_relocs(const void *a, const void *b)
{
	const struct elf_reloc *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* DT_RELA and DT_RELASZ. Both 0 where there is no such table. */
static struct err *find_rela(struct elf_file *elf, uint64_t *vaddr_ret, uint64_t *size_ret)
{
	uint64_t n = elf->priv->dynamic_size / sizeof(Elf64_Dyn), vaddr = 0, size = 0;
	Elf64_Dyn *dyn _cleanup_free_ = NULL;
	struct err *err;

	if (n > DYNAMIC_MAX)
		return err_create(ERR_MALFORMED, "dynamic section of %" PRIu64 " entries", n);
	dyn = calloc(n ? n : 1, sizeof(*dyn));
	if (!dyn)
		return &err_nomem;
	err = elf_file_read(elf, elf->priv->dynamic_vaddr, dyn, n * sizeof(*dyn));
	if (err)
		return err == &err_notfound
			       ? err_create(ERR_MALFORMED, "dynamic section at %#" PRIx64 ", which is not in the file",
					    elf->priv->dynamic_vaddr)
			       : err;
	for (uint64_t i = 0; i < n && dyn[i].d_tag != DT_NULL; i++) {
		if (dyn[i].d_tag == DT_RELA)
			vaddr = dyn[i].d_un.d_ptr;
		else if (dyn[i].d_tag == DT_RELASZ)
			size = dyn[i].d_un.d_val;
	}
	*vaddr_ret = vaddr;
	*size_ret = vaddr ? size : 0;
	return NULL;
}

static struct err *load_relocs(struct elf_file *elf)
{
	struct elf_priv *priv = elf->priv;
	Elf64_Rela *rela _cleanup_free_ = NULL;
	uint64_t vaddr = 0, size = 0;
	bool sorted = true;
	size_t n, kept = 0;
	struct err *err;

	if (!elf->pie || !priv->dynamic_size)
		return NULL;
	err = find_rela(elf, &vaddr, &size);
	if (err || !size)
		return err;
	/* Before memory is set aside: no more than the file holds. */
	if (size > elf->id.size || !segment_of(elf, vaddr, size))
		return err_create(ERR_MALFORMED, "relocations at %#" PRIx64 " (%#" PRIx64 " bytes) are not in the file",
				  vaddr, size);
	n = size / sizeof(*rela);
	rela = malloc(size);
	priv->relocs = malloc((n ? n : 1) * sizeof(*priv->relocs));
	if (!rela || !priv->relocs)
		return &err_nomem;
	err = elf_file_read(elf, vaddr, rela, size);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		if (ELF64_R_TYPE(rela[i].r_info) != R_X86_64_RELATIVE)
			continue;
		if (priv->n_relocs && rela[i].r_offset < priv->relocs[priv->n_relocs - 1].offset)
			sorted = false;
		priv->relocs[priv->n_relocs++] =
			(struct elf_reloc){ .offset = rela[i].r_offset, .addend = (uint64_t)rela[i].r_addend };
	}
	if (!sorted)
		qsort(priv->relocs, priv->n_relocs, sizeof(*priv->relocs), compare_relocs);
	/* One for a word, so that few lie within any few bytes. */
	for (size_t i = 0; i < priv->n_relocs; i++) {
		if (kept && priv->relocs[kept - 1].offset == priv->relocs[i].offset)
			kept--;
		priv->relocs[kept++] = priv->relocs[i];
	}
	priv->n_relocs = kept;
	return NULL;
}

struct err *elf_relocs(struct elf_file *elf, const struct elf_reloc **v_ret, size_t *n_ret)
{
	if (!elf->priv->relocs_loaded) {
		struct err *err = load_relocs(elf);

		if (err) {
			free(elf->priv->relocs);
			elf->priv->relocs = NULL;
			elf->priv->n_relocs = 0;
			return err_wrap(err, "%s", elf->path);
		}
		elf->priv->relocs_loaded = true;
	}
	*v_ret = elf->priv->relocs;
	*n_ret = elf->priv->n_relocs;
	return NULL;
}

size_t elf_reloc_lower_bound(const struct elf_reloc *v, size_t n, uint64_t offset)
{
	size_t low = 0;

	while (n) {
		size_t half = n / 2;

		if (v[low + half].offset < offset) {
			low += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return low;
}

struct err *elf_file_read_relocated(struct elf_file *elf, uint64_t vaddr, void *buf, size_t size)
{
	const struct elf_reloc *v;
	struct err *err;
	size_t n;

	err = elf_file_read(elf, vaddr, buf, size);
	if (err || !elf->pie)
		return err;
	err = elf_relocs(elf, &v, &n);
	if (err)
		return err;
	for (size_t i = elf_reloc_lower_bound(v, n, vaddr); i < n && v[i].offset - vaddr < size; i++)
		if (size - (v[i].offset - vaddr) >= sizeof(v[i].addend))
			memcpy((char *)buf + (v[i].offset - vaddr), &v[i].addend, sizeof(v[i].addend));
	return NULL;
}
