/* SPDX-License-Identifier: Apache-2.0 */
/* What an address of a function is in the source: file, line, and the calls that were inlined there. */
#include <string.h>

#include "inlines_priv.h"

/* Name of file number `number` of a compilation unit. */
static const char *file_name(const struct pclntab *t, const struct pclntab_func *record, int32_t number)
{
	uint64_t index = (uint64_t)(uint32_t)number + (t->minor >= 16 ? record->cu : 0);
	uint32_t offset;

	if (number < 0 || index >= t->cu_files.size / sizeof(offset))
		return NULL;
	memcpy(&offset, t->cu_files.data + index * sizeof(offset), sizeof(offset));
	return pclntab_string(t->files, offset);
}

bool func_record_line(const struct pclntab *t, const struct func *func, const struct pclntab_func *record,
		      uint64_t addr, const char **file_ret, uint32_t *line_ret)
{
	int32_t number, line;
	const char *file;

	if (!pclntab_value(t, func->entry, record->pc_file, addr, &number) ||
	    !pclntab_value(t, func->entry, record->pc_line, addr, &line) || line <= 0)
		return false;
	file = file_name(t, record, number);
	if (!file)
		return false;
	*file_ret = file;
	*line_ret = (uint32_t)line;
	return true;
}

struct err *func_table_line(const struct func_table *table, const struct func *func, uint64_t addr,
			    const char **file_ret, uint32_t *line_ret)
{
	const struct pclntab *t = &table->priv->pcln;
	struct pclntab_func record;
	struct err *err;

	if (func->pcln_id == UINT32_MAX || addr < func->entry || addr >= func->end)
		return &err_notfound;
	err = pclntab_func(t, func->pcln_id, &record);
	if (err)
		return err;
	return func_record_line(t, func, &record, addr, file_ret, line_ret) ? NULL : &err_notfound;
}

size_t func_table_frames(const struct func_table *table, const struct func *func, uint64_t addr, struct func_frame *v,
			 size_t max)
{
	const struct pclntab *t = &table->priv->pcln;
	struct pclntab_func record;
	struct inlined_call call;
	uint64_t pc = addr;
	size_t n = 0;

	if (!max || addr < func->entry || addr >= func->end)
		return 0;
	v[0] = (struct func_frame){ .func = func->name };
	if (func->pcln_id == UINT32_MAX)
		return 1;
	struct err *err = pclntab_func(t, func->pcln_id, &record);
	if (err) {
		err_destroy(err);
		return 1;
	}
	for (;;) {
		int32_t index;

		v[n] = (struct func_frame){ .func = func->name };
		func_record_line(t, func, &record, pc, &v[n].file, &v[n].line);
		/* a damaged tree can turn in a circle */
		if (n + 1 >= max || n + 1 >= FUNC_FRAMES_MAX ||
		    !pclntab_value(t, func->entry, record.pc_inline, pc, &index) || index < 0 ||
		    !inlined_call_read(table, &record, (uint32_t)index, &call) ||
		    call.parent_pc >= func->end - func->entry)
			break;
		v[n++].func = call.name;
		pc = func->entry + call.parent_pc;
	}
	return n + 1;
}
