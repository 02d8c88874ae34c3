// SPDX-License-Identifier: Apache-2.0
// What each key of a build file means.
#include "host/image/input/buildfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "host/base/split.h"
#include "host/image/input/toml.h"

struct file {
    const char *name, *folder;
    struct sh_build *build;
    struct sh_error *err;
};

/* A path of the build file, from its folder. */
static char *path_of(const struct file *f, const char *path)
{
    return *path == '/' ? sh_strdup(path) : sh_format("%s/%s", f->folder, path);
}

static int wrong_type(const struct file *f, const struct sh_toml_item *i, const char *want)
{
    return sh_fail(f->err, -EINVAL, "%s, line %u: %s is %s", f->name, i->line, i->key, want);
}

static int take_text(const struct file *f, const struct sh_toml_item *i, char **slot)
{
    if (i->type != SH_TOML_STRING || !*i->text)
        return wrong_type(f, i, "a string");
    sh_config_set(slot, i->text);
    return 0;
}

static int take_path(const struct file *f, const struct sh_toml_item *i, char **slot)
{
    if (i->type != SH_TOML_STRING || !*i->text)
        return wrong_type(f, i, "a path");
    free(*slot);
    *slot = path_of(f, i->text);
    return 0;
}

/* A command: one string, split by quotes, or a list of words. */
static int take_words(const struct file *f, const struct sh_toml_item *i, struct sh_strings *slot)
{
    int r = 0;
    sh_strings_free(slot);
    if (i->type == SH_TOML_STRING)
        r = sh_split(i->text, slot, f->err);
    else if (i->type == SH_TOML_LIST)
        sh_config_list(slot, i->list.v, i->list.count);
    else
        return wrong_type(f, i, "a string or a list of words");
    if (!r && !slot->count)
        slot->v = sh_alloc(sizeof(*slot->v)); /* an empty list, but a given one */
    return r;
}

/* Every element of a list, or the one value. */
static int each_item(const struct file *f, const struct sh_toml_item *i,
                     int (*take)(const struct file *, const char *))
{
    int r = 0;
    if (i->type == SH_TOML_STRING || i->type == SH_TOML_INTEGER)
        return take(f, i->text);
    if (i->type != SH_TOML_LIST)
        return wrong_type(f, i, "a list of strings");
    for (size_t k = 0; !r && k < i->list.count; k++)
        r = take(f, i->list.v[k]);
    return r;
}

static int take_file(const struct file *f, const char *s)
{
    cleanup_free char *path = path_of(f, s);
    sh_strings_add(&f->build->files, path);
    return 0;
}

static int take_env(const struct file *f, const char *s)
{
    return sh_config_env(&f->build->config, s, f->err);
}

static int take_policy(const struct file *f, const char *s)
{
    return sh_config_policy(&f->build->config, s, f->err);
}

static int take_limit(const struct file *f, const char *s)
{
    return sh_config_limit(&f->build->config, s, f->err);
}

static int take_mount(const struct file *f, const char *s)
{
    return sh_config_mount(&f->build->config, s, f->err);
}

static int take_volume(const struct file *f, const char *s)
{
    return sh_config_volume(&f->build->config, s, f->err);
}

/* The folder is the build file's neighbour, as files are. */
static int take_data(const struct file *f, const char *s)
{
    cleanup_free char *text = path_of(f, s);
    return sh_config_data(&f->build->config, text, f->err);
}

/* NAME=INPUT...; an input that is a file or folder is the build file's neighbour, too. */
static int take_container(const struct file *f, const char *s)
{
    size_t head = strcspn(s, "=") + 1;
    const char *input = head <= strlen(s) ? s + head : "";
    const char *prefix = strchr(input, ':');
    size_t words = strcspn(input, " ");
    head += prefix && prefix < input + words ? (size_t)(prefix + 1 - input) : 0;
    if (head >= strlen(s) || !strncmp(s + head, "//", 2))
        return sh_build_container(f->build, s, f->err);
    cleanup_free char *path = path_of(f, s + head);
    cleanup_free char *text = sh_format("%.*s%s", (int)head, s, path);
    return sh_build_container(f->build, text, f->err);
}

static int take_host_mount(const struct file *f, const char *s)
{
    return sh_config_host_mount(&f->build->config, s, f->err);
}

static int take_port(const struct file *f, const char *s)
{
    return sh_config_port(&f->build->config, s, f->err);
}

static int take_identity(const struct file *f, const char *s)
{
    return sh_config_identity(&f->build->config, s, f->err);
}

static int take_secret(const struct file *f, const char *s)
{
    return sh_config_secret(&f->build->config, s, f->err);
}

/* "oci:DIR": the path is behind the colon. */
static int take_image(const struct file *f, const struct sh_toml_item *i)
{
    const char *colon = i->type == SH_TOML_STRING ? strchr(i->text, ':') : NULL;
    if (!colon)
        return wrong_type(f, i,
                          "oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:TAG]");
    bool registry = !strncmp(i->text, "docker://", 9);
    cleanup_free char *path = registry ? sh_strdup(colon + 1) : path_of(f, colon + 1);
    free(f->build->image);
    f->build->image = sh_format("%.*s:%s", (int)(colon - i->text), i->text, path);
    return 0;
}

