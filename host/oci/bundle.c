// SPDX-License-Identifier: Apache-2.0
// Reads a bundle's config.json (runtime-spec 1.2: config.md, config-linux.md).
#include "host/oci/bundle.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/egress.h"
#include "host/image/input/config.h"
#include "host/run/copy_in.h"
#include "host/run/run_options.h"
#include "lib/settings.h"
#include "verifier/base/json_read.h"

const cJSON *oci_object(const cJSON *o, const char *name)
{
    const cJSON *m = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsObject(m) ? m : NULL;
}

const cJSON *oci_array(const cJSON *o, const char *name)
{
    const cJSON *m = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsArray(m) ? m : NULL;
}

const char *oci_text(const cJSON *o, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));
}

const char *oci_annotation(const struct oci_bundle *b, const char *name)
{
    return oci_text(oci_object(b->json, "annotations"), name);
}

static int bad_field(struct sh_error *err, const char *name, const char *field, const char *what)
{
    return sh_fail(err, -EINVAL, "%s: %s %s", name, field, what);
}

/* A whole number from 0 to `max`, or `fallback` where there is none. */
static uint64_t number_of(const cJSON *o, const char *name, uint64_t max, uint64_t fallback)
{
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(o, name);
    if (!cJSON_IsNumber(n) || n->valuedouble < 0 || n->valuedouble > (double)max)
        return fallback;
    return (uint64_t)n->valuedouble;
}

/* --- types --- */

/* What we read, and of which type it must be where it is there: o(bject), a(rray), s(tring),
 * n(umber), b(oolean). */
static const struct shape {
    const char *path;
    char type;
} config_shapes[] =
    {
        {"process", 'o'},
        {"root", 'o'},
        {"root.path", 's'},
        {"hostname", 's'},
        {"mounts", 'a'},
        {"annotations", 'o'},
        {"hooks", 'o'},
        {"linux", 'o'},
        {"linux.namespaces", 'a'},
        {"linux.cgroupsPath", 's'},
        {"linux.devices", 'a'},
        {"linux.resources", 'o'},
        {"linux.resources.memory", 'o'},
        {"linux.resources.memory.limit", 'n'},
        {"linux.resources.cpu", 'o'},
        {"linux.resources.cpu.quota", 'n'},
        {"linux.resources.cpu.period", 'n'},
        {"linux.resources.cpu.cpus", 's'},
        {"linux.resources.cpu.mems", 's'},
},
  process_shapes[] = {
      {"args", 'a'},
      {"env", 'a'},
      {"cwd", 's'},
      {"user", 'o'},
      {"user.uid", 'n'},
      {"user.gid", 'n'},
      {"user.additionalGids", 'a'},
      {"terminal", 'b'},
      {"consoleSize", 'o'},
      {"consoleSize.height", 'n'},
      {"consoleSize.width", 'n'},
      {"oomScoreAdj", 'n'},
      {"rlimits", 'a'},
};

static bool has_type(const cJSON *o, char type)
{
    switch (type) {
    case 'o':
        return cJSON_IsObject(o);
    case 'a':
        return cJSON_IsArray(o);
    case 's':
        return cJSON_IsString(o);
    case 'n':
        return cJSON_IsNumber(o);
    default:
        return cJSON_IsBool(o);
    }
}

static int check_shapes(const cJSON *json, const char *name, const struct shape *shapes,
                        size_t count, struct sh_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const cJSON *o = json;
        cleanup_free char *path = sh_strdup(shapes[i].path);
        char *rest = NULL;
        for (char *part = strtok_r(path, ".", &rest); part && o; part = strtok_r(NULL, ".", &rest))
            o = cJSON_GetObjectItemCaseSensitive(o, part);
        if (o && !cJSON_IsNull(o) && !has_type(o, shapes[i].type))
            return bad_field(err, name, shapes[i].path, "has a wrong type");
    }
    return 0;
}

/* --- process --- */

static int read_texts(const cJSON *list, const char *name, const char *field,
                      struct sh_strings *out, struct sh_error *err)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item))
            return bad_field(err, name, field, "has an entry that is not a string");
        sh_strings_add(out, item->valuestring);
    }
    return 0;
}

