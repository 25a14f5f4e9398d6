# SPDX-License-Identifier: Apache-2.0
"""Builds tracer._offsets: what Python uses of offsets/, compiled against the real headers.

A declaration here that does not fit the header is a compile error ("..." stands for members that Python
does not use; cffi asks the compiler for sizes and offsets).
"""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent

# Errors and plans: both extension modules know them (a plan is made by one and used by the other).
SHARED_CDEF = """
enum err_code { ERR_NOMEM, ERR_NOTFOUND, ERR_NOLOC, ERR_MALFORMED, ERR_UNSUPPORTED, ERR_IO, ERR_NOT_ELF, ERR_ARCH,
                ERR_NOT_GO, ERR_NO_DWARF, ERR_INLINED, ERR_CHANGED, ERR_USAGE, ERR_PRIVILEGE, ERR_KERNEL, ... };
struct err { enum err_code code; char *msg, *line; uint32_t column; ...; };
const char *err_code_name(enum err_code code);
void err_destroy(struct err *err);

struct plan;
"""

CDEF = (
    SHARED_CDEF.replace("struct plan;\n", "")
    + """
void free(void *p);

/* ---- the file ---- */
struct file_id { uint64_t dev, ino, size, mtime_ns, ctime_ns; };
struct elf_segment { uint64_t vaddr, offset; ...; };
struct elf_file { char *path; int fd; struct file_id id; bool pie; size_t n_segments;
    struct elf_segment *segments; char *build_id; ...; };
struct go_module { char *path, *version; };
struct go_build {
    char *version;
    int major, minor, patch;
    char *main_path;
    struct go_module main_module;
    size_t n_deps;
    struct go_module *deps;
    ...;
};

#define FUNC_PCLNTAB ...
#define FUNC_SYMTAB ...
struct func { const char *name; uint64_t entry, end; uint8_t source; bool abi0; ...; };
struct func_table { size_t n; struct func *v; ...; };
struct func_matcher;
struct err *func_matcher_create(const char *const *patterns, size_t n, struct func_matcher **ret);
void func_matcher_destroy(struct func_matcher *matcher);
bool func_matcher_match(const struct func_matcher *matcher, const char *name);
bool func_pattern_is_wild(const char *pattern);
const struct func *func_table_find_addr(const struct func_table *table, uint64_t addr);
#define FUNC_FRAMES_MAX ...
struct func_frame { const char *func, *file; uint32_t line; };
size_t func_table_frames(const struct func_table *table, const struct func *func, uint64_t addr, struct func_frame *v,
                         size_t max);
struct inlined_copy { const char *name; const struct func *in; uint64_t addr; const char *file; uint32_t line; };
struct err *func_table_inlined(const struct func_table *table, const struct func_matcher *matcher,
                               struct inlined_copy **v_ret, size_t *n_ret);
size_t func_table_suggest(const struct func_table *table, const char *name, const char **v, size_t max);

struct program { struct elf_file *elf; struct go_build *build; struct func_table *funcs; ...; };
struct err *program_open(const char *path, const char *debug_file, struct program **ret);
void program_destroy(struct program *program);
struct err *program_debug_file(const char *path, char **ret);

/* ---- types ---- */
struct go_type { uint32_t name; uint8_t kind; uint64_t size; ...; };
struct type_table { size_t n; struct go_type *v; ...; };

/* ---- the plan ---- */
enum location_kind { LOC_NONE, LOC_REGISTER, LOC_STACK, LOC_CHUNK, LOC_SP,
    LOC_CONSTANT, ... };
typedef struct location { uint16_t kind, index; int32_t offset; } location_t;
typedef struct slice_location { location_t ptr, len; } slice_location_t;
enum step_op { STEP_END, STEP_READ, STEP_COUNTED, ... };
struct step { uint8_t op; uint32_t len, max; int32_t off; slice_location_t src; ...; };
enum site_kind { SITE_ENTRY, SITE_RETURN, ... };
enum go_abi { GO_ABI0, GO_ABI_INTERNAL, ... };
enum plan_reason { PLAN_OK, PLAN_IN_FLOAT_REG, PLAN_CLOBBERED, PLAN_NOT_DECODED, PLAN_TOO_LARGE,
                   PLAN_UNPLACED, ... };

struct plan_piece { uint32_t offset, size; location_t at; uint16_t reason, detail, came_in;
                    uint64_t constant; };
struct plan_caller { uint64_t ret; uint8_t reg; ...; };
struct plan_value { uint32_t name, type, first_piece, n_pieces, first_way, n_ways; };
struct plan_way { uint8_t op; uint32_t type; ...; };
struct plan_site {
    uint64_t addr, file_off;
    uint8_t kind, flags, g_source, emulated, deep;
    uint32_t insn, first_step, n_steps, first_value, n_values, first_caller, n_callers, data_max;
    ...;
};
struct plan_func {
    uint32_t name, file, line;
    uint8_t abi, has_types, can_duplicate, never_returns;
    uint64_t entry, end;
    uint32_t first_site, n_sites, first_warning, n_warnings, refused;
    uint32_t first_param, n_params, first_result, n_results;
    ...;
};
struct plan_var { uint32_t name, type; ...; };
struct plan_binary {
    uint32_t path, build_id, go_version;
    struct file_id id;
    int32_t go_minor;
    uint8_t pie, has_dwarf, has_g;
    uint32_t g_why, dwarf_why, debug_file, unwinds_why;
    struct file_id debug_id;
    ...;
};
struct plan_filter { uint32_t enter, leave, by; uint8_t late, passes, goid; ...; };
struct plan {
    struct type_table types;
    struct plan_binary binary;
    size_t n_funcs, n_sites, n_values, n_pieces, n_steps, n_vars, n_warnings, n_ways, n_filters;
    struct plan_func *funcs;
    struct plan_site *sites;
    struct plan_value *values;
    struct plan_piece *pieces;
    struct step *steps;
    struct plan_var *vars;
    uint32_t *warnings;
    struct plan_way *ways;
    struct plan_filter *filters;
    struct plan_caller *callers;
    ...;
};
struct plan_options {
    bool args, results, returns, optional, raw_words, at_call, each_hit;
    uint32_t string_size, depth, elements;
    const char *const *expressions;
    size_t n_expressions;
    const char *where, *by;
    ...;
};
struct err *plan_create(struct program *program, const char *const *patterns, size_t n_patterns,
                        const char *const *excludes, size_t n_excludes, const struct plan_options *options,
                        struct plan **ret);
void plan_destroy(struct plan *plan);
struct err *plan_write_fd(const struct plan *plan, int fd);
struct err *plan_read_fd(int fd, struct plan **ret);
struct err *plan_set_file(struct plan *plan, const char *path, const struct file_id *id);
const char *plan_string(const struct plan *plan, uint32_t offset);

/* ---- rewriting ---- */
enum write_source { WRITE_CONST, WRITE_ADDRESS, WRITE_VARIABLE, WRITE_STRING, ... };
struct write {
    uint8_t base, source, n_words, n_hops;
    uint16_t len;
    unsigned long long word[2];
    uint8_t bytes[...];
    ...;
};
struct rewrite_request {
    const char *function;
    const char *const *set;
    size_t n_set;
    const char *const *set_results;
    size_t n_set_results;
    const char *skip, *fail;
    ...;
};
enum rewrite_need { REWRITE_NEEDS_MEMORY, REWRITE_NEEDS_REGISTERS, ... };
struct rewrite_change {
    char *name, *type, *value, *shown, *place;
    uint32_t first_write, n_writes;
    uint64_t variable;
    uint8_t needs;
    bool implied;
    ...;
};
struct rewrite_site {
    size_t n_changes;
    struct rewrite_change *changes;
    size_t n_writes;
    struct write writes[...];
    ...;
};
struct rewrite {
    struct plan *plan;
    bool skip;
    uint8_t needs;
    bool may_be_inlined;
    struct rewrite_site site[2];
    ...;
};
struct err *rewrite_create(struct program *program, const struct rewrite_request *request,
                           const struct plan_options *reading, struct rewrite **ret);
void rewrite_destroy(struct rewrite *rewrite);
struct rewrite_variable { char *name; uint64_t addr; ...; };
struct err *rewrite_variables(struct program *program, struct rewrite_variable **ret, size_t *n_ret);
void rewrite_variables_free(struct rewrite_variable *v, size_t n);
"""
)

SOURCE = """
#include <stdlib.h>
#include "offsets/inlines.h"
#include "offsets/plan.h"
#include "offsets/rewrite.h"
"""


def sources() -> list[str]:
    """offsets/*.c without the `offsets` command, relative to the project's folder, as setuptools wants them."""
    paths = sorted((ROOT / "offsets").glob("*.c"))
    return [str(p.relative_to(ROOT)) for p in paths if not p.name.startswith(("main", "cmd_", "commands"))]


COMPILE_ARGS = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-fvisibility=hidden", "-Werror=implicit"]

ffibuilder = FFI()
ffibuilder.cdef(CDEF)
ffibuilder.set_source(
    "tracer._offsets",
    SOURCE,
    sources=sources(),
    include_dirs=["."],
    libraries=["elf", "dw", "capstone", "deflate"],
    extra_compile_args=COMPILE_ARGS,
)
