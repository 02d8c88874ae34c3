// SPDX-License-Identifier: Apache-2.0
// Steps of measurements, and the first that differs.
#include "verifier/measure/steps.h"
#include "verifier/measure/tdx_eventlog.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#define DIGEST_MAX 48u

void sv_step_add(cJSON *steps, const char *field, const char *what, const void *digest,
                 size_t digest_size)
{
    char hex[2 * DIGEST_MAX + 1];
    cJSON *o = steps ? cJSON_CreateObject() : NULL;

    if (!o || digest_size > DIGEST_MAX)
        return;
    sh_hex(hex, digest, digest_size);
    cJSON_AddStringToObject(o, "field", field);
    cJSON_AddStringToObject(o, "what", what);
    cJSON_AddStringToObject(o, "digest", hex);
    cJSON_AddItemToArray(steps, o);
}

void sv_step_data(cJSON *steps, const char *field, const char *what, const void *data, size_t size)
{
    uint8_t digest[48];

    if (!steps)
        return;
    SHA384(data, size, digest);
    sv_step_add(steps, field, what, digest, sizeof(digest));
}

void sv_step_page(cJSON *steps, const char *field, const char *what, uint64_t address,
                  uint64_t kind, const void *page)
{
    uint8_t all[16 + 4096] = {0};
    char text[64];

    if (!steps)
        return;
    sh_put_le64(all, address);
    sh_put_le64(all + 8, kind);
    if (page)
        memcpy(all + 16, page, 4096);
    snprintf(text, sizeof(text), "%s, page 0x%llx", what, (unsigned long long)address);
    sv_step_data(steps, field, text, all, page ? sizeof(all) : 16);
}

// Text in ASCII or UTF-16LE is shown, cut; other data by its size.
static void describe_event(const struct sv_event *event, char out[96])
{
    size_t n = event->data.size,
           at = (size_t)snprintf(out, 96, "%s", sv_event_type_name(event->type));
    size_t width = n >= 4 && event->data.data[0] && !event->data.data[1] ? 2 : 1, shown = 0;
    const uint8_t *p = event->data.data;

    if (event->type == EV_EVENT_TAG && n >= 8) { // tag and size of CoCo's
        p += 8;
        n -= 8;
        width = 1;
    }
    for (size_t i = 0; i + width <= n && at + shown + 4 < 96; i += width, shown++) {
        if (p[i] < 0x20 || p[i] > 0x7e || (width == 2 && p[i + 1]))
            break;
        out[at + 2 + shown] = (char)p[i];
    }
    if (shown < 4) {
        snprintf(out + at, 96 - at, ", %zu bytes", n);
        return;
    }
    out[at] = ':';
    out[at + 1] = ' ';
    out[at + 2 + shown] = 0;
}

static bool add_binary(cJSON *steps, const void *data, size_t size)
{
    char field[] = "rtmr0", what[96];
    struct sv_event_log log;
    struct sv_event event;
    int rc = sv_event_log_open(data, size, &log);

    for (int i = 0; !rc && i < SV_EVENTS_MAX && (rc = sv_event_log_next(&log, &event)) == 1; i++) {
        rc = 0;
        if (event.type == EV_NO_ACTION || event.mr < 1 || event.mr > 4)
            continue;
        field[4] = (char)('0' + event.mr - 1);
        describe_event(&event, what);
        sv_step_add(steps, field, what, event.digest, 48);
    }
    return rc == 0;
}

bool sv_step_log(cJSON *steps, const void *data, size_t size)
{
    cJSON *list = NULL;
    const cJSON *item;
    char field[] = "rtmr0";
    uint8_t digest[48];
    uint64_t imr;
    bool ok = true;

    if (size && *(const char *)data != '[')
        return add_binary(steps, data, size);
    list = sv_json_read(data, size, SV_JSON_VALUES_MAX, NULL, 0);
    cJSON_ArrayForEach(item, list)
    {
        const char *hex = sv_json_text(item, "digest"), *name = sv_json_text(item, "event");

        ok = ok && sv_json_number(item, "imr", 3, &imr) && strlen(hex) == 96 &&
             !sh_unhex(digest, 48, hex);
        if (!ok)
            break;
        field[4] = (char)('0' + imr);
        sv_step_add(steps, field, *name ? name : "event", digest, 48);
    }
    cJSON_Delete(list);
    return ok && list;
}

