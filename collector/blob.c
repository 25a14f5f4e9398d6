/* SPDX-License-Identifier: Apache-2.0 */
#include "blob.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "GSPROG1"
#define PROGRAMS_MAX 64
#define INSNS_MAX 1000000 /* the verifier's own limit */
#define REFS_MAX 4096

struct cursor {
	const uint8_t *p;
	size_t left;
};

static bool take(struct cursor *in, void *out, size_t n)
{
	if (in->left < n)
		return false;
	memcpy(out, in->p, n);
	in->p += n;
	in->left -= n;
	return true;
}

static bool take_name(struct cursor *in, char name[BLOB_NAME_MAX])
{
	uint32_t n;

	if (!take(in, &n, 4) || n >= BLOB_NAME_MAX || !take(in, name, n))
		return false;
	name[n] = 0;
	return true;
}

struct err *blob_damaged(const char *where)
{
	return err_create(ERR_MALFORMED, "the compiled program is damaged: %s", where);
}

/* The instructions of a program whose name and number of them are known, with the maps that they name. */
static struct err *read_insns(struct cursor *in, const struct blob_reader *reader, struct blob_program *program)
{
	uint32_t refs, n = program->n_insns;
	char name[BLOB_NAME_MAX];

	if (!take(in, program->insns, n * sizeof(*program->insns)) || !take(in, &refs, 4) || refs > REFS_MAX)
		return blob_damaged("instructions");
	for (uint32_t i = 0; i < refs; i++) {
		uint32_t at;
		int fd;

		if (!take(in, &at, 4) || !take_name(in, name) || at >= n ||
		    (fd = reader->map_fd(reader->to, name)) < 0 ||
		    program->insns[at].code != (BPF_LD | BPF_DW | BPF_IMM))
			return blob_damaged("reference to a map");
		program->insns[at].src_reg = BPF_PSEUDO_MAP_FD;
		program->insns[at].imm = fd;
	}
	return NULL;
}

static struct err *read_program(struct cursor *in, const struct blob_reader *reader)
{
	struct blob_program program;

	if (!take_name(in, program.name) || !take(in, &program.n_insns, 4) || program.n_insns > INSNS_MAX)
		return blob_damaged("header of a program");
	program.insns = calloc(program.n_insns ? program.n_insns : 1, sizeof(*program.insns));
	if (!program.insns)
		return &err_nomem;
	struct err *err = read_insns(in, reader, &program);
	if (!err)
		err = reader->take(reader->to, &program);
	free(program.insns);
	return err;
}

struct err *blob_read(const void *blob, size_t size, const struct blob_reader *reader)
{
	struct cursor in = { blob, size };
	char magic[sizeof(MAGIC)];
	uint32_t n;

	if (!take(&in, magic, sizeof(magic)) || memcmp(magic, MAGIC, sizeof(magic)) || !take(&in, &n, 4) ||
	    n > PROGRAMS_MAX)
		return blob_damaged("magic");
	for (uint32_t i = 0; i < n; i++) {
		struct err *err = read_program(&in, reader);
		if (err)
			return err;
	}
	return NULL;
}
