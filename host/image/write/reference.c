// SPDX-License-Identifier: Apache-2.0
// Writes reference.json: base files by digest, and expected measurements.
#include "host/image/write/reference.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "host/base/temp.h"
#include "host/store/base_files.h"
#include "host/launch/launch.h"
#include "lib/hex.h"
#include "verifier/base/json.h"

static int add_digest(cJSON *o, const char *name, int dir_fd, const char *path,
                      struct sh_error *err)
{
    uint8_t digest[48];
    char text[97];
    int r = sh_digest_file(dir_fd, path, digest, err);
    if (r)
        return r;
    sh_hex(text, digest, sizeof(digest));
    cJSON_AddStringToObject(o, name, text);
    return 0;
}

static void add_missing(cJSON *missing, const char *tee, const char *boot, int why)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "tee", tee);
    if (boot)
        cJSON_AddStringToObject(o, "boot", boot);
    cJSON_AddStringToObject(o, "reason",
                            why == -ENOENT    ? "its firmware was not on the build machine"
                            : why == -ENODATA ? "it cannot be predicted"
                            : why == -ENOEXEC ? "the image has nothing that it starts"
                                              : "the base files cannot be measured");
    cJSON_AddItemToArray(missing, o);
}

/* The events of registers that a reference has: a verifier names the one that differs. */
static void keep_events(cJSON *o, cJSON *steps)
{
    cJSON *events = cJSON_CreateArray();
    for (cJSON *s = steps->child, *next; s; s = next) {
        const char *field = sv_json_text(s, "field");
        next = s->next;
        if (!strcmp(field, "rtmr1") || !strcmp(field, "rtmr2"))
            cJSON_AddItemToArray(events, cJSON_DetachItemViaPointer(steps, s));
    }
    if (events->child)
        cJSON_AddItemToObject(o, "events", events);
    else
        cJSON_Delete(events);
}

/* Turns a prediction into a reference: what the host may choose goes. */
static cJSON *reference_of(cJSON *prediction, uint64_t memory)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *m = cJSON_DetachItemFromObjectCaseSensitive(prediction, "measurement");
    cJSON *rtmr = cJSON_GetObjectItemCaseSensitive(m, "rtmr");
    const char *firmware = sv_json_string(prediction, "firmware");
    static const char *const names[] = {"tee", "boot", "cpu_model"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        cJSON_AddItemToObject(o, names[i],
                              cJSON_DetachItemFromObjectCaseSensitive(prediction, names[i]));
    if (firmware) {
        struct sh_error ignored = {0};
        const char *slash = strrchr(firmware, '/');
        cJSON *f = cJSON_AddObjectToObject(o, "firmware");
        cJSON_AddStringToObject(f, "name", slash ? slash + 1 : firmware);
        add_digest(f, "sha384", AT_FDCWD, firmware, &ignored);
    }
    if (memory)
        cJSON_AddNumberToObject(o, "memory", (double)memory);
    if (cJSON_GetArraySize(rtmr) == 4) {
        cJSON_ReplaceItemInArray(rtmr, 0, cJSON_CreateNull());
        cJSON_ReplaceItemInArray(rtmr, 3, cJSON_CreateNull());
    }
    cJSON_AddItemToObject(o, "measurement", m);
    return o;
}

/* One kind of a TEE's reference values; sizes of memory from small to large where they matter,
 * equal neighbours only once. */