// By the beginning of the step's name; "": the field alone.
static const struct {
    const char *field, *what, *probably;
} hints[] = {
    {"mrtd", "", "another firmware, or another version of it"},
    {"rtmr0", "",
     "another size of memory, number of CPUs, set of devices or version of the firmware"},
    {"rtmr1", "kernel",
     "another kernel; or another size of memory or initramfs, which QEMU writes into its header"},
    {"rtmr1", "boot", "another firmware, or another way to boot"},
    {"rtmr1", "", "another kernel, size of memory or way to boot"},
    {"rtmr2", "command line", "another image (its identity stands there), or a debug console"},
    {"rtmr2", "initramfs", "another version of what images are built with (base/initramfs)"},
    {"rtmr2", "", "another image (its identity is on the command line), or another initramfs"},
    {"rtmr3", "", "something was measured at run time that was not expected, or something was not"},
    {"launch_digest", "firmware", "another firmware, or another version of it"},
    {"launch_digest", "hash of the command line",
     "another image (its identity stands there), or a debug console"},
    {"launch_digest", "hash of the initramfs",
     "another version of what images are built with (base/initramfs)"},
    {"launch_digest", "hash of the kernel", "another kernel (base/bzImage)"},
    {"launch_digest", "CPU", "another number of CPUs, CPU model or SEV features"},
    {"launch_digest", "", "another image, firmware, kernel, CPU model or number of CPUs"},
    {"measurement", "", "another image, firmware, kernel, CPU model or number of CPUs"},
    {"mrenclave", "identity", "another image"},
    {"mrenclave", "enclave", "another version of what images are built with (base/enclave)"},
    {"mrenclave", "", "another image, or another version of what it was built with (base/enclave)"},
    {"mrsigner", "", "the enclave was signed with another key"},
    {"isvsvn", "", "another security version of the enclave"},
    {"measure", "", "another image, firmware, kernel or number of CPUs"},
};

static const char *hint_for(const char *field, const char *what)
{
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
        if (!strcmp(hints[i].field, field) &&
            !strncmp(hints[i].what, what, strlen(hints[i].what)) &&
            (*hints[i].what || !*what || i + 1 == sizeof(hints) / sizeof(hints[0]) ||
             strcmp(hints[i + 1].field, field)))
            return hints[i].probably;
    return "";
}

static void set_text(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text);
}

static const cJSON *next_of(const cJSON *item, const char *field)
{
    while (item && strcmp(sv_json_text(item, "field"), field))
        item = item->next;
    return item;
}

static bool field_differs(const cJSON *want, const cJSON *have, const char *field,
                          struct sv_difference *out)
{
    const cJSON *w = next_of(want ? want->child : NULL, field);
    const cJSON *h = next_of(have ? have->child : NULL, field);
    int number = 1;

    if (!w || !h)
        return false;
    while (w && h && !strcmp(sv_json_text(w, "digest"), sv_json_text(h, "digest"))) {
        w = next_of(w->next, field);
        h = next_of(h->next, field);
        number++;
    }
    if (!w && !h)
        return false;
    *out = (struct sv_difference){.number = number};
    set_text(out->field, sizeof(out->field), field);
    set_text(out->what, sizeof(out->what), sv_json_text(w ? w : h, "what"));
    set_text(out->want, sizeof(out->want), sv_json_text(w, "digest"));
    set_text(out->have, sizeof(out->have), sv_json_text(h, "digest"));
    set_text(out->have_what, sizeof(out->have_what), sv_json_text(h, "what"));
    out->probably = hint_for(field, out->what);
    return true;
}

bool sv_steps_differ(const cJSON *want, const cJSON *have, struct sv_difference *out)
{
    static const char *const fields[] = {"mrtd",  "rtmr0",         "rtmr1",    "rtmr2",
                                         "rtmr3", "launch_digest", "mrenclave"};

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (field_differs(want, have, fields[i], out))
            return true;
    return false;
}

void sv_field_differs(const char *field, const char *want, const char *have,
                      struct sv_difference *out)
{
    *out = (struct sv_difference){.probably = hint_for(field, "")};
    set_text(out->field, sizeof(out->field), field);
    set_text(out->want, sizeof(out->want), want);
    set_text(out->have, sizeof(out->have), have);
}

void sv_difference_text(const struct sv_difference *d, char *out, size_t size)
{
    bool pages = !strncmp(d->field, "mr", 2) || !strcmp(d->field, "launch_digest");
    size_t at = 0;

    if (d->number)
        at = (size_t)snprintf(out, size, "%s, %s %d (%s)%s", d->field, pages ? "step" : "event",
                              d->number, d->what,
                              !d->have[0]   ? " is missing"
                              : !d->want[0] ? " is one too many"
                                            : "");
    else
        at = (size_t)snprintf(out, size, "%s", d->field);
    if (*d->probably && at < size)
        snprintf(out + at, size - at, "; probably %s", d->probably);
}
