/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the debug information: the sections that are needed, handed to libdw; units; reading attributes.
 *
 * libdw's own way of opening a file inflates every debug section of it, most of which nobody asks for here. It is given a small ELF image
 * instead, whose sections are empty when libelf reads their headers; their data descriptors are then pointed at the inflated bytes
 * that the elf_file keeps (an application may change d_buf and d_size of an Elf_Data), so nothing is copied. */
#include "dwarf_info.h"

#include <elf.h>
#include <gelf.h>
#include <inttypes.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf_priv.h"

#define UNITS_MAX (1u << 20) /* one a package and one an assembly file: a thousand in the largest programs known */
#define IMAGE_SECTIONS_MAX 16
#define NAMES_MAX 512 /* bytes of the image's section names */
/* Bytes of a string: the longest names of real programs have some KiB. A hostile file's entries can all share one string of many MB (DW_FORM_strp),
 * and who asks for a string reads all of it. */
#define STRING_MAX (64u << 10)
#define STRING_LONG (1u << 10)
#define LONG_STRINGS_MAX                                                                                               \
	(512u << 20) /* bytes of all strings longer than STRING_LONG, each time that they are asked for */

static const char *const info_sections[] = { ".debug_abbrev",      ".debug_info", ".debug_str", ".debug_line_str",
					     ".debug_str_offsets", ".debug_addr", NULL };
static const char *const loc_sections[] = { ".debug_abbrev",   ".debug_info",        ".debug_str",
					    ".debug_line_str", ".debug_str_offsets", ".debug_addr",
					    ".debug_loc",      ".debug_loclists",    NULL };
static const char *const line_sections[] = { ".debug_abbrev",      ".debug_info", ".debug_str",  ".debug_line_str",
					     ".debug_str_offsets", ".debug_addr", ".debug_line", NULL };
static const char *const debug_frame_sections[] = { ".debug_frame", NULL };
static const char *const eh_frame_sections[] = { ".eh_frame", NULL };

struct err *dwarf_malformed(const struct dwarf_info *dw, uint64_t die, const char *what)
{
	int code = dwarf_errno();

	return err_create(ERR_MALFORMED, "%s: .debug_info+%#" PRIx64 ": %s%s%s", dw->elf->path, die, what,
			  code ? ": " : "", code ? dwarf_errmsg(code) : "");
}

/* ---- the image ---------------------------------------------------------------------------------------------- */

static void image_deinit(struct dwarf_image *image)
{
	if (image->dbg)
		dwarf_end(image->dbg);
	if (image->elf)
		elf_end(image->elf);
	free(image->bytes);
	*image = (struct dwarf_image){ 0 };
}

/* libdw reads a string in .debug_info up to its NUL and an LEB128 number up to its last byte without asking where the section ends. A
 * section that ends in a zero byte stops both; one that does not is copied, with zeros behind it. */
static struct err *pad_section(struct dwarf_info *dw, struct bytes *data)
{
	char *copy;

	if (!data->size || !data->data[data->size - 1])
		return NULL;
	for (size_t i = 0; i < dw->n_padded; i++)
		if (dw->padded[i].of == data->data) {
			data->data = (const uint8_t *)dw->padded[i].data;
			return NULL;
		}
	if (dw->n_padded == sizeof(dw->padded) / sizeof(dw->padded[0]))
		return &err_nomem;
	copy = calloc(1, data->size + 16);
	if (!copy)
		return &err_nomem;
	memcpy(copy, data->data, data->size);
	dw->padded[dw->n_padded].of = data->data;
	dw->padded[dw->n_padded++].data = copy;
	data->data = (const uint8_t *)copy;
	return NULL;
}

static void point_at(Elf_Data *d, const struct bytes *bytes)
{
	d->d_buf = (void *)bytes->data;
	d->d_size = bytes->size;
	d->d_type = ELF_T_BYTE;
	d->d_align = 1;
}

static struct err *image_failed(const struct dwarf_info *dw, const char *text)
{
	return err_create(ERR_MALFORMED, "%s: the debug information cannot be opened: %s", dw->elf->path, text);
}

/* Lay out: header, section names, section headers. */
static struct err *image_build(struct dwarf_image *image, const char *const *names, const uint64_t *addrs, size_t n)
{
	size_t total = sizeof(Elf64_Ehdr) + NAMES_MAX + (n + 2) * sizeof(Elf64_Shdr), used = 1;
	Elf64_Ehdr *eh = calloc(1, total);

