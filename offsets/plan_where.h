/* SPDX-License-Identifier: Apache-2.0 */
/* The condition of --where: which calls are wanted; and the value of --by: which sum they go into. They are compiled to BPF C, once for
 * each way in which the values lie.
 *
 * What asks only of parameters and of the hit itself (pid, goid) is decided at the entry; what asks of results or the duration, at the
 * return. Where one part of && is of the first kind it is asked at the entry whatever the others are. What the return needs of the
 * parameters is kept from the entry on, as words (bpf_c/where.h). */
#ifndef OFFSETS_PLAN_WHERE_H
#define OFFSETS_PLAN_WHERE_H

#include "expression.h"
#include "plan_build.h"

#define WHERE_C_MAX (64u << 10) /* bytes of C of one of them */
#define WHERE_LITERAL_MAX 128   /* bytes of a string literal that is compared */

struct plan_condition {
	struct expression *parsed, *by;      /* as they are in the options; NULL: none */
	struct expression *typed, *typed_by; /* for the function in hand; NULL: there is none, or it does not fit */
	struct plan_func *func;              /* which that is */
	bool late;                           /* it needs the return */
	size_t n_fit;                        /* functions so far that it fits */
	struct err *misfit;                  /* why not the first that it did not fit */
};

/* Parse that of the options. *ret is NULL where there is none. ERR_USAGE with the place. */
struct err *plan_condition_create(const struct plan_options *options, struct plan_condition **ret);
void plan_condition_destroy(struct plan_condition *c);

/* Does it name anything but pid, goid and duration? Else it can do without types. */
bool plan_condition_needs_types(const struct plan_condition *c);

/* Does it name anything? Where types are known, a parameter or result may be called pid, and is then what is meant. */
bool plan_condition_wants_types(const struct plan_condition *c);

/* Give it the types of a function, whose signature is in the plan. Where it does not fit: a function that a pattern found gets its
 * `refused`; for one that was named it is ERR_USAGE with the place. */
struct err *plan_condition_enter(struct plan_builder *b, struct plan_func *f);

/* Is this word of a parameter asked for? */
bool plan_condition_needs(const struct plan_builder *b, const struct site_word *word);

/* Leave out the words that neither it nor the expressions need; they do not count in the choice of the site. */
void plan_condition_drop(const struct plan_builder *b, struct track_word *track, struct site_word *words, size_t *n);

/* Words as they lie at the entry's site and at a return: the filter, in the plan; *index_ret is 1 + its index. An error is about the place
 * of what cannot be read there, as from plan_condition_enter(). */
struct err *plan_condition_compile(struct plan_builder *b, struct plan_func *f, const struct site_word *entry,
				   size_t n_entry, const struct site_word *results, size_t n_results,
				   uint16_t *index_ret);

/* ---- between plan_where.c and where_c.c ---------------------------------------------------------------------- */

/* What the scope of a condition has behind the parameters and results. */
enum where_name { WHERE_NAME_DURATION, WHERE_NAME_PID, WHERE_NAME_GOID, WHERE_NAMES };

enum where_need { WHERE_NEEDS_PARAMS = 1, WHERE_NEEDS_RETURN = 2, WHERE_NEEDS_GOID = 4 };

/* What each node needs, by index. */
void where_needs(const struct expression *e, const struct plan_func *f, uint8_t needs[EXPR_NODES_MAX]);

struct where_words {
	const struct site_word *v;
	size_t n;
};

/* The bodies of the C functions. `where` and `by` can be NULL. */
struct err *where_compile(struct plan_builder *b, const struct plan_func *f, const struct expression *where,
			  const struct expression *by, const struct where_words *entry,
			  const struct where_words *results, struct plan_filter *filter_ret);

#endif
