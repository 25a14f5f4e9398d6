/* SPDX-License-Identifier: Apache-2.0 */
/* Capstone, opened once a thread: it makes tables of its own when it decodes for the first time, which takes longer than the instructions
 * of most functions. */
#ifndef OFFSETS_DISASSEMBLER_H
#define OFFSETS_DISASSEMBLER_H

#include <capstone/capstone.h>

#include "error.h"

/* A handle with details and one instruction to decode into; both stay the thread's own, until disassembler_close() or its end. */
struct err *disassembler_open(csh *cs_ret, cs_insn **insn_ret);

/* Give this thread's handle back. */
void disassembler_close(void);

#endif
