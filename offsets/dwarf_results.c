/* SPDX-License-Identifier: Apache-2.0 */
/* Results of functions that Go 1.17 compiled with optimisation: DWARF does not list them.
 *
 * What is left is the other side of the call. ABIInternal keeps no register across a call, so a variable of a caller that lies in a result
 * register when the call returns holds that result. The callers are found by their call instruction, their variables' locations right
 * behind it give registers and types, and the rules of the calling convention must then assign just these registers to just these types. */
#include <capstone/capstone.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "abi.h"
#include "dwarf_priv.h"

#define CALLS_MAX 32       /* call sites looked at: one that keeps all results is among the first few */
#define VARIABLES_MAX 2048 /* of one caller, inlined functions' included */
#define DEPTH_MAX 128      /* blocks within blocks, and inlined functions within each other */
#define LOOK_MAX 12        /* instructions behind the call: the results are stored or moved by the first ones */
#define RESULTS_MAX 16
#define CALL_SIZE 5 /* e8 and a displacement of 32 bits */

/* DWARF's numbers of RAX RBX RCX RDI RSI R8 R9 R10 R11, in the order of the calling convention, and Capstone's name of each part. */
#define INT_REGS 9
#define FLOAT_REGS 15
#define XMM0 17
static const int int_regs[INT_REGS] = { 0, 3, 2, 5, 4, 8, 9, 10, 11 };

struct seen { /* a word of a variable in a result register */
	uint32_t offset;
	int word; /* index of the register: integers, then floats */
};

struct holder { /* a variable that holds a result */
	uint64_t die;
	uint32_t type;
	char *name;
	size_t n;
	struct seen seen[8];
};

struct variable {
	uint64_t die, type_die, size;
	uint32_t type;
	uint32_t stale; /* words that it was in before the call */
	bool out;       /* what is known of it is not enough for a result */
	const char *name;
};

struct finder {
	struct dwarf_info *dw;
	struct type_table *types;
	const struct dwarf_func *func;
	struct dwarf_func caller; /* only its DIE and addresses */
	size_t n_vars;
	struct variable *vars;
	size_t n;
	struct holder holders[RESULTS_MAX];
	/* of each integer register: what the first caller that has a pointer there has; TYPE_NONE */
	uint32_t pointers[INT_REGS];
	uint32_t differ; /* registers that callers have as pointers to different types */
};

static int word_of(int reg)
{
	for (int i = 0; i < INT_REGS; i++)
		if (int_regs[i] == reg)
			return i;
	return reg >= XMM0 && reg < XMM0 + FLOAT_REGS ? INT_REGS + reg - XMM0 : -1;
}

/* ---- variables of the caller -------------------------------------------------------------------------------- */

static struct err *add_variable(struct finder *f, Dwarf_Die *die)
{
	struct variable v = { .die = dwarf_dieoffset(die), .name = "" };
	Dwarf_Die from, type_die;
	struct dwarf_attrs a, o = { 0 };
	struct err *err = dwarf_attrs_read(f->dw, die, &a);

	if (!err && a.origin.code && dwarf_formref_die(&a.origin, &from))
		err = dwarf_attrs_read(f->dw, &from, &o);
	if (err)
		return err;
	Dwarf_Attribute *type = a.type.code ? &a.type : &o.type;
	if (!a.location.code || !type->code || f->n_vars == VARIABLES_MAX)
		return NULL;
	err = dwarf_attr_string(f->dw, a.name.code ? &a.name : &o.name, &v.name);
	if (err)
		return err;
	if (!dwarf_formref_die(type, &type_die))
		return dwarf_malformed(f->dw, v.die, "DW_AT_type");
	/* "&x" is where x was moved to, "~arg0" a copy that the inliner made. */
	if (*v.name == '&')
		return NULL;
	err = dwarf_type_at(f->dw, dwarf_dieoffset(&type_die), f->types, &v.type);
	if (!err)
		err = dwarf_info_complete(f->dw, f->types, v.type);
	if (err)
		return err;
	v.size = f->types->v[v.type].size;
	f->vars[f->n_vars++] = v;
	return NULL;
}

