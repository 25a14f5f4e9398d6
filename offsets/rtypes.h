/* SPDX-License-Identifier: Apache-2.0 */
/* The run-time system's own descriptions of types, as they stand in the file (internal/abi/type.go; reflect/type.go before Go 1.21). A type
 * is named by its offset from runtime.types, as DW_AT_go_runtime_type has it. Everything read is checked: the file is untrusted. */
#ifndef OFFSETS_RTYPES_H
#define OFFSETS_RTYPES_H

#include "elf_file.h"

struct rtypes;

/* `base` is the link address of runtime.types. ERR_NOTFOUND where no section holds it. `elf` must outlive the result. */
struct err *rtypes_open(struct elf_file *elf, int go_minor, uint64_t base, struct rtypes **ret);
void rtypes_destroy(struct rtypes *rt);

#define RTYPE_NAME_MAX 512 /* bytes of a type's name, NUL included: longer ones are cut */

struct rtype {
	uint8_t kind; /* enum go_kind */
	bool direct;  /* an interface's data word is the value itself */
	uint64_t size;
};

/* ERR_NOTFOUND where no type can stand at that offset. */
struct err *rtypes_read(const struct rtypes *rt, uint64_t offset, struct rtype *ret);

/* The type's name as Go prints it: with the package's name, not its path. False where it cannot be read. */
bool rtypes_name(const struct rtypes *rt, uint64_t offset, char name[RTYPE_NAME_MAX]);

/* The methods that an interface type asks for. */
struct rtype_methods {
	const uint8_t *v;
	size_t n, each; /* bytes from one to the next */
	uint64_t mask;
};

/* False where they cannot be read. */
bool rtypes_asked(const struct rtypes *rt, uint64_t interface, struct rtype_methods *ret);

/* Some bits of the methods that a type has: one that lacks any of rtype_methods.mask does not have those methods. */
uint64_t rtypes_mask(const struct rtypes *rt, uint64_t type);

/* Has the type these methods? Found as the run-time system does (runtime/iface.go, itabInit), but that packages of unexported methods are
 * not compared: it may say yes where Go says no. */
bool rtypes_implements(const struct rtypes *rt, uint64_t type, const struct rtype_methods *asked);

#endif
