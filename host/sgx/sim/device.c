// SPDX-License-Identifier: Apache-2.0
// The Linux device: /dev/sgx_enclave's ioctls, mappings and page faults over the simulated leaves.
// Checks and error numbers are those of Linux 6.x (arch/x86/kernel/cpu/sgx).
#include "host/sgx/sim/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "verifier/measure/sgx.h"

#define MAX_BATCH_PAGES 256u

/* ENCLU outside an enclave is strict while a strict device is open. */
static void choose_speed(void)
{
    bool strict = sim_always_strict;
    for (unsigned i = 0; i < SIM_DEVICES; i++) {
        const struct sgxsim *dev = sim_device_number(i);
        strict |= dev != NULL && dev->options.speed == SGXSIM_STRICT;
    }
    sim_strict = strict;
}

/* copy_from_user: bad addresses are -EFAULT, not a signal. */
static int fetch_argument(void *to, uint64_t from, size_t size)
{
    struct iovec local = {to, size}, remote = {(void *)from, size};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)size ? 0 : -EFAULT;
}

static int put_argument(uint64_t to, const void *from, size_t size)
{
    struct iovec local = {(void *)from, size}, remote = {(void *)to, size};
    return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)size ? 0 : -EFAULT;
}

int sgxsim_open(const struct sgxsim_options *options, struct sgxsim **out)
{
    int ret = sim_cpu_init(options->key_file);
    if (ret == 0)
        ret = sim_signals_init();
    if (ret == 0)
        ret = sim_attach();
    if (ret == 0 && !sim_can_guard())
        ret = -ENOSYS;
    if (ret == 0 && (options->epc_pages != 0 || options->epc != NULL))
        ret = sim_paging_start(); /* pages may have to go */
    if (ret != 0)
        return ret;
    struct sgxsim *dev = calloc(1, sizeof(*dev));
    if (dev == NULL)
        return -ENOMEM;
    dev->options = *options;
    dev->options.key_file = NULL;
    dev->own_epc.limit = options->epc_pages;
    dev->epc = options->epc != NULL ? options->epc : &dev->own_epc;
    dev->fd = -1;
    (void)sim_eupdatesvn(true); /* sgx_inc_usage_count: the first one of all */
    if ((ret = sim_device_add(dev)) != 0) {
        free(dev);
        return ret;
    }
    choose_speed();
    sim_epc_enrol(dev->epc);
    *out = dev;
    return 0;
}

int sgxsim_close(struct sgxsim *dev)
{
    sigset_t mask;
    sim_enter(dev, &mask);
    bool inside = sim_inside(dev, UINT32_MAX);
    sim_leave(dev, &mask);
    if (inside)
        return -EBUSY;
    sim_device_drop(dev);
    choose_speed();
    for (struct sim_thread *t = sim_threads; t != NULL; t = t->next) {
        if (t->guarded == dev)
            t->guarded = NULL;
    }
    sim_unguard();
    sim_slots_free(dev);
    sim_epc_destroy(dev);
    free(dev);
    return 0;
}

void sgxsim_stats(struct sgxsim *dev, struct sgxsim_stats *stats)
{
    *stats = dev->stats;
}

