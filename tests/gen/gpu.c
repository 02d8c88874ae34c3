// SPDX-License-Identifier: Apache-2.0
// Made-up evidence of GPUs: SPDM messages by hand, certificates over P-384, RIMs with an XML
// signature whose canonical form is written beside them.
#include "tests/gen/pki.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base64.h"
#include "lib/hex.h"

#define MEASURED 36
#define RIM_ROOM 65536

static void le(struct gen_bytes *o, size_t size, uint32_t n)
{
    for (size_t i = 0; i < size; i++)
        gen_put(o, &(uint8_t){(uint8_t)(n >> 8 * i)}, 1);
}

struct pki {
    EVP_PKEY *root_key, *ca_key, *leaf_key, *foreign;
    X509 *root, *ca, *leaf, *named;
};

// TcbInfo with one FWID: [6] { { OID of SHA-384, 48 bytes } }.
static void tcb_info(uint8_t out[67])
{
    static const uint8_t head[] = {0x30, 0x41, 0xa6, 0x3f, 0x30, 0x3d, 0x06, 0x09, 0x60, 0x86,
                                   0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x04, 0x30};

    memcpy(out, head, sizeof(head));
    memset(out + sizeof(head), 0xf3, 48);
}

static void make_pki(struct pki *p, const char *product, bool simulated, bool leaf_is_ca,
                     bool foreign_leaf, bool expired)
{
    static const uint8_t oid[] = {0x67, 0x81, 0x05, 0x05, 0x04, 0x01};
    uint8_t info[67];
    struct sh_cert_options c = {.cn = "Test Device Identity CA", .ca = true};

    tcb_info(info);
    p->root_key = gen_key("P-384");
    p->ca_key = gen_key("P-384");
    p->leaf_key = gen_key("P-384");
    p->foreign = gen_key("P-384");
    c.ou = simulated ? "Shelter simulated TEE" : NULL;
    p->root = gen_cert(&c, p->root_key, NULL, NULL);
    p->named = gen_cert(&c, p->foreign, NULL, NULL);
    c = (struct sh_cert_options){.cn = product, .ca = true};
    p->ca = gen_cert(&c, p->ca_key, p->root, p->root_key);
    c = (struct sh_cert_options){.cn = "GH100 A01 GSP FMC LF",
                                 .ca = leaf_is_ca,
                                 .to = expired ? gen_now - 1 : 0,
                                 .extension = {{oid, sizeof(oid), info, sizeof(info)}},
                                 .extension_count = 1};
    p->leaf = gen_cert(&c, p->leaf_key, p->ca, foreign_leaf ? p->foreign : p->ca_key);
}

static void free_pki(struct pki *p)
{
    EVP_PKEY *keys[] = {p->root_key, p->ca_key, p->leaf_key, p->foreign};
    X509 *certs[] = {p->root, p->ca, p->leaf, p->named};

    for (int i = 0; i < 4; i++) {
        EVP_PKEY_free(keys[i]);
        X509_free(certs[i]);
    }
}

// --- The report ---

static void opaque(struct gen_bytes *o, unsigned type, const void *data, size_t size)
{
    le(o, 2, type);
    le(o, 2, (uint32_t)size);
    gen_put(o, data, size);
}

static void opaque_data(const struct gen_gpu_options *o, struct gen_bytes *out)
{
    static const uint8_t vbios[8] = {0x00, 0x5e, 0x00, 0x96, 0x01};
    uint8_t fwid[48], nvdec0 = o->nvdec0_off ? 0x55 : 0xaa;
    struct gen_bytes data = {.size = 0};

    memset(fwid, o->other_fwid ? 0xf4 : 0xf3, sizeof(fwid));
    opaque(&data, 40, "unknown", 7);
    if (!o->no_driver)
        opaque(&data, 3, o->odd_driver ? "545\"00" : "545.00\0\0\0", o->odd_driver ? 6 : 9);
    opaque(&data, 6, vbios, o->short_vbios ? 7 : 8);
    opaque(&data, 11, &nvdec0, 1);
    if (!o->no_fwid)
        opaque(&data, 20, fwid, 48);
    if (o->opaque_twice)
        opaque(&data, 11, &nvdec0, 1);
    if (o->opaque_long)
        gen_put(&data, "\x0b\0\x09\0", 4);
    le(out, 2, (uint32_t)data.size);
    gen_put(out, data.data, data.size);
}

