/* SPDX-License-Identifier: Apache-2.0 */
/* A record and the plan of its site → values, handed one after the other to a format (json.c, text.c).
 *
 * Everything in a record is hostile: it holds what another program had in its registers and memory. What a pointer leads to is found
 * by its address: all chunks of a record were read at one hit, and each says which addresses it holds. */
#ifndef COLLECTOR_DECODE_H
#define COLLECTOR_DECODE_H

#include "../offsets/json_out.h"
#include "../offsets/plan.h"
#include "mask.h"

/* Values inside values, and pointers or slices followed on one path. Go's own types nest a few levels; a list of slices that hold
 * themselves would nest without end. Bounds the recursion of decode_value(): 64 frames of some 300 bytes. */
#define NESTING_MAX 64
/* Chunks of one record: one a step, and of one for the type of an interface. */
#define CHUNKS_MAX (STEPS_MAX + 2 * TURNS_MAX)
/* Values of one record. The largest record (64 KiB) holds 64 Ki bytes; more can only come from chunks that refer to each other. */
#define VALUES_MAX (1u << 16)
/* No string or slice is longer: amd64 user addresses have 47 bits (56 with five-level paging, which Go does not use). */
#define LENGTH_MAX (UINT64_C(1) << 47)

struct chunk_view {
	uint64_t addr;
	uint32_t len;
	uint16_t step, status;
	const uint8_t *data;
};

struct record_view {
	const struct record *head;
	uint32_t n_chunks;
	bool full;                      /* something was left out for want of room */
	const struct stack_head *stack; /* NULL: the record has no stack */
	const uint64_t *chain;          /* the kernel's, n_chain frames */
	uint32_t n_chain;
	struct chunk_view chunks[CHUNKS_MAX];
};

/* Look at `size` bytes as a record. False where they are too few for its head. Chunks that do not fit are cut. `data` is aligned to 8
 * and must outlive the view. */
bool record_view_init(struct record_view *view, const void *data, size_t size);

enum path_kind {
	PATH_NAME,
	PATH_FIELD,
	PATH_INDEX,
	PATH_DEREF,
	PATH_ASSERT, /* name: the type that an interface holds */
	/* keys of a map: */
	PATH_STRING, /* bytes, n */
	PATH_SIGNED, /* index, which holds an int64_t; unsigned keys are PATH_INDEX */
	PATH_BOOL,   /* index */
	PATH_PAIR,   /* index: of a key that is none of these, by its place among those shown */
};

struct path_part {
	enum path_kind kind;
	uint32_t n;
	union {
		const char *name;
		const uint8_t *bytes;
		uint64_t index;
	};
};

struct decoder;

enum captured {
	CAPTURED_NOTHING,
	CAPTURED_UNKNOWN, /* d->word and d->why say why */
	CAPTURED_FOLLOWS, /* as a value, a struct */
};

/* What a format does with values. The path of the value in hand is decoder->path. */
struct value_ops {
	void (*integer)(struct decoder *d, uint64_t v, bool is_signed);
	void (*boolean)(struct decoder *d, bool v);
	void (*real)(struct decoder *d, double v, int width);
	void (*complex)(struct decoder *d, double re, double im, int width); /* width: of each part */
	void (*string)(struct decoder *d, const uint8_t *s, size_t n,
		       uint64_t full); /* n < full: the rest was not read */
	void (*nil)(struct decoder *d);
	void (*masked)(struct decoder *d); /* a value that is not to be shown */
	void (*absent)(struct decoder *d, const char *word,
		       const char *why); /* no value; word: "unreadable", "not decoded" */
	void (*struct_begin)(struct decoder *d);
	void (*field)(struct decoder *d, const char *name); /* before the field's value */
	void (*struct_end)(struct decoder *d);
	void (*list_begin)(struct decoder *d, uint64_t shown, uint64_t total);
	void (*item)(struct decoder *d); /* before each element */
	void (*list_end)(struct decoder *d, uint64_t shown, uint64_t total);
	void (*pointer_begin)(struct decoder *d, uint64_t addr);
	void (*pointer_to)(struct decoder *d, bool is_struct); /* before what it points to */
	void (*pointer_end)(struct decoder *d, const char *word,
			    const char *why); /* word NULL, or why it was not followed */
	void (*chan)(struct decoder *d, uint64_t addr, uint64_t len, uint64_t cap);
	/* name "": not known */
	void (*func)(struct decoder *d, uint64_t addr, const char *name, enum captured captured);
	void (*func_end)(struct decoder *d); /* after a struct of what it captured, where that is known */
	/* as_object: the keys are strings, integers or bools, whole and unique */
	void (*map_begin)(struct decoder *d, bool as_object, uint64_t shown, uint64_t total);
	void (*map_key)(struct decoder *d,
			bool as_object); /* before each key, which is a value; as_object: in its stead */
	void (*map_value)(struct decoder *d, bool as_object); /* before its value */
	void (*map_pair_end)(struct decoder *d, bool as_object);
	void (*map_end)(struct decoder *d, bool as_object, uint64_t shown, uint64_t total);
	/* What an interface holds; text: as people read it, NULL where there is none. True: the value is not to be shown as well. */
	bool (*interface_begin)(struct decoder *d, const char *type, const char *text, size_t n);
	void (*interface_end)(struct decoder *d, const char *text, size_t n);
	/* A value that people read otherwise: the same. */
	bool (*texted_begin)(struct decoder *d, const char *text, size_t n);
	void (*texted_end)(struct decoder *d, const char *text, size_t n);
	/* Something to be said of the value in hand beside it. */
	void (*remark)(struct decoder *d, const char *word, const char *why);
	void (*bytes)(struct decoder *d, const uint8_t *s, size_t n); /* the remark that shows raw bytes */
};

