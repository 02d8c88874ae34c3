// SPDX-License-Identifier: Apache-2.0
// collateral.json of any shape: loaded or refused.
#include <shelter/verify.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shelter_collateral *col;
    char why[256];

    if (!shelter_collateral_parse(data, size, NULL, 0, &col, why, sizeof(why)))
        shelter_collateral_free(col);
    return 0;
}
