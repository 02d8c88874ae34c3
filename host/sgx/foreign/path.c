// SPDX-License-Identifier: Apache-2.0
// Files that the program sees otherwise: the devices, and /proc/self/exe, which would be us.
#include "host/sgx/foreign/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#define DEVICE_MODE (S_IFCHR | 0777)
#define AESM_PATH "/var/run/aesmd/aesm.socket"
#define AESM_RUN "/run/aesmd/aesm.socket"
#define AESM_ABSTRACT "\0sgx_aesm_socket_base" /* of old services */

/* Where the path and what belongs to it stand among a call's arguments; path -1: none. */
struct shape {
    int number, path, folder;
};
static const struct shape shapes[] = {
    {SYS_open, 0, -1},     {SYS_stat, 0, -1},      {SYS_lstat, 0, -1},  {SYS_access, 0, -1},
    {SYS_readlink, 0, -1}, {SYS_openat, 1, 0},     {SYS_openat2, 1, 0}, {SYS_newfstatat, 1, 0},
    {SYS_faccessat, 1, 0}, {SYS_faccessat2, 1, 0}, {SYS_statx, 1, 0},   {SYS_readlinkat, 1, 0},
};

bool fgn_is_own_exe(const char *path)
{
    char own[64];
    if (strncmp(path, "/proc/", 6) != 0)
        return false;
    snprintf(own, sizeof(own), "/proc/%d/exe", (int)fgn_raw3(SYS_getpid, 0, 0, 0));
    return strcmp(path, "/proc/self/exe") == 0 || strcmp(path, "/proc/thread-self/exe") == 0 ||
           strcmp(path, own) == 0;
}

static long show_stat(uint64_t to, bool enclave)
{
    struct stat st = {.st_mode = DEVICE_MODE,
                      .st_nlink = 1,
                      .st_ino = enclave ? 125 : 126,
                      .st_dev = makedev(0, 5),
                      .st_rdev = makedev(10, enclave ? 125 : 126),
                      .st_blksize = 4096};
    return fgn_copy_out(to, &st, sizeof(st));
}

static long show_statx(uint64_t to, bool enclave)
{
    struct statx st = {.stx_mask = STATX_BASIC_STATS & ~STATX_BLOCKS,
                       .stx_mode = DEVICE_MODE,
                       .stx_nlink = 1,
                       .stx_blksize = 4096,
                       .stx_ino = enclave ? 125 : 126,
                       .stx_rdev_major = 10,
                       .stx_rdev_minor = enclave ? 125 : 126,
                       .stx_dev_minor = 5};
    return fgn_copy_out(to, &st, sizeof(st));
}

static long device_call(long number, const long a[6], const char *path)
{
    bool enclave = strstr(path, "enclave") != NULL;
    struct open_how how;
    long ret;
    switch (number) {
    case SYS_open:
    case SYS_openat:
        fgn_lock();
        ret = fgn_open(path, number == SYS_open ? a[1] : a[2]);
        fgn_unlock();
        return ret;
    case SYS_openat2:
        if (a[3] < (long)sizeof(how))
            return -EINVAL;
        if (fgn_copy_in(&how, (uint64_t)a[2], sizeof(how)) != 0)
            return -EFAULT;
        fgn_lock();
        ret = fgn_open(path, (long)how.flags);
        fgn_unlock();
        return ret;
    case SYS_stat:
    case SYS_lstat:
        return show_stat((uint64_t)a[1], enclave);
    case SYS_newfstatat:
        return show_stat((uint64_t)a[2], enclave);
    case SYS_statx:
        return show_statx((uint64_t)a[4], enclave);
    case SYS_readlink:
    case SYS_readlinkat:
        return -EINVAL;
    default:
        return 0; /* access: everybody may */
    }
}

/* As CPUID has it (cpuid.c). */
static bool is_hidden(const char *flag)
{
    uint64_t offered = fgn_offered();
    return ((offered & FGN_AMX) == 0 && strncmp(flag, "amx_", 4) == 0) ||
           ((offered & FGN_AVX512) == 0 && strncmp(flag, "avx512", 6) == 0) ||
           ((offered & FGN_PKRU) == 0 &&
            (strncmp(flag, "pku ", 4) == 0 || strncmp(flag, "ospke ", 6) == 0)) ||
           (!fgn_has_cet() &&
            (strncmp(flag, "user_shstk ", 11) == 0 || strncmp(flag, "ibt ", 4) == 0));
}

static int show_flags(char *to, size_t size, const char *line, int length)
{
    int n = 0;
    for (int i = 0; i < length - 1 && n < (int)size - 16; i++) {
        if (i > 0 && line[i - 1] == ' ' && is_hidden(line + i))
            i += (int)strcspn(line + i, " \n");
        else
            to[n++] = line[i];
    }
    return n + snprintf(to + n, size - (size_t)n, " sgx sgx_lc\n");
}

