/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of the collector without a kernel: a plan and records made by hand, as lines on stdin, go through the real pairing,
 * decoding and formats to stdout. test_decode.py writes the lines; the commands are the functions at the end of this file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../collector/drain.h"
#include "../../collector/writer.h"

#define MAX 4096
#define LINE_MAX_ (1 << 20)

static struct go_type types[MAX];
static struct go_field fields[MAX];
static char strings[1 << 16];
static struct plan_func funcs[MAX];
static struct plan_site sites[MAX];
static struct plan_value values[MAX];
static struct plan_piece pieces[MAX];
static struct plan_caller callers[MAX];
static struct step steps[MAX];
static struct plan_var vars[MAX];
static uint32_t warnings[MAX];
static struct plan_map maps[MAX];
static struct plan_way ways[MAX];
static struct plan plan = {
	.types = { .v = types, .fields = fields, .strings = strings, .strings_size = 1 },
	.funcs = funcs,
	.sites = sites,
	.values = values,
	.pieces = pieces,
	.callers = callers,
	.steps = steps,
	.vars = vars,
	.warnings = warnings,
	.maps = maps,
	.ways = ways,
};
static struct fn_counters counters[MAX];
static struct collector *c;

/* ---- what the kernel's side would do ----------------------------------------------------------------------- */

void collector_detach(struct collector *self)
{
	(void)self;
}

void collector_loader_destroy(struct collector *self)
{
	(void)self;
}

void maps_set_enabled(struct collector *self, bool enabled)
{
	(void)self;
	(void)enabled;
}

void maps_read_counters(struct collector *self, uint32_t fid, struct fn_counters *sum)
{
	(void)self;
	*sum = counters[fid];
}

struct err *maps_read_telemetry(struct collector *self, struct telemetry_count **counts_ret, uint32_t *n_ret)
{
	(void)self;
	*counts_ret = calloc(1, sizeof(**counts_ret));
	(*counts_ret)[0] = (struct telemetry_count){ .file = "location.h", .line = 97, .error = -14, .count = 3 };
	*n_ret = 1;
	return NULL;
}

struct err *waiting_settle(struct collector *self)
{
	(void)self;
	return NULL;
}

uint64_t maps_read_misses(struct collector *self)
{
	(void)self;
	return 0;
}

uint64_t maps_calls(struct collector *self)
{
	(void)self;
	return 0;
}

struct err *drain_create(struct collector *self, struct drain **ret)
{
	(void)self;
	*ret = NULL;
	return NULL;
}

void drain_destroy(struct drain *self)
{
	(void)self;
}

void drain_run(struct drain *self)
{
	(void)self;
}

bool maps_set_pid(struct collector *self, uint32_t pid, bool allowed)
{
	(void)self;
	(void)pid;
	return allowed;
}

bool maps_allow_pid(struct collector *self, uint32_t pid)
{
	(void)self;
	(void)pid;
	return true;
}

/* ---- reading lines ----------------------------------------------------------------------------------------- */

static char line[LINE_MAX_];
static char *rest;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "decode_harness: %s\n", what);
	exit(2);
}

static void check(struct err *err)
{
	if (err)
		die(err->msg);
}

static char *word(void)
{
	char *w = strtok_r(NULL, " \n", &rest);

	if (!w)
		die("a word is missing");
	return w;
}

static uint64_t number(void)
{
	char *w = word(), *end;
	uint64_t v = strtoull(w, &end, 0);

	if (*end)
		die(w);
	return v;
}

static uint32_t intern(const char *s)
{
	uint32_t at = (uint32_t)plan.types.strings_size;

	if (at + strlen(s) + 1 > sizeof(strings))
		die("too many strings");
	strcpy(strings + at, s);
	plan.types.strings_size += strlen(s) + 1;
	return at;
}

static size_t bytes_of(const char *hex, uint8_t *to)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			die("bad hex");
		to[i] = (uint8_t)byte;
	}
	return n;
}

/* ---- the plan ---------------------------------------------------------------------------------------------- */

/* binary PATH GO */
static void cmd_binary(void)
{
	plan.binary.path = intern(word());
	plan.binary.build_id = intern("b0b1");
	plan.binary.go_version = intern(word());
	plan.binary.has_g = 1;
}

