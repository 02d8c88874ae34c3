// SPDX-License-Identifier: Apache-2.0
// GPUs' evidence as agents send it, a report alone (wrapped so that what reads it is reached), and
// RIMs. Nothing is accepted: no key of ours signs for NVIDIA.
//
// Input: u8 what | bytes. what 0: JSON; 1: a report; 2: a RIM.
#include "verifier/quote/gpu.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verifier/judge/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const char *json, size_t size)
{
    struct shelter_verdict *v = sv_verdict_new(1750000000);
    struct sv_gpu_request rq = {
        .json = json, .size = size, .demanded = true, .need_rim = true, .min_devices = 1};

    if (!v)
        return;
    sv_gpu_judge(&rq, v);
    if (shelter_verdict_accepted(v))
        abort();
    free(shelter_verdict_json(v));
    shelter_verdict_free(v);
}

static void judge_report(const uint8_t *data, size_t size)
{
    static const char head[] =
        "{\"nvidia\":{\"device_evidence_list\":[{\"arch\":\"HOPPER\",\"certificate\":\"MA==\","
        "\"evidence\":\"";
    char *json = malloc(sizeof(head) + 2 * size + 8);

    if (json) {
        memcpy(json, head, sizeof(head) - 1);
        sh_hex(json + sizeof(head) - 1, data, size);
        strcat(json, "\"}]}}");
        judge(json, strlen(json));
    }
    free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv_rim rim;

    if (!size || size > 65536)
        return 0;
    if (data[0] % 3 == 0) {
        judge((const char *)data + 1, size - 1);
    } else if (data[0] % 3 == 1) {
        judge_report(data + 1, size - 1);
    } else if (!sv_rim_read(data + 1, size - 1, NULL, &rim)) {
        if (!rim.fault)
            abort();
        free(rim.value);
    }
    return 0;
}
