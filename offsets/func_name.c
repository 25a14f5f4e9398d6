/* SPDX-License-Identifier: Apache-2.0 */
#include "func_name.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#define ELLIPSIS "[...]"
#define SUGGEST_NAME_MAX 200 /* bytes: longer names are nothing that anybody mistypes */

/* A string in three parts, put together only in the mind: what is before the type arguments, something in their
 * place, what is behind. */
struct spliced {
	const char *part[3];
	size_t size[3];
};

/* Split a name at its type arguments. False if it has none. */
static bool split_instance(const char *name, const char *middle, struct spliced *ret)
{
	const char *open = strchr(name, '['), *close = open ? strrchr(open, ']') : NULL;

	if (!close)
		return false;
	*ret = (struct spliced){
		.part = { name, middle, close + 1 },
		.size = { (size_t)(open - name), strlen(middle), strlen(close + 1) },
	};
	return true;
}

static size_t spliced_size(const struct spliced *s)
{
	return s->size[0] + s->size[1] + s->size[2];
}

static char spliced_at(const struct spliced *s, size_t i)
{
	if (i < s->size[0])
		return s->part[0][i];
	i -= s->size[0];
	return i < s->size[1] ? s->part[1][i] : s->part[2][i - s->size[1]];
}

static bool spliced_equals(const struct spliced *s, const char *text)
{
	if (strlen(text) != spliced_size(s))
		return false;
	for (int i = 0; i < 3; i++) {
		if (memcmp(text, s->part[i], s->size[i]) != 0)
			return false;
		text += s->size[i];
	}
	return true;
}

/* Is `type` (with a pointer's star or without) the one that ends in `base`, a type's name without its package? */
static bool is_receiver(const char *type, const char *base, size_t len)
{
	size_t n = strlen(type);

	return n > len && type[n - len - 1] == '.' && !memcmp(type + n - len, base, len);
}

enum func_dictionary func_name_dictionary(const char *name, const char *first_type)
{
	const char *open = strchr(name, '['), *close = open ? strrchr(open, ']') : NULL;
	const char *rest = close ? close + 1 : "", *base;

	if (!close || (!strstr(name, "[go.shape.") && !strstr(name, ELLIPSIS)))
		return FUNC_DICT_NONE;
	if (!strncmp(name, "type:.", 6) || !strncmp(name, "type..", 6)) /* the latter up to Go 1.19 */
		return FUNC_DICT_NONE;
	if (!*rest)
		return FUNC_DICT_FUNC;
	if (*rest == ')')
		rest++;
	if (*rest != '.' || strpbrk(rest + 1, ".-"))
		return FUNC_DICT_NONE;
	for (base = open; base > name && base[-1] != '.' && base[-1] != '/';)
		base--;
	if (base[0] == '(' && base[1] == '*')
		base += 2;
	return is_receiver(first_type, base, close + 1 - base) ? FUNC_DICT_METHOD : FUNC_DICT_NONE;
}

bool func_name_is_instance(const char *short_name, const char *full)
{
	struct spliced s;

	return split_instance(full, ELLIPSIS, &s) && spliced_equals(&s, short_name);
}

/* '*' and '?' only. On a mismatch the last '*' takes one more character; going back further never helps, so that the
 * time is at most the product of the two lengths. */
