/* SPDX-License-Identifier: Apache-2.0 */
#include "rtypes.h"

#include <stdlib.h>
#include <string.h>

#include "elf_priv.h"
#include "types.h"

#define RTYPE_SIZE 48     /* internal/abi.Type */
#define METHODS_MAX 4096u /* of one type */
#define DIRECT_FLAG                                                                                                    \
	32 /* abi.KindDirectIface up to Go 1.25, abi.TFlagDirectIface from 1.26: the same bit of two bytes */
#define TFLAG_UNCOMMON 1
#define TFLAG_EXTRA_STAR 2
#define KIND_MASK 31

struct rtypes {
	struct elf_file *elf;
	int go_minor;
	uint64_t base;       /* link address */
	uint64_t data_start; /* link address of data */
	struct bytes data;   /* of the section that holds the types */
};

struct err *rtypes_open(struct elf_file *elf, int go_minor, uint64_t base, struct rtypes **ret)
{
	for (size_t i = 0; i < elf->n_sections; i++) {
		const struct elf_section *s = &elf->sections[i];
		struct rtypes *rt;
		struct err *err;

		if (!s->addr || base < s->addr || base - s->addr >= s->size)
			continue;
		rt = calloc(1, sizeof(*rt));
		if (!rt)
			return &err_nomem;
		*rt = (struct rtypes){ .elf = elf, .go_minor = go_minor, .base = base, .data_start = s->addr };
		err = elf_section_load(elf, i, &rt->data);
		if (err) {
			free(rt);
			return err;
		}
		*ret = rt;
		return NULL;
	}
	return &err_notfound;
}

void rtypes_destroy(struct rtypes *rt)
{
	free(rt);
}

/* `size` bytes at an offset from the types' start; NULL where they are not all there. */
static const uint8_t *at(const struct rtypes *rt, uint64_t offset, uint64_t size)
{
	uint64_t start;

	if (__builtin_add_overflow(offset, rt->base - rt->data_start, &start) ||
	    !range_within(start, size, rt->data.size))
		return NULL;
	return rt->data.data + start;
}

static uint64_t word(const uint8_t *p, size_t size)
{
	uint64_t v = 0;

	memcpy(&v, p, size);
	return v;
}

struct err *rtypes_read(const struct rtypes *rt, uint64_t offset, struct rtype *ret)
{
	const uint8_t *p = offset ? at(rt, offset, RTYPE_SIZE) : NULL;

	if (!p || !(p[23] & KIND_MASK) || (p[23] & KIND_MASK) > GO_UNSAFE_POINTER)
		return &err_notfound;
	ret->size = word(p, 8);
	ret->kind = p[23] & KIND_MASK;
	ret->direct = (p[20] | p[23]) & DIRECT_FLAG;
	return NULL;
}

/* A name (abi.Name): flags, its length (two bytes, most significant first, up to Go 1.16; then a varint), its bytes. */
static const char *name_at(const struct rtypes *rt, uint64_t offset, size_t *len_ret)
{
	const uint8_t *p = at(rt, offset, 3);
	uint64_t len = 0, head = 1;

	if (!p)
		return NULL;
	if (rt->go_minor < 17) {
		len = (uint64_t)p[1] << 8 | p[2];
		head = 3;
	} else {
		for (unsigned int shift = 0;; shift += 7) {
			p = at(rt, offset + head, 1);
			if (!p || shift > 14)
				return NULL;
			head++;
			len |= (uint64_t)(*p & 0x7f) << shift;
			if (!(*p & 0x80))
				break;
		}
	}
	p = at(rt, offset + head, len);
	*len_ret = len;
	return (const char *)p;
}

bool rtypes_name(const struct rtypes *rt, uint64_t offset, char name[RTYPE_NAME_MAX])
{
	const uint8_t *p = at(rt, offset, RTYPE_SIZE);
	const char *s;
	size_t len;

	s = p ? name_at(rt, word(p + 40, 4), &len) : NULL;
	if (!s || !len)
		return false;
	if ((p[20] & TFLAG_EXTRA_STAR) && *s == '*') {
		s++;
		len--;
	}
	if (len > RTYPE_NAME_MAX - 1)
		len = RTYPE_NAME_MAX - 1;
	memcpy(name, s, len);
	name[len] = '\0';
	return true;
}

