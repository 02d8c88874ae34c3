// SPDX-License-Identifier: Apache-2.0
// The simulated processor behind the driver table.
#include "host/sgx/driver.h"

#include <errno.h>
#include <string.h>

static int sim_caps(struct sgx_driver_caps *caps, struct sh_error *err)
{
    sgxsim_caps(caps);
    return 0;
}

static int sim_open(const struct sgx_driver_options *options, void **dev, struct sh_error *err)
{
    struct sgxsim_options o = {.speed = options->strict ? SGXSIM_STRICT : SGXSIM_PATCHED,
                               .epc = options->epc,
                               .epc_pages = options->epc_pages,
                               .key_file = options->key_file};
    struct sgxsim *sim;
    int ret = sgxsim_open(&o, &sim);
    *dev = ret == 0 ? sim : NULL;
    if (ret == -ENOSYS)
        return sh_fail(err, ret,
                       "this machine cannot simulate SGX: it needs FSGSBASE and XSAVE "
                       "(Linux 5.9), and Syscall User Dispatch or seccomp filters");
    if (ret != 0)
        return sh_fail_errno(err, ret, "cannot start the simulated SGX processor%s%s",
                             options->key_file ? " with the fuse key " : "",
                             options->key_file ? options->key_file : "");
    return 0;
}

static int sim_close(void *dev)
{
    return sgxsim_close(dev);
}

static int sim_ioctl(void *dev, unsigned long request, void *arg)
{
    return sgxsim_ioctl_at(dev, request, arg);
}

static int sim_map(void *dev, uint64_t addr, uint64_t size, int prot)
{
    return sgxsim_map(dev, addr, size, prot);
}

static int sim_protect(void *dev, uint64_t addr, uint64_t size, int prot)
{
    return sgxsim_protect(dev, addr, size, prot);
}

static int sim_unmap(void *dev, uint64_t addr, uint64_t size)
{
    return sgxsim_unmap(dev, addr, size);
}

static int sim_populate(void *dev, uint64_t addr, uint64_t size)
{
    return sgxsim_populate(dev, addr, size);
}

static vdso_sgx_enter_enclave_t sim_entry(void)
{
    return sgxsim_enter_enclave;
}

static int sim_stats(void *dev, struct sgxsim_stats *stats)
{
    sgxsim_stats(dev, stats);
    return 0;
}

const struct sgx_driver sgx_driver_sim = {
    .name = "sgx-sim",
    .simulated = true,
    .caps = sim_caps,
    .open = sim_open,
    .close = sim_close,
    .ioctl = sim_ioctl,
    .map = sim_map,
    .protect = sim_protect,
    .unmap = sim_unmap,
    .populate = sim_populate,
    .open_provision = sgxsim_open_provision,
    .entry = sim_entry,
    .sigaction = sgxsim_sigaction,
    .stats = sim_stats,
};
