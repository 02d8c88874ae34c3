// SPDX-License-Identifier: Apache-2.0
// Builds the enclave: pages, signature, mappings, EINIT; and what it finds at its first entry.
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/sgx/loader/loader.h"
#include "lib/cpuid.h"
#include "lib/sha2.h"
#include "verifier/measure/sgx.h"
#include <shelter/launch.h>
#include <shelter/manifest.h>
#include <shelter/sites.h>

struct bytes {
    const void *data;
    uint64_t size;
};

static int map_file(const char *path, const char *what, uint64_t limit, struct bytes *out,
                    struct sh_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) {
        int e = -errno;
        if (fd >= 0)
            close(fd);
        return sh_fail_errno(err, e, "cannot open the %s %s", what, path);
    }
    if (!S_ISREG(st.st_mode) || !st.st_size || (limit && (uint64_t)st.st_size > limit)) {
        close(fd);
        return sh_fail(err, -EINVAL, "the %s %s has an impossible size", what, path);
    }
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    int e = -errno;
    close(fd);
    if (p == MAP_FAILED)
        return sh_fail_errno(err, e, "cannot map the %s %s", what, path);
    *out = (struct bytes){p, (uint64_t)st.st_size};
    return 0;
}

/* Pages in a row, that one request adds. */
struct row {
    uint64_t offset, size, flags;
    const uint8_t *from;
    bool measured;
};

static int add_row(struct row *row, struct sh_error *err)
{
    uint64_t size = row->size;
    row->size = 0;
    return size ? sgx_enclave_add(&loader.enclave, row->offset, row->from, size, row->flags,
                                  row->measured, err)
                : 0;
}

static int add_page(void *arg, uint64_t offset, const uint8_t *page, uint64_t flags, bool measured,
                    struct sh_error *err)
{
    struct row *row = arg, next = {offset, SGX_PAGE_SIZE, flags, page, measured};
    if (row->size && offset == row->offset + row->size && page == row->from + row->size &&
        flags == row->flags && measured == row->measured) {
        row->size += SGX_PAGE_SIZE;
        return 0;
    }
    int r = add_row(row, err);
    *row = next;
    return r;
}

/* Pages that come later may get any rights: the enclave gives them. Up to `*end` that was done. */
static int map_segment(void *end, uint64_t offset, uint64_t size, int prot, struct sh_error *err)
{
    uint64_t *from = end;
    int r = sgx_enclave_map(&loader.enclave, offset, size, prot, err);
    if (!r && offset > *from)
        r = sgx_enclave_map(&loader.enclave, *from, offset - *from, 7, err);
    if (offset >= *from)
        *from = offset + size;
    return r;
}

static int map_all(struct sh_error *err)
{
    const struct sgx_image *i = &loader.image;
    uint64_t end = i->end;
    int r = sgx_image_segments(i, map_segment, &end, err);
    if (!r)
        r = sgx_enclave_map(&loader.enclave, SH_ENCLAVE_LOWEST, i->start - SH_ENCLAVE_LOWEST, 7,
                            err);
    if (!r)
        r = sgx_enclave_map(&loader.enclave, end, SH_ENCLAVE_SIZE - end, 7, err);
    return r;
}

static bool has_sha(void)
{
    unsigned a, b, c, d, b7;
    if (!__get_cpuid_count(7, 0, &a, &b7, &c, &d) || !__get_cpuid(1, &a, &b, &c, &d))
        return false;
    return (b7 >> 29 & 1) && (c >> 19 & 1) && (c >> 9 & 1);
}

/* The one that came with the image. */
static int take_signature(struct sgx_sigstruct *css, struct sh_error *err)
{
    struct bytes file;
    int r =
        map_file(loader.options.signature, "signature of the enclave", sizeof(*css), &file, err);
    if (r)
        return r;
    if (file.size == sizeof(*css))
        memcpy(css, file.data, sizeof(*css));
    else
        r = sh_fail(err, -EINVAL, "the enclave's signature is damaged; build the image again");
    munmap((void *)(uintptr_t)file.data, file.size);
    return r;
}

/* EINIT says only that it refused; what differs can be seen from here. */
static void explain_mismatch(const uint8_t identity[SGX_IDENTITY_SIZE],
                             const struct sgx_sigstruct *css, struct sh_error *err)
{
    struct sh_error ignored = {0};
    uint8_t mrenclave[32];
    const char *what = sgx_sigstruct_check_format(css) || sgx_sigstruct_check_signature(css)
                           ? "its signature is damaged"
                       : sgx_image_measure(&loader.image, identity, mrenclave, &ignored) ||
                               memcmp(mrenclave, css->enclave_hash, sizeof(mrenclave))
                           ? "the enclave or the manifest is not the one that was signed"
                       : !(css->attributes.flags & SGX_ATTR_DEBUG) != !loader.options.debug
                           ? "its signature is for another kind of enclave (debug or not)"
                           : NULL;
    if (!what)
        return;
    err->text[0] = 0; /* this says more */
    sh_fail(err, -EPERM,
            "the processor refused the enclave: %s; the image was changed, build or load it again",
            what);
}

