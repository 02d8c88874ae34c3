// SPDX-License-Identifier: Apache-2.0
// Finds sites in one program, by decoding what is proven to be code.
//
// The forms `mov $number, %eax; syscall` and `mov $leaf, %eax; cpuid` need no more proof than that:
// the first five bytes are one instruction, and what follows stays where it is. Other sites are
// taken only if nothing can jump to an instruction that would be overwritten: no branch, no address
// in code or data, no symbol, and no indirect jump or landing pad in the same function.
#include <string.h>

#include <Zydis/Zydis.h>

#include "host/image/write/sites.h"
#include "lib/bytes.h"

#define CALL_NUMBER_MAX 1024u
#define SIGRETURN 15u
#define RANGE_SIZE_MAX (16u << 20)

struct op {
    uint32_t at; /* from the range's start */
    uint8_t size;
    uint8_t kind; /* KIND_* */
    bool movable, reached;
    uint32_t target; /* of a branch inside the range, or UINT32_MAX */
};
enum kind { KIND_PLAIN, KIND_JUMP, KIND_BRANCH, KIND_END, KIND_SYSCALL, KIND_CPUID };

struct finder {
    struct sh_code code;
    ZydisDecoder decoder;
    uint8_t **targets; /* a bitmap a segment: addresses that something refers to */
    struct op *ops;    /* of the range at hand */
    size_t op_count, op_room;
    const uint8_t *bytes;
    struct sh_code_range range;
    bool indirect;
    struct sh_site_list *out;
    size_t out_room;
};

/* --- what is referred to --- */

static void mark_target(struct finder *f, uint64_t address)
{
    for (size_t i = 0; i < f->code.segment_count; i++) {
        const struct sh_code_segment *s = &f->code.segments[i];
        if (address >= s->start && address < s->end)
            f->targets[i][(address - s->start) / 8] |= (uint8_t)(1u << ((address - s->start) & 7));
    }
}

static bool is_target(const struct finder *f, uint64_t address)
{
    for (size_t i = 0; i < f->code.segment_count; i++) {
        const struct sh_code_segment *s = &f->code.segments[i];
        if (address >= s->start && address < s->end)
            return f->targets[i][(address - s->start) / 8] >> ((address - s->start) & 7) & 1;
    }
    return true;
}

static const uint8_t *bytes_of(const struct sh_code *c, uint64_t address)
{
    for (size_t i = 0; i < c->segment_count; i++) {
        const struct sh_code_segment *s = &c->segments[i];
        if (address >= s->start && address < s->end)
            return c->data + s->offset + (address - s->start);
    }
    return NULL;
}

/* --- decoding --- */

static bool rip_relative(const ZydisDecodedInstruction *i)
{
    return (i->attributes & ZYDIS_ATTRIB_HAS_MODRM) && i->raw.modrm.mod == 0 &&
           i->raw.modrm.rm == 5;
}

/* Does the same wherever it stands, and goes on behind itself. */
static bool is_movable(const ZydisDecodedInstruction *i)
{
    if ((i->attributes & ZYDIS_ATTRIB_IS_RELATIVE) || rip_relative(i))
        return false;
    switch (i->meta.category) {
    case ZYDIS_CATEGORY_DATAXFER:
    case ZYDIS_CATEGORY_BINARY:
    case ZYDIS_CATEGORY_LOGICAL:
    case ZYDIS_CATEGORY_SHIFT:
    case ZYDIS_CATEGORY_CMOV:
    case ZYDIS_CATEGORY_PUSH:
    case ZYDIS_CATEGORY_POP:
    case ZYDIS_CATEGORY_NOP:
        return true;
    default:
        return i->mnemonic == ZYDIS_MNEMONIC_LEA;
    }
}

