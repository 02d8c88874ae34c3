// SPDX-License-Identifier: Apache-2.0
// shelter_verify(): opens the evidence, has it judged, then applies what the caller demands.
#include "verifier/judge/policy.h"
#include "verifier/quote/evidence.h"
#include "verifier/quote/gpu.h"
#include "verifier/quote/nitro.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

int shelter_nonce_report_data(const void *nonce, size_t nonce_size, uint8_t out[64])
{
    static const char domain[] = "shelter-attest-v1";
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha512(), NULL) == 1 &&
             EVP_DigestUpdate(ctx, domain, strlen(domain)) == 1 &&
             EVP_DigestUpdate(ctx, nonce, nonce_size) == 1 &&
             EVP_DigestFinal_ex(ctx, out, NULL) == 1;

    EVP_MD_CTX_free(ctx);
    return ok ? 0 : -ENOMEM;
}

struct shelter_verdict *sv_verdict_new(int64_t when)
{
    struct shelter_verdict *v = calloc(1, sizeof(*v));

    if (!v)
        return NULL;
    v->time = when;
    v->judged = v->signatures_valid = true;
    v->claims = cJSON_CreateObject();
    v->advisories = cJSON_CreateArray();
    if (!v->claims || !v->advisories) {
        shelter_verdict_free(v);
        return NULL;
    }
    return v;
}

struct job {
    const struct shelter_verify_request *rq;
    struct sv_evidence ev;
    struct sv_policy policy;
    struct sv_certs signer, named;
    struct sv_nitro nitro; // where the evidence is a NitroTPM document
    struct shelter_verdict *v;
};

static void judge_intel(struct job *job)
{
    struct sv_intel in = {0};
    const struct shelter_collateral *col = job->rq->collateral;

    if (sv_quote_parse(job->ev.data, job->ev.size, &in.quote, job->v))
        return;
    sv_quote_claims(&in.quote, job->v);
    sv_intel_judge(&in, col, &job->signer, &job->named, job->rq->allow_simulated, job->v);
    sv_policy_intel(&job->policy, &in, job->v);
    if (in.tcb_judged && col->tcb.evaluation_number < job->policy.min_evaluation_number)
        sv_refuse(job->v, SHELTER_R_TCB_EVAL_NUMBER, "%u instead of %u", col->tcb.evaluation_number,
                  job->policy.min_evaluation_number);
    if (in.tcb_judged && col->qe.evaluation_number < job->policy.min_evaluation_number)
        sv_refuse(job->v, SHELTER_R_TCB_EVAL_NUMBER, "QE identity: %u instead of %u",
                  col->qe.evaluation_number, job->policy.min_evaluation_number);
}

// Azure's paravisor puts a digest of its runtime data into the report.
static void judge_hcl(struct job *job)
{
    const struct sv_bytes *data = &job->ev.hcl_runtime;
    static const struct {
        const EVP_MD *(*md)(void);
        size_t size;
    } hashes[] = {{0}, {EVP_sha256, 32}, {EVP_sha384, 48}, {EVP_sha512, 64}};
    uint8_t digest[64] = {0};

    if (!data->data)
        return;
    if (job->ev.hcl_hash < 1 || job->ev.hcl_hash > 3 ||
        EVP_Digest(data->data, data->size, digest, NULL, hashes[job->ev.hcl_hash].md(), NULL) !=
            1 ||
        memcmp(digest, job->v->report_data, 64))
        sv_refuse(job->v, SHELTER_R_REPORT_DATA, "the HCL's runtime data");
    else {
        sv_claim_hex(job->v, "hcl_runtime_data_digest", digest, hashes[job->ev.hcl_hash].size);
        if (job->ev.tpm)
            sv_tpm_judge(job->ev.tpm, *data, job->v);
    }
}

static void judge_snp(struct job *job)
{
    struct sv_snp snp;

    if (sv_snp_parse(job->ev.data, job->ev.size, &snp, job->v))
        return;
    sv_snp_judge(&snp, job->rq->collateral, &job->signer, &job->named, job->rq->allow_simulated,
                 job->v);
    sv_policy_snp(&job->policy, &snp, job->v);
    judge_hcl(job);
    if (job->ev.svsm.manifest.data && job->ev.hcl_runtime.data) // whose report data are no SVSM's
        sv_refuse(job->v, SHELTER_R_SVSM_MANIFEST, "Azure's paravisor has none");
    else if (job->ev.svsm.manifest.data)
        sv_svsm_judge(&job->ev.svsm, sh_le32(snp.report + SV_SNP_VMPL), job->ev.tpm, job->v);
}