struct nest {
	struct finder *f;
	int depth;
};

static struct err *take_variables(void *arg, Dwarf_Die *die, bool *stop)
{
	struct nest *nest = arg, inner = { .f = nest->f, .depth = nest->depth + 1 };

	(void)stop;
	switch (dwarf_tag(die)) {
	case DW_TAG_variable:
		return add_variable(nest->f, die);
	case DW_TAG_formal_parameter:
		/* An inlined function's; the caller's own are not in registers that a call leaves. */
		return nest->depth ? add_variable(nest->f, die) : NULL;
	case DW_TAG_lexical_block:
	case DW_TAG_inlined_subroutine:
		return nest->depth < DEPTH_MAX ? dwarf_each_child(nest->f->dw, die, take_variables, &inner) : NULL;
	}
	return NULL;
}

/* ---- behind the call ---------------------------------------------------------------------------------------- */

static struct holder *holder_of(struct finder *f, const struct variable *v)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->holders[i].die == v->die)
			return &f->holders[i];
	if (f->n == RESULTS_MAX)
		return NULL;
	f->holders[f->n] = (struct holder){ .die = v->die, .type = v->type, .name = (char *)v->name };
	return &f->holders[f->n++];
}

static bool word_is_taken(const struct finder *f, int word)
{
	for (size_t i = 0; i < f->n; i++)
		for (size_t k = 0; k < f->holders[i].n; k++)
			if (f->holders[i].seen[k].word == word)
				return true;
	return false;
}

/* The pieces of a variable at one pc; none where it tells nothing. */
static struct err *pieces_at(struct finder *f, const struct variable *v, uint64_t pc, struct dwarf_piece *pieces,
			     size_t *n_ret)
{
	struct err *err = dwarf_info_location(f->dw, &f->caller, v->die, v->size, pc, pieces, n_ret);

	if (!err)
		return NULL;
	*n_ret = 0;
	if (err->code == ERR_NOMEM)
		return err;
	err_destroy(err);
	return NULL;
}

/* Registers in which a variable is said to lie while the call is still going on: it did not get there by the call. The compiler leaves such
 * ranges open where the variable is not used any more. */
static struct err *stale_words(struct finder *f, struct variable *v, uint64_t back)
{
	struct dwarf_piece pieces[DWARF_PIECES_MAX];
	size_t n;
	struct err *err = pieces_at(f, v, back - 1, pieces, &n);

	v->stale = 0;
	for (size_t k = 0; k < n && !err; k++) {
		int word = pieces[k].place == DWARF_PLACE_REG ? word_of(pieces[k].reg) : -1;

		if (word >= 0)
			v->stale |= 1u << word;
	}
	return err;
}

/* What the variables hold at one pc; `alive`: words whose register is still as the call left it. */
static struct err *look_at(struct finder *f, uint64_t pc, uint32_t alive)
{
	struct dwarf_piece pieces[DWARF_PIECES_MAX];

	for (size_t i = 0; i < f->n_vars; i++) {
		const struct variable *v = &f->vars[i];
		size_t n;

		if (v->out)
			continue;
		struct err *err = pieces_at(f, v, pc, pieces, &n);
		if (err)
			return err;
		for (size_t k = 0; k < n; k++) {
			int word = pieces[k].place == DWARF_PLACE_REG ? word_of(pieces[k].reg) : -1;

			if (word < 0 || !((alive & ~v->stale) >> word & 1) || word_is_taken(f, word))
				continue;
			struct holder *h = holder_of(f, v);
			if (h && h->n < sizeof(h->seen) / sizeof(h->seen[0]))
				h->seen[h->n++] = (struct seen){ .offset = pieces[k].offset, .word = word };
		}
	}
	return NULL;
}

