/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and reading the pclntab. See pclntab.h for the layouts. */
#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "elf_priv.h"
#include "go_build.h"
#include "pclntab_priv.h"

/* The linker aligns the table to the pointer size at least. */
#define PCLNTAB_ALIGN 8
/* Bytes of a segment that are searched in one go: a multiple of PCLNTAB_ALIGN, and so much overlaps. */
#define SEARCH_CHUNK (1 << 20)
/* Bytes of a name: real ones have some KiB at most. In a hostile file all can be one of many MB, and each that asks reads it. */
#define STRING_MAX (64u << 10)
/* Bytes of the table: of the largest programs known some hundred MB. Where it has no section, it is read to the end of its segment. */
#define PCLNTAB_MAX (1u << 30)
/* Bytes of the longest header: of Go 1.18 and later. */
#define HEADER_MAX 72

/* Header of every layout: u32 magic, two zeros, u8 quantum of pcs (1 on amd64), u8 pointer size. */
#define HEADER_TAIL ((uint64_t)0x08010000 << 32)

static const struct {
	uint32_t magic;
	int minor;
} layouts[] = {
	{ 0xfffffff1, 20 },
	{ 0xfffffff0, 18 },
	{ 0xfffffffa, 16 },
	{ 0xfffffffb, 2 },
};

/* struct moduledata of runtime/symtab.go, Go 1.18 and later: words that are used here. */
enum {
	MODULEDATA_PCHEADER = 0,
	MODULEDATA_FUNCNAMETAB = 8,
	MODULEDATA_MINPC = 160,
	MODULEDATA_TEXT = 176,
	MODULEDATA_USED = 184, /* bytes of it that are read to know it */
	MODULEDATA_GOFUNC_18 = 304,
	MODULEDATA_GOFUNC_20 = 320, /* behind covctrs, ecovctrs */
	MODULEDATA_GOFUNC_27 = 344, /* behind typedesclen, itaboffset, itabsize */
};

/* internal/abi/symtab.go; the tree's number since Go 1.16, one more before. */
#define PCDATA_INLINE_INDEX 2
#define FUNCDATA_INLINE_TREE 3

static struct err *malformed(const struct elf_file *elf, const char *what)
{
	return err_create(ERR_MALFORMED, "%s: damaged Go function table: %s", elf->path, what);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static int layout_of(uint64_t head)
{
	if (head >> 32 << 32 != HEADER_TAIL)
		return 0;
	for (size_t i = 0; i < sizeof(layouts) / sizeof(*layouts); i++)
		if ((uint32_t)head == layouts[i].magic)
			return layouts[i].minor;
	return 0;
}

/* ---- finding it ------------------------------------------------------------------------------------------- */

static struct err *search_segment(struct elf_file *elf, const struct elf_segment *s, uint64_t *vaddr_ret)
{
	uint8_t *buf _cleanup_free_ = malloc(SEARCH_CHUNK);

	if (!buf)
		return &err_nomem;
	for (uint64_t at = 0; at < s->filesz; at += SEARCH_CHUNK - PCLNTAB_ALIGN) {
		size_t n = s->filesz - at < SEARCH_CHUNK ? s->filesz - at : SEARCH_CHUNK;
		struct err *err = elf_scan(elf, s->offset + at, buf, n);

		if (err)
			return err;
		for (size_t i = -(s->vaddr + at) % PCLNTAB_ALIGN; i + 8 <= n; i += PCLNTAB_ALIGN) {
			if (layout_of(get64(buf + i))) {
				*vaddr_ret = s->vaddr + at + i;
				return NULL;
			}
		}
	}
	return &err_notfound;
}

/* Link address and greatest possible size. A section that is there but does not begin with a known magic is not
 * believed: the segments are searched all the same. */
static struct err *locate(struct elf_file *elf, uint64_t *vaddr_ret, uint64_t *size_ret)
{
	static const char *const names[] = { ".gopclntab", ".data.rel.ro.gopclntab" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const struct elf_section *section = elf_file_find_section(elf, names[i]);
		struct err *err;
		uint64_t head;

		if (!section || section->size < sizeof(head))
			continue;
		err = elf_file_read(elf, section->addr, &head, sizeof(head));
		if (err && err != &err_notfound)
			return err;
		if (!err && layout_of(head)) {
			*vaddr_ret = section->addr;
			*size_ret = section->size;
			return NULL;
		}
	}
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];
		struct err *err = search_segment(elf, s, vaddr_ret);

