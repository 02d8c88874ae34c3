// SPDX-License-Identifier: Apache-2.0
// shelter broker serve: reads what the operator named, serves until it is told to stop.
#include "host/base/temp.h"
#include "host/cli/broker.h"
#include "host/cli/broker_hsm.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/cli/cli.h"
#include "lib/io.h"
#include "verifier/base/json_read.h"
#include "verifier/broker/server.h"
#include "verifier/judge/policy.h"

struct options {
    const char *collateral[SHELTER_EVIDENCE_CSV + 1][SB_COLLATERAL_MAX]; /* by TEE */
    const char *dir, *listen, *cert, *key, *pccs, *kds, *cache, *ca, *simulated, *policy, *tokens,
        *hsm_keys, *url_file, *admin, *admin_url_file;
    bool insecure_http, online, json, console;
    unsigned processes; /* 0: this one */
    struct sb_options server;
};

struct inputs {
    uint8_t *cert, *key, *policy;
    struct sb_issuers *issuers;
    struct sb_hsm_keys *hsm_keys;
    struct sh_buffer ca;
    struct shelter_collateral *collateral[SHELTER_EVIDENCE_CSV + 1][SB_COLLATERAL_MAX];
};

static bool add_collateral(struct options *o, int tee, const char *path)
{
    for (size_t i = 0; i < SB_COLLATERAL_MAX; i++)
        if (!o->collateral[tee][i]) {
            o->collateral[tee][i] = path;
            return true;
        }
    return false;
}

/* [TEE=]PATH: without a TEE for all of them. Each platform may have its own. False: too many. */
static bool take_collateral(struct options *o, const char *text)
{
    bool good = true;
    if (!strncmp(text, "nvidia=", 7)) {
        if (o->collateral[SB_DEVICES][0])
            return false;
        return add_collateral(o, SB_DEVICES, text + 7);
    }
    for (int tee = SHELTER_EVIDENCE_SGX; tee <= SHELTER_EVIDENCE_CSV; tee++) {
        const char *name = sb_tee_name((enum shelter_evidence_type)tee);
        size_t n = strlen(name);
        if (!strncmp(text, name, n) && text[n] == '=')
            return add_collateral(o, tee, text + n + 1);
    }
    for (int tee = SHELTER_EVIDENCE_SGX; tee <= SHELTER_EVIDENCE_CSV; tee++)
        good = good && add_collateral(o, tee, text);
    return good;
}

/* Options with a number. */
static bool take_number(struct options *o, enum sh_broker_serve_option option, const char *text)
{
    uint64_t n = 0;
    if (option == SH_broker_serve_rate) {
        if (sh_parse_number(text, 0, 1000000, &n))
            return false;
        o->server.rate = (double)n;
    } else if (option == SH_broker_serve_processes) {
        if (sh_parse_number(text, 1, SH_BROKER_PROCESSES_MAX, &n))
            return false;
        o->processes = (unsigned)n;
        o->server.shared = true;
    } else if (option == SH_broker_serve_max_body) {
        if (sh_parse_size(text, &n) || n < 1024 || n > SB_BODY_MAX)
            return false;
        o->server.body_max = (size_t)n;
    } else if (option == SH_broker_serve_max_sessions) {
        if (sh_parse_number(text, 1, 1000000, &n))
            return false;
        o->server.session_max = (unsigned)n;
    } else {
        if (sh_parse_number(text, 1, 86400, &n))
            return false;
        *(option == SH_broker_serve_nonce_seconds ? &o->server.nonce_ms : &o->server.session_ms) =
            (int64_t)n * 1000;
    }
    return true;
}

static bool has_collateral(const struct options *o)
{
    for (int tee = SHELTER_EVIDENCE_SGX; tee <= SHELTER_EVIDENCE_CSV; tee++)
        if (o->collateral[tee][0])
            return true;
    return false;
}

