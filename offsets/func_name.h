/* SPDX-License-Identifier: Apache-2.0 */
/* Names of functions: instances of generic functions, patterns. The rest of the pattern language is in pclntab.h. */
#ifndef OFFSETS_FUNC_NAME_H
#define OFFSETS_FUNC_NAME_H

#include "pclntab.h"

/* How a name matches a pattern; the greater, the better. */
enum func_match {
	FUNC_MATCH_NONE = 0,
	FUNC_MATCH_WILD,     /* by '*' and '?', or a regular expression */
	FUNC_MATCH_INSTANCE, /* an instance of the generic function that the pattern names */
	FUNC_MATCH_EXACT,
};

/* Of a pattern that is no regular expression. */
enum func_match func_pattern_kind(const char *pattern, const char *name);

/* The best of a matcher's patterns. */
enum func_match func_matcher_kind(const struct func_matcher *matcher, const char *name);

/* Whether `full` is what the pclntab abbreviates to `short_name`: from the first '[' to the last ']' it has "[...]"
 * (cmd/link/internal/ld/pcln.go, generateFuncnametab, Go 1.18 to 1.20; later versions have the full name). */
bool func_name_is_instance(const char *short_name, const char *full);

/* The dictionary that code shared by instances ("[go.shape.int]") takes as a hidden parameter. */
enum func_dictionary {
	FUNC_DICT_NONE,
	FUNC_DICT_FUNC,   /* of a generic function: the first parameter */
	FUNC_DICT_METHOD, /* of a method of a generic type: beside the receiver */
};

/* first_type: the type of the first parameter, "" if there is none. Only it tells a method, F[…].m, from a closure in a function,
 * F[…].func1: closures get the dictionary behind all else, if at all; a type's equality and hash functions need none. */
enum func_dictionary func_name_dictionary(const char *name, const char *first_type);

/* How far a name is from one that was mistyped: 0 the same but for case; the less the nearer; SIZE_MAX: it is not what was meant. */
size_t func_name_nearness(const char *name, const char *wanted);

#endif
