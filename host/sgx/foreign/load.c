// SPDX-License-Identifier: Apache-2.0
// Maps a program and its interpreter as the kernel's execve does, and starts it on the stack that
// the kernel made for us.
#include "host/sgx/foreign/foreign.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#define PAGE 4096ull
#define MAX_HEADERS 64u
#define PROGRAM_BASE 0x555555554000ull

struct image {
    uint64_t entry, base, headers;
    uint16_t header_count;
    char interpreter[4096];
};

static int protection_of(uint32_t flags)
{
    return ((flags & PF_R) != 0 ? PROT_READ : 0) | ((flags & PF_W) != 0 ? PROT_WRITE : 0) |
           ((flags & PF_X) != 0 ? PROT_EXEC : 0);
}

static uint64_t round_up(uint64_t v)
{
    return (v + PAGE - 1) & ~(PAGE - 1);
}

/* Where it comes to lie: what its headers say, or a free place. */
static int reserve_range(const Elf64_Ehdr *e, const Elf64_Phdr *ph, bool program, uint64_t *bias)
{
    uint64_t low = UINT64_MAX, high = 0, hint = 0, random = 0;
    for (unsigned i = 0; i < e->e_phnum; i++) {
        if (ph[i].p_type != PT_LOAD)
            continue;
        if (ph[i].p_vaddr > 1ull << 47 || ph[i].p_memsz > 1ull << 47)
            return -ENOEXEC;
        low = ph[i].p_vaddr < low ? ph[i].p_vaddr : low;
        high = ph[i].p_vaddr + ph[i].p_memsz > high ? ph[i].p_vaddr + ph[i].p_memsz : high;
    }
    if (low >= high)
        return -ENOEXEC;
    low &= ~(PAGE - 1);
    if (e->e_type == ET_EXEC) {
        hint = low;
    } else if (program) {
        (void)!getrandom(&random, sizeof(random), 0);
        hint = PROGRAM_BASE + ((random & 0xfffffff) << 12);
    }
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    if (e->e_type == ET_EXEC)
        flags |= MAP_FIXED_NOREPLACE;
    void *p = mmap((void *)hint, round_up(high - low), PROT_NONE, flags, -1, 0);
    if (p == MAP_FAILED)
        return -errno;
    *bias = (uint64_t)p - low;
    return 0;
}

static int map_segment(int fd, const Elf64_Phdr *ph, uint64_t bias)
{
    uint64_t start = (bias + ph->p_vaddr) & ~(PAGE - 1);
    uint64_t in_page = ph->p_vaddr & (PAGE - 1);
    uint64_t file_end = bias + ph->p_vaddr + ph->p_filesz;
    uint64_t end = round_up(bias + ph->p_vaddr + ph->p_memsz);
    int prot = protection_of(ph->p_flags);
    if (ph->p_filesz != 0 &&
        mmap((void *)start, ph->p_filesz + in_page, prot, MAP_PRIVATE | MAP_FIXED, fd,
             (off_t)(ph->p_offset - in_page)) == MAP_FAILED)
        return -errno;
    if ((prot & PROT_EXEC) != 0)
        fgn_cpuid_patch(start, round_up(file_end) - start);
    uint64_t zero = ph->p_filesz != 0 ? round_up(file_end) : start;
    if (ph->p_memsz > ph->p_filesz && (prot & PROT_WRITE) != 0 && ph->p_filesz != 0)
        memset((void *)file_end, 0, zero - file_end);
    if (zero < end && mmap((void *)zero, end - zero, prot, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS,
                           -1, 0) == MAP_FAILED)
        return -errno;
    return 0;
}

static int read_at(int fd, void *to, size_t size, uint64_t at)
{
    return pread(fd, to, size, (off_t)at) == (ssize_t)size ? 0 : -ENOEXEC;
}

