// SPDX-License-Identifier: Apache-2.0
// Judges an ELF head and its program headers; touches nothing but the bytes it is given.
#include <linux/elf.h>

#include "lib/bytes.h"
#include "trusted/libos/proc/proc.h"

#define EM_X86_64_ 62
#define EHDR_SIZE 64u
#define PHDR_SIZE 56u
#define ADDR_MAX (1ull << 46)

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
