// SPDX-License-Identifier: Apache-2.0
// Writes reference.json: base files by digest, and expected measurements.
#include "host/image/write/reference.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "host/image/write/base.h"
#include "host/launch/predict.h"
#include "lib/hex.h"

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
                            : why == -ENOEXEC ? "the image has no guest kernel"
                                              : "the base files cannot be measured");
    cJSON_AddItemToArray(missing, o);
}

/* Turns a prediction into a reference: what the host may choose goes. */
static cJSON *reference_of(cJSON *prediction, uint64_t memory)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *m = cJSON_DetachItemFromObjectCaseSensitive(prediction, "measurement");
    cJSON *rtmr = cJSON_GetObjectItemCaseSensitive(m, "rtmr");
    const char *firmware =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(prediction, "firmware"));
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

/* SNP: every count of vCPUs of every model that QEMU may be asked for. */
static int add_snp(cJSON *references, const struct sh_image *image, const char *firmware,
                   struct sh_error *err)
{
    static const char *const models[] = {SH_QEMU_SNP_CPU, "EPYC-Rome", "EPYC-Milan", "EPYC-Genoa",
                                         "EPYC-Turin"};
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        struct sh_predict what = {.tee = "snp", .boot = SH_QEMU_BOOT_BZIMAGE, .firmware = firmware,
                                  .cpu_model = models[i], .cpus = SH_LAUNCH_CPUS_MAX,
                                  .every_cpu_count = true};
        cJSON *prediction = NULL;
        int r = sh_predict_image(image, &what, &prediction, err);
        if (r)
            return r;
        cJSON *o = reference_of(prediction, 0);
        cJSON_AddItemToObject(o, "cpus",
                              cJSON_CreateIntArray((const int[]){1, SH_LAUNCH_CPUS_MAX}, 2));
        cJSON_AddItemToArray(references, o);
        cJSON_Delete(prediction);
    }
    return 0;
}

/* One TEE and way of booting; sizes from small to large, equal neighbours only once. */
static int add_references(cJSON *references, const struct sh_image *image, const char *tee,
                          enum sh_qemu_boot boot, const char *firmware, struct sh_error *err)
{
    static const uint64_t sizes[] = {64ull << 20,   128ull << 20,  256ull << 20,  512ull << 20,
                                     768ull << 20,  1024ull << 20, 1536ull << 20, 2048ull << 20,
                                     3072ull << 20, 4096ull << 20};
    size_t count = boot == SH_QEMU_BOOT_PVH ? 1 : sizeof(sizes) / sizeof(sizes[0]);
    cJSON *last = NULL;
    if (!strcmp(tee, "snp"))
        return add_snp(references, image, firmware, err);
    for (size_t i = 0; i < count; i++) {
        struct sh_predict what = {.tee = tee, .boot = boot, .memory = sizes[i], .cpus = 1,
                                  .firmware = firmware};
        cJSON *prediction = NULL;
        int r = sh_predict_image(image, &what, &prediction, err);
        if (r)
            return r;
        cJSON *o = reference_of(prediction, count > 1 ? sizes[i] : 0);
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

static int add_all(cJSON *top, const struct sh_image *image, const struct sh_strings *firmware,
                   struct sh_error *err)
{
    cJSON *references = cJSON_AddArrayToObject(top, "references");
    cJSON *missing = cJSON_AddArrayToObject(top, "missing");
    static const struct {
        const char *tee;
        enum sh_qemu_boot boot;
        const char *boot_name; /* where there are several */
    } kinds[] = {{"tdx-sim", SH_QEMU_BOOT_PVH, "pvh"},
                 {"tdx-sim", SH_QEMU_BOOT_BZIMAGE, "bzimage"},
                 {"tdx", SH_QEMU_BOOT_BZIMAGE, NULL},
                 {"snp", SH_QEMU_BOOT_BZIMAGE, NULL},
                 {"csv", SH_QEMU_BOOT_BZIMAGE, NULL}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct sh_error why = {0};
        const char *file = firmware_of(firmware, kinds[i].tee);
        if (file && kinds[i].boot == SH_QEMU_BOOT_PVH)
            file = NULL; /* qboot's place */
        int r = sh_base_has(image->dir_fd, 0) ? add_references(references, image, kinds[i].tee,
                                                               kinds[i].boot, file, &why)
                                              : -ENOEXEC;
        if (r && r != -ENOEXEC && file)
            return sh_fail(err, r, "%s", why.text);
        if (r)
            add_missing(missing, kinds[i].tee, kinds[i].boot_name, r);
    }
    /* One MRENCLAVE for both; MRSIGNER is whoever signs on the machine that runs it. */
    static const char *const enclaves[] = {"sgx", "sgx-sim"};
    for (size_t i = 0; i < 2 && sh_base_has(image->dir_fd, SH_BASE_ENCLAVE); i++) {
        struct sh_error ignored = {0};
        add_references(references, image, enclaves[i], SH_QEMU_BOOT_PVH, NULL, &ignored);
    }
    return 0;
}

int sh_reference_write(int dir_fd, const char *id, const struct sh_strings *firmware,
                       struct sh_error *err)
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
        snprintf(image.id, sizeof(image.id), "%s", id);
        image.path = sh_format("/proc/self/fd/%d", dir_fd);
        r = add_all(top, &image, firmware, err);
        free(image.path);
    }
    free(image.manifest_bytes);
    cleanup_free char *text = r ? NULL : cJSON_Print(top);
    cJSON_Delete(top);
    if (!r)
        r = sh_write_file(dir_fd, "reference.json", text, strlen(text), 0644, err);
    return r;
}
