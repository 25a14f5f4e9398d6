/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan says of the binary as a whole: which it is, where the run-time system keeps goroutines, whether it has debug information. */
#include <stdlib.h>

#include "plan_where.h"
#include "runtime_g.h"

/* Where the BPF program reads g.stack.hi, gobuf.sp and gobuf.g (bpf_c/goroutine.h). */
#define STACK_HI 8
#define GOBUF_SP 0
#define GOBUF_G 16

static struct err *set_runtime(struct plan_binary *bin, uint64_t stack_hi, uint64_t goid, uint64_t m, uint64_t curg)
{
	if (stack_hi != STACK_HI || goid > UINT16_MAX || m > UINT16_MAX || curg > UINT16_MAX)
		return err_create(ERR_UNSUPPORTED, "its runtime.g is unlike that of any known Go version");
	bin->goid_off = goid;
	bin->m_off = m;
	bin->curg_off = curg;
	bin->has_g = 1;
	return NULL;
}

static struct err *runtime_from_dwarf(struct plan_binary *bin, struct dwarf_info *dw)
{
	uint64_t stack_hi, goid, m, curg;
	struct err *err = dwarf_info_field_offset(dw, "runtime.g", "stack.hi", &stack_hi);

	if (!err)
		err = dwarf_info_field_offset(dw, "runtime.g", "goid", &goid);
	if (!err)
		err = dwarf_info_field_offset(dw, "runtime.g", "m", &m);
	if (!err)
		err = dwarf_info_field_offset(dw, "runtime.m", "curg", &curg);
	return err ? err : set_runtime(bin, stack_hi, goid, m, curg);
}

/* Is runtime.gobuf as the BPF program takes it? dw is NULL where there is no debug information. */
static struct err *is_gobuf_known(struct plan_builder *b, struct dwarf_info *dw, bool *ret)
{
	struct runtime_g at;
	uint64_t sp, g;
	struct err *err = dw ? dwarf_info_field_offset(dw, "runtime.gobuf", "sp", &sp) : &err_notfound;

	if (!err)
		err = dwarf_info_field_offset(dw, "runtime.gobuf", "g", &g);
	if (err && err->code == ERR_NOTFOUND) {
		err_destroy(err);
		err = runtime_g_find(b->program->build, &at);
		sp = at.gobuf_sp;
		g = at.gobuf_g;
	}
	*ret = !err && sp == GOBUF_SP && g == GOBUF_G;
	if (!err || err->code == ERR_NOMEM)
		return err;
	err_destroy(err);
	return NULL;
}

static struct err *read_unwinds(struct plan_builder *b, struct dwarf_info *dw)
{
	bool gobuf_known;
	struct err *err;

	if (!b->options->returns)
		return NULL;
	err = is_gobuf_known(b, dw, &gobuf_known);
	return err ? err : plan_find_unwinds(b, gobuf_known);
}

static struct err *runtime_from_table(struct plan_binary *bin, const struct go_build *build)
{
	struct runtime_g at;
	struct err *err = runtime_g_find(build, &at);

	return err ? err : set_runtime(bin, at.stack_hi, at.goid, at.m, at.curg);
}

/* Offsets of what the run-time system keeps of a goroutine; dw is NULL where there is no debug information. Without them: no goroutine
 * ids, and g_why says the reason. */
static struct err *read_runtime(struct plan_builder *b, struct dwarf_info *dw)
{
	struct plan_binary *bin = &b->plan->binary;
	struct err *err = read_unwinds(b, dw);

	if (err)
		return err;
	err = dw ? runtime_from_dwarf(bin, dw) : &err_notfound;

	if (err && err->code == ERR_NOTFOUND) {
		err_destroy(err);
		err = runtime_from_table(bin, b->program->build);
	}
	if (!err || err->code == ERR_NOMEM)
		return err;
	struct err *e = plan_intern(b, err->msg, &bin->g_why);
	err_destroy(err);
	return e;
}

/* Where the end of a goroutine can be seen cheaply. Duplicates at the stack check do no harm there. Not having it costs time, no more.
 * runtime.gdestroy is what goroutines and, from Go 1.23 on, coroutines (iter.Pull; runtime.coroswitch_m) end in; before it was split off
 * (proc.go of Go 1.22) there was goexit0 alone. */
