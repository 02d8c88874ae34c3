// SPDX-License-Identifier: Apache-2.0
// shelter broker serve: reads what the operator named, serves until it is told to stop.
#include "host/cli/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>

#include "host/cli/cli.h"
#include "verifier/broker/server.h"
#include "verifier/judge/policy.h"

struct options {
    const char *collateral[SHELTER_EVIDENCE_CSV + 1]; /* by TEE */
    const char *dir, *listen, *cert, *key, *pccs, *kds, *cache, *ca, *simulated, *policy, *url_file;
    bool insecure_http, online;
    struct sb_options server;
};

struct inputs {
    uint8_t *cert, *key, *policy;
    struct sh_buffer ca;
    struct shelter_collateral *collateral[SHELTER_EVIDENCE_CSV + 1];
};

static bool parse_number(const char *text, unsigned long min, unsigned long max, unsigned long *out)
{
    char *end;
    errno = 0;
    *out = strtoul(text, &end, 10);
    return !errno && *text >= '0' && *text <= '9' && !*end && *out >= min && *out <= max;
}

/* [TEE=]PATH: without a TEE for all of them. */
static void take_collateral(struct options *o, const char *text)
{
    for (int tee = SHELTER_EVIDENCE_SGX; tee <= SHELTER_EVIDENCE_CSV; tee++) {
        const char *name = sb_tee_name((enum shelter_evidence_type)tee);
        size_t n = strlen(name);
        if (!strncmp(text, name, n) && text[n] == '=') {
            o->collateral[tee] = text + n + 1;
            return;
        }
    }
    for (int tee = SHELTER_EVIDENCE_SGX; tee <= SHELTER_EVIDENCE_CSV; tee++)
        if (!o->collateral[tee])
            o->collateral[tee] = text;
}

/* Options with a number. */
static bool take_number(struct options *o, int c, const char *text)
{
    unsigned long n = 0;
    uint64_t size;
    switch (c) {
    case 'R':
        if (!parse_number(text, 0, 1000000, &n))
            return false;
        o->server.rate = (double)n;
        return true;
    case 'B':
        if (sh_parse_size(text, &size) || size < 1024 || size > 64u << 20)
            return false;
        o->server.body_max = (size_t)size;
        return true;
    case 'M':
        if (!parse_number(text, 1, 1000000, &n))
            return false;
        o->server.session_max = (unsigned)n;
        return true;
    default:
        if (!parse_number(text, 1, 86400, &n))
            return false;
        *(c == 'N' ? &o->server.nonce_ms : &o->server.session_ms) = (int64_t)n * 1000;
        return true;
    }
}

static bool has_collateral(const struct options *o)
{
    for (int tee = SHELTER_EVIDENCE_SGX; tee <= SHELTER_EVIDENCE_CSV; tee++)
        if (o->collateral[tee])
            return true;
    return false;
}

/* -1 to go on, else the exit status. */
static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"dir", required_argument, NULL, 'd'},
                                          {"listen", required_argument, NULL, 'l'},
                                          {"insecure-http", no_argument, NULL, 'H'},
                                          {"tls-cert", required_argument, NULL, 'c'},
                                          {"tls-key", required_argument, NULL, 'k'},
                                          {"collateral", required_argument, NULL, 'C'},
                                          {"online", no_argument, NULL, 'o'},
                                          {"pccs", required_argument, NULL, 'P'},
                                          {"kds", required_argument, NULL, 'K'},
                                          {"cache", required_argument, NULL, 'Q'},
                                          {"ca", required_argument, NULL, 'a'},
                                          {"allow-simulated", required_argument, NULL, 'S'},
                                          {"policy", required_argument, NULL, 'p'},
                                          {"rate", required_argument, NULL, 'R'},
                                          {"max-body", required_argument, NULL, 'B'},
                                          {"max-sessions", required_argument, NULL, 'M'},
                                          {"nonce-seconds", required_argument, NULL, 'N'},
                                          {"session-seconds", required_argument, NULL, 'X'},
                                          {"url-file", required_argument, NULL, 'u'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int c;
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        switch (c) {
        case 'd':
            o->dir = optarg;
            break;
        case 'l':
            o->listen = optarg;
            break;
        case 'H':
            o->insecure_http = true;
            break;
        case 'c':
            o->cert = optarg;
            break;
        case 'k':
            o->key = optarg;
            break;
        case 'C':
            take_collateral(o, optarg);
            break;
        case 'o':
            o->online = true;
            break;
        case 'P':
            o->pccs = optarg;
            o->online = true;
            break;
        case 'K':
            o->kds = optarg;
            o->online = true;
            break;
        case 'Q':
            o->cache = optarg;
            break;
        case 'a':
            o->ca = optarg;
            break;
        case 'S':
            o->simulated = optarg;
            break;
        case 'p':
            o->policy = optarg;
            break;
        case 'u':
            o->url_file = optarg;
            break;
        case 'h':
            return sh_cli_help("broker");
        case '?':
            return sh_cli_usage("broker", "unknown option or missing value");
        default:
            if (!take_number(o, c, optarg))
                return sh_cli_usage("broker", "'%s' is out of range", optarg);
        }
    }
    if (optind != argc)
        return sh_cli_usage("broker", "'%s' is one argument too many", argv[optind]);
    if (!o->cert != !o->key)
        return sh_cli_usage("broker", "--tls-cert and --tls-key go together");
    if (o->cert && o->insecure_http)
        return sh_cli_usage("broker", "--insecure-http has no certificate");
    if (o->online && has_collateral(o))
        return sh_cli_usage("broker", "give --collateral or --online, not both");
    return -1;
}

static int read_text(const char *path, uint8_t **text, struct sh_error *err)
{
    size_t size;
    return path ? sh_read_file(AT_FDCWD, path, 1 << 20, text, &size, err) : 0;
}

