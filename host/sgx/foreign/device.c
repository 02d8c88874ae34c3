// SPDX-License-Identifier: Apache-2.0
// /dev/sgx_enclave and /dev/sgx_provision, as the kernel's driver shows them. To the kernel the
// program's descriptors are memory files that only their names tell apart, so they can be
// duplicated, inherited and sent like any other; which enclave one belongs to is known by its
// inode.
#include "host/sgx/foreign/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME_ENCLAVE "sgx_enclave"
#define NAME_PROVISION "sgx_provision"
#define MAX_EARLY 32
#define SIZE_OF(kind) (0x5347580d15ea0000ull + (kind)*4096ull)

enum kind { KIND_NONE, KIND_ENCLAVE, KIND_PROVISION };

/* A mapping of the device before there is an enclave, or outside it. */
struct early {
    uint64_t start, end;
    int prot;
};

struct file {
    struct file *next;
    uint64_t inode;
    struct sgxsim *dev;
    struct early early[MAX_EARLY];
    unsigned early_count;
};
static struct file *files;
static bool any_mapped; /* there may be something to protect */
static struct sgxsim_stats finished;
static struct sgxsim_epc *epc;

int fgn_epc_start(void)
{
    uint64_t pages = fgn_options.epc_bytes / SGX_PAGE_SIZE;
    if (fgn_options.epc[0] != 0 && sgxsim_epc_open(fgn_options.epc, pages, &epc) == 0)
        return 0;
    return sgxsim_epc_open(NULL, pages,
                           &epc); /* the first process has ended, and the file with it */
}

/* --- descriptors ----------------------------------------------------------------------------- */

static enum kind kind_of_path(const char *path)
{
    if (strcmp(path, "/dev/sgx_enclave") == 0 || strcmp(path, "/dev/sgx/enclave") == 0)
        return KIND_ENCLAVE;
    if (strcmp(path, "/dev/sgx_provision") == 0 || strcmp(path, "/dev/sgx/provision") == 0)
        return KIND_PROVISION;
    return KIND_NONE;
}

bool fgn_is_device_path(const char *path)
{
    return kind_of_path(path) != KIND_NONE;
}

/* Told apart from other files by a size that no file has, so that nothing of /proc is needed. */
static enum kind kind_of_fd(int fd, uint64_t *inode)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_blocks != 0)
        return KIND_NONE;
    *inode = st.st_ino;
    if ((uint64_t)st.st_size == SIZE_OF(KIND_ENCLAVE))
        return KIND_ENCLAVE;
    return (uint64_t)st.st_size == SIZE_OF(KIND_PROVISION) ? KIND_PROVISION : KIND_NONE;
}

bool fgn_is_device_fd(int fd)
{
    uint64_t inode;
    return kind_of_fd(fd, &inode) != KIND_NONE;
}

static void add_counts(struct sgxsim_stats *sum, const struct sgxsim_stats *s)
{
    const uint64_t *from = (const uint64_t *)s;
    uint64_t *to = (uint64_t *)sum;
    for (size_t i = 0; i < sizeof(*s) / sizeof(uint64_t); i++)
        to[i] += from[i];
}

/* An enclave ends with its last descriptor and mapping, and nobody tells us of the descriptors. */
static void collect_garbage(void)
{
    for (struct file **p = &files; *p != NULL;) {
        struct file *f = *p;
        bool held = f->early_count != 0 || (f->dev != NULL && f->dev->vma_count != 0);
        for (int fd = 0; !held && fd < 4096; fd++) {
            uint64_t inode;
            struct stat st;
            if (fstat(fd, &st) == 0 && st.st_ino == f->inode)
                held = kind_of_fd(fd, &inode) == KIND_ENCLAVE;
        }
        struct sgxsim_stats stats = {0};
        if (!held && f->dev != NULL)
            sgxsim_stats(f->dev, &stats);
        if (held || (f->dev != NULL && sgxsim_close(f->dev) != 0)) {
            p = &f->next;
            continue;
        }
        stats.epc_pages = 0;
        add_counts(&finished, &stats);
        *p = f->next;
        free(f);
    }
}

