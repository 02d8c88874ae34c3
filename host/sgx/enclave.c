// SPDX-License-Identifier: Apache-2.0
// Builds and changes enclaves through a driver, with the retries that Linux asks for.
#include "host/sgx/driver.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LOWEST 0x10000ull /* of what is mapped; Linux keeps the first pages for nobody */
#define PATIENCE_NS 1000000000ll

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static bool is_transient(int code)
{
    return code == -EINTR || code == -EAGAIN || code == -EBUSY;
}

/* Linux lets one at a time change an enclave and refuses the others: ours wait for each other,
 * rather than try again. */
static int next_ioctl(struct sgx_enclave *e, unsigned long request, void *arg)
{
    pthread_mutex_lock(&e->ioctls);
    int ret = e->driver->ioctl(e->dev, request, arg);
    pthread_mutex_unlock(&e->ioctls);
    return ret;
}

/* One ioctl, again while it says that it should be. */
static int patient_ioctl(struct sgx_enclave *e, unsigned long request, void *arg)
{
    int64_t until = now_ms() + PATIENCE_NS;
    for (;;) {
        int ret = next_ioctl(e, request, arg);
        if (!is_transient(ret) || now_ms() > until)
            return ret;
        usleep(50);
    }
}

static uint64_t lowest_address(const struct sgx_enclave *e)
{
    return e->base < LOWEST ? LOWEST : e->base;
}

static void unreserve_range(struct sgx_enclave *e)
{
    uint64_t start = lowest_address(e);
    munmap((void *)start, e->base + e->size - start);
}

