// SPDX-License-Identifier: Apache-2.0
// Collateral of the simulated TEEs: TCB info v3, enclave identity v2 (PCS API v4), CRLs, chains.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>
#include <openssl/pem.h>

#include "host/attest/authority.h"
#include "host/attest/sim_tee.h"
#include "host/base/temp.h"
#include "host/base/util.h"
#include "lib/hex.h"
#include "verifier/base/bytes.h"

#define DAYS_VALID 30
#define EVALUATION_NUMBER 1
#define TCB_DATE "2026-01-01T00:00:00Z"

static void add_hex(cJSON *o, const char *name, const void *data, size_t size)
{
    cleanup_free char *text = sh_alloc(2 * size + 1);
    sh_hex(text, data, size);
    cJSON_AddStringToObject(o, name, text);
}

static void add_dates(cJSON *o, int64_t now)
{
    char text[32];
    sv_time_format(now, text);
    cJSON_AddStringToObject(o, "issueDate", text);
    sv_time_format(now + DAYS_VALID * 86400ll, text);
    cJSON_AddStringToObject(o, "nextUpdate", text);
}

static void add_components(cJSON *tcb, const char *name, const uint8_t svn[16], bool old)
{
    cJSON *list = cJSON_AddArrayToObject(tcb, name);
    for (int i = 0; i < 16; i++) {
        cJSON *c = cJSON_CreateObject();
        cJSON_AddNumberToObject(c, "svn", old && svn[i] ? svn[i] - 1 : svn[i]);
        cJSON_AddItemToArray(list, c);
    }
}

static cJSON *add_level(cJSON *levels, const char *status)
{
    cJSON *level = cJSON_CreateObject();
    cJSON *tcb = cJSON_AddObjectToObject(level, "tcb");
    cJSON_AddStringToObject(level, "tcbDate", TCB_DATE);
    cJSON_AddStringToObject(level, "tcbStatus", status);
    cJSON_AddItemToArray(levels, level);
    return tcb;
}

/* What a SEAM module is identified by; the simulated one is signed by nobody, as Intel's. */
static void add_module(cJSON *o)
{
    static const uint8_t zeros[48];
    static const uint8_t ones[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    add_hex(o, "mrsigner", zeros, 48);
    add_hex(o, "attributes", zeros, 8);
    add_hex(o, "attributesMask", ones, 8);
}

static cJSON *tcb_info(bool tdx, int64_t now)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "id", tdx ? "TDX" : "SGX");
    cJSON_AddNumberToObject(o, "version", 3);
    add_dates(o, now);
    add_hex(o, "fmspc", sh_sim_fmspc, sizeof(sh_sim_fmspc));
    cJSON_AddStringToObject(o, "pceId", "0000");
    cJSON_AddNumberToObject(o, "tcbType", 0);
    cJSON_AddNumberToObject(o, "tcbEvaluationDataNumber", EVALUATION_NUMBER);
    if (tdx) {
        add_module(cJSON_AddObjectToObject(o, "tdxModule"));
        cJSON *module = cJSON_CreateObject();
        cJSON_AddItemToArray(cJSON_AddArrayToObject(o, "tdxModuleIdentities"), module);
        cJSON_AddStringToObject(module, "id", "TDX_01");
        add_module(module);
        cJSON *tcb = add_level(cJSON_AddArrayToObject(module, "tcbLevels"), "UpToDate");
        cJSON_AddNumberToObject(tcb, "isvsvn", sh_sim_tee_tcb_svn[0]);
    }
    cJSON *levels = cJSON_AddArrayToObject(o, "tcbLevels");
    for (int old = 0; old < 2; old++) {
        cJSON *tcb = add_level(levels, old ? "OutOfDate" : "UpToDate");
        add_components(tcb, "sgxtcbcomponents", sh_sim_svn, old);
        cJSON_AddNumberToObject(tcb, "pcesvn", SH_SIM_PCESVN - (unsigned)old);
        if (tdx)
            add_components(tcb, "tdxtcbcomponents", sh_sim_tee_tcb_svn, old);
    }
    return o;
}

