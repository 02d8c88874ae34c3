// SPDX-License-Identifier: Apache-2.0
// The calls out that change the enclave's pages, as the driver does it for them.
#include <errno.h>
#include <string.h>

#include "host/sgx/loader/loader.h"

#define COMMIT_MAX (64ull << 20) /* bytes at once */

static uint64_t count_of(const struct sh_slot *s)
{
    return (s->size_a < SH_SLOT_A_SIZE ? s->size_a : SH_SLOT_A_SIZE) / sizeof(struct sh_pages);
}

int64_t call_restrict(struct loader_thread *t, struct sh_slot *s, uint64_t addr, uint64_t size,
                      uint64_t permissions)
{
    struct sh_error err = {0};
    return sgx_enclave_restrict(&loader.enclave, addr, size, permissions, &err);
}

/* The next of the pages that A names; false: there are no more. */
static bool next_pages(const struct sh_slot *s, uint64_t i, struct sh_pages *pages)
{
    if (i >= count_of(s))
        return false;
    memcpy(pages, s->a + i * sizeof(*pages), sizeof(*pages));
    return true;
}

int64_t call_set_type(struct loader_thread *t, struct sh_slot *s, uint64_t addr, uint64_t size,
                      uint64_t type)
{
    struct sh_error err = {0};
    struct sh_pages p = {addr, size};
    uint64_t i = 0;
    int64_t r;
    do
        r = sgx_enclave_set_type(&loader.enclave, p.addr, p.size, (enum sgx_page_type)type, &err);
    while (!r && next_pages(s, i++, &p));
    s->size_a = 0;
    return r;
}

int64_t call_remove(struct loader_thread *t, struct sh_slot *s, uint64_t addr, uint64_t size)
{
    struct sh_error err = {0};
    struct sh_pages p = {addr, size};
    uint64_t i = 0;
    int64_t r;
    do
        r = sgx_enclave_remove(&loader.enclave, p.addr, p.size, &err);
    while (!r && next_pages(s, i++, &p));
    s->size_a = 0;
    return r;
}

void loader_remove_pages(const struct sh_slot *s, uint64_t count)
{
    struct sh_error err = {0};
    struct sh_pages p;
    for (uint64_t i = 0; i < count && next_pages(s, i, &p); i++)
        (void)sgx_enclave_remove(&loader.enclave, p.addr, p.size, &err);
}

int64_t call_commit(struct loader_thread *t, struct sh_slot *s, uint64_t addr, uint64_t size,
                    uint64_t gone)
{
    struct sgx_enclave *e = &loader.enclave;
    struct sh_pages p = {addr, size};
    uint64_t i = gone < count_of(s) ? gone : count_of(s);
    int64_t r;
    loader_remove_pages(s, i);
    loader_forget_root(); /* a program that grows has read much of its files */
    do
        r = p.size > COMMIT_MAX ? -EINVAL : e->driver->populate(e->dev, p.addr, p.size);
    while (!r && next_pages(s, i++, &p));
    s->size_a = 0;
    return r;
}
