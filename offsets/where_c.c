/* SPDX-License-Identifier: Apache-2.0 */
/* A condition as BPF C, for the helpers of bpf_c/where.h.
 *
 * Every comparison has one of four answers (enum where_answer), and && || ! combine them so that what could not be read never makes a
 * call match. A comparison stands in do { … } while (0), which `break` leaves with the answer so far; its variables are vN and tN. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan_expr.h"
#include "plan_where.h"

struct emitter {
	struct plan_builder *b;
	const struct plan_func *f;
	const struct expression *e;
	const struct where_words *words; /* of the site in hand */
	bool leaving;                    /* that is a return */
	FILE *out;
	uint8_t needs[EXPR_NODES_MAX];
	uint8_t kept[EXPR_NODES_MAX]; /* 1 + the first word that is kept for this node; 0: none */
	unsigned int n_kept, next;    /* next: number of a variable */
};

#define emit(m, ...) fprintf((m)->out, __VA_ARGS__)

static const struct expr_node *node_of(const struct emitter *m, uint16_t index)
{
	return &m->e->nodes[index];
}

static bool is_path(const struct expr_node *node)
{
	return node->op >= EXPR_NAME && node->op <= EXPR_CAP;
}

static bool is_literal(const struct expr_node *node)
{
	return node->op >= EXPR_INT && node->op <= EXPR_NIL;
}

static struct err *refuse(const struct emitter *m, const struct expr_node *node, const char *hint, const char *why)
{
	return expression_error(m->e->text, node->at, hint, "%s", why);
}

void where_needs(const struct expression *e, const struct plan_func *f, uint8_t needs[EXPR_NODES_MAX])
{
	uint32_t specials = f->n_params + f->n_results;

	needs[0] = 0;
	for (uint16_t i = 1; i < e->n; i++) {
		const struct expr_node *node = &e->nodes[i];

		needs[i] = 0;
		if (node->op != EXPR_NAME)
			needs[i] = needs[node->a] | needs[node->b];
		else if (node->var < f->n_params)
			needs[i] = WHERE_NEEDS_PARAMS;
		else if (node->var < specials || node->var == specials + WHERE_NAME_DURATION)
			needs[i] = WHERE_NEEDS_RETURN;
		else if (node->var == specials + WHERE_NAME_GOID)
			needs[i] = WHERE_NEEDS_GOID;
	}
}

/* ---- places -------------------------------------------------------------------------------------------------- */

/* Where a value on a way is. */
struct place {
	bool memory; /* `offset` bytes behind variable v`base`; else in the parameter or result */
	unsigned int base;
	uint32_t var;
	uint64_t offset;
};

static struct err *unreadable(const struct emitter *m, const struct expr_node *node, const struct site_word *word)
{
	const char *text = m->e->text;

	switch (word ? word->reason : PLAN_UNPLACED) {
	case PLAN_IN_FLOAT_REG:
		return expression_error(text, node->at, "", "it is in xmm%u there, which a probe cannot read",
					word->detail);
	case PLAN_CLOBBERED:
		return expression_error(text, node->at, "",
					"its register is overwritten before the place of the probe");
	}
	return expression_error(text, node->at, "", "where it lies there is not known");
}

/* The word that has `size` bytes of a variable from `offset` on. */
static const struct site_word *find_word(const struct emitter *m, const struct place *at, uint64_t size)
{
	uint32_t var = m->leaving ? at->var - m->f->n_params : at->var;

	for (size_t i = 0; i < m->words->n; i++) {
		const struct site_word *w = &m->words->v[i];

		if (w->value == var && at->offset >= w->offset && at->offset + size <= (uint64_t)w->offset + w->size)
			return w;
	}
	return NULL;
}