/* Adds a file of roots. Those of --allow-simulated must all say that they are simulated: else the
 * switch would let in a real-looking TEE of somebody's own. */
static int add_roots(struct inputs *in, const char *path, bool simulated, struct sh_error *err)
{
    cleanup_free uint8_t *data = NULL;
    struct sv_certs certs = {.count = 0};
    size_t size;
    if (!path)
        return 0;
    int r = sh_read_file(AT_FDCWD, path, 1 << 20, &data, &size, err);
    if (!r && (sv_certs_add(&certs, data, size) || !certs.count))
        r = sh_fail(err, -EBADMSG, "%s holds no certificate", path);
    for (size_t i = 0; !r && i < certs.count; i++)
        if (sv_root_simulated(certs.cert[i]) != simulated)
            r = sh_fail(err, -EINVAL,
                        simulated ? "%s is no simulated root; name real ones by --ca"
                                  : "%s is a simulated root; name it by --allow-simulated",
                        path);
    sv_certs_free(&certs);
    if (r)
        return r;
    sh_buffer_add(&in->ca, data, size);
    sh_buffer_add(&in->ca, "\n", 1);
    return 0;
}

static int load(const struct options *o, struct inputs *in, struct sh_error *err)
{
    char why[256] = "";
    int r = read_text(o->cert, &in->cert, err);
    if (!r)
        r = read_text(o->key, &in->key, err);
    if (!r)
        r = read_text(o->policy, &in->policy, err);
    if (!r && in->policy) {
        struct sv_policy policy;
        sv_policy_default(&policy);
        if (sv_policy_parse((const char *)in->policy, &policy, why, sizeof(why)))
            r = sh_fail(err, -EINVAL, "%s: %s", o->policy, why);
        sv_policy_free(&policy);
    }
    if (!r)
        r = add_roots(in, o->ca, false, err);
    if (!r)
        r = add_roots(in, o->simulated, true, err);
    for (int tee = SHELTER_EVIDENCE_SGX; !r && tee <= SHELTER_EVIDENCE_CSV; tee++) {
        if (!o->collateral[tee])
            continue;
        r = shelter_collateral_load(o->collateral[tee], in->ca.size ? in->ca.data : NULL,
                                    in->ca.size, &in->collateral[tee], why, sizeof(why));
        if (r)
            sh_fail(err, r, "%s: %s", o->collateral[tee], why);
    }
    return r;
}

/* Says where it is, and what to pin. */
static int announce(const struct options *o, const struct sb_server *s, struct sh_error *err)
{
    cleanup_free char *url = sh_format("http%s://%s", s->tls ? "s" : "", s->address);
    cleanup_free char *line = sh_format("%s\n", url);
    printf("serving on %s\n", url);
    fflush(stdout);
    if (o->simulated)
        fprintf(stderr, "shelter: warning: simulated TEEs are accepted; they protect nothing\n");
    return o->url_file ? sh_write_file(AT_FDCWD, o->url_file, line, strlen(line), 0644, err) : 0;
}

static bool is_loopback_http(const char *url)
{
    return url && !strncmp(url, "http://127.0.0.1", 16) &&
           (url[16] == ':' || url[16] == '/' || !url[16]);
}

static int serve(struct options *o, struct inputs *in, struct sb_store *st, struct sh_error *err)
{
    char why[300] = "";
    sigset_t set;
    int sig;
    struct sb_server *s = sh_alloc(sizeof(*s));
    s->store = st;
    s->judge = (struct sb_judge){
        .store = st,
        .online = o->online,
        .fetch = {.pcs_url = o->pccs,
                  .kds_url = o->kds,
                  .cache_dir = o->cache,
                  .insecure_http = is_loopback_http(o->pccs) || is_loopback_http(o->kds)},
        .ca = in->ca.data,
        .ca_size = in->ca.size,
        .allow_simulated = o->simulated,
        .policy_json = (const char *)in->policy,
        .issuer = "shelter broker",
        .token_seconds = (o->server.session_ms ? o->server.session_ms : 1800000) / 1000};
    memcpy(s->judge.collateral, in->collateral, sizeof(in->collateral));
    o->server.listen = o->listen;
    o->server.insecure_http = o->insecure_http;
    o->server.tls_cert = (const char *)in->cert;
    o->server.tls_key = (const char *)in->key;
    /* Blocked before the first thread starts, so that they wait for sigwait. */
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int r = sb_server_start(s, &o->server, why, sizeof(why));
    if (r) {
        sh_fail(err, r, "%s", why);
    } else {
        r = announce(o, s, err);
        if (!r)
            sigwait(&set, &sig);
        sb_server_stop(s);
    }
    free(s);
    return r;
}

int sh_broker_serve(int argc, char **argv)
{
    struct options o = {.listen = "127.0.0.1:8080", .server = {.rate = 100}};
    struct inputs in = {0};
    struct sh_error err = {0};
    struct sb_store *st = NULL;
    int status = parse(argc, argv, &o);
    if (status >= 0)
        return status;
    cleanup_free char *dir = sh_broker_dir(o.dir);
    int r = load(&o, &in, &err);
    if (!r)
        r = sh_broker_open(dir, true, &st, &err);
    if (!r)
        r = serve(&o, &in, st, &err);
    sb_store_close(st);
    for (int tee = 0; tee <= SHELTER_EVIDENCE_CSV; tee++)
        shelter_collateral_free(in.collateral[tee]);
    sh_buffer_free(&in.ca);
    free(in.cert);
    if (in.key)
        explicit_bzero(in.key, strlen((const char *)in.key));
    free(in.key);
    free(in.policy);
    return r ? sh_error_report(&err) : 0;
}
