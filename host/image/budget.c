// SPDX-License-Identifier: Apache-2.0
// How large an image may become while it is built or loaded.
#include "host/image/budget.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "host/base/util.h"

#define ASK_EACH (16u << 20) /* how much may be claimed between two looks at the space */

void sh_budget_start(struct sh_budget *b, uint64_t max, int space_fd)
{
    *b = (struct sh_budget){
        .max = max ? max : SH_BUDGET_MAX_DEFAULT, .chosen = max, .space_fd = space_fd};
}

int sh_budget_space(const struct sh_budget *b, uint64_t size, const char *what,
                    struct sh_error *err)
{
    struct statvfs fs;
    char want[16], have[16];
    if (!b || b->space_fd < 0 || fstatvfs(b->space_fd, &fs))
        return 0;
    uint64_t space = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (size <= space)
        return 0;
    sh_format_size(want, sizeof(want), size);
    sh_format_size(have, sizeof(have), space);
    return sh_fail(err, -ENOSPC, "%s needs %s, and the store's file system has %s free", what, want,
                   have);
}

int sh_budget_claim(struct sh_budget *b, uint64_t size, uint64_t data, const char *what,
                    struct sh_error *err)
{
    char max[16];
    if (!b)
        return 0;
    if (size > b->max || b->claimed > b->max - size) {
        sh_format_size(max, sizeof(max), b->max);
        return sh_fail(err, -EFBIG,
                       "%s is refused: with it the files are larger than %s together; --max-size "
                       "allows more",
                       what, max);
    }
    b->claimed += size;
    if (data < ASK_EACH && b->claimed - b->asked < ASK_EACH)
        return 0;
    b->asked = b->claimed;
    return sh_budget_space(b, data, what, err);
}

int sh_budget_expand(struct sh_budget *b, uint64_t size, const char *what, struct sh_error *err)
{
    char in[16], out[16];
    if (!b)
        return 0;
    b->expanded += size;
    if (b->chosen || b->expanded <= SH_BUDGET_FREE || b->expanded / SH_BUDGET_RATIO <= b->input)
        return 0;
    sh_format_size(in, sizeof(in), b->input);
    sh_format_size(out, sizeof(out), b->expanded);
    return sh_fail(err, -EFBIG,
                   "%s is refused: %s became %s or more, as only a decompression bomb does; if it "
                   "is none, say with --max-size how large it may get",
                   what, in, out);
}