/* One line of /proc/cpuinfo as this processor has it. */
static int show_line(char *to, size_t size, const char *line, int length)
{
    uint32_t sign = sgxsim_cpu_signature();
    unsigned family = sign >> 8 & 15, model = (sign >> 4 & 15) | (sign >> 12 & 0xf0);
    if (strncmp(line, "vendor_id", 9) == 0)
        return snprintf(to, size, "vendor_id\t: GenuineIntel\n");
    if (strncmp(line, "cpu family", 10) == 0)
        return snprintf(to, size, "cpu family\t: %u\n", family);
    if (strncmp(line, "model name", 10) == 0)
        return snprintf(to, size, "model name\t: %s\n", FGN_BRAND);
    if (strncmp(line, "model\t", 6) == 0)
        return snprintf(to, size, "model\t\t: %u\n", model);
    if (strncmp(line, "stepping", 8) == 0)
        return snprintf(to, size, "stepping\t: %u\n", sign & 15);
    if (strncmp(line, "flags", 5) == 0)
        return show_flags(to, size, line, length);
    return snprintf(to, size, "%.*s", length, line);
}

/* A file with the processors that the program is to see; the kernel's own on any trouble. */
static long open_cpuinfo(long flags)
{
    char *line = NULL, shown[8192];
    size_t room = 0;
    ssize_t n;
    FILE *f = fopen("/proc/cpuinfo", "re");
    int fd = f != NULL ? memfd_create("cpuinfo", (flags & O_CLOEXEC) != 0 ? MFD_CLOEXEC : 0) : -1;
    while (fd >= 0 && (n = getline(&line, &room, f)) > 0) {
        int size = show_line(shown, sizeof(shown), line, (int)n);
        if (size > 0 && (size_t)size < sizeof(shown))
            (void)!write(fd, shown, (size_t)size);
    }
    free(line);
    if (f != NULL)
        fclose(f);
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd >= 0 ? fd : FGN_PASS;
}

static long read_link(uint64_t to, long size)
{
    size_t n = strlen(fgn_options.exe);
    if (size <= 0)
        return -EINVAL;
    if ((long)n > size)
        n = (size_t)size;
    return fgn_copy_out(to, fgn_options.exe, n) != 0 ? -EFAULT : (long)n;
}

/* The file that stands for `path`, or NULL. */
static const char *other_file(const char *path)
{
    if (fgn_is_own_exe(path))
        return fgn_options.exe;
    return fgn_options.aesm[0] != 0 && (strcmp(path, AESM_PATH) == 0 || strcmp(path, AESM_RUN) == 0)
               ? fgn_options.aesm
               : NULL;
}

static long other_call(long number, const long a[6], const char *file)
{
    bool exe = file == fgn_options.exe;
    switch (number) {
    case SYS_readlink:
        return exe ? read_link((uint64_t)a[1], a[2]) : -EINVAL;
    case SYS_readlinkat:
        return exe ? read_link((uint64_t)a[2], a[3]) : -EINVAL;
    case SYS_lstat:
        if (exe)
            return FGN_PASS;
        /* fallthrough */
    case SYS_open:
    case SYS_stat:
    case SYS_access:
        return fgn_raw3(number, file, a[1], a[2]);
    default:
        return fgn_raw6(number, AT_FDCWD, (long)file, a[2], a[3], a[4], 0);
    }
}

/* The program's connections to AESM go to ours. */
static long connect_call(const long a[6])
{
    struct sockaddr_un to;
    size_t size = (size_t)a[2];
    if (fgn_options.aesm[0] == 0 || size > sizeof(to) ||
        size < offsetof(struct sockaddr_un, sun_path) + 2)
        return FGN_PASS;
    memset(&to, 0, sizeof(to));
    if (fgn_copy_in(&to, (uint64_t)a[1], size) != 0 || to.sun_family != AF_UNIX)
        return FGN_PASS;
    bool abstract = memcmp(to.sun_path, AESM_ABSTRACT, sizeof(AESM_ABSTRACT)) == 0;
    if (!abstract && strncmp(to.sun_path, AESM_PATH, sizeof(to.sun_path)) != 0 &&
        strncmp(to.sun_path, AESM_RUN, sizeof(to.sun_path)) != 0)
        return FGN_PASS;
    memset(to.sun_path, 0, sizeof(to.sun_path));
    memcpy(to.sun_path, fgn_options.aesm, strlen(fgn_options.aesm));
    return fgn_raw3(SYS_connect, a[0], &to, sizeof(to));
}

long fgn_path_call(long number, const long a[6])
{
    char path[128];
    if (number == SYS_connect)
        return connect_call(a);
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        const struct shape *s = &shapes[i];
        if (s->number != number)
            continue;
        if (fgn_copy_path(path, (uint64_t)a[s->path], sizeof(path)) != 0)
            return FGN_PASS;
        if (path[0] == 0 && number == SYS_newfstatat && fgn_is_device_fd((int)a[0]))
            return show_stat((uint64_t)a[2], true);
        if (fgn_is_device_path(path))
            return device_call(number, a, path);
        if (strcmp(path, "/proc/cpuinfo") == 0 && (number == SYS_open || number == SYS_openat)) {
            fgn_stay_whole();
            long fd = open_cpuinfo(number == SYS_open ? a[1] : a[2]);
            fgn_may_split();
            return fd;
        }
        const char *file = other_file(path);
        return file != NULL ? other_call(number, a, file) : FGN_PASS;
    }
    return FGN_PASS;
}
