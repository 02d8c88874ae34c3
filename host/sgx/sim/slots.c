// SPDX-License-Identifier: Apache-2.0
// ENCLU slots: five bytes `enclu; xchg %ax,%ax` in an enclave's code that become a direct jump
// after the measurement. The jump ends in a block of 64 KiB just outside ELRANGE: the table of
// threads, then a stub for each slot (entry.S).
#include "host/sgx/sim/sim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCK_SIZE 0x10000ull
#define REACH 0x7fff0000ull /* of a rel32, with room for a block */

static const uint8_t slot[5] = {0x0f, 0x01, 0xd7, 0x66, 0x90};

struct sim_block {
    struct sim_block *next;
    uint8_t *at;
    uint32_t used; /* bytes of stubs */
};

static uint32_t stub_size(void)
{
    return ((uint32_t)(sim_stub_end - sim_stub_begin) + 15) & ~15u;
}

static bool is_rel32_reach(uint64_t from, uint64_t to)
{
    return from < to ? to - from < REACH : from - to < REACH;
}

static uint8_t *block_at(uint64_t addr)
{
    void *p = mmap((void *)addr, BLOCK_SIZE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (p != (void *)addr || sim_table_map(p) != 0) {
        munmap(p, BLOCK_SIZE);
        return NULL;
    }
    return p;
}

/* The free place nearest to ELRANGE that the site reaches: above it, else below. */
static struct sim_block *block_new(struct sgxsim *dev, uint64_t site)
{
    uint64_t end = dev->base + dev->size;
    uint8_t *p = NULL;
    for (uint64_t at = (end + BLOCK_SIZE - 1) & ~(BLOCK_SIZE - 1);
         p == NULL && is_rel32_reach(site, at); at += BLOCK_SIZE)
        p = block_at(at);
    for (uint64_t at = dev->base & ~(BLOCK_SIZE - 1);
         p == NULL && at > 2 * BLOCK_SIZE && is_rel32_reach(site, at - BLOCK_SIZE);
         at -= BLOCK_SIZE)
        p = block_at(at - BLOCK_SIZE);
    struct sim_block *b = p != NULL ? calloc(1, sizeof(*b)) : NULL;
    if (b == NULL)
        return NULL;
    b->at = p;
    b->next = dev->blocks;
    dev->blocks = b;
    return b;
}

static void patch_slot(struct sgxsim *dev, uint64_t offset)
{
    uint64_t site = dev->base + offset;
    struct sim_block *b = dev->blocks;
    while (b != NULL && (b->used + stub_size() > BLOCK_SIZE - SIM_TABLE_SIZE ||
                         !is_rel32_reach(site, (uint64_t)b->at)))
        b = b->next;
    if (b == NULL && (b = block_new(dev, site)) == NULL)
        return; /* out of reach: it stays a #UD */
    uint8_t *stub = b->at + SIM_TABLE_SIZE + b->used;
    b->used += stub_size();
    memcpy(stub, sim_stub_begin, (size_t)(sim_stub_end - sim_stub_begin));
    memcpy(stub + (sim_stub_site - sim_stub_begin) - 8, &site, 8);
    int32_t distance = (int32_t)((int64_t)stub - (int64_t)(site + sizeof(slot)));
    uint8_t *code = sim_frame(dev, offset);
    code[0] = 0xe9; /* jmp rel32 */
    memcpy(code + 1, &distance, 4);
    SIM_COUNT(dev, slots);
}

/* By its rarest byte. */
static const uint8_t *find_slot(const uint8_t *from, size_t size)
{
    const uint8_t *end = from + size, *p;
    for (; size >= sizeof(slot); from = p - 1, size = (size_t)(end - from)) {
        p = memchr(from + 2, slot[2], size - sizeof(slot) + 1);
        if (p == NULL)
            return NULL;
        if (memcmp(p - 2, slot, sizeof(slot)) == 0)
            return p - 2;
    }
    return NULL;
}

static bool is_code(struct sgxsim *dev, uint64_t offset)
{
    const struct sim_page *p = sim_page(dev, offset); /* also of the one behind the last */
    return offset < dev->size && (p->state & PAGE_VALID) != 0 && p->type == SGX_PT_REG &&
           (p->perm & SGX_SECINFO_X) != 0;
}

/* The next page of code from `offset` on that could be brought into the EPC, or size. */
static uint64_t first_code(struct sgxsim *dev, uint64_t offset)
{
    do
        offset = sim_epc_next(dev, offset, dev->size);
    while (offset < dev->size && (!is_code(dev, offset) || sim_bring_back(dev, offset) != 0) &&
           (offset += SGX_PAGE_SIZE) != 0);
    return offset;
}

/* What saves or loads "all" state inside an enclave means XFRM, which is XCR0 there (SDM 36.7).
 * Here XCR0 is the host's. Where that is more, XSAVE would write beyond the enclave's area; so the
 * mask becomes XFRM, at both speeds, in mov $-1, %eax; mov %eax, %edx or mov $-1, %edx; xsave or
 * xrstor (memory)
 */
static bool is_all_state(const uint8_t *p, uint64_t room)
{
    static const uint8_t all[] = {0xb8, 0xff, 0xff, 0xff, 0xff, 0xba, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t copied[] = {0xb8, 0xff, 0xff, 0xff, 0xff, 0x89, 0xc2};
    uint64_t at = 0;
    if (room >= sizeof(all) && memcmp(p, all, sizeof(all)) == 0)
        at = sizeof(all);
    else if (room >= sizeof(copied) && memcmp(p, copied, sizeof(copied)) == 0)
        at = sizeof(copied);
    if (at == 0 || at + 4 > room)
        return false;
    at += (p[at] & 0xf8) == 0x48 ? 1 : 0; /* REX.W */
    unsigned leaf = p[at + 2] >> 3 & 7;
    return p[at] == 0x0f && p[at + 1] == 0xae && p[at + 2] < 0xc0 && (leaf == 4 || leaf == 5);
}

void sim_masks_narrow(struct sgxsim *dev)
{
    const uint32_t xfrm = (uint32_t)dev->secs.attributes.xfrm;
    if ((sim_cpu.xcr0 & ~dev->secs.attributes.xfrm) == 0)
        return;
    for (uint64_t page = first_code(dev, 0); page < dev->size;
         page = first_code(dev, page + SGX_PAGE_SIZE)) {
        uint8_t *code = sim_frame(dev, page), *end = code + SGX_PAGE_SIZE;
        const uint8_t *beyond = end + (is_code(dev, page + SGX_PAGE_SIZE) ? 16 : 0);
        for (; (code = memchr(code, 0xb8, (size_t)(end - code))) != NULL; code++) {
            if (is_all_state(code, (uint64_t)(beyond - code)))
                memcpy(code + 1, &xfrm, 4);
        }
    }
}

void sim_slots_patch(struct sgxsim *dev)
{
    if (sim_no_ldt)
        return;
    for (uint64_t page = first_code(dev, 0); page < dev->size;
         page = first_code(dev, page + SGX_PAGE_SIZE)) {
        uint64_t end = page + SGX_PAGE_SIZE; /* a slot may lie across it */
        uint64_t last = is_code(dev, end) ? end + sizeof(slot) - 1 : end;
        for (uint64_t at = page; at < end; at++) {
            const uint8_t *found = find_slot(sim_frame(dev, at), last - at);
            if (found == NULL)
                break;
            at += (uint64_t)(found - sim_frame(dev, at));
            patch_slot(dev, at);
        }
    }
    for (struct sim_block *b = dev->blocks; b != NULL; b = b->next)
        mprotect(b->at + SIM_TABLE_SIZE, BLOCK_SIZE - SIM_TABLE_SIZE, PROT_READ | PROT_EXEC);
}

void sim_slots_free(struct sgxsim *dev)
{
    while (dev->blocks != NULL) {
        struct sim_block *b = dev->blocks;
        dev->blocks = b->next;
        munmap(b->at, BLOCK_SIZE);
        free(b);
    }
}

void sim_slots_renew(struct sgxsim *dev)
{
    for (struct sim_block *b = dev->blocks; b != NULL; b = b->next)
        (void)sim_table_map(b->at);
}

bool sim_slots_contain(const struct sgxsim *dev, uint64_t rip)
{
    for (const struct sim_block *b = dev->blocks; b != NULL; b = b->next) {
        if (rip - (uint64_t)b->at < BLOCK_SIZE)
            return true;
    }
    return false;
}
