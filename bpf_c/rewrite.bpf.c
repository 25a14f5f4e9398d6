/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The program behind `rewrite`: that of `trace`, which at each hit also writes (rewrite.h), after it has read what was there. */
#define REWRITE
#include "call.bpf.c"
