// SPDX-License-Identifier: Apache-2.0
// Effective settings: worked out by lib/settings.h, shown as JSON.
#include "host/image/settings.h"

#include <string.h>

#include "host/base/utf8.h"
#include "host/image/input/config.h"

int sh_settings_read(const struct sh_manifest *m, const void *launch, size_t launch_size,
                     struct sh_settings *settings, void **arena, struct sh_error *err)
{
    const char *why;
    if (!launch) {
        launch = SH_LAUNCH_EMPTY;
        launch_size = strlen(SH_LAUNCH_EMPTY);
    }
    size_t room = sh_settings_size(m, launch_size);
    *arena = sh_alloc(room);
    int r = sh_settings_make(settings, m, launch, launch_size, *arena, room, &why);
    return r ? sh_fail(err, r, "%s", why) : 0;
}

static void add_text(cJSON *o, const char *name, const char *text)
{
    cleanup_free char *clean = sh_utf8_clean(text, strlen(text));
    cJSON_AddStringToObject(o, name, clean);
}

static void add_list(cJSON *o, const char *name, const struct sh_string_list *l)
{
    cJSON *list = cJSON_AddArrayToObject(o, name);
    for (size_t i = 0; i < l->count; i++) {
        cleanup_free char *clean = sh_utf8_clean(l->items[i], strlen(l->items[i]));
        cJSON_AddItemToArray(list, cJSON_CreateString(clean));
    }
}

static void add_limit(cJSON *o, const char *name, uint64_t value)
{
    if (value == SH_LIMIT_NONE)
        cJSON_AddStringToObject(o, name, "unlimited");
    else
        cJSON_AddNumberToObject(o, name, (double)value);
}

static void add_limits(cJSON *o, const struct sh_settings *s)
{
    cJSON *list = cJSON_AddArrayToObject(o, "limits");
    for (uint32_t i = 0; i < SH_SETTINGS_LIMITS; i++) {
        cJSON *limit = cJSON_CreateObject();
        cJSON_AddStringToObject(limit, "name", sh_limit_name(i));
        add_limit(limit, "soft", s->limits[i].soft);
        add_limit(limit, "hard", s->limits[i].hard);
        cJSON_AddItemToArray(list, limit);
    }
}

static void add_mounts(cJSON *o, const struct sh_settings *s)
{
    cJSON *list = cJSON_AddArrayToObject(o, "mounts");
    for (size_t i = 0; i < s->tmpfs_count; i++) {
        char mode[8];
        cJSON *mount = cJSON_CreateObject();
        snprintf(mode, sizeof(mode), "%04o", s->tmpfs[i].mode);
        add_text(mount, "path", s->tmpfs[i].path);
        cJSON_AddStringToObject(mount, "type", "tmpfs");
        cJSON_AddNumberToObject(mount, "size", (double)s->tmpfs[i].size);
        cJSON_AddStringToObject(mount, "mode", mode);
        cJSON_AddItemToArray(list, mount);
    }
    for (size_t i = 0; i < s->share_count; i++) {
        cJSON *mount = cJSON_CreateObject();
        add_text(mount, "path", s->shares[i].path);
        cJSON_AddStringToObject(mount, "type", "host");
        cJSON_AddBoolToObject(mount, "read_only", s->shares[i].read_only);
        cJSON_AddBoolToObject(mount, "cover", s->shares[i].cover);
        cJSON_AddItemToArray(list, mount);
    }
    for (size_t i = 0; i < s->file_count; i++) {
        const struct sh_file *f = &s->files[i];
        cJSON *mount = cJSON_CreateObject();
        cleanup_free char *path = sh_format("%s/%s", f->folder[1] ? f->folder : "", f->name);
        add_text(mount, "path", path);
        cJSON_AddStringToObject(mount, "type", "file");
        cJSON_AddNumberToObject(mount, "size", (double)f->size);
        cJSON_AddItemToArray(list, mount);
    }
}

static void add_ports(cJSON *o, const struct sh_settings *s)
{
    cJSON *list = cJSON_AddArrayToObject(o, "published");
    for (size_t i = 0; i < s->port_count; i++) {
        char text[16];
        const char *protocol = sh_protocol_name(s->ports[i].protocol);
        if (s->ports[i].port)
            snprintf(text, sizeof(text), "%u/%s", s->ports[i].port, protocol);
        else
            snprintf(text, sizeof(text), SH_LAUNCH_PORT_ALL "/%s", protocol);
        cJSON_AddItemToArray(list, cJSON_CreateString(text));
    }
}

static void add_allowed(cJSON *o, const struct sh_settings *s)
{
    struct sh_strings words = {0};
    sh_policy_words(s->requests, &words);
    cJSON *list = cJSON_AddArrayToObject(o, "requests");
    for (size_t i = 0; i < words.count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(words.v[i]));
    sh_strings_free(&words);
    list = cJSON_AddArrayToObject(o, "signals");
    for (uint32_t n = 1; n <= 64; n++)
        if (sh_settings_signal(s, n))
            cJSON_AddItemToArray(list, cJSON_CreateNumber(n));
}

cJSON *sh_settings_json(const struct sh_manifest *m, const void *launch, size_t launch_size)
{
    struct sh_settings s;
    struct sh_error err = {0};
    cleanup_free void *arena = NULL;
    cJSON *o = cJSON_CreateObject();
    if (sh_settings_read(m, launch, launch_size, &s, &arena, &err)) {
        cJSON_AddStringToObject(o, "refused", err.text);
        return o;
    }
    add_list(o, "args", &s.args);
    add_list(o, "env", &s.env);
    add_text(o, "workdir", s.workdir);
    add_text(o, "user", s.user);
    add_text(o, "hostname", s.hostname);
    add_text(o, "network", *s.network ? s.network : "dhcp");
    add_ports(o, &s);
    cJSON_AddBoolToObject(o, "input", s.input);
    cJSON_AddBoolToObject(o, "output", s.output);
    cJSON_AddBoolToObject(o, "terminal", s.terminal);
    cJSON_AddBoolToObject(o, "locked", s.locked);
    cJSON_AddBoolToObject(o, "debug", s.debug);
    add_allowed(o, &s);
    cJSON_AddNumberToObject(o, "stop_signal", s.stop_signal);
    add_limits(o, &s);
    add_mounts(o, &s);
    add_text(o, "broker", s.broker);
    add_text(o, "agent", s.agent);
    add_list(o, "secrets", &s.secrets);
    cJSON_AddNumberToObject(o, "memory", (double)s.memory);
    cJSON_AddNumberToObject(o, "cpus", s.cpus);
    return o;
}
