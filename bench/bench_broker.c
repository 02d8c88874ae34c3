// SPDX-License-Identifier: Apache-2.0
// bench_broker SHELTER FOLDER [SECONDS [CLIENTS [KILLS]]]: whole RCAR handshakes a second through
// the broker. Each is a TLS connection of its own: challenge, attestation (a fresh TDX v4 quote,
// made here), one resource. The clients' work (quote, TLS) is on the same cores as the broker's.
// With KILLS three processes serve, and so many times one of them ends by kill -9: no client may
// fail twice in a row, and the log must have every attestation that was acknowledged.
#include "tests/gen/evidence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <openssl/ec.h>

#include "verifier/broker/jose.h"
#include "verifier/broker/judge.h"

static const char *shelter, *folder;
static int kills;
static struct counts {
    long good, attested, failed, twice;
} * counts; // one a client
static char url[128];

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
    char command[8192];
    va_list ap;

    va_start(ap, format);
    vsnprintf(command, sizeof(command), format, ap);
    va_end(ap);
    if (system(command)) {
        fprintf(stderr, "failed: %s\n", command);
        exit(1);
    }
}

static void prepare(void)
{
    static const char reference[] = // of an image whose registers are zero
        "{\"references\":[{\"tee\":\"tdx\",\"measurement\":{\"mrtd\":\""
        "1111111111111111111111111111111111111111111111111111111111111111"
        "11111111111111111111111111111111\",\"rtmr1\":\"%096d\",\"rtmr2\":\"%096d\"}}]}";
    struct gen_intel_options o = {.version = 4, .tdx = true, .keep_pki = true};
    struct gen_intel g;
    char *json, text[1024];

    snprintf(text, sizeof(text), reference, 0, 0);
    gen_intel(&o, &g);
    json = gen_intel_collateral(&g);
    gen_save(folder, "root.pem", g.root.data, g.root.size);
    gen_save(folder, "collateral.json", json, strlen(json));
    gen_save(folder, "reference.json", text, strlen(text));
    free(json);
    gen_intel_free(&g);
    run("%s broker init --dir %s/b", shelter, folder);
    run("%s broker add-reference %s/reference.json --name bench --insecure-any-launch --dir %s/b"
        " >/dev/null",
        shelter, folder, folder);
    run("echo '{\"images\": \"any\", \"launch\": \"any\"}' | %s broker policy a/b/c - --dir %s/b",
        shelter, folder);
    run("echo secret | %s broker add-resource a/b/c --dir %s/b", shelter, folder);
}

static pid_t serve(void)
{
    char path[4096], root[4096], collateral[4096], dir[4096];
    pid_t pid;
    FILE *f = NULL;

    snprintf(path, sizeof(path), "%s/url", folder);
    snprintf(root, sizeof(root), "%s/root.pem", folder);
    snprintf(collateral, sizeof(collateral), "%s/collateral.json", folder);
    snprintf(dir, sizeof(dir), "%s/b", folder);
    pid = fork();
    if (!pid) {
        if (!freopen("/dev/null", "w", stdout))
            _exit(127);
        // The last two are left out where there is one process.
        execl(shelter, shelter, "broker", "serve", "--dir", dir, "--listen", "127.0.0.1:0",
              "--url-file", path, "--ca", root, "--collateral", collateral, "--rate", "0",
              kills ? "--processes" : NULL, "3", NULL);
        _exit(127);
    }
    for (int i = 0; i < 200 && !f; i++) {
        usleep(50000);
        f = fopen(path, "r");
    }
    if (!f || fscanf(f, "%127s", url) != 1)
        exit(1);
    fclose(f);
    return pid;
}

struct text {
    char *data;
    size_t size;
};

static size_t collect(char *data, size_t size, size_t count, void *arg)
{
    struct text *t = arg;

    t->data = realloc(t->data, t->size + size * count + 1);
    memcpy(t->data + t->size, data, size * count);
    t->size += size * count;
    t->data[t->size] = 0;
    return size * count;
}

static cJSON *ask(CURL *curl, const char *path, const char *body)
{
    struct text t = {0};
    char whole[256];
    cJSON *reply;
    long status = 0;

    snprintf(whole, sizeof(whole), "%s%s", url, path);
    curl_easy_setopt(curl, CURLOPT_URL, whole);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &t);
    if (body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    else
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1l);
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    reply = status == 200 ? cJSON_Parse(t.data) : NULL;
    if (!reply)
        fprintf(stderr, "%s: status %ld %s\n", path, status, t.data ? t.data : "");
    free(t.data);
    return reply;
}

static char *attestation(const char *nonce, const cJSON *jwk)
{
    struct gen_intel_options o = {
        .version = 4, .tdx = true, .keep_pki = true, .have_config_id = true, .no_collateral = true};
    struct gen_intel g;
    cJSON *top = cJSON_CreateObject(), *runtime = cJSON_AddObjectToObject(top, "runtime-data"), *e;
    char *quote, *text;

    sb_binding(SB_SHA384, nonce, jwk, "", o.report_data);
    gen_intel(&o, &g);
    quote = sb_base64(g.quote.data, g.quote.size);
    cJSON_AddStringToObject(runtime, "nonce", nonce);
    cJSON_AddItemToObject(runtime, "tee-pubkey", cJSON_Duplicate(jwk, true));
    e = cJSON_AddObjectToObject(top, "tee-evidence");
    cJSON_AddStringToObject(e, "additional_evidence", "");
    cJSON_AddStringToObject(cJSON_AddObjectToObject(e, "primary_evidence"), "quote", quote);
    text = cJSON_PrintUnformatted(top);
    cJSON_Delete(top);
    free(quote);
    gen_intel_free(&g);
    return text;
}

