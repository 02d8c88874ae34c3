// SPDX-License-Identifier: Apache-2.0
// shelter sgx-sim pccs: the collateral of the simulated TEE, as Intel's caching service (PCCS)
// serves it.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <microhttpd.h>
#include <openssl/pem.h>

#include "host/attest/pki.h"
#include "host/attest/sim_tee.h"
#include "host/base/temp.h"
#include "host/cli/cli.h"
#include "host/store/store.h"
#include "lib/hex.h"
#include "verifier/broker/server.h"

#define LISTEN_DEFAULT "127.0.0.1:8081"
#define FILE_MAX 65536

/* What a path below /certification/v3 or /v4 is. */
static const struct document {
    const char *tee, *path, *file, *chain_header, *chain;
    bool hex; /* where DER is not asked for */
} documents[] = {
    {"sgx", "tcb", "tcb_info.json", "TCB-Info-Issuer-Chain", "tcb_signing_chain.pem", false},
    {"sgx", "qe/identity", "qe_identity.json", "SGX-Enclave-Identity-Issuer-Chain",
     "tcb_signing_chain.pem", false},
    {"sgx", "pckcrl", "pck_crl.der", "SGX-PCK-CRL-Issuer-Chain", "pck_crl_issuer_chain.pem", true},
    {"sgx", "rootcacrl", "root_ca_crl.der", NULL, NULL, true},
    {"tdx", "tcb", "tcb_info.json", "TCB-Info-Issuer-Chain", "tcb_signing_chain.pem", false},
    {"tdx", "qe/identity", "qe_identity.json", "SGX-Enclave-Identity-Issuer-Chain",
     "tcb_signing_chain.pem", false},
};
#define DOCUMENTS (sizeof(documents) / sizeof(documents[0]))

struct service {
    struct MHD_Response *answer[DOCUMENTS][2]; /* as it is, and as DER */
    struct MHD_Response *pck;
    struct MHD_Response *none;
};

/* Percent-encoded, as the header has it. Owned by the caller. */
static char *encode(const uint8_t *text, size_t size)
{
    struct sh_buffer out = {0};
    char part[4];
    for (size_t i = 0; i < size; i++) {
        bool plain = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'A' && text[i] <= 'Z') ||
                     (text[i] >= 'a' && text[i] <= 'z') || text[i] == '-' || text[i] == '_';
        snprintf(part, sizeof(part), plain ? "%c" : "%%%02X", text[i]);
        sh_buffer_add(&out, part, strlen(part));
    }
    sh_buffer_add(&out, "", 1);
    return (char *)out.data;
}

static int read_document(struct service *s, const char *dir, size_t i, struct sh_error *err)
{
    const struct document *d = &documents[i];
    cleanup_free char *path = sh_format("%s/%s/%s", dir, d->tee, d->file);
    cleanup_free char *chain_path = sh_format("%s/%s/%s", dir, d->tee, d->chain ? d->chain : "");
    uint8_t *body = NULL, *chain = NULL;
    size_t size, chain_size;
    int r = sh_read_file(AT_FDCWD, path, FILE_MAX, &body, &size, err);
    if (!r && d->chain)
        r = sh_read_file(AT_FDCWD, chain_path, FILE_MAX, &chain, &chain_size, err);
    if (r) {
        free(body);
        return r;
    }
    char *text = sh_alloc(2 * size + 1);
    sh_hex(text, body, size);
    s->answer[i][0] = d->hex
                          ? MHD_create_response_from_buffer(2 * size, text, MHD_RESPMEM_MUST_COPY)
                          : MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_COPY);
    s->answer[i][1] = MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_COPY);
    if (chain) {
        cleanup_free char *encoded = encode(chain, chain_size);
        for (int k = 0; k < 2; k++) {
            MHD_add_response_header(s->answer[i][k], d->chain_header, encoded);
            if (!strcmp(d->path, "tcb")) /* its name in version 3 */
                MHD_add_response_header(s->answer[i][k], "SGX-TCB-Info-Issuer-Chain", encoded);
        }
    }
    free(text);
    free(body);
    free(chain);
    return 0;
}

