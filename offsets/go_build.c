/* SPDX-License-Identifier: Apache-2.0 */
#include "go_build.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "elf_priv.h"
#include "pclntab_priv.h"

#define BUILDINFO_MAGIC "\xff Go buildinf:" /* 14 bytes */
#define BUILDINFO_MAGIC_SIZE 14
#define BUILDINFO_ALIGN 16
#define BUILDINFO_HEADER 32
#define BUILDINFO_INLINE 2 /* flag: strings follow the header, from Go 1.18 */
#define BUILDINFO_BIG_ENDIAN 1

/* Bytes of a version string (some tens), and of module information (some hundred KB for some thousand modules). */
#define VERSION_MAX 1024
#define MODINFO_MAX (16 << 20)
/* Bytes of a marker before and after the module information (cmd/go/internal/modload, infoStart and infoEnd). */
#define MODINFO_FRAME 16
/* Bytes of a segment that are searched in one go: a multiple of BUILDINFO_ALIGN, and so much overlaps. */
#define SEARCH_CHUNK (1 << 20)

static struct err *malformed(const struct elf_file *elf, const char *what)
{
	return err_create(ERR_MALFORMED, "%s: damaged Go build information: %s", elf->path, what);
}

/* Link address of the magic among the file's bytes of one segment. */
static struct err *search_segment(struct elf_file *elf, const struct elf_segment *s, uint64_t *vaddr_ret)
{
	uint8_t *buf _cleanup_free_ = malloc(SEARCH_CHUNK);

	if (!buf)
		return &err_nomem;
	for (uint64_t at = 0; at < s->filesz; at += SEARCH_CHUNK - BUILDINFO_ALIGN) {
		size_t n = s->filesz - at < SEARCH_CHUNK ? s->filesz - at : SEARCH_CHUNK;
		struct err *err = elf_scan(elf, s->offset + at, buf, n);

		if (err)
			return err;
		for (size_t i = -(s->vaddr + at) % BUILDINFO_ALIGN; i + BUILDINFO_MAGIC_SIZE <= n;
		     i += BUILDINFO_ALIGN) {
			if (!memcmp(buf + i, BUILDINFO_MAGIC, BUILDINFO_MAGIC_SIZE)) {
				*vaddr_ret = s->vaddr + at + i;
				return NULL;
			}
		}
	}
	return &err_notfound;
}

/* The linker puts it in a section of its own, at the start of the first writable segment. */
static struct err *find_buildinfo(struct elf_file *elf, uint64_t *vaddr_ret)
{
	const struct elf_section *section = elf_file_find_section(elf, ".go.buildinfo");

	if (section && section->type != SHT_NOBITS) {
		*vaddr_ret = section->addr;
		return NULL;
	}
	for (size_t i = 0; i < elf->n_segments; i++) {
		struct err *err;

		if (!(elf->segments[i].flags & PF_W))
			continue;
		err = search_segment(elf, &elf->segments[i], vaddr_ret);
		if (err != &err_notfound)
			return err;
	}
	return &err_notfound;
}

/* A string of `size` bytes at a link address. */
static struct err *read_string(struct elf_file *elf, uint64_t vaddr, uint64_t size, uint64_t max, char **ret)
{
	struct err *err = NULL;
	char *s;

	if (size > max)
		return malformed(elf, "a string is too long");
	s = malloc(size + 1);
	if (!s)
		return &err_nomem;
	if (size)
		err = elf_file_read(elf, vaddr, s, size);
	if (err) {
		free(s);
		return err == &err_notfound ? malformed(elf, "a string is not in the file") : err;
	}
	s[size] = '\0';
	*ret = s;
	return NULL;
}

/* A string preceded by its length as a varint; *vaddrp is moved past it. */
static struct err *read_inline_string(struct elf_file *elf, uint64_t *vaddrp, uint64_t max, char **ret,
				      size_t *size_ret)
{
	uint64_t size = 0;
	struct err *err;
	int shift = 0;
	uint8_t byte;

	do {
		if (shift > 28)
			return malformed(elf, "a string is too long");
		err = elf_file_read(elf, (*vaddrp)++, &byte, 1);
		if (err)
			return err == &err_notfound ? malformed(elf, "it is cut off") : err;
		size |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	err = read_string(elf, *vaddrp, size, max, ret);
	if (err)
		return err;
	*vaddrp += size;
	*size_ret = size;
	return NULL;
}

/* Is that where a loaded segment has zeros that are not in the file? */
static bool is_bss(const struct elf_file *elf, uint64_t vaddr)
{
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];
		uint64_t offset = vaddr - s->vaddr;

		if (offset < s->memsz && offset >= s->filesz)
			return true;
	}
	return false;
}

