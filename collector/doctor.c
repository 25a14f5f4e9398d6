/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Newer than the headers of the oldest distribution that builds this (include/uapi/linux/bpf.h). */
#define ATTACH_TRACE_UPROBE_MULTI 48
#define PROG_FLAG_SLEEPABLE 16
#define CAPABILITY_PERFMON 38
#define CAPABILITY_BPF 39

#define LOG_SIZE 65536
#define COOKIE 0x60                  /* any number that nothing else here is */
#define MEMLOCK_TRY_MAX (256u << 20) /* a limit above this is in nobody's way */

/* The head of union bpf_attr's link_create, with what newer kernels put behind it. */
struct link_create_attr {
	uint32_t prog_fd, target_fd, attach_type, flags;
	union {
		struct {
			uint64_t bpf_cookie;
		} perf_event;
		struct {
			uint64_t path, offsets, ref_ctr_offsets, cookies;
			uint32_t cnt, flags, pid;
		} uprobe_multi;
	};
};

static void fd_cleanup(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define _cleanup_fd_ __attribute__((cleanup(fd_cleanup)))

static long sys_bpf(int cmd, void *attr, size_t size)
{
	return syscall(__NR_bpf, cmd, attr, size);
}

static uint64_t pointer(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/* What errno means for whoever runs us. */
static struct err *refused(const char *what, int error)
{
	if ((error == EPERM || error == EACCES) && geteuid() != 0)
		return err_create(ERR_PRIVILEGE, "%s: %s", what, strerror(error));
	return err_create(ERR_KERNEL, "%s: %s", what, strerror(error));
}

/* ---- maps and programs ---------------------------------------------------------------------------------------- */

static struct err *create_map(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t entries, int *fd_ret)
{
	union bpf_attr attr;
	long fd;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = key_size;
	attr.value_size = value_size;
	attr.max_entries = entries;
	fd = sys_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
	if (fd < 0)
		return refused("creating the map", errno);
	*fd_ret = (int)fd;
	return NULL;
}

static struct err *read_counter(int map, uint64_t *value_ret)
{
	union bpf_attr attr;
	uint32_t zero = 0;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = pointer(&zero);
	attr.value = pointer(value_ret);
	if (sys_bpf(BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)))
		return refused("reading the map", errno);
	return NULL;
}

#define INSN(op, dst, src, o, i)                                                                                       \
	((struct bpf_insn){ .code = (op), .dst_reg = (dst), .src_reg = (src), .off = (o), .imm = (i) })
#define MOV_REG(dst, src) INSN(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define MOV_IMM(dst, imm) INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm)
#define ADD_IMM(dst, imm) INSN(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm)
#define CALL(helper) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define STORE_REG(size, dst, off, src) INSN(BPF_STX | BPF_MEM | (size), dst, src, off, 0)
#define STORE_IMM(size, dst, off, imm) INSN(BPF_ST | BPF_MEM | (size), dst, 0, off, imm)
#define SKIP_IF_ZERO(reg, n) INSN(BPF_JMP | BPF_JEQ | BPF_K, reg, 0, n, 0)
#define LOAD_MAP(dst, fd) INSN(BPF_LD | BPF_IMM | BPF_DW, dst, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define ZERO_AND_EXIT MOV_IMM(BPF_REG_0, 0), EXIT

/* The last line of the verifier's log that says something, in place. */
static const char *verifier_words(char *log)
{
	char *line = NULL, *next;

	for (char *p = log; p && *p; p = next) {
		next = strchr(p, '\n');
		if (next)
			*next++ = '\0';
		if (*p && strncmp(p, "processed ", 10) && strncmp(p, "verification time", 17))
			line = p;
	}
	return line;
}

static struct err *load_program(uint32_t type, uint32_t attach_type, uint32_t flags, const struct bpf_insn *insns,
				size_t n, int *fd_ret)
{
	char *log _cleanup_free_ = calloc(1, LOG_SIZE);
	union bpf_attr attr;
	const char *words;
	long fd;
	int error;

	if (!log)
		return &err_nomem;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = type;
	attr.expected_attach_type = attach_type;
	attr.prog_flags = flags;
	attr.insns = pointer(insns);
	attr.insn_cnt = (uint32_t)n;
	attr.license = pointer("Dual BSD/GPL");
	fd = sys_bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd >= 0) {
		*fd_ret = (int)fd;
		return NULL;
	}
	error = errno;
	/* again for the reason, which the verifier writes only when it is given room */
	attr.log_level = 1;
	attr.log_size = LOG_SIZE;
	attr.log_buf = pointer(log);
	fd = sys_bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd >= 0) {
		*fd_ret = (int)fd;
		return NULL;
	}
	log[LOG_SIZE - 1] = '\0';
	words = verifier_words(log);
	if (words && geteuid() == 0)
		return err_create(ERR_KERNEL, "loading the program: %s (%s)", words, strerror(error));
	return refused("loading the program", error);
}

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define LOAD_KPROBE(attach_type, flags, insns, fd_ret)                                                                 \
	load_program(BPF_PROG_TYPE_KPROBE, attach_type, flags, insns, LENGTH(insns), fd_ret)

