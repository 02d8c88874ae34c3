// SPDX-License-Identifier: Apache-2.0
// Makes the simulated TEEs' authority: root, PCK CA, TCB signing, PCK, and the attestation key.
#include "host/attest/sim_tee.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/pem.h>
#include <openssl/rand.h>

#include <shelter/verify.h>

#include "host/attest/authority.h"
#include "host/attest/intel.h"
#include "host/base/temp.h"
#include "host/base/util.h"

#define YEARS 20
/* Nobody serves it (RFC 6761): collateral of a simulated TEE is made on its machine. */
#define SIM_CRL_URL "https://simulated.invalid/sgx/certification/v4/pckcrl"
#define YEAR_SECONDS (365ll * 86400)

void sh_authority_free(struct sh_authority *a)
{
    EVP_PKEY *keys[] = {a->root_key, a->ca_key, a->tcb_key};
    X509 *certs[] = {a->root, a->ca, a->tcb};
    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY_free(keys[i]);
        X509_free(certs[i]);
    }
    *a = (struct sh_authority){0};
}

static X509 *make_certificate(const char *cn, bool ca, EVP_PKEY *key, X509 *issuer,
                              EVP_PKEY *issuer_key, const struct sh_pck_values *pck)
{
    uint8_t extension[SH_SGX_EXTENSION_MAX];
    int64_t now = time(NULL);
    struct sh_cert_options o = {.cn = cn,
                                .ou = SHELTER_SIMULATED_OU,
                                .o = "Shelter",
                                .ca = ca,
                                .crl_url = SIM_CRL_URL,
                                .from = now - 86400, /* clocks differ a little */
                                .to = now + YEARS * YEAR_SECONDS};
    if (pck) {
        o.extension_count = 1;
        o.extension[0].oid = sh_sgx_extension_oid;
        o.extension[0].oid_size = sizeof(sh_sgx_extension_oid);
        o.extension[0].value = extension;
        o.extension[0].value_size = sh_sgx_extension(extension, pck);
    }
    return sh_pki_cert(&o, key, issuer, issuer_key);
}

static int write_pem(int dir_fd, const char *name, mode_t mode, EVP_PKEY *const *keys,
                     size_t key_count, X509 *const *certs, size_t cert_count, struct sh_error *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    bool ok = bio;
    for (size_t i = 0; ok && i < key_count; i++)
        ok = PEM_write_bio_PrivateKey(bio, keys[i], NULL, NULL, 0, NULL, NULL) == 1;
    for (size_t i = 0; ok && i < cert_count; i++)
        ok = PEM_write_bio_X509(bio, certs[i]) == 1;
    long size = ok ? BIO_get_mem_data(bio, &text) : 0;
    int r = ok ? sh_write_file(dir_fd, name, text, (size_t)size, mode, err)
               : sh_fail(err, -EIO, "cannot write %s of the simulated TEE", name);
    BIO_free(bio);
    return r;
}

static int write_all(const struct sh_authority *a, int dir_fd, struct sh_error *err)
{
    struct sh_pck_values v = {.pcesvn = SH_SIM_PCESVN};
    memcpy(v.svn, sh_sim_svn, sizeof(v.svn));
    memcpy(v.cpusvn, sh_sim_svn, sizeof(v.cpusvn));
    memcpy(v.fmspc, sh_sim_fmspc, sizeof(v.fmspc));
    if (RAND_bytes(v.instance, sizeof(v.instance)) != 1)
        return sh_fail(err, -EIO, "no random bytes for the simulated TEE");
    EVP_PKEY *quoting[] = {sh_pki_key("P-256"), sh_pki_key("P-256")};
    EVP_PKEY *authority[] = {a->root_key, a->ca_key, a->tcb_key};
    X509 *certs[] = {a->root, a->ca, a->tcb};
    X509 *pck = quoting[1] ? make_certificate("Simulated SGX PCK Certificate", false, quoting[1],
                                              a->ca, a->ca_key, &v)
                           : NULL;
    X509 *chain[] = {pck, a->ca, a->root};
    int r = !quoting[0] || !pck
                ? sh_fail(err, -EIO, "cannot create the simulated TEE's certificates")
                : write_pem(dir_fd, "quoting.pem", 0600, quoting, 2, chain, 3, err);
    if (!r)
        r = write_pem(dir_fd, "authority.pem", 0600, authority, 3, certs, 3, err);
    if (!r)
        r = write_pem(dir_fd, SH_SIM_ROOT, 0644, NULL, 0, &a->root, 1, err);
    X509_free(pck);
    EVP_PKEY_free(quoting[0]);
    EVP_PKEY_free(quoting[1]);
    return r;
}

static int make_in(int dir_fd, struct sh_error *err)
{
    struct sh_authority a = {.root_key = sh_pki_key("P-256"),
                             .ca_key = sh_pki_key("P-256"),
                             .tcb_key = sh_pki_key("P-256")};
    if (a.root_key && a.ca_key && a.tcb_key) {
        a.root = make_certificate("Simulated SGX Root CA", true, a.root_key, NULL, NULL, NULL);
        if (a.root) {
            a.ca = make_certificate("Simulated SGX PCK Platform CA", true, a.ca_key, a.root,
                                    a.root_key, NULL);
            a.tcb = make_certificate("Simulated SGX TCB Signing", false, a.tcb_key, a.root,
                                     a.root_key, NULL);
        }
    }
    int r = a.ca && a.tcb ? write_all(&a, dir_fd, err)
                          : sh_fail(err, -EIO, "cannot create the simulated TEE's certificates");
    sh_authority_free(&a);
    return r;
}

int sh_sim_tee_make(const char *dir, struct sh_error *err)
{
    cleanup_free char *file = sh_format("%s/" SH_SIM_ROOT, dir);
    if (!access(file, F_OK))
        return 0;
    cleanup_free char *temp = sh_format("%s.XXXXXX", dir);
    if (!mkdtemp(temp))
        return sh_fail_errno(err, -errno, "cannot create the folder %s", temp);
    cleanup_close int fd = open(temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r =
        fd < 0 ? sh_fail_errno(err, -errno, "cannot open the folder %s", temp) : make_in(fd, err);
    /* A folder that is there and not empty stays: somebody was faster. */
    if (!r && rename(temp, dir) && errno != ENOTEMPTY && errno != EEXIST)
        r = sh_fail_errno(err, -errno, "cannot create the folder %s", dir);
    sh_remove_tree(AT_FDCWD, temp);
    return r;
}

int sh_authority_open(struct sh_authority *a, const char *dir, struct sh_error *err)
{
    cleanup_free char *path = sh_format("%s/authority.pem", dir);
    EVP_PKEY **keys[] = {&a->root_key, &a->ca_key, &a->tcb_key};
    X509 **certs[] = {&a->root, &a->ca, &a->tcb};
    bool ok = true;
    *a = (struct sh_authority){0};
    BIO *bio = BIO_new_file(path, "r");
    if (!bio)
        return sh_fail(err, -ENOENT, "cannot read %s", path);
    for (size_t i = 0; ok && i < 3; i++)
        ok = (*keys[i] = PEM_read_bio_PrivateKey(bio, NULL, NULL, ""));
    for (size_t i = 0; ok && i < 3; i++)
        ok = (*certs[i] = PEM_read_bio_X509(bio, NULL, NULL, NULL));
    BIO_free(bio);
    if (ok)
        return 0;
    sh_authority_free(a);
    return sh_fail(err, -EBADMSG,
                   "%s is damaged; remove the folder %s, and a new simulated root is made", path,
                   dir);
}
