// SPDX-License-Identifier: Apache-2.0
// The parsers that measuring needs: PE headers, the bzImage header, OVMF's table.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "verifier/measure/ovmf.h"
#include "verifier/measure/sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t digest[48];
    struct sv_ovmf ovmf;
    char why[160];
    sh_sim_authenticode(digest, data, size);
    if (size >= 4096)
        sv_ovmf_parse(data + size % 4096, size - size % 4096, &ovmf, why, sizeof(why));
    uint8_t *copy = malloc(size + 1);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    /* Whatever the header says, the initramfs lies below the end of memory. */
    if (!sh_sim_patch_bzimage(copy, size, 64 << 20, 12345) &&
        sh_le32(copy + 0x218) > (64u << 20) - 12345)
        abort();
    free(copy);
    return 0;
}