/* type NAME KIND SIZE ELEM COUNT FLAGS; ELEM -1: none */
static void cmd_type(void)
{
	struct go_type *t = &types[plan.types.n++];

	t->name = intern(word());
	t->kind = (uint8_t)number();
	t->size = number();
	t->elem = (uint32_t)number();
	t->key = TYPE_NONE;
	t->count = number();
	t->flags = (uint8_t)number();
	t->first_field = (uint32_t)plan.types.n_fields;
}

/* field NAME TYPE OFFSET: of the last type */
static void cmd_field(void)
{
	struct go_field *f = &fields[plan.types.n_fields++];

	f->name = intern(word());
	f->type = (uint32_t)number();
	f->offset = number();
	types[plan.types.n - 1].n_fields++;
}

/* layout CHAN_LEN CHAN_CAP TYPES_BASE */
static void cmd_layout(void)
{
	plan.binary.chan_len_off = (uint16_t)number();
	plan.binary.chan_cap_off = (uint16_t)number();
	plan.binary.types_base = number();
}

/* rtype OFFSET: of the last type */
static void cmd_rtype(void)
{
	types[plan.types.n - 1].runtime_type = number();
}

/* map SWISS KEY ELEM KEY_INDIRECT ELEM_INDIRECT GROUP_SIZE CONTROL KEYS KEY_STRIDE ELEMS ELEM_STRIDE OVERFLOW: of the last type, whose header
 * is as Go has it */
static void cmd_map(void)
{
	struct plan_map *m = &maps[plan.n_maps++];

	*m = (struct plan_map){ .swiss = (uint8_t)number(),
				.header_size = 48,
				.flags = 8,
				.shift = 9,
				.buckets = 16,
				.old_buckets = 24,
				.dir = 16,
				.dir_len = 24,
				.writing = 34,
				.table_size = 32,
				.table_groups = 16,
				.table_mask = 24 };
	m->key = (uint32_t)number();
	m->elem = (uint32_t)number();
	m->key_indirect = (uint8_t)number();
	m->elem_indirect = (uint8_t)number();
	m->group_size = (uint32_t)number();
	m->control = (uint32_t)number();
	m->keys = (uint32_t)number();
	m->key_stride = (uint32_t)number();
	m->elems = (uint32_t)number();
	m->elem_stride = (uint32_t)number();
	m->overflow = (uint32_t)number();
	types[plan.types.n - 1].map = (uint32_t)plan.n_maps;
}

/* func NAME CAN_DUPLICATE */
static void cmd_func(void)
{
	struct plan_func *f = &funcs[plan.n_funcs++];

	f->name = intern(word());
	f->file = intern("main.go");
	f->line = 9;
	f->has_types = 1;
	f->can_duplicate = (uint8_t)number();
	f->first_site = (uint32_t)plan.n_sites;
	f->first_param = f->first_result = (uint32_t)plan.n_vars;
}

/* param NAME TYPE, result NAME TYPE: of the last function's signature; parameters first */
static void cmd_param(void)
{
	vars[plan.n_vars++] = (struct plan_var){ intern(word()), (uint32_t)number() };
	funcs[plan.n_funcs - 1].n_params++;
	funcs[plan.n_funcs - 1].first_result++;
}

static void cmd_result(void)
{
	vars[plan.n_vars++] = (struct plan_var){ intern(word()), (uint32_t)number() };
	funcs[plan.n_funcs - 1].n_results++;
}

/* site KIND ADDRESS FRAME: of the last function */
static void cmd_site(void)
{
	struct plan_site *s = &sites[plan.n_sites++];

	s->kind = (uint8_t)number();
	s->addr = number();
	s->frame = (uint32_t)number();
	s->first_step = (uint32_t)plan.n_steps;
	s->first_value = (uint32_t)plan.n_values;
	funcs[plan.n_funcs - 1].n_sites++;
}

/* step OP LEN MAX: of the last site */
static void cmd_step(void)
{
	struct step *s = &steps[plan.n_steps++];

	s->op = (uint8_t)number();
	s->len = (uint32_t)number();
	s->max = (uint32_t)number();
	sites[plan.n_sites - 1].n_steps++;
}