static void judge_csv(struct job *job)
{
    const struct shelter_verify_request *rq = job->rq;
    const uint8_t *chain = rq->signer;
    size_t chain_size = rq->signer_size;
    struct sv_csv csv;

    if (sv_csv_parse(job->ev.data, job->ev.size, job->ev.csv_version, &csv, job->v))
        return;
    if (!chain_size && job->ev.hygon) {
        chain = job->ev.hygon;
        chain_size = job->ev.hygon_size;
    }
    if (!chain_size && rq->collateral && rq->collateral->hygon) {
        chain = rq->collateral->hygon;
        chain_size = rq->collateral->hygon_size;
    }
    // Roots of others (PEM, DER) may be named beside: they are not Hygon's.
    bool hrk = sv_csv_is_root(rq->ca, rq->ca_size);

    sv_csv_judge(&csv, chain, chain_size, hrk ? rq->ca : NULL, hrk ? rq->ca_size : 0, job->v);
    sv_policy_csv(&job->policy, &csv, job->v);
}

static void judge_nitro(struct job *job)
{
    if (sv_nitro_parse(job->ev.data, job->ev.size, &job->nitro, job->v))
        return;
    sv_nitro_judge(&job->nitro, &job->named, job->rq->allow_simulated, job->v);
    sv_policy_nitro(&job->policy, &job->nitro, job->v);
}

// The document has members for both, and no Shelter made it: a nonce is compared as it is.
static void judge_nitro_data(struct job *job)
{
    const struct shelter_verify_request *rq = job->rq;
    const struct sv_bytes *nonce = &job->nitro.nonce, *data = &job->nitro.user_data;
    uint8_t want[SHELTER_REPORT_DATA_SIZE] = {0};

    if (rq->nonce && (!nonce->data || nonce->size != rq->nonce_size ||
                      CRYPTO_memcmp(nonce->data, rq->nonce, nonce->size)))
        sv_refuse(job->v, SHELTER_R_REPORT_DATA, "the nonce");
    if (!rq->report_data)
        return;
    memcpy(want, rq->report_data, rq->report_data_size);
    if (!data->data || data->size > sizeof(want) ||
        CRYPTO_memcmp(want, job->v->report_data, sizeof(want)))
        sv_refuse(job->v, SHELTER_R_REPORT_DATA, "user_data");
}

// The log's events, and in `mr` what the nonce must bind where the log came with the evidence. True
// where it did.
static bool judge_measured_log(struct job *job, uint8_t mr[48])
{
    const struct shelter_verify_request *rq = job->rq;

    if (rq->measured_log) {
        sv_events_read(rq->measured_log, rq->measured_log_size, "report data", job->v, mr);
        return false;
    }
    if (!job->ev.measured_log)
        return false;
    // Without a nonce nothing shows whose log it is: anybody may have put it there.
    sv_events_read(job->ev.measured_log, job->ev.measured_log_size,
                   rq->nonce ? "report data" : "nothing", job->v, mr);
    if (!rq->nonce)
        cJSON_DeleteItemFromObjectCaseSensitive(job->v->claims, "runtime_events");
    return true;
}

// SHA-512("shelter-attest-log-v1" || mr || nonce)
static int bind_log(const uint8_t mr[48], const struct shelter_verify_request *rq, uint8_t out[64])
{
    static const char domain[] = "shelter-attest-log-v1";
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha512(), NULL) == 1 &&
             EVP_DigestUpdate(ctx, domain, strlen(domain)) == 1 &&
             EVP_DigestUpdate(ctx, mr, 48) == 1 &&
             EVP_DigestUpdate(ctx, rq->nonce, rq->nonce_size) == 1 &&
             EVP_DigestFinal_ex(ctx, out, NULL) == 1;

    EVP_MD_CTX_free(ctx);
    return ok ? 0 : -ENOMEM;
}

