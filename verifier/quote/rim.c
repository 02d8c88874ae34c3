// SPDX-License-Identifier: Apache-2.0
// Canonical XML of the one form that RIMs have, their signature, their values.
#include "verifier/quote/rim.h"
#include "verifier/base/bytes.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "lib/base64.h"

#define ATTRIBUTES_MAX 72
#define ROOT "<SoftwareIdentity"
#define ROOT_END "</SoftwareIdentity>"
#define SIGNATURE "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">"
#define SIGNATURE_END "</ds:Signature>"

struct text {
    char *data; // terminated
    size_t size, room;
    bool full;
};

static void put(struct text *t, const char *data, size_t size)
{
    if (t->full || size >= t->room - t->size) {
        t->full = true;
        return;
    }
    memcpy(t->data + t->size, data, size);
    t->size += size;
    t->data[t->size] = 0;
}

static void put_string(struct text *t, const char *s)
{
    put(t, s, strlen(s));
}

// --- Canonical form ---

struct attribute {
    const char *name, *local; // local: behind the prefix, or name
    size_t name_size, local_size, value_size;
    const char *value;
    bool declares; // a namespace
};

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == ':' || c == '-' || c == '.';
}

static size_t name_size(const char *p)
{
    size_t n = 0;

    while (is_name(p[n]))
        n++;
    return n;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

static int compare(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int rc = memcmp(a, b, a_size < b_size ? a_size : b_size);

    return rc ? rc : (a_size > b_size) - (a_size < b_size);
}

// Namespaces first, by prefix; then attributes without a prefix, then those with one (the same for
// all of an element, or the URIs would have to be compared), each by local name.
static int by_order(const void *left, const void *right)
{
    const struct attribute *a = left, *b = right;
    bool a_prefix = a->local != a->name, b_prefix = b->local != b->name;

    if (a->declares != b->declares)
        return a->declares ? -1 : 1;
    if (a_prefix != b_prefix)
        return a_prefix ? 1 : -1;
    return compare(a->local, a->local_size, b->local, b->local_size);
}

// name="value" at *p. False where it is none, or would not stand so in the canonical form.
static bool take_attribute(const char **p, struct attribute *out)
{
    const char *at = *p, *colon;

    *out = (struct attribute){.name = at, .name_size = name_size(at)};
    at += out->name_size;
    if (!out->name_size || *at++ != '=' || *at++ != '"')
        return false;
    out->value = at;
    while (*at && *at != '"' && *at != '<' && *at != '&' && (unsigned char)*at >= 0x20)
        at++;
    if (*at != '"')
        return false;
    out->value_size = (size_t)(at - out->value);
    *p = at + 1;
    colon = memchr(out->name, ':', out->name_size);
    out->local = colon ? colon + 1 : out->name;
    out->local_size = out->name_size - (size_t)(out->local - out->name);
    out->declares = out->name_size >= 5 && !memcmp(out->name, "xmlns", 5) &&
                    (out->name_size == 5 || out->name[5] == ':');
    return true;
}

// Whether all attributes with a prefix have the same one, and none stands twice.
static bool are_orderly(const struct attribute *a, size_t count)
{
    const struct attribute *first = NULL;

    for (size_t i = 0; i < count; i++) {
        if (i && !by_order(&a[i - 1], &a[i]))
            return false;
        if (a[i].declares || a[i].local == a[i].name)
            continue;
        if (first && compare(first->name, (size_t)(first->local - first->name), a[i].name,
                             (size_t)(a[i].local - a[i].name)))
            return false;
        first = &a[i];
    }
    return true;
}

// Everything that is declared, as it stands in the canonical form: each prefix once in a file.
static bool declare(struct text *declared, const struct attribute *a)
{
    char name[48];

    if (a->name_size + 4 > sizeof(name))
        return false;
    snprintf(name, sizeof(name), " %.*s=\"", (int)a->name_size, a->name);
    if (strstr(declared->data, name))
        return false;
    put_string(declared, name);
    put(declared, a->value, a->value_size);
    put_string(declared, "\"");
    return true;
}

// A start tag at *p, an empty element as two tags.
static bool canonical_tag(const char **p, struct text *out, struct text *declared)
{
    struct attribute a[ATTRIBUTES_MAX];
    const char *name = *p + 1, *at;
    size_t size = name_size(name), count = 0;

    at = name + size;
    while (size && is_space(*at)) {
        while (is_space(*at))
            at++;
        if (!is_name(*at))
            break;
        if (count == ATTRIBUTES_MAX || !take_attribute(&at, &a[count++]))
            return false;
    }
    if (!size || (*at != '>' && (*at != '/' || at[1] != '>')))
        return false;
    qsort(a, count, sizeof(a[0]), by_order);
    if (!are_orderly(a, count))
        return false;
    put_string(out, "<");
    put(out, name, size);
    for (size_t i = 0; i < count; i++) {
        if (a[i].declares && !declare(declared, &a[i]))
            return false;
        put_string(out, " ");
        put(out, a[i].name, a[i].name_size);
        put_string(out, "=\"");
        put(out, a[i].value, a[i].value_size);
        put_string(out, "\"");
    }
    put_string(out, ">");
    if (*at == '/') {
        put_string(out, "</");
        put(out, name, size);
        put_string(out, ">");
        at++;
    }
    *p = at + 1;
    return true;
}

// `root`: what the first element declares, which is in scope for the signature.
static bool canonical(const char *p, struct text *out, struct text *declared, struct text *root)
{
    while (*p) {
        const char *from = p;

        if (*p != '<') {
            while (*p && *p != '<' && *p != '&' && *p != '>' && *p != '\r')
                p++;
            if (p == from)
                return false;
            put(out, from, (size_t)(p - from));
        } else if (p[1] == '/') {
            size_t n = name_size(p + 2);

            p += 2 + n;
            if (!n || *p++ != '>')
                return false;
            put(out, from, (size_t)(p - from));
        } else if (!canonical_tag(&p, out, declared)) {
            return false;
        } else if (!root->size) {
            put(root, declared->data, declared->size);
        }
    }
    return !out->full && !declared->full && !root->full;
}

// --- The signature ---

// The text between two marks from *at on, which goes behind it. NULL where there is none.
static const char *between(const char **at, const char *begin, const char *end, size_t *size)
{
    const char *from = *at ? strstr(*at, begin) : NULL, *to;

    from = from ? from + strlen(begin) : NULL;
    to = from ? strstr(from, end) : NULL;
    if (!to)
        return NULL;
    *size = (size_t)(to - from);
    *at = to + strlen(end);
    return from;
}

// Base64 with line ends.
static uint8_t *decode(const char *text, size_t size, size_t *out_size)
{
    char *bare = malloc(size + 1);
    size_t n = 0;
    uint8_t *data;

    for (size_t i = 0; bare && i < size; i++)
        if (!is_space(text[i]))
            bare[n++] = text[i];
    if (bare)
        bare[n] = 0;
    data = bare ? sv_unbase64_new(bare, out_size) : NULL;
    free(bare);
    return data;
}

static bool take_certificates(const char *signature, struct sv_certs *out)
{
    const char *at = signature, *text;
    size_t size, der_size;

    while ((text = between(&at, "<ds:X509Certificate>", "</ds:X509Certificate>", &size))) {
        uint8_t *der = decode(text, size, &der_size);
        int rc = der ? sv_certs_add(out, der, der_size) : -EBADMSG;

        free(der);
        if (rc)
            return false;
    }
    return out->count > 0;
}

// SignedInfo as it must be, with what the root declares (in order, its own "ds" among it).
static bool signature_holds(const struct text *doc, const struct text *root, const char *signature,
                            EVP_PKEY *key)
{
    static const char form[] =
        "<ds:SignedInfo%.*s xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"%s>"
        "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2006/12/xml-c14n11\">"
        "</ds:CanonicalizationMethod>"
        "<ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384\">"
        "</ds:SignatureMethod><ds:Reference URI=\"\"><ds:Transforms>"
        "<ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\">"
        "</ds:Transform><ds:Transform Algorithm=\"http://www.w3.org/2006/12/xml-c14n11\">"
        "</ds:Transform></ds:Transforms>"
        "<ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#sha384\">"
        "</ds:DigestMethod><ds:DigestValue>%s</ds:DigestValue></ds:Reference></ds:SignedInfo>";
    const char *behind = root->data, *value;
    uint8_t digest[SHA384_DIGEST_LENGTH], *raw;
    char digest_text[SH_BASE64_ROOM(SHA384_DIGEST_LENGTH)], *info;
    size_t size, raw_size = 0, room = sizeof(form) + root->size + sizeof(digest_text);
    bool ok;

    // Where "ds" belongs among the root's: behind the default one and the prefixes below it.
    while (!strncmp(behind, " xmlns=", 7) ||
           (!strncmp(behind, " xmlns:", 7) && strncmp(behind + 7, "ds", 2) < 0)) {
        const char *next = strstr(behind, "\" ");

        behind = next ? next + 1 : root->data + root->size;
    }
    SHA384((const uint8_t *)doc->data, doc->size, digest);
    sh_base64(digest_text, digest, sizeof(digest), SH_BASE64);
    value = between(&signature, "<ds:SignatureValue>", "</ds:SignatureValue>", &size);
    raw = value ? decode(value, size, &raw_size) : NULL;
    info = malloc(room);
    ok = info && raw && raw_size == 96;
    if (ok) {
        int n =
            snprintf(info, room, form, (int)(behind - root->data), root->data, behind, digest_text);

        ok = n > 0 && (size_t)n < room &&
             sv_ecdsa_verify(key, EVP_sha384(), raw, raw + 48, 48, info, (size_t)n);
    }
    free(info);
    free(raw);
    return ok;
}

static void judge(const struct text *doc, const struct text *root, const char *signature,
                  const struct sv_certs *named, struct sv_rim *out)
{
    struct sv_certs certs = {0};
    struct sv_chain chain;

    if (!take_certificates(signature, &certs))
        out->fault = "its certificates cannot be read";
    else if (!sv_key_is_ec(X509_get0_pubkey(certs.cert[0]), "secp384r1") ||
             !signature_holds(doc, root, signature, X509_get0_pubkey(certs.cert[0])))
        out->fault = "its signature does not hold";
    else if (sv_chain_build(certs.cert[0], &certs, named, SV_NVIDIA_RIM, NULL, &chain))
        out->fault = "its chain does not hold";
    else if (chain.root == SV_ROOT_NONE)
        out->fault = "its root is not trusted";
    if (!out->fault) {
        out->simulated = chain.simulated;
        out->not_before = chain.not_before;
        out->not_after = chain.not_after;
    }
    sv_certs_free(&certs);
}

// --- Values, from the canonical form ---

// The value of an attribute of the tag at `tag`.
static bool attribute_of(const char *tag, const char *name, char *out, size_t room)
{
    const char *end = strchr(tag, '>'), *at = tag;
    size_t size;

    while ((at = strstr(at, name)) && end && at < end && at[-1] != ' ' && at[-1] != ':')
        at++;
    if (!at || !end || at >= end)
        return false;
    at += strlen(name);
    size = strcspn(at, "\"");
    if (size >= room)
        return false;
    memcpy(out, at, size);
    out[size] = 0;
    return true;
}

static bool read_number(const char *tag, const char *name, unsigned max, unsigned *out)
{
    char text[8], *end;

    if (!attribute_of(tag, name, text, sizeof(text)) || !isdigit((unsigned char)*text))
        return false;
    *out = (unsigned)strtoul(text, &end, 10);
    return !*end && *out <= max;
}

// Alternatives of an element that counts; of one that does not, nothing.
static bool read_resource(const char *tag, struct sv_rim *out)
{
    char active[8], name[20], hash[2 * SV_RIM_HASH_SIZE + 2];
    unsigned index, alternatives, size;

    if (!attribute_of(tag, "active=\"", active, sizeof(active)) ||
        !read_number(tag, "index=\"", 254, &index) ||
        !read_number(tag, "alternatives=\"", 64, &alternatives) ||
        !read_number(tag, "size=\"", SV_RIM_HASH_SIZE, &size))
        return false;
    if (!strcmp(active, "False"))
        return true;
    if (!alternatives || size != SV_RIM_HASH_SIZE)
        return false;
    for (size_t i = 0; i < out->count; i++)
        if (out->value[i].index == index)
            return false;
    for (unsigned i = 0; i < alternatives; i++) {
        struct sv_rim_value *v = &out->value[out->count];

        snprintf(name, sizeof(name), "Hash%u=\"", i);
        if (out->count == SV_RIM_VALUES_MAX || !attribute_of(tag, name, hash, sizeof(hash)) ||
            strlen(hash) != (size_t)2 * SV_RIM_HASH_SIZE ||
            sh_unhex(v->hash, sizeof(v->hash), hash))
            return false;
        v->index = (uint16_t)index;
        out->count++;
    }
    return true;
}

static bool read_values(const char *doc, struct sv_rim *out)
{
    const char *meta = strstr(doc, ":Meta "), *at = doc;

    if (!meta || !attribute_of(meta, "colloquialVersion=\"", out->version, sizeof(out->version)) ||
        !*out->version)
        return false;
    while ((at = strstr(at, ":Resource "))) {
        if (!read_resource(at, out))
            return false;
        at++;
    }
    return out->count > 0;
}

// --- The file ---

// Cuts the signature out, which must be the last child. Both parts stay in `all`.
static char *cut_signature(char *all, size_t size)
{
    char *signature = strstr(all, SIGNATURE), *end;

    while (size && isspace((unsigned char)all[size - 1]))
        all[--size] = 0;
    if (!signature || strstr(signature + 1, SIGNATURE))
        return NULL;
    end = strstr(signature, SIGNATURE_END);
    if (!end)
        return NULL;
    end += strlen(SIGNATURE_END);
    while (is_space(*end))
        end++;
    return strcmp(end, ROOT_END) ? NULL : signature;
}

static int read_file(char *all, size_t size, const struct sv_certs *named, struct text *doc,
                     struct text *declared, struct text *root, struct sv_rim *out)
{
    char *begin = strncmp(all, "<?xml ", 6) ? all : strstr(all, "?>"), *signature, *close;

    begin = begin && begin != all ? begin + 2 : begin;
    while (begin && isspace((unsigned char)*begin))
        begin++;
    signature = begin ? cut_signature(begin, size - (size_t)(begin - all)) : NULL;
    if (!signature || strncmp(begin, ROOT, strlen(ROOT)))
        return -EBADMSG;
    *signature = 0;
    // White space behind the signature is part of what is signed; the element's end too.
    close = strstr(signature + 1, SIGNATURE_END) + strlen(SIGNATURE_END);
    if (!canonical(begin, doc, declared, root))
        return -EBADMSG;
    put_string(doc, close);
    if (doc->full || !read_values(doc->data, out))
        return -EBADMSG;
    judge(doc, root, signature + 1, named, out);
    return 0;
}

int sv_rim_read(const void *text, size_t size, const struct sv_certs *named, struct sv_rim *out)
{
    struct text doc = {.room = 2 * size + 1024}, declared = {.room = 2048}, root = {.room = 2048};
    char *all = size <= SV_RIM_FILE_MAX && !memchr(text, 0, size) ? strndup(text, size) : NULL;
    int rc = all ? -ENOMEM : -EBADMSG;

    *out = (struct sv_rim){.value = calloc(SV_RIM_VALUES_MAX, sizeof(*out->value))};
    doc.data = calloc(1, doc.room);
    declared.data = calloc(1, declared.room);
    root.data = calloc(1, root.room);
    if (all && doc.data && declared.data && root.data && out->value)
        rc = read_file(all, size, named, &doc, &declared, &root, out);
    free(all);
    free(doc.data);
    free(declared.data);
    free(root.data);
    if (rc) {
        free(out->value);
        out->value = NULL;
    }
    return rc;
}