/* value NAME TYPE: of the last site */
static void cmd_value(void)
{
	struct plan_value *v = &values[plan.n_values++];

	v->name = intern(word());
	v->type = (uint32_t)number();
	v->first_piece = (uint32_t)plan.n_pieces;
	v->first_way = (uint32_t)plan.n_ways;
	sites[plan.n_sites - 1].n_values++;
}

/* piece OFFSET SIZE LOCATION INDEX AT REASON DETAIL CAME_IN: of the last value */
static void cmd_piece(void)
{
	struct plan_piece *p = &pieces[plan.n_pieces++];

	p->offset = (uint32_t)number();
	p->size = (uint32_t)number();
	p->at.kind = (uint16_t)number();
	p->at.index = (uint16_t)number();
	p->at.offset = (int32_t)number();
	p->reason = (uint16_t)number();
	p->detail = (uint16_t)number();
	p->came_in = (uint16_t)number();
	values[plan.n_values - 1].n_pieces++;
}

/* caller RETURN REG SIZE LOCATION INDEX AT CONSTANT: of the last site; the return address is the first word of chunk 0 */
static void cmd_caller(void)
{
	struct plan_site *s = &sites[plan.n_sites - 1];
	struct plan_caller *c = &callers[plan.n_callers++];

	c->ret = number();
	c->reg = (uint8_t)number();
	c->size = (uint8_t)number();
	c->at.kind = (uint16_t)number();
	c->at.index = (uint16_t)number();
	c->at.offset = (int32_t)number();
	c->constant = number();
	s->return_at.kind = LOC_CHUNK;
	s->n_callers++;
	s->first_caller = (uint32_t)plan.n_callers - s->n_callers;
}

/* way OP TYPE LO HI NAME KEY_KIND NEGATIVE INTEGER: of the last value */
static void cmd_way(void)
{
	struct plan_way *w = &ways[plan.n_ways++];

	w->op = (uint8_t)number();
	w->type = (uint32_t)number();
	w->lo = (uint32_t)number();
	w->hi = (uint32_t)number();
	w->name = intern(word());
	w->key_kind = (uint8_t)number();
	w->negative = (uint8_t)number();
	w->integer = number();
	values[plan.n_values - 1].n_ways++;
}

/* mask REGEX: before begin */
static const char *mask;

static void cmd_mask(void)
{
	mask = strdup(word());
}

/* ---- the trace --------------------------------------------------------------------------------------------- */

/* begin FORMAT COLOR MAX_CALLS STRING_SIZE DEPTH ELEMENTS NO_ARGS NO_RESULTS */
static void cmd_begin(void)
{
	struct collector_options options = { .out_fd = STDOUT_FILENO, .utc = true, .tracer_version = "0.1.0" };
	uint32_t id;

	options.format = (enum collector_format)number();
	options.color = number();
	options.max_calls = number();
	options.string_size = (uint32_t)number();
	options.depth = (uint32_t)number();
	options.elements = (uint32_t)number();
	options.no_args = number();
	options.no_results = number();
	options.mask = mask;
	check(collector_create(&options, &c));
	check(collector_add_plan(c, &plan, -1, &id));
	c->buffer = BUFFER_RING;
	c->attach = ATTACH_MULTI;
	check(writer_create(c, &c->writer));
	writer_meta(c->writer);
}

/* One record's head, the rest of it zero: record SITE TS PID TID SP G GOID STACK_HI FLAGS BIAS R0 … R9 [CHUNK …]
 * CHUNK: STEP,STATUS,ADDRESS,COUNT,HEX */
static _Alignas(8) uint8_t record_bytes[LINE_MAX_];

static size_t read_record(void)
{
	struct record *r = (struct record *)record_bytes;
	size_t at = sizeof(*r);
	char *chunk;

	memset(r, 0, sizeof(*r));
	r->site = (uint32_t)number();
	r->ts = number();
	r->pid = (uint32_t)number();
	r->tid = (uint32_t)number();
	r->sp = number();
	r->g = number();
	r->goid = number();
	r->stack_hi = number();
	r->flags = (uint16_t)number();
	r->ip = number() + sites[r->site].addr;
	for (int i = 0; i < RECORD_REGS; i++)
		r->regs[i] = number();
	while ((chunk = strtok_r(NULL, " \n", &rest))) {
		struct chunk *head = (struct chunk *)(record_bytes + at);
		char hex[8192] = "";
		unsigned int step, status;
		unsigned long long addr, count;

		if (sscanf(chunk, "%u,%u,%llx,%llu,%8191s", &step, &status, &addr, &count, hex) < 4)
			die(chunk);
		*head = (struct chunk){
			.step = (uint16_t)step, .status = (uint16_t)status, .addr = addr, .count = count
		};
		at += sizeof(*head);
		head->len = (uint32_t)bytes_of(hex, record_bytes + at);
		at += (head->len + 7) & ~7u;
	}
	r->used = (uint32_t)(at - sizeof(*r));
	return at;
}