static enum kind kind_of(const ZydisDecodedInstruction *i)
{
    if (i->mnemonic == ZYDIS_MNEMONIC_SYSCALL)
        return i->length == 2 ? KIND_SYSCALL : KIND_PLAIN;
    if (i->mnemonic == ZYDIS_MNEMONIC_CPUID)
        return i->length == 2 ? KIND_CPUID : KIND_PLAIN;
    switch (i->meta.category) {
    case ZYDIS_CATEGORY_UNCOND_BR:
        return KIND_JUMP;
    case ZYDIS_CATEGORY_COND_BR:
        return KIND_BRANCH;
    case ZYDIS_CATEGORY_RET:
        return KIND_END;
    default:
        return i->mnemonic == ZYDIS_MNEMONIC_UD2 || i->mnemonic == ZYDIS_MNEMONIC_HLT ? KIND_END
                                                                                      : KIND_PLAIN;
    }
}

/* Notes every address that the instruction mentions. */
static void note_instruction(struct finder *f, const ZydisDecodedInstruction *i, uint64_t address,
                             struct op *op)
{
    uint64_t next = address + i->length;
    for (unsigned n = 0; n < 2; n++) {
        if (!i->raw.imm[n].size)
            continue;
        uint64_t to =
            i->raw.imm[n].is_relative ? next + i->raw.imm[n].value.u : i->raw.imm[n].value.u;
        mark_target(f, to);
        if (i->raw.imm[n].is_relative && op->kind != KIND_PLAIN && to >= f->range.start &&
            to < f->range.end)
            op->target = (uint32_t)(to - f->range.start);
    }
    if (i->raw.disp.size)
        mark_target(f, rip_relative(i) ? next + (uint64_t)i->raw.disp.value
                                       : (uint64_t)i->raw.disp.value);
    if (op->kind == KIND_JUMP && !(i->attributes & ZYDIS_ATTRIB_IS_RELATIVE))
        f->indirect = true;
}

/* Decodes the range at hand from front to back. False: not everything there is an instruction. */
static bool decode_range(struct finder *f)
{
    uint64_t size = f->range.end - f->range.start;
    f->bytes = bytes_of(&f->code, f->range.start);
    f->op_count = 0;
    f->indirect = false;
    if (size > RANGE_SIZE_MAX)
        return false;
    for (uint64_t at = 0; at < size;) {
        ZydisDecodedInstruction i;
        if (!ZYAN_SUCCESS(
                ZydisDecoderDecodeInstruction(&f->decoder, NULL, f->bytes + at, size - at, &i)))
            return false;
        if (f->op_count == f->op_room) {
            f->op_room = f->op_room ? 2 * f->op_room : 4096;
            f->ops = sh_realloc_array(f->ops, f->op_room, sizeof(*f->ops));
        }
        struct op *op = &f->ops[f->op_count++];
        *op = (struct op){.at = (uint32_t)at,
                          .size = i.length,
                          .kind = (uint8_t)kind_of(&i),
                          .movable = is_movable(&i),
                          .target = UINT32_MAX};
        note_instruction(f, &i, f->range.start + at, op);
        at += i.length;
    }
    return true;
}

static struct op *op_at(const struct finder *f, uint32_t at)
{
    size_t low = 0, high = f->op_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (f->ops[mid].at < at)
            low = mid + 1;
        else
            high = mid;
    }
    return low < f->op_count && f->ops[low].at == at ? &f->ops[low] : NULL;
}

/* Marks what direct control flow from the range's start reaches. */
static void find_reach(struct finder *f)
{
    struct op **work = sh_realloc_array(NULL, f->op_count + 1, sizeof(*work));
    size_t count = 0;
    work[count++] = &f->ops[0];
    while (count) {
        struct op *op = work[--count];
        for (; op < f->ops + f->op_count && !op->reached; op++) {
            op->reached = true;
            struct op *to = op->target == UINT32_MAX ? NULL : op_at(f, op->target);
            if (to && !to->reached && count < f->op_count)
                work[count++] = to;
            if (op->kind == KIND_JUMP || op->kind == KIND_END)
                break;
        }
    }
    free(work);
}

/* --- choosing --- */

