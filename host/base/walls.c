// SPDX-License-Identifier: Apache-2.0
// Namespaces, an empty root, users and Landlock: user_namespaces(7), pivot_root(2), landlock(7).
#include "host/base/walls.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/seccomp.h>

#include "host/base/util.h"

const char *sh_wall_name(enum sh_wall wall)
{
    static const char *const names[SH_WALL_COUNT] = {
        [SH_WALL_PIDS] = "a PID namespace",
        [SH_WALL_FILES] = "an empty root in a mount namespace",
        [SH_WALL_USER] = "an unprivileged user",
        [SH_WALL_LANDLOCK] = "Landlock",
        [SH_WALL_SECCOMP] = "a seccomp filter",
    };
    return names[wall];
}

static int write_text(const char *path, const char *text)
{
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -errno : sh_write_all(fd, text, strlen(text));
}

static int write_map(const char *path, unsigned id)
{
    char text[40];
    snprintf(text, sizeof(text), "%u %u 1\n", id, id);
    return write_text(path, text);
}

int sh_wall_pids(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (!uid && !unshare(CLONE_NEWPID))
        return 0;
    if (unshare(CLONE_NEWUSER | CLONE_NEWPID))
        return -errno;
    (void)write_text("/proc/self/setgroups", "deny");
    int r = write_map("/proc/self/uid_map", uid);
    return r ? r : write_map("/proc/self/gid_map", gid);
}

/* A read-only file system without a file, over a folder that every system has, becomes the root. */
static int empty_root(void)
{
    static const char *const places[] = {"/proc", "/dev", "/tmp"};
    int r = -ENOENT;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
        return -errno;
    for (size_t i = 0; r && i < sizeof(places) / sizeof(places[0]); i++)
        r = mount("none", places[i], "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
                  "size=4k,mode=555") ||
                    chdir(places[i])
                ? -errno
                : 0;
    if (!r && (syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/")))
        r = -errno;
    return r;
}

int sh_wall_files(bool network)
{
    int own = CLONE_NEWNS | CLONE_NEWIPC | (network ? 0 : CLONE_NEWNET);
    return unshare(own) ? -errno : empty_root();
}

int sh_wall_user(unsigned number)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    uid_t id = SH_WALL_UID_FIRST + number;
    int r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
    /* In a user namespace of ours there is nobody else to become. */
    if (!r && !geteuid() &&
        (setgroups(0, NULL) || setresgid(id, id, id) || setresuid(id, id, id)) && errno != EINVAL &&
        errno != EPERM)
        r = -errno;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return !r && syscall(SYS_capset, &head, none) ? -errno : r;
}

int sh_wall_landlock(bool network)
{
    /* The kernel's struct landlock_ruleset_attr, as it has grown. */
    struct {
        uint64_t files, network, scopes;
    } attr = {0};
    static const unsigned file_rights[] = {0, 13, 14, 15, 15, 16};
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* its version */);
    if (abi < 1)
        return abi < 0 ? -errno : -ENOSYS;
    attr.files = (1u << file_rights[abi > 5 ? 5 : abi]) - 1;
    if (abi >= 4 && !network)
        attr.network = 3; /* bind, connect */
    if (abi >= 6)
        attr.scopes = 3; /* abstract unix sockets, signals */
    size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    cleanup_close int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (fd < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        syscall(SYS_landlock_restrict_self, fd, 0))
        return -errno;
    return 0;
}

static unsigned probe_inside(void)
{
    unsigned action = SECCOMP_RET_ERRNO, walls = 0;
    walls |= (unsigned)!sh_wall_files(true) << SH_WALL_FILES;
    walls |= (unsigned)!sh_wall_user(0) << SH_WALL_USER;
    walls |= (unsigned)!sh_wall_landlock(true) << SH_WALL_LANDLOCK;
    walls |= (unsigned)!syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action)
             << SH_WALL_SECCOMP;
    return walls;
}

/* The exit status of a child that runs `probe`; 0 if there is none. */
static unsigned probe_in_child(unsigned (*probe)(void))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit((int)probe());
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status)
               ? (unsigned)WEXITSTATUS(status)
               : 0;
}

static unsigned probe_all(void)
{
    unsigned walls = (unsigned)!sh_wall_pids() << SH_WALL_PIDS;
    return walls | probe_in_child(probe_inside);
}

unsigned sh_walls_probe(void)
{
    return probe_in_child(probe_all);
}
