// SPDX-License-Identifier: Apache-2.0
// Walls between this machine and a process that runs what a stranger wrote: namespaces, a root with
// nothing or with little in it, no rights, Landlock. Each is raised by the process itself, before
// it has a second thread, and can never be taken down again. A call that fails has raised nothing;
// the process may go on behind the others.
#ifndef HOST_BASE_WALLS_H
#define HOST_BASE_WALLS_H

#include <stdbool.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include "host/base/cgroup.h"
#include "host/base/error.h"

/* In the order in which they are to be raised. */
enum sh_wall {
    SH_WALL_PIDS,     /* processes outside have no number in it */
    SH_WALL_FILES,    /* a root of its own in a mount namespace; System V IPC likewise */
    SH_WALL_NETWORK,  /* a network namespace of its own */
    SH_WALL_USER,     /* no user that owns anything, or at least no capability */
    SH_WALL_LANDLOCK, /* no file can be opened that is not named, nobody outside be signalled */
    SH_WALL_SECCOMP,  /* the system calls on a list (each program has its own) */
    SH_WALL_COUNT,
};

/* "a PID namespace", ...: what a user reads. */
const char *sh_wall_name(enum sh_wall wall);

/* The names of those in `walls` (bit n: wall n), with commas. */
void sh_wall_names(unsigned walls, char *out, size_t size);

/* As the ordinary user: a user namespace that maps only this user; as root: none. Then children,
 * from the next fork on, are in a PID namespace. The caller can start no threads any more. 0 or
 * -errno. */
int sh_wall_pids(void);

/* fork whose child is in the namespaces of sh_wall_pids from the start, process 1 of its own, and
 * in `cgroup` (or NULL). In the child *missing says SH_WALL_PIDS (as a bit) if that failed and it
 * is an ordinary child. */
pid_t sh_wall_fork(const struct sh_cgroup *cgroup, unsigned *missing);

/* Everything that is open stays so. For a caller with capabilities: root, or behind sh_wall_pids.
 */
int sh_wall_files_begin(void); /* the namespaces, where everything is still seen */
int sh_wall_files(void);   /* an empty root, for all processes of the namespace that stand at "/" */
int sh_wall_network(void); /* nothing in it, not even loopback */

/* Root becomes that user and group, with no other group; the capabilities of everybody go, and no
 * program that is executed can bring them back. `low_ports`: root keeps the one to bind ports below
 * 1024. */
int sh_wall_user(uid_t uid, gid_t gid, bool low_ports);
#define SH_WALL_UID_FIRST 0x70000000u /* + a number that no other run has now */

/* Who it is stays; of what it may do as root, no more than `kept` (bit n: capability n). */
int sh_wall_capabilities(uint32_t kept);

/* Also TCP, where `network` is false and Linux is 6.7 or newer. */
int sh_wall_landlock(bool network);

/* From now on the processor keeps return addresses a second time, where nothing can overwrite them,
 * and a return to anywhere else ends the process (x86 CET, Linux 6.6; arch_prctl(2)). For this
 * thread and those that it starts. Inline, since what called before may not return any more: its
 * caller must be the last that would. 0, or -errno: -EINVAL or -EOPNOTSUPP where there is no such
 * thing. */
static inline __attribute__((always_inline)) int sh_wall_shadow_stack(void)
{
    long r = SYS_arch_prctl;
    __asm__ volatile("syscall"
                     : "+a"(r)
                     : "D"(0x5001L /* ARCH_SHSTK_ENABLE */), "S"(1L /* ARCH_SHSTK_SHSTK */)
                     : "rcx", "r11", "memory");
    return (int)r;
}

/* --- a program that needs files: what it sees of this machine's, under their own names --- */

enum sh_wall_right {
    SH_WALL_READ,   /* a file or folder: read, list, execute */
    SH_WALL_WRITE,  /* likewise written, not executed; device nodes are nothing there */
    SH_WALL_DEVICE, /* a device */
};

struct sh_wall_entry {
    char *path; /* absolute */
    enum sh_wall_right right;
};

struct sh_wall_view {
    struct sh_wall_entry *entries; /* owned, as are the paths */
    size_t count;
};

/* What is not there is left out. Of two entries about one place the later one counts. */
void sh_wall_view_add(struct sh_wall_view *view, const char *path, enum sh_wall_right right);
/* Where programs, their libraries and data are, /dev/null and the like, /proc/self. */
void sh_wall_view_add_system(struct sh_wall_view *view);
void sh_wall_view_free(struct sh_wall_view *view);

/* Root's servers of folders that a stranger's program may write to are whoever owns these folders:
 * into *uid and *gid, which stay as they are where that is root, or several. */
void sh_wall_owner_of(const char *const *folders, size_t count, uid_t *uid, gid_t *gid);

/* As sh_wall_files and sh_wall_landlock, but for the view. Where root calls it, devices are
 * nodes of its own that belong to `owner`, who it will be. */
int sh_wall_files_view(const struct sh_wall_view *view, uid_t owner);
int sh_wall_landlock_view(const struct sh_wall_view *view, unsigned open);
#define SH_LANDLOCK_NETWORK 1u /* in `open`: TCP stays */
#define SH_LANDLOCK_SIGNALS 2u /* signals to processes outside stay, and abstract sockets */

/* A filter for a program that is not ours and whose calls nobody has listed: refused is what it
 * never needs and what leads out (other processes, mounts, namespaces, keys, modules, tracing,
 * set-user-ID and set-group-ID bits, device nodes, typing into terminals). */
int sh_wall_seccomp_foreign(void);

/* Raises one after the other in a child, to find out. Bit n: wall n. */
unsigned sh_walls_probe(void);

bool sh_walls_have_shadow_stack(void);

/* The version of Landlock's ABI; 0: there is none. */
unsigned sh_walls_landlock_abi(void);

#endif
