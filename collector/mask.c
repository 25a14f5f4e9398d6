/* SPDX-License-Identifier: Apache-2.0 */
#include "mask.h"

#include <ctype.h>
#include <regex.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The library makes a copy of what is repeated for each repetition: the product of all counts bounds its memory. */
#define REPEAT_MAX 1024
#define KEPT 1024 /* answers that are kept, a power of two: a trace has some tens of names */

struct mask {
	regex_t regex;
	struct {
		const char *name;
		bool expression, hides;
	} kept[KEPT];
};

/* Back-references take exponential time, nested repetitions as much memory. */
static const char *too_dear(const char *regex)
{
	unsigned long product = 1;

	for (const char *s = regex; *s; s++) {
		if (*s == '\\' && s[1]) {
			if (isdigit((unsigned char)*++s))
				return "back-references are not supported";
		} else if (*s == '{') {
			for (const char *n = s + 1; isdigit((unsigned char)*n) || *n == ','; n++) {
				if (!isdigit((unsigned char)*n))
					continue;
				char *end;
				unsigned long v = strtoul(n, &end, 10);
				if (v > REPEAT_MAX || (v > 1 && (product *= v) > REPEAT_MAX))
					return "it repeats too often";
				n = end - 1;
			}
		}
	}
	return NULL;
}

struct err *mask_create(const char *regex, struct mask **ret)
{
	struct mask *mask;
	char why[128];
	int error;

	if (!*regex)
		return err_create(ERR_USAGE, "--mask: an empty expression would hide everything");
	if (strlen(regex) > MASK_REGEX_MAX)
		return err_create(ERR_USAGE, "--mask: more than %d bytes", MASK_REGEX_MAX);
	if (too_dear(regex))
		return err_create(ERR_USAGE, "--mask '%s': %s", regex, too_dear(regex));
	mask = calloc(1, sizeof(*mask));
	if (!mask)
		return &err_nomem;
	error = regcomp(&mask->regex, regex, REG_EXTENDED | REG_NOSUB | REG_ICASE);
	if (error) {
		regerror(error, &mask->regex, why, sizeof(why));
		free(mask);
		return err_create(ERR_USAGE, "--mask '%s': %s", regex, why);
	}
	*ret = mask;
	return NULL;
}

void mask_destroy(struct mask *mask)
{
	if (!mask)
		return;
	regfree(&mask->regex);
	free(mask);
}

bool mask_hides_bytes(struct mask *mask, const void *bytes, size_t n)
{
	char name[MASK_NAME_MAX + 1];

	if (!mask)
		return false;
	if (n > MASK_NAME_MAX)
		n = MASK_NAME_MAX;
	memcpy(name, bytes, n);
	for (size_t i = 0; i < n; i++)
		if (!name[i])
			name[i] = ' '; /* what stands behind a NUL counts as well */
	name[n] = '\0';
	/* No memory counts as a match: better too little is shown than too much. */
	return regexec(&mask->regex, name, 0, NULL, 0) != REG_NOMATCH;
}

/* Bytes of the name or string literal at s; *start_ret: where it begins. 0: there is none. */
static size_t word_at(const char *s, size_t *start_ret)
{
	size_t n = 0;

	*start_ret = 0;
	if (*s == '"' || *s == '`') {
		*start_ret = 1;
		for (n = 1; s[n] && s[n] != *s; n++)
			if (*s == '"' && s[n] == '\\' && s[n + 1])
				n++;
		return n - 1;
	}
	while (isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '~' || (unsigned char)s[n] >= 0x80)
		n++;
	return n;
}

static bool any_word_hides(struct mask *mask, const char *text)
{
	size_t start, n;

	for (const char *s = text; *s;) {
		n = word_at(s, &start);
		if (n && mask_hides_bytes(mask, s + start, n))
			return true;
		s += start + n;
		s += *s && (start || !n);
	}
	return false;
}

static bool answer(struct mask *mask, const char *name, bool expression)
{
	uint32_t slot = (uint32_t)(((uintptr_t)name * UINT64_C(0x9e3779b97f4a7c15)) >> 54) & (KEPT - 1);

	if (mask->kept[slot].name == name && mask->kept[slot].expression == expression)
		return mask->kept[slot].hides;
	mask->kept[slot].name = name;
	mask->kept[slot].expression = expression;
	mask->kept[slot].hides = expression ? any_word_hides(mask, name) : mask_hides_bytes(mask, name, strlen(name));
	return mask->kept[slot].hides;
}

bool mask_hides(struct mask *mask, const char *name)
{
	return mask && answer(mask, name, false);
}

bool mask_hides_expression(struct mask *mask, const char *text)
{
	return mask && answer(mask, text, true);
}
