/* SPDX-License-Identifier: Apache-2.0 */
/* What the files decode*.c share: places of values, and the decoding of one kind each. */
#ifndef COLLECTOR_DECODE_PRIV_H
#define COLLECTOR_DECODE_PRIV_H

#include "decode.h"
#include "names.h"

/* Either memory that a chunk holds (mem) or the pieces of a parameter. */
struct place {
	const uint8_t *mem;
	uint64_t n_mem;
	const struct plan_piece *pieces;
	uint32_t n_pieces;
	uint64_t offset; /* of the value, in mem or in what the pieces make up */
};

static inline struct place place_at(const struct place *p, uint64_t offset)
{
	struct place sub = *p;

	sub.offset += offset;
	return sub;
}

/* The chunk that holds the byte at `addr` and the most behind it; NULL where none does. */
const struct chunk_view *find_bytes(const struct record_view *view, uint64_t addr, const uint8_t **data_ret,
				    uint64_t *n_ret);

/* Was a read at that address tried, and refused? Why? */
bool is_fault(const struct decoder *d, uint64_t addr);
const char *fault_why(const struct decoder *d, uint64_t addr);

/* Note why a value is not there; false. decode_absent() tells it. */
bool missing(struct decoder *d, const char *word, const char *why);
void decode_absent(struct decoder *d);

/* Copy bytes of a value. False where they are not there: d->word and d->why say why. */
bool place_read(struct decoder *d, const struct place *p, uint64_t offset, uint32_t size, void *to);
bool place_is_absent(struct decoder *d, const struct place *p, uint64_t size);

/* All of what stands at an address, where `size` bytes of it were read; else false, as place_read(). */
bool place_behind(struct decoder *d, uint64_t addr, uint64_t size, struct place *ret);

/* A whole string. False where it was not read to its end. */
bool read_string(struct decoder *d, const struct place *p, const uint8_t **s_ret, size_t *n_ret);

void path_push(struct decoder *d, struct path_part part);

const struct go_type *type_at(const struct decoder *d, uint32_t type);
bool is_left_out(const struct go_type *t);

const struct followed *find_cycle(const struct decoder *d, uint64_t addr, uint32_t type);
void decode_follow(struct decoder *d, uint64_t addr, uint32_t type, uint32_t n_path);

void decode_value(struct decoder *d, const struct place *p, uint32_t type);

/* decode_caller.c: bytes of a piece that the caller has. False where it is not known that it does. */
bool caller_read(struct decoder *d, const struct plan_piece *piece, uint64_t offset, uint32_t size, void *to);

/* decode_way.c: what the ways of a value lead to, from its parameter. */
void decode_ways(struct decoder *d, const struct plan_value *value);

/* decode_runtime.c */
void decode_chan(struct decoder *d, const struct place *p);
void decode_func(struct decoder *d, const struct place *p);

/* The word that stands for such a value. False: it is nil or not there, and that has been said. */
bool decode_read_pointer(struct decoder *d, const struct place *p, uint64_t *addr_ret);

/* A pointer, where it is all that can be shown. */
void decode_bare_pointer(struct decoder *d, uint64_t addr, const char *word, const char *why);

/* decode_map.c */
void decode_map(struct decoder *d, const struct place *p, uint32_t type, const struct go_type *t);

/* The address of a map's element, whose key the way has. False where it has none or that is not known. */
bool map_find(struct decoder *d, uint64_t addr, uint32_t type, const struct plan_way *way, uint64_t *elem_ret);

/* decode_interface.c */
void decode_interface(struct decoder *d, const struct place *p, const struct go_type *t);

/* What an interface at a place holds: its type in the plan and its value. False where that is not known. */
bool interface_holds(struct decoder *d, const struct place *p, const struct go_type *t, uint32_t *type_ret,
		     struct place *value_ret);

/* value_text.c: appends a value as people read it. False, and nothing appended: it is read as it is. */
bool value_text(struct decoder *d, const struct place *p, uint32_t type, struct jout *out);

#define VALUE_TEXT_MAX 64
size_t ip_text(const uint8_t *ip, size_t n, char text[VALUE_TEXT_MAX]);
size_t duration_text(int64_t ns, char text[VALUE_TEXT_MAX]);
size_t time_text(uint64_t wall, int64_t ext, char text[VALUE_TEXT_MAX]);

/* What texts are made of. A struct's field of that name and kind (0: any); NULL where there is none, or its name is to be masked. */
const struct go_field *field_of(const struct decoder *d, const struct go_type *t, const char *name, uint8_t kind);

/* What a pointer points to; other values are themselves. False where it is nil or was not read. */
bool dereference(struct decoder *d, const struct place *p, const struct go_type **t, struct place *ret);

/* Append a whole string. False where it was not read to its end. */
bool put_string(struct decoder *d, const struct place *p, struct jout *out);

/* net_text.c: netip.Addr, or with `port` netip.AddrPort; url.URL */
bool netip_text(struct decoder *d, const struct place *p, const struct go_type *t, bool port, struct jout *out);
bool url_text(struct decoder *d, const struct place *p, const struct go_type *t, struct jout *out);

#endif