/* "pckcert": the certificate of this machine's only TCB, and what the headers say of it. */
static int read_pck(struct service *s, const char *sim_tee, const char *dir, struct sh_error *err)
{
    cleanup_free char *path = sh_format("%s/sgx/pck_crl_issuer_chain.pem", dir), *pem = NULL;
    cleanup_free uint8_t *chain = NULL;
    char tcb[37], fmspc[13];
    size_t size;
    int r = sh_sim_qe_pck(sim_tee, &pem, err);
    if (!r)
        r = sh_read_file(AT_FDCWD, path, FILE_MAX, &chain, &size, err);
    if (r)
        return r;
    cleanup_free char *encoded = encode(chain, size);
    sh_hex(tcb, sh_sim_svn, 16);
    snprintf(tcb + 32, sizeof(tcb) - 32, "%02x00", SH_SIM_PCESVN);
    sh_hex(fmspc, sh_sim_fmspc, 6);
    s->pck = MHD_create_response_from_buffer(strlen(pem), pem, MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(s->pck, "SGX-PCK-Certificate-Issuer-Chain", encoded);
    MHD_add_response_header(s->pck, "SGX-PCK-Certificate-CA-Type", "platform");
    MHD_add_response_header(s->pck, "SGX-TCBm", tcb);
    MHD_add_response_header(s->pck, "SGX-FMSPC", fmspc);
    return 0;
}

/* An argument of exactly `size` bytes in hex. */
static bool take_bytes(struct MHD_Connection *c, const char *name, uint8_t *out, size_t size)
{
    const char *text = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, name);
    return text && strlen(text) == 2 * size && !sh_unhex(out, size, text);
}

/* The certificate with the highest TCB that the platform has reached: ours, or none. */
static enum MHD_Result answer_pck(const struct service *s, struct MHD_Connection *c)
{
    uint8_t qe[16], svn[16], pce_svn[2], pce[2];
    if (!take_bytes(c, "qeid", qe, sizeof(qe)) || !take_bytes(c, "cpusvn", svn, sizeof(svn)) ||
        !take_bytes(c, "pcesvn", pce_svn, sizeof(pce_svn)) ||
        !take_bytes(c, "pceid", pce, sizeof(pce)))
        return MHD_queue_response(c, MHD_HTTP_BAD_REQUEST, s->none);
    bool reached = (pce_svn[0] | pce_svn[1] << 8) >= (int)SH_SIM_PCESVN && !pce[0] && !pce[1];
    for (size_t i = 0; i < sizeof(svn); i++)
        reached &= svn[i] >= sh_sim_svn[i];
    return reached ? MHD_queue_response(c, MHD_HTTP_OK, s->pck)
                   : MHD_queue_response(c, MHD_HTTP_NOT_FOUND, s->none);
}

static bool is_of_platform(struct MHD_Connection *c, const struct document *d)
{
    const char *fmspc = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "fmspc");
    char own[13];
    if (strcmp(d->path, "tcb") != 0)
        return true;
    sh_hex(own, sh_sim_fmspc, 6);
    return fmspc && !strcasecmp(fmspc, own);
}

static enum MHD_Result answer_request(void *cls, struct MHD_Connection *c, const char *url,
                                      const char *method, const char *version, const char *data,
                                      size_t *data_size, void **state)
{
    const struct service *s = cls;
    const char *encoding = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "encoding");
    bool der = encoding && !strcmp(encoding, "der");
    for (size_t i = 0; !strcmp(method, "GET") && i < DOCUMENTS; i++) {
        const struct document *d = &documents[i];
        char v3[64], v4[64];
        snprintf(v3, sizeof(v3), "/%s/certification/v3/%s", d->tee, d->path);
        snprintf(v4, sizeof(v4), "/%s/certification/v4/%s", d->tee, d->path);
        if ((!strcmp(url, v3) || !strcmp(url, v4)) && is_of_platform(c, d))
            return MHD_queue_response(c, MHD_HTTP_OK, s->answer[i][der]);
    }
    if (!strcmp(method, "GET") && (!strcmp(url, "/sgx/certification/v3/pckcert") ||
                                   !strcmp(url, "/sgx/certification/v4/pckcert")))
        return answer_pck(s, c);
    return MHD_queue_response(c, MHD_HTTP_NOT_FOUND, s->none);
}