static int take_hostname(const struct file *f, const char *s)
{
    return sh_config_hostname(&f->build->config, s, f->err);
}

static int take_network(const struct file *f, const char *s)
{
    return sh_config_network(&f->build->config, s, f->err);
}

static int take_broker(const struct file *f, const char *s)
{
    return sh_config_broker(&f->build->config, s, f->err);
}

static int take_broker_key(const struct file *f, const struct sh_toml_item *i)
{
    cleanup_free char *path = NULL;
    int r = take_path(f, i, &path);
    return r ? r : sh_config_broker_key(&f->build->config, path, f->err);
}

static int take_item(const struct file *f, const struct sh_toml_item *i)
{
    struct sh_build *b = f->build;
    struct sh_config *c = &b->config;
    const char *key = i->key;
    const struct {
        const char *key;
        char **text, **path;
        struct sh_strings *words;
        int (*each)(const struct file *, const char *);
        int (*item)(const struct file *, const struct sh_toml_item *);
    } keys[] = {
        {.key = "tag", .text = &b->tag},
        {.key = "command", .words = &c->command},
        {.key = "entrypoint", .words = &c->entrypoint},
        {.key = "env", .each = take_env},
        {.key = "workdir", .text = &c->workdir},
        {.key = "user", .text = &c->user},
        {.key = "hostname", .each = take_hostname},
        {.key = "files", .each = take_file},
        {.key = "rootfs", .path = &b->rootfs},
        {.key = "image", .item = take_image},
        {.key = "agent", .path = &b->agent},
        {.key = "policy", .each = take_policy},
        {.key = "limits", .each = take_limit},
        {.key = "mounts", .each = take_mount},
        {.key = "host_mounts", .each = take_host_mount},
        {.key = "volumes", .each = take_volume},
        {.key = "data", .each = take_data},
        {.key = "containers", .each = take_container},
        {.key = "ports", .each = take_port},
        {.key = "network", .each = take_network},
        {.key = "broker", .each = take_broker},
        {.key = "broker_key", .item = take_broker_key},
        {.key = "identity", .each = take_identity},
        {.key = "secrets", .each = take_secret},
    };
    if (!strncmp(key, "resources.", 10))
        key += 10;
    if (!strcmp(key, "memory") || !strcmp(key, "cpus")) {
        if (i->type != SH_TOML_STRING && i->type != SH_TOML_INTEGER)
            return wrong_type(f, i, "a number or a string as in \"2G\"");
        return *key == 'm' ? sh_config_memory(c, i->text, f->err)
                           : sh_config_cpus(c, i->text, f->err);
    }
    if (!strcmp(key, "stop_signal"))
        return i->type == SH_TOML_STRING ? sh_config_stop_signal(c, i->text, f->err)
                                         : wrong_type(f, i, "a string as in \"TERM\"");
    for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
        if (strcmp(keys[k].key, i->key))
            continue;
        if (keys[k].text)
            return take_text(f, i, keys[k].text);
        if (keys[k].path)
            return take_path(f, i, keys[k].path);
        if (keys[k].words)
            return take_words(f, i, keys[k].words);
        return keys[k].each ? each_item(f, i, keys[k].each) : keys[k].item(f, i);
    }
    return sh_fail(f->err, -EINVAL, "%s, line %u: there is no key '%s' (see man shelter-build)",
                   f->name, i->line, i->key);
}

int sh_buildfile_parse(const char *data, size_t size, const char *name, const char *folder,
                       struct sh_build *b, struct sh_error *err)
{
    struct sh_toml toml;
    struct sh_error inner = {0};
    struct file f = {name, folder, b, &inner};
    int r = sh_toml_parse(data, size, name, &toml, err);
    if (r)
        return r;
    for (size_t i = 0; !r && i < toml.count; i++) {
        r = take_item(&f, &toml.v[i]);
        if (r && strncmp(inner.text, name, strlen(name)))
            sh_fail(err, r, "%s, line %u: %s", name, toml.v[i].line, inner.text);
        else if (r)
            sh_fail(err, r, "%s", inner.text);
    }
    sh_toml_free(&toml);
    return r;
}

int sh_buildfile_read(const char *file, struct sh_build *b, struct sh_error *err)
{
    cleanup_free uint8_t *data = NULL;
    size_t size;
    int r = sh_read_file(AT_FDCWD, file, SH_TOML_SIZE_MAX, &data, &size, err);
    if (r)
        return r;
    const char *slash = strrchr(file, '/');
    cleanup_free char *folder = !slash          ? sh_strdup(".")
                                : slash == file ? sh_strdup("/")
                                                : sh_format("%.*s", (int)(slash - file), file);
    return sh_buildfile_parse((char *)data, size, file, folder, b, err);
}
