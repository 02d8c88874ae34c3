// SPDX-License-Identifier: Apache-2.0
// CoRIM, written and read.
#include "verifier/judge/corim.h"
#include "verifier/base/cbor.h"
#include "verifier/base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hex.h"

#define TAG_CORIM 501u
#define TAG_COMID 506u
#define TAG_TIME 1u
#define TAG_BYTES 560u
#define TAG_SVN 552u
#define TAG_COSE_SIGN1 18u
#define DEPTH_MAX 16
#define NUMBER_MAX (1ull << 53)

enum { ALG_SHA256 = 1, ALG_SHA384 = 7, ALG_SHA512 = 8 }; // Named Information registry
enum { MVAL_SVN = 1, MVAL_DIGESTS = 2, MVAL_RAW = 4, MVAL_REGISTERS = 14 };

static const char *const tees[] = {"sgx", "sgx-sim", "tdx", "tdx-sim", "snp", "csv", "image"};

// --- Writing ---

struct writer {
    uint8_t *data;
    size_t size, room;
    bool failed;
};

static void put_bytes(struct writer *w, const void *data, size_t size)
{
    if (!w->failed && size > w->room - w->size) {
        size_t room = 2 * w->room + size + 256;
        uint8_t *grown = realloc(w->data, room);

        w->failed = !grown;
        w->data = grown ? grown : w->data;
        w->room = grown ? room : w->room;
    }
    if (!w->failed && size) {
        memcpy(w->data + w->size, data, size);
        w->size += size;
    }
}

static void put_head(struct writer *w, enum sv_cbor_major major, uint64_t value)
{
    uint8_t head[9];
    unsigned log = value < 24 ? 0 : value < 256 ? 1 : value < 65536 ? 2 : value >> 32 ? 4 : 3;
    unsigned n = log ? 1u << (log - 1) : 0;

    head[0] = (uint8_t)((unsigned)major << 5 | (log ? 23 + log : (unsigned)value));
    for (unsigned i = 0; i < n; i++)
        head[1 + i] = (uint8_t)(value >> 8 * (n - 1 - i));
    put_bytes(w, head, 1 + n);
}

static void put_text(struct writer *w, const char *text)
{
    put_head(w, SV_CBOR_TEXT, strlen(text));
    put_bytes(w, text, strlen(text));
}

// A digest's size in bytes, or 0: the text is no hash in hexadecimal digits.
static size_t digest_size(const char *hex, uint8_t out[64])
{
    size_t n = hex ? strlen(hex) / 2 : 0;

    return (n == 32 || n == 48 || n == 64) && strlen(hex) == 2 * n && !sh_unhex(out, n, hex) ? n
                                                                                             : 0;
}

static void put_digests(struct writer *w, const uint8_t *digest, size_t size)
{
    put_head(w, SV_CBOR_ARRAY, 1);
    put_head(w, SV_CBOR_ARRAY, 2);
    put_head(w, SV_CBOR_UINT, size == 32 ? ALG_SHA256 : size == 48 ? ALG_SHA384 : ALG_SHA512);
    put_head(w, SV_CBOR_BYTES, size);
    put_bytes(w, digest, size);
}

// The registers that have a value; null leaves one out.
static bool put_registers(struct writer *w, const cJSON *list)
{
    const cJSON *item;
    uint8_t digest[64];
    unsigned count = 0, i = 0;

    cJSON_ArrayForEach(item, list) count += !cJSON_IsNull(item);
    put_head(w, SV_CBOR_MAP, count);
    cJSON_ArrayForEach(item, list)
    {
        size_t n = digest_size(cJSON_GetStringValue(item), digest);

        if (!cJSON_IsNull(item)) {
            put_head(w, SV_CBOR_UINT, i);
            put_digests(w, digest, n);
        }
        if (!cJSON_IsNull(item) && n != 48)
            return false;
        i++;
    }
    return true;
}

