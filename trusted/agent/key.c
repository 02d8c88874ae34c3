// SPDX-License-Identifier: Apache-2.0
// The TEE's key, and the JWEs that only it opens.
#define MBEDTLS_ALLOW_PRIVATE_ACCESS
#include <mbedtls/aes.h>
#include <mbedtls/asn1write.h>
#include <mbedtls/ecdh.h>
#include <mbedtls/gcm.h>
#include <mbedtls/oid.h>
#include <mbedtls/pem.h>
#include <mbedtls/pk.h>
#include <mbedtls/rsa.h>

#include <asm/errno.h>
#include <string.h>

#include "lib/base64.h"
#include "lib/sha2.h"
#include "trusted/agent/client.h"
#include "trusted/agent/key.h"

#define EC_ALG "ECDH-ES+A256KW"
#define RSA_ALG "RSA-OAEP-256"
#define RSA_BITS 2048
#define RSA_SIZE (RSA_BITS / 8)
#define HEADER_MAX 2048u /* the protected header, decoded */

struct agent_key {
    mbedtls_pk_context pk;
    bool rsa;
};

struct agent_key *agent_key_new(bool rsa)
{
    struct agent_key *k = agent_os_alloc(sizeof(*k));
    if (!k)
        return NULL;
    mbedtls_pk_init(&k->pk);
    k->rsa = rsa;
    int rc = mbedtls_pk_setup(&k->pk,
                              mbedtls_pk_info_from_type(rsa ? MBEDTLS_PK_RSA : MBEDTLS_PK_ECKEY));
    if (!rc && rsa)
        rc = mbedtls_rsa_gen_key(mbedtls_pk_rsa(k->pk), agent_rng, NULL, RSA_BITS, 65537);
    else if (!rc)
        rc = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(k->pk), agent_rng, NULL);
    if (rc) {
        agent_key_free(k);
        return NULL;
    }
    return k;
}

void agent_key_free(struct agent_key *k)
{
    if (!k)
        return;
    mbedtls_pk_free(&k->pk); /* mbedTLS zeroes the numbers it frees */
    agent_wipe(k, sizeof(*k));
    agent_os_free(k);
}

static void write_number(struct agent_text *t, const char *name, const mbedtls_mpi *n, size_t size)
{
    uint8_t bytes[RSA_SIZE];
    if (mbedtls_mpi_write_binary(n, bytes, size))
        t->failed = true;
    agent_text_str(t, ",\"");
    agent_text_str(t, name);
    agent_text_str(t, "\":\"");
    agent_text_base64url(t, bytes, size);
    agent_text_str(t, "\"");
}

void agent_key_jwk(const struct agent_key *k, struct agent_text *t)
{
    if (k->rsa) {
        const mbedtls_rsa_context *rsa = mbedtls_pk_rsa(k->pk);
        agent_text_str(t, "{\"alg\":\"" RSA_ALG "\"");
        write_number(t, "e", &rsa->E, 3);
        agent_text_str(t, ",\"kty\":\"RSA\"");
        write_number(t, "n", &rsa->N, RSA_SIZE);
    } else {
        const mbedtls_ecp_keypair *ec = mbedtls_pk_ec(k->pk);
        agent_text_str(t, "{\"alg\":\"" EC_ALG "\",\"crv\":\"P-256\",\"kty\":\"EC\"");
        write_number(t, "x", &ec->Q.X, 32);
        write_number(t, "y", &ec->Q.Y, 32);
    }
    agent_text_str(t, "}");
}

/* PrivateKeyInfo (RFC 5208) at the end of buf, around what mbedTLS writes there (SEC 1 or PKCS #1).
 * Its size, or negative. */
