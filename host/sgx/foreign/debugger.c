// SPDX-License-Identifier: Apache-2.0
// What a debugger wants to find of the program: its auxiliary vector in /proc/PID/auxv, where else
// ours stands; and a debugger that cannot find it is told so.
#include "host/sgx/foreign/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* All of a small file of /proc as a string; false: it cannot be read. */
static bool read_text(const char *path, char *to, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, to, size - 1);
    if (fd >= 0)
        close(fd);
    to[n > 0 ? n : 0] = 0;
    return n > 0;
}

/* Field `number` of /proc/self/stat, counted from 1 as proc(5) does; from the third on. */
static uint64_t stat_field(const char *stat, int number)
{
    const char *p = strrchr(stat, ')');
    for (int i = 2; p != NULL && i < number; i++)
        p = strchr(p + 1, ' ');
    return p != NULL ? strtoull(p + 1, NULL, 10) : 0;
}

/* The kernel takes all of it or nothing, so the rest is what it has. A kernel that cannot leaves
 * the vector as it was, which only debuggers see. */
void fgn_show_auxiliary(const void *vector, size_t size)
{
    char stat[1024];
    if (!read_text("/proc/self/stat", stat, sizeof(stat)))
        return;
    struct prctl_mm_map map = {
        .start_code = stat_field(stat, 26),
        .end_code = stat_field(stat, 27),
        .start_data = stat_field(stat, 45),
        .end_data = stat_field(stat, 46),
        .start_brk = stat_field(stat, 47),
        .brk = (uint64_t)fgn_raw3(SYS_brk, 0, 0, 0),
        .start_stack = stat_field(stat, 28),
        .arg_start = stat_field(stat, 48),
        .arg_end = stat_field(stat, 49),
        .env_start = stat_field(stat, 50),
        .env_end = stat_field(stat, 51),
        .auxv = (void *)vector,
        .auxv_size = (uint32_t)size,
        .exe_fd = (uint32_t)-1,
    };
    (void)prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0);
}

/* gdb looks at what it has started before there is the program's file at all. */
bool fgn_started_by_gdb(void)
{
    char status[4096], path[64], name[32];
    const char *tracer = read_text("/proc/self/status", status, sizeof(status))
                             ? strstr(status, "\nTracerPid:")
                             : NULL;
    if (tracer == NULL || !fgn_options.filtered)
        return false; /* a gdb that is not below us has started `shelter` itself */
    snprintf(path, sizeof(path), "/proc/%d/comm", atoi(tracer + 11));
    return read_text(path, name, sizeof(name)) && strcmp(name, "gdb\n") == 0;
}
