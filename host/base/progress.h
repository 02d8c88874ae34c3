// SPDX-License-Identifier: Apache-2.0
// One line on stderr that says how far a long job is; nothing where stderr is not a terminal.
#ifndef HOST_BASE_PROGRESS_H
#define HOST_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct sh_progress {
    bool on;
    bool shown;
    int64_t last_ms;
};

void sh_progress_start(struct sh_progress *p, bool quiet);

/* total 0: not known. Shows at most ten times a second. */
void sh_progress_show(struct sh_progress *p, const char *what, uint64_t done, uint64_t total);

/* Takes the line away. */
void sh_progress_end(struct sh_progress *p);

#endif
