// SPDX-License-Identifier: Apache-2.0
// Takes single files out of a root image.
#include "host/image/extract.h"

#include <errno.h>
#include <sys/stat.h>

#include <shelter/erofs.h>

static int copy_range(int from, uint64_t at, uint64_t size, uint64_t limit, int to)
{
    uint8_t buffer[65536];
    if (at > limit || size > limit - at)
        return -EBADMSG;
    for (uint64_t done = 0; done < size;) {
        size_t n = size - done < sizeof(buffer) ? (size_t)(size - done) : sizeof(buffer);
        int r = sh_pread_all(from, buffer, n, (off_t)(at + done));
        if (!r)
            r = sh_write_all(to, buffer, n);
        if (r)
            return r;
        done += n;
    }
    return 0;
}

int sh_extract(int root_fd, uint64_t root_size, uint64_t nid, int to, struct sh_error *err)
{
    struct sh_erofs_inode i;
    uint64_t at = nid * SH_EROFS_SLOT;
    if (nid > root_size / SH_EROFS_SLOT || sh_pread_all(root_fd, &i, sizeof(i), (off_t)at) ||
        !S_ISREG(i.mode))
        return sh_fail(err, -ENOENT, "the root image has no file %llu", (unsigned long long)nid);
    uint64_t tail = i.format & SH_EROFS_INLINE ? i.size % SH_EROFS_BLOCK : 0;
    uint64_t xattrs = i.xattr_count ? 12 + 4 * (uint64_t)(i.xattr_count - 1) : 0;
    int r = copy_range(root_fd, (uint64_t)i.block_or_device * SH_EROFS_BLOCK, i.size - tail,
                       root_size, to);
    if (!r && tail)
        r = copy_range(root_fd, at + sizeof(i) + xattrs, tail, root_size, to);
    return r ? sh_fail_errno(err, r, "cannot copy a file of the root image") : 0;
}
