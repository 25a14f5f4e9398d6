/* SPDX-License-Identifier: Apache-2.0 */
/* Where Go's run-time system keeps what a probe reads of a goroutine, for programs whose debug information is gone.
 *
 * runtime.g and runtime.m are private to each version; the table was read out of programs that it built (`make runtime-offsets`). */
#ifndef OFFSETS_RUNTIME_G_H
#define OFFSETS_RUNTIME_G_H

#include "go_build.h"

/* Bytes from the start of runtime.g; curg: of runtime.m; gobuf_: of runtime.gobuf. */
struct runtime_g {
	uint16_t stack_hi, m, goid, curg, gobuf_sp, gobuf_g;
};

/* By the version that built the program. ERR_NOTFOUND, with the reason, for a version that is not in the table or not a release:
 * between two releases the layout may be that of neither. */
struct err *runtime_g_find(const struct go_build *build, struct runtime_g *ret);

#endif
