// SPDX-License-Identifier: Apache-2.0
// RA-TLS: a key, and a certificate that carries evidence for it. docs/attestation.md has the form.
#define MBEDTLS_ALLOW_PRIVATE_ACCESS
#include <mbedtls/ecp.h>
#include <mbedtls/pem.h>
#include <mbedtls/pk.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>

#include <asm/errno.h>
#include <string.h>

#include "lib/sha2.h"
#include "trusted/agent/state.h"

#define TAG_INTEL_QUOTE 60000u  /* IANA CBOR tags */
#define TAG_SNP_REPORT 1733892u /* 0x1a7504 */
#define CERTIFICATE_ROOM (AGENT_QUOTE_MAX + AGENT_EVENTS_MAX + 4096u)
#define HASH_SHA256 1 /* IANA named information */

/* 2.23.133.5.4.9, tcg-dice-tagged-evidence */
static const char evidence_oid[] = {0x67, (char)0x81, 0x05, 0x05, 0x04, 0x09};

/* Head of a CBOR item (RFC 8949), in the shortest form. */
static void put_head(struct agent_text *t, unsigned major, uint32_t n)
{
    uint8_t b[5] = {(uint8_t)(major << 5)};
    size_t size = n < 24 ? 0 : n < 256 ? 1 : n < 65536 ? 2 : 4;
    b[0] |= (uint8_t)(!size ? n : size == 1 ? 24 : size == 2 ? 25 : 26);
    for (size_t i = size; i; i--, n >>= 8)
        b[i] = (uint8_t)n;
    agent_text_add(t, b, 1 + size);
}

static void byte_string(struct agent_text *t, const void *data, size_t size)
{
    put_head(t, 2, (uint32_t)size);
    agent_text_add(t, data, size);
}

static void text_string(struct agent_text *t, const char *text)
{
    put_head(t, 3, (uint32_t)strlen(text));
    agent_text_str(t, text);
}

static int claims_of(struct agent_text *t, mbedtls_pk_context *pk, const uint8_t *nonce,
                     size_t nonce_size, const struct agent_events *events)
{
    uint8_t der[256], hash[SH_SHA256_SIZE];
    struct agent_text entry = {0};
    int n = mbedtls_pk_write_pubkey_der(pk, der, sizeof(der)); /* at the end of der */
    if (n <= 0)
        return -ENOMEM;
    sh_sha256(hash, der + sizeof(der) - n, (size_t)n);
    put_head(&entry, 4, 2);
    put_head(&entry, 0, HASH_SHA256);
    byte_string(&entry, hash, sizeof(hash));
    put_head(t, 5, 1u + !!nonce_size + agent_events_bound(events));
    text_string(t, "pubkey-hash");
    byte_string(t, entry.data, entry.size);
    if (nonce_size) {
        text_string(t, "nonce");
        byte_string(t, nonce, nonce_size);
    }
    if (agent_events_bound(events)) {
        text_string(t, "measured-log");
        byte_string(t, events->log.data, events->log.size);
    }
    t->failed = t->failed || entry.failed;
    agent_text_free(&entry);
    return t->failed ? -ENOMEM : 0;
}

/* The extension's value: evidence over the claims, and the claims. */
static int extension_of(struct agent_text *t, const struct agent_text *claims,
                        struct agent_error *e)
{
    uint8_t report_data[64] = {0};
    struct agent_raw raw = {0};
    const char *why = "";
    char tee[8];
    agent_tee_word(tee);
    if (!strcmp(tee, "csv"))
        return agent_fail(e, -ENODEV, "there is no form of RA-TLS for CSV", NULL);
    sh_sha256(report_data, claims->data, claims->size);
    int rc = agent_os_evidence(report_data, &raw, &why);
    if (!rc && (!raw.quote_size || raw.quote_size > AGENT_QUOTE_MAX))
        rc = -EPROTO;
    if (!rc) {
        put_head(t, 6, strcmp(tee, "snp") ? TAG_INTEL_QUOTE : TAG_SNP_REPORT);
        put_head(t, 4, 2);
        byte_string(t, raw.quote, raw.quote_size);
        byte_string(t, claims->data, claims->size);
        rc = t->failed ? -ENOMEM : 0;
    }
    agent_os_free(raw.quote);
    agent_os_free(raw.more);
    return rc ? agent_fail(e, rc, "this TEE (", agent_os_tee(), ") gave no evidence: ", why, NULL)
              : 0;
}

static int add_extension(mbedtls_x509write_cert *crt, const struct agent_text *value)
{
    return mbedtls_x509write_crt_set_extension(crt, evidence_oid, sizeof(evidence_oid), 0,
                                               (const unsigned char *)value->data, value->size);
}

