/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Who called: what the kernel's chain of frame pointers leaves out at most entry sites (record.h, struct stack_head). */
#ifndef BPF_STACK_H
#define BPF_STACK_H

#ifndef BPF_F_USER_STACK
#define BPF_F_USER_STACK (1ULL << 8)
#endif

static __always_inline void read_callers(struct pt_regs *ctx, const struct site *site, struct stack_head *head)
{
	u64 top = ctx->sp + (u64)site->frame, bp = ctx->bp;

	head->own_frame = bp + 8 == top;
	if (read_user(&head->caller, sizeof(head->caller), top))
		head->caller = 0;
	if (read_user(&head->next, sizeof(head->next), bp + 8))
		head->next = 0;
}

#endif
