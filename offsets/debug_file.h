/* SPDX-License-Identifier: Apache-2.0 */
/* The file in which the debug information of a stripped program was kept (objcopy --only-keep-debug).
 *
 * Where it is looked for, in this order, as gdb does ("Debugging Information in Separate Files"): by the build id in
 * FOLDER/.build-id/xx/yyyy.debug; by the name in .gnu_debuglink, with its checksum, beside the program, in .debug beside it, and in
 * FOLDER/<the program's folder>. FOLDER is /usr/lib/debug, or $GOPHERSCOPE_DEBUG_FOLDER. What belongs neither to root nor to us nor to the
 * program's owner is not taken: anybody can put a file beside a program in /tmp. */
#ifndef OFFSETS_DEBUG_FILE_H
#define OFFSETS_DEBUG_FILE_H

#include "dwarf_info.h"
#include "elf_file.h"
#include "pclntab.h"

/* *ret: the file, opened, which has debug information; NULL where there is none. *why_ret: what was found and not taken, and why, one
 * line, to be freed; NULL where nothing was found. Only running out of memory is an error. */
struct err *debug_file_find(struct elf_file *elf, struct elf_file **ret, char **why_ret);

/* Does the debug information fit the program? Its build ids, where both have them, must be the same; and every Go function in it must be
 * one of the program's, of the same name, at the same address and no longer. ERR_USAGE says what differs; other errors where it cannot
 * be read. */
struct err *debug_file_check(const struct elf_file *elf, const struct func_table *funcs, const struct elf_file *debug,
			     struct dwarf_info *dw);

#endif