/* The word whose register, or a part of it, an instruction writes: cleared in `alive`. */
static uint32_t without_written(csh handle, const cs_insn *insn, uint32_t alive)
{
	static const char *const names[INT_REGS][4] = {
		{ "rax", "eax", "ax", "al" },  { "rbx", "ebx", "bx", "bl" },      { "rcx", "ecx", "cx", "cl" },
		{ "rdi", "edi", "di", "dil" }, { "rsi", "esi", "si", "sil" },     { "r8", "r8d", "r8w", "r8b" },
		{ "r9", "r9d", "r9w", "r9b" }, { "r10", "r10d", "r10w", "r10b" }, { "r11", "r11d", "r11w", "r11b" },
	};
	cs_regs read, written;
	uint8_t n_read, n_written;

	if (cs_regs_access(handle, insn, read, &n_read, written, &n_written))
		return 0;
	for (uint8_t i = 0; i < n_written; i++) {
		const char *name = cs_reg_name(handle, written[i]);

		if (name && !strncmp(name, "xmm", 3))
			alive &= ~(1u << (INT_REGS + atoi(name + 3)));
		for (int r = 0; name && r < INT_REGS; r++)
			for (int k = 0; k < 4; k++)
				if (!strcmp(name, names[r][k]))
					alive &= ~(1u << r);
	}
	return alive;
}

static struct err *look_behind(struct finder *f, csh handle, const uint8_t *code, size_t size, uint64_t pc)
{
	uint32_t alive = (1u << (INT_REGS + FLOAT_REGS)) - 1;
	cs_insn *insn = cs_malloc(handle);
	struct err *err = NULL;

	if (!insn)
		return &err_nomem;
	for (size_t i = 0; i < f->n_vars && !err; i++)
		err = stale_words(f, &f->vars[i], pc);
	for (int i = 0; i < LOOK_MAX && alive && !err; i++) {
		uint64_t at = pc;

		err = look_at(f, at, alive);
		if (err || !cs_disasm_iter(handle, &code, &size, &pc, insn))
			break;
		if (cs_insn_group(handle, insn, CS_GRP_CALL) || cs_insn_group(handle, insn, CS_GRP_JUMP) ||
		    cs_insn_group(handle, insn, CS_GRP_RET))
			break;
		alive = without_written(handle, insn, alive);
	}
	cs_free(insn, 1);
	return err;
}

/* A string or slice of which nothing but the pointer came back. */
static bool is_bare(const struct finder *f, const struct holder *h)
{
	uint8_t kind = f->types->v[h->type].kind;

	return (kind == GO_STRING || kind == GO_SLICE) && h->n == 1 && h->seen[0].offset == 0;
}

/* What the caller has as a slice may be made of a pointer that was the result (b := f()[:]): the length is then nowhere. A string may not:
 * where a result behind it came back it was one. */
static bool is_half(const struct finder *f, const struct holder *h)
{
	if (!is_bare(f, h))
		return false;
	for (size_t i = 0; i < f->n && f->types->v[h->type].kind == GO_STRING; i++) {
		int word = f->holders[i].seen[0].word;

		if (word > h->seen[0].word && word < INT_REGS && !is_bare(f, &f->holders[i]))
			return false;
	}
	return true;
}

/* Leave such variables out: they tell no result. */
static bool drop_halves(struct finder *f)
{
	bool half[RESULTS_MAX] = { false };
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		half[i] = is_half(f, &f->holders[i]);
	for (size_t i = 0; i < f->n; i++) {
		for (size_t k = 0; k < f->n_vars && half[i]; k++)
			f->vars[k].out |= f->vars[k].die == f->holders[i].die;
		if (!half[i])
			f->holders[n++] = f->holders[i];
	}
	bool any = n < f->n;
	f->n = n;
	return any;
}

/* ---- the signature ------------------------------------------------------------------------------------------ */

static int by_register(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	return x->seen[0].word - y->seen[0].word;
}

static int by_die(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	return x->die < y->die ? -1 : x->die > y->die;
}

/* Does the calling convention put results of these types where they were seen, the first word of each among them? */
static struct err *fits_convention(const struct finder *f, bool *ret)
{
	uint32_t types[RESULTS_MAX];
	struct abi_layout layout;
	struct err *err;

