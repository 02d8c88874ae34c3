// SPDX-License-Identifier: Apache-2.0
// Weighs manifest and launch config against each other. One pass over each, no recursion; what the
// host repeats or invents costs at most SH_SETTINGS_STRINGS_MAX squared comparisons.
#include "lib/settings.h"

#include <errno.h>
#include <signal.h>

#include <shelter/agent.h>
#include <shelter/boot.h>
#include <shelter/network.h>

#include "lib/hex.h"
#include "lib/number.h"

#define SPARE 2048u /* defaults: PATH, HOSTNAME, TERM, "/"; alignment; lines that are malformed */
#define SIGNAL_BIT(n) (1ull << ((n)-1))

/* Everything a step needs. The first failure sets `error` and `why`, and the rest does nothing. */
struct maker {
    struct sh_settings *s;
    const struct sh_manifest *m;
    uint8_t *arena;
    size_t size, at;
    int error;
    const char *why;
};

static void refuse_settings(struct maker *k, int error, const char *why)
{
    if (k->error)
        return;
    k->error = error;
    k->why = why;
}

static void *take_room(struct maker *k, size_t size)
{
    size_t at = (k->at + 7) & ~(size_t)7;
    if (at > k->size || size > k->size - at) {
        refuse_settings(k, -ENOMEM, "no room for the settings");
        return NULL;
    }
    k->at = at + size;
    return k->arena + at;
}

/* A string of `size` bytes; "" after a failure. */
static char *take_string(struct maker *k, const void *data, size_t size)
{
    static char nothing[1];
    if (k->error || k->at > k->size || size >= k->size - k->at) {
        refuse_settings(k, -ENOMEM, "no room for the settings");
        return nothing;
    }
    char *s = (char *)k->arena + k->at;
    if (size)
        memcpy(s, data, size);
    s[size] = 0;
    k->at += size + 1;
    return s;
}

static char *take_line(struct maker *k, const struct sh_launch_line *line)
{
    char *s = take_string(k, line->value, line->size);
    if (!k->error)
        k->at -= line->size - sh_launch_unescape(line, s);
    return s;
}

/* --- lists --- */

static void list_begin(struct maker *k, struct sh_string_list *l, size_t room, size_t max)
{
    if (room > max)
        refuse_settings(
            k, -E2BIG,
            max == SH_SETTINGS_ARGS_MAX
                ? "the command has more than 131072 arguments"
                : "the environment, or a list of the image, has more than 8192 entries");
    l->count = 0;
    l->items = k->error ? NULL : take_room(k, (room + 1) * sizeof(*l->items));
    if (l->items)
        l->items[0] = NULL;
}

static void list_add(struct maker *k, struct sh_string_list *l, const char *text)
{
    if (k->error)
        return;
    l->items[l->count++] = text;
    l->items[l->count] = NULL;
}

/* A later NAME=VALUE takes the place of an earlier one. */
static void env_set(struct maker *k, struct sh_string_list *l, const char *text)
{
    size_t name = 0;
    while (text[name] && text[name] != '=')
        name++;
    if (!name || text[name] != '=')
        refuse_settings(k, -EBADMSG, "an environment entry is not NAME=VALUE");
    for (size_t i = 0; !k->error && i < l->count; i++) {
        if (!strncmp(l->items[i], text, name + 1)) {
            l->items[i] = text;
            return;
        }
    }
    list_add(k, l, text);
}

/* --- values --- */

/* Decimal without leading zeros, at most `max`. */
static bool read_number(const char *text, uint64_t max, uint64_t *out)
{
    bool canonical = *text != '0' || !text[1]; /* one way to write each */
    return canonical && !sh_parse_number(text, 0, max, out);
}

static bool is_one(const char *text)
{
    return text[0] == '1' && !text[1];
}

static void set_text(struct maker *k, const char **slot, const char *text, size_t max,
                     const char *why)
{
    if (!*text || strlen(text) > max)
        refuse_settings(k, -EBADMSG, why);
    *slot = text;
}

/* SH_LAUNCH_PORT_FORMAT; "all": each port that the program listens on, as a container's own address
 * has it. */