/* A program that puts 1, or with `cookie` its attach cookie, into entry 0 of an array of one u64. */
static struct err *load_marker(uint32_t type, uint32_t attach_type, bool cookie, int map, int *fd_ret)
{
	struct bpf_insn insns[] = {
		cookie ? CALL(BPF_FUNC_get_attach_cookie) : MOV_IMM(BPF_REG_0, 1),
		MOV_REG(BPF_REG_7, BPF_REG_0),
		STORE_IMM(BPF_W, BPF_REG_10, -4, 0),
		LOAD_MAP(BPF_REG_1, map),
		MOV_REG(BPF_REG_2, BPF_REG_10),
		ADD_IMM(BPF_REG_2, -4),
		CALL(BPF_FUNC_map_lookup_elem),
		SKIP_IF_ZERO(BPF_REG_0, 1),
		STORE_REG(BPF_DW, BPF_REG_0, 0, BPF_REG_7),
		ZERO_AND_EXIT,
	};

	return load_program(type, attach_type, 0, insns, LENGTH(insns), fd_ret);
}

/* ---- probes on ourselves -------------------------------------------------------------------------------------- */

/* Probed and called. Not inlined, and not thrown away for being empty. */
__attribute__((noinline)) static void target(void)
{
	__asm__ volatile("" ::: "memory");
}

/* The file that `target` was loaded from, through /proc, and the offset of its first byte there. */
static struct err *find_target(char *path, size_t path_size, uint64_t *offset_ret)
{
	uint64_t addr = pointer((const void *)(uintptr_t)target), start, end, offset;
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[4352]; /* PATH_MAX and the numbers before it */
	int name;

	if (!maps)
		return err_create(ERR_IO, "/proc/self/maps: %s", strerror(errno));
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %*s %n", &start, &end, &offset, &name) !=
		    3)
			continue;
		if (addr < start || addr >= end)
			continue;
		fclose(maps);
		line[strcspn(line, "\n")] = '\0';
		if ((size_t)snprintf(path, path_size, "%s", line + name) >= path_size)
			return err_create(ERR_IO, "the path of our own code is too long");
		*offset_ret = addr - start + offset;
		return NULL;
	}
	fclose(maps);
	return err_create(ERR_IO, "our own code is not in /proc/self/maps");
}

/* Number of a dynamic PMU, from sysfs. */
static struct err *read_pmu_type(const char *pmu, uint32_t *type_ret)
{
	char path[96];
	FILE *file;
	int n;

	snprintf(path, sizeof(path), "/sys/bus/event_source/devices/%s/type", pmu);
	file = fopen(path, "re");
	if (!file)
		return err_create(ERR_KERNEL, "the kernel has no %s events (%s: %s)", pmu, path, strerror(errno));
	n = fscanf(file, "%" SCNu32, type_ret);
	fclose(file);
	if (n != 1)
		return err_create(ERR_KERNEL, "%s: no number in it", path);
	return NULL;
}

/* A perf event on a function: name is a path (uprobe) or a kernel function (kprobe). */
static struct err *open_probe(const char *pmu, const char *name, uint64_t offset, int *fd_ret)
{
	struct perf_event_attr attr;
	struct err *err;
	uint32_t type;
	long fd;

