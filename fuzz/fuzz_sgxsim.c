// SPDX-License-Identifier: Apache-2.0
// The simulated SGX device: any sequence of ioctls, mappings, leaves and page faults, with any
// arguments. EPC accounting, EPCM and host page protections must agree after each.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host/sgx/sim/sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE 0x600000000000ull
#define SIZE 0x20000ull
#define PAGES (SIZE / SGX_PAGE_SIZE)

struct input {
    const uint8_t *at, *end;
};

static uint64_t take(struct input *in, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes && in->at < in->end; i++)
        v |= (uint64_t)*in->at++ << (8 * i);
    return v;
}

/* Mostly a page of the enclave, sometimes anything. */
static uint64_t some_offset(struct input *in)
{
    uint64_t v = take(in, 1);
    return v < 0xf0 ? (v % (PAGES + 1)) * SGX_PAGE_SIZE : take(in, 8);
}

static uint64_t some_length(struct input *in)
{
    uint64_t v = take(in, 1);
    return v < 0xf8 ? (v % 5) * SGX_PAGE_SIZE : take(in, 8);
}

static uint64_t some_flags(struct input *in)
{
    uint64_t v = take(in, 2);
    return (v & 0x3f) | SGX_SECINFO_PT(v >> 8 & 7) | (v >> 15 != 0 ? take(in, 8) : 0);
}

static void invariants(struct sgxsim *dev)
{
    uint64_t count = 0;
    if (dev->chunks == NULL)
        return;
    for (uint64_t i = 0; i < PAGES; i++) {
        const struct sim_page *p = sim_page(dev, i * SGX_PAGE_SIZE);
        if ((p->state & PAGE_VALID) == 0 && p->state != 0)
            abort();
        if ((p->state & (PAGE_VALID | PAGE_EVICTED)) == PAGE_VALID)
            count++;
        if ((p->perm & 3) == 2 || (p->type == SGX_PT_TCS && p->perm != 0))
            abort();
    }
    count += 1 + dev->va_count; /* the SECS */
    if (count != dev->stats.epc_pages || count != dev->epc->used)
        abort();
    if (dev->options.epc_pages != 0 && count > dev->options.epc_pages)
        abort();
    for (unsigned i = 0; i < dev->vma_count; i++) {
        if (dev->vmas[i].start >= dev->vmas[i].end || dev->vmas[i].end > SIZE ||
            (i > 0 && dev->vmas[i - 1].end > dev->vmas[i].start))
            abort();
    }
}

static void step(struct sgxsim *dev, struct input *in)
{
    static uint8_t src[8 * SGX_PAGE_SIZE] __attribute__((aligned(4096)));
    struct sgx_secinfo info = {.flags = 0};
    uint64_t addr;
    switch (take(in, 1) % 12) {
    case 0: {
        struct sgx_enclave_add_pages a = {.src = (uint64_t)src,
                                          .offset = some_offset(in),
                                          .length = some_length(in),
                                          .secinfo = (uint64_t)&info,
                                          .flags = take(in, 1) & 1};
        info.flags = some_flags(in);
        src[16] = (uint8_t)take(in, 1);
        (void)sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_ADD_PAGES, &a);
        break;
    }
    case 1: /* EINIT wants a signature; what comes after it is what we are here for */
        if (dev->created)
            dev->initialized = true;
        break;
    case 2: {
        struct sgx_enclave_restrict_permissions a = {.offset = some_offset(in),
                                                     .length = some_length(in),
                                                     .permissions = take(in, 1),
                                                     .result = take(in, 1) / 250};
        (void)sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &a);
        break;
    }
    case 3: {
        struct sgx_enclave_modify_types a = {
            .offset = some_offset(in), .length = some_length(in), .page_type = take(in, 1) % 6};
        (void)sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_MODIFY_TYPES, &a);
        break;
    }
    case 4: {
        struct sgx_enclave_remove_pages a = {.offset = some_offset(in), .length = some_length(in)};
        (void)sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_REMOVE_PAGES, &a);
        break;
    }
    case 5:
        addr = BASE + some_offset(in);
        (void)sgxsim_map(dev, addr, some_length(in), (int)take(in, 1) & 15);
        break;
    case 6:
        addr = BASE + some_offset(in);
        (void)sgxsim_protect(dev, addr, some_length(in), (int)take(in, 1) & 7);
        break;
    case 7:
        addr = BASE + some_offset(in);
        (void)sgxsim_unmap(dev, addr, some_length(in));
        break;
    case 8: {
        uint32_t error = (uint32_t)take(in, 1);
        addr = BASE + some_offset(in) % SIZE;
        sim_lock(dev);
        if (dev->chunks != NULL)
            (void)sim_page_fault(dev, addr, &error);
        sim_unlock(dev);
        break;
    }
    case 9: { /* the enclave accepts */
        struct sim_page *p;
        addr = some_offset(in) % SIZE;
        if (dev->chunks != NULL && ((p = sim_page(dev, addr))->state & PAGE_VALID) != 0) {
            p->state &= (uint8_t) ~(PAGE_PENDING | PAGE_MODIFIED | PAGE_PR);
            sim_epc_sync(dev, addr & ~4095ull, SGX_PAGE_SIZE);
        }
        break;
    }
    case 10: {
        uint8_t arg[64];
        for (unsigned i = 0; i < sizeof(arg); i++)
            arg[i] = (uint8_t)take(in, 1);
        (void)sgxsim_ioctl(dev, _IOC(3u, SGX_MAGIC, take(in, 1) % 9, take(in, 1) % 65), arg);
        break;
    }
    case 11:
        (void)sim_etrack(dev);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    struct sgxsim_options o = {.epc_pages = size > 0 ? data[0] % 20 : 0};
    struct sgxsim *dev;
    struct sgx_secs secs = {.size = SIZE,
                            .base = BASE,
                            .ssa_frame_size = 1,
                            .attributes = {SGX_ATTR_MODE64BIT | SGX_ATTR_DEBUG, 3}};
    struct sgx_enclave_create create = {.src = (uint64_t)&secs};
    (void)take(&in, 1);
    if (sgxsim_open(&o, &dev) != 0)
        abort();
    if (mmap((void *)BASE, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
        MAP_FAILED)
        abort();
    if (take(&in, 1) != 0 && sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_CREATE, &create) != 0 &&
        o.epc_pages == 0)
        abort();
    while (in.at < in.end) {
        step(dev, &in);
        invariants(dev);
    }
    if (sgxsim_close(dev) != 0)
        abort();
    munmap((void *)BASE, SIZE);
    return 0;
}
