// SPDX-License-Identifier: Apache-2.0
// What happens at run time, measured: a log of events in CoCo's format (AAEL), and the register
// that it comes to. Where the TEE has a register of its own (RTMR3) that one is extended; else the
// log is bound into the report data of what is attested later.
//
//   header   EV_NO_ACTION, "Spec ID Event03", SHA-384 only     (TCG PC Client Platform, 10.4.5.1)
//   event    u32 register | u32 EV_EVENT_TAG | u32 1 | u16 SHA-384, digest 48 | u32 size | data
//   data     u32 "AAEL" | u32 size | DOMAIN ' ' OPERATION ' ' CONTENT             little endian
//
// The digest is of the data; register = SHA-384(register || digest), beginning with zeros.
//
// Attacks expected here: the workload says what it likes of itself, as often as it likes. It cannot
// take back what was said, nor speak for us (domain "shelter"); the log is bounded, and what does
// not fit is refused, not dropped.
#include <asm/errno.h>
#include <string.h>

#include "lib/hex.h"
#include "lib/sha2.h"
#include "trusted/agent/state.h"

#define EV_EVENT_TAG 6u
#define TAG_AAEL 0x4141454cu
#define RTMR3 4u /* registers of a CCEL count from 1 */

static void put_header(struct agent_text *log)
{
    uint8_t h[65] = {0};
    h[4] = 3; /* EV_NO_ACTION */
    h[28] = 33;
    memcpy(h + 32, "Spec ID Event03", 15);
    h[53] = 2; /* version 2.0, 64 bits */
    h[55] = 2;
    h[56] = 1; /* algorithms */
    h[60] = 0x0c;
    h[62] = 48;
    agent_text_add(log, h, sizeof(h));
}

static bool is_word(const char *text, bool spaces)
{
    if (!spaces && !*text)
        return false;
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f || (!spaces && *text == ' '))
            return false;
    return true;
}

static void put_event(struct agent_events *x, const struct agent_text *data,
                      const uint8_t digest[48])
{
    uint8_t head[14] = {0}, size[4];
    sh_put_le32(head, RTMR3);
    sh_put_le32(head + 4, EV_EVENT_TAG);
    sh_put_le32(head + 8, 1);
    head[12] = 0x0c;
    sh_put_le32(size, (uint32_t)data->size);
    agent_text_add(&x->log, head, sizeof(head));
    agent_text_add(&x->log, digest, 48);
    agent_text_add(&x->log, size, sizeof(size));
    agent_text_add(&x->log, data->data, data->size);
}

static int add_event(struct agent_events *x, const char *domain, const char *operation,
                     const char *content, struct agent_error *e)
{
    struct agent_text data = {0};
    size_t size = strlen(domain) + strlen(operation) + strlen(content) + 2;
    uint8_t head[8], digest[48], both[96];
    if (x->log.size + size + 128 > AGENT_EVENTS_MAX)
        return agent_fail(e, -ENOSPC, "the log of measured events is full", NULL);
    sh_put_le32(head, TAG_AAEL);
    sh_put_le32(head + 4, (uint32_t)size);
    agent_text_add(&data, head, sizeof(head));
    agent_text_str(&data, domain);
    agent_text_str(&data, " ");
    agent_text_str(&data, operation);
    agent_text_str(&data, " ");
    agent_text_str(&data, content);
    if (!data.failed)
        sh_sha384(digest, data.data, data.size);
    /* Log first: a register that was extended by what no log shows fits nothing any more. */
    if (!data.failed && !x->log.size)
        put_header(&x->log);
    if (!data.failed)
        put_event(x, &data, digest);
    int rc = data.failed || x->log.failed ? -ENOMEM : agent_os_extend(digest);
    agent_text_free(&data);
    if (rc && rc != -ENODEV) {
        x->broken = true;
        return agent_fail(e, rc, "the event cannot be measured", NULL);
    }
    x->in_register = !rc;
    memcpy(both, x->mr, 48);
    memcpy(both + 48, digest, 48);
    sh_sha384(x->mr, both, sizeof(both));
    return 0;
}

int agent_event(struct agent *a, const char *domain, const char *operation, const char *content,
                struct agent_error *e)
{
    struct agent_events *x = &a->events;
    char hex[97];
    uint8_t digest[48];
    if (x->broken)
        return agent_fail(e, -EIO, "an earlier event could not be measured", NULL);
    if (!is_word(domain, false) || !is_word(operation, false) || !is_word(content, true))
        return agent_fail(e, -EINVAL,
                          "domain and operation are words without spaces, and nothing has control "
                          "characters",
                          NULL);
    /* What runs comes first, once there is a log at all. */
    if (!x->log.size) {
        sh_hex(hex, a->image, 48);
        int rc = add_event(x, "shelter", "image", hex, e);
        sh_sha384(digest, a->launch.data, a->launch.size);
        sh_hex(hex, digest, 48);
        if (rc || (rc = add_event(x, "shelter", "launch", hex, e)))
            return rc;
    }
    /* A token from before shows less than there is: the next request attests anew. */
    if (a->takes_log || x->in_register)
        agent_text_free(&a->token);
    return add_event(x, domain, operation, content, e);
}

void agent_events_free(struct agent_events *x)
{
    agent_text_free(&x->log);
}
