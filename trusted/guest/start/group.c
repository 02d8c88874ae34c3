// SPDX-License-Identifier: Apache-2.0
// A container's control group: what it uses is counted there, and bounded. The hierarchy is mounted
// nowhere: a descriptor of it is enough, and no program can name it.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/mount.h>

#include <shelter/channel.h>

#include "lib/number.h"
#include "trusted/guest/guest.h"
#include "trusted/guest/start/start.h"

#define GROUP "shelter." /* before a container's name: the kernel's own files have other names */

static void expect_group(bool done, const char *what)
{
    if (!done)
        start_give_up(GUEST_EXIT_OWN, "cannot use the control group's", what, -errno);
}

static int open_hierarchy(void)
{
    GUEST_AUTOCLOSE int fs = (int)syscall(SYS_fsopen, "cgroup2", FSOPEN_CLOEXEC);
    expect_group(fs >= 0 && !syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), "root");
    int root = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
    expect_group(root >= 0, "root");
    return root;
}

/* "" where it cannot be read. */
static void read_text(int folder, const char *file, char *text, size_t size)
{
    GUEST_AUTOCLOSE int fd = openat(folder, file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : sh_read_up_to(fd, text, size - 1);
    text[n > 0 ? n : 0] = 0;
}

static void write_file(int group, const char *file, const char *text)
{
    GUEST_AUTOCLOSE int fd = openat(group, file, O_WRONLY | O_CLOEXEC);
    ssize_t size = (ssize_t)strlen(text);
    expect_group(fd >= 0 && write(fd, text, (size_t)size) == size, file);
}

/* The host's number: digits, and nothing else. */
static void write_bound(int group, const char *file, const char *digits)
{
    uint64_t number;
    if (sh_parse_number(digits, 1, INT64_MAX, &number))
        start_give_up(GUEST_EXIT_OWN, "no bound of a container", digits, -EINVAL);
    write_file(group, file, digits);
}

bool start_group_begin(const char *name, char *bounds)
{
    char path[sizeof(GROUP) + 256], *rest = NULL;
    bool read_only = false;
    GUEST_AUTOCLOSE int root = open_hierarchy();
    write_file(root, "cgroup.subtree_control", "+memory +pids");
    snprintf(path, sizeof(path), GROUP "%s", name);
    (void)unlinkat(root, path, AT_REMOVEDIR); /* so that nothing of an earlier start is counted */
    expect_group(!mkdirat(root, path, 0700) || errno == EEXIST, "folder");
    GUEST_AUTOCLOSE int group = openat(root, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    expect_group(group >= 0, "folder");
    write_file(group, "memory.oom.group",
               "1"); /* never a part of it, which the host could choose */
    for (char *word = strtok_r(bounds, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        if (!strcmp(word, SH_BOUND_READ_ONLY))
            read_only = true;
        else if (!strncmp(word, SH_BOUND_MEMORY, sizeof(SH_BOUND_MEMORY) - 1))
            write_bound(group, "memory.max", word + sizeof(SH_BOUND_MEMORY) - 1);
        else if (!strncmp(word, SH_BOUND_PIDS, sizeof(SH_BOUND_PIDS) - 1))
            write_bound(group, "pids.max", word + sizeof(SH_BOUND_PIDS) - 1);
        else
            start_give_up(GUEST_EXIT_OWN, "no bound of a container", word, -EINVAL);
    }
    write_file(group, "cgroup.procs", "0");
    return read_only;
}

/* "0::/shelter.NAME" is what /proc says of a container's process. */
static int open_group(const char *pid)
{
    char path[40], text[512];
    snprintf(path, sizeof(path), "/proc/%.10s/cgroup", pid);
    read_text(AT_FDCWD, path, text, sizeof(text));
    text[strcspn(text, "\n")] = 0;
    bool known = !strncmp(text, "0::/" GROUP, sizeof("0::/" GROUP) - 1);
    GUEST_AUTOCLOSE int root = open_hierarchy();
    int group = known ? openat(root, text + 4, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    expect_group(group >= 0, "folder");
    return group;
}

void start_group_join(const char *pid)
{
    GUEST_AUTOCLOSE int group = open_group(pid);
    write_file(group, "cgroup.procs", "0");
}

/* The number behind `key` in a file, or the file's own (key ""); -1: none, "max" too. */
static int64_t read_count(int group, const char *file, const char *key)
{
    char text[4096];
    int64_t number = -1;
    read_text(group, file, text, sizeof(text));
    const char *at = strstr(text, key);
    return at && sscanf(at + strlen(key), "%" SCNd64, &number) == 1 ? number : -1;
}

void start_group_count(const char *pid)
{
    GUEST_AUTOCLOSE int group = open_group(pid);
    const struct {
        const char *name, *file, *key;
        int64_t unit;
    } counts[] = {
        {"memory_bytes", "memory.current", "", 1},   {"memory_peak_bytes", "memory.peak", "", 1},
        {"memory_limit_bytes", "memory.max", "", 1}, {"cpu_ns", "cpu.stat", "usage_usec ", 1000},
        {"processes", "pids.current", "", 1},
    };
    const char *between = "{";
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        int64_t count = read_count(group, counts[i].file, counts[i].key);
        if (count < 0)
            continue;
        printf("%s\"%s\": %" PRId64, between, counts[i].name, count * counts[i].unit);
        between = ", ";
    }
    puts(*between == '{' ? "{}" : "}");
}
