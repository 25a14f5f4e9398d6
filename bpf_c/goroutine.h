/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which goroutine is running: g, its id, the top of its stack; on the system stack, the goroutine that the thread runs for. */
#ifndef BPF_GOROUTINE_H
#define BPF_GOROUTINE_H

/* runtime.g begins with stack{lo, hi} (runtime2.go, all versions since Go 1.4). */
#define G_STACK_HI 8

/* runtime.gobuf begins with sp, pc, g (runtime2.go, all versions since Go 1.4). */
#define GOBUF_SP 0
#define GOBUF_G 16

BPF_PERCPU_ARRAY(goids, struct kept_goid, 1);

static __always_inline u64 find_g(struct pt_regs *ctx, const struct site *site, const struct control *ctl)
{
	u64 base = 0, g = 0, r14 = ctx->r14, rcx = ctx->cx;
	int error;

	/* Read first, choose later: the compiler would choose between two addresses in the context, which the verifier refuses. */
	opaque(r14);
	opaque(rcx);
	if (site->g_source == G_R14)
		return r14;
	if (site->g_source == G_RCX)
		return rcx;
	if (!ctl->fsbase_off)
		return 0;
	error = bpf_probe_read_kernel(&base, sizeof(base), (void *)(bpf_get_current_task() + ctl->fsbase_off));
	if (!error)
		error = read_user(&g, sizeof(g), base + (s64)site->tls_offset);
	if (error) {
		telemetry_count(BPF_FILE_GOROUTINE, __LINE__, error);
		return 0;
	}
	return g;
}

/* goid 0 is every g0's: the goroutine is then m.curg, if there is one. */
static __always_inline u16 read_curg(const struct site *site, u64 g, u64 *goid)
{
	u64 m = 0, curg = 0;
	int error = 0;

	if (!site->curg_off)
		return REC_SYSTEM_STACK | REC_NO_CURG;
	error = read_user(&m, sizeof(m), g + site->m_off);
	if (!error && m)
		error = read_user(&curg, sizeof(curg), m + site->curg_off);
	if (!error && curg)
		error = read_user(goid, sizeof(*goid), curg + site->goid_off);
	if (error) {
		telemetry_count(BPF_FILE_GOROUTINE, __LINE__, error);
		return REC_SYSTEM_STACK | REC_NO_CURG;
	}
	return REC_SYSTEM_STACK;
}

/* Mixed so that words of two writers do not add up to a valid entry. */
static __always_inline u64 kept_check(u64 thread, u64 g, u64 goid, u64 exits)
{
	return thread * 0x9e3779b97f4a7c15ull ^ g * 0xc2b2ae3d27d4eb4full ^ goid * 0x165667b19e3779f9ull ^ exits;
}

/* The id of g. Reading it from the program's memory costs more than all else here but the event itself, so it is kept for the CPU's next
 * hit: for as long as no goroutine of any traced program has ended, since only then a g can get another id. 0, or the helper's error. */
static __always_inline int read_goid(const struct site *site, const struct control *ctl, u64 thread, u64 g, u64 *goid)
{
	u32 zero = 0;
	u64 exits = *(volatile u64 *)&ctl->exits;
	struct kept_goid *k = 0;
	int error;

	if (site->flags & SITE_KEEP_GOID) {
		k = goids.lookup(&zero);
		if (k && k->thread == thread && k->g == g && k->exits == exits) {
			u64 id = *(volatile u64 *)&k->goid;
			if (k->check == kept_check(thread, g, id, exits)) {
				*goid = id;
				return 0;
			}
		}
	}
	error = read_user(goid, sizeof(*goid), g + site->goid_off);
	if (k && !error) {
		k->thread = thread;
		k->g = g;
		k->goid = *goid;
		k->exits = exits;
		k->check = kept_check(thread, g, *goid, exits);
	}
	return error;
}

/* How many records of the goroutine have found no room, and of those that share its place. */
static __always_inline u32 *gap_of(struct control *ctl, u64 g, u64 id)
{
	u64 key = g ? g : (u32)id;

	return &ctl->gaps[key * 0x9e3779b97f4a7c15ull / (1ull << 56)];
}

struct goroutine {
	u64 g, goid, stack_hi;
	u16 flags; /* enum record_flags */
};

static __always_inline void read_goroutine(struct pt_regs *ctx, const struct site *site, const struct control *ctl,
					   u64 id, struct goroutine *ret)
{
	u64 g = find_g(ctx, site, ctl), goid = 0, hi = 0;
	u16 flags = 0;
	int error;

	/* The top of the stack pairs calls with returns, also where the offset of the id is not known. */
	if (g && (site->flags & SITE_READ_STACK_HI)) {
		error = read_user(&hi, sizeof(hi), g + G_STACK_HI);
		if (error) {
			telemetry_count(BPF_FILE_GOROUTINE, __LINE__, error);
			hi = 0;
		}
	}
	if (!g || !site->goid_off) {
		flags = REC_NO_G;
	} else {
		error = read_goid(site, ctl, id, g, &goid);
		if (error) {
			telemetry_count(BPF_FILE_GOROUTINE, __LINE__, error);
			flags = REC_NO_G;
			goid = 0;
		} else if (!goid) {
			flags = read_curg(site, g, &goid);
		}
	}
	ret->g = g;
	ret->goid = goid;
	ret->stack_hi = hi;
	ret->flags = flags;
}

/* The goroutine whose calls end; returns the stack pointer that it goes on with, 0 where it cannot be read. At the call of runtime.gogo in
 * runtime.recovery, on the system stack, both stand in the gobuf that the call is given. */
static __always_inline u64 read_unwound(struct pt_regs *ctx, const struct site *site, const struct control *ctl,
					struct goroutine *ret)
{
	u64 buf = 0, sp = ctx->sp, g = 0, hi = 0, goid = 0;
	int error = 0;

	if (site->kind == SITE_RECOVERY) {
		error = read_user(&buf, sizeof(buf), sp);
		if (!error)
			error = read_user(&sp, sizeof(sp), buf + GOBUF_SP);
		if (!error)
			error = read_user(&g, sizeof(g), buf + GOBUF_G);
	} else {
		g = find_g(ctx, site, ctl);
	}
	if (!error && g)
		error = read_user(&hi, sizeof(hi), g + G_STACK_HI);
	if (!error && g && site->goid_off)
		error = read_user(&goid, sizeof(goid), g + site->goid_off);
	if (error)
		telemetry_count(BPF_FILE_GOROUTINE, __LINE__, error);
	ret->g = g;
	ret->goid = goid;
	ret->stack_hi = hi;
	ret->flags = goid ? 0 : REC_NO_G;
	return error ? 0 : sp;
}

#endif
