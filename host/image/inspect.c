// SPDX-License-Identifier: Apache-2.0
// Shows an image: its manifest as JSON or as lines.
#include "host/image/inspect.h"

#include "host/store/signature.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "host/base/utf8.h"
#include "host/image/input/config.h"
#include "host/image/settings.h"
#include "lib/hex.h"
#include "verifier/base/json_read.h"

/* --- values --- */

static char *text_of(struct sh_view v)
{
    return sh_utf8_clean(v.data, v.size);
}

static void add_words(cJSON *list, const struct sh_manifest *m, enum sh_manifest_tag tag)
{
    size_t count = sh_manifest_count(m, tag);
    for (size_t i = 0; i < count; i++) {
        cleanup_free char *s = text_of(sh_manifest_get(m, tag, i));
        cJSON_AddItemToArray(list, cJSON_CreateString(s));
    }
}

cJSON *sh_image_command_json(const struct sh_manifest *m)
{
    cJSON *list = cJSON_CreateArray();
    add_words(list, m, SH_TAG_ENTRYPOINT);
    add_words(list, m, SH_TAG_COMMAND);
    return list;
}

static void add_text(cJSON *o, const char *name, const struct sh_manifest *m,
                     enum sh_manifest_tag tag)
{
    struct sh_view v = sh_manifest_get(m, tag, 0);
    cleanup_free char *s = v.data ? text_of(v) : NULL;
    if (s)
        cJSON_AddStringToObject(o, name, s);
}

static void append_quoted(struct sh_buffer *b, const char *word)
{
    bool plain = *word && !word[strcspn(word, " \t\n\"'\\")];
    if (b->size)
        sh_buffer_add(b, " ", 1);
    if (plain) {
        sh_buffer_add(b, word, strlen(word));
        return;
    }
    sh_buffer_add(b, "\"", 1);
    for (; *word; word++) {
        if (*word == '"' || *word == '\\')
            sh_buffer_add(b, "\\", 1);
        sh_buffer_add(b, (unsigned char)*word < 0x20 ? "?" : word, 1);
    }
    sh_buffer_add(b, "\"", 1);
}

char *sh_image_command_line(const struct sh_manifest *m)
{
    struct sh_buffer b = {0};
    static const enum sh_manifest_tag tags[] = {SH_TAG_ENTRYPOINT, SH_TAG_COMMAND};
    for (size_t t = 0; t < 2; t++) {
        size_t count = sh_manifest_count(m, tags[t]);
        for (size_t i = 0; i < count; i++) {
            cleanup_free char *s = text_of(sh_manifest_get(m, tags[t], i));
            append_quoted(&b, s);
        }
    }
    sh_buffer_add(&b, "", 1);
    return (char *)b.data;
}

void sh_format_time(char *out, size_t out_size, int64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, out_size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

int sh_image_stat(const struct sh_image *image, uint64_t *size, int64_t *created,
                  struct sh_error *err)
{
    static const char *const names[] = {
        "root.img",       "manifest",  "reference.json", "base/vmlinux", "base/bzImage",
        "base/initramfs", "sites.bin", "base/enclave",   SH_SIGNATURE,   SH_SIGNATURE_DEBUG};
    *size = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct stat st;
        if (fstatat(image->dir_fd, names[i], &st, 0)) {
            if (i >= 3) /* not every image has them */
                continue;
            return sh_fail_errno(err, -errno, "image %.12s in the store lacks %s", image->id,
                                 names[i]);
        }
        *size += (uint64_t)st.st_size;
        if (!strcmp(names[i], "manifest"))
            *created = st.st_mtime;
    }
    struct sh_data_file data;
    for (size_t i = 0; sh_image_data(&image->manifest, i, &data); i++) {
        struct stat st;
        if (fstatat(image->dir_fd, data.name, &st, 0))
            return sh_fail_errno(err, -errno, "image %.12s in the store lacks %s", image->id,
                                 data.name);
        *size += (uint64_t)st.st_size;
    }
    return 0;
}

/* --- JSON --- */

