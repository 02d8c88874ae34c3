// SPDX-License-Identifier: Apache-2.0
// Event logs as a JSON array, in dstack's form: boot events by their data, run-time events in RTMR3
// by name and payload.
#include "verifier/measure/tdx_eventlog.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

#define RUNTIME_EVENT 0x08000001u

// SHA-384(type, little-endian || ":" || name || ":" || payload)
static int runtime_digest(const struct sv_event *event, const char *name, uint8_t out[48])
{
    static const uint8_t type[4] = {RUNTIME_EVENT & 0xff, 0, 0, RUNTIME_EVENT >> 24};
    EVP_MD_CTX *h = EVP_MD_CTX_new();
    bool ok = h && EVP_DigestInit_ex(h, EVP_sha384(), NULL) && EVP_DigestUpdate(h, type, 4) &&
              EVP_DigestUpdate(h, ":", 1) && EVP_DigestUpdate(h, name, strlen(name)) &&
              EVP_DigestUpdate(h, ":", 1) &&
              EVP_DigestUpdate(h, event->data.data, event->data.size) &&
              EVP_DigestFinal_ex(h, out, NULL);

    EVP_MD_CTX_free(h);
    return ok ? 0 : -ENOMEM;
}

static int check(const struct sv_event *event, const char *name)
{
    uint8_t digest[48];

    if (event->type == RUNTIME_EVENT) {
        int rc = runtime_digest(event, name, digest);

        return rc ? rc : memcmp(digest, event->digest, 48) ? -EKEYREJECTED : 0;
    }
    // What was measured at boot may have been left out.
    return event->data.size && sv_event_digest_check(event) == SV_DIGEST_FALSE ? -EKEYREJECTED : 0;
}

// {"imr": 0..3, "event_type": n, "digest": hex, "event": name, "event_payload": hex}
static int extend(const cJSON *item, uint8_t rtmr[4][48])
{
    const char *payload = sv_json_text(item, "event_payload");
    const char *digest = sv_json_text(item, "digest");
    struct sv_event event = {0};
    uint64_t imr, type;
    uint8_t bytes[48], *data;
    int rc;

    if (!sv_json_number(item, "imr", 3, &imr) ||
        !sv_json_number(item, "event_type", UINT32_MAX, &type) || strlen(digest) != 96 ||
        sh_unhex(bytes, 48, digest))
        return -EBADMSG;
    data = *payload ? sv_unhex_new(payload, &event.data.size) : NULL;
    if (*payload && !data)
        return -EBADMSG;
    event.mr = (uint32_t)imr + 1;
    event.type = (uint32_t)type;
    event.digest = bytes;
    event.data.data = data;
    rc = check(&event, sv_json_text(item, "event"));
    if (!rc)
        sv_event_extend(&event, rtmr);
    free(data);
    return rc;
}

int sv_event_log_json(const char *text, size_t size, uint8_t rtmr[4][48], char *why,
                      size_t why_size)
{
    cJSON *log = sv_json_read(text, size, SV_JSON_VALUES_MAX, NULL, 0);
    const cJSON *item;
    int rc = cJSON_IsArray(log) ? 0 : -EBADMSG, number = 0;

    if (rc)
        snprintf(why, why_size, "it is not a JSON array of events");
    cJSON_ArrayForEach(item, log)
    {
        rc = ++number > SV_EVENTS_MAX ? -EBADMSG : extend(item, rtmr);
        if (rc) {
            snprintf(why, why_size, "event %d", number);
            break;
        }
    }
    cJSON_Delete(log);
    return rc;
}
