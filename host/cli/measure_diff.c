// SPDX-License-Identifier: Apache-2.0
// shelter measure --diff: the first event, page or field in which two measurements differ.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/cli/measure.h"
#include "host/image/write/reference_read.h"
#include "verifier/base/bytes.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"
#include "verifier/measure/steps.h"
#include "verifier/quote/evidence.h"

#define FILE_MAX (8u << 20)

/* What the image is compared with; objects are owned. `steps` may be empty. */
struct other {
    cJSON *measurement, *steps;
};

static int count_equal(const cJSON *a, const cJSON *b)
{
    const cJSON *x;
    int n = 0;
    cJSON_ArrayForEach(x, a) n += cJSON_Compare(x, sv_json_get(b, x->string), true);
    return n;
}

/* The entry of a reference.json for this launch that is most like the prediction. */
static const cJSON *nearest_entry(const cJSON *file, const cJSON *prediction)
{
    const cJSON *entry, *best = NULL;
    int most = -1;
    cJSON_ArrayForEach(entry, sv_json_get(file, "references"))
    {
        const char *boot = sv_json_text(entry, "boot");
        if (strcmp(sv_json_text(entry, "tee"), sv_json_text(prediction, "tee")) ||
            (*boot && strcmp(boot, sv_json_text(prediction, "boot"))))
            continue;
        int n =
            2 * count_equal(sv_json_get(entry, "measurement"),
                            sv_json_get(prediction, "measurement")) +
            cJSON_Compare(sv_json_get(entry, "memory"), sv_json_get(prediction, "memory"), true);
        if (n > most) {
            most = n;
            best = entry;
        }
    }
    return best;
}

static int read_evidence(const uint8_t *data, size_t size, const char *path, struct other *out,
                         struct sh_error *err)
{
    struct shelter_verdict *v = NULL;
    struct shelter_verify_request rq = {
        .size = sizeof(rq), .evidence = data, .evidence_size = size};
    /* Judged by nobody: what is wanted is its log and its registers. */
    if (shelter_verify(&rq, &v))
        return sh_fail(err, -ENOMEM, "out of memory");
    cJSON *claims = cJSON_Duplicate(v->claims, true);
    int r = 0;
    if (!v->have_report_data)
        r = sh_fail(err, -EBADMSG,
                    "%s is neither a prediction nor a reference.json, event log or evidence", path);
    if (v->event_log)
        sv_step_log(out->steps, v->event_log, v->event_log_size);
    out->measurement = claims;
    shelter_verdict_free(v);
    return r;
}

static int read_file(const char *path, const cJSON *prediction, struct other *out,
                     struct sh_error *err)
{
    cleanup_free uint8_t *data = NULL;
    size_t size;
    int r = sv_read_file(path, FILE_MAX, &data, &size);
    if (r)
        return sh_fail_errno(err, r, "cannot read %s", path);
    if (size && *data != '{') { /* no JSON object: a log, if it can be read as one */
        if (sv_step_log(out->steps, data, size) && out->steps->child)
            return 0;
        return read_evidence(data, size, path, out, err);
    }
    cJSON *root = sv_json_read((char *)data, size, 1000000, NULL, 0);
    const cJSON *from = root;
    if (sv_json_get(root, "references")) {
        from = nearest_entry(root, prediction);
        if (!from)
            r = sh_fail(err, -ENOENT, "%s has no reference value for %s", path,
                        sv_json_text(prediction, "tee"));
    } else if (!sv_json_get(root, "measurement")) {
        r = read_evidence(data, size, path, out, err);
        from = NULL;
    }
    if (!r && from) {
        const cJSON *step;
        out->measurement = cJSON_Duplicate(sv_json_get(from, "measurement"), true);
        cJSON_ArrayForEach(step, sv_json_get(from, "events"))
            cJSON_AddItemToArray(out->steps, cJSON_Duplicate(step, true));
    }
    cJSON_Delete(root);
    return r;
}

