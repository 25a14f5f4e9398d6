/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan_build.h"
#include "plan_expr.h"
#include "plan_follow.h"
#include "plan_where.h"

#define FUNCS_MAX 100000 /* functions in one plan: more is a pattern that was not meant */

struct err *plan_grow(void *arrayp, size_t *cap, size_t n, size_t item)
{
	if (n < *cap)
		return NULL;
	size_t want = *cap ? 2 * *cap : 32;
	void *p = realloc(*(void **)arrayp, want * item);
	if (!p)
		return &err_nomem;
	*(void **)arrayp = p;
	*cap = want;
	return NULL;
}

struct err *plan_warn(struct plan_builder *b, struct plan_func *f, const char *fmt, ...)
{
	char text[512];
	uint32_t string;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct err *err = plan_intern(b, text, &string);
	if (err)
		return err;
	if (!f->n_warnings)
		f->first_warning = b->plan->n_warnings;
	err = plan_append(b, warnings, string);
	if (!err)
		f->n_warnings++;
	return err;
}

/* ---- the signature ------------------------------------------------------------------------------------------ */

/* Also that of the dictionary that an instance of a generic function takes as a hidden parameter. */
struct err *plan_word_type(struct plan_builder *b, uint32_t *ret)
{
	struct go_type t = {
		.kind = GO_UINTPTR, .flags = TYPE_COMPLETE, .align = 8, .size = 8, .elem = TYPE_NONE, .key = TYPE_NONE
	};
	struct err *err = plan_intern(b, "uintptr", &t.name);

	return err ? err : type_table_add(&b->plan->types, &t, ret);
}

struct err *plan_add_var(struct plan_builder *b, const char *name, bool result, uint32_t n, uint32_t type)
{
	char made[32];
	struct plan_var var = { .type = type };

	/* Go 1.22 and newer list unnamed parameters as ~p0; a result named _ is ~b0; an unnamed result is ~r and its number, which before
	 * Go 1.18 counts the parameters too. */
	bool made_up = name && name[0] == '~' && name[1] && strchr("pbr", name[1]) && name[2] >= '0' && name[2] <= '9';
	if (!name || !*name || !strcmp(name, "_") || made_up) {
		snprintf(made, sizeof(made), result ? "~r%u" : "_%u", n);
		name = made;
	}
	struct err *err = plan_intern(b, name, &var.name);
	return err ? err : plan_append(b, vars, var);
}

static struct err *bool_type(struct plan_builder *b, uint32_t *ret)
{
	struct go_type t = {
		.kind = GO_BOOL, .flags = TYPE_COMPLETE, .align = 1, .size = 1, .elem = TYPE_NONE, .key = TYPE_NONE
	};
	struct err *err = plan_intern(b, "bool", &t.name);

	return err ? err : type_table_add(&b->plan->types, &t, ret);
}

/* The body of a loop over a function: F-range1, or within another F-range1-range2. It says whether the loop goes on, by a result that is not in
 * the debug information (cmd/compile/internal/rangefunc). */
static bool is_loop_body(const char *name)
{
	const char *last = strrchr(name, '-');

	return last && !strncmp(last, "-range", 6) && last[6] >= '1' && last[6] <= '9' &&
	       !last[6 + strspn(last + 6, "0123456789")];
}

/* Parameters, then results, in the order of the signature. dies_ret: the DIE of each, 0 for made-up ones. */
static struct err *add_signature(struct plan_builder *b, struct plan_func *f, const struct dwarf_func *df)
{
	struct err *err = NULL;
	uint32_t type;

	f->first_param = b->plan->n_vars;
	for (size_t i = 0; i < df->n_params && !err; i++)
		if (!df->params[i].result)
			err = plan_add_var(b, df->params[i].name, false, f->n_params++, df->params[i].type);
	f->first_result = b->plan->n_vars;
	for (size_t i = 0; i < df->n_params && !err; i++)
		if (df->params[i].result)
			err = plan_add_var(b, df->params[i].name, true, f->n_results++, df->params[i].type);
	if (err || f->n_results || !is_loop_body(df->name))
		return err;
	err = bool_type(b, &type);
	return err ? err : plan_add_var(b, "", true, f->n_results++, type);
}

/* ---- the witness -------------------------------------------------------------------------------------------- */

