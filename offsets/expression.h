/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions that reach into values, in Go's own syntax: r.URL.Path · hdr[0].Name · m["k"] · frame.Fields[:8].Name ·
 * err.(*net.OpError).Op · *p · len(s), and for conditions comparisons, && || ! and literals: len(s) > 3 && r.Method == "GET".
 *
 * Parsing knows no types; expression_resolve() gives a second tree in which every node has its type and all that Go does by itself
 * is written out: pointers followed, fields of embedded structs, constant bounds. That tree is what readers are made from: its nodes
 * stand in an array, operands before what uses them. Text, size and depth are bounded, so that no text makes it run long. */
#ifndef OFFSETS_EXPRESSION_H
#define OFFSETS_EXPRESSION_H

#include "types.h"

struct dwarf_info;

#define EXPR_TEXT_MAX 4096 /* bytes of one option's text: far more than anybody types */
#define EXPR_NODES_MAX 256 /* of one expression */
#define EXPR_DEPTH_MAX 32  /* parentheses, stars and accesses within each other: bounds the parser's recursion */
#define EXPR_LIST_MAX 64   /* expressions of one option */
/* The greatest constant index or bound: it has 16 bits in struct step. */
#define EXPR_INDEX_MAX 65535
/* Values that the ranges of one expression take apart: more steps than a site can have would be needed. */
#define EXPR_VALUES_MAX 128
#define EXPR_OPEN UINT32_MAX /* `hi` of a range without an upper bound */

enum expr_op {
	EXPR_NONE = 0,
	/* Ways to a value. `a` is what they start from. */
	EXPR_NAME,  /* a parameter or result: `name`, typed: `var` */
	EXPR_FIELD, /* a.name; typed: `a` is a struct, the field is `field`, at `offset` */
	EXPR_DEREF, /* *a */
	EXPR_INDEX, /* a[lo] of an array, a slice or a string */
	EXPR_KEY, /* a[b] of a map, b a literal. Parsing gives it for every index; resolving makes an EXPR_INDEX of most */
	EXPR_SLICE,  /* a[lo:hi], as a whole */
	EXPR_EACH,   /* typed only: a[lo:hi], of which what follows takes each element: frame.Fields[:8].Name */
	EXPR_ASSERT, /* a.(name); typed: `type` */
	EXPR_LEN,    /* len(a) */
	EXPR_CAP,    /* cap(a) */
	/* Literals. */
	EXPR_INT,    /* `integer`, negative where `negative` */
	EXPR_REAL,   /* `real` */
	EXPR_STRING, /* `name`, `name_len` bytes */
	EXPR_BOOL,   /* `integer` 0 or 1 */
	EXPR_NIL,
	/* Conditions: bools made of `a` and `b`. */
	EXPR_NOT,
	EXPR_EQ,
	EXPR_NE,
	EXPR_LT,
	EXPR_LE,
	EXPR_GT,
	EXPR_GE,
	EXPR_AND,
	EXPR_OR,
};

struct expr_node {
	uint8_t op; /* enum expr_op */
	bool negative;
	bool duration;           /* EXPR_INT: it was written as a time, like 10ms; in ns */
	bool implied;            /* typed: Go does it by itself, the text does not say it */
	uint16_t a, b;           /* operands, by index; 0: none */
	uint32_t at, end;        /* its bytes in the text */
	uint32_t name, name_len; /* in `strings`, with a NUL behind it */
	uint32_t lo, hi;
	uint64_t integer;
	double real;

	/* after expression_resolve() */
	uint8_t kind; /* enum go_kind of the value; GO_INVALID: nil */
	uint8_t lists; /* how many EXPR_EACH it goes through: it is that many lists within each other, of values of this type */
	uint32_t type;          /* in the type table; TYPE_NONE for literals and conditions */
	uint32_t var;           /* EXPR_NAME: index in the scope's names */
	uint32_t field, offset; /* EXPR_FIELD: index in the table's fields; bytes */
};

struct expression {
	char *text;    /* as it was written, without blanks around it */
	char *strings; /* names and decoded literals; offset 0 is "" */
	uint16_t n, root;
	/* after expression_resolve(): what it is about */
	bool params, results;
	uint32_t strings_size;
	struct expr_node nodes[EXPR_NODES_MAX]; /* [0] is none */
};

struct expression_list {
	size_t n;
	struct expression **v;
};

/* One expression. ERR_USAGE with the place (see below). */
struct err *expression_parse(const char *text, struct expression **ret);
void expression_destroy(struct expression *e);

/* "EXPR, EXPR, …"; one that comes again is left out. At most EXPR_LIST_MAX in the list. */
struct err *expression_list_parse(struct expression_list *list, const char *text);
void expression_list_deinit(struct expression_list *list);

/* What a name can stand for. */
struct expression_name {
	const char *name;
	uint32_t type;
	bool result;
	bool hit; /* neither parameter nor result, but of the hit itself: pid */
	/* a variable that the function captured: a field of what the scope's `context` points to */
	bool captured;
	bool shared; /* the field is a pointer to the variable */
	uint32_t offset;
};

#define EXPR_CONTEXT UINT32_MAX /* `var` of an EXPR_NAME that stands for the scope's context */

struct expression_scope {
	struct type_table *types; /* grows by what is met on the way */
	struct dwarf_info *dwarf; /* NULL: only what the table has already */
	const struct expression_name *names;
	size_t n_names;
	uint32_t context; /* where any is captured: type of a pointer to a struct */
};

/* Give every node its type. ERR_USAGE with the place where it does not fit: the expression is wrong for these names and types. */
struct err *expression_resolve(const struct expression *parsed, const struct expression_scope *scope,
			       struct expression **ret);

static inline const char *expression_string(const struct expression *e, const struct expr_node *node)
{
	return e->strings + node->name;
}

/* Is it a way to a value, or a condition or literal? */
static inline bool expression_is_path(const struct expression *e)
{
	return e->nodes[e->root].op >= EXPR_NAME && e->nodes[e->root].op <= EXPR_CAP;
}

/* ---- errors ------------------------------------------------------------------------------------------------- */

/* ERR_USAGE about the text at byte `at`, which becomes the error's place (offsets/error.h); hint: "" for none. */
struct err *expression_error(const char *text, uint32_t at, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* ---- between the files expression*.c ------------------------------------------------------------------------ */

struct err *expression_create(const char *text, size_t size, struct expression **ret);
/* A new node of the tree, a copy of *node. ERR_USAGE where there are too many. */
struct err *expression_add(struct expression *e, const struct expr_node *node, uint16_t *index_ret);
/* A string for the tree's nodes. */
struct err *expression_intern(struct expression *e, const char *s, size_t size, uint32_t *offset_ret);

#endif
