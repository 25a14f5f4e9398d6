/* SPDX-License-Identifier: Apache-2.0 */
/* The product of offsets/: for each function where to probe, what to read there, and how the bytes become values.
 *
 * Flat: arrays and indices, so that it can be kept in a file. Everything in a plan that was read back has been checked by plan_check(). */
#ifndef OFFSETS_PLAN_H
#define OFFSETS_PLAN_H

#include "../bpf_c/record.h"
#include "abi.h"
#include "dwarf_info.h"
#include "elf_file.h"
#include "expression.h"
#include "go_build.h"
#include "pclntab.h"
#include "types.h"

/* Why a piece of a value is not readable at its site. */
enum plan_reason {
	PLAN_OK = 0,
	PLAN_IN_FLOAT_REG, /* detail: X register number: `unreadable: in xmm3` */
	PLAN_CLOBBERED,    /* its register was overwritten before the site */
	PLAN_NOT_DECODED,  /* type of a kind that is not decoded */
	PLAN_TOO_LARGE,    /* more than the record holds */
	PLAN_UNPLACED,     /* parameters before it are missing from the debug information: where it is is not known */
};

/* Part of a value: bytes [offset, offset+size) of its Go memory layout. */
struct plan_piece {
	uint32_t offset, size;
	location_t at;   /* LOC_REGISTER · LOC_CHUNK · LOC_CONSTANT · LOC_NONE */
	uint16_t reason; /* enum plan_reason, where LOC_NONE */
	uint16_t detail;
	uint16_t
		came_in; /* where LOC_NONE: 1 + the X register that its caller put it in (struct plan_caller); 0: none */
	uint64_t constant; /* where LOC_CONSTANT: the bytes */
};

/* Where a direct call of a function has one of the float registers that it passes, besides the register: of a site in order of `ret` and
 * `reg`. Which call it was, the return address tells. */
struct plan_caller {
	uint64_t ret;      /* link address behind the CALL */
	location_t at;     /* LOC_CHUNK · LOC_CONSTANT */
	uint64_t constant; /* where LOC_CONSTANT: the bytes */
	uint8_t reg;       /* X register */
	uint8_t size;      /* bytes, 4 or 8 */
};

/* A parameter or a result as one site sees it. Pieces are in order of offset and cover the value, holes of padding left out.
 *
 * With ways it is what an expression leads to: the pieces are then those parts of the parameter that the way needs. */
struct plan_value {
	uint32_t
		name; /* offset in the plan's strings ("_0", "~r0" are already made), or the expression as it was written */
	uint32_t type; /* index of the type of the parameter or result, also where there are ways */
	uint32_t first_piece, n_pieces;
	uint32_t first_way, n_ways; /* in the plan's ways; 0 ways: the whole value */
};

#define PLAN_WAYS_MAX 64 /* of one value; bounds the path that a decoder keeps */

/* One step of the way to a value (expression.h), from the one before, or from the parameter. */
struct plan_way {
	uint8_t op; /* enum expr_op: EXPR_FIELD … EXPR_CAP */
	uint8_t implied;
	uint8_t negative; /* EXPR_KEY */
	uint8_t key_kind; /* EXPR_KEY: enum go_kind of the key */
	uint32_t type;    /* of what it leads to; EXPR_SLICE: of what it is a range of */
	uint32_t name;    /* string: FIELD the field's, EACH the text before the range, KEY the key where it is one */
	uint32_t lo,
		hi; /* INDEX lo; SLICE, EACH the range [lo, hi), hi EXPR_OPEN where open; FIELD lo: its offset in bytes */
	uint32_t reserved2;
	uint64_t integer; /* KEY: a number or a bool */
};

/* A list of steps that a site's own steps lead to: run for each item (STEP_EACH) or for an interface's type (STEP_DISPATCH). */
struct plan_list {
	uint32_t first_step, n_steps;
};

/* What to run for a run-time type in an interface: key and value of the map `dispatch`. */
struct plan_dispatch {
	uint64_t type; /* link address of the run-time type; 0: of any type that is not listed */
	uint32_t
		group; /* STEP_DISPATCH.max: pointer hops left; GROUP_FUNCS and hops: `type` is a function's entry, for func values */
	uint32_t list;
};

/* Where the parts of a map are: offsets and sizes in bytes (runtime/map.go up to Go 1.23, internal/runtime/maps from 1.24). */
struct plan_map {
	uint8_t swiss;                       /* the newer kind */
	uint8_t key_indirect, elem_indirect; /* a slot holds a pointer to it */
	uint32_t key, elem;                  /* types */
	uint32_t header_size;
	uint32_t count;                                /* in the header: entries (8 bytes) */
	uint32_t flags, shift, buckets, old_buckets;   /* of the older kind, in the header */
	uint32_t writing, dir, dir_len;                /* of the newer kind, in the header */
	uint32_t table_size, table_groups, table_mask; /* a table: the pointer to its groups, their number − 1 */
	uint32_t group_size;                           /* bytes of a bucket or group of 8 slots */
	uint32_t control;                              /* 8 bytes, one for each slot */
	uint32_t keys, key_stride, elems, elem_stride;
	uint32_t overflow; /* of the older kind: the pointer to the next bucket */
};
#define MAP_SLOTS 8

