/* SPDX-License-Identifier: Apache-2.0 */
/* Assignments as they are typed, and their values as the bytes of a Go type. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json_out.h"
#include "rewrite.h"

/* ---- place = value, place = value ------------------------------------------------------------------------------ */

void rewrite_assignments_deinit(struct rewrite_assignments *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->v[i].text);
		free(list->v[i].place);
		free(list->v[i].value);
	}
	free(list->v);
	*list = (struct rewrite_assignments){ 0 };
}

static char *trimmed(const char *s, size_t n)
{
	while (n && isspace((unsigned char)*s)) {
		s++;
		n--;
	}
	while (n && isspace((unsigned char)s[n - 1]))
		n--;
	return strndup(s, n);
}

/* Bytes up to the first of `ends` that stands outside quotes and brackets, or to the end of the text. */
static size_t reach(const char *s, const char *ends)
{
	size_t i = 0, depth = 0;

	while (s[i]) {
		if (!depth && strchr(ends, s[i]))
			break;
		if (s[i] == '"' || s[i] == '`' || s[i] == '\'') {
			char quote = s[i++];
			while (s[i] && s[i] != quote)
				i += s[i] == '\\' && quote != '`' && s[i + 1] ? 2 : 1;
			i += s[i] != 0;
			continue;
		}
		if (s[i] == '(' || s[i] == '[')
			depth++;
		else if ((s[i] == ')' || s[i] == ']') && depth)
			depth--;
		i++;
	}
	return i;
}

static struct err *add_assignment(struct rewrite_assignments *list, const char *s, size_t n, const char *option)
{
	struct rewrite_assignment a = { .text = trimmed(s, n) };
	struct err *err = NULL;

	if (!a.text)
		return &err_nomem;
	size_t sign = reach(a.text, "=");
	if (!a.text[sign] || a.text[sign + 1] == '=')
		err = expression_error(a.text, (uint32_t)sign, "", "%s: an assignment is wanted, like a1=2021", option);
	else if (list->n == ASSIGNMENTS_MAX)
		err = expression_error(a.text, 0, "", "%s: more than %d assignments", option, ASSIGNMENTS_MAX);
	if (!err) {
		struct rewrite_assignment *v = realloc(list->v, (list->n + 1) * sizeof(*v));
		a.place = trimmed(a.text, sign);
		a.value_at = (uint32_t)sign + 1;
		while (isspace((unsigned char)a.text[a.value_at]))
			a.value_at++;
		a.value = strdup(a.text + a.value_at);
		if (v)
			list->v = v;
		if (!v || !a.place || !a.value)
			err = &err_nomem;
		else if (!*a.place || !*a.value)
			err = expression_error(a.text, *a.place ? a.value_at : 0, "", "%s: %s is missing", option,
					       *a.place ? "the value" : "what is to be set");
	}
	for (size_t i = 0; i < list->n && !err; i++)
		if (!strcmp(list->v[i].place, a.place))
			err = expression_error(a.text, 0, "", "%s: %s is set twice", option, a.place);
	if (err) {
		free(a.text);
		free(a.place);
		free(a.value);
		return err;
	}
	list->v[list->n++] = a;
	return NULL;
}

struct err *rewrite_assignments_parse(struct rewrite_assignments *list, const char *text, const char *option)
{
	struct err *err = NULL;