/* v*ret: the integer of `size` bytes at a place, as 64 bits. */
static struct err *load(struct emitter *m, const struct expr_node *node, const struct place *at, uint64_t size,
			bool is_signed, unsigned int answer, unsigned int *ret)
{
	unsigned int v = m->next++;
	char type = is_signed ? 's' : 'u';

	if (size != 1 && size != 2 && size != 4 && size != 8)
		return refuse(m, node, "", "a value of this size is not compared");
	*ret = v;
	if (!at->memory) {
		const struct site_word *w = find_word(m, at, size);

		if (!w || w->where == WORD_LOST || (w->where == WORD_REG && w->offset != at->offset))
			return unreadable(m, node, w);
		if (w->where == WORD_REG) {
			emit(m, "u64 v%u = (%c%d)w->regs[%d];\n", v, type, 8 * (int)size, (int)w->place);
			return NULL;
		}
		emit(m,
		     "w->text[0] = 0;\nif (read_user(w->text, %d, w->sp + %lld)) { t%u = WHERE_UNREADABLE; break; }\n",
		     (int)size, (long long)(w->place + (int64_t)(at->offset - w->offset)), answer);
	} else {
		emit(m,
		     "w->text[0] = 0;\nif (read_user(w->text, %d, v%u + %lluull)) { t%u = WHERE_UNREADABLE; break; "
		     "}\n",
		     (int)size, at->base, (unsigned long long)at->offset, answer);
	}
	emit(m, "u64 v%u = (%c%d)w->text[0];\n", v, type, 8 * (int)size);
	return NULL;
}

/* Go on behind the pointer at a place. */
static struct err *behind(struct emitter *m, const struct expr_node *node, struct place *at, unsigned int answer)
{
	unsigned int v;
	struct err *err = load(m, node, at, 8, false, answer, &v);

	if (err)
		return err;
	emit(m, "if (!v%u) { t%u = WHERE_NOTHING; break; }\n", v, answer);
	*at = (struct place){ .memory = true, .base = v };
	return NULL;
}

/* Element `index` of what the header of a slice or string stands for. */
static struct err *element(struct emitter *m, const struct expr_node *node, struct place *at, uint32_t index,
			   uint64_t each, unsigned int answer)
{
	struct place len = *at;
	unsigned int v;
	struct err *err;

	len.offset += 8;
	err = load(m, node, &len, 8, false, answer, &v);
	if (err)
		return err;
	emit(m, "if (v%u <= %u) { t%u = WHERE_NOTHING; break; }\n", v, index, answer);
	err = behind(m, node, at, answer);
	at->offset = index * each;
	return err;
}

/* The value behind x.(T). */
static struct err *assertion(struct emitter *m, const struct expr_node *node, struct place *at, uint32_t from,
			     unsigned int answer)
{
	const struct type_table *types = &m->b->plan->types;
	const struct go_type *to = &types->v[node->type];
	uint64_t base = m->b->plan->binary.types_base;
	struct place type = *at;
	unsigned int v;
	struct err *err;

	if (!base || !to->runtime_type)
		return refuse(m, node, "", "how the program marks values of this type is not known");
	if (types->v[from].flags & TYPE_EMPTY_IFACE) {
		err = load(m, node, &type, 8, false, answer, &v);
	} else {
		err = behind(m, node, &type, answer);
		type.offset = 8; /* runtime.itab: the interface's type, then the value's */
		if (!err)
			err = load(m, node, &type, 8, false, answer, &v);
	}
	if (err)
		return err;
	emit(m, "if (v%u - w->bias != 0x%llxull) { t%u = WHERE_NOTHING; break; }\n", v,
	     (unsigned long long)(base + to->runtime_type), answer);
	at->offset += 8;
	return plan_type_is_direct(types, node->type) ? NULL : behind(m, node, at, answer);
}

/* The way to the value of a node; len and cap: to where their word is. */
static struct err *walk(struct emitter *m, uint16_t index, struct place *at, unsigned int answer)
{
	uint16_t chain[EXPR_NODES_MAX];
	size_t n = 0;
	struct err *err = NULL;

	for (uint16_t i = index; i; i = node_of(m, i)->a)
		chain[n++] = i;
	*at = (struct place){ .var = node_of(m, chain[n - 1])->var };
	while (n-- > 1 && !err) {
		const struct expr_node *node = node_of(m, chain[n - 1]);
		uint32_t from = node_of(m, chain[n])->type;
		uint8_t kind = plan_kind_of(m->b, from);

		switch (node->op) {
		case EXPR_FIELD:
			at->offset += node->offset;
			break;
		case EXPR_DEREF:
			err = behind(m, node, at, answer);
			break;
		case EXPR_INDEX:
			if (kind == GO_ARRAY)
				at->offset += node->lo * plan_size_of(m->b, node->type);
			else
				err = element(m, node, at, node->lo, plan_size_of(m->b, node->type), answer);
			break;
		case EXPR_ASSERT:
			err = assertion(m, node, at, from, answer);
			break;
		case EXPR_LEN:
		case EXPR_CAP:
			if (kind == GO_STRING || kind == GO_SLICE)
				at->offset += node->op == EXPR_LEN ? 8 : 16;
			break;
		case EXPR_KEY:
			err = refuse(m, node, "", "a condition does not look up the elements of a map");
			break;
		default:
			err = refuse(m, node, "", "a range is not compared");
		}
	}
	return err;
}