static cJSON *qe_identity(bool tdx, int64_t now)
{
    static const uint8_t mask[16] = {0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint8_t attributes[16] = {SH_SIM_QE_ATTRIBUTES}, mrsigner[32];
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "id", tdx ? "TD_QE" : "QE");
    cJSON_AddNumberToObject(o, "version", 2);
    add_dates(o, now);
    cJSON_AddNumberToObject(o, "tcbEvaluationDataNumber", EVALUATION_NUMBER);
    cJSON_AddStringToObject(o, "miscselect", "00000000");
    cJSON_AddStringToObject(o, "miscselectMask", "ffffffff");
    attributes[0] &= mask[0];
    add_hex(o, "attributes", attributes, 16);
    add_hex(o, "attributesMask", mask, 16);
    sh_sim_qe_mrsigner(mrsigner);
    add_hex(o, "mrsigner", mrsigner, 32);
    cJSON_AddNumberToObject(o, "isvprodid", tdx ? SH_SIM_TD_QE_ISVPRODID : SH_SIM_QE_ISVPRODID);
    cJSON *tcb = add_level(cJSON_AddArrayToObject(o, "tcbLevels"), "UpToDate");
    cJSON_AddNumberToObject(tcb, "isvsvn", SH_SIM_QE_ISVSVN);
    return o;
}

/* {"MEMBER": BODY, "signature": hex}, signed over BODY's exact bytes. Takes `body`. */
static int write_signed(int dir_fd, const char *name, const char *member, cJSON *body,
                        EVP_PKEY *key, struct sh_error *err)
{
    cleanup_free char *text = cJSON_PrintUnformatted(body);
    uint8_t sig[64];
    char hex[129];
    cJSON_Delete(body);
    if (!text || sh_pki_sign_raw(key, EVP_sha256(), text, strlen(text), sig, sig + 32, 32))
        return sh_fail(err, -EIO, "cannot sign %s", name);
    sh_hex(hex, sig, sizeof(sig));
    cleanup_free char *all = sh_format("{\"%s\":%s,\"signature\":\"%s\"}", member, text, hex);
    return sh_write_file(dir_fd, name, all, strlen(all), 0644, err);
}

static int write_certs(int dir_fd, const char *name, X509 *leaf, X509 *root, struct sh_error *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    bool ok =
        bio && (!leaf || PEM_write_bio_X509(bio, leaf) == 1) && PEM_write_bio_X509(bio, root) == 1;
    long size = ok ? BIO_get_mem_data(bio, &text) : 0;
    int r = ok ? sh_write_file(dir_fd, name, text, (size_t)size, 0644, err)
               : sh_fail(err, -EIO, "cannot write %s", name);
    BIO_free(bio);
    return r;
}

static int write_crl(int dir_fd, const char *name, X509 *issuer, EVP_PKEY *key, int64_t now,
                     struct sh_error *err)
{
    X509_CRL *crl = sh_pki_crl(issuer, key, now, now + DAYS_VALID * 86400ll, NULL, 0);
    uint8_t *der = NULL;
    int size = crl ? i2d_X509_CRL(crl, &der) : -1;
    int r = size > 0 ? sh_write_file(dir_fd, name, der, (size_t)size, 0644, err)
                     : sh_fail(err, -EIO, "cannot create %s", name);
    OPENSSL_free(der);
    X509_CRL_free(crl);
    return r;
}

int sh_sim_collateral_write(const char *dir, const char *out_dir, int tdx, struct sh_error *err)
{
    struct sh_authority a;
    int64_t now = time(NULL);
    int r = sh_authority_open(&a, dir, err);
    if (r)
        return r;
    r = sh_make_dirs(out_dir, 0755, err);
    cleanup_close int fd = r ? -1 : open(out_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!r && fd < 0)
        r = sh_fail_errno(err, -errno, "cannot open the folder %s", out_dir);
    if (!r)
        r = write_signed(fd, "tcb_info.json", "tcbInfo", tcb_info(tdx, now), a.tcb_key, err);
    if (!r)
        r = write_signed(fd, "qe_identity.json", "enclaveIdentity", qe_identity(tdx, now),
                         a.tcb_key, err);
    if (!r)
        r = write_certs(fd, "tcb_signing_chain.pem", a.tcb, a.root, err);
    if (!r)
        r = write_certs(fd, "pck_crl_issuer_chain.pem", a.ca, a.root, err);
    if (!r)
        r = write_certs(fd, SH_SIM_ROOT, NULL, a.root, err);
    if (!r)
        r = write_crl(fd, "pck_crl.der", a.ca, a.ca_key, now, err);
    if (!r)
        r = write_crl(fd, "root_ca_crl.der", a.root, a.root_key, now, err);
    sh_authority_free(&a);
    return r;
}
