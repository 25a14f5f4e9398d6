/* SPDX-License-Identifier: Apache-2.0 */
/* Where a parameter lies at one pc: location descriptions (DWARF 5 §2.6) and lists of them, as Go's compiler writes them
 * (cmd/compile/internal/ssa/debug.go). */
#include <inttypes.h>
#include <string.h>

#include "dwarf_priv.h"

#define OPS_MAX 256 /* operations of one description: more than two for each piece, which is what Go writes */
#define RAW_PIECES_MAX (2 * DWARF_PIECES_MAX) /* Go 1.17 can list each piece twice */

/* What the operations up to here describe. */
struct place {
	enum {
		NOTHING,
		PLACE,
		CONSTANT
	} state; /* CONSTANT: a number on the stack, an address unless DW_OP_stack_value follows */
	struct dwarf_piece at;
};

struct locator {
	struct dwarf_info *dw;
	uint64_t die, value_size;
	bool cfa_base; /* DW_OP_fbreg counts from the CFA */
	Dwarf_Attribute *attr;
	struct place cur;
	size_t n;
	struct dwarf_piece pieces[RAW_PIECES_MAX]; /* offsets are set at the end */
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
		return err_create(ERR_UNSUPPORTED, "%s: .debug_info+%#" PRIx64 ": %s in a location is not handled",
				  l->dw->elf->path, l->die, name);
	return err_create(ERR_UNSUPPORTED, "%s: .debug_info+%#" PRIx64 ": operation %#x in a location is not handled",
			  l->dw->elf->path, l->die, atom);
}

static struct err *add_piece(struct locator *l, uint64_t size)
{
	struct dwarf_piece *p;

	if (l->n == RAW_PIECES_MAX)
		return dwarf_malformed(l->dw, l->die, "a location of too many pieces");
	if (size > l->value_size)
		return dwarf_malformed(l->dw, l->die, "a location of more bytes than the value has");
	p = &l->pieces[l->n++];
	*p = l->cur.at;
	if (l->cur.state == CONSTANT) /* an address that was pushed */
		p->place = DWARF_PLACE_ADDR;
	p->size = size;
	l->cur = (struct place){ 0 };
	return NULL;
}

static uint64_t total_size(const struct locator *l)
{
	uint64_t size = 0;

	for (size_t i = 0; i < l->n; i++)
		size += l->pieces[i].size;
	return size;
}

static bool same_place(const struct dwarf_piece *a, const struct dwarf_piece *b)
{
	return a->place == b->place && a->size == b->size && a->reg == b->reg && a->value == b->value;
}

/* Offsets and the check that the value is not exceeded. Go 1.17 lists each word of some strings, slices and interfaces twice in a row: one
 * of such a pair is dropped where that makes the sizes right. */
static struct err *finish_pieces(struct locator *l, struct dwarf_piece *pieces, size_t *n_ret)
{
	uint32_t offset = 0;
	size_t n = 0;

	if (total_size(l) > l->value_size) {
		size_t kept = 0;

		for (size_t i = 0; i < l->n; i++)
			if (!kept || l->pieces[i].place == DWARF_PLACE_NONE ||
			    !same_place(&l->pieces[i], &l->pieces[kept - 1]))
				l->pieces[kept++] = l->pieces[i];
		l->n = kept;
	}
	if (l->n > DWARF_PIECES_MAX || total_size(l) > l->value_size)
		return dwarf_malformed(l->dw, l->die, "a location of more bytes than the value has");
	for (; n < l->n; n++) {
		pieces[n] = l->pieces[n];
		pieces[n].offset = offset;
		offset += pieces[n].size;
	}
	*n_ret = n;
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
			return err_create(ERR_UNSUPPORTED,
					  "%s: .debug_info+%#" PRIx64 ": a frame base other than DW_OP_call_frame_cfa",
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
		if (l->cur.state == NOTHING || l->cur.at.place == DWARF_PLACE_REG ||
		    l->cur.at.place == DWARF_PLACE_CFA_DEREF)
			return dwarf_malformed(l->dw, l->die, "DW_OP_plus_uconst of nothing");
		l->cur.at.value = (int64_t)((uint64_t)l->cur.at.value + op->number);
		return NULL;
	case DW_OP_deref: /* a variable that was moved to the heap */
		if (l->cur.state != PLACE || l->cur.at.place != DWARF_PLACE_CFA)
			return unsupported_op(l, atom);
		l->cur.at.place = DWARF_PLACE_CFA_DEREF;
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
	Dwarf_Block block;
	Dwarf_Die die;
	struct err *err = dwarf_die_at(l->dw, l->dw->loc.dbg, func->die, &die);

	if (!err && dwarf_attr(&die, DW_AT_frame_base, &attr) && dwarf_attr_block(&attr, &block))
		l->cfa_base = block.length == 1 && block.data[0] == DW_OP_call_frame_cfa;
	return err;
}

/* ---- descriptions in blocks --------------------------------------------------------------------------------- */

/* Go writes single descriptions with DW_FORM_block1, which libdw does not take for a location from DWARF 4 on. */
struct reader {
	const uint8_t *p, *end;
	bool failed;
};

static uint64_t read_fixed(struct reader *r, size_t size, bool is_signed)
{
	uint64_t v = 0;

	if ((size_t)(r->end - r->p) < size) {
		r->failed = true;
		return 0;
	}
	for (size_t i = 0; i < size; i++)
		v |= (uint64_t)*r->p++ << 8 * i;
	if (is_signed && size < 8 && v >> (8 * size - 1))
		v |= ~0ull << 8 * size;
	return v;
}

static uint64_t read_leb128(struct reader *r, bool is_signed)
{
	uint64_t v = 0;

	for (unsigned int shift = 0; r->p < r->end && shift < 70; shift += 7) {
		uint8_t byte = *r->p++;

		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		if (is_signed && byte & 0x40 && shift + 7 < 64)
			v |= ~0ull << (shift + 7);
		return v;
	}
	r->failed = true;
	return 0;
}

/* The operand of an operation that add_op() handles without asking libdw again. */
static struct err *read_operand(struct locator *l, struct reader *r, Dwarf_Op *op)
{
	unsigned int atom = op->atom;

