// SPDX-License-Identifier: Apache-2.0
// A host that fills the pages whose contents nobody measures. Zeros: with addresses of the enclave,
// which would be believed best where a pointer is expected. Those that are held against a digest
// inside: one bit of one of them, or code in all of them that would be noticed if it ran.
#include <linux/types.h>
#include <string.h>

#include <asm/sgx.h>

#include "host/sgx/loader/loader.h"
#include "tests/adversary/adversary.h"

#define TRAP_CODE 0xcc /* int3 */

static struct sgx_driver lying;
static const struct sgx_driver *real;

static uint64_t page[SGX_PAGE_SIZE / 8] __attribute__((aligned(4096)));
static int64_t spoilt; /* of the hashed pages; -1: all; 0: none */
static int64_t hashed; /* so many came */

static void spoil_page(uint64_t offset, bool written)
{
    if (written) {
        for (uint64_t i = 0; i < SGX_PAGE_SIZE / 8; i++)
            page[i] = SH_ENCLAVE_IMAGE + (offset + 64 * i) % (1u << 20);
        return;
    }
    if (++hashed == spoilt)
        page[hashed * 37 % 512] ^= 1ull << hashed % 64;
    else if (spoilt < 0)
        memset(page, TRAP_CODE, sizeof(page));
}

/* As a kernel may, by one page a request. */
static int lie(void *dev, unsigned long request, void *arg)
{
    struct sgx_enclave_add_pages *add = arg;
    if (request != SGX_IOC_ENCLAVE_ADD_PAGES || (add->flags & SGX_PAGE_MEASURE))
        return real->ioctl(dev, request, arg);
    memcpy(page, (const void *)(uintptr_t)add->src, sizeof(page));
    const struct sgx_secinfo *info = (const struct sgx_secinfo *)(uintptr_t)add->secinfo;
    spoil_page(add->offset, info->flags & SGX_SECINFO_W);
    struct sgx_enclave_add_pages other = *add;
    other.src = (uint64_t)page;
    other.length = SGX_PAGE_SIZE;
    int r = real->ioctl(dev, request, &other);
    add->count = other.count;
    return r;
}

int64_t bare_hashed(void)
{
    return hashed;
}

void bare_begin(int64_t spoil)
{
    spoilt = spoil;
    real = loader.options.driver;
    lying = *real;
    lying.ioctl = lie;
    loader.options.driver = &lying;
}
