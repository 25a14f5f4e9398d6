/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks from lines of numbers: at_push kind ip caller next own_frame max, then the chain. Prints what one hit tells of the kernel, then the
 * frames. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../collector/chain.h"

int main(void)
{
	char line[4096];

	while (fgets(line, sizeof(line), stdin)) {
		uint64_t words[7 + STACK_FRAMES], frames[STACK_FRAMES + 2];
		uint32_t n = 0, out;
		char *p = line;

		for (char *end; n < sizeof(words) / sizeof(*words); p = end, n++) {
			words[n] = strtoull(p, &end, 0);
			if (end == p)
				break;
		}
		struct stack_head head = { .caller = words[3], .next = words[4], .own_frame = words[5] };

		printf("%d:", chain_kind_of(&head, words[0], words[2], words + 7, n - 7));
		out = stack_join(&head, words[0], (enum chain_kind)words[1], words[2], words + 7, n - 7, frames,
				 (uint32_t)words[6]);
		for (uint32_t i = 0; i < out; i++)
			printf(" %" PRIu64, frames[i]);
		printf("\n");
	}
	return 0;
}