static void add_port(struct maker *k, const char *text)
{
    struct sh_published_port *p = &k->s->ports[k->s->port_count];
    uint64_t number = 0;
    uint8_t protocol = !strncmp(text, "udp ", 4) ? SH_UDP : SH_TCP;
    if (strncmp(text, sh_protocol_name(protocol), 3) || text[3] != ' ' ||
        (strcmp(text + 4, SH_LAUNCH_PORT_ALL) &&
         (!read_number(text + 4, 65535, &number) || !number)))
        return refuse_settings(k, -EBADMSG, "a port of the launch config is malformed");
    if (number == SH_AGENT_PORT && protocol == SH_TCP)
        return refuse_settings(k, -EPERM,
                               "port 8006 is the agent's, for the inside only; publish another");
    *p = (struct sh_published_port){(uint16_t)number, protocol};
    k->s->port_count++;
}

/* Is this a place that the manifest names? */
static bool find_place(const struct sh_manifest *m, const char *path, bool *cover)
{
    struct sh_record r;
    size_t size = strlen(path);
    for (size_t at = 0; sh_manifest_next(m, &at, &r);) {
        if (r.tag != SH_TAG_HOST_MOUNT || r.value.size - 4 != size ||
            memcmp(r.value.data + 4, path, size))
            continue;
        *cover = sh_le32(r.value.data) & SH_HOST_MOUNT_COVER;
        return true;
    }
    return false;
}

/* SH_LAUNCH_MOUNT_FORMAT: "share0 ro /path" */
static void add_share(struct maker *k, char *text)
{
    struct sh_share *s = &k->s->shares[k->s->share_count];
    size_t tag = strlen(SH_BOOT_SHARE_TAG), end = tag;
    while (!strncmp(text, SH_BOOT_SHARE_TAG, tag) && text[end] >= '0' && text[end] <= '9')
        end++;
    bool read_only = !strncmp(text + end, " ro /", 5);
    if (end == tag || end > tag + 4 || (!read_only && strncmp(text + end, " rw /", 5)))
        return refuse_settings(k, -EBADMSG, "a mount of the launch config is malformed");
    text[end] = 0;
    *s = (struct sh_share){.tag = text, .path = text + end + 4, .read_only = read_only};
    for (size_t i = 0; i < k->s->share_count; i++)
        if (!strcmp(k->s->shares[i].tag, s->tag) || !strcmp(k->s->shares[i].path, s->path))
            return refuse_settings(k, -EBADMSG, "two mounts of the launch config are one");
    if (!find_place(k->m, s->path, &s->cover))
        return refuse_settings(
            k, -EPERM,
            "the image names no such place for a folder of the host; build it with "
            "--mount PATH");
    k->s->share_count++;
}

/* Where a file of the host may stand: not where the system has its own. Secrets of the broker are
 * in no image that takes files, so their folder may have those that an engine brings. */
static bool is_file_place(const char *path)
{
    static const char secrets[] = SH_SECRETS_DIR;
    size_t n = sizeof(secrets) - 1;
    path += !strncmp(path, secrets, n) && path[n] == '/' ? n : 0;
    return sh_host_mount_ok(path, strlen(path));
}

/* SH_LAUNCH_FILE_FORMAT: "0644 /path 616263" */
static void add_file(struct maker *k, char *text)
{
    struct sh_file *f = &k->s->files[k->s->file_count];
    char *end = text, *name = text;
    uint32_t mode = 0;
    size_t digits = 0;
    while (digits < 4 && text[digits] >= '0' && text[digits] <= '7')
        mode = mode << 3 | (uint32_t)(text[digits++] - '0');
    for (char *p = text; *p; p++) /* the last blank, the last slash before it */
        end = *p == ' ' ? p : end;
    for (char *p = text; p < end; p++)
        name = *p == '/' ? p : name;
    size_t size = end > text ? strlen(end + 1) / 2 : 0;
    char *content = end + 1;
    if (digits != 4 || mode > 0777 || end <= text + 5 || text[4] != ' ' || text[5] != '/' ||
        strlen(content) != 2 * size)
        return refuse_settings(k, -EBADMSG, "a file of the launch config is malformed");
    for (size_t i = 0; i < size; i++) {
        int byte = sh_hex_byte(content + 2 * i);
        if (byte < 0)
            return refuse_settings(k, -EBADMSG, "a file of the launch config is malformed");
        content[i] = (char)byte;
    }
    *end = 0;
    if (!(k->m->policy & SH_POLICY_FILES))
        return refuse_settings(
            k, -EPERM, "the image accepts no files of the host; build it with --allow files");
    if (!is_file_place(text + 5))
        return refuse_settings(k, -EPERM, "a file of the host stands where the system has its own");
    *f = (struct sh_file){.folder = name == text + 5 ? "/" : text + 5,
                          .name = name + 1,
                          .data = (const uint8_t *)content,
                          .size = (uint32_t)size,
                          .mode = mode};
    *name = 0;
    k->s->file_count++;
}