static int map_image(const char *path, bool program, struct image *image)
{
    Elf64_Ehdr e;
    Elf64_Phdr ph[MAX_HEADERS];
    uint64_t bias = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int ret = read_at(fd, &e, sizeof(e), 0);
    if (ret == 0 && (memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 || e.e_machine != EM_X86_64 ||
                     e.e_phentsize != sizeof(ph[0]) || e.e_phnum > MAX_HEADERS ||
                     (e.e_type != ET_EXEC && e.e_type != ET_DYN)))
        ret = -ENOEXEC;
    if (ret == 0)
        ret = read_at(fd, ph, e.e_phnum * sizeof(ph[0]), e.e_phoff);
    if (ret == 0)
        ret = reserve_range(&e, ph, program, &bias);
    image->entry = bias + e.e_entry;
    image->base = bias;
    image->header_count = e.e_phnum;
    for (unsigned i = 0; ret == 0 && i < e.e_phnum; i++) {
        if (ph[i].p_type == PT_INTERP && ph[i].p_filesz < sizeof(image->interpreter))
            ret = read_at(fd, image->interpreter, ph[i].p_filesz, ph[i].p_offset);
        else if (ph[i].p_type == PT_PHDR)
            image->headers = bias + ph[i].p_vaddr;
        else if (ph[i].p_type == PT_LOAD)
            ret = map_segment(fd, &ph[i], bias);
        if (ph[i].p_type == PT_LOAD && image->headers == 0 && ph[i].p_offset <= e.e_phoff &&
            e.e_phoff < ph[i].p_offset + ph[i].p_filesz)
            image->headers = bias + ph[i].p_vaddr + e.e_phoff - ph[i].p_offset;
    }
    close(fd);
    return ret;
}

/* --- the stack ------------------------------------------------------------------------------- */

static uint64_t change_auxiliary(uint64_t type, uint64_t value, const struct image *program,
                                 const struct image *interpreter)
{
    switch (type) {
    case AT_PHDR:
        return program->headers;
    case AT_PHNUM:
        return program->header_count;
    case AT_BASE:
        return interpreter->base;
    case AT_ENTRY:
        return program->entry;
    case AT_EXECFN:
        return (uint64_t)fgn_options.exe;
    case AT_SYSINFO_EHDR:
        return fgn_vdso(value);
    default:
        return value;
    }
}

/* Copies what the kernel left, without our environment variable, below where we are. */
static uint64_t build_stack(const long *from, uint64_t top, const struct image *program,
                            const struct image *interpreter)
{
    const long *end = from + 1 + from[0] + 1;
    while (*end++ != 0)
        ;
    while (end[0] != AT_NULL)
        end += 2;
    size_t size = (size_t)(end + 2 - from) * 8;
    long *to = (long *)((top - size - 64) & ~15ull), *p = to;
    for (long i = 0; i < from[0] + 2; i++)
        *p++ = from[i];
    const long *env = from + from[0] + 2;
    for (; *env != 0; env++) {
        if (strncmp((const char *)*env, SH_SIM_ENVIRONMENT "=", sizeof(SH_SIM_ENVIRONMENT)) != 0)
            *p++ = *env;
    }
    *p++ = 0;
    const long *vector = p;
    for (env++; env[0] != AT_NULL; env += 2) {
        *p++ = env[0];
        *p++ = (long)change_auxiliary((uint64_t)env[0], (uint64_t)env[1], program, interpreter);
    }
    *p++ = AT_NULL;
    *p++ = 0;
    fgn_show_auxiliary(vector, (size_t)(p - vector) * 8);
    return (uint64_t)to;
}

int fgn_start(long *stack)
{
    static struct image program, interpreter;
    const char *name = strrchr(fgn_options.exe, '/');
    int ret = map_image(fgn_options.exe, true, &program);
    if (ret == 0 && program.interpreter[0] != 0)
        ret = map_image(program.interpreter, false, &interpreter);
    if (ret != 0)
        return ret;
    prctl(PR_SET_NAME, name != NULL ? name + 1 : fgn_options.exe, 0, 0, 0);
    uint64_t top;
    __asm__ volatile("mov %%rsp, %0" : "=r"(top));
    uint64_t sp = build_stack(stack, top - 4096, &program, &interpreter);
    ret = fgn_options.filtered ? 0 : fgn_filter();
    if (ret != 0)
        return ret;
    fgn_jump(program.interpreter[0] != 0 ? interpreter.entry : program.entry, sp);
}