	if (!eh)
		return &err_nomem;
	image->bytes = eh;
	char *strings = (char *)(eh + 1);
	Elf64_Shdr *sh = (Elf64_Shdr *)(strings + NAMES_MAX);
	memcpy(eh->e_ident, ELFMAG, SELFMAG);
	eh->e_ident[EI_CLASS] = ELFCLASS64;
	eh->e_ident[EI_DATA] = ELFDATA2LSB;
	eh->e_ident[EI_VERSION] = EV_CURRENT;
	eh->e_type = ET_EXEC;
	eh->e_machine = EM_X86_64;
	eh->e_version = EV_CURRENT;
	eh->e_ehsize = sizeof(*eh);
	eh->e_shoff = (char *)sh - (char *)eh;
	eh->e_shentsize = sizeof(*sh);
	eh->e_shnum = n + 2;
	eh->e_shstrndx = n + 1;
	for (size_t i = 0; i <= n; i++) {
		const char *name = i < n ? names[i] : ".shstrtab";

		sh[i + 1].sh_name = used;
		sh[i + 1].sh_type = i < n ? SHT_PROGBITS : SHT_STRTAB;
		sh[i + 1].sh_addralign = 1;
		sh[i + 1].sh_addr = i < n ? addrs[i] : 0;
		sh[i + 1].sh_offset = sizeof(*eh);
		sh[i + 1].sh_size = i < n ? 0 : NAMES_MAX;
		memcpy(strings + used, name, strlen(name) + 1);
		used += strlen(name) + 1;
	}
	image->elf = elf_memory(image->bytes, total);
	return NULL;
}

static struct err *image_open(struct dwarf_info *dw, const char *const *wanted, bool with_dwarf,
			      struct dwarf_image *image)
{
	const char *names[IMAGE_SECTIONS_MAX];
	struct bytes data[IMAGE_SECTIONS_MAX];
	uint64_t addrs[IMAGE_SECTIONS_MAX];
	struct err *err;
	size_t n = 0;

	for (size_t i = 0; wanted[i]; i++) {
		err = elf_file_section_data(dw->elf, wanted[i], &data[n]);
		if (err && err->code == ERR_NOTFOUND) {
			err_destroy(err);
			continue;
		}
		if (!err)
			err = pad_section(dw, &data[n]);
		if (err)
			return err;
		const struct elf_section *section = elf_file_find_section(dw->elf, wanted[i]);
		names[n] = wanted[i];
		addrs[n++] = section ? section->addr : 0;
	}
	if (!n)
		return &err_notfound;
	elf_version(EV_CURRENT);
	err = image_build(image, names, addrs, n);
	if (err)
		return err;
	if (!image->elf)
		err = image_failed(dw, elf_errmsg(-1));
	for (size_t i = 0; i < n && !err; i++) {
		Elf_Scn *scn = elf_getscn(image->elf, i + 1);
		Elf_Data *raw = scn ? elf_rawdata(scn, NULL) : NULL, *d;

		if (raw)
			point_at(raw, &data[i]);
		d = raw ? elf_getdata(scn, NULL) : NULL;
		if (d)
			point_at(d, &data[i]);
		else
			err = image_failed(dw, elf_errmsg(-1));
	}
	if (!err && with_dwarf) {
		image->dbg = dwarf_begin_elf(image->elf, DWARF_C_READ, NULL);
		if (!image->dbg)
			err = image_failed(dw, dwarf_errmsg(-1));
	}
	if (err)
		image_deinit(image);
	return err;
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

static Dwarf_Attribute *attr_place(struct dwarf_attrs *a, unsigned int code)
{
	switch (code) {
	case DW_AT_name:
		return &a->name;
	case DW_AT_low_pc:
		return &a->low_pc;
	case DW_AT_high_pc:
		return &a->high_pc;
	case DW_AT_type:
		return &a->type;
	case DW_AT_abstract_origin:
		return &a->origin;
	case DW_AT_inline:
		return &a->inlined;
	case DW_AT_byte_size:
		return &a->byte_size;
	case DW_AT_GO_KIND:
		return &a->go_kind;
	case DW_AT_GO_KEY:
		return &a->go_key;
	case DW_AT_GO_ELEM:
		return &a->go_elem;
	case DW_AT_GO_RUNTIME_TYPE:
		return &a->go_runtime_type;
	case DW_AT_GO_EMBEDDED_FIELD:
		return &a->go_embedded;
	case DW_AT_data_member_location:
		return &a->member_offset;
	case DW_AT_variable_parameter:
		return &a->variable_parameter;
	case DW_AT_trampoline:
		return &a->trampoline;
	case DW_AT_location:
		return &a->location;
	case DW_AT_encoding:
		return &a->encoding;
	case DW_AT_declaration:
		return &a->declaration;
	}
	return NULL;
}

static int take_attr(Dwarf_Attribute *attr, void *arg)
{
	Dwarf_Attribute *place = attr_place(arg, attr->code);

	if (place)
		*place = *attr;
	return DWARF_CB_OK;
}

struct err *dwarf_attrs_read(const struct dwarf_info *dw, Dwarf_Die *die, struct dwarf_attrs *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (dwarf_getattrs(die, take_attr, ret, 0) < 0)
		return dwarf_malformed(dw, dwarf_dieoffset(die), "attributes");
	return NULL;
}

struct err *dwarf_attr_string(struct dwarf_info *dw, Dwarf_Attribute *attr, const char **ret)
{
	const char *s = "";