/* ---- operands ------------------------------------------------------------------------------------------------ */

enum operand_kind { OPERAND_UNSIGNED, OPERAND_SIGNED, OPERAND_FLOAT32, OPERAND_FLOAT64, OPERAND_STRING };

/* A side of a comparison: a variable, or a literal. */
struct operand {
	const struct expr_node *node;
	enum operand_kind kind;
	unsigned int v;   /* the value; of a string its address */
	unsigned int len; /* of a string */
};

static bool is_signed_kind(uint8_t kind)
{
	return kind >= GO_INT && kind <= GO_INT64;
}

static enum operand_kind operand_kind(uint8_t kind)
{
	switch (kind) {
	case GO_FLOAT32:
		return OPERAND_FLOAT32;
	case GO_FLOAT64:
		return OPERAND_FLOAT64;
	case GO_STRING:
		return OPERAND_STRING;
	}
	return is_signed_kind(kind) ? OPERAND_SIGNED : OPERAND_UNSIGNED;
}

/* len and cap of what is not a word of its header: a map has its count first (runtime.hmap, internal/runtime/maps.Map), a channel's are
 * where the debug information says; those of nil are 0. */
static struct err *count_behind(struct emitter *m, const struct expr_node *node, struct place *at, uint8_t kind,
				unsigned int answer, unsigned int *ret)
{
	const struct plan_binary *bin = &m->b->plan->binary;
	unsigned int ptr, v = m->next++;
	uint64_t offset = 0;
	struct err *err;

	if (kind == GO_CHAN) {
		if (!bin->chan_len_off && !bin->chan_cap_off)
			return refuse(m, node, "", "where a channel keeps this is not known");
		offset = node->op == EXPR_LEN ? bin->chan_len_off : bin->chan_cap_off;
	}
	err = load(m, node, at, 8, false, answer, &ptr);
	if (err)
		return err;
	emit(m, "w->text[0] = 0;\nif (v%u && read_user(w->text, 8, v%u + %llu)) { t%u = WHERE_UNREADABLE; break; }\n",
	     ptr, ptr, (unsigned long long)offset, answer);
	emit(m, "u64 v%u = w->text[0];\n", v);
	*ret = v;
	return NULL;
}

static struct err *special(struct emitter *m, const struct expr_node *node, unsigned int answer, unsigned int *ret)
{
	unsigned int v = m->next++;

	*ret = v;
	switch (node->var - m->f->n_params - m->f->n_results) {
	case WHERE_NAME_DURATION:
		emit(m, "u64 v%u = w->ns;\n", v);
		return NULL;
	case WHERE_NAME_PID:
		emit(m, "u64 v%u = w->pid;\n", v);
		return NULL;
	}
	if (!m->b->plan->binary.has_g)
		return refuse(m, node, "", "where this program keeps the ids of goroutines is not known");
	emit(m, "if (w->no_goid) { t%u = WHERE_UNREADABLE; break; }\nu64 v%u = w->goid;\n", answer, v);
	return NULL;
}

/* The string at a place. */
static struct err *string(struct emitter *m, const struct expr_node *node, struct place *at, unsigned int answer,
			  struct operand *op)
{
	struct err *err;

	if (at->memory) {
		op->v = m->next++;
		op->len = m->next++;
		emit(m, "if (read_user(w->text, 16, v%u + %lluull)) { t%u = WHERE_UNREADABLE; break; }\n", at->base,
		     (unsigned long long)at->offset, answer);
		emit(m, "u64 v%u = w->text[0], v%u = w->text[1];\n", op->v, op->len);
		return NULL;
	}
	err = load(m, node, at, 8, false, answer, &op->v);
	at->offset += 8;
	return err ? err : load(m, node, at, 8, false, answer, &op->len);
}

/* Code that puts a side into variables. */
static struct err *operand(struct emitter *m, uint16_t index, unsigned int answer, struct operand *op)
{
	const struct expr_node *node = node_of(m, index), *of = node_of(m, node->a);
	struct place at;
	struct err *err;

