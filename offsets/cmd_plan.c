/* SPDX-License-Identifier: Apache-2.0 */
/* `offsets sites FILE FUNC` and `offsets plan FILE FUNC [--args EXPR …]`. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "sites.h"

#define SAME_NAME_MAX 8

static const char *class_name(uint8_t cls)
{
	static const char *const names[] = { "other", "call", "call", "jmp", "jmp", "jcc", "ret", "stop" };

	return cls < sizeof(names) / sizeof(*names) ? names[cls] : "?";
}

static struct err *write_sites(struct program *program, const struct func *func, struct jout *out)
{
	struct entry_site *cand _cleanup_free_ = NULL;
	struct code *code = NULL;
	size_t n = 0;
	struct err *err = code_read(program->elf, program->funcs, func, &code);

	if (!err)
		err = entry_candidates(code, &cand, &n);
	if (err) {
		code_destroy(code);
		return err;
	}
	jout_key(out, "function");
	jout_string(out, func->name);
	jout_key(out, "entry");
	jout_hex(out, code->entry);
	jout_key(out, "end");
	jout_hex(out, code->end);
	jout_key(out, "instructions");
	jout_u64(out, code->n);
	jout_key(out, "stack_check");
	jout_bool(out, code->has_check);
	jout_key(out, "indirect_jumps");
	jout_bool(out, code->has_indirect);
	jout_key(out, "entry_is_loop_head");
	jout_bool(out, code->entry_is_target);
	jout_key(out, "entry_candidates");
	jout_array_begin(out);
	for (size_t i = 0; i < n && !err; i++) {
		const struct insn *in = &code->insns[cand[i].insn];
		char name[INSN_NAME_MAX] = "";

		err = code_insn_name(code, cand[i].insn, name);
		jout_object_begin(out);
		jout_key(out, "addr");
		jout_hex(out, in->addr);
		jout_key(out, "insn");
		jout_string(out, name);
		jout_key(out, "emulated");
		jout_bool(out, in->emulated);
		jout_key(out, "check_branch");
		jout_bool(out, cand[i].flags & SITE_CHECK_BRANCH);
		jout_object_end(out);
	}
	jout_array_end(out);
	jout_key(out, "returns");
	jout_array_begin(out);
	for (size_t i = 0; i < code->n; i++) {
		const struct insn *in = &code->insns[i];
		if (in->cls != INSN_RET)
			continue;
		jout_object_begin(out);
		jout_key(out, "addr");
		jout_hex(out, in->addr);
		jout_key(out, "insn");
		jout_string(out, class_name(in->cls));
		jout_key(out, "emulated");
		jout_bool(out, in->emulated);
		jout_object_end(out);
	}
	jout_array_end(out);
	code_destroy(code);
	return err;
}

struct err *command_sites(struct program *program, int argc, char **argv, struct jout *out)
{
	const struct func *same[SAME_NAME_MAX];
	struct err *err = NULL;

	if (argc != 1)
		return err_create(ERR_USAGE, "offsets sites FILE FUNC");
	size_t n = func_table_find_name(program->funcs, argv[0], same, SAME_NAME_MAX);
	if (!n)
		return command_func_notfound(program, argv[0]);
	jout_object_begin(out);
	command_write_file(program, out);
	jout_key(out, "bodies");
	jout_array_begin(out);
	for (size_t i = 0; i < n && i < SAME_NAME_MAX && !err; i++) {
		jout_object_begin(out);
		err = write_sites(program, same[i], out);
		jout_object_end(out);
	}
	jout_array_end(out);
	jout_object_end(out);
	return err;
}

/* ---- plan ---------------------------------------------------------------------------------------------------- */

static void write_location(struct jout *out, const location_t *l)
{
	static const char *const kinds[] = { "none", "register", "stack", "chunk", "sp", "item", "data", "constant" };

	jout_object_begin(out);
	jout_key(out, "kind");
	jout_string(out, l->kind < 8 ? kinds[l->kind] : "?");
	jout_key(out, "index");
	jout_u64(out, l->index);
	jout_key(out, "offset");
	jout_i64(out, l->offset);
	jout_object_end(out);
}

static void write_vars(struct jout *out, const char *key, const struct plan *p, uint32_t first, uint32_t n)
{
	jout_key(out, key);
	jout_array_begin(out);
	for (uint32_t i = first; i < first + n; i++) {
		jout_object_begin(out);
		jout_key(out, "name");
		jout_string(out, plan_string(p, p->vars[i].name));
		jout_key(out, "type");
		jout_string(out, plan_string(p, p->types.v[p->vars[i].type].name));
		jout_object_end(out);
	}
	jout_array_end(out);
}