	if (attr->code) {
		s = dwarf_formstring(attr);
		if (!s)
			return dwarf_malformed(dw, 0, "a string attribute");
		size_t n = strnlen(s, STRING_MAX + 1);
		if (n > STRING_LONG)
			dw->long_strings += n;
		if (n > STRING_MAX || dw->long_strings > LONG_STRINGS_MAX)
			return dwarf_malformed(dw, 0, "strings that are too long");
	}
	*ret = s;
	return NULL;
}

struct err *dwarf_attr_u64(const struct dwarf_info *dw, Dwarf_Attribute *attr, uint64_t missing, uint64_t *ret)
{
	Dwarf_Word v = missing;
	bool flag;

	if (!attr->code) {
		*ret = missing;
		return NULL;
	}
	if (dwarf_whatform(attr) == DW_FORM_flag || dwarf_whatform(attr) == DW_FORM_flag_present) {
		if (dwarf_formflag(attr, &flag))
			return dwarf_malformed(dw, 0, "a flag attribute");
		*ret = flag;
		return NULL;
	}
	if (dwarf_whatform(attr) == DW_FORM_addr || dwarf_whatform(attr) == DW_FORM_addrx) {
		if (dwarf_formaddr(attr, &v))
			return dwarf_malformed(dw, 0, "an address attribute");
	} else if (dwarf_formudata(attr, &v)) {
		return dwarf_malformed(dw, 0, "a number attribute");
	}
	*ret = v;
	return NULL;
}

bool dwarf_attr_block(Dwarf_Attribute *attr, Dwarf_Block *ret)
{
	bool is = !dwarf_formblock(attr, ret);

	if (!is)
		dwarf_errno(); /* no error, and not to be told with the next one */
	return is;
}

static bool is_address_form(unsigned int form)
{
	return form == DW_FORM_addr || form == DW_FORM_addrx || (form >= DW_FORM_addrx1 && form <= DW_FORM_addrx4);
}

struct err *dwarf_attr_pcs(const struct dwarf_info *dw, struct dwarf_attrs *attrs, uint64_t *low_ret,
			   uint64_t *high_ret)
{
	Dwarf_Addr low, high;
	Dwarf_Word size;

	*low_ret = *high_ret = 0;
	if (!attrs->low_pc.code || !attrs->high_pc.code)
		return NULL;
	if (dwarf_formaddr(&attrs->low_pc, &low))
		return dwarf_malformed(dw, 0, "DW_AT_low_pc");
	if (is_address_form(dwarf_whatform(&attrs->high_pc))) {
		if (dwarf_formaddr(&attrs->high_pc, &high))
			return dwarf_malformed(dw, 0, "DW_AT_high_pc");
	} else {
		if (dwarf_formudata(&attrs->high_pc, &size))
			return dwarf_malformed(dw, 0, "DW_AT_high_pc");
		if (size > UINT64_MAX - low)
			return dwarf_malformed(dw, 0, "DW_AT_high_pc past the end of memory");
		high = low + size;
	}
	*low_ret = low;
	*high_ret = high;
	return NULL;
}

struct err *dwarf_die_at(const struct dwarf_info *dw, Dwarf *dbg, uint64_t offset, Dwarf_Die *ret)
{
	if (!dwarf_offdie(dbg, offset, ret))
		return dwarf_malformed(dw, offset, "no entry here");
	if (dwarf_tag(ret) == DW_TAG_invalid)
		return dwarf_malformed(dw, offset, "an entry without an abbreviation");
	return NULL;
}

struct err *dwarf_next_sibling(const struct dwarf_info *dw, Dwarf_Die *die, bool *more_ret)
{
	uint64_t at = dwarf_dieoffset(die);
	Dwarf_Die next;
	int r = dwarf_siblingof(die, &next);

