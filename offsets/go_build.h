/* SPDX-License-Identifier: Apache-2.0 */
/* Which Go made the file: version, main module, dependencies, build settings.
 *
 * From the build information that the linker leaves (debug/buildinfo in the Go tree describes both layouts: pointers
 * up to Go 1.17, inline strings from 1.18), found by section (.go.buildinfo) or by its magic in the first data
 * segment. */
#ifndef OFFSETS_GO_BUILD_H
#define OFFSETS_GO_BUILD_H

#include "elf_file.h"

struct go_module {
	char *path, *version; /* after "replace" where there is one */
};

struct go_build {
	char *version;           /* "go1.26.8"; "devel go1.27-…" as it stands */
	int major, minor, patch; /* of version; minor -1 where the version cannot be told */
	char *main_path;         /* path of the main package, "" if unknown */
	struct go_module main_module;
	size_t n_deps;
	struct go_module *deps;
	size_t n_settings;
	struct go_module *settings; /* path: key, version: value */
};

/* ERR_NOT_GO where no build information and no pclntab is found; ERR_MALFORMED for a damaged one. A Go program whose
 * build information was removed but which has a pclntab gives version "" and minor -1. */
struct err *go_build_read(struct elf_file *elf, struct go_build **ret);
void go_build_destroy(struct go_build *build);

#endif
