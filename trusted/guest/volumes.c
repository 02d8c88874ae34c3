// SPDX-License-Identifier: Apache-2.0
// Volumes: for each a server (volume/), which gets the disk, the key and its side of a FUSE mount.
//
// Attacks expected here: none that the server does not judge; the disk's name and contents are the
// host's.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trusted/guest/serve.h"
#include "trusted/guest/volume/server.h"

#define SERVER_ID 65532 /* user and group that own nothing */

static void run_server(int control, int disk, int fuse, const struct guest_volume *own)
{
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    char *argv[] = {"volume", NULL}, *env[] = {NULL};
    guest_child_reset("-1000");
    int log = open("/dev/kmsg", O_WRONLY);
    if (log >= 0)
        dup2(log, 2);
    struct guest_handed h[] = {{control, SERVER_CONTROL_FD},
                               {disk, SERVER_DISK_FD},
                               {fuse, SERVER_FUSE_FD},
                               {own->anchor, SERVER_ANCHOR_FD},
                               {own->counts, SERVER_COUNTS_FD}};
    /* Memory that it asks for must not wait for what it serves. */
    if (!setrlimit(RLIMIT_MEMLOCK, &all) && !prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
        guest_child_service("/volume", h, 5, SERVER_ID, argv, env);
    _exit(GUEST_EXIT_OWN);
}

static int open_disk(const struct sh_volume *v, size_t number, struct guest_error *e)
{
    char serial[24], path[48];
    snprintf(serial, sizeof(serial), SH_BOOT_VOLUME_SERIAL "%zu", number);
    if (guest_disk_find(serial, path, sizeof(path), e))
        return guest_fail(e, -ENODEV, "volume %s: the host brought no disk for it (-v %s:FILE)",
                          v->name, v->name);
    int fd = open(path, (v->read_only ? O_RDONLY : O_RDWR) | O_DIRECT | O_CLOEXEC);
    return fd < 0 ? guest_fail(e, -errno, "volume %s: its disk cannot be opened: %s", v->name,
                               strerror(errno))
                  : fd;
}

static int give_order(const struct sh_volume *v, const uint8_t *key, int fd)
{
    struct server_order o = {
        .read_only = v->read_only, .strict = v->strict, .pauses = v->pauses, .away = v->away};
    memcpy(o.key, key, sizeof(o.key));
    strncpy(o.name, v->name, sizeof(o.name) - 1);
    int rc = sh_write_all(fd, &o, sizeof(o));
    explicit_bzero(&o, sizeof(o));
    return rc;
}

int guest_volume_begin(struct guest *g, size_t number, const uint8_t *key, struct guest_error *e)
{
    const struct sh_volume *v = &g->config.settings.volumes[number];
    struct guest_volume *own = &g->volumes[number];
    int pair[2];
    GUEST_AUTOCLOSE int disk = open_disk(v, number, e);
    if (disk < 0)
        return disk;
    GUEST_AUTOCLOSE int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    int rc = fuse < 0 ? -errno : guest_mount_volume(g->root, v, fuse);
    own->root = rc ? -1 : guest_open_in(g->root, v->path, O_PATH | O_DIRECTORY);
    if (!rc && (own->root < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)))
        rc = own->root < 0 ? own->root : -errno;
    if (rc)
        return guest_fail(e, rc, "volume %s: cannot be mounted at %.100s: %s", v->name, v->path,
                          strerror(-rc));
    own->counts = memfd_create("counts", MFD_CLOEXEC);
    own->pid = fork();
    if (own->pid == 0)
        run_server(pair[1], disk, fuse, own);
    rc = own->pid < 0 ? -errno : give_order(v, key, pair[0]);
    close(pair[1]);
    guest_close(&own->anchor);
    own->control = pair[0];
    if (!rc)
        return pair[0];
    guest_close(&own->control);
    return guest_fail(e, rc, "volume %s: its server cannot be started: %s", v->name, strerror(-rc));
}

static bool any_server(const struct guest *g)
{
    for (size_t i = 0; i < SH_VOLUMES_MAX; i++)
        if (g->volumes[i].pid > 0)
            return true;
    return false;
}

bool guest_volumes_alone(const struct guest *g)
{
    for (size_t i = 0; i < SH_SESSION_MAX; i++)
        if (g->sessions[i].state != GUEST_UNUSED && g->sessions[i].pid > 0)
            return false;
    return any_server(g);
}

void guest_kill_rest(struct guest *g)
{
    if (!any_server(g)) {
        kill(-1, SIGKILL);
        return;
    }
    /* With the first of its PID namespace all of the image's programs go. The agent stays: the
     * servers ask the broker through it until they have closed. */
    for (size_t i = 0; i < SH_SESSION_MAX; i++)
        if (g->sessions[i].state != GUEST_UNUSED && g->sessions[i].pid > 0)
            kill(g->sessions[i].pid, SIGKILL);
    guest_volumes_hurry(g);
}

void guest_volumes_hurry(struct guest *g)
{
    for (size_t i = 0; i < SH_VOLUMES_MAX; i++)
        if (g->volumes[i].pid > 0 && g->volumes[i].control >= 0)
            shutdown(g->volumes[i].control, SHUT_WR);
}

size_t guest_volume_said(struct guest *g, size_t number, char line[GUEST_LINE])
{
    struct guest_volume *v = &g->volumes[number];
    char text[SERVER_LINE_MAX];
    ssize_t n = recv(v->control, text, sizeof(text), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        guest_close(&v->control);
        return 0;
    }
    return (size_t)snprintf(line, GUEST_LINE, "shelter: warning: volume %s: %.*s\n",
                            g->config.settings.volumes[number].name, (int)n, text);
}

bool guest_volume_reaped(struct guest *g, pid_t pid)
{
    for (size_t i = 0; i < SH_VOLUMES_MAX; i++) {
        if (g->volumes[i].pid != pid)
            continue;
        g->volumes[i].pid = 0;
        g->volumes[i].lost = true;
        return true;
    }
    return false;
}

static int close_one(struct guest_volume *v)
{
    char at[32];
    int status = 0;
    GUEST_AUTOCLOSE int dir = openat(v->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = v->lost || dir < 0 || syncfs(dir) ? -EIO : 0;
    guest_close(&dir);
    snprintf(at, sizeof(at), "/proc/self/fd/%d", v->root);
    if (umount2(at, MNT_DETACH))
        rc = -errno;
    guest_close(&v->root);
    guest_close(&v->control);
    guest_close(&v->counts);
    if (v->pid > 0 && (waitpid(v->pid, &status, 0) < 0 || status))
        rc = -EIO;
    v->pid = 0;
    return rc;
}

int guest_volumes_close(struct guest *g)
{
    int rc = 0;
    guest_volumes_hurry(g);
    for (size_t i = 0; i < SH_VOLUMES_MAX; i++) {
        struct guest_volume *v = &g->volumes[i];
        int one = v->pid > 0 || v->lost ? close_one(v) : 0;
        v->lost = false;
        rc = rc ? rc : one;
    }
    return rc;
}