/* -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_serve, argc, argv);
    for (int i; (i = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_broker_serve_option)i) {
        case SH_broker_serve_dir:
            o->dir = c.value;
            break;
        case SH_broker_serve_listen:
            o->listen = c.value;
            break;
        case SH_broker_serve_admin:
            o->admin = c.value;
            break;
        case SH_broker_serve_console:
            o->console = true;
            break;
        case SH_broker_serve_admin_url_file:
            o->admin_url_file = c.value;
            break;
        case SH_broker_serve_insecure_http:
            o->insecure_http = true;
            break;
        case SH_broker_serve_tls_cert:
            o->cert = c.value;
            break;
        case SH_broker_serve_tls_key:
            o->key = c.value;
            break;
        case SH_broker_serve_collateral:
            if (!take_collateral(o, c.value))
                return sh_cli_usage(c.shown, "--collateral can be given 8 times for a TEE");
            break;
        case SH_broker_serve_online:
            o->online = true;
            break;
        case SH_broker_serve_pccs:
            o->pccs = c.value;
            o->online = true;
            break;
        case SH_broker_serve_kds:
            o->kds = c.value;
            o->online = true;
            break;
        case SH_broker_serve_cache:
            o->cache = c.value;
            break;
        case SH_broker_serve_ca:
            o->ca = c.value;
            break;
        case SH_broker_serve_allow_simulated:
            o->simulated = c.value;
            break;
        case SH_broker_serve_policy:
            o->policy = c.value;
            break;
        case SH_broker_serve_trusted_tokens:
            o->tokens = c.value;
            break;
        case SH_broker_serve_hsm_keys:
            o->hsm_keys = c.value;
            break;
        case SH_broker_serve_url_file:
            o->url_file = c.value;
            break;
        case SH_broker_serve_log_format:
            o->json = !strcmp(c.value, "json");
            if (!o->json && strcmp(c.value, "text"))
                return sh_cli_usage(c.shown, "--log-format is text or json");
            break;
        case SH_broker_serve_processes:
        case SH_broker_serve_rate:
        case SH_broker_serve_max_body:
        case SH_broker_serve_max_sessions:
        case SH_broker_serve_nonce_seconds:
        case SH_broker_serve_session_seconds:
            if (!take_number(o, (enum sh_broker_serve_option)i, c.value))
                return sh_cli_usage(c.shown, "'%s' is out of range", c.value);
            break;
        case SH_broker_serve_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    if (o->console && !o->admin)
        o->admin = "127.0.0.1:8443";
    if (o->admin_url_file && !o->admin)
        return sh_cli_usage(c.shown, "--admin-url-file needs --admin or --console");
    if (!o->cert != !o->key)
        return sh_cli_usage(c.shown, "--tls-cert and --tls-key go together");
    if (o->cert && o->insecure_http)
        return sh_cli_usage(c.shown, "--insecure-http has no certificate");
    if (o->online && has_collateral(o))
        return sh_cli_usage(c.shown, "give --collateral or --online, not both");
    return -1;
}

static int read_text(const char *path, uint8_t **text, struct sh_error *err)
{
    size_t size;
    int r = path ? sh_read_file(AT_FDCWD, path, 1 << 20, text, &size, err) : 0;
    if (!r && path && memchr(*text, 0, size))
        r = sh_fail(err, -EINVAL, "%s holds a NUL", path);
    return r;
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
                        simulated ? "%s is not a simulated root; name real ones by --ca"
                                  : "%s is a simulated root; name it by --allow-simulated",
                        path);
    sv_certs_free(&certs);
    if (r)
        return r;
    sh_buffer_add(&in->ca, data, size);
    sh_buffer_add(&in->ca, "\n", 1);
    return 0;
}

/* Where the policy says nothing of them, platforms that are known to be broken are refused here. */
static int complete_policy(struct inputs *in, struct sh_error *err)
{
    cJSON *policy =
        in->policy ? sv_json_read_text((const char *)in->policy, NULL, 0) : cJSON_CreateObject();
    cJSON *snp = cJSON_GetObjectItemCaseSensitive(policy, "snp");
    if (!snp)
        snp = cJSON_AddObjectToObject(policy, "snp");
    static const char *const broken[] = {"allow_entrysign", "allow_badram"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        if (!cJSON_HasObjectItem(snp, broken[i]))
            cJSON_AddFalseToObject(snp, broken[i]);
    free(in->policy);
    in->policy = (uint8_t *)cJSON_PrintUnformatted(policy);
    cJSON_Delete(policy);
    return in->policy ? 0 : sh_fail(err, -ENOMEM, "no memory for the policy");
}

static int load_issuers(const char *path, struct sb_issuers **out, struct sh_error *err)
{
    cleanup_free uint8_t *text = NULL;
    char why[256] = "";
    size_t size;
    if (!path)
        return 0;
    int r = sh_read_file(AT_FDCWD, path, 1 << 20, &text, &size, err);
    if (!r && (r = sb_issuers_parse((const char *)text, size, out, why, sizeof(why))))
        sh_fail(err, r, "%s: %s", path, *why ? why : "it cannot be read");
    return r;
}

/* A token that is away now may be there when it is needed. */
static void warn_of_absent(const struct sb_hsm_keys *keys)
{
    char why[256];
    for (size_t i = 0; i < keys->count; i++)
        for (size_t a = 0; keys->key[i].algorithms[a]; a++)
            if (sb_pkcs11_look(keys->key[i].uri, keys->key[i].algorithms[a], why, sizeof(why))) {
                fprintf(stderr, "shelter: warning: key %s cannot be used now: %s\n",
                        keys->key[i].path, why);
                break;
            }
}

static int load_inputs(const struct options *o, struct inputs *in, struct sh_error *err)
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
        r = complete_policy(in, err);
    if (!r)
        r = load_issuers(o->tokens, &in->issuers, err);
    if (!r)
        r = sh_hsm_keys(o->hsm_keys, &in->hsm_keys, err);
    if (!r && in->hsm_keys)
        warn_of_absent(in->hsm_keys);
    if (!r)
        r = add_roots(in, o->ca, false, err);
    if (!r)
        r = add_roots(in, o->simulated, true, err);
    for (int tee = SB_DEVICES; tee <= SHELTER_EVIDENCE_CSV; tee++)
        for (size_t i = 0; !r && i < SB_COLLATERAL_MAX && o->collateral[tee][i]; i++) {
            r = shelter_collateral_load(o->collateral[tee][i], in->ca.size ? in->ca.data : NULL,
                                        in->ca.size, &in->collateral[tee][i], why, sizeof(why));
            if (r)
                sh_fail(err, r, "%s: %s", o->collateral[tee][i], why);
        }
    return r;
}

