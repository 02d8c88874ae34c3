// SPDX-License-Identifier: Apache-2.0
// shelter verify: judges evidence and says why. Exit 0 accept, 1 reject, 2 cannot judge.
#include "host/cli/cli.h"
#include "host/cli/verify.h"
#include "host/image/write/reference.h"
#include "host/image/write/reference_read.h"
#include "verifier/judge/claim.h"
#include "verifier/base/bytes.h"
#include "verifier/judge/corim.h"

#include <shelter/verify.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

enum { ACCEPT = 0, REJECT = 1, CANNOT_JUDGE = 2 };

struct options {
    const char *evidence, *type, *collateral, *signer, *ca, *event_log, *reference, *image, *policy,
        *nonce, *report_data, *additional, *time, *pccs, *kds, *cache, *timeout, *certificate, *tls;
    struct sh_strings firmware; // TEE=FILE
    long timeout_ms;
    bool json, online, allow_simulated;
};

struct inputs {
    uint8_t *certificate, *evidence, *signer, *ca, *event_log, *reference, *policy, *nonce,
        *report_data, *additional;
    size_t certificate_size, evidence_size, signer_size, ca_size, event_log_size, reference_size,
        policy_size, nonce_size, report_data_size, additional_size;
    struct shelter_collateral *collateral;
};