/* What the func values of a function point to: the address of its code, then what it captured. */
struct plan_closure {
	uint64_t entry;   /* link address of the function */
	uint32_t type;    /* a struct of the captured variables, at their offsets */
	uint32_t partial; /* the debug information leaves some of them out */
};

#define GROUP_FUNCS 256u
#define GROUPS_END 512u

struct plan_site {
	uint64_t addr;     /* link address */
	uint64_t file_off; /* what the kernel wants */
	uint8_t kind;      /* enum site_kind */
	uint8_t flags;     /* enum site_flags */
	uint8_t g_source;  /* enum g_source */
	uint8_t emulated;  /* the kernel emulates the instruction: the cheap class */
	uint8_t deep;      /* its steps lead to lists: for the program call_deep */
	uint16_t filter;   /* 1 + index in the plan's filters; 0: no condition */
	uint32_t insn;     /* string: "push", "jbe", "call", "ret" … */
	uint32_t first_step, n_steps;
	uint32_t first_value, n_values;   /* parameters at an entry, results at a return */
	uint32_t first_caller, n_callers; /* in the plan's callers */
	location_t return_at;             /* LOC_CHUNK: the return address, where there are any */
	uint32_t
		data_max; /* bytes of record data in the worst case, chunk heads included; may exceed what a record can hold */
	uint32_t
		frame; /* bytes from the stack pointer at the hit up to the return address: 0 before the prologue's push and at RET */
};

#define PLAN_FILTERS_MAX 64 /* ways in which the values of a condition can lie: each becomes part of the program */

/* A condition, compiled for one way in which its values lie (plan_where.h). */
struct plan_filter {
	uint32_t enter, leave; /* strings: bodies of C functions, asked at the entry and at a return */
	uint32_t by;     /* string: the body of what tells by which value the call is summed; "" where it is by none */
	uint8_t late;    /* the return decides */
	uint8_t passes;  /* the entry says yes to every call */
	uint8_t goid;    /* it asks for the goroutine's id */
	uint8_t by_late; /* the return tells the value */
};

struct plan_func {
	uint32_t name, file; /* strings; file "" if unknown */
	uint32_t line;
	uint8_t abi;           /* enum go_abi */
	uint8_t has_types;     /* parameters and results are known (DWARF was there and was asked) */
	uint8_t can_duplicate; /* a hit whose call is already open is a duplicate (entry is a loop's head) */
	uint8_t never_returns; /* it has no RET and does not jump out of itself: a call ends by a panic, by Goexit or with the process */
	uint64_t entry, end;                /* link addresses */
	uint32_t first_site, n_sites;       /* the entry site first, then returns */
	uint32_t first_warning, n_warnings; /* in warnings: string offsets */
	uint32_t refused;                   /* string: why it cannot be probed; 0 if it can. Then n_sites is 0 */
	/* the signature, independent of sites */
	uint32_t first_param, n_params;   /* in signature */
	uint32_t first_result, n_results; /* in signature */
};

struct plan_var {            /* one parameter or result of a signature */
	uint32_t name, type; /* string; type index */
};

/* Where calls end that do not return: a place in the run-time system, of the kind SITE_RECOVERY + its index. */
struct plan_unwind {
	uint64_t addr;     /* link address */
	uint64_t file_off; /* 0: there is none, as where the program does not have that function */
	uint8_t g_source;  /* enum g_source */
};
#define PLAN_UNWINDS 3

struct plan_binary {
	uint32_t path, build_id, go_version; /* strings; "" if unknown */
	struct file_id id;
	int32_t go_minor;
	uint8_t pie, has_dwarf, has_g; /* has_g: the offsets below are known */
	uint16_t goid_off, m_off, curg_off;
	uint32_t g_why;     /* string: why not, where !has_g */
	uint32_t dwarf_why; /* string: why not, where !has_dwarf */
	uint32_t
		debug_file; /* string: the separate file that the debug information is from; "" where it is the binary's own */
	struct file_id debug_id;
	int32_t tls_offset;
	uint16_t chan_len_off, chan_cap_off; /* in runtime.hchan; 0, 0: not known */
	uint64_t types_base;                 /* link address of the run-time system's types; 0: not known */
	uint64_t
		goexit_off; /* file offset of a cheap instruction that each goroutine passes once at its end (in runtime.gdestroy or goexit0); 0 if none */
	struct plan_unwind unwinds[PLAN_UNWINDS]; /* where returns are probed */
	uint32_t unwinds_why;                     /* string: why some of those are missing; "" where none is */
};