static struct err *find_goexit(struct plan_builder *b)
{
	struct entry_site *cand _cleanup_free_ = NULL;
	const struct func *func;
	struct code *code = NULL;
	size_t n = 0;

	if (!func_table_find_name(b->program->funcs, "runtime.gdestroy", &func, 1) &&
	    !func_table_find_name(b->program->funcs, "runtime.goexit0", &func, 1))
		return NULL;
	struct err *err = code_read(b->program->elf, b->program->funcs, func, &code);
	if (!err)
		err = entry_candidates(code, &cand, &n);
	for (size_t i = 0; i < n && !err && !b->plan->binary.goexit_off; i++)
		if (code->insns[cand[i].insn].emulated)
			err = elf_file_offset(b->program->elf, code->insns[cand[i].insn].addr,
					      &b->plan->binary.goexit_off);
	code_destroy(code);
	if (err && err->code != ERR_NOMEM) {
		err_destroy(err);
		err = NULL;
	}
	return err;
}

static bool may_lack_dwarf(const struct plan_options *o)
{
	return (!o->args && !o->results) || o->optional || o->raw_words;
}

/* What values need of the run-time system: the layout of a channel, the start of the type descriptions. Without them: said by 0. */
static struct err *read_layouts(struct plan_builder *b, struct dwarf_info *dw)
{
	struct plan_binary *bin = &b->plan->binary;
	const struct program *p = b->program;
	uint64_t len = 0, cap = 0, size;
	struct err *err;

	err = dwarf_info_field_offset(dw, "runtime.hchan", "qcount", &len);
	if (!err)
		err = dwarf_info_field_offset(dw, "runtime.hchan", "dataqsiz", &cap);
	if (!err && len <= UINT8_MAX && cap <= UINT8_MAX) {
		bin->chan_len_off = len;
		bin->chan_cap_off = cap;
	}
	if (err && err->code == ERR_NOMEM)
		return err;
	err_destroy(err);
	err = elf_file_symbol(p->elf, "runtime.types", &bin->types_base, &size);
	if (err && err->code != ERR_NOMEM && p->debug) {
		err_destroy(err);
		err = elf_file_symbol(p->debug, "runtime.types", &bin->types_base, &size);
	}
	if (err && err->code != ERR_NOMEM) {
		err_destroy(err);
		err = NULL;
	}
	return err;
}

struct err *plan_read_binary(struct plan_builder *b)
{
	struct program *p = b->program;
	struct plan_binary *bin = &b->plan->binary;
	struct dwarf_info *dw = NULL;
	struct err *err;

	bin->id = p->elf->id;
	bin->pie = p->elf->pie;
	bin->go_minor = p->build->minor;
	err = go_tls_g_offset(p->elf, &bin->tls_offset);
	if (err && err->code != ERR_NOMEM) {
		/* Only sites of stack-ABI functions need it; they then show no goroutine (tls_offset 0). */
		err_destroy(err);
		err = NULL;
	}
	if (!err)
		err = find_goexit(b);
	if (!err)
		err = plan_intern(b, p->elf->path, &bin->path);
	if (!err)
		err = plan_intern(b, p->elf->build_id, &bin->build_id);
	if (!err)
		err = plan_intern(b, p->build->version, &bin->go_version);
	if (err)
		return err;
	err = program_dwarf(p, &dw);
	if (err && err->code == ERR_NO_DWARF && may_lack_dwarf(b->options)) {
		struct err *e = plan_intern(b, err->msg, &bin->dwarf_why);
		err_destroy(err);
		return e ? e : read_runtime(b, NULL);
	}
	if (!err && p->debug) {
		bin->debug_id = p->debug->id;
		err = plan_intern(b, p->debug->path, &bin->debug_file);
	}
	if (err)
		return err;
	bin->has_dwarf = 1;
	if (b->options->args || b->options->results || (b->where && plan_condition_wants_types(b->where))) {
		b->dwarf = dw;
		err = read_layouts(b, dw);
	}
	return err ? err : read_runtime(b, dw);
}
