// SPDX-License-Identifier: Apache-2.0
// TCB info v3 and enclave identity v2 from JSON. Members that judgement needs must all be there.
#include "verifier/quote/tcb.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define LEVELS_MAX 256
#define MODULES_MAX 32

struct parse {
    const char *bad; // the member that was missing or malformed
};

static const cJSON *get_member(struct parse *p, const cJSON *object, const char *name)
{
    const cJSON *item = sv_json_get(object, name);

    if (!item && !p->bad)
        p->bad = name;
    return item;
}

static const char *text_member(struct parse *p, const cJSON *object, const char *name)
{
    const cJSON *item = get_member(p, object, name);

    if (item && cJSON_IsString(item))
        return item->valuestring;
    if (!p->bad)
        p->bad = name;
    return "";
}

static uint32_t number_member(struct parse *p, const cJSON *object, const char *name, uint32_t max)
{
    uint64_t n = 0;

    if (!sv_json_number(object, name, max, &n) && !p->bad)
        p->bad = name;
    return (uint32_t)n;
}

static void hex_member(struct parse *p, const cJSON *object, const char *name, void *out,
                       size_t size)
{
    const char *text = text_member(p, object, name);

    if (!p->bad && (strlen(text) != 2 * size || sh_unhex(out, size, text)))
        p->bad = name;
}

static int64_t time_member(struct parse *p, const cJSON *object, const char *name)
{
    const char *text = text_member(p, object, name);
    int64_t when = 0;

    if (!p->bad && !sv_time_parse(text, &when))
        p->bad = name;
    return when;
}

static enum sv_tcb_status status_member(struct parse *p, const cJSON *level)
{
    enum sv_tcb_status status = SV_TCB_REVOKED;

    if (!sv_tcb_status_parse(text_member(p, level, "tcbStatus"), &status) && !p->bad)
        p->bad = "tcbStatus";
    return status;
}

static const cJSON *get_advisories(struct parse *p, const cJSON *level)
{
    const cJSON *ids = sv_json_get(level, "advisoryIDs");

    if (ids && !cJSON_IsArray(ids) && !p->bad)
        p->bad = "advisoryIDs";
    return ids;
}

static void parse_components(struct parse *p, const cJSON *tcb, const char *name, uint8_t out[16])
{
    const cJSON *array = get_member(p, tcb, name), *item;
    int i = 0;

    cJSON_ArrayForEach(item, array)
    {
        if (i == 16)
            break;
        out[i++] = (uint8_t)number_member(p, item, "svn", 255);
    }
    if ((i != 16 || cJSON_GetArraySize(array) != 16) && !p->bad)
        p->bad = name;
}

// The array `name` of at most `max` objects, and room for one element of `size` bytes for each.
static void *array_member(struct parse *p, const cJSON *object, const char *name, size_t max,
                          size_t size, const cJSON **array, size_t *count)
{
    void *room;

    *array = get_member(p, object, name);
    *count = cJSON_IsArray(*array) ? (size_t)cJSON_GetArraySize(*array) : 0;
    if (!*count || *count > max) {
        *count = 0;
        if (!p->bad)
            p->bad = name;
        return NULL;
    }
    room = calloc(*count, size);
    if (!room) {
        *count = 0;
        p->bad = "(memory)";
    }
    return room;
}

static void isv_levels(struct parse *p, const cJSON *object, struct sv_isv_level **out,
                       size_t *count)
{
    const cJSON *array, *item;
    size_t i = 0;

    *out = array_member(p, object, "tcbLevels", LEVELS_MAX, sizeof(**out), &array, count);
    if (!*out)
        return;
    cJSON_ArrayForEach(item, array)
    {
        struct sv_isv_level *level = &(*out)[i++];
        const cJSON *tcb = get_member(p, item, "tcb");

        level->isvsvn = number_member(p, tcb, "isvsvn", 65535);
        level->date = time_member(p, item, "tcbDate");
        level->status = status_member(p, item);
        level->advisories = get_advisories(p, item);
    }
}

static void tdx_module(struct parse *p, const cJSON *item, struct sv_tdx_module *m)
{
    hex_member(p, item, "mrsigner", m->mrsigner, 48);
    hex_member(p, item, "attributes", m->attributes, 8);
    hex_member(p, item, "attributesMask", m->attributes_mask, 8);
}

static void tdx_modules(struct parse *p, struct sv_tcb_info *out)
{
    const cJSON *one = sv_json_get(out->json, "tdxModule"), *array, *item;
    size_t i = 0;

    if (one) {
        out->have_tdx_module = true;
        tdx_module(p, one, &out->tdx_module);
    }
    if (!cJSON_GetObjectItemCaseSensitive(out->json, "tdxModuleIdentities"))
        return;
    out->module = array_member(p, out->json, "tdxModuleIdentities", MODULES_MAX,
                               sizeof(*out->module), &array, &out->module_count);
    if (!out->module)
        return;
    cJSON_ArrayForEach(item, array)
    {
        struct sv_tdx_module *m = &out->module[i++];
        const char *id = text_member(p, item, "id");

        if (strlen(id) != 6 || strncasecmp(id, "TDX_", 4) || sh_unhex(&m->version, 1, id + 4)) {
            if (!p->bad)
                p->bad = "tdxModuleIdentities.id";
        }
        tdx_module(p, item, m);
        isv_levels(p, item, &m->level, &m->level_count);
    }
}

