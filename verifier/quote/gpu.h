// SPDX-License-Identifier: Apache-2.0
// Evidence of NVIDIA's GPUs, as CoCo's agents send it beside that of the TEE:
//
//   {"nvidia": {"device_evidence_list": [{"arch", "uuid"?, "evidence", "certificate"}]}}
//   evidence     hex or base64 of SPDM 1.1's GET_MEASUREMENTS (37 bytes, the nonce from 4 on) and
//                MEASUREMENTS, the latter signed by ECDSA P-384 with SHA-384 over both
//   certificate  base64 of the PEM chain, leaf first
//
// Of Hopper alone are there public samples to judge by. What is of another kind (later GPUs,
// switches, SPDM of another version) is said to be not judged, and counts for nothing.
#ifndef VERIFIER_QUOTE_GPU_H
#define VERIFIER_QUOTE_GPU_H

#include "verifier/quote/collateral.h"
#include "verifier/quote/verdict.h"

#define SV_GPUS_MAX 16
#define SV_GPU_NONCE_SIZE 32

struct sv_gpu_request {
    const char *json; // additional evidence; of other devices than NVIDIA's it is not read
    size_t size;
    const uint8_t *nonce;                        // 32 bytes, or NULL: any, where none is demanded
    const struct shelter_collateral *collateral; // with RIMs; may be NULL
    const struct sv_certs *named;
    bool allow_simulated;
    bool demanded, need_rim; // by the policy
    unsigned min_devices;
};

// Each device becomes an entry of the claim "nvidia".
void sv_gpu_judge(const struct sv_gpu_request *rq, struct shelter_verdict *v);

#endif
