/* SPDX-License-Identifier: Apache-2.0 */
#include "writer.h"
#include "held.h"
#include "recording.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLUSH_BYTES (64u << 10) /* what a pipe holds */
#define IDLE_MS 50

/* Without g a thread stands for it: no user address has the top bit. */
#define THREAD_G(tid) (UINT64_C(1) << 63 | (tid))

/* Processes seen by binary: for `process` lines and to notice that one has started another image. */
#define SEEN_MAX 4096u /* a power of two; when it is full the ones seen longest ago are told of again */

struct seen {
	uint32_t pid; /* 0: free */
	uint32_t binary_id;
	uint64_t bias;
};

struct writer {
	struct collector *c;
	const struct format_ops *ops;
	struct format format;
	struct jout out;
	struct pairing *pairing;
	struct fn_written *written; /* n_fids */
	bool *ends_told;            /* n_fids: calls are kept open */
	uint64_t calls;             /* calls written so far */
	uint64_t numbered;          /* the number of the last call: those that are not wanted after all have one too */
	struct held_budget held;
	bool stop;
	bool closed, failed; /* nothing can be written any more */
	struct seen seen[SEEN_MAX];
	uint32_t n_seen;
	struct seen last; /* the usual case: the same process again */
	struct record_view view;
};

/* ---- output ---------------------------------------------------------------------------------------------- */

static void fail(struct writer *w, int error)
{
	struct collector *c = w->c;

	w->closed = error == EPIPE;
	w->failed = !w->closed;
	w->out.len = 0;
	pthread_mutex_lock(&c->lock);
	if (w->closed) {
		atomic_store(&c->out_closed, true);
	} else {
		snprintf(c->failure, sizeof(c->failure), "%s", strerror(error));
		atomic_store(&c->out_failed, true);
	}
	pthread_cond_broadcast(&c->wake);
	pthread_mutex_unlock(&c->lock);
}

void writer_flush(struct writer *w)
{
	size_t done = 0;

	if (w->out.failed) {
		jout_reset(&w->out);
		fail(w, ENOMEM);
		return;
	}
	while (done < w->out.len && !w->closed && !w->failed) {
		ssize_t n = write(w->c->options.out_fd, w->out.buf + done, w->out.len - done);

		if (n >= 0) {
			done += (size_t)n;
		} else if (errno == EAGAIN) {
			/* somebody made the descriptor non-blocking */
			struct pollfd fd = { .fd = w->c->options.out_fd, .events = POLLOUT };

			poll(&fd, 1, -1);
		} else if (errno != EINTR) {
			fail(w, errno);
		}
	}
	w->out.len = 0;
}

static bool is_dead(const struct writer *w)
{
	return w->closed || w->failed;
}

/* ---- processes ------------------------------------------------------------------------------------------- */

static struct seen *find_seen(struct writer *w, uint32_t pid, uint32_t binary_id)
{
	uint32_t i = (pid * 2654435761u + binary_id) & (SEEN_MAX - 1);

	while (w->seen[i].pid && (w->seen[i].pid != pid || w->seen[i].binary_id != binary_id))
		i = (i + 1) & (SEEN_MAX - 1);
	return &w->seen[i];
}

/* A record of this process was taken: tell of its start the first time. With another bias it has exec'ed since. */
static void see_process(struct writer *w, uint32_t pid, uint32_t binary_id, uint64_t bias, uint64_t now)
{
	struct seen *s;

	if (w->last.pid == pid && w->last.binary_id == binary_id && w->last.bias == bias)
		return;
	if (!pid)
		return;
	if (w->n_seen >= SEEN_MAX / 4 * 3) {
		memset(w->seen, 0, sizeof(w->seen));
		w->n_seen = 0;
	}
	s = find_seen(w, pid, binary_id);
	if (s->pid && s->bias != bias) {
		pairing_close_process(w->pairing, pid, "exit", now);
		w->ops->process(&w->format, true, pid, binary_id, s->bias);
	} else {
		w->n_seen += !s->pid;
	}
	if (!s->pid || s->bias != bias)
		w->ops->process(&w->format, false, pid, binary_id, bias);
	*s = (struct seen){ pid, binary_id, bias };
	w->last = *s;
}

static void end_process(struct writer *w, uint32_t pid, uint64_t now)
{
	pairing_close_process(w->pairing, pid, "exit", now);
	for (uint32_t id = 0; id < w->c->n_plans; id++) {
		struct seen *s = find_seen(w, pid, id);

		if (!s->pid)
			continue;
		w->ops->process(&w->format, true, pid, id, s->bias);
		/* Open addressing: entries behind a gap would not be found, so put them in again. */
		s->pid = 0;
		w->n_seen--;
		for (uint32_t i = (uint32_t)(s - w->seen + 1) & (SEEN_MAX - 1); w->seen[i].pid;
		     i = (i + 1) & (SEEN_MAX - 1)) {
			struct seen moved = w->seen[i];

			w->seen[i].pid = 0;
			*find_seen(w, moved.pid, moved.binary_id) = moved;
		}
	}
	w->last.pid = 0;
}

