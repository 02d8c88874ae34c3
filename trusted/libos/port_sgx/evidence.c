// SPDX-License-Identifier: Apache-2.0
// Port `sgx`: reports by EREPORT, quotes from the platform's quoting enclave through the host.
#include "trusted/libos/base/quote.h"
#include "trusted/libos/port_sgx/sgx.h"

int sgx_report(const void *target, const uint8_t data[64], struct sgx_report *out)
{
    _Alignas(512) uint8_t result[512] = {0};
    _Alignas(512) struct sgx_targetinfo to;
    _Alignas(128) uint8_t input[128] = {0};
    memcpy(&to, target, sizeof(to));
    memcpy(input, data, 64);
    if (sgx_enclu(SGX_EREPORT, (uint64_t)&to, (uint64_t)input, (uint64_t)result) == UINT64_MAX)
        return -EINVAL; /* a target that cannot be */
    memcpy(out, result, sizeof(*out));
    return 0;
}

long port_report(const uint8_t data[64], const void *target, void *report, uint32_t size)
{
    static const struct sgx_targetinfo nobody;
    struct sgx_report r;
    if (size < SGX_REPORT_SIZE)
        return -EINVAL;
    int e = sgx_report(target ? target : &nobody, data, &r);
    if (e)
        return e;
    memcpy(report, &r, SGX_REPORT_SIZE);
    return SGX_REPORT_SIZE;
}

/* Of DEBUG, INIT and what is reserved; XFRM follows the machine. (As Intel's SDK seals.) */
#define SEAL_FLAGS 0xff0000000000000bull
#define SEAL_MISC 0xf0000000u

int port_seal_key(bool config, uint8_t key[16])
{
    static const uint8_t nothing[64];
    static const struct sgx_targetinfo nobody;
    struct sgx_keyrequest q = {.keyname = SGX_KEY_SEAL,
                               .keypolicy =
                                   SGX_KEYPOLICY_MRENCLAVE | (config ? SGX_KEYPOLICY_CONFIGID : 0),
                               .attribute_mask = {.flags = SEAL_FLAGS},
                               .miscmask = SEAL_MISC};
    _Alignas(16) uint8_t out[16];
    struct sgx_report r;
    if (sgx_report(&nobody, nothing, &r))
        return -ENODEV;
    q.isv_svn = r.isv_svn;
    q.config_svn = r.config_svn;
    memcpy(q.cpusvn, r.cpusvn, sizeof(q.cpusvn));
    if (sgx_enclu(SGX_EGETKEY, (uint64_t)&q, (uint64_t)out, 0))
        return -ENODEV;
    memcpy(key, out, sizeof(out));
    memset(out, 0, sizeof(out));
    __asm__ volatile("" ::"r"(out) : "memory");
    return 0;
}

/* The quoting enclave's, as the host says. */
static int quote_target(struct sgx_targetinfo *target)
{
    struct sgx_call c = {.nr = SH_CALL_QE_TARGET, .in_a = target, .in_size_a = sizeof(*target)};
    int64_t r = sgx_call(&c);
    if (r < 0)
        return (int)r;
    return r == sizeof(*target) && c.in_size_a == sizeof(*target) ? 0 : -EPROTO;
}

/* The host may name any target: a report for another enclave tells that one no more than a quote
 * would tell everybody. */
long port_quote(const uint8_t data[64], void *quote, uint32_t size)
{
    struct sgx_targetinfo target;
    struct sgx_report r;
    int e = quote_target(&target);
    if (e)
        return e;
    if (sgx_report(&target, data, &r))
        return -EPROTO;
    size = MIN(size, SH_QUOTE_SIZE_MAX);
    struct sgx_call c = {.nr = SH_CALL_QUOTE,
                         .args = {size},
                         .a = &r,
                         .size_a = SGX_REPORT_SIZE,
                         .in_a = quote,
                         .in_size_a = size};
    int64_t got = sgx_call(&c);
    if (got >= 0 && c.in_size_a != (uint64_t)got)
        got = -EPROTO;
    return claim_quote(quote, got, size, (const uint8_t *)&r);
}
