/* SPDX-License-Identifier: Apache-2.0 */
/* Source: Intel's Software Developer's Manual, volume 2, chapter 2 (prefixes, ModR/M, VEX, EVEX) and appendix A (opcode maps). What
 * a compiler does not write (segment loads, ports, x87, 3DNow, system instructions) is left to the disassembler. */
#include "x86_outline.h"

#include <string.h>

#define INSN_SIZE_MAX 15

enum form {
	NO,    /* not told here */
	ONLY,  /* the opcode alone */
	MODRM, /* a ModR/M byte and what it asks for */
	IMM8,
	IMMZ, /* 4 bytes, 2 with an operand-size prefix */
	IMMV, /* the same; 8 with REX.W */
	IMM16,
	REL8,
	REL32,
	MODRM_IMM8,
	MODRM_IMMZ,
	GROUP3_8,  /* F6: TEST has an immediate, the others have none */
	GROUP3_Z,  /* F7 */
	GROUP_MOV, /* C6, C7: only MOV */
	GROUP4,    /* FE: INC, DEC */
	GROUP5,    /* FF: INC, DEC, CALL, JMP, PUSH */
};

#define ARITHMETIC(at) [(at)...(at) + 3] = MODRM, [(at) + 4] = IMM8, [(at) + 5] = IMMZ

static const uint8_t one_byte[256] = {
	ARITHMETIC(0x00),
	ARITHMETIC(0x08),
	ARITHMETIC(0x10),
	ARITHMETIC(0x18),
	ARITHMETIC(0x20),
	ARITHMETIC(0x28),
	ARITHMETIC(0x30),
	ARITHMETIC(0x38),
	[0x50 ... 0x5f] = ONLY,
	[0x63] = MODRM,
	[0x68] = IMMZ,
	[0x69] = MODRM_IMMZ,
	[0x6a] = IMM8,
	[0x6b] = MODRM_IMM8,
	[0x70 ... 0x7f] = REL8,
	[0x80] = MODRM_IMM8,
	[0x81] = MODRM_IMMZ,
	[0x83] = MODRM_IMM8,
	[0x84 ... 0x8b] = MODRM,
	[0x8d] = MODRM,
	[0x90 ... 0x99] = ONLY,
	[0x9c ... 0x9d] = ONLY,
	[0xa4 ... 0xa7] = ONLY,
	[0xa8] = IMM8,
	[0xa9] = IMMZ,
	[0xaa ... 0xaf] = ONLY,
	[0xb0 ... 0xb7] = IMM8,
	[0xb8 ... 0xbf] = IMMV,
	[0xc0 ... 0xc1] = MODRM_IMM8,
	[0xc2] = IMM16,
	[0xc3] = ONLY,
	[0xc6 ... 0xc7] = GROUP_MOV,
	[0xc9] = ONLY,
	[0xcc] = ONLY,
	[0xd0 ... 0xd3] = MODRM,
	[0xe0 ... 0xe3] = REL8,
	[0xe8 ... 0xe9] = REL32,
	[0xeb] = REL8,
	[0xf4] = ONLY,
	[0xf6] = GROUP3_8,
	[0xf7] = GROUP3_Z,
	[0xf8 ... 0xf9] = ONLY,
	[0xfc ... 0xfd] = ONLY,
	[0xfe] = GROUP4,
	[0xff] = GROUP5,
};

