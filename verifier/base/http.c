// SPDX-License-Identifier: Apache-2.0
// GET by libcurl: https only, no redirects, bounded in time and size; a cache of files.
#include "verifier/base/http.h"
#include "verifier/base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>
#include <openssl/sha.h>

#define REPLY_SIZE_DEFAULT (1u << 20)
#define TIMEOUT_DEFAULT_MS 15000
#define CACHE_MAGIC "shelter-cache-1"

struct transfer {
    struct sv_reply *reply;
    size_t size_max, header_size;
    const char *header;
    bool too_large;
};

static size_t on_body(char *data, size_t unit, size_t count, void *opaque)
{
    struct transfer *t = opaque;
    size_t size = unit * count;
    uint8_t *more;

    if (size > t->size_max - t->reply->size) {
        t->too_large = true;
        return 0;
    }
    more = realloc(t->reply->body, t->reply->size + size + 1);
    if (!more)
        return 0;
    memcpy(more + t->reply->size, data, size);
    t->reply->body = more;
    t->reply->size += size;
    more[t->reply->size] = 0;
    return size;
}

static size_t on_header(char *data, size_t unit, size_t count, void *opaque)
{
    struct transfer *t = opaque;
    size_t size = unit * count, name = t->header ? strlen(t->header) : 0;

    t->header_size += size;
    if (t->header_size > SV_HEADER_SIZE_MAX) {
        t->too_large = true;
        return 0;
    }
    if (name && size > name + 1 && data[name] == ':' && !strncasecmp(data, t->header, name)) {
        size_t at = name + 1, end = size;

        while (at < end && (data[at] == ' ' || data[at] == '\t'))
            at++;
        while (end > at && (data[end - 1] == '\r' || data[end - 1] == '\n'))
            end--;
        free(t->reply->chain);
        t->reply->chain = strndup(data + at, end - at);
    }
    return size;
}

// In place: %XX to the byte it stands for. A PEM chain has no NUL, so none is let in.
static bool url_decode(char *text)
{
    char *out = text;

    for (; *text; text++) {
        int byte = *text == '%' && text[1] ? sh_hex_byte(text + 1) : 0;

        if (*text != '%') {
            *out++ = *text;
            continue;
        }
        if (byte <= 0)
            return false;
        *out++ = (char)byte;
        text += 2;
    }
    *out = 0;
    return true;
}

static int64_t now_of(const struct shelter_fetch_options *o)
{
    return o->now ? o->now : (int64_t)time(NULL);
}

static bool cache_path(const struct shelter_fetch_options *o, const char *url, char *out,
                       size_t size)
{
    uint8_t digest[32];
    char hex[65];

    if (!o->cache_dir)
        return false;
    SHA256((const uint8_t *)url, strlen(url), digest);
    sh_hex(hex, digest, sizeof(digest));
    return snprintf(out, size, "%s/%s", o->cache_dir, hex) < (int)size;
}

// Cache entry: magic, expiry, size of the chain, size of the body, each on a line; chain; body.
static bool cache_get(const struct shelter_fetch_options *o, const char *url, struct sv_reply *out)
{
    char path[4096];
    uint8_t *data;
    size_t size, chain_size, body_size;
    int64_t expiry;
    int taken = 0;
    bool ok = false;

    if (!cache_path(o, url, path, sizeof(path)) ||
        sv_read_file(path, REPLY_SIZE_DEFAULT + SV_HEADER_SIZE_MAX + 256, &data, &size))
        return false;
    if (sscanf((char *)data, CACHE_MAGIC "\n%20" SCNd64 "\n%9zu\n%9zu\n%n", &expiry, &chain_size,
               &body_size, &taken) == 3 &&
        taken && chain_size <= size - (size_t)taken &&
        body_size == size - (size_t)taken - chain_size && now_of(o) < expiry) {
        out->chain = chain_size ? strndup((char *)data + taken, chain_size) : NULL;
        out->body = malloc(body_size + 1);
        if (out->body) {
            memcpy(out->body, data + (size_t)taken + chain_size, body_size);
            out->body[body_size] = 0;
            out->size = body_size;
            ok = true;
        }
    }
    free(data);
    return ok;
}

