/* SPDX-License-Identifier: Apache-2.0 */
/* What libdw does not ask of .debug_abbrev: it goes through all attributes of an abbreviation for each entry, of which millions may take no byte, and
 * reads a table anew for each unit. */
#include <stdlib.h>
#include <string.h>

#include "dwarf_priv.h"

#define ATTRIBUTES_MAX 256        /* of one abbreviation: compilers write some twenty */
#define TABLES_MAX (256ull << 20) /* bytes of the tables of all units: one for all in Go, some KiB each in C */
#define LEB_MAX 10                /* bytes of a number of 64 bits */

struct reader {
	const uint8_t *p, *end;
};

/* False where the number does not end or is larger than any there is. */
static bool get_number(struct reader *r, uint32_t *ret)
{
	uint64_t v = 0;

	for (int shift = 0; shift < 7 * LEB_MAX && r->p < r->end; shift += 7) {
		uint8_t byte = *r->p++;

		v |= shift < 63 ? (uint64_t)(byte & 0x7f) << shift : 0;
		if (!(byte & 0x80)) {
			*ret = v;
			return v <= UINT32_MAX;
		}
	}
	return false;
}

static bool skip_constant(struct reader *r)
{
	for (int i = 0; i < LEB_MAX && r->p < r->end; i++)
		if (!(*r->p++ & 0x80))
			return true;
	return false;
}

/* The pairs of one abbreviation, to the zeros that end it. */
static bool skip_attributes(struct reader *r)
{
	for (int i = 0; i <= ATTRIBUTES_MAX; i++) {
		uint32_t name, form;

		if (!get_number(r, &name) || !get_number(r, &form) || !name != !form)
			return false;
		if (!name)
			return true;
		if (form == DW_FORM_implicit_const && !skip_constant(r))
			return false;
	}
	return false;
}

static bool skip_table(struct reader *r)
{
	uint32_t code, tag;

	while (r->p < r->end) {
		if (!get_number(r, &code))
			return false;
		if (!code)
			break;
		if (!get_number(r, &tag) || r->p == r->end)
			return false;
		r->p++; /* whether it has children */
		if (!skip_attributes(r))
			return false;
	}
	return true;
}

struct err *dwarf_check_abbrevs(const struct dwarf_info *dw)
{
	uint64_t total = 0, last = 0, size = 0;
	Dwarf_Off at = 0, next, table;
	struct bytes data;
	size_t header;
	struct err *err = elf_file_section_data(dw->elf, ".debug_abbrev", &data);

	if (err)
		return err;
	for (; !dwarf_next_unit(dw->info.dbg, at, &next, &header, NULL, &table, NULL, NULL, NULL, NULL); at = next) {
		if (!size || table != last) {
			struct reader r = { data.data + (table < data.size ? table : data.size),
					    data.data + data.size };
			const uint8_t *start = r.p;

			if (!skip_table(&r))
				return dwarf_malformed(dw, at, "the abbreviations of this unit");
			size = (uint64_t)(r.p - start);
			last = table;
		}
		total += size;
		if (total > TABLES_MAX)
			return dwarf_malformed(dw, at, "the abbreviations of its units are too many");
	}
	return NULL;
}
