/* SPDX-License-Identifier: Apache-2.0 */
#include "decode_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- records --------------------------------------------------------------------------------------------- */

static void take_stack(struct record_view *view, const struct chunk_view *v)
{
	if (v->len < sizeof(*view->stack) || (uintptr_t)v->data % 8)
		return;
	view->stack = (const void *)v->data;
	view->n_chain = 0; /* of a damaged recording's record this may be a second one */
	view->chain = (const void *)(v->data + sizeof(*view->stack));
	while (view->n_chain < (v->len - sizeof(*view->stack)) / 8 && view->n_chain < STACK_FRAMES &&
	       view->chain[view->n_chain])
		view->n_chain++;
}

void count_absent(struct decoder *d, const char *word, const char *why)
{
	if (!strcmp(word, "depth"))
		d->short_of.pointers++;
	else if (strcmp(word, "unreadable") != 0)
		return;
	else if (!strncmp(why, "in xmm", 6))
		d->short_of.in_float++;
	else if (!strcmp(why, "record full"))
		d->short_of.record_full++;
	else
		d->short_of.unreadable++;
}

bool record_view_init(struct record_view *view, const void *data, size_t size)
{
	const struct record *r = data;
	const uint8_t *bytes = (const uint8_t *)data + sizeof(*r);
	size_t used, at = 0;

	if (size < sizeof(*r))
		return false;
	used = size - sizeof(*r);
	if (r->used < used)
		used = r->used;
	view->head = r;
	view->n_chunks = 0;
	view->full = r->flags & REC_FULL;
	view->stack = NULL;
	view->n_chain = 0;
	while (used - at >= sizeof(struct chunk) && view->n_chunks < CHUNKS_MAX) {
		const struct chunk *chunk = (const void *)(bytes + at);
		struct chunk_view *v = &view->chunks[view->n_chunks++];

		at += sizeof(*chunk);
		v->addr = chunk->addr;
		v->step = chunk->step;
		v->status = chunk->status;
		v->data = bytes + at;
		v->len = chunk->len;
		if (chunk->status == CHUNK_FULL || chunk->status == CHUNK_SHORT)
			view->full = true;
		if (chunk->status > CHUNK_SHORT)
			v->len = 0;
		if (v->len > used - at)
			v->len = (uint32_t)(used - at);
		/* A chunk that ends past the last address would make sums of addresses wrap. */
		if (v->addr > UINT64_MAX - v->len)
			v->len = 0;
		if (v->step == STEP_STACK) { /* addresses of code, no memory that was read */
			take_stack(view, v);
			view->n_chunks--;
		}
		at += (v->len + UINT64_C(7)) & ~UINT64_C(7);
		if (at > used)
			break;
	}
	return true;
}

/* The chunk that holds the byte at `addr` and the most behind it; NULL where none does. */
const struct chunk_view *find_bytes(const struct record_view *view, uint64_t addr, const uint8_t **data_ret,
				    uint64_t *n_ret)
{
	const struct chunk_view *best = NULL;
	uint64_t best_n = 0;

	for (uint32_t i = 0; i < view->n_chunks; i++) {
		const struct chunk_view *v = &view->chunks[i];
		uint64_t offset = addr - v->addr;

		if (offset < v->len && v->len - offset > best_n) {
			best = v;
			best_n = v->len - offset;
		}
	}
	if (best) {
		*data_ret = best->data + (addr - best->addr);
		*n_ret = best_n;
	}
	return best;
}

static const struct step *step_of(const struct decoder *d, uint16_t step)
{
	uint64_t i = (uint64_t)d->site->first_step + step;

	return step < d->site->n_steps && i < d->plan->n_steps ? &d->plan->steps[i] : NULL;
}

/* Was a read at that address tried, and refused? */
bool is_fault(const struct decoder *d, uint64_t addr)
{
	for (uint32_t i = 0; i < d->view->n_chunks; i++) {
		const struct chunk_view *v = &d->view->chunks[i];
		const struct step *step;

		if (v->status != CHUNK_FAULT)
			continue;
		if (v->addr == addr)
			return true;
		step = step_of(d, v->step);
		if (step && addr - v->addr < (step->op == STEP_COUNTED ? step->max : step->len))
			return true;
	}
	return false;
}

const char *fault_why(const struct decoder *d, uint64_t addr)
{
	return d->fault_why && addr ? d->fault_why(d->fault_arg, d->view->head->pid, addr) : "bad address";
}