/* Lines of the log are whole: one write each, whatever other threads and processes write. */
static void print_event(const char *event, const char *member, const char *value)
{
    struct timespec t;
    struct tm tm;
    char date[24];
    cJSON *o = cJSON_CreateObject();
    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    cleanup_free char *when = sh_format("%s.%03ldZ", date, t.tv_nsec / 1000000);
    cJSON_AddStringToObject(o, "time", when);
    cJSON_AddStringToObject(o, "event", event);
    cJSON_AddStringToObject(o, member, value);
    cleanup_free char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    cleanup_free char *line = sh_format("%s\n", text ? text : "{}");
    sh_write_all(STDOUT_FILENO, line, strlen(line));
}

static void print_entry(const struct sb_entry *e)
{
    cleanup_free char *text = sb_entry_json(e);
    cleanup_free char *line = sh_format("%s\n", text ? text : "{}");
    sh_write_all(STDOUT_FILENO, line, strlen(line));
}

/* Says where one of its addresses is. */
static int announce_address(const struct options *o, const char *address, bool admin,
                            struct sh_error *err)
{
    const char *file = admin ? o->admin_url_file : o->url_file;
    cleanup_free char *url = sh_format("http%s://%s", o->insecure_http ? "" : "s", address);
    cleanup_free char *line = sh_format("%s\n", url);
    if (o->json) {
        print_event(admin ? "administration" : "serving", "url", url);
    } else {
        printf("%s on %s%s\n", admin ? "administration" : "serving", url,
               admin && o->console ? "/console/" : "");
        fflush(stdout);
    }
    return file ? sh_write_file(AT_FDCWD, file, line, strlen(line), 0644, err) : 0;
}

static int announce_server(const struct options *o, const char *const address[SH_BROKER_ADDRESSES],
                           struct sh_error *err)
{
    int r = address[1] ? announce_address(o, address[1], true, err) : 0;
    if (o->simulated)
        fprintf(stderr, "shelter: warning: simulated TEEs are accepted; they protect nothing\n");
    return r ? r : announce_address(o, address[0], false, err);
}

static void free_inputs(struct inputs *in)
{
    for (int tee = 0; tee <= SHELTER_EVIDENCE_CSV; tee++)
        for (size_t i = 0; i < SB_COLLATERAL_MAX; i++)
            shelter_collateral_free(in->collateral[tee][i]);
    if (in->key)
        explicit_bzero(in->key, strlen((const char *)in->key));
    free(in->cert);
    free(in->key);
    free(in->policy);
    sb_issuers_free(in->issuers);
    free(in->hsm_keys);
    sh_buffer_free(&in->ca);
    *in = (struct inputs){0};
}

/* SIGHUP: all files are read anew and take effect together, or none does. A certificate of one's
 * own stays until the next start. */
static void reload_inputs(const struct options *o, struct inputs *in, struct sb_server *s)
{
    struct inputs fresh = {0}, old = *in;
    struct sh_error err = {0};
    struct sb_judge rules = {0};
    if (load_inputs(o, &fresh, &err)) {
        fprintf(stderr,
                "shelter: broker: not reloaded, the old policy, roots and collateral stay: %s\n",
                err.text);
        atomic_fetch_add(&s->metrics.failed_reloads, 1);
        if (o->json)
            print_event("reload", "error", err.text);
        free_inputs(&fresh);
        return;
    }
    rules.ca = fresh.ca.data;
    rules.ca_size = fresh.ca.size;
    rules.policy_json = (const char *)fresh.policy;
    rules.issuers = fresh.issuers;
    rules.hsm_keys = fresh.hsm_keys;
    memcpy(rules.collateral, fresh.collateral, sizeof(fresh.collateral));
    sb_server_reload(s, &rules);
    *in = fresh;
    in->cert = old.cert; /* the server has them */
    in->key = old.key;
    old.cert = fresh.cert;
    old.key = fresh.key;
    free_inputs(&old);
    fprintf(stderr, "shelter: broker: policy, roots and collateral were read again\n");
    if (o->json)
        print_event("reload", "error", "");
}