/* ---- calls and returns ------------------------------------------------------------------------------------- */

/* What pairing says of a call that nobody saw return. */
static void on_unwound(void *arg, const struct open_call *call, const char *how, uint64_t now)
{
	struct writer *w = arg;
	struct event e = {
		.ts = now,
		.pid = call->pid,
		.tid = call->tid,
		.fid = call->fid,
		.goid_known = call->goid_known,
		.goid = call->goid,
		.call = call->call,
		.flags = call->flags & REC_SYSTEM_STACK,
		.goid_why = "as at the call",
	};

	if (call->held) {
		held_drop(&w->held, call->held); /* it has no results and no duration, so it is not wanted */
		return;
	}
	if (is_dead(w))
		return;
	w->written[call->fid].unwound++;
	w->ops->unwound(&w->format, &e, how);
}

static const char *goid_why(const struct record *r, const struct site_ref *ref)
{
	if (r->flags & REC_NO_CURG)
		return "m.curg could not be read";
	if (r->flags & REC_SYSTEM_STACK)
		return "the thread runs none";
	if (!ref->plan->plan->binary.has_g)
		return plan_string(ref->plan->plan, ref->plan->plan->binary.g_why);
	return r->g ? "g could not be read" : "g was not found";
}

static bool is_late(const struct site_ref *ref)
{
	const struct plan *plan = ref->plan->plan;

	return ref->site->filter && plan->filters[ref->site->filter - 1].late;
}

static void handle_call(struct writer *w, const struct site_ref *ref, struct event *e, uint64_t g,
			const struct open_call *at)
{
	struct fn_written *n = &w->written[e->fid];
	struct open_call call = *at;

	if (is_dead(w)) {
		n->limited += w->closed;
		n->calls_lost += w->failed;
		return;
	}
	e->call = call.call = w->numbered + 1;
	if (w->ends_told[e->fid] && !pairing_enter(w->pairing, g, &call, w->c->functions[e->fid]->can_duplicate)) {
		n->duplicates++;
		return;
	}
	w->numbered++;
	w->calls++;
	n->calls_written++;
	w->ops->call(&w->format, e, ref, &w->view);
}

/* A call that is written if its return says so. The kernel accounts for it until then. */
static void hold_call(struct writer *w, const struct record *r, size_t size, uint64_t g, const struct open_call *at)
{
	struct open_call call = *at;

	if (is_dead(w))
		return;
	call.held = held_keep(&w->held, r, size);
	if (!call.held)
		return; /* lost, where it is wanted: see not_there() */
	call.call = ++w->numbered;
	pairing_enter(w->pairing, g, &call, false);
}

/* A return whose call is not there. */
static void not_there(struct writer *w, const struct site_ref *ref, uint32_t fid)
{
	struct fn_written *n = &w->written[fid];
	uint64_t max = w->c->options.max_calls;

	if (is_late(ref)) {
		/* It was sent, and there was no room to hold it. */
		n->calls_lost++;
		n->returns_lost++;
	} else if ((max && w->calls >= max) || w->c->options.max_rate) {
		/* Once the calls asked for are there, this is the return of one that came after them. Where calls are left out it is the
		 * return of one of those, or, seldom, of one that began before the trace. */
		n->limited_returns++;
	} else if (w->c->options.sample_each) {
		n->sampled_returns++;
	} else {
		n->unpaired++;
	}
}

static void event_of(const struct record *r, const struct site_ref *ref, struct event *e)
{
	*e = (struct event){
		.ts = r->ts,
		.pid = r->pid,
		.tid = r->tid,
		.fid = ref->fid,
		.flags = r->flags,
		.goid = r->goid,
		.goid_known = r->goid && !(r->flags & (REC_NO_G | REC_NO_CURG)),
		.goid_why = "",
	};
	if (!e->goid_known)
		e->goid_why = goid_why(r, ref);
}

/* The call that was held, before the return that has asked for it. */
static void write_held(struct writer *w, const struct open_call *call)
{
	const struct record *r = (const void *)call->held->record;
	const struct site_ref *ref = &w->c->site_refs[r->site];
	struct record_view view = { 0 };
	struct event e;

	event_of(r, ref, &e);
	e.call = call->call;
	record_view_init(&view, r, call->held->size);
	w->calls++;
	w->written[call->fid].calls_written++;
	w->ops->call(&w->format, &e, ref, &view);
}