/* A string behind a pointer to a Go string header: up to Go 1.17. A null pointer is the empty string; so is a variable without a value: what
 * is built from files named one by one (go build main.go) has no module information. */
static struct err *read_string_at(struct elf_file *elf, uint64_t header, uint64_t max, char **ret, size_t *size_ret)
{
	uint64_t words[2] = { 0, 0 };
	struct err *err = NULL;

	if (header && !is_bss(elf, header))
		err = elf_file_read_relocated(elf, header, words, sizeof(words));
	if (err)
		return err == &err_notfound ? malformed(elf, "a pointer goes outside of the file") : err;
	err = read_string(elf, words[0], words[1], max, ret);
	if (!err)
		*size_ret = words[1];
	return err;
}

/* Version and module information as they stand in the file. ERR_NOTFOUND where there is no build information. */
static struct err *read_raw(struct elf_file *elf, char **version_ret, char **modinfo_ret, size_t *modinfo_size_ret)
{
	uint8_t header[BUILDINFO_HEADER];
	size_t version_size, modinfo_size;
	char *version = NULL, *modinfo = NULL;
	struct err *err;
	uint64_t vaddr;

	err = find_buildinfo(elf, &vaddr);
	if (err)
		return err;
	err = elf_file_read_relocated(elf, vaddr, header, sizeof(header));
	if (err)
		return err == &err_notfound ? malformed(elf, "it is cut off") : err;
	if (memcmp(header, BUILDINFO_MAGIC, BUILDINFO_MAGIC_SIZE) != 0)
		return malformed(elf, "its magic is missing");
	if (header[15] & BUILDINFO_INLINE) {
		vaddr += sizeof(header);
		err = read_inline_string(elf, &vaddr, VERSION_MAX, &version, &version_size);
		if (!err)
			err = read_inline_string(elf, &vaddr, MODINFO_MAX, &modinfo, &modinfo_size);
	} else {
		uint64_t pointers[2];

		if (header[14] != 8 || header[15] & BUILDINFO_BIG_ENDIAN)
			return malformed(elf, "not of a 64-bit little-endian program");
		memcpy(pointers, header + 16, sizeof(pointers));
		err = read_string_at(elf, pointers[0], VERSION_MAX, &version, &version_size);
		if (!err)
			err = read_string_at(elf, pointers[1], MODINFO_MAX, &modinfo, &modinfo_size);
	}
	if (!err && (!version_size || strlen(version) != version_size))
		err = malformed(elf, "no Go version");
	if (err) {
		free(version);
		free(modinfo);
		return err;
	}
	*version_ret = version;
	*modinfo_ret = modinfo;
	*modinfo_size_ret = modinfo_size;
	return NULL;
}

/* runtime.buildVersion, for a program without build information that still has symbols. ERR_NOTFOUND. */
static struct err *read_version_variable(struct elf_file *elf, char **ret)
{
	uint64_t vaddr, size;
	size_t length;
	struct err *err;

	err = elf_file_symbol(elf, "runtime.buildVersion", &vaddr, &size);
	return err ? err : read_string_at(elf, vaddr, VERSION_MAX, ret, &length);
}

/* "go1.26.8", "go1.27rc1 X:nogreenteagc", "devel go1.27-2f3d1c… Thu …": the numbers of the first "goN.N" in it. */
static void parse_version(struct go_build *build)
{
	int *parts[] = { &build->major, &build->minor, &build->patch };
	const char *s = build->version;

	build->major = build->patch = 0;
	build->minor = -1;
	while ((s = strstr(s, "go")) && !(s[2] >= '1' && s[2] <= '9'))
		s += 2;
	if (!s)
		return;
	s += 2;
	for (int i = 0; i < 3; i++) {
		char *end;
		long v;

		if (*s < '0' || *s > '9')
			break;
		v = strtol(s, &end, 10);
		if (v > 100000) /* no version, and no int either */
			break;
		*parts[i] = (int)v;
		if (*end != '.')
			break;
		s = end + 1;
	}
}

/* Undo strconv.Quote in place, as cmd/go uses it for settings that hold spaces. */
static char *unquote(char *s)
{
	size_t n = strlen(s);
	char *out = s, *in = s + 1;

	if (n < 2 || (s[0] != '"' && s[0] != '`') || s[n - 1] != s[0])
		return s;
	s[n - 1] = '\0';
	if (s[0] == '`')
		return s + 1;
	while (*in) {
		if (*in != '\\' || !in[1]) {
			*out++ = *in++;
			continue;
		}
		in += 2;
		switch (in[-1]) {
		case 'n':
			*out++ = '\n';
			break;
		case 't':
			*out++ = '\t';
			break;
		case 'r':
			*out++ = '\r';
			break;
		default:
			if (in[-1] != '"' && in[-1] != '\\')
				*out++ = '\\'; /* \x1b and the like stay as they stand: they are only shown */
			*out++ = in[-1];
		}
	}
	*out = '\0';
	return s;
}