void sv_http_keep(const struct shelter_fetch_options *o, const char *url,
                  const struct sv_reply *reply, int64_t expiry)
{
    char path[4096], tmp[4200];
    size_t chain_size = reply->chain ? strlen(reply->chain) : 0;
    FILE *f;
    int fd;
    bool ok;

    if (expiry <= now_of(o) || !cache_path(o, url, path, sizeof(path)))
        return;
    mkdir(o->cache_dir, 0700);
    snprintf(tmp, sizeof(tmp), "%s.%ld.XXXXXX", path, (long)getpid());
    fd = mkstemp(tmp);
    if (fd < 0)
        return;
    f = fdopen(fd, "w");
    if (!f) {
        close(fd);
        unlink(tmp);
        return;
    }
    fprintf(f, CACHE_MAGIC "\n%" PRId64 "\n%zu\n%zu\n", expiry, chain_size, reply->size);
    ok = fwrite(reply->chain ? reply->chain : "", 1, chain_size, f) == chain_size &&
         fwrite(reply->body, 1, reply->size, f) == reply->size;
    if (fclose(f) || !ok || rename(tmp, path))
        unlink(tmp);
}

void sv_reply_free(struct sv_reply *reply)
{
    free(reply->body);
    free(reply->chain);
    *reply = (struct sv_reply){0};
}

static int transfer_result(CURL *curl, CURLcode code, const struct transfer *t, const char *url,
                           char *why, size_t why_size)
{
    long status = 0;

    if (t->too_large || code == CURLE_FILESIZE_EXCEEDED) {
        snprintf(why, why_size, "%s: the reply is too large", url);
        return -EFBIG;
    }
    if (code != CURLE_OK) {
        snprintf(why, why_size, "%s: %s", url, curl_easy_strerror(code));
        return code == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT : -EPROTO;
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        snprintf(why, why_size, "%s: status %ld", url, status);
        return status == 404 ? -ENOENT : -EPROTO;
    }
    if (!t->reply->size) {
        snprintf(why, why_size, "%s: the reply is empty", url);
        return -EPROTO;
    }
    return 0;
}

int sv_http_get(const struct shelter_fetch_options *o, const char *url, const char *header,
                struct sv_reply *out, char *why, size_t why_size)
{
    struct transfer t = {.reply = out,
                         .header = header,
                         .size_max = o->reply_size_max ? o->reply_size_max : REPLY_SIZE_DEFAULT};
    CURL *curl;
    int rc;

    *out = (struct sv_reply){0};
    if (cache_get(o, url, out))
        return 0;
    rc = o->before ? o->before(o->arg, url) : 0;
    if (rc) {
        snprintf(why, why_size, "%s: not asked: %s", url,
                 rc == -EHOSTDOWN ? "it failed a moment ago" : "too many requests");
        return rc;
    }
    curl = curl_easy_init();
    if (!curl)
        return -ENOMEM;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, o->insecure_http ? "http,https" : "https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, o->timeout_ms ? o->timeout_ms : TIMEOUT_DEFAULT_MS);
    curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)t.size_max);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &t);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &t);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "shelter/" SHELTER_VERSION);
    rc = transfer_result(curl, curl_easy_perform(curl), &t, url, why, why_size);
    curl_easy_cleanup(curl);
    if (!rc && out->chain && !url_decode(out->chain)) {
        snprintf(why, why_size, "%s: header %s is malformed", url, header);
        rc = -EPROTO;
    }
    if (o->after)
        o->after(o->arg, url, rc);
    if (rc)
        sv_reply_free(out);
    return rc;
}