	if (strnlen(text, EXPR_TEXT_MAX) == EXPR_TEXT_MAX)
		return err_create(ERR_USAGE, "%s: more than %d bytes", option, EXPR_TEXT_MAX - 1);
	for (const char *s = text; !err;) {
		size_t n = reach(s, ",");

		err = add_assignment(list, s, n, option);
		if (!s[n])
			break;
		s += n + 1;
	}
	return err;
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

void rewrite_value_deinit(struct rewrite_value *value)
{
	free(value->string);
	free(value->json);
	free(value->shown);
	*value = (struct rewrite_value){ 0 };
}

static struct err *wrong(const struct rewrite_assignment *a, const char *hint, const char *why, const char *name)
{
	return expression_error(a->text, a->value_at, hint, "%s is %s: %s", a->place, name, why);
}

static bool is_signed(uint8_t kind)
{
	return kind >= GO_INT && kind <= GO_INT64;
}

static bool is_integer(uint8_t kind)
{
	return kind >= GO_INT && kind <= GO_UINTPTR;
}

static const char odd_size[] = "numbers of this size are not set";

static bool is_word(uint64_t size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

/* size: is_word() */
static void put_word(struct rewrite_value *out, uint64_t word, uint64_t size)
{
	out->kind = VALUE_BYTES;
	out->word = word;
	out->size = (uint32_t)size;
	memcpy(out->bytes, &word, sizeof(word));
	memset(out->bytes + size, 0, sizeof(out->bytes) - size);
}

static struct err *integer_value(const struct rewrite_assignment *a, const struct go_type *t, const char *name,
				 const struct expr_node *node, struct rewrite_value *out)
{
	uint64_t most, v = node->integer;

	if (node->op != EXPR_INT)
		return wrong(a, "", "a whole number is wanted", name);
	if (!is_word(t->size))
		return wrong(a, "", odd_size, name);
	most = UINT64_MAX >> (64 - 8 * t->size);
	if (is_signed(t->kind)) {
		most >>= 1;
		if (node->negative ? v > most + 1 : v > most)
			return expression_error(a->text, a->value_at, "", "%s is %s, which holds %lld to %llu",
						a->place, name, -(long long)most - 1, (unsigned long long)most);
		put_word(out, node->negative ? -v : v, t->size);
	} else {
		if (node->negative || v > most)
			return expression_error(a->text, a->value_at, "", "%s is %s, which holds 0 to %llu", a->place,
						name, (unsigned long long)most);
		put_word(out, v, t->size);
	}
	return NULL;
}

static struct err *float_value(const struct rewrite_assignment *a, const struct go_type *t, const char *name,
			       const struct expr_node *node, struct rewrite_value *out)
{
	double v = node->op == EXPR_REAL ? node->real : (double)node->integer;
	uint64_t word = 0;

	if (node->op != EXPR_REAL && node->op != EXPR_INT)
		return wrong(a, "", "a number is wanted", name);
	if (t->size != 4 && t->size != 8)
		return wrong(a, "", odd_size, name);
	if (node->op == EXPR_INT && node->negative)
		v = -v;
	if (t->size == 4) {
		float f = (float)v;
		if (!isfinite(f))
			return wrong(a, "", "the number is too large for it", name);
		memcpy(&word, &f, 4);
	} else {
		if (!isfinite(v))
			return wrong(a, "", "the number is too large for it", name);
		memcpy(&word, &v, 8);
	}
	put_word(out, word, t->size);
	return NULL;
}

/* The variable that an error is set to. */
static struct err *variable_value(struct program *program, const struct rewrite_assignment *a,
				  struct rewrite_value *out)
{
	static const char see[] = "`rewrite --list-errors` shows those that the program has";
	struct rewrite_variable *v;
	struct err *err;
	size_t n;

	if (strchr("\"`'0123456789-", *a->value))
		return expression_error(a->text, a->value_at, see,
					"an error cannot be made of this: the name of a package-level variable, like "
					"io.ErrUnexpectedEOF, is wanted");
	err = rewrite_variables(program, &v, &n);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(v[i].name, a->value)) {
			out->kind = VALUE_VARIABLE;
			out->variable = v[i].addr;
		}
	rewrite_variables_free(v, n);
	if (!out->variable)
		return expression_error(a->text, a->value_at, see,
					"the program has no package-level variable '%s' of type error", a->value);
	return NULL;
}

static bool can_be_nil(uint8_t kind)
{
	return kind == GO_POINTER || kind == GO_UNSAFE_POINTER || kind == GO_MAP || kind == GO_CHAN ||
	       kind == GO_FUNC || kind == GO_SLICE || kind == GO_INTERFACE;
}

static struct err *literal_value(const struct rewrite_assignment *a, const struct go_type *t, const char *name,
				 const struct expression *e, struct rewrite_value *out)
{
	const struct expr_node *node = &e->nodes[e->root];

	if (is_integer(t->kind))
		return integer_value(a, t, name, node, out);
	switch (t->kind) {
	case GO_BOOL:
		if (node->op != EXPR_BOOL)
			return wrong(a, "", "true or false is wanted", name);
		put_word(out, node->integer, 1);
		return NULL;
	case GO_FLOAT32:
	case GO_FLOAT64:
		return float_value(a, t, name, node, out);
	case GO_STRING:
		if (node->op != EXPR_STRING)
			return wrong(a, "", "a string in double quotes is wanted", name);
		out->kind = VALUE_STRING;
		out->size = node->name_len;
		out->string = malloc(out->size + 1);
		if (!out->string)
			return &err_nomem;
		memcpy(out->string, expression_string(e, node), out->size);
		out->string[out->size] = '\0';
		return NULL;
	case GO_STRUCT:
		return wrong(a, "", "it is set field by field, like a1.Field=1", name);
	case GO_ARRAY:
		return wrong(a, "", "it is set element by element, like a1[0]=1", name);
	default:
		break;
	}
	if (!can_be_nil(t->kind))
		return wrong(a, "", "values of this kind are not set", name);
	if (node->op != EXPR_NIL)
		return wrong(a, t->kind == GO_POINTER ? "what it points to can be set: its fields, or *p" : "",
			     "nothing but nil can be set", name);
	out->kind = VALUE_NIL;
	out->size = (uint32_t)t->size;
	return NULL;
}

/* The value as JSON and as Go writes it. */
static struct err *put_texts(const struct rewrite_assignment *a, const struct go_type *t, struct rewrite_value *out)
{
	struct jout j;