	err = read_pmu_type(pmu, &type);
	if (err)
		return err;
	memset(&attr, 0, sizeof(attr));
	attr.size = sizeof(attr);
	attr.type = type;
	attr.config1 = pointer(name);
	attr.config2 = offset;
	/* pid −1 and CPU 0: an event for every process; a uprobe's program runs on all CPUs all the same */
	fd = syscall(__NR_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return refused("opening the event", errno);
	*fd_ret = (int)fd;
	return NULL;
}

static struct err *attach_perf(int event, int program, bool cookie, int *link_ret)
{
	struct link_create_attr attr;
	long link;

	if (!cookie) {
		if (ioctl(event, PERF_EVENT_IOC_SET_BPF, program) || ioctl(event, PERF_EVENT_IOC_ENABLE, 0))
			return refused("attaching the program", errno);
		return NULL;
	}
	memset(&attr, 0, sizeof(attr));
	attr.prog_fd = (uint32_t)program;
	attr.target_fd = (uint32_t)event;
	attr.attach_type = BPF_PERF_EVENT;
	attr.perf_event.bpf_cookie = COOKIE;
	link = sys_bpf(BPF_LINK_CREATE, &attr, sizeof(attr));
	if (link < 0)
		return refused("linking the program with a cookie", errno);
	*link_ret = (int)link;
	if (ioctl(event, PERF_EVENT_IOC_ENABLE, 0))
		return refused("enabling the event", errno);
	return NULL;
}

/* pid: 0 for all processes */
static struct err *attach_multi(const char *path, uint64_t offset, int program, uint32_t pid, int *link_ret)
{
	struct link_create_attr attr;
	uint64_t cookie = COOKIE;
	long link;

	memset(&attr, 0, sizeof(attr));
	attr.prog_fd = (uint32_t)program;
	attr.attach_type = ATTACH_TRACE_UPROBE_MULTI;
	attr.uprobe_multi.path = pointer(path);
	attr.uprobe_multi.offsets = pointer(&offset);
	attr.uprobe_multi.cookies = pointer(&cookie);
	attr.uprobe_multi.cnt = 1;
	attr.uprobe_multi.pid = pid;
	link = sys_bpf(BPF_LINK_CREATE, &attr, sizeof(attr));
	if (link < 0)
		return refused("linking the program", errno);
	*link_ret = (int)link;
	return NULL;
}

/* Attach a program to `target`, call that, and see what the program left in its map. */
static struct err *try_uprobe(bool multi, bool cookie)
{
	int map _cleanup_fd_ = -1, program _cleanup_fd_ = -1, event _cleanup_fd_ = -1, link _cleanup_fd_ = -1;
	uint64_t offset = 0, seen = 0;
	struct err *err;
	char path[4096];

	err = find_target(path, sizeof(path), &offset);
	if (!err)
		err = create_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1, &map);
	if (!err)
		err = load_marker(BPF_PROG_TYPE_KPROBE, multi ? ATTACH_TRACE_UPROBE_MULTI : 0, cookie, map, &program);
	if (err)
		return err;
	if (multi) {
		err = attach_multi(path, offset, program, 0, &link);
	} else {
		err = open_probe("uprobe", path, offset, &event);
		if (!err)
			err = attach_perf(event, program, cookie, &link);
	}
	if (err)
		return err;
	target();
	err = read_counter(map, &seen);
	if (err)
		return err;
	if (!seen)
		return err_create(ERR_KERNEL, "it was attached, but did not fire");
	if (seen != (cookie ? COOKIE : 1))
		return err_create(ERR_KERNEL, "it fired with the wrong cookie %#" PRIx64, seen);
	return NULL;
}

static void *call_target(void *arg)
{
	target();
	return arg;
}

/* Before Linux 6.10 a link for one process fires in its first thread only, which need not be the one that calls. */
static struct err *try_multi_pid(void)
{
	int map _cleanup_fd_ = -1, program _cleanup_fd_ = -1, link _cleanup_fd_ = -1;
	uint64_t offset = 0, seen = 0;
	pthread_t thread;
	struct err *err;
	char path[4096];

