// SPDX-License-Identifier: Apache-2.0
// What those who keep a pool and those who take from it have in common.
#include "host/run/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/base/cgroup.h"
#include "lib/hex.h"
#include "lib/sha2.h"

#define ANSWER_MS 1000

/* --- the key --- */

static void add_text(struct sh_buffer *b, const char *text)
{
    sh_buffer_add(b, text, strlen(text) + 1);
}

/* Which file it is, and when it was written: one that was changed or put in its place has other
 * numbers. */
static void add_file(struct sh_buffer *b, const char *path)
{
    struct stat st;
    if (stat(path, &st) || !S_ISREG(st.st_mode))
        return;
    const uint64_t words[] = {st.st_dev, st.st_ino, (uint64_t)st.st_size,
                              (uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec};
    sh_buffer_add(b, words, sizeof(words));
}

static void add_caller(struct sh_buffer *b)
{
    static const char *const names[] = {"net", "user", "pid", "mnt"};
    char path[32], text[64];
    const uint64_t user[] = {geteuid(), getegid()};
    sh_buffer_add(b, user, sizeof(user));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
        ssize_t n = readlink(path, text, sizeof(text));
        sh_buffer_add(b, text, n > 0 ? (size_t)n : 0);
    }
}

void sh_pool_ports(const struct sh_port *ports, size_t count, struct sh_port *out)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct sh_port){.udp = ports[i].udp, .guest_port = ports[i].guest_port};
        /* Whoever publishes none below 1024 has no right to. */
        out[i].host_port = ports[i].host_port < IPPORT_RESERVED ? 1 : IPPORT_RESERVED;
    }
}

/* Why a child of this spec cannot wait; NULL: it can. */
static const char *find_obstacle(const struct sh_launch_spec *spec)
{
    if (!spec->backend->go)
        return "only enclaves wait in a pool (--tee sgx or sgx-sim), not machines";
    if (spec->stats_file || spec->trace_file)
        return "counts and traces are of one run";
    if (spec->volumes && spec->volumes->count)
        return "a volume belongs to one instance, not to a pool";
    for (size_t i = 0; i < spec->mount_count; i++)
        if (!spec->mounts[i].copied)
            return "a folder that is shared (-v) belongs to one instance, not to a pool";
    return NULL;
}

int sh_pool_key(const struct sh_launch_spec *spec, char key[SH_POOL_KEY_SIZE], struct sh_error *err)
{
    struct sh_launch_spec s = *spec;
    struct sh_strings argv = {0};
    struct sh_buffer b = {0};
    uint8_t digest[32];
    const char *obstacle = find_obstacle(spec);
    if (obstacle)
        return sh_fail(err, -ENOTSUP, "%s", obstacle);
    struct sh_port *ports = sh_alloc((s.port_count + 1) * sizeof(*ports));
    sh_pool_ports(s.ports, s.port_count, ports);
    s.ports = ports;
    s.instance_path = "";
    s.channel_fd = -1;
    s.rows = s.columns = 0;
    s.hold = true;
    int r = s.backend->command(&s, &argv, err);
    for (size_t i = 0; !r && i < argv.count; i++) {
        const char *value = argv.v[i][0] == '/' ? argv.v[i] : strchr(argv.v[i], '=');
        add_text(&b, argv.v[i]);
        /* These two are made by runs: what they used, which decides nothing, and the fuses of the
         * simulated processor. */
        if (value && strncmp(argv.v[i], "--uses=", 7) != 0 &&
            (!i || strcmp(argv.v[i - 1], "--fuse-key") != 0))
            add_file(&b, value + (*value == '='));
    }
    free(ports);
    sh_strings_free(&argv);
    sh_buffer_add(&b, s.manifest_digest, sizeof(s.manifest_digest));
    sh_buffer_add(&b, s.launch_digest, sizeof(s.launch_digest));
    add_file(&b, "/proc/self/exe");
    add_file(&b, "/etc/resolv.conf");
    add_caller(&b);
    sh_sha256(digest, b.data, b.size);
    sh_hex(key, digest, sizeof(digest));
    sh_buffer_free(&b);
    return r;
}

