/* SPDX-License-Identifier: Apache-2.0 */
/* Names behind addresses of a traced program: its functions and run-time types. The file is opened when a name is first asked for. */
#ifndef COLLECTOR_NAMES_H
#define COLLECTOR_NAMES_H

#include "../offsets/inlines.h"
#include "../offsets/plan.h"
#include "../offsets/rtypes.h"

struct names;

/* `fd` is the caller's and stays open. Both outlive the result. */
struct err *names_create(const struct plan *plan, int fd, struct names **ret);
void names_destroy(struct names *names);

/* The plan's type for a run-time type, by its link address; TYPE_NONE where the plan has none. */
uint32_t names_type(const struct names *names, uint64_t addr);

/* The run-time system's own name of a type, by its link address. False where there is none. */
bool names_type_name(struct names *names, uint64_t addr, char name[RTYPE_NAME_MAX]);

/* The function whose code holds a link address; NULL where there is none. */
const char *names_function(struct names *names, uint64_t addr);

/* What stands at a link address: func_table_frames(). 0: not known. */
size_t names_frames(struct names *names, uint64_t addr, struct func_frame *v, size_t max);

/* Does the file have something at that link address, so that it is no address of the heap? */
bool names_in_file(struct names *names, uint64_t addr);

/* Types whose values people read otherwise than Go keeps them. */
enum special {
	SPECIAL_NONE,
	SPECIAL_DURATION,
	SPECIAL_TIME,
	SPECIAL_IP,
	SPECIAL_NETIP,
	SPECIAL_NETIP_PORT,
	SPECIAL_URL,
	SPECIAL_ERRNO,
	SPECIAL_JOIN,
	SPECIAL_OP_ERROR,
	SPECIAL_ADDR,  /* *net.TCPAddr and the like: an IP and a port */
	SPECIAL_ERROR, /* an error whose text is put together by a pattern (error_text.c) */
};

/* Of the plan's type; names NULL: none. */
enum special names_special(const struct names *names, uint32_t type, uint32_t *pattern_ret);

#endif
