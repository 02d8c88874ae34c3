// SPDX-License-Identifier: Apache-2.0
// The clocks as the enclave is told them: at one value of the time stamp counter, and how fast that
// counts.
#include <cpuid.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/sgx/loader/loader.h"

#define SPAN_MIN_NS 2000000ull /* over which a frequency is measured */

static uint64_t ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t counter(void)
{
    __builtin_ia32_lfence();
    return __builtin_ia32_rdtsc();
}

void loader_clock_tell(struct sh_slot *s)
{
    s->tsc = counter();
    s->monotonic = ns(CLOCK_MONOTONIC);
    s->realtime = ns(CLOCK_REALTIME);
}

/* The kernel itself takes its time from it, or the processor says that it never varies. */
static bool is_clock(void)
{
    char name[16] = "";
    unsigned a, b, c, d;
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource",
                  O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!read(fd, name, sizeof(name) - 1);
        close(fd);
    }
    if (!strncmp(name, "tsc", 3))
        return true;
    return !strncmp(name, "kvm-clock", 9) && __get_cpuid(0x80000007, &a, &b, &c, &d) &&
           (d >> 8 & 1);
}

uint64_t loader_clock_hz(const struct sh_slot *first)
{
    struct sh_slot now;
    if (!is_clock())
        return 0;
    do
        loader_clock_tell(&now);
    while (now.monotonic - first->monotonic < SPAN_MIN_NS);
    unsigned __int128 counts = now.tsc - first->tsc;
    return (uint64_t)(counts * 1000000000u / (now.monotonic - first->monotonic));
}
