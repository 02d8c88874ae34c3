// SPDX-License-Identifier: Apache-2.0
// Settings of an image that name hosts, networks and secrets: checked at build, not first in the
// guest.
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include <shelter/agent.h>

#include "host/image/input/config.h"
#include "lib/manifest.h"
#include "verifier/broker/store.h"

#define SECRETS_MAX 64u
#define SECRET_PATH_MAX 256u

/* 4 or 6, 0 when it is no address. */
static int family_of(const char *text)
{
    uint8_t raw[16];
    if (inet_pton(AF_INET, text, raw) == 1)
        return 4;
    return inet_pton(AF_INET6, text, raw) == 1 ? 6 : 0;
}

static bool network_ok(const char *text)
{
    if (!strcmp(text, "none") || !strcmp(text, "dhcp"))
        return true;
    for (bool first = true;; first = false) {
        size_t n = strcspn(text, ",");
        cleanup_free char *word = sh_format("%.*s", (int)n, text);
        char *slash = strchr(word, '/');
        uint64_t bits;
        if (first != (slash != NULL))
            return false;
        if (slash)
            *slash = 0;
        int family = family_of(word);
        if (!family || (first && sh_parse_number(slash + 1, 0, family == 4 ? 32 : 128, &bits)))
            return false;
        if (!text[n])
            return true;
        text += n + 1;
    }
}

int sh_config_network(struct sh_config *c, const char *text, struct sh_error *err)
{
    if (!network_ok(text))
        return sh_fail(err, -EINVAL,
                       "'%.60s' is not a network: none, dhcp or ADDR/LEN[,GATEWAY[,DNS...]]", text);
    sh_config_set(&c->network, text);
    return 0;
}

int sh_config_hostname(struct sh_config *c, const char *text, struct sh_error *err)
{
    size_t n = strlen(text);
    bool ok = n && n <= 64 && isalnum((unsigned char)*text);
    for (const char *p = text; *p; p++)
        ok = ok && (isalnum((unsigned char)*p) || *p == '-' || *p == '.');
    if (!ok)
        return sh_fail(err, -EINVAL,
                       "'%.64s' is not a host name: letters, digits, '-' and '.', at most 64",
                       text);
    sh_config_set(&c->hostname, text);
    return 0;
}

int sh_config_broker(struct sh_config *c, const char *text, struct sh_error *err)
{
    const char *rest = !strncmp(text, "https://", 8)  ? text + 8
                       : !strncmp(text, "http://", 7) ? text + 7
                                                      : "";
    bool ok = *rest && *rest != '/';
    for (const char *p = text; *p; p++)
        ok = ok && *p > ' ' && *p < 0x7f;
    if (!ok)
        return sh_fail(err, -EINVAL, "'%.60s' is not a broker's URL, as in https://broker:8080",
                       text);
    sh_config_set(&c->broker, text);
    return 0;
}

/* An environment variable's name, of `size` bytes. */
static bool variable_ok(const char *name, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '_')
            return false;
    return !isdigit((unsigned char)*name);
}

/* Is there a secret of the same kind and name already? */
static bool secret_twice(const struct sh_config *c, const char *text, size_t size, bool env)
{
    for (size_t i = 0; i < c->secrets.count; i++) {
        const char *other = c->secrets.v[i], *colon = strrchr(other, ':');
        if (!strncmp(other, text, size + 1) && env == !strcmp(colon, ":env"))
            return true;
    }
    return false;
}