struct plan {
	struct type_table types; /* its strings are the plan's strings */
	struct plan_binary binary;
	size_t n_funcs, n_sites, n_values, n_pieces, n_steps, n_vars, n_warnings, n_lists, n_dispatches, n_maps, n_ways,
		n_closures, n_filters, n_callers;
	struct plan_list *lists;
	struct plan_dispatch *dispatches;
	struct plan_map *maps;
	struct plan_func *funcs;
	struct plan_site *sites;
	struct plan_value *values;
	struct plan_piece *pieces;
	struct step *steps;
	struct plan_var *vars;
	uint32_t *warnings;
	struct plan_way *ways;
	struct plan_closure *closures; /* by entry */
	struct plan_filter *filters;
	struct plan_caller *callers;
};

/* Is the end of each of its calls told: are its returns probed, or are there none? */
static inline bool plan_ends_are_told(const struct plan *plan, const struct plan_func *f)
{
	return f->n_sites > 1 ||
	       (f->n_sites && f->never_returns && plan->sites[f->first_site].flags & SITE_READ_STACK_HI);
}

struct plan_options {
	bool args, results; /* read arguments; read results */
	bool returns;       /* probe returns (durations, results) */
	bool optional;      /* a binary without debug information is planned without values, instead of ERR_NO_DWARF */
	bool raw_words;     /* of functions whose types are not known, read the words that may be theirs, as they are */
	/* The entry site is the first there is, where every parameter still stands as the caller put it; returns are at each RET. */
	bool at_call;
	bool each_hit; /* each hit stands for a call (sums, samples): refuse functions of which a call is told from a turn of a loop only later */
	uint32_t string_size; /* bytes, most that is read of a string */
	uint32_t depth;       /* pointer hops */
	uint32_t elements;    /* of a slice, array or map */
	/* What is read instead of the arguments (and of the results, where one of these is about results): texts of expressions,
	 * separated by commas (expression.h). A function that they do not fit is refused; one that was named exactly, an error. */
	const char *const *expressions;
	size_t n_expressions;
	const char *by; /* a value by which calls are summed (plan_where.h); NULL: none */
	const char *
		where; /* which calls are wanted (plan_where.h); NULL: all. A function that it does not fit: as above */
};

/* A binary, opened: its files and tables, made when first asked for. */
struct program {
	struct elf_file *elf;
	struct go_build *build;
	struct func_table *funcs;
	struct dwarf_info *dwarf; /* NULL until program_dwarf() */
	struct elf_file *debug;   /* a file of its own that the debug information comes from, or NULL */
	char *debug_why;          /* such a file was found and does not fit: one line; or NULL */
};

/* debug_file: the separate debug file that people name; NULL looks for one where the program has no debug information itself. ERR_IO,
 * ERR_NOT_ELF, ERR_ARCH, ERR_NOT_GO …; ERR_USAGE where the file named does not fit, ERR_NO_DWARF where it has nothing. */
struct err *program_open(const char *path, const char *debug_file, struct program **ret);
void program_destroy(struct program *program);
/* *ret: path of the separate debug file that program_open() would find by itself and try, to be freed; NULL where there is none, or the
 * program has its own debug information. Errors as program_open(). */
struct err *program_debug_file(const char *path, char **ret);
struct err *program_dwarf(struct program *program, struct dwarf_info **ret); /* ERR_NO_DWARF */

/* Plan the functions that match any of `patterns` and none of `excludes`. A function that cannot be probed is in the plan with
 * `refused` set. ERR_NOTFOUND where nothing matches (the message names the nearest), ERR_INLINED, ERR_NO_DWARF where values are asked,
 * there is no debug information, and neither `optional` nor `raw_words` says what to do then. */
struct err *plan_create(struct program *program, const char *const *patterns, size_t n_patterns,
			const char *const *excludes, size_t n_excludes, const struct plan_options *options,
			struct plan **ret);
void plan_destroy(struct plan *plan);

/* Where the calling convention puts the parameters and results of one function at its entry and its return. The dictionary of a generic
 * function is left out. A layout without values: their types are not known, or cannot be placed; a value whose first_word is
 * PLAN_ABI_UNKNOWN: it is not known where this one is. */
#define PLAN_ABI_UNKNOWN UINT32_MAX
struct err *plan_abi_layout(struct program *program, const struct func *func, struct abi_layout *ret);

/* Keep a plan in a file and read it back (plan_io.c). Reading checks every index, size and string; ERR_MALFORMED says which is wrong. */
struct err *plan_write_fd(const struct plan *plan, int fd); /* at the current offset */
struct err *plan_read_fd(int fd, struct plan **ret);        /* from the current offset to the end of the file */
struct err *plan_check(const struct plan *plan);

/* A plan that was read back is used for a file with the same bytes, which is called so. */
struct err *plan_set_file(struct plan *plan, const char *path, const struct file_id *id);

static inline const char *plan_string(const struct plan *plan, uint32_t offset)
{
	return type_string(&plan->types, offset);
}

#endif