/* ---- where the bytes of a value are ------------------------------------------------------------------------ */

static const struct plan_piece *find_piece(const struct place *p, uint64_t offset)
{
	for (uint32_t i = 0; i < p->n_pieces; i++)
		if (offset >= p->pieces[i].offset && offset - p->pieces[i].offset < p->pieces[i].size)
			return &p->pieces[i];
	return NULL;
}

bool missing(struct decoder *d, const char *word, const char *why)
{
	d->word = word;
	snprintf(d->why, sizeof(d->why), "%s", why);
	return false;
}

static bool missing_piece(struct decoder *d, const struct plan_piece *piece)
{
	switch (piece->reason) {
	case PLAN_IN_FLOAT_REG:
		missing(d, "unreadable", "");
		snprintf(d->why, sizeof(d->why), "in xmm%u", piece->detail);
		return false;
	case PLAN_CLOBBERED:
		return missing(d, "unreadable", "its register was overwritten");
	case PLAN_TOO_LARGE:
		return missing(d, "unreadable", "too large for a record");
	case PLAN_UNPLACED:
		return missing(d, "unreadable", "parameters before it are not in the debug information");
	case PLAN_NOT_DECODED:
		return missing(d, "not decoded", "its type");
	}
	return missing(d, "unreadable", "no location");
}

static bool read_chunk_piece(struct decoder *d, const struct plan_piece *piece, uint64_t offset, uint32_t size,
			     void *to)
{
	const struct chunk_view *v = NULL;

	for (uint32_t i = 0; i < d->view->n_chunks && !v; i++)
		if (d->view->chunks[i].step == piece->at.index)
			v = &d->view->chunks[i];
	if (!v || v->status == CHUNK_FULL)
		return missing(d, "unreadable", d->view->full ? "record full" : "not read");
	if (v->status == CHUNK_FAULT)
		return missing(d, "unreadable", fault_why(d, v->addr));
	if (piece->at.offset < 0)
		return missing(d, "unreadable", "no location");
	offset += (uint64_t)piece->at.offset;
	if (offset > v->len || v->len - offset < size)
		return missing(d, "unreadable", "record full");
	memcpy(to, v->data + offset, size);
	return true;
}

/* Copy bytes of a value. False where they are not there: d->word and d->why say why. */
bool place_read(struct decoder *d, const struct place *p, uint64_t offset, uint32_t size, void *to)
{
	const struct plan_piece *piece;

	offset += p->offset;
	if (p->mem) {
		if (offset > p->n_mem || p->n_mem - offset < size)
			return missing(d, "unreadable", d->view->full ? "record full" : "not read");
		memcpy(to, p->mem + offset, size);
		return true;
	}
	piece = find_piece(p, offset);
	if (!piece)
		return missing(d, "unreadable", "no location");
	offset -= piece->offset;
	if (piece->size - offset < size)
		return missing(d, "unreadable", "no location");
	if (piece->at.kind == LOC_CHUNK)
		return read_chunk_piece(d, piece, offset, size, to);
	if (piece->at.kind == LOC_REGISTER && piece->at.index < RECORD_REGS && offset + size <= 8) {
		memcpy(to, (const uint8_t *)&d->view->head->regs[piece->at.index] + offset, size);
		return true;
	}
	if (piece->at.kind == LOC_CONSTANT && offset + size <= sizeof(piece->constant)) {
		memcpy(to, (const uint8_t *)&piece->constant + offset, size);
		return true;
	}
	return caller_read(d, piece, offset, size, to) || missing_piece(d, piece);
}

/* Is all of a value out of reach for one reason? Then it is said once, not for each of its parts. */
bool place_is_absent(struct decoder *d, const struct place *p, uint64_t size)
{
	const struct plan_piece *piece;
	uint64_t bytes;

	if (p->mem || !size)
		return false;
	piece = find_piece(p, p->offset);
	if (!piece || piece->at.kind != LOC_NONE || piece->size - (p->offset - piece->offset) < size)
		return false;
	if (size <= sizeof(bytes) && caller_read(d, piece, p->offset - piece->offset, size, &bytes))
		return false;
	missing_piece(d, piece);
	return true;
}

/* ---- paths ----------------------------------------------------------------------------------------------- */

void path_push(struct decoder *d, struct path_part part)
{
	d->path[d->n_path++] = part;
}

