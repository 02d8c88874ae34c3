// SPDX-License-Identifier: Apache-2.0
// /container of the confidential VM's initramfs: containers of a pod that share this machine.
//
// They share the network, /dev (so /dev/shm and terminals), /sys, the secrets and what the image
// mounts below their folders; each has processes, root and mounts of its own. A container's files
// begin anew with each start: its root is an overlay of the image's folder and of memory that goes
// with its mount namespace.
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <shelter/agent.h>

#include "trusted/guest/serve.h"
#include "trusted/guest/start/start.h"

#define TTY_GROUP 5 /* as devpts is mounted */

static void expect_done(int rc, const char *what, const char *name)
{
    if (rc)
        start_give_up(GUEST_EXIT_OWN, what, name, rc < -1 ? rc : -errno);
}

/* A pod's first process: of its PID namespace too, so what it does not take does nothing. */
static __attribute__((noreturn)) void wait_for_end(void)
{
    int number;
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGCHLD);
    sigprocmask(SIG_BLOCK, &all, NULL);
    signal(SIGCHLD, SIG_IGN);
    close(START_STATUS_FD);
    sigwait(&all, &number);
    _exit(0);
}

/* --- a root of its own --- */

/* What stands at `path` in the workload's root, with all that is mounted there, at `to` in ours.
 * What is not there is passed over. */
static void show_place(int whole, const char *path, int root, const char *to)
{
    char from[32], at[32];
    struct stat st;
    GUEST_AUTOCLOSE int fd = guest_open_in(whole, path, O_PATH);
    if (fd == -ENOENT)
        return;
    expect_done(fd < 0 ? fd : fstat(fd, &st), "cannot open", path);
    if (!S_ISDIR(st.st_mode)) {
        char *slash = strrchr(to, '/');
        char folder[64];
        snprintf(folder, sizeof(folder), "%.*s", (int)(slash - to), to);
        expect_done(guest_write_in(root, folder, slash + 1, ""), "cannot make", to);
    }
    GUEST_AUTOCLOSE int place =
        S_ISDIR(st.st_mode) ? guest_mkdir_in(root, to) : guest_open_in(root, to, O_PATH);
    expect_done(place < 0 ? place : 0, "cannot make", to);
    snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
    snprintf(at, sizeof(at), "/proc/self/fd/%d", place);
    expect_done(mount(from, at, NULL, MS_BIND | MS_REC, NULL), "cannot show", path);
}

/* Folder of the image below, memory above: mounted at /empty, which is nobody's in this namespace.
 */
static int mount_overlay(const char *name, const char *share)
{
    char lower[128], options[200], size[48];
    struct stat st;
    snprintf(lower, sizeof(lower), "/lower" SH_CONTAINERS_DIR "/%s", name);
    snprintf(size, sizeof(size), "mode=755,size=%s%%", share);
    snprintf(options, sizeof(options), "lowerdir=%s,upperdir=/upper/data,workdir=/upper/work",
             lower);
    expect_done(stat(lower, &st), "the image has no root of container", name);
    expect_done(mount("tmpfs", "/upper", "tmpfs", MS_NODEV, size), "cannot mount", "memory");
    expect_done(mkdir("/upper/data", 0755) || mkdir("/upper/work", 0755) ||
                    chmod("/upper/data", st.st_mode & 07777) ||
                    chown("/upper/data", st.st_uid, st.st_gid),
                "cannot make", "the root");
    expect_done(mount("overlay", "/empty", "overlay", MS_NODEV, options),
                "cannot mount the root of", name);
    int root = open("/empty", O_PATH | O_DIRECTORY | O_CLOEXEC);
    expect_done(root < 0 ? -errno : 0, "cannot open the root of", name);
    return root;
}

/* The mount at `root` becomes this namespace's "/": what is below it can no longer be named. We
 * are in it as ".": until chroot our "/" is what is below. */
static void move_root(int root)
{
    expect_done(fchdir(root) || mount(".", "/", NULL, MS_MOVE, NULL), "cannot move", "the root");
}

/* \040 in mountinfo (proc(5)) is a blank. */
static void unescape_text(char *text)
{
    char *to = text;
    for (; *text; text++)
        if (*text == '\\' && text[1] && text[2] && text[3]) {
            *to++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
            text += 3;
        } else {
            *to++ = *text;
        }
    *to = 0;
}

/* Is it the image's own, and all containers'? */
static bool is_common(const char *place)
{
    static const char *const others[] = {"/dev",         "/sys",          "/proc",
                                         SH_SECRETS_DIR, SH_IDENTITY_DIR, SH_CONTAINERS_DIR};
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        size_t n = strlen(others[i]);
        if (!strncmp(place, others[i], n) && (!place[n] || place[n] == '/'))
            return false;
    }
    return *place == '/';
}

