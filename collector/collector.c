/* SPDX-License-Identifier: Apache-2.0 */
/* One trace from start to end: the object, its two threads, waiting and stopping. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pthread_setname_np */
#endif
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "frames.h"
#include "names.h"
#include "drain.h"
#include "writer.h"

#define QUEUE_SIZE (16u << 20) /* bytes: a twentieth of a second at a million records a second; a power of two */
#define LIMIT_WAIT_NS UINT64_C(2000000000) /* after --max-events, for calls that have not returned */
#define WAIT_SLICE_MS 20                   /* how often the limit is looked at */

struct err *collector_create(const struct collector_options *options, struct collector **ret)
{
	struct collector *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	struct err *err;

	if (!c)
		return &err_nomem;
	c->options = *options;
	memset(&c->maps, 0xff, sizeof(c->maps)); /* -1: none */
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->wake_fd < 0) {
		free(c);
		return err_create(ERR_IO, "eventfd: %s", strerror(errno));
	}
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &attr);
	pthread_condattr_destroy(&attr);
	err = processes_create(&c->processes);
	if (!err && options->mask)
		err = mask_create(options->mask, &c->mask);
	if (!err && options->stack && options->mode == MODE_TRACE)
		err = frames_create(&c->frames);
	if (err) {
		collector_destroy(c);
		return err;
	}
	*ret = c;
	return NULL;
}

static void stop_threads(struct collector *c)
{
	uint64_t one = 1;

	atomic_store(&c->stopping, true);
	if (c->drain_running) {
		if (write(c->wake_fd, &one, sizeof(one)) < 0) {
			/* the counter is full: the thread is being woken already */
		}
		pthread_join(c->drain_thread, NULL);
		c->drain_running = false;
	}
	if (c->writer_running) {
		pthread_join(c->writer_thread, NULL);
		c->writer_running = false;
	}
}