	err = find_target(path, sizeof(path), &offset);
	if (!err)
		err = create_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1, &map);
	if (!err)
		err = load_marker(BPF_PROG_TYPE_KPROBE, ATTACH_TRACE_UPROBE_MULTI, false, map, &program);
	if (!err)
		err = attach_multi(path, offset, program, (uint32_t)getpid(), &link);
	if (err)
		return err;
	if (pthread_create(&thread, NULL, call_target, NULL))
		return err_create(ERR_IO, "no thread could be made");
	pthread_join(thread, NULL);
	err = read_counter(map, &seen);
	if (!err && !seen)
		err = err_create(ERR_KERNEL, "it does not fire in all threads of the process");
	return err;
}

/* In a child, which gives up all other capabilities. The user id stays, so that files are as they were. */
static struct err *try_capabilities(void)
{
	uint64_t keep = UINT64_C(1) << CAPABILITY_PERFMON | UINT64_C(1) << CAPABILITY_BPF;
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = {
		{ .effective = (uint32_t)keep, .permitted = (uint32_t)keep },
		{ .effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32) },
	};
	char why[256] = "";
	int pipe_fds[2], status = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return err_create(ERR_IO, "pipe: %s", strerror(errno));
	pid = fork();
	if (!pid) {
		struct err *err = NULL;

		if (syscall(SYS_capset, &head, caps))
			err = refused("giving up the other capabilities", errno);
		if (!err)
			err = try_uprobe(true, true);
		if (err) {
			err_destroy(err);
			err = try_uprobe(false, true);
		}
		if (err && write(pipe_fds[1], err->msg, strlen(err->msg)) < 0)
			_exit(2);
		_exit(err ? 1 : 0);
	}
	close(pipe_fds[1]);
	n = pid > 0 ? read(pipe_fds[0], why, sizeof(why) - 1) : -1;
	close(pipe_fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return err_create(ERR_IO, "no process could be made");
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return NULL;
	return err_create(geteuid() ? ERR_PRIVILEGE : ERR_KERNEL, "%s", n > 0 ? why : "the attempt ended early");
}

static struct err *try_kprobe(void)
{
	int map _cleanup_fd_ = -1, program _cleanup_fd_ = -1, event _cleanup_fd_ = -1, link _cleanup_fd_ = -1;
	struct err *err = create_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1, &map);

	if (!err)
		err = load_marker(BPF_PROG_TYPE_KPROBE, 0, false, map, &program);
	if (!err)
		err = open_probe("kprobe", "security_socket_bind", 0, &event);
	if (!err)
		err = attach_perf(event, program, false, &link);
	return err;
}

static struct err *try_raw_tracepoint(void)
{
	int map _cleanup_fd_ = -1, program _cleanup_fd_ = -1, link _cleanup_fd_ = -1;
	struct err *err = create_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1, &map);
	union bpf_attr attr;
	uint64_t seen = 0;
	long fd;

	if (!err)
		err = load_marker(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, false, map, &program);
	if (err)
		return err;
	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.name = pointer("sched_switch");
	attr.raw_tracepoint.prog_fd = (uint32_t)program;
	fd = sys_bpf(BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof(attr));
	if (fd < 0)
		return refused("opening sched_switch", errno);
	link = (int)fd;
	/* sleeping gives the CPU away, which is what it tells; more than once, as another's probe may be at work on that CPU */
	for (int i = 0; i < 20 && !err && !seen; i++) {
		usleep(1000);
		err = read_counter(map, &seen);
	}
	if (!err && !seen)
		err = err_create(ERR_KERNEL, "it was attached, but did not fire");
	return err;
}

/* ---- what a program may do ------------------------------------------------------------------------------------ */

static struct err *try_bpf(void)
{
	int map _cleanup_fd_ = -1, program _cleanup_fd_ = -1;
	struct err *err = create_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1, &map);

	return err ? err : load_marker(BPF_PROG_TYPE_KPROBE, 0, false, map, &program);
}

