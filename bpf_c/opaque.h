/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the compiler must not know, for the verifier's sake. */
#ifndef BPF_OPAQUE_H
#define BPF_OPAQUE_H

/* Keep the compiler from knowing x: it must not drop a bounds check that the verifier wants to see. What is checked is a u64: of
 * a u32 the compiler checks one copy and uses another.
 *
 * Keys of maps are u64 on the stack too, where they are made within the steps: of eight bytes that are written in parts the verifier
 * does not see that what was there before is gone, and follows all the rest once for each thing that was. */
#define opaque(x) asm volatile("" : "+r"(x))

/* Let the verifier see here whether it has been in this very state before: it looks only where branches meet, and keeps a state to look at
 * only after eight instructions and two branches (is_state_visited() in kernel/bpf/verifier.c). x: a number that it does not know. */
#define checkpoint(x)                                                                                                  \
	asm volatile("if %0 == 0 goto +0\n\t"                                                                          \
		     "if %0 == 1 goto +0\n\t"                                                                          \
		     "if %0 == 2 goto +0\n\t"                                                                          \
		     "if %0 == 3 goto +0\n\t"                                                                          \
		     "if %0 == 4 goto +0\n\t"                                                                          \
		     "if %0 == 5 goto +0\n\t"                                                                          \
		     "if %0 == 6 goto +0\n\t"                                                                          \
		     "if %0 == 7 goto +0\n\t"                                                                          \
		     "if %0 == 8 goto +0\n\t"                                                                          \
		     "if %0 == 9 goto +0"                                                                              \
		     :                                                                                                 \
		     : "r"(x))

#endif