/* False: it cannot be listed. */
static bool add_site(struct finder *f, enum sh_site_kind kind, uint32_t from, uint32_t size,
                     uint32_t at)
{
    uint64_t offset = (uint64_t)(f->bytes + from - f->code.data);
    struct sh_site s = {
        .offset = (uint32_t)offset, .kind = kind, .size = (uint8_t)size, .at = (uint8_t)at};
    if (offset + size > UINT32_MAX || offset % 4096 + size > 4096)
        return false;
    memcpy(s.bytes, f->bytes + from, size);
    if (f->out->count == f->out_room) {
        f->out_room = f->out_room ? 2 * f->out_room : 64;
        f->out->v = sh_realloc_array(f->out->v, f->out_room, sizeof(*f->out->v));
    }
    f->out->v[f->out->count++] = s;
    return true;
}

/* b8 imm32: mov $imm, %eax; 48 c7 c0 imm32: mov $imm, %rax. */
static bool loads_number(const uint8_t *p, unsigned size, uint32_t *number)
{
    if (size == 5 && p[0] == 0xb8)
        *number = sh_le32(p + 1);
    else if (size == 7 && !memcmp(p, "\x48\xc7\xc0", 3))
        *number = sh_le32(p + 3);
    else
        return false;
    return true;
}

static bool jump_is_safe(const struct finder *f, uint32_t from)
{
    for (uint32_t k = 1; k < SH_SITE_JUMP; k++) {
        if (is_target(f, f->range.start + from + k))
            return false;
    }
    return true;
}

/* Grows the site around the `syscall` or `cpuid` at ops[n]: to the front first, then to the back.
 * False: there is not enough that may be moved. */
static bool relocate_site(struct finder *f, size_t n, size_t first_free)
{
    const struct op *call = &f->ops[n];
    uint32_t from = call->at, to = call->at + 2, number;
    if (f->indirect || f->range.pads || !call->reached)
        return false;
    size_t i = n;
    while (to - from < SH_SITE_JUMP && i > first_free && f->ops[i - 1].movable &&
           to - f->ops[i - 1].at <= SH_SITE_BYTES_MAX && !is_target(f, f->range.start + from)) {
        from = f->ops[--i].at;
        if (loads_number(f->bytes + from, f->ops[i].size, &number) && number == SIGRETURN)
            return false;
    }
    for (i = n + 1; to - from < SH_SITE_JUMP && i < f->op_count; i++) {
        bool last = f->ops[i].size == 1 && f->bytes[f->ops[i].at] == 0xc3; /* ret */
        uint32_t end = f->ops[i].at + f->ops[i].size;
        if ((!f->ops[i].movable && !last) || end - from - 2 > SH_SITE_MOVED_MAX)
            return false;
        to = end;
        if (last)
            break;
    }
    if (to - from < SH_SITE_JUMP || !jump_is_safe(f, from))
        return false;
    return add_site(f, call->kind == KIND_CPUID ? SH_SITE_CPUID : SH_SITE_CALL, from, to - from,
                    call->at - from);
}

static void choose_sites(struct finder *f)
{
    size_t first_free = 0;
    for (size_t n = 0; n < f->op_count; n++) {
        const struct op *op = &f->ops[n], *before = n ? op - 1 : NULL;
        size_t had = f->out->count;
        uint32_t number;
        bool loads = n > first_free && loads_number(f->bytes + before->at, before->size, &number);
        if (op->kind == KIND_CPUID) {
            if (!relocate_site(f, n, first_free) &&
                (!loads ||
                 !add_site(f, SH_SITE_CPUID, before->at, before->size + 2u, before->size)))
                add_site(f, SH_SITE_CPUID, op->at, 2, 0);
        } else if (op->kind == KIND_SYSCALL) {
            if (loads && number < CALL_NUMBER_MAX) {
                if (number != SIGRETURN)
                    add_site(f, SH_SITE_CALL, before->at, before->size + 2u, before->size);
            } else {
                relocate_site(f, n, first_free);
            }
        }
        if (f->out->count > had) { /* the next site must not begin within this one */
            const struct sh_site *s = &f->out->v[had];
            uint32_t end = (uint32_t)(f->code.data + s->offset + s->size - f->bytes);
            while (n + 1 < f->op_count && f->ops[n + 1].at < end)
                n++;
            first_free = n + 1;
        }
    }
}

