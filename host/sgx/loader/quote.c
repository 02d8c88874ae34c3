// SPDX-License-Identifier: Apache-2.0
// The enclave's quotes, by the helper.
#include <errno.h>
#include <string.h>

#include "host/sgx/loader/loader.h"

int64_t call_qe_target(struct loader_thread *t, struct sh_slot *s)
{
    int64_t r = loader_help(LOADER_HELP_TARGET, NULL, 0, s->a, SH_SLOT_A_SIZE);
    s->size_a = r < 0 ? 0 : (uint64_t)r;
    return r;
}

int64_t call_quote(struct loader_thread *t, struct sh_slot *s, uint64_t most)
{
    uint64_t size = s->size_a;
    uint8_t report[sizeof(struct sgx_report)];
    s->size_a = 0;
    if (size != sizeof(report))
        return -EINVAL;
    memcpy(report, s->a, sizeof(report));
    int64_t r = loader_help(LOADER_HELP_QUOTE, report, sizeof(report), s->a,
                            most < SH_SLOT_A_SIZE ? most : SH_SLOT_A_SIZE);
    s->size_a = r < 0 ? 0 : (uint64_t)r;
    return r;
}