/* SH_LAUNCH_LIMIT_FORMAT */
static void add_limit(struct maker *k, char *text)
{
    uint64_t n[3] = {0};
    bool ok = true;
    for (size_t i = 0; i < 3; i++) {
        char *end = text;
        while (*end && *end != ' ')
            end++;
        ok &= (*end == ' ') == (i < 2);
        char *next = end + (*end != 0);
        *end = 0;
        ok &= read_number(text, i ? UINT64_MAX : SH_SETTINGS_LIMITS - 1, &n[i]);
        text = next;
    }
    if (!ok || n[1] > n[2] || (n[0] == SH_LIMIT_FILES && n[2] > SH_LIMIT_FILES_MAX))
        return refuse_settings(k, -EBADMSG, "a limit of the launch config is malformed");
    k->s->limits[n[0]] = (struct sh_limit){n[1], n[2]};
}

/* --- the image --- */

static void set_limits(struct sh_settings *s)
{
    for (size_t i = 0; i < SH_SETTINGS_LIMITS; i++)
        s->limits[i] = (struct sh_limit){SH_LIMIT_NONE, SH_LIMIT_NONE};
    s->limits[3].soft = 8u << 20;                                 /* STACK */
    s->limits[4].soft = 0;                                        /* CORE */
    s->limits[6] = s->limits[11] = (struct sh_limit){4096, 4096}; /* NPROC, SIGPENDING */
    s->limits[SH_LIMIT_FILES] = (struct sh_limit){1024, 65536};
    s->limits[8] = (struct sh_limit){8u << 20, 8u << 20};    /* MEMLOCK */
    s->limits[12] = (struct sh_limit){819200, 819200};       /* MSGQUEUE */
    s->limits[13] = s->limits[14] = (struct sh_limit){0, 0}; /* NICE, RTPRIO */
}

static void take_volume(struct maker *k, const uint8_t *v, size_t size)
{
    struct sh_settings *s = k->s;
    uint32_t n = sh_le32(v + 12), flags = sh_le32(v + 8);
    if (s->volume_count == SH_VOLUMES_MAX)
        return refuse_settings(k, -E2BIG, "the image has more than 8 volumes");
    s->volumes[s->volume_count++] =
        (struct sh_volume){.name = take_string(k, v + 16, n),
                           .path = take_string(k, v + 16 + n, size - 16 - n),
                           .size = sh_le64(v),
                           .away = flags >> SH_VOLUME_AWAY_SHIFT,
                           .read_only = flags & SH_VOLUME_READ_ONLY,
                           .strict = flags & SH_VOLUME_STRICT,
                           .pauses = flags & SH_VOLUME_PAUSE};
}

static void take_data(struct maker *k, const uint8_t *v, size_t size)
{
    struct sh_settings *s = k->s;
    uint32_t n = sh_le32(v + 40);
    if (s->data_count == SH_DATA_MAX)
        return refuse_settings(k, -E2BIG, "the image has more than 8 sets of data");
    s->data[s->data_count++] = (struct sh_data){.name = take_string(k, v + 44, n),
                                                .path = take_string(k, v + 44 + n, size - 44 - n),
                                                .size = sh_le64(v + 32),
                                                .root = v};
}

