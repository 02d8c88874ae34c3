// SPDX-License-Identifier: Apache-2.0
// The LibOS's judgement of ELF heads: what it accepts must be safe to map.
#include <stdlib.h>

#include "trusted/libos/proc/proc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf_plan p;
    static uint8_t head[4096];
    uint64_t file_size = 1 << 20;
    size = MIN(size, sizeof(head));
    memcpy(head, data, size);
    /* The fuzzer need not find the magic and the machine first. */
    static const uint8_t magic[20] = {0x7f, 'E', 'L', 'F', 2, 1, 1, [16] = 3, [18] = 62};
    if (size >= 64) {
        memcpy(head, magic, sizeof(magic));
        head[16] = 2 + (data[16] & 1);
        head[54] = 56;
        head[55] = 0;
    }
    if (elf_parse(head, size, file_size, &p))
        return 0;
    uint64_t end = 0;
    if (!p.count || p.count > ELF_SEGMENTS_MAX || p.low % 4096 || p.high % 4096 || p.low >= p.high)
        abort();
    for (unsigned i = 0; i < p.count; i++) {
        struct elf_segment *s = &p.segments[i];
        if (s->addr < end || s->addr + s->mem_size < s->addr || s->file_size > s->mem_size ||
            s->offset + s->file_size > file_size || s->addr + s->mem_size > p.high)
            abort();
        end = s->addr + s->mem_size;
    }
    if (p.interp_size > 255 || (p.interp_size && p.interp_at + p.interp_size > file_size))
        abort();
    return 0;
}