static int write_pkcs8(const struct agent_key *k, unsigned char *buf, size_t buf_size)
{
    const char *oid = k->rsa ? MBEDTLS_OID_PKCS1_RSA : MBEDTLS_OID_EC_ALG_UNRESTRICTED;
    const char *curve = MBEDTLS_OID_EC_GRP_SECP256R1;
    unsigned char *p = buf + buf_size;
    int n = mbedtls_pk_write_key_der((mbedtls_pk_context *)(uintptr_t)&k->pk, buf, buf_size);
    if (n < 0)
        return n;
    p -= n;
    size_t size = (size_t)n;
    /* Each of these writes before p and moves it; negative where there is no room. */
    int part[5];
    part[0] = mbedtls_asn1_write_len(&p, buf, size);
    part[1] = mbedtls_asn1_write_tag(&p, buf, MBEDTLS_ASN1_OCTET_STRING);
    part[2] = k->rsa ? 0 : mbedtls_asn1_write_oid(&p, buf, curve, strlen(curve));
    part[3] = part[2] < 0 ? part[2]
                          : mbedtls_asn1_write_algorithm_identifier(&p, buf, oid, strlen(oid),
                                                                    (size_t)part[2]);
    part[2] = 0; /* counted in the identifier */
    part[4] = mbedtls_asn1_write_int(&p, buf, 0);
    for (int i = 0; i < 5; i++) {
        if (part[i] < 0)
            return part[i];
        size += (size_t)part[i];
    }
    part[0] = mbedtls_asn1_write_len(&p, buf, size);
    part[1] = mbedtls_asn1_write_tag(&p, buf, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE);
    return part[0] < 0 || part[1] < 0 ? -1 : (int)size + part[0] + part[1];
}

int agent_key_pem(const struct agent_key *k, struct agent_text *t)
{
    unsigned char der[1536], pem[2304] = {0};
    size_t written;
    int n = write_pkcs8(k, der, sizeof(der));
    int rc = n < 0 ? n
                   : mbedtls_pem_write_buffer("-----BEGIN PRIVATE KEY-----\n",
                                              "-----END PRIVATE KEY-----\n", der + sizeof(der) - n,
                                              (size_t)n, pem, sizeof(pem), &written);
    if (!rc)
        agent_text_str(t, (char *)pem);
    agent_wipe(der, sizeof(der));
    agent_wipe(pem, sizeof(pem));
    return rc || t->failed ? -ENOMEM : 0;
}

int agent_unwrap(const uint8_t kek[32], const uint8_t in[40], uint8_t out[32])
{
    static const uint8_t iv[8] = {0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6};
    mbedtls_aes_context aes;
    uint8_t block[16];
    mbedtls_aes_init(&aes);
    int rc = mbedtls_aes_setkey_dec(&aes, kek, 256);
    memcpy(block, in, 8);
    memcpy(out, in + 8, 32);
    for (unsigned t = 24; !rc && t; t--) { /* six rounds of four blocks, backwards */
        uint8_t *r = out + 8 * ((t - 1) % 4);
        memcpy(block + 8, r, 8);
        block[7] ^= (uint8_t)t;
        rc = mbedtls_aes_crypt_ecb(&aes, MBEDTLS_AES_DECRYPT, block, block);
        memcpy(r, block + 8, 8);
    }
    if (!rc && !sh_equal_ct(block, iv, 8))
        rc = -EBADMSG;
    mbedtls_aes_free(&aes);
    agent_wipe(block, sizeof(block));
    if (rc)
        agent_wipe(out, 32);
    return rc ? -EBADMSG : 0;
}

static long bytes_of(struct agent_json o, const char *name, uint8_t *out, size_t out_size)
{
    char text[HEADER_MAX];
    long n = agent_json_member(o, name, text, sizeof(text));
    n = n < 0 ? n : sh_unbase64url(out, out_size, text, (size_t)n);
    agent_wipe(text, sizeof(text));
    return n;
}

static bool member_says(struct agent_json o, const char *name, const char *word)
{
    char text[32];
    return agent_json_member(o, name, text, sizeof(text)) >= 0 && !strcmp(text, word);
}

