// SPDX-License-Identifier: Apache-2.0
// Which bytes of an ELF file are code: executable segments, and in them what unwind information
// (.eh_frame: LSB, chapter 10; DWARF 4, section 6.4) or function symbols cover. Only that is ever
// decoded, since text may hold data that looks like instructions. The file may be hostile.
#include <elf.h>
#include <string.h>

#include "host/image/write/sites.h"
#include "lib/bytes.h"

#define RANGES_MAX (1u << 21)
#define PE_OMIT 0xff
#define PE_PCREL 0x10
#define PE_INDIRECT 0x80

/* A cursor over bytes of the file; `address` is that of data[0]. */
struct cursor {
    const uint8_t *data;
    size_t size, at;
    uint64_t address;
    bool bad;
};

static uint64_t take_number(struct cursor *c, unsigned size)
{
    uint8_t v[8] = {0};
    if (c->bad || size > c->size - c->at) {
        c->bad = true;
        return 0;
    }
    memcpy(v, c->data + c->at, size);
    c->at += size;
    return sh_le64(v);
}

static uint64_t take_leb(struct cursor *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
        uint64_t b = take_number(c, 1);
        v |= (b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    c->bad = true;
    return 0;
}

/* A pointer in one of the encodings that x86-64 uses; `base` is added only to what is relative. */
static uint64_t take_pointer(struct cursor *c, uint8_t encoding, bool relative)
{
    uint64_t here = c->address + c->at, v;
    switch (encoding & 0x0f) {
    case 0x00: /* absptr */
    case 0x04: /* udata8 */
    case 0x0c: /* sdata8 */
        v = take_number(c, 8);
        break;
    case 0x03: /* udata4 */
        v = take_number(c, 4);
        break;
    case 0x0b: /* sdata4 */
        v = (uint64_t)(int32_t)take_number(c, 4);
        break;
    default:
        c->bad = true;
        return 0;
    }
    if ((encoding & 0x70) == PE_PCREL && relative)
        v += here;
    else if (encoding & 0x70 & ~PE_PCREL)
        c->bad = true;
    return v;
}

static bool read_at(const struct sh_code *c, uint64_t offset, void *out, size_t size)
{
    if (offset > c->size || size > c->size - offset)
        return false;
    memcpy(out, c->data + offset, size);
    return true;
}

static bool is_executable(const struct sh_code *c, uint64_t start, uint64_t end)
{
    for (size_t i = 0; i < c->segment_count; i++) {
        if (start >= c->segments[i].start && start < end && end <= c->segments[i].end)
            return true;
    }
    return false;
}

static void add_label(struct sh_code *c, uint64_t address)
{
    if (!(c->label_count & (c->label_count - 1)))
        c->labels = sh_realloc_array(c->labels, c->label_count ? 2 * c->label_count : 1,
                                     sizeof(*c->labels));
    c->labels[c->label_count++] = address;
}

static void add_range(struct sh_code *c, uint64_t start, uint64_t size, bool pads)
{
    if (c->range_count >= RANGES_MAX || !is_executable(c, start, start + size))
        return;
    if (!(c->range_count & (c->range_count - 1)))
        c->ranges = sh_realloc_array(c->ranges, c->range_count ? 2 * c->range_count : 1,
                                     sizeof(*c->ranges));
    c->ranges[c->range_count++] = (struct sh_code_range){start, start + size, pads};
    add_label(c, start);
}

/* --- unwind information --- */

struct cie {
    uint8_t fde_encoding, lsda_encoding;
    bool known, augmented;
};

static struct cie read_cie(struct cursor c)
{
    struct cie cie = {.lsda_encoding = PE_OMIT};
    uint64_t version = take_number(&c, 1);
    const char *text = (const char *)c.data + c.at;
    size_t n = c.bad ? 0 : strnlen(text, c.size - c.at);
    if (c.bad || n == c.size - c.at || n > 8 || (version != 1 && version != 3))
        return cie;
    c.at += n + 1;
    take_leb(&c); /* code alignment */
    take_leb(&c); /* data alignment */
    if (version == 1)
        take_number(&c, 1);
    else
        take_leb(&c);
    if (text[0] == 'z') {
        cie.augmented = true;
        take_leb(&c);
        for (size_t i = 1; i < n; i++) {
            if (text[i] == 'R')
                cie.fde_encoding = (uint8_t)take_number(&c, 1);
            else if (text[i] == 'L')
                cie.lsda_encoding = (uint8_t)take_number(&c, 1);
            else if (text[i] == 'P')
                take_pointer(&c, (uint8_t)take_number(&c, 1) & 0x7f, false);
            else if (text[i] != 'S' && text[i] != 'B')
                return cie;
        }
    } else if (n) {
        return cie;
    }
    cie.known = !c.bad && !(cie.fde_encoding & PE_INDIRECT);
    return cie;
}

static void read_fde(struct sh_code *code, struct cursor c, const struct cie *cie)
{
    uint64_t start = take_pointer(&c, cie->fde_encoding, true);
    uint64_t size = take_pointer(&c, cie->fde_encoding & 0x0f, false);
    bool pads = false;
    if (cie->augmented) {
        uint64_t n = take_leb(&c);
        if (cie->lsda_encoding != PE_OMIT && n)
            pads = take_pointer(&c, cie->lsda_encoding & 0x7f, false) != 0;
    }
    if (!c.bad)
        add_range(code, start, size, pads);
}

/* Records follow each other: u32 length | u32 distance back to the CIE, 0 in a CIE | contents. */
static void read_eh_frame(struct sh_code *code, const uint8_t *data, size_t size, uint64_t address)
{
    for (size_t at = 0; size - at >= 8;) {
        uint32_t length = sh_le32(data + at), back = sh_le32(data + at + 4);
        if (length < 4 || length > size - at - 4)
            return; /* the end; records with 64-bit lengths are not made for x86-64 */
        if (back && back <= at + 4) {
            size_t from = at + 4 - back;
            uint32_t cie_length = sh_le32(data + from);
            if (cie_length >= 4 && cie_length <= size - from - 4 && !sh_le32(data + from + 4)) {
                struct cursor at_cie = {data, from + 4 + cie_length, from + 8, address, false};
                struct cie cie = read_cie(at_cie);
                if (cie.known)
                    read_fde(code, (struct cursor){data, at + 4 + length, at + 8, address, false},
                             &cie);
            }
        }
        at += 4 + (size_t)length;
    }
}

/* --- headers --- */

static bool read_section(const struct sh_code *c, const Elf64_Ehdr *h, unsigned i, Elf64_Shdr *s)
{
    uint64_t offset = h->e_shoff + (uint64_t)i * sizeof(*s);
    return h->e_shentsize == sizeof(*s) && i < h->e_shnum && offset >= h->e_shoff &&
           read_at(c, offset, s, sizeof(*s)) &&
           (s->sh_type == SHT_NOBITS ||
            (s->sh_offset <= c->size && s->sh_size <= c->size - s->sh_offset));
}

static bool is_named(const struct sh_code *c, const Elf64_Shdr *names, const Elf64_Shdr *s,
                     const char *name)
{
    size_t n = strlen(name) + 1;
    return s->sh_name < names->sh_size && n <= names->sh_size - s->sh_name &&
           !memcmp(c->data + names->sh_offset + s->sh_name, name, n);
}

static void read_symbols(struct sh_code *c, const Elf64_Shdr *s)
{
    for (uint64_t at = 0; s->sh_size - at >= sizeof(Elf64_Sym) && c->label_count < 4 * RANGES_MAX;
         at += sizeof(Elf64_Sym)) {
        Elf64_Sym y;
        read_at(c, s->sh_offset + at, &y, sizeof(y));
        unsigned type = ELF64_ST_TYPE(y.st_info);
        if (y.st_shndx == SHN_UNDEF || y.st_shndx >= SHN_LORESERVE ||
            !is_executable(c, y.st_value, y.st_value + 1))
            continue;
        add_label(c, y.st_value);
        if ((type == STT_FUNC || type == STT_GNU_IFUNC) && y.st_size)
            add_range(c, y.st_value, y.st_size, false);
    }
}

static void read_sections(struct sh_code *c, const Elf64_Ehdr *h)
{
    Elf64_Shdr s, names;
    if (!read_section(c, h, h->e_shstrndx, &names) || names.sh_type == SHT_NOBITS)
        return;
    for (unsigned i = 0; i < h->e_shnum; i++) {
        if (!read_section(c, h, i, &s) || s.sh_type == SHT_NOBITS)
            continue;
        if (s.sh_type == SHT_SYMTAB || s.sh_type == SHT_DYNSYM)
            read_symbols(c, &s);
        else if (is_named(c, &names, &s, ".eh_frame"))
            read_eh_frame(c, c->data + s.sh_offset, s.sh_size, s.sh_addr);
    }
}

static void read_segments(struct sh_code *c, const Elf64_Ehdr *h)
{
    Elf64_Phdr p;
    for (unsigned i = 0; i < h->e_phnum; i++) {
        if (!read_at(c, h->e_phoff + (uint64_t)i * sizeof(p), &p, sizeof(p)))
            return;
        if (p.p_type != PT_LOAD || !(p.p_flags & PF_X) || !p.p_filesz || p.p_offset > c->size ||
            p.p_filesz > c->size - p.p_offset || p.p_vaddr + p.p_filesz < p.p_vaddr ||
            (p.p_vaddr - p.p_offset) % 4096)
            continue;
        c->segments = sh_realloc_array(c->segments, c->segment_count + 1, sizeof(*c->segments));
        c->segments[c->segment_count++] =
            (struct sh_code_segment){p.p_vaddr, p.p_vaddr + p.p_filesz, p.p_offset};
    }
}

/* Earlier and longer first; ranges with landing pads before equal ones without. */
static int compare_ranges(const void *a, const void *b)
{
    const struct sh_code_range *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->end != y->end)
        return x->end > y->end ? -1 : 1;
    return (int)y->pads - (int)x->pads;
}