/* --- a file --- */

static bool has_pattern(const struct sh_code *c)
{
    for (size_t i = 0; i < c->segment_count; i++) {
        const uint8_t *p = c->data + c->segments[i].offset;
        const uint8_t *end = p + (c->segments[i].end - c->segments[i].start);
        while ((p = memchr(p, 0x0f, (size_t)(end - p))) && p + 1 < end) {
            if (p[1] == 0x05 || p[1] == 0xa2)
                return true;
            p++;
        }
    }
    return false;
}

static bool range_has_pattern(const struct finder *f)
{
    const uint8_t *p = bytes_of(&f->code, f->range.start);
    for (uint64_t k = 0; k + 1 < f->range.end - f->range.start; k++) {
        if (p[k] == 0x0f && (p[k + 1] == 0x05 || p[k + 1] == 0xa2))
            return true;
    }
    return false;
}

/* Is there an instruction to be listed at all? Most libraries have none, and text is long. */
static bool has_candidate(struct finder *f)
{
    for (size_t i = 0; i < f->code.range_count; i++) {
        f->range = f->code.ranges[i];
        if (!range_has_pattern(f))
            continue;
        decode_range(f);
        for (size_t n = 0; n < f->op_count; n++) {
            if (f->ops[n].kind == KIND_SYSCALL || f->ops[n].kind == KIND_CPUID)
                return true;
        }
    }
    return false;
}

/* Words anywhere in the file that are addresses of code: tables, relocations. */
static void mark_words(struct finder *f)
{
    for (size_t at = 0; at + 8 <= f->code.size; at += 8)
        mark_target(f, sh_le64(f->code.data + at));
    for (size_t i = 0; i < f->code.label_count; i++)
        mark_target(f, f->code.labels[i]);
}

static int by_offset(const void *a, const void *b)
{
    const struct sh_site *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Segments of a strange file may share bytes: overlapping sites are dropped. */
static void finish_list(struct sh_site_list *out)
{
    size_t n = 0;
    if (out->count)
        qsort(out->v, out->count, sizeof(*out->v), by_offset);
    for (size_t i = 0; i < out->count; i++) {
        if (!n || out->v[i].offset >= out->v[n - 1].offset + out->v[n - 1].size)
            out->v[n++] = out->v[i];
    }
    out->count = n < SH_SITES_OF_FILE_MAX ? n : SH_SITES_OF_FILE_MAX;
}

void sh_sites_find_in(const uint8_t *data, size_t size, struct sh_site_list *out)
{
    struct finder f = {.out = out};
    *out = (struct sh_site_list){0};
    sh_code_read(&f.code, data, size);
    if (has_pattern(&f.code)) {
        f.targets = sh_realloc_array(NULL, f.code.segment_count, sizeof(*f.targets));
        for (size_t i = 0; i < f.code.segment_count; i++)
            f.targets[i] = sh_alloc((f.code.segments[i].end - f.code.segments[i].start) / 8 + 1);
        ZydisDecoderInit(&f.decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
        bool any = has_candidate(&f);
        if (any)
            mark_words(&f);
        /* All references first, then the sites. */
        for (int pass = 0; any && pass < 2; pass++) {
            for (size_t i = 0; i < f.code.range_count; i++) {
                f.range = f.code.ranges[i];
                if (pass && !range_has_pattern(&f))
                    continue;
                if (decode_range(&f) && pass && f.op_count) {
                    find_reach(&f);
                    choose_sites(&f);
                }
            }
        }
        for (size_t i = 0; i < f.code.segment_count; i++)
            free(f.targets[i]);
        finish_list(out);
    }
    free(f.targets);
    free(f.ops);
    sh_code_free(&f.code);
}