static void cmd_record(void)
{
	size_t size = read_record();

	writer_block(c->writer, BLOCK_RECORD, record_bytes, size);
}

/* raw HEX: as it stands */
static void cmd_raw(void)
{
	size_t size = bytes_of(word(), record_bytes);

	writer_block(c->writer, BLOCK_RECORD, record_bytes, size);
}

/* lost TS COUNT */
static void cmd_lost(void)
{
	struct lost_block lost;

	lost.ts = number();
	lost.count = number();
	writer_block(c->writer, BLOCK_LOST, &lost, sizeof(lost));
}

/* exit PID */
static void cmd_exit(void)
{
	struct end_block end = { .ts = monotonic_ns(), .pid = (uint32_t)number() };

	writer_block(c->writer, BLOCK_PROCESS_END, &end, sizeof(end));
}

/* kernel FID ENTRY_HITS RETURN_HITS: what the kernel counted */
static void cmd_kernel(void)
{
	uint64_t fid = number();

	counters[fid].entry_hits = number();
	counters[fid].return_hits = number();
}

static void cmd_stop(void)
{
	uint64_t now = monotonic_ns();

	writer_block(c->writer, BLOCK_STOP, &now, sizeof(now));
	writer_flush(c->writer);
}

static void cmd_summary(void)
{
	check(summary_make(c, c->started_ns + 2000000000));
	writer_summary(c->writer, collector_summary(c));
}

/* ---- many records ------------------------------------------------------------------------------------------ */

static uint64_t seed;

static uint64_t random_u64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* A word that is likely to hit something: small, in the range of an address used by other chunks, huge, or anything. */
static uint64_t random_word(void)
{
	switch (random_u64() % 6) {
	case 5:
		return plan.binary.types_base + 0x80 * (random_u64() % 8); /* a run-time type */
	case 0:
		return random_u64() % 100;
	case 1:
	case 2:
		return 0x1000 + 8 * (random_u64() % 32);
	case 3:
		return UINT64_MAX - random_u64() % 100;
	}
	return random_u64();
}

