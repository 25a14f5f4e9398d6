/* SPDX-License-Identifier: Apache-2.0 */
/* The expression parser and its types without a program: each line of stdin is a text in hex; the answer is one line: the tree, or what is
 * wrong. "typed" as the argument: with types, against the names and types made below. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../offsets/dwarf_info.h"
#include "../../offsets/expression.h"

static struct type_table types;

/* There is no debug information here: the table below has all types. */
struct err *dwarf_info_complete(struct dwarf_info *dw, struct type_table *table, uint32_t type)
{
	(void)dw;
	(void)table;
	(void)type;
	return NULL;
}

struct err *dwarf_info_type(struct dwarf_info *dw, const char *name, struct type_table *table, uint32_t *type_ret)
{
	(void)dw;
	(void)name;
	(void)table;
	(void)type_ret;
	return &err_notfound;
}

static void check(struct err *err)
{
	if (err) {
		fprintf(stderr, "expression_harness: %s\n", err->msg);
		exit(2);
	}
}

static uint32_t add(const char *name, uint8_t kind, uint64_t size, uint32_t elem)
{
	struct go_type t = { .kind = kind, .flags = TYPE_COMPLETE, .size = size, .elem = elem, .key = TYPE_NONE };
	uint32_t index;

	t.first_field = (uint32_t)types.n_fields;
	check(type_table_intern(&types, name, &t.name));
	check(type_table_add(&types, &t, &index));
	return index;
}

static void field(uint32_t of, const char *name, uint32_t type, uint64_t offset, bool embedded)
{
	struct go_field f = { .type = type, .offset = offset, .embedded = embedded };

	check(type_table_intern(&types, name, &f.name));
	if (!types.v[of].n_fields)
		types.v[of].first_field = (uint32_t)types.n_fields;
	types.v[of].n_fields++;
	check(type_table_add_field(&types, &f));
}

static struct expression_name names[32];
static size_t n_names;

static void name(const char *text, uint32_t type, bool result)
{
	names[n_names++] = (struct expression_name){ .name = text, .type = type, .result = result };
}

static void make_scope(void)
{
	uint32_t integer = add("int", GO_INT, 8, TYPE_NONE), u8 = add("uint8", GO_UINT8, 1, TYPE_NONE);
	uint32_t string = add("string", GO_STRING, 16, TYPE_NONE), boolean = add("bool", GO_BOOL, 1, TYPE_NONE);
	uint32_t real = add("float64", GO_FLOAT64, 8, TYPE_NONE), iface = add("error", GO_INTERFACE, 16, TYPE_NONE);
	uint32_t inner = add("main.Inner", GO_STRUCT, 16, TYPE_NONE),
		 other = add("main.Other", GO_STRUCT, 8, TYPE_NONE);
	uint32_t base = add("main.Base", GO_STRUCT, 24, TYPE_NONE), t = add("main.T", GO_STRUCT, 96, TYPE_NONE);
	uint32_t p = add("*main.T", GO_POINTER, 8, t), pbase = add("*main.Base", GO_POINTER, 8, base);
	uint32_t both = add("main.Two", GO_STRUCT, 24, TYPE_NONE);
	uint32_t xs = add("[]main.T", GO_SLICE, 24, t), arr = add("[3]int", GO_ARRAY, 24, integer);
	uint32_t m = add("map[string]main.T", GO_MAP, 8, t), small = add("map[uint8]int", GO_MAP, 8, integer);

	types.v[arr].count = 3;
	types.v[m].key = string;
	types.v[small].key = u8;
	field(inner, "A", integer, 0, false);
	field(inner, "Both", integer, 8, false);
	field(other, "Both", integer, 0, false);
	field(base, "Inner", inner, 0, true);
	field(base, "Deep", integer, 16, false);
	field(both, "Inner", inner, 0, true);
	field(both, "Other", other, 16, true);
	field(t, "Name", string, 0, false);
	field(t, "Base", pbase, 16, true);
	field(t, "Other", other, 24, true);
	field(t, "Next", p, 32, false);
	field(t, "Kids", xs, 40, false);
	field(t, "Err", iface, 64, false);
	name("n", integer, false);
	name("u", u8, false);
	name("s", string, false);
	name("ok", boolean, false);
	name("f", real, false);
	name("err", iface, false);
	name("t", t, false);
	name("p", p, false);
	name("pp", add("**main.T", GO_POINTER, 8, p), false);
	name("xs", xs, false);
	name("arr", arr, false);
	name("parr", add("*[3]int", GO_POINTER, 8, arr), false);
	name("m", m, false);
	name("small", small, false);
	name("ch", add("chan int", GO_CHAN, 8, integer), false);
	name("matrix", add("[][]int", GO_SLICE, 24, add("[]int", GO_SLICE, 24, integer)), false);
	name("void", add("*void", GO_POINTER, 8, TYPE_NONE), false);
	name("two", both, false);
	name("r", string, true);
	name("~r1", integer, true);
}