	if (r < 0)
		return dwarf_malformed(dw, at, "next entry");
	*more_ret = r == 0;
	if (r)
		return NULL;
	/* DW_AT_sibling may say anything; going forward only ends some time. */
	if (dwarf_dieoffset(&next) <= at)
		return dwarf_malformed(dw, at, "its next entry lies before it");
	*die = next;
	return NULL;
}

struct err *dwarf_each_child(const struct dwarf_info *dw, Dwarf_Die *die,
			     struct err *(*fn)(void *arg, Dwarf_Die *child, bool *stop), void *arg)
{
	bool stop = false, more = true;
	Dwarf_Die child;
	int r = dwarf_child(die, &child);

	if (r < 0)
		return dwarf_malformed(dw, dwarf_dieoffset(die), "children");
	if (r)
		return NULL;
	for (size_t n = 0; more; n++) {
		struct err *err;

		if (n == DIE_CHILDREN_MAX)
			return dwarf_malformed(dw, dwarf_dieoffset(die), "too many children");
		err = fn(arg, &child, &stop);
		if (!err && stop)
			return NULL;
		if (!err)
			err = dwarf_next_sibling(dw, &child, &more);
		if (err)
			return err;
	}
	return NULL;
}

/* ---- units -------------------------------------------------------------------------------------------------- */

/* "Go cmd/compile go1.24.7; -N -l regabi": the flags stand after the semicolon (cmd/link/internal/ld/dwarf.go). */
static bool producer_optimized(const char *producer)
{
	const char *p = strchr(producer, ';');

	while (p && (p = strstr(p, " -N")))
		if (p[3] == '\0' || p[3] == ' ' || p[3] == ';')
			return false;
		else
			p++;
	return true;
}

static struct err *read_unit(struct dwarf_info *dw, Dwarf_Die *die, struct dwarf_unit *unit)
{
	Dwarf_Attribute attr;
	struct err *err;

	*unit = (struct dwarf_unit){ .die = dwarf_dieoffset(die), .name = "", .producer = "" };
	unit->go = dwarf_srclang(die) == DW_LANG_Go;
	if (dwarf_attr(die, DW_AT_name, &attr)) {
		err = dwarf_attr_string(dw, &attr, &unit->name);
		if (err)
			return err;
	}
	if (dwarf_attr(die, DW_AT_producer, &attr)) {
		err = dwarf_attr_string(dw, &attr, &unit->producer);
		if (err)
			return err;
	}
	unit->optimized = producer_optimized(unit->producer);
	return NULL;
}

static struct err *read_units(struct dwarf_info *dw)
{
	Dwarf_CU *cu = NULL;
	uint8_t unit_type;
	size_t cap = 0;
	Dwarf_Die die;
	int r;

