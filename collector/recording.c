/* SPDX-License-Identifier: Apache-2.0 */
#include "recording.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decode.h"
#include "drain.h"
#include "frames.h"
#include "writer.h"

void recording_block(struct jout *out, uint32_t kind, const void *data, size_t size)
{
	const uint32_t head[2] = { (uint32_t)size, kind };
	const uint64_t padding = 0;

	jout_append(out, (const char *)head, sizeof(head));
	jout_append(out, data, size);
	jout_append(out, (const char *)&padding, -size & 7);
}

/* plan_write_fd() wants a file: the plan goes through a nameless one. */
static void put_plan(struct jout *out, const struct plan *plan)
{
	FILE *f = tmpfile();
	struct err *err;
	char *bytes;
	long size;

	if (!f) {
		out->failed = true;
		return;
	}
	err = plan_write_fd(plan, fileno(f));
	size = err || fseek(f, 0, SEEK_END) ? -1 : ftell(f);
	bytes = size > 0 ? malloc((size_t)size) : NULL;
	rewind(f);
	if (bytes && fread(bytes, 1, (size_t)size, f) == (size_t)size)
		recording_block(out, RECORDING_PLAN, bytes, (size_t)size);
	else
		out->failed = true;
	free(bytes);
	fclose(f);
	err_destroy(err);
}

void recording_begin(struct collector *c, struct jout *out)
{
	const struct collector_options *o = &c->options;
	struct timespec wall;
	struct recording_head head = {
		.monotonic_ns = monotonic_ns(),
		.n_plans = c->n_plans,
		.n_functions = c->n_fids,
		.string_size = o->string_size,
		.depth = o->depth,
		.elements = o->elements,
		.no_args = o->no_args,
		.no_results = o->no_results,
		.no_returns = o->no_returns,
		.max_calls = o->max_calls,
		.max_rate = o->max_rate,
		.sample_each = o->sample_each,
		.stack = o->stack,
	};

	clock_gettime(CLOCK_REALTIME, &wall);
	head.wall_ns = (uint64_t)wall.tv_sec * 1000000000u + (uint64_t)wall.tv_nsec;
	snprintf(head.tracer_version, sizeof(head.tracer_version), "%s", o->tracer_version ? o->tracer_version : "");
	snprintf(head.where, sizeof(head.where), "%s", o->where ? o->where : "");
	snprintf(head.mask, sizeof(head.mask), "%s", o->mask ? o->mask : "");
	jout_append(out, RECORDING_MAGIC, 8);
	recording_block(out, RECORDING_HEAD, &head, sizeof(head));
	for (uint32_t i = 0; i < c->n_plans; i++)
		put_plan(out, c->plans[i].plan);
}

void recording_record(struct collector *c, struct jout *out, const void *data, size_t size)
{
	struct record_view view;

	if (!(c->fault_why || c->frames) || !record_view_init(&view, data, size)) {
		recording_block(out, BLOCK_RECORD, data, size);
		return;
	}
	if (view.head->site < c->n_sites)
		frames_each(c, &c->site_refs[view.head->site], &view, out, NULL, NULL);
	if (c->fault_why)
		for (uint32_t i = 0; i < view.n_chunks; i++) {
			if (view.chunks[i].status != CHUNK_FAULT)
				continue;
			struct recording_fault fault = { .addr = view.chunks[i].addr };

			snprintf(fault.why, sizeof(fault.why), "%s",
				 c->fault_why(c->fault_arg, view.head->pid, fault.addr));
			recording_block(out, RECORDING_FAULT, &fault, sizeof(fault));
		}
	recording_block(out, BLOCK_RECORD, data, size);
}

