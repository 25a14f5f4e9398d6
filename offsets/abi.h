/* SPDX-License-Identifier: Apache-2.0 */
/* Where parameters and results lie at a call, by Go's calling conventions.
 *
 * Sources: the Go project's abi-internal.md, "Function call argument and result passing"; cmd/compile/internal/abi/abiutils.go. */
#ifndef OFFSETS_ABI_H
#define OFFSETS_ABI_H

#include "types.h"

enum go_abi { GO_ABI0 = 0, GO_ABI_INTERNAL = 1 };

/* One machine word (or less) of a value. */
struct abi_word {
	uint32_t offset, size; /* bytes within the value */
	enum { ABI_INT_REG = 1, ABI_FLOAT_REG, ABI_STACK } where;
	int32_t place; /* INT_REG: index in the integer sequence (amd64: RAX RBX RCX RDI RSI R8–R11); FLOAT_REG: X0–X14; STACK:
				* bytes from the stack pointer before the call instruction pushed the return address */
};

struct abi_value {
	uint32_t type;
	bool in_registers;
	uint32_t first_word,
		n_words; /* a value on the stack has one word entry of its whole size; a zero-size value has none */
};

struct abi_layout {
	size_t n_values;
	struct abi_value *values; /* parameters in order, then results in order */
	size_t n_words;
	struct abi_word *words;
	uint32_t stack_args_size; /* bytes of stack arguments and results, without the spill area */
	uint32_t
		spill_size; /* bytes of the spill area: room in the caller's frame for the parameters that are in registers */
};

/* Assign `n_params` parameters (receiver first, dictionary where its version puts it) and `n_results` results.
 * types: complete entries of `table`. ERR_MALFORMED where a type is incomplete or sizes overflow. */
struct err *abi_assign(const struct type_table *table, enum go_abi abi, const uint32_t *types, size_t n_params,
		       size_t n_results, struct abi_layout *ret);
void abi_layout_deinit(struct abi_layout *layout);

/* ABIInternal came with Go 1.17 on amd64; assembly (NAME.abi0) keeps ABI0. */
enum go_abi abi_of(int go_minor, bool abi0_symbol);

#endif