// -1 to go on, else the exit status.
static int parse_options(int argc, char **argv, struct options *o)
{
    struct sh_cli c = sh_cli_start(SH_VERB_verify, argc, argv);
    struct sh_error err = {0};
    uint64_t seconds;

    for (int i; (i = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_verify_option)i) {
        case SH_verify_evidence:
            o->evidence = c.value;
            break;
        case SH_verify_type:
            o->type = c.value;
            break;
        case SH_verify_collateral:
            o->collateral = c.value;
            break;
        case SH_verify_signer:
            o->signer = c.value;
            break;
        case SH_verify_ca:
            o->ca = c.value;
            break;
        case SH_verify_event_log:
            o->event_log = c.value;
            break;
        case SH_verify_reference:
            o->reference = c.value;
            break;
        case SH_verify_image:
            o->image = c.value;
            break;
        case SH_verify_policy:
            o->policy = c.value;
            break;
        case SH_verify_nonce:
            o->nonce = c.value;
            break;
        case SH_verify_report_data:
            o->report_data = c.value;
            break;
        case SH_verify_additional_evidence:
            o->additional = c.value;
            break;
        case SH_verify_time:
            o->time = c.value;
            break;
        case SH_verify_cache:
            o->cache = c.value;
            break;
        case SH_verify_timeout:
            o->timeout = c.value;
            break;
        case SH_verify_certificate:
            o->certificate = c.value;
            break;
        case SH_verify_tls:
            o->tls = c.value;
            break;
        case SH_verify_json:
            o->json = true;
            break;
        case SH_verify_online:
            o->online = true;
            break;
        case SH_verify_allow_simulated:
            o->allow_simulated = true;
            break;
        case SH_verify_pccs:
            o->pccs = c.value;
            o->online = true;
            break;
        case SH_verify_kds:
            o->kds = c.value;
            o->online = true;
            break;
        case SH_verify_firmware:
            if (sh_reference_firmware(&o->firmware, c.value, &err))
                return sh_cli_usage("verify", "%s", err.text);
            break;
        case SH_verify_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    if (!o->evidence && !o->certificate && !o->tls && c.count)
        o->evidence = *c.args++, c.count--;
    if (!o->evidence + !o->certificate + !o->tls != 2)
        return sh_cli_usage("verify", o->evidence || o->certificate || o->tls
                                          ? "give one of --evidence, --certificate and --tls"
                                          : "--evidence FILE is missing");
    if (!o->evidence && (o->type || o->report_data))
        return sh_cli_usage("verify", "--type and --report-data are for --evidence");
    if (c.count)
        return sh_cli_usage("verify", "unexpected argument '%s'", c.args[0]);
    if (o->timeout && sh_parse_number(o->timeout, 1, 3600, &seconds))
        return sh_cli_usage("verify", "--timeout is a number of seconds from 1 to 3600");
    o->timeout_ms = o->timeout ? (long)seconds * 1000 : 0;
    if (o->reference && o->image)
        return sh_cli_usage("verify", "give --reference or --image, not both");
    return -1;
}

// One line on stderr, or the same as JSON: scripts get an answer in the form they asked for.
static int report_cannot(const struct options *o, const char *what, const char *why)
{
    fprintf(stderr, "shelter: verify: %s: %s\n", what, why);
    if (o->json)
        printf("{\"signatures\":\"invalid\",\"tcb_status\":null,\"advisories\":[],"
               "\"verdict\":\"reject\",\"judged\":false,\"reason\":\"cannot judge, see stderr\","
               "\"reason_code\":\"input\",\"simulated\":false,\"debug\":false,\"claims\":{}}\n");
    return CANNOT_JUDGE;
}

static int load_file(const struct options *o, const char *path, size_t size_max, uint8_t **data,
                     size_t *size)
{
    int rc = path ? sv_read_file(path, size_max, data, size) : 0;

    if (rc)
        return report_cannot(o, path, rc == -EFBIG ? "it is too large" : strerror(-rc));
    return 0;
}

static int load_hex(const struct options *o, const char *what, const char *text, size_t size_max,
                    uint8_t **data, size_t *size)
{
    if (!text)
        return 0;
    *data = sv_unhex_new(text, size);
    if (!*data || *size > size_max)
        return report_cannot(o, what, "give an even number of hex digits, not too many");
    return 0;
}

static bool parse_time(const char *text, int64_t *out)
{
    uint64_t seconds;

    if (!text)
        *out = (int64_t)time(NULL);
    else if (!sh_parse_number(text, 0, INT64_MAX, &seconds))
        *out = (int64_t)seconds;
    else
        return sv_time_parse(text, out);
    return true;
}

static bool parse_type(const char *text, enum shelter_evidence_type *out)
{
    static const char *const names[] = {"auto", "sgx", "tdx", "snp", "csv", "nitro"};

    *out = SHELTER_EVIDENCE_AUTO;
    for (size_t i = 0; text && i < sizeof(names) / sizeof(names[0]); i++)
        if (!strcmp(text, names[i])) {
            *out = (enum shelter_evidence_type)i;
            return true;
        }
    return !text;
}

// The certificate, and the evidence in it, by which collateral is fetched.
static int load_certificate(const struct options *o, struct inputs *in)
{
    struct sh_error err = {0};
    const void *evidence;
    size_t size;
    int rc;

    if (!o->certificate && !o->tls)
        return 0;
    rc = o->tls
             ? sh_tls_certificate(o->tls, &in->certificate, &in->certificate_size, &err)
             : sh_file_certificate(o->certificate, &in->certificate, &in->certificate_size, &err);
    if (rc)
        return report_cannot(o, o->tls ? o->tls : o->certificate, err.text);
    if (!shelter_certificate_evidence(in->certificate, in->certificate_size, &evidence, &size)) {
        in->evidence = sh_alloc(size + 1);
        memcpy(in->evidence, evidence, size);
        in->evidence_size = size;
    }
    return 0;
}

// The library takes these as terminated texts: what stands behind a NUL would be lost.
static int refuse_nul(const struct options *o, const char *path, const uint8_t *text, size_t size)
{
    return path && text && memchr(text, 0, size) ? report_cannot(o, path, "it holds a NUL") : 0;
}

static int load_all(const struct options *o, struct inputs *in)
{
    struct sh_error err = {0};
    char why[120] = "";
    int rc;

    if (o->image && sh_image_reference(o->image, &o->firmware, (char **)&in->reference, &err))
        return report_cannot(o, o->image, err.text);
    rc = load_certificate(o, in);
    rc = rc ? rc
            : load_file(o, o->evidence, SHELTER_EVIDENCE_SIZE_MAX + 1, &in->evidence,
                        &in->evidence_size);
    rc = rc ? rc : load_file(o, o->signer, 1 << 20, &in->signer, &in->signer_size);
    rc = rc ? rc : load_file(o, o->ca, 1 << 20, &in->ca, &in->ca_size);
    rc = rc ? rc
            : load_file(o, o->event_log, SHELTER_EVENT_LOG_SIZE_MAX, &in->event_log,
                        &in->event_log_size);
    rc = rc ? rc : load_file(o, o->reference, 8 << 20, &in->reference, &in->reference_size);
    if (!rc && sv_corim_to_json(&in->reference, &in->reference_size, (int64_t)time(NULL), why,
                                sizeof(why)))
        rc = report_cannot(o, o->reference, why);
    rc = rc ? rc
            : load_file(o, o->additional, SHELTER_EVIDENCE_SIZE_MAX, &in->additional,
                        &in->additional_size);
    rc = rc ? rc : load_file(o, o->policy, 1 << 20, &in->policy, &in->policy_size);
    rc = rc ? rc : refuse_nul(o, o->reference, in->reference, in->reference_size);
    rc = rc ? rc : refuse_nul(o, o->policy, in->policy, in->policy_size);
    rc = rc ? rc : load_hex(o, "--nonce", o->nonce, 4096, &in->nonce, &in->nonce_size);
    return rc ? rc
              : load_hex(o, "--report-data", o->report_data, SHELTER_REPORT_DATA_SIZE,
                         &in->report_data, &in->report_data_size);
}

// Plain http is for a service on this very machine.
static bool is_loopback(const char *url)
{
    static const char loopback[] = "http://127.0.0.1";
    size_t n = strlen(loopback);

    return url && !strncmp(url, loopback, n) && (url[n] == ':' || url[n] == '/' || !url[n]);
}

static int load_collateral(const struct options *o, struct inputs *in,
                           enum shelter_evidence_type type)
{
    // A CSV root is no certificate that collateral could end in.
    const void *ca = type == SHELTER_EVIDENCE_CSV ? NULL : in->ca;
    size_t ca_size = ca ? in->ca_size : 0;
    char why[256] = "";
    int rc = 0;

    if (o->collateral) {
        rc = shelter_collateral_load(o->collateral, ca, ca_size, &in->collateral, why, sizeof(why));
    } else if (o->online && in->evidence) {
        struct shelter_fetch_options fetch = {.size = sizeof(fetch),
                                              .pcs_url = o->pccs,
                                              .kds_url = o->kds,
                                              .cache_dir = o->cache,
                                              .timeout_ms = o->timeout_ms,
                                              .insecure_http =
                                                  is_loopback(o->pccs) || is_loopback(o->kds)};

        rc = shelter_collateral_fetch(in->evidence, in->evidence_size, type, &fetch, ca, ca_size,
                                      &in->collateral, why, sizeof(why));
    }
    return rc ? report_cannot(o, "collateral", why) : 0;
}

static void print_text(const struct shelter_verdict *v)
{
    const char *sentence, *id, *status = shelter_verdict_tcb_status(v);

    printf("verdict     %s\n", shelter_verdict_accepted(v) ? "accept" : "reject");
    for (size_t i = 0; i < shelter_verdict_refusal_count(v); i++) {
        enum shelter_reason r = shelter_verdict_refusal(v, i, &sentence);

        printf("%-11s %s: %s\n", i ? "" : "reason", shelter_reason_code(r), sentence);
    }
    printf("signatures  %s\n", shelter_verdict_signatures_valid(v) ? "valid" : "invalid");
    if (*status)
        printf("TCB status  %s\n", status);
    for (size_t i = 0; (id = shelter_verdict_advisory(v, i)); i++)
        printf("%-11s %s\n", i ? "" : "advisory", id);
    if (shelter_verdict_debug(v))
        printf("debug       yes\n");
    if (shelter_verdict_simulated(v))
        printf("simulated   yes: this protects nothing\n");
    for (const struct sv_measurement *m = sv_measurements; m->claim; m++) {
        char *value = m->kind == SV_MEASUREMENT_ALIAS ? NULL : shelter_verdict_claim(v, m->claim);

        if (value)
            printf("%-11s %s\n", m->claim, value);
        free(value);
    }
}

static bool is_lack(enum shelter_reason r)
{
    return (r >= SHELTER_R_NO_COLLATERAL && r <= SHELTER_R_INTERNAL) || r == SHELTER_R_NO_RIM;
}

static int report_verdict(const struct options *o, const struct shelter_verdict *v)
{
    if (o->json) {
        char *text = shelter_verdict_json(v);

        if (!text)
            return report_cannot(o, "verdict", strerror(ENOMEM));
        puts(text);
        free(text);
    } else {
        print_text(v);
    }
    if (shelter_verdict_accepted(v))
        return ACCEPT;
    if (!shelter_verdict_judged(v)) {
        const char *sentence = "";

        for (size_t i = 0; i < shelter_verdict_refusal_count(v); i++) {
            enum shelter_reason r = shelter_verdict_refusal(v, i, &sentence);

            if (is_lack(r))
                break;
        }
        // What was there may already condemn it: a bad signature, or a reason found before the
        // lack was met, is a rejection, not a doubt.
        if (!shelter_verdict_signatures_valid(v) || !is_lack(shelter_verdict_reason(v)))
            return REJECT;
        fprintf(stderr, "shelter: verify: cannot judge: %s\n", sentence);
        return CANNOT_JUDGE;
    }
    return REJECT;
}

static int verify_inputs(const struct options *o, struct inputs *in)
{
    struct shelter_verify_request rq = {.size = sizeof(rq)};
    uint8_t device_data[SHELTER_REPORT_DATA_SIZE] = {0};
    struct shelter_verdict *v;
    int rc;

    if (!parse_type(o->type, &rq.type))
        return report_cannot(o, "--type", "give sgx, tdx, snp, csv or nitro");
    if (!parse_time(o->time, &rq.time))
        return report_cannot(o, "--time",
                             "give RFC 3339 (2025-02-28T03:44:50Z) or seconds since 1970");
    rc = load_all(o, in);
    rc = rc ? rc : load_collateral(o, in, rq.type);
    if (rc)
        return rc;
    rq.evidence = in->evidence;
    rq.evidence_size = in->evidence_size;
    rq.collateral = in->collateral;
    rq.signer = in->signer;
    rq.signer_size = in->signer_size;
    rq.ca = in->ca;
    rq.ca_size = in->ca_size;
    rq.event_log = in->event_log;
    rq.event_log_size = in->event_log_size;
    rq.policy_json = (const char *)in->policy;
    rq.reference_json = (const char *)in->reference;
    rq.nonce = in->nonce;
    rq.nonce_size = in->nonce_size;
    rq.report_data = in->report_data;
    rq.report_data_size = in->report_data_size;
    rq.allow_simulated = o->allow_simulated;
    rq.additional = (const char *)in->additional;
    rq.additional_size = in->additional_size;
    if (in->report_data) {
        rq.device_data = in->report_data;
        rq.device_data_size = in->report_data_size;
    } else if (in->nonce && !in->certificate) {
        if (shelter_nonce_report_data(in->nonce, in->nonce_size, device_data))
            return report_cannot(o, "--nonce", strerror(ENOMEM));
        rq.device_data = device_data;
        rq.device_data_size = sizeof(device_data);
    }
    rc = in->certificate
             ? shelter_verify_certificate(in->certificate, in->certificate_size, &rq, &v)
             : shelter_verify(&rq, &v);
    if (rc)
        return report_cannot(o, "evidence", strerror(-rc));
    if (shelter_verdict_simulated(v))
        fprintf(stderr, "shelter: warning: simulated evidence protects nothing\n");
    rc = report_verdict(o, v);
    shelter_verdict_free(v);
    return rc;
}

int cmd_verify(int argc, char **argv)
{
    struct options o = {0};
    struct inputs in = {0};
    int rc = parse_options(argc, argv, &o);

    if (rc >= 0)
        return rc;
    rc = verify_inputs(&o, &in);
    sh_strings_free(&o.firmware);
    free(in.certificate);
    free(in.evidence);
    free(in.signer);
    free(in.ca);
    free(in.event_log);
    free(in.reference);
    free(in.policy);
    free(in.nonce);
    free(in.report_data);
    free(in.additional);
    shelter_collateral_free(in.collateral);
    return rc;
}