int sgxsim_open_provision(void)
{
    int fd = memfd_create("sgxsim-provision", MFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* --- building -------------------------------------------------------------------------------- */

static int ioctl_create(struct sgxsim *dev, const struct sgx_enclave_create *arg)
{
    static struct sgx_secinfo secinfo; /* PT_SECS is 0 */
    struct sgx_secs secs;
    int ret = fetch_argument(&secs, arg->src, sizeof(secs));
    if (ret != 0)
        return ret;
    if (secs.size == 0 || (secs.size & (secs.size - 1)) != 0)
        return -EINVAL;
    struct sgx_pageinfo info = {.srcpge = (uint64_t)&secs, .secinfo = (uint64_t)&secinfo};
    if (sim_take_page(dev) != 0) /* of the SECS */
        return -ENOMEM;
    ret = sim_ecreate(dev, &info) == SGX_SUCCESS ? 0 : -EIO;
    if (ret == 0 && (ret = sim_epc_create(dev)) != 0)
        dev->created = false;
    if (ret != 0) {
        sim_epc_return(dev, 1);
        return ret;
    }
    /* PROVISIONKEY needs the other device, from now on; all else is free (SGX_ATTR_UNPRIV_MASK). */
    struct sgxsim_caps caps;
    sgxsim_caps(&caps);
    dev->allowed_attributes =
        caps.attributes.flags & ~(SGX_ATTR_PROVISIONKEY | SGX_ATTR_EINITTOKENKEY);
    return 0;
}

static int validate_secinfo(const struct sgx_secinfo *info)
{
    uint64_t perm = info->flags & SGX_SECINFO_RWX;
    unsigned type = SGX_SECINFO_PT_OF(info->flags);
    uint8_t any = 0;
    if (type != SGX_PT_REG && type != SGX_PT_TCS)
        return -EINVAL;
    if ((perm & SGX_SECINFO_W) != 0 && (perm & SGX_SECINFO_R) == 0)
        return -EINVAL;
    /* The processor would silently clear them. */
    if (type == SGX_PT_TCS && perm != 0)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(info->reserved); i++)
        any |= info->reserved[i];
    if ((info->flags & ~(SGX_SECINFO_RWX | 0xff00ull)) != 0 || any != 0)
        return -EINVAL;
    return 0;
}

/* `page` is the kernel's own copy; NULL: its frame has it already. */
static int add_page(struct sgxsim *dev, const uint8_t *page, uint64_t offset,
                    const struct sgx_secinfo *secinfo, bool measure)
{
    if ((sim_page(dev, offset)->state & PAGE_VALID) != 0)
        return -EBUSY;
    if (!sim_epc_reach(dev, offset) || sim_grow(dev) != 0 || sim_take_page(dev) != 0)
        return -ENOMEM;
    struct sgx_pageinfo info = {.linaddr = dev->base + offset,
                                .srcpge = (uint64_t)(page != NULL ? page : sim_frame(dev, offset)),
                                .secinfo = (uint64_t)secinfo};
    if (sim_eadd(dev, &info) != SGX_SUCCESS) {
        sim_epc_give(dev, offset, SGX_PAGE_SIZE);
        return -EIO;
    }
    sim_page(dev, offset)->max = SGX_SECINFO_PT_OF(secinfo->flags) == SGX_PT_TCS
                                     ? PROT_READ | PROT_WRITE
                                     : (uint8_t)(secinfo->flags & SGX_SECINFO_RWX);
    for (unsigned at = 0; measure && at < SGX_PAGE_SIZE; at += 256) {
        if (sim_eextend(dev, dev->base + offset + at) != SGX_SUCCESS)
            return -EIO;
    }
    return 0;
}

static int add_tcs(struct sgxsim *dev, uint64_t from, uint64_t offset,
                   const struct sgx_secinfo *secinfo, bool measure)
{
    uint8_t page[SGX_PAGE_SIZE] __attribute__((aligned(4096)));
    int ret = fetch_argument(page, from, sizeof(page));
    return ret != 0 ? ret : add_page(dev, page, offset, secinfo, measure);
}

/* How many bytes from offset on belong to pages that are not there yet. */
static uint64_t new_size(const struct sgxsim *dev, uint64_t offset, uint64_t size)
{
    uint64_t at = 0;
    while (at < size && (sim_page(dev, offset + at)->state & PAGE_VALID) == 0)
        at += SGX_PAGE_SIZE;
    return at;
}

/* Pages in a row, whose contents come at once. *done grows by what was added. */
static int add_row(struct sgxsim *dev, const struct sgx_enclave_add_pages *arg,
                   const struct sgx_secinfo *secinfo, uint64_t *done)
{
    bool measure = (arg->flags & SGX_PAGE_MEASURE) != 0;
    uint64_t offset = arg->offset + *done, at = 0;
    uint64_t size = new_size(dev, offset, arg->length - *done);
    if (size == 0)
        return -EBUSY;
    if (SGX_SECINFO_PT_OF(secinfo->flags) == SGX_PT_TCS) {
        int ret = add_tcs(dev, arg->src + *done, offset, secinfo, measure);
        *done += ret == 0 ? SGX_PAGE_SIZE : 0;
        return ret;
    }
    size = sim_epc_fill_row(dev, offset, arg->src + *done, size);
    int ret = size != 0 ? 0 : -EFAULT;
    for (; ret == 0 && at < size; at += ret == 0 ? SGX_PAGE_SIZE : 0)
        ret = add_page(dev, NULL, offset + at, secinfo, measure);
    sim_epc_clear(dev, offset + at, size - at);
    *done += at;
    return ret;
}

static int ioctl_add_pages(struct sgxsim *dev, struct sgx_enclave_add_pages *arg)
{
    struct sgx_secinfo secinfo;
    uint64_t done = 0;
    if (arg->offset % SGX_PAGE_SIZE != 0 || arg->src % SGX_PAGE_SIZE != 0 || arg->length == 0 ||
        arg->length % SGX_PAGE_SIZE != 0 || arg->length > dev->size ||
        arg->offset > dev->size - arg->length)
        return -EINVAL;
    int ret = fetch_argument(&secinfo, arg->secinfo, sizeof(secinfo));
    if (ret == 0)
        ret = validate_secinfo(&secinfo);
    if (ret != 0)
        return ret;
    while (ret == 0 && done < arg->length)
        ret = add_row(dev, arg, &secinfo, &done);
    arg->count = done;
    return ret;
}

/* A SIGSTRUCT that demands what this processor has not. */
static bool demands_too_much(const struct sgx_sigstruct *css)
{
    struct sgxsim_caps caps;
    sgxsim_caps(&caps);
    return (css->attributes.flags & css->attribute_mask.flags & ~caps.attributes.flags) != 0 ||
           (css->attributes.xfrm & css->attribute_mask.xfrm & ~caps.attributes.xfrm) != 0 ||
           (css->miscselect & css->miscmask & ~caps.miscselect) != 0;
}

static int ioctl_init(struct sgxsim *dev, const struct sgx_enclave_init *arg)
{
    static const struct sgx_einittoken no_token;
    static pthread_mutex_t msr_lock = PTHREAD_MUTEX_INITIALIZER;
    struct sgx_sigstruct css;
    int ret = fetch_argument(&css, arg->sigstruct, sizeof(css));
    if (ret != 0)
        return ret;
    if (css.vendor != 0 && css.vendor != 0x8086)
        return -EINVAL;
    if ((dev->secs.attributes.flags & ~dev->allowed_attributes) != 0)
        return -EACCES;
    if (demands_too_much(&css))
        return -EINVAL;
    pthread_mutex_lock(&msr_lock);
    sgx_mrsigner(&css, (uint8_t *)sim_cpu.lepubkeyhash); /* the kernel writes the MSRs */
    ret = sim_einit(dev, &css, &no_token);
    pthread_mutex_unlock(&msr_lock);
    if (ret < 0)
        return -EIO;
    if (ret != SGX_SUCCESS)
        return -EPERM;
    sim_masks_narrow(dev);
    if (dev->options.speed == SGXSIM_PATCHED)
        sim_slots_patch(dev);
    sim_epc_sync(dev, 0, dev->size);
    sim_epc_unview(dev);
    return 0;
}

static int ioctl_provision(struct sgxsim *dev, const struct sgx_enclave_provision *arg)
{
    char path[64], name[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", (int)arg->fd);
    ssize_t n = readlink(path, name, sizeof(name) - 1);
    if (n < 0)
        return -EINVAL;
    name[n] = 0;
    if (strncmp(name, "/memfd:sgxsim-provision", 23) != 0)
        return -EINVAL;
    dev->allowed_attributes |= SGX_ATTR_PROVISIONKEY;
    return 0;
}

/* --- changing (SGX2) ------------------------------------------------------------------------- */

/* sgx_enclave_etrack: an IPI only if the last tracking is not complete. Who is still inside from
 * before this one makes EACCEPT say SGX_NOT_TRACKED, here as on hardware, until it leaves or is
 * interrupted. */
static int run_etrack(struct sgxsim *dev)
{
    if (sim_etrack(dev) == SGX_SUCCESS)
        return 0;
    sim_kick_out(dev);
    return sim_etrack(dev) == SGX_SUCCESS ? 0 : -EFAULT;
}

static int check_sgx2_range(const struct sgxsim *dev, uint64_t offset, uint64_t length)
{
    if (offset % SGX_PAGE_SIZE != 0 || length == 0 || length % SGX_PAGE_SIZE != 0 ||
        length > dev->size || offset > dev->size - length)
        return -EINVAL;
    return 0;
}

static int ioctl_restrict(struct sgxsim *dev, struct sgx_enclave_restrict_permissions *arg)
{
    struct sgx_secinfo info = {.flags = arg->permissions & SGX_SECINFO_RWX};
    uint64_t done = 0;
    int ret = check_sgx2_range(dev, arg->offset, arg->length);
    if (ret != 0)
        return ret;
    if ((arg->permissions & ~SGX_SECINFO_RWX) != 0 || arg->result != 0 || arg->count != 0)
        return -EINVAL;
    if ((arg->permissions & SGX_SECINFO_W) != 0 && (arg->permissions & SGX_SECINFO_R) == 0)
        return -EINVAL;
    for (; ret == 0 && done < arg->length; done += SGX_PAGE_SIZE) {
        uint64_t offset = arg->offset + done;
        struct sim_page *p = sim_page(dev, offset);
        if ((p->state & PAGE_VALID) == 0 || sim_bring_back(dev, offset) != 0) {
            ret = -EFAULT;
            break;
        }
        if (p->type != SGX_PT_REG) {
            ret = -EINVAL;
            break;
        }
        dev->leaf_page = offset + 1;
        int code = sim_emodpr(dev, &info, dev->base + offset);
        dev->leaf_page = 0;
        if (code != SGX_SUCCESS) {
            arg->result = code > 0 ? (uint64_t)code : 0;
            ret = -EFAULT;
            break;
        }
        if ((ret = run_etrack(dev)) != 0)
            break;
    }
    sim_epc_sync(dev, arg->offset, arg->length);
    arg->count = done;
    return ret;
}

static int ioctl_types(struct sgxsim *dev, struct sgx_enclave_modify_types *arg)
{
    struct sgx_secinfo info = {.flags = SGX_SECINFO_PT(arg->page_type & 0xff)};
    uint64_t done = 0;
    int ret = check_sgx2_range(dev, arg->offset, arg->length);
    if (ret != 0)
        return ret;
    if ((arg->page_type != SGX_PT_TCS && arg->page_type != SGX_PT_TRIM) || arg->result != 0 ||
        arg->count != 0)
        return -EINVAL;
    sim_epc_hide(dev, arg->offset, arg->length); /* what does not change comes back at the end */
    for (; ret == 0 && done < arg->length; done += SGX_PAGE_SIZE) {
        uint64_t offset = arg->offset + done;
        struct sim_page *p = sim_page(dev, offset);
        if ((p->state & PAGE_VALID) == 0 || sim_bring_back(dev, offset) != 0) {
            ret = -EFAULT;
            break;
        }
        /* Only regular pages turn into TCS, and only those two into TRIM. */
        bool may =
            p->type == SGX_PT_REG || (p->type == SGX_PT_TCS && arg->page_type == SGX_PT_TRIM);
        /* A TCS comes from a page that may be read and written. */
        bool writable = arg->page_type != SGX_PT_TCS || (p->max & 3) == 3;
        if (!may || !writable) {
            ret = may ? -EPERM : -EINVAL;
            break;
        }
        dev->leaf_page = offset + 1;
        int code = sim_emodt(dev, &info, dev->base + offset);
        dev->leaf_page = 0;
        if (code != SGX_SUCCESS) {
            arg->result = code > 0 ? (uint64_t)code : 0;
            ret = -EFAULT;
            break;
        }
        if (arg->page_type == SGX_PT_TCS) {
            p->max = PROT_READ | PROT_WRITE;
            sim_kick_out(dev); /* its PTE went: a TLB shoot-down */
        }
        if ((ret = run_etrack(dev)) != 0)
            break;
    }
    if (done < arg->length)
        sim_epc_sync(dev, arg->offset + done, arg->length - done);
    arg->count = done;
    return ret;
}

static int ioctl_remove(struct sgxsim *dev, struct sgx_enclave_remove_pages *arg)
{
    uint64_t done = 0, given = 0;
    int ret = check_sgx2_range(dev, arg->offset, arg->length);
    if (ret != 0)
        return ret;
    if (arg->count != 0)
        return -EINVAL;
    for (; done < arg->length; done += SGX_PAGE_SIZE) {
        uint64_t offset = arg->offset + done;
        struct sim_page *p = sim_page(dev, offset);
        if ((p->state & PAGE_EVICTED) != 0) { /* it may come back in the place of those that went */
            sim_epc_give(dev, arg->offset + given, done - given);
            given = done;
        }
        if ((p->state & PAGE_VALID) == 0 || sim_bring_back(dev, offset) != 0) {
            ret = -EFAULT;
            break;
        }
        /* Trimmed, and accepted by the enclave, or it could be tricked out of a page it uses. */
        if (p->type != SGX_PT_TRIM || (p->state & PAGE_MODIFIED) != 0) {
            ret = -EPERM;
            break;
        }
        if (sim_eremove(dev, dev->base + offset) != SGX_SUCCESS) {
            ret = -EBUSY;
            break;
        }
        if (sim_inside(dev, UINT32_MAX)) { /* its PTE goes: a TLB shoot-down, the lock is free */
            sim_epc_give(dev, arg->offset + given, done + SGX_PAGE_SIZE - given);
            given = done + SGX_PAGE_SIZE;
            sim_kick_out(dev);
        }
    }
    sim_epc_give(dev, arg->offset + given, done - given);
    arg->count = done;
    return ret;
}

/* --- dispatch -------------------------------------------------------------------------------- */

static int dispatch_ioctl(struct sgxsim *dev, unsigned long request, void *arg)
{
    switch (request) {
    case SGX_IOC_ENCLAVE_CREATE:
        return ioctl_create(dev, arg);
    case SGX_IOC_ENCLAVE_ADD_PAGES:
        return ioctl_add_pages(dev, arg);
    case SGX_IOC_ENCLAVE_INIT:
        return ioctl_init(dev, arg);
    case SGX_IOC_ENCLAVE_PROVISION:
        return ioctl_provision(dev, arg);
    case SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS:
        return ioctl_restrict(dev, arg);
    case SGX_IOC_ENCLAVE_MODIFY_TYPES:
        return ioctl_types(dev, arg);
    case SGX_IOC_ENCLAVE_REMOVE_PAGES:
        return ioctl_remove(dev, arg);
    default:
        return -ENOTTY;
    }
}

/* What the kernel looks at before it reads the argument. */
static int check_state(const struct sgxsim *dev, unsigned long request)
{
    struct sgxsim_caps caps;
    switch (request) {
    case SGX_IOC_ENCLAVE_CREATE:
        return dev->created ? -EINVAL : 0;
    case SGX_IOC_ENCLAVE_ADD_PAGES:
    case SGX_IOC_ENCLAVE_INIT:
        return !dev->created || dev->initialized ? -EINVAL : 0;
    case SGX_IOC_ENCLAVE_PROVISION:
        return 0;
    case SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS:
    case SGX_IOC_ENCLAVE_MODIFY_TYPES:
    case SGX_IOC_ENCLAVE_REMOVE_PAGES:
        sgxsim_caps(&caps);
        return !caps.sgx2 ? -ENODEV : !dev->initialized ? -EINVAL : 0;
    default:
        return -ENOTTY;
    }
}

static int change_enclave(struct sgxsim *dev, unsigned long request, void *arg)
{
    sigset_t mask;
    sim_enter(dev, &mask);
    int ret = dispatch_ioctl(dev, request, arg);
    sim_leave(dev, &mask);
    return ret;
}

int sgxsim_ioctl(struct sgxsim *dev, unsigned long request, void *arg)
{
    uint64_t before[8], copy[8]; /* as large as any */
    size_t size = _IOC_SIZE(request);
    if (atomic_exchange(&dev->busy, true))
        return -EBUSY; /* the kernel's SGX_ENCL_IOCTL bit */
    int ret = check_state(dev, request);
    if (ret == 0)
        ret = fetch_argument(copy, (uint64_t)arg, size);
    if (ret == 0) {
        memcpy(before, copy, size);
        ret = change_enclave(dev, request, copy);
        if (memcmp(before, copy, size) != 0 && put_argument((uint64_t)arg, copy, size) != 0)
            ret = -EFAULT;
    }
    dev->busy = false;
    return ret;
}

int sgxsim_ioctl_at(struct sgxsim *dev, unsigned long request, void *arg)
{
    if (atomic_exchange(&dev->busy, true))
        return -EBUSY;
    int ret = check_state(dev, request);
    if (ret == 0)
        ret = change_enclave(dev, request, arg);
    dev->busy = false;
    return ret;
}

/* --- debugger -------------------------------------------------------------------------------- */

/* sgx_vma_access: what is not whole words is read, changed and written. */
static int debug_access(struct sgxsim *dev, uint64_t addr, void *data, uint64_t size, bool write)
{
    sigset_t mask;
    int ret = 0;
    if (!dev->created || (dev->secs.attributes.flags & SGX_ATTR_DEBUG) == 0)
        return -EIO;
    sim_enter(dev, &mask);
    for (uint64_t done = 0; ret == 0 && done < size;) {
        uint64_t word, at = addr + done, in = at % 8,
                       n = 8 - in < size - done ? 8 - in : size - done;
        if (at < dev->base || at - dev->base >= dev->size ||
            sim_bring_back(dev, (at - dev->base) & ~(uint64_t)(SGX_PAGE_SIZE - 1)) != 0)
            ret = -EIO;
        if (ret == 0 && sim_edbgrd(dev, at - in, &word) != SGX_SUCCESS)
            ret = -EIO;
        if (ret == 0 && write) {
            memcpy((uint8_t *)&word + in, (uint8_t *)data + done, n);
            ret = sim_edbgwr(dev, at - in, word) == SGX_SUCCESS ? 0 : -EIO;
        } else if (ret == 0) {
            memcpy((uint8_t *)data + done, (uint8_t *)&word + in, n);
        }
        done += n;
    }
    sim_leave(dev, &mask);
    return ret;
}

int sgxsim_debug_read(struct sgxsim *dev, uint64_t addr, void *out, uint64_t size)
{
    return debug_access(dev, addr, out, size, false);
}

int sgxsim_debug_write(struct sgxsim *dev, uint64_t addr, const void *data, uint64_t size)
{
    return debug_access(dev, addr, (void *)data, size, true);
}
