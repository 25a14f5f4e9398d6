/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Memory of the traced process. */
#ifndef BPF_READ_USER_H
#define BPF_READ_USER_H

#include "opaque.h"

/* Copy from the traced process. With -DSLEEPABLE a page that is not resident is brought in: where the plain read fails, the one that may
 * sleep is tried. 0, or the helper's negative error. */
static __always_inline int read_user(void *to, u64 len, u64 from)
{
	int error = bpf_probe_read_user(to, len, (void *)from);

#ifdef SLEEPABLE
	if (error)
		error = bpf_copy_from_user(to, len, (void *)from);
	opaque(error); /* the verifier is to take both ways for one */
#endif
	return error;
}

#endif