static void judge_report_data(struct job *job)
{
    const struct shelter_verify_request *rq = job->rq;
    uint8_t want[SHELTER_REPORT_DATA_SIZE] = {0}, mr[48] = {0};
    bool logged;

    if (job->ev.type == SHELTER_EVIDENCE_NITRO) {
        judge_nitro_data(job);
        return;
    }
    logged = judge_measured_log(job, mr);
    if (rq->nonce) {
        if ((logged ? bind_log(mr, rq, want)
                    : shelter_nonce_report_data(rq->nonce, rq->nonce_size, want)) ||
            CRYPTO_memcmp(want, job->v->report_data, sizeof(want)))
            sv_refuse(job->v, SHELTER_R_REPORT_DATA, "the nonce");
    }
    if (rq->report_data) {
        memset(want, 0, sizeof(want));
        memcpy(want, rq->report_data, rq->report_data_size);
        if (CRYPTO_memcmp(want, job->v->report_data, sizeof(want)))
            sv_refuse(job->v, SHELTER_R_REPORT_DATA, NULL);
    }
}

// Beside a TEE that was refused, devices cost nothing: many signatures may be theirs.
static void judge_devices(struct job *job)
{
    const struct shelter_verify_request *rq = job->rq;
    uint8_t nonce[SV_GPU_NONCE_SIZE] = {0};
    struct sv_gpu_request gpu = {
        .json = rq->additional,
        .size = rq->additional ? rq->additional_size : 0,
        .nonce = rq->device_data ? nonce : NULL,
        .collateral = rq->device_collateral ? rq->device_collateral : rq->collateral,
        .named = &job->named,
        .allow_simulated = rq->allow_simulated,
        .demanded = job->policy.demand_gpu,
        .need_rim = job->policy.need_rim,
        .min_devices = job->policy.min_gpus,
    };

    if (job->v->refusal_count)
        return;
    if (rq->device_data)
        memcpy(nonce, rq->device_data,
               rq->device_data_size < sizeof(nonce) ? rq->device_data_size : sizeof(nonce));
    sv_gpu_judge(&gpu, job->v);
}

// A register that the log extends must come out as quoted. One that it leaves alone says nothing
// of a log: what extended it (at run time, mostly) is unknown here, and that is claimed.
static void judge_registers(struct shelter_verdict *v, uint8_t replayed[4][48])
{
    char name[] = "rtmr0", claim[] = "rtmr0_event_log";
    bool all = true;

    for (int i = 0; i < 4; i++) {
        bool covered = !sv_all_zero(replayed[i], 48), same;

        name[4] = claim[4] = (char)('0' + i);
        same = sv_field_is(v, name, replayed[i], 48);
        if (covered && !same) {
            sv_refuse(v, SHELTER_R_EVENT_LOG_MISMATCH, "RTMR%d", i);
            return;
        }
        all &= same;
        sv_claim_text(v, claim, covered ? "replayed" : same ? "unused" : "not covered");
    }
    sv_claim_bool(v, "event_log_verified", all);
}

static struct sv_bytes event_log(const struct job *job)
{
    if (job->rq->event_log)
        return (struct sv_bytes){job->rq->event_log, job->rq->event_log_size};
    return (struct sv_bytes){job->ev.event_log, job->ev.event_log_size};
}

static void judge_event_log(struct job *job)
{
    struct sv_bytes log = event_log(job);
    uint8_t replayed[4][48];
    char why[120] = "";
    int rc;

    if (!log.data || job->v->type != SHELTER_EVIDENCE_TDX)
        return;
    rc = shelter_event_log_replay(log.data, log.size, replayed, why, sizeof(why));
    if (rc) {
        sv_refuse(job->v,
                  rc == -EKEYREJECTED ? SHELTER_R_EVENT_LOG_DIGEST : SHELTER_R_EVENT_LOG_PARSE,
                  "%s", why);
        return;
    }
    judge_registers(job->v, replayed);
    job->v->event_log = malloc(log.size + 1);
    if (job->v->event_log) {
        memcpy(job->v->event_log, log.data, log.size);
        job->v->event_log_size = log.size;
    }
}

// The collateral was loaded with the same file: then its certificates are parsed already.
static bool same_ca(const struct shelter_verify_request *rq)
{
    return rq->collateral && rq->collateral->named_size == rq->ca_size &&
           !memcmp(rq->collateral->named_data, rq->ca, rq->ca_size);
}