static int set_serial(mbedtls_x509write_cert *crt)
{
    uint8_t serial[16];
    if (agent_os_random(serial, sizeof(serial)))
        return -1;
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and of this length */
#if MBEDTLS_VERSION_NUMBER >= 0x03040000
    return mbedtls_x509write_crt_set_serial_raw(crt, serial, sizeof(serial));
#else
    mbedtls_mpi n;
    mbedtls_mpi_init(&n);
    int rc = mbedtls_mpi_read_binary(&n, serial, sizeof(serial));
    if (!rc)
        rc = mbedtls_x509write_crt_set_serial(crt, &n);
    mbedtls_mpi_free(&n);
    return rc;
#endif
}

/* DER at the end of room: its size, or negative. */
static int sign_certificate(mbedtls_pk_context *pk, const struct agent_text *extension,
                            uint8_t *room)
{
    mbedtls_x509write_cert crt;
    mbedtls_x509write_crt_init(&crt);
    mbedtls_x509write_crt_set_version(&crt, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&crt, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&crt, pk);
    mbedtls_x509write_crt_set_issuer_key(&crt, pk);
    int rc = mbedtls_x509write_crt_set_subject_name(&crt, "CN=shelter");
    if (!rc)
        rc = mbedtls_x509write_crt_set_issuer_name(&crt, "CN=shelter");
    if (!rc)
        rc = mbedtls_x509write_crt_set_validity(&crt, "20000101000000", "20991231235959");
    if (!rc)
        rc = mbedtls_x509write_crt_set_basic_constraints(&crt, 0, -1);
    if (!rc)
        rc = set_serial(&crt);
    if (!rc)
        rc = add_extension(&crt, extension);
    if (!rc)
        rc = mbedtls_x509write_crt_der(&crt, room, CERTIFICATE_ROOM, agent_rng, NULL);
    mbedtls_x509write_crt_free(&crt);
    return rc;
}

static int add_pem(struct agent_text *t, const uint8_t *der, size_t size)
{
    size_t room = size * 4 / 3 + size / 32 + 128, written = 0;
    unsigned char *pem = agent_os_alloc(room);
    int rc = pem ? mbedtls_pem_write_buffer("-----BEGIN CERTIFICATE-----\n",
                                            "-----END CERTIFICATE-----\n", der, size, pem, room,
                                            &written)
                 : -1;
    if (!rc)
        agent_text_str(t, (char *)pem);
    agent_os_free(pem);
    return rc || t->failed ? -ENOMEM : 0;
}

static int key_pem(struct agent_text *t, mbedtls_pk_context *pk)
{
    unsigned char pem[512] = {0};
    int rc = mbedtls_pk_write_key_pem(pk, pem, sizeof(pem));
    if (!rc)
        agent_text_str(t, (char *)pem);
    agent_wipe(pem, sizeof(pem));
    return rc;
}

static int make_certificate(mbedtls_pk_context *pk, const struct agent_text *extension,
                            struct agent_text *out)
{
    uint8_t *der = agent_os_alloc(CERTIFICATE_ROOM);
    int n = der ? sign_certificate(pk, extension, der) : -1;
    int rc = n > 0 ? key_pem(out, pk) : -1;
    if (!rc)
        rc = add_pem(out, der + CERTIFICATE_ROOM - n, (size_t)n);
    agent_os_free(der);
    return rc;
}

int agent_ra_tls(struct agent *a, const uint8_t *nonce, size_t nonce_size, char **pem, size_t *size,
                 struct agent_error *e)
{
    struct agent_text claims = {0}, extension = {0}, out = {0};
    mbedtls_pk_context pk;
    if (nonce_size > AGENT_NONCE_MAX)
        return agent_fail(e, -EINVAL, "a nonce has at most 64 bytes", NULL);
    mbedtls_pk_init(&pk);
    int rc = mbedtls_pk_setup(&pk, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    if (!rc)
        rc = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(pk), agent_rng, NULL);
    if (!rc)
        rc = claims_of(&claims, &pk, nonce, nonce_size, &a->events);
    if (rc) {
        rc = agent_fail(e, -ENOMEM, "no key for a certificate", NULL);
    } else if (!(rc = extension_of(&extension, &claims, e)) &&
               make_certificate(&pk, &extension, &out)) {
        rc = agent_fail(e, -ENOMEM, "no memory for a certificate", NULL);
    }
    mbedtls_pk_free(&pk);
    agent_text_free(&claims);
    agent_text_free(&extension);
    if (rc) {
        agent_text_free(&out);
        return rc;
    }
    *pem = out.data;
    *size = out.size;
    return 0;
}