/* The same file, for reading or writing only as it was asked. */
static int open_as(int fd, long flags)
{
    char path[64];
    if ((flags & O_ACCMODE) == O_RDWR)
        return fd;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int narrow = open(path, (int)(flags & (O_ACCMODE | O_CLOEXEC)));
    if (narrow < 0)
        return fd; /* no /proc here */
    int ret = dup3(narrow, fd, (flags & O_CLOEXEC) != 0 ? O_CLOEXEC : 0);
    close(narrow);
    return ret < 0 ? -errno : ret;
}

long fgn_open(const char *path, long flags)
{
    enum kind kind = kind_of_path(path);
    if (kind == KIND_NONE)
        return FGN_PASS;
    if ((flags & O_DIRECTORY) != 0)
        return -ENOTDIR;
    int fault = kind == KIND_ENCLAVE ? fgn_fault(SH_SIM_OPEN) : SH_SIM_NO_FAULT;
    if (fault != SH_SIM_NO_FAULT)
        return fault;
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return -EEXIST;
    int fd = memfd_create(kind == KIND_ENCLAVE ? NAME_ENCLAVE : NAME_PROVISION,
                          (flags & O_CLOEXEC) != 0 ? MFD_CLOEXEC : 0);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)SIZE_OF(kind)) != 0) {
        close(fd);
        return -ENOMEM;
    }
    if (kind == KIND_ENCLAVE)
        collect_garbage();
    return open_as(fd, flags);
}

static struct file *file_of(uint64_t inode)
{
    for (struct file *f = files; f != NULL; f = f->next) {
        if (f->inode == inode)
            return f;
    }
    return NULL;
}

/* Also one that came from another process. */
static struct file *file_get(uint64_t inode, long *error)
{
    struct file *f = file_of(inode);
    if (f != NULL)
        return f;
    struct sgxsim_options options = {
        .speed = fgn_options.strict ? SGXSIM_STRICT : SGXSIM_PATCHED,
        .epc = epc,
        .key_file = fgn_options.key[0] != 0 ? fgn_options.key : NULL,
    };
    f = calloc(1, sizeof(*f));
    int ret = f != NULL ? sgxsim_open(&options, &f->dev) : -ENOMEM;
    if (ret != 0) {
        free(f);
        *error = ret;
        return NULL;
    }
    f->inode = inode;
    f->next = files;
    files = f;
    return f;
}

/* --- mappings -------------------------------------------------------------------------------- */

static bool is_inside(const struct sgxsim *dev, uint64_t start, uint64_t end)
{
    return start >= dev->base && end <= dev->base + dev->size;
}

static void early_cut(struct file *f, uint64_t start, uint64_t end)
{
    for (unsigned i = 0; i < f->early_count; i++) {
        struct early *e = &f->early[i], old = *e;
        if (e->start >= end || e->end <= start)
            continue;
        if (e->start < start && e->end > end && f->early_count < MAX_EARLY) {
            f->early[f->early_count++] = (struct early){end, old.end, old.prot};
            e->end = start;
        } else if (e->start < start) {
            e->end = start;
        } else if (e->end > end) {
            e->start = end;
        } else {
            *e = f->early[--f->early_count];
            i--;
        }
    }
}

/* What was mapped of the device before ECREATE, and is in ELRANGE, becomes the enclave's. */
static void adopt_early(struct file *f)
{
    for (unsigned i = 0; i < f->early_count;) {
        struct early e = f->early[i];
        uint64_t start = e.start < f->dev->base ? f->dev->base : e.start;
        uint64_t end = e.end > f->dev->base + f->dev->size ? f->dev->base + f->dev->size : e.end;
        if (start < end && sgxsim_map(f->dev, start, end - start, e.prot) == 0) {
            early_cut(f, start, end);
            i = 0;
        } else {
            i++;
        }
    }
}