static bool handshake(const cJSON *jwk, struct counts *c)
{
    CURL *curl = curl_easy_init();
    cJSON *challenge, *token = NULL, *secret = NULL;
    char *body;

    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0l);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0l);
    curl_easy_setopt(curl, CURLOPT_COOKIEFILE, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30l);
    challenge =
        ask(curl, "/kbs/v0/auth", "{\"version\":\"0.4.0\",\"tee\":\"tdx\",\"extra-params\":{}}");
    if (challenge) {
        body = attestation(cJSON_GetObjectItem(challenge, "nonce")->valuestring, jwk);
        token = ask(curl, "/kbs/v0/attest", body);
        free(body);
    }
    c->attested += token != NULL;
    if (token)
        secret = ask(curl, "/kbs/v0/resource/a/b/c", NULL);
    curl_easy_cleanup(curl);
    cJSON_Delete(challenge);
    cJSON_Delete(token);
    cJSON_Delete(secret);
    return secret;
}

static void client(double seconds, struct counts *c)
{
    bool failed = false;

    EVP_PKEY *key = EVP_EC_gen("P-256");
    cJSON *jwk = sb_jwk_public(key);
    double end = now() + seconds;

    cJSON_ReplaceItemInObject(jwk, "alg", cJSON_CreateString("ECDH-ES+A256KW"));
    while (now() < end && (kills || !failed)) {
        bool good = handshake(jwk, c);

        c->good += good;
        c->failed += !good;
        c->twice += !good && failed;
        failed = !good;
    }
    cJSON_Delete(jwk);
    EVP_PKEY_free(key);
}

// What a process has used so far, by its clock.
static double used_ms(pid_t pid)
{
    struct timespec t = {0};
    clockid_t clock;

    if (!clock_getcpuclockid(pid, &clock))
        clock_gettime(clock, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static double processor_ms(const struct rusage *u)
{
    return 1e3 * (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
           1e-3 * (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec);
}

// One of the broker's processes, or 0.
static pid_t child_of(pid_t parent)
{
    char path[80];
    int pid = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
    f = fopen(path, "r");
    if (f && fscanf(f, "%d", &pid) != 1)
        pid = 0;
    if (f)
        fclose(f);
    return pid;
}

// Attestations that the log knows.
static long count_logged(void)
{
    char command[8192];
    long n = -1;
    FILE *f;

    snprintf(command, sizeof(command),
             "%s broker log --check --dir %s/b >/dev/null && %s broker log --json --dir %s/b |"
             " grep -c '\"event\":\"attest\",\"outcome\":\"granted\"'",
             shelter, folder, shelter, folder);
    f = popen(command, "r");
    if (f && fscanf(f, "%ld", &n) != 1)
        n = -1;
    if (f)
        pclose(f);
    return n;
}

static bool judge_kills(const struct counts *all)
{
    long logged = count_logged();

    printf("%d of 3 processes by kill -9: %ld handshakes failed, %ld twice in a row; %ld "
           "acknowledged, %ld in the log\n",
           kills, all->failed, all->twice, all->attested, logged);
    return !all->twice && logged >= all->attested;
}

int main(int argc, char **argv)
{
    double seconds = argc > 3 ? atof(argv[3]) : 5, start;
    int clients = argc > 4 ? atoi(argv[4]) : 4;
    struct counts all = {0};
    struct rusage used;
    double clients_ms = 0, before_ms;
    pid_t broker;
    bool good;

    kills = argc > 5 ? atoi(argv[5]) : 0;
    if (argc < 3 || clients < 1 || clients > 64 || kills < 0) {
        fprintf(stderr, "usage: bench_broker SHELTER FOLDER [SECONDS [CLIENTS [KILLS]]]\n");
        return 1;
    }
    shelter = argv[1];
    folder = argv[2];
    gen_now = (int64_t)time(NULL);
    counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    prepare();
    broker = serve();
    before_ms = used_ms(broker);
    start = now();
    for (int i = 0; i < clients; i++)
        if (!fork()) {
            client(seconds, &counts[i]);
            _exit(0);
        }
    for (int i = 0; i < kills; i++) {
        pid_t one;

        usleep((useconds_t)(seconds * 1e6 / (kills + 1)));
        one = child_of(broker);
        if (one)
            kill(one, SIGKILL);
    }
    for (int i = 0; i < clients; i++) {
        while (wait4(-1, NULL, 0, &used) == broker) {
        }
        clients_ms += processor_ms(&used);
    }
    seconds = now() - start;
    kill(broker, SIGTERM);
    wait4(broker, NULL, 0, &used);
    for (int i = 0; i < clients; i++) {
        all.good += counts[i].good;
        all.attested += counts[i].attested;
        all.failed += counts[i].failed;
        all.twice += counts[i].twice;
    }
    printf("RCAR handshakes   %6.0f a second (%ld in %.1f s, %d clients on the same cores)\n",
           (double)all.good / seconds, all.good, seconds, clients);
    // Depends less on what else the machine does.
    printf("of the processor  %6.2f ms a handshake in the broker, %.2f in the client\n",
           (processor_ms(&used) - before_ms) / (double)all.good, clients_ms / (double)all.good);
    good = !kills || judge_kills(&all);
    return all.good && good ? 0 : 1;
}