static bool glob(const char *pattern, const struct spliced *s)
{
	size_t n = spliced_size(s), i = 0, star_at = 0;
	const char *star = NULL;

	while (i < n) {
		if (*pattern == '*') {
			star = pattern++;
			star_at = i;
		} else if (*pattern && (*pattern == '?' || *pattern == spliced_at(s, i))) {
			pattern++;
			i++;
		} else if (star) {
			pattern = star + 1;
			i = ++star_at;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

/* No Go name begins with a slash. */
static bool is_regex(const char *pattern)
{
	size_t n = strlen(pattern);

	return n > 2 && pattern[0] == '/' && pattern[n - 1] == '/';
}

bool func_pattern_is_wild(const char *pattern)
{
	return is_regex(pattern) || strpbrk(pattern, "*?") != NULL;
}

enum func_match func_pattern_kind(const char *pattern, const char *name)
{
	struct spliced whole = { .part = { name, "", "" }, .size = { strlen(name), 0, 0 } }, without, abbreviated;
	bool is_instance, wild;

	if (!strcmp(pattern, name))
		return FUNC_MATCH_EXACT;
	is_instance = split_instance(name, "", &without) && split_instance(name, ELLIPSIS, &abbreviated);
	if (is_instance && (spliced_equals(&without, pattern) || spliced_equals(&abbreviated, pattern)))
		return FUNC_MATCH_INSTANCE;
	wild = func_pattern_is_wild(pattern);
	if (wild &&
	    (glob(pattern, &whole) || (is_instance && (glob(pattern, &without) || glob(pattern, &abbreviated)))))
		return FUNC_MATCH_WILD;
	return FUNC_MATCH_NONE;
}

struct func_matcher {
	size_t n;
	struct {
		const char *text; /* the caller's */
		regex_t *regex;   /* NULL: a plain pattern */
	} v[];
};

static struct err *compile(const char *pattern, regex_t **ret)
{
	char *text _cleanup_free_ = strndup(pattern + 1, strlen(pattern) - 2), why[128];
	regex_t *regex = calloc(1, sizeof(*regex));
	int error = text && regex ? regcomp(regex, text, REG_EXTENDED | REG_NOSUB) : REG_ESPACE;

	if (!error) {
		*ret = regex;
		return NULL;
	}
	if (error == REG_ESPACE) {
		free(regex);
		return &err_nomem;
	}
	regerror(error, regex, why, sizeof(why));
	free(regex);
	return err_create(ERR_USAGE, "'%s' is no regular expression: %s", pattern, why);
}

struct err *func_matcher_create(const char *const *patterns, size_t n, struct func_matcher **ret)
{
	struct func_matcher *m = calloc(1, sizeof(*m) + n * sizeof(*m->v));

	if (!m)
		return &err_nomem;
	for (m->n = 0; m->n < n; m->n++) {
		m->v[m->n].text = patterns[m->n];
		struct err *err = is_regex(patterns[m->n]) ? compile(patterns[m->n], &m->v[m->n].regex) : NULL;
		if (err) {
			func_matcher_destroy(m);
			return err;
		}
	}
	*ret = m;
	return NULL;
}

void func_matcher_destroy(struct func_matcher *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++) {
		if (m->v[i].regex)
			regfree(m->v[i].regex);
		free(m->v[i].regex);
	}
	free(m);
}

enum func_match func_matcher_kind(const struct func_matcher *m, const char *name)
{
	enum func_match best = FUNC_MATCH_NONE;

	for (size_t i = 0; i < m->n && best != FUNC_MATCH_EXACT; i++) {
		enum func_match kind;

		if (m->v[i].regex)
			kind = regexec(m->v[i].regex, name, 0, NULL, 0) ? FUNC_MATCH_NONE : FUNC_MATCH_WILD;
		else
			kind = func_pattern_kind(m->v[i].text, name);
		if (kind > best)
			best = kind;
	}
	return best;
}

bool func_matcher_match(const struct func_matcher *m, const char *name)
{
	return func_matcher_kind(m, name) != FUNC_MATCH_NONE;
}

/* ---- suggestions ------------------------------------------------------------------------------------------ */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static bool equal_ignoring_case(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

/* Levenshtein distance, letters compared without case; anything greater than `limit` where it is greater. */
static size_t distance(const char *a, size_t n, const char *b, size_t m, size_t limit)
{
	size_t row[SUGGEST_NAME_MAX + 1];

	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t diagonal = row[0], least;

		least = row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t above = row[j], cost = diagonal + (lower(a[i - 1]) != lower(b[j - 1]));

			if (above + 1 < cost)
				cost = above + 1;
			if (row[j - 1] + 1 < cost)
				cost = row[j - 1] + 1;
			row[j] = cost;
			diagonal = above;
			if (cost < least)
				least = cost;
		}
		if (least > limit)
			return least;
	}
	return row[m];
}

/* How far a name is from what was asked for; greater than `limit` if it is no suggestion. 0: the same but for case;
 * 1: the same but for what stands before it ("ebpfDemo" for "main.ebpfDemo", "http.Get" for "net/http.Get"); then by
 * distance. */
static size_t score(const char *name, size_t name_size, const char *wanted, size_t wanted_size, size_t limit)
{
	size_t longer = name_size > wanted_size ? name_size - wanted_size : wanted_size - name_size;

	if (name_size == wanted_size && equal_ignoring_case(name, wanted, name_size))
		return 0;
	if (name_size > wanted_size && strchr("./", name[longer - 1]) &&
	    equal_ignoring_case(name + longer, wanted, wanted_size))
		return 1;
	if (longer + 1 > limit)
		return limit + 1;
	return 1 + distance(name, name_size, wanted, wanted_size, limit);
}

size_t func_name_nearness(const char *name, const char *wanted)
{
	size_t name_size = strnlen(name, SUGGEST_NAME_MAX + 1), wanted_size = strnlen(wanted, SUGGEST_NAME_MAX + 1);
	/* of one letter nothing is left when one is changed */
	size_t limit = 2 + wanted_size / 4 < wanted_size ? 2 + wanted_size / 4 : wanted_size, s;

	if (name_size > SUGGEST_NAME_MAX || wanted_size > SUGGEST_NAME_MAX)
		return SIZE_MAX;
	s = score(name, name_size, wanted, wanted_size, limit);
	return s <= limit ? s : SIZE_MAX;
}

size_t func_table_suggest(const struct func_table *table, const char *name, const char **v, size_t max)
{
	size_t wanted_size = strlen(name), limit = 2 + wanted_size / 4, n = 0;
	size_t *scores = calloc(max ? max : 1, sizeof(*scores));

	if (!scores || !max || !wanted_size || wanted_size > SUGGEST_NAME_MAX)
		goto out;
	for (size_t i = 0; i < table->n; i++) {
		const char *candidate = table->v[i].name;
		size_t size = strnlen(candidate, SUGGEST_NAME_MAX + 1), at, s;
		size_t worst = n == max ? scores[n - 1] - (scores[n - 1] > 0) : limit;
		bool known = false;

		if (!(table->v[i].source & FUNC_PCLNTAB) || size > SUGGEST_NAME_MAX)
			continue;
		s = score(candidate, size, name, wanted_size, worst);
		if (s > worst || (n == max && s >= scores[n - 1]))
			continue;
		for (at = 0; at < n && !known; at++)
			known = !strcmp(v[at], candidate);
		if (known)
			continue;
		if (n < max)
			n++;
		for (at = n - 1; at > 0 && scores[at - 1] > s; at--) {
			scores[at] = scores[at - 1];
			v[at] = v[at - 1];
		}
		scores[at] = s;
		v[at] = candidate;
	}
out:
	free(scores);
	return n;
}