/* DWARF's register number → the index in ABI order, −1 if it is no integer argument register. Source: System V ABI, figure 3.36. */
static int abi_index_of_dwarf(int reg)
{
	static const int8_t map[] = { 0, 9, 2, 1, 4, 3, -1, -1, 5, 6, 7, 8 };

	return reg >= 0 && (size_t)reg < sizeof(map) ? map[reg] : -1;
}

#define DWARF_XMM0 17

/* Two words in one register are what the function makes of its argument (p = p[:len(p):len(p)]), not the argument. */
static bool is_repeated(const struct dwarf_piece *pieces, size_t n, size_t k)
{
	for (size_t i = 0; i < n; i++)
		if (i != k && pieces[i].place == DWARF_PLACE_REG && pieces[i].reg == pieces[k].reg)
			return true;
	return false;
}

/* Where DWARF has a parameter at the first instruction; no pieces where it says nothing, which is no contradiction. */
static struct err *entry_pieces(struct plan_builder *b, const struct plan_func *f, const struct dwarf_func *df,
				const struct dwarf_param *param, struct dwarf_piece pieces[DWARF_PIECES_MAX],
				size_t *n_ret)
{
	struct err *err;

	*n_ret = 0;
	if (!param->has_location || param->type >= b->plan->types.n)
		return NULL;
	err = dwarf_info_location(b->dwarf, df, param->die, b->plan->types.v[param->type].size, f->entry, pieces,
				  n_ret);
	if (!err || err->code == ERR_NOMEM)
		return err;
	err_destroy(err);
	*n_ret = 0;
	return NULL;
}

/* Is that register another parameter's too? One of them is then what the function makes of its argument (if y == nil { y = x }). */
static struct err *is_shared(struct plan_builder *b, const struct plan_func *f, const struct dwarf_func *df,
			     const struct dwarf_param *param, int reg, bool *ret)
{
	struct dwarf_piece pieces[DWARF_PIECES_MAX];

	*ret = false;
	for (size_t i = 0; i < df->n_params && !*ret; i++) {
		size_t n = 0;
		struct err *err = NULL;

		if (&df->params[i] != param && !df->params[i].result)
			err = entry_pieces(b, f, df, &df->params[i], pieces, &n);
		if (err)
			return err;
		for (size_t k = 0; k < n; k++)
			*ret |= pieces[k].place == DWARF_PLACE_REG && pieces[k].reg == reg;
	}
	return NULL;
}

/* Do the pieces stand for the words, one for one in order? Padding in a struct has no piece, so that those behind it lie too low. */
static bool are_words(const struct dwarf_piece *pieces, size_t n_pieces, const struct abi_word *words, size_t n)
{
	for (size_t i = 0; i < n && i < n_pieces; i++)
		if (pieces[i].size != words[i].size)
			return false;
	return n == n_pieces;
}

/* Hold the ABI's word against DWARF's location at the first instruction. DWARF's is used where they differ in registers; on the stack
 * the rule stands (old compilers describe parts of a value there as the whole). */
static struct err *witness(struct plan_builder *b, struct plan_func *f, const struct dwarf_func *df,
			   const struct dwarf_param *param, struct track_word *words, const struct abi_word *abi_words,
			   size_t n)
{
	struct dwarf_piece pieces[DWARF_PIECES_MAX];
	size_t n_pieces = 0;

	struct err *err = entry_pieces(b, f, df, param, pieces, &n_pieces);
	if (err)
		return err;
	bool ordered = are_words(pieces, n_pieces, abi_words, n);
	uint64_t covered = 0;
	for (size_t k = 0; k < n_pieces; k++)
		covered += pieces[k].size;
	if (!ordered && covered != b->plan->types.v[param->type].size)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < n_pieces; k++) {
			const struct dwarf_piece *p = &pieces[k];
			bool same = ordered ? i == k : p->offset == abi_words[i].offset && p->size == abi_words[i].size;
			if (!same || p->place != DWARF_PLACE_REG || is_repeated(pieces, n_pieces, k))
				continue;
			bool is_float = p->reg >= DWARF_XMM0;
			int place = is_float ? p->reg - DWARF_XMM0 : abi_index_of_dwarf(p->reg);
			if (!words[i].on_stack && words[i].in_float == is_float && words[i].place == place)
				continue;
			if (place < 0)
				continue;
			bool shared;
			err = is_shared(b, f, df, param, p->reg, &shared);
			if (err)
				return err;
			if (shared)
				continue;
			words[i].on_stack = false;
			words[i].in_float = is_float;
			words[i].place = place;
			err = plan_warn(b, f,
					"%s: the calling convention and the debug information differ at the entry; the "
					"latter is used",
					param->name);
			if (err)
				return err;
		}
	}
	return NULL;
}