/* random SEED N: records that are hostile in every field */
static void cmd_random(void)
{
	uint64_t n;

	seed = number() * 2 + 1;
	n = number();
	for (uint64_t i = 0; i < n; i++) {
		struct record *r = (struct record *)record_bytes;
		size_t size = sizeof(*r) + random_u64() % 1024, at = sizeof(*r);
		uint8_t *exact;

		for (size_t j = 0; j < size; j += 8) {
			uint64_t v = random_word();

			memcpy(record_bytes + j, &v, 8);
		}
		if (random_u64() % 8)
			r->site = (uint32_t)(random_u64() % (plan.n_sites + 1));
		if (i % 16 == 15) /* where calls end that do not return, and one past those */
			r->site = (uint32_t)(plan.n_sites + random_u64() % (PLAN_UNWINDS + 1));
		if (random_u64() % 8)
			r->used = (uint32_t)(size - sizeof(*r));
		if (random_u64() % 2 && r->site < plan.n_sites)
			r->ip = sites[r->site].addr; /* without a load bias, so that run-time types are found */
		if (random_u64() % 2)
			r->pid = (uint32_t)(1 + random_u64() % 8);
		while (random_u64() % 16 && at + sizeof(struct chunk) <= size) {
			struct chunk *head = (struct chunk *)(record_bytes + at);

			head->step = (uint16_t)(random_u64() % 8);
			head->status = (uint16_t)(random_u64() % 5);
			head->len = (uint32_t)(random_u64() % 16 ? random_u64() % 256 : random_u64());
			head->addr = random_word();
			at += sizeof(*head) + ((head->len + UINT64_C(7)) & ~UINT64_C(7));
		}
		/* of exactly its size, so that a byte read past it is seen */
		exact = malloc(size);
		memcpy(exact, record_bytes, size);
		writer_block(c->writer, BLOCK_RECORD, exact, size);
		free(exact);
	}
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* repeat N RECORD…: the same record N times, and how much processor time that took */
static void cmd_repeat(void)
{
	uint64_t n = number(), began;
	size_t size = read_record();

	began = cpu_ns();
	for (uint64_t i = 0; i < n; i++)
		writer_block(c->writer, BLOCK_RECORD, record_bytes, size);
	writer_flush(c->writer);
	fprintf(stderr, "%llu records in %llu ns\n", (unsigned long long)n, (unsigned long long)(cpu_ns() - began));
}

/* ---- the queue --------------------------------------------------------------------------------------------- */

static struct queue *queue;
static uint64_t n_blocks;
static uint64_t slow; /* the taker sleeps at every so many blocks; 0: never */

/* Block i is i in each of its words, and of a length that i tells. */
static size_t block_words(uint64_t i)
{
	return i * 7919 % 61;
}

static void *put_blocks(void *arg)
{
	uint64_t words[61];

	(void)arg;
	for (uint64_t i = 0; i < n_blocks; i++) {
		for (size_t j = 0; j < block_words(i); j++)
			words[j] = i;
		if (!queue_put(queue, BLOCK_RECORD, words, 8 * block_words(i)))
			die("a block was refused");
		if (i % 1000 == 0)
			queue_publish(queue);
	}
	uint64_t now = monotonic_ns();

	queue_put(queue, BLOCK_STOP, &now, sizeof(now));
	queue_publish(queue);
	return NULL;
}

/* queue SIZE N SLOW: N blocks from one thread to another through SIZE bytes; prints how many came whole and in order */
static void cmd_queue(void)
{
	size_t queue_size = number(), size;
	enum block_kind kind;
	const uint64_t *words;
	uint64_t seen = 0;
	pthread_t putter;

	n_blocks = number();
	slow = number();
	check(queue_create(queue_size, &queue));
	if (pthread_create(&putter, NULL, put_blocks, NULL))
		die("pthread_create");
	for (;;) {
		words = queue_take(queue, 30000, &kind, &size);
		if (!words || kind == BLOCK_STOP)
			break;
		if (size != 8 * block_words(seen))
			die("a block of another length");
		for (size_t j = 0; j < size / 8; j++)
			if (words[j] != seen)
				die("a block of other words");
		seen++;
		queue_drop(queue);
		if (slow && seen % slow == 0)
			usleep(100);
	}
	if (!words)
		die("nothing came for half a minute");
	pthread_join(putter, NULL);
	queue_close(queue);
	queue_destroy(queue);
	printf("%llu\n", (unsigned long long)seen);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} commands[] = {
		{ "binary", cmd_binary }, { "type", cmd_type },       { "field", cmd_field },
		{ "func", cmd_func },     { "param", cmd_param },     { "result", cmd_result },
		{ "site", cmd_site },     { "step", cmd_step },       { "value", cmd_value },
		{ "piece", cmd_piece },   { "layout", cmd_layout },   { "rtype", cmd_rtype },
		{ "way", cmd_way },       { "mask", cmd_mask },       { "map", cmd_map },
		{ "begin", cmd_begin },   { "record", cmd_record },   { "raw", cmd_raw },
		{ "lost", cmd_lost },     { "exit", cmd_exit },       { "kernel", cmd_kernel },
		{ "stop", cmd_stop },     { "summary", cmd_summary }, { "random", cmd_random },
		{ "repeat", cmd_repeat }, { "queue", cmd_queue },   { "caller", cmd_caller },
	};

	while (fgets(line, sizeof(line), stdin)) {
		char *name = strtok_r(line, " \n", &rest);
		size_t i = 0;

		if (!name)
			continue;
		while (i < sizeof(commands) / sizeof(commands[0]) && strcmp(commands[i].name, name))
			i++;
		if (i == sizeof(commands) / sizeof(commands[0]))
			die(name);
		commands[i].run();
	}
	if (c)
		writer_flush(c->writer);
	collector_destroy(c);
	return 0;
}
