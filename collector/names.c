/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <stdlib.h>
#include <string.h>

#include "error_text.h"

struct runtime_type {
	uint64_t addr; /* link address */
	uint32_t type;
};

struct names {
	const struct plan *plan;
	int fd;
	size_t n;
	struct runtime_type *v; /* sorted by addr */
	struct {
		uint8_t special; /* enum special */
		uint8_t pattern;
	} * of; /* by type */

	bool tried;
	struct elf_file *elf;
	struct func_table *funcs;
	struct rtypes *rtypes;
};

static int by_addr(const void *a, const void *b)
{
	const struct runtime_type *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static enum special special_of(const char *name)
{
	static const struct {
		const char *name;
		enum special special;
	} v[] = {
		{ "time.Duration", SPECIAL_DURATION },
		{ "time.Time", SPECIAL_TIME },
		{ "net.IP", SPECIAL_IP },
		{ "net/netip.Addr", SPECIAL_NETIP },
		{ "net/netip.AddrPort", SPECIAL_NETIP_PORT },
		{ "net/url.URL", SPECIAL_URL },
		{ "syscall.Errno", SPECIAL_ERRNO },
		{ "*errors.joinError", SPECIAL_JOIN },
		{ "*net.OpError", SPECIAL_OP_ERROR },
		{ "*net.TCPAddr", SPECIAL_ADDR },
		{ "*net.UDPAddr", SPECIAL_ADDR },
	};

	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++)
		if (!strcmp(v[i].name, name))
			return v[i].special;
	return SPECIAL_NONE;
}

struct err *names_create(const struct plan *plan, int fd, struct names **ret)
{
	struct names *names = calloc(1, sizeof(*names));
	size_t n_types = plan->types.n;

	if (!names)
		return &err_nomem;
	names->plan = plan;
	names->fd = fd;
	names->v = calloc(n_types + 1, sizeof(*names->v));
	names->of = calloc(n_types + 1, sizeof(*names->of));
	if (!names->v || !names->of) {
		names_destroy(names);
		return &err_nomem;
	}
	for (size_t i = 0; i < n_types; i++) {
		const struct go_type *t = &plan->types.v[i];
		const char *name = type_string(&plan->types, t->name);
		int pattern = error_pattern(name);

		if (t->runtime_type && plan->binary.types_base)
			names->v[names->n++] =
				(struct runtime_type){ plan->binary.types_base + t->runtime_type, (uint32_t)i };
		names->of[i].special = pattern < 0 ? special_of(name) : SPECIAL_ERROR;
		names->of[i].pattern = pattern < 0 ? 0 : (uint8_t)pattern;
	}
	qsort(names->v, names->n, sizeof(*names->v), by_addr);
	*ret = names;
	return NULL;
}

void names_destroy(struct names *names)
{
	if (!names)
		return;
	rtypes_destroy(names->rtypes);
	func_table_destroy(names->funcs);
	elf_file_destroy(names->elf);
	free(names->v);
	free(names->of);
	free(names);
}

uint32_t names_type(const struct names *names, uint64_t addr)
{
	size_t low = 0, n = names->n;

	while (n) {
		size_t half = n / 2;

		if (names->v[low + half].addr < addr) {
			low += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return low < names->n && names->v[low].addr == addr ? names->v[low].type : TYPE_NONE;
}

enum special names_special(const struct names *names, uint32_t type, uint32_t *pattern_ret)
{
	if (!names || type >= names->plan->types.n)
		return SPECIAL_NONE;
	*pattern_ret = names->of[type].pattern;
	return names->of[type].special;
}

/* What cannot be opened leaves things without names, which is said where they are shown. */
static void open_file(struct names *names)
{
	const struct plan_binary *bin = &names->plan->binary;
	struct err *err;

	if (names->tried)
		return;
	names->tried = true;
	/* A recording has the path alone, and the file may be another by now. */
	const char *path = plan_string(names->plan, bin->path);
	err = names->fd < 0 ? elf_file_open(path, &names->elf) : elf_file_open_fd(names->fd, path, &names->elf);
	if (!err && names->fd < 0 && memcmp(&names->elf->id, &bin->id, sizeof(bin->id)) != 0) {
		elf_file_destroy(names->elf);
		names->elf = NULL;
		return;
	}
	if (err) {
		err_destroy(err);
		return;
	}
	err_destroy(func_table_read(names->elf, &names->funcs));
	if (bin->types_base)
		err_destroy(rtypes_open(names->elf, bin->go_minor, bin->types_base, &names->rtypes));
}

bool names_type_name(struct names *names, uint64_t addr, char name[RTYPE_NAME_MAX])
{
	open_file(names);
	return names->rtypes && addr >= names->plan->binary.types_base &&
	       rtypes_name(names->rtypes, addr - names->plan->binary.types_base, name);
}

const char *names_function(struct names *names, uint64_t addr)
{
	const struct func *func;

	open_file(names);
	func = names->funcs ? func_table_find_addr(names->funcs, addr) : NULL;
	return func ? func->name : NULL;
}

size_t names_frames(struct names *names, uint64_t addr, struct func_frame *v, size_t max)
{
	const struct func *func;

	open_file(names);
	func = names->funcs ? func_table_find_addr(names->funcs, addr) : NULL;
	return func ? func_table_frames(names->funcs, func, addr, v, max) : 0;
}

bool names_in_file(struct names *names, uint64_t addr)
{
	open_file(names);
	for (size_t i = 0; names->elf && i < names->elf->n_segments; i++)
		if (addr - names->elf->segments[i].vaddr < names->elf->segments[i].memsz)
			return true;
	return false;
}