static bool is_loopback_http(const char *url)
{
    return url && !strncmp(url, "http://127.0.0.1", 16) &&
           (url[16] == ':' || url[16] == '/' || !url[16]);
}

/* ready: where to say that it serves, instead of to the world; -1: none. */
static int serve_requests(struct options *o, const char *dir, struct inputs *in,
                          struct sb_store *st, int ready, struct sh_error *err)
{
    /* What one client made us fetch is there for the next. */
    cleanup_free char *cache =
        o->cache ? sh_strdup(o->cache) : sh_format("%s/collateral-cache", dir);
    char why[300] = "";
    sigset_t set;
    int sig;
    struct sb_server *s = sh_alloc(sizeof(*s));
    s->store = st;
    s->judge = (struct sb_judge){
        .store = st,
        .online = o->online,
        .fetch = {.size = sizeof(struct shelter_fetch_options),
                  .pcs_url = o->pccs,
                  .kds_url = o->kds,
                  .cache_dir = cache,
                  .insecure_http = is_loopback_http(o->pccs) || is_loopback_http(o->kds)},
        .ca = in->ca.data,
        .ca_size = in->ca.size,
        .allow_simulated = o->simulated,
        .policy_json = (const char *)in->policy,
        .issuers = in->issuers,
        .hsm_keys = in->hsm_keys,
        .issuer = "shelter broker",
        .token_seconds = (o->server.session_ms ? o->server.session_ms : 300000) / 1000};
    memcpy(s->judge.collateral, in->collateral, sizeof(in->collateral));
    o->server.listen = o->listen;
    o->server.admin = o->admin;
    o->server.console = o->console;
    o->server.dir = dir;
    o->server.insecure_http = o->insecure_http;
    o->server.tls_cert = (const char *)in->cert;
    o->server.tls_key = (const char *)in->key;
    /* Blocked before the first thread starts, so that they wait for sigwait. */
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (o->json)
        sb_log_tell(st, print_entry);
    int r = sb_server_start(s, &o->server, why, sizeof(why));
    if (r) {
        sh_fail(err, r, "%s", why);
    } else {
        const char *const address[] = {s->clients.address, o->admin ? s->operators.address : NULL};
        if (ready < 0)
            r = announce_server(o, address, err);
        else if (write(ready, "r", 1) != 1)
            r = sh_fail(err, -EPIPE, "the broker's first process is gone");
        while (!r && !sigwait(&set, &sig) && sig == SIGHUP)
            reload_inputs(o, in, s);
        sb_server_stop(s);
    }
    free(s);
    return r;
}

/* One process, from its files to its end. */
static int serve_store(struct options *o, int ready, struct sh_error *err)
{
    struct inputs in = {0};
    struct sb_store *st = NULL;
    /* Threads share few heaps: a burst in one of them does not stay with each. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
    cleanup_free char *dir = sh_broker_dir(o->dir);
    int r = load_inputs(o, &in, err);
    if (!r)
        r = sh_broker_open(dir, &st, err);
    if (!r && sb_store_sealed(st) && !sb_store_unlocked(st))
        r = sh_broker_store_error(-ENOKEY, "", "", err);
    if (!r)
        r = serve_requests(o, dir, &in, st, ready, err);
    sb_store_close(st);
    free_inputs(&in);
    return r;
}

static int serve_shared(void *arg, const char *const address[SH_BROKER_ADDRESSES],
                        const int held[SH_BROKER_ADDRESSES], int ready, struct sh_error *err)
{
    struct options o = *(struct options *)arg;
    o.listen = address[0];
    o.admin = address[1];
    o.server.held = held[0];
    o.server.admin_held = held[1];
    return serve_store(&o, ready, err);
}

static int announce_shared(void *arg, const char *const address[SH_BROKER_ADDRESSES],
                           struct sh_error *err)
{
    return announce_server(arg, address, err);
}

int cmd_broker_serve(int argc, char **argv)
{
    struct options o = {.listen = "127.0.0.1:8080", .server = {.rate = 100}};
    struct sh_error err = {0};
    int status = parse_options(argc, argv, &o);
    if (status >= 0)
        return status;
    const char *const listen[] = {o.listen, o.admin};
    int r = o.processes
                ? sh_broker_processes(o.processes, listen, serve_shared, announce_shared, &o, &err)
                : serve_store(&o, -1, &err);
    return r ? sh_error_report(&err) : 0;
}
