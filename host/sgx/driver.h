// SPDX-License-Identifier: Apache-2.0
// One table for the hardware (/dev/sgx_enclave and the vDSO) and the simulated processor, so that
// the loader cannot tell them apart. Its calls are Linux's own: the ioctls of <asm/sgx.h> with
// their error numbers, mmap of the device, and __vdso_sgx_enter_enclave.
#ifndef HOST_SGX_DRIVER_H
#define HOST_SGX_DRIVER_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <asm/sgx.h>

#include "host/base/error.h"
#include "host/sgx/sim/sgxsim.h"
#include <shelter/sgx.h>

/* What CPUID.12H enumerates: what an enclave on this driver may ask for. */
#define sgx_driver_caps sgxsim_caps

struct sgx_driver_options {
    /* The simulated processor's; hardware ignores them. */
    bool strict;            /* no patched ENCLU slots */
    uint64_t epc_pages;     /* 0: no limit */
    struct sgxsim_epc *epc; /* shared with other enclaves; NULL: its own */
    const char *key_file;   /* fuse key; NULL: of this process only */
};

struct sgx_driver {
    const char *name; /* "sgx" or "sgx-sim" */
    bool simulated;

    /* Fills `caps`. -ENODEV: no SGX here (or not enabled), with the reason in `err`. */
    int (*caps)(struct sgx_driver_caps *caps, struct sh_error *err);
    /* One open device holds one enclave. */
    int (*open)(const struct sgx_driver_options *options, void **dev, struct sh_error *err);
    int (*close)(void *dev);

    /* 0 or -errno. A partial SGX2 or add-pages call reports bytes done in its `count`. */
    int (*ioctl)(void *dev, unsigned long request, void *arg);
    int (*map)(void *dev, uint64_t addr, uint64_t size, int prot);
    int (*protect)(void *dev, uint64_t addr, uint64_t size, int prot);
    int (*unmap)(void *dev, uint64_t addr, uint64_t size);
    /* Adds pages where there are none, as faults there would (EAUG), but without leaving an enclave
     * each time. -EFAULT: not all of them; those that lack will fault. */
    int (*populate)(void *dev, uint64_t addr, uint64_t size);
    /* A descriptor for SGX_IOC_ENCLAVE_PROVISION, or -errno. */
    int (*open_provision)(void);

    /* __vdso_sgx_enter_enclave, for sgx_enter. NULL before the first open. Not from a signal
     * handler that interrupted an enclave. */
    vdso_sgx_enter_enclave_t (*entry)(void);
    /* Handlers in a process with enclave threads are set through here (sgxsim.h says why). */
    int (*sigaction)(int sig, const struct sigaction *act, struct sigaction *old);
    /* -ENOTSUP on hardware, which counts nothing for us. */
    int (*stats)(void *dev, struct sgxsim_stats *stats);
};

/* Calls `entry` for C: keeps all that the ABI lets a caller expect, which the vDSO alone does not
 * once an enclave was left by an exception. RDI, RSI, RDX reach the enclave; R8 and R9 are 0. */
int sgx_enter(vdso_sgx_enter_enclave_t entry, struct sgx_enclave_run *run, unsigned int function,
              unsigned long rdi, unsigned long rsi, unsigned long rdx);

extern const struct sgx_driver sgx_driver_hw, sgx_driver_sim;

/* By TEE name, "sgx" or "sgx-sim"; NULL if it is neither. */
const struct sgx_driver *sgx_driver_find(const char *name);

/* --- above the table ------------------------------------------------------------------------- */

/* Building and changing an enclave, with the retries that Linux asks for: partial counts go on,
 * EINTR, EAGAIN and EBUSY (a concurrent ioctl) are tried again, for at most a second without
 * progress. Errors say what the kernel's number means. */
struct sgx_enclave {
    const struct sgx_driver *driver;
    void *dev;
    uint64_t base, size;
    pthread_mutex_t ioctls; /* one after another */
};

/* Opens the device, reserves [base, base + size) (from 64 KiB on, if base is 0) and does ECREATE.
 * -EEXIST: something is mapped there. */
int sgx_enclave_create(struct sgx_enclave *e, const struct sgx_driver *driver,
                       const struct sgx_driver_options *options, const struct sgx_secs *secs,
                       struct sh_error *err);
/* EADD (and EEXTEND, if `measure`) of `size` bytes at `src`, page-aligned. */
int sgx_enclave_add(struct sgx_enclave *e, uint64_t offset, const void *src, uint64_t size,
                    uint64_t secinfo_flags, bool measure, struct sh_error *err);
int sgx_enclave_init(struct sgx_enclave *e, const struct sgx_sigstruct *css, struct sh_error *err);
/* Lets this enclave have ATTRIBUTES.PROVISIONKEY. */
int sgx_enclave_provision(struct sgx_enclave *e, struct sh_error *err);
int sgx_enclave_map(struct sgx_enclave *e, uint64_t offset, uint64_t size, int prot,
                    struct sh_error *err);
/* EMODPR, EMODT, EREMOVE over a range; the enclave accepts between the last two. */
int sgx_enclave_restrict(struct sgx_enclave *e, uint64_t offset, uint64_t size, uint64_t perm,
                         struct sh_error *err);
int sgx_enclave_set_type(struct sgx_enclave *e, uint64_t offset, uint64_t size,
                         enum sgx_page_type type, struct sh_error *err);
int sgx_enclave_remove(struct sgx_enclave *e, uint64_t offset, uint64_t size, struct sh_error *err);
/* -EBUSY while a thread is inside. Gives the address range back. */
int sgx_enclave_destroy(struct sgx_enclave *e);

#endif