	*op = (struct operand){ .node = node, .kind = operand_kind(node->kind) };
	if (is_literal(node))
		return NULL;
	if (m->leaving && m->kept[index]) {
		op->v = m->next++;
		emit(m, "t%u = w->kept[%u];\nif (t%u != WHERE_YES) break;\nu64 v%u = w->kept[%u];\n", answer,
		     m->kept[index], answer, op->v, m->kept[index] - 1);
		return NULL;
	}
	if (!is_path(node))
		return refuse(m, node, "", "a condition is not compared with another");
	if (node->op == EXPR_NAME && node->var >= m->f->n_params + m->f->n_results)
		return special(m, node, answer, &op->v);
	if ((node->op == EXPR_LEN || node->op == EXPR_CAP) && of->kind == GO_ARRAY) {
		op->v = m->next++;
		emit(m, "u64 v%u = %lluull;\n", op->v, (unsigned long long)node->integer);
		return NULL;
	}
	err = walk(m, index, &at, answer);
	if (err)
		return err;
	if ((node->op == EXPR_LEN || node->op == EXPR_CAP) && (of->kind == GO_MAP || of->kind == GO_CHAN))
		return count_behind(m, node, &at, of->kind, answer, &op->v);
	if (op->kind == OPERAND_STRING)
		return string(m, node, &at, answer, op);
	/* of slices and interfaces only the first word is asked: is it nil? */
	uint64_t size = node->kind == GO_SLICE || node->kind == GO_INTERFACE ? 8 : plan_size_of(m->b, node->type);
	return load(m, node, &at, size, is_signed_kind(node->kind), answer, &op->v);
}

/* ---- comparisons --------------------------------------------------------------------------------------------- */

static const char *sign(uint8_t op)
{
	static const char *const signs[] = { "==", "!=", "<", "<=", ">", ">=" };

	return signs[op - EXPR_EQ];
}

static uint64_t literal_bits(const struct expr_node *literal, enum operand_kind kind)
{
	double real = literal->op == EXPR_REAL ? literal->real
		      : literal->negative      ? -(double)literal->integer
					       : (double)literal->integer;
	float narrow = (float)real;
	uint64_t bits = 0;
	uint32_t narrow_bits;

	switch (kind) {
	case OPERAND_FLOAT32:
		memcpy(&narrow_bits, &narrow, sizeof(narrow));
		return narrow_bits;
	case OPERAND_FLOAT64:
		memcpy(&bits, &real, sizeof(bits));
		return bits;
	default:
		return literal->op == EXPR_NIL ? 0 : literal->negative ? -literal->integer : literal->integer;
	}
}

/* One side as C: of a kind that the other has where it is a literal. */
static void side(struct emitter *m, const struct operand *op, enum operand_kind kind)
{
	const char *order = kind == OPERAND_FLOAT32   ? "where_order32("
			    : kind == OPERAND_FLOAT64 ? "where_order64("
						      : "(";

	emit(m, "%s%s", kind == OPERAND_SIGNED ? "(s64)" : "", order);
	if (is_literal(op->node))
		emit(m, "0x%llxull)", (unsigned long long)literal_bits(op->node, kind));
	else
		emit(m, "v%u)", op->v);
}

static struct err *compare_numbers(struct emitter *m, uint8_t op, const struct operand *a, const struct operand *b,
				   unsigned int answer)
{
	enum operand_kind kind = is_literal(a->node) ? b->kind : a->kind;
	bool is_float = kind == OPERAND_FLOAT32 || kind == OPERAND_FLOAT64;

	if (is_float && !is_literal(a->node) && !is_literal(b->node) && a->kind != b->kind)
		return refuse(m, b->node, "", "float32 and float64 are not compared");
	for (int i = 0; i < 2 && is_float; i++) {
		const struct operand *o = i ? b : a;

		/* NaN is unequal to everything */
		if (!is_literal(o->node))
			emit(m, "if (where_is_nan%d(v%u)) { t%u = %s; break; }\n", kind == OPERAND_FLOAT32 ? 32 : 64,
			     o->v, answer, op == EXPR_NE ? "WHERE_YES" : "WHERE_NO");
	}
	emit(m, "t%u = ", answer);
	side(m, a, kind);
	emit(m, " %s ", sign(op));
	side(m, b, kind);
	emit(m, " ? WHERE_YES : WHERE_NO;\n");
	return NULL;
}

