/* SPDX-License-Identifier: Apache-2.0 */
/* What the targets share. libFuzzer calls LLVMFuzzerTestOneInput() with bytes of its own making; what goes wrong, the sanitizers tell. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "../../offsets/elf_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Everything that is read of a program: build information, function table, debug information, instructions, a plan. */
void fuzz_program(struct elf_file *elf);

/* The function table of a program, with names, lines and searches. */
void fuzz_functions(struct elf_file *elf);

/* Its debug information: functions, parameters, places, types, frames. */
void fuzz_debug(struct elf_file *elf);

#endif
