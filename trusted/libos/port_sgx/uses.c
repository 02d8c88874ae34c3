// SPDX-License-Identifier: Apache-2.0
// Which pages of the image's files runs use: a list in the host's memory, read and written by
// aligned words, each once.
#include "trusted/libos/port_sgx/sgx.h"

static struct sh_uses *uses; /* the host's */
static uint32_t known_count, used_count;

bool sgx_uses_init(uint64_t addr, uint64_t count)
{
    if (addr % 8 || (addr && !sgx_outside(addr, sizeof(*uses))))
        return false;
    uses = (struct sh_uses *)addr;
    known_count = addr ? (uint32_t)MIN(count, SH_USES_MAX) : 0;
    return true;
}

uint32_t port_known_count(void)
{
    return known_count;
}

uint64_t port_known_use(uint32_t n)
{
    return n < known_count ? *(const volatile uint64_t *)&uses->known[n] : UINT64_MAX;
}

void port_use(uint64_t page)
{
    uint32_t n = __atomic_load_n(&used_count, __ATOMIC_RELAXED);
    if (!uses || n >= SH_USES_MAX)
        return;
    n = __atomic_fetch_add(&used_count, 1, __ATOMIC_RELAXED); /* others use some, too */
    if (n < SH_USES_MAX)
        *(volatile uint64_t *)&uses->used[n] = page;
}
