// SPDX-License-Identifier: Apache-2.0
// The agent's JSON reader: what it takes can be read to its end, and strings fit.
#include <stdlib.h>
#include <string.h>

#include "trusted/agent/json.h"
#include "trusted/agent/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"nonce", "token", "a", "", "extra-params"};
    struct agent_json whole, value;
    char out[64];
    if (agent_json_check(&whole, (const char *)data, size))
        return 0;
    if (!whole.size || whole.at < (const char *)data ||
        whole.at + whole.size > (const char *)data + size)
        abort();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!agent_json_get(whole, names[i], &value))
            continue;
        struct agent_json again;
        if (agent_json_check(&again, value.at, value.size) || again.size != value.size)
            abort();
        long n = agent_json_string(value, out, sizeof(out));
        if (n >= (long)sizeof(out) || (n >= 0 && strlen(out) != (size_t)n))
            abort();
    }
    /* What is a string comes out of our writer as the same string. */
    char *text = malloc(size + 1), *back = malloc(size + 1);
    long n = agent_json_string(whole, text, size + 1);
    if (n >= 0) {
        struct agent_text t = {0};
        agent_text_json(&t, text, (size_t)n);
        if (agent_json_check(&value, t.data, t.size) ||
            agent_json_string(value, back, size + 1) != n || memcmp(text, back, (size_t)n))
            abort();
        agent_text_free(&t);
    }
    free(text);
    free(back);
    return 0;
}
