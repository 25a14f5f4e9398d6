/* SPDX-License-Identifier: Apache-2.0 */
/* A recording: its blocks, the plan in it (as the cache of plans has it), records, and the lines that are made of them. The first byte
 * chooses the format. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../collector/collector.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct collector_options options = { .utc = true, .tracer_version = "0" };
	static int fd = -1, null = -1;
	struct collector *c = NULL;

	if (!size)
		return 0;
	if (fd < 0) {
		fd = memfd_create("recording", MFD_CLOEXEC);
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	}
	if (fd < 0 || null < 0 || ftruncate(fd, 0) || pwrite(fd, data + 1, size - 1, 0) != (ssize_t)size - 1)
		return 0;
	options.format = data[0] & 1 ? FORMAT_JSON : FORMAT_TEXT;
	options.out_fd = null;
	err_destroy(collector_replay(fd, &options, &c));
	collector_destroy(c);
	return 0;
}