/* ---- the entry ---------------------------------------------------------------------------------------------- */

/* Where a word can be read before an instruction. */
static void locate(const struct track *t, uint16_t word, const struct track_word *w, struct site_word *out)
{
	for (int i = 0; i < RECORD_REGS; i++)
		if (t->gpr[i] == word) {
			out->where = WORD_REG;
			out->place = i;
			return;
		}
	for (size_t i = 0; i < t->n_slots; i++)
		if (t->slots[i].word == word) {
			out->where = WORD_STACK;
			out->place = t->slots[i].cfa - t->sp_cfa;
			return;
		}
	out->where = WORD_LOST;
	out->reason = PLAN_CLOBBERED;
	if (w->in_float) {
		out->detail = w->place;
		out->came_in = 1 + w->place;
	}
	for (int i = 0; i < 16; i++)
		if (t->xmm[i] == word) {
			out->reason = PLAN_IN_FLOAT_REG;
			out->detail = i;
			return;
		}
}

struct entry_words {
	size_t n;
	struct track_word track[TRACK_WORDS];
	struct site_word site[TRACK_WORDS]; /* value, offset, size of each */
	bool unplaced[TRACK_WORDS];         /* where it is at the first instruction is not known */
	bool cut;                           /* there were more words than are followed */
};

/* The words of the parameters at the first instruction. */
static struct err *entry_words(struct plan_builder *b, struct plan_func *f, const struct dwarf_func *df,
			       const struct abi_layout *abi, size_t n_params, size_t dict, struct entry_words *out)
{
	size_t param = 0, die = 0;

	for (size_t i = 0; i < n_params; i++) {
		const struct abi_value *v = &abi->values[i];
		size_t first = out->n;

		if (i == dict)
			continue;
		for (uint32_t k = 0; k < v->n_words; k++) {
			const struct abi_word *w = &abi->words[v->first_word + k];
			if (out->n == TRACK_WORDS) {
				out->cut = true;
				break;
			}
			out->track[out->n] = (struct track_word){ .size = w->size,
								  .on_stack = w->where == ABI_STACK,
								  .in_float = w->where == ABI_FLOAT_REG,
								  .place = w->place };
			out->unplaced[out->n] = b->unplaced && b->unplaced[i];
			if (out->unplaced[out->n]) /* it must not stand for what is there */
				out->track[out->n] = (struct track_word){ .size = w->size, .place = -1 };
			out->site[out->n++] =
				(struct site_word){ .value = param, .offset = w->offset, .size = w->size };
		}
		while (df && die < df->n_params && df->params[die].result)
			die++;
		if (df && die < df->n_params && !b->abi.assembly && f->abi == GO_ABI_INTERNAL) {
			struct err *err = witness(b, f, df, &df->params[die], out->track + first,
						  abi->words + v->first_word, out->n - first);
			if (err)
				return err;
		}
		die++;
		param++;
	}
	if (b->expressions && b->context != TYPE_NONE && out->n < TRACK_WORDS) {
		/* the closure's context comes in RDX, the last of a record's registers (abi-internal.md) */
		out->track[out->n] = (struct track_word){ .size = 8, .place = RECORD_REGS - 1 };
		out->site[out->n++] = (struct site_word){ .value = f->n_params, .size = 8 };
	}
	return NULL;
}

/* Do the parameters, or what is captured, lead to memory? Then it must be read before the function writes to any. */
static bool leads_to_memory(const struct plan_builder *b, const struct plan_func *f, const struct entry_words *words)
{
	for (size_t i = 0; i < words->n; i++)
		if (words->site[i].value == f->n_params) /* the closure's context */
			return true;
	for (uint32_t i = 0; i < f->n_params && f->has_types; i++)
		if (holds_pointers(&b->plan->types, b->plan->vars[f->first_param + i].type))
			return true;
	return false;
}

