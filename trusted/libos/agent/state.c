// SPDX-License-Identifier: Apache-2.0
// The enclave's agent, made when it is first needed.
#include "lib/settings.h"
#include "lib/sha2.h"
#include "trusted/agent/core.h"
#include "trusted/libos/agent/agent.h"

static struct {
    struct sh_view manifest, launch;
    struct agent *agent;
} state;

void agent_init(struct sh_view manifest, struct sh_view launch)
{
    state.manifest = manifest;
    state.launch = launch;
}

bool agent_replaced(void)
{
    return settings.agent[0];
}

struct agent *agent_state(void)
{
    uint8_t identity[48];
    if (state.agent)
        return state.agent;
    state.agent = agent_new(&settings, state.launch);
    sh_sha384(identity, state.manifest.data, state.manifest.size);
    if (state.agent)
        agent_set_image(state.agent, identity);
    return state.agent;
}