static void handle_return(struct writer *w, const struct site_ref *ref, struct event *e, uint64_t g,
			  const struct open_call *at)
{
	struct fn_written *n = &w->written[e->fid];
	struct open_call call;

	if (is_dead(w)) {
		n->limited_returns += w->closed;
		n->returns_lost += w->failed;
		if (is_late(ref)) {
			n->limited += w->closed;
			n->calls_lost += w->failed;
		}
		return;
	}
	if (!pairing_leave(w->pairing, g, at, &call)) {
		not_there(w, ref, e->fid);
		return;
	}
	if (call.held) {
		write_held(w, &call);
		held_drop(&w->held, call.held);
	}
	e->call = call.call;
	n->returns_written++;
	w->ops->ret(&w->format, e, e->ts > call.ts ? e->ts - call.ts : 0, ref, &w->view);
}

/* Calls of a goroutine end that do not return (record.h, SITE_RECOVERY …). */
static void handle_unwind(struct writer *w, const struct record *r, enum site_kind kind)
{
	struct open_call at = {
		.ts = r->ts,
		.goid = r->goid,
		.pid = r->pid,
		.tid = r->tid,
		.goid_known = r->goid && !(r->flags & (REC_NO_G | REC_NO_CURG)),
	};

	if (kind == SITE_RECOVERY) {
		if (!r->sp || r->sp > r->stack_hi)
			return; /* where it goes on could not be read: what its next calls and returns show to be over is closed then */
		at.depth = r->stack_hi - r->sp;
	}
	pairing_unwind(w->pairing, r->g ? r->g : THREAD_G(r->tid), &at, kind == SITE_GOEXIT ? "goexit" : "panic");
	atomic_store_explicit(&w->c->open_calls, pairing_open(w->pairing) - w->held.n, memory_order_relaxed);
}

/* A return that says that its call is not wanted. */
static void forget_call(struct writer *w, uint64_t g, const struct open_call *at)
{
	struct open_call call;

	if (pairing_leave(w->pairing, g, at, &call))
		held_drop(&w->held, call.held);
}

