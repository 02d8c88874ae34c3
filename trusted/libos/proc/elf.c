// SPDX-License-Identifier: Apache-2.0
// Maps ELF programs as elf_parse planned them.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"

#define HEAD_SIZE 4096u

/* The file's pages, then zeros: the rest of the last page by hand (later), further pages anonymous.
 */
static int map_segment(struct file *f, const struct elf_segment *s, uint64_t base)
{
    uint64_t start = page_down(base + s->addr), file_end = base + s->addr + s->file_size;
    uint64_t mem_end = page_up(base + s->addr + s->mem_size);
    if (s->file_size) {
        struct map_request r = {.addr = start,
                                .size = page_up(file_end) - start,
                                .prot = s->prot,
                                .flags = MM_FIXED,
                                .file = f,
                                .offset = page_down(s->offset)};
        int64_t e = mm_map(&r);
        if (e < 0)
            return (int)e;
    }
    uint64_t zero = s->file_size ? page_up(file_end) : start;
    if (mem_end > zero) {
        struct map_request r = {
            .addr = zero, .size = mem_end - zero, .prot = s->prot, .flags = MM_FIXED};
        int64_t e = mm_map(&r);
        if (e < 0)
            return (int)e;
    }
    return 0;
}

static int zero_rest(const struct elf_segment *s, uint64_t base)
{
    uint64_t end = base + s->addr + s->file_size;
    bool rest = s->file_size && s->mem_size > s->file_size && (s->prot & PORT_W);
    return rest ? user_zero(end, page_up(end) - end) : 0;
}

/* The whole extent gets one place first. */
static int place_program(const struct elf_plan *p, struct file *f, uint64_t *base)
{
    struct map_request r = {.addr = p->low,
                            .size = p->high - p->low,
                            .flags = MM_PLACE | MM_NOREPLACE | MM_JOIN,
                            .file = NULL};
    *base = 0;
    if (!p->fixed) {
        r.flags = MM_PLACE;
        r.addr = 0;
        r.file = f; /* only so that it goes to the window for files */
    }
    int64_t at = mm_map(&r);
    if (at < 0)
        return at == -EPERM || at == -EEXIST ? -ENOEXEC : (int)at;
    if (!p->fixed)
        *base = (uint64_t)at - p->low;
    return 0;
}

static int read_interpreter(struct file *f, const struct elf_plan *p, char out[256])
{
    long n = file_read_at(f, p->interp_at, out, p->interp_size);
    if (n != (long)p->interp_size || memchr(out, 0, (size_t)n) != out + n - 1)
        return n < 0 ? (int)n : -ENOEXEC;
    return 0;
}

int elf_map(struct file *f, struct elf_image *out, bool interpreter)
{
    struct elf_plan *p = los_alloc(sizeof(*p));
    uint8_t *head = page_alloc();
    *out = (struct elf_image){0};
    int r = p && head ? 0 : -ENOMEM;
    long n = r ? 0 : file_read_at(f, 0, head, HEAD_SIZE);
    if (n < 0)
        r = (int)n;
    if (!r)
        r = elf_parse(head, (size_t)n, f->inode->size, p);
    if (!r && p->interp_size) {
        if (interpreter)
            r = -ELIBBAD;
        else
            r = read_interpreter(f, p, out->interpreter);
    }
    if (!r)
        r = place_program(p, f, &out->base);
    for (unsigned i = 0; !r && i < p->count; i++)
        r = map_segment(f, &p->segments[i], out->base);
    if (!r)
        uses_bring_program();
    for (unsigned i = 0; !r && i < p->count; i++)
        r = zero_rest(&p->segments[i], out->base);
    if (!r) {
        out->entry = out->base + p->entry;
        out->phdr = p->phdr ? out->base + p->phdr : 0;
        out->phnum = p->phnum;
        out->end = out->base + p->high;
    }
    if (head)
        page_free(head);
    los_free(p);
    return r;
}
