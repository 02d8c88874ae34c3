// SPDX-License-Identifier: Apache-2.0
// The vDSO that the program sees.
#include "host/sgx/foreign/foreign.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/sgx/driver_hw.h"

#define KERNEL_VDSO_SIZE 0x1000u

/* Where the kernel's vDSO lacks one. */
static long own_clock_gettime(long clock, void *time)
{
    return fgn_raw3(SYS_clock_gettime, clock, time, 0);
}

static long own_gettimeofday(void *time, void *zone)
{
    return fgn_raw3(SYS_gettimeofday, time, zone, 0);
}

static long own_time(void *time)
{
    return fgn_raw3(SYS_time, time, 0, 0);
}

static long own_getcpu(void *cpu, void *node)
{
    return fgn_raw3(SYS_getcpu, cpu, node, 0);
}

static long own_clock_getres(long clock, void *time)
{
    return fgn_raw3(SYS_clock_getres, clock, time, 0);
}

static long own_getrandom(void)
{
    return -ENOSYS;
}

uint64_t fgn_vdso(uint64_t kernel)
{
    static const struct {
        const char *name;
        void *own;
    } names[] = {
        {NULL, (void *)sim_foreign_enter},
        {"__vdso_clock_gettime", (void *)own_clock_gettime},
        {"__vdso_gettimeofday", (void *)own_gettimeofday},
        {"__vdso_time", (void *)own_time},
        {"__vdso_getcpu", (void *)own_getcpu},
        {"__vdso_clock_getres", (void *)own_clock_getres},
        {"__vdso_getrandom", (void *)own_getrandom},
    };
    const Elf64_Ehdr *e = (const Elf64_Ehdr *)fgn_vdso_begin;
    const Elf64_Phdr *ph = (const Elf64_Phdr *)(fgn_vdso_begin + e->e_phoff);
    size_t size = (ph->p_filesz + 0xfff) & ~0xfffull;
    /* Of a file, so that a program that gives back what it never wrote gives back nothing. */
    int fd = memfd_create("vdso", MFD_CLOEXEC);
    uint8_t *at = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0)
        at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return kernel;
    memcpy(at, fgn_vdso_begin, ph->p_filesz);
    void **table = (void **)(at + ph->p_filesz) - sizeof(names) / sizeof(names[0]);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        void *f = NULL;
        if (names[i].name != NULL && kernel != 0)
            f = sgx_vdso_symbol((const void *)kernel, 2 * KERNEL_VDSO_SIZE, names[i].name);
        table[i] = f != NULL ? f : names[i].own;
    }
    munmap(at, size);
    void *shown = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    close(fd);
    return shown != MAP_FAILED ? (uint64_t)shown : kernel;
}
