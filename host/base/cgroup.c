// SPDX-License-Identifier: Apache-2.0
// A cgroup for one child: cgroups(7), cgroup_namespaces(7). /proc/self/cgroup has a line a
// hierarchy: NUMBER:CONTROLLERS:PATH, without controllers for version 2.
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

/* Controllers of version 1, where version 2 has not taken them over. */
static const struct {
    const char *name, *limit, *limit2;
} controllers[SH_CGROUP_OLDER] = {
    {"memory", "memory.limit_in_bytes", "memory.max"},
    {"pids", "pids.max", "pids.max"},
};

/* The caller's own for that controller, "" for version 2; owned by the caller; NULL: there is none.
 */
static char *find_own(const char *controller)
{
    struct stat st;
    char line[4096];
    bool alone = !stat(ROOT "/cgroup.procs", &st);
    cleanup_fclose FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = 0;
        char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        if (!strcmp(list + 1, controller))
            return sh_format(ROOT "/%s%s",
                             *controller ? controller
                             : alone     ? "."
                                         : "unified",
                             strcmp(path, "/") ? path : "");
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
static bool set_limit(const char *folder, const char *name, uint64_t limit)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)limit);
    return !write_file(folder, name, text);
}

/* A folder for the limit that version 2 could not set; NULL: nor can version 1. */
static char *make_older(size_t i, const char *name, uint64_t limit)
{
    cleanup_free char *own = find_own(controllers[i].name);
    cleanup_free char *folder = own ? sh_format("%s/shelter-%s", own, name) : NULL;
    if (!folder || (mkdir(folder, 0755) && errno != EEXIST))
        return NULL;
    if (set_limit(folder, controllers[i].limit, limit))
        return sh_take_ptr(folder);
    rmdir(folder);
    return NULL;
}

bool sh_cgroup_make(struct sh_cgroup *c, const char *name, uint64_t memory, uint64_t threads)
{
    const uint64_t limits[SH_CGROUP_OLDER] = {memory, threads};
    cleanup_free char *own = find_own("");
    cleanup_free char *folder = own ? sh_format("%s/shelter-%s", own, name) : NULL;
    *c = (struct sh_cgroup){.fd = -1};
    if (!folder || (mkdir(folder, 0755) && errno != EEXIST))
        return false;
    c->fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->fd < 0)
        return false;
    /* Refused where processes stand beside it; then it has no limits. */
    (void)write_file(own, "cgroup.subtree_control", "+pids +memory");
    c->limited = true;
    for (size_t i = 0; i < SH_CGROUP_OLDER; i++) {
        if (!set_limit(folder, controllers[i].limit2, limits[i]))
            c->limited &= (c->older[i] = make_older(i, name, limits[i])) != NULL;
    }
    c->folder = sh_take_ptr(folder);
    return true;
}

/* Three times, since what is not there yet may start others meanwhile. */
static void *move_to_older(void *cgroup)
{
    const struct sh_cgroup *c = cgroup;
    char line[24];
    cleanup_free char *path = sh_format("%s/cgroup.procs", c->folder);
    for (unsigned round = 0; round < 3; round++) {
        cleanup_fclose FILE *f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f)) {
            for (size_t i = 0; i < SH_CGROUP_OLDER; i++) {
                if (c->older[i])
                    (void)write_file(c->older[i], "cgroup.procs", line);
            }
        }
    }
    return NULL;
}

void sh_cgroup_settle(struct sh_cgroup *c)
{
    if (c->older[0] || c->older[1])
        c->moving = !sh_thread_start(&c->mover, move_to_older, c);
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
    if (c->moving)
        pthread_join(c->mover, NULL);
    (void)write_file(c->folder, "cgroup.kill", "1"); /* Linux 5.14 */
    for (unsigned k = 0; k < 500 && rmdir(c->folder) && errno == EBUSY; k++)
        nanosleep(&pause, NULL);
    for (size_t i = 0; i < SH_CGROUP_OLDER; i++) {
        for (unsigned k = 0; c->older[i] && k < 50 && rmdir(c->older[i]) && errno == EBUSY; k++)
            nanosleep(&pause, NULL);
        free(c->older[i]);
    }
    close(c->fd);
    free(c->folder);
    *c = (struct sh_cgroup){.fd = -1};
}

void sh_cgroup_forget(const char *name)
{
    for (size_t i = 0; i <= SH_CGROUP_OLDER; i++) {
        cleanup_free char *own = find_own(i < SH_CGROUP_OLDER ? controllers[i].name : "");
        cleanup_free char *folder = own ? sh_format("%s/shelter-%s", own, name) : NULL;
        if (folder)
            (void)rmdir(folder);
    }
}