static bool is_secret_word(const char *text)
{
    static const char *const words[] = {"",       ":file",      ":env",        ":volume",
                                        ":renew", ":renew:HUP", ":renew:USR1", ":renew:USR2"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (!strcmp(text, words[i]))
            return true;
    return false;
}

int sh_config_secret(struct sh_config *c, const char *text, struct sh_error *err)
{
    static const char names[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t n = strspn(text, names);
    bool ok = n && *text != '.' && !strncmp(text + n, "=kbs:///", 8);
    const char *p = ok ? text + n + 8 : "";
    for (int part = 0; ok && part < 3; part++) {
        size_t m = strspn(p, names);
        ok = m && (part == 2 || p[m] == '/');
        p += m + (part < 2 && ok);
    }
    if (!ok || !is_secret_word(p))
        return sh_fail(err, -EINVAL,
                       "'%.60s' is not a secret: NAME=kbs:///REPOSITORY/TYPE/TAG"
                       "[:file|:env|:renew[:HUP|:USR1|:USR2]]",
                       text);
    bool env = !strcmp(p, ":env");
    if (n > SH_AGENT_NAME_MAX || (size_t)(p - text) - n - 8 > SECRET_PATH_MAX)
        return sh_fail(err, -EINVAL, "a secret's name has at most %u bytes, its path at most %u",
                       SH_AGENT_NAME_MAX, SECRET_PATH_MAX);
    if (strstr(text, "..") || strstr(text, "/./"))
        return sh_fail(err, -EINVAL, "'%.60s' is not a secret: '.' and '..' are not allowed in it",
                       text);
    if (env && !variable_ok(text, n))
        return sh_fail(err, -EINVAL,
                       "'%.*s' cannot be an environment variable's name: letters, digits and '_', "
                       "no digit first",
                       (int)n, text);
    if (secret_twice(c, text, n, env))
        return sh_fail(err, -EEXIST, "there are two secrets '%.*s'", (int)n, text);
    if (c->secrets.count == SECRETS_MAX)
        return sh_fail(err, -E2BIG, "an image has at most %u secrets", SECRETS_MAX);
    sh_strings_add(&c->secrets, text);
    return 0;
}

int sh_config_identity(struct sh_config *c, const char *text, struct sh_error *err)
{
    static const char *const signals[] = {"HUP", "USR1", "USR2"};
    const char *colon = strncmp(text, "spiffe:", 7) ? NULL : strchr(text + 7, ':');
    cleanup_free char *id =
        sh_format("%.*s", (int)(colon ? (size_t)(colon - text) : strlen(text)), text);
    cleanup_free char *record = sh_format("identity=%s", text);
    bool known = !colon;
    for (size_t i = 0; colon && i < sizeof(signals) / sizeof(signals[0]); i++)
        known = known || !strcmp(colon + 1, signals[i]);
    if (!sb_identity_ok(id))
        return sh_fail(err, -EINVAL,
                       "'%.60s' is not an identity: spiffe://TRUST-DOMAIN/PATH[:SIGNAL]", text);
    if (!known)
        return sh_fail(err, -EINVAL, "an identity's signal is HUP, USR1 or USR2");
    if (secret_twice(c, record, strlen("identity"), false))
        return sh_fail(err, -EEXIST, "an image has one identity, and no secret of that name");
    if (c->secrets.count == SECRETS_MAX)
        return sh_fail(err, -E2BIG, "an image has at most %u secrets", SECRETS_MAX);
    sh_strings_add(&c->secrets, record);
    return 0;
}

int sh_config_host_mount(struct sh_config *c, const char *text, struct sh_error *err)
{
    static const char cover[] = ":cover";
    size_t n = strlen(text), tail = sizeof(cover) - 1;
    struct sh_config_host_mount m = {.cover = n > tail && !strcmp(text + n - tail, cover)};
    n -= m.cover ? tail : 0;
    if (!sh_host_mount_ok(text, n) || memchr(text, ':', n))
        return sh_fail(
            err, -EINVAL,
            "--mount %.60s: write /PATH[:cover], a plain absolute path, not in or above /dev, "
            "/proc, /sys, " SH_SECRETS_DIR,
            text);
    for (size_t i = 0; i < c->host_mount_count; i++)
        if (strlen(c->host_mounts[i].path) == n && !strncmp(c->host_mounts[i].path, text, n))
            return sh_fail(err, -EEXIST, "--mount %.60s: it is there twice", text);
    m.path = sh_format("%.*s", (int)n, text);
    c->host_mounts = sh_realloc_array(c->host_mounts, c->host_mount_count + 1, sizeof(m));
    c->host_mounts[c->host_mount_count++] = m;
    return 0;
}

#define VOLUME_FORM                                                                                \
    "write NAME:/PATH:key=kbs:///REPOSITORY/TYPE/TAG[:freshness=strict|session|insecure-none]"     \
    "[:away=SECONDS[,pause]][:size=SIZE][:ro]"
#define AWAY_SECONDS 300u

static int take_freshness(struct sh_config_volume *v, const char *word)
{
    static const uint32_t flags[] = {SH_VOLUME_INSECURE_NONE, SH_VOLUME_STRICT, 0};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (strcmp(word, sh_volume_freshness(flags[i])))
            continue;
        v->flags |= flags[i];
        return 0;
    }
    return -EINVAL;
}

/* SECONDS[,pause] */
static int take_away(struct sh_config_volume *v, const char *word)
{
    const char *comma = strchr(word, ',');
    cleanup_free char *number = sh_format("%.*s", (int)strcspn(word, ","), word);
    uint64_t seconds;
    if ((comma && strcmp(comma, ",pause")) || sh_parse_number(number, 1, UINT16_MAX, &seconds))
        return -EINVAL;
    v->flags |= (uint32_t)seconds << SH_VOLUME_AWAY_SHIFT | (comma ? SH_VOLUME_PAUSE : 0);
    return 0;
}

/* One word behind the path. */
static int volume_word(struct sh_config_volume *v, const char *word, const char **key)
{
    if (!strncmp(word, "key=kbs:///", 11))
        *key = word + 4;
    else if (!strncmp(word, "freshness=", 10))
        return take_freshness(v, word + 10);
    else if (!strncmp(word, "away=", 5))
        return take_away(v, word + 5);
    else if (!strcmp(word, "ro"))
        v->flags |= SH_VOLUME_READ_ONLY;
    else
        return !strncmp(word, "size=", 5) && !sh_parse_size(word + 5, &v->size) ? 0 : -EINVAL;
    return 0;
}

/* Each word stands once, and what has no broker to ask waits for none. */
static bool words_fit(const char *text, const struct sh_config_volume *v)
{
    static const char *const words[] = {":key=", ":freshness=", ":away=", ":size="};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const char *first = strstr(text, words[i]);
        if (first && strstr(first + 1, words[i]))
            return false;
    }
    return !(v->flags & SH_VOLUME_INSECURE_NONE) || !strstr(text, ":away=");
}

