// SPDX-License-Identifier: Apache-2.0
// The hardware: /dev/sgx_enclave and the vDSO's __vdso_sgx_enter_enclave.
#include "host/sgx/driver.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "host/sgx/driver_hw.h"

#define DEVICE "/dev/sgx_enclave"
#define PROVISION "/dev/sgx_provision"
#define ENTER "__vdso_sgx_enter_enclave"

static int os_open(const char *path, int flags)
{
    return open(path, flags);
}

static int os_ioctl(int fd, unsigned long request, void *arg)
{
    return ioctl(fd, request, arg);
}

static void os_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    if (leaf > __get_cpuid_max(0, NULL))
        out[0] = out[1] = out[2] = out[3] = 0;
    else
        __cpuid_count(leaf, subleaf, out[0], out[1], out[2], out[3]);
}

static void *os_vdso(const char *name)
{
    const void *base = (const void *)getauxval(AT_SYSINFO_EHDR);
    return base == NULL ? NULL : sgx_vdso_symbol(base, 2 * SGX_PAGE_SIZE, name);
}

struct sgx_hw_os sgx_hw_os = {
    .open = os_open,
    .close = close,
    .ioctl = os_ioctl,
    .mmap = mmap,
    .mprotect = mprotect,
    .cpuid = os_cpuid,
    .vdso = os_vdso,
};

struct hw_device {
    int fd;
};

static vdso_sgx_enter_enclave_t enter_function;

static uint64_t join_words(uint32_t low, uint32_t high)
{
    return (uint64_t)high << 32 | low;
}

/* CPUID.07H:EBX[2], then CPUID.12H (SDM 34.7.2). */
/* Linux lets ATTRIBUTES.AEXNOTIFY through from 6.2 on; before, EINIT is EACCES. */
static bool kernel_notifies(void)
{
    struct utsname u;
    unsigned major = 0, minor = 0;
    if (uname(&u) || sscanf(u.release, "%u.%u", &major, &minor) != 2)
        return false;
    return major > 6 || (major == 6 && minor >= 2);
}

static int hw_caps(struct sgx_driver_caps *caps, struct sh_error *err)
{
    uint32_t r[4], s[4];
    sgx_hw_os.cpuid(7, 0, r);
    if ((r[1] & 4) == 0)
        return sh_fail(err, -ENODEV,
                       "this processor has no SGX, or the firmware hides it; use "
                       "--tee sgx-sim to try an image without");
    if ((r[2] & (1u << 30)) == 0)
        return sh_fail(err, -ENODEV,
                       "this processor has no flexible launch control, which Linux "
                       "needs for SGX");
    sgx_hw_os.cpuid(0x12, 0, r);
    sgx_hw_os.cpuid(0x12, 1, s);
    if ((r[0] & 1) == 0)
        return sh_fail(err, -ENODEV, "SGX is disabled in this machine's firmware settings");
    *caps = (struct sgx_driver_caps){
        .attributes = {join_words(s[0], s[1]), join_words(s[2], s[3])},
        .miscselect = r[1],
        .sgx2 = (r[0] & 2) != 0,
        .edeccssa = (r[0] & (1u << 11)) != 0,
        .max_enclave_size = 1ull << (r[3] >> 8 & 0xff),
    };
    if (!kernel_notifies())
        caps->attributes.flags &= ~SGX_ATTR_AEXNOTIFY;
    return 0;
}

/* What the enclaves of Shelter cannot do without. */
static int check_caps(struct sh_error *err)
{
    struct sgx_driver_caps caps;
    int ret = hw_caps(&caps, err);
    if (ret != 0)
        return ret;
    if (!caps.sgx2)
        return sh_fail(err, -ENODEV,
                       "this processor has SGX1 only; Shelter needs SGX2 (dynamic "
                       "memory management)");
    if ((caps.miscselect & SGX_MISC_EXINFO) == 0)
        return sh_fail(err, -ENODEV,
                       "this processor does not report page faults to enclaves "
                       "(EXINFO), which Shelter needs");
    if ((caps.attributes.flags & SGX_ATTR_KSS) == 0)
        return sh_fail(err, -ENODEV,
                       "this processor lacks Key Separation and Sharing (KSS), "
                       "which binds the launch configuration");
    return 0;
}

