// SPDX-License-Identifier: Apache-2.0
// Namespaces, an empty root, users and Landlock: user_namespaces(7), pivot_root(2), landlock(7).
#include "host/base/walls_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
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
        [SH_WALL_FILES] = "a root of its own in a mount namespace",
        [SH_WALL_NETWORK] = "a network namespace",
        [SH_WALL_USER] = "an unprivileged user",
        [SH_WALL_LANDLOCK] = "Landlock",
        [SH_WALL_SECCOMP] = "a seccomp filter",
    };
    return names[wall];
}

void sh_wall_names(unsigned walls, char *out, size_t size)
{
    size_t at = 0;
    out[0] = 0;
    for (unsigned i = 0; i < SH_WALL_COUNT && at < size; i++) {
        if (walls >> i & 1)
            at += (size_t)snprintf(out + at, size - at, "%s%s", at ? ", " : "", sh_wall_name(i));
    }
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

/* In a new user namespace: the one user that it knows. */
static int map_user(uid_t uid, gid_t gid)
{
    (void)write_text("/proc/self/setgroups", "deny");
    int r = write_map("/proc/self/uid_map", uid);
    return r ? r : write_map("/proc/self/gid_map", gid);
}

int sh_wall_pids(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (!uid && !unshare(CLONE_NEWPID))
        return 0;
    return unshare(CLONE_NEWUSER | CLONE_NEWPID) ? -errno : map_user(uid, gid);
}

pid_t sh_wall_fork(const struct sh_cgroup *cgroup, unsigned *missing)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    pid_t pid = uid ? -1 : sh_cgroup_fork(cgroup, CLONE_NEWPID);
    *missing = 0;
    if (pid >= 0)
        return pid;
    pid = sh_cgroup_fork(cgroup, CLONE_NEWUSER | CLONE_NEWPID);
    if (pid < 0)
        pid = sh_cgroup_fork(cgroup, 0);
    else if (!pid && !map_user(uid, gid))
        return 0;
    *missing = 1u << SH_WALL_PIDS;
    return pid;
}

/* A file system without a file, over a folder that every system has, becomes the current folder. */
int sh_walls_enter_empty(unsigned long flags, const char *options)
{
    static const char *const places[] = {"/proc", "/dev", "/tmp"};
    int r = -ENOENT;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
        return -errno;
    for (size_t i = 0; r && i < sizeof(places) / sizeof(places[0]); i++)
        r = mount("none", places[i], "tmpfs", flags | MS_NOSUID | MS_NOEXEC, options) ||
                    chdir(places[i])
                ? -errno
                : 0;
    return r;
}

/* The current folder, where a file system is mounted. */
int sh_walls_become_root(void)
{
    return syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/") ? -errno : 0;
}

int sh_wall_files_begin(void)
{
    return unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) ? -errno : 0;
}

int sh_wall_files(void)
{
    int r = sh_walls_enter_empty(MS_RDONLY | MS_NODEV, "size=4k,mode=555");
    return r ? r : sh_walls_become_root();
}

int sh_wall_network(void)
{
    return unshare(CLONE_NEWNET) ? -errno : 0;
}

int sh_wall_capabilities(uint32_t kept)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct now[2] = {{0}};
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capget, &head, now))
        return -errno;
    kept &= now[0].permitted;
    struct __user_cap_data_struct left[2] = {{.permitted = kept, .effective = kept}};
    return syscall(SYS_capset, &head, left) ? -errno : 0;
}

int sh_wall_user(uid_t uid, gid_t gid, bool low_ports)
{
    int r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
    low_ports = low_ports && !geteuid();
    if (low_ports)
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    /* In a user namespace of ours there is nobody else to become. */
    if (!r && !geteuid() &&
        (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid)) &&
        errno != EINVAL && errno != EPERM)
        r = -errno;
    return r ? r : sh_wall_capabilities(low_ports ? 1u << CAP_NET_BIND_SERVICE : 0);
}

