// SPDX-License-Identifier: Apache-2.0
// Streams a root image to its file and grows the dm-verity tree beside it.
#include "host/store/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define CANNOT_WRITE "cannot write the root image into the store"

static int digest_block(struct sh_sink *s, const uint8_t *block, uint8_t *out)
{
    bool ok = EVP_DigestInit_ex2(s->hash, s->sha256, NULL) &&
              EVP_DigestUpdate(s->hash, block, SH_VERITY_BLOCK) &&
              EVP_DigestFinal_ex(s->hash, out, NULL);
    return ok ? 0 : -EIO;
}

int sh_sink_open(struct sh_sink *s, int fd, uint64_t data_blocks, struct sh_error *err)
{
    *s = (struct sh_sink){.fd = fd};
    if (sh_verity_init(&s->verity, data_blocks))
        return sh_fail(err, -EFBIG, "the root file system is larger than 16 TiB");
    s->buffer = sh_alloc(SH_SINK_BUFFER);
    s->hash = EVP_MD_CTX_new();
    s->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!s->hash || !s->sha256 || digest_block(s, s->buffer, s->zero_digest))
        return sh_fail(err, -ENOTSUP, "OpenSSL has no SHA-256");
    return 0;
}

void sh_sink_close(struct sh_sink *s)
{
    EVP_MD_CTX_free(s->hash);
    EVP_MD_free(s->sha256);
    free(s->buffer);
    s->hash = NULL;
    s->sha256 = NULL;
    s->buffer = NULL;
}

static int add_digest(struct sh_sink *s, unsigned level, const uint8_t *d, struct sh_error *err);

/* Writes a level's block and hands its digest upwards. */
static int end_hash_block(struct sh_sink *s, unsigned level, struct sh_error *err)
{
    uint8_t d[SH_VERITY_DIGEST];
    uint8_t *block = s->level[level].block;
    memset(block + s->level[level].fill, 0, SH_VERITY_BLOCK - s->level[level].fill);
    uint64_t at = s->verity.level_start[level] + s->level[level].done;
    int r = sh_pwrite_all(s->fd, block, SH_VERITY_BLOCK, (off_t)(at * SH_VERITY_BLOCK));
    if (!r)
        r = digest_block(s, block, d);
    if (r)
        return sh_fail_errno(err, r, CANNOT_WRITE);
    s->level[level].done++;
    s->level[level].fill = 0;
    return add_digest(s, level + 1, d, err);
}

static int add_digest(struct sh_sink *s, unsigned level, const uint8_t *d, struct sh_error *err)
{
    if (level == s->verity.level_count) {
        memcpy(s->root, d, SH_VERITY_DIGEST);
        return 0;
    }
    memcpy(s->level[level].block + s->level[level].fill, d, SH_VERITY_DIGEST);
    s->level[level].fill += SH_VERITY_DIGEST;
    return s->level[level].fill == SH_VERITY_BLOCK ? end_hash_block(s, level, err) : 0;
}

static int flush_blocks(struct sh_sink *s, struct sh_error *err)
{
    for (size_t at = 0; at < s->fill; at += SH_VERITY_BLOCK) {
        uint8_t d[SH_VERITY_DIGEST];
        int r = digest_block(s, s->buffer + at, d);
        if (r)
            return sh_fail_errno(err, r, CANNOT_WRITE);
        r = add_digest(s, 0, d, err);
        if (r)
            return r;
    }
    int r = sh_pwrite_all(s->fd, s->buffer, s->fill, (off_t)s->flushed);
    if (r)
        return sh_fail_errno(err, r, CANNOT_WRITE);
    /* The disk begins now, so that the fsync at the end has less to wait for. */
    sync_file_range(s->fd, (off_t)s->flushed, (off_t)s->fill, SYNC_FILE_RANGE_WRITE);
    s->flushed += s->fill;
    s->fill = 0;
    if (s->progress)
        s->progress(s->context, s->flushed, s->verity.data_blocks * SH_VERITY_BLOCK);
    return 0;
}

int sh_sink_add(struct sh_sink *s, const void *data, size_t size, struct sh_error *err)
{
    const uint8_t *p = data;
    while (size) {
        size_t n = SH_SINK_BUFFER - s->fill < size ? SH_SINK_BUFFER - s->fill : size;
        memcpy(s->buffer + s->fill, p, n);
        s->fill += n;
        p += n;
        size -= n;
        int r = s->fill == SH_SINK_BUFFER ? flush_blocks(s, err) : 0;
        if (r)
            return r;
    }
    return 0;
}

int sh_sink_zero(struct sh_sink *s, uint64_t size, struct sh_error *err)
{
    static const uint8_t zeros[SH_VERITY_BLOCK];
    while (size) {
        size_t n = SH_VERITY_BLOCK - sh_sink_at(s) % SH_VERITY_BLOCK;
        int r;
        if (n == SH_VERITY_BLOCK && size >= 16 * SH_VERITY_BLOCK) {
            /* A hole: the file keeps one, and its digests are known. */
            r = flush_blocks(s, err);
            for (; !r && size >= SH_VERITY_BLOCK; size -= SH_VERITY_BLOCK) {
                r = add_digest(s, 0, s->zero_digest, err);
                s->flushed += SH_VERITY_BLOCK;
            }
        } else {
            n = n < size ? n : (size_t)size;
            r = sh_sink_add(s, zeros, n, err);
            size -= n;
        }
        if (r)
            return r;
    }
    return 0;
}