/* The site at which most words can be read; of those the cheapest, of those the first. */
static struct err *choose_entry(struct plan_builder *b, const struct plan_func *f, const struct code *code,
				struct entry_words *words, struct entry_site *site_ret, uint32_t *frame_ret,
				int64_t *above_ret, bool *found_ret)
{
	struct track *states _cleanup_free_ = NULL;
	struct entry_site *cand _cleanup_free_ = NULL;
	size_t n_cand, best = SIZE_MAX, best_readable = 0;
	bool follows = leads_to_memory(b, f, words);
	struct err *err;

	*found_ret = false;
	err = entry_candidates(code, &cand, &n_cand);
	if (!err)
		err = track_entry(code, words->track, words->n, &states);
	if (err)
		return err;
	for (size_t c = 0; c < n_cand; c++) {
		const struct track *t = &states[cand[c].insn];
		size_t readable = 0;

		if (!t->valid || t->sp_cfa > -8 || (t->wrote && follows))
			continue;
		/* nor can a condition be asked, nor each hit be counted, where a call is not told from a turn of the loop */
		if (cand[c].can_duplicate && (!b->returns || b->where || b->options->each_hit))
			continue;
		if (b->options->at_call && best != SIZE_MAX)
			break;
		for (size_t i = 0; i < words->n; i++) {
			struct site_word w;
			locate(t, i, &words->track[i], &w);
			if (w.where != WORD_LOST)
				readable += plan_condition_needs(b, &words->site[i]) ? 1 + TRACK_WORDS : 1;
		}
		bool cheap = code->insns[cand[c].insn].emulated;
		if (best == SIZE_MAX || readable > best_readable ||
		    (readable == best_readable && cheap && !code->insns[cand[best].insn].emulated)) {
			best = c;
			best_readable = readable;
		}
	}
	if (best == SIZE_MAX)
		return NULL;
	const struct track *t = &states[cand[best].insn];
	for (size_t i = 0; i < words->n; i++) {
		locate(t, i, &words->track[i], &words->site[i]);
		if (words->unplaced[i]) {
			words->site[i].where = WORD_LOST;
			words->site[i].reason = PLAN_UNPLACED;
			words->site[i].detail = words->site[i].came_in = 0;
		}
	}
	*above_ret = t->wrote || code->entry_is_target ? INT64_MAX : t->above;
	*site_ret = cand[best];
	*frame_ret = -8 - t->sp_cfa;
	*found_ret = true;
	return NULL;
}

/* The stack check compares with g: up to Go 1.16 in RCX, which the prologue has just loaded, from 1.17 in R14, which it loads where the
 * convention does not have it there already (cmd/internal/obj/x86/obj6.go, preprocess). */
static uint8_t g_source(const struct plan_builder *b, const struct plan_func *f, const struct insn *in)
{
	if (f->abi == GO_ABI_INTERNAL && !b->abi.assembly)
		return G_R14;
	if (!in->check)
		return G_TLS;
	return b->plan->binary.go_minor >= 0 && b->plan->binary.go_minor < 17 ? G_RCX : G_R14;
}

struct err *plan_add_site(struct plan_builder *b, const struct plan_func *f, const struct code *code, size_t insn,
			  uint8_t kind, uint8_t flags, uint32_t frame)
{
	const struct insn *in = &code->insns[insn];
	char name[INSN_NAME_MAX];
	struct plan_site site = { .addr = in->addr,
				  .kind = kind,
				  .flags = flags,
				  .emulated = in->emulated,
				  .frame = frame,
				  .first_step = b->plan->n_steps,
				  .first_value = b->plan->n_values };
	struct err *err = elf_file_offset(b->program->elf, in->addr, &site.file_off);

	if (err)
		return err;
	if (b->returns)
		site.flags |= SITE_READ_STACK_HI;
	site.g_source = g_source(b, f, in);
	err = code_insn_name(code, insn, name);
	if (!err)
		err = plan_intern(b, name, &site.insn);
	return err ? err : plan_append(b, sites, site);
}

/* ---- one function ------------------------------------------------------------------------------------------- */

static struct err *refuse(struct plan_builder *b, struct plan_func *f, const char *why)
{
	return plan_intern(b, why, &f->refused);
}

/* Are parameters and results asked for? Where only a condition on pid, goid or duration looks whether they hide it, there may be none. */
static bool needs_types(const struct plan_builder *b)
{
	return b->options->args || b->options->results || (b->where && plan_condition_needs_types(b->where));
}

