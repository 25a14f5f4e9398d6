/* SPDX-License-Identifier: Apache-2.0 */
#include "debug_file.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <libdeflate.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf_priv.h"

#define SYSTEM_FOLDER "/usr/lib/debug"
#define FOLDER_VARIABLE "GOPHERSCOPE_DEBUG_FOLDER"
#define LINK_MAX 4096                  /* bytes of .gnu_debuglink: a file's name and a checksum */
#define CHECKSUM_FILE_MAX (8ull << 30) /* bytes of a file whose checksum is taken: 4 seconds of reading */
#define CHUNK (1 << 20)
#define BUILD_ID_HEX_MIN 4 /* a folder's two digits and a name */

struct search {
	struct elf_file *elf, *found;
	char *why;
	bool linked; /* the checksum in the link counts */
	uint32_t checksum;
};

static bool has_debug(const struct elf_file *elf)
{
	const struct elf_section *s = elf_file_find_section(elf, ".debug_info");

	return s && s->type != SHT_NOBITS && s->size;
}

static struct err *set_why(struct search *s, const char *path, const char *what)
{
	if (!s->why && asprintf(&s->why, "%s is not taken: %s", path, what) < 0) {
		s->why = NULL;
		return &err_nomem;
	}
	return NULL;
}

static struct err *checksum_of(const struct elf_file *file, uint32_t *ret)
{
	uint8_t *buf _cleanup_free_ = malloc(CHUNK);
	uint32_t sum = 0;

	if (!buf)
		return &err_nomem;
	if (file->id.size > CHECKSUM_FILE_MAX)
		return err_create(ERR_UNSUPPORTED, "a file of %" PRIu64 " bytes", file->id.size);
	for (uint64_t at = 0; at < file->id.size; at += CHUNK) {
		size_t n = file->id.size - at < CHUNK ? file->id.size - at : CHUNK;
		struct err *err = elf_pread(file, at, buf, n);

		if (err)
			return err;
		sum = libdeflate_crc32(sum, buf, n);
	}
	*ret = sum;
	return NULL;
}

static struct err *check_owner(const struct elf_file *program, const struct elf_file *debug)
{
	struct stat own, st;

	if (fstat(debug->fd, &st))
		return err_create(ERR_IO, "%s", strerror(errno));
	if (!st.st_uid || st.st_uid == geteuid() || (!fstat(program->fd, &own) && st.st_uid == own.st_uid))
		return NULL;
	return err_create(ERR_USAGE, "it belongs to another user (uid %u)", st.st_uid);
}

/* Take this file if it is one; that there is none is nothing to talk about. */
static struct err *try_file(struct search *s, const char *path)
{
	struct elf_file *file = NULL;
	uint32_t sum = 0;
	struct err *err;

	if (s->found || access(path, F_OK))
		return NULL;
	err = elf_file_open(path, &file);
	if (!err && file->id.dev == s->elf->id.dev && file->id.ino == s->elf->id.ino) {
		elf_file_destroy(file); /* the program itself, under the name of its link */
		return NULL;
	}
	if (!err)
		err = check_owner(s->elf, file);
	if (!err && s->linked)
		err = checksum_of(file, &sum);
	if (!err && s->linked && sum != s->checksum)
		err = err_create(ERR_MALFORMED, "its checksum %#x is not that of the link, %#x", sum, s->checksum);
	if (!err && !has_debug(file))
		err = err_create(ERR_NO_DWARF, "it has no debug information");
	if (!err) {
		s->found = file;
		return NULL;
	}
	elf_file_destroy(file);
	if (err->code == ERR_NOMEM)
		return err;
	struct err *e = set_why(s, path, err->msg);
	err_destroy(err);
	return e;
}

static struct err *try_path(struct search *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static struct err *try_path(struct search *s, const char *fmt, ...)
{
	char *path _cleanup_free_ = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&path, fmt, ap);
	va_end(ap);
	if (n < 0) {
		path = NULL;
		return &err_nomem;
	}
	return try_file(s, path);
}

/* The folder of a program. Of one that is named through /proc/PID/exe it is that of the file which the process runs, as the process's own
 * mounts have it. root: what to put before it to get there from here. NULL where it cannot be told. */
static char *folder_of(const char *path, char root[64])
{
	char target[PATH_MAX], pid[16];
	char *folder, *slash;
	int end = 0;

	root[0] = '\0';
	if (sscanf(path, "/proc/%15[0-9a-z]/exe%n", pid, &end) == 1 && end && !path[end]) {
		ssize_t n = readlink(path, target, sizeof(target) - 1);
		if (n <= 0 || target[0] != '/')
			return NULL;
		target[n] = '\0';
		snprintf(root, 64, "/proc/%s/root", pid);
		folder = strdup(target);
	} else {
		folder = realpath(path, NULL);
	}
	slash = folder ? strrchr(folder, '/') : NULL;
	if (slash)
		*slash = '\0';
	return folder;
}

