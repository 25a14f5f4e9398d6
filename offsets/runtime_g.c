/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime_g.h"

#include <stdio.h>
#include <string.h>

static const struct row {
	uint8_t minor, patch; /* go1.minor, from this patch release on */
	struct runtime_g at;
} rows[] = {
#define ROW(minor, patch, stack_hi, m, goid, curg, gobuf_sp, gobuf_g)                                                  \
	{ minor, patch, { stack_hi, m, goid, curg, gobuf_sp, gobuf_g } },
#include "runtime_g_table.h"
#undef ROW
};

/* "go1.26.8", "go1.26.8 X:nogreenteagc"; not "devel go1.27-…", "go1.27rc1", "go1.27-devel_…", "go1.26-somebody's". Experiments change
 * nothing that stands before the fields of the table. */
static bool is_release(const struct go_build *build)
{
	char plain[64];
	size_t n;

	if (build->patch)
		snprintf(plain, sizeof(plain), "go%d.%d.%d", build->major, build->minor, build->patch);
	else
		snprintf(plain, sizeof(plain), "go%d.%d", build->major, build->minor);
	n = strlen(plain);
	if (strncmp(build->version, plain, n) != 0)
		return false;
	if (!build->patch && !strncmp(build->version + n, ".0", 2)) /* as Go 1.21 and later write it */
		n += 2;
	return build->version[n] == '\0' || build->version[n] == ' ';
}

struct err *runtime_g_find(const struct go_build *build, struct runtime_g *ret)
{
	const struct row *found = NULL;

	if (!*build->version)
		return err_create(ERR_NOTFOUND,
				  "there is no debug information, and the file does not tell its Go version");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (build->major == 1 && build->minor == rows[i].minor && build->patch >= rows[i].patch)
			found = &rows[i];
	if (!found || !is_release(build))
		return err_create(ERR_NOTFOUND,
				  "there is no debug information, and %s is not among the releases that are "
				  "known without it",
				  build->version);
	*ret = found->at;
	return NULL;
}
