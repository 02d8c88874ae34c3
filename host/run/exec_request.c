// SPDX-License-Identifier: Apache-2.0
// Writes the payload of SH_FRAME_EXEC.
#include "host/run/exec_request.h"

#include <errno.h>
#include <string.h>

#include "host/run/terminal.h"
#include "lib/bytes.h"

int sh_exec_request_put(struct sh_fifo *out, const struct sh_exec_request *q, struct sh_error *err)
{
    uint16_t rows = 0, columns = 0;
    uint8_t head[10] = {q->tty, (uint8_t)q->kind};
    struct sh_buffer b = {0};
    if (q->tty)
        sh_terminal_size(&rows, &columns);
    sh_put_le16(head + 2, (uint16_t)q->arg_count);
    sh_put_le16(head + 4, (uint16_t)q->env.count);
    sh_put_le16(head + 6, rows);
    sh_put_le16(head + 8, columns);
    sh_buffer_add(&b, head, sizeof(head));
    for (size_t i = 0; i < q->arg_count; i++)
        sh_buffer_add(&b, q->args[i], strlen(q->args[i]) + 1);
    for (size_t i = 0; i < q->env.count; i++)
        sh_buffer_add(&b, q->env.v[i], strlen(q->env.v[i]) + 1);
    sh_buffer_add(&b, q->workdir, strlen(q->workdir) + 1);
    sh_buffer_add(&b, q->user, strlen(q->user) + 1);
    int r = 0;
    if (b.size > SH_FRAME_SIZE_MAX || q->arg_count > UINT16_MAX || q->env.count > UINT16_MAX)
        r = sh_fail(err, -E2BIG, "the command and its environment are too long (64 KiB at most)");
    else
        sh_frame_put(out, SH_FRAME_EXEC, 0, 0, b.data, b.size);
    sh_buffer_free(&b);
    return r;
}