static void take_container(struct maker *k, const uint8_t *v, size_t size)
{
    struct sh_settings *s = k->s;
    struct sh_container *c = &s->containers[s->container_count];
    if (s->container_count == SH_CONTAINERS_MAX)
        return refuse_settings(k, -E2BIG, "the image has more than 16 containers");
    (void)sh_container_parse(c, v, size); /* as sh_manifest_parse did */
    for (size_t i = 0; i < s->container_count; i++)
        if (!strcmp(s->containers[i].name, c->name))
            return refuse_settings(k, -EBADMSG, "two containers of the image have one name");
    s->container_count++;
}

static void take_record(struct maker *k, const struct sh_record *r, bool own_command)
{
    struct sh_settings *s = k->s;
    const uint8_t *v = r->value.data;
    size_t size = r->value.size;
    switch (r->tag) {
    case SH_TAG_ENTRYPOINT:
    case SH_TAG_COMMAND:
        if (own_command) {
            list_add(k, &s->args, take_string(k, v, size));
            s->entrypoint_count += r->tag == SH_TAG_ENTRYPOINT;
        }
        break;
    case SH_TAG_WORKDIR:
        s->workdir = take_string(k, v, size);
        break;
    case SH_TAG_USER:
        s->user = take_string(k, v, size);
        break;
    case SH_TAG_HOSTNAME:
        s->hostname = take_string(k, v, size);
        break;
    case SH_TAG_NETWORK:
        s->network = take_string(k, v, size);
        break;
    case SH_TAG_AGENT:
        s->agent = take_string(k, v, size);
        break;
    case SH_TAG_BROKER:
        s->broker = take_string(k, v, size);
        break;
    case SH_TAG_BROKER_KEY:
        s->broker_key = r->value;
        break;
    case SH_TAG_SECRET:
        list_add(k, &s->secrets, take_string(k, v, size));
        break;
    case SH_TAG_LIMIT:
        s->limits[sh_le32(v)] = (struct sh_limit){sh_le64(v + 8), sh_le64(v + 16)};
        break;
    case SH_TAG_MOUNT:
        s->tmpfs[s->tmpfs_count++] = (struct sh_tmpfs){take_string(k, v + 12, size - 12),
                                                       sh_le64(v), sh_le32(v + 8) & 07777};
        break;
    case SH_TAG_VOLUME:
        take_volume(k, v, size);
        break;
    case SH_TAG_DATA:
        take_data(k, v, size);
        break;
    case SH_TAG_CONTAINER:
        take_container(k, v, size);
        break;
    default:
        break;
    }
}

/* What the image's owner must not have allowed together, whoever built it. */
static void check_image(struct maker *k, bool places)
{
    uint64_t policy = k->m->policy;
    if (k->s->container_count && !(policy & SH_POLICY_LOCK))
        refuse_settings(k, -EPERM, "the image has containers and is not locked; build it again");
    if (!k->s->secrets.count)
        return;
    /* A host that may choose LD_PRELOAD would own the secrets. */
    if (!(policy & SH_POLICY_LOCK))
        refuse_settings(k, -EPERM, "the image names secrets and is not locked; build it again");
    if ((policy & (SH_POLICY_EXEC | SH_POLICY_FILES)) || places)
        refuse_settings(
            k, -EPERM,
            "the image names secrets and lets the host run programs, mount folders or bring files; "
            "build it without one or the other");
}

/* --- the host's choice --- */

static bool is_frozen(const struct maker *k, int key, const char *value)
{
    if (!k->s->locked || !(SH_SETTINGS_LOCKED >> key & 1))
        return false;
    const char *built = *k->s->network ? k->s->network : "dhcp";
    /* Where the host gives the address anyway, it may say which. */
    bool address = value[0] >= '0' && value[0] <= '9' && !strcmp(built, "dhcp");
    return key != SH_LAUNCH_NETWORK || (strcmp(value, "none") && strcmp(value, built) && !address);
}

static void take_flag(struct maker *k, const char *value, bool *flag)
{
    if (!is_one(value))
        refuse_settings(k, -EBADMSG, "a flag of the launch config is not 1");
    *flag = true;
}