/* An enclave with AEX-Notify has another TCS, so another MRENCLAVE: the signature says which. */
static int choose_notify(const struct sgx_driver_caps *caps, const struct sgx_sigstruct *css,
                         struct sh_error *err)
{
    loader.image.notify = css->attributes.flags & SGX_ATTR_AEXNOTIFY;
    if (loader.image.notify && !(caps->attributes.flags & SGX_ATTR_AEXNOTIFY))
        return sh_fail(err, -ENOTSUP,
                       "the enclave was signed with AEX-Notify, which this processor or its kernel "
                       "(before Linux 6.2) does not have; use the signature without");
    return 0;
}

static int build_enclave(const uint8_t identity[SGX_IDENTITY_SIZE], const struct bytes *launch,
                         struct sh_error *err)
{
    const struct loader_options *o = &loader.options;
    struct sgx_driver_options d = {
        .strict = o->strict, .epc_pages = o->epc_pages, .key_file = o->outside.fuse_key};
    struct sgx_driver_caps caps;
    struct sgx_sigstruct css;
    struct sgx_secs secs;
    struct row row = {0};
    int r = o->driver->caps(&caps, err);
    if (r)
        return r;
    r = take_signature(&css, err);
    if (!r)
        r = choose_notify(&caps, &css, err);
    if (r)
        return r;
    sgx_image_secs(&secs, caps.attributes.xfrm,
                   (o->debug ? SGX_ATTR_DEBUG : 0) |
                       (loader.image.notify ? SGX_ATTR_AEXNOTIFY : 0));
    if (launch->size)
        sh_sha384(secs.configid, launch->data, launch->size);
    if (!r)
        r = sgx_enclave_create(&loader.enclave, o->driver, &d, &secs, err);
    if (!r)
        r = sgx_image_walk(&loader.image, identity, add_page, &row, err);
    if (!r)
        r = add_row(&row, err);
    if (!r)
        r = map_all(err);
    if (r)
        return r;
    r = sgx_enclave_init(&loader.enclave, &css, err);
    if (r == -EPERM || r == -EINVAL)
        explain_mismatch(identity, &css, err);
    return r;
}

static struct bytes root;

/* What a fault brings of a file are 16 pages, and the enclave reads each of them once, or never: it
 * has a cache of its own. They stay in the page cache, where all instances of an image share them.
 */
void loader_forget_root(void)
{
    madvise((void *)(uintptr_t)root.data, root.size, MADV_DONTNEED);
}

int loader_build(struct loader_thread *first, struct sh_error *err)
{
    const struct loader_options *o = &loader.options;
    struct bytes enclave, manifest, launch = {0}, sites = {0}, data[SH_DATA_MAX] = {0};
    uint8_t identity[SGX_IDENTITY_SIZE];
    int r = map_file(o->enclave, "enclave", SGX_IMAGE_SIZE_MAX, &enclave, err);
    if (!r)
        r = map_file(o->root, "root image", 0, &root, err);
    if (!r)
        r = map_file(o->manifest, "manifest", SH_MANIFEST_SIZE_MAX, &manifest, err);
    if (!r && o->sites)
        r = map_file(o->sites, "list of call sites", 2ull * SH_SITES_SIZE_MAX, &sites, err);
    if (!r && o->launch)
        r = map_file(o->launch, "launch config", SH_LAUNCH_SIZE_MAX, &launch, err);
    for (unsigned i = 0; !r && i < o->data_count; i++)
        r = map_file(o->data[i], "image's data", 0, &data[i], err);
    if (!r)
        r = sgx_image_open(&loader.image, enclave.data, enclave.size, err);
    if (r)
        return r;
    sh_sha384(identity, manifest.data, manifest.size);
    first->tcs = loader.image.tcs;
    r = build_enclave(identity, &launch, err);
    madvise((void *)(uintptr_t)enclave.data, enclave.size,
            MADV_DONTNEED); /* all but the lazy part */
    struct sh_start *s = (struct sh_start *)first->slot->a;
    *s = (struct sh_start){
        .version = SH_START_VERSION,
        .root = (uint64_t)root.data,
        .root_size = root.size,
        .manifest = (uint64_t)manifest.data,
        .manifest_size = manifest.size,
        .launch = (uint64_t)launch.data,
        .launch_size = launch.size,
        .hwcap = getauxval(AT_HWCAP),
        .cpu_count = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN),
        .flags = SH_START_END_WAKES | (o->trace ? SH_START_TRACE : 0) |
                 (o->stats ? SH_START_STATS : 0) | (has_sha() ? SH_START_SHA : 0) |
                 (o->driver->simulated ? SH_START_SIMULATED : 0),
        .sites = (uint64_t)sites.data,
        .sites_size = sites.size,
        .rings = loader_rings_open(),
    };
    s->uses = loader_uses_open();
    for (unsigned i = 0; i < SH_DATA_MAX; i++) {
        s->data[i].at = (uint64_t)data[i].data;
        s->data[i].size = data[i].size;
    }
    loader_ring_input();
    loader_ring_output(o->channel >= 0);
    s->cpuid_count = sh_cpuid_collect(s->cpuid);
    return r;
}

void loader_build_end(struct loader_thread *first)
{
    struct sh_start *s = (struct sh_start *)first->slot->a;
    s->known_count = loader_uses_show();
    s->tsc_hz = loader_clock_hz(first->slot);
}