void collector_destroy(struct collector *c)
{
	if (!c)
		return;
	collector_disable(c);
	stop_threads(c);
	drain_destroy(c->drain);
	collector_detach(c);
	collector_loader_destroy(c);
	writer_destroy(c->writer);
	queue_destroy(c->queue);
	processes_destroy(c->processes);
	mask_destroy(c->mask);
	frames_destroy(c->frames);
	summary_deinit(c);
	for (uint32_t i = 0; i < c->n_plans; i++)
		names_destroy(c->plans[i].names);
	for (uint32_t i = 0; i < c->n_own_plans; i++)
		plan_destroy(c->own_plans[i]);
	free(c->replayed);
	free(c->unfinished);
	free(c->site_refs);
	free(c->functions);
	free(c->function_plan);
	close(c->wake_fd);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* Make an array of n + more elements. */
static bool grow(void *array, size_t n, size_t more, size_t size)
{
	void **p = array, *grown;

	if (n + more > UINT32_MAX)
		return false;
	grown = realloc(*p, (n + more + 1) * size);
	if (grown)
		*p = grown;
	return grown;
}

struct err *collector_add_plan(struct collector *c, const struct plan *plan, int fd, uint32_t *binary_id_ret)
{
	struct collector_plan *p = &c->plans[c->n_plans];

	if (plan->n_filters && c->n_plans)
		return err_create(ERR_USAGE, "a condition on several binaries in one trace");
	if (c->n_plans >= PLANS_MAX)
		return err_create(ERR_USAGE, "more than %d binaries in one trace", PLANS_MAX);
	if (!grow(&c->site_refs, c->n_sites, plan->n_sites, sizeof(*c->site_refs)) ||
	    !grow(&c->functions, c->n_fids, plan->n_funcs, sizeof(*c->functions)) ||
	    !grow(&c->function_plan, c->n_fids, plan->n_funcs, sizeof(*c->function_plan)))
		return &err_nomem;
	*p = (struct collector_plan){
		.plan = plan,
		.fd = fd,
		.first_site = c->n_sites,
		.first_fid = c->n_fids,
		.binary_id = c->n_plans,
	};
	struct err *err = names_create(plan, fd, &p->names);
	if (err)
		return err;
	/* Sites that no function names are never hit; they still need a valid entry. */
	for (size_t i = 0; i < plan->n_sites; i++)
		c->site_refs[p->first_site + i] = (struct site_ref){ p, &plan->sites[i], p->first_fid };
	for (size_t i = 0; i < plan->n_funcs; i++) {
		const struct plan_func *func = &plan->funcs[i];

		c->functions[p->first_fid + i] = func;
		c->function_plan[p->first_fid + i] = c->n_plans;
		for (size_t j = 0; j < func->n_sites; j++)
			c->site_refs[p->first_site + func->first_site + j].fid = p->first_fid + (uint32_t)i;
	}
	c->n_sites += (uint32_t)plan->n_sites;
	c->n_fids += (uint32_t)plan->n_funcs;
	*binary_id_ret = c->n_plans++;
	return NULL;
}

struct err *collector_allow_pid(struct collector *c, uint32_t pid)
{
	struct err *err = processes_add_allowed(c->processes, pid);

	if (err)
		return err;
	if (!maps_allow_pid(c, pid))
		return err_create(ERR_KERNEL, "cannot allow process %u: %s", pid, strerror(errno));
	return NULL;
}

struct err *collector_set_pid(struct collector *c, uint32_t pid, bool allowed)
{
	if (!maps_set_pid(c, pid, allowed))
		return err_create(ERR_KERNEL, "cannot %s process %u: %s", allowed ? "allow" : "forbid", pid,
				  strerror(errno));
	return NULL;
}

static void *drain_main(void *arg)
{
	drain_run(((struct collector *)arg)->drain);
	return NULL;
}

static void *writer_main(void *arg)
{
	writer_run(((struct collector *)arg)->writer);
	return NULL;
}

/* Signals are the host program's affair: the threads take none. SIGPIPE too, so that a closed pipe is an error number. */
static int start_thread(pthread_t *thread, void *(*body)(void *), struct collector *c, const char *name)
{
	sigset_t all, old;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(thread, NULL, body, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!error)
		pthread_setname_np(*thread, name);
	return error;
}

/* Run fn with SIGPIPE held back in this thread, and taken away if it came. */
static void without_sigpipe(struct writer *w, void (*fn)(struct writer *, const void *), const void *arg)
{
	struct timespec none = { 0 };
	sigset_t pipe, old, pending;
	bool was_pending;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigpending(&pending);
	was_pending = sigismember(&pending, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, &old);
	fn(w, arg);
	if (!was_pending)
		while (sigtimedwait(&pipe, NULL, &none) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void write_meta(struct writer *w, const void *arg)
{
	(void)arg;
	writer_meta(w);
}

static void write_summary(struct writer *w, const void *arg)
{
	writer_summary(w, arg);
}

struct err *collector_start(struct collector *c)
{
	struct err *err = NULL;
	int error;

	if (c->started)
		return err_create(ERR_USAGE, "the collector was started already");
	c->started = true;
	err = queue_create(QUEUE_SIZE, &c->queue);
	if (!err)
		err = drain_create(c, &c->drain);
	if (!err)
		err = writer_create(c, &c->writer);
	if (err)
		return err;
	c->started_ns = monotonic_ns();
	maps_set_enabled(c, true);
	/* Who reads this line may rely on every later call being seen. */
	without_sigpipe(c->writer, write_meta, NULL);
	error = start_thread(&c->writer_thread, writer_main, c, "gs-writer");
	c->writer_running = !error;
	if (!error) {
		error = start_thread(&c->drain_thread, drain_main, c, "gs-drain");
		c->drain_running = !error;
	}
	if (error) {
		collector_disable(c);
		if (c->writer_running) {
			queue_put(c->queue, BLOCK_STOP, &c->started_ns, sizeof(c->started_ns));
			queue_publish(c->queue);
		}
		stop_threads(c);
		return err_create(ERR_IO, "pthread_create: %s", strerror(error));
	}
	return NULL;
}

void collector_disable(struct collector *c)
{
	maps_set_enabled(c, false);
}

/* Are the calls asked for there, and have they returned (or had their time to)? */
static bool limit_is_reached(struct collector *c)
{
	uint64_t now;

	if (!c->options.max_calls || !c->started)
		return false;
	if (!c->limit_seen_ns) {
		if (maps_calls(c) < c->options.max_calls)
			return false;
		c->limit_seen_ns = monotonic_ns();
	}
	now = monotonic_ns();
	if (now - c->limit_seen_ns >= LIMIT_WAIT_NS)
		return true;
	return atomic_load(&c->handled_calls) >= c->options.max_calls && !atomic_load(&c->open_calls);
}

static enum collector_event current_event(struct collector *c)
{
	if (atomic_load(&c->out_failed))
		return COLLECTOR_FAILED;
	if (atomic_load(&c->out_closed))
		return COLLECTOR_CLOSED;
	if (limit_is_reached(c))
		return COLLECTOR_LIMIT;
	if (atomic_load(&c->all_exited))
		return COLLECTOR_EXITED;
	return COLLECTOR_TIMEOUT;
}

enum collector_event collector_wait(struct collector *c, int timeout_ms)
{
	uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : monotonic_ns() + (uint64_t)timeout_ms * 1000000;

	for (;;) {
		enum collector_event event = current_event(c);
		uint64_t now = monotonic_ns(), until = deadline;
		struct timespec t;

		if (event != COLLECTOR_TIMEOUT || now >= deadline)
			return event;
		if (c->options.max_calls && until > now + WAIT_SLICE_MS * UINT64_C(1000000))
			until = now + WAIT_SLICE_MS * UINT64_C(1000000);
		else if (until == UINT64_MAX)
			until = now + UINT64_C(3600000000000);
		t.tv_sec = (time_t)(until / 1000000000);
		t.tv_nsec = (long)(until % 1000000000);
		pthread_mutex_lock(&c->lock);
		if (!atomic_load(&c->out_failed) && !atomic_load(&c->out_closed) && !atomic_load(&c->all_exited))
			pthread_cond_timedwait(&c->wake, &c->lock, &t);
		pthread_mutex_unlock(&c->lock);
	}
}

const char *collector_failure(struct collector *c)
{
	return atomic_load(&c->out_failed) ? c->failure : "";
}

struct err *collector_stop(struct collector *c)
{
	struct err *err;
	uint64_t now = monotonic_ns();

	if (!c->started || !c->writer)
		return err_create(ERR_USAGE, "the collector was not started");
	if (c->stopped)
		return NULL;
	c->stopped = true;
	collector_disable(c);
	stop_threads(c);
	err = summary_make(c, now);
	if (err)
		return err;
	without_sigpipe(c->writer, write_summary, &c->summary);
	return NULL;
}

const struct collector_summary *collector_summary(struct collector *c)
{
	return c->have_summary ? &c->summary : NULL;
}
