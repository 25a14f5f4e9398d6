/* SPDX-License-Identifier: Apache-2.0 */
/* `offsets walk FILE`: reads the parameters of every function and counts; for tests and measurements of all that a file holds. */
#include "commands.h"

struct walk {
	struct dwarf_info *dw;
	struct type_table types;
	uint64_t functions, params, results, located, unlocated, unsupported, malformed;
	struct err *err;
};

/* What one function or value failed with is counted; running out of memory ends the walk. */
static bool count_failure(struct walk *w, struct err *err)
{
	if (err->code == ERR_NOMEM) {
		w->err = err;
		return false;
	}
	if (err->code == ERR_NOTFOUND || err->code == ERR_NOLOC)
		w->unlocated++;
	else if (err->code == ERR_UNSUPPORTED)
		w->unsupported++;
	else
		w->malformed++;
	err_destroy(err);
	return true;
}

static bool walk_func(void *arg, const char *name, uint64_t low, uint64_t high, uint64_t die)
{
	struct dwarf_piece pieces[DWARF_PIECES_MAX];
	struct dwarf_func *f = NULL;
	struct walk *w = arg;
	struct err *err = dwarf_info_func(w->dw, name, low, &w->types, &f);
	bool go_on = true;
	size_t n;

	(void)high;
	(void)die;
	if (err)
		return count_failure(w, err);
	w->functions++;
	for (size_t i = 0; i < f->n_params && go_on; i++) {
		const struct dwarf_param *p = &f->params[i];

		*(p->result ? &w->results : &w->params) += 1;
		err = p->has_location ? dwarf_info_location(w->dw, f, p->die, w->types.v[p->type].size, low, pieces, &n)
				      : &err_notfound;
		if (err)
			go_on = count_failure(w, err);
		else
			w->located++;
	}
	dwarf_func_destroy(f);
	return go_on;
}

struct err *command_walk(struct program *program, int argc, char **argv, struct jout *out)
{
	struct walk w = { 0 };
	struct err *err;

	(void)argv;
	if (argc)
		return err_create(ERR_USAGE, "walk: nothing but FILE is wanted");
	err = program_dwarf(program, &w.dw);
	if (err)
		return err;
	type_table_init(&w.types);
	err = dwarf_info_each_func(w.dw, walk_func, &w);
	if (!err)
		err = w.err;
	if (!err) {
		const struct {
			const char *name;
			uint64_t n;
		} counts[] = {
			{ "functions", w.functions }, { "params", w.params },       { "results", w.results },
			{ "located", w.located },     { "unlocated", w.unlocated }, { "unsupported", w.unsupported },
			{ "malformed", w.malformed }, { "types", w.types.n },
		};

		jout_object_begin(out);
		command_write_file(program, out);
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
			jout_key(out, counts[i].name);
			jout_u64(out, counts[i].n);
		}
		jout_object_end(out);
	}
	type_table_deinit(&w.types);
	return err;
}
