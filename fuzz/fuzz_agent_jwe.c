// SPDX-License-Identifier: Apache-2.0
// JWEs to the agent: nothing that was not made for its key opens.
#include <stdlib.h>

#include "trusted/agent/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void agent_os_log(const char *line)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct agent_key *key;
    struct agent_json jwe;
    struct agent_error e;
    uint8_t *out;
    size_t out_size;
    if (!key)
        key = agent_key_new(false);
    if (!agent_json_check(&jwe, (const char *)data, size) &&
        !agent_jwe_open(key, jwe, &out, &out_size, &e))
        abort();
    return 0;
}
