// SPDX-License-Identifier: Apache-2.0
// Reads an image manifest. The input is hostile until its digest was compared.
#include "lib/manifest.h"

#include <errno.h>

#include <shelter/agent.h>

#define HEAD_SIZE 16u

/* What a record of each tag may look like. */
enum rule_flag { ONCE = 1, LIST = 2, TEXT = 4 /* no NUL inside, not empty */, PATH = 8 };

static const struct rule {
    uint8_t tag;
    uint8_t flags;
    uint16_t size_min;
    uint16_t size_max;
} rules[] = {
    {SH_TAG_ROOT_HASH, ONCE, 32, 32},
    {SH_TAG_ROOT_SIZE, ONCE, 8, 8},
    {SH_TAG_SITES_HASH, ONCE, 32, 32},
    {SH_TAG_SITES_SIZE, ONCE, 8, 8},
    {SH_TAG_ENTRYPOINT, LIST, 0, 65535},
    {SH_TAG_COMMAND, LIST, 0, 65535},
    {SH_TAG_ENV, LIST | TEXT, 1, 65535},
    {SH_TAG_WORKDIR, ONCE | TEXT | PATH, 1, 4095},
    {SH_TAG_USER, ONCE | TEXT, 1, 255},
    {SH_TAG_HOSTNAME, ONCE | TEXT, 1, 64},
    {SH_TAG_STOP_SIGNAL, ONCE, 4, 4},
    {SH_TAG_LIMIT, LIST, sizeof(struct sh_limit_record), sizeof(struct sh_limit_record)},
    {SH_TAG_MOUNT, LIST, 14, 4107},
    {SH_TAG_PORT, LIST, 3, 3},
    {SH_TAG_NETWORK, ONCE | TEXT, 1, 255},
    {SH_TAG_AGENT, ONCE | TEXT | PATH, 1, 4095},
    {SH_TAG_BROKER, ONCE | TEXT, 1, 1023},
    {SH_TAG_BROKER_KEY, ONCE, 1, 4096},
    {SH_TAG_SECRET, LIST | TEXT, 1, 1023},
    {SH_TAG_POLICY, ONCE, 8, 8},
    {SH_TAG_MEMORY, ONCE, 8, 8},
    {SH_TAG_CPUS, ONCE, 4, 4},
    {SH_TAG_HOST_MOUNT, LIST, 6, 4099},
    {SH_TAG_VOLUME, LIST, 19, 4143},
    {SH_TAG_DATA, LIST, 47, 4171},
    {SH_TAG_CONTAINER, LIST, 16, 65535},
};

static const struct rule *rule_of(uint16_t tag)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (rules[i].tag == tag)
            return &rules[i];
    return NULL;
}

/* Where the system has file systems of its own: a folder of the host there could pose as them. */
static const char *const system_places[] = {"/dev", "/proc", "/sys", SH_SECRETS_DIR,
                                            SH_IDENTITY_DIR};

bool sh_host_mount_ok(const void *path, size_t size)
{
    const char *p = path;
    size_t start = 0; /* of the part that is looked at: behind its slash */
    if (size < 2 || size > 4095 || p[0] != '/' || memchr(p, 0, size))
        return false;
    for (size_t i = 1; i <= size; i++) {
        if (i < size && p[i] != '/')
            continue;
        size_t n = i - start - 1;
        if (!n || (p[start + 1] == '.' && (n == 1 || (n == 2 && p[start + 2] == '.'))))
            return false;
        start = i;
    }
    for (size_t i = 0; i < sizeof(system_places) / sizeof(system_places[0]); i++) {
        size_t n = strlen(system_places[i]);
        /* Neither inside it nor above it. */
        if (!memcmp(p, system_places[i], size < n ? size : n) &&
            (size == n || (size > n ? p[n] : system_places[i][size]) == '/'))
            return false;
    }
    return true;
}

bool sh_volume_name_ok(const void *name, size_t size)
{
    const char *p = name;
    for (size_t i = 0; i < size; i++)
        if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z') ||
              (p[i] >= '0' && p[i] <= '9') || p[i] == '_' || p[i] == '-'))
            return false;
    return size && size <= SH_VOLUME_NAME_MAX;
}