static int add_references(cJSON *references, const struct sh_image *image,
                          const struct sh_backend *backend, const struct sh_reference_kind *kind,
                          const char *firmware, struct sh_error *err)
{
    static const uint64_t sizes[] = {64ull << 20,   128ull << 20,  256ull << 20,  512ull << 20,
                                     768ull << 20,  1024ull << 20, 1536ull << 20, 2048ull << 20,
                                     3072ull << 20, 4096ull << 20};
    size_t count = kind->by_memory ? sizeof(sizes) / sizeof(sizes[0]) : 1;
    cJSON *last = NULL;
    for (size_t i = 0; i < count; i++) {
        struct sh_predict what = {.tee = backend->name,
                                  .boot = kind->boot,
                                  .firmware = firmware,
                                  .memory = kind->by_memory ? sizes[i] : 0,
                                  .cpus = kind->every_cpu_count ? SH_LAUNCH_CPUS_MAX : 1,
                                  .cpu_model = kind->cpu_model,
                                  .every_cpu_count = kind->every_cpu_count,
                                  .steps = cJSON_CreateArray()};
        cJSON *prediction = NULL;
        int r = sh_predict_image(image, &what, &prediction, err);
        cJSON *o = r ? NULL : reference_of(prediction, what.memory);
        if (o)
            keep_events(o, what.steps);
        cJSON_Delete(what.steps);
        if (r)
            return r;
        if (kind->every_cpu_count)
            cJSON_AddItemToObject(o, "cpus",
                                  cJSON_CreateIntArray((const int[]){1, SH_LAUNCH_CPUS_MAX}, 2));
        cJSON_Delete(prediction);
        if (last && cJSON_Compare(cJSON_GetObjectItemCaseSensitive(last, "measurement"),
                                  cJSON_GetObjectItemCaseSensitive(o, "measurement"), true)) {
            cJSON_Delete(o);
            continue;
        }
        cJSON_AddItemToArray(references, o);
        last = o;
    }
    return 0;
}

/* The file of "TEE=FILE", or NULL. */
static const char *firmware_of(const struct sh_strings *firmware, const char *tee)
{
    size_t n = strlen(tee);
    for (size_t i = 0; i < firmware->count; i++)
        if (!strncmp(firmware->v[i], tee, n) && firmware->v[i][n] == '=')
            return firmware->v[i] + n + 1;
    return NULL;
}

static int add_tee(cJSON *top, const struct sh_image *image, const struct sh_backend *backend,
                   const char *firmware, struct sh_error *err)
{
    cJSON *references = cJSON_GetObjectItemCaseSensitive(top, "references");
    cJSON *missing = cJSON_GetObjectItemCaseSensitive(top, "missing");
    struct sh_error why = {0};
    if (backend->check_image(image->dir_fd, &why)) {
        add_missing(missing, backend->name, NULL, -ENOEXEC);
        return 0;
    }
    for (size_t i = 0; i < backend->kind_count; i++) {
        const struct sh_reference_kind *kind = &backend->kinds[i];
        const char *file = kind->own_firmware ? NULL : firmware;
        int r = add_references(references, image, backend, kind, file, &why);
        if (r && file)
            return sh_fail(err, r, "%s", why.text);
        if (r)
            add_missing(missing, backend->name, kind->name, r);
        if (r && !kind->name)
            break;
    }
    return 0;
}

static int add_all(cJSON *top, const struct sh_image *image, const struct sh_strings *firmware,
                   struct sh_error *err)
{
    const struct sh_backend *backend;
    int r = 0;
    cJSON_AddArrayToObject(top, "references");
    cJSON_AddArrayToObject(top, "missing");
    for (size_t i = 0; !r && (backend = sh_backend_at(i)); i++)
        r = add_tee(top, image, backend, firmware_of(firmware, backend->name), err);
    return r;
}

