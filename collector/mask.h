/* SPDX-License-Identifier: Apache-2.0 */
/* Names whose values are not shown: one regular expression (POSIX extended, letters of both cases alike), found anywhere in a name. */
#ifndef COLLECTOR_MASK_H
#define COLLECTOR_MASK_H

#include <stdbool.h>
#include <stddef.h>

#include "../offsets/error.h"

#define MASK_REGEX_MAX 1024 /* bytes */

struct mask;

/* ERR_USAGE with the library's own words where it is no regular expression, or one that would need much memory or time. */
struct err *mask_create(const char *regex, struct mask **ret);
void mask_destroy(struct mask *mask);

/* Is what has this name hidden? The answer is kept: `name` must stay as it is as long as the mask. NULL hides nothing. */
bool mask_hides(struct mask *mask, const char *name);

/* The same of an expression: is any of the names and string literals in it hidden? */
bool mask_hides_expression(struct mask *mask, const char *text);

/* The same of bytes of the traced program (a map's key): of its first MASK_NAME_MAX bytes. */
bool mask_hides_bytes(struct mask *mask, const void *bytes, size_t n);

#define MASK_NAME_MAX 256

#endif
