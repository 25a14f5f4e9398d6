/* SPDX-License-Identifier: Apache-2.0 */
#include "rewrite_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const register_names[RECORD_REGS] = { "rax", "rbx", "rcx", "rdi", "rsi",
							 "r8",  "r9",  "r10", "r11", "rdx" };

/* At both sites the stack pointer is at the return address: before the frame is set up, and at the RET. */
#define RETURN_ADDRESS 8

void rewrite_places_deinit(struct rewrite_places *places)
{
	for (size_t i = 0; i < places->n_names; i++)
		free((char *)places->names[i].name);
	free(places->names);
	abi_layout_deinit(&places->abi);
}

struct err *rewrite_places_init(struct program *program, struct plan *plan, struct rewrite_places *ret)
{
	const struct plan_func *f = &plan->funcs[0];
	const struct func *func = func_table_find_addr(program->funcs, f->entry);
	size_t n = f->n_params + f->n_results;
	struct err *err;

	*ret = (struct rewrite_places){ .program = program, .plan = plan };
	if (!func)
		return err_create(ERR_MALFORMED, "no function at 0x%llx", (unsigned long long)f->entry);
	err = program_dwarf(program, &ret->dwarf);
	if (!err)
		err = plan_abi_layout(program, func, &ret->abi);
	if (err)
		return err;
	if (ret->abi.n_values != n)
		return err_create(ERR_UNSUPPORTED, "where the arguments and results of %s are is not known",
				  plan_string(plan, f->name));
	ret->names = calloc(n + 1, sizeof(*ret->names));
	if (!ret->names)
		return &err_nomem;
	for (size_t i = 0; i < n; i++) {
		const struct plan_var *var =
			&plan->vars[i < f->n_params ? f->first_param + i : f->first_result + i - f->n_params];
		/* a copy: the table's strings move when types are added */
		ret->names[i].name = strdup(plan_string(plan, var->name));
		ret->names[i].type = var->type;
		ret->names[i].result = i >= f->n_params;
		ret->n_names++;
		if (!ret->names[i].name)
			return &err_nomem;
	}
	return NULL;
}

static const struct go_type *type_of(const struct rewrite_places *p, uint32_t type)
{
	return &p->plan->types.v[type];
}

/* ---- where the calling convention has it ------------------------------------------------------------------------ */

static struct err *unknown(const struct rewrite_places *p, uint32_t var, const char *why)
{
	return err_create(ERR_UNSUPPORTED, "%s cannot be written: %s", p->names[var].name, why);
}

/* Does what reads the value look for this word in the same register? The two come about by different ways. */
static bool reader_agrees(const struct rewrite_places *p, uint32_t var, const struct abi_word *w)
{
	const struct plan *plan = p->plan;
	const struct plan_func *f = &plan->funcs[0];

	for (uint32_t s = f->first_site; s < f->first_site + f->n_sites; s++) {
		const struct plan_site *site = &plan->sites[s];
		if ((site->kind == SITE_RETURN) != p->names[var].result)
			continue;
		for (uint32_t i = site->first_value; i < site->first_value + site->n_values; i++) {
			const struct plan_value *v = &plan->values[i];
			const char *read = plan_string(plan, v->name);
			size_t n = strlen(p->names[var].name);
			/* an expression that begins with the name, or the name */
			const char *at = read + strspn(read, "*(");
			if (strncmp(at, p->names[var].name, n) || (at[n] && !strchr(".[)", at[n])))
				continue;
			for (uint32_t k = v->first_piece; k < v->first_piece + v->n_pieces; k++) {
				const struct plan_piece *piece = &plan->pieces[k];
				if (piece->at.kind == LOC_REGISTER && piece->offset == w->offset &&
				    piece->at.index != w->place)
					return false;
			}
		}
	}
	return true;
}

/* The words of bytes [offset, offset + size) of a parameter or result. */
static struct err *find_words(const struct rewrite_places *p, uint32_t var, uint64_t offset, uint64_t size,
			      struct rewrite_place *out)
{
	const struct abi_value *v = &p->abi.values[var];

	if (v->first_word == PLAN_ABI_UNKNOWN)
		return unknown(p, var, "the debug information leaves out what stands before it");
	if (v->n_words && p->abi.words[v->first_word].where == ABI_STACK) {
		const struct abi_word *w = &p->abi.words[v->first_word];
		out->in_registers = false;
		out->write.base = WRITE_ON_STACK;
		out->write.offset = (int32_t)(w->place + RETURN_ADDRESS + (int64_t)(offset - w->offset));
		return NULL;
	}
	out->in_registers = true;
	out->write.base = WRITE_IN_REGISTERS;
	for (uint32_t i = 0; i < v->n_words; i++) {
		struct abi_word w = p->abi.words[v->first_word + i];
		if (w.offset + (uint64_t)w.size <= offset || w.offset >= offset + size)
			continue;
		if (w.offset < offset || w.offset + (uint64_t)w.size > offset + size)
			return unknown(p, var, "it is a part of a register");
		if (w.where == ABI_INT_REG && !reader_agrees(p, var, &w))
			return unknown(p, var, "the calling convention and the debug information differ");
		if (out->n_words == TRACK_WORDS)
			return unknown(p, var, "it has too many words");
		if (out->n_words < 2 && w.where == ABI_INT_REG)
			out->write.reg[out->n_words] = (uint8_t)w.place;
		w.offset -= (uint32_t)offset;
		out->words[out->n_words++] = w;
	}
	return NULL;
}