/* Without debug information for this function: its words, where they are asked for; else has_types stays 0. */
static struct err *unknown_signature(struct plan_builder *b, struct plan_func *f, const struct func *func,
				     struct abi_layout *abi_ret, size_t *n_params_ret)
{
	if (!needs_types(b))
		return NULL;
	if (b->options->raw_words)
		return plan_raw_signature(b, f, func, abi_ret, n_params_ret);
	if (!b->dwarf) /* said once, of the binary */
		return NULL;
	if (b->abi.assembly)
		return plan_warn(
			b, f,
			"written in assembly, without a compiled wrapper that tells its types: its arguments and "
			"results are not known");
	return plan_warn(b, f, "no debug information for this function: its arguments and results are not known");
}

struct err *plan_read_signature(struct plan_builder *b, struct plan_func *f, const struct func *func,
				struct dwarf_func **df_ret, struct abi_layout *abi_ret, size_t *n_params_ret,
				size_t *dict_ret)
{
	struct dwarf_func *df = NULL;
	struct err *err;

	*df_ret = NULL;
	if (!needs_types(b) && !(b->where && plan_condition_wants_types(b->where)))
		return NULL;
	if (!b->dwarf)
		return unknown_signature(b, f, func, abi_ret, n_params_ret);
	/* The debug information of assembly has no parameters, whatever it takes; that of its wrapper has. */
	const struct func *from = b->abi.assembly ? b->abi.wrapper : func;
	if (!from || !b->abi.certain)
		return unknown_signature(b, f, func, abi_ret, n_params_ret);
	err = dwarf_info_func(b->dwarf, from->name, from->entry, &b->plan->types, &df);
	if (err) {
		if (err->code == ERR_NOMEM)
			return err;
		struct err *w = err->code == ERR_NOTFOUND || err->code == ERR_INLINED
					? unknown_signature(b, f, func, abi_ret, n_params_ret)
					: plan_warn(b, f, "debug information: %s", err->msg);
		err_destroy(err);
		return w;
	}
	err = add_signature(b, f, df);
	if (!err && df->results_missing && needs_types(b))
		err = plan_warn(b, f,
				"the debug information of this Go version leaves the results out: they may be missing");
	else if (!err && df->results_inferred && needs_types(b))
		err = plan_warn(b, f, "results were inferred from a caller: names, named types and signs may differ");
	if (!err) {
		err = plan_layout(b, f, func, df, abi_ret, n_params_ret, dict_ret);
		if (err && err->code != ERR_NOMEM) {
			struct err *w = plan_warn(b, f, "%s: arguments and results cannot be placed", err->msg);
			err_destroy(err);
			dwarf_func_destroy(df);
			return w;
		}
	}
	if (err) {
		dwarf_func_destroy(df);
		return err;
	}
	f->has_types = 1;
	*df_ret = df;
	return NULL;
}

static bool never_returns(const struct code *code)
{
	for (size_t i = 0; i < code->n; i++) {
		const struct insn *in = &code->insns[i];
		bool leaves = (in->cls == INSN_JMP || in->cls == INSN_JCC) &&
			      (in->target < code->entry || in->target >= code->end);

		if (in->cls == INSN_RET || in->cls == INSN_JMP_IND || leaves)
			return false;
	}
	return true;
}

/* Give the sites of a function, which end the plan's, its condition. A function that it does not fit has none. */
static struct err *add_filter(struct plan_builder *b, struct plan_func *f, const struct entry_words *entry,
			      const struct abi_layout *abi, size_t n_params)
{
	struct site_word *results _cleanup_free_ = calloc(abi && abi->n_words ? abi->n_words : 1, sizeof(*results));
	size_t n = results && abi ? plan_result_words(b, f, abi, n_params, results) : 0;
	uint16_t filter;
	struct err *err;

	if (!results)
		return &err_nomem;
	err = plan_condition_compile(b, f, entry->site, entry->n, results, n, &filter);
	if (f->refused)
		b->plan->n_sites = f->first_site;
	for (size_t i = f->first_site; i < b->plan->n_sites; i++)
		b->plan->sites[i].filter = filter;
	return err;
}