const char *sh_volume_freshness(uint32_t flags)
{
    return flags & SH_VOLUME_INSECURE_NONE ? "insecure-none"
           : flags & SH_VOLUME_STRICT      ? "strict"
                                           : "session";
}

static bool volume_ok(const uint8_t *data, uint32_t size)
{
    uint32_t flags = sh_le32(data + 8), n = sh_le32(data + 12);
    const uint32_t known = SH_VOLUME_INSECURE_NONE | SH_VOLUME_STRICT | SH_VOLUME_READ_ONLY |
                           SH_VOLUME_PAUSE | 0xffffu << SH_VOLUME_AWAY_SHIFT;
    bool none = flags & SH_VOLUME_INSECURE_NONE;
    return !(flags & ~known) && n < size - 16 &&
           (none ? !(flags & (SH_VOLUME_STRICT | SH_VOLUME_PAUSE)) : true) &&
           none == !(flags >> SH_VOLUME_AWAY_SHIFT) && sh_volume_name_ok(data + 16, n) &&
           sh_host_mount_ok(data + 16 + n, size - 16 - n);
}

static bool data_ok(const uint8_t *data, uint32_t size)
{
    uint64_t bytes = sh_le64(data + 32);
    uint32_t n = sh_le32(data + 40);
    return bytes && bytes % 4096 == 0 && bytes <= 1ull << 44 && n < size - 44 &&
           sh_volume_name_ok(data + 44, n) && sh_host_mount_ok(data + 44 + n, size - 44 - n);
}

bool sh_container_parse(struct sh_container *c, const uint8_t *data, size_t size)
{
    const struct sh_exec *x = &c->run;
    const uint8_t *end = memchr(data, 0, size);
    size_t n = end ? (size_t)(end - data) + 1 : 1;
    c->name = (const char *)data;
    if (!sh_volume_name_ok(data, n - 1) || sh_exec_parse(&c->run, data + n, size - n))
        return false;
    const char *text = x->env;
    for (size_t i = 0; i < x->head.env_count; i++, text += strlen(text) + 1)
        if (*text == '=' || !memchr(text, '=', strlen(text)))
            return false;
    return x->head.kind == SH_EXEC_PROGRAM && !x->head.tty && !x->head.rows && !x->head.columns &&
           *x->workdir == '/' && strlen(x->workdir) < 4096 && strlen(x->user) < 256;
}

static bool value_ok(uint16_t tag, const struct rule *rule, const uint8_t *data, uint32_t size)
{
    if (size < rule->size_min || size > rule->size_max)
        return false;
    /* Strings become C strings inside: a NUL would make two readers see two values. */
    bool string = rule->flags & TEXT || tag == SH_TAG_ENTRYPOINT || tag == SH_TAG_COMMAND;
    if (string && memchr(data, 0, size))
        return false;
    if (rule->flags & PATH && data[0] != '/')
        return false;
    switch (tag) {
    case SH_TAG_ENV: {
        const uint8_t *eq = memchr(data, '=', size);
        return eq && eq != data;
    }
    case SH_TAG_MOUNT:
        return data[12] == '/' && !memchr(data + 12, 0, size - 12);
    case SH_TAG_HOST_MOUNT:
        return !(sh_le32(data) & ~SH_HOST_MOUNT_COVER) && sh_host_mount_ok(data + 4, size - 4);
    case SH_TAG_VOLUME:
        return volume_ok(data, size);
    case SH_TAG_DATA:
        return data_ok(data, size);
    case SH_TAG_CONTAINER: {
        struct sh_container c;
        return sh_container_parse(&c, data, size);
    }
    case SH_TAG_PORT:
        return sh_le16(data) && (data[2] == SH_TCP || data[2] == SH_UDP);
    case SH_TAG_LIMIT:
        return sh_le32(data) < 16 && !sh_le32(data + 4) && sh_le64(data + 8) <= sh_le64(data + 16);
    case SH_TAG_STOP_SIGNAL:
        return sh_le32(data) >= 1 && sh_le32(data) <= 64;
    case SH_TAG_POLICY:
        return !(sh_le64(data) & ~SH_POLICY_ALL);
    default:
        return true;
    }
}

