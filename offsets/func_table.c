/* SPDX-License-Identifier: Apache-2.0 */
/* The table of functions: those of the pclntab, with the names and the remaining functions of the symbol table. */
#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "elf_priv.h"
#include "func_name.h"
#include "pclntab_priv.h"

/* Names may overlap in a damaged file, so that a small file could stand for terabytes of names. In a real one each
 * stands about once (bodies of two ABIs share one, linkers fold common ends). */
#define NAMES_RATIO_MAX 16
#define ABI0_SUFFIX ".abi0"
#define LOOKUPS_WITHOUT_INDEX 16 /* names looked up by going through the table; with more of them an index pays */

struct symbols {
	const struct elf_file *elf;
	struct elf_symbol *v;
	size_t n, cap;
	uint64_t file_size;
	uint64_t names_size; /* bytes of all names together */
	bool sorted, nomem, overlap;
};

static struct err *malformed(const struct elf_file *elf, const char *what, uint64_t i)
{
	return err_create(ERR_MALFORMED, "%s: damaged Go function table: %s (function %" PRIu64 ")", elf->path, what,
			  i);
}

static const struct elf_segment *code_segment_of(const struct elf_file *elf, uint64_t vaddr)
{
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (s->flags & PF_X && vaddr >= s->vaddr && vaddr - s->vaddr < s->filesz)
			return s;
	}
	return NULL;
}

/* Fill the table from the pclntab. */
static struct err *read_pclntab(struct elf_file *elf, struct func_table *table)
{
	const struct pclntab *t = &table->priv->pcln;
	const struct elf_segment *segment = NULL;
	uint64_t names_size = 0;

	if (!t->n_funcs)
		return malformed(elf, "it lists none", 0);
	table->v = calloc(t->n_funcs, sizeof(*table->v));
	if (!table->v)
		return &err_nomem;
	for (uint32_t i = 0; i < t->n_funcs; i++) {
		uint64_t entry = pclntab_entry(t, i), end = pclntab_entry(t, i + 1);
		struct pclntab_func record;
		struct func *func;
		const char *name;
		struct err *err;

		if (end < entry)
			return malformed(elf, "its entries are not in order", i);
		if (!segment || entry < segment->vaddr || end - segment->vaddr > segment->filesz) {
			segment = code_segment_of(elf, entry);
			if (!segment || end - segment->vaddr > segment->filesz)
				return malformed(elf, "an entry is not in the code", i);
		}
		if (end == entry) /* a function without code: the next one begins here too */
			continue;
		err = pclntab_func(t, i, &record);
		if (err)
			return err_wrap(err, "%s", elf->path);
		name = pclntab_string(t->names, record.name);
		if (!name)
			return malformed(elf, "a name is out of bounds", i);
		names_size += strlen(name);
		if (names_size / NAMES_RATIO_MAX > t->size)
			return malformed(elf, "its names overlap", i);
		func = &table->v[table->n++];
		*func = (struct func){ .name = name, .entry = entry, .end = end, .source = FUNC_PCLNTAB, .pcln_id = i };
	}
	return NULL;
}

static int compare_symbols(const void *a, const void *b)
{
	const struct elf_symbol *x = a, *y = b;

	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	if (x->bind != y->bind) /* of two names for one address a global one is the better known */
		return y->bind == STB_GLOBAL ? 1 : x->bind == STB_GLOBAL ? -1 : x->bind < y->bind ? -1 : 1;
	return strcmp(x->name, y->name);
}

static bool collect(void *arg, const struct elf_symbol *symbol)
{
	struct symbols *s = arg;

	if (symbol->type != STT_FUNC || symbol->shndx == SHN_UNDEF || !*symbol->name ||
	    !code_segment_of(s->elf, symbol->value))
		return true;
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 4096;
		struct elf_symbol *grown = reallocarray(s->v, cap, sizeof(*s->v));

		if (!grown) {
			s->nomem = true;
			return false;
		}
		s->v = grown;
		s->cap = cap;
	}
	s->names_size += strlen(symbol->name);
	s->overlap = s->names_size / NAMES_RATIO_MAX > s->file_size;
	if (s->overlap)
		return false;
	if (s->n && s->v[s->n - 1].value > symbol->value)
		s->sorted = false;
	s->v[s->n++] = *symbol;
	return true;
}

static bool has_suffix(const char *s, size_t n, const char *suffix)
{
	size_t suffix_size = strlen(suffix);

	return n > suffix_size && !memcmp(s + n - suffix_size, suffix, suffix_size);
}

/* Marks that the linker sets into the code; not functions. */
static bool is_mark(const char *name)
{
	return !strcmp(name, "runtime.text") || !strcmp(name, "runtime.etext") || !strncmp(name, "runtime.text.", 13) ||
	       !strcmp(name, "go:buildid") || !strcmp(name, "go.buildid") || !strncmp(name, "go:textfips", 11);
}

/* The linker writes the compiler's middle dot as '.' in the symbol table (cmd/link/internal/ld/symtab.go,
 * putelfsym). */
