// SPDX-License-Identifier: Apache-2.0
// The guest's and the agent's small readers; the first byte chooses one.
#include <stdlib.h>
#include <string.h>

#include "trusted/agent/query.h"
#include "trusted/agent/exchange.h"
#include "trusted/guest/guest.h"
#include "trusted/copy/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void tar(const uint8_t *data, size_t size)
{
    static struct tar_entry e;
    static struct tar_extra x;
    memset(&x, 0, sizeof(x));
    if (size >= TAR_BLOCK && !tar_read(&e, data)) {
        tar_pax(&x, data + TAR_BLOCK, size - TAR_BLOCK);
        tar_apply(&e, &x);
        if (!tar_clean(e.name) && (e.name[0] == '/' || strstr(e.name, "/../")))
            abort();
    }
}

static void http(const uint8_t *data, size_t size)
{
    struct agent_request r;
    uint8_t value[16];
    int n = agent_request_parse(&r, (const char *)data, size);
    if (n > (int)size)
        abort();
    if (n > 0)
        agent_query_get(r.query, "runtime_data", value, sizeof(value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guest_error e;
    struct guest_cmdline line;
    struct guest_network network;
    struct guest_config config;
    struct sh_user user;
    if (size < 2)
        return 0;
    uint8_t which = *data++;
    size--;
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = 0;
    switch (which % 6) {
    case 0:
        guest_cmdline_parse(&line, text, &e);
        break;
    case 1:
        if (!guest_network_parse(&network, text) && network.prefix > 128)
            abort();
        sh_hostname_ok(text);
        break;
    case 2:
        if (!guest_config_split(&config, data, size, &e) &&
            config.launch.data + config.launch.size > data + size)
            abort();
        break;
    case 3:
        sh_user_resolve(&user, "app:media:1,2", text, size / 2, text + size / 2, size - size / 2);
        break;
    case 4:
        tar(data, size);
        break;
    default:
        http(data, size);
    }
    free(text);
    return 0;
}
