/* SPDX-License-Identifier: Apache-2.0 */
/* Where what an assignment names lies at its site; for rewrite.c. */
#ifndef OFFSETS_REWRITE_PLACE_H
#define OFFSETS_REWRITE_PLACE_H

#include "rewrite.h"
#include "sites.h"

struct rewrite_places {
	struct program *program;
	struct plan *plan;
	struct dwarf_info *dwarf;
	struct abi_layout abi;         /* of the function, without a dictionary */
	struct expression_name *names; /* parameters, then results */
	size_t n_names;
};

struct rewrite_place {
	uint32_t var; /* whose it is: index in the names */
	uint32_t type;
	uint64_t size;     /* bytes */
	bool in_registers; /* the words below; else memory, to which `write` has the way */
	size_t n_words;
	struct abi_word words[TRACK_WORDS]; /* offset: within what is to be written */
	struct write write;                 /* base, reg, offset, hops */
};

struct err *rewrite_places_init(struct program *program, struct plan *plan, struct rewrite_places *ret);
void rewrite_places_deinit(struct rewrite_places *places);

/* What the assignment names: of a result, else of a parameter. whole: no part of it. */
struct err *rewrite_place_find(struct rewrite_places *places, const struct rewrite_assignment *a, bool result,
			       bool whole, struct rewrite_place *ret);

/* All of a parameter or result, by its index among both. */
struct err *rewrite_place_whole(struct rewrite_places *places, uint32_t var, struct rewrite_place *ret);

/* For people; to be freed. NULL: out of memory. */
char *rewrite_place_text(const struct rewrite_place *place);

#endif