/* Z of ECDH (RFC 7518, 4.6): the header's ephemeral point must be one of P-256. */
static int shared_secret(const struct agent_key *k, struct agent_json header, uint8_t z[32])
{
    mbedtls_ecp_keypair *ec = mbedtls_pk_ec(k->pk);
    uint8_t point[65] = {4};
    struct agent_json epk;
    mbedtls_ecp_point peer;
    mbedtls_mpi secret;
    if (!agent_json_get(header, "epk", &epk) || !member_says(epk, "kty", "EC") ||
        !member_says(epk, "crv", "P-256") || bytes_of(epk, "x", point + 1, 32) != 32 ||
        bytes_of(epk, "y", point + 33, 32) != 32)
        return -EBADMSG;
    mbedtls_ecp_point_init(&peer);
    mbedtls_mpi_init(&secret);
    int rc = mbedtls_ecp_point_read_binary(&ec->grp, &peer, point, sizeof(point));
    if (!rc)
        rc = mbedtls_ecp_check_pubkey(&ec->grp, &peer);
    if (!rc)
        rc = mbedtls_ecdh_compute_shared(&ec->grp, &secret, &peer, &ec->d, agent_rng, NULL);
    if (!rc)
        rc = mbedtls_mpi_write_binary(&secret, z, 32);
    mbedtls_mpi_free(&secret);
    mbedtls_ecp_point_free(&peer);
    return rc ? -EBADMSG : 0;
}

/* Concat KDF (NIST SP 800-56A) of one round, with empty PartyUInfo and PartyVInfo. */
static void derive_key(const uint8_t z[32], uint8_t kek[32])
{
    static const uint8_t before[4] = {0, 0, 0, 1};
    static const uint8_t info[] = "\0\0\0\x0e" EC_ALG "\0\0\0\0\0\0\0\0\0\0\1"; /* and one zero */
    struct sh_sha256 h;
    sh_sha256_init(&h);
    sh_sha256_update(&h, before, sizeof(before));
    sh_sha256_update(&h, z, 32);
    sh_sha256_update(&h, info, sizeof(info)); /* its NUL is the last byte of 256, big endian */
    sh_sha256_final(&h, kek);
    agent_wipe(&h, sizeof(h));
}

static int content_key(const struct agent_key *k, struct agent_json header, struct agent_json jwe,
                       uint8_t cek[32])
{
    uint8_t wrapped[RSA_SIZE], z[32], kek[32];
    long n = bytes_of(jwe, "encrypted_key", wrapped, sizeof(wrapped));
    if (k->rsa) {
        size_t got = 0;
        mbedtls_rsa_set_padding(mbedtls_pk_rsa(k->pk), MBEDTLS_RSA_PKCS_V21, MBEDTLS_MD_SHA256);
        int bad =
            n != RSA_SIZE || mbedtls_pk_decrypt((mbedtls_pk_context *)(uintptr_t)&k->pk, wrapped,
                                                RSA_SIZE, cek, &got, 32, agent_rng, NULL);
        return bad || got != 32 ? -EBADMSG : 0;
    }
    int rc = n == 40 ? shared_secret(k, header, z) : -EBADMSG;
    if (!rc) {
        derive_key(z, kek);
        rc = agent_unwrap(kek, wrapped, cek);
    }
    agent_wipe(z, sizeof(z));
    agent_wipe(kek, sizeof(kek));
    return rc;
}

/* Members that change what the others mean and that we do not know. */
static bool has_unknown(struct agent_json header, struct agent_json jwe)
{
    static const char *const in_header[] = {"zip", "crit", "apu", "apv", "b64"};
    static const char *const in_jwe[] = {"header", "unprotected", "recipients", "aad"};
    struct agent_json v;
    for (size_t i = 0; i < sizeof(in_header) / sizeof(in_header[0]); i++)
        if (agent_json_get(header, in_header[i], &v))
            return true;
    for (size_t i = 0; i < sizeof(in_jwe) / sizeof(in_jwe[0]); i++)
        if (agent_json_get(jwe, in_jwe[i], &v) && !agent_same(v.at, v.size, "null"))
            return true;
    return false;
}