static void record(const struct gen_gpu_options *o, struct gen_bytes *out)
{
    uint8_t value[48];

    for (unsigned i = 0; i < MEASURED; i++) {
        memset(value, (int)i, sizeof(value));
        if ((i == 9 && o->not_measured) || (i == 35 && o->at_35))
            value[47] ^= 1;
        le(out, 1, i == 20 && o->twice ? 20 : i == 20 && o->zero_number ? 0 : i + 1);
        le(out, 1, i == 4 && o->specification ? 2 : 1);
        le(out, 2, i == 3 && o->block_size ? 52 : 51);
        le(out, 1, 1);
        le(out, 2, 48);
        gen_put(out, value, 48);
        if (i == 3 && o->block_size)
            le(out, 1, 0);
    }
    if (o->behind)
        le(out, 1, 0);
}

static void report(const struct gen_gpu_options *o, const struct pki *p, struct gen_bytes *out)
{
    uint8_t zeros[32] = {0}, sig[96], version = o->spdm_1_2 ? 0x12 : 0x11;
    struct gen_bytes blocks = {.size = 0};

    gen_put(out, (uint8_t[]){version, 0xe0, o->no_signature_asked ? 0 : 1, 0xff}, 4);
    gen_put(out, o->nonce ? o->nonce : zeros, 32);
    gen_put(out, (uint8_t[]){0, version, o->code ? 0x61 : 0x60, 0, 0, MEASURED - o->count}, 6);
    record(o, &blocks);
    le(out, 3, (uint32_t)blocks.size);
    gen_put(out, blocks.data, blocks.size);
    gen_put(out, zeros, 32);
    opaque_data(o, out);
    gen_sign_raw(o->not_signed ? p->foreign : p->leaf_key, EVP_sha384(), out->data, out->size, sig,
                 sig + 48, 48);
    gen_put(out, sig, sizeof(sig));
}

// --- RIMs ---

struct xml {
    char file[RIM_ROOM], canonical[RIM_ROOM];
};

