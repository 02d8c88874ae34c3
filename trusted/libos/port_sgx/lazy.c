// SPDX-License-Identifier: Apache-2.0
// Port `sgx`: the lazy part of the enclave's own image (enclave.lds), for those who need it.
//
// It is not added and measured at the start, which would cost every program its 100 pages. It comes
// as the file's bytes from the host, whole, into trusted memory; is held against the digest that
// stands in the measured part; and goes to its place with its final rights.
#include "lib/sha2.h"
#include "trusted/libos/base/digest.h"
#include "trusted/libos/port_sgx/sgx.h"

#define PIECE_SIZE 65536u
_Static_assert(PIECE_SIZE <= SH_SLOT_A_SIZE, "one call's buffer");

extern const uint8_t sgx_lazy_digest[SH_SHA256_SIZE]; /* module.mk */
extern const char sgx_lazy_start[], sgx_lazy_rodata[], sgx_lazy_data[], sgx_lazy_bss[],
    sgx_lazy_end[];

static int fetch_code(uint8_t *to, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += PIECE_SIZE) {
        uint32_t n = (uint32_t)MIN(size - at, PIECE_SIZE);
        struct sgx_call c = {.nr = SH_CALL_LAZY, .args = {at, n}, .in_a = to + at, .in_size_a = n};
        int64_t r = sgx_call(&c);
        if (r != n || c.in_size_a != n)
            return -EIO;
    }
    return 0;
}

/* Pages from `from` to `end`, whose contents stand at their distance from the start in `all`. */
static int put_segment(const uint8_t *all, const char *from, const char *end, int prot)
{
    int r = 0;
    for (const char *at = from; !r && at < end; at += PAGE_SIZE) {
        const void *source = all + (at - sgx_lazy_start);
        r = port_pages_fill((uint64_t)at, &source, 1, prot);
    }
    return r;
}

int port_lazy_load(void)
{
    uint64_t size = (uint64_t)(sgx_lazy_bss - sgx_lazy_start);
    uint64_t pages = (uint64_t)(sgx_lazy_end - sgx_lazy_start) >> PAGE_SHIFT;
    uint8_t digest[SH_SHA256_SIZE];
    if (memory_charge(pages))
        return -ENOMEM;
    port_pages_expect(&(struct sh_pages){(uint64_t)sgx_lazy_start, pages << PAGE_SHIFT}, 1);
    uint8_t *all = pages_alloc(size >> PAGE_SHIFT);
    int r = all ? fetch_code(all, size) : -ENOMEM;
    if (!r) {
        digest_sha256(digest, all, size);
        if (memcmp(digest, sgx_lazy_digest, sizeof(digest)))
            r = -EBADMSG;
    }
    if (!r)
        r = put_segment(all, sgx_lazy_start, sgx_lazy_rodata, PORT_R | PORT_X);
    if (!r)
        r = put_segment(all, sgx_lazy_rodata, sgx_lazy_data, PORT_R);
    if (!r)
        r = put_segment(all, sgx_lazy_data, sgx_lazy_bss, PORT_R | PORT_W);
    if (!r)
        r = port_pages_add((uint64_t)sgx_lazy_bss,
                           (uint64_t)(sgx_lazy_end - sgx_lazy_bss) >> PAGE_SHIFT, PORT_R | PORT_W);
    if (all)
        pages_free(all, size >> PAGE_SHIFT);
    if (r)
        memory_uncharge(pages);
    return r;
}
