// SPDX-License-Identifier: Apache-2.0
// Quotes judged per second on one core with warm collateral, beside what the signatures alone cost.
//
// "floor" is the time of the P-256 verifications that a quote cannot do without: PCK certificate,
// QE report, quote. `openssl speed ecdsap256` gives the same figure for one.
#include "tests/gen/evidence.h"

#include "verifier/quote/collateral.h"
#include <shelter/verify.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double verifies_per_second(const char *curve, const EVP_MD *md)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
    uint8_t message[384] = {0}, sig[160];
    size_t size = sizeof(sig);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    double start;
    long n = 0;

    EVP_DigestSignInit(ctx, NULL, md, NULL, key);
    EVP_DigestSign(ctx, sig, &size, message, sizeof(message));
    EVP_MD_CTX_free(ctx);
    start = now();
    while (now() - start < 1) {
        for (int i = 0; i < 100; i++) {
            ctx = EVP_MD_CTX_new();
            if (EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) != 1 ||
                EVP_DigestVerify(ctx, sig, size, message, sizeof(message)) != 1)
                abort();
            EVP_MD_CTX_free(ctx);
        }
        n += 100;
    }
    EVP_PKEY_free(key);
    return (double)n / (now() - start);
}

// What the collateral knows of platforms that were judged goes out of its ring.
static void forget(struct sv_seen *seen)
{
    static X509 *none;

    if (!none)
        none = X509_new();
    for (int i = 0; i < SV_SEEN; i++)
        sv_seen_add(seen, none, (const uint8_t *)"", 1);
}

static double judge_per_second(const struct shelter_verify_request *rq, struct sv_seen *seen,
                               double seconds)
{
    double start = now();
    long n = 0;

    while (now() - start < seconds) {
        for (int i = 0; i < 20; i++) {
            struct shelter_verdict *v;

            if (seen)
                forget(seen);
            if (shelter_verify(rq, &v) || !shelter_verdict_accepted(v)) {
                fprintf(stderr, "bench: evidence was not accepted\n");
                exit(1);
            }
            shelter_verdict_free(v);
        }
        n += 20;
    }
    return (double)n / (now() - start);
}

// first: as if each quote were of a platform that this collateral has not met yet.
static void intel(const char *name, struct gen_intel_options o, bool first, double p256)
{
    struct shelter_collateral *col;
    struct gen_intel g;
    char why[256], *json;
    double rate;

    gen_intel(&o, &g);
    json = gen_intel_collateral(&g);
    if (shelter_collateral_parse(json, strlen(json), g.root.data, g.root.size, &col, why,
                                 sizeof(why)))
        exit(1);
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .evidence = g.quote.data,
                                        .evidence_size = g.quote.size,
                                        .collateral = col,
                                        .ca = g.root.data,
                                        .ca_size = g.root.size,
                                        .time = gen_now};

    rate = judge_per_second(&rq, first ? col->seen : NULL, 2);
    printf("%-28s %10.0f %10.2f\n", name, rate, rate / (p256 / 3));
    shelter_collateral_free(col);
    free(json);
    gen_intel_free(&g);
}

static void snp(double p384)
{
    struct gen_snp_options o = {.version = 3, .rsa = true};
    struct gen_snp g;
    struct shelter_collateral *col;
    char chain[8192], why[256];
    double rate;

    gen_snp(&o, &g);
    snprintf(chain, sizeof(chain), "%s%s", g.ask.data, g.ark.data);
    if (shelter_collateral_parse("{}", 2, chain, strlen(chain), &col, why, sizeof(why)))
        exit(1);
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .evidence = g.report.data,
                                        .evidence_size = g.report.size,
                                        .collateral = col,
                                        .signer = g.signer.data,
                                        .signer_size = g.signer.size,
                                        .ca = chain,
                                        .ca_size = strlen(chain),
                                        .time = gen_now};

    rate = judge_per_second(&rq, NULL, 2);
    printf("%-28s %10.0f %10.2f\n", "SNP report, RSA chain", rate, rate / p384);
    shelter_collateral_free(col);
    gen_snp_free(&g);
}

int main(void)
{
    double p256, p384;

    gen_now = (int64_t)time(NULL);
    p256 = verifies_per_second("P-256", EVP_sha256());
    p384 = verifies_per_second("P-384", EVP_sha384());
    printf("%-28s %10s %10s\n", "one core", "per second", "of floor");
    printf("%-28s %10.0f\n", "ECDSA P-256 verification", p256);
    printf("%-28s %10.0f\n", "ECDSA P-384 verification", p384);
    for (int first = 0; first < 2; first++) {
        printf("%s\n",
               first ? "platforms that were not met before" : "one platform again and again");
        intel("SGX quote v3", (struct gen_intel_options){.version = 3}, first, p256);
        intel("TDX quote v4", (struct gen_intel_options){.version = 4, .tdx = true}, first, p256);
        intel("TDX quote v5, TD 1.5",
              (struct gen_intel_options){.version = 5, .tdx = true, .body_type = 3}, first, p256);
    }
    snp(p384);
    return 0;
}