/* {"type": "RLIMIT_NOFILE", "soft": N, "hard": N}, each type once. */
static int read_limit(const cJSON *item, const char *name, struct oci_process *p, uint32_t *seen,
                      struct sh_error *err)
{
    const char *type = oci_text(item, "type");
    const cJSON *soft = cJSON_GetObjectItemCaseSensitive(item, "soft"),
                *hard = cJSON_GetObjectItemCaseSensitive(item, "hard");
    int resource =
        type && !strncmp(type, "RLIMIT_", 7) ? sh_limit_find(type + 7, strlen(type + 7)) : -1;
    if (resource < 0 || *seen >> resource & 1 || !cJSON_IsNumber(soft) || !cJSON_IsNumber(hard))
        return bad_field(err, name, "process.rlimits",
                         "has an entry without a type of its own, soft and hard");
    *seen |= 1u << resource;
    struct sh_limit_record l = {.resource = (uint32_t)resource,
                                .soft = number_of(item, "soft", INT64_MAX, SH_LIMIT_NONE),
                                .hard = number_of(item, "hard", INT64_MAX, SH_LIMIT_NONE)};
    return sh_limit_add(&p->limits, type, &l, err);
}

static int read_limits(const cJSON *list, const char *name, struct oci_process *p,
                       struct sh_error *err)
{
    uint32_t seen = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        int r = read_limit(item, name, p, &seen, err);
        if (r)
            return r;
    }
    return 0;
}

static bool is_id(const cJSON *user, const char *name)
{
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(user, name);
    uint64_t number = number_of(user, name, UINT32_MAX - 1, UINT64_MAX);
    return !id || (number != UINT64_MAX && (double)number == id->valuedouble);
}

/* Behind "UID:GID", as the launch config has them. */
static int read_groups(const cJSON *list, const char *name, char **user, struct sh_error *err)
{
    const cJSON *item;
    const char *mark = ":";
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsNumber(item) || item->valuedouble != (double)(uint32_t)item->valuedouble ||
            item->valuedouble >= UINT32_MAX)
            return bad_field(err, name, "process.user.additionalGids",
                             "has an entry that is no number from 0 to 4294967294");
        char *longer = sh_format("%s%s%u", *user, mark, (uint32_t)item->valuedouble);
        free(*user);
        *user = longer;
        mark = ",";
    }
    return 0;
}

int oci_process_read(const cJSON *json, const char *name, struct oci_process *p,
                     struct sh_error *err)
{
    const cJSON *user = oci_object(json, "user"), *size = oci_object(json, "consoleSize");
    const char *cwd = oci_text(json, "cwd");
    int r = check_shapes(json, name, process_shapes,
                         sizeof(process_shapes) / sizeof(*process_shapes), err);
    if (!r)
        r = read_texts(oci_array(json, "args"), name, "process.args", &p->args, err);
    if (!r)
        r = read_texts(oci_array(json, "env"), name, "process.env", &p->env, err);
    if (!r)
        r = read_limits(oci_array(json, "rlimits"), name, p, err);
    if (r)
        return r;
    if (!p->args.count || !*p->args.v[0])
        return bad_field(err, name, "process.args", "must not be empty");
    if (!is_id(user, "uid") || !is_id(user, "gid"))
        return bad_field(err, name, "process.user", "has no uid and gid from 0 to 4294967294");
    if (!cwd || *cwd != '/')
        return bad_field(err, name, "process.cwd", "must be an absolute path");
    p->workdir = sh_strdup(cwd);
    p->user = sh_format("%u:%u", (unsigned)number_of(user, "uid", UINT32_MAX, 0),
                        (unsigned)number_of(user, "gid", UINT32_MAX, 0));
    r = read_groups(oci_array(user, "additionalGids"), name, &p->user, err);
    if (r)
        return r;
    p->terminal = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "terminal"));
    p->rows = (uint16_t)number_of(size, "height", UINT16_MAX, 0);
    p->columns = (uint16_t)number_of(size, "width", UINT16_MAX, 0);
    return 0;
}

