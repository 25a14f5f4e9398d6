/* SPDX-License-Identifier: Apache-2.0 */
/* Where a parameter lies at one pc: location descriptions (DWARF 5 §2.6) and lists of them, as Go's compiler writes them
 * (cmd/compile/internal/ssa/debug.go). */
#include <inttypes.h>
#include <string.h>

#include "dwarf_priv.h"

#define OPS_MAX 256 /* operations of one description: two for each of DWARF_PIECES_MAX pieces are far more than Go writes */

/* What the operations up to here describe. */
struct place {
	enum { NOTHING, PLACE, CONSTANT } state; /* CONSTANT: a number on the stack, an address unless DW_OP_stack_value follows */
	struct dwarf_piece at;
};

struct locator {
	struct dwarf_info *dw;
	uint64_t die, value_size;
	bool cfa_base;	 /* DW_OP_fbreg counts from the CFA */
	Dwarf_Attribute *attr;
	struct place cur;
	uint64_t offset; /* bytes described so far */
	struct dwarf_piece *pieces;
	size_t n;
};

static const char *op_name(unsigned int atom)
{
	switch (atom) {
	case DW_OP_deref:
		return "DW_OP_deref";
	case DW_OP_bit_piece:
		return "DW_OP_bit_piece";
	case DW_OP_implicit_pointer:
	case DW_OP_GNU_implicit_pointer:
		return "DW_OP_implicit_pointer";
	case DW_OP_entry_value:
	case DW_OP_GNU_entry_value:
		return "DW_OP_entry_value";
	case DW_OP_form_tls_address:
	case DW_OP_GNU_push_tls_address:
		return "DW_OP_form_tls_address";
	}
	return atom >= DW_OP_breg0 && atom <= DW_OP_breg31 ? "DW_OP_breg" : NULL;
}

static struct err *unsupported_op(const struct locator *l, unsigned int atom)
{
	const char *name = op_name(atom);

	if (name)
		return err_create(ERR_UNSUPPORTED, "%s: .debug_info+%#" PRIx64 ": %s in a location is not handled", l->dw->elf->path, l->die,
				  name);
	return err_create(ERR_UNSUPPORTED, "%s: .debug_info+%#" PRIx64 ": operation %#x in a location is not handled", l->dw->elf->path,
			  l->die, atom);
}

static struct err *add_piece(struct locator *l, uint64_t size)
{
	struct dwarf_piece *p;

	if (l->n == DWARF_PIECES_MAX)
		return dwarf_malformed(l->dw, l->die, "a location of too many pieces");
	if (size > l->value_size - l->offset)
		return dwarf_malformed(l->dw, l->die, "a location of more bytes than the value has");
	p = &l->pieces[l->n++];
	*p = l->cur.at;
	if (l->cur.state == CONSTANT) { /* an address that was pushed */
		p->place = DWARF_PLACE_ADDR;
	}
	p->offset = l->offset;
	p->size = size;
	l->offset += size;
	l->cur = (struct place){ 0 };
	return NULL;
}

static struct err *set_place(struct locator *l, enum dwarf_place place, int reg, int64_t value)
{
	if (l->cur.state != NOTHING)
		return dwarf_malformed(l->dw, l->die, "a location with two places");
	l->cur.state = PLACE;
	l->cur.at = (struct dwarf_piece){ .place = place, .reg = reg, .value = value };
	return NULL;
}

static struct err *push_constant(struct locator *l, int64_t value)
{
	struct err *err = set_place(l, DWARF_PLACE_VALUE, 0, value);

	if (!err)
		l->cur.state = CONSTANT;
	return err;
}

/* A constant that stands in the description itself. */
static struct err *implicit_value(struct locator *l, const Dwarf_Op *op)
{
	Dwarf_Block block;
	uint64_t v = 0;

	if (dwarf_getlocation_implicit_value(l->attr, op, &block))
		return dwarf_malformed(l->dw, l->die, "DW_OP_implicit_value");
	if (block.length > sizeof(v))
		return unsupported_op(l, op->atom);
	memcpy(&v, block.data, block.length); /* little-endian, as the target */
	return set_place(l, DWARF_PLACE_VALUE, 0, (int64_t)v);
}

static struct err *indexed_address(struct locator *l, const Dwarf_Op *op)
{
	Dwarf_Attribute attr;
	Dwarf_Addr addr;

	if (dwarf_getlocation_attr(l->attr, op, &attr) || dwarf_formaddr(&attr, &addr))
		return dwarf_malformed(l->dw, l->die, "DW_OP_addrx");
	return push_constant(l, (int64_t)addr);
}

static struct err *add_op(struct locator *l, const Dwarf_Op *op)
{
	unsigned int atom = op->atom;

