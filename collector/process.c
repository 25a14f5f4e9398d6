/* SPDX-License-Identifier: Apache-2.0 */
/* The processes whose calls are seen, and their ends: by pidfd, which is readable once its process has ended. */
#include "drain.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* the same number on every architecture (include/uapi/asm-generic/unistd.h) */
#endif

#define TABLE_SIZE (PROCESSES_MAX * 2) /* a power of two; at most half full */
#define KILL_POLL_NS UINT64_C(250000000)

struct process {
	uint32_t pid; /* 0: free */
	int fd;       /* pidfd, or -1 where there is none: then asked by kill(pid, 0) */
	bool allowed;
	uint64_t ended_ns; /* CLOCK_MONOTONIC at which its end was noted; 0: it runs */
};

struct processes {
	int epoll;
	uint32_t n, n_allowed, n_without_fd, n_ended;
	bool had_allowed, told_all;
	uint32_t last_pid;
	uint64_t last_kill;
	struct process table[TABLE_SIZE];
};

struct err *processes_create(struct processes **ret)
{
	struct processes *p = calloc(1, sizeof(*p));

	if (!p)
		return &err_nomem;
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (p->epoll < 0) {
		free(p);
		return err_create(ERR_IO, "epoll_create1: %s", strerror(errno));
	}
	*ret = p;
	return NULL;
}

void processes_destroy(struct processes *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < TABLE_SIZE; i++)
		if (p->table[i].pid && p->table[i].fd >= 0)
			close(p->table[i].fd);
	close(p->epoll);
	free(p);
}

int processes_fd(const struct processes *p)
{
	return p->epoll;
}

static struct process *find(struct processes *p, uint32_t pid)
{
	uint32_t i = pid * 2654435761u >> 7 & (TABLE_SIZE - 1);

	while (p->table[i].pid && p->table[i].pid != pid)
		i = (i + 1) & (TABLE_SIZE - 1);
	return &p->table[i];
}

static void note_end(struct processes *p, struct process *process)
{
	if (process->ended_ns)
		return;
	process->ended_ns = monotonic_ns();
	p->n_ended++;
	if (process->fd < 0)
		return;
	epoll_ctl(p->epoll, EPOLL_CTL_DEL, process->fd, NULL);
	close(process->fd);
	process->fd = -1;
}

/* Make an entry. 0, or ESRCH where the process has ended already. */
static int add(struct processes *p, uint32_t pid, bool allowed)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = pid };
	struct process *process = find(p, pid);
	int error = 0;

	if (!process->pid) {
		*process = (struct process){ .pid = pid, .fd = -1 };
		p->n++;
		process->fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
		if (process->fd < 0)
			error = errno;
		else if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, process->fd, &event)) {
			close(process->fd);
			process->fd = -1;
		}
		if (error == ESRCH)
			note_end(p, process);
		else if (process->fd < 0)
			p->n_without_fd++;
	}
	if (allowed && !process->allowed) {
		process->allowed = p->had_allowed = true;
		p->n_allowed++;
	}
	return error == ESRCH ? ESRCH : 0;
}

struct err *processes_add_allowed(struct processes *p, uint32_t pid)
{
	if (!pid || kill((pid_t)pid, 0) < 0)
		if (!pid || errno == ESRCH)
			return err_create(ERR_NOTFOUND, "there is no process %u", pid);
	if (p->n >= PROCESSES_MAX)
		return err_create(ERR_USAGE, "more than %u processes", PROCESSES_MAX);
	if (add(p, pid, true) == ESRCH)
		return err_create(ERR_NOTFOUND, "there is no process %u", pid);
	return NULL;
}

void processes_see(struct processes *p, uint32_t pid)
{
	if (pid == p->last_pid || !pid)
		return;
	if (!find(p, pid)->pid) {
		if (p->n >= PROCESSES_MAX)
			return;
		add(p, pid, false);
	}
	p->last_pid = pid;
}

void processes_poll(struct processes *p)
{
	struct epoll_event events[64];
	uint64_t now;
	int n;

	do {
		n = epoll_wait(p->epoll, events, 64, 0);
		for (int i = 0; i < n; i++)
			note_end(p, find(p, events[i].data.u32));
	} while (n == 64);
	if (!p->n_without_fd)
		return;
	now = monotonic_ns();
	if (now - p->last_kill < KILL_POLL_NS)
		return;
	p->last_kill = now;
	for (uint32_t i = 0; i < TABLE_SIZE; i++) {
		struct process *process = &p->table[i];

		if (process->pid && process->fd < 0 && !process->ended_ns && kill((pid_t)process->pid, 0) < 0 &&
		    errno == ESRCH) {
			p->n_without_fd--;
			note_end(p, process);
		}
	}
}

/* Open addressing: entries behind a gap would not be found, so they are put in again. */
static void take_out(struct processes *p, struct process *process)
{
	uint32_t i = (uint32_t)(process - p->table);

	process->pid = 0;
	p->n--;
	for (i = (i + 1) & (TABLE_SIZE - 1); p->table[i].pid; i = (i + 1) & (TABLE_SIZE - 1)) {
		struct process moved = p->table[i];

		p->table[i].pid = 0;
		*find(p, moved.pid) = moved;
	}
}

void processes_report(struct processes *p, struct queue *queue, uint64_t until)
{
	bool again = p->n_ended;

	while (again) {
		again = false;
		for (uint32_t i = 0; i < TABLE_SIZE; i++) {
			struct process *process = &p->table[i];

			if (!process->pid || !process->ended_ns || process->ended_ns > until)
				continue;
			struct end_block end = { .ts = process->ended_ns, .pid = process->pid };

			queue_put(queue, BLOCK_PROCESS_END, &end, sizeof(end));
			p->n_allowed -= process->allowed;
			p->n_ended--;
			p->last_pid = 0;
			take_out(p, process);
			again = p->n_ended; /* entries have moved: look from the start */
			break;
		}
	}
	if (p->had_allowed && !p->n_allowed && !p->told_all) {
		p->told_all = true;
		queue_put(queue, BLOCK_ALL_EXITED, NULL, 0);
	}
}