static void platform_levels(struct parse *p, struct sv_tcb_info *out)
{
    const cJSON *array, *item;
    size_t i = 0;

    out->level = array_member(p, out->json, "tcbLevels", LEVELS_MAX, sizeof(*out->level), &array,
                              &out->level_count);
    if (!out->level)
        return;
    cJSON_ArrayForEach(item, array)
    {
        struct sv_tcb_level *level = &out->level[i++];
        const cJSON *tcb = get_member(p, item, "tcb");

        parse_components(p, tcb, "sgxtcbcomponents", level->sgx);
        if (out->tdx)
            parse_components(p, tcb, "tdxtcbcomponents", level->tdx);
        level->pcesvn = number_member(p, tcb, "pcesvn", 65535);
        level->date = time_member(p, item, "tcbDate");
        level->status = status_member(p, item);
        level->advisories = get_advisories(p, item);
    }
}

static int finish_parse(const struct parse *p, char *why, size_t why_size)
{
    if (!p->bad)
        return 0;
    snprintf(why, why_size, "member %s is missing or malformed", p->bad);
    return -EBADMSG;
}

static cJSON *read_object(const char *text, size_t size, char *why, size_t why_size)
{
    cJSON *root = sv_json_read(text, size, SV_JSON_VALUES_MAX, why, why_size);

    if (!root || cJSON_IsObject(root))
        return root;
    snprintf(why, why_size, "not a JSON object");
    cJSON_Delete(root);
    return NULL;
}

int sv_tcb_info_parse(const char *text, size_t size, struct sv_tcb_info *out, char *why,
                      size_t why_size)
{
    struct parse p = {0};
    const char *id;

    *out = (struct sv_tcb_info){0};
    out->json = read_object(text, size, why, why_size);
    if (!out->json)
        return -EBADMSG;
    id = text_member(&p, out->json, "id");
    out->tdx = !strcmp(id, "TDX");
    if (!out->tdx && strcmp(id, "SGX") && !p.bad)
        p.bad = "id";
    if (number_member(&p, out->json, "version", 1000) != 3 && !p.bad)
        p.bad = "version (3 is supported)";
    // tcbType 0: the status is that of the matching level; no other type is defined.
    if (number_member(&p, out->json, "tcbType", 1000) != 0 && !p.bad)
        p.bad = "tcbType";
    out->issue = time_member(&p, out->json, "issueDate");
    out->next = time_member(&p, out->json, "nextUpdate");
    out->evaluation_number = number_member(&p, out->json, "tcbEvaluationDataNumber", 1u << 30);
    hex_member(&p, out->json, "fmspc", out->fmspc, 6);
    hex_member(&p, out->json, "pceId", out->pceid, 2);
    platform_levels(&p, out);
    if (out->tdx)
        tdx_modules(&p, out);
    return finish_parse(&p, why, why_size);
}

int sv_qe_identity_parse(const char *text, size_t size, struct sv_qe_identity *out, char *why,
                         size_t why_size)
{
    struct parse p = {0};
    const char *id;

    *out = (struct sv_qe_identity){0};
    out->json = read_object(text, size, why, why_size);
    if (!out->json)
        return -EBADMSG;
    id = text_member(&p, out->json, "id");
    if (!strcmp(id, "QE"))
        out->kind = SV_QE;
    else if (!strcmp(id, "QVE"))
        out->kind = SV_QVE;
    else if (!strcmp(id, "TD_QE"))
        out->kind = SV_TD_QE;
    else if (!p.bad)
        p.bad = "id";
    if (number_member(&p, out->json, "version", 1000) != 2 && !p.bad)
        p.bad = "version (2 is supported)";
    out->issue = time_member(&p, out->json, "issueDate");
    out->next = time_member(&p, out->json, "nextUpdate");
    out->evaluation_number = number_member(&p, out->json, "tcbEvaluationDataNumber", 1u << 30);
    hex_member(&p, out->json, "miscselect", out->miscselect, 4);
    hex_member(&p, out->json, "miscselectMask", out->miscselect_mask, 4);
    hex_member(&p, out->json, "attributes", out->attributes, 16);
    hex_member(&p, out->json, "attributesMask", out->attributes_mask, 16);
    hex_member(&p, out->json, "mrsigner", out->mrsigner, 32);
    out->isvprodid = number_member(&p, out->json, "isvprodid", 65535);
    isv_levels(&p, out->json, &out->level, &out->level_count);
    return finish_parse(&p, why, why_size);
}

void sv_tcb_info_free(struct sv_tcb_info *info)
{
    for (size_t i = 0; i < info->module_count; i++)
        free(info->module[i].level);
    free(info->module);
    free(info->level);
    cJSON_Delete(info->json);
    *info = (struct sv_tcb_info){0};
}

void sv_qe_identity_free(struct sv_qe_identity *id)
{
    free(id->level);
    cJSON_Delete(id->json);
    *id = (struct sv_qe_identity){0};
}