/* *reference is NULL on failure. */
static int make_reference(int dir_fd, const char *id, const struct sh_strings *firmware,
                          cJSON **reference, struct sh_error *err)
{
    struct sh_image image = {.dir_fd = dir_fd};
    cJSON *top = cJSON_CreateObject();
    cJSON_AddNumberToObject(top, "version", 1);
    cJSON_AddStringToObject(top, "image", id);
    cJSON *base = cJSON_AddObjectToObject(top, "base");
    int r = 0;
    for (size_t i = 0; !r && i < SH_BASE_COUNT; i++) {
        cleanup_free char *path = sh_format("base/%s", sh_base_names[i]);
        if (!sh_base_has(dir_fd, i))
            continue;
        r = add_digest(base, sh_base_names[i], dir_fd, path, err);
    }
    if (!r)
        r = sh_read_file(dir_fd, "manifest", SH_MANIFEST_SIZE_MAX, &image.manifest_bytes,
                         &image.manifest_size, err);
    if (!r && sh_manifest_parse(&image.manifest, image.manifest_bytes, image.manifest_size))
        r = sh_fail(err, -EBADMSG, "the manifest is damaged");
    if (!r) {
        cleanup_free char *hex = sh_alloc(2 * image.manifest_size + 1);
        sh_hex(hex, image.manifest_bytes, image.manifest_size);
        cJSON_AddStringToObject(top, "manifest", hex); /* a broker works out what a host chose */
        snprintf(image.id, sizeof(image.id), "%s", id);
        image.path = sh_format("/proc/self/fd/%d", dir_fd);
        r = add_all(top, &image, firmware, err);
        free(image.path);
    }
    free(image.manifest_bytes);
    if (r)
        cJSON_Delete(top);
    *reference = r ? NULL : top;
    return r;
}

int sh_reference_write(int dir_fd, const char *id, const struct sh_strings *firmware,
                       struct sh_error *err)
{
    cJSON *top;
    int r = make_reference(dir_fd, id, firmware, &top, err);
    if (r)
        return r;
    cleanup_free char *text = cJSON_Print(top);
    cJSON_Delete(top);
    return sh_write_file(dir_fd, "reference.json", text, strlen(text), 0644, err);
}

int sh_reference_firmware(struct sh_strings *firmware, const char *text, struct sh_error *err)
{
    if (strncmp(text, "snp=", 4) && strncmp(text, "tdx=", 4) && strncmp(text, "tdx-sim=", 8))
        return sh_fail(err, -EINVAL, "--firmware %s: write snp=FILE, tdx=FILE or tdx-sim=FILE",
                       text);
    sh_strings_add(firmware, text);
    return 0;
}

/* --- what somebody else wrote --- */

static bool same_member(const cJSON *a, const cJSON *b, const char *name)
{
    const cJSON *x = sv_json_get(a, name), *y = sv_json_get(b, name);
    return (!x && !y) || cJSON_Compare(x, y, true);
}

/* Are both about the same launch, so that their measurements must be equal? A firmware's name is no
 * matter, its bytes are. */
static bool same_launch(const cJSON *a, const cJSON *b)
{
    return same_member(a, b, "tee") && same_member(a, b, "boot") &&
           same_member(a, b, "cpu_model") && same_member(a, b, "memory") &&
           same_member(sv_json_get(a, "firmware"), sv_json_get(b, "firmware"), "sha384");
}

/* Holds each claimed value against the computed ones. */
static int compare_values(const cJSON *claimed, const cJSON *computed, size_t *left_out,
                          struct sh_error *err)
{
    const cJSON *a, *b;
    cJSON_ArrayForEach(a, sv_json_get(claimed, "references"))
    {
        bool found = false;
        cJSON_ArrayForEach(b, sv_json_get(computed, "references"))
        {
            if (!same_launch(a, b))
                continue;
            found = true;
            if (!same_member(a, b, "measurement") || !same_member(a, b, "cpus"))
                return sh_fail(err, -EBADMSG,
                               "its reference.json was changed: it says another measurement for %s "
                               "than its files give",
                               cJSON_IsString(sv_json_get(a, "tee"))
                                   ? sv_json_get(a, "tee")->valuestring
                                   : "a TEE");
        }
        *left_out += !found;
    }
    return 0;
}

int sh_reference_compute(int dir_fd, const char *id, const struct sh_strings *firmware,
                         const cJSON *claimed, cJSON **reference, size_t *left_out,
                         struct sh_error *err)
{
    static const struct sh_strings none;
    *left_out = 0;
    int r = make_reference(dir_fd, id, firmware ? firmware : &none, reference, err);
    if (!r && claimed)
        r = compare_values(claimed, *reference, left_out, err);
    if (r) {
        cJSON_Delete(*reference);
        *reference = NULL;
    }
    return r;
}
