// SPDX-License-Identifier: Apache-2.0
// Settings of an image: the words of options and build files, checked.
#include "host/base/signal_name.h"
#include "host/image/input/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

void sh_config_free(struct sh_config *c)
{
    sh_strings_free(&c->entrypoint);
    sh_strings_free(&c->command);
    sh_strings_free(&c->env);
    sh_strings_free(&c->secrets);
    free(c->workdir);
    free(c->user);
    free(c->hostname);
    free(c->network);
    free(c->agent);
    free(c->broker);
    sh_buffer_free(&c->broker_key);
    free(c->limits);
    for (size_t i = 0; i < c->mount_count; i++)
        free(c->mounts[i].path);
    free(c->mounts);
    for (size_t i = 0; i < c->host_mount_count; i++)
        free(c->host_mounts[i].path);
    free(c->host_mounts);
    for (size_t i = 0; i < c->volume_count; i++) {
        free(c->volumes[i].name);
        free(c->volumes[i].path);
    }
    free(c->volumes);
    for (size_t i = 0; i < c->data_count; i++) {
        free(c->data[i].folder);
        free(c->data[i].name);
        free(c->data[i].path);
    }
    free(c->data);
    for (size_t i = 0; i < c->container_count; i++)
        sh_buffer_free(&c->containers[i]);
    free(c->containers);
    free(c->ports);
    *c = (struct sh_config){0};
}

void sh_config_set(char **slot, const char *value)
{
    free(*slot);
    *slot = value ? sh_strdup(value) : NULL;
}

void sh_config_list(struct sh_strings *slot, char *const *words, size_t count)
{
    sh_strings_free(slot);
    for (size_t i = 0; i < count; i++)
        sh_strings_add(slot, words[i]);
}

int sh_config_env(struct sh_config *c, const char *text, struct sh_error *err)
{
    const char *eq = strchr(text, '=');
    if (!eq || eq == text)
        return sh_fail(err, -EINVAL, "'%.60s' is not NAME=VALUE", text);
    size_t n = (size_t)(eq - text) + 1;
    for (size_t i = 0; i < c->env.count; i++) {
        if (!strncmp(c->env.v[i], text, n)) {
            free(c->env.v[i]);
            c->env.v[i] = sh_strdup(text);
            return 0;
        }
    }
    sh_strings_add(&c->env, text);
    return 0;
}

static const struct {
    const char *word;
    uint64_t bit;
    bool allow; /* a word of --allow */
} policies[] = {
    {"exec", SH_POLICY_EXEC, true},
    {"signal", SH_POLICY_SIGNAL, true},
    {"trace", SH_POLICY_TRACE, true},
    {"stats", SH_POLICY_STATS, true},
    {"debug", SH_POLICY_DEBUG, true},
    {"files", SH_POLICY_FILES, true},
    {"pod", SH_POLICY_POD, true},
    {"lock", SH_POLICY_LOCK, false},
    {"no-input", SH_POLICY_NO_INPUT, false},
    {"no-output", SH_POLICY_NO_OUTPUT, false},
    {"agent-header", SH_POLICY_AGENT_HEADER, false},
    {"no-evidence", SH_POLICY_NO_EVIDENCE, false},
};
#define POLICY_COUNT (sizeof(policies) / sizeof(policies[0]))

int sh_config_policy(struct sh_config *c, const char *words, struct sh_error *err)
{
    for (;;) {
        size_t n = strcspn(words, ","), i = 0;
        while (i < POLICY_COUNT &&
               (strlen(policies[i].word) != n || strncmp(words, policies[i].word, n)))
            i++;
        if (n == 5 && !strncmp(words, "mount", 5))
            return sh_fail(err, -EINVAL, "say where the host may mount a folder: --mount PATH");
        if (i == POLICY_COUNT)
            return sh_fail(
                err, -EINVAL,
                "'%.40s' is not a policy: exec, signal, trace, stats, debug, files, pod, lock, "
                "no-input, no-output, agent-header or no-evidence",
                words);
        c->policy |= policies[i].bit;
        if (!words[n])
            return 0;
        words += n + 1;
    }
}

void sh_policy_words(uint64_t policy, struct sh_strings *words)
{
    for (size_t i = 0; i < POLICY_COUNT; i++)
        if (policy & policies[i].bit)
            sh_strings_add(words, policies[i].word);
}

int sh_config_port(struct sh_config *c, const char *text, struct sh_error *err)
{
    const char *slash = strchr(text, '/');
    cleanup_free char *number = sh_format("%.*s", (int)strcspn(text, "/"), text);
    uint8_t protocol = slash && !strcmp(slash, "/udp") ? SH_UDP : SH_TCP;
    uint16_t port;
    if (sh_parse_port(number, 1, &port) || (slash && protocol == SH_TCP && strcmp(slash, "/tcp")))
        return sh_fail(err, -EINVAL, "'%.40s' is not a port: 1 to 65535, with /tcp or /udp", text);
    for (size_t i = 0; i < c->port_count; i++)
        if (c->ports[i].port == port && c->ports[i].protocol == protocol)
            return 0;
    c->ports = sh_realloc_array(c->ports, c->port_count + 1, sizeof(*c->ports));
    c->ports[c->port_count++] = (struct sh_config_port){port, protocol};
    return 0;
}