/* As Go writes it: dereferences at the end are outermost, and a field is reached through one pointer without a star. Recursion is
 * bounded by the length of the path. */
void path_write(const struct path_part *path, uint32_t n, struct jout *to)
{
	const struct path_part *last;
	char number[JOUT_INT_MAX];
	uint32_t stars = 0;

	for (; n && path[n - 1].kind == PATH_DEREF; n--)
		jout_putc(to, '*');
	if (!n)
		return;
	last = &path[--n];
	if (last->kind == PATH_NAME) {
		jout_append(to, last->name, strlen(last->name));
		return;
	}
	for (uint32_t i = n; i && path[i - 1].kind == PATH_DEREF; i--)
		stars++;
	if (stars && last->kind == PATH_FIELD) {
		stars--;
		n--;
	}
	/* an expression that begins with a star binds less than what is put behind it */
	bool parenthesis = stars || (n == 1 && path[0].name[0] == '*');
	if (parenthesis)
		jout_putc(to, '(');
	path_write(path, n, to);
	if (parenthesis)
		jout_putc(to, ')');
	switch (last->kind) {
	case PATH_FIELD:
		jout_putc(to, '.');
		jout_append(to, last->name, strlen(last->name));
		return;
	case PATH_ASSERT:
		jout_append(to, ".(", 2);
		jout_append(to, last->name, strlen(last->name));
		jout_putc(to, ')');
		return;
	case PATH_STRING:
		jout_append(to, "[\"", 2);
		for (uint32_t i = 0; i < last->n; i++) {
			if (last->bytes[i] == '"' || last->bytes[i] == '\\')
				jout_putc(to, '\\');
			jout_putc(to, (char)last->bytes[i]);
		}
		jout_append(to, "\"]", 2);
		return;
	case PATH_BOOL:
		jout_append(to, last->index ? "[true]" : "[false]", last->index ? 6 : 7);
		return;
	case PATH_SIGNED:
		jout_putc(to, '[');
		jout_append(to, number, jout_format_i64(number, (int64_t)last->index));
		break;
	case PATH_PAIR:
		jout_append(to, "[#", 2);
		jout_append(to, number, jout_format_u64(number, last->index));
		break;
	default:
		jout_putc(to, '[');
		jout_append(to, number, jout_format_u64(number, last->index));
	}
	jout_putc(to, ']');
}

/* ---- values ---------------------------------------------------------------------------------------------- */

size_t utf8_cut(const uint8_t *s, size_t n)
{
	for (size_t back = 1; back <= 3 && back <= n; back++) {
		uint8_t c = s[n - back];

		if ((c & 0xc0) == 0x80)
			continue;
		if ((c >= 0xc2 && c < 0xe0 && back < 2) || (c >= 0xe0 && c < 0xf0 && back < 3) ||
		    (c >= 0xf0 && c < 0xf5 && back < 4))
			return back;
		break;
	}
	return 0;
}

void decode_absent(struct decoder *d)
{
	d->ops->absent(d, d->word, d->why);
}

static void decode_integer(struct decoder *d, const struct place *p, const struct go_type *t)
{
	bool is_signed = t->kind >= GO_INT && t->kind <= GO_INT64;
	uint64_t v = 0;

	if (t->size != 1 && t->size != 2 && t->size != 4 && t->size != 8)
		missing(d, "not decoded", "an integer of this size");
	else if (place_read(d, p, 0, (uint32_t)t->size, &v)) {
		unsigned int shift = 64 - 8 * (unsigned int)t->size;

		if (is_signed)
			v = (uint64_t)((int64_t)(v << shift) >> shift);
		d->ops->integer(d, v, is_signed);
		return;
	}
	decode_absent(d);
}

static bool read_real(struct decoder *d, const struct place *p, uint64_t offset, uint32_t size, double *v_ret)
{
	float narrow;

	if (size == 8)
		return place_read(d, p, offset, 8, v_ret);
	if (!place_read(d, p, offset, 4, &narrow))
		return false;
	*v_ret = (double)narrow;
	return true;
}

static void decode_real(struct decoder *d, const struct place *p, uint8_t kind)
{
	bool wide = kind == GO_FLOAT64 || kind == GO_COMPLEX128;
	uint32_t size = wide ? 8 : 4;
	double re, im;

	if (!read_real(d, p, 0, size, &re)) {
		decode_absent(d);
		return;
	}
	if (kind == GO_FLOAT32 || kind == GO_FLOAT64)
		d->ops->real(d, re, wide ? 64 : 32);
	else if (read_real(d, p, size, size, &im))
		d->ops->complex(d, re, im, wide ? 64 : 32);
	else
		decode_absent(d);
}

