/* SPDX-License-Identifier: Apache-2.0 */
/* What the collector does for rewriting: flags and maps of the programs that write. */
#include <stdio.h>

#include "load.h"

bool rewriting_uses(const struct collector *c, const struct plan_site *site)
{
	const struct rewrite *r = c->options.rewrite;

	return !r || r->site[site->kind].n_writes || (site->kind == SITE_ENTRY && (r->skip || site->filter));
}

void rewriting_cflags(const struct collector *c, char *to, size_t size)
{
	const struct rewrite *r = c->options.rewrite;

	*to = '\0';
	if (r)
		snprintf(to, size, " -DENTRY_WRITES=%zu -DRETURN_WRITES=%zu%s%s", r->site[SITE_ENTRY].n_writes,
			 r->site[SITE_RETURN].n_writes, r->skip ? " -DSKIP_CALL" : "",
			 r->needs & REWRITE_NEEDS_REGISTERS ? " -DWRITE_REGISTERS" : "");
}

struct err *rewriting_fill(const struct collector *c)
{
	const struct rewrite *r = c->options.rewrite;
	struct err *err = NULL;

	for (uint32_t kind = 0; r && kind < 2; kind++)
		for (uint32_t i = 0; i < r->site[kind].n_writes && !err; i++)
			err = map_put(c->maps.writes, "writes", kind * WRITES_MAX + i, &r->site[kind].writes[i]);
	return err;
}
