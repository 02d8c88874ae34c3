// SPDX-License-Identifier: Apache-2.0
// The few names of a libc that Debian's mbedTLS objects call (and the agent's core may). What else
// they name (files, sockets, printf, threads) belongs to parts that nobody calls here; those end in
// agent_absent (tools/mbedtls-parts makes the list when it is built).
#include <time.h>

#include "trusted/agent/os.h"
#include "trusted/libos/agent/agent.h"

/* What the headers would declare is not wanted here: these are for the linker. */
void *calloc(size_t count, size_t size);
void free(void *p);
void *__memcpy_chk(void *to, const void *from, size_t size, size_t room);
void *__memset_chk(void *to, int value, size_t size, size_t room);
void *__memmove_chk(void *to, const void *from, size_t size, size_t room);
void explicit_bzero(void *p, size_t size);
void __explicit_bzero_chk(void *p, size_t size, size_t room);
int snprintf(char *out, size_t size, const char *format, ...);
int __snprintf_chk(char *out, size_t size, int flag, size_t room, const char *format, ...);
void agent_absent(void) __attribute__((noreturn));

void *calloc(size_t count, size_t size)
{
    size_t all;
    return __builtin_mul_overflow(count, size, &all) ? NULL : agent_os_alloc(all ? all : 1);
}

void free(void *p)
{
    agent_os_free(p);
}

void agent_absent(void)
{
    stop("the crypto library called what it was not given, before 0x%lx (absent.S)",
         (uint64_t)__builtin_return_address(0));
}

static void check_size(size_t size, size_t room)
{
    if (size > room)
        stop("the crypto library wrote over an object's end");
}

void *__memcpy_chk(void *to, const void *from, size_t size, size_t room)
{
    check_size(size, room);
    return memcpy(to, from, size);
}

void *__memmove_chk(void *to, const void *from, size_t size, size_t room)
{
    check_size(size, room);
    return memmove(to, from, size);
}

void *__memset_chk(void *to, int value, size_t size, size_t room)
{
    check_size(size, room);
    return memset(to, value, size);
}

void explicit_bzero(void *p, size_t size)
{
    memset(p, 0, size);
    __asm__ volatile("" : : "r"(p) : "memory");
}

void __explicit_bzero_chk(void *p, size_t size, size_t room)
{
    check_size(size, room);
    explicit_bzero(p, size);
}

char *strstr(const char *s, const char *what)
{
    size_t n = strlen(what);
    for (; *s; s++) {
        if (!strncmp(s, what, n))
            return (char *)(uintptr_t)s;
    }
    return n ? NULL : (char *)(uintptr_t)s;
}

char *strncpy(char *restrict to, const char *restrict from, size_t size)
{
    size_t n = strnlen(from, size);
    memset(to + n, 0, size - n);
    return memcpy(to, from, n);
}

int snprintf(char *out, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = fmtv(out, size, format, args);
    va_end(args);
    return n;
}

int __snprintf_chk(char *out, size_t size, int flag, size_t room, const char *format, ...)
{
    check_size(size, room);
    va_list args;
    va_start(args, format);
    int n = fmtv(out, size, format, args);
    va_end(args);
    return n;
}

/* The host's claim; certificates are judged by their key, not by the date. */
time_t time(time_t *out)
{
    time_t now = agent_os_time();
    if (out)
        *out = now;
    return now;
}

struct tm *gmtime_r(const time_t *restrict when, struct tm *restrict out)
{
    return NULL; /* there is no date to be believed: mbedTLS takes it as outside every validity */
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    uint64_t ms = agent_os_now_ms();
    *out = (struct timespec){(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    return 0;
}