static void show_name(const struct expression *e, const struct expr_node *n)
{
	for (uint32_t i = 0; i < n->name_len; i++) {
		unsigned char c = (unsigned char)e->strings[n->name + i];
		printf(c < 0x20 || c == '\\' || c >= 0x7f ? "\\x%02x" : "%c", c);
	}
}

static void show(const struct expression *e, uint16_t node)
{
	static const char *const ops[] = {
		[EXPR_FIELD] = ".",     [EXPR_DEREF] = "*",   [EXPR_INDEX] = "index", [EXPR_KEY] = "key",
		[EXPR_SLICE] = "range", [EXPR_EACH] = "each", [EXPR_ASSERT] = "is",   [EXPR_LEN] = "len",
		[EXPR_CAP] = "cap",     [EXPR_NOT] = "!",     [EXPR_EQ] = "==",       [EXPR_NE] = "!=",
		[EXPR_LT] = "<",        [EXPR_LE] = "<=",     [EXPR_GT] = ">",        [EXPR_GE] = ">=",
		[EXPR_AND] = "&&",      [EXPR_OR] = "||",
	};
	const struct expr_node *n = &e->nodes[node];

	switch (n->op) {
	case EXPR_NAME:
		show_name(e, n);
		return;
	case EXPR_INT:
		printf("%s%llu", n->negative ? "-" : "", (unsigned long long)n->integer);
		return;
	case EXPR_REAL:
		printf("%.17g", n->real);
		return;
	case EXPR_STRING:
		printf("\"");
		show_name(e, n);
		printf("\"");
		return;
	case EXPR_BOOL:
		printf(n->integer ? "true" : "false");
		return;
	case EXPR_NIL:
		printf("nil");
		return;
	}
	printf("(%s ", ops[n->op]);
	show(e, n->a);
	if (n->b) {
		printf(" ");
		show(e, n->b);
	}
	if (n->op == EXPR_FIELD || n->op == EXPR_ASSERT) {
		printf(" ");
		show_name(e, n);
	}
	if (n->op == EXPR_INDEX || n->op == EXPR_SLICE || n->op == EXPR_EACH)
		printf(" %u", n->lo);
	if ((n->op == EXPR_SLICE || n->op == EXPR_EACH) && n->hi != EXPR_OPEN)
		printf(" %u", n->hi);
	printf(")");
}

static void show_type(const struct expression *e)
{
	const struct expr_node *root = &e->nodes[e->root];

	printf(" :");
	for (int i = 0; i < root->lists; i++)
		printf("list of ");
	printf("%s", root->type != TYPE_NONE ? type_string(&types, types.v[root->type].name)
					     : go_kind_name((enum go_kind)root->kind));
	printf("%s%s", e->params ? " params" : "", e->results ? " results" : "");
}

static void answer(const char *text, bool typed)
{
	struct expression_scope scope = { .types = &types, .names = names, .n_names = n_names };
	struct expression_list list = { 0 };
	struct err *err = expression_list_parse(&list, text);

	for (size_t i = 0; i < list.n && !err; i++) {
		struct expression *with_types = NULL;

		if (typed)
			err = expression_resolve(list.v[i], &scope, &with_types);
		if (err)
			break;
		if (i)
			printf(", ");
		show(typed ? with_types : list.v[i], (typed ? with_types : list.v[i])->root);
		if (typed)
			show_type(with_types);
		expression_destroy(with_types);
	}
	if (err)
		printf(err->line ? "error: %s; in: %u %s" : "error: %s", err->msg, err->column, err->line);
	printf("\n");
	err_destroy(err);
	expression_list_deinit(&list);
}

int main(int argc, char **argv)
{
	static char line[1 << 16], text[1 << 15];

	type_table_init(&types);
	make_scope();
	while (fgets(line, sizeof(line), stdin)) {
		size_t n = 0;
		unsigned int byte;

		for (char *s = line; sscanf(s, "%2x", &byte) == 1 && n < sizeof(text) - 1; s += 2)
			text[n++] = (char)byte;
		text[n] = '\0';
		answer(text, argc > 1 && !strcmp(argv[1], "typed"));
	}
	type_table_deinit(&types);
	return 0;
}