static struct err *compare_with_literal(struct emitter *m, const struct operand *s, const struct expr_node *literal,
					const char *equal, const char *other, unsigned int answer)
{
	const char *text = expression_string(m->e, literal);
	uint32_t n = literal->name_len, words = (n + 7) / 8;

	if (n > WHERE_LITERAL_MAX)
		return expression_error(m->e->text, literal->at, "", "strings are compared up to %d bytes",
					WHERE_LITERAL_MAX);
	emit(m, "t%u = %s;\nif (v%u != %u) break;\n", answer, other, s->len, n);
	for (uint32_t i = 0; i < words; i++)
		emit(m, "w->text[%u] = 0;\n", i);
	if (n)
		emit(m, "if (read_user(w->text, %u, v%u)) { t%u = WHERE_UNREADABLE; break; }\n", n, s->v, answer);
	for (uint32_t i = 0; i < words; i++) {
		uint64_t word = 0;

		memcpy(&word, text + 8 * i, n - 8 * i < 8 ? n - 8 * i : 8);
		emit(m, "if (w->text[%u] != 0x%llxull) break;\n", i, (unsigned long long)word);
	}
	emit(m, "t%u = %s;\n", answer, equal);
	return NULL;
}

static struct err *compare_strings(struct emitter *m, const struct expr_node *node, const struct operand *a,
				   const struct operand *b, unsigned int answer)
{
	const char *equal = node->op == EXPR_EQ ? "WHERE_YES" : "WHERE_NO";
	const char *other = node->op == EXPR_EQ ? "WHERE_NO" : "WHERE_YES";

	if (node->op != EXPR_EQ && node->op != EXPR_NE)
		return refuse(m, node, "", "strings are compared with == and != only");
	if (is_literal(b->node))
		return compare_with_literal(m, a, b->node, equal, other, answer);
	if (is_literal(a->node))
		return compare_with_literal(m, b, a->node, equal, other, answer);
	emit(m, "t%u = where_same_text(w, v%u, v%u, v%u, v%u);\n", answer, a->v, a->len, b->v, b->len);
	if (node->op == EXPR_NE)
		emit(m, "t%u = where_not(t%u);\n", answer, answer);
	return NULL;
}

static struct err *comparison(struct emitter *m, const struct expr_node *node, unsigned int answer)
{
	struct operand a, b;
	struct err *err = operand(m, node->a, answer, &a);

	if (!err)
		err = operand(m, node->b, answer, &b);
	if (err)
		return err;
	if (a.kind == OPERAND_STRING || b.kind == OPERAND_STRING)
		return compare_strings(m, node, &a, &b, answer);
	return compare_numbers(m, node->op, &a, &b, answer);
}

/* ---- answers ------------------------------------------------------------------------------------------------- */

static struct err *emit_answer(struct emitter *m, uint16_t index, unsigned int *ret);

static struct err *emit_joined(struct emitter *m, const struct expr_node *node, unsigned int *ret)
{
	bool is_and = node->op == EXPR_AND;
	unsigned int a, b, t;
	struct err *err = emit_answer(m, node->a, &a);

	if (err)
		return err;
	t = m->next++;
	emit(m, "u64 t%u = t%u;\nif (t%u != %s) {\n", t, a, a, is_and ? "WHERE_NO" : "WHERE_YES");
	err = emit_answer(m, node->b, &b);
	if (err)
		return err;
	emit(m, "if (t%u %c t%u) t%u = t%u;\n}\nwhere_forget(w, t%u);\n", b, is_and ? '<' : '>', t, t, b, t);
	*ret = t;
	return NULL;
}

/* t*ret: the answer of a condition. */
static struct err *emit_answer(struct emitter *m, uint16_t index, unsigned int *ret)
{
	const struct expr_node *node = node_of(m, index);
	unsigned int t;
	struct err *err;