		if (!err)
			*size_ret = s->filesz - (*vaddr_ret - s->vaddr);
		if (err != &err_notfound)
			return err;
	}
	return &err_notfound;
}

struct err *pclntab_exists(struct elf_file *elf, bool *ret)
{
	uint64_t vaddr, size;
	struct err *err = locate(elf, &vaddr, &size);

	if (err && err != &err_notfound)
		return err;
	*ret = !err;
	return NULL;
}

/* ---- the header ------------------------------------------------------------------------------------------- */

/* The part of the table from the offset that stands in header word `word`. */
static bool part_at(const struct pclntab *t, size_t word, struct bytes *ret)
{
	uint64_t offset = get64(t->data + 8 + 8 * word);

	if (offset > t->size)
		return false;
	*ret = (struct bytes){ .data = t->data + offset, .size = t->size - offset };
	return true;
}

/* The parts lie one after the other: what is behind the next one's start is no string of this one. */
static void end_part(struct bytes *part, struct bytes next)
{
	if (next.data > part->data && (size_t)(next.data - part->data) < part->size)
		part->size = (size_t)(next.data - part->data);
}

/* Go 1.2–1.15: one area, all offsets from its start; functab right after the count, then the offset of the file table
 * (debug/gosym/pclntab.go, ver12). */
static struct err *parse_layout_2(const struct elf_file *elf, struct pclntab *t)
{
	uint64_t n = get64(t->data + 8), functab_size, file_offset, n_files;

	t->names = t->pc_values = t->funcs = (struct bytes){ .data = t->data, .size = t->size };
	t->field = 8;
	if (n >= UINT32_MAX || n > (t->size - 16) / 16)
		return malformed(elf, "it is shorter than its count of functions says");
	t->n_funcs = (uint32_t)n;
	functab_size = (2 * n + 1) * 8;
	if (!range_within(16 + functab_size, 4, t->size))
		return malformed(elf, "it is shorter than its count of functions says");
	t->funcs.data += 16;
	t->funcs.size -= 16;
	file_offset = get32(t->data + 16 + functab_size);
	if (!range_within(file_offset, 4, t->size))
		return malformed(elf, "its file table is out of bounds");
	n_files = get32(t->data + file_offset);
	if (!range_within(file_offset, 4 * n_files, t->size))
		return malformed(elf, "its file table is out of bounds");
	t->cu_files = (struct bytes){ .data = t->data + file_offset, .size = 4 * n_files };
	t->files = (struct bytes){ .data = t->data, .size = t->size };
	return NULL;
}

/* Go 1.16 and later: words of the header are count of functions, count of files, from 1.18 text start, then offsets
 * of the names, the file numbers by compilation unit, the file names, the pc-value tables, and the functab with the
 * records (cmd/link/internal/ld/pcln.go, generatePCHeader). */
static struct err *parse_layout_16(const struct elf_file *elf, struct pclntab *t)
{
	size_t first = t->minor >= 18 ? 3 : 2;
	uint64_t n;

	if (t->size < 8 + 8 * (first + 5))
		return malformed(elf, "it ends within its header");
	n = get64(t->data + 8);
	t->field = t->minor >= 18 ? 4 : 8;
	if (!part_at(t, first, &t->names) || !part_at(t, first + 1, &t->cu_files) ||
	    !part_at(t, first + 2, &t->files) || !part_at(t, first + 3, &t->pc_values) ||
	    !part_at(t, first + 4, &t->funcs))
		return malformed(elf, "an offset in its header is out of bounds");
	end_part(&t->names, t->cu_files);
	end_part(&t->cu_files, t->files);
	end_part(&t->files, t->pc_values);
	end_part(&t->pc_values, t->funcs);
	if (n >= UINT32_MAX || n > t->funcs.size / (2 * t->field) || (2 * n + 1) * t->field > t->funcs.size)
		return malformed(elf, "it is shorter than its count of functions says");
	t->n_funcs = (uint32_t)n;
	return NULL;
}

/* ---- text start ------------------------------------------------------------------------------------------- */

/* Whether all functions lie in executable bytes of the file if the text starts there. */
static bool fits_text(const struct elf_file *elf, const struct pclntab *t, uint64_t text_start)
{
	uint64_t first = text_start + get32(t->funcs.data),
		 last = text_start + get32(t->funcs.data + (size_t)t->n_funcs * 8);

	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (s->flags & PF_X && first >= s->vaddr && last >= first && last - s->vaddr <= s->filesz)
			return true;
	}
	return false;
}