static int read_other(const char *with, struct sh_predict what, const cJSON *prediction,
                      struct other *out, struct sh_error *err)
{
    cJSON *result = NULL;
    out->steps = cJSON_CreateArray();
    if (sh_is_path(with))
        return read_file(with, prediction, out, err);
    what.steps = out->steps;
    int r = sh_measure_image(with, &what, &result, err);
    if (!r)
        out->measurement = cJSON_DetachItemFromObjectCaseSensitive(result, "measurement");
    cJSON_Delete(result);
    return r;
}

/* A field without steps: "rtmr" register by register, lists of alternatives by membership. */
static bool value_differs(const cJSON *want, const cJSON *have, const char *name,
                          struct sv_difference *d)
{
    const cJSON *item, *list = cJSON_IsArray(have) ? have : NULL;
    if (!want || !have || cJSON_IsNull(want) || cJSON_IsNull(have))
        return false;
    cJSON_ArrayForEach(item, list) if (cJSON_Compare(item, want, true)) return false;
    if (cJSON_Compare(want, have, true))
        return false;
    sv_field_differs(name, cJSON_IsString(want) ? want->valuestring : "",
                     cJSON_IsString(have) ? have->valuestring : "", d);
    return true;
}

static bool measurement_differs(const cJSON *want, const cJSON *have, struct sv_difference *d)
{
    const cJSON *field;
    cJSON_ArrayForEach(field, have)
    {
        const cJSON *other = sv_json_get(want, field->string);
        if (strcmp(field->string, "rtmr")) {
            if (value_differs(other, field, field->string, d))
                return true;
            continue;
        }
        for (int i = 0; i < 4; i++) {
            char name[] = "rtmr0";
            name[4] = (char)('0' + i);
            if (value_differs(cJSON_GetArrayItem(other, i), cJSON_GetArrayItem(field, i), name, d))
                return true;
        }
    }
    return false;
}

static void print_difference(const struct sv_difference *d, const char *with, bool json)
{
    char text[240];
    if (!json) {
        sv_difference_text(d, text, sizeof(text));
        printf("%s\n", text);
        if (d->want[0] || d->have[0])
            printf("  %s %s\n  here %s\n", with, d->have[0] ? d->have : "-",
                   d->want[0] ? d->want : "-");
        if (d->have_what[0] && strcmp(d->have_what, d->what))
            printf("  there it is %s\n", d->have_what);
        return;
    }
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "field", d->field);
    if (d->number) {
        cJSON_AddNumberToObject(o, "event", d->number);
        cJSON_AddStringToObject(o, "what", d->what);
        cJSON_AddStringToObject(o, "found", d->have_what);
    }
    cJSON_AddStringToObject(o, "expected", d->want);
    cJSON_AddStringToObject(o, "got", d->have);
    cJSON_AddStringToObject(o, "probably", d->probably);
    cleanup_free char *out = cJSON_Print(o);
    puts(out);
    cJSON_Delete(o);
}

int sh_measure_diff(const char *image, const struct sh_predict *what, const char *with, bool json)
{
    struct sh_predict mine = *what;
    struct other other = {0};
    struct sv_difference d;
    struct sh_error err = {0};
    cJSON *result = NULL;
    mine.steps = cJSON_CreateArray();
    int r = sh_measure_image(image, &mine, &result, &err);
    if (!r)
        r = read_other(with, *what, result, &other, &err);
    bool differs =
        !r && (sv_steps_differ(mine.steps, other.steps, &d) ||
               measurement_differs(sv_json_get(result, "measurement"), other.measurement, &d));
    if (differs)
        print_difference(&d, with, json);
    else if (!r)
        puts(json ? "null" : "nothing differs");
    cJSON_Delete(mine.steps);
    cJSON_Delete(result);
    cJSON_Delete(other.steps);
    cJSON_Delete(other.measurement);
    return r ? sh_error_report(&err) : differs;
}