/* Volumes, data and memory that the image has in the container's folder, or for all. */
static void show_mounts(int whole, const char *name, int root)
{
    static char line[3 * 4096], place[4096];
    char head[sizeof("/root" SH_CONTAINERS_DIR) + SH_VOLUME_NAME_MAX + 2];
    int n = snprintf(head, sizeof(head), "/root" SH_CONTAINERS_DIR "/%s/", name);
    FILE *f = fopen("/proc/self/mountinfo", "re");
    expect_done(f ? 0 : -errno, "cannot read", "the mounts");
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%*s %*s %*s %*s %4095s", place) != 1)
            continue;
        unescape_text(place);
        const char *inside = place + sizeof("/root") - 1;
        if (!strncmp(place, head, (size_t)n))
            show_place(whole, inside, root, place + n - 1);
        else if (!strncmp(place, "/root/", 6) && is_common(inside))
            show_place(whole, inside, root, inside);
    }
    fclose(f);
}

/* argv: NAME SHARE BOUNDS USER DIR. */
static char **begin_container(char **argv, int *root)
{
    static const char *const shared[] = {
        "/dev",         "/sys",         "/etc/hostname", "/etc/hosts", "/etc/resolv.conf",
        SH_SECRETS_DIR, SH_IDENTITY_DIR};
    const char *name = argv[0];
    struct statvfs all;
    bool read_only = start_group_begin(name, argv[2]);
    expect_done(statvfs("/root", &all), "cannot look at", "the workload's root");
    read_only |= (all.f_flag & ST_RDONLY) != 0;
    expect_done(unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL),
                "cannot make a mount namespace for", name);
    GUEST_AUTOCLOSE int whole = open("/root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    expect_done(whole < 0 ? -errno : 0, "cannot open", "the workload's root");
    *root = mount_overlay(name, argv[1]);
    for (size_t i = 0; i < sizeof(shared) / sizeof(*shared); i++)
        show_place(whole, shared[i], *root, shared[i]);
    expect_done(guest_mount_proc(*root), "cannot mount", "/proc");
    show_mounts(whole, name, *root);
    GUEST_AUTOCLOSE int dir = guest_mkdir_in(*root, argv[4]);
    expect_done(dir < 0 ? dir : 0, "cannot make the working directory", argv[4]);
    move_root(*root);
    expect_done(read_only &&
                    mount(NULL, ".", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV, NULL),
                "cannot make read-only", "the root");
    return argv + 5;
}

/* argv: PID USER DIR. */
static char **join_container(char **argv, int *root)
{
    char path[40];
    start_group_join(argv[0]);
    snprintf(path, sizeof(path), "/proc/%.10s/ns/mnt", argv[0]);
    GUEST_AUTOCLOSE int mounts = open(path, O_RDONLY | O_CLOEXEC);
    expect_done(mounts < 0 || setns(mounts, CLONE_NEWNS), "cannot join", "the container");
    *root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    expect_done(*root < 0 ? -errno : 0, "cannot open", "the container's root");
    return argv + 3;
}

/* --- as its user --- */

/* In the container's root, with a container's rights: who is meant, by the files there. */
static void become_user(const char *spec, const char *workdir)
{
    static struct sh_user u;
    struct guest_error e;
    struct stat st;
    GUEST_AUTOCLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || guest_user_find(&u, root, spec, &e)) {
        (void)!write(START_STATUS_FD, &e, sizeof(e));
        _exit(GUEST_EXIT_OWN);
    }
    for (int i = 0; i < 3; i++) /* so that /dev/stdout can be opened by name */
        if (!fstat(i, &st) && (S_ISFIFO(st.st_mode) || isatty(i)))
            expect_done(fchown(i, u.uid, isatty(i) ? TTY_GROUP : u.gid), "cannot own", "stdio");
    expect_done(setgroups(u.group_count, u.groups) || setresgid(u.gid, u.gid, u.gid) ||
                    setresuid(u.uid, u.uid, u.uid),
                "cannot become", spec);
    if (!getenv("HOME"))
        setenv("HOME", u.home, 1);
    if (chdir(workdir))
        start_give_up(126, "cannot go to directory", workdir, -errno);
}

int main(int argc, char **argv)
{
    extern char **environ;
    struct sh_user first = {.group_count = 1};
    int root = -1;
    umask(022);
    if (argc < 2 || fcntl(START_STATUS_FD, F_SETFD, FD_CLOEXEC))
        return GUEST_EXIT_OWN;
    if (!strcmp(argv[1], "pause"))
        wait_for_end();
    if (argc > 2 && !strcmp(argv[1], "count")) {
        start_group_count(argv[2]);
        return fflush(stdout) ? GUEST_EXIT_OWN : 0;
    }
    bool joins = !strcmp(argv[1], "join");
    char **program = joins ? join_container(argv + 2, &root) : begin_container(argv + 2, &root);
    expect_done(guest_child_enter(root, &first), "cannot enter", "the container");
    close(root);
    become_user(argv[joins ? 3 : 5], argv[joins ? 4 : 6]);
    start_run(program, environ);
}