	jout_init(&j, -1);
	switch (out->kind) {
	case VALUE_VARIABLE:
		jout_object_begin(&j);
		jout_key(&j, "variable");
		jout_string(&j, a->value);
		jout_object_end(&j);
		break;
	case VALUE_NIL:
		jout_null(&j);
		break;
	case VALUE_STRING:
		jout_string_n(&j, out->string, out->size);
		break;
	case VALUE_BYTES:
		if (t->kind == GO_BOOL) {
			jout_bool(&j, out->word);
		} else if (t->kind == GO_FLOAT32) {
			float f;
			memcpy(&f, out->bytes, 4);
			jout_double(&j, (double)f, 32);
		} else if (t->kind == GO_FLOAT64) {
			double d;
			memcpy(&d, out->bytes, 8);
			jout_double(&j, d, 64);
		} else if (is_signed(t->kind)) {
			jout_i64(&j, (int64_t)out->word);
		} else {
			jout_u64(&j, out->word);
		}
	}
	struct err *err = jout_error(&j);
	if (!err) {
		out->json = strndup(j.buf, j.len);
		out->shown = out->kind == VALUE_VARIABLE ? strdup(a->value)
			     : out->kind == VALUE_NIL    ? strdup("nil")
							 : strndup(j.buf, j.len);
		if (!out->json || !out->shown)
			err = &err_nomem;
	}
	jout_deinit(&j);
	return err;
}

struct err *rewrite_value_parse(struct program *program, const struct type_table *types, uint32_t type,
				const struct rewrite_assignment *a, bool is_variable, struct rewrite_value *ret)
{
	const struct go_type *t = &types->v[type];
	const char *name = type_string(types, t->name);
	struct rewrite_value out = { 0 };
	struct err *err;

	bool is_error = t->kind == GO_INTERFACE && !strcmp(name, "error");
	if (is_variable && !is_error)
		return wrong(a, "", "--fail sets errors", name);
	if (is_error && (is_variable || strcmp(a->value, "nil"))) {
		err = variable_value(program, a, &out);
	} else {
		struct expression *e;
		err = expression_parse(a->value, &e);
		if (err)
			return err;
		if (expression_is_path(e))
			err = wrong(a, "", "a literal value is wanted", name);
		else
			err = literal_value(a, t, name, e, &out);
		expression_destroy(e);
	}
	if (!err)
		err = put_texts(a, t, &out);
	if (err) {
		rewrite_value_deinit(&out);
		return err;
	}
	*ret = out;
	return NULL;
}
