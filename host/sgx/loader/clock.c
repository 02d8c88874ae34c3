// SPDX-License-Identifier: Apache-2.0
// The clocks as the enclave is told them: at one value of the time stamp counter, and how fast that
// counts.
#include <cpuid.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/sgx/loader/loader.h"

#define SPAN_MIN_NS 1000000ull /* over which a frequency is measured */
#define SPAN_MAX_NS 50000000ull
#define WIDTHS 1024u

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t read_counter(void)
{
    __builtin_ia32_lfence();
    return __builtin_ia32_rdtsc();
}

#define TRIES_MAX 8u
#define TIGHT 20000u /* counts between which the clocks were read: good enough */

/* The clocks between two readings of the counter, as close together as a few tries bring them:
 * whoever is interrupted in between would tell a moment that never was. */
uint64_t loader_clock_tell(struct sh_slot *s)
{
    uint64_t best = UINT64_MAX;
    for (unsigned i = 0; i < TRIES_MAX && best > TIGHT; i++) {
        uint64_t before = read_counter(), monotonic = clock_ns(CLOCK_MONOTONIC),
                 realtime = clock_ns(CLOCK_REALTIME);
        uint64_t width = read_counter() - before;
        if (width >= best)
            continue;
        best = width;
        s->tsc = before + width / 2;
        s->monotonic = monotonic;
        s->realtime = realtime;
    }
    return best;
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

static uint64_t first_tsc, first_monotonic; /* 0: it is no clock */

void loader_clock_begin(void)
{
    static struct sh_slot s;
    if (!is_clock())
        return;
    loader_clock_tell(&s);
    first_tsc = s.tsc;
    first_monotonic = s.monotonic;
}

uint64_t loader_clock_hz(struct sh_slot *s)
{
    uint64_t width, span, counts;
    do {
        width = loader_clock_tell(s);
        span = s->monotonic - first_monotonic;
        counts = s->tsc - first_tsc;
        /* Longer where the readings are loose: the frequency is good to a part of WIDTHS. */
    } while (first_tsc && span < SPAN_MAX_NS && (span < SPAN_MIN_NS || counts / WIDTHS < width));
    return first_tsc ? (uint64_t)((unsigned __int128)counts * 1000000000u / span) : 0;
}