static int reserve_range(struct sgx_enclave *e, struct sh_error *err)
{
    uint64_t start = lowest_address(e);
    if (e->size < 2 * SGX_PAGE_SIZE || e->base + e->size < e->base || start >= e->base + e->size)
        return sh_fail(err, -EINVAL, "the enclave has no address range");
    void *p = mmap((void *)start, e->base + e->size - start, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (p == MAP_FAILED)
        return sh_fail_errno(err, -errno, "cannot reserve the enclave's addresses from %#llx",
                             (unsigned long long)start);
    if (p != (void *)start) {
        munmap(p, e->base + e->size - start);
        return sh_fail(err, -EEXIST, "the enclave's addresses from %#llx are taken",
                       (unsigned long long)start);
    }
    return 0;
}

int sgx_enclave_create(struct sgx_enclave *e, const struct sgx_driver *driver,
                       const struct sgx_driver_options *options, const struct sgx_secs *secs,
                       struct sh_error *err)
{
    struct sgx_enclave_create arg = {.src = (uint64_t)secs};
    *e = (struct sgx_enclave){.driver = driver,
                              .base = secs->base,
                              .size = secs->size,
                              .ioctls = PTHREAD_MUTEX_INITIALIZER};
    int ret = driver->open(options, &e->dev, err);
    if (ret != 0)
        return ret;
    ret = reserve_range(e, err);
    if (ret == 0 && (ret = patient_ioctl(e, SGX_IOC_ENCLAVE_CREATE, &arg)) != 0) {
        unreserve_range(e);
        sh_fail_errno(err, ret, "the processor refused to create the enclave (%s)",
                      ret == -EIO || ret == -EINVAL
                          ? "its size, attributes or XFRM are not supported here"
                          : "ECREATE");
    }
    if (ret != 0) {
        driver->close(e->dev);
        e->dev = NULL;
    }
    return ret;
}

int sgx_enclave_add(struct sgx_enclave *e, uint64_t offset, const void *src, uint64_t size,
                    uint64_t secinfo_flags, bool measure, struct sh_error *err)
{
    struct sgx_secinfo secinfo = {.flags = secinfo_flags};
    int64_t until = now_ms() + PATIENCE_NS;
    uint64_t done = 0;
    while (done < size) {
        struct sgx_enclave_add_pages arg = {.src = (uint64_t)src + done,
                                            .offset = offset + done,
                                            .length = size - done,
                                            .secinfo = (uint64_t)&secinfo,
                                            .flags = measure ? SGX_PAGE_MEASURE : 0};
        int ret = e->driver->ioctl(e->dev, SGX_IOC_ENCLAVE_ADD_PAGES, &arg);
        /* A kernel that lies about its count must not make us loop or skip. */
        if (arg.count > size - done || arg.count % SGX_PAGE_SIZE != 0)
            return sh_fail(err, -EIO, "the SGX driver reports a count that cannot be");
        done += arg.count;
        if (arg.count != 0)
            until = now_ms() + PATIENCE_NS;
        if ((ret == 0 && arg.count != 0) || (is_transient(ret) && now_ms() < until))
            continue;
        if (ret == 0)
            ret = -EIO;
        if (ret == -ENOMEM)
            return sh_fail(err, ret, "no EPC memory is left for the enclave");
        return sh_fail_errno(err, ret, "cannot add pages at offset %#llx to the enclave%s",
                             (unsigned long long)(offset + done),
                             ret == -EACCES ? " (its file lies on a noexec file system)" : "");
    }
    return 0;
}

int sgx_enclave_init(struct sgx_enclave *e, const struct sgx_sigstruct *css, struct sh_error *err)
{
    struct sgx_enclave_init arg = {.sigstruct = (uint64_t)css};
    int ret = patient_ioctl(e, SGX_IOC_ENCLAVE_INIT, &arg);
    switch (ret) {
    case 0:
        return 0;
    case -EPERM:
        return sh_fail(err, ret,
                       "the processor refused the enclave: its bytes, attributes or "
                       "signature are not what its SIGSTRUCT says");
    case -EACCES:
        return sh_fail(err, ret,
                       "the kernel refused an attribute of the enclave: the provisioning key needs "
                       "access to /dev/sgx_provision, AEX-Notify needs Linux 6.2");
    case -EINVAL:
        return sh_fail(err, ret,
                       "the enclave's SIGSTRUCT demands what this processor has not, or is none");
    default:
        return sh_fail_errno(err, ret, "cannot initialise the enclave");
    }
}

int sgx_enclave_provision(struct sgx_enclave *e, struct sh_error *err)
{
    int fd = e->driver->open_provision();
    if (fd < 0)
        return sh_fail_errno(err, fd, "cannot open /dev/sgx_provision; join the group sgx_prv");
    struct sgx_enclave_provision arg = {.fd = (uint64_t)fd};
    int ret = patient_ioctl(e, SGX_IOC_ENCLAVE_PROVISION, &arg);
    close(fd);
    return ret == 0 ? 0 : sh_fail_errno(err, ret, "the driver refused the provisioning key");
}

int sgx_enclave_map(struct sgx_enclave *e, uint64_t offset, uint64_t size, int prot,
                    struct sh_error *err)
{
    int ret = e->driver->map(e->dev, e->base + offset, size, prot);
    if (ret == -EACCES)
        return sh_fail(err, ret, "a mapping of the enclave asks for more than its pages allow");
    return ret == 0 ? 0 : sh_fail_errno(err, ret, "cannot map the enclave");
}

/* The three SGX2 ioctls share a shape: offset, length, …, and a count in bytes. */
static int change_pages(struct sgx_enclave *e, unsigned long request, uint64_t offset,
                        uint64_t size, uint64_t value, const char *what, struct sh_error *err)
{
    int64_t until = now_ms() + PATIENCE_NS;
    uint64_t done = 0;
    while (done < size) {
        union {
            struct sgx_enclave_restrict_permissions restrict_;
            struct sgx_enclave_modify_types types;
            struct sgx_enclave_remove_pages remove;
        } arg;
        memset(&arg, 0, sizeof(arg));
        arg.restrict_.offset = offset + done;
        arg.restrict_.length = size - done;
        if (request != SGX_IOC_ENCLAVE_REMOVE_PAGES)
            arg.restrict_.permissions = value;
        int ret = next_ioctl(e, request, &arg);
        uint64_t count =
            request == SGX_IOC_ENCLAVE_REMOVE_PAGES ? arg.remove.count : arg.restrict_.count;
        uint64_t code = request == SGX_IOC_ENCLAVE_REMOVE_PAGES ? 0 : arg.restrict_.result;
        if (count > size - done || count % SGX_PAGE_SIZE != 0)
            return sh_fail(err, -EIO, "the SGX driver reports a count that cannot be");
        done += count;
        if (count != 0)
            until = now_ms() + PATIENCE_NS;
        if ((ret == 0 && count != 0) || (is_transient(ret) && now_ms() < until))
            continue;
        if (ret == 0)
            ret = -EIO;
        return sh_fail_errno(err, ret, "cannot %s at offset %#llx of the enclave (SGX error %llu)",
                             what, (unsigned long long)(offset + done), (unsigned long long)code);
    }
    return 0;
}
_Static_assert(offsetof(struct sgx_enclave_restrict_permissions, permissions) ==
                       offsetof(struct sgx_enclave_modify_types, page_type) &&
                   offsetof(struct sgx_enclave_restrict_permissions, count) ==
                       offsetof(struct sgx_enclave_modify_types, count),
               "SGX2 ioctls");

int sgx_enclave_restrict(struct sgx_enclave *e, uint64_t offset, uint64_t size, uint64_t perm,
                         struct sh_error *err)
{
    return change_pages(e, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, offset, size, perm,
                        "restrict permissions", err);
}

int sgx_enclave_set_type(struct sgx_enclave *e, uint64_t offset, uint64_t size,
                         enum sgx_page_type type, struct sh_error *err)
{
    return change_pages(e, SGX_IOC_ENCLAVE_MODIFY_TYPES, offset, size, type, "change page types",
                        err);
}

int sgx_enclave_remove(struct sgx_enclave *e, uint64_t offset, uint64_t size, struct sh_error *err)
{
    return change_pages(e, SGX_IOC_ENCLAVE_REMOVE_PAGES, offset, size, 0, "remove pages", err);
}

int sgx_enclave_destroy(struct sgx_enclave *e)
{
    int ret = e->driver->close(e->dev);
    if (ret != 0)
        return ret;
    e->dev = NULL;
    unreserve_range(e);
    return 0;
}
