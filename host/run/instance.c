// SPDX-License-Identifier: Apache-2.0
// The folder of an instance: make, find, list, lock, remove.
#include "host/run/instance.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "host/base/cgroup.h"
#include "host/base/temp.h"
#include "lib/hex.h"

#define CONFIG_SIZE_MAX (1u << 20)
#define LET_GO_TRIES 40 /* of 5 ms */
#define STATE_SIZE 4096u
#define HALF_MADE ".new-" /* in front of the id while the folder is being filled */

bool sh_instance_name_ok(const char *name)
{
    size_t n = strlen(name);
    if (!n || n > 63 || !isalnum((unsigned char)name[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("_.-", name[i]))
            return false;
    return true;
}

bool sh_instance_is_id(const char *name)
{
    return strlen(name) == SH_INSTANCE_ID_SIZE - 1 &&
           strspn(name, "0123456789abcdef") == SH_INSTANCE_ID_SIZE - 1;
}

void sh_instance_close(struct sh_instance *i)
{
    sh_instance_config_free(&i->config);
    cJSON_Delete(i->state.measurement);
    i->state.measurement = NULL;
    if (i->dir_fd >= 0)
        close(i->dir_fd);
    i->dir_fd = -1;
}

/* The folder of instances; with `lock`, alone. */
static int open_folder(struct sh_store *store, bool lock, int *lock_fd, struct sh_error *err)
{
    if (mkdirat(store->dir_fd, "instances", 0700) && errno != EEXIST)
        return sh_fail_errno(err, -errno, "cannot create %s/instances", store->path);
    int fd = openat(store->dir_fd, "instances", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return sh_fail_errno(err, -errno, "cannot open %s/instances", store->path);
    if (!lock)
        return fd;
    *lock_fd = openat(fd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    while (*lock_fd >= 0 && flock(*lock_fd, LOCK_EX))
        if (errno != EINTR) {
            close(*lock_fd);
            *lock_fd = -1;
        }
    if (*lock_fd < 0) {
        int code = -errno;
        close(fd);
        return sh_fail_errno(err, code, "cannot lock %s/instances", store->path);
    }
    return fd;
}

static const char *const adjectives[] = {
    "amber", "bold",   "brave", "bright", "calm",  "clear", "clever", "cosy",   "deep",
    "eager", "early",  "fair",  "fine",   "firm",  "fond",  "frank",  "fresh",  "gentle",
    "glad",  "grand",  "happy", "hardy",  "keen",  "kind",  "light",  "lively", "loyal",
    "lucky", "mellow", "merry", "mild",   "neat",  "noble", "plain",  "proud",  "quick",
    "quiet", "rapid",  "ready", "ripe",   "sharp", "smart", "snug",   "solid",  "sound",
    "still", "sunny",  "swift", "tidy",   "true",  "warm",  "wise",
};
static const char *const nouns[] = {
    "acorn",   "alder",   "badger", "beech",  "birch",  "bison",  "brook",  "cedar",  "cliff",
    "clover",  "coral",   "crane",  "dune",   "elm",    "falcon", "fern",   "finch",  "fjord",
    "glade",   "grove",   "harbor", "hazel",  "heron",  "holly",  "island", "ivy",    "jay",
    "juniper", "kelp",    "lark",   "laurel", "linden", "lynx",   "maple",  "marten", "meadow",
    "moss",    "oak",     "otter",  "pebble", "pine",   "plover", "reed",   "ridge",  "robin",
    "rowan",   "sparrow", "spruce", "stone",  "swan",   "thyme",  "willow",
};

static char *make_name(unsigned attempt)
{
    uint16_t r[3] = {0};
    if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
        r[0] = (uint16_t)time(NULL), r[1] = (uint16_t)getpid(), r[2] = (uint16_t)attempt;
    const char *a = adjectives[r[0] % (sizeof(adjectives) / sizeof(*adjectives))];
    const char *n = nouns[r[1] % (sizeof(nouns) / sizeof(*nouns))];
    return attempt < 4 ? sh_format("%s-%s", a, n) : sh_format("%s-%s-%u", a, n, r[2] % 10000u);
}

/* The config of an instance in the folder, without opening more than its file. */
static int read_config(int folder_fd, const char *id, struct sh_instance_config *config)
{
    struct sh_error ignored = {0};
    char path[SH_INSTANCE_ID_SIZE + 16];
    cleanup_free uint8_t *text = NULL;
    size_t size;
    snprintf(path, sizeof(path), "%.32s/config.json", id);
    int r = sh_read_file(folder_fd, path, CONFIG_SIZE_MAX, &text, &size, &ignored);
    return r ? r : sh_instance_config_parse((char *)text, config);
}

static int list_folder(int folder_fd, struct sh_strings *ids, struct sh_error *err)
{
    cleanup_closedir DIR *dir = sh_open_folder(folder_fd, ".", 0);
    if (!dir)
        return sh_fail_errno(err, -errno, "cannot read the folder of instances");
    for (struct dirent *e; (e = readdir(dir));)
        if (sh_instance_is_id(e->d_name))
            sh_strings_add(ids, e->d_name);
    return 0;
}

/* The id of the instance with this name, or false. */
static bool find_name(int folder_fd, const struct sh_strings *ids, const char *name, char *id)
{
    for (size_t i = 0; i < ids->count; i++) {
        struct sh_instance_config c;
        if (read_config(folder_fd, ids->v[i], &c))
            continue;
        bool same = !strcmp(c.name, name);
        sh_instance_config_free(&c);
        if (same) {
            memcpy(id, ids->v[i], SH_INSTANCE_ID_SIZE);
            return true;
        }
    }
    return false;
}

static int choose_name(int folder_fd, struct sh_instance_config *config, struct sh_error *err)
{
    struct sh_strings ids = {0};
    char other[SH_INSTANCE_ID_SIZE];
    int r = list_folder(folder_fd, &ids, err);
    if (!r && config->name && find_name(folder_fd, &ids, config->name, other))
        r = sh_fail(err, -EEXIST,
                    "the name '%s' is used by instance %.12s; 'shelter rm %s' frees it, or choose "
                    "another --name",
                    config->name, other, config->name);
    for (unsigned attempt = 0; !r && !config->name; attempt++) {
        config->name = make_name(attempt);
        if (find_name(folder_fd, &ids, config->name, other)) {
            free(config->name);
            config->name = NULL;
        }
    }
    sh_strings_free(&ids);
    return r;
}

int sh_instance_lock(const struct sh_instance *i, int *lock_fd)
{
    int fd = openat(i->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    /* A reader that asks whether it is held (lock_held) holds it for a moment. */
    for (int attempt = 0; flock(fd, LOCK_EX | LOCK_NB); attempt++) {
        int code = errno == EWOULDBLOCK ? -EBUSY : -errno;
        if (code != -EBUSY || attempt == 5) {
            close(fd);
            return code;
        }
        usleep(2000);
    }
    *lock_fd = fd;
    return 0;
}

int sh_instance_new_id(char id[SH_INSTANCE_ID_SIZE], struct sh_error *err)
{
    uint8_t random[(SH_INSTANCE_ID_SIZE - 1) / 2];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return sh_fail_errno(err, -errno, "cannot get random bytes");
    sh_hex(id, random, sizeof(random));
    return 0;
}

/* Fills HALF_MADE<id> and gives it its real name as the last step. */
static int make_folder(int folder_fd, struct sh_instance_config *config, struct sh_instance *i,
                       int *lock_fd, struct sh_error *err)
{
    int made = config->id[0] ? 0 : sh_instance_new_id(config->id, err);
    if (made)
        return made;
    config->created = (int64_t)time(NULL);
    char half[sizeof(HALF_MADE) + SH_INSTANCE_ID_SIZE];
    snprintf(half, sizeof(half), HALF_MADE "%s", config->id);
    if (mkdirat(folder_fd, half, 0700))
        return sh_fail_errno(err, -errno, "cannot create the folder of the instance");
    i->dir_fd = openat(folder_fd, half, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = i->dir_fd < 0 ? -errno : sh_instance_lock(i, lock_fd);
    if (!r) {
        cleanup_free char *text = sh_instance_config_text(config);
        cleanup_close int fd =
            openat(i->dir_fd, "config.json", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        r = fd < 0 ? -errno : sh_write_all(fd, text, strlen(text));
    }
    if (!r)
        r = sh_instance_save_state(i->dir_fd, &i->state);
    if (!r && renameat(folder_fd, half, folder_fd, config->id))
        r = -errno;
    if (r) {
        sh_remove_tree(folder_fd, half);
        return sh_fail_errno(err, r, "cannot write the instance's folder");
    }
    return 0;
}

int sh_instance_create(struct sh_store *store, struct sh_instance_config *config,
                       struct sh_instance *instance, int *lock_fd, struct sh_error *err)
{
    cleanup_close int all_lock = -1;
    *instance = (struct sh_instance){.dir_fd = -1};
    *lock_fd = -1;
    cleanup_close int folder = open_folder(store, true, &all_lock, err);
    if (folder < 0)
        return folder;
    int r = choose_name(folder, config, err);
    if (!r)
        r = make_folder(folder, config, instance, lock_fd, err);
    if (r) {
        if (*lock_fd >= 0)
            close(*lock_fd);
        *lock_fd = -1;
        sh_instance_close(instance);
        return r;
    }
    instance->config = *config;
    *config = (struct sh_instance_config){0};
    return 0;
}

int sh_instance_save_state(int dir_fd, const struct sh_instance_state *state)
{
    cleanup_free char *text = sh_instance_state_text(state);
    char padded[STATE_SIZE];
    size_t n = strlen(text);
    if (n >= sizeof(padded))
        return -EFBIG;
    memcpy(padded, text, n);
    memset(padded + n, ' ', sizeof(padded) - n);
    padded[sizeof(padded) - 1] = '\n';
    struct sh_temp temp;
    int r = sh_temp_open(&temp, dir_fd, "state.json", 0600);
    if (!r && (r = sh_write_all(temp.fd, padded, sizeof(padded))))
        sh_temp_drop(&temp);
    else if (!r)
        r = sh_temp_commit(&temp, false);
    if (!r)
        return 0;
    /* No space for a second file: write over the first, whose blocks are there. */
    cleanup_close int old = openat(dir_fd, "state.json", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    return old < 0 ? r : sh_pwrite_all(old, padded, sizeof(padded), 0);
}

/* Does a supervisor hold the lock? */
static bool lock_held(int dir_fd)
{
    cleanup_close int fd = openat(dir_fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
}

static void read_state(struct sh_instance *i)
{
    struct sh_error ignored = {0};
    cleanup_free uint8_t *text = NULL;
    size_t size;
    cJSON_Delete(i->state.measurement);
    i->state = (struct sh_instance_state){.state = SH_STATE_DEAD};
    if (!sh_read_file(i->dir_fd, "state.json", 2 * STATE_SIZE, &text, &size, &ignored))
        sh_instance_state_parse((char *)text, &i->state);
}

void sh_instance_refresh(struct sh_instance *i)
{
    /* The lock first: a supervisor writes its last state before it lets go, which takes a moment.
     */
    bool held = lock_held(i->dir_fd);
    read_state(i);
    for (int attempt = 0; held && i->state.state >= SH_STATE_EXITED && attempt < LET_GO_TRIES;
         attempt++) {
        usleep(5000);
        held = lock_held(i->dir_fd);
        read_state(i);
    }
    /* The lock is the truth, whatever the file says: somebody may have damaged it. */
    if (held && i->state.state == SH_STATE_CREATED)
        i->state.state = SH_STATE_STARTING;
    else if (held && !sh_instance_alive(i))
        i->state.state = SH_STATE_RUNNING;
    if (!held && (sh_instance_alive(i) || i->state.state == SH_STATE_CREATED))
        i->state.state = SH_STATE_DEAD;
    if (i->state.state == SH_STATE_DEAD && !i->state.error[0])
        snprintf(i->state.error, sizeof(i->state.error),
                 "its supervisor was killed or the host went down, and its exit status is unknown; "
                 "'shelter start %s' starts it again",
                 i->config.name);
    if (!sh_instance_alive(i))
        i->state.supervisor_pid = i->state.child_pid = 0;
}

/* Has this process the lock's file open? */
static bool has_open(const char *pid, const struct stat *lock)
{
    char path[300];
    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    cleanup_closedir DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct stat st;
        if (!fstatat(dirfd(dir), e->d_name, &st, 0) && st.st_dev == lock->st_dev &&
            st.st_ino == lock->st_ino)
            return true;
    }
    return false;
}

pid_t sh_instance_holder(const struct sh_instance *i)
{
    struct stat lock;
    uint64_t pid;
    if (!lock_held(i->dir_fd) || fstatat(i->dir_fd, "lock", &lock, AT_SYMLINK_NOFOLLOW))
        return 0;
    cleanup_closedir DIR *dir = opendir("/proc");
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (!sh_parse_number(e->d_name, 2, INT_MAX, &pid) && (pid_t)pid != getpid() &&
            has_open(e->d_name, &lock))
            return (pid_t)pid;
    return 0;
}

static int open_in(int folder_fd, const char *id, struct sh_instance *i, struct sh_error *err)
{
    *i = (struct sh_instance){.dir_fd = -1};
    i->dir_fd = openat(folder_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (i->dir_fd < 0)
        return sh_fail(err, -errno, "there is no instance %.12s any more", id);
    int r = read_config(folder_fd, id, &i->config);
    if (r || strcmp(i->config.id, id)) {
        sh_instance_close(i);
        return sh_fail(
            err, -EBADMSG,
            "the config of instance %.12s is damaged; 'shelter rm -f %.12s' ends and removes it",
            id, id);
    }
    sh_instance_refresh(i);
    return 0;
}

int sh_instance_open_id(struct sh_store *store, const char *id, struct sh_instance *instance,
                        struct sh_error *err)
{
    cleanup_close int folder = open_folder(store, false, NULL, err);
    return folder < 0 ? folder : open_in(folder, id, instance, err);
}

int sh_instance_open_damaged(struct sh_store *store, const char *id, struct sh_instance *i,
                             struct sh_error *err)
{
    *i = (struct sh_instance){.dir_fd = -1};
    cleanup_close int folder = open_folder(store, false, NULL, err);
    if (folder < 0)
        return folder;
    i->dir_fd = openat(folder, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (i->dir_fd < 0)
        return sh_fail(err, -errno, "there is no instance %.12s any more", id);
    snprintf(i->config.id, sizeof(i->config.id), "%s", id);
    i->config.name = sh_format("%.12s", id);
    sh_instance_refresh(i);
    return 0;
}

int sh_instance_open(struct sh_store *store, const char *reference, struct sh_instance *instance,
                     struct sh_error *err)
{
    *instance = (struct sh_instance){.dir_fd = -1};
    cleanup_close int folder = open_folder(store, false, NULL, err);
    if (folder < 0)
        return folder;
    struct sh_strings ids = {0};
    int r = list_folder(folder, &ids, err);
    char id[SH_INSTANCE_ID_SIZE] = "";
    if (!r && !find_name(folder, &ids, reference, id)) {
        size_t n = strlen(reference), found = 0;
        for (size_t k = 0; n && k < ids.count; k++)
            if (!strncmp(ids.v[k], reference, n) && ++found)
                memcpy(id, ids.v[k], SH_INSTANCE_ID_SIZE);
        if (found > 1)
            r = sh_fail(err, -EEXIST, "'%s' begins the ids of %zu instances; give more digits",
                        reference, found);
        else if (!found)
            r = sh_fail(err, -ENOENT, "there is no instance '%s'; 'shelter ps -a' lists them",
                        reference);
    }
    sh_strings_free(&ids);
    return r ? r : open_in(folder, id, instance, err);
}

struct dated {
    int64_t created;
    char *id;
};

static int by_date(const void *a, const void *b)
{
    const struct dated *x = a, *y = b;
    return x->created != y->created ? (x->created < y->created ? -1 : 1) : strcmp(x->id, y->id);
}

int sh_instance_list(struct sh_store *store, struct sh_strings *ids, struct sh_error *err)
{
    cleanup_close int folder = open_folder(store, false, NULL, err);
    if (folder < 0)
        return folder;
    int r = list_folder(folder, ids, err);
    if (r || !ids->count)
        return r;
    struct dated *list = sh_alloc(ids->count * sizeof(*list));
    for (size_t i = 0; i < ids->count; i++) {
        struct stat st = {0};
        char path[SH_INSTANCE_ID_SIZE + 16];
        snprintf(path, sizeof(path), "%s/config.json", ids->v[i]);
        if (!fstatat(folder, path, &st, 0))
            list[i].created = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        list[i].id = ids->v[i];
    }
    qsort(list, ids->count, sizeof(*list), by_date);
    for (size_t i = 0; i < ids->count; i++)
        ids->v[i] = list[i].id;
    free(list);
    return 0;
}

int sh_instance_remove(struct sh_store *store, const char *id, struct sh_error *err)
{
    cleanup_close int all_lock = -1;
    cleanup_close int folder = open_folder(store, true, &all_lock, err);
    if (folder < 0)
        return folder;
    /* Under another name first: a removal that is killed leaves no half instance. */
    char half[sizeof(HALF_MADE) + SH_INSTANCE_ID_SIZE];
    snprintf(half, sizeof(half), HALF_MADE "%s", id);
    if (renameat(folder, id, folder, half) && errno != ENOENT)
        return sh_fail_errno(err, -errno, "cannot remove instance %.12s", id);
    /* One that is gone may have been half removed by somebody who was killed. */
    sh_cgroup_forget(id);
    int r = sh_remove_tree(folder, half);
    return r ? sh_fail_errno(err, r, "cannot remove instance %.12s", id) : 0;
}

size_t sh_instance_clean_leftovers(struct sh_store *store)
{
    struct sh_error ignored = {0};
    cleanup_close int all_lock = -1;
    cleanup_close int folder = open_folder(store, true, &all_lock, &ignored);
    if (folder < 0)
        return 0;
    /* Whoever makes or removes one holds .lock: what has the name now is nobody's. */
    size_t count = 0;
    cleanup_closedir DIR *dir = sh_open_folder(folder, ".", 0);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (!strncmp(e->d_name, HALF_MADE, strlen(HALF_MADE)))
            count += !sh_remove_tree(folder, e->d_name);
    return count;
}