static struct err *try_ring_buffer(void)
{
	int map _cleanup_fd_ = -1, program _cleanup_fd_ = -1;
	struct err *err = create_map(BPF_MAP_TYPE_RINGBUF, 0, 0, (uint32_t)sysconf(_SC_PAGESIZE), &map);

	if (err)
		return err;
	struct bpf_insn insns[] = {
		STORE_IMM(BPF_DW, BPF_REG_10, -8, 0),
		LOAD_MAP(BPF_REG_1, map),
		MOV_REG(BPF_REG_2, BPF_REG_10),
		ADD_IMM(BPF_REG_2, -8),
		MOV_IMM(BPF_REG_3, 8),
		MOV_IMM(BPF_REG_4, 0),
		CALL(BPF_FUNC_ringbuf_output),
		ZERO_AND_EXIT,
	};
	return LOAD_KPROBE(0, 0, insns, &program);
}

static struct err *try_perf_buffer(void)
{
	int map _cleanup_fd_ = -1, program _cleanup_fd_ = -1;
	struct err *err = create_map(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 1, &map);

	if (err)
		return err;
	struct bpf_insn insns[] = {
		STORE_IMM(BPF_DW, BPF_REG_10, -8, 0),
		LOAD_MAP(BPF_REG_2, map),
		MOV_IMM(BPF_REG_3, 0),
		MOV_REG(BPF_REG_4, BPF_REG_10),
		ADD_IMM(BPF_REG_4, -8),
		MOV_IMM(BPF_REG_5, 8),
		CALL(BPF_FUNC_perf_event_output),
		ZERO_AND_EXIT,
	};
	return LOAD_KPROBE(0, 0, insns, &program);
}

/* Two functions of one program with 400 bytes of stack each: more than the 512 that they have together, unless each has its own. */
bool doctor_private_stacks(void)
{
	int program _cleanup_fd_ = -1;
	struct bpf_insn insns[] = {
		STORE_IMM(BPF_DW, BPF_REG_10, -400, 0),
		INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 2), /* behind the next two */
		ZERO_AND_EXIT,
		STORE_IMM(BPF_DW, BPF_REG_10, -400, 0),
		ZERO_AND_EXIT,
	};
	struct err *err = LOAD_KPROBE(0, 0, insns, &program);

	err_destroy(err);
	return !err;
}

/* A helper that copies 8 bytes between the program's stack and an address of the traced process, here 0: it is loaded, never run. */
static struct err *try_copy_helper(int helper, bool to_user, uint32_t attach_type, uint32_t flags)
{
	int program _cleanup_fd_ = -1;
	struct bpf_insn insns[] = {
		STORE_IMM(BPF_DW, BPF_REG_10, -8, 0),
		MOV_REG(to_user ? BPF_REG_2 : BPF_REG_1, BPF_REG_10),
		ADD_IMM(to_user ? BPF_REG_2 : BPF_REG_1, -8),
		MOV_IMM(to_user ? BPF_REG_1 : BPF_REG_2, to_user ? 0 : 8),
		MOV_IMM(BPF_REG_3, to_user ? 8 : 0),
		CALL(helper),
		ZERO_AND_EXIT,
	};

	return LOAD_KPROBE(attach_type, flags, insns, &program);
}

/* Loaded with a tail call to nowhere where that is needed (doctor.h), for perf events where there is no uprobe_multi. Never run. */
static struct err *try_sleepable(void)
{
	int map _cleanup_fd_ = -1, program _cleanup_fd_ = -1;
	bool guarded = doctor_private_stacks();
	struct err *err = guarded ? create_map(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1, &map) : NULL;

	if (err)
		return err;
	struct bpf_insn insns[] = {
		MOV_REG(BPF_REG_6, BPF_REG_1),  STORE_IMM(BPF_DW, BPF_REG_10, -8, 0),
		MOV_REG(BPF_REG_1, BPF_REG_10), ADD_IMM(BPF_REG_1, -8),
		MOV_IMM(BPF_REG_2, 8),          MOV_IMM(BPF_REG_3, 0),
		CALL(BPF_FUNC_copy_from_user),  ZERO_AND_EXIT,
	};
	struct bpf_insn guard[LENGTH(insns) + 5];

