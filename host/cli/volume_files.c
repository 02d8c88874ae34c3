// SPDX-License-Identifier: Apache-2.0
// shelter volume ls, rm, restore: files of volumes as such, and which instances have them.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "host/cli/cli.h"
#include "host/run/instance.h"
#include "host/store/volume_file.h"

/* NAME=[ro:]FILE of an instance's config. */
struct entry {
    char *name;
    const char *file;
    bool read_only;
};

static struct entry parse_entry(const char *text)
{
    size_t n = strcspn(text, "=");
    struct entry e = {.name = sh_format("%.*s", (int)n, text), .file = text[n] ? text + n + 1 : ""};
    e.read_only = !strncmp(e.file, "ro:", 3);
    e.file += e.read_only ? 3 : 0;
    return e;
}

/* Somebody holds it for writing. */
static bool is_used(const char *file)
{
    cleanup_close int fd = open(file, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
}

typedef void each_volume(void *arg, const struct sh_instance *i, const struct entry *e);

static int each_of_instances(each_volume *each, void *arg, struct sh_error *err)
{
    struct sh_store store;
    struct sh_strings ids = {0};
    int r = sh_store_open(&store, err);
    if (r)
        return r;
    r = sh_instance_list(&store, &ids, err);
    for (size_t k = 0; !r && k < ids.count; k++) {
        struct sh_instance i;
        struct sh_error ignored = {0};
        if (sh_instance_open_id(&store, ids.v[k], &i, &ignored))
            continue; /* removed meanwhile, or damaged */
        for (size_t n = 0; n < i.config.volumes.count; n++) {
            struct entry e = parse_entry(i.config.volumes.v[n]);
            each(arg, &i, &e);
            free(e.name);
        }
        sh_instance_close(&i);
    }
    sh_strings_free(&ids);
    sh_store_close(&store);
    return r;
}

static void print_volume(void *arg, const struct sh_instance *i, const struct entry *e)
{
    cJSON *list = arg;
    struct stat st;
    bool there = !stat(e->file, &st);
    uint64_t size = there ? (uint64_t)st.st_size : 0, held = there ? st.st_blocks * 512ull : 0;
    const char *state = !there ? "missing" : is_used(e->file) ? "in use" : "free";
    if (!list) {
        char a[16], b[16];
        sh_format_size(a, sizeof(a), size);
        sh_format_size(b, sizeof(b), held);
        printf("%-16s %-20s %8s %8s  %-8s %s%s\n", e->name, i->config.name, a, b, state, e->file,
               e->read_only ? " (read-only)" : "");
        return;
    }
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", e->name);
    cJSON_AddStringToObject(o, "instance", i->config.name);
    cJSON_AddStringToObject(o, "file", e->file);
    cJSON_AddBoolToObject(o, "read_only", e->read_only);
    cJSON_AddNumberToObject(o, "size", (double)size);
    cJSON_AddNumberToObject(o, "on_disk", (double)held);
    cJSON_AddStringToObject(o, "state", state);
    cJSON_AddItemToArray(list, o);
}

int cmd_volume_ls(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_volume_ls, argc, argv);
    cJSON *list = NULL;
    while (sh_cli_next(&c) >= 0)
        list = list ? list : cJSON_CreateArray();
    if (c.status >= 0)
        return c.status;
    struct sh_error err = {0};
    if (!list)
        printf("%-16s %-20s %8s %8s  %-8s %s\n", "VOLUME", "INSTANCE", "SIZE", "ON DISK", "STATE",
               "FILE");
    int r = each_of_instances(print_volume, list, &err);
    if (!r && list) {
        char *text = cJSON_Print(list);
        puts(text);
        free(text);
    }
    cJSON_Delete(list);
    return r ? sh_error_report(&err) : 0;
}

struct search {
    struct stat st;
    char *instance; /* the first that has it */
};

static void match_volume(void *arg, const struct sh_instance *i, const struct entry *e)
{
    struct search *s = arg;
    struct stat st;
    if (!s->instance && !stat(e->file, &st) && st.st_dev == s->st.st_dev &&
        st.st_ino == s->st.st_ino)
        s->instance = sh_strdup(i->config.name);
}

static int remove_file(const char *path, bool force, struct sh_error *err)
{
    struct search s = {.instance = NULL};
    struct sh_volume_file f;
    if (stat(path, &s.st))
        return force && errno == ENOENT
                   ? 0
                   : sh_fail_errno(err, -errno, "cannot read the attributes of the volume %s",
                                   path);
    if (!S_ISREG(s.st.st_mode))
        return sh_fail(err, -EINVAL, "%s is not a file; a device's contents are yours to erase",
                       path);
    int r = sh_volume_file_open(&f, path, true, err);
    if (!r && !force)
        r = each_of_instances(match_volume, &s, err);
    if (!r && s.instance)
        r = sh_fail(err, -EBUSY,
                    "the volume %s is one of the instance %s; remove that first, or use -f", path,
                    s.instance);
    if (!r && unlink(path))
        r = sh_fail_errno(err, -errno, "cannot remove %s", path);
    sh_volume_file_close(&f, err);
    free(s.instance);
    return r;
}

int cmd_volume_rm(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_volume_rm, argc, argv);
    bool force = false;
    int status = 0;
    while (sh_cli_next(&c) >= 0)
        force = true;
    if (c.status >= 0)
        return c.status;
    for (int i = 0; i < c.count; i++) {
        struct sh_error err = {0};
        if (remove_file(c.args[i], force, &err))
            status = sh_error_report(&err);
    }
    return status;
}

static int check_copy(const char *path, const char *key, struct sh_error *err)
{
    struct sh_volume_file f;
    int r = sh_volume_file_open(&f, path, false, err);
    if (!r)
        r = sh_volume_file_unlock(&f, key, false, err);
    int closed = sh_volume_file_close(&f, err);
    return r ? r : closed;
}

/* Beside the file first: until the copy is whole, what was there stays. */
static int put_back(const struct sh_volume_file *from, const char *path, struct sh_error *err)
{
    cleanup_free char *beside = sh_format("%s.new", path);
    cleanup_close int to = open(beside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0)
        return sh_fail_errno(err, -errno, "cannot create %s", beside);
    int r = sh_volume_copy_file(from->fd, to, from->size);
    if (!r && rename(beside, path))
        r = -errno;
    if (!r)
        return 0;
    unlink(beside);
    return sh_fail_errno(err, r, "cannot copy %s to %s", from->path, path);
}

int cmd_volume_restore(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_volume_restore, argc, argv);
    bool force = false;
    const char *key = NULL;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_volume_restore_option)o) {
        case SH_volume_restore_force:
            force = true;
            break;
        case SH_volume_restore_key:
            key = c.value;
            break;
        case SH_volume_restore_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    struct sh_error err = {0};
    struct sh_volume_file from = {.fd = -1}, old = {.fd = -1};
    bool there = !access(c.args[1], F_OK);
    int r = key ? check_copy(c.args[0], key, &err) : 0;
    if (!r && there && !force)
        r = sh_fail(&err, -EEXIST, "%s already exists; -f replaces it", c.args[1]);
    if (!r)
        r = sh_volume_file_open(&from, c.args[0], false, &err);
    if (!r && there) /* locked: no shelter uses it */
        r = sh_volume_file_open(&old, c.args[1], true, &err);
    if (!r)
        r = put_back(&from, c.args[1], &err);
    if (old.fd >= 0)
        sh_volume_file_close(&old, &err);
    sh_volume_file_close(&from, &err);
    return r ? sh_error_report(&err) : 0;
}
