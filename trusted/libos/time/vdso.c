// SPDX-License-Identifier: Apache-2.0
// What the vDSO does: clocks without a system call, as on Linux.
//
// This is program code that stands in the LibOS's text: it runs on the program's stack, with its
// signals and faults, and is interrupted as the program is (port_sgx/trap.c). So it calls nothing
// outside of its section, and what it cannot do itself is an ordinary call (port_sgx/vdso.S is the
// ELF file around it).
#include <asm/unistd.h>
#include <linux/time.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/time/time.h"

#define VDSO __attribute__((section(".vdso.text"), used))

/* As a patched site comes in (mm/sites.h); the instruction in front of where the call comes back is
 * for one that begins again. */
TSC_INLINE long vdso_call(long nr, uint64_t a, uint64_t b)
{
    __asm__ volatile("lea 1f(%%rip), %%rcx\n\t"
                     "jmp *%%gs:%c[fast]\n"
                     "syscall\n"
                     "1:"
                     : "+a"(nr)
                     : "D"(a), "S"(b), [fast] "i"(offsetof(struct thread, fast))
                     : "rcx", "r11", "cc", "memory");
    return nr;
}

/* False: somebody must ask the host, or it is no clock of these. */
TSC_INLINE bool vdso_read(int clock, uint64_t *ns)
{
    const uint32_t real = 1u << CLOCK_REALTIME | 1u << CLOCK_REALTIME_COARSE | 1u << CLOCK_TAI,
                   monotonic = 1u << CLOCK_MONOTONIC | 1u << CLOCK_MONOTONIC_RAW |
                               1u << CLOCK_MONOTONIC_COARSE | 1u << CLOCK_BOOTTIME;
    uint64_t at, wall;
    if ((unsigned)clock > CLOCK_TAI || !((real | monotonic) >> clock & 1) ||
        !tsc_read(tsc_now(), &at, &wall))
        return false;
    *ns = real >> clock & 1 ? clock_not_back(PORT_CLOCK_REALTIME, wall)
                            : clock_not_back(PORT_CLOCK_MONOTONIC, at);
    return true;
}

VDSO int vdso_clock_gettime(int clock, struct timespec64 *to)
{
    uint64_t ns;
    if (!vdso_read(clock, &ns))
        return (int)vdso_call(__NR_clock_gettime, (uint64_t)clock, (uint64_t)to);
    to->s = (int64_t)(ns / NS);
    to->ns = (int64_t)(ns % NS);
    return 0;
}

VDSO int vdso_gettimeofday(int64_t to[2], int zone[2])
{
    uint64_t ns;
    if (!vdso_read(CLOCK_REALTIME, &ns))
        return (int)vdso_call(__NR_gettimeofday, (uint64_t)to, (uint64_t)zone);
    if (to) {
        to[0] = (int64_t)(ns / NS);
        to[1] = (int64_t)(ns % NS / 1000);
    }
    if (zone)
        zone[0] = zone[1] = 0;
    return 0;
}

VDSO int64_t vdso_time(int64_t *to)
{
    uint64_t ns;
    if (!vdso_read(CLOCK_REALTIME, &ns))
        return vdso_call(__NR_time, (uint64_t)to, 0);
    if (to)
        *to = (int64_t)(ns / NS);
    return (int64_t)(ns / NS);
}