void oci_process_free(struct oci_process *p)
{
    sh_strings_free(&p->args);
    sh_strings_free(&p->env);
    sh_strings_free(&p->limits);
    free(p->workdir);
    free(p->user);
}

int oci_json_read(const char *path, cJSON **json, struct sh_error *err)
{
    cleanup_free uint8_t *data = NULL;
    char why[120];
    size_t size;
    int r = sh_read_file(AT_FDCWD, path, OCI_CONFIG_MAX, &data, &size, err);
    if (r)
        return r;
    *json = sv_json_read(data, size, SV_JSON_VALUES_MAX, why, sizeof(why));
    if (!*json)
        return sh_fail(err, -EINVAL, "%s is not valid JSON: %s", path, why);
    if (cJSON_IsObject(*json))
        return 0;
    cJSON_Delete(*json);
    *json = NULL;
    return sh_fail(err, -EINVAL, "%s is not valid JSON: it is not an object", path);
}

int oci_process_file(const char *path, struct oci_process *p, struct sh_error *err)
{
    cJSON *json = NULL;
    int r = oci_json_read(path, &json, err);
    if (!r)
        r = oci_process_read(json, path, p, err);
    cJSON_Delete(json);
    return r;
}

/* --- mounts --- */

/* What both TEEs make for themselves, and what an engine brings for Linux containers: the inside
 * has its own. */
static bool is_ours(const char *target)
{
    static const char *const folders[] = {"/proc", "/sys", "/dev"};
    static const char *const files[] = {"/etc/hosts",         "/etc/hostname", "/etc/resolv.conf",
                                        "/run/.containerenv", "/etc/mtab",     "/run/secrets",
                                        "/run/systemd/notify"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
        size_t n = strlen(folders[i]);
        if (!strncmp(target, folders[i], n) && (!target[n] || target[n] == '/'))
            return true;
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
        if (!strcmp(target, files[i]))
            return true;
    return false;
}

static bool has_option(const cJSON *mount, const char *word)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, oci_array(mount, "options"))
    {
        if (cJSON_IsString(item) && !strcmp(item->valuestring, word))
            return true;
    }
    return false;
}

/* The first name server of a resolv.conf, as ADDRESS of IPv4. */
static void read_resolver(struct oci_bundle *b, const char *path)
{
    char ip[INET_ADDRSTRLEN];
    struct in_addr address;
    if (!b->resolver && !sh_egress_name_server(path, &address))
        b->resolver = sh_strdup(inet_ntop(AF_INET, &address, ip, sizeof(ip)));
}

/* Does it say more than which one name server to ask, and none that is only the host's own? */
static bool says_more(const char *path)
{
    char line[1024], word[16], value[64];
    unsigned servers = 0;
    bool more = false;
    cleanup_fclose FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%15s %63s", word, value) != 2)
            continue;
        if (!strcmp(word, "nameserver") && (!strncmp(value, "127.", 4) || !strcmp(value, "::1")))
            return false;
        servers += !strcmp(word, "nameserver");
        more |= !strcmp(word, "search") || !strcmp(word, "domain") || !strcmp(word, "options");
    }
    return servers > 1 || (servers && more);
}

/* "size=64m" and "mode=1777" count; what else a kernel's tmpfs takes has no meaning. */
static void add_tmpfs(struct oci_bundle *b, const char *target, const cJSON *options)
{
    const cJSON *item;
    uint64_t size;
    cleanup_free char *text = sh_format("%s:", target);
    cJSON_ArrayForEach(item, options)
    {
        const char *word = cJSON_GetStringValue(item);
        if (word && (!strncmp(word, "mode=", 5) ||
                     (!strncmp(word, "size=", 5) && !sh_parse_size(word + 5, &size) && size))) {
            char *longer = sh_format("%s%s%s", text, strchr(text, '=') ? "," : "", word);
            free(text);
            text = longer;
        }
    }
    sh_strings_add(&b->tmpfs, text);
}

static enum oci_bind_kind kind_of(const struct oci_bind *bind, const struct stat *st)
{
    struct sh_strings files = {0};
    struct sh_error ignored = {0};
    if (!bind->folder)
        return st->st_mode & 0111 ? OCI_BIND_PROGRAM : OCI_BIND_COPY;
    bool small = bind->read_only && !sh_copy_in(bind->source, bind->target, &files, &ignored);
    sh_strings_free(&files);
    return small ? OCI_BIND_COPY : OCI_BIND_SHARE;
}

