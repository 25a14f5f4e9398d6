/* SPDX-License-Identifier: Apache-2.0 */
/* The text of errors, put together as their Error methods do: only for types whose method is known, and only where all parts were read. */
#ifndef COLLECTOR_ERROR_TEXT_H
#define COLLECTOR_ERROR_TEXT_H

#include "decode.h"

struct place;

/* The pattern for a type of that name; -1 without one. */
int error_pattern(const char *type_name);

/* Append the text of an error, or of another value that people read otherwise. False, and nothing appended, where it cannot be had. */
bool error_text(struct decoder *d, const struct place *p, uint32_t type, struct jout *out);

#endif