static void add(char *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(char *to, const char *format, ...)
{
    size_t size = strlen(to);
    va_list ap;

    va_start(ap, format);
    GEN_MUST(vsnprintf(to + size, RIM_ROOM - size, format, ap) < (int)(RIM_ROOM - size));
    va_end(ap);
}

#define SWID "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
#define SHA384_URI "http://www.w3.org/2001/04/xmlenc#sha384"
#define DS "http://www.w3.org/2000/09/xmldsig#"
#define ROOT_SPACES " xmlns=\"" SWID "\"%s xmlns:ns0=\"" SWID "\" xmlns:ns2=\"" SHA384_URI "\""

static void resource(struct xml *x, const struct gen_gpu_options *o, unsigned index, bool active,
                     int value)
{
    bool two = o->rim_alternative;
    const char *space = o->rim_white ? "\n   " : " ";
    char hash[2][97];
    uint8_t bytes[48];

    memset(bytes, 0xee, sizeof(bytes));
    sh_hex(hash[0], bytes, 48);
    memset(bytes, value, sizeof(bytes));
    sh_hex(hash[two], bytes, 48);
    add(x->file,
        "    <ns0:Resource type=\"Measurement\"%sindex=\"%u\" active=\"%s\"%salternatives=\"%d\"",
        space, index, active ? "True" : "False", space, 1 + two);
    for (int i = 0; i <= two; i++)
        add(x->file, " ns2:Hash%d=\"%s\"", i, hash[i]);
    add(x->file, " name=\"M_%u\" size=\"48\"%s/>\n", index, o->rim_white ? " " : "");
    add(x->canonical,
        "    <ns0:Resource active=\"%s\" alternatives=\"%d\" index=\"%u\" name=\"M_%u\" "
        "size=\"48\" type=\"Measurement\"",
        active ? "True" : "False", 1 + two, index, index);
    for (int i = 0; i <= two; i++)
        add(x->canonical, " ns2:Hash%d=\"%s\"", i, hash[i]);
    add(x->canonical, "></ns0:Resource>\n");
}

static void body(struct xml *x, const struct gen_gpu_options *o, enum gen_rim which)
{
    const char *version = o->rim_version ? "1.2" : which ? "96.00.5E.00.01" : "545.00";
    unsigned from = which ? 18 : 0, to = which ? MEASURED : 18;

    if (o->rim_white)
        add(x->file, "<?xml version=\"1.0\"?>\n");
    add(x->file, "<SoftwareIdentity" ROOT_SPACES " name=\"GH100\" corpus=\"false\">\n", "");
    add(x->canonical, "<SoftwareIdentity" ROOT_SPACES " corpus=\"false\" name=\"GH100\">\n", "");
    add(x->file,
        "<ns0:Meta xmlns:ns1=\"urn:rim\" colloquialVersion=\"%s\" PayloadType=\"direct\" "
        "ns1:Spec=\"RIMIM\"/>\n<ns0:Payload xmlns:SHA384=\"" SHA384_URI "\">\n",
        version);
    add(x->canonical,
        "<ns0:Meta xmlns:ns1=\"urn:rim\" PayloadType=\"direct\" colloquialVersion=\"%s\" "
        "ns1:Spec=\"RIMIM\"></ns0:Meta>\n<ns0:Payload xmlns:SHA384=\"" SHA384_URI "\">\n",
        version);
    for (unsigned i = from; i < to; i++)
        if (i != 9 || !which)
            resource(x, o, i, i != 2, (int)i + (i == 10 && o->rim_value));
    if (which && o->rim_conflict)
        resource(x, o, 9, true, 9);
    if (!which && o->rim_put)
        add(x->file, "%s", o->rim_put);
    add(x->file, "</ns0:Payload>\n");
    add(x->canonical, "</ns0:Payload>\n</SoftwareIdentity>");
}

static void certificate(char *to, X509 *cert)
{
    uint8_t *der = NULL;
    int size = i2d_X509(cert, &der);
    char text[4096];

    GEN_MUST(size > 0 && SH_BASE64_ROOM((size_t)size) <= sizeof(text));
    sh_base64(text, der, (size_t)size, SH_BASE64);
    add(to, "<ds:X509Certificate>%.70s\n%s\n</ds:X509Certificate>", text, text + 70);
    OPENSSL_free(der);
}

#define METHOD(name, uri) "<ds:" name " Algorithm=\"" uri "\"></ds:" name ">"

static struct gen_blob rim(const struct gen_gpu_options *o, const struct pki *p, enum gen_rim which)
{
    struct xml *x = calloc(1, sizeof(*x));
    char digest_text[SH_BASE64_ROOM(48)], sig_text[SH_BASE64_ROOM(96)], *info = calloc(1, RIM_ROOM);
    uint8_t digest[48], sig[96];
    struct gen_blob out;

    GEN_MUST(x && info);
    body(x, o, which);
    GEN_MUST(EVP_Digest(x->canonical, strlen(x->canonical), digest, NULL, EVP_sha384(), NULL) == 1);
    sh_base64(digest_text, digest, sizeof(digest), SH_BASE64);
    add(info, "<ds:SignedInfo" ROOT_SPACES ">", " xmlns:ds=\"" DS "\"");
    add(info, METHOD("CanonicalizationMethod", "http://www.w3.org/2006/12/xml-c14n11")
                  METHOD("SignatureMethod", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"));
    add(info, "<ds:Reference URI=\"\"><ds:Transforms>" METHOD("Transform", DS "enveloped-signature")
                  METHOD("Transform", "http://www.w3.org/2006/12/"
                                      "xml-c14n11") "</ds:Transforms>");
    add(info, METHOD("DigestMethod", "http://www.w3.org/2001/04/xmldsig-more#sha384"));
    add(info, "<ds:DigestValue>%s</ds:DigestValue></ds:Reference></ds:SignedInfo>", digest_text);
    gen_sign_raw(o->rim_not_signed ? p->foreign : p->leaf_key, EVP_sha384(), info, strlen(info),
                 sig, sig + 48, 48);
    sh_base64(sig_text, sig, sizeof(sig), SH_BASE64);
    // What it says of itself is not read: the values of its algorithms are not even there.
    add(x->file,
        "<ds:Signature xmlns:ds=\"" DS "\"><ds:SignedInfo><ds:DigestValue>%s"
        "</ds:DigestValue></ds:SignedInfo><ds:SignatureValue>%s</ds:SignatureValue>"
        "<ds:KeyInfo><ds:X509Data>",
        digest_text, sig_text);
    certificate(x->file, p->leaf);
    certificate(x->file, p->ca);
    certificate(x->file, p->root);
    add(x->file, "</ds:X509Data></ds:KeyInfo></ds:Signature></SoftwareIdentity>\n");
    out = gen_blob(x->file, strlen(x->file));
    free(x);
    free(info);
    return out;
}

// --- All of it ---

static void device(const struct gen_gpu_options *o, const struct pki *p, const struct gen_bytes *r,
                   bool more, char *to)
{
    X509 *chain[] = {p->leaf, p->ca, p->root};
    struct gen_blob pem = gen_pem(chain, o->no_root ? 2 : 3);
    char *text = malloc(2 * sizeof(r->data) + 1);

    GEN_MUST(text && pem.size * 4 / 3 + 8 < 2 * sizeof(r->data));
    add(to, "{\"arch\":\"%s\",", o->arch ? o->arch : "HOPPER");
    if (o->hex)
        sh_hex(text, r->data, r->size);
    else
        sh_base64(text, r->data, r->size, SH_BASE64);
    add(to, "\"evidence\":\"%s\",", text);
    sh_base64(text, pem.data, pem.size, SH_BASE64);
    add(to, "\"certificate\":\"%s\"}%s", text, more ? "," : "");
    free(text);
    free(pem.data);
}

void gen_gpu(const struct gen_gpu_options *o, struct gen_gpu *out)
{
    struct gen_bytes r = {.size = 0}, other = {.size = 0};
    const char *product = o->product ? o->product : "NVIDIA GH100 Identity";
    char *json = calloc(1, RIM_ROOM);
    struct pki p, q, s;
    X509 *named[3];

    GEN_MUST(json);
    make_pki(&p, product, o->simulated_root, o->leaf_is_ca, o->foreign_leaf, o->expired);
    make_pki(&q, "Test RIM CA", o->rim_simulated, false, false, o->rim_expired);
    make_pki(&s, product, false, false, false, false);
    report(o, &p, &r);
    *out = (struct gen_gpu){.report = gen_blob(r.data, r.size)};
    add(json, "{\"nvidia\":{\"device_evidence_list\":[");
    device(o, &p, &r, o->again || o->another, json);
    if (o->again)
        device(o, &p, &r, o->another, json);
    if (o->another) {
        report(o, &s, &other);
        device(o, &s, &other, false, json);
    }
    add(json, "]}}");
    out->json = gen_blob(json, strlen(json));
    for (int i = 0; i < 2; i++)
        out->rim[i] = rim(o, &q, (enum gen_rim)i);
    named[0] = o->foreign_root ? p.named : p.root;
    named[1] = o->rim_foreign_root ? q.named : q.root;
    named[2] = s.root;
    out->root = gen_pem(named, 3);
    free(json);
    free_pki(&p);
    free_pki(&q);
    free_pki(&s);
}

void gen_gpu_free(struct gen_gpu *g)
{
    free(g->json.data);
    free(g->report.data);
    free(g->root.data);
    for (int i = 0; i < 2; i++)
        free(g->rim[i].data);
}