static void count_handled(struct collector *c)
{
	atomic_store_explicit(&c->handled_calls, atomic_load_explicit(&c->handled_calls, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* Calls and returns are changed each for themselves: they are not paired. */
static void handle_rewritten(struct writer *w, const struct site_ref *ref, struct event *e)
{
	struct fn_written *n = &w->written[e->fid];
	bool entry = ref->site->kind == SITE_ENTRY;

	if (is_dead(w)) {
		*(entry ? &n->calls_lost : &n->returns_lost) += 1;
		return;
	}
	*(entry ? &n->calls_written : &n->returns_written) += 1;
	e->call = ++w->calls;
	w->ops->rewritten(&w->format, e, ref, &w->view);
}

static void handle_record(struct writer *w, const void *data, size_t size)
{
	struct collector *c = w->c;
	const struct site_ref *ref;
	const struct record *r;
	struct event e;
	struct open_call at;
	uint64_t g;

	if (!record_view_init(&w->view, data, size) ||
	    w->view.head->site >= (uint64_t)c->n_sites + c->n_plans * PLAN_UNWINDS) {
		atomic_fetch_add(&c->malformed, 1);
		return;
	}
	r = w->view.head;
	if (r->site >= c->n_sites) {
		handle_unwind(w, r, SITE_RECOVERY + (r->site - c->n_sites) % PLAN_UNWINDS);
		return;
	}
	ref = &c->site_refs[r->site];
	see_process(w, r->pid, ref->plan->binary_id, r->ip - ref->site->addr, r->ts);
	event_of(r, ref, &e);
	at = (struct open_call){
		.ts = r->ts,
		.depth = r->stack_hi - (r->sp + ref->site->frame),
		.goid = r->goid,
		.pid = r->pid,
		.tid = r->tid,
		.fid = ref->fid,
		.flags = r->flags & (REC_SYSTEM_STACK | REC_NO_G | REC_NO_CURG),
		.gap = r->gap,
		.goid_known = e.goid_known,
	};
	if (c->options.rewrite) {
		handle_rewritten(w, ref, &e);
		atomic_fetch_add(&c->handled_calls, 1);
		return;
	}
	g = r->g ? r->g : THREAD_G(r->tid);
	if (ref->site->kind != SITE_ENTRY) {
		if (r->flags & REC_UNWANTED) {
			forget_call(w, g, &at);
		} else {
			handle_return(w, ref, &e, g, &at);
			if (is_late(ref))
				count_handled(c);
		}
	} else if (is_late(ref)) {
		hold_call(w, r, size, g, &at);
	} else {
		handle_call(w, ref, &e, g, &at);
		count_handled(c);
	}
	atomic_store_explicit(&c->open_calls, pairing_open(w->pairing) - w->held.n, memory_order_relaxed);
}

void writer_block(struct writer *w, enum block_kind kind, const void *data, size_t size)
{
	const struct lost_block *lost = data;
	const struct end_block *end = data;

	if (w->c->options.format == FORMAT_RECORDING && !is_dead(w)) {
		if (kind == BLOCK_RECORD)
			recording_record(w->c, &w->out, data, size);
		else if (kind != BLOCK_ALL_EXITED && kind != BLOCK_WRAP)
			recording_block(&w->out, kind, data, size);
	}
	switch (kind) {
	case BLOCK_RECORD:
		handle_record(w, data, size);
		break;
	case BLOCK_LOST:
		if (!is_dead(w))
			w->ops->lost(&w->format, lost->ts, lost->count);
		break;
	case BLOCK_PROCESS_END:
		end_process(w, end->pid, end->ts);
		break;
	case BLOCK_ALL_EXITED:
		writer_flush(w);
		pthread_mutex_lock(&w->c->lock);
		atomic_store(&w->c->all_exited, true);
		pthread_cond_broadcast(&w->c->wake);
		pthread_mutex_unlock(&w->c->lock);
		break;
	case BLOCK_STOP:
		pairing_close_all(w->pairing, "detached", *(const uint64_t *)data);
		w->stop = true;
		break;
	case BLOCK_WRAP:
		break;
	}
	if (w->out.len >= FLUSH_BYTES || w->out.failed)
		writer_flush(w);
}

void writer_run(struct writer *w)
{
	enum block_kind kind;
	const void *data;
	size_t size;

	while (!w->stop) {
		data = queue_take(w->c->queue, 0, &kind, &size);
		if (!data) {
			/* Nothing more for now: show what there is. */
			writer_flush(w);
			data = queue_take(w->c->queue, IDLE_MS, &kind, &size);
		}
		if (!data)
			continue;
		writer_block(w, kind, data, size);
		queue_drop(w->c->queue);
	}
	writer_flush(w);
	queue_close(w->c->queue);
}

/* ---- start and end ----------------------------------------------------------------------------------------- */

void writer_meta(struct writer *w)
{
	if (w->c->options.format == FORMAT_RECORDING)
		recording_begin(w->c, &w->out);
	for (uint32_t i = 0; i < w->c->n_plans; i++)
		w->ops->meta(&w->format, &w->c->plans[i]);
	writer_flush(w);
}

void writer_summary(struct writer *w, const struct collector_summary *summary)
{
	if (!is_dead(w) && w->c->options.format == FORMAT_RECORDING)
		recording_end(w->c, &w->out, monotonic_ns());
	if (!is_dead(w))
		w->ops->summary(&w->format, summary);
	writer_flush(w);
}

const struct fn_written *writer_counts(const struct writer *w, uint32_t fid)
{
	return &w->written[fid];
}

const struct shortfalls *writer_shortfalls(const struct writer *w)
{
	return &w->format.decoder.short_of;
}

uint64_t writer_evicted(const struct writer *w)
{
	return pairing_evicted(w->pairing);
}

struct err *writer_create(struct collector *c, struct writer **ret)
{
	static const struct format_ops *const formats[] = {
		[FORMAT_TEXT] = &format_text,
		[FORMAT_JSON] = &format_json,
		[FORMAT_NONE] = &format_none,
		[FORMAT_RECORDING] = &format_none,
	};
	struct writer *w = calloc(1, sizeof(*w));
	struct err *err;

	if (!w)
		return &err_nomem;
	w->c = c;
	w->ops = formats[c->options.format];
	jout_init(&w->out, -1);
	w->written = calloc((size_t)c->n_fids + 1, sizeof(*w->written));
	w->ends_told = calloc((size_t)c->n_fids + 1, sizeof(*w->ends_told));
	err = w->written && w->ends_told ? NULL : &err_nomem;
	if (!err)
		err = pairing_create(on_unwound, w, &w->pairing);
	if (!err)
		err = format_init(&w->format, w->ops, c, &w->out);
	if (!err && !jout_reserve(&w->out, 2 * FLUSH_BYTES))
		err = &err_nomem;
	if (err) {
		writer_destroy(w);
		return err;
	}
	for (uint32_t i = 0; i < c->n_fids; i++)
		w->ends_told[i] = plan_ends_are_told(c->plans[c->function_plan[i]].plan, c->functions[i]);
	*ret = w;
	return NULL;
}

void writer_destroy(struct writer *w)
{
	if (!w)
		return;
	format_deinit(&w->format);
	jout_deinit(&w->out);
	w->closed = true; /* nothing is written any more; records that are held are given back */
	if (w->pairing)
		pairing_close_all(w->pairing, "detached", 0);
	pairing_destroy(w->pairing);
	free(w->written);
	free(w->ends_told);
	free(w);
}