/* Is this the moduledata of our table? Its first words point at the table and at the parts of it, and its lowest pc
 * is the first function's. */
static struct err *check_moduledata(struct elf_file *elf, const struct pclntab *t, uint64_t vaddr,
				    uint64_t *text_start_ret, uint64_t *vaddr_ret)
{
	uint8_t m[MODULEDATA_USED];
	struct err *err = elf_file_read_relocated(elf, vaddr, m, sizeof(m));
	uint64_t text;

	if (err)
		return err;
	text = get64(m + MODULEDATA_TEXT);
	if (get64(m + MODULEDATA_PCHEADER) != t->vaddr ||
	    get64(m + MODULEDATA_FUNCNAMETAB) != t->vaddr + (uint64_t)(t->names.data - t->data) ||
	    get64(m + MODULEDATA_MINPC) != text + get32(t->funcs.data) || !fits_text(elf, t, text))
		return &err_notfound;
	*text_start_ret = text;
	*vaddr_ret = vaddr;
	return NULL;
}

/* Through the word that points at the table: it is the first of runtime.firstmoduledata. */
static struct err *find_moduledata(struct elf_file *elf, const struct pclntab *t, uint64_t *text_start_ret,
				   uint64_t *vaddr_ret)
{
	uint8_t *buf _cleanup_free_ = NULL;
	const struct elf_reloc *v;
	struct err *err;
	size_t n;

	err = elf_relocs(elf, &v, &n);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		if (v[i].addend != t->vaddr)
			continue;
		err = check_moduledata(elf, t, v[i].offset, text_start_ret, vaddr_ret);
		if (err != &err_notfound)
			return err;
	}
	buf = malloc(SEARCH_CHUNK);
	if (!buf)
		return &err_nomem;
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (!(s->flags & PF_W))
			continue;
		for (uint64_t at = 0; at < s->filesz; at += SEARCH_CHUNK - PCLNTAB_ALIGN) {
			size_t size = s->filesz - at < SEARCH_CHUNK ? s->filesz - at : SEARCH_CHUNK;

			err = elf_scan(elf, s->offset + at, buf, size);
			if (err)
				return err;
			for (size_t j = -(s->vaddr + at) % PCLNTAB_ALIGN; j + 8 <= size; j += PCLNTAB_ALIGN) {
				if (get64(buf + j) != t->vaddr)
					continue;
				err = check_moduledata(elf, t, s->vaddr + at + j, text_start_ret, vaddr_ret);
				if (err != &err_notfound)
					return err;
			}
		}
	}
	return &err_notfound;
}

/* Where Go's own linker made the program, execution starts at _rt0_amd64_linux, which the table lists. */
static struct err *text_start_from_entry(const struct elf_file *elf, const struct pclntab *t, uint64_t *ret)
{
	for (uint32_t i = 0; i < t->n_funcs; i++) {
		struct pclntab_func func;
		const char *name;
		struct err *err = pclntab_func(t, i, &func);

		if (err)
			return err;
		name = pclntab_string(t->names, func.name);
		if (name && !strcmp(name, "_rt0_amd64_linux")) {
			*ret = elf->entry - get32(t->funcs.data + (size_t)i * 8);
			return fits_text(elf, t, *ret) ? NULL : &err_notfound;
		}
	}
	return &err_notfound;
}

/* From Go 1.18 the functab holds offsets from runtime.text. The header says where that is up to Go 1.25 and is 0
 * from 1.26 on (and where the C linker has put the value into a relocation, which was applied when the table was
 * read). */
static struct err *find_text_start(struct elf_file *elf, struct pclntab *t)
{
	const struct elf_section *text;
	uint64_t in_header, size, moduledata;
	struct err *err;

	in_header = get64(t->data + 8 + 2 * 8);
	if (in_header && fits_text(elf, t, in_header)) {
		t->text_start = in_header;
		return NULL;
	}
	err = find_moduledata(elf, t, &t->text_start, &moduledata);
	if (err != &err_notfound)
		return err;
	err = elf_file_symbol(elf, "runtime.text", &t->text_start, &size);
	if (!err && fits_text(elf, t, t->text_start))
		return NULL;
	err_destroy(err);
	err = text_start_from_entry(elf, t, &t->text_start);
	if (err != &err_notfound)
		return err;
	text = elf_file_find_section(elf, ".text");
	if (!elf->has_interp && text && fits_text(elf, t, text->addr)) {
		t->text_start = text->addr;
		return NULL;
	}
	return malformed(elf, in_header ? "its text start is not that of code" : "its text start is not to be found");
}