static void take_choice(struct maker *k, int key, char *value)
{
    struct sh_settings *s = k->s;
    uint64_t number = 0;
    if (is_frozen(k, key, value))
        return refuse_settings(
            k, -EPERM,
            "the image is locked: command, environment, directory, user, host name, limits "
            "and network stay as built");
    switch (key) {
    case SH_LAUNCH_ARG:
        return list_add(k, &s->args, value);
    case SH_LAUNCH_WORKDIR:
        if (value[0] != '/')
            refuse_settings(k, -EBADMSG, "the working directory is not an absolute path");
        return set_text(k, &s->workdir, value, 4095, "the working directory is too long");
    case SH_LAUNCH_USER:
        return set_text(k, &s->user, value, 1023, "the user is empty or too long");
    case SH_LAUNCH_HOSTNAME:
        s->hostname = value;
        return;
    case SH_LAUNCH_TTY:
        return take_flag(k, value, &s->terminal);
    case SH_LAUNCH_STDIN:
        return take_flag(k, value, &s->input);
    case SH_LAUNCH_MOUNT:
        return add_share(k, value);
    case SH_LAUNCH_FILE:
        return add_file(k, value);
    case SH_LAUNCH_READONLY:
        return take_flag(k, value, &s->read_only);
    case SH_LAUNCH_LIMIT:
        return add_limit(k, value);
    case SH_LAUNCH_NETWORK:
        return set_text(k, &s->network, value, 255, "the network is empty or too long");
    case SH_LAUNCH_PORT:
        return add_port(k, value);
    case SH_LAUNCH_BROKER:
        return set_text(k, &s->broker, value, 1023, "the broker's URL is empty or too long");
    case SH_LAUNCH_MEMORY:
    case SH_LAUNCH_CPUS:
        if (!read_number(value, key == SH_LAUNCH_CPUS ? UINT32_MAX : UINT64_MAX, &number))
            refuse_settings(k, -EBADMSG, "memory or cpus of the launch config is not a number");
        if (key == SH_LAUNCH_CPUS)
            s->cpus = (uint32_t)number;
        else
            s->memory = number;
        return;
    case SH_LAUNCH_DEBUG:
        if (!(k->m->policy & SH_POLICY_DEBUG))
            refuse_settings(k, -EPERM,
                            "the image does not allow debugging; build it with --allow debug");
        return take_flag(k, value, &s->debug);
    default:
        return;
    }
}

/* --- both --- */

struct counts {
    size_t tags[SH_TAG_COUNT], keys[SH_LAUNCH_KEY_COUNT];
};

static void count_values(struct counts *c, const struct sh_manifest *m, const void *launch,
                         size_t size)
{
    struct sh_record r;
    struct sh_launch_line line;
    *c = (struct counts){0};
    for (size_t at = 0; sh_manifest_next(m, &at, &r);)
        c->tags[r.tag]++;
    for (size_t at = 0; sh_launch_next(launch, size, &at, &line);)
        c->keys[line.key]++;
}

static void begin_lists(struct maker *k, const struct counts *c)
{
    struct sh_settings *s = k->s;
    size_t own = c->tags[SH_TAG_ENTRYPOINT] + c->tags[SH_TAG_COMMAND];
    list_begin(k, &s->args, c->keys[SH_LAUNCH_ARG] ? c->keys[SH_LAUNCH_ARG] : own,
               SH_SETTINGS_ARGS_MAX);
    list_begin(k, &s->env, 3 + c->tags[SH_TAG_ENV] + c->keys[SH_LAUNCH_ENV],
               SH_SETTINGS_STRINGS_MAX);
    list_begin(k, &s->image_env, c->tags[SH_TAG_ENV], SH_SETTINGS_STRINGS_MAX);
    list_begin(k, &s->secrets, c->tags[SH_TAG_SECRET], SH_SETTINGS_STRINGS_MAX);
    if (c->keys[SH_LAUNCH_MOUNT] > SH_SETTINGS_SHARES_MAX ||
        c->keys[SH_LAUNCH_FILE] > SH_SETTINGS_FILES_MAX)
        refuse_settings(k, -E2BIG, "the launch config has too many mounts or files");
    if (k->error)
        return;
    s->ports = take_room(k, c->keys[SH_LAUNCH_PORT] * sizeof(*s->ports));
    s->shares = take_room(k, c->keys[SH_LAUNCH_MOUNT] * sizeof(*s->shares));
    s->files = take_room(k, c->keys[SH_LAUNCH_FILE] * sizeof(*s->files));
    s->tmpfs = take_room(k, c->tags[SH_TAG_MOUNT] * sizeof(*s->tmpfs));
    s->volumes = take_room(k, c->tags[SH_TAG_VOLUME] * sizeof(*s->volumes));
    s->data = take_room(k, c->tags[SH_TAG_DATA] * sizeof(*s->data));
    s->containers = take_room(k, c->tags[SH_TAG_CONTAINER] * sizeof(*s->containers));
}

