// SPDX-License-Identifier: Apache-2.0
// NitroTPM documents: the whole message, and the document inside, which is wrapped so that what
// reads it is reached. Nothing is accepted: no key of ours signs for AWS.
//
// Input: u8 what | bytes. what 0: the message; 1: the document.
#include <shelter/verify.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t head[] = {0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0, 0x59};

static void judge(const void *data, size_t size)
{
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .evidence = data,
                                        .evidence_size = size,
                                        .type = SHELTER_EVIDENCE_NITRO,
                                        .policy_json = "{\"nitro\":{\"allow\":true}}",
                                        .nonce = "nonce",
                                        .nonce_size = 5,
                                        .time = 1750000000};
    struct shelter_verdict *v;

    if (!size || shelter_verify(&rq, &v))
        return;
    if (shelter_verdict_accepted(v))
        abort();
    free(shelter_verdict_json(v));
    shelter_verdict_free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = size ? size - 1 : 0, at = sizeof(head);
    uint8_t *all;

    if (!size)
        return 0;
    if (!(data[0] & 1)) {
        judge(data + 1, n);
        return 0;
    }
    if (n > 65535)
        n = 65535;
    all = calloc(1, sizeof(head) + 2 + n + 2 + 96);
    if (!all)
        return 0;
    memcpy(all, head, sizeof(head));
    all[at++] = (uint8_t)(n >> 8);
    all[at++] = (uint8_t)n;
    memcpy(all + at, data + 1, n);
    at += n;
    all[at++] = 0x58;
    all[at++] = 96;
    judge(all, at + 96);
    free(all);
    return 0;
}