/* A file's mapping anywhere else: nothing is there, and touching it is SIGBUS. */
static long map_early(struct file *f, const long a[6])
{
    if (f->early_count == MAX_EARLY)
        return -ENOMEM;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
                (int)(a[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE));
    void *p = mmap((void *)a[0], (size_t)a[1], PROT_NONE, flags, -1, 0);
    if (p == MAP_FAILED)
        return -errno;
    uint64_t end = (uint64_t)p + (((uint64_t)a[1] + 0xfff) & ~0xfffull);
    early_cut(f, (uint64_t)p, end);
    f->early[f->early_count++] = (struct early){(uint64_t)p, end, (int)a[2]};
    return (long)p;
}

static long unmap_enclaves(uint64_t start, uint64_t end);

static long map_device(struct file *f, const long a[6])
{
    uint64_t start = (uint64_t)a[0], size = ((uint64_t)a[1] + 0xfff) & ~0xfffull;
    int prot = (int)(a[2] & (PROT_READ | PROT_WRITE | PROT_EXEC));
    bool fixed = (a[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0;
    if (a[1] == 0 || a[5] % 4096 != 0)
        return -EINVAL;
    if ((a[3] & MAP_TYPE) != MAP_SHARED && (a[3] & MAP_TYPE) != MAP_SHARED_VALIDATE)
        return -EINVAL;
    if (fixed && start % 4096 != 0)
        return -EINVAL;
    if (size == 0 || size > 1ull << 47 || (fixed && start > (1ull << 47) - size))
        return -ENOMEM;
    int mode = fcntl((int)a[4], F_GETFL) & O_ACCMODE;
    if (mode == O_WRONLY || (mode == O_RDONLY && (prot & PROT_WRITE) != 0))
        return -EACCES;
    if ((personality(0xffffffff) & READ_IMPLIES_EXEC) != 0)
        return -EACCES;
    any_mapped = true;
    if (!f->dev->created)
        return map_early(f, a);
    if (!fixed && !is_inside(f->dev, start & ~0xfffull, (start & ~0xfffull) + size))
        return -EACCES; /* the kernel would look for a place, and none of those is in ELRANGE */
    start &= ~0xfffull;
    if ((a[3] & MAP_FIXED) == 0 && fixed &&
        mmap((void *)start, size, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
             0) == MAP_FAILED)
        return -errno; /* something is there */
    if (!is_inside(f->dev, start, start + size))
        return -EACCES;
    int ret = sgxsim_map(f->dev, start, size, prot);
    return ret == 0 ? (long)start : ret;
}

/* The mappings of enclaves between start and end: the first one, or NULL. */
static struct file *find_mapped(uint64_t start, uint64_t end, uint64_t *from, uint64_t *to)
{
    struct file *found = NULL;
    *from = *to = end;
    for (struct file *f = files; f != NULL; f = f->next) {
        for (unsigned i = 0; f->dev->created && i < f->dev->vma_count; i++) {
            uint64_t s = f->dev->base + f->dev->vmas[i].start,
                     e = f->dev->base + f->dev->vmas[i].end;
            s = s < start ? start : s;
            e = e > end ? end : e;
            if (s < e && s < *from) {
                found = f;
                *from = s;
                *to = e;
            }
        }
    }
    return found;
}

static long unmap_enclaves(uint64_t start, uint64_t end)
{
    uint64_t from, to;
    struct file *f;
    for (f = files; f != NULL; f = f->next)
        early_cut(f, start, end);
    while ((f = find_mapped(start, end, &from, &to)) != NULL) {
        int ret = sgxsim_unmap(f->dev, from, to - from);
        if (ret != 0)
            return ret;
    }
    return 0;
}

long fgn_mmap(const long a[6])
{
    uint64_t inode, start = (uint64_t)a[0], size = ((uint64_t)a[1] + 0xfff) & ~0xfffull;
    long ret = FGN_PASS;
    bool file = (a[3] & MAP_ANONYMOUS) == 0;
    if (file && kind_of_fd((int)a[4], &inode) == KIND_ENCLAVE) {
        fgn_lock();
        struct file *f = file_get(inode, &ret);
        if (f != NULL && (a[3] & MAP_FIXED) != 0 && start % 4096 == 0)
            for (struct file *o = files; o != NULL; o = o->next)
                early_cut(o, start, start + size);
        ret = f != NULL ? map_device(f, a) : ret;
        fgn_unlock();
        return ret;
    }
    if (file && kind_of_fd((int)a[4], &inode) == KIND_PROVISION)
        return -ENODEV;
    if ((a[3] & MAP_FIXED) != 0 && any_mapped) {
        fgn_lock();
        ret = unmap_enclaves(start, start + size);
        fgn_unlock();
        if (ret != 0)
            return ret;
    }
    if (!file || (a[2] & PROT_EXEC) == 0)
        return FGN_PASS;
    ret = fgn_raw6(SYS_mmap, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (ret > 0 || ret < -4095)
        fgn_cpuid_patch((uint64_t)ret, size);
    return ret;
}

long fgn_mprotect(const long a[6])
{
    uint64_t start = (uint64_t)a[0], end = start + (((uint64_t)a[1] + 0xfff) & ~0xfffull);
    long ret = 0;
    if (!any_mapped || start % 4096 != 0 || end < start)
        return FGN_PASS;
    fgn_lock();
    uint64_t from, to;
    struct file *f = find_mapped(start, end, &from, &to);
    if (f == NULL) {
        fgn_unlock();
        return FGN_PASS;
    }
    while (ret == 0 && start < end) {
        f = find_mapped(start, end, &from, &to);
        if (start < from)
            ret = fgn_raw3(SYS_mprotect, start, from - start, a[2]);
        if (ret == 0 && f != NULL)
            ret = sgxsim_protect(f->dev, from, to - from, (int)a[2] & 7);
        start = to;
    }
    fgn_unlock();
    return ret;
}

long fgn_munmap(const long a[6])
{
    uint64_t start = (uint64_t)a[0], size = ((uint64_t)a[1] + 0xfff) & ~0xfffull;
    long ret = 0;
    if (!any_mapped || start % 4096 != 0 || size == 0 || start + size < start)
        return FGN_PASS;
    fgn_lock();
    ret = unmap_enclaves(start, start + size);
    fgn_unlock();
    return ret != 0 ? ret : FGN_PASS;
}

/* What is left of an enclave's mapping that becomes smaller stays where it is. */
static long shrink_mapping(uint64_t start, uint64_t old, uint64_t size)
{
    old = (old + 0xfff) & ~0xfffull;
    size = (size + 0xfff) & ~0xfffull;
    if (size == old)
        return (long)start;
    long ret = unmap_enclaves(start + size, start + old);
    if (ret == 0)
        ret = fgn_raw3(SYS_munmap, start + size, old - size, 0);
    return ret == 0 ? (long)start : ret;
}

/* The driver's mappings may not grow (VM_DONTEXPAND), and moved ones would not be where the enclave
 * is. */
long fgn_mremap(const long a[6])
{
    uint64_t start = (uint64_t)a[0], from, to;
    long ret = FGN_PASS;
    if (!any_mapped || start % 4096 != 0)
        return FGN_PASS;
    fgn_lock();
    if (find_mapped(start, start + ((uint64_t)a[1] == 0 ? 1 : (uint64_t)a[1]), &from, &to) !=
        NULL) {
        ret = (uint64_t)a[2] > (uint64_t)a[1] ? -EFAULT : -EINVAL;
        if (ret == -EINVAL && a[2] != 0 && (a[3] & ~MREMAP_MAYMOVE) == 0)
            ret = shrink_mapping(start, (uint64_t)a[1], (uint64_t)a[2]);
        fgn_unlock();
        return ret;
    }
    if ((a[3] & MREMAP_FIXED) != 0)
        ret = unmap_enclaves((uint64_t)a[4], (uint64_t)a[4] + (uint64_t)a[2]);
    fgn_unlock();
    return ret != 0 ? ret : FGN_PASS;
}

/* --- ioctl ----------------------------------------------------------------------------------- */

static long allow_provision(struct file *f, uint64_t arg)
{
    struct sgx_enclave_provision p;
    uint64_t inode;
    if (fgn_copy_in(&p, arg, sizeof(p)) != 0)
        return -EFAULT;
    if (fcntl((int)p.fd, F_GETFD) < 0 || kind_of_fd((int)p.fd, &inode) != KIND_PROVISION)
        return -EINVAL;
    f->dev->allowed_attributes |= SGX_ATTR_PROVISIONKEY;
    return 0;
}

long fgn_ioctl(const long a[6])
{
    uint64_t inode;
    long ret = 0;
    enum kind kind = kind_of_fd((int)a[0], &inode);
    if (kind == KIND_NONE)
        return FGN_PASS;
    if (kind == KIND_PROVISION)
        return -ENOTTY;
    fgn_lock();
    struct file *f = file_get(inode, &ret);
    fgn_unlock();
    if (f == NULL)
        return ret;
    unsigned long request = (unsigned int)a[1];
    if (_IOC_NR(request) <= SH_SIM_REMOVE - SH_SIM_CREATE) {
        int fault = fgn_fault(SH_SIM_CREATE + _IOC_NR(request));
        if (fault != SH_SIM_NO_FAULT)
            return fault;
    }
    if (request == SGX_IOC_ENCLAVE_PROVISION)
        return allow_provision(f, (uint64_t)a[2]);
    fgn_stay_whole();
    ret = sgxsim_ioctl(f->dev, request, (void *)a[2]);
    fgn_may_split();
    if (ret == 0 && request == SGX_IOC_ENCLAVE_CREATE) {
        fgn_lock();
        adopt_early(f);
        fgn_unlock();
    }
    return ret;
}

void fgn_renew_tables(void)
{
    for (struct file *f = files; f != NULL; f = f->next)
        sim_slots_renew(f->dev);
}

/* --- counts ---------------------------------------------------------------------------------- */

int fgn_counts_pid;

void fgn_count_anew(void)
{
    fgn_counts_pid = fgn_pid;
    memset(&finished, 0, sizeof(finished));
    for (struct file *f = files; f != NULL; f = f->next)
        f->dev->stats = (struct sgxsim_stats){.epc_pages = f->dev->stats.epc_pages};
}

void fgn_count_all(void)
{
    struct sgxsim_stats sum = finished;
    if (fgn_options.counts[0] == 0)
        return;
    for (struct file *f = files; f != NULL; f = f->next)
        add_counts(&sum, &f->dev->stats);
    char line[2048];
    size_t at = (size_t)snprintf(line, sizeof(line), "{\"pid\":%d,\"program\":\"", fgn_pid);
    for (const char *p = fgn_options.exe; *p != 0 && at < 1024; p++) {
        if ((unsigned char)*p >= ' ' && *p != '"' && *p != '\\')
            line[at++] = *p;
    }
    at += (size_t)snprintf(line + at, sizeof(line) - at, "\"");
    for (size_t i = 0; i < SGXSIM_COUNTERS; i++)
        at += (size_t)snprintf(line + at, sizeof(line) - at, ",\"%s\":%lu", sgxsim_counters[i],
                               ((const uint64_t *)&sum)[i]);
    at += (size_t)snprintf(line + at, sizeof(line) - at, "}\n");
    int fd = open(fgn_options.counts, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return;
    (void)!write(fd, line, at);
    close(fd);
}