/* Behind 0F; also the opcodes of VEX and EVEX map 1. */
static const uint8_t two_byte[256] = {
	[0x0b] = ONLY,
	[0x10 ... 0x18] = MODRM,
	[0x1f] = MODRM,
	[0x28 ... 0x2f] = MODRM,
	[0x31] = ONLY,
	[0x40 ... 0x6f] = MODRM,
	[0x70 ... 0x73] = MODRM_IMM8,
	[0x74 ... 0x76] = MODRM,
	[0x7e ... 0x7f] = MODRM,
	[0x80 ... 0x8f] = REL32,
	[0x90 ... 0x9f] = MODRM,
	[0xa2] = ONLY,
	[0xa3] = MODRM,
	[0xa4] = MODRM_IMM8,
	[0xa5] = MODRM,
	[0xab] = MODRM,
	[0xac] = MODRM_IMM8,
	[0xad] = MODRM,
	[0xae ... 0xb1] = MODRM,
	[0xb3] = MODRM,
	[0xb6 ... 0xb8] = MODRM,
	[0xba] = MODRM_IMM8,
	[0xbb ... 0xbf] = MODRM,
	[0xc0 ... 0xc1] = MODRM,
	[0xc2] = MODRM_IMM8,
	[0xc4 ... 0xc6] = MODRM_IMM8,
	[0xc7] = MODRM,
	[0xc8 ... 0xcf] = ONLY,
	[0xd1 ... 0xef] = MODRM,
	[0xf1 ... 0xfe] = MODRM,
};

struct reader {
	const uint8_t *p;
	size_t size, at;
	bool operand_size, rex_w;
};

static bool skip(struct reader *r, size_t n)
{
	if (n > r->size - r->at)
		return false;
	r->at += n;
	return true;
}