/* How a value is reached from its parameter. */
static void write_ways(struct jout *out, const struct plan *p, const struct plan_value *v)
{
	static const char *const ops[] = { [EXPR_FIELD] = "field", [EXPR_DEREF] = "deref",   [EXPR_INDEX] = "index",
					   [EXPR_KEY] = "key",     [EXPR_SLICE] = "range",   [EXPR_EACH] = "each",
					   [EXPR_LEN] = "len",     [EXPR_ASSERT] = "assert", [EXPR_CAP] = "cap" };

	jout_key(out, "way");
	jout_array_begin(out);
	for (uint32_t i = 0; i < v->n_ways; i++) {
		const struct plan_way *w = &p->ways[v->first_way + i];
		bool range = w->op == EXPR_SLICE || w->op == EXPR_EACH;

		jout_object_begin(out);
		jout_key(out, "op");
		jout_string(out, ops[w->op]);
		if (w->op == EXPR_FIELD) {
			jout_key(out, "name");
			jout_string(out, plan_string(p, w->name));
			jout_key(out, "offset");
			jout_u64(out, w->lo);
		} else if (w->op == EXPR_INDEX || range) {
			jout_key(out, range ? "lo" : "index");
			jout_u64(out, w->lo);
		}
		if (range && w->hi != EXPR_OPEN) {
			jout_key(out, "hi");
			jout_u64(out, w->hi);
		}
		jout_key(out, "type");
		jout_string(out, plan_string(p, p->types.v[w->type].name));
		jout_object_end(out);
	}
	jout_array_end(out);
}

static void write_value(struct jout *out, const struct plan *p, const struct plan_value *v)
{
	static const char *const reasons[] = { "",          "in a float register", "overwritten", "not decoded",
					       "too large", "not placed" };

	jout_object_begin(out);
	jout_key(out, "name");
	jout_string(out, plan_string(p, v->name));
	jout_key(out, "pieces");
	jout_array_begin(out);
	for (uint32_t i = v->first_piece; i < v->first_piece + v->n_pieces; i++) {
		const struct plan_piece *pc = &p->pieces[i];
		jout_object_begin(out);
		jout_key(out, "offset");
		jout_u64(out, pc->offset);
		jout_key(out, "size");
		jout_u64(out, pc->size);
		jout_key(out, "at");
		write_location(out, &pc->at);
		if (pc->at.kind == LOC_CONSTANT) {
			jout_key(out, "bytes");
			jout_hex(out, pc->constant);
		}
		if (pc->at.kind == LOC_NONE) {
			jout_key(out, "unreadable");
			jout_string(out, pc->reason <= PLAN_UNPLACED ? reasons[pc->reason] : "?");
			jout_key(out, "detail");
			jout_u64(out, pc->detail);
		}
		jout_object_end(out);
	}
	jout_array_end(out);
	if (v->n_ways)
		write_ways(out, p, v);
	jout_object_end(out);
}

/* What direct calls tell of arguments that are in float registers. */
static void write_callers(struct jout *out, const struct plan *p, const struct plan_site *s)
{
	jout_key(out, "callers");
	jout_array_begin(out);
	for (uint32_t i = s->first_caller; i < s->first_caller + s->n_callers; i++) {
		const struct plan_caller *c = &p->callers[i];
		jout_object_begin(out);
		jout_key(out, "return");
		jout_hex(out, c->ret);
		jout_key(out, "register");
		jout_u64(out, c->reg);
		jout_key(out, "size");
		jout_u64(out, c->size);
		jout_key(out, "at");
		write_location(out, &c->at);
		if (c->at.kind == LOC_CONSTANT) {
			jout_key(out, "bytes");
			jout_hex(out, c->constant);
		}
		jout_object_end(out);
	}
	jout_array_end(out);
	jout_key(out, "return_address");
	write_location(out, &s->return_at);
}

static void write_steps(struct jout *out, const struct plan *p, uint32_t first, uint32_t n)
{
	static const char *const ops[] = { "end", "read", "counted", "unless", "shifted", "each", "dispatch" };

	jout_key(out, "steps");
	jout_array_begin(out);
	for (uint32_t i = 0; i < n; i++) {
		const struct step *st = &p->steps[first + i];
		jout_object_begin(out);
		jout_key(out, "op");
		jout_string(out, st->op <= STEP_DISPATCH ? ops[st->op] : "?");
		jout_key(out, "len");
		jout_u64(out, st->len);
		jout_key(out, "max");
		jout_u64(out, st->max);
		jout_key(out, st->op == STEP_EACH ? "list" : "off");
		jout_i64(out, st->off);
		jout_key(out, "ptr");
		write_location(out, &st->src.ptr);
		if (st->op != STEP_READ && st->op != STEP_EACH) {
			jout_key(out, st->op == STEP_DISPATCH ? "data" : "count");
			write_location(out, &st->src.len);
		}
		jout_object_end(out);
	}
	jout_array_end(out);
}