	if ((atom >= DW_OP_reg0 && atom <= DW_OP_reg31) || (atom >= DW_OP_lit0 && atom <= DW_OP_lit31))
		return NULL;
	switch (atom) {
	case DW_OP_nop:
	case DW_OP_call_frame_cfa:
	case DW_OP_deref:
	case DW_OP_stack_value:
		return NULL;
	case DW_OP_addr:
	case DW_OP_const8u:
	case DW_OP_const8s:
		op->number = read_fixed(r, 8, false);
		return NULL;
	case DW_OP_const1u:
	case DW_OP_const1s:
		op->number = read_fixed(r, 1, atom == DW_OP_const1s);
		return NULL;
	case DW_OP_const2u:
	case DW_OP_const2s:
		op->number = read_fixed(r, 2, atom == DW_OP_const2s);
		return NULL;
	case DW_OP_const4u:
	case DW_OP_const4s:
		op->number = read_fixed(r, 4, atom == DW_OP_const4s);
		return NULL;
	case DW_OP_regx:
	case DW_OP_constu:
	case DW_OP_plus_uconst:
	case DW_OP_piece:
		op->number = read_leb128(r, false);
		return NULL;
	case DW_OP_fbreg:
	case DW_OP_consts:
		op->number = read_leb128(r, true);
		return NULL;
	}
	return unsupported_op(l, atom);
}

static struct err *add_block(struct locator *l, const Dwarf_Block *block)
{
	struct reader r = { .p = block->data, .end = block->data + block->length };

	for (size_t n = 0; r.p < r.end; n++) {
		Dwarf_Op op = { .atom = *r.p++ };
		struct err *err = read_operand(l, &r, &op);

		if (!err && (r.failed || n == OPS_MAX))
			err = dwarf_malformed(l->dw, l->die, "a location that is cut off");
		if (!err)
			err = add_op(l, &op);
		if (err)
			return err;
	}
	return NULL;
}

static struct err *add_list(struct locator *l, uint64_t pc)
{
	struct err *err = NULL;
	size_t n_ops = 0;
	Dwarf_Op *ops;
	int n = dwarf_getlocation_addr(l->attr, pc, &ops, &n_ops, 1);

	if (n < 0)
		return dwarf_malformed(l->dw, l->die, "DW_AT_location");
	if (!n || !n_ops)
		return err_create(ERR_NOLOC, "no location at %#" PRIx64, pc);
	if (n_ops > OPS_MAX)
		return dwarf_malformed(l->dw, l->die, "a location of too many operations");
	for (size_t i = 0; i < n_ops && !err; i++)
		err = add_op(l, &ops[i]);
	return err;
}

struct err *dwarf_info_location(struct dwarf_info *dw, const struct dwarf_func *func, uint64_t param_die,
				uint64_t value_size, uint64_t pc, struct dwarf_piece *pieces, size_t *n_ret)
{
	struct locator l = { .dw = dw,
			     .die = param_die,
			     .value_size = value_size > UINT32_MAX ? UINT32_MAX : value_size };
	Dwarf_Attribute attr;
	Dwarf_Block block;
	Dwarf_Die die;
	struct err *err = dwarf_open_locations(dw);

	if (!err)
		err = frame_base(&l, func);
	if (!err)
		err = dwarf_die_at(dw, dw->loc.dbg, param_die, &die);
	if (err)
		return err;
	if (!dwarf_attr(&die, DW_AT_location, &attr))
		return &err_notfound;
	l.attr = &attr;
	if (dwarf_attr_block(&attr, &block)) {
		if (!block.length)
			return &err_notfound;
		err = add_block(&l, &block);
	} else {
		err = add_list(&l, pc);
	}
	if (!err && !l.n)
		err = add_piece(&l, l.value_size);
	else if (!err && l.cur.state != NOTHING)
		err = dwarf_malformed(dw, param_die, "a location that goes on behind its last piece");
	return err ? err : finish_pieces(&l, pieces, n_ret);
}