struct err *rewrite_place_whole(struct rewrite_places *p, uint32_t var, struct rewrite_place *ret)
{
	*ret = (struct rewrite_place){ .var = var, .type = p->names[var].type };
	ret->size = type_of(p, ret->type)->size;
	return find_words(p, var, 0, ret->size, ret);
}

/* ---- the way of an expression ------------------------------------------------------------------------------------ */

static struct err *no_place(const struct rewrite_assignment *a, const char *why)
{
	return expression_error(a->text, 0, "", "%s cannot be set: %s", a->place, why);
}

static const char *why_not(enum expr_op op)
{
	switch (op) {
	case EXPR_KEY:
		return "elements of maps are not written";
	case EXPR_ASSERT:
		return "what an interface holds is shared and is not written";
	case EXPR_LEN:
	case EXPR_CAP:
		return "lengths are not set by themselves";
	case EXPR_SLICE:
	case EXPR_EACH:
		return "a range is no single place; its elements are set one by one";
	default:
		return "this is no place";
	}
}

/* Follow one pointer more, which stands `offset` bytes into what is in hand; bound: see struct write_hop. */
static struct err *hop(struct rewrite_places *p, const struct rewrite_assignment *a, uint32_t var, uint64_t offset,
		       uint32_t bound, struct rewrite_place *out)
{
	struct write *w = &out->write;

	if (w->n_hops == WRITE_HOPS)
		return no_place(a, "more pointers on the way than are followed");
	if (!w->n_hops) {
		struct err *err = find_words(p, var, offset, bound ? 16 : 8, out);
		if (err)
			return err;
		if (out->in_registers && out->n_words != (bound ? 2 : 1))
			return unknown(p, var, "its pointer is in no register of its own");
		out->in_registers = false; /* what is behind the pointer is not */
	} else {
		if (offset > INT32_MAX)
			return no_place(a, "it is too far inside");
		w->hop[w->n_hops - 1].offset = (uint32_t)offset;
	}
	w->hop[w->n_hops++].bound = bound;
	return NULL;
}

static struct err *walk(struct rewrite_places *p, const struct rewrite_assignment *a, const struct expression *e,
			bool whole, struct rewrite_place *out)
{
	uint16_t chain[EXPR_NODES_MAX] = { 0 };
	size_t n = 0;
	uint64_t offset = 0;
	uint32_t var, type;
	struct err *err = NULL;

	for (uint16_t i = e->root; i; i = e->nodes[i].a)
		n++;
	for (uint16_t i = e->root, at = (uint16_t)n; i; i = e->nodes[i].a)
		chain[--at] = i;
	var = e->nodes[chain[0]].var;
	type = e->nodes[chain[0]].type;
	if (whole && n > 1)
		return no_place(a, "a result is given as a whole here");
	for (size_t i = 1; i < n && !err; i++) {
		const struct expr_node *node = &e->nodes[chain[i]];
		const struct go_type *from = type_of(p, type);

		switch (node->op) {
		case EXPR_FIELD:
			offset += node->offset;
			break;
		case EXPR_DEREF:
			err = hop(p, a, var, offset, 0, out);
			offset = 0;
			break;
		case EXPR_INDEX:
			if (from->kind == GO_STRING)
				return no_place(a, "the bytes of a string are shared; the string is set as a whole");
			if (from->kind == GO_SLICE) {
				err = hop(p, a, var, offset, node->lo + 1, out);
				offset = 0;
			}
			offset += node->lo * type_of(p, node->type)->size;
			break;
		default:
			return no_place(a, why_not(node->op));
		}
		type = node->type;
	}
	if (err)
		return err;
	out->var = var;
	out->type = type;
	out->size = type_of(p, type)->size;
	if (!out->write.n_hops)
		return find_words(p, var, offset, out->size, out);
	if (offset > INT32_MAX)
		return no_place(a, "it is too far inside");
	out->write.hop[out->write.n_hops - 1].offset = (uint32_t)offset;
	return NULL;
}

struct err *rewrite_place_find(struct rewrite_places *p, const struct rewrite_assignment *a, bool result, bool whole,
			       struct rewrite_place *ret)
{
	struct expression_scope scope = {
		.types = &p->plan->types, .dwarf = p->dwarf, .names = p->names, .n_names = p->n_names
	};
	struct expression *parsed, *typed;
	struct err *err = expression_parse(a->place, &parsed);

	if (err)
		return err;
	err = expression_resolve(parsed, &scope, &typed);
	expression_destroy(parsed);
	if (err)
		return err;
	*ret = (struct rewrite_place){ .type = TYPE_NONE };
	if (!expression_is_path(typed))
		err = no_place(a, "this is no place");
	else if (typed->results != result)
		err = no_place(a, result ? "it is an argument; --set sets those"
					 : "it is a result; --set-result sets those");
	else
		err = walk(p, a, typed, whole, ret);
	expression_destroy(typed);
	return err;
}

char *rewrite_place_text(const struct rewrite_place *p)
{
	const struct write *w = &p->write;
	char text[256];
	int n = 0;

	if (p->in_registers) {
		for (size_t i = 0; i < p->n_words && n < 200; i++)
			n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s", i ? ", " : "",
				      p->words[i].where == ABI_INT_REG ? register_names[p->words[i].place] : "xmm");
		if (!p->n_words)
			n = snprintf(text, sizeof(text), "no bytes");
		return strdup(text);
	}
	if (w->base == WRITE_IN_REGISTERS)
		n = snprintf(text, sizeof(text), "%s", register_names[w->reg[0]]);
	else
		n = snprintf(text, sizeof(text), "sp+0x%x", (unsigned int)w->offset);
	for (int i = 0; i < w->n_hops; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " → +0x%x", w->hop[i].offset);
	return strdup(text);
}