// The caller's certificates. A CSV chain or root is no X.509 certificate and passes by.
static void load_certs(struct job *job)
{
    const struct shelter_verify_request *rq = job->rq;

    if (job->ev.type == SHELTER_EVIDENCE_CSV)
        return;
    if (rq->signer_size && sv_certs_add(&job->signer, rq->signer, rq->signer_size))
        sv_refuse(job->v, SHELTER_R_CERT_PARSE, "the signer's file");
    if (rq->ca_size && same_ca(rq)) {
        for (size_t i = 0; i < rq->collateral->named.count; i++) {
            X509_up_ref(rq->collateral->named.cert[i]);
            job->named.cert[job->named.count++] = rq->collateral->named.cert[i];
        }
    } else if (rq->ca_size && sv_certs_add(&job->named, rq->ca, rq->ca_size)) {
        sv_refuse(job->v, SHELTER_R_CERT_PARSE, "the CA file");
    }
    // Certificates that came with the evidence are candidates like any other; owned by ev.
    for (size_t i = 0; i < job->ev.certs.count && job->signer.count < SV_CERTS_MAX; i++) {
        X509_up_ref(job->ev.certs.cert[i]);
        job->signer.cert[job->signer.count++] = job->ev.certs.cert[i];
    }
}

static void judge_job(struct job *job)
{
    const struct shelter_verify_request *rq = job->rq;
    char why[160] = "";

    if (rq->policy_json && sv_policy_parse(rq->policy_json, &job->policy, why, sizeof(why))) {
        sv_refuse(job->v, SHELTER_R_POLICY_FILE, "%s", why);
        return;
    }
    if (sv_evidence_open(rq->evidence, rq->evidence_size, rq->type, &job->ev, job->v))
        return;
    load_certs(job);
    if (job->ev.type == SHELTER_EVIDENCE_SNP)
        judge_snp(job);
    else if (job->ev.type == SHELTER_EVIDENCE_CSV)
        judge_csv(job);
    else if (job->ev.type == SHELTER_EVIDENCE_NITRO)
        judge_nitro(job);
    else
        judge_intel(job);
    job->v->tee_simulated = job->v->simulated;
    if (!job->v->have_report_data)
        return;
    judge_report_data(job);
    sv_evidence_judge_bound(&job->ev, job->v);
    judge_event_log(job);
    if (!rq->measured_log && !job->ev.measured_log)
        sv_events_tdx(job->v);
    judge_devices(job);
    sv_policy_events(&job->policy, job->v);
    sv_policy_platform(&job->policy, job->v);
    sv_policy_claims(&job->policy, job->v);
    if (rq->reference_json && sv_reference_judge(rq->reference_json, job->v))
        sv_claim_bool(job->v, "reference_matched", true);
}

void sv_verify(const struct shelter_verify_request *rq, struct shelter_verdict *v)
{
    struct job job = {.rq = rq, .v = v};

    sv_policy_default(&job.policy);
    judge_job(&job);
    // A reason to refuse and none to say "invalid" is not the same as "all signatures hold".
    if (!v->have_report_data)
        v->signatures_valid = false;
    sv_policy_free(&job.policy);
    sv_certs_free(&job.signer);
    sv_certs_free(&job.named);
    sv_evidence_free(&job.ev);
}

// The members of the first version.
#define SIZE_FIRST                                                                                 \
    (offsetof(struct shelter_verify_request, allow_simulated) +                                    \
     sizeof(((struct shelter_verify_request *)0)->allow_simulated))
#define SIZE_ANY 4096 // no version is larger

int sv_request_take(const struct shelter_verify_request *rq, struct shelter_verify_request *own)
{
    size_t size = rq->size ? rq->size : SIZE_FIRST;

    if (size < SIZE_FIRST || size > SIZE_ANY)
        return -EINVAL;
    if (size > sizeof(*own) &&
        !sv_all_zero((const uint8_t *)rq + sizeof(*own), size - sizeof(*own)))
        return -EINVAL;
    *own = (struct shelter_verify_request){0};
    memcpy(own, rq, size < sizeof(*own) ? size : sizeof(*own));
    own->size = sizeof(*own);
    return 0;
}

int shelter_verify(const struct shelter_verify_request *rq, struct shelter_verdict **out)
{
    struct shelter_verify_request own;

    *out = NULL;
    if (sv_request_take(rq, &own) || !own.evidence ||
        own.report_data_size > SHELTER_REPORT_DATA_SIZE)
        return -EINVAL;
    *out = sv_verdict_new(own.time);
    if (!*out)
        return -ENOMEM;
    sv_verify(&own, *out);
    return 0;
}
