// SPDX-License-Identifier: Apache-2.0
// SH_FRAME_EXEC's payload.
#include "lib/exec.h"

#include <errno.h>
#include <string.h>

#include "lib/bytes.h"

/* Passes over `count` strings. */
static const char *read_strings(struct sh_reader *r, size_t count)
{
    const char *first = (const char *)r->data + r->at;
    while (count-- > 0 && !r->failed) {
        const uint8_t *end = memchr(r->data + r->at, 0, r->size - r->at);
        if (!end)
            r->failed = true;
        else
            r->at = (size_t)(end - r->data) + 1;
    }
    return first;
}

int sh_exec_parse(struct sh_exec *x, const uint8_t *data, size_t size)
{
    struct sh_reader r = sh_reader(data, size);
    const uint8_t *head = sh_read(&r, sizeof(x->head));
    if (!head)
        return -EBADMSG;
    x->head = (struct sh_exec_head){head[0],           head[1],           sh_le16(head + 2),
                                    sh_le16(head + 4), sh_le16(head + 6), sh_le16(head + 8)};
    x->args = read_strings(&r, x->head.arg_count);
    x->env = read_strings(&r, x->head.env_count);
    x->workdir = read_strings(&r, 1);
    x->user = read_strings(&r, 1);
    if (r.failed || r.at != size || x->head.tty > 1 || x->head.kind > SH_EXEC_COUNT ||
        !x->head.arg_count)
        return -EBADMSG;
    if (x->head.kind == SH_EXEC_INSIDE ? x->head.arg_count < 2
                                       : x->head.kind && x->head.arg_count != 1)
        return -EBADMSG;
    return 0;
}