// A measurement-map with one value, up to that value.
static void begin_measurement(struct writer *w, const char *name, uint64_t kind)
{
    put_head(w, SV_CBOR_MAP, 2);
    put_head(w, SV_CBOR_UINT, 0);
    put_text(w, name);
    put_head(w, SV_CBOR_UINT, 1);
    put_head(w, SV_CBOR_MAP, 1);
    put_head(w, SV_CBOR_UINT, kind);
}

// One claim as a measurement. False: CoRIM has no form for it.
static bool put_measurement(struct writer *w, const cJSON *claim)
{
    uint8_t digest[64];
    size_t n = digest_size(cJSON_GetStringValue(claim), digest);
    uint64_t number;
    bool registers = cJSON_IsArray(claim) && !strcmp(claim->string, "rtmr");

    begin_measurement(w, claim->string, registers ? MVAL_REGISTERS : n ? MVAL_DIGESTS : MVAL_SVN);
    if (registers)
        return put_registers(w, claim);
    if (n) {
        put_digests(w, digest, n);
        return true;
    }
    number = cJSON_IsNumber(claim) && claim->valuedouble >= 0 && claim->valuedouble < NUMBER_MAX
                 ? (uint64_t)claim->valuedouble
                 : NUMBER_MAX;
    put_head(w, SV_CBOR_UINT, number);
    return number < NUMBER_MAX && claim->valuedouble == (double)number;
}

static void put_environment(struct writer *w, const char *tee)
{
    put_head(w, SV_CBOR_ARRAY, 2);
    put_head(w, SV_CBOR_MAP, 1);
    put_head(w, SV_CBOR_UINT, 0);
    put_head(w, SV_CBOR_MAP, 2);
    put_head(w, SV_CBOR_UINT, 1);
    put_text(w, "shelter");
    put_head(w, SV_CBOR_UINT, 2);
    put_text(w, tee);
}

// The image's identity and manifest. False: they are none.
static bool put_image(struct writer *w, const cJSON *top)
{
    const char *id = sv_json_text(top, "image"), *manifest = sv_json_text(top, "manifest");
    size_t n = strlen(manifest) / 2;
    uint8_t digest[64], *bytes = malloc(n + 1);
    bool good = bytes && digest_size(id, digest) == 48 && !sh_unhex(bytes, n, manifest) &&
                strlen(manifest) == 2 * n;

    put_environment(w, "image");
    put_head(w, SV_CBOR_ARRAY, 2);
    begin_measurement(w, "image", MVAL_DIGESTS);
    put_digests(w, digest, 48);
    begin_measurement(w, "manifest", MVAL_RAW);
    put_head(w, SV_CBOR_TAG, TAG_BYTES);
    put_head(w, SV_CBOR_BYTES, n);
    if (good)
        put_bytes(w, bytes, n);
    free(bytes);
    return good;
}

static bool is_tee(const char *tee)
{
    for (size_t i = 0; i < sizeof(tees) / sizeof(tees[0]); i++)
        if (!strcmp(tees[i], tee))
            return true;
    return false;
}

// The claim that has alternatives (one a number of CPUs, say), or NULL.
static const cJSON *find_alternatives(const cJSON *claims)
{
    const cJSON *claim;

    cJSON_ArrayForEach(claim, claims) if (cJSON_IsArray(claim) &&
                                          strcmp(claim->string, "rtmr")) return claim;
    return NULL;
}

// One triple; of the claim that has alternatives this one.
static bool put_triple(struct writer *w, const char *tee, const cJSON *claims,
                       const cJSON *alternative, char *why, size_t why_size)
{
    const cJSON *claim, *several = find_alternatives(claims);

    put_environment(w, tee);
    put_head(w, SV_CBOR_ARRAY, (uint64_t)cJSON_GetArraySize(claims));
    cJSON_ArrayForEach(claim, claims)
    {
        cJSON one = claim == several ? *alternative : *claim;

        one.string = claim->string;
        if (!put_measurement(w, &one)) {
            snprintf(why, why_size, "CoRIM has no form for \"%.40s\" as it is", claim->string);
            return false;
        }
    }
    return true;
}