/* The ModR/M byte with SIB and displacement. */
static bool skip_modrm(struct reader *r, uint8_t *modrm_ret)
{
	uint8_t modrm, mod, rm;

	if (r->at == r->size)
		return false;
	modrm = r->p[r->at++];
	mod = modrm >> 6;
	rm = modrm & 7;
	*modrm_ret = modrm;
	if (mod == 3)
		return true;
	if (rm == 4) {
		if (r->at == r->size)
			return false;
		if (!mod && (r->p[r->at] & 7) == 5)
			mod = 2;
		r->at++;
	} else if (!mod && rm == 5) {
		mod = 2;
	}
	return skip(r, mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

static size_t immediate_z(const struct reader *r)
{
	return r->operand_size && !r->rex_w ? 2 : 4;
}

static bool take_rel(struct reader *r, size_t n, struct x86_outline *out)
{
	int8_t rel8;
	int32_t rel32;

	if (!skip(r, n))
		return false;
	if (n == 1) {
		memcpy(&rel8, r->p + r->at - 1, 1);
		out->target = rel8;
	} else {
		memcpy(&rel32, r->p + r->at - 4, 4);
		out->target = rel32;
	}
	out->target += (int64_t)r->at;
	return true;
}

static bool take_form(struct reader *r, enum form form, struct x86_outline *out)
{
	uint8_t modrm, reg;

	switch (form) {
	case NO:
		return false;
	case ONLY:
		return true;
	case IMM8:
		return skip(r, 1);
	case IMM16:
		return skip(r, 2);
	case IMMZ:
		return skip(r, immediate_z(r));
	case IMMV:
		return skip(r, r->rex_w ? 8 : immediate_z(r));
	case REL8:
		return take_rel(r, 1, out);
	case REL32:
		return take_rel(r, 4, out);
	default:
		break;
	}
	if (!skip_modrm(r, &modrm))
		return false;
	reg = modrm >> 3 & 7;
	switch (form) {
	case MODRM:
		return true;
	case MODRM_IMM8:
		return skip(r, 1);
	case MODRM_IMMZ:
		return skip(r, immediate_z(r));
	case GROUP3_8:
		return reg != 1 && (reg || skip(r, 1));
	case GROUP3_Z:
		return reg != 1 && (reg || skip(r, immediate_z(r)));
	case GROUP4:
		return reg < 2;
	case GROUP5:
		if (reg == 3 || reg == 5 || reg == 7)
			return false;
		out->flow = reg == 2 ? X86_FLOW_CALL_IND : reg == 4 ? X86_FLOW_JMP_IND : X86_FLOW_NEXT;
		return true;
	default:
		return false;
	}
}

static bool take_one_byte(struct reader *r, uint8_t opcode, struct x86_outline *out)
{
	uint8_t modrm;

	switch (opcode) {
	case 0xc6:
	case 0xc7:
		return skip_modrm(r, &modrm) && !(modrm & 0x38) && skip(r, opcode == 0xc6 ? 1 : immediate_z(r));
	case 0xc2:
	case 0xc3:
		out->flow = X86_FLOW_RET;
		break;
	case 0xcc:
	case 0xf4:
		out->flow = X86_FLOW_STOP;
		break;
	case 0xe0 ... 0xe3:
	case 0x70 ... 0x7f:
		out->flow = X86_FLOW_JCC;
		break;
	case 0xe8:
		out->flow = X86_FLOW_CALL;
		break;
	case 0xe9:
	case 0xeb:
		out->flow = X86_FLOW_JMP;
		break;
	}
	return take_form(r, one_byte[opcode], out);
}

/* VEX: C5 with one byte behind it, C4 with two. EVEX: 62 with three. All have a ModR/M byte but VZEROUPPER; all of map 3 an immediate. */
static bool take_vex(struct reader *r, uint8_t first, struct x86_outline *out)
{
	size_t n = first == 0xc5 ? 1 : first == 0xc4 ? 2 : 3;
	uint8_t map = 1, opcode, modrm;

	if (!skip(r, n + 1))
		return false;
	if (n > 1)
		map = r->p[r->at - n - 1] & (n == 2 ? 0x1f : 7);
	opcode = r->p[r->at - 1];
	if (map == 1 && opcode == 0x77 && n < 3)
		return true;
	if (map == 1 && two_byte[opcode] != MODRM && two_byte[opcode] != MODRM_IMM8)
		return false;
	if (map == 1)
		return take_form(r, two_byte[opcode], out);
	if (map != 2 && map != 3)
		return false;
	return skip_modrm(r, &modrm) && (map == 2 || skip(r, 1));
}

static bool take_opcode(struct reader *r, struct x86_outline *out)
{
	uint8_t opcode, modrm;

	if (r->at == r->size)
		return false;
	opcode = r->p[r->at++];
	if (opcode != 0x0f)
		return take_one_byte(r, opcode, out);
	if (r->at == r->size)
		return false;
	opcode = r->p[r->at++];
	if (opcode == 0x38 || opcode == 0x3a)
		return skip(r, 1) && skip_modrm(r, &modrm) && (opcode == 0x38 || skip(r, 1));
	if (opcode == 0x0b)
		out->flow = X86_FLOW_STOP;
	else if ((opcode & 0xf0) == 0x80)
		out->flow = X86_FLOW_JCC;
	return take_form(r, two_byte[opcode], out);
}

bool x86_outline_read(const uint8_t *code, size_t size, struct x86_outline *ret)
{
	struct reader r = { .p = code, .size = size < INSN_SIZE_MAX ? size : INSN_SIZE_MAX };
	bool vex_allowed = true;
	uint8_t first = 0;

	*ret = (struct x86_outline){ 0 };
	for (; r.at < r.size; r.at++) {
		first = code[r.at];
		if (first == 0x66)
			r.operand_size = ret->prefixed = true;
		else if (first == 0xf0 || first == 0xf2 || first == 0xf3)
			ret->prefixed = true;
		else if (first != 0x64 && first != 0x65 && first != 0x2e)
			break;
		vex_allowed &= first == 0x64 || first == 0x65;
	}
	if ((first & 0xf0) == 0x40) {
		r.rex_w = first & 8;
		r.at++;
		if (!take_opcode(&r, ret))
			return false;
	} else if (first == 0xc4 || first == 0xc5 || first == 0x62) {
		r.at++;
		if (!vex_allowed || !take_vex(&r, first, ret))
			return false;
	} else if (!take_opcode(&r, ret)) {
		return false;
	}
	/* A prefix changes what some branches are; compilers write none, but for the REP RET of old ones. */
	if (ret->prefixed && ret->flow != X86_FLOW_NEXT && ret->flow != X86_FLOW_RET)
		return false;
	ret->size = r.at;
	return true;
}
