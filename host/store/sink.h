// SPDX-License-Identifier: Apache-2.0
// Writes a root image front to back and its dm-verity tree behind it, hashing on the way.
#ifndef HOST_STORE_SINK_H
#define HOST_STORE_SINK_H

#include <openssl/evp.h>

#include "host/base/util.h"
#include "lib/verity.h"

#define SH_SINK_BUFFER (1u << 20)

struct sh_sink {
    int fd;
    struct sh_verity verity;
    EVP_MD_CTX *hash;
    EVP_MD *sha256;
    uint8_t *buffer; /* SH_SINK_BUFFER bytes, not yet written */
    size_t fill;
    uint64_t flushed; /* bytes before the buffer */
    struct {
        uint8_t block[SH_VERITY_BLOCK];
        size_t fill;
        uint64_t done; /* blocks written */
    } level[SH_VERITY_LEVELS_MAX];
    uint8_t zero_digest[SH_VERITY_DIGEST]; /* of a block of zeros: holes cost nothing */
    uint8_t root[SH_VERITY_DIGEST];        /* after sh_sink_finish */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

/* The file fd is empty; `data_blocks` blocks will come. */
int sh_sink_open(struct sh_sink *s, int fd, uint64_t data_blocks, struct sh_error *err);

/* Next bytes: given, zero, or from another file. */
int sh_sink_add(struct sh_sink *s, const void *data, size_t size, struct sh_error *err);
int sh_sink_zero(struct sh_sink *s, uint64_t size, struct sh_error *err);
int sh_sink_copy(struct sh_sink *s, int from_fd, uint64_t offset, uint64_t size,
                 struct sh_error *err);

static inline uint64_t sh_sink_at(const struct sh_sink *s)
{
    return s->flushed + s->fill;
}

/* Completes the tree; s->root is the root digest then. */
int sh_sink_finish(struct sh_sink *s, struct sh_error *err);

/* Frees everything but the descriptor; fine at any time, also twice. */
void sh_sink_close(struct sh_sink *s);

/* Root digest of a file's first data_blocks blocks; with `check_tree`, -EBADMSG when the tree
 * behind them is not theirs or the file's size is another. */
int sh_verity_file(int fd, uint64_t data_blocks, bool check_tree, uint8_t root[SH_VERITY_DIGEST],
                   struct sh_error *err);

#endif
