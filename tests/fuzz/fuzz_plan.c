/* SPDX-License-Identifier: Apache-2.0 */
/* A plan that was kept in a file. */
#include <sys/mman.h>
#include <unistd.h>

#include "../../offsets/plan.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1, again = -1;
	struct plan *plan = NULL;

	if (fd < 0) {
		fd = memfd_create("plan", MFD_CLOEXEC);
		again = memfd_create("again", MFD_CLOEXEC);
	}
	if (fd < 0 || again < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size ||
	    lseek(fd, 0, SEEK_SET))
		return 0;
	struct err *err = plan_read_fd(fd, &plan);
	if (!err)
		err = plan_set_file(plan, "/another/copy", &(struct file_id){ .dev = 1 });
	if (!err)
		err = plan_check(plan);
	if (!err && !ftruncate(again, 0) && !lseek(again, 0, SEEK_SET))
		err = plan_write_fd(plan, again);
	err_destroy(err);
	plan_destroy(plan);
	return 0;
}
