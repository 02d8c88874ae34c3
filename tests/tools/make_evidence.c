// SPDX-License-Identifier: Apache-2.0
// make_evidence KIND FOLDER [fuzz]: writes made-up evidence and its collateral as files, valid now.
// KIND: sgx3 sgx5 tdx4 tdx5 tdx15 sim snp snp-rsa vlek csv1 csv2 nitro gpu log ra-tls
#include "tests/gen/evidence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *folder;

static void save_blob(const char *name, const struct gen_blob *b)
{
    gen_save(folder, name, b->data, b->size);
}

static void save_signed(const char *name, const char *member, const struct gen_blob *body,
                        const struct gen_blob *sig)
{
    char *text = malloc(body->size + 512);
    int n = sprintf(text, "{\"%s\":%.*s,\"signature\":\"%.*s\"}", member, (int)body->size,
                    (char *)body->data, (int)sig->size, (char *)sig->data);

    gen_save(folder, name, text, (size_t)n);
    free(text);
}

static void save_intel(const struct gen_intel *g)
{
    char *json = gen_intel_collateral(g);

    save_blob("quote.bin", &g->quote);
    save_blob("root.pem", &g->root);
    save_blob("pck_chain.pem", &g->pck_chain);
    gen_save(folder, "collateral.json", json, strlen(json));
    save_signed("tcb_info.json", "tcbInfo", &g->tcb_info, &g->tcb_sig);
    save_signed("qe_identity.json", "enclaveIdentity", &g->qe_identity, &g->qe_sig);
    save_blob("tcb_signing_chain.pem", &g->tcb_chain);
    save_blob("pck_crl.der", &g->pck_crl);
    save_blob("pck_crl_issuer_chain.pem", &g->pck_crl_chain);
    save_blob("root_ca_crl.der", &g->root_crl);
    free(json);
}

static void intel(struct gen_intel_options o)
{
    struct gen_intel g;

    gen_intel(&o, &g);
    save_intel(&g);
    gen_intel_free(&g);
}

static void ra_tls(void)
{
    struct gen_ra_tls_options o = {.intel = {.version = 4, .tdx = true}, .nonce = "a nonce"};
    struct gen_ra_tls g;

    gen_ra_tls(&o, &g);
    save_intel(&g.intel);
    save_blob("cert.der", &g.cert);
    save_blob("key-and-cert.pem", &g.pem);
    gen_ra_tls_free(&g);
}

static void snp(struct gen_snp_options o)
{
    struct gen_snp g;

    gen_snp(&o, &g);
    save_blob("report.bin", &g.report);
    save_blob("signer.der", &g.signer);
    save_blob("ask.pem", &g.ask);
    save_blob("ark.pem", &g.ark);
    save_blob("amd_crl.der", &g.crl);
    gen_snp_free(&g);
}

static void csv(int version)
{
    struct gen_csv_options o = {.version = version};
    struct gen_csv g;

    gen_csv(&o, &g);
    save_blob("report.bin", &g.report);
    save_blob("hsk_cek.cert", &g.chain);
    save_blob("hrk.cert", &g.root);
    gen_csv_free(&g);
}

static void gpu(void)
{
    struct gen_gpu_options o = {.hex = false};
    struct gen_gpu g;

    gen_gpu(&o, &g);
    save_blob("additional.json", &g.json);
    save_blob("spdm.bin", &g.report);
    save_blob("root.pem", &g.root);
    save_blob("driver.swidtag", &g.rim[GEN_RIM_DRIVER]);
    save_blob("firmware.swidtag", &g.rim[GEN_RIM_FIRMWARE]);
    gen_gpu_free(&g);
}

static void nitro(void)
{
    struct gen_nitro_options o = {.nonce = "a nonce", .user_data = "user data"};
    struct gen_nitro g;

    gen_nitro(&o, &g);
    save_blob("document.cbor", &g.document);
    save_blob("root.pem", &g.root);
    gen_nitro_free(&g);
}

int main(int argc, char **argv)
{
    const char *kind = argc > 2 ? argv[1] : "";
    struct gen_blob log;
    uint8_t rtmr[4][48];

    folder = argc > 2 ? argv[2] : "";
    gen_now = (int64_t)time(NULL);
    if (!strcmp(kind, "sgx3"))
        intel((struct gen_intel_options){.version = 3});
    else if (!strcmp(kind, "sgx5"))
        intel((struct gen_intel_options){.version = 5});
    else if (!strcmp(kind, "tdx4"))
        intel((struct gen_intel_options){.version = 4, .tdx = true});
    else if (!strcmp(kind, "tdx5"))
        intel((struct gen_intel_options){.version = 5, .tdx = true});
    else if (!strcmp(kind, "tdx15"))
        intel((struct gen_intel_options){.version = 5, .tdx = true, .body_type = 3});
    else if (!strcmp(kind, "tdx15ex"))
        intel((struct gen_intel_options){.version = 5, .tdx = true, .body_type = 4});
    else if (!strcmp(kind, "sim"))
        intel((struct gen_intel_options){.version = 4, .tdx = true, .simulated_root = true});
    else if (!strcmp(kind, "snp"))
        snp((struct gen_snp_options){.version = 3});
    else if (!strcmp(kind, "snp-rsa"))
        snp((struct gen_snp_options){.version = 3, .rsa = true});
    else if (!strcmp(kind, "vlek"))
        snp((struct gen_snp_options){.version = 3, .vlek = true});
    else if (!strcmp(kind, "nitro"))
        nitro();
    else if (!strcmp(kind, "gpu"))
        gpu();
    else if (!strcmp(kind, "csv1") || !strcmp(kind, "csv2"))
        csv(kind[3] - '0');
    else if (!strcmp(kind, "ra-tls"))
        ra_tls();
    else if (!strcmp(kind, "log")) {
        log = gen_event_log_informed(rtmr);
        save_blob("log.bin", &log);
        free(log.data);
        log = gen_event_log_aael(rtmr);
        save_blob("aael.bin", &log);
        free(log.data);
        log = gen_event_log_dstack(rtmr);
        save_blob("log.json", &log);
        free(log.data);
    } else {
        fprintf(stderr, "usage: make_evidence KIND FOLDER\n");
        return 1;
    }
    return 0;
}