static void take_image(struct maker *k, const struct counts *c)
{
    struct sh_record r;
    const struct sh_manifest *m = k->m;
    k->s->workdir = "/";
    k->s->hostname = "shelter";
    k->s->user = k->s->network = k->s->broker = k->s->agent = "";
    k->s->stop_signal = m->stop_signal ? m->stop_signal : SIGTERM;
    k->s->locked = m->policy & SH_POLICY_LOCK;
    k->s->memory = m->memory;
    k->s->cpus = m->cpus;
    set_limits(k->s);
    for (size_t at = 0; !k->error && sh_manifest_next(m, &at, &r);)
        take_record(k, &r, !c->keys[SH_LAUNCH_ARG]);
    check_image(k, c->tags[SH_TAG_HOST_MOUNT]);
}

static void take_host(struct maker *k, const void *launch, size_t size)
{
    struct sh_launch_line line;
    for (size_t at = 0; !k->error && sh_launch_next(launch, size, &at, &line);) {
        if (line.key == SH_LAUNCH_ENV && !k->s->locked) /* later, over defaults and the image's */
            continue;
        char *value = take_line(k, &line);
        if (!k->error)
            take_choice(k, line.key, value);
    }
}

/* "10.88.0.5/16..." with an address that a host can have. */
static bool read_address(const char *text, uint8_t ip[4], uint8_t *prefix)
{
    static const char ends[] = ".../,";
    for (int part = 0; part < 5; part++) {
        const char *from = text;
        unsigned number = 0;
        while (*text >= '0' && *text <= '9' && text - from < 3)
            number = number * 10 + (unsigned)(*text++ - '0');
        bool canonical = text != from && (*from != '0' || text == from + 1);
        if (!canonical || number > (part < 4 ? 255 : 32) ||
            (*text != ends[part] && (part < 4 || *text)))
            return false;
        *(part < 4 ? ip + part : prefix) = (uint8_t)number;
        text++;
    }
    return ip[0] && ip[0] != 127 && ip[0] < 224 && *prefix;
}

static void set_address(struct maker *k)
{
    static const uint8_t usual[4] = {SH_NET_OWN_BYTES};
    struct sh_settings *s = k->s;
    const char *text = s->network;
    bool ipv4 = false;
    memcpy(s->own4, usual, sizeof(usual));
    s->prefix4 = 24;
    for (const char *p = text; *p && *p != '/' && *p != ':'; p++)
        ipv4 |= *p == '.';
    if (ipv4 && !read_address(text, s->own4, &s->prefix4))
        refuse_settings(k, -EBADMSG, "the network's address is none that a host can have");
}