	while (!(r = dwarf_get_units(dw->info.dbg, cu, &cu, NULL, &unit_type, &die, NULL))) {
		struct err *err;

		if (dw->n_units == UNITS_MAX)
			return dwarf_malformed(dw, dwarf_dieoffset(&die), "too many units");
		if (dw->n_units == cap) {
			size_t want = cap ? 2 * cap : 64;
			struct dwarf_unit *units = realloc(dw->units, want * sizeof(*units));

			if (!units)
				return &err_nomem;
			dw->units = units;
			cap = want;
		}
		/* Type units and the like do not come from Go. */
		if (unit_type != DW_UT_compile || dwarf_tag(&die) != DW_TAG_compile_unit)
			continue;
		err = read_unit(dw, &die, &dw->units[dw->n_units]);
		if (err)
			return err;
		dw->n_units++;
	}
	return r < 0 ? dwarf_malformed(dw, dw->n_units ? dw->units[dw->n_units - 1].die : 0, "the unit after this one")
		     : NULL;
}

const struct dwarf_unit *dwarf_unit_of(const struct dwarf_info *dw, uint64_t die)
{
	size_t low = 0, n = dw->n_units;

	while (n) {
		size_t half = n / 2;

		if (dw->units[low + half].die <= die) {
			low += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return low ? &dw->units[low - 1] : NULL;
}

static bool has_go_unit(const struct dwarf_info *dw)
{
	for (size_t i = 0; i < dw->n_units; i++)
		if (dw->units[i].go)
			return true;
	return false;
}

struct err *dwarf_info_open(struct elf_file *elf, struct dwarf_info **ret)
{
	struct dwarf_info *dw = calloc(1, sizeof(*dw));
	struct err *err = NULL;

	if (!dw)
		return &err_nomem;
	dw->elf = elf;
	if (!elf_file_find_section(elf, ".debug_info") || !elf_file_find_section(elf, ".debug_abbrev"))
		err = err_create(ERR_NO_DWARF, "%s has no debug information (built with -ldflags=-w, or stripped)",
				 elf->path);
	if (!err)
		err = image_open(dw, info_sections, true, &dw->info);
	if (!err)
		err = dwarf_check_abbrevs(dw);
	if (!err)
		err = read_units(dw);
	if (!err && !dw->n_units)
		err = err_create(ERR_NO_DWARF, "%s has no debug information: .debug_info is empty", elf->path);
	if (!err && !has_go_unit(dw))
		err = err_create(ERR_NO_DWARF, "%s has debug information of C only (built with -ldflags=-w)",
				 elf->path);
	if (err) {
		dwarf_info_destroy(dw);
		return err;
	}
	*ret = dw;
	return NULL;
}

void dwarf_info_destroy(struct dwarf_info *dw)
{
	if (!dw)
		return;
	if (dw->eh_frame.cfi)
		dwarf_cfi_end(dw->eh_frame.cfi); /* that of .debug_frame belongs to its Dwarf */
	image_deinit(&dw->eh_frame.image);
	image_deinit(&dw->debug_frame.image);
	image_deinit(&dw->line);
	image_deinit(&dw->loc);
	image_deinit(&dw->info);
	for (size_t i = 0; i < dw->n_padded; i++)
		free(dw->padded[i].data);
	free(dw->units);
	free(dw->entries);
	free(dw->buckets);
	free(dw->by_pc);
	free(dw);
}

struct err *dwarf_open_locations(struct dwarf_info *dw)
{
	return dw->loc.dbg ? NULL : image_open(dw, loc_sections, true, &dw->loc);
}

struct err *dwarf_open_lines(struct dwarf_info *dw)
{
	if (!elf_file_find_section(dw->elf, ".debug_line"))
		return &err_notfound;
	return dw->line.dbg ? NULL : image_open(dw, line_sections, true, &dw->line);
}

/* ---- the canonical frame address ---------------------------------------------------------------------------- */

static struct err *open_cfi(struct dwarf_info *dw, struct cfi_image *c, bool debug)
{
	struct err *err;

	if (c->tried)
		return NULL;
	c->tried = true;
	err = image_open(dw, debug ? debug_frame_sections : eh_frame_sections, debug, &c->image);
	if (err && err->code == ERR_NOTFOUND) {
		err_destroy(err);
		return NULL;
	}
	if (err)
		return err;
	c->cfi = debug ? dwarf_getcfi(c->image.dbg) : dwarf_getcfi_elf(c->image.elf);
	return NULL;
}

static struct err *cfa_of(struct dwarf_info *dw, Dwarf_CFI *cfi, uint64_t pc, int *reg_ret, int64_t *offset_ret)
{
	Dwarf_Frame *frame;
	Dwarf_Op *ops;
	size_t n;

	if (!cfi)
		return &err_notfound;
	if (dwarf_cfi_addrframe(cfi, pc, &frame)) {
		dwarf_errno(); /* not to be told with the next error */
		return &err_notfound;
	}
	if (dwarf_frame_cfa(frame, &ops, &n)) {
		free(frame);
		return err_create(ERR_MALFORMED, "%s: frame information at %#" PRIx64 ": %s", dw->elf->path, pc,
				  dwarf_errmsg(-1));
	}
	struct err *err = NULL;
	if (n == 1 && ops[0].atom >= DW_OP_breg0 && ops[0].atom <= DW_OP_breg31) {
		*reg_ret = ops[0].atom - DW_OP_breg0;
		*offset_ret = (int64_t)ops[0].number;
	} else if (n == 1 && ops[0].atom == DW_OP_bregx) {
		*reg_ret = ops[0].number > INT32_MAX ? -1 : (int)ops[0].number;
		*offset_ret = (int64_t)ops[0].number2;
	} else {
		err = err_create(ERR_UNSUPPORTED, "%s: the frame address at %#" PRIx64 " is an expression",
				 dw->elf->path, pc);
	}
	free(frame);
	return err;
}

struct err *dwarf_info_cfa(struct dwarf_info *dw, uint64_t pc, int *reg_ret, int64_t *offset_ret)
{
	struct err *err = open_cfi(dw, &dw->debug_frame, true);

	if (!err)
		err = cfa_of(dw, dw->debug_frame.cfi, pc, reg_ret, offset_ret);
	if (!err || err->code != ERR_NOTFOUND)
		return err;
	err_destroy(err);
	err = open_cfi(dw, &dw->eh_frame, false);
	return err ? err : cfa_of(dw, dw->eh_frame.cfi, pc, reg_ret, offset_ret);
}