/* ---- reading ---------------------------------------------------------------------------------------------- */

uint64_t pclntab_entry(const struct pclntab *t, uint32_t i)
{
	const uint8_t *p = t->funcs.data + (size_t)i * 2 * t->field;

	return t->field == 4 ? t->text_start + get32(p) : get64(p);
}

/* Bytes of a record that are read: the words from the entry to `cu` (1.16–) or `npcdata` (–1.15). */
static size_t record_size(const struct pclntab *t)
{
	return (t->minor >= 18 ? 4 : 8) + 4 * 8;
}

/* Behind the record stand offsets of pc-value tables, then where its other tables are: addresses, aligned to their size, up to Go 1.17,
 * then offsets, all ones for none. What is out of bounds is as if it were not there. */
static void find_inline_tables(const struct pclntab *t, const uint8_t *base, size_t limit, uint64_t offset,
			       struct pclntab_func *ret)
{
	/* the words up to npcdata, from 1.16 cu, from 1.20 startLine */
	size_t words = 7 + (t->minor >= 16) + (t->minor >= 20), field = t->minor >= 18 ? 4 : 8;
	uint64_t at = offset + (t->minor >= 18 ? 4 : 8), tail = at + 4 * words + 4, tree;
	uint32_t n_pcdata, number = FUNCDATA_INLINE_TREE + (t->minor < 16);

	if (!range_within(at, 4 * words + 4, limit))
		return;
	n_pcdata = get32(base + at + 24);
	if (n_pcdata <= PCDATA_INLINE_INDEX || base[tail - 1] <= number || n_pcdata > limit / 4)
		return;
	tree = tail + 4 * (uint64_t)n_pcdata;
	if (field == 8) /* in the program; the table's start is aligned there as in the copy's offsets */
		tree += -(t->vaddr + (uint64_t)(base - t->data) + tree) % 8;
	tree += field * number;
	if (!range_within(tail, 4 * (uint64_t)n_pcdata, limit) || !range_within(tree, field, limit))
		return;
	ret->pc_inline = get32(base + tail + 4 * PCDATA_INLINE_INDEX);
	ret->inline_off = field == 8 ? get64(base + tree) : get32(base + tree);
	ret->has_inline = field == 8 ? ret->inline_off != 0 : ret->inline_off != UINT32_MAX;
}

struct err *pclntab_func(const struct pclntab *t, uint32_t i, struct pclntab_func *ret)
{
	const uint8_t *p = t->funcs.data + ((size_t)i * 2 + 1) * t->field, *base, *words;
	uint64_t offset = t->field == 4 ? get32(p) : get64(p);
	size_t limit;

	/* Offsets of records count from the functab, up to 1.15 from the table's start. */
	base = t->minor == 2 ? t->data : t->funcs.data;
	limit = t->minor == 2 ? t->size : t->funcs.size;
	if (!range_within(offset, record_size(t), limit))
		return err_create(ERR_MALFORMED,
				  "damaged Go function table: the record of function %" PRIu32 " is at %#" PRIx64
				  ", out of bounds",
				  i, offset);
	/* entry; then 4 bytes each: name, args, deferreturn (up to 1.15 frame), pcsp, pcfile, pcln, npcdata, cu
	 * (from 1.16) */
	words = base + offset + (t->minor >= 18 ? 4 : 8);
	*ret = (struct pclntab_func){
		.name = get32(words),
		.args = (int32_t)get32(words + 4),
		.pc_file = get32(words + 16),
		.pc_line = get32(words + 20),
		.cu = t->minor >= 16 ? get32(words + 28) : 0,
	};
	find_inline_tables(t, base, limit, offset, ret);
	return NULL;
}

const char *pclntab_string(struct bytes part, uint64_t offset)
{
	size_t room;

	if (offset >= part.size)
		return NULL;
	room = part.size - offset;
	if (!memchr(part.data + offset, '\0', room > STRING_MAX ? STRING_MAX + 1 : room))
		return NULL;
	return (const char *)part.data + offset;
}

struct err *pclntab_open(struct elf_file *elf, struct pclntab *ret)
{
	struct pclntab t = { 0 };
	struct err *err;
	uint64_t size;

