# SPDX-License-Identifier: Apache-2.0
"""Builds tracer._collector: what Python uses of collector/, compiled against the real headers.

cffi lets go of Python's lock around each call, so collector_wait and collector_stop run beside Python.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tracer._build_offsets import COMPILE_ARGS, SHARED_CDEF  # noqa: E402

CDEF = (
    SHARED_CDEF
    + """
enum collector_buffer { BUFFER_AUTO, BUFFER_RING, BUFFER_PERF, ... };
enum collector_attach { ATTACH_AUTO, ATTACH_MULTI, ATTACH_PERF, ... };
enum collector_mode { MODE_TRACE, MODE_COUNT, MODE_HIST, MODE_STACK, ... };
enum collector_format { FORMAT_TEXT, FORMAT_JSON, FORMAT_NONE, FORMAT_RECORDING, ... };

struct rewrite;

enum location_kind { LOC_REGISTER, LOC_STACK, ... };
typedef struct location { uint16_t kind, index; int32_t offset; } location_t;
struct collector_split_site { uint64_t file_off; location_t g, status; };
struct collector_options {
    enum collector_mode mode;
    enum collector_buffer buffer;
    enum collector_attach attach;
    enum collector_format format;
    uint64_t buffer_size, max_calls, max_rate;
    uint32_t sample_each;
    bool compact, read_goids, force, filter_pids, color, utc, no_args, no_results, no_returns;
    int out_fd;
    uint32_t string_size, depth, elements, stack;
    const struct rewrite *rewrite;
    const char *tracer_version;
    struct collector_split_site split;
    const char *mask, *where;
    ...;
};

struct watch;
struct watch_event { uint32_t kind, pid, port, reserved; };
struct err *watch_open(const void *blob, size_t size, struct watch **ret);
void watch_close(struct watch *w);
const char *watch_missing(const struct watch *w, uint32_t source);
int watch_fd(const struct watch *w);
size_t watch_take(struct watch *w, struct watch_event *events, size_t max);
uint64_t watch_lost(const struct watch *w);

struct collector;
struct err *collector_create(const struct collector_options *options, struct collector **ret);
void collector_destroy(struct collector *c);
struct err *collector_add_plan(struct collector *c, const struct plan *plan, int fd, uint32_t *binary_id_ret);
const char *collector_cflags(struct collector *c);
struct err *collector_load(struct collector *c, const void *blob, size_t size);
struct err *collector_allow_pid(struct collector *c, uint32_t pid);
struct err *collector_set_pid(struct collector *c, uint32_t pid, bool allowed);
const char *collector_load_report(struct collector *c);
bool collector_shortened(const struct collector *c);
#define TURNS_SHORT ...
struct err *collector_attach(struct collector *c);
double collector_detach_seconds(const struct collector *c);
struct err *collector_start(struct collector *c);

enum collector_event { COLLECTOR_TIMEOUT, COLLECTOR_LIMIT, COLLECTOR_CLOSED, COLLECTOR_FAILED, COLLECTOR_EXITED, ... };
enum collector_event collector_wait(struct collector *c, int timeout_ms);
const char *collector_failure(struct collector *c);
void collector_disable(struct collector *c);
struct err *collector_stop(struct collector *c);

struct collector_function_summary {
    const char *name;
    uint32_t fid;
    uint64_t entry_hits, duplicates, calls_written, filtered, sampled, limited, calls_lost;
    uint64_t return_hits, returns_written, unpaired, filtered_returns, sampled_returns, limited_returns, returns_lost;
    uint64_t unwound, read_failures, undecidable, unfinished, counted, counted_returns, changed, unchanged;
    ...;
};
struct telemetry_count { const char *file; uint32_t line; int32_t error; uint64_t count; ...; };
struct collector_summary {
    double duration_s;
    uint64_t lost, misses, cut_strings, cut_lists, cut_pointers, in_float, record_full, unreadable;
    bool reconciled;
    struct collector_function_summary total;
    uint32_t n_functions;
    const struct collector_function_summary *functions;
    uint32_t n_telemetry;
    const struct telemetry_count *telemetry;
    ...;
};
const struct collector_summary *collector_summary(struct collector *c);