/* An array of objects, one for each such tag. */
static cJSON *json_each(const struct sh_manifest *m, enum sh_manifest_tag tag,
                        void (*fill)(cJSON *o, struct sh_view v))
{
    cJSON *list = cJSON_CreateArray();
    size_t count = sh_manifest_count(m, tag);
    for (size_t i = 0; i < count; i++) {
        cJSON *o = cJSON_CreateObject();
        fill(o, sh_manifest_get(m, tag, i));
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

/* `size` bytes of v at `at`, as text. */
static void add_part(cJSON *o, const char *name, struct sh_view v, size_t at, size_t size)
{
    cleanup_free char *s = text_of((struct sh_view){v.data + at, size});
    cJSON_AddStringToObject(o, name, s);
}

static void add_hex(cJSON *o, const char *name, const void *data, size_t size)
{
    cleanup_free char *text = sh_alloc(2 * size + 1);
    sh_hex(text, data, size);
    cJSON_AddStringToObject(o, name, text);
}

static void fill_limit(cJSON *o, struct sh_view v)
{
    cJSON_AddStringToObject(o, "name", sh_limit_name(sh_le32(v.data)));
    for (int hard = 0; hard < 2; hard++) {
        uint64_t value = sh_le64(v.data + 8 + 8 * hard);
        const char *name = hard ? "hard" : "soft";
        if (value == UINT64_MAX)
            cJSON_AddStringToObject(o, name, "unlimited");
        else
            cJSON_AddNumberToObject(o, name, (double)value);
    }
}

static void fill_mount(cJSON *o, struct sh_view v)
{
    char mode[8];
    snprintf(mode, sizeof(mode), "%04o", sh_le32(v.data + 8) & 07777);
    add_part(o, "path", v, 12, v.size - 12);
    cJSON_AddStringToObject(o, "type", "tmpfs");
    cJSON_AddNumberToObject(o, "size", (double)sh_le64(v.data));
    cJSON_AddStringToObject(o, "mode", mode);
}

static void fill_host_mount(cJSON *o, struct sh_view v)
{
    add_part(o, "path", v, 4, v.size - 4);
    cJSON_AddBoolToObject(o, "cover", sh_le32(v.data) & SH_HOST_MOUNT_COVER);
}

static void fill_volume(cJSON *o, struct sh_view v)
{
    uint32_t n = sh_le32(v.data + 12), flags = sh_le32(v.data + 8);
    add_part(o, "name", v, 16, n);
    add_part(o, "path", v, 16 + n, v.size - 16 - n);
    cJSON_AddNumberToObject(o, "size", (double)sh_le64(v.data));
    cJSON_AddStringToObject(o, "freshness", sh_volume_freshness(flags));
    cJSON_AddBoolToObject(o, "read_only", flags & SH_VOLUME_READ_ONLY);
    if (flags >> SH_VOLUME_AWAY_SHIFT) {
        cJSON_AddNumberToObject(o, "away_seconds", flags >> SH_VOLUME_AWAY_SHIFT);
        cJSON_AddStringToObject(o, "then", flags & SH_VOLUME_PAUSE ? "pause" : "error");
    }
}

static void fill_data(cJSON *o, struct sh_view v)
{
    uint32_t n = sh_le32(v.data + 40);
    add_part(o, "name", v, 44, n);
    add_part(o, "path", v, 44 + n, v.size - 44 - n);
    cJSON_AddNumberToObject(o, "size", (double)sh_le64(v.data + 32));
    add_hex(o, "root_hash", v.data, 32);
}

static void add_each(cJSON *o, const char *name, const char *text, size_t count)
{
    cJSON *list = cJSON_AddArrayToObject(o, name);
    for (; count > 0; count--, text += strlen(text) + 1) {
        cleanup_free char *clean = sh_utf8_clean(text, strlen(text));
        cJSON_AddItemToArray(list, cJSON_CreateString(clean));
    }
}

static void fill_container(cJSON *o, struct sh_view v)
{
    struct sh_container c;
    (void)sh_container_parse(&c, v.data, v.size); /* as sh_manifest_parse did */
    cJSON_AddStringToObject(o, "name", c.name);
    add_each(o, "command", c.run.args, c.run.head.arg_count);
    add_each(o, "env", c.run.env, c.run.head.env_count);
    cleanup_free char *workdir = sh_utf8_clean(c.run.workdir, strlen(c.run.workdir));
    cJSON_AddStringToObject(o, "workdir", workdir);
    cleanup_free char *user = sh_utf8_clean(c.run.user, strlen(c.run.user));
    cJSON_AddStringToObject(o, "user", user);
}

static cJSON *json_ports(const struct sh_manifest *m)
{
    cJSON *list = cJSON_CreateArray();
    size_t count = sh_manifest_count(m, SH_TAG_PORT);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *d = sh_manifest_get(m, SH_TAG_PORT, i).data;
        char text[16];
        snprintf(text, sizeof(text), "%u/%s", sh_le16(d), sh_protocol_name(d[2]));
        cJSON_AddItemToArray(list, cJSON_CreateString(text));
    }
    return list;
}

static cJSON *json_strings(const struct sh_strings *l)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < l->count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(l->v[i]));
    return list;
}

