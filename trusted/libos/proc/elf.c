// SPDX-License-Identifier: Apache-2.0
// ELF programs: the head is judged first (elf_parse, no memory touched), then mapped.
#include <linux/elf.h>

#include "lib/bytes.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"

#define EM_X86_64_ 62
#define EHDR_SIZE 64u
#define PHDR_SIZE 56u
#define ADDR_MAX (1ull << 46)
#define HEAD_SIZE 4096u

static int check_ehdr(const uint8_t *h, size_t size, struct elf_plan *p)
{
    if (size < EHDR_SIZE || memcmp(h, "\177ELF", 4) || h[4] != 2 || h[5] != 1)
        return -ENOEXEC;
    unsigned type = sh_le16(h + 16);
    if ((type != ET_EXEC && type != ET_DYN) || sh_le16(h + 18) != EM_X86_64_)
        return -ENOEXEC;
    p->fixed = type == ET_EXEC;
    p->entry = sh_le64(h + 24);
    p->phoff = sh_le64(h + 32);
    p->phnum = sh_le16(h + 56);
    if (sh_le16(h + 54) != PHDR_SIZE || !p->phnum || p->phoff > size ||
        p->phnum * PHDR_SIZE > size - p->phoff)
        return -ENOEXEC;
    return 0;
}

static int add_segment(struct elf_plan *p, const uint8_t *h, uint64_t file_size)
{
    uint32_t flags = sh_le32(h + 4);
    struct elf_segment s = {.offset = sh_le64(h + 8),
                            .addr = sh_le64(h + 16),
                            .file_size = sh_le64(h + 32),
                            .mem_size = sh_le64(h + 40)};
    s.prot = (flags & PF_R ? PORT_R : 0) | (flags & 2 ? PORT_W : 0) | (flags & PF_X ? PORT_X : 0);
    if (!s.mem_size)
        return 0;
    if (p->count == ELF_SEGMENTS_MAX || s.file_size > s.mem_size || s.addr >= ADDR_MAX ||
        s.mem_size > ADDR_MAX || s.offset > file_size || s.file_size > file_size - s.offset ||
        (s.addr - s.offset) % PAGE_SIZE)
        return -ENOEXEC;
    if (p->count && page_down(s.addr) < p->segments[p->count - 1].addr)
        return -ENOEXEC; /* ascending, as the ELF specification wants */
    if (p->phoff >= s.offset && p->phoff - s.offset < s.file_size)
        p->phdr = s.addr + (p->phoff - s.offset);
    p->segments[p->count++] = s;
    return 0;
}

int elf_parse(const uint8_t *head, size_t size, uint64_t file_size, struct elf_plan *p)
{
    *p = (struct elf_plan){0};
    int r = check_ehdr(head, size, p);
    for (uint64_t i = 0; !r && i < p->phnum; i++) {
        const uint8_t *h = head + p->phoff + i * PHDR_SIZE;
        switch (sh_le32(h)) {
        case PT_LOAD:
            r = add_segment(p, h, file_size);
            break;
        case PT_INTERP:
            p->interp_at = sh_le64(h + 8);
            p->interp_size = sh_le64(h + 32);
            if (p->interp_size < 2 || p->interp_size > 255 || p->interp_at > file_size ||
                p->interp_size > file_size - p->interp_at)
                r = -ENOEXEC;
            break;
        case PT_GNU_STACK:
            p->exec_stack = sh_le32(h + 4) & PF_X;
            break;
        }
    }
    if (r || !p->count)
        return r ? r : -ENOEXEC;
    const struct elf_segment *last = &p->segments[p->count - 1];
    p->low = page_down(p->segments[0].addr);
    p->high = page_up(last->addr + last->mem_size);
    for (unsigned i = 0; i + 1 < p->count; i++) {
        const struct elf_segment *s = &p->segments[i];
        if (page_up(s->addr + s->mem_size) > page_down(p->segments[i + 1].addr) &&
            s->addr + s->mem_size > p->segments[i + 1].addr)
            return -ENOEXEC;
    }
    return 0;
}

/* The file's pages, then zeros: the rest of the last page by hand, further pages anonymous. */
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
    if (s->file_size && s->mem_size > s->file_size && (s->prot & PORT_W) && file_end < zero)
        return user_zero(file_end, zero - file_end);
    return 0;
}

/* Reserves the whole extent at one place first. */
static int place(const struct elf_plan *p, struct file *f, uint64_t *base)
{
    struct map_request r = {.addr = p->low,
                            .size = p->high - p->low,
                            .flags = MM_NOREPLACE,
                            .file = NULL};
    *base = 0;
    if (!p->fixed) {
        r.flags = 0;
        r.addr = 0;
        r.file = f; /* only so that it goes to the window for files */
    }
    int64_t at = mm_map(&r);
    if (at < 0)
        return at == -EPERM || at == -EEXIST ? -ENOEXEC : (int)at;
    if (!p->fixed)
        *base = (uint64_t)at - p->low;
    return mm_unmap((uint64_t)at, r.size);
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
        r = place(p, f, &out->base);
    for (unsigned i = 0; !r && i < p->count; i++)
        r = map_segment(f, &p->segments[i], out->base);
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
