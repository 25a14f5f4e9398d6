/* SPDX-License-Identifier: Apache-2.0 */
/* One error type for the C core.
 *
 * A function that can fail returns struct err *, NULL for success; its results go through out-parameters
 * that come last and end in _ret, and are written only on success. The caller owns a returned error and
 * releases it with err_destroy(); the static ones (err_nomem, err_notfound) may be destroyed too, to no effect.
 */
#ifndef OFFSETS_ERROR_H
#define OFFSETS_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What kind of failure it is. The command line turns the kind into an exit code (docs/design.md, "Exit codes"). */
enum err_code {
	ERR_NOMEM = 1,
	ERR_NOTFOUND,    /* the thing asked for is not in the file: a name, a section, a type */
	ERR_NOLOC,       /* the thing is there, but has no location at this pc */
	ERR_MALFORMED,   /* the file contradicts itself or its specification */
	ERR_UNSUPPORTED, /* valid, and not handled by this version */
	ERR_IO,          /* open, read or write failed; the message holds strerror */
	ERR_NOT_ELF,     /* not an ELF file at all */
	ERR_ARCH,        /* an ELF file of another class, byte order or machine */
	ERR_NOT_GO,      /* an ELF file, but not a Go program */
	ERR_NO_DWARF,    /* a Go program without debug information */
	ERR_INLINED,     /* the function exists only as inlined copies */
	ERR_CHANGED,     /* the file changed since it was opened */
	ERR_USAGE,       /* the caller asked for something that makes no sense */
	ERR_PRIVILEGE,   /* the kernel wants a capability that we lack */
	ERR_KERNEL,      /* the kernel refuses or lacks a facility */
};

struct err {
	enum err_code code;
	bool is_static;
	char *msg; /* one line, no newline, UTF-8 with control characters escaped */
	/* Where in a text the error lies, to be shown with a ^ below it; NULL where it is about none. Not part of msg, in which
	 * names from hostile files stand. */
	char *line;      /* as msg */
	uint32_t column; /* characters, from 0 */
};

extern struct err err_nomem;    /* "out of memory" */
extern struct err err_notfound; /* "not found" */

/* Make an error. Falls back to &err_nomem when memory is short. */
struct err *err_create(enum err_code code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "<context>: <message of err>", same code and place; consumes err. */
struct err *err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same error, with the place in a line of text that it lies at. Consumes err. */
struct err *err_at(struct err *err, const char *line, uint32_t column);

/* The name of a code as the JSON output has it: "not_found", "malformed", … */
const char *err_code_name(enum err_code code);

void err_destroy(struct err *err);

static inline void err_cleanup(struct err **errp)
{
	err_destroy(*errp);
}

/* struct err *err _cleanup_err_ = NULL; */
#define _cleanup_err_ __attribute__((cleanup(err_cleanup)))

static inline void free_cleanup(void *p)
{
	extern void free(void *);
	free(*(void **)p);
}

/* char *p _cleanup_free_ = NULL; */
#define _cleanup_free_ __attribute__((cleanup(free_cleanup)))

#endif