static void make_disjoint(struct sh_code *c)
{
    size_t n = 0;
    if (c->range_count)
        qsort(c->ranges, c->range_count, sizeof(*c->ranges), compare_ranges);
    for (size_t i = 0; i < c->range_count; i++) {
        if (n && c->ranges[i].start < c->ranges[n - 1].end)
            c->ranges[n - 1].pads |= c->ranges[i].pads;
        else
            c->ranges[n++] = c->ranges[i];
    }
    c->range_count = n;
}

void sh_code_read(struct sh_code *c, const uint8_t *data, size_t size)
{
    Elf64_Ehdr h;
    *c = (struct sh_code){.data = data, .size = size};
    if (!read_at(c, 0, &h, sizeof(h)) || memcmp(h.e_ident, ELFMAG, SELFMAG) ||
        h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB ||
        h.e_machine != EM_X86_64 || (h.e_type != ET_EXEC && h.e_type != ET_DYN) ||
        h.e_phentsize != sizeof(Elf64_Phdr) || h.e_phoff > size)
        return;
    c->fixed = h.e_type == ET_EXEC;
    read_segments(c, &h);
    read_sections(c, &h);
    make_disjoint(c);
}

void sh_code_free(struct sh_code *c)
{
    free(c->segments);
    free(c->ranges);
    free(c->labels);
    *c = (struct sh_code){0};
}
