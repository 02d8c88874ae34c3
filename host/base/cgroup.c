// SPDX-License-Identifier: Apache-2.0
// A cgroup for one child: cgroups(7), cgroup_namespaces(7).
#include "host/base/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROOT "/sys/fs/cgroup"

/* The folder of a line "number:controllers:path" of /proc/self/cgroup; owned by the caller; NULL:
 * of no interest. */
static char *folder_of(char *line)
{
    struct stat st;
    line[strcspn(line, "\n")] = 0;
    char *controllers = strchr(line, ':'),
         *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path)
        return NULL;
    *path++ = 0;
    controllers++;
    if (!strcmp(path, "/"))
        path = "";
    if (!*controllers) { /* version 2, alone or beside version 1 */
        bool alone = !stat(ROOT "/cgroup.procs", &st);
        return sh_format("%s%s", alone ? ROOT : ROOT "/unified", path);
    }
    if (strcmp(controllers, "pids") && strcmp(controllers, "memory"))
        return NULL;
    return sh_format(ROOT "/%s%s", controllers, path);
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
    if (limit)
        (void)write_file(folder, name, text);
}

bool sh_cgroup_make(struct sh_cgroup *c, const char *name, uint64_t memory, uint64_t threads)
{
    char line[4096];
    cleanup_fclose FILE *f = fopen("/proc/self/cgroup", "re");
    *c = (struct sh_cgroup){0};
    while (f && fgets(line, sizeof(line), f)) {
        cleanup_free char *own = folder_of(line);
        cleanup_free char *folder = own ? sh_format("%s/shelter-%s", own, name) : NULL;
        if (!folder)
            continue;
        /* Refused where processes are beside it; then it has no limits. */
        (void)write_file(own, "cgroup.subtree_control", "+pids +memory");
        if (mkdir(folder, 0755) && errno != EEXIST)
            continue;
        set_limit(folder, "memory.max", memory);
        set_limit(folder, "memory.limit_in_bytes", memory);
        set_limit(folder, "pids.max", threads);
        sh_strings_add(&c->folders, folder);
    }
    return c->folders.count;
}

int sh_cgroup_enter(const struct sh_cgroup *c)
{
    int r = 0;
    for (size_t i = 0; i < c->folders.count; i++) {
        int one = write_file(c->folders.v[i], "cgroup.procs", "0");
        r = r ? r : one;
    }
    return r;
}

void sh_cgroup_remove(struct sh_cgroup *c)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    for (size_t i = 0; i < c->folders.count; i++) {
        (void)write_file(c->folders.v[i], "cgroup.kill", "1"); /* version 2, Linux 5.14 */
        for (unsigned k = 0; k < 500 && rmdir(c->folders.v[i]) && errno == EBUSY; k++)
            nanosleep(&pause, NULL);
    }
    sh_strings_free(&c->folders);
}