static struct err *plan_sites(struct plan_builder *b, struct plan_func *f, const struct code *code,
			      const struct dwarf_func *df, const struct abi_layout *abi, size_t n_params, size_t dict)
{
	struct entry_words *words _cleanup_free_ = calloc(1, sizeof(*words));
	struct entry_site site;
	struct err *err = NULL;
	uint32_t frame;
	int64_t above;
	bool found;

	if (!words)
		return &err_nomem;
	if (f->has_types && (b->options->args || b->where))
		err = entry_words(b, f, df, abi, n_params, dict, words);
	if (!err && (b->expressions || b->where))
		plan_condition_drop(b, words->track, words->site, &words->n);
	if (!err)
		err = choose_entry(b, f, code, words, &site, &frame, &above, &found);
	if (err)
		return err;
	if (!found)
		return refuse(
			b, f,
			code->entry_is_target && b->where
				? "its first instruction is a loop's head: a condition cannot be asked once a call"
			: code->entry_is_target && b->options->each_hit
				? "its first instruction is a loop's head: each turn would be summed or sampled as a "
				  "call"
			: code->entry_is_target && !b->returns
				? "its first instruction is a loop's head: without its returns a call cannot be "
				  "told from a turn of the loop"
				: "no instruction of it is executed exactly once a call");
	f->first_site = b->plan->n_sites;
	f->can_duplicate = site.can_duplicate;
	f->never_returns = never_returns(code);
	err = plan_add_site(b, f, code, site.insn, SITE_ENTRY, site.flags, frame);
	/* Assembly may jump to where no compiled code does. */
	if (!b->abi.assembly && !b->options->at_call)
		b->entry =
			(struct entry_frame){ .func = f, .frame = frame, .above = above, .has_check = code->has_check };
	if (!err && f->has_types && b->options->args)
		err = b->expressions ? plan_site_expressions(b, false, words->site, words->n)
				     : plan_site_reads(b, f->first_param, f->n_params, words->site, words->n);
	b->entry.func = NULL;
	if (!err && words->cut)
		err = plan_warn(b, f, "only the first %d words of the parameters are read", TRACK_WORDS);
	if (!err && b->returns)
		err = plan_add_returns(b, f, code, f->has_types ? abi : NULL, n_params);
	if (!err && b->where)
		err = add_filter(b, f, words, f->has_types ? abi : NULL, n_params);
	f->n_sites = b->plan->n_sites - f->first_site;
	return err;
}

static struct err *plan_function(struct plan_builder *b, const struct func *func)
{
	struct plan_func f = { .entry = func->entry, .end = func->end };
	struct abi_layout abi = {};
	struct dwarf_func *df = NULL;
	struct code *code = NULL;
	size_t n_params = 0, dict = SIZE_MAX;
	const char *file = NULL;
	uint32_t line = 0;
	struct err *err;

	err = plan_intern(b, func->name, &f.name);
	if (!err)
		err = func_abi_find(b->program, func, &b->abi);
	if (err)
		return err;
	f.abi = b->abi.abi;
	err = plan_read_signature(b, &f, func, &df, &abi, &n_params, &dict);
	if (!err) {
		if (df && df->decl_file && df->decl_line) {
			file = df->decl_file;
			line = df->decl_line;
		} else {
			struct err *e = func_table_line(b->program->funcs, func, func->entry, &file, &line);
			if (e)
				file = NULL;
			err_destroy(e);
		}
		f.line = file ? line : 0;
		err = plan_intern(b, file, &f.file);
	}
	if (!err && b->expressions)
		err = plan_read_context(b, &f, df);
	if (!err && b->expressions)
		err = plan_expressions_enter(b, &f);
	if (!err && b->where && !f.refused)
		err = plan_condition_enter(b, &f);
	b->returns = b->options->returns || (b->where && b->where->late);
	if (!err && !f.refused) {
		err = code_read(b->program->elf, b->program->funcs, func, &code);
		if (err && err->code != ERR_NOMEM) {
			struct err *e = refuse(b, &f, err->msg);
			err_destroy(err);
			err = e;
		} else if (!err) {
			err = plan_sites(b, &f, code, df, &abi, n_params, dict);
		}
	}
	code_destroy(code);
	abi_layout_deinit(&abi);
	dwarf_func_destroy(df);
	free(b->unplaced);
	b->unplaced = NULL;
	return err ? err : plan_append(b, funcs, f);
}

/* ---- all of them --------------------------------------------------------------------------------------------- */

static struct err *nothing_matches(struct plan_builder *b, const char *pattern)
{
	struct program *program = b->program;
	const char *near[3];

