// SPDX-License-Identifier: Apache-2.0
// What is fixed in an image that somebody built, and what an engine asks for all the same.
#include "host/oci/named.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "host/image/settings.h"

/* --- volumes --- */

static struct oci_bind *find_bind(const struct oci_bundle *b, const char *place)
{
    for (size_t i = 0; i < b->bind_count; i++)
        if (!strcmp(b->binds[i].target, place))
            return &b->binds[i];
    return NULL;
}

/* The node of a block device that the bundle has at this place; owned by the caller, or NULL. The
 * bundle says only its numbers. */
static char *find_device(const struct oci_bundle *b, const char *place)
{
    const cJSON *device;
    cJSON_ArrayForEach(device, oci_array(oci_object(b->json, "linux"), "devices"))
    {
        const char *path = oci_text(device, "path"), *type = oci_text(device, "type");
        const cJSON *major = cJSON_GetObjectItemCaseSensitive(device, "major"),
                    *minor = cJSON_GetObjectItemCaseSensitive(device, "minor");
        if (!path || strcmp(path, place) || !type || strcmp(type, "b") || !cJSON_IsNumber(major) ||
            !cJSON_IsNumber(minor))
            continue;
        cleanup_free char *link =
            sh_format("/sys/dev/block/%d:%d", major->valueint, minor->valueint);
        cleanup_free char *full = realpath(link, NULL);
        if (!full)
            return NULL;
        char *node = sh_format("/dev/%s", strrchr(full, '/') + 1);
        for (char *p = node; *p; p++)
            if (*p == '!') /* a slash in sysfs */
                *p = '/';
        return node;
    }
    return NULL;
}

static int find_volume(struct oci_bundle *b, const struct sh_volume *v, struct sh_run_options *o,
                       struct sh_error *err)
{
    struct oci_bind *bind = find_bind(b, v->path);
    cleanup_free char *device = bind ? NULL : find_device(b, v->path);
    if (!bind && !device)
        return sh_fail(err, -EINVAL,
                       "the image has a volume %s: mount a folder, a file or a block device at %s",
                       v->name, v->path);
    if (bind)
        bind->kind = OCI_BIND_VOLUME;
    sh_strings_addf(&o->volumes, "%s=%s%s%s%s", v->name, bind ? bind->source : device,
                    bind && bind->folder ? "/" : "", bind && bind->folder ? v->name : "",
                    bind && bind->folder ? ".volume" : "");
    return 0;
}

/* --- what is locked --- */

static bool is_built_command(const struct sh_strings *args, const struct sh_string_list *built)
{
    bool same = args->count == built->count;
    for (size_t i = 0; same && i < args->count; i++)
        same = !strcmp(args->v[i], built->items[i]);
    return same;
}

/* Variables that engines give to each container: podman's, Kubernetes' of its services. */
bool oci_named_engine_variable(const char *pair)
{
    static const char *const names[] = {"PATH=", "HOSTNAME=", "HOME=", "TERM=", "container="};
    static const char *const parts[] = {"_SERVICE_HOST", "_SERVICE_PORT", "_PORT"};
    cleanup_free char *name = sh_format("%.*s", (int)strcspn(pair, "="), pair);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!strncmp(pair, names[i], strlen(names[i])))
            return true;
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        if (strstr(name, parts[i]))
            return true;
    return false;
}

/* NPROC and NOFILE, which engines give to each container. */
static bool is_engine_limit(const char *text)
{
    return !strncmp(text, "6 ", 2) || !strncmp(text, "7 ", 2);
}

static bool is_listed(const struct sh_string_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->items[i], text))
            return true;
    return false;
}

/* Whatever groups the engine found for that user. */
bool oci_named_user(const char *text, const char *user)
{
    size_t size = strlen(user);
    return !strncmp(text, user, size) && (!text[size] || text[size] == ':');
}

static void leave_out(const struct sh_settings *s, struct sh_run_options *o)
{
    struct sh_strings env = {0}, limits = {0};
    if (is_built_command(&o->command, &s->args))
        sh_strings_free(&o->command);
    for (size_t i = 0; i < o->env.count; i++)
        if (!oci_named_engine_variable(o->env.v[i]) && !is_listed(&s->env, o->env.v[i]))
            sh_strings_add(&env, o->env.v[i]);
    sh_strings_free(&o->env);
    o->env = env;
    for (size_t i = 0; i < o->limits.count; i++)
        if (!is_engine_limit(o->limits.v[i]))
            sh_strings_add(&limits, o->limits.v[i]);
    sh_strings_free(&o->limits);
    o->limits = limits;
    if (o->workdir && (!strcmp(o->workdir, "/") || !strcmp(o->workdir, s->workdir)))
        o->workdir = NULL;
    if (o->user && (oci_named_user(o->user, "0:0") || oci_named_user(o->user, s->user)))
        o->user = NULL;
    o->hostname = NULL;
}

int oci_named_fit(struct sh_store *store, const char *image, struct oci_bundle *b,
                  struct sh_run_options *o, struct sh_error *err)
{
    struct sh_image found;
    struct sh_settings s;
    cleanup_free void *arena = NULL;
    int r = sh_image_open(store, image, &found, err);
    if (r)
        return r;
    r = sh_settings_read(&found.manifest, NULL, 0, &s, &arena, err);
    for (size_t i = 0; !r && i < s.volume_count; i++)
        r = find_volume(b, &s.volumes[i], o, err);
    if (!r && s.locked)
        leave_out(&s, o);
    sh_image_close(&found);
    return r;
}