	if (m->leaving && m->kept[index]) {
		t = *ret = m->next++;
		emit(m, "u64 t%u = w->kept[%u];\n", t, m->kept[index] - 1);
		return NULL;
	}
	if (node->op == EXPR_AND || node->op == EXPR_OR)
		return emit_joined(m, node, ret);
	if (node->op == EXPR_NOT) {
		unsigned int a;

		err = emit_answer(m, node->a, &a);
		t = *ret = m->next++;
		emit(m, "u64 t%u = where_not(t%u);\n", t, a);
		return err;
	}
	t = *ret = m->next++;
	if (node->op == EXPR_BOOL) {
		emit(m, "u64 t%u = %s;\n", t, node->integer ? "WHERE_YES" : "WHERE_NO");
		return NULL;
	}
	emit(m, "u64 t%u;\ndo {\n", t);
	if (is_path(node)) {
		struct operand op;

		err = operand(m, index, t, &op);
		emit(m, "t%u = v%u ? WHERE_YES : WHERE_NO;\n", t, err ? 0 : op.v);
	} else {
		err = comparison(m, node, t);
	}
	emit(m, "} while (0);\nwhere_forget(w, t%u);\n", t);
	return err;
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

/* Keep what is known at the entry of a part that needs the return: the answer of a condition, or of a side of a comparison its value,
 * and behind that whether it could be read. */
static struct err *keep(struct emitter *m, uint16_t index, bool is_side)
{
	const struct expr_node *node = node_of(m, index);
	unsigned int t, n = is_side ? 2 : 1;
	struct operand op;
	struct err *err;

	if (is_literal(node))
		return NULL;
	if (m->needs[index] & WHERE_NEEDS_RETURN) {
		bool compares = node->op >= EXPR_EQ && node->op <= EXPR_GE;

		if (is_path(node))
			return NULL;
		err = keep(m, node->a, compares);
		return err || !node->b ? err : keep(m, node->b, compares);
	}
	if (!(m->needs[index] & WHERE_NEEDS_PARAMS))
		return NULL; /* pid and goid are known at the return too */
	if (m->n_kept + n > WHERE_KEPT_MAX)
		return refuse(m, node, "", "too many values of the arguments are needed at the return");
	if (is_side && node->kind == GO_STRING)
		return refuse(m, node, "", "a string argument is not compared with a result");
	m->kept[index] = 1 + m->n_kept;
	m->n_kept += n;
	if (!is_side) {
		err = emit_answer(m, index, &t);
		emit(m, "w->kept[%u] = t%u;\n", m->kept[index] - 1, err ? 0 : t);
		return err;
	}
	t = m->next++;
	emit(m, "u64 t%u;\ndo {\n", t);
	err = operand(m, index, t, &op);
	emit(m, "w->kept[%u] = v%u;\nt%u = WHERE_YES;\n} while (0);\nw->kept[%u] = t%u;\n", m->kept[index] - 1, op.v, t,
	     m->kept[index], t);
	return err;
}

/* The parts that && joins, from left to right. */
static size_t conjuncts(const struct expression *e, uint16_t root, uint16_t parts[EXPR_NODES_MAX])
{
	uint16_t pending[EXPR_NODES_MAX];
	size_t n = 0, left = 1;

	pending[0] = root;
	while (left) {
		const struct expr_node *node = &e->nodes[pending[--left]];

		if (node->op == EXPR_AND) {
			pending[left] = node->b;
			pending[left + 1] = node->a;
			left += 2;
		} else {
			parts[n++] = (uint16_t)(node - e->nodes);
		}
	}
	return n;
}

static struct err *emit_parts(struct emitter *m, const uint16_t *parts, size_t n, bool late)
{
	unsigned int t;

	for (size_t i = 0; i < n; i++) {
		struct err *err;

		if (late != !!(m->needs[parts[i]] & WHERE_NEEDS_RETURN))
			continue;
		err = emit_answer(m, parts[i], &t);
		if (err)
			return err;
		emit(m, "if (t%u != WHERE_YES) return t%u;\n", t, t);
	}
	return NULL;
}

static struct err *emit_enter(struct emitter *m, const uint16_t *parts, size_t n)
{
	struct err *err = emit_parts(m, parts, n, false);

	for (size_t i = 0; i < n && !err; i++)
		if (m->needs[parts[i]] & WHERE_NEEDS_RETURN)
			err = keep(m, parts[i], false);
	emit(m, "return WHERE_YES;\n");
	return err;
}

static struct err *emit_leave(struct emitter *m, const uint16_t *parts, size_t n)
{
	struct err *err = emit_parts(m, parts, n, true);