// The triples of one entry: one for each alternative.
static int put_entry(struct writer *w, const cJSON *entry, char *why, size_t why_size)
{
    const cJSON *claims = sv_json_get(entry, "measurement"), *several = find_alternatives(claims);
    const char *tee = sv_json_text(entry, "tee");
    const cJSON *one = several ? several->child : NULL;

    if (!is_tee(tee) || !cJSON_IsObject(claims)) {
        snprintf(why, why_size, "an entry has no TEE or no measurement");
        return -EINVAL;
    }
    if (!several)
        return put_triple(w, tee, claims, NULL, why, why_size) ? 0 : -EINVAL;
    for (; one; one = one->next)
        if (!put_triple(w, tee, claims, one, why, why_size))
            return -EINVAL;
    return 0;
}

// The triples of all entries. -EINVAL with a line in why.
static int put_triples(struct writer *w, const cJSON *top, char *why, size_t why_size)
{
    const cJSON *list = sv_json_get(top, "references"), *entry, *several;
    bool image = cJSON_HasObjectItem(top, "manifest");
    uint64_t count = image;
    int rc = 0;

    cJSON_ArrayForEach(entry, list)
    {
        several = find_alternatives(sv_json_get(entry, "measurement"));
        count += several ? (uint64_t)cJSON_GetArraySize(several) : 1;
    }
    put_head(w, SV_CBOR_ARRAY, count);
    if (image && !put_image(w, top)) {
        snprintf(why, why_size, "\"image\" and \"manifest\" are no hexadecimal digits");
        return -EINVAL;
    }
    cJSON_ArrayForEach(entry, list) if (!rc) rc = put_entry(w, entry, why, why_size);
    return rc;
}

int sv_corim_write(const cJSON *reference, uint8_t **out, size_t *size, char *why, size_t why_size)
{
    const char *id = sv_json_string(reference, "image");
    struct writer comid = {.failed = false}, w = {.failed = false};
    int rc;

    *out = NULL;
    if (!cJSON_IsArray(sv_json_get(reference, "references"))) {
        snprintf(why, why_size, "there are no \"references\" in it");
        return -EINVAL;
    }
    id = id ? id : "shelter reference values";
    put_head(&comid, SV_CBOR_MAP, 2);
    put_head(&comid, SV_CBOR_UINT, 1);
    put_head(&comid, SV_CBOR_MAP, 1);
    put_head(&comid, SV_CBOR_UINT, 0);
    put_text(&comid, id);
    put_head(&comid, SV_CBOR_UINT, 4);
    put_head(&comid, SV_CBOR_MAP, 1);
    put_head(&comid, SV_CBOR_UINT, 0);
    rc = put_triples(&comid, reference, why, why_size);
    put_head(&w, SV_CBOR_TAG, TAG_CORIM);
    put_head(&w, SV_CBOR_MAP, 2);
    put_head(&w, SV_CBOR_UINT, 0);
    put_text(&w, id);
    put_head(&w, SV_CBOR_UINT, 1);
    put_head(&w, SV_CBOR_ARRAY, 1);
    put_head(&w, SV_CBOR_TAG, TAG_COMID);
    put_head(&w, SV_CBOR_BYTES, comid.size);
    put_bytes(&w, comid.data, comid.size);
    if (!rc && (comid.failed || w.failed)) {
        snprintf(why, why_size, "out of memory");
        rc = -ENOMEM;
    }
    free(comid.data);
    if (rc) {
        free(w.data);
        return rc;
    }
    *out = w.data;
    *size = w.size;
    return 0;
}

// --- Reading ---