static int read_mount(struct oci_bundle *b, const cJSON *mount, struct sh_error *err)
{
    const char *target = oci_text(mount, "destination"), *source = oci_text(mount, "source"),
               *type = oci_text(mount, "type");
    struct stat st;
    if (!target || *target != '/')
        return bad_field(err, b->path, "mounts", "has an entry without an absolute destination");
    bool bind =
        has_option(mount, "bind") || has_option(mount, "rbind") || (type && !strcmp(type, "bind"));
    if (!bind && type && !strcmp(type, "tmpfs") && !is_ours(target))
        add_tmpfs(b, target, oci_array(mount, "options"));
    if (!bind || !source)
        return 0; /* proc and the like: the inside has its own */
    cleanup_free char *full =
        *source == '/' ? sh_strdup(source) : sh_format("%s/%s", b->path, source);
    if (!strcmp(target, "/etc/resolv.conf"))
        read_resolver(b, full);
    if (!strcmp(target, "/etc/resolv.conf") && !b->names && says_more(full))
        b->names = sh_strdup(full);
    if (!strcmp(target, "/etc/hosts") && !b->hosts)
        b->hosts = sh_strdup(full);
    if (is_ours(target))
        return 0;
    if (strstr(full, "/kubernetes.io~empty-dir/")) { /* as the pod began, and gone with it */
        add_tmpfs(b, target, NULL);
        return 0;
    }
    if (stat(full, &st))
        return sh_fail_errno(err, -errno, "%s: cannot mount %s", b->path, full);
    b->binds = sh_realloc_array(b->binds, b->bind_count + 1, sizeof(*b->binds));
    struct oci_bind *added = &b->binds[b->bind_count++];
    *added = (struct oci_bind){
        .source = realpath(full, NULL),
        .target = sh_strdup(target),
        .read_only = has_option(mount, "ro"),
        .folder = S_ISDIR(st.st_mode),
    };
    added->kind = kind_of(added, &st);
    return 0;
}

/* --- Linux --- */

static void read_resources(struct oci_bundle *b, const cJSON *resources)
{
    const cJSON *cpu = oci_object(resources, "cpu");
    b->memory = number_of(oci_object(resources, "memory"), "limit", 1ull << 52, 0);
    uint64_t quota = number_of(cpu, "quota", 1ull << 52, 0),
             period = number_of(cpu, "period", 1ull << 52, 0);
    if (quota && period)
        b->cpus = (uint32_t)((quota + period - 1) / period);
}

static int read_linux(struct oci_bundle *b, const cJSON *json, struct sh_error *err)
{
    const cJSON *space;
    const char *cgroup = oci_text(json, "cgroupsPath");
    cJSON_ArrayForEach(space, oci_array(json, "namespaces"))
    {
        const char *type = oci_text(space, "type"), *path = oci_text(space, "path");
        if (!type)
            return bad_field(err, b->path, "linux.namespaces", "has an entry without a type");
        if (!strcmp(type, "uts") && path && *path)
            b->uts_path = sh_strdup(path);
        if (strcmp(type, "network"))
            continue;
        b->own_network = true;
        if (path && *path)
            b->network_path = sh_strdup(path);
    }
    if (cgroup && *cgroup)
        b->cgroup = sh_strdup(cgroup);
    read_resources(b, oci_object(json, "resources"));
    return 0;
}

/* podman does not mark it, but runs this and nothing else. */
static bool is_podman_pause(const struct oci_bundle *b)
{
    const char *manager = oci_annotation(b, "io.container.manager");
    const struct sh_strings *args = &b->process.args;
    return manager && !strcmp(manager, "libpod") && args->count == 2 &&
           !strcmp(args->v[0], "/catatonit") && !strcmp(args->v[1], "-P");
}

