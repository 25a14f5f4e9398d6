/* SPDX-License-Identifier: Apache-2.0 */
/* Changing arguments and results of a running program: what is to be written where, checked before anything is attached.
 *
 * The value of an assignment is checked against the Go type; the place is found by the calling convention, which alone is exact where
 * writing is allowed: at the entry before anything is moved, and at the RET. A place is a register, or memory on the stack or behind
 * pointers. What the garbage collector follows is written into registers and onto the stack only: behind pointers its write barrier would
 * be passed by. The result is plain data (struct write of bpf_c/record.h). */
#ifndef OFFSETS_REWRITE_H
#define OFFSETS_REWRITE_H

#include "plan.h"

struct rewrite_request {
	const char *function; /* its name */
	/* Texts of assignments, separated by commas: `a1=2021, name="bob", req.Method="PUT", err=io.EOF`. */
	const char *const *set; /* arguments, at the entry */
	size_t n_set;
	const char *const *set_results; /* results, at the return */
	size_t n_set_results;
	const char *
		skip; /* results with which the function returns at once, what is not named being zero; NULL: its body runs */
	const char *
		fail; /* one assignment of a package-level variable to an error among the results, at the return; NULL */
};

enum rewrite_need {
	REWRITE_NEEDS_MEMORY = 1,    /* bpf_probe_write_user() */
	REWRITE_NEEDS_REGISTERS = 2, /* a program that writes the registers of the thread */
};

/* One assignment. */
struct rewrite_change {
	char *name;                     /* as it was written */
	char *type;                     /* the Go type of the place */
	char *value;                    /* the new value, as JSON: 2021 · "bob" · null · {"variable":"io.EOF"} */
	char *shown;                    /* as a person writes it: 2021 · "bob" · nil · io.EOF */
	char *place;                    /* "rax" · "sp+0x8" · "rax → +0x10" */
	uint32_t first_write, n_writes; /* among those of its kind of site */
	uint64_t variable;              /* link address of the variable it is set to; 0: none */
	uint32_t var;                   /* what is changed: index among parameters, then results */
	uint8_t needs;                  /* enum rewrite_need */
	bool implied;                   /* skip: it was not named, and is zero */
};

/* By enum site_kind: of the entry, of the returns. */
struct rewrite_site {
	size_t n_changes;
	struct rewrite_change *changes;
	size_t n_writes;
	struct write writes[WRITES_MAX];
};

struct rewrite {
	struct plan *plan; /* of the one function, with the sites and with what reads the old values */
	bool skip;
	uint8_t needs;       /* of all */
	bool may_be_inlined; /* callers may have copies of its body, which are not changed */
	struct rewrite_site site[2];
};

/* ERR_USAGE with the place for an assignment that is wrong; ERR_UNSUPPORTED, with what would work, for a place that cannot be written;
 * else as plan_create(). `reading`: how much of the old values is read; its expressions, args, results, returns are set here. */
struct err *rewrite_create(struct program *program, const struct rewrite_request *request,
			   const struct plan_options *reading, struct rewrite **ret);
void rewrite_destroy(struct rewrite *rewrite);

static inline const char *rewrite_outcome_name(enum write_outcome outcome)
{
	static const char *const names[] = {
		[WRITE_NOT_TRIED] = "of no effect: another one failed",
		[WRITE_DONE] = "",
		[WRITE_REFUSED] = "the memory is read-only (a constant), or its page is shared or being moved",
		[WRITE_DIFFERS] = "another value stands there after the write",
		[WRITE_LONGER] = "the string there is shorter than the new one",
		[WRITE_NIL] = "a pointer on the way is nil",
		[WRITE_OUTSIDE] = "the index is past the length",
		[WRITE_UNREADABLE] = "a pointer on the way leads to no memory",
		[WRITE_NIL_VARIABLE] = "the variable is nil",
		[WRITE_PARTLY] = "written in part: the length, or what is on the next page, takes no write",
	};

	return (size_t)outcome < sizeof(names) / sizeof(*names) ? names[outcome] : "unknown outcome";
}

/* ---- package-level variables (rewrite_variables.c) ----------------------------------------------------------- */

struct rewrite_variable {
	char *name;    /* io.ErrUnexpectedEOF */
	uint64_t addr; /* link address */
};

/* The program's package-level variables of type error, sorted by name. ERR_NO_DWARF. */
struct err *rewrite_variables(struct program *program, struct rewrite_variable **ret, size_t *n_ret);
void rewrite_variables_free(struct rewrite_variable *v, size_t n);

/* ---- between the files rewrite*.c ---------------------------------------------------------------------------- */

/* One `place = value`, not yet looked up: texts, without blanks around them. */
struct rewrite_assignment {
	char *text; /* both; errors show it */
	char *place, *value;
	uint32_t value_at; /* where the value stands in the text */
};

struct rewrite_assignments {
	size_t n;
	struct rewrite_assignment *v;
};

#define ASSIGNMENTS_MAX WRITES_MAX

struct err *rewrite_assignments_parse(struct rewrite_assignments *list, const char *text, const char *option);
void rewrite_assignments_deinit(struct rewrite_assignments *list);

/* The bytes of a value of a Go type. */
struct rewrite_value {
	enum { VALUE_BYTES, VALUE_STRING, VALUE_NIL, VALUE_VARIABLE } kind;
	uint8_t bytes[8]; /* BYTES: as in memory, little endian */
	uint64_t word;    /* BYTES: as in a register: extended by the sign, or by zeros */
	char *string;     /* STRING */
	uint32_t size;    /* bytes: of the value, or of the string */
	char *json, *shown;
	uint64_t variable;
};

/* Check a value against a type. is_variable: nothing but a package-level variable is taken. */
struct err *rewrite_value_parse(struct program *program, const struct type_table *types, uint32_t type,
				const struct rewrite_assignment *a, bool is_variable, struct rewrite_value *ret);
void rewrite_value_deinit(struct rewrite_value *value);

#endif