bool sv_corim_is(const void *data, size_t size)
{
    struct sv_bytes in = {data, size};
    uint64_t tag;

    return sv_cbor_head(&in, SV_CBOR_TAG, &tag) && (tag == TAG_CORIM || tag == TAG_COSE_SIGN1);
}

// Over one whole item, whatever it is.
static bool skip_item(struct sv_bytes *in, int depth)
{
    unsigned major = in->size ? *in->data >> 5 : 8;
    uint64_t n;

    if (major > 7 || depth > DEPTH_MAX || !sv_cbor_head(in, (enum sv_cbor_major)major, &n))
        return false;
    if (major == SV_CBOR_BYTES || major == SV_CBOR_TEXT)
        return n <= in->size && (!n || sv_take(in, (size_t)n));
    if (major == SV_CBOR_TAG)
        n = 1;
    else if (major == SV_CBOR_MAP && n <= in->size)
        n *= 2;
    else if (major != SV_CBOR_ARRAY)
        return major != SV_CBOR_MAP;
    if (n > in->size) // each item has a byte at least
        return false;
    while (n--)
        if (!skip_item(in, depth + 1))
            return false;
    return true;
}

// The value under a key of a map, whose other members are skipped. 1: found, `out` begins with it;
// 0: there is none; -1: malformed. in is behind the map.
static int find_member(struct sv_bytes *in, uint64_t key, struct sv_bytes *out)
{
    uint64_t count, have;
    int found = 0;

    if (!sv_cbor_head(in, SV_CBOR_MAP, &count) || count > in->size)
        return -1;
    while (count--) {
        struct sv_bytes at = *in;
        bool number = sv_cbor_head(&at, SV_CBOR_UINT, &have);

        if (!skip_item(in, 0))
            return -1;
        at = *in;
        if (!skip_item(in, 0))
            return -1;
        if (number && have == key) {
            if (found) // twice: which one counts?
                return -1;
            found = 1;
            *out = (struct sv_bytes){at.data, (size_t)(in->data - at.data)};
        }
    }
    return found;
}

static bool copy_text(struct sv_bytes *in, char *out, size_t size)
{
    struct sv_bytes text;

    if (!sv_cbor_string(in, SV_CBOR_TEXT, &text) || text.size >= size ||
        memchr(text.data, 0, text.size))
        return false;
    memcpy(out, text.data, text.size);
    out[text.size] = 0;
    return true;
}

// [[ALGORITHM, DIGEST]], one of them: several would have to hold together.
static cJSON *read_digests(struct sv_bytes *in)
{
    struct sv_bytes digest;
    uint64_t n, alg;
    char hex[129];

    if (!sv_cbor_head(in, SV_CBOR_ARRAY, &n) || n != 1 || !sv_cbor_head(in, SV_CBOR_ARRAY, &n) ||
        n != 2 || !sv_cbor_head(in, SV_CBOR_UINT, &alg) ||
        !sv_cbor_string(in, SV_CBOR_BYTES, &digest) ||
        digest.size != (alg == ALG_SHA256   ? 32u
                        : alg == ALG_SHA384 ? 48u
                        : alg == ALG_SHA512 ? 64u
                                            : 0u) ||
        !digest.size)
        return NULL;
    sh_hex(hex, digest.data, digest.size);
    return cJSON_CreateString(hex);
}

static cJSON *read_registers(struct sv_bytes *in)
{
    cJSON *list = cJSON_CreateArray();
    uint64_t count, i;

    for (int n = 0; n < 4; n++)
        cJSON_AddItemToArray(list, cJSON_CreateNull());
    if (!sv_cbor_head(in, SV_CBOR_MAP, &count) || !count || count > 4)
        count = 5;
    while (count && count < 5) {
        cJSON *digest;

        if (!sv_cbor_head(in, SV_CBOR_UINT, &i) || i > 3 ||
            !cJSON_IsNull(cJSON_GetArrayItem(list, (int)i)) || !(digest = read_digests(in)))
            count = 5;
        else
            cJSON_ReplaceItemInArray(list, (int)i, digest);
        count -= count < 5;
    }
    if (!count)
        return list;
    cJSON_Delete(list);
    return NULL;
}

