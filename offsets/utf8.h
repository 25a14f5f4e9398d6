/* SPDX-License-Identifier: Apache-2.0 */
/* What is well-formed UTF-8 (Unicode 15, table 3-7), and which characters are not shown as they stand. */
#ifndef OFFSETS_UTF8_H
#define OFFSETS_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed sequence at s (1–4), or 0 if the n bytes there begin with none: then one byte is to be
 * passed over. */
static inline size_t utf8_sequence(const void *at, size_t n)
{
	const uint8_t *s = at;
	uint8_t low = 0x80, high = 0xbf;
	size_t len;

	if (!n)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2)
		return 0; /* a continuation byte, or an overlong form */
	if (s[0] < 0xe0) {
		len = 2;
	} else if (s[0] < 0xf0) {
		len = 3;
		if (s[0] == 0xe0)
			low = 0xa0; /* overlong */
		else if (s[0] == 0xed)
			high = 0x9f; /* surrogates */
	} else if (s[0] < 0xf5) {
		len = 4;
		if (s[0] == 0xf0)
			low = 0x90; /* overlong */
		else if (s[0] == 0xf4)
			high = 0x8f; /* past U+10FFFF */
	} else {
		return 0;
	}
	if (n < len || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

/* The character of a well-formed sequence of len bytes. */
static inline uint32_t utf8_decode(const void *at, size_t len)
{
	static const uint8_t mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	const uint8_t *s = at;
	uint32_t c = s[0] & mask[len];

	for (size_t i = 1; i < len; i++)
		c = c << 6 | (s[i] & 0x3f);
	return c;
}

/* Characters that steer a terminal or end a line for some reader: C0, DEL, C1, line and paragraph separators, and
 * the ones that turn the direction of text (so that what is shown is what is there). */
static inline bool utf8_is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

#endif
