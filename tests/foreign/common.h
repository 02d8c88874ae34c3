// SPDX-License-Identifier: Apache-2.0
// For programs with a C library: the test enclave through the kernel's interface, and lines of TAP.
#ifndef TESTS_FOREIGN_COMMON_H
#define TESTS_FOREIGN_COMMON_H

#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "enclave.h"
#include "enter.h"

#define SIZE 0x10000ul
#define PAGE 4096ul
#define PAGES (sizeof(image) / PAGE)

static inline void tell(bool good, const char *name)
{
    printf("%s %s\n", good ? "ok" : "not ok", name);
    fflush(stdout);
}

struct secs {
    uint64_t size, base;
    uint32_t ssa, misc;
    uint8_t reserved[24];
    uint64_t attributes, xfrm;
    uint8_t rest[4032];
};

struct enclave {
    int fd;
    uint64_t base;
};

static inline uint64_t reserve(void)
{
    uint64_t area = (uint64_t)mmap(NULL, 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return (area + SIZE - 1) & ~(SIZE - 1);
}

static uint64_t attributes = 4; /* 64-bit mode; with 2 a debug enclave */

static inline struct secs *good_secs(uint64_t base)
{
    static struct secs secs __attribute__((aligned(4096)));
    memset(&secs, 0, sizeof(secs));
    secs.size = SIZE;
    secs.base = base;
    secs.ssa = 1;
    secs.attributes = attributes;
    secs.xfrm = 3;
    return &secs;
}

static inline int do_create(int fd, uint64_t base)
{
    struct sgx_enclave_create c = {.src = (uint64_t)good_secs(base)};
    return ioctl(fd, SGX_IOC_ENCLAVE_CREATE, &c);
}

static inline int do_add(int fd, uint64_t i)
{
    uint64_t secinfo[8] __attribute__((aligned(64))) = {kinds[i]};
    struct sgx_enclave_add_pages add = {.src = (uint64_t)image + i * PAGE,
                                        .offset = i * PAGE,
                                        .length = PAGE,
                                        .secinfo = (uint64_t)secinfo,
                                        .flags = SGX_PAGE_MEASURE};
    return ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &add);
}

static inline int do_init(int fd)
{
    struct sgx_enclave_init init = {.sigstruct = (uint64_t)sigstruct};
    return ioctl(fd, SGX_IOC_ENCLAVE_INIT, &init);
}

static inline int do_map(int fd, uint64_t base)
{
    for (uint64_t i = 0; i < SIZE / PAGE; i++) {
        int prot = i >= PAGES ? 3 : kinds[i] == 0x100 ? 3 : kinds[i] & 7;
        if (mmap((void *)(base + i * PAGE), PAGE, prot, MAP_SHARED | MAP_FIXED, fd, 0) ==
            MAP_FAILED)
            return -1;
    }
    return 0;
}

/* All at once; -1 with errno. */
static inline int make_enclave_of(int fd, struct enclave *e)
{
    e->fd = fd;
    e->base = reserve();
    if (fd < 0 || do_create(fd, e->base) != 0)
        return -1;
    for (uint64_t i = 0; i < PAGES; i++)
        if (do_add(fd, i) != 0)
            return -1;
    return do_init(fd) != 0 ? -1 : do_map(fd, e->base);
}

static inline int make_enclave(struct enclave *e)
{
    return make_enclave_of(open("/dev/sgx_enclave", O_RDWR | O_CLOEXEC), e);
}

static inline void drop_enclave(struct enclave *e)
{
    munmap((void *)e->base, SIZE);
    close(e->fd);
}

static inline vdso_sgx_enter_enclave_t find_enter(void)
{
    uint64_t vdso = getauxval(AT_SYSINFO_EHDR);
    const Elf64_Ehdr *e = (const Elf64_Ehdr *)vdso;
    const Elf64_Phdr *ph = (const Elf64_Phdr *)(vdso + e->e_phoff);
    const Elf64_Dyn *d = NULL;
    const Elf64_Sym *symbols = NULL;
    const char *names = NULL;
    const uint32_t *hash = NULL;
    for (int i = 0; i < e->e_phnum; i++)
        if (ph[i].p_type == PT_DYNAMIC)
            d = (const Elf64_Dyn *)(vdso + ph[i].p_offset);
    for (; d != NULL && d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_SYMTAB)
            symbols = (const Elf64_Sym *)(vdso + d->d_un.d_ptr);
        else if (d->d_tag == DT_STRTAB)
            names = (const char *)(vdso + d->d_un.d_ptr);
        else if (d->d_tag == DT_HASH)
            hash = (const uint32_t *)(vdso + d->d_un.d_ptr);
    }
    for (uint32_t i = 0; hash != NULL && i < hash[1]; i++)
        if (strcmp(names + symbols[i].st_name, "__vdso_sgx_enter_enclave") == 0)
            return (vdso_sgx_enter_enclave_t)(vdso + symbols[i].st_value);
    return NULL;
}

#endif