/* What it has needs no escapes in paths and values; with them a path could end before its end. */
static size_t keep_escapes(void *cls, struct MHD_Connection *c, char *text)
{
    return strlen(text);
}

static char *key_text(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data, *text = NULL;
    if (bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)) {
        long n = BIO_get_mem_data(bio, &data);
        text = sh_format("%.*s", (int)n, data);
    }
    BIO_free(bio);
    return text;
}

static int write_collateral(const char *sim_tee, const char *dir, struct sh_error *err)
{
    cleanup_free char *sgx = sh_format("%s/sgx", dir), *tdx = sh_format("%s/tdx", dir);
    int r = sh_make_dirs(sgx, 0755, err);
    if (!r)
        r = sh_make_dirs(tdx, 0755, err);
    if (!r)
        r = sh_sim_collateral_write(sim_tee, sgx, 0, err);
    return r ? r : sh_sim_collateral_write(sim_tee, tdx, 1, err);
}

static void wait_for_end(void)
{
    sigset_t end;
    int sig;
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigaddset(&end, SIGINT);
    sigwait(&end, &sig);
}

static int serve(const char *listen_at, const char *cert_file, const char *sim_tee, const char *dir,
                 struct sh_error *err)
{
    struct service s = {0};
    char address[80], why[256] = "";
    EVP_PKEY *key = sh_pki_key("P-256");
    cleanup_free char *secret = key ? key_text(key) : NULL;
    int r = 0;
    for (size_t i = 0; !r && i < DOCUMENTS; i++)
        r = read_document(&s, dir, i, err);
    if (!r)
        r = read_pck(&s, sim_tee, dir, err);
    if (r)
        return r;
    s.none = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
    int fd = sb_server_hold_address(listen_at, address, why, sizeof(why));
    if (fd < 0 || listen(fd, 64))
        return sh_fail(err, fd < 0 ? fd : -errno, "%s", *why ? why : "cannot listen");
    cleanup_free char *cert = key ? sb_certificate(key, address) : NULL;
    if (!secret || !cert)
        return sh_fail(err, -EIO, "cannot create a certificate for %s", address);
    if (cert_file)
        r = sh_write_file(AT_FDCWD, cert_file, cert, strlen(cert), 0644, err);
    if (r)
        return r;
    sigset_t end;
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigaddset(&end, SIGINT);
    sigprocmask(SIG_BLOCK, &end, NULL);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TLS, 0, NULL, NULL, answer_request, &s,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_HTTPS_MEM_KEY, secret, MHD_OPTION_HTTPS_MEM_CERT,
        cert, MHD_OPTION_CONNECTION_LIMIT, 256u, MHD_OPTION_CONNECTION_TIMEOUT, 30u,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_END);
    if (!daemon)
        return sh_fail(err, -EIO, "cannot serve on %s", address);
    printf("https://%s/sgx/certification/v4/\n", address);
    fflush(stdout);
    wait_for_end();
    MHD_stop_daemon(daemon);
    for (size_t i = 0; i < DOCUMENTS; i++) {
        MHD_destroy_response(s.answer[i][0]);
        MHD_destroy_response(s.answer[i][1]);
    }
    MHD_destroy_response(s.pck);
    MHD_destroy_response(s.none);
    EVP_PKEY_free(key);
    return 0;
}

int cmd_sgx_sim_pccs(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_sgx_sim_pccs, argc, argv);
    struct sh_error err = {0};
    struct sh_store store;
    const char *listen_at = LISTEN_DEFAULT, *cert = NULL;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_sgx_sim_pccs_option)o) {
        case SH_sgx_sim_pccs_listen:
            listen_at = c.value;
            break;
        case SH_sgx_sim_pccs_certificate:
            cert = c.value;
            break;
        case SH_sgx_sim_pccs_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    cleanup_free char *sim_tee = sh_format("%s/%s", store.path, SH_STORE_SIM_TEE);
    cleanup_free char *dir = sh_format("%s/sgx-sim-pccs", store.path);
    sh_store_close(&store);
    int r = sh_sim_tee_make(sim_tee, &err);
    if (!r)
        r = write_collateral(sim_tee, dir, &err);
    if (!r)
        r = serve(listen_at, cert, sim_tee, dir, &err);
    return r ? sh_error_report(&err) : 0;
}