struct names; /* names.h */
struct map_slot;

struct decode_limits {
	uint32_t string_size, depth, elements;
};

/* What was shown short or not at all, and an option or another build would show. */
struct shortfalls {
	uint64_t strings, lists, pointers; /* cut at the options' bounds */
	uint64_t in_float;                 /* in a register that a program cannot read */
	uint64_t record_full;
	uint64_t unreadable; /* for other reasons */
};

struct decoder {
	const struct value_ops *ops;
	struct shortfalls short_of; /* counted by the formats */
	struct jout *out;
	struct jout notes; /* JSON: members of the object `notes`, the last list still open; "" where there are none */
	struct jout scratch;   /* JSON: a path, as text */
	struct jout last_path; /* JSON: path of the list that is open in `notes` */
	bool color;
	uint64_t pointer; /* text: address of a pointer that is not written yet, 0 where there is none */
	struct decode_limits limits;
	struct mask *mask; /* mask.h; NULL: nothing is hidden */

	/* of the record in hand */
	const struct record_view *view;
	const struct plan *plan;
	const struct plan_site *site;
	struct names *names; /* NULL: nothing is known of run-time types and functions */
	uint32_t values_left;
	uint32_t nesting, hops;
	bool in_interface; /* the value in hand is what an interface holds */

	/* live slots of the maps around the value in hand, the innermost last */
	struct map_slot *slots;
	size_t n_slots, cap_slots;

	uint32_t n_path;
	/* the root, one part for each value around the one in hand, and those of an expression's way through lists */
	struct path_part path[NESTING_MAX + PLAN_WAYS_MAX + 2];
	uint32_t n_followed;
	struct followed {
		uint64_t addr;
		uint32_t type, n_path; /* n_path: of the pointer or slice that led there */
	} followed[NESTING_MAX + 1];

	/* Why could the process not be read there? NULL: nobody knows better than that the address is bad. The answer is a constant. */
	const char *(*fault_why)(void *arg, uint32_t pid, uint64_t addr);
	void *fault_arg;

	const char *word; /* why the last read failed */
	char why[64];
};

/* A value that is not there: for value_ops.absent and pointer_end. */
void count_absent(struct decoder *d, const char *word, const char *why);

void decoder_init(struct decoder *d, const struct value_ops *ops, struct jout *out, const struct decode_limits *limits);
void decoder_deinit(struct decoder *d);

void decoder_begin(struct decoder *d, const struct record_view *view, const struct plan *plan,
		   const struct plan_site *site, struct names *names);

/* The i-th value of the site (parameter or result). */
void decode_site_value(struct decoder *d, uint32_t i);

/* The path as an expression: "p.Name", "xs[3]", "*p". Appends the first n parts. */
void path_write(const struct path_part *path, uint32_t n, struct jout *to);

/* Bytes at the end of s that begin a UTF-8 sequence without ending it: 0–3. What was cut off by us is no fault of the string. */
size_t utf8_cut(const uint8_t *s, size_t n);

#endif