	err = locate(elf, &t.vaddr, &size);
	if (err)
		return err == &err_notfound
			       ? err_create(ERR_NOT_GO, "%s: not a Go program, or its function table was removed",
					    elf->path)
			       : err;
	if (size < HEADER_MAX)
		return malformed(elf, "it ends within its header");
	if (size > PCLNTAB_MAX)
		size = PCLNTAB_MAX;
	t.data = malloc(size);
	if (!t.data)
		return &err_nomem;
	t.size = size;
	err = elf_file_read_relocated(elf, t.vaddr, t.data, size);
	if (err == &err_notfound)
		err = malformed(elf, "its section is not part of what is loaded");
	if (!err) {
		t.minor = layout_of(get64(t.data));
		if (!t.minor) /* the file changed under us */
			err = malformed(elf, "its magic is missing");
	}
	if (!err)
		err = t.minor == 2 ? parse_layout_2(elf, &t) : parse_layout_16(elf, &t);
	if (!err && t.minor >= 18)
		err = find_text_start(elf, &t);
	if (err) {
		pclntab_deinit(&t);
		return err;
	}
	*ret = t;
	return NULL;
}

static bool is_loaded(const struct elf_file *elf, uint64_t vaddr)
{
	for (size_t i = 0; i < elf->n_segments; i++)
		if (vaddr - elf->segments[i].vaddr < elf->segments[i].filesz)
			return true;
	return false;
}

struct err *pclntab_gofunc(struct elf_file *elf, const struct pclntab *t, uint64_t *ret)
{
	static const char *const symbols[] = { "go:func.*", "go.func.*" };
	uint64_t text_start, moduledata, size, addr;
	struct go_build *build;
	struct err *err;
	int minor;

	*ret = 0;
	if (t->minor < 18)
		return NULL;
	for (size_t i = 0; i < sizeof(symbols) / sizeof(*symbols); i++) {
		err = elf_file_symbol(elf, symbols[i], &addr, &size);
		if (!err && is_loaded(elf, addr)) {
			*ret = addr;
			return NULL;
		}
		err_destroy(err);
	}
	err = go_build_read(elf, &build);
	if (err)
		return err;
	minor = build->minor;
	go_build_destroy(build);
	if (minor < 18)
		return &err_notfound;
	err = find_moduledata(elf, t, &text_start, &moduledata);
	if (err)
		return err;
	moduledata += minor >= 27 ? MODULEDATA_GOFUNC_27 : minor >= 20 ? MODULEDATA_GOFUNC_20 : MODULEDATA_GOFUNC_18;
	err = elf_file_read_relocated(elf, moduledata, &addr, sizeof(addr));
	if (err)
		return err;
	if (!is_loaded(elf, addr))
		return &err_notfound;
	*ret = addr;
	return NULL;
}

/* ---- pc-value tables -------------------------------------------------------------------------------------- */

static bool get_varint(const uint8_t **p, const uint8_t *end, uint32_t *ret)
{
	uint32_t v = 0;

	for (int shift = 0; shift < 35 && *p < end; shift += 7) {
		uint8_t byte = *(*p)++;

		v |= (uint32_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

/* Pairs of a zigzag difference of the value and a difference of the pc, ended by a zero (golang.org/s/go12symtab, "Common Encoding:
 * Tables"; runtime/symtab.go, step). */
bool pclntab_step(const struct pclntab *t, uint64_t entry, uint32_t *at, uint64_t *pc, int32_t *value)
{
	const uint8_t *p = t->pc_values.data + *at, *end = t->pc_values.data + t->pc_values.size;
	uint32_t value_delta, pc_delta;

	if (!*at || *at >= t->pc_values.size)
		return false;
	if (!get_varint(&p, end, &value_delta) || (!value_delta && *pc != entry) || !get_varint(&p, end, &pc_delta))
		return false;
	if (!pc_delta) /* no progress: the pairs of a hostile table must not be followed for ever */
		return false;
	*value = (int32_t)((uint32_t)*value + (value_delta & 1 ? ~(value_delta >> 1) : value_delta >> 1));
	*pc += pc_delta;
	*at = (uint32_t)(p - t->pc_values.data);
	return true;
}

bool pclntab_value(const struct pclntab *t, uint64_t entry, uint32_t offset, uint64_t addr, int32_t *ret)
{
	uint64_t pc = entry;
	int32_t value = -1;

	while (pclntab_step(t, entry, &offset, &pc, &value)) {
		if (addr < pc) {
			*ret = value;
			return true;
		}
	}
	return false;
}

void pclntab_deinit(struct pclntab *t)
{
	free(t->data);
	*t = (struct pclntab){ 0 };
}
