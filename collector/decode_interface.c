/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces: the run-time type says which type of the plan the value has (runtime/runtime2.go, iface and eface). */
#include <stdio.h>
#include <string.h>

#include "decode_priv.h"
#include "error_text.h"

#define ITAB_TYPE 8      /* offset of the type in an itab (internal/abi.ITab) */
#define UNKNOWN_BYTES 64 /* shown of a value whose type is not known */

struct held {
	uint64_t type; /* link address of the run-time type; 0: the interface is nil */
	uint64_t data;
};

/* The two words. False where they are not there. */
static bool read_words(struct decoder *d, const struct place *p, const struct go_type *t, struct held *ret)
{
	uint64_t word;
	struct place itab;

	if (!place_read(d, p, 0, 8, &word))
		return false;
	ret->type = ret->data = 0;
	if (!word)
		return true;
	if (!place_read(d, p, 8, 8, &ret->data))
		return false;
	if (!(t->flags & TYPE_EMPTY_IFACE) &&
	    (!place_behind(d, word + ITAB_TYPE, 8, &itab) || !place_read(d, &itab, 0, 8, &word)))
		return false;
	ret->type = word - (d->view->head->ip - d->site->addr);
	return true;
}

/* Where the value itself is. `word` must live as long as the place. */
static bool find_value(struct decoder *d, const struct place *p, const struct held *held, const struct go_type *t,
		       struct place *ret)
{
	if (t->flags & TYPE_DIRECT) {
		*ret = place_at(p, 8);
		return true;
	}
	if (!t->size) {
		*ret = (struct place){ .mem = (const uint8_t *)"" };
		return true;
	}
	return place_behind(d, held->data, 1, ret);
}

bool interface_holds(struct decoder *d, const struct place *p, const struct go_type *t, uint32_t *type_ret,
		     struct place *value_ret)
{
	const struct go_type *type;
	struct held held;

	if (!d->names || !read_words(d, p, t, &held) || !held.type)
		return false;
	*type_ret = names_type(d->names, held.type);
	type = type_at(d, *type_ret);
	return type && !is_left_out(type) && find_value(d, p, &held, type, value_ret);
}

/* A type that the plan does not have: its name where the run-time system tells it, and its first bytes. */
static void show_unknown(struct decoder *d, const struct held *held)
{
	char name[RTYPE_NAME_MAX];
	const uint8_t *bytes;
	uint64_t n;

	if (!d->names || !names_type_name(d->names, held->type, name))
		snprintf(name, sizeof(name), "?");
	d->ops->interface_begin(d, name, NULL, 0);
	d->ops->absent(d, "not decoded", "the make-up of its type is not known");
	if (held->data && find_bytes(d->view, held->data, &bytes, &n))
		d->ops->bytes(d, bytes, n < UNKNOWN_BYTES ? n : UNKNOWN_BYTES);
	d->ops->interface_end(d, NULL, 0);
}

void decode_interface(struct decoder *d, const struct place *p, const struct go_type *t)
{
	const struct go_type *type;
	struct place value;
	struct jout text;
	struct held held;
	const char *name;
	uint32_t index;

	if (!read_words(d, p, t, &held)) {
		decode_absent(d);
		return;
	}
	if (!held.type) {
		d->ops->nil(d);
		return;
	}
	index = d->names ? names_type(d->names, held.type) : TYPE_NONE;
	type = type_at(d, index);
	if (!type || is_left_out(type)) {
		show_unknown(d, &held);
		return;
	}
	name = plan_string(d->plan, type->name);
	jout_init(&text, -1);
	bool there = find_value(d, p, &held, type, &value);
	char word[16], why[sizeof(d->why)];
	snprintf(word, sizeof(word), "%s", there ? "" : d->word);
	snprintf(why, sizeof(why), "%s", there ? "" : d->why);
	const char *said = NULL;
	if (there && error_text(d, &value, index, &text))
		said = text.len ? text.buf : "";
	if (!d->ops->interface_begin(d, name, said, text.len)) {
		path_push(d, (struct path_part){ .kind = PATH_ASSERT, .name = name });
		d->in_interface = said;
		if (there)
			decode_value(d, &value, index);
		else
			d->ops->absent(d, word, why);
		d->in_interface = false;
		d->n_path--;
	}
	d->ops->interface_end(d, said, text.len);
	jout_deinit(&text);
}
