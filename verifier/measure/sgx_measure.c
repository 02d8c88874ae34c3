// SPDX-License-Identifier: Apache-2.0
// Predicts MRENCLAVE from the steps of an enclave's build.
#include "verifier/measure/sgx.h"

#include <errno.h>
#include <string.h>

#include "lib/bytes.h"

int sgx_measure_create(struct sgx_measure *m, uint64_t size, uint32_t ssa_frame_pages)
{
    uint8_t record[64] = "ECREATE";
    if (size < 2 * SGX_PAGE_SIZE || (size & (size - 1)) != 0 || ssa_frame_pages == 0)
        return -EINVAL;
    sh_put_le32(record + 8, ssa_frame_pages);
    sh_put_le64(record + 12, size);
    m->size = size;
    sh_sha256_init(&m->hash);
    sh_sha256_update(&m->hash, record, sizeof(record));
    return 0;
}

int sgx_measure_add(struct sgx_measure *m, uint64_t offset, uint64_t flags)
{
    uint8_t record[64] = "EADD";
    unsigned type = SGX_SECINFO_PT_OF(flags);
    if (offset % SGX_PAGE_SIZE != 0 || offset >= m->size || (flags & SGX_SECINFO_RESERVED) != 0)
        return -EINVAL;
    if (type != SGX_PT_REG && type != SGX_PT_TCS)
        return -EINVAL;
    if (type == SGX_PT_TCS)
        flags &= ~SGX_SECINFO_RWX;
    if ((flags & SGX_SECINFO_W) != 0 && (flags & SGX_SECINFO_R) == 0)
        return -EINVAL;
    sh_put_le64(record + 8, offset);
    sh_put_le64(record + 16, flags); /* the other 40 bytes of SECINFO that count are zero */
    sh_sha256_update(&m->hash, record, sizeof(record));
    return 0;
}

void sgx_measure_extend(struct sgx_measure *m, uint64_t offset, const uint8_t page[SGX_PAGE_SIZE])
{
    for (unsigned at = 0; at < SGX_PAGE_SIZE; at += 256) {
        uint8_t record[64] = "EEXTEND";
        sh_put_le64(record + 8, offset + at);
        sh_sha256_update(&m->hash, record, sizeof(record));
        sh_sha256_update(&m->hash, page + at, 256);
    }
}

void sgx_measure_final(struct sgx_measure *m, uint8_t mrenclave[32])
{
    sh_sha256_final(&m->hash, mrenclave);
}
