// SPDX-License-Identifier: Apache-2.0
// Writes what Intel's quoting infrastructure writes: the PCK certificate's SGX extension and
// quotes. Used by the simulated TEEs and, with wrong parts, by made-up evidence in tests. Formats:
// Intel "SGX PCK Certificate and CRL Profile", "SGX ECDSA QuoteLib API", "TDX DCAP Quoting Library
// API".
#ifndef HOST_ATTEST_INTEL_H
#define HOST_ATTEST_INTEL_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#define SH_SGX_EXTENSION_MAX 1024u
#define SH_QUOTE_HEADER 48u /* QE vendor id and the rest are filled in by the writer */
#define SH_QE_REPORT_SIZE 384u
#define SH_QE_AUTH_SIZE 32u

/* DER body of 1.2.840.113741.1.13.1, the extension's OID. */
extern const uint8_t sh_sgx_extension_oid[9];

struct sh_pck_values {
    uint8_t ppid[16], svn[16], cpusvn[16], pceid[2], fmspc[6], instance[16];
    uint16_t pcesvn;
};

/* The extension's value. Its size, at most SH_SGX_EXTENSION_MAX. */
size_t sh_sgx_extension(uint8_t *out, const struct sh_pck_values *v);

struct sh_quote_parts {
    uint16_t version;    /* 3, 4, 5 */
    uint16_t body_type;  /* 1 SGX, 2 TD 1.0, 3 TD 1.5, 4 TD 1.5 extended */
    const uint8_t *body; /* of 384, 584, 648 or 885 bytes */
    EVP_PKEY *attestation_key;
    /* Its REPORTDATA is overwritten with SHA-256(attestation key || auth). */
    uint8_t qe_report[SH_QE_REPORT_SIZE];
    uint8_t auth[SH_QE_AUTH_SIZE];
    EVP_PKEY *pck;
    uint16_t cert_type; /* 5: the chain as PEM, with a NUL, as real quotes have it */
    const void *cert_data;
    size_t cert_data_size;
};

/* Writes a quote. Its size, -ENOSPC or -EIO. */
int sh_quote_write(struct sh_quote_parts *p, uint8_t *out, size_t out_size);

#endif
