// SPDX-License-Identifier: Apache-2.0
// The length of an x86-64 instruction: what tells a `cpuid` from two bytes within another.
#include "host/sgx/foreign/foreign.h"

enum part { PART_NONE = 0, MODRM = 1, IMM8 = 2, IMM16 = 4, IMM32 = 8, BAD = 16 };

static bool is_between(unsigned op, unsigned low, unsigned high)
{
    return op >= low && op <= high;
}

static unsigned parts_of_first(unsigned op)
{
    if (op < 0x40) {
        static const uint8_t row[8] = {MODRM, MODRM, MODRM, MODRM, IMM8, IMM32, BAD, BAD};
        return row[op & 7];
    }
    if (is_between(op, 0x70, 0x7f) || is_between(op, 0xb0, 0xb7) || is_between(op, 0xe0, 0xe7) ||
        op == 0x6a || op == 0xa8 || op == 0xcd || op == 0xeb)
        return IMM8;
    if (is_between(op, 0xb8, 0xbf) || op == 0x68 || op == 0xa9 || op == 0xe8 || op == 0xe9)
        return IMM32;
    if (op == 0x6b || op == 0x80 || op == 0x83 || op == 0xc0 || op == 0xc1 || op == 0xc6)
        return MODRM | IMM8;
    if (op == 0x69 || op == 0x81 || op == 0xc7)
        return MODRM | IMM32;
    if (op == 0xc2 || op == 0xca)
        return IMM16;
    if (op == 0xc8)
        return IMM16 | IMM8;
    if (op == 0x63 || is_between(op, 0x84, 0x8f) || is_between(op, 0xd0, 0xd3) ||
        is_between(op, 0xd8, 0xdf) || op == 0xf6 || op == 0xf7 || op == 0xfe || op == 0xff)
        return MODRM;
    if (op == 0x60 || op == 0x61 || op == 0x82 || op == 0x9a || op == 0xce || op == 0xea ||
        is_between(op, 0xd4, 0xd6))
        return BAD;
    return PART_NONE;
}

static unsigned parts_of_second(unsigned op)
{
    if (is_between(op, 0x80, 0x8f))
        return IMM32;
    if (is_between(op, 0x70, 0x73) || op == 0xa4 || op == 0xac || op == 0xba || op == 0xc2 ||
        is_between(op, 0xc4, 0xc6))
        return MODRM | IMM8;
    if (is_between(op, 0x04, 0x0c) || op == 0x0e || is_between(op, 0x30, 0x37) || op == 0x77 ||
        is_between(op, 0xa0, 0xa2) || is_between(op, 0xa8, 0xaa) || is_between(op, 0xc8, 0xcf))
        return op == 0x04 || op == 0x0a || op == 0x0c || op == 0x36 ? BAD : PART_NONE;
    return MODRM;
}

/* ModR/M, SIB and displacement; 0: too short. */
static unsigned modrm_size(const uint8_t *p, size_t room)
{
    if (room < 2)
        return 0;
    unsigned mod = p[0] >> 6, rm = p[0] & 7, size = 1;
    if (mod == 3)
        return 1;
    if (rm == 4) {
        size++;
        if (mod == 0 && (p[1] & 7) == 5)
            size += 4;
    } else if (mod == 0 && rm == 5) {
        size += 4;
    }
    return size + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

struct prefixes {
    bool word, address, wide;
};

/* From the opcode on, whose parts are known. */
static unsigned length_with(const uint8_t *p, size_t at, size_t room, unsigned parts, unsigned op,
                            const struct prefixes *x)
{
    if ((parts & BAD) != 0 || at > room)
        return 0;
    if ((parts & MODRM) != 0) {
        unsigned reg = at < room ? p[at] >> 3 & 7 : 0;
        unsigned size = modrm_size(p + at, room - at);
        if (size == 0)
            return 0;
        at += size;
        if ((op == 0xf6 || op == 0xf7) && reg < 2)
            parts |= op == 0xf6 ? IMM8 : IMM32;
    }
    at += (parts & IMM8) != 0 ? 1 : 0;
    at += (parts & IMM16) != 0 ? 2 : 0;
    if ((parts & IMM32) != 0)
        at += is_between(op, 0xb8, 0xbf) && x->wide               ? 8
              : x->word && op != 0xe8 && op != 0xe9 && op < 0x100 ? 2
                                                                  : 4;
    return at <= room && at <= 15 ? (unsigned)at : 0;
}

static unsigned vector_length(const uint8_t *p, size_t at, size_t room)
{
    static const struct prefixes none;
    unsigned map = 1, first = p[at];
    size_t skip = first == 0xc5 ? 2 : first == 0xc4 ? 3 : 4;
    if (at + skip + 1 >= room)
        return 0;
    if (first != 0xc5)
        map = p[at + 1] & (first == 0xc4 ? 0x1f : 7);
    unsigned op = p[at + skip];
    unsigned parts = map == 1   ? parts_of_second(op) & (MODRM | IMM8)
                     : map == 3 ? MODRM | IMM8
                                : MODRM;
    return length_with(p, at + skip + 1, room, parts, 0x100, &none);
}

unsigned fgn_length(const uint8_t *p, size_t room)
{
    struct prefixes x = {0};
    size_t at = 0;
    for (; at < room && at < 14; at++) {
        unsigned b = p[at];
        if (b == 0x66)
            x.word = true;
        else if (b == 0x67)
            x.address = true;
        else if (b != 0x26 && b != 0x2e && b != 0x36 && b != 0x3e && b != 0x64 && b != 0x65 &&
                 b != 0xf0 && b != 0xf2 && b != 0xf3)
            break;
    }
    if (at < room && (p[at] & 0xf0) == 0x40)
        x.wide = (p[at++] & 8) != 0;
    if (at + 1 >= room)
        return 0;
    unsigned op = p[at++];
    if (op == 0xc4 || op == 0xc5 || op == 0x62)
        return vector_length(p, at - 1, room);
    if (is_between(op, 0xa0, 0xa3))
        return at + 8 <= room ? (unsigned)at + (x.address ? 4 : 8) : 0;
    if (op != 0x0f)
        return length_with(p, at, room, parts_of_first(op), op, &x);
    op = p[at++];
    if (op == 0x38 || op == 0x3a)
        return length_with(p, at + 1, room, op == 0x3a ? MODRM | IMM8 : MODRM, 0x100, &x);
    return length_with(p, at, room, parts_of_second(op), op | 0x100, &x);
}