/* As containerd and CRI-O mark the container that holds a pod together. */
static bool is_sandbox(const struct oci_bundle *b)
{
    static const char *const names[] = {"io.kubernetes.cri.container-type",
                                        "io.kubernetes.cri-o.ContainerType"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *type = oci_annotation(b, names[i]);
        if (type && !strcmp(type, "sandbox"))
            return true;
    }
    return is_podman_pause(b);
}

/* What somebody asks for and nobody does would look like done. */
static int check_annotations(const struct oci_bundle *b, struct sh_error *err)
{
    static const char prefix[] = "io.shelter.";
    static const char *const known[] = {"broker", "container", "cpus", "image",
                                        "memory", "pod",       "tee"};
    const cJSON *item;
    cJSON_ArrayForEach(item, oci_object(b->json, "annotations"))
    {
        bool found = strncmp(item->string, prefix, sizeof(prefix) - 1) != 0;
        const char *name = item->string + (found ? 0 : sizeof(prefix) - 1);
        if (!cJSON_IsString(item))
            return bad_field(err, b->path, "annotations", "has one that is not text");
        for (size_t i = 0; !found && i < sizeof(known) / sizeof(*known); i++)
            found = !strcmp(name, known[i]);
        if (!found)
            return sh_fail(err, -EINVAL,
                           "annotation io.shelter.%.60s is not known: there are io.shelter.broker, "
                           "container, cpus, image, memory, pod and tee",
                           name);
    }
    return 0;
}

static int read_fields(struct oci_bundle *b, struct sh_error *err)
{
    const char *version = oci_text(b->json, "ociVersion"),
               *root = oci_text(oci_object(b->json, "root"), "path"),
               *hostname = oci_text(b->json, "hostname");
    const cJSON *mount;
    int r = check_shapes(b->json, b->path, config_shapes,
                         sizeof(config_shapes) / sizeof(*config_shapes), err);
    if (!r)
        r = check_annotations(b, err);
    if (r)
        return r;
    if (!version)
        return bad_field(err, b->path, "ociVersion", "is missing");
    if (strncmp(version, "1.", 2))
        return sh_fail(err, -EINVAL, "%s: ociVersion %s is not supported (1.x is)", b->path,
                       version);
    if (!root || !*root)
        return bad_field(err, b->path, "root.path", "is missing");
    cleanup_free char *rootfs = *root == '/' ? sh_strdup(root) : sh_format("%s/%s", b->path, root);
    b->rootfs = realpath(rootfs, NULL);
    if (!b->rootfs)
        return sh_fail_errno(err, -errno, "%s: cannot open the rootfs %s", b->path, rootfs);
    b->read_only =
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(oci_object(b->json, "root"), "readonly"));
    if (hostname && *hostname)
        b->hostname = sh_strdup(hostname);
    if (!oci_object(b->json, "process"))
        return bad_field(err, b->path, "process", "is missing");
    r = oci_process_read(oci_object(b->json, "process"), b->path, &b->process, err);
    b->sandbox = !r && is_sandbox(b);
    if (!r)
        r = read_linux(b, oci_object(b->json, "linux"), err);
    cJSON_ArrayForEach(mount, oci_array(b->json, "mounts"))
    {
        if (!r)
            r = read_mount(b, mount, err);
    }
    return r;
}

int oci_bundle_read(const char *path, struct oci_bundle *b, struct sh_error *err)
{
    *b = (struct oci_bundle){.path = realpath(path, NULL)};
    if (!b->path)
        return sh_fail_errno(err, -errno, "cannot open the bundle %s", path);
    cleanup_free char *config = sh_format("%s/config.json", b->path);
    int r = oci_json_read(config, &b->json, err);
    return r ? r : read_fields(b, err);
}

void oci_bundle_free(struct oci_bundle *b)
{
    for (size_t i = 0; i < b->bind_count; i++) {
        free(b->binds[i].source);
        free(b->binds[i].target);
    }
    free(b->binds);
    free(b->path);
    free(b->rootfs);
    free(b->hostname);
    free(b->network_path);
    free(b->uts_path);
    free(b->cgroup);
    free(b->resolver);
    free(b->names);
    free(b->hosts);
    sh_strings_free(&b->tmpfs);
    oci_process_free(&b->process);
    cJSON_Delete(b->json);
}
