// SPDX-License-Identifier: Apache-2.0
// What the enclave takes from outside around attestation: the host's quote, the broker's address.
#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "trusted/libos/agent/address.h"
#include "trusted/libos/base/quote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void quote(const uint8_t *data, size_t size)
{
    uint8_t report[432];
    memset(report, size & 1 ? 0x5e : 0, sizeof(report));
    long r = claim_quote(data, (long)size, (uint32_t)size, report);
    if (r >= 0 && ((size_t)r != size || !memmem(data, size, report, QUOTE_BODY_SIZE)))
        abort();
}

/* As the C library reads them. */
static void address(const uint8_t *data, size_t size)
{
    char text[64];
    struct port_address a;
    uint8_t want[16] = {0};
    if (size >= sizeof(text))
        return;
    memcpy(text, data, size);
    text[size] = 0;
    bool v4 = inet_pton(AF_INET, text, want) == 1;
    bool v6 = !v4 && inet_pton(AF_INET6, text, want) == 1;
    bool got = agent_literal(text, &a);
    if (got != (v4 || v6) || (got && a.family != (v4 ? AF_INET : AF_INET6)) ||
        (got && memcmp(a.bytes, want, v4 ? 4 : 16)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    uint8_t *copy = malloc(size); /* exact, for the sanitizer */
    memcpy(copy, data, size);
    if (copy[0] & 1)
        quote(copy + 1, size - 1);
    else
        address(copy + 1, size - 1);
    free(copy);
    return 0;
}
