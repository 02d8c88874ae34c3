// SPDX-License-Identifier: Apache-2.0
// The broker that a verb works on: operations done here, or asked for over HTTPS.
#include "host/cli/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#include "lib/base64.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"
#include "verifier/broker/admin.h"

#define ANSWER_MAX (64u << 20)
#define ANSWER_VALUES (1u << 20)
#define SECONDS 60

bool sh_broker_option(struct sh_broker *b, int option, const char *value)
{
    if (option < 0 || option >= SH_BROKER_AT_COUNT)
        return false;
    b->option[option] = value;
    return true;
}

static const char *option_or(const struct sh_broker *b, int option, const char *variable)
{
    const char *value = b->option[option] ? b->option[option] : getenv(variable);
    return value && *value ? value : NULL;
}

/* The key as curl wants to see it. */
static int read_pin(const char *file, char pin[60], struct sh_error *err)
{
    cleanup_free uint8_t *text = NULL;
    size_t size;
    int r = sh_read_file(AT_FDCWD, file, 1 << 16, &text, &size, err);
    if (r)
        return r;
    BIO *bio = BIO_new_mem_buf(text, (int)size);
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    const uint8_t *at = text;
    if (!key)
        key = d2i_PUBKEY(NULL, &at, (long)size);
    BIO_free(bio);
    uint8_t *der = NULL, digest[32];
    int n = key ? i2d_PUBKEY(key, &der) : 0;
    EVP_PKEY_free(key);
    if (n <= 0)
        return sh_fail(err, -EBADMSG, "%s holds no public key (PEM or DER)", file);
    SHA256(der, (size_t)n, digest);
    OPENSSL_free(der);
    memcpy(pin, "sha256//", 9);
    sh_base64(pin + 8, digest, sizeof(digest), SH_BASE64);
    return 0;
}

static int read_credential(struct sh_broker *b, struct sh_error *err)
{
    const char *file = option_or(b, SH_BROKER_AT_CREDENTIAL, "SHELTER_BROKER_CREDENTIAL_FILE");
    size_t size;
    if (!file)
        return sh_fail(err, -EINVAL,
                       "an operator's credential is needed at %s; name its file by --credential",
                       b->url);
    int r = sh_read_file(AT_FDCWD, file, 1024, (uint8_t **)&b->credential, &size, err);
    if (r)
        return r;
    b->credential[strcspn(b->credential, "\r\n")] = 0;
    return strncmp(b->credential, "sba_", 4)
               ? sh_fail(err, -EINVAL, "%s holds no credential of 'shelter broker operator add'",
                         file)
               : 0;
}

/* Plain HTTP only where nobody else can listen. */
static bool is_allowed_url(const char *url)
{
    return !strncmp(url, "https://", 8) ||
           (!strncmp(url, "http://127.0.0.1", 16) && (url[16] == ':' || !url[16]));
}

int sh_broker_connect(struct sh_broker *b, struct sh_error *err)
{
    const char *url = b->option[SH_BROKER_AT_DIR] && !b->option[SH_BROKER_AT_URL]
                          ? NULL
                          : option_or(b, SH_BROKER_AT_URL, "SHELTER_BROKER_URL");
    const char *key = option_or(b, SH_BROKER_AT_KEY, "SHELTER_BROKER_KEY");
    if (b->option[SH_BROKER_AT_DIR] && b->option[SH_BROKER_AT_URL])
        return sh_fail(err, -EINVAL, "--dir is a broker here, --url one elsewhere: give one");
    if (!url) {
        cleanup_free char *dir = sh_broker_dir(b->option[SH_BROKER_AT_DIR]);
        return sh_broker_open(dir, &b->st, err);
    }
    if (!is_allowed_url(url))
        return sh_fail(err, -EINVAL, "'%s' is not of the form https://HOST:PORT", url);
    b->url = sh_strdup(url);
    for (size_t n = strlen(b->url); n && b->url[n - 1] == '/'; n--)
        b->url[n - 1] = 0;
    int r = read_credential(b, err);
    return r || !key ? r : read_pin(key, b->pin, err);
}

void sh_broker_close(struct sh_broker *b)
{
    sb_store_close(b->st);
    free(b->hsm_keys);
    if (b->credential)
        explicit_bzero(b->credential, strlen(b->credential));
    free(b->credential);
    free(b->url);
    *b = (struct sh_broker){0};
}

/* --- Over the network --- */