static void decode_string(struct decoder *d, const struct place *p)
{
	const uint8_t *data = (const uint8_t *)"";
	uint64_t addr, len, n = 0;

	if (!place_read(d, p, 8, 8, &len)) {
		decode_absent(d);
		return;
	}
	if (!len) {
		d->ops->string(d, data, 0, 0);
		return;
	}
	if (!place_read(d, p, 0, 8, &addr)) {
		decode_absent(d);
		return;
	}
	if (len > LENGTH_MAX) {
		snprintf(d->why, sizeof(d->why), "length %" PRId64, (int64_t)len);
		d->ops->absent(d, "unreadable", d->why);
		return;
	}
	if (!addr || (!find_bytes(d->view, addr, &data, &n) && is_fault(d, addr))) {
		d->ops->absent(d, "unreadable", fault_why(d, addr));
		return;
	}
	if (n > len)
		n = len;
	if (n > d->limits.string_size)
		n = d->limits.string_size;
	if (n < len)
		n -= utf8_cut(data, n);
	d->ops->string(d, data, n, len);
}

/* Does a value that is still being shown stand at that address, with that type? */
const struct followed *find_cycle(const struct decoder *d, uint64_t addr, uint32_t type)
{
	for (uint32_t i = 0; i < d->n_followed; i++)
		if (d->followed[i].addr == addr && d->followed[i].type == type)
			return &d->followed[i];
	return NULL;
}

void decode_follow(struct decoder *d, uint64_t addr, uint32_t type, uint32_t n_path)
{
	d->followed[d->n_followed++] = (struct followed){ addr, type, n_path };
}

static void decode_items(struct decoder *d, const struct place *p, uint32_t type, uint64_t size, uint64_t shown,
			 uint64_t total)
{
	if (shown > d->values_left)
		shown = d->values_left;
	d->ops->list_begin(d, shown, total);
	path_push(d, (struct path_part){ .kind = PATH_INDEX });
	for (uint64_t i = 0; i < shown; i++) {
		struct place item = place_at(p, i * size);

		d->path[d->n_path - 1].index = i;
		d->ops->item(d);
		decode_value(d, &item, type);
	}
	d->n_path--;
	d->ops->list_end(d, shown, total);
}

const struct go_type *type_at(const struct decoder *d, uint32_t type)
{
	return type < d->plan->types.n ? &d->plan->types.v[type] : NULL;
}

/* Is the type one whose make-up the plan does not hold, because nothing of it was to be read? */
bool is_left_out(const struct go_type *t)
{
	switch (t->kind) {
	case GO_ARRAY:
	case GO_SLICE:
	case GO_STRUCT:
	case GO_POINTER:
	case GO_MAP:
		return !(t->flags & TYPE_COMPLETE);
	}
	return false;
}

static void decode_array(struct decoder *d, const struct place *p, const struct go_type *t)
{
	const struct go_type *elem = type_at(d, t->elem);
	uint64_t shown = t->count < d->limits.elements ? t->count : d->limits.elements;

	if (!elem) {
		d->ops->absent(d, "not decoded", "unknown type");
		return;
	}
	if (place_is_absent(d, p, t->size)) {
		decode_absent(d);
		return;
	}
	if (elem->size && p->mem) {
		uint64_t there = p->offset < p->n_mem ? (p->n_mem - p->offset) / elem->size : 0;

		if (shown > there)
			shown = there;
	}
	decode_items(d, p, t->elem, elem->size, shown, t->count);
}

