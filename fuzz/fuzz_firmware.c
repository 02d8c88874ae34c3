// SPDX-License-Identifier: Apache-2.0
// Firmware images: the input is the end of one.
#include "verifier/measure/snp.h"
#include "verifier/measure/tdx.h"

#include <stdlib.h>

#define SIZE 8192u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t footer[16] = {0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45,
                                       0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d};
    uint8_t *fw = calloc(1, SIZE), out[48];
    struct sv_sev_params sev = {.mode = SV_SEV_SNP,
                                .vcpu_count = 2,
                                .have_kernel = true,
                                .firmware = fw,
                                .firmware_size = SIZE};
    struct sv_tdx_params tdx = {.firmware = fw, .firmware_size = SIZE};
    struct sv_tdx_measurement m;
    char why[160];

    if (!fw)
        return 0;
    if (size > SIZE - 48)
        size = SIZE - 48;
    memcpy(fw + SIZE - 48 - size, data, size);
    memcpy(fw + SIZE - 48, footer, 16);
    sv_sev_measure(&sev, out, why, sizeof(why));
    sv_tdx_measure(&tdx, &m, why, sizeof(why));
    free(fw);
    return 0;
}
