/* SPDX-License-Identifier: Apache-2.0 */
/* From values to the steps that read what they lead to; not for others than the planner. */
#ifndef OFFSETS_PLAN_FOLLOW_H
#define OFFSETS_PLAN_FOLLOW_H

#include "plan_build.h"

#define HOPS_MAX 255u       /* what one dispatch group's number holds */
#define DISPATCH_MAX 16384u /* entries of a plan's dispatch */
#define READ_MAX 32768u     /* bytes that one step reads: more does not fit a record */

/* What of a map's elements is wanted beyond the slots themselves: all, or what hangs behind one part. */
struct map_part {
	bool partial;
	uint32_t type;   /* of the part; TYPE_NONE: nothing hangs behind it */
	uint32_t offset; /* bytes into the element */
};

/* Where a part of a value stands. */
struct source {
	uint32_t type;
	uint32_t hops;        /* pointer hops left */
	struct map_part part; /* of a map */
	enum {
		SOURCE_PIECES, /* in a value's pieces: `first`, n */
		SOURCE_CHUNK,  /* in what `step` of the same list reads */
		SOURCE_ITEM,   /* in the item that the list is run for */
		SOURCE_DATA,   /* it is the data word of the interface that the list is run for */
	} in;
	uint32_t first, n;
	uint32_t step;
	uint32_t offset; /* of this part within that */
};

/* One list of steps while it is made: the last in the plan's array. */
struct list_builder {
	struct plan_builder *b;
	uint32_t first_step;
	uint32_t data_max; /* bytes of a record that the list's own steps need at most */
	bool deep;         /* it has steps that only call_deep knows */
	bool nested;       /* it is run from another list: turns are dear */
	struct source *queue;
	size_t head, tail;
};

struct err *list_begin(struct list_builder *r, struct plan_builder *b);
void list_end(struct list_builder *r);

/* Append a step; *added_ret is false where the list is full. */
struct err *list_step(struct list_builder *r, const struct step *step, bool *added_ret);

/* A value whose words are to be followed. */
void list_source(struct list_builder *r, const struct source *s);

/* As list_source(), for a map that several expressions can be about: it is read once, as far as the one that goes farthest. */
void list_map(struct list_builder *r, const struct source *s);

/* Steps for all that the sources lead to, nearest first. */
struct err *list_follow(struct list_builder *r);

/* The place of the 8-byte word at `offset` of a source. LOC_NONE where it was not read. */
location_t list_word(const struct list_builder *r, const struct source *s, uint32_t offset);

/* plan_reads.c: steps that read words in memory; places_ret: the chunk of each, one for each word. One without room is lost. */
struct err *plan_memory_words(struct list_builder *r, struct site_word *words, size_t n_words, location_t *places_ret);

/* plan_callers.c: steps that read the return address and the callers' frames, where direct calls are known that have lost words of these
 * there. Sets them of the plan's last site. */
struct err *plan_caller_reads(struct list_builder *r, const struct site_word *words, size_t n_words);

/* Make the lists that were asked for and are not made yet, and those that they ask for. */
struct err *plan_pending_lists(struct plan_builder *b);

/* What a list is about; lists are made once for each of these. */
enum list_kind {
	LIST_ITEM,     /* an item of a type */
	LIST_DATA,     /* an interface's data word that is a value of the type */
	LIST_BOXED,    /* an interface's data word that points to a value of the type */
	LIST_INDIRECT, /* an item that is a pointer to a value of the type: no hop */
	LIST_UNKNOWN,  /* an interface's data word of an unknown type */
	LIST_TABLE,    /* an item that is a pointer to a table of a map of the type */
	LIST_GROUP,    /* an item that is a bucket or group of a map of the type */
};

struct err *plan_list_for(struct plan_builder *b, enum list_kind kind, uint32_t type, uint32_t hops,
			  uint32_t *list_ret);
/* LIST_TABLE and LIST_GROUP of a map of which a part is wanted. */
struct err *plan_list_for_part(struct plan_builder *b, enum list_kind kind, uint32_t type, uint32_t hops,
			       const struct map_part *part, uint32_t *list_ret);

/* Make sure of a type's make-up. False where it cannot be had: its values are then not followed. */
bool follow_complete(struct list_builder *r, uint32_t type, struct err **err_ret);

/* plan_maps.c: the steps that read a map behind the word at a source, a table, a group. */
struct err *follow_map(struct list_builder *r, const struct source *s, uint32_t type);
struct err *follow_table(struct list_builder *r, uint32_t type, uint32_t hops, const struct map_part *part);
struct err *follow_group(struct list_builder *r, uint32_t type, uint32_t hops, const struct map_part *part);

/* plan_closures.c: the address of a func value's code, and what the function captured. */
struct err *follow_func(struct list_builder *r, const struct source *s);

/* plan_interfaces.c: the step that finds out what an interface holds, and the lists for all that it may be. */
struct err *follow_interface(struct list_builder *r, const struct source *s, uint32_t type);

#endif