	if (!func_pattern_is_wild(pattern)) {
		struct dwarf_info *dw;
		struct err *err = program_dwarf(program, &dw);
		if (!err) {
			struct dwarf_func *df = NULL;
			err = dwarf_info_func(dw, pattern, 0, &b->plan->types, &df);
			dwarf_func_destroy(df);
			if (err && err->code == ERR_INLINED) {
				err_destroy(err);
				return err_create(
					ERR_INLINED,
					"function '%s' exists in %s only as inlined copies, which cannot be probed"
					"; hint: build it with //go:noinline, or trace a function that calls it",
					pattern, program->elf->path);
			}
		}
		err_destroy(err);
		if (func_table_suggest(program->funcs, pattern, near, 3))
			return err_create(ERR_NOTFOUND, "function '%s' not found in %s; hint: did you mean '%s'?",
					  pattern, program->elf->path, near[0]);
	}
	return err_create(ERR_NOTFOUND, "no function matches '%s' in %s", pattern, program->elf->path);
}

static struct err *select_functions(struct plan_builder *b, const char *const *patterns, size_t n_patterns,
				    const char *const *excludes, size_t n_excludes, const struct func ***ret,
				    size_t *n_ret)
{
	const struct func_table *t = b->program->funcs;
	uint8_t *take _cleanup_free_ = calloc(t->n ? t->n : 1, 1);
	struct err *err;
	size_t n = 0;

	if (!take)
		return &err_nomem;
	for (size_t p = 0; p < n_patterns; p++) {
		const struct func **found _cleanup_free_ = NULL;
		size_t n_found;

		err = func_table_select(t, patterns[p], &found, &n_found);
		if (err)
			return err;
		if (!n_found)
			return nothing_matches(b, patterns[p]);
		for (size_t i = 0; i < n_found; i++) {
			size_t at = found[i] - t->v;
			n += !take[at];
			take[at] = 1;
		}
	}
	struct func_matcher *excluded;
	err = func_matcher_create(excludes, n_excludes, &excluded);
	if (err)
		return err;
	for (size_t i = 0; i < t->n; i++)
		if (take[i] && func_matcher_match(excluded, t->v[i].name)) {
			take[i] = 0;
			n--;
		}
	func_matcher_destroy(excluded);
	if (!n)
		return err_create(ERR_NOTFOUND, "every function that matches is excluded");
	if (n > FUNCS_MAX)
		return err_create(
			ERR_USAGE,
			"%zu functions match, at most %d can be traced at once; hint: ask for a narrower pattern", n,
			FUNCS_MAX);
	const struct func **v = calloc(n, sizeof(*v));
	if (!v)
		return &err_nomem;
	n = 0;
	for (size_t i = 0; i < t->n; i++)
		if (take[i])
			v[n++] = &t->v[i];
	err = func_drop_wrappers(b->program, v, &n);
	if (err) {
		free(v);
		return err;
	}
	*ret = v;
	*n_ret = n;
	return NULL;
}

struct err *plan_create(struct program *program, const char *const *patterns, size_t n_patterns,
			const char *const *excludes, size_t n_excludes, const struct plan_options *options,
			struct plan **ret)
{
	struct plan_builder b = {
		.program = program, .options = options, .patterns = patterns, .n_patterns = n_patterns
	};
	const struct func **funcs _cleanup_free_ = NULL;
	size_t n = 0;
	struct err *err;

	b.plan = calloc(1, sizeof(*b.plan));
	if (!b.plan)
		return &err_nomem;
	type_table_init(&b.plan->types);
	err = plan_expressions_create(options, &b.expressions);
	if (!err)
		err = plan_condition_create(options, &b.where);
	if (!err)
		err = select_functions(&b, patterns, n_patterns, excludes, n_excludes, &funcs, &n);
	b.selected = funcs;
	b.n_selected = n;
	if (!err)
		err = plan_read_binary(&b);
	for (size_t i = 0; i < n && !err; i++)
		err = plan_function(&b, funcs[i]);
	plan_lists_destroy(b.lists);
	plan_interfaces_destroy(b.interfaces);
	plan_closures_destroy(b.closures);
	plan_callers_destroy(b.callers);
	if (!err)
		err = plan_merge_lists(b.plan);
	if (!err && b.expressions && !b.expressions->n_fit) {
		err = b.expressions->misfit; /* none of them: the expressions are wrong */
		b.expressions->misfit = NULL;
	}
	if (!err && b.where && !b.where->n_fit && b.where->misfit) {
		err = b.where->misfit;
		b.where->misfit = NULL;
	}
	plan_expressions_destroy(b.expressions);
	plan_condition_destroy(b.where);
	if (err) {
		plan_destroy(b.plan);
		return err;
	}
	*ret = b.plan;
	return NULL;
}