	emit(m, "return WHERE_YES;\n");
	return err;
}

/* Run one of the two, and put what it wrote into the plan's strings. */
static struct err *emit_body(struct emitter *m, struct err *(*body)(struct emitter *, const uint16_t *, size_t),
			     const uint16_t *parts, size_t n, uint32_t *string_ret)
{
	char *text = NULL;
	size_t size = 0;
	struct err *err;
	bool failed;

	m->out = open_memstream(&text, &size);
	if (!m->out)
		return &err_nomem;
	err = body(m, parts, n);
	failed = ferror(m->out);
	failed = fclose(m->out) || failed;
	if (!err && failed)
		err = &err_nomem;
	if (!err && size > WHERE_C_MAX)
		err = expression_error(m->e ? m->e->text : "", 0, "",
				       "a condition of this size does not become a program");
	if (!err)
		err = type_table_intern(&m->b->plan->types, text, string_ret);
	free(text);
	return err;
}

/* The value by which a call is summed, into w->by. */
static struct err *emit_by(struct emitter *m, const uint16_t *parts, size_t n)
{
	const uint16_t root = m->e->root;
	const struct expr_node *node = node_of(m, root);
	struct operand op;
	unsigned int t = 0;
	struct err *err;

	(void)parts;
	(void)n;
	if (node->kind == GO_BOOL && !node->lists) {
		err = emit_answer(m, root, &t);
		emit(m, "if (t%u != WHERE_YES && t%u != WHERE_NO) return t%u;\n", t, t, t);
		emit(m, "w->by->kind = GROUP_BOOL;\nw->by->value = t%u == WHERE_YES;\nreturn WHERE_YES;\n", t);
		return err;
	}
	if (!is_path(node) || node->lists || node->op == EXPR_SLICE ||
	    (node->kind != GO_STRING && (node->kind < GO_INT || node->kind > GO_UINTPTR)))
		return refuse(m, node, "", "calls are split by an integer, a string or a bool");
	t = m->next++;
	emit(m, "u64 t%u;\ndo {\n", t);
	err = operand(m, root, t, &op);
	if (err)
		return err;
	if (op.kind == OPERAND_STRING)
		emit(m, "w->by->kind = GROUP_STRING;\nw->by->value = v%u;\nt%u = where_by_text(w, v%u, v%u);\n", op.len,
		     t, op.v, op.len);
	else
		emit(m, "w->by->kind = %s;\nw->by->value = v%u;\nt%u = WHERE_YES;\n",
		     op.kind == OPERAND_SIGNED ? "GROUP_SIGNED" : "GROUP_UNSIGNED", op.v, t);
	emit(m, "} while (0);\nreturn t%u;\n", t);
	return NULL;
}

static struct err *compile_by(struct emitter *m, const struct where_words *entry, const struct where_words *results,
			      struct plan_filter *filter)
{
	uint8_t needs;

	where_needs(m->e, m->f, m->needs);
	needs = m->needs[m->e->root];
	m->leaving = needs & WHERE_NEEDS_RETURN;
	m->words = m->leaving ? results : entry;
	if (m->leaving && needs & WHERE_NEEDS_PARAMS)
		return expression_error(m->e->text, 0, "", "calls are split by arguments or by results, not by both");
	filter->by_late = m->leaving;
	filter->goid |= !!(needs & WHERE_NEEDS_GOID);
	return emit_body(m, emit_by, NULL, 0, &filter->by);
}

struct err *where_compile(struct plan_builder *b, const struct plan_func *f, const struct expression *where,
			  const struct expression *by, const struct where_words *entry,
			  const struct where_words *results, struct plan_filter *filter_ret)
{
	struct emitter m = { .b = b, .f = f, .e = where, .words = entry };
	uint16_t parts[EXPR_NODES_MAX];
	size_t n = where ? conjuncts(where, where->root, parts) : 0;
	struct err *err;

	*filter_ret = (struct plan_filter){ .passes = true };
	if (where)
		where_needs(where, f, m.needs);
	for (size_t i = 0; i < n; i++) {
		bool late = m.needs[parts[i]] & WHERE_NEEDS_RETURN;

		filter_ret->late |= late;
		filter_ret->passes &= late;
		filter_ret->goid |= !!(m.needs[parts[i]] & WHERE_NEEDS_GOID);
	}
	err = emit_body(&m, emit_enter, parts, n, &filter_ret->enter);
	m.leaving = true;
	m.words = results;
	if (!err && filter_ret->late)
		err = emit_body(&m, emit_leave, parts, n, &filter_ret->leave);
	if (err || !by)
		return err;
	m = (struct emitter){ .b = b, .f = f, .e = by };
	return compile_by(&m, entry, results, filter_ret);
}