static bool equal_but_for_dots(const char *name, const char *symbol, size_t n)
{
	static const char middle_dot[] = "\xc2\xb7";
	size_t i = 0;

	for (; *name && i < n; i++) {
		if (!strncmp(name, middle_dot, 2) && symbol[i] == '.')
			name += 2;
		else if (*name++ != symbol[i])
			return false;
	}
	return !*name && i == n;
}

/* A function that is in both tables: the symbol table knows its ABI and the full name of an instance. */
static void merge_one(struct func *func, const struct elf_symbol *symbol)
{
	size_t n = strlen(symbol->name);
	bool abi0 = has_suffix(symbol->name, n, ABI0_SUFFIX);

	if (is_mark(symbol->name))
		return;
	func->source |= FUNC_SYMTAB;
	if (abi0)
		n -= strlen(ABI0_SUFFIX);
	if (strlen(func->name) == n && !memcmp(func->name, symbol->name, n))
		func->abi0 = abi0;
	else if (!abi0 &&
		 (func_name_is_instance(func->name, symbol->name) || equal_but_for_dots(func->name, symbol->name, n)))
		func->name = symbol->name;
}

/* A name without ".abi0". */
static struct err *own_name(struct func_priv *priv, const char *name, size_t n, const char **ret)
{
	char **grown = reallocarray(priv->owned, priv->n_owned + 1, sizeof(*grown)), *copy;

	if (!grown)
		return &err_nomem;
	priv->owned = grown;
	copy = strndup(name, n);
	if (!copy)
		return &err_nomem;
	priv->owned[priv->n_owned++] = copy;
	*ret = copy;
	return NULL;
}

/* A function that only the symbol table has, between `from` and `limit`. */
static struct err *symbol_func(struct func_table *table, const struct elf_symbol *symbol, uint64_t limit,
			       struct func *ret)
{
	size_t n = strlen(symbol->name);
	uint64_t room = limit - symbol->value;

	*ret = (struct func){
		.name = symbol->name,
		.entry = symbol->value,
		.end = symbol->value + (symbol->size && symbol->size < room ? symbol->size : room),
		.source = FUNC_SYMTAB,
		.abi0 = has_suffix(symbol->name, n, ABI0_SUFFIX),
		.pcln_id = UINT32_MAX,
	};
	return ret->abi0 ? own_name(table->priv, symbol->name, n - strlen(ABI0_SUFFIX), &ret->name) : NULL;
}

static void drop_name_index(struct func_priv *priv)
{
	free(priv->buckets);
	free(priv->next);
	priv->buckets = priv->next = NULL;
	priv->n_lookups = 0;
}

/* Both lists are sorted by address. */
static struct err *merge(struct func_table *table, const struct symbols *s)
{
	struct func *v = calloc(table->n + s->n, sizeof(*v));
	size_t n = 0, i = 0, j = 0;

	if (!v)
		return &err_nomem;
	while (i < table->n || j < s->n) {
		const struct elf_symbol *symbol = &s->v[j];
		const struct elf_segment *segment;
		uint64_t limit;
		struct err *err;

		if (j == s->n || (i < table->n && table->v[i].entry <= symbol->value)) {
			v[n] = table->v[i++];
			for (; j < s->n && s->v[j].value < v[n].end; j++) /* what lies inside is a label */
				if (s->v[j].value == v[n].entry)
					merge_one(&v[n], &s->v[j]);
			n++;
			continue;
		}
		j++;
		if (is_mark(symbol->name))
			continue;
		while (j < s->n && s->v[j].value == symbol->value)
			j++;
		segment = code_segment_of(s->elf, symbol->value);
		limit = segment->vaddr + segment->filesz;
		if (i < table->n && table->v[i].entry < limit)
			limit = table->v[i].entry;
		if (j < s->n && s->v[j].value < limit)
			limit = s->v[j].value;
		err = symbol_func(table, symbol, limit, &v[n]);
		if (err) {
			free(v);
			return err;
		}
		n++;
	}
	free(table->v);
	drop_name_index(table->priv);
	table->v = v;
	table->n = n;
	return NULL;
}

struct err *func_table_add_symbols(struct func_table *table, const struct elf_file *elf, struct elf_file *from)
{
	struct symbols s = { .elf = elf, .file_size = from->id.size, .sorted = true };
	struct err *err = elf_file_each_symbol(from, collect, &s);

	if (err == &err_notfound) /* stripped */
		err = NULL;
	else if (!err && s.nomem)
		err = &err_nomem;
	else if (!err && s.overlap)
		err = err_create(ERR_MALFORMED, "%s: damaged symbol table: its names overlap", from->path);
	if (!err && s.n) {
		if (!s.sorted)
			qsort(s.v, s.n, sizeof(*s.v), compare_symbols);
		err = merge(table, &s);
	}
	free(s.v);
	return err;
}

struct err *func_table_read(struct elf_file *elf, struct func_table **ret)
{
	struct func_table *table = calloc(1, sizeof(*table));
	struct err *err;

