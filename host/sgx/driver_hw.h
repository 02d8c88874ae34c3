// SPDX-License-Identifier: Apache-2.0
// The system calls of the hardware driver, so that a test can stand in for the kernel.
#ifndef HOST_SGX_DRIVER_HW_H
#define HOST_SGX_DRIVER_HW_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sgx_hw_os {
    int (*open)(const char *path, int flags);
    int (*close)(int fd);
    int (*ioctl)(int fd, unsigned long request, void *arg);
    void *(*mmap)(void *addr, size_t size, int prot, int flags, int fd, off_t offset);
    int (*mprotect)(void *addr, size_t size, int prot);
    /* CPUID with leaf and subleaf; eax, ebx, ecx, edx. */
    void (*cpuid)(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
    /* The vDSO's function of that name, or NULL. */
    void *(*vdso)(const char *name);
};

/* The real ones, which a test replaces and puts back. */
extern struct sgx_hw_os sgx_hw_os;

/* Looks `name` up in the vDSO image at `base` (an ELF shared object in memory, at most `size`
 * bytes), or NULL. */
void *sgx_vdso_symbol(const void *base, size_t size, const char *name);

#endif