	for (size_t i = 0; i < f->n; i++)
		types[i] = f->holders[i].type;
	err = abi_assign(f->types, GO_ABI_INTERNAL, types, 0, f->n, &layout);
	if (err)
		return err;
	*ret = true;
	for (size_t i = 0; i < f->n; i++) {
		const struct abi_value *v = &layout.values[i];
		bool first = false;

		for (size_t k = 0; k < f->holders[i].n; k++) {
			const struct seen *s = &f->holders[i].seen[k];
			bool found = false;

			for (uint32_t w = v->first_word; w < v->first_word + v->n_words; w++) {
				const struct abi_word *word = &layout.words[w];
				int index = word->where == ABI_INT_REG ? word->place : INT_REGS + word->place;

				if (word->where != ABI_STACK && word->offset == s->offset && index == s->word)
					found = true;
			}
			first |= s->offset == 0;
			*ret &= found;
		}
		*ret &= first && v->in_registers;
	}
	abi_layout_deinit(&layout);
	return NULL;
}

static struct err *check_holders(struct finder *f, bool *ret)
{
	struct err *err;

	*ret = false;
	if (!f->n)
		return NULL;
	/* Integers and floats are counted apart; between them only the order of the variables tells which comes first. */
	qsort(f->holders, f->n, sizeof(f->holders[0]), by_die);
	err = fits_convention(f, ret);
	if (err || *ret)
		return err;
	qsort(f->holders, f->n, sizeof(f->holders[0]), by_register);
	return fits_convention(f, ret);
}

static size_t words_seen(const struct finder *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		n += f->holders[i].n;
	return n;
}

/* One call: what its caller's variables say. */
static struct err *read_call(struct finder *f, csh handle, const struct dwarf_entry *caller, const uint8_t *code,
			     size_t size, uint64_t pc, bool *ret)
{
	struct nest nest = { .f = f };
	Dwarf_Die die;
	struct err *err = dwarf_die_at(f->dw, f->dw->info.dbg, caller->die, &die);

	f->n = f->n_vars = 0;
	f->caller = (struct dwarf_func){ .die = caller->die, .low_pc = caller->low, .high_pc = caller->high };
	if (!err)
		err = dwarf_each_child(f->dw, &die, take_variables, &nest);
	if (!err)
		err = look_behind(f, handle, code, size, pc);
	if (!err && drop_halves(f)) { /* the pointer may be a variable itself too */
		f->n = 0;
		err = look_behind(f, handle, code, size, pc);
		drop_halves(f);
	}
	return err ? err : check_holders(f, ret);
}

/* ---- where callers disagree --------------------------------------------------------------------------------- */

/* Maps, channels and functions are pointers too: runtime.makemap returns what its caller has as a map. */
static bool is_pointer(uint8_t kind)
{
	return kind == GO_POINTER || kind == GO_UNSAFE_POINTER || kind == GO_MAP || kind == GO_CHAN || kind == GO_FUNC;
}

/* Is the same found behind both? Named types of one kind may be converted into each other. */
static bool points_alike(const struct go_type *a, const struct go_type *b)
{
	return a->kind == b->kind && (a->kind == GO_FUNC || (a->elem == b->elem && a->key == b->key));
}

/* What a call that fits says of single registers. */
static void note_pointers(struct finder *f)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct holder *h = &f->holders[i];
		const struct go_type *t = &f->types->v[h->type];
		int word = h->seen[0].word;

		if (word >= INT_REGS || !is_pointer(t->kind))
			continue;
		if (f->pointers[word] == TYPE_NONE)
			f->pointers[word] = h->type;
		else if (!points_alike(&f->types->v[f->pointers[word]], t))
			f->differ |= 1u << word;
	}
}

static struct err *unsafe_pointer(struct finder *f, uint32_t *ret)
{
	struct go_type t = { .kind = GO_UNSAFE_POINTER,
			     .flags = TYPE_COMPLETE,
			     .align = 8,
			     .size = 8,
			     .elem = TYPE_NONE,
			     .key = TYPE_NONE };
	struct err *err = type_table_intern(f->types, "unsafe.Pointer", &t.name);