struct err *collector_replay(int fd, const struct collector_options *options, struct collector **ret);

/* ---- sums ---- */
#define DURATION_CLASSES ...
#define STACK_FRAMES ...
uint64_t collector_count(struct collector *c, uint32_t fid);
uint64_t collector_calls(struct collector *c, uint32_t fid);
struct collector_durations {
    uint64_t count, total_ns, max_ns, known_ns, runnable_ns, blocked_ns;
    uint64_t classes[...];
    ...;
};
struct split_hits { uint64_t states, switches; };
struct split_hits collector_split_hits(struct collector *c);
struct err *collector_durations(struct collector *c, struct collector_durations *functions, uint32_t n_functions);
uint64_t duration_class_start(uint32_t class);
#define GROUP_OTHER ...
#define GROUP_NOTHING ...
#define GROUP_UNREADABLE ...
#define GROUP_SIGNED ...
#define GROUP_UNSIGNED ...
#define GROUP_BOOL ...
#define GROUP_STRING ...
#define GROUP_TEXT ...
struct group_key { uint64_t kind, value; uint8_t text[...]; };
struct collector_split { uint32_t fid, group; struct group_key value; struct collector_durations durations; ...; };
struct err *collector_splits(struct collector *c, struct collector_split **ret, uint32_t *n_ret);
struct collector_stack {
    uint32_t fid, pid;
    uint64_t count, bias;
    bool cut;
    uint32_t n_frames;
    uint64_t frames[...];
    ...;
};
struct err *collector_stacks(struct collector *c, struct collector_stack **ret, uint32_t *n_ret);
void free(void *p);

/* ---- doctor ---- */
enum doctor_check {
    DOCTOR_BPF, DOCTOR_UPROBE_PERF, DOCTOR_UPROBE_MULTI, DOCTOR_COOKIE_PERF, DOCTOR_COOKIE_MULTI, DOCTOR_RING_BUFFER,
    DOCTOR_PERF_BUFFER, DOCTOR_PROBE_READ_USER, DOCTOR_PROBE_WRITE_USER, DOCTOR_CONTEXT_WRITE, DOCTOR_SLEEPABLE,
    DOCTOR_KPROBE, DOCTOR_RAW_TRACEPOINT, DOCTOR_BTF, DOCTOR_MEMLOCK, DOCTOR_MULTI_PID, DOCTOR_CAPABILITIES,
    DOCTOR_N_CHECKS, ...
};
struct err *doctor_try(enum doctor_check check);
bool doctor_private_stacks(void);
"""
)

SOURCE = """
#include <stdlib.h>
#include "bpf_c/record.h"
#include "collector/collector.h"
#include "collector/doctor.h"
#include "collector/watch.h"
"""

# Plans come to the collector ready made, or as they are kept; the files of programs it opens for names of functions and
# run-time types.
OFFSETS_SOURCES = (
    "error.c",
    "json_out.c",
    "elf_data.c",
    "elf_file.c",
    "elf_symbol.c",
    "func_lines.c",
    "func_name.c",
    "func_table.c",
    "go_build.c",
    "inlines.c",
    "pclntab.c",
    "plan_io.c",
    "rtypes.c",
    "types.c",
)


def sources() -> list[str]:
    paths = sorted((ROOT / "collector").glob("*.c"))
    own = [str(p.relative_to(ROOT)) for p in paths if not p.name.startswith("main")]
    return own + [f"offsets/{name}" for name in OFFSETS_SOURCES]


ffibuilder = FFI()
ffibuilder.cdef(CDEF)
ffibuilder.set_source(
    "tracer._collector",
    SOURCE,
    sources=sources(),
    include_dirs=["."],
    libraries=["bcc_bpf", "elf", "deflate"],
    extra_compile_args=[*COMPILE_ARGS, "-pthread"],
    extra_link_args=["-pthread"],
)