static void mark_lists(const struct plan *p, uint32_t first, uint32_t n, uint8_t *marked, uint32_t *queue,
		       size_t *n_queue)
{
	for (uint32_t i = first; i < first + n; i++) {
		if (p->steps[i].op != STEP_EACH || marked[p->steps[i].off])
			continue;
		marked[p->steps[i].off] = 1;
		queue[(*n_queue)++] = p->steps[i].off;
	}
}

/* The lists that the steps of sites lead to by themselves; those for the types that interfaces can hold, of which a large program has
 * thousands, where they are asked for. */
static struct err *write_lists(struct jout *out, const struct plan *p, bool interfaces)
{
	uint8_t *marked _cleanup_free_ = calloc(p->n_lists + 1, 1);
	uint32_t *queue _cleanup_free_ = calloc(p->n_lists + 1, sizeof(*queue));
	size_t n = 0;

	if (!marked || !queue)
		return &err_nomem;
	for (size_t i = 0; i < p->n_sites; i++)
		mark_lists(p, p->sites[i].first_step, p->sites[i].n_steps, marked, queue, &n);
	for (size_t i = 0; i < n; i++)
		mark_lists(p, p->lists[queue[i]].first_step, p->lists[queue[i]].n_steps, marked, queue, &n);
	jout_key(out, "lists");
	jout_array_begin(out);
	for (size_t i = 0; i < p->n_lists; i++) {
		if (!interfaces && !marked[i])
			continue;
		jout_object_begin(out);
		jout_key(out, "list");
		jout_u64(out, i);
		write_steps(out, p, p->lists[i].first_step, p->lists[i].n_steps);
		jout_object_end(out);
	}
	jout_array_end(out);
	jout_key(out, "interfaces");
	if (!interfaces) {
		jout_u64(out, p->n_dispatches);
		return NULL;
	}
	jout_array_begin(out);
	for (size_t i = 0; i < p->n_dispatches; i++) {
		jout_object_begin(out);
		jout_key(out, "type");
		jout_hex(out, p->dispatches[i].type);
		jout_key(out, "hops");
		jout_u64(out, p->dispatches[i].group);
		jout_key(out, "list");
		jout_u64(out, p->dispatches[i].list);
		jout_object_end(out);
	}
	jout_array_end(out);
	return NULL;
}

static void write_plan_site(struct jout *out, const struct plan *p, const struct plan_site *s)
{
	static const char *const sources[] = { "r14", "rcx", "tls" };

	jout_object_begin(out);
	jout_key(out, "kind");
	jout_string(out, s->kind == SITE_ENTRY ? "entry" : "return");
	jout_key(out, "addr");
	jout_hex(out, s->addr);
	jout_key(out, "file_offset");
	jout_hex(out, s->file_off);
	jout_key(out, "insn");
	jout_string(out, plan_string(p, s->insn));
	jout_key(out, "emulated");
	jout_bool(out, s->emulated);
	jout_key(out, "check_branch");
	jout_bool(out, s->flags & SITE_CHECK_BRANCH);
	jout_key(out, "before_ret");
	jout_bool(out, s->flags & SITE_BEFORE_RET);
	jout_key(out, "g");
	jout_string(out, s->g_source < 3 ? sources[s->g_source] : "?");
	jout_key(out, "frame");
	jout_u64(out, s->frame);
	jout_key(out, "data_max");
	jout_u64(out, s->data_max);
	jout_key(out, "values");
	jout_array_begin(out);
	for (uint32_t i = 0; i < s->n_values; i++)
		write_value(out, p, &p->values[s->first_value + i]);
	jout_array_end(out);
	write_steps(out, p, s->first_step, s->n_steps);
	if (s->n_callers)
		write_callers(out, p, s);
	jout_object_end(out);
}

static void write_plan_func(struct jout *out, const struct plan *p, const struct plan_func *f)
{
	jout_object_begin(out);
	jout_key(out, "name");
	jout_string(out, plan_string(p, f->name));
	jout_key(out, "file");
	jout_string(out, plan_string(p, f->file));
	jout_key(out, "line");
	jout_u64(out, f->line);
	jout_key(out, "entry");
	jout_hex(out, f->entry);
	jout_key(out, "abi");
	jout_string(out, f->abi == GO_ABI0 ? "ABI0" : "ABIInternal");
	jout_key(out, "types_known");
	jout_bool(out, f->has_types);
	jout_key(out, "refused");
	if (f->refused)
		jout_string(out, plan_string(p, f->refused));
	else
		jout_null(out);
	write_vars(out, "params", p, f->first_param, f->n_params);
	write_vars(out, "results", p, f->first_result, f->n_results);
	jout_key(out, "warnings");
	jout_array_begin(out);
	for (uint32_t i = 0; i < f->n_warnings; i++)
		jout_string(out, plan_string(p, p->warnings[f->first_warning + i]));
	jout_array_end(out);
	jout_key(out, "sites");
	jout_array_begin(out);
	for (uint32_t i = 0; i < f->n_sites; i++)
		write_plan_site(out, p, &p->sites[f->first_site + i]);
	jout_array_end(out);
	jout_object_end(out);
}