	memcpy(guard, insns, sizeof(insns));
	memcpy(guard + LENGTH(insns) - 2,
	       (struct bpf_insn[]){ MOV_REG(BPF_REG_1, BPF_REG_6), LOAD_MAP(BPF_REG_2, map), MOV_IMM(BPF_REG_3, 0),
				    CALL(BPF_FUNC_tail_call), ZERO_AND_EXIT },
	       7 * sizeof(*insns));
	if (!guarded) {
		err = LOAD_KPROBE(ATTACH_TRACE_UPROBE_MULTI, PROG_FLAG_SLEEPABLE, insns, &program);
	} else {
		err = LOAD_KPROBE(ATTACH_TRACE_UPROBE_MULTI, PROG_FLAG_SLEEPABLE, guard, &program);
		if (err)
			return err_wrap(err, "a program that sleeps would share its stack with others on its CPU");
	}
	return err;
}

static struct err *try_context_write(void)
{
	int program _cleanup_fd_ = -1;
	struct bpf_insn insns[] = {
		MOV_IMM(BPF_REG_0, 0),
		STORE_REG(BPF_DW, BPF_REG_1, 80, BPF_REG_0), /* pt_regs.ax of amd64 */
		EXIT,
	};
	struct err *err = LOAD_KPROBE(ATTACH_TRACE_UPROBE_MULTI, 0, insns, &program);

	if (!err)
		return NULL;
	err_destroy(err);
	return LOAD_KPROBE(0, 0, insns, &program); /* a kernel without uprobe_multi refuses its attach type */
}

static struct err *try_btf(void)
{
	int fd _cleanup_fd_ = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_create(ERR_KERNEL, "/sys/kernel/btf/vmlinux: %s", strerror(errno));
	return NULL;
}

static struct err *try_memlock(void)
{
	int map _cleanup_fd_ = -1;
	struct rlimit limit;
	struct err *err;

	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		return err_create(ERR_IO, "getrlimit: %s", strerror(errno));
	if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= MEMLOCK_TRY_MAX)
		return NULL;
	err = create_map(BPF_MAP_TYPE_ARRAY, 4, (uint32_t)sysconf(_SC_PAGESIZE),
			 (uint32_t)(limit.rlim_cur / (rlim_t)sysconf(_SC_PAGESIZE)) + 1, &map);
	if (err)
		return err_wrap(err, "maps count against the limit of %" PRIu64 " kB of locked memory",
				(uint64_t)limit.rlim_cur / 1024);
	return NULL;
}

struct err *doctor_try(enum doctor_check check)
{
	switch (check) {
	case DOCTOR_BPF:
		return try_bpf();
	case DOCTOR_UPROBE_PERF:
		return try_uprobe(false, false);
	case DOCTOR_UPROBE_MULTI:
		return try_uprobe(true, false);
	case DOCTOR_COOKIE_PERF:
		return try_uprobe(false, true);
	case DOCTOR_COOKIE_MULTI:
		return try_uprobe(true, true);
	case DOCTOR_RING_BUFFER:
		return try_ring_buffer();
	case DOCTOR_PERF_BUFFER:
		return try_perf_buffer();
	case DOCTOR_PROBE_READ_USER:
		return try_copy_helper(BPF_FUNC_probe_read_user, false, 0, 0);
	case DOCTOR_PROBE_WRITE_USER:
		return try_copy_helper(BPF_FUNC_probe_write_user, true, 0, 0);
	case DOCTOR_CONTEXT_WRITE:
		return try_context_write();
	case DOCTOR_SLEEPABLE:
		return try_sleepable();
	case DOCTOR_KPROBE:
		return try_kprobe();
	case DOCTOR_RAW_TRACEPOINT:
		return try_raw_tracepoint();
	case DOCTOR_BTF:
		return try_btf();
	case DOCTOR_MEMLOCK:
		return try_memlock();
	case DOCTOR_MULTI_PID:
		return try_multi_pid();
	case DOCTOR_CAPABILITIES:
		return try_capabilities();
	case DOCTOR_N_CHECKS:
		break;
	}
	return err_create(ERR_USAGE, "no such check: %d", (int)check);
}
