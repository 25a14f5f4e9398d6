/* SPDX-License-Identifier: Apache-2.0 */
/* A reader of just enough BTF. Format: the kernel's Documentation/bpf/btf.rst. */
#include "btf.h"

#include <fcntl.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BTF_FILE_MAX (256u << 20) /* bytes; vmlinux's has about 6 MiB */

struct btf_view {
	const uint8_t *types;
	size_t types_size;
	const char *strings;
	size_t strings_size;
	uint32_t *offsets; /* of type id i + 1 in types */
	size_t n;
};

/* Bytes that follow a struct btf_type. */
static bool tail_size(const struct btf_type *t, size_t *size_ret)
{
	size_t vlen = BTF_INFO_VLEN(t->info);

	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case 17: /* DECL_TAG */
		*size_ret = 4;
		return true;
	case BTF_KIND_ARRAY:
		*size_ret = sizeof(struct btf_array);
		return true;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		*size_ret = vlen * sizeof(struct btf_member);
		return true;
	case BTF_KIND_ENUM:
		*size_ret = vlen * sizeof(struct btf_enum);
		return true;
	case BTF_KIND_FUNC_PROTO:
		*size_ret = vlen * sizeof(struct btf_param);
		return true;
	case BTF_KIND_DATASEC:
		*size_ret = vlen * sizeof(struct btf_var_secinfo);
		return true;
	case 19: /* ENUM64 */
		*size_ret = vlen * 12;
		return true;
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case 16: /* FLOAT */
	case 18: /* TYPE_TAG */
		*size_ret = 0;
		return true;
	}
	return false;
}

static const struct btf_type *type_by_id(const struct btf_view *v, uint32_t id)
{
	return id && id <= v->n ? (const struct btf_type *)(v->types + v->offsets[id - 1]) : NULL;
}

static bool is_named(const struct btf_view *v, uint32_t offset, const char *name)
{
	return offset < v->strings_size && !strcmp(v->strings + offset, name);
}

static const struct btf_member *find_member(const struct btf_view *v, const struct btf_type *t, const char *name)
{
	const struct btf_member *m = (const struct btf_member *)(t + 1);

	for (uint32_t i = 0; i < BTF_INFO_VLEN(t->info); i++)
		if (is_named(v, m[i].name_off, name))
			return &m[i];
	return NULL;
}

/* Bits; with the kind flag the upper byte is a bit field's size. */
static uint32_t bit_offset(const struct btf_type *t, const struct btf_member *m)
{
	return BTF_INFO_KFLAG(t->info) ? m->offset & 0xffffff : m->offset;
}

static bool index_types(struct btf_view *v)
{
	size_t cap = 0;

	for (size_t at = 0; at + sizeof(struct btf_type) <= v->types_size;) {
		const struct btf_type *t = (const struct btf_type *)(v->types + at);
		size_t tail;

		if (!tail_size(t, &tail) || tail > v->types_size - at - sizeof(*t))
			return false;
		if (v->n == cap) {
			cap = cap ? 2 * cap : 1 << 16;
			uint32_t *offsets = realloc(v->offsets, cap * sizeof(*offsets));
			if (!offsets)
				return false;
			v->offsets = offsets;
		}
		v->offsets[v->n++] = at;
		at += sizeof(*t) + tail;
	}
	return true;
}

static bool look_up(const struct btf_view *v, const char *type, const char *member, const char *inner,
		    uint32_t *offset_ret)
{
	for (uint32_t id = 1; id <= v->n; id++) {
		const struct btf_type *t = type_by_id(v, id), *in;
		const struct btf_member *m, *n;

		if (BTF_INFO_KIND(t->info) != BTF_KIND_STRUCT || !is_named(v, t->name_off, type))
			continue;
		m = find_member(v, t, member);
		if (m && !inner) {
			*offset_ret = bit_offset(t, m) / 8;
			return true;
		}
		in = m ? type_by_id(v, m->type) : NULL;
		if (!in || BTF_INFO_KIND(in->info) != BTF_KIND_STRUCT)
			continue;
		n = find_member(v, in, inner);
		if (!n)
			continue;
		*offset_ret = (bit_offset(t, m) + bit_offset(in, n)) / 8;
		return true;
	}
	return false;
}

bool btf_member_offset(const void *btf, size_t size, const char *type, const char *member, const char *inner,
		       uint32_t *offset_ret)
{
	const struct btf_header *h = btf;

	if (size < sizeof(*h) || h->magic != BTF_MAGIC || h->hdr_len < sizeof(*h) || h->hdr_len > size)
		return false;
	size_t body = size - h->hdr_len;
	if (h->type_off > body || h->type_len > body - h->type_off || h->str_off > body ||
	    h->str_len > body - h->str_off || !h->str_len || h->type_off % 4 || h->hdr_len % 4)
		return false;
	struct btf_view v = { .types = (const uint8_t *)btf + h->hdr_len + h->type_off,
			      .types_size = h->type_len,
			      .strings = (const char *)btf + h->hdr_len + h->str_off,
			      .strings_size = h->str_len };
	bool found = !v.strings[v.strings_size - 1] && index_types(&v) && look_up(&v, type, member, inner, offset_ret);
	free(v.offsets);
	return found;
}

/* Of the running kernel. */
static bool task_offset(const char *member, const char *inner, uint32_t *offset_ret)
{
	int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);
	size_t size = 0, cap = 8u << 20;
	uint8_t *buf = fd >= 0 ? malloc(cap) : NULL;
	bool found = false;
	ssize_t n = 0;

	while (buf && (n = read(fd, buf + size, cap - size)) > 0) {
		size += n;
		if (size < cap)
			continue;
		uint8_t *more = cap < BTF_FILE_MAX ? realloc(buf, cap * 2) : NULL;
		if (!more)
			break;
		buf = more;
		cap *= 2;
	}
	if (buf && n == 0)
		found = btf_member_offset(buf, size, "task_struct", member, inner, offset_ret);
	free(buf);
	if (fd >= 0)
		close(fd);
	return found;
}

bool btf_fsbase_offset(uint32_t *offset_ret)
{
	return task_offset("thread", "fsbase", offset_ret);
}

bool btf_task_pid_offset(uint32_t *offset_ret)
{
	return task_offset("pid", NULL, offset_ret);
}