/* The word at *at, which moves on; kbs:/// has colons of its own. */
static char *next_word(char **at)
{
    char *word = *at, *from = !strncmp(word, "key=kbs:///", 11) ? word + 11 : word;
    char *colon = strchr(from, ':');
    *at = colon ? colon + 1 : NULL;
    if (colon)
        *colon = 0;
    return word;
}

#define BOTH "a volume and a set of data have the name %s; run -v could mean both"
static int add_volume(struct sh_config *c, const struct sh_config_volume *v, const char *key,
                      struct sh_error *err)
{
    cleanup_free char *secret = sh_format("%s=%s:volume", v->name, key);
    for (size_t i = 0; i < c->volume_count; i++)
        if (!strcmp(c->volumes[i].name, v->name) || !strcmp(c->volumes[i].path, v->path))
            return sh_fail(err, -EEXIST, "two volumes have the name %s or the place %s", v->name,
                           v->path);
    for (size_t i = 0; i < c->data_count; i++)
        if (!strcmp(c->data[i].name, v->name))
            return sh_fail(err, -EEXIST, BOTH, v->name);
    if (c->volume_count == SH_VOLUMES_MAX)
        return sh_fail(err, -E2BIG, "an image has at most %u volumes", SH_VOLUMES_MAX);
    int r = sh_config_secret(c, secret, err);
    if (r)
        return r;
    c->volumes = sh_realloc_array(c->volumes, c->volume_count + 1, sizeof(*c->volumes));
    c->volumes[c->volume_count++] =
        (struct sh_config_volume){sh_strdup(v->name), sh_strdup(v->path), v->size, v->flags};
    return 0;
}

int sh_config_volume(struct sh_config *c, const char *text, struct sh_error *err)
{
    cleanup_free char *copy = sh_strdup(text);
    char *at = copy;
    const char *key = NULL;
    bool ok = true;
    struct sh_config_volume v = {.name = next_word(&at)};
    char nowhere[] = "";
    v.path = at ? next_word(&at) : nowhere;
    while (ok && at)
        ok = !volume_word(&v, next_word(&at), &key);
    if (!ok || !words_fit(text, &v) || !key || !sh_volume_name_ok(v.name, strlen(v.name)) ||
        !sh_host_mount_ok(v.path, strlen(v.path)))
        return sh_fail(err, -EINVAL, "--volume %.60s: " VOLUME_FORM, text);
    if (!(v.flags & SH_VOLUME_INSECURE_NONE) && !(v.flags >> SH_VOLUME_AWAY_SHIFT))
        v.flags |= AWAY_SECONDS << SH_VOLUME_AWAY_SHIFT;
    return add_volume(c, &v, key, err);
}

static int add_data(struct sh_config *c, const char *folder, const char *path, const char *name,
                    struct sh_error *err)
{
    for (size_t i = 0; i < c->data_count; i++)
        if (!strcmp(c->data[i].name, name) || !strcmp(c->data[i].path, path))
            return sh_fail(err, -EEXIST,
                           "two sets of data have the name %s or the place %s; give names with "
                           ":name=NAME",
                           name, path);
    for (size_t i = 0; i < c->volume_count; i++)
        if (!strcmp(c->volumes[i].name, name))
            return sh_fail(err, -EEXIST, BOTH, name);
    if (c->data_count == SH_DATA_MAX)
        return sh_fail(err, -E2BIG, "an image has at most %u sets of data", SH_DATA_MAX);
    c->data = sh_realloc_array(c->data, c->data_count + 1, sizeof(*c->data));
    c->data[c->data_count++] =
        (struct sh_config_data){sh_strdup(folder), sh_strdup(name), sh_strdup(path)};
    return 0;
}

/* A folder may have colons: its end is the last colon before a slash. */
int sh_config_data(struct sh_config *c, const char *text, struct sh_error *err)
{
    cleanup_free char *copy = sh_strdup(text);
    char *path = NULL, *name = strstr(copy, ":name=");
    if (name) {
        *name = 0;
        name += 6;
    }
    for (char *p = copy; (p = strstr(p, ":/")); p++)
        path = p;
    if (path)
        *path++ = 0;
    const char *own = name ? name : path ? strrchr(path, '/') + 1 : "";
    if (!path || !*copy || !sh_volume_name_ok(own, strlen(own)) ||
        !sh_host_mount_ok(path, strlen(path)))
        return sh_fail(err, -EINVAL,
                       "--data %.60s: write FOLDER:/PATH[:name=NAME]; the name, else the last part "
                       "of PATH, has up to 32 letters, digits, _ and -",
                       text);
    return add_data(c, copy, path, own, err);
}