/* .gnu_debuglink: a name that ends in a NUL, padded to 4 bytes, and a CRC-32 of the file. ERR_NOTFOUND. */
static struct err *read_link(struct elf_file *elf, const char **name_ret, uint32_t *checksum_ret)
{
	struct bytes data;
	struct err *err = elf_file_section_data(elf, ".gnu_debuglink", &data);
	size_t n;

	if (err)
		return err;
	n = strnlen((const char *)data.data, data.size < LINK_MAX ? data.size : LINK_MAX);
	if (!n || n >= data.size || n >= LINK_MAX || memchr(data.data, '/', n) || ((n + 4) & ~3ul) + 4 > data.size)
		return err_create(ERR_MALFORMED, "%s: .gnu_debuglink names no file", elf->path);
	memcpy(checksum_ret, data.data + ((n + 4) & ~3ul), sizeof(*checksum_ret));
	*name_ret = (const char *)data.data;
	return NULL;
}

static struct err *follow_link(struct search *s, const char *system)
{
	char *folder _cleanup_free_ = NULL;
	const char *name = NULL;
	char root[64];
	struct err *err = read_link(s->elf, &name, &s->checksum);

	if (err) {
		struct err *e = err->code == ERR_MALFORMED ? set_why(s, "its debug link", err->msg) : NULL;
		bool memory = err->code == ERR_NOMEM;
		if (!memory)
			err_destroy(err);
		return memory ? err : e;
	}
	s->linked = true;
	folder = folder_of(s->elf->path, root);
	if (!folder)
		return NULL;
	err = try_path(s, "%s%s/%s", root, folder, name);
	if (!err)
		err = try_path(s, "%s%s/.debug/%s", root, folder, name);
	if (!err && *root)
		err = try_path(s, "%s%s%s/%s", root, system, folder, name);
	return err ? err : try_path(s, "%s%s/%s", system, folder, name);
}

struct err *debug_file_find(struct elf_file *elf, struct elf_file **ret, char **why_ret)
{
	const char *system = secure_getenv(FOLDER_VARIABLE), *id = elf->build_id;
	struct search s = { .elf = elf };
	struct err *err = NULL;

	if (!system || *system != '/')
		system = SYSTEM_FOLDER;
	if (id && strlen(id) >= BUILD_ID_HEX_MIN)
		err = try_path(&s, "%s/.build-id/%.2s/%s.debug", system, id, id + 2);
	if (!err && !s.found)
		err = follow_link(&s, system);
	if (err) {
		elf_file_destroy(s.found);
		free(s.why);
		return err;
	}
	*ret = s.found;
	*why_ret = s.why;
	return NULL;
}

/* ---- does it fit? -------------------------------------------------------------------------------------------- */

/* DWARF and the symbol table write type arguments in full, the pclntab "[...]". Up to there the names are the same, but for the middle dot
 * of assembly. */
static bool same_name(const char *a, const char *b)
{
	while (*a && *a != '[' && *b && *b != '[') {
		size_t dot_a = !strncmp(a, "\xc2\xb7", 2) ? 2 : *a == '.',
		       dot_b = !strncmp(b, "\xc2\xb7", 2) ? 2 : *b == '.';

		if (dot_a && dot_b) {
			a += dot_a;
			b += dot_b;
		} else if (*a++ != *b++) {
			return false;
		}
	}
	return *a == *b || (*a == '[' && *b == '[');
}

struct fit {
	const struct func_table *funcs;
	size_t n;
	char differs[400];
};

static bool function_fits(void *arg, const char *name, uint64_t low, uint64_t high, uint64_t die)
{
	struct fit *fit = arg;
	const struct func *f = func_table_find_addr(fit->funcs, low);

	(void)die;
	if (high <= low)
		return true;
	fit->n++;
	if (!f || f->entry != low)
		snprintf(fit->differs, sizeof(fit->differs), "it has %.160s at %#" PRIx64 ", where no function begins",
			 name, low);
	else if (!same_name(f->name, name))
		snprintf(fit->differs, sizeof(fit->differs), "it has %.160s at %#" PRIx64 ", the program %.160s", name,
			 low, f->name);
	else if (high > f->end)
		snprintf(fit->differs, sizeof(fit->differs), "its %.160s at %#" PRIx64 " is longer than the program's",
			 name, low);
	return !fit->differs[0];
}

static struct err *same_id(const char *what, const char *program, const char *debug)
{
	if (!program || !debug || !strcmp(program, debug))
		return NULL;
	return err_create(ERR_USAGE, "its %s is %.100s, the program's %.100s", what, debug, program);
}

struct err *debug_file_check(const struct elf_file *elf, const struct func_table *funcs, const struct elf_file *debug,
			     struct dwarf_info *dw)
{
	struct fit fit = { .funcs = funcs };
	struct err *err = same_id("build id", elf->build_id, debug->build_id);

	if (!err)
		err = same_id("Go build id", elf->go_build_id, debug->go_build_id);
	if (!err)
		err = dwarf_info_each_func(dw, function_fits, &fit);
	if (err)
		return err;
	if (fit.differs[0])
		return err_create(ERR_USAGE, "%s", fit.differs);
	return fit.n ? NULL : err_create(ERR_USAGE, "it describes no Go function");
}
