// SPDX-License-Identifier: Apache-2.0
// A cgroup for one child: cgroups(7), cgroup_namespaces(7).
#include "host/base/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/sched.h>

#include "host/base/util.h"

#define ROOT "/sys/fs/cgroup"

/* The caller's own; owned by the caller; NULL: version 2 is not mounted. */
static char *find_own(void)
{
    struct stat st;
    char line[4096];
    bool alone = !stat(ROOT "/cgroup.procs", &st);
    cleanup_fclose FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "0::", 3))
            return sh_format("%s%s", alone ? ROOT : ROOT "/unified",
                             strcmp(line + 3, "/") ? line + 3 : "");
    }
    return NULL;
}

static int write_file(const char *folder, const char *name, const char *text)
{
    cleanup_free char *path = sh_format("%s/%s", folder, name);
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -errno : sh_write_all(fd, text, strlen(text));
}

/* Where there is no such controller, there is no such file. */
static void set_limit(const char *folder, const char *name, uint64_t limit)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)limit);
    (void)write_file(folder, name, text);
}

bool sh_cgroup_make(struct sh_cgroup *c, const char *name, uint64_t memory, uint64_t threads)
{
    cleanup_free char *own = find_own();
    cleanup_free char *folder = own ? sh_format("%s/shelter-%s", own, name) : NULL;
    *c = (struct sh_cgroup){.fd = -1};
    if (!folder || (mkdir(folder, 0755) && errno != EEXIST))
        return false;
    c->fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->fd < 0)
        return false;
    /* Refused where processes stand beside it; then it has no limits. */
    (void)write_file(own, "cgroup.subtree_control", "+pids +memory");
    set_limit(folder, "memory.max", memory);
    set_limit(folder, "pids.max", threads);
    c->folder = sh_take_ptr(folder);
    return true;
}

pid_t sh_cgroup_fork(const struct sh_cgroup *c, uint64_t flags)
{
    struct clone_args a = {.flags = flags, .exit_signal = SIGCHLD};
    if (c && c->fd >= 0) {
        a.flags |= CLONE_INTO_CGROUP;
        a.cgroup = (uint64_t)c->fd;
        pid_t pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
        if (pid >= 0)
            return pid;
    }
    return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

void sh_cgroup_remove(struct sh_cgroup *c)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    if (!c->folder)
        return;
    (void)write_file(c->folder, "cgroup.kill", "1"); /* Linux 5.14 */
    for (unsigned k = 0; k < 500 && rmdir(c->folder) && errno == EBUSY; k++)
        nanosleep(&pause, NULL);
    close(c->fd);
    free(c->folder);
    *c = (struct sh_cgroup){.fd = -1};
}