unsigned sh_walls_landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* its version */);
    return abi < 1 ? 0 : (unsigned)abi;
}

/* Rights of Landlock that this kernel has, one bit each; the first are those of files. */
static uint64_t file_rights(unsigned abi)
{
    static const unsigned counts[] = {0, 13, 14, 15, 15, 16};
    return (1u << counts[abi > 5 ? 5 : abi]) - 1;
}

/* A set of rules that allows nothing yet; a descriptor or -errno. */
static int make_rules(unsigned open, unsigned abi)
{
    /* The kernel's struct landlock_ruleset_attr, as it has grown. */
    struct {
        uint64_t files, network, scopes;
    } attr = {.files = file_rights(abi)};
    if (!abi)
        return -ENOSYS;
    if (abi >= 4 && !(open & SH_LANDLOCK_NETWORK))
        attr.network = 3; /* bind, connect */
    if (abi >= 6 && !(open & SH_LANDLOCK_SIGNALS))
        attr.scopes = 3; /* abstract unix sockets, signals */
    size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    return fd < 0 ? -errno : fd;
}

static int obey_rules(int fd)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_landlock_restrict_self, fd, 0)
               ? -errno
               : 0;
}

int sh_wall_landlock(bool network)
{
    cleanup_close int fd = make_rules(network ? SH_LANDLOCK_NETWORK : 0, sh_walls_landlock_abi());
    return fd < 0 ? fd : obey_rules(fd);
}

static int allow_entry(int rules, const struct sh_wall_entry *e, unsigned abi)
{
    enum { EXECUTE = 1, WRITE = 2, READ = 4, LIST = 8, NODES = 1 << 6 | 1 << 11, DEVICE = 1 << 15 };
    static const uint64_t rights[] = {
        [SH_WALL_READ] = EXECUTE | READ | LIST,
        [SH_WALL_WRITE] = UINT64_MAX & ~(uint64_t)(EXECUTE | NODES | DEVICE),
        [SH_WALL_DEVICE] = WRITE | READ | DEVICE,
    };
    const uint64_t of_files = EXECUTE | WRITE | READ | 1 << 14 | DEVICE;
    struct stat st;
    /* The kernel's struct landlock_path_beneath_attr. */
    struct __attribute__((packed)) {
        uint64_t rights;
        int32_t fd;
    } rule = {.rights = rights[e->right] & file_rights(abi)};
    cleanup_close int fd = open(e->path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (fstat(fd, &st))
        return -errno;
    if (!S_ISDIR(st.st_mode))
        rule.rights &= of_files;
    rule.fd = fd;
    return syscall(SYS_landlock_add_rule, rules, 1 /* a path and what is below */, &rule, 0)
               ? -errno
               : 0;
}

int sh_wall_landlock_view(const struct sh_wall_view *view, unsigned open)
{
    unsigned abi = sh_walls_landlock_abi();
    cleanup_close int rules = make_rules(open, abi);
    int r = rules < 0 ? rules : 0;
    for (size_t i = 0; !r && i < view->count; i++)
        r = allow_entry(rules, &view->entries[i], abi);
    return r ? r : obey_rules(rules);
}

static unsigned probe_inside(void)
{
    unsigned action = SECCOMP_RET_ERRNO, walls = 0;
    walls |= (unsigned)!sh_wall_network() << SH_WALL_NETWORK;
    walls |= (unsigned)(!sh_wall_files_begin() && !sh_wall_files()) << SH_WALL_FILES;
    walls |= (unsigned)!sh_wall_user(SH_WALL_UID_FIRST, SH_WALL_UID_FIRST, false) << SH_WALL_USER;
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

/* It cannot return with a shadow stack that knows no caller. */
static unsigned probe_shadow_stack(void)
{
    _exit(!sh_wall_shadow_stack());
}

bool sh_walls_have_shadow_stack(void)
{
    return probe_in_child(probe_shadow_stack);
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
