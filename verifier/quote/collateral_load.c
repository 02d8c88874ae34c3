// SPDX-License-Identifier: Apache-2.0
// Collateral from a folder or from one collateral.json.
#include "verifier/quote/collateral.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define HYGON_CHAIN_SIZE (832 + 2084)

static const struct {
    enum sv_part part;
    const char *file, *key;
} known[] = {
    {SV_PART_TCB_INFO, "tcb_info.json", "tcb_info"},
    {SV_PART_TCB_SIG, NULL, "tcb_info_signature"},
    {SV_PART_TCB_CHAIN, "tcb_signing_chain.pem", "tcb_info_issuer_chain"},
    {SV_PART_QE_IDENTITY, "qe_identity.json", "qe_identity"},
    {SV_PART_QE_SIG, NULL, "qe_identity_signature"},
    {SV_PART_QE_CHAIN, "qe_identity_issuer_chain.pem", "qe_identity_issuer_chain"},
    {SV_PART_PCK_CRL, "pck_crl.der", "pck_crl"},
    {SV_PART_PCK_CRL_CHAIN, "pck_crl_issuer_chain.pem", "pck_crl_issuer_chain"},
    {SV_PART_ROOT_CRL, "root_ca_crl.der", "root_ca_crl"},
    {SV_PART_AMD_CRL, "amd_crl.der", "amd_crl"},
    {SV_PART_PCK_CHAIN, "pck_chain.pem", "pck_certificate_chain"},
};
#define KNOWN_COUNT (sizeof(known) / sizeof(known[0]))

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), e = strlen(end);

    return n > e && !strcmp(name + n - e, end);
}

static bool is_known(const char *name)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (known[i].file && !strcmp(known[i].file, name))
            return true;
    return false;
}

// What is no RIM is left aside, as what is no certificate.
static int add_rim(struct shelter_collateral *col, const uint8_t *data, size_t size)
{
    int rc;

    if (col->rim_count == SV_RIM_MAX)
        return -E2BIG;
    if (!col->rim)
        col->rim = calloc(SV_RIM_MAX, sizeof(*col->rim));
    rc = col->rim ? sv_rim_read(data, size, &col->named, &col->rim[col->rim_count]) : -ENOMEM;
    if (!rc)
        col->rim_count++;
    return rc == -ENOMEM ? rc : 0;
}

// Other certificates of a folder: intermediates of AMD, HSK and CEK of Hygon; NVIDIA's RIMs.
static int load_others(struct shelter_collateral *col, const char *path, char *why, size_t why_size)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int rc = 0;

    while (!rc && dir && (entry = readdir(dir))) {
        bool is_rim = ends_with(entry->d_name, ".swidtag");
        char file[4096];
        uint8_t *data;
        size_t size;

        if (is_known(entry->d_name) ||
            !(ends_with(entry->d_name, ".pem") || ends_with(entry->d_name, ".der") ||
              ends_with(entry->d_name, ".cert") || ends_with(entry->d_name, ".crt") || is_rim))
            continue;
        if (snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) >= (int)sizeof(file))
            continue;
        rc = sv_read_file(file, is_rim ? SV_RIM_FILE_MAX : 1 << 20, &data, &size);
        if (rc) {
            // A RIM is not left out for its size: its GPUs would count for nothing.
            rc = is_rim && rc == -EFBIG ? -E2BIG : 0;
            continue;
        }
        if (size == HYGON_CHAIN_SIZE && !col->hygon && !memmem(data, size, "-----BEGIN", 10)) {
            col->hygon = data;
            col->hygon_size = size;
            continue;
        }
        if (is_rim)
            rc = add_rim(col, data, size);
        else
            sv_certs_add(&col->pool, data, size); // what is no certificate is left aside
        free(data);
    }
    if (rc == -E2BIG)
        snprintf(why, why_size, "%s: more than %d RIMs, or one of more than %u KiB", path,
                 SV_RIM_MAX, SV_RIM_FILE_MAX >> 10);
    if (dir)
        closedir(dir);
    return rc;
}

static int load_folder(struct shelter_collateral *col, const char *path, struct sv_parts *parts,
                       char *why, size_t why_size)
{
    int rc;

    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        char file[4096];

        if (!known[i].file)
            continue;
        if (snprintf(file, sizeof(file), "%s/%s", path, known[i].file) >= (int)sizeof(file))
            return -ENAMETOOLONG;
        rc = sv_read_file(file, SHELTER_COLLATERAL_SIZE_MAX, &parts->data[known[i].part],
                          &parts->size[known[i].part]);
        if (rc && rc != -ENOENT) {
            snprintf(why, why_size, "%s: %s", file, strerror(-rc));
            return rc;
        }
    }
    sv_collateral_build(col, parts);
    rc = load_others(col, path, why, why_size);
    sv_collateral_chain_amd(col);
    return rc;
}

int shelter_collateral_parse(const void *json, size_t size, const void *ca, size_t ca_size,
                             struct shelter_collateral **out, char *why, size_t why_size)
{
    char wrong[120] = "it is too large";
    cJSON *root = size <= SHELTER_COLLATERAL_SIZE_MAX
                      ? sv_json_read_c_strings(json, size, SV_JSON_VALUES_MAX, wrong, sizeof(wrong))
                      : NULL;
    struct shelter_collateral *col = NULL;
    struct sv_parts parts = {0};
    int rc = -EBADMSG;

    if (!cJSON_IsObject(root))
        snprintf(why, why_size, "the collateral is not a JSON object%s%s", root ? "" : ": ",
                 root ? "" : wrong);
    else
        col = sv_collateral_new(ca, ca_size, why, why_size, &rc);
    for (size_t i = 0; col && i < KNOWN_COUNT; i++) {
        const cJSON *item = sv_json_get(root, known[i].key);

        if (!item || cJSON_IsNull(item))
            continue;
        if (!cJSON_IsString(item)) {
            snprintf(why, why_size, "collateral member %s is not a string", known[i].key);
            rc = -EBADMSG;
            shelter_collateral_free(col);
            col = NULL;
            break;
        }
        parts.size[known[i].part] = strlen(item->valuestring);
        parts.data[known[i].part] = (uint8_t *)strdup(item->valuestring);
    }
    if (col) {
        sv_collateral_build(col, &parts);
        sv_collateral_chain_amd(col);
    }
    sv_parts_free(&parts);
    cJSON_Delete(root);
    *out = col;
    return col ? 0 : rc;
}

int shelter_collateral_load(const char *path, const void *ca, size_t ca_size,
                            struct shelter_collateral **out, char *why, size_t why_size)
{
    struct shelter_collateral *col;
    struct sv_parts parts = {0};
    struct stat st;
    uint8_t *data;
    size_t size;
    int rc;

    *out = NULL;
    if (stat(path, &st)) {
        rc = -errno;
        snprintf(why, why_size, "%s: %s", path, strerror(-rc));
        return rc;
    }
    if (!S_ISDIR(st.st_mode)) {
        rc = sv_read_file(path, SHELTER_COLLATERAL_SIZE_MAX, &data, &size);
        if (rc) {
            snprintf(why, why_size, "%s: %s", path, strerror(-rc));
            return rc;
        }
        rc = shelter_collateral_parse(data, size, ca, ca_size, out, why, why_size);
        free(data);
        return rc;
    }
    col = sv_collateral_new(ca, ca_size, why, why_size, &rc);
    if (!col)
        return rc;
    rc = load_folder(col, path, &parts, why, why_size);
    sv_parts_free(&parts);
    if (rc) {
        shelter_collateral_free(col);
        return rc;
    }
    *out = col;
    return 0;
}