static cJSON *json_image(const struct sh_image *image, const struct sh_strings *tags, uint64_t size,
                         int64_t created)
{
    const struct sh_manifest *m = &image->manifest;
    struct sh_strings policy = {0};
    char time[32];
    cJSON *o = cJSON_CreateObject();
    sh_format_time(time, sizeof(time), created);
    sh_policy_words(m->policy, &policy);
    cJSON_AddStringToObject(o, "id", image->id);
    cJSON_AddItemToObject(o, "tags", json_strings(tags));
    cJSON_AddStringToObject(o, "created", time);
    cJSON_AddNumberToObject(o, "size", (double)size);
    add_hex(o, "root_hash", m->root_hash, sizeof(m->root_hash));
    cJSON_AddNumberToObject(o, "root_size", (double)m->root_size);
    if (m->has_sites)
        add_hex(o, "sites_hash", m->sites_hash, sizeof(m->sites_hash));
    add_words(cJSON_AddArrayToObject(o, "entrypoint"), m, SH_TAG_ENTRYPOINT);
    add_words(cJSON_AddArrayToObject(o, "command"), m, SH_TAG_COMMAND);
    add_words(cJSON_AddArrayToObject(o, "env"), m, SH_TAG_ENV);
    add_text(o, "workdir", m, SH_TAG_WORKDIR);
    add_text(o, "user", m, SH_TAG_USER);
    add_text(o, "hostname", m, SH_TAG_HOSTNAME);
    if (m->stop_signal)
        cJSON_AddNumberToObject(o, "stop_signal", m->stop_signal);
    cJSON_AddItemToObject(o, "limits", json_each(m, SH_TAG_LIMIT, fill_limit));
    cJSON_AddItemToObject(o, "mounts", json_each(m, SH_TAG_MOUNT, fill_mount));
    cJSON_AddItemToObject(o, "host_mounts", json_each(m, SH_TAG_HOST_MOUNT, fill_host_mount));
    cJSON_AddItemToObject(o, "volumes", json_each(m, SH_TAG_VOLUME, fill_volume));
    cJSON_AddItemToObject(o, "data", json_each(m, SH_TAG_DATA, fill_data));
    cJSON_AddItemToObject(o, "containers", json_each(m, SH_TAG_CONTAINER, fill_container));
    cJSON_AddItemToObject(o, "ports", json_ports(m));
    add_text(o, "network", m, SH_TAG_NETWORK);
    add_text(o, "agent", m, SH_TAG_AGENT);
    add_text(o, "broker", m, SH_TAG_BROKER);
    struct sh_view key = sh_manifest_get(m, SH_TAG_BROKER_KEY, 0);
    if (key.data)
        add_hex(o, "broker_key", key.data, key.size);
    add_words(cJSON_AddArrayToObject(o, "secrets"), m, SH_TAG_SECRET);
    cJSON_AddItemToObject(o, "policy", json_strings(&policy));
    if (m->memory)
        cJSON_AddNumberToObject(o, "memory", (double)m->memory);
    if (m->cpus)
        cJSON_AddNumberToObject(o, "cpus", m->cpus);
    cJSON_AddItemToObject(o, "settings", sh_settings_json(m, NULL, 0));
    sh_strings_free(&policy);
    return o;
}

/* Base digests and reference values, as the image's own file has them. */
static int add_reference(cJSON *o, const struct sh_image *image, struct sh_error *err)
{
    cleanup_free uint8_t *data = NULL;
    size_t size;
    int r = sh_read_file(image->dir_fd, "reference.json", 1 << 20, &data, &size, err);
    if (r)
        return r;
    cJSON *reference = sv_json_read(data, size, SV_JSON_VALUES_MAX, NULL, 0);
    if (!reference)
        return sh_fail(err, -EBADMSG, "reference.json of image %.12s is damaged", image->id);
    static const char *const names[] = {"base", "references"};
    for (size_t i = 0; i < 2; i++) {
        cJSON *item = cJSON_DetachItemFromObjectCaseSensitive(reference, names[i]);
        if (item)
            cJSON_AddItemToObject(o, names[i], item);
    }
    cJSON_Delete(reference);
    return 0;
}

/* --- lines --- */

/* Control characters of an image must not reach the terminal. */
static void print_clean(const char *s)
{
    for (; *s; s++)
        putchar((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
}

static void print_item(const cJSON *item)
{
    cleanup_free char *text =
        cJSON_IsString(item) ? sh_strdup(item->valuestring) : cJSON_PrintUnformatted(item);
    print_clean(text);
}

void sh_print_lines(const cJSON *o)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, o)
    {
        if (cJSON_IsArray(item) && !cJSON_GetArraySize(item))
            continue;
        printf("%-12s ", item->string);
        if (!cJSON_IsArray(item) && !cJSON_IsObject(item)) {
            print_item(item);
            putchar('\n');
            continue;
        }
        const cJSON *e;
        int n = 0;
        cJSON_ArrayForEach(e, item)
        {
            if (n++)
                printf("%-12s ", "");
            if (e->string)
                printf("%-10s ", e->string);
            print_item(e);
            putchar('\n');
        }
    }
}

int sh_inspect_image(struct sh_store *store, const char *reference, bool json)
{
    struct sh_error err = {0};
    struct sh_image image;
    struct sh_strings tags = {0};
    uint64_t size;
    int64_t created = 0;
    int r = sh_image_open(store, reference, &image, &err);
    if (r)
        return sh_error_report(&err);
    r = sh_image_stat(&image, &size, &created, &err);
    if (!r)
        r = sh_store_tags(store, image.id, &tags, &err);
    if (!r) {
        cJSON *o = json_image(&image, &tags, size, created);
        r = add_reference(o, &image, &err);
        if (!r && json) {
            cleanup_free char *text = cJSON_Print(o);
            puts(text);
        } else if (!r) {
            sh_print_lines(o);
        }
        cJSON_Delete(o);
    }
    sh_strings_free(&tags);
    sh_image_close(&image);
    return r ? sh_error_report(&err) : 0;
}
