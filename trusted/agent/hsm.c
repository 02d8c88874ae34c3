// SPDX-License-Identifier: Apache-2.0
// A key of the broker's token signs or unwraps for the workload (docs/broker.md, "Keys in tokens").
// What the workload asks is for the broker to judge; what is unwrapped comes encrypted to our key.
#include <asm/errno.h>
#include <string.h>

#include "trusted/agent/state.h"

static const char prefix[] = "/kbs/v0/hsm/";

static int take_answer(struct agent *a, const struct agent_response *r, bool sealed, uint8_t **out,
                       size_t *size, struct agent_error *e)
{
    struct agent_json o;
    int rc = agent_body(a, r, &o, e);
    if (rc || sealed)
        return rc ? rc : agent_jwe_open(a->key, o, out, size, e);
    *out = agent_os_alloc(r->body.size);
    if (!*out)
        return agent_fail(e, -ENOMEM, "no memory for the answer", NULL);
    memcpy(*out, r->body.data, r->body.size);
    *size = r->body.size;
    return 0;
}

int agent_hsm(struct agent *a, const char *path, struct sh_view body, uint8_t **out, size_t *size,
              struct agent_error *e)
{
    char full[sizeof(prefix) + 8 + 256];
    struct agent_response r;
    bool sealed = !strncmp(path, "unwrap/", 7);
    size_t n = strlen(path), word = sealed ? 7 : 5;
    if (!sealed && strncmp(path, "sign/", 5))
        return agent_fail(e, -ENOENT, "a key signs or unwraps", NULL);
    int rc = agent_may_ask(a, path + word, e); /* so its length is bounded */
    if (rc)
        return rc;
    memcpy(full, prefix, sizeof(prefix) - 1);
    memcpy(full + sizeof(prefix) - 1, path, n + 1);
    struct agent_call call = {
        .method = "POST", .path = full, .body = (const char *)body.data, .body_size = body.size};
    rc = agent_ask(a, &call, &r, e);
    if (rc)
        return rc;
    rc = r.status == 200 ? take_answer(a, &r, sealed, out, size, e)
                         : agent_refused(a, &r, path + word, e);
    if (r.status == 400) /* of the workload's own words */
        rc = -EINVAL;
    agent_response_free(&r);
    return rc;
}