	return err ? err : type_table_add(f->types, &t, ret);
}

/* A pointer that one caller makes into another than the next (p := (*T)(f())): which it is nobody knows, and what is behind it would be
 * read as what it is not. */
static struct err *settle_pointers(struct finder *f, struct holder *holders, size_t n)
{
	struct err *err = NULL;

	for (size_t i = 0; i < n && !err; i++) {
		int word = holders[i].seen[0].word;

		if (word < INT_REGS && is_pointer(f->types->v[holders[i].type].kind) && f->differ >> word & 1)
			err = unsafe_pointer(f, &holders[i].type);
	}
	return err;
}

/* ---- the calls ---------------------------------------------------------------------------------------------- */

/* Put the results into the function in place of those it has. */
static struct err *take_results(struct dwarf_func *func, const struct holder *holders, size_t n)
{
	struct dwarf_param *v = realloc(func->params, (func->n_params + n) * sizeof(*v));

	if (!v)
		return &err_nomem;
	func->params = v;
	for (size_t i = 0; i < n; i++) {
		char *name = strdup(*holders[i].name == '~' || *holders[i].name == '.' ? "" : holders[i].name);

		if (!name)
			return &err_nomem;
		func->params[func->n_params++] = (struct dwarf_param){
			.name = name, .result = true, .type = holders[i].type, .die = holders[i].die
		};
	}
	return NULL;
}

static struct err *search_calls(struct finder *f, csh handle, const struct bytes *text, uint64_t base,
				struct holder *best, size_t *n_best)
{
	size_t best_words = 0, calls = 0;

	for (size_t i = 0; i + CALL_SIZE <= text->size && calls < CALLS_MAX; i++) {
		const uint8_t *p = memchr(text->data + i, 0xe8, text->size - CALL_SIZE + 1 - i);
		int32_t displacement;
		bool fits = false;

		if (!p)
			break;
		i = p - text->data;
		memcpy(&displacement, p + 1, sizeof(displacement));
		uint64_t back = base + i + CALL_SIZE;
		if (back + (uint64_t)(int64_t)displacement != f->func->low_pc)
			continue;
		const struct dwarf_entry *caller = dwarf_entry_around(f->dw, back);
		if (!caller)
			continue;
		calls++;
		struct err *err = read_call(f, handle, caller, p + CALL_SIZE, text->size - i - CALL_SIZE, back, &fits);
		if (err)
			return err;
		if (fits)
			note_pointers(f);
		if (fits && words_seen(f) > best_words) {
			best_words = words_seen(f);
			memcpy(best, f->holders, sizeof(f->holders));
			*n_best = f->n;
		}
	}
	return NULL;
}

struct err *dwarf_infer_results(struct dwarf_info *dw, struct type_table *types, struct dwarf_func *func)
{
	struct finder f = { .dw = dw, .types = types, .func = func };
	const struct elf_section *section = elf_file_find_section(dw->elf, ".text");
	struct holder best[RESULTS_MAX];
	struct bytes text;
	size_t n = 0;
	csh handle;
	struct err *err;

	if (!section)
		return NULL;
	err = elf_file_section_data(dw->elf, ".text", &text);
	if (!err)
		err = dwarf_index_all(dw);
	if (err)
		return err;
	for (size_t i = 0; i < INT_REGS; i++)
		f.pointers[i] = TYPE_NONE;
	f.vars = calloc(VARIABLES_MAX, sizeof(*f.vars));
	if (!f.vars)
		return &err_nomem;
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle)) {
		free(f.vars);
		return &err_nomem;
	}
	cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
	if (text.size >= CALL_SIZE)
		err = search_calls(&f, handle, &text, section->addr, best, &n);
	cs_close(&handle);
	free(f.vars);
	if (!err)
		err = settle_pointers(&f, best, n);
	if (!err && n) {
		err = take_results(func, best, n);
		func->results_inferred = !err;
		func->results_missing = false;
	}
	return err;
}