static int open_failed(int code, struct sh_error *err)
{
    switch (code) {
    case -ENOENT:
        return sh_fail(err, -ENODEV,
                       DEVICE " is missing: the kernel needs CONFIG_X86_SGX, and "
                              "SGX enabled in the firmware");
    case -EACCES:
    case -EPERM:
        return sh_fail(err, code,
                       "no permission to open " DEVICE ": join its group (ls -l " DEVICE
                       "), or pass the device to the container");
    default:
        return sh_fail_errno(err, code, "cannot open " DEVICE);
    }
}

static int hw_open(const struct sgx_driver_options *options, void **out, struct sh_error *err)
{
    int ret = check_caps(err);
    *out = NULL;
    if (ret != 0)
        return ret;
    if (enter_function == NULL)
        enter_function = (vdso_sgx_enter_enclave_t)sgx_hw_os.vdso(ENTER);
    if (enter_function == NULL)
        return sh_fail(err, -ENODEV,
                       "the kernel's vDSO has no " ENTER ": Linux 6.0 or newer "
                       "with CONFIG_X86_SGX is needed");
    struct hw_device *dev = malloc(sizeof(*dev));
    if (dev == NULL)
        return sh_fail_errno(err, -ENOMEM, "cannot open " DEVICE);
    dev->fd = sgx_hw_os.open(DEVICE, O_RDWR | O_CLOEXEC);
    if (dev->fd < 0) {
        ret = -errno;
        free(dev);
        return open_failed(ret, err);
    }
    *out = dev;
    return 0;
}

static int hw_close(void *arg)
{
    struct hw_device *dev = arg;
    sgx_hw_os.close(dev->fd);
    free(dev);
    return 0;
}

static int hw_ioctl(void *arg, unsigned long request, void *data)
{
    struct hw_device *dev = arg;
    return sgx_hw_os.ioctl(dev->fd, request, data) == 0 ? 0 : -errno;
}

/* The device's offset is that of the address in the enclave: the kernel ignores it (0 here). */
static int hw_map(void *arg, uint64_t addr, uint64_t size, int prot)
{
    struct hw_device *dev = arg;
    void *p = sgx_hw_os.mmap((void *)addr, size, prot, MAP_SHARED | MAP_FIXED, dev->fd, 0);
    return p == MAP_FAILED ? -errno : 0;
}

static int hw_protect(void *arg, uint64_t addr, uint64_t size, int prot)
{
    (void)arg;
    return sgx_hw_os.mprotect((void *)addr, size, prot) == 0 ? 0 : -errno;
}

/* Keeps the addresses reserved. */
static int hw_unmap(void *arg, uint64_t addr, uint64_t size)
{
    (void)arg;
    void *p = sgx_hw_os.mmap((void *)addr, size, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? -errno : 0;
}

/* The kernel adds a page at any fault in its mapping, also one of the kernel's own on our behalf;
 * and that one ends in EFAULT, where ours could end in SIGBUS. What is read are ones: it is no page
 * of ours. */
static int hw_populate(void *arg, uint64_t addr, uint64_t size)
{
    int fd = memfd_create("populate", MFD_CLOEXEC), ret = fd < 0 ? -errno : 0;
    (void)arg;
    for (uint64_t at = addr; ret == 0 && at < addr + size; at += SGX_PAGE_SIZE) {
        if (pwrite(fd, (const void *)at, 1, 0) != 1)
            ret = -EFAULT;
    }
    if (fd >= 0)
        close(fd);
    return ret;
}

static int hw_open_provision(void)
{
    int fd = sgx_hw_os.open(PROVISION, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static vdso_sgx_enter_enclave_t hw_entry(void)
{
    return enter_function;
}

static int hw_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
    return sigaction(sig, act, old) == 0 ? 0 : -errno;
}

static int hw_stats(void *dev, struct sgxsim_stats *stats)
{
    return -ENOTSUP;
}

const struct sgx_driver sgx_driver_hw = {
    .name = "sgx",
    .simulated = false,
    .caps = hw_caps,
    .open = hw_open,
    .close = hw_close,
    .ioctl = hw_ioctl,
    .map = hw_map,
    .protect = hw_protect,
    .unmap = hw_unmap,
    .populate = hw_populate,
    .open_provision = hw_open_provision,
    .entry = hw_entry,
    .sigaction = hw_sigaction,
    .stats = hw_stats,
};