static void write_unwinds(struct jout *out, const struct plan *p)
{
	static const char *const names[PLAN_UNWINDS] = { "recovery", "fatal_panic", "goexit" };

	jout_key(out, "unwinds");
	jout_object_begin(out);
	for (int i = 0; i < PLAN_UNWINDS; i++) {
		const struct plan_unwind *u = &p->binary.unwinds[i];

		jout_key(out, names[i]);
		if (u->file_off)
			jout_hex(out, u->addr);
		else
			jout_null(out);
	}
	jout_key(out, "why");
	if (p->binary.unwinds_why)
		jout_string(out, plan_string(p, p->binary.unwinds_why));
	else
		jout_null(out);
	jout_object_end(out);
}

#define USAGE "offsets plan FILE FUNC [--no-values | --raw-words] [--interfaces] [--args EXPR …] [--where EXPR]"

/* Conditions, as the C that they become. */
static void write_filters(struct jout *out, const struct plan *plan)
{
	jout_key(out, "filters");
	jout_array_begin(out);
	for (size_t i = 0; i < plan->n_filters; i++) {
		const struct plan_filter *filter = &plan->filters[i];

		jout_object_begin(out);
		jout_key(out, "late");
		jout_bool(out, filter->late);
		jout_key(out, "passes");
		jout_bool(out, filter->passes);
		jout_key(out, "goid");
		jout_bool(out, filter->goid);
		jout_key(out, "enter");
		jout_string(out, plan_string(plan, filter->enter));
		jout_key(out, "leave");
		jout_string(out, plan_string(plan, filter->leave));
		jout_key(out, "by");
		jout_string(out, plan_string(plan, filter->by));
		jout_object_end(out);
	}
	jout_array_end(out);
}

struct err *command_plan(struct program *program, int argc, char **argv, struct jout *out)
{
	struct plan_options options = {
		.args = true, .results = true, .returns = true, .string_size = 256, .depth = 2, .elements = 64
	};
	const char *pattern, *expressions[EXPR_LIST_MAX];
	bool interfaces = false;
	struct plan *plan;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--no-values"))
			options.args = options.results = false;
		else if (!strcmp(argv[i], "--raw-words"))
			options.raw_words = true;
		else if (!strcmp(argv[i], "--interfaces"))
			interfaces = true;
		else if (!strcmp(argv[i], "--args") && i + 1 < argc && options.n_expressions < EXPR_LIST_MAX)
			expressions[options.n_expressions++] = argv[++i];
		else if (!strcmp(argv[i], "--where") && i + 1 < argc)
			options.where = argv[++i];
		else if (!strcmp(argv[i], "--by") && i + 1 < argc)
			options.by = argv[++i];
		else
			return err_create(ERR_USAGE, USAGE);
	}
	if (argc < 1)
		return err_create(ERR_USAGE, USAGE);
	options.expressions = expressions;
	pattern = argv[0];
	struct err *err = plan_create(program, &pattern, 1, NULL, 0, &options, &plan);
	if (err)
		return err;
	jout_object_begin(out);
	command_write_file(program, out);
	jout_key(out, "goroutine");
	jout_object_begin(out);
	jout_key(out, "known");
	jout_bool(out, plan->binary.has_g);
	jout_key(out, "why");
	if (plan->binary.g_why)
		jout_string(out, plan_string(plan, plan->binary.g_why));
	else
		jout_null(out);
	jout_key(out, "goid");
	jout_u64(out, plan->binary.goid_off);
	jout_key(out, "m");
	jout_u64(out, plan->binary.m_off);
	jout_key(out, "curg");
	jout_u64(out, plan->binary.curg_off);
	jout_key(out, "tls");
	jout_i64(out, plan->binary.tls_offset);
	jout_object_end(out);
	write_unwinds(out, plan);
	jout_key(out, "functions");
	jout_array_begin(out);
	for (size_t i = 0; i < plan->n_funcs; i++)
		write_plan_func(out, plan, &plan->funcs[i]);
	jout_array_end(out);
	err = write_lists(out, plan, interfaces);
	if (plan->n_filters)
		write_filters(out, plan);
	jout_object_end(out);
	plan_destroy(plan);
	return err;
}
