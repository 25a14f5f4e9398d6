/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the planner share; not for others. */
#ifndef OFFSETS_PLAN_BUILD_H
#define OFFSETS_PLAN_BUILD_H

#include "func_abi.h"
#include "plan.h"
#include "sites.h"

/* What is known of the caller's frame at an entry site. */
struct entry_frame {
	const struct plan_func *func; /* NULL: it is not asked for */
	uint32_t frame;               /* bytes from the stack pointer up to the return address */
	int64_t above;                /* what the function may have written to of it, as in struct track */
	bool has_check;               /* it may come from morestack, and has begun before */
};

/* Room in the plan's growing arrays. */
struct plan_builder {
	struct program *program;
	struct dwarf_info *dwarf; /* NULL where there is none or none is wanted */
	const struct plan_options *options;
	const char *const *patterns; /* by which functions are chosen */
	size_t n_patterns;
	struct plan *plan;
	struct func_abi abi; /* of the function that is being planned */
	uint32_t context; /* of it, where expressions are asked for: type of a pointer to what it captured; TYPE_NONE */
	bool *unplaced; /* of it, parameters with the dictionary, then results: where it is is not known; NULL: all are */
	size_t cap_funcs, cap_sites, cap_values, cap_pieces, cap_steps, cap_vars, cap_warnings, cap_lists,
		cap_dispatches, cap_maps, cap_ways, cap_closures, cap_filters, cap_callers;
	struct plan_lists *lists;             /* plan_follow.c */
	struct plan_interfaces *interfaces;   /* plan_interfaces.c */
	struct plan_closures *closures;       /* plan_closures.c */
	struct plan_expressions *expressions; /* plan_expr.h; NULL where none are asked for */
	struct plan_condition *where;         /* plan_where.h; NULL where there is none */
	bool returns;                         /* of the function in hand they are probed */
	struct plan_callers *callers;         /* plan_callers.c */
	const struct func *const *selected;   /* all functions that are planned, by address */
	size_t n_selected;
	struct entry_frame entry; /* while the entry site of the function in hand is planned */
};

void plan_lists_destroy(struct plan_lists *lists);
void plan_interfaces_destroy(struct plan_interfaces *interfaces);
void plan_closures_destroy(struct plan_closures *closures);
void plan_callers_destroy(struct plan_callers *callers);

/* Fill in b->context. */
struct err *plan_read_context(struct plan_builder *b, const struct plan_func *f, const struct dwarf_func *df);

/* A struct type of what a function captured; TYPE_NONE where that is nothing or not known. *partial_ret: some is not known. */
struct err *plan_closure_type(struct plan_builder *b, const struct dwarf_closure *closure, uint32_t *type_ret,
			      bool *partial_ret);

/* One list for all that read alike (plan_merge.c). */
struct err *plan_merge_lists(struct plan *plan);

struct err *plan_grow(void *arrayp, size_t *cap, size_t n, size_t item);

#define plan_append(b, field, value)                                                                                   \
	({                                                                                                             \
		struct err *append_err_ = plan_grow(&(b)->plan->field, &(b)->cap_##field, (b)->plan->n_##field,        \
						    sizeof(*(b)->plan->field));                                        \
		if (!append_err_)                                                                                      \
			(b)->plan->field[(b)->plan->n_##field++] = (value);                                            \
		append_err_;                                                                                           \
	})

struct err *plan_warn(struct plan_builder *b, struct plan_func *f, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static inline struct err *plan_intern(struct plan_builder *b, const char *s, uint32_t *ret)
{
	return type_table_intern(&b->plan->types, s ? s : "", ret);
}

/* For a function whose types are not known: its integer words, named after where they stand, as if they were its parameters and
 * results (plan_raw.c). has_types becomes 1 where there are any. */
struct err *plan_raw_signature(struct plan_builder *b, struct plan_func *f, const struct func *func,
			       struct abi_layout *abi_ret, size_t *n_params_ret);

/* Where parameters and results are: types in ABI order, a dictionary put in (*dict_ret its index, or SIZE_MAX), b->unplaced. Errors other
 * than memory: they cannot be placed (plan_layout.c). */
struct err *plan_layout(struct plan_builder *b, struct plan_func *f, const struct func *func,
			const struct dwarf_func *df, struct abi_layout *abi_ret, size_t *n_params_ret,
			size_t *dict_ret);

struct err *plan_add_var(struct plan_builder *b, const char *name, bool result, uint32_t n, uint32_t type);

/* Signature and layout, where there is debug information for this function. Without it: has_types 0 and a warning. *dict_ret is the index
 * of the dictionary of a generic function among the *n_params_ret parameters of the layout, or SIZE_MAX. */
struct err *plan_read_signature(struct plan_builder *b, struct plan_func *f, const struct func *func,
				struct dwarf_func **df_ret, struct abi_layout *abi_ret, size_t *n_params_ret,
				size_t *dict_ret);

/* The type that words without one get: "uintptr". */
struct err *plan_word_type(struct plan_builder *b, uint32_t *ret);

/* Fill in the plan's binary and, where values are wanted, b->dwarf. ERR_NO_DWARF where there is none and values are wanted. */
struct err *plan_read_binary(struct plan_builder *b);

/* Fill in where calls end that do not return (plan_unwinds.c). gobuf_known: runtime.gobuf is as the BPF program takes it. */
struct err *plan_find_unwinds(struct plan_builder *b, bool gobuf_known);

/* Where a word of a value stands at a site, before steps are made. */
struct site_word {
	uint32_t value;        /* index among the site's values */
	uint32_t offset, size; /* bytes within the value */
	enum { WORD_REG, WORD_STACK, WORD_MEMORY, WORD_CONSTANT, WORD_LOST } where;
	/* REG: index in struct record.regs; STACK: bytes from the stack pointer at the site; MEMORY: from what register `base` holds;
	 * CONSTANT: its bytes */
	int64_t place;
	uint16_t base;           /* MEMORY: index in struct record.regs */
	uint16_t reason, detail; /* LOST: enum plan_reason */
	uint16_t came_in;        /* 1 + the X register in which it came; 0: in none */
};

/* The piece of a value that a word is. chunk: where STACK and MEMORY words are read to. */
struct plan_piece plan_word_piece(const struct site_word *word, const location_t *chunk);

/* Values, pieces and steps of one site (already appended to the plan's sites, as the last). `words` in order of value and offset. */
struct err *plan_site_reads(struct plan_builder *b, uint32_t first_var, uint32_t n_vars, struct site_word *words,
			    size_t n_words);

/* Append a site to the plan. */
struct err *plan_add_site(struct plan_builder *b, const struct plan_func *f, const struct code *code, size_t insn,
			  uint8_t kind, uint8_t flags, uint32_t frame);

/* The words of the results at a RET; room for abi->n_words. Returns how many. */
size_t plan_result_words(const struct plan_builder *b, const struct plan_func *f, const struct abi_layout *abi,
			 size_t n_params, struct site_word *words);

/* A site for each return, with what is read there (plan_returns.c). abi: NULL where the results are not known. */
struct err *plan_add_returns(struct plan_builder *b, struct plan_func *f, const struct code *code,
			     const struct abi_layout *abi, size_t n_params);

#endif