static void decode_slice(struct decoder *d, const struct place *p, const struct go_type *t)
{
	const struct go_type *elem = type_at(d, t->elem);
	struct place items = { .mem = (const uint8_t *)"" };
	uint64_t addr, len, shown;
	uint32_t followed = d->n_followed;

	if (!elem) {
		d->ops->absent(d, "not decoded", "unknown type");
		return;
	}
	if (!place_read(d, p, 8, 8, &len) || !place_read(d, p, 0, 8, &addr)) {
		decode_absent(d);
		return;
	}
	if (!len) {
		if (!addr)
			d->ops->nil(d);
		else
			decode_items(d, &items, t->elem, 0, 0, 0);
		return;
	}
	if (len > LENGTH_MAX) {
		snprintf(d->why, sizeof(d->why), "length %" PRId64, (int64_t)len);
		d->ops->absent(d, "unreadable", d->why);
		return;
	}
	if (!addr) {
		d->ops->absent(d, "unreadable", "bad address");
		return;
	}
	shown = len < d->limits.elements ? len : d->limits.elements;
	if (is_left_out(elem)) {
		shown = 0;
	} else if (elem->size) {
		if (!find_bytes(d->view, addr, &items.mem, &items.n_mem) && is_fault(d, addr)) {
			d->ops->absent(d, "unreadable", fault_why(d, addr));
			return;
		}
		if (shown > items.n_mem / elem->size)
			shown = items.n_mem / elem->size;
	}
	if (find_cycle(d, addr, t->elem))
		shown = 0;
	decode_follow(d, addr, t->elem, d->n_path);
	decode_items(d, &items, t->elem, elem->size, shown, len);
	d->n_followed = followed;
}

static void decode_struct(struct decoder *d, const struct place *p, const struct go_type *t)
{
	if (place_is_absent(d, p, t->size)) {
		decode_absent(d);
		return;
	}
	d->ops->struct_begin(d);
	path_push(d, (struct path_part){ .kind = PATH_FIELD });
	for (uint32_t i = 0; i < t->n_fields && (uint64_t)t->first_field + i < d->plan->types.n_fields; i++) {
		const struct go_field *f = &d->plan->types.fields[t->first_field + i];
		const char *name = plan_string(d->plan, f->name);
		struct place field = place_at(p, f->offset);

		if (name[0] == '_' && !name[1])
			continue;
		d->path[d->n_path - 1].name = name;
		d->ops->field(d, name);
		if (mask_hides(d->mask, name))
			d->ops->masked(d);
		else
			decode_value(d, &field, f->type);
	}
	d->n_path--;
	d->ops->struct_end(d);
}

static void pointer_ends(struct decoder *d, const char *word, const char *why)
{
	d->ops->pointer_end(d, word, why);
}

static void decode_target(struct decoder *d, uint64_t addr, uint32_t type, const struct go_type *t)
{
	struct place target = { .mem = (const uint8_t *)"" };
	const struct followed *cycle = find_cycle(d, addr, type);
	uint32_t followed = d->n_followed;

	if (cycle) {
		jout_reset(&d->scratch);
		path_write(d->path, cycle->n_path, &d->scratch);
		jout_putc(&d->scratch, '\0');
		pointer_ends(d, "cycle", d->scratch.failed ? "" : d->scratch.buf);
		return;
	}
	char depth[JOUT_INT_MAX];

	depth[jout_format_u64(depth, d->hops)] = '\0';
	if (d->hops >= d->limits.depth || is_left_out(t)) {
		pointer_ends(d, "depth", depth);
		return;
	}
	if (t->size && !find_bytes(d->view, addr, &target.mem, &target.n_mem)) {
		if (is_fault(d, addr))
			pointer_ends(d, "unreadable", fault_why(d, addr));
		else if (d->view->full)
			pointer_ends(d, "unreadable", "record full");
		else
			pointer_ends(d, "depth", depth);
		return;
	}
	d->ops->pointer_to(d, t->kind == GO_STRUCT);
	decode_follow(d, addr, type, d->n_path);
	path_push(d, (struct path_part){ .kind = PATH_DEREF });
	d->hops++;
	decode_value(d, &target, type);
	d->hops--;
	d->n_path--;
	d->n_followed = followed;
	pointer_ends(d, NULL, NULL);
}

static void decode_pointer(struct decoder *d, const struct place *p, const struct go_type *t)
{
	const struct go_type *elem = type_at(d, t->elem);
	uint64_t addr;

	if (!place_read(d, p, 0, 8, &addr)) {
		decode_absent(d);
		return;
	}
	if (!addr) {
		d->ops->nil(d);
		return;
	}
	d->ops->pointer_begin(d, addr);
	if (t->kind == GO_UNSAFE_POINTER)
		pointer_ends(d, NULL, NULL);
	else if (!elem)
		pointer_ends(d, "not decoded", "unknown type");
	else
		decode_target(d, addr, t->elem, elem);
}