/* What follows from several of them. */
static void judge_whole(struct maker *k)
{
    struct sh_settings *s = k->s;
    uint64_t policy = k->m->policy;
    if (!k->error && !sh_hostname_ok(s->hostname))
        refuse_settings(k, -EBADMSG, "the host name is not 1 to 64 letters, digits, '.', '-', '_'");
    s->outside = !k->error && strcmp(s->network, "none");
    if (!k->error)
        set_address(k);
    if (s->port_count && !s->outside)
        refuse_settings(k, -EBADMSG, "ports are published, but there is no network");
    s->pod = policy & SH_POLICY_POD && sh_settings_published(s, SH_TCP, 0);
    s->output = !(policy & SH_POLICY_NO_OUTPUT);
    s->input_allowed = !(policy & SH_POLICY_NO_INPUT);
    s->input = s->input && s->input_allowed;
    s->terminal = s->terminal && s->input && s->output; /* it is one thing, both ways */
    s->agent_header = policy & SH_POLICY_AGENT_HEADER;
    s->no_evidence = policy & SH_POLICY_NO_EVIDENCE;
    s->requests = policy & (SH_POLICY_EXEC | SH_POLICY_TRACE | SH_POLICY_STATS | SH_POLICY_DEBUG);
    s->signals =
        SIGNAL_BIT(SIGINT) | SIGNAL_BIT(SIGTERM) | SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(s->stop_signal);
    if (s->terminal) /* what a key or a window does there anyway */
        s->signals |= SIGNAL_BIT(SIGQUIT) | SIGNAL_BIT(SIGWINCH);
    if (policy & SH_POLICY_SIGNAL)
        s->signals = UINT64_MAX;
}

static void set_image_env(struct maker *k, const char *text)
{
    env_set(k, &k->s->env, text);
    env_set(k, &k->s->image_env, text);
}

/* Defaults first, so that image and host may say otherwise. */
static void set_environment(struct maker *k, const void *launch, size_t size)
{
    static const char name[] = "HOSTNAME=";
    struct sh_record r;
    struct sh_launch_line line;
    if (k->error)
        return;
    list_add(k, &k->s->env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    char text[sizeof(name) + 64];
    size_t n = strlen(k->s->hostname);
    memcpy(text, name, sizeof(name));
    memcpy(text + sizeof(name) - 1, k->s->hostname, n + 1);
    list_add(k, &k->s->env, take_string(k, text, sizeof(name) - 1 + n));
    if (k->s->terminal)
        list_add(k, &k->s->env, "TERM=xterm");
    for (size_t at = 0; !k->error && sh_manifest_next(k->m, &at, &r);)
        if (r.tag == SH_TAG_ENV)
            set_image_env(k, take_string(k, r.value.data, r.value.size));
    for (size_t at = 0; !k->error && sh_launch_next(launch, size, &at, &line);)
        if (line.key == SH_LAUNCH_ENV)
            env_set(k, &k->s->env, take_line(k, &line));
}

size_t sh_settings_size(const struct sh_manifest *m, size_t launch_size)
{
    /* A record's head and a line's key are longer than a pointer and a NUL; "tmpfs", "mount"
     * and "file" are what grows most. */
    return 3 * m->bytes.size + 3 * launch_size + SPARE;
}

int sh_settings_make(struct sh_settings *s, const struct sh_manifest *m, const void *launch,
                     size_t launch_size, void *arena, size_t arena_size, const char **why)
{
    struct maker k = {.s = s, .m = m, .arena = arena, .size = arena_size};
    struct counts c;
    *s = (struct sh_settings){0};
    if (!launch)
        refuse_settings(&k, -ENOENT, "there is no launch config; nothing starts without one");
    else if (sh_launch_check(launch, launch_size))
        refuse_settings(&k, -EBADMSG, "the launch config is malformed");
    if (!k.error) {
        count_values(&c, m, launch, launch_size);
        begin_lists(&k, &c);
    }
    if (!k.error)
        take_image(&k, &c);
    take_host(&k, launch, launch_size);
    if (!k.error)
        judge_whole(&k);
    set_environment(&k, launch, launch_size);
    *why = k.why;
    return k.error;
}

bool sh_settings_signal(const struct sh_settings *s, uint32_t signal)
{
    return signal >= 1 && signal <= 64 && (s->signals & SIGNAL_BIT(signal));
}

bool sh_settings_published(const struct sh_settings *s, uint8_t protocol, uint16_t port)
{
    for (size_t i = 0; i < s->port_count; i++)
        if (s->ports[i].protocol == protocol &&
            (s->ports[i].port == port || (!s->ports[i].port && port != SH_AGENT_PORT)))
            return true;
    return false;
}

bool sh_settings_place(const struct sh_manifest *m, const char *path)
{
    bool cover;
    return find_place(m, path, &cover);
}