static int copy_data(struct sh_sink *s, int from_fd, uint64_t offset, uint64_t size,
                     struct sh_error *err)
{
    while (size) {
        size_t n = SH_SINK_BUFFER - s->fill;
        n = n < size ? n : (size_t)size;
        int r = sh_pread_all(from_fd, s->buffer + s->fill, n, (off_t)offset);
        if (r)
            return sh_fail_errno(err, r, "cannot read a temporary file in the store");
        s->fill += n;
        offset += n;
        size -= n;
        r = s->fill == SH_SINK_BUFFER ? flush_blocks(s, err) : 0;
        if (r)
            return r;
    }
    return 0;
}

int sh_sink_copy(struct sh_sink *s, int from_fd, uint64_t offset, uint64_t size,
                 struct sh_error *err)
{
    /* Small files have no holes worth a system call. */
    if (size < 16 * SH_VERITY_BLOCK)
        return copy_data(s, from_fd, offset, size, err);
    uint64_t end = offset + size;
    while (offset < end) {
        off_t data = lseek(from_fd, (off_t)offset, SEEK_DATA);
        uint64_t hole_end = data < 0 || (uint64_t)data > end ? end : (uint64_t)data;
        int r = sh_sink_zero(s, hole_end - offset, err);
        if (r)
            return r;
        offset = hole_end;
        if (offset == end)
            break;
        off_t hole = lseek(from_fd, (off_t)offset, SEEK_HOLE);
        uint64_t data_end = hole < 0 || (uint64_t)hole > end ? end : (uint64_t)hole;
        r = copy_data(s, from_fd, offset, data_end - offset, err);
        if (r)
            return r;
        offset = data_end;
    }
    return 0;
}

int sh_sink_finish(struct sh_sink *s, struct sh_error *err)
{
    if (sh_sink_at(s) != s->verity.data_blocks * SH_VERITY_BLOCK)
        return sh_fail(err, -EPROTO,
                       "internal error: the root image has another size than planned");
    int r = flush_blocks(s, err);
    for (unsigned i = 0; !r && i < s->verity.level_count; i++)
        if (s->level[i].fill)
            r = end_hash_block(s, i, err);
    if (!r && ftruncate(s->fd, (off_t)(s->verity.total_blocks * SH_VERITY_BLOCK)))
        r = sh_fail_errno(err, -errno, CANNOT_WRITE);
    return r;
}

/* --- checking --- */

static int check_block(int fd, uint64_t at, const uint8_t *want)
{
    uint8_t got[SH_VERITY_BLOCK];
    int r = sh_pread_all(fd, got, sizeof(got), (off_t)(at * SH_VERITY_BLOCK));
    return r ? r : memcmp(got, want, sizeof(got)) ? -EBADMSG : 0;
}

int sh_verity_file(int fd, uint64_t data_blocks, bool check_tree, uint8_t root[SH_VERITY_DIGEST],
                   struct sh_error *err)
{
    /* One level at a time; each level's digests become the next level's data. */
    struct sh_sink s;
    struct sh_buffer above = {0};
    int r = sh_sink_open(&s, -1, data_blocks, err);
    uint64_t left = data_blocks * SH_VERITY_BLOCK, offset = 0;
    if (!r && check_tree &&
        lseek(fd, 0, SEEK_END) != (off_t)(s.verity.total_blocks * SH_VERITY_BLOCK))
        r = sh_fail(err, -EBADMSG, "the root image is truncated or too long");
    while (!r && left) {
        size_t n = left < SH_SINK_BUFFER ? (size_t)left : SH_SINK_BUFFER;
        r = sh_pread_all(fd, s.buffer, n, (off_t)offset);
        for (size_t at = 0; !r && at < n; at += SH_VERITY_BLOCK) {
            uint8_t d[SH_VERITY_DIGEST];
            r = digest_block(&s, s.buffer + at, d);
            sh_buffer_add(&above, d, sizeof(d));
        }
        offset += n;
        left -= n;
    }
    for (unsigned i = 0; !r && i < s.verity.level_count; i++) {
        struct sh_buffer level = above;
        above = (struct sh_buffer){0};
        static const uint8_t zeros[SH_VERITY_BLOCK];
        if (level.size % SH_VERITY_BLOCK)
            sh_buffer_add(&level, zeros, SH_VERITY_BLOCK - level.size % SH_VERITY_BLOCK);
        for (uint64_t k = 0; !r && k < s.verity.level_blocks[i]; k++) {
            const uint8_t *block = level.data + k * SH_VERITY_BLOCK;
            uint8_t d[SH_VERITY_DIGEST];
            r = check_tree ? check_block(fd, s.verity.level_start[i] + k, block) : 0;
            r = r ? r : digest_block(&s, block, d);
            sh_buffer_add(&above, d, sizeof(d));
        }
        sh_buffer_free(&level);
    }
    if (!r)
        memcpy(root, above.data, SH_VERITY_DIGEST);
    sh_buffer_free(&above);
    sh_sink_close(&s);
    if (r == -EBADMSG || r == -ENODATA)
        return sh_fail(err, -EBADMSG, "the root image does not match its hash tree");
    return r ? sh_fail_errno(err, r, "cannot read the root image") : 0;
}
