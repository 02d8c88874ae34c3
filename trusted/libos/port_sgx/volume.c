// SPDX-License-Identifier: Apache-2.0
// Port `sgx`: the files of volumes, each a call out; folders of the host, likewise.
#include "trusted/libos/port_sgx/sgx.h"

#include <shelter/share.h>

int64_t port_volume_size(uint32_t number)
{
    return SGX_CALL(.nr = SH_CALL_VOLUME_SIZE, .args = {number});
}

int port_volume_read(uint32_t number, uint64_t offset, void *buf, uint32_t size)
{
    struct sgx_call c = {
        .nr = SH_CALL_VOLUME_READ, .args = {number, offset, size}, .in_a = buf, .in_size_a = size};
    int64_t r = sgx_call(&c);
    return r == (int64_t)size && c.in_size_a == size ? 0 : -EIO;
}

int port_volume_write(uint32_t number, uint64_t offset, const void *buf, uint32_t size)
{
    int64_t r =
        SGX_CALL(.nr = SH_CALL_VOLUME_WRITE, .args = {number, offset}, .a = buf, .size_a = size);
    return r == (int64_t)size ? 0 : r == -ENOSPC || r == -EDQUOT ? -ENOSPC : -EIO;
}

int port_volume_flush(uint32_t number)
{
    return SGX_CALL(.nr = SH_CALL_VOLUME_FLUSH, .args = {number}) ? -EIO : 0;
}

void port_volume_discard(uint32_t number, uint64_t offset, uint64_t size)
{
    SGX_CALL(.nr = SH_CALL_VOLUME_DISCARD, .args = {number, offset, size});
}

long port_share(const struct sh_share_request *q, const void *data, uint32_t size, void *out,
                uint32_t *out_size)
{
    struct sgx_call c = {.nr = SH_CALL_SHARE,
                         .a = data,
                         .size_a = size,
                         .b = q,
                         .size_b = sizeof(*q),
                         .in_a = out,
                         .in_size_a = out ? *out_size : 0};
    int64_t r = sgx_call(&c);
    *out_size = r < 0 ? 0 : c.in_size_a;
    return r;
}