static cJSON *read_raw(struct sv_bytes *in)
{
    struct sv_bytes raw;
    uint64_t tag;
    char *hex;
    cJSON *o;

    if (!sv_cbor_head(in, SV_CBOR_TAG, &tag) || tag != TAG_BYTES ||
        !sv_cbor_string(in, SV_CBOR_BYTES, &raw) || !(hex = malloc(2 * raw.size + 1)))
        return NULL;
    sh_hex(hex, raw.data, raw.size);
    o = cJSON_CreateString(hex);
    free(hex);
    return o;
}

static cJSON *read_number(struct sv_bytes *in)
{
    struct sv_bytes at = *in;
    uint64_t n;

    if (sv_cbor_head(&at, SV_CBOR_TAG, &n)) {
        if (n != TAG_SVN)
            return NULL;
        *in = at;
    }
    return sv_cbor_head(in, SV_CBOR_UINT, &n) && n < NUMBER_MAX ? cJSON_CreateNumber((double)n)
                                                                : NULL;
}

// Exactly what put_measurement writes: what is more would be left out.
static bool read_measurement(struct sv_bytes *in, cJSON *claims)
{
    char name[32];
    uint64_t n, kind;
    cJSON *value = NULL;

    if (!sv_cbor_head(in, SV_CBOR_MAP, &n) || n != 2 || !sv_cbor_head(in, SV_CBOR_UINT, &n) || n ||
        !copy_text(in, name, sizeof(name)) || !sv_cbor_head(in, SV_CBOR_UINT, &n) || n != 1 ||
        !sv_cbor_head(in, SV_CBOR_MAP, &n) || n != 1 || !sv_cbor_head(in, SV_CBOR_UINT, &kind) ||
        cJSON_HasObjectItem(claims, name))
        return false;
    if (kind == MVAL_DIGESTS)
        value = read_digests(in);
    else if (kind == MVAL_REGISTERS && !strcmp(name, "rtmr"))
        value = read_registers(in);
    else if (kind == MVAL_SVN)
        value = read_number(in);
    else if (kind == MVAL_RAW)
        value = read_raw(in);
    return value && cJSON_AddItemToObject(claims, name, value);
}

static bool read_environment(struct sv_bytes *in, char tee[16])
{
    char vendor[16];
    uint64_t n;

    return sv_cbor_head(in, SV_CBOR_MAP, &n) && n == 1 && sv_cbor_head(in, SV_CBOR_UINT, &n) &&
           !n && sv_cbor_head(in, SV_CBOR_MAP, &n) && n == 2 &&
           sv_cbor_head(in, SV_CBOR_UINT, &n) && n == 1 && copy_text(in, vendor, sizeof(vendor)) &&
           !strcmp(vendor, "shelter") && sv_cbor_head(in, SV_CBOR_UINT, &n) && n == 2 &&
           copy_text(in, tee, 16) && is_tee(tee);
}

static bool read_triple(struct sv_bytes *in, cJSON *top)
{
    cJSON *entry, *claims;
    char tee[16];
    uint64_t n;

    if (!sv_cbor_head(in, SV_CBOR_ARRAY, &n) || n != 2 || !read_environment(in, tee) ||
        !sv_cbor_head(in, SV_CBOR_ARRAY, &n) || !n || n > 64)
        return false;
    if (!strcmp(tee, "image")) {
        while (n--)
            if (!read_measurement(in, top))
                return false;
        // "references" is there already; nothing else may come in.
        return cJSON_GetArraySize(top) ==
               1 + cJSON_HasObjectItem(top, "image") + cJSON_HasObjectItem(top, "manifest");
    }
    entry = cJSON_CreateObject();
    cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(top, "references"), entry);
    cJSON_AddStringToObject(entry, "tee", tee);
    claims = cJSON_AddObjectToObject(entry, "measurement");
    while (n--)
        if (!read_measurement(in, claims))
            return false;
    return true;
}