/* Decodes the ciphertext in place and decrypts it. text: the member as it came. */
static int decrypt_payload(const uint8_t cek[32], struct agent_json jwe, const char *aad,
                           size_t aad_size, uint8_t **out, size_t *size)
{
    uint8_t iv[12], tag[16];
    struct agent_json v;
    if (bytes_of(jwe, "iv", iv, 12) != 12 || bytes_of(jwe, "tag", tag, 16) != 16 ||
        !agent_json_get(jwe, "ciphertext", &v) || v.size < 2 || v.at[0] != '"')
        return -EBADMSG;
    size_t room = v.size / 4 * 3 + 3;
    if (room > AGENT_SECRET_MAX + 8)
        return -E2BIG;
    uint8_t *data = agent_os_alloc(room), *plain = agent_os_alloc(room);
    long n = data && plain ? sh_unbase64url(data, room, v.at + 1, v.size - 2) : -ENOMEM;
    if (n > (long)AGENT_SECRET_MAX)
        n = -E2BIG;
    mbedtls_gcm_context gcm;
    mbedtls_gcm_init(&gcm);
    int rc = n < 0 ? (int)n : mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, cek, 256);
    if (!rc && mbedtls_gcm_auth_decrypt(&gcm, (size_t)n, iv, sizeof(iv), (const uint8_t *)aad,
                                        aad_size, tag, sizeof(tag), data, plain))
        rc = -EBADMSG;
    mbedtls_gcm_free(&gcm);
    agent_os_free(data);
    if (rc) {
        agent_os_free(plain);
        return rc == -ENOMEM || rc == -E2BIG ? rc : -EBADMSG;
    }
    *out = plain;
    *size = (size_t)n;
    return 0;
}

int agent_jwe_open(const struct agent_key *k, struct agent_json jwe, uint8_t **out, size_t *size,
                   struct agent_error *e)
{
    char protected_text[HEADER_MAX];
    uint8_t bytes[HEADER_MAX], cek[32];
    struct agent_json header;
    long aad_size = agent_json_member(jwe, "protected", protected_text, sizeof(protected_text));
    long n = aad_size < 0 ? aad_size
                          : sh_unbase64url(bytes, sizeof(bytes), protected_text, (size_t)aad_size);
    if (n < 0 || agent_json_check(&header, (char *)bytes, (size_t)n))
        return agent_fail(e, -EBADMSG, "the broker's answer is not a flattened JWE", NULL);
    if (!member_says(header, "alg", k->rsa ? RSA_ALG : EC_ALG))
        return agent_fail(e, -EBADMSG, "the broker's JWE has another alg than the key asks for (",
                          k->rsa ? RSA_ALG : EC_ALG, ")", NULL);
    if (!member_says(header, "enc", "A256GCM") || has_unknown(header, jwe))
        return agent_fail(e, -EBADMSG, "the broker's JWE is not plain A256GCM", NULL);
    int rc = content_key(k, header, jwe, cek);
    if (rc) {
        agent_wipe(cek, sizeof(cek));
        return agent_fail(e, -EBADMSG, "the broker's JWE was not made for this TEE's key", NULL);
    }
    rc = decrypt_payload(cek, jwe, protected_text, (size_t)aad_size, out, size);
    agent_wipe(cek, sizeof(cek));
    return rc == -ENOMEM  ? agent_fail(e, rc, "no memory for a secret", NULL)
           : rc == -E2BIG ? agent_fail(e, rc, "the broker's secret is larger than 1 MiB", NULL)
           : rc           ? agent_fail(e, rc, "the broker's JWE does not authenticate", NULL)
                          : 0;
}