void recording_end(struct collector *c, struct jout *out, uint64_t now)
{
	struct recording_end end = { .stopped_ns = now,
				     .misses = maps_read_misses(c),
				     .perf_lost = atomic_load(&c->perf_lost) };
	uint32_t size = (uint32_t)(sizeof(end) + c->n_fids * sizeof(struct fn_counters));
	const uint32_t head[2] = { size, RECORDING_END };

	jout_append(out, (const char *)head, sizeof(head));
	jout_append(out, (const char *)&end, sizeof(end));
	for (uint32_t fid = 0; fid < c->n_fids; fid++) {
		struct fn_counters n;

		maps_read_counters(c, fid, &n);
		jout_append(out, (const char *)&n, sizeof(n));
	}
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

#define FAULTS_MAX                                                                                                     \
	(64 *                                                                                                          \
	 STEPS_MAX) /* a record has no more than STEPS_MAX chunks; those of calls that are held are asked for later */

#define BLOCK_SIZE_MAX (1u << 30) /* the plan of 25,000 functions of gopls has 38 MB; 100,000 are the most */

/* Read, not mapped: a file that is mapped and then shrinks would end the process by SIGBUS. */
struct replay {
	FILE *file;
	uint8_t *block; /* the one in hand */
	size_t room;
	uint64_t records;
	struct recording_head head;
	uint64_t n_faults; /* so far; the last of them are kept */
	struct recording_fault faults[FAULTS_MAX];
	bool ended;
};

static struct err *damaged(const struct replay *r, const char *what)
{
	return err_create(ERR_MALFORMED, "the recording is damaged after %" PRIu64 " records: %s", r->records, what);
}

static struct err *cut_off(const struct replay *r)
{
	return ferror(r->file) ? err_create(ERR_IO, "reading the recording: %s", strerror(errno))
			       : damaged(r, "it is cut off");
}

/* The next block; *kind_ret 0 at the end of the file. The bytes stand until the next call, aligned to 8. */
static struct err *next_block(struct replay *r, uint32_t *kind_ret, const void **data_ret, uint32_t *size_ret)
{
	uint32_t head[2];
	size_t n = fread(head, 1, sizeof(head), r->file);

	*kind_ret = 0;
	if (!n && feof(r->file))
		return NULL;
	if (n < sizeof(head))
		return cut_off(r);
	if (head[0] > BLOCK_SIZE_MAX)
		return damaged(r, "a block is too long");
	size_t padded = ((size_t)head[0] + 7) & ~(size_t)7;
	/* No more is asked for than came: what a damaged head says need not be there. */
	for (n = 0; n < padded;) {
		size_t wanted = padded < r->room ? padded : r->room;

		if (n == wanted) {
			uint8_t *more = realloc(r->block, 2 * r->room);

			if (!more)
				return &err_nomem;
			r->block = more;
			r->room *= 2;
			continue;
		}
		size_t got = fread(r->block + n, 1, wanted - n, r->file);
		if (!got)
			return cut_off(r);
		n += got;
	}
	*kind_ret = head[1];
	*size_ret = head[0];
	*data_ret = r->block;
	return NULL;
}

static const char *replayed_fault_why(void *arg, uint32_t pid, uint64_t addr)
{
	const struct replay *r = arg;

	(void)pid;
	/* the newest of an address: those of a call that is held came before others */
	for (uint64_t i = r->n_faults; i && r->n_faults - i < FAULTS_MAX; i--)
		if (r->faults[(i - 1) % FAULTS_MAX].addr == addr)
			return r->faults[(i - 1) % FAULTS_MAX].why;
	return "bad address";
}

/* A plan in the recording is read as one in a file is, with the same checks. */
static struct err *read_plan(const void *data, size_t size, struct plan **ret)
{
	FILE *f = tmpfile();
	struct err *err;

	if (!f)
		return err_create(ERR_IO, "a temporary file: %s", strerror(errno));
	if (fwrite(data, 1, size, f) != size || fflush(f))
		err = err_create(ERR_IO, "a temporary file: %s", strerror(errno));
	else {
		rewind(f);
		err = plan_read_fd(fileno(f), ret);
	}
	fclose(f);
	return err;
}

static struct err *read_plans(struct replay *r, struct collector *c)
{
	for (uint32_t i = 0; i < r->head.n_plans; i++) {
		const void *data;
		uint32_t kind, size, id;
		struct plan *plan;
		struct err *err = next_block(r, &kind, &data, &size);

		if (!err && kind != RECORDING_PLAN)
			err = damaged(r, "a plan is missing");
		if (!err) {
			err = read_plan(data, size, &plan);
			err = err ? err_wrap(err, "made by gopherscope %s", r->head.tracer_version) : NULL;
		}
		if (err)
			return err;
		c->own_plans[c->n_own_plans++] = plan;
		err = collector_add_plan(c, plan, -1, &id);
		if (err)
			return err;
	}
	return c->n_fids == r->head.n_functions ? NULL : damaged(r, "functions and plans differ");
}

static struct err *read_end(struct replay *r, struct collector *c, const uint8_t *data, uint32_t size,
			    struct recording_end *end)
{
	if (size != sizeof(*end) + c->n_fids * sizeof(struct fn_counters))
		return damaged(r, "its end");
	memcpy(end, data, sizeof(*end));
	c->replayed = malloc(c->n_fids * sizeof(*c->replayed) + 1);
	if (!c->replayed)
		return &err_nomem;
	memcpy(c->replayed, data + sizeof(*end), c->n_fids * sizeof(*c->replayed));
	c->replayed_misses = end->misses;
	atomic_store(&c->perf_lost, end->perf_lost);
	r->ended = true;
	return NULL;
}

static struct err *replay_blocks(struct replay *r, struct collector *c, struct recording_end *end)
{
	static const uint32_t least[] = { [BLOCK_RECORD] = sizeof(struct record),
					  [BLOCK_LOST] = sizeof(struct lost_block),
					  [BLOCK_PROCESS_END] = sizeof(struct end_block),
					  [BLOCK_STOP] = sizeof(uint64_t) };

	while (!r->ended && !atomic_load(&c->out_closed) && !atomic_load(&c->out_failed)) {
		const void *data;
		uint32_t kind, size;
		struct err *err = next_block(r, &kind, &data, &size);

		if (err)
			return err;
		if (!kind)
			return damaged(r, "its end is missing: the tracer was killed, or the file was cut off");
		if (kind < sizeof(least) / sizeof(*least) && least[kind]) {
			if (size < least[kind])
				return damaged(r, "a block is too short");
			r->records += kind == BLOCK_RECORD;
			writer_block(c->writer, kind, data, size);
		} else if (kind == RECORDING_FAULT && size >= sizeof(struct recording_fault)) {
			struct recording_fault *f = &r->faults[r->n_faults++ % FAULTS_MAX];

			memcpy(f, data, sizeof(*f));
			f->why[sizeof(f->why) - 1] = 0;
		} else if (kind == RECORDING_FRAMES && c->frames) {
			err = frames_take(c->frames, data, size);
			if (err) {
				struct err *e = damaged(r, err->msg);
				err_destroy(err);
				return e;
			}
		} else if (kind == RECORDING_END) {
			err = read_end(r, c, data, size, end);
			if (err)
				return err;
		} /* others are a newer version's: passed over */
	}
	return NULL;
}

static struct err *replay_all(struct replay *r, struct collector *c)
{
	struct recording_end end = { 0 };
	struct err *err = read_plans(r, c), *bad;

	if (err)
		return err;
	c->fault_why = replayed_fault_why;
	c->fault_arg = r;
	c->started = c->stopped = true;
	c->started_ns = r->head.monotonic_ns;
	c->wall_ns = r->head.wall_ns;
	err = writer_create(c, &c->writer);
	if (err)
		return err;
	writer_meta(c->writer);
	bad = replay_blocks(r, c, &end);
	if (!bad) {
		err = summary_make(c, end.stopped_ns);
		if (!err)
			writer_summary(c->writer, &c->summary);
	}
	writer_flush(c->writer);
	c->fault_arg = NULL; /* r is the caller's */
	c->fault_why = NULL;
	if (bad && err) {
		err_destroy(bad);
		return err;
	}
	return bad ? bad : err;
}

static struct err *read_head(struct replay *r, struct collector_options *o)
{
	const void *data;
	uint32_t kind, size;
	char magic[8];
	struct err *err;

	if (fread(magic, 1, sizeof(magic), r->file) < sizeof(magic) || memcmp(magic, RECORDING_MAGIC, 6))
		return err_create(ERR_MALFORMED, "it is no recording");
	if (memcmp(magic, RECORDING_MAGIC, sizeof(magic)))
		return err_create(ERR_UNSUPPORTED, "it is a recording of another version; hint: use a newer tracer");
	err = next_block(r, &kind, &data, &size);
	if (err)
		return err;
	if (kind != RECORDING_HEAD || size < sizeof(r->head))
		return damaged(r, "its head");
	memcpy(&r->head, data, sizeof(r->head));
	r->head.tracer_version[sizeof(r->head.tracer_version) - 1] = 0;
	r->head.mask[sizeof(r->head.mask) - 1] = 0;
	r->head.where[sizeof(r->head.where) - 1] = 0;
	if (r->head.n_plans > PLANS_MAX || r->head.stack > STACK_FRAMES)
		return damaged(r, "its head");
	o->string_size = r->head.string_size;
	o->depth = r->head.depth;
	o->elements = r->head.elements;
	o->no_args = r->head.no_args;
	o->no_results = r->head.no_results;
	o->no_returns = r->head.no_returns;
	o->max_calls = r->head.max_calls;
	o->max_rate = r->head.max_rate;
	o->sample_each = r->head.sample_each;
	o->stack = r->head.stack;
	o->tracer_version = r->head.tracer_version;
	o->where = *r->head.where ? r->head.where : NULL;
	o->mask = *r->head.mask ? r->head.mask : NULL;
	o->mode = MODE_TRACE;
	return NULL;
}

static void replay_close(struct replay *r)
{
	if (!r)
		return;
	if (r->file)
		fclose(r->file);
	free(r->block);
	free(r);
}

static struct err *replay_open(int fd, struct replay **ret)
{
	struct replay *r = *ret = calloc(1, sizeof(*r));
	int own;

	if (!r)
		return &err_nomem;
	r->room = 1u << 16;
	r->block = malloc(r->room);
	own = dup(fd);
	r->file = own < 0 ? NULL : fdopen(own, "rb");
	if (r->block && r->file && !fseek(r->file, 0, SEEK_SET))
		return NULL;
	if (!r->file && own >= 0)
		close(own);
	return r->block ? err_create(ERR_IO, "opening the recording: %s", strerror(errno)) : &err_nomem;
}

struct err *collector_replay(int fd, const struct collector_options *options, struct collector **ret)
{
	struct collector_options o = *options;
	struct collector *c = NULL;
	struct replay *r;
	struct stat st;
	struct err *err;

	*ret = NULL;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !st.st_size)
		return err_create(ERR_MALFORMED, "it is no recording");
	err = replay_open(fd, &r);
	if (!err)
		err = read_head(r, &o);
	if (!err)
		err = collector_create(&o, &c);
	if (!err)
		err = replay_all(r, c);
	if (c)
		c->options.tracer_version = c->options.mask = c->options.where = ""; /* they were in r */
	replay_close(r);
	*ret = c;
	return err;
}