static size_t take_answer(char *data, size_t unit, size_t count, void *arg)
{
    struct sh_buffer *answer = arg;
    if (unit * count > ANSWER_MAX - answer->size)
        return 0;
    sh_buffer_add(answer, data, unit * count);
    return unit * count;
}

static int ask(struct sh_broker *b, CURL *curl, const char *operation, const char *body,
               struct sh_buffer *answer, long *status, struct sh_error *err)
{
    cleanup_free char *url = sh_format("%s/admin/v0/%s", b->url, operation);
    cleanup_free char *bearer = sh_format("Authorization: Bearer %s", b->credential);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, bearer);
    headers = curl_slist_append(headers, "Expect:");
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)SECONDS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http");
    if (b->pin[0]) { /* the key decides; names and dates do not */
        curl_easy_setopt(curl, CURLOPT_PINNEDPUBLICKEY, b->pin);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    explicit_bzero(bearer, strlen(bearer));
    curl_slist_free_all(headers);
    if (code == CURLE_SSL_PINNEDPUBKEYNOTMATCH)
        return sh_fail(err, -EACCES, "%s has another key than --broker-key: it is not that broker",
                       b->url);
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        return sh_fail(
            err, -EACCES,
            "the certificate of %s is not from a known authority; give the broker's key by "
            "--broker-key",
            b->url);
    return code ? sh_fail(err, -EIO, "cannot ask %s: %s", b->url, curl_easy_strerror(code)) : 0;
}

static int do_elsewhere(struct sh_broker *b, const char *operation, const cJSON *args, cJSON **out,
                        struct sh_error *err)
{
    struct sh_buffer answer = {0};
    CURL *curl = curl_easy_init();
    char *body = args ? cJSON_PrintUnformatted(args) : NULL;
    long status = 0;
    int r = curl && (body || !args)
                ? ask(b, curl, operation, body ? body : "{}", &answer, &status, err)
                : sh_fail(err, -ENOMEM, "no memory for a request");
    curl_easy_cleanup(curl);
    if (body)
        explicit_bzero(body, strlen(body));
    free(body);
    if (!r) {
        *out = sv_json_read(answer.data ? answer.data : (uint8_t *)"", answer.size, ANSWER_VALUES,
                            NULL, 0);
        const char *detail = sv_json_string(*out, "detail");
        if (!cJSON_IsObject(*out))
            r = sh_fail(err, -EPROTO,
                        "%s does not answer with JSON (status %ld); is it a broker's admin API?",
                        b->url, status);
        else if (status != 200)
            r = sh_fail(err, -EPERM, "%s", detail ? detail : "the broker refuses");
    }
    if (answer.data)
        explicit_bzero(answer.data, answer.size);
    sh_buffer_free(&answer);
    return r;
}

/* --- Here --- */

static int do_here(struct sh_broker *b, const char *operation, const cJSON *args, cJSON **out,
                   struct sh_error *err)
{
    struct sb_refusal no;
    struct timespec t;
    char who[60];
    clock_gettime(CLOCK_REALTIME, &t);
    sh_broker_who(who);
    struct sb_asker a = {.store = b->st,
                         .who = who,
                         .name = "",
                         .hsm_keys = b->hsm_keys,
                         .may = SB_MAY_ALL,
                         .now_ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000};
    *out = sb_admin_do(&a, operation, args, &no);
    return *out ? 0 : sh_fail(err, -EPERM, "%s", no.detail);
}

int sh_broker_do(struct sh_broker *b, const char *operation, cJSON *args, cJSON **out,
                 struct sh_error *err)
{
    cJSON *answer = NULL;
    const cJSON *bound;
    int r = b->st ? do_here(b, operation, args, &answer, err)
                  : do_elsewhere(b, operation, args, &answer, err);
    if (!r) {
        cJSON_ArrayForEach(bound, sv_json_get(answer, "bound"))
            fprintf(stderr, "'%s' is image %s\n", bound->string, cJSON_GetStringValue(bound));
        if (sv_json_string(answer, "note"))
            fprintf(stderr, "shelter: note: %s\n", sv_json_text(answer, "note"));
    }
    cJSON_Delete(args);
    if (r || !out)
        cJSON_Delete(answer);
    else
        *out = answer;
    return r;
}

int sh_broker_once(struct sh_broker *b, const char *operation, cJSON *args)
{
    struct sh_error err = {0};
    int r = sh_broker_connect(b, &err);
    if (r)
        cJSON_Delete(args);
    else
        r = sh_broker_do(b, operation, args, NULL, &err);
    sh_broker_close(b);
    return r ? sh_error_report(&err) : 0;
}