/* Bytes of the description before its methods, by kind. 0: not known. */
static uint64_t size_by_kind(const struct rtypes *rt, uint8_t kind)
{
	switch (kind) {
	case GO_POINTER:
	case GO_SLICE:
	case GO_FUNC:
		return RTYPE_SIZE + 8;
	case GO_CHAN:
		return RTYPE_SIZE + 16;
	case GO_ARRAY:
		return RTYPE_SIZE + 24;
	case GO_INTERFACE:
	case GO_STRUCT:
		return RTYPE_SIZE + 32;
	case GO_MAP:
		return RTYPE_SIZE + (rt->go_minor >= 27 ? 88 : rt->go_minor >= 24 ? 64 : rt->go_minor >= 14 ? 40 : 32);
	}
	return RTYPE_SIZE;
}

static bool methods_of(const struct rtypes *rt, uint64_t type, struct rtype_methods *ret)
{
	const uint8_t *p = at(rt, type, RTYPE_SIZE), *u;
	uint64_t uncommon, n;

	if (!p || !(p[20] & TFLAG_UNCOMMON))
		return false;
	uncommon = type + size_by_kind(rt, p[23] & KIND_MASK);
	u = at(rt, uncommon, 16);
	if (!u)
		return false;
	n = word(u + 4, 2);
	if (n > METHODS_MAX)
		return false;
	*ret = (struct rtype_methods){ .v = at(rt, uncommon + word(u + 8, 4), n * 16), .n = n, .each = 16 };
	return ret->v;
}

/* One bit for each of the methods, by its type. */
static uint64_t mask_of(const struct rtype_methods *m)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < m->n; i++)
		mask |= UINT64_C(1) << (word(m->v + i * m->each + 4, 4) * 0x9e3779b97f4a7c15ull >> 58);
	return mask;
}

uint64_t rtypes_mask(const struct rtypes *rt, uint64_t type)
{
	struct rtype_methods has;

	return methods_of(rt, type, &has) ? mask_of(&has) : 0;
}

bool rtypes_asked(const struct rtypes *rt, uint64_t interface, struct rtype_methods *ret)
{
	const uint8_t *p = at(rt, interface, RTYPE_SIZE + 32);
	uint64_t slice[2];
	struct err *err;

	if (!p || (p[23] & KIND_MASK) != GO_INTERFACE)
		return false;
	err = elf_file_read_relocated(rt->elf, rt->base + interface + RTYPE_SIZE + 8, slice, sizeof(slice));
	if (err) {
		err_destroy(err);
		return false;
	}
	if (slice[1] > METHODS_MAX || (slice[1] && slice[0] < rt->base))
		return false;
	*ret = (struct rtype_methods){ .v = at(rt, slice[1] ? slice[0] - rt->base : 0, slice[1] * 8),
				       .n = slice[1],
				       .each = 8 };
	if (ret->v)
		ret->mask = mask_of(ret);
	return ret->v;
}

static bool same_name(const struct rtypes *rt, uint64_t a, uint64_t b)
{
	size_t len_a, len_b;
	const char *s, *t;

	if (a == b)
		return true;
	s = name_at(rt, a, &len_a);
	t = name_at(rt, b, &len_b);
	return s && t && len_a == len_b && !memcmp(s, t, len_a);
}

bool rtypes_implements(const struct rtypes *rt, uint64_t type, const struct rtype_methods *asked)
{
	struct rtype_methods has;
	size_t k = 0;

	if (!asked->n)
		return true;
	if (!methods_of(rt, type, &has) || has.n < asked->n)
		return false;
	/* Both are sorted by name. Of a method: the offsets of its name and of its type, which the linker left 0 where nothing can call it. */
	for (size_t i = 0; i < asked->n; i++, k++) {
		const uint8_t *a = asked->v + i * asked->each;

		while (k < has.n && (memcmp(a + 4, has.v + k * has.each + 4, 4) != 0 ||
				     !same_name(rt, word(a, 4), word(has.v + k * has.each, 4))))
			k++;
		if (k == has.n)
			return false;
	}
	return true;
}