static bool set_string(char **p, const char *s)
{
	char *copy = strdup(s);

	if (!copy)
		return false;
	free(*p);
	*p = copy;
	return true;
}

static bool set_module(struct go_module *m, const char *path, const char *version)
{
	return set_string(&m->path, path) && set_string(&m->version, version);
}

static struct go_module *add_module(struct go_module **v, size_t *n)
{
	struct go_module *grown;

	if (!(*n & (*n - 1))) { /* a power of two: full */
		grown = reallocarray(*v, *n ? *n * 2 : 1, sizeof(**v));
		if (!grown)
			return NULL;
		*v = grown;
	}
	(*v)[*n] = (struct go_module){ 0 };
	return &(*v)[(*n)++];
}

/* Lines of tab-separated words (runtime/debug/mod.go, BuildInfo.String): path P · mod P V SUM · dep P V SUM · => P V
 * SUM · build K=V. A line that is not understood is passed over, as the Go tools do with what newer versions add. */
static struct err *parse_modinfo(struct go_build *build, char *text)
{
	struct go_module *last = NULL;
	char *line, *lines = text;

	while ((line = strsep(&lines, "\n"))) {
		char *kind = strsep(&line, "\t"), *path, *version;

		if (!kind || !line)
			continue;
		if (!strcmp(kind, "build")) {
			char *value = strchr(line, '=');
			struct go_module *setting;

			if (*line == '"') { /* a quoted key ends at the quote that is followed by '=' */
				value = strstr(line + 1, "\"=");
				value = value ? value + 1 : NULL;
			}
			if (!value)
				continue;
			*value++ = '\0';
			setting = add_module(&build->settings, &build->n_settings);
			if (!setting || !set_module(setting, unquote(line), unquote(value)))
				return &err_nomem;
			continue;
		}
		path = strsep(&line, "\t");
		version = line ? strsep(&line, "\t") : "";
		if (!strcmp(kind, "path")) {
			if (!set_string(&build->main_path, path))
				return &err_nomem;
			continue;
		}
		if (!strcmp(kind, "mod"))
			last = &build->main_module;
		else if (!strcmp(kind, "dep"))
			last = add_module(&build->deps, &build->n_deps);
		else if (strcmp(kind, "=>") != 0 || !last)
			continue;
		if (!last || !set_module(last, path, version))
			return &err_nomem;
	}
	return NULL;
}

static struct err *fill(struct elf_file *elf, struct go_build *build)
{
	char *modinfo _cleanup_free_ = NULL;
	size_t modinfo_size = 0;
	struct err *err;

	err = read_raw(elf, &build->version, &modinfo, &modinfo_size);
	if (err == &err_notfound) {
		bool has_pclntab;

		err = pclntab_exists(elf, &has_pclntab);
		if (err)
			return err;
		if (!has_pclntab)
			return err_create(
				ERR_NOT_GO,
				"%s: not a Go program: it has neither Go's build information nor its function table",
				elf->path);
		err = read_version_variable(elf, &build->version);
		if (err && err->code != ERR_NOMEM) { /* the version can be done without */
			err_destroy(err);
			err = set_string(&build->version, "") ? NULL : &err_nomem;
		}
	}
	if (err)
		return err;
	parse_version(build);
	if (!set_string(&build->main_path, "") || !set_module(&build->main_module, "", ""))
		return &err_nomem;
	/* The same test as debug/buildinfo's: what is not framed is not module information. */
	if (modinfo_size < 2 * MODINFO_FRAME + 1 || modinfo[modinfo_size - MODINFO_FRAME - 1] != '\n')
		return NULL;
	modinfo[modinfo_size - MODINFO_FRAME] = '\0';
	return parse_modinfo(build, modinfo + MODINFO_FRAME);
}

struct err *go_build_read(struct elf_file *elf, struct go_build **ret)
{
	struct go_build *build = calloc(1, sizeof(*build));
	struct err *err;

	if (!build)
		return &err_nomem;
	err = fill(elf, build);
	if (err) {
		go_build_destroy(build);
		return err;
	}
	*ret = build;
	return NULL;
}

static void modules_destroy(struct go_module *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i].path);
		free(v[i].version);
	}
	free(v);
}

void go_build_destroy(struct go_build *build)
{
	if (!build)
		return;
	free(build->version);
	free(build->main_path);
	free(build->main_module.path);
	free(build->main_module.version);
	modules_destroy(build->deps, build->n_deps);
	modules_destroy(build->settings, build->n_settings);
	free(build);
}
