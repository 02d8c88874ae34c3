// SPDX-License-Identifier: Apache-2.0
// How large an image may become while it is built or loaded: a small input can claim or unpack to
// any size. One budget is shared by all that one command reads.
#ifndef HOST_IMAGE_BUDGET_H
#define HOST_IMAGE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "host/base/error.h"

#define SH_BUDGET_MAX_DEFAULT (64ull << 30)
/* Up to this size nobody asks how small the input was; beyond, it may be SH_BUDGET_RATIO times
 * that. Layers count twice, as a stream and as files; gzip makes 1,000 of 1 at most, on zeros. */
#define SH_BUDGET_FREE (64ull << 20)
#define SH_BUDGET_RATIO 200u

/* Sizes in bytes. */
struct sh_budget {
    uint64_t max;      /* of all files together */
    bool chosen;       /* by --max-size: then the ratio is nobody's business */
    int space_fd;      /* on the file system that is written to; -1: its space is not looked at */
    uint64_t input;    /* that was read from outside; whoever reads adds to it */
    uint64_t claimed;  /* by files, holes included */
    uint64_t expanded; /* that came of it, holes included */
    uint64_t asked;    /* claimed when the space was last looked at */
};

/* `max` 0: the default. */
void sh_budget_start(struct sh_budget *b, uint64_t max, int space_fd);

/* A file of that size, `data` of it not holes, is about to be written. `what` begins the sentence:
 * an input's and an entry's name. -EFBIG or -ENOSPC. b NULL: 0, here and below. */
int sh_budget_claim(struct sh_budget *b, uint64_t size, uint64_t data, const char *what,
                    struct sh_error *err);

/* `size` more bytes came of the input. -EFBIG. */
int sh_budget_expand(struct sh_budget *b, uint64_t size, const char *what, struct sh_error *err);

/* Are there so many bytes, before they are written? -ENOSPC. */
int sh_budget_space(const struct sh_budget *b, uint64_t size, const char *what,
                    struct sh_error *err);

#endif