	if (atom >= DW_OP_reg0 && atom <= DW_OP_reg31)
		return set_place(l, DWARF_PLACE_REG, (int)(atom - DW_OP_reg0), 0);
	if (atom >= DW_OP_lit0 && atom <= DW_OP_lit31)
		return push_constant(l, (int64_t)atom - DW_OP_lit0);
	switch (atom) {
	case DW_OP_nop:
		return NULL;
	case DW_OP_regx:
		if (op->number > 1023)
			return dwarf_malformed(l->dw, l->die, "DW_OP_regx");
		return set_place(l, DWARF_PLACE_REG, (int)op->number, 0);
	case DW_OP_call_frame_cfa:
		return set_place(l, DWARF_PLACE_CFA, 0, 0);
	case DW_OP_fbreg:
		if (!l->cfa_base)
			return err_create(ERR_UNSUPPORTED, "%s: .debug_info+%#" PRIx64 ": a frame base other than DW_OP_call_frame_cfa",
					  l->dw->elf->path, l->die);
		return set_place(l, DWARF_PLACE_CFA, 0, (int64_t)op->number);
	case DW_OP_addr:
	case DW_OP_const1u:
	case DW_OP_const1s:
	case DW_OP_const2u:
	case DW_OP_const2s:
	case DW_OP_const4u:
	case DW_OP_const4s:
	case DW_OP_const8u:
	case DW_OP_const8s:
	case DW_OP_constu:
	case DW_OP_consts:
		return push_constant(l, (int64_t)op->number);
	case DW_OP_addrx:
	case DW_OP_GNU_addr_index:
	case DW_OP_constx:
	case DW_OP_GNU_const_index:
		return indexed_address(l, op);
	case DW_OP_plus_uconst:
		if (l->cur.state == NOTHING || l->cur.at.place == DWARF_PLACE_REG)
			return dwarf_malformed(l->dw, l->die, "DW_OP_plus_uconst of nothing");
		l->cur.at.value = (int64_t)((uint64_t)l->cur.at.value + op->number);
		return NULL;
	case DW_OP_stack_value:
		if (l->cur.state == CONSTANT) {
			l->cur.state = PLACE;
			return NULL;
		}
		/* The value is itself an address on the stack: nothing that could be read there. */
		return unsupported_op(l, atom);
	case DW_OP_implicit_value:
		return implicit_value(l, op);
	case DW_OP_piece:
		return add_piece(l, op->number);
	}
	return unsupported_op(l, atom);
}

static struct err *frame_base(struct locator *l, const struct dwarf_func *func)
{
	Dwarf_Attribute attr;
	Dwarf_Die die;
	Dwarf_Op *ops;
	size_t n;
	struct err *err = dwarf_die_at(l->dw, l->dw->loc.dbg, func->die, &die);

	if (err || !dwarf_attr(&die, DW_AT_frame_base, &attr))
		return err;
	if (dwarf_getlocation(&attr, &ops, &n))
		return dwarf_malformed(l->dw, func->die, "DW_AT_frame_base");
	l->cfa_base = n == 1 && ops[0].atom == DW_OP_call_frame_cfa;
	return NULL;
}

struct err *dwarf_info_location(struct dwarf_info *dw, const struct dwarf_func *func, uint64_t param_die, uint64_t value_size, uint64_t pc,
				struct dwarf_piece *pieces, size_t *n_ret)
{
	struct locator l = { .dw = dw,
			     .die = param_die,
			     .value_size = value_size > UINT32_MAX ? UINT32_MAX : value_size,
			     .pieces = pieces };
	Dwarf_Attribute attr;
	Dwarf_Block block;
	size_t n_ops = 0;
	Dwarf_Op *ops;
	Dwarf_Die die;
	struct err *err = dwarf_open_locations(dw);
	int n;

	if (!err)
		err = frame_base(&l, func);
	if (!err)
		err = dwarf_die_at(dw, dw->loc.dbg, param_die, &die);
	if (err)
		return err;
	if (!dwarf_attr(&die, DW_AT_location, &attr))
		return &err_notfound;
	l.attr = &attr;
	n = dwarf_getlocation_addr(&attr, pc, &ops, &n_ops, 1);
	if (n < 0)
		return dwarf_malformed(dw, param_die, "DW_AT_location");
	if (n && !n_ops && !dwarf_formblock(&attr, &block))
		return &err_notfound;
	if (!n || !n_ops)
		return err_create(ERR_NOLOC, "no location at %#" PRIx64, pc);
	if (n_ops > OPS_MAX)
		return dwarf_malformed(dw, param_die, "a location of too many operations");
	for (size_t i = 0; i < n_ops; i++) {
		err = add_op(&l, &ops[i]);
		if (err)
			return err;
	}
	if (!l.n)
		err = add_piece(&l, l.value_size);
	else if (l.cur.state != NOTHING)
		err = dwarf_malformed(dw, param_die, "a location that goes on behind its last piece");
	if (!err)
		*n_ret = l.n;
	return err;
}
