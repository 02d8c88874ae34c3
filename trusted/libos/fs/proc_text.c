// SPDX-License-Identifier: Apache-2.0
// Text that grows, and files that read it.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/proc.h"

void text_put(struct text *t, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    size_t n = (size_t)fmtv(line, sizeof(line), format, args);
    n = MIN(n, sizeof(line) - 1);
    va_end(args);
    if (t->size + n > t->room) {
        size_t room = MAX(t->room * 2, t->size + n + 4096);
        char *data = t->error ? NULL : los_realloc(t->data, room);
        if (!data) {
            t->error = -ENOMEM;
            return;
        }
        t->data = data;
        t->room = room;
    }
    memcpy(t->data + t->size, line, n);
    t->size += n;
}

static long text_read(struct file *f, struct io *io, uint64_t offset)
{
    struct text *t = f->data;
    if (offset >= t->size)
        return 0;
    size_t n = MIN(io->left, t->size - offset);
    int r = io_put(io, t->data + offset, n);
    return r ? r : (long)n;
}

static long text_write(struct file *f, struct io *io, uint64_t offset)
{
    return -EACCES;
}

static void text_release(struct file *f)
{
    struct text *t = f->data;
    los_free(t->data);
    los_free(t);
}

static const struct file_ops text_ops = {
    .read = text_read,
    .write = text_write,
    .release = text_release,
};

int text_open(struct file *f, struct text *t)
{
    struct text *kept = t->error ? NULL : los_alloc(sizeof(*kept));
    if (!kept) {
        los_free(t->data);
        return -ENOMEM;
    }
    *kept = *t;
    f->data = kept;
    f->ops = &text_ops;
    return 0;
}