	if (!table)
		return &err_nomem;
	table->priv = calloc(1, sizeof(*table->priv));
	if (table->priv)
		table->priv->elf = elf;
	err = table->priv ? pclntab_open(elf, &table->priv->pcln) : &err_nomem;
	if (!err)
		err = read_pclntab(elf, table);
	if (!err && !table->n)
		err = malformed(elf, "none has code", 0);
	if (!err) {
		table->pcln_minor = table->priv->pcln.minor;
		table->text_start = table->priv->pcln.minor >= 18 ? table->priv->pcln.text_start : table->v[0].entry;
		err = func_table_add_symbols(table, elf, elf);
	}
	if (err) {
		func_table_destroy(table);
		return err;
	}
	*ret = table;
	return NULL;
}

void func_table_destroy(struct func_table *table)
{
	if (!table)
		return;
	if (table->priv) {
		pclntab_deinit(&table->priv->pcln);
		for (size_t i = 0; i < table->priv->n_owned; i++)
			free(table->priv->owned[i]);
		free(table->priv->owned);
		drop_name_index(table->priv);
		free(table->priv);
	}
	free(table->v);
	free(table);
}

const struct func *func_table_find_addr(const struct func_table *table, uint64_t addr)
{
	size_t low = 0, n = table->n;

	while (n) { /* the last entry that is not past addr */
		size_t half = n / 2;

		if (table->v[low + half].entry <= addr) {
			low += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return low && addr < table->v[low - 1].end ? &table->v[low - 1] : NULL;
}

static uint32_t name_bucket(const struct func_priv *priv, const char *name)
{
	uint64_t h = 14695981039346656037ull; /* FNV-1a */

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 1099511628211ull;
	return (h ^ h >> 32) & (priv->n_buckets - 1);
}

/* Chains by hash of the name, for those who ask often; a table without them answers as well, slowly. */
static void make_name_index(const struct func_table *table)
{
	struct func_priv *priv = table->priv;
	size_t n = 1;

	while (n < table->n)
		n *= 2;
	priv->buckets = calloc(n, sizeof(*priv->buckets));
	priv->next = calloc(table->n ? table->n : 1, sizeof(*priv->next));
	if (!priv->buckets || !priv->next) {
		free(priv->buckets);
		free(priv->next);
		priv->buckets = priv->next = NULL;
		return;
	}
	priv->n_buckets = n;
	for (size_t i = table->n; i-- > 0;) { /* backwards, so that a chain is in order of address */
		uint32_t *head = &priv->buckets[name_bucket(priv, table->v[i].name)];

		priv->next[i] = *head;
		*head = (uint32_t)i + 1;
	}
}

size_t func_table_find_name(const struct func_table *table, const char *name, const struct func **v, size_t max)
{
	struct func_priv *priv = table->priv;
	size_t n = 0;

	if (!priv->buckets && ++priv->n_lookups == LOOKUPS_WITHOUT_INDEX)
		make_name_index(table);
	for (size_t i = priv->buckets ? priv->buckets[name_bucket(priv, name)] : 1; i && i <= table->n;
	     i = priv->buckets ? priv->next[i - 1] : i + 1) {
		if (strcmp(table->v[i - 1].name, name) != 0)
			continue;
		if (n < max)
			v[n] = &table->v[i - 1];
		n++;
	}
	return n;
}

struct err *func_table_select(const struct func_table *table, const char *pattern, const struct func ***v_ret,
			      size_t *n_ret)
{
	size_t n = 0, best_count[FUNC_MATCH_EXACT + 1] = { 0 };
	enum func_match best = FUNC_MATCH_NONE;
	struct func_matcher *matcher;
	const struct func **v = NULL;
	struct err *err;

	*v_ret = NULL;
	*n_ret = 0;
	err = func_matcher_create(&pattern, 1, &matcher);
	if (err)
		return err;
	for (size_t i = 0; i < table->n; i++) {
		enum func_match match = FUNC_MATCH_NONE;

		if (table->v[i].source & FUNC_PCLNTAB)
			match = func_matcher_kind(matcher, table->v[i].name);
		best_count[match]++;
		if (match > best)
			best = match;
	}
	if (best != FUNC_MATCH_NONE) {
		v = calloc(best_count[best], sizeof(const struct func *));
		if (!v)
			err = &err_nomem;
		for (size_t i = 0; v && i < table->n; i++)
			if (table->v[i].source & FUNC_PCLNTAB && func_matcher_kind(matcher, table->v[i].name) == best)
				v[n++] = &table->v[i];
	}
	func_matcher_destroy(matcher);
	*v_ret = v;
	*n_ret = n;
	return err;
}

struct err *func_table_args_size(const struct func_table *table, const struct func *func, uint32_t *ret)
{
	struct pclntab_func record;
	struct err *err;

	if (func->pcln_id == UINT32_MAX)
		return &err_notfound;
	err = pclntab_func(&table->priv->pcln, func->pcln_id, &record);
	if (err)
		return err;
	if (record.args < 0)
		return &err_notfound;
	*ret = (uint32_t)record.args;
	return NULL;
}