static void decode_kind(struct decoder *d, const struct place *p, uint32_t type, const struct go_type *t)
{
	uint8_t byte;

	if (t->kind >= GO_INT && t->kind <= GO_UINTPTR) {
		decode_integer(d, p, t);
		return;
	}
	switch (t->kind) {
	case GO_BOOL:
		if (place_read(d, p, 0, 1, &byte))
			d->ops->boolean(d, byte);
		else
			decode_absent(d);
		break;
	case GO_FLOAT32:
	case GO_FLOAT64:
	case GO_COMPLEX64:
	case GO_COMPLEX128:
		decode_real(d, p, t->kind);
		break;
	case GO_STRING:
		decode_string(d, p);
		break;
	case GO_ARRAY:
		decode_array(d, p, t);
		break;
	case GO_SLICE:
		decode_slice(d, p, t);
		break;
	case GO_STRUCT:
		decode_struct(d, p, t);
		break;
	case GO_POINTER:
	case GO_UNSAFE_POINTER:
		decode_pointer(d, p, t);
		break;
	case GO_CHAN:
		decode_chan(d, p);
		break;
	case GO_FUNC:
		decode_func(d, p);
		break;
	case GO_MAP:
		decode_map(d, p, type, t);
		break;
	case GO_INTERFACE:
		decode_interface(d, p, t);
		break;
	default:
		d->ops->absent(d, "not decoded", "unknown type");
	}
}

/* A value that people read otherwise; false where it has no text. */
static bool decode_texted(struct decoder *d, const struct place *p, uint32_t type, const struct go_type *t)
{
	struct jout text;
	bool ok;

	jout_init(&text, -1);
	ok = value_text(d, p, type, &text);
	/* a format that shows the text leaves the value out */
	if (ok && !d->ops->texted_begin(d, text.buf ? text.buf : "", text.len)) {
		decode_kind(d, p, type, t);
		d->ops->texted_end(d, text.buf ? text.buf : "", text.len);
	}
	jout_deinit(&text);
	return ok;
}

void decode_value(struct decoder *d, const struct place *p, uint32_t type)
{
	const struct go_type *t = type_at(d, type);
	uint32_t pattern;

	if (!t) {
		d->ops->absent(d, "not decoded", "unknown type");
		return;
	}
	if (!d->values_left || d->nesting >= NESTING_MAX) {
		d->ops->absent(d, "not decoded", d->values_left ? "nested too deep" : "too many values");
		return;
	}
	d->values_left--;
	d->nesting++;
	if (is_left_out(t)) {
		d->ops->absent(d, "not decoded", "its type was left out of the plan");
	} else if (d->in_interface || names_special(d->names, type, &pattern) == SPECIAL_NONE ||
		   !decode_texted(d, p, type, t)) {
		d->in_interface = false; /* an interface says the text itself */
		decode_kind(d, p, type, t);
	}
	d->nesting--;
}

void decode_site_value(struct decoder *d, uint32_t i)
{
	const struct plan_value *value = &d->plan->values[d->site->first_value + i];
	struct place p = { .pieces = d->plan->pieces + value->first_piece, .n_pieces = value->n_pieces };

	d->n_path = 0;
	path_push(d, (struct path_part){ .kind = PATH_NAME, .name = plan_string(d->plan, value->name) });
	if (value->n_ways)
		decode_ways(d, value);
	else if (mask_hides(d->mask, plan_string(d->plan, value->name)))
		d->ops->masked(d);
	else
		decode_value(d, &p, value->type);
	d->n_path = 0;
}

void decoder_init(struct decoder *d, const struct value_ops *ops, struct jout *out, const struct decode_limits *limits)
{
	memset(d, 0, sizeof(*d));
	d->ops = ops;
	d->out = out;
	d->limits = *limits;
	jout_init(&d->notes, -1);
	jout_init(&d->scratch, -1);
	jout_init(&d->last_path, -1);
}

void decoder_deinit(struct decoder *d)
{
	jout_deinit(&d->notes);
	jout_deinit(&d->scratch);
	jout_deinit(&d->last_path);
	free(d->slots);
}

void decoder_begin(struct decoder *d, const struct record_view *view, const struct plan *plan,
		   const struct plan_site *site, struct names *names)
{
	d->names = names;
	d->in_interface = false;
	d->n_slots = 0;
	d->view = view;
	d->plan = plan;
	d->site = site;
	d->values_left = VALUES_MAX;
	d->nesting = d->hops = d->n_path = d->n_followed = 0;
	d->notes.len = d->last_path.len = 0;
}
