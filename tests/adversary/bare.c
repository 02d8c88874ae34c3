// SPDX-License-Identifier: Apache-2.0
// A host that fills the pages whose contents nobody measures: with addresses of the enclave, which
// would be believed best where a pointer is expected.
#include <linux/types.h>

#include <asm/sgx.h>

#include "host/sgx/loader/loader.h"
#include "tests/adversary/adversary.h"

static struct sgx_driver lying;
static const struct sgx_driver *real;

static int lie(void *dev, unsigned long request, void *arg)
{
    static _Alignas(4096) uint64_t page[SGX_PAGE_SIZE / 8];
    struct sgx_enclave_add_pages *add = arg;
    if (request != SGX_IOC_ENCLAVE_ADD_PAGES || (add->flags & SGX_PAGE_MEASURE) ||
        add->length != SGX_PAGE_SIZE)
        return real->ioctl(dev, request, arg);
    for (uint64_t i = 0; i < SGX_PAGE_SIZE / 8; i++)
        page[i] = SH_ENCLAVE_IMAGE + (add->offset + 64 * i) % (1u << 20);
    struct sgx_enclave_add_pages other = *add;
    other.src = (uint64_t)page;
    int r = real->ioctl(dev, request, &other);
    add->count = other.count;
    return r;
}

void bare_begin(void)
{
    real = loader.options.driver;
    lying = *real;
    lying.ioctl = lie;
    loader.options.driver = &lying;
}
