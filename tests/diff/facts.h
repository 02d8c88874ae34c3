// SPDX-License-Identifier: Apache-2.0
// Facts about system calls, one line each: call, what was asked, what came out (tab separated). The
// same program runs on Linux and in the enclave, and must print the same. So nothing is printed
// that may differ between two runs: no addresses, times, pids, inode numbers.
//
// A fact that not every kernel knows is marked by since(): it is compared only where the host's
// kernel is as new.
#ifndef FACTS_H
#define FACTS_H

#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(a) ((long)(sizeof(a) / sizeof((a)[0])))

/* The kernel's own answer: a value or -errno. Arguments are cast one by one, whatever they are. */
static inline long kernel(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long r;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}
#define SIX(nr, a, b, c, d, e, f, ...)                                                             \
    kernel(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define sys(name, ...) SIX(SYS_##name, __VA_ARGS__, 0, 0, 0, 0, 0, 0)

/* Calls that the libc's headers may not know yet. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node 450
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static int facts_since; /* major * 1000 + minor */
static inline void since(int major, int minor)
{
    facts_since = major * 1000 + minor;
}

static inline const char *outcome(long r, char buf[32])
{
    const char *name = r < 0 && r > -4096 ? strerrorname_np((int)-r) : NULL;
    if (name)
        return name;
    snprintf(buf, 32, "%ld", r);
    return buf;
}

__attribute__((format(printf, 3, 4))) static inline void say(const char *call, long r,
                                                             const char *format, ...)
{
    char what[256], value[32];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    printf("%s\t%s\t%s", call, what, outcome(r, value));
    if (facts_since)
        printf("\t%d.%d", facts_since / 1000, facts_since % 1000);
    printf("\n");
}

/* A value that is no number: text. */
__attribute__((format(printf, 3, 4))) static inline void say_text(const char *call,
                                                                  const char *text,
                                                                  const char *format, ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    printf("%s\t%s\t%s\n", call, what, text);
}

/* A new descriptor is only told to be one, and closed. */
static inline long fd_only(long fd)
{
    if (fd < 0)
        return fd;
    close((int)fd);
    return 0;
}

/* An address likewise. */
static inline long address_only(long addr)
{
    return addr < 0 && addr > -4096 ? addr : 0;
}

static inline void put_file(const char *path, const char *text, int mode)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
        fchmod(fd, (mode_t)mode))
        printf("facts\tput_file\tfailed\n");
    close(fd);
}

static char facts_folder[] = "/dev/shm/facts.XXXXXX";

static inline void facts_end(void)
{
    (void)!chdir("/"); /* what is left is in memory, and goes with the namespace or the enclave */
}

/* A folder in memory of its own, the same umask, limits, signals and standing everywhere. */
static inline void facts_begin(void)
{
    struct rlimit files = {256, 1024}, none = {0, 0}, pending = {256, 256};
    setvbuf(stdout, NULL, _IOLBF, 65536);
    alarm(120); /* whatever waits for ever */
    for (int s = 1; s < 65; s++) /* who starts this may ignore some */
        syscall(SYS_rt_sigaction, s, &(struct { long handler[4]; }){{0}}, NULL, 8);
    umask(022);
    setgroups(0, NULL);
    setsid();
    setrlimit(RLIMIT_NOFILE, &files);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_SIGPENDING, &pending);
    if (!mkdtemp(facts_folder) || chmod(facts_folder, 0777) || chdir(facts_folder)) {
        printf("facts\tfolder\tfailed\n");
        exit(1);
    }
}

#endif
