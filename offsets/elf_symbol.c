/* SPDX-License-Identifier: Apache-2.0 */
/* Symbols of an ELF file, and what is found out through them. */
#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "elf_priv.h"

#define SCAN_CHUNK (1 << 20) /* bytes of code looked at in one go */

struct err *elf_file_each_symbol(struct elf_file *elf, bool (*fn)(void *arg, const struct elf_symbol *symbol),
				 void *arg)
{
	size_t index = elf_section_index(elf, ".symtab"), link, n;
	struct bytes table, strings;
	struct err *err;

	if (index == elf->n_sections || elf->sections[index].type != SHT_SYMTAB)
		index = elf_section_index(elf, ".dynsym");
	if (index == elf->n_sections ||
	    (elf->sections[index].type != SHT_SYMTAB && elf->sections[index].type != SHT_DYNSYM))
		return &err_notfound;
	link = elf->priv->sections[index].link;
	if (link >= elf->n_sections || elf->sections[link].type != SHT_STRTAB)
		return err_create(ERR_MALFORMED, "%s: section %.64s has its names in section %zu, which holds none",
				  elf->path, elf->sections[index].name, link);
	if ((err = elf_section_load(elf, index, &table)) || (err = elf_section_load(elf, link, &strings)))
		return err;
	if (!strings.size || strings.data[strings.size - 1] != '\0')
		return err_create(ERR_MALFORMED, "%s: section %.64s does not end its last string", elf->path,
				  elf->sections[link].name);
	n = table.size / sizeof(Elf64_Sym);
	for (size_t i = 1; i < n; i++) { /* symbol 0 is none (ELF specification, "Symbol Table") */
		struct elf_symbol symbol;
		Elf64_Sym sym;

		memcpy(&sym, table.data + i * sizeof(sym), sizeof(sym));
		if (sym.st_name >= strings.size)
			return err_create(ERR_MALFORMED,
					  "%s: symbol %zu of section %.64s has its name at %#x, past the end",
					  elf->path, i, elf->sections[index].name, sym.st_name);
		symbol = (struct elf_symbol){
			.name = (const char *)strings.data + sym.st_name,
			.value = sym.st_value,
			.size = sym.st_size,
			.type = ELF64_ST_TYPE(sym.st_info),
			.bind = ELF64_ST_BIND(sym.st_info),
			.shndx = sym.st_shndx,
		};
		if (!fn(arg, &symbol))
			break;
	}
	return NULL;
}

struct wanted {
	const char *name;
	struct elf_symbol found;
};

static bool is_wanted(void *arg, const struct elf_symbol *symbol)
{
	struct wanted *wanted = arg;

	if (symbol->shndx == SHN_UNDEF || strcmp(symbol->name, wanted->name) != 0)
		return true;
	wanted->found = *symbol;
	return false;
}

struct err *elf_file_symbol(struct elf_file *elf, const char *name, uint64_t *value_ret, uint64_t *size_ret)
{
	struct wanted wanted = { .name = name };
	struct err *err = elf_file_each_symbol(elf, is_wanted, &wanted);

	if (err)
		return err;
	if (!wanted.found.name)
		return &err_notfound;
	*value_ret = wanted.found.value;
	*size_ret = wanted.found.size;
	return NULL;
}

/* One of the ways in which Go's compilers load g into RCX (up to Go 1.16 in every function) or R14 (in wrappers of
 * ABI0 functions). */
struct load_g {
	uint8_t head[5], tail[4];
	uint8_t head_size, tail_size; /* a 32-bit offset stands between head and tail */
};

static const struct load_g loads_of_g[] = {
	{ { 0x64, 0x48, 0x8b, 0x0c, 0x25 }, { 0 }, 5, 0 },          /* mov %fs:offset, %rcx */
	{ { 0x64, 0x4c, 0x8b, 0x34, 0x25 }, { 0 }, 5, 0 },          /* mov %fs:offset, %r14 */
	{ { 0x48, 0xc7, 0xc1 }, { 0x64, 0x48, 0x8b, 0x09 }, 3, 4 }, /* mov $offset, %rcx; mov %fs:(%rcx), %rcx */
	{ { 0x49, 0xc7, 0xc6 }, { 0x64, 0x4d, 0x8b, 0x36 }, 3, 4 }, /* mov $offset, %r14; mov %fs:(%r14), %r14 */
};

#define LOAD_G_SIZE 11 /* bytes of the longest of these */

static bool is_load_of_g(const uint8_t *code, int32_t *offset_ret)
{
	for (size_t i = 0; i < sizeof(loads_of_g) / sizeof(*loads_of_g); i++) {
		const struct load_g *l = &loads_of_g[i];

		if (memcmp(code, l->head, l->head_size) == 0 &&
		    memcmp(code + l->head_size + 4, l->tail, l->tail_size) == 0) {
			memcpy(offset_ret, code + l->head_size, sizeof(*offset_ret));
			return true;
		}
	}
	return false;
}

/* The offset within the TLS segment that the code loads most often: C code in the same program may load other
 * variables in the same way. */
static struct err *scan_for_g(struct elf_file *elf, int32_t *ret)
{
	uint64_t slots = elf->priv->tls_memsz / 8;
	uint32_t *counts _cleanup_free_ = NULL;
	uint8_t *code _cleanup_free_ = NULL;
	uint32_t best = 0;

	if (!slots || slots > SCAN_CHUNK)
		return &err_notfound;
	counts = calloc(slots, sizeof(*counts));
	code = malloc(SCAN_CHUNK);
	if (!counts || !code)
		return &err_nomem;
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (!(s->flags & PF_X))
			continue;
		for (uint64_t at = 0; at + LOAD_G_SIZE < s->filesz; at += SCAN_CHUNK - LOAD_G_SIZE) {
			size_t n = s->filesz - at < SCAN_CHUNK ? s->filesz - at : SCAN_CHUNK;
			struct err *err = elf_scan(elf, s->offset + at, code, n);

			if (err)
				return err;
			for (size_t j = 0; j + LOAD_G_SIZE <= n; j++) {
				int32_t offset;

				if ((code[j] == 0x64 || code[j] == 0x48 || code[j] == 0x49) &&
				    is_load_of_g(code + j, &offset) && offset < 0 &&
				    !((offset - elf->tls_offset) % 8) && offset - elf->tls_offset >= 0 &&
				    (uint64_t)(offset - elf->tls_offset) / 8 < slots) {
					uint32_t count = ++counts[(offset - elf->tls_offset) / 8];

					if (count > best) {
						best = count;
						*ret = offset;
					}
				}
			}
		}
	}
	return best ? NULL : &err_notfound;
}

struct err *go_tls_g_offset(struct elf_file *elf, int32_t *ret)
{
	uint64_t value, size;
	struct err *err;

	if (!elf->has_tls || elf->priv->tls_memsz == 8) {
		*ret = -8;
		return NULL;
	}
	err = elf_file_symbol(elf, "runtime.tlsg", &value, &size);
	if (err)
		return err == &err_notfound ? scan_for_g(elf, ret) : err;
	if (value > elf->priv->tls_memsz)
		return err_create(ERR_MALFORMED,
				  "%s: symbol runtime.tlsg has the offset %#" PRIx64
				  " in a thread-local segment of %#" PRIx64 " bytes",
				  elf->path, value, elf->priv->tls_memsz);
	*ret = (int32_t)(elf->tls_offset + (int64_t)value);
	return NULL;
}