static void keep_number(struct sh_manifest *m, uint16_t tag, const uint8_t *data)
{
    switch (tag) {
    case SH_TAG_ROOT_HASH:
        memcpy(m->root_hash, data, sizeof(m->root_hash));
        break;
    case SH_TAG_ROOT_SIZE:
        m->root_size = sh_le64(data);
        break;
    case SH_TAG_SITES_HASH:
        m->has_sites = true;
        memcpy(m->sites_hash, data, sizeof(m->sites_hash));
        break;
    case SH_TAG_SITES_SIZE:
        m->sites_size = sh_le64(data);
        break;
    case SH_TAG_STOP_SIGNAL:
        m->stop_signal = sh_le32(data);
        break;
    case SH_TAG_POLICY:
        m->policy = sh_le64(data);
        break;
    case SH_TAG_MEMORY:
        m->memory = sh_le64(data);
        break;
    case SH_TAG_CPUS:
        m->cpus = sh_le32(data);
        break;
    default:
        break;
    }
}

int sh_manifest_parse(struct sh_manifest *m, const void *data, size_t size)
{
    struct sh_reader r = sh_reader(data, size);
    const uint8_t *magic = sh_read(&r, 8);
    uint32_t version = sh_read_le32(&r);
    uint32_t stated = sh_read_le32(&r);
    uint16_t last = 0;

    *m = (struct sh_manifest){.bytes = {data, size}};
    if (r.failed || memcmp(magic, SH_MANIFEST_MAGIC, 8))
        return -EBADMSG;
    if (version != SH_MANIFEST_VERSION)
        return -EPROTO;
    if (size > SH_MANIFEST_SIZE_MAX || stated != size)
        return -EBADMSG;
    while (r.at < r.size) {
        uint16_t tag = sh_read_le16(&r);
        uint16_t zero = sh_read_le16(&r);
        uint32_t value_size = sh_read_le32(&r);
        const uint8_t *value = sh_read(&r, value_size);
        const struct rule *rule = rule_of(tag);
        if (r.failed || zero || !rule || !value_ok(tag, rule, value, value_size))
            return -EBADMSG;
        if (tag < last || (tag == last && !(rule->flags & LIST)))
            return -EBADMSG;
        last = tag;
        keep_number(m, tag, value);
    }
    /* A root is required, in whole blocks; sites come with both of their records or none. */
    if (!sh_manifest_count(m, SH_TAG_ROOT_HASH) || !m->root_size || m->root_size % 4096 ||
        m->root_size > 1ull << 44)
        return -EBADMSG;
    if (m->has_sites != (m->sites_size != 0) || m->sites_size > 1u << 30)
        return -EBADMSG;
    return 0;
}

bool sh_manifest_next(const struct sh_manifest *m, size_t *at, struct sh_record *record)
{
    struct sh_reader r = sh_reader(m->bytes.data, m->bytes.size);
    r.at = *at ? *at : HEAD_SIZE;
    if (r.at >= r.size)
        return false;
    record->tag = sh_read_le16(&r);
    sh_read_le16(&r);
    record->value.size = sh_read_le32(&r);
    record->value.data = sh_read(&r, record->value.size);
    *at = r.at;
    return !r.failed;
}

struct sh_view sh_manifest_get(const struct sh_manifest *m, enum sh_manifest_tag tag, size_t index)
{
    struct sh_record r;
    for (size_t at = 0; sh_manifest_next(m, &at, &r);)
        if (r.tag == tag && index-- == 0)
            return r.value;
    return (struct sh_view){NULL, 0};
}

size_t sh_manifest_count(const struct sh_manifest *m, enum sh_manifest_tag tag)
{
    size_t count = 0;
    struct sh_record r;
    for (size_t at = 0; sh_manifest_next(m, &at, &r);)
        count += r.tag == tag;
    return count;
}