int sh_config_stop_signal(struct sh_config *c, const char *text, struct sh_error *err)
{
    return sh_signal_parse(text, &c->stop_signal, err);
}

static int limit_value(const char *text, size_t n, uint64_t *value)
{
    char copy[32];
    if (n >= sizeof(copy))
        return -EINVAL;
    memcpy(copy, text, n);
    copy[n] = 0;
    if (!strcmp(copy, "unlimited") || !strcmp(copy, "-1")) {
        *value = UINT64_MAX;
        return 0;
    }
    return sh_parse_size(copy, value);
}

static const char *const limit_names[16] = {
    "cpu",     "fsize", "data",  "stack",      "core",     "rss",  "nproc",  "nofile",
    "memlock", "as",    "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"};

const char *sh_limit_name(uint32_t resource)
{
    return resource < 16 ? limit_names[resource] : "unknown";
}

int sh_limit_find(const char *name, size_t size)
{
    for (int i = 0; i < 16; i++)
        if (strlen(limit_names[i]) == size && !strncasecmp(limit_names[i], name, size))
            return i;
    return -EINVAL;
}

int sh_limit_parse(const char *text, struct sh_limit_record *l, struct sh_error *err)
{
    size_t n = strcspn(text, "=");
    int resource = sh_limit_find(text, n);
    const char *soft = text[n] ? text + n + 1 : "";
    size_t soft_size = strcspn(soft, ":");
    const char *hard = soft[soft_size] ? soft + soft_size + 1 : soft;
    *l = (struct sh_limit_record){.resource = (uint32_t)resource};
    if (resource < 0 || limit_value(soft, soft_size, &l->soft) ||
        limit_value(hard, hard == soft ? soft_size : strlen(hard), &l->hard) || l->soft > l->hard)
        return sh_fail(err, -EINVAL,
                       "'%.60s' is not a limit: NAME=SOFT[:HARD] as in nofile=1024:4096 or core=0",
                       text);
    return 0;
}

int sh_config_limit(struct sh_config *c, const char *text, struct sh_error *err)
{
    struct sh_limit_record l;
    int r = sh_limit_parse(text, &l, err);
    if (r)
        return r;
    c->limits = sh_realloc_array(c->limits, c->limit_count + 1, sizeof(l));
    c->limits[c->limit_count++] = l;
    return 0;
}

int sh_config_mount(struct sh_config *c, const char *text, struct sh_error *err)
{
    struct sh_config_mount m = {.mode = 01777};
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : strlen(text);
    bool ok = *text == '/' && n > 1 && n < 4096;
    for (const char *p = colon ? colon + 1 : ""; ok && *p;) {
        size_t part = strcspn(p, ",");
        cleanup_free char *word = sh_format("%.*s", (int)part, p);
        char *end = NULL;
        if (!strncmp(word, "size=", 5)) {
            ok = !sh_parse_size(word + 5, &m.size);
        } else if (!strncmp(word, "mode=", 5) && word[5]) {
            m.mode = (uint32_t)strtoul(word + 5, &end, 8);
            ok = !*end && m.mode <= 07777;
        } else {
            ok = false;
        }
        p += part + (p[part] == ',');
    }
    if (!ok)
        return sh_fail(err, -EINVAL,
                       "'%.60s' is not a mount: /PATH[:size=SIZE,mode=OCTAL], a tmpfs", text);
    m.path = sh_format("%.*s", (int)n, text);
    c->mounts = sh_realloc_array(c->mounts, c->mount_count + 1, sizeof(m));
    c->mounts[c->mount_count++] = m;
    return 0;
}

int sh_config_memory(struct sh_config *c, const char *text, struct sh_error *err)
{
    if (sh_parse_size(text, &c->memory) || c->memory < 1 << 20)
        return sh_fail(err, -EINVAL, "'%.40s' is not a memory size, as in 512M or 2G", text);
    return 0;
}

int sh_config_cpus(struct sh_config *c, const char *text, struct sh_error *err)
{
    uint64_t n;
    if (sh_parse_number(text, 1, 64, &n))
        return sh_fail(err, -EINVAL, "'%.40s' is not a number of processors (1 to 64)", text);
    c->cpus = (uint32_t)n;
    return 0;
}

int sh_config_broker_key(struct sh_config *c, const char *file, struct sh_error *err)
{
    cleanup_free uint8_t *data = NULL;
    size_t size = 0;
    int r = sh_read_file(AT_FDCWD, file, 16384, &data, &size, err);
    if (r)
        return r;
    BIO *bio = BIO_new_mem_buf(data, (int)size);
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    const uint8_t *p = data;
    if (!key)
        key = d2i_PUBKEY(NULL, &p, (long)size);
    uint8_t *der = NULL;
    int n = key ? i2d_PUBKEY(key, &der) : -1;
    EVP_PKEY_free(key);
    if (n <= 0)
        return sh_fail(err, -EINVAL, "%s has no public key (PEM or DER)", file);
    c->broker_key.size = 0;
    sh_buffer_add(&c->broker_key, der, (size_t)n);
    OPENSSL_free(der);
    return 0;
}