/* --- the sockets --- */

static void address_of(int folder_fd, const char *name, struct sockaddr_un *a)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/%s", folder_fd, name);
}

int sh_pool_listen(int folder_fd, const char *name)
{
    struct sockaddr_un a;
    address_of(folder_fd, name, &a);
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 1))
        return -errno;
    return sh_take_fd(&fd);
}

void sh_pool_forget(int folder_fd, const char *id)
{
    char taken[SH_INSTANCE_ID_SIZE + 1];
    snprintf(taken, sizeof(taken), ".%.*s", (int)SH_INSTANCE_ID_SIZE - 1, id);
    unlinkat(folder_fd, id, 0);
    unlinkat(folder_fd, taken, 0);
}

void sh_pool_remove(int store_fd, int folder_fd, const char *key)
{
    cleanup_free char *path = sh_format(SH_POOL_FOLDER "/%s", key);
    unlinkat(folder_fd, "launch", 0);
    unlinkat(store_fd, path, AT_REMOVEDIR);
    unlinkat(store_fd, SH_POOL_FOLDER, AT_REMOVEDIR);
}

/* This one, if nobody was faster and it answers: a connection, or -1. */
static int claim_one(int folder_fd, const char *id)
{
    struct sockaddr_un a;
    char taken[SH_INSTANCE_ID_SIZE + 1];
    uint8_t byte;
    snprintf(taken, sizeof(taken), ".%.*s", (int)SH_INSTANCE_ID_SIZE - 1, id);
    if (renameat(folder_fd, id, folder_fd, taken))
        return -1;
    address_of(folder_fd, taken, &a);
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    bool there = fd >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof(a)) &&
                 poll(&p, 1, ANSWER_MS) == 1 && read(fd, &byte, 1) == 1;
    unlinkat(folder_fd, taken, 0);
    return there ? sh_take_fd(&fd) : -1;
}

int sh_pool_claim(struct sh_store *store, const struct sh_launch_spec *spec,
                  char id[SH_INSTANCE_ID_SIZE])
{
    struct sh_error ignored = {0};
    char path[sizeof(SH_POOL_FOLDER) + SH_POOL_KEY_SIZE] = SH_POOL_FOLDER "/";
    int fd = -1;
    if (faccessat(store->dir_fd, SH_POOL_FOLDER, F_OK, 0) ||
        sh_pool_key(spec, path + sizeof(SH_POOL_FOLDER), &ignored))
        return -1;
    cleanup_closedir DIR *dir = sh_open_folder(store->dir_fd, path, O_NOFOLLOW);
    for (struct dirent *e; fd < 0 && dir && (e = readdir(dir));) {
        if (!sh_instance_is_id(e->d_name))
            continue;
        fd = claim_one(dirfd(dir), e->d_name);
        memcpy(id, e->d_name, SH_INSTANCE_ID_SIZE);
    }
    if (fd < 0)
        id[0] = 0;
    return fd;
}

/* --- what killed pools left --- */

size_t sh_pool_clean(struct sh_store *store)
{
    size_t count = 0;
    cleanup_closedir DIR *all = sh_open_folder(store->dir_fd, SH_POOL_FOLDER, O_NOFOLLOW);
    for (struct dirent *e; all && (e = readdir(all));) {
        if (e->d_name[0] == '.')
            continue;
        cleanup_closedir DIR *one = sh_open_folder(dirfd(all), e->d_name, O_NOFOLLOW);
        if (!one || flock(dirfd(one), LOCK_EX | LOCK_NB))
            continue;
        for (struct dirent *u; (u = readdir(one));) {
            const char *id = u->d_name + (u->d_name[0] == '.');
            if (sh_instance_is_id(id))
                sh_cgroup_forget(id);
        }
        count += !sh_remove_tree(dirfd(all), e->d_name);
    }
    if (all)
        unlinkat(store->dir_fd, SH_POOL_FOLDER, AT_REMOVEDIR);
    return count;
}
