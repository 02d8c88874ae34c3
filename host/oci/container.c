// SPDX-License-Identifier: Apache-2.0
// Containers' folders and what state their processes are in.
#include "host/oci/container.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "host/base/temp.h"
#include "host/oci/bundle.h"
#include "host/oci/cgroup.h"

const char *const oci_status_words[] = {"creating", "created", "running", "paused", "stopped"};

/* As runc's: letters, digits and "_+-.", and not a name for another folder. */
static int check_id(const char *id, struct sh_error *err)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.";
    if (!*id || strlen(id) > 1024 || id[strspn(id, letters)] || !strcmp(id, ".") ||
        !strcmp(id, ".."))
        return sh_fail(err, -EINVAL, "invalid container id format: '%.80s'", id);
    return 0;
}

static int lock_container(struct oci_container *c, struct sh_error *err)
{
    c->lock_fd = openat(c->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (c->lock_fd < 0 || flock(c->lock_fd, LOCK_EX))
        return sh_fail_errno(err, -errno, "cannot lock the container %s", c->id);
    return 0;
}

static int open_folder(struct oci_container *c, struct sh_error *err)
{
    c->dir_fd = open(c->path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (c->dir_fd < 0 && errno == ENOENT)
        return sh_fail(err, -ENOENT, "container \"%s\" does not exist", c->id);
    return c->dir_fd < 0 ? sh_fail_errno(err, -errno, "cannot open %s", c->path) : 0;
}

static int begin_container(const struct oci_runtime *rt, const char *id, struct oci_container *c,
                           struct sh_error *err)
{
    *c = (struct oci_container){.dir_fd = -1, .lock_fd = -1};
    int r = check_id(id, err);
    if (r)
        return r;
    c->id = sh_strdup(id);
    c->path = sh_format("%s/%s", rt->root, id);
    return 0;
}

int oci_container_create(const struct oci_runtime *rt, const char *id, struct oci_container *c,
                         struct sh_error *err)
{
    int r = begin_container(rt, id, c, err);
    if (!r)
        r = sh_make_dirs(rt->root, 0711, err);
    if (!r && mkdir(c->path, 0711))
        r = errno == EEXIST ? sh_fail(err, -EEXIST, "container with id exists: %s", id)
                            : sh_fail_errno(err, -errno, "cannot create %s", c->path);
    if (!r)
        r = open_folder(c, err);
    return r ? r : lock_container(c, err);
}

int oci_container_open(const struct oci_runtime *rt, const char *id, bool lock,
                       struct oci_container *c, struct sh_error *err)
{
    cleanup_free uint8_t *data = NULL;
    struct sh_error none = {0};
    size_t size;
    int r = begin_container(rt, id, c, err);
    if (!r)
        r = open_folder(c, err);
    if (!r && lock)
        r = lock_container(c, err);
    if (!r && !sh_read_file(c->dir_fd, "state.json", OCI_CONFIG_MAX, &data, &size, &none))
        c->state = cJSON_Parse((const char *)data);
    if (!c->state)
        c->state = cJSON_CreateObject();
    if (oci_text(c->state, "store")) /* engines call some verbs without HOME */
        setenv("SHELTER_STORE", oci_text(c->state, "store"), 1);
    return r;
}

void oci_container_close(struct oci_container *c)
{
    free(c->id);
    free(c->path);
    if (c->dir_fd >= 0)
        close(c->dir_fd);
    if (c->lock_fd >= 0)
        close(c->lock_fd);
    cJSON_Delete(c->state);
}

int oci_container_save(struct oci_container *c, struct sh_error *err)
{
    cleanup_free char *text = cJSON_PrintUnformatted(c->state);
    return sh_write_passing(c->dir_fd, "state.json", text, strlen(text), 0600, err);
}

int oci_container_remove(const struct oci_runtime *rt, struct oci_container *c,
                         struct sh_error *err)
{
    int r = sh_remove_tree(AT_FDCWD, c->path);
    return r ? sh_fail_errno(err, r, "cannot remove %s", c->path) : 0;
}

/* Field 22 of /proc/PID/stat (proc(5)), behind the name, which may hold anything. */
uint64_t oci_process_start(pid_t pid)
{
    char path[64], text[1024], state;
    unsigned long long start;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    cleanup_close int fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = 0;
    const char *rest = strrchr(text, ')');
    if (!rest || sscanf(rest + 1,
                        " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                        "%*d %llu",
                        &state, &start) != 2)
        return 0;
    return state == 'Z' || state == 'X' ? 0 : start;
}

pid_t oci_container_pid(const struct oci_container *c)
{
    const cJSON *pid = cJSON_GetObjectItemCaseSensitive(c->state, "pid");
    const char *started = oci_text(c->state, "processStart");
    uint64_t start;
    if (!cJSON_IsNumber(pid) || !started || sh_parse_number(started, 1, UINT64_MAX, &start))
        return 0;
    return oci_process_start(pid->valueint) == start ? pid->valueint : 0;
}

enum oci_status oci_container_status(const struct oci_container *c)
{
    if (!oci_text(c->state, "instance"))
        return OCI_CREATING;
    if (!oci_container_pid(c))
        return OCI_STOPPED;
    if (!faccessat(c->dir_fd, "start", F_OK, 0))
        return OCI_CREATED;
    return oci_cgroup_frozen(oci_array(c->state, "cgroups")) ||
                   !faccessat(c->dir_fd, "paused", F_OK, 0)
               ? OCI_PAUSED
               : OCI_RUNNING;
}

static void copy_member(cJSON *to, const cJSON *from, const char *name)
{
    const cJSON *m = cJSON_GetObjectItemCaseSensitive(from, name);
    if (m)
        cJSON_AddItemToObject(to, name, cJSON_Duplicate(m, true));
}

cJSON *oci_container_json(const struct oci_container *c)
{
    static const char *const rest[] = {"bundle", "rootfs", "created", "owner", "annotations"};
    enum oci_status status = oci_container_status(c);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "ociVersion", OCI_VERSION);
    cJSON_AddStringToObject(o, "id", c->id);
    cJSON_AddNumberToObject(o, "pid", status == OCI_STOPPED ? 0 : oci_container_pid(c));
    cJSON_AddStringToObject(o, "status", oci_status_words[status]);
    for (size_t i = 0; i < sizeof(rest) / sizeof(*rest); i++)
        copy_member(o, c->state, rest[i]);
    return o;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int oci_container_list(const struct oci_runtime *rt, struct sh_strings *ids, struct sh_error *err)
{
    cleanup_closedir DIR *dir = opendir(rt->root);
    if (!dir)
        return errno == ENOENT ? 0 : sh_fail_errno(err, -errno, "cannot read %s", rt->root);
    for (struct dirent *e; (e = readdir(dir));)
        if (*e->d_name != '.' && e->d_type == DT_DIR)
            sh_strings_add(ids, e->d_name);
    if (ids->count)
        qsort(ids->v, ids->count, sizeof(*ids->v), compare_texts);
    return 0;
}

const char *oci_only_id(int argc, char **argv, struct sh_error *err)
{
    if (argc == 2 && *argv[1] != '-')
        return argv[1];
    sh_fail(err, -EINVAL, "%s: exactly one container id is needed", argv[0]);
    return NULL;
}