// The reference triples of one CoMID. Other kinds of triples would say more: refused.
static bool read_comid(struct sv_bytes in, cJSON *top)
{
    struct sv_bytes triples;
    uint64_t n;

    if (find_member(&in, 4, &triples) != 1 || in.size || !sv_cbor_head(&triples, SV_CBOR_MAP, &n) ||
        n != 1 || !sv_cbor_head(&triples, SV_CBOR_UINT, &n) || n ||
        !sv_cbor_head(&triples, SV_CBOR_ARRAY, &n) || n > triples.size)
        return false;
    while (n--)
        if (!read_triple(&triples, top))
            return false;
    return !triples.size;
}

// {?0: from, 1: until}, as times.
static bool is_valid_now(struct sv_bytes in, int64_t now)
{
    struct sv_bytes at = in, value;
    uint64_t tag, from = 0, until = INT64_MAX;
    int have = find_member(&at, 0, &value);

    if (have < 0 || (have && (!sv_cbor_head(&value, SV_CBOR_TAG, &tag) || tag != TAG_TIME ||
                              !sv_cbor_head(&value, SV_CBOR_UINT, &from))))
        return false;
    have = find_member(&in, 1, &value);
    if (have < 0 || (have && (!sv_cbor_head(&value, SV_CBOR_TAG, &tag) || tag != TAG_TIME ||
                              !sv_cbor_head(&value, SV_CBOR_UINT, &until))))
        return false;
    return from <= (uint64_t)now && (uint64_t)now <= until;
}

static bool read_tags(struct sv_bytes *tags, cJSON *top)
{
    struct sv_bytes comid;
    uint64_t n, tag;

    if (!sv_cbor_head(tags, SV_CBOR_ARRAY, &n) || !n || n > 64)
        return false;
    while (n--)
        if (!sv_cbor_head(tags, SV_CBOR_TAG, &tag) || tag != TAG_COMID ||
            !sv_cbor_string(tags, SV_CBOR_BYTES, &comid) || !read_comid(comid, top))
            return false;
    return !tags->size;
}

cJSON *sv_corim_read(const void *data, size_t size, int64_t now, char *why, size_t why_size)
{
    struct sv_bytes in = {data, size}, map, tags, validity;
    cJSON *top = cJSON_CreateObject();
    uint64_t tag = 0;

    cJSON_AddArrayToObject(top, "references");
    if (!sv_cbor_head(&in, SV_CBOR_TAG, &tag) || tag != TAG_CORIM)
        snprintf(why, why_size, "%s",
                 tag == TAG_COSE_SIGN1
                     ? "it is signed (COSE): check the signature, and give what was signed"
                     : "it is not a CoRIM");
    else if (map = in, find_member(&in, 1, &tags) != 1 || in.size || !read_tags(&tags, top))
        snprintf(why, why_size,
                 "it is cut, or says what is not understood here (verifier/judge/corim.h)");
    else if (in = map, find_member(&in, 4, &validity) == 1 && !is_valid_now(validity, now))
        snprintf(why, why_size, "it is not valid now");
    else
        return top;
    cJSON_Delete(top);
    return NULL;
}

int sv_corim_to_json(uint8_t **data, size_t *size, int64_t now, char *why, size_t why_size)
{
    cJSON *top;
    char *text;

    if (!*data || !sv_corim_is(*data, *size))
        return 0;
    top = sv_corim_read(*data, *size, now, why, why_size);
    text = top ? cJSON_Print(top) : NULL;
    cJSON_Delete(top);
    if (!text)
        return -EINVAL;
    free(*data);
    *data = (uint8_t *)text;
    *size = strlen(text);
    return 0;
}
