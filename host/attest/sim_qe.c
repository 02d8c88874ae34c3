// SPDX-License-Identifier: Apache-2.0
// The simulated quoting enclave. It is no enclave, so it holds what it needs of one: an identity
// that reports can be made for, and the keys of the machine's simulated root.
#include "host/attest/sim_tee.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/rand.h>

#include <shelter/simtd.h>

#include "host/attest/intel.h"
#include "host/base/util.h"
#include "host/sgx/sim/sgxsim.h"
#include "lib/bytes.h"
#include "lib/sha2.h"
#include "verifier/quote/quote.h"

#define KEYS_SIZE_MAX 65536u
#define BEGIN_CERT "-----BEGIN CERTIFICATE-----"

const uint8_t sh_sim_svn[16] = {2, 2, 2, 2, 2, 2, 2, 2}; /* as the simulated processor has it */
const uint8_t sh_sim_tee_tcb_svn[16] = {3, 1, 2};
const uint8_t sh_sim_fmspc[6] = {0x00, 0x53, 0x49, 0x4d, 0x00, 0x00}; /* "SIM" */

void sh_sim_qe_mrsigner(uint8_t mrsigner[32])
{
    static const char name[] = "shelter simulated quoting enclave: signer";
    sh_sha256(mrsigner, name, sizeof(name) - 1);
}

static void qe_mrenclave(uint8_t mrenclave[32])
{
    static const char name[] = "shelter simulated quoting enclave: version 1";
    sh_sha256(mrenclave, name, sizeof(name) - 1);
}

void sh_sim_qe_target(struct sgx_targetinfo *target)
{
    memset(target, 0, sizeof(*target));
    qe_mrenclave(target->mrenclave);
    target->attributes = (struct sgx_attributes){SH_SIM_QE_ATTRIBUTES, SGX_XFRM_LEGACY};
}

struct keys {
    EVP_PKEY *attestation, *pck;
    uint8_t *text;
    const char *chain; /* in text, NUL-terminated */
};

static void keys_free(struct keys *k)
{
    EVP_PKEY_free(k->attestation);
    EVP_PKEY_free(k->pck);
    if (k->text)
        explicit_bzero(k->text, strlen((char *)k->text));
    free(k->text);
}

static int keys_open(const char *dir, struct keys *k, struct sh_error *err)
{
    cleanup_free char *path = sh_format("%s/quoting.pem", dir);
    size_t size;
    *k = (struct keys){0};
    int r = sh_read_file(AT_FDCWD, path, KEYS_SIZE_MAX, &k->text, &size, err);
    if (r)
        return r;
    BIO *bio = BIO_new_mem_buf(k->text, (int)size);
    if (bio) {
        k->attestation = PEM_read_bio_PrivateKey(bio, NULL, NULL, "");
        k->pck = PEM_read_bio_PrivateKey(bio, NULL, NULL, "");
    }
    BIO_free(bio);
    k->chain = strstr((char *)k->text, BEGIN_CERT);
    if (k->attestation && k->pck && k->chain)
        return 0;
    keys_free(k);
    *k = (struct keys){0};
    return sh_fail(err, -EBADMSG,
                   "%s is damaged; remove the folder %s, and a new simulated root is made", path,
                   dir);
}

int sh_sim_qe_pck(const char *dir, char **pem, struct sh_error *err)
{
    struct keys k;
    int r = keys_open(dir, &k, err);
    if (r)
        return r;
    const char *next = strstr(k.chain + 1, BEGIN_CERT); /* its CA's */
    *pem = sh_format("%.*s", (int)(next ? next - k.chain : (ptrdiff_t)strlen(k.chain)), k.chain);
    keys_free(&k);
    return 0;
}

static void fill_identity(struct sgx_report *qe, uint16_t isv_prod_id)
{
    memcpy(qe->cpusvn, sh_sim_svn, sizeof(qe->cpusvn));
    qe->attributes = (struct sgx_attributes){SH_SIM_QE_ATTRIBUTES, SGX_XFRM_LEGACY};
    qe_mrenclave(qe->mrenclave);
    sh_sim_qe_mrsigner(qe->mrsigner);
    qe->isv_prod_id = isv_prod_id;
    qe->isv_svn = SH_SIM_QE_ISVSVN;
}

int sh_sim_qe_report(const struct sgx_targetinfo *target, const uint8_t data[64],
                     struct sgx_report *report)
{
    memset(report, 0, sizeof(*report));
    fill_identity(report, SH_SIM_QE_ISVPRODID);
    memcpy(report->report_data, data, 64);
    return sgxsim_report_finish(target, report);
}

static int make_quote(const char *dir, struct sh_quote_parts *p, uint16_t isv_prod_id, uint8_t *out,
                      struct sh_error *err)
{
    struct sgx_report *qe = (struct sgx_report *)p->qe_report; /* its first 384 bytes */
    struct keys k;
    int r = keys_open(dir, &k, err);
    if (r)
        return r;
    fill_identity(qe, isv_prod_id);
    p->attestation_key = k.attestation;
    p->pck = k.pck;
    p->cert_type = 5;
    p->cert_data = k.chain;
    p->cert_data_size = strlen(k.chain) + 1;
    r = RAND_bytes(p->auth, sizeof(p->auth)) == 1 ? sh_quote_write(p, out, SH_QUOTE_MAX) : -EIO;
    keys_free(&k);
    return r < 0 ? sh_fail(err, r, "the simulated quoting enclave failed (%s)", strerror(-r)) : r;
}

int sh_sim_qe_quote_sgx(const char *dir, const struct sgx_report *report, uint8_t *out,
                        struct sh_error *err)
{
    struct sgx_targetinfo self;
    struct sh_quote_parts p = {.version = 3, .body_type = 1, .body = (const uint8_t *)report};
    sh_sim_qe_target(&self);
    if (sgxsim_report_check(&self, report))
        return sh_fail(err, -EBADMSG,
                       "the report is not of this processor, or not for its quoting enclave");
    return make_quote(dir, &p, SH_SIM_QE_ISVPRODID, out, err);
}

/* TEE_TCB_INFO lies at 256 of TDREPORT_STRUCT: VALID 8, TEE_TCB_SVN 16, MRSEAM, MRSIGNERSEAM,
 * ATTRIBUTES 8. A quote's body has these, then TDINFO_STRUCT's fields up to RTMR3, then the data.
 */
#define TCB_INFO_TEE_TCB_SVN (256u + 8u)
_Static_assert(SV_TD_ATTRIBUTES == 16 + 48 + 48 + 8, "the body's first part is TEE_TCB_INFO's");
_Static_assert(SV_TD_REPORT_DATA - SV_TD_ATTRIBUTES == SH_TDINFO_RTMR + 4 * 48,
               "the second is TDINFO_STRUCT's");

int sh_sim_qe_quote_tdx(const char *dir, const uint8_t report[1024], uint8_t *out,
                        struct sh_error *err)
{
    uint8_t body[SV_TD10_SIZE];
    struct sh_quote_parts p = {.version = 4, .body_type = 2, .body = body};
    memcpy(body, report + TCB_INFO_TEE_TCB_SVN, SV_TD_ATTRIBUTES);
    memcpy(body + SV_TD_ATTRIBUTES, report + SH_TDREPORT_TDINFO,
           SV_TD_REPORT_DATA - SV_TD_ATTRIBUTES);
    memcpy(body + SV_TD_REPORT_DATA, report + SH_TDREPORT_REPORTDATA, 64);
    return make_quote(dir, &p, SH_SIM_TD_QE_ISVPRODID, out, err);
}
