// SPDX-License-Identifier: Apache-2.0
// The driver's interface, with every argument that it refuses: what arch/x86/kernel/cpu/sgx of
// Linux 6.18 answers, in its order of checks. It says the same on hardware. With an argument: on a
// processor without SGX2.
#include "common.h"

#define NOWHERE 0x1000ul /* below what may be mapped */

/* A row: what is done, and the errno that must follow (0: none). */
#define CASE(name, call, want)                                                                     \
    do {                                                                                           \
        errno = 0;                                                                                 \
        int got_ = (long)(call) == -1 ? errno : 0, want_ = (want);                                 \
        printf("%s %s: %s\n", got_ == want_ ? "ok" : "not ok", name,                               \
               got_ ? strerrorname_np(got_) : "0");                                                \
        if (got_ != want_)                                                                         \
            printf("# want %s\n", want_ ? strerrorname_np(want_) : "0");                           \
    } while (0)

static uint8_t *gap; /* a page, and behind it nothing */
static bool sgx2;

static int device(void)
{
    return open("/dev/sgx_enclave", O_RDWR | O_CLOEXEC);
}

/* --- ECREATE --------------------------------------------------------------------------------- */

static int create_with(int fd, size_t at, uint64_t value, size_t size)
{
    struct secs *s = good_secs(reserve());
    struct sgx_enclave_create c = {.src = (uint64_t)s};
    memcpy((uint8_t *)s + at, &value, size);
    return ioctl(fd, SGX_IOC_ENCLAVE_CREATE, &c);
}
#define CREATE(field, value)                                                                       \
    create_with(fd, offsetof(struct secs, field), value, sizeof(((struct secs *)0)->field))

static int create_from(int fd, uint64_t src)
{
    struct sgx_enclave_create c = {.src = src};
    return ioctl(fd, SGX_IOC_ENCLAVE_CREATE, &c);
}

static void *map_at(int fd, uint64_t at, uint64_t size, int prot, int flags, off_t offset)
{
    return mmap((void *)at, size, prot, flags, fd, offset);
}

static void check_fresh(void)
{
    int fd = device(), other = open("/dev/null", O_RDONLY),
        p = open("/dev/sgx_provision", O_RDONLY);
    struct sgx_enclave_provision good = {.fd = (uint64_t)p}, wrong = {.fd = (uint64_t)other},
                                 closed = {.fd = 999};
    uint64_t place = reserve();
    CASE("fresh: an ioctl that there is not", ioctl(fd, _IO(SGX_MAGIC, 0x7f), 0), ENOTTY);
    CASE("fresh: ... with a bad pointer", ioctl(fd, _IOWR(SGX_MAGIC, 0x7e, uint64_t), NOWHERE),
         ENOTTY);
    CASE("fresh: ... another size", ioctl(fd, _IOW(SGX_MAGIC, 0, uint32_t), &good), ENOTTY);
    CASE("fresh: ADD_PAGES", do_add(fd, 0), EINVAL);
    CASE("fresh: ADD_PAGES, bad pointer", ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, NOWHERE), EINVAL);
    CASE("fresh: INIT", do_init(fd), EINVAL);
    CASE("fresh: INIT, bad pointer", ioctl(fd, SGX_IOC_ENCLAVE_INIT, NOWHERE), EINVAL);
    CASE("PROVISION: bad pointer", ioctl(fd, SGX_IOC_ENCLAVE_PROVISION, NOWHERE), EFAULT);
    CASE("PROVISION: a closed descriptor", ioctl(fd, SGX_IOC_ENCLAVE_PROVISION, &closed), EINVAL);
    CASE("PROVISION: another file", ioctl(fd, SGX_IOC_ENCLAVE_PROVISION, &wrong), EINVAL);
    CASE("PROVISION", ioctl(fd, SGX_IOC_ENCLAVE_PROVISION, &good), 0);
    CASE("provisioning device: ioctl", ioctl(p, SGX_IOC_ENCLAVE_CREATE, &good), ENOTTY);
    CASE("provisioning device: mmap", map_at(p, 0, PAGE, PROT_READ, MAP_SHARED, 0), ENODEV);
    CASE("fresh: mmap, private", map_at(fd, 0, PAGE, PROT_READ, MAP_PRIVATE, 0), EINVAL);
    CASE("fresh: mmap, no length", map_at(fd, 0, 0, PROT_READ, MAP_SHARED, 0), EINVAL);
    CASE("fresh: mmap, odd offset", map_at(fd, 0, PAGE, PROT_READ, MAP_SHARED, 1), EINVAL);
    CASE("fresh: mmap, fixed at an odd address",
         map_at(fd, place + 1, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, 0), EINVAL);
    CASE("fresh: mmap, anywhere, all rights", map_at(fd, 0, PAGE, 7, MAP_SHARED, 0), 0);
    CASE("fresh: mmap, fixed", map_at(fd, place, PAGE, 7, MAP_SHARED | MAP_FIXED, 0), 0);
    CASE("fresh: munmap", munmap((void *)place, PAGE), 0);
    CASE("CREATE: bad pointer", ioctl(fd, SGX_IOC_ENCLAVE_CREATE, NOWHERE), EFAULT);
    CASE("CREATE: no SECS", create_from(fd, 0), EFAULT);
    CASE("CREATE: half a SECS", create_from(fd, (uint64_t)gap + PAGE / 2), EFAULT);
    CASE("CREATE: no size", CREATE(size, 0), EINVAL);
    CASE("CREATE: a size that is no power of two", CREATE(size, 0x3000), EINVAL);
    CASE("CREATE: one page", CREATE(size, PAGE), EIO);
    CASE("CREATE: a size beyond the processor's", CREATE(size, 1ull << 52), EIO);
    CASE("CREATE: a base that is not aligned to the size",
         create_with(fd, offsetof(struct secs, base), PAGE, 8), EIO);
    CASE("CREATE: no SSA", CREATE(ssa, 0), EIO);
    CASE("CREATE: MISCSELECT", CREATE(misc, 2), EIO);
    CASE("CREATE: 32-bit", CREATE(attributes, 0), EIO);
    CASE("CREATE: INIT set", CREATE(attributes, 5), EIO);
    CASE("CREATE: reserved attribute", CREATE(attributes, 4 | 8), EIO);
    CASE("CREATE: XFRM without SSE", CREATE(xfrm, 1), EIO);
    CASE("CREATE: XFRM beyond the processor's", CREATE(xfrm, 3 | 1ull << 60), EIO);
    CASE("CREATE: reserved bytes", create_with(fd, offsetof(struct secs, reserved), 1, 1), EIO);
    CASE("CREATE, after all that", do_create(fd, reserve()), 0);
    close(fd);
    close(p);
    close(other);
}

/* --- EADD ------------------------------------------------------------------------------------ */

static struct sgx_enclave_add_pages add;
static uint64_t secinfo[8] __attribute__((aligned(64)));

static struct sgx_enclave_add_pages *good_add(uint64_t page)
{
    memset(secinfo, 0, sizeof(secinfo));
    secinfo[0] = kinds[page];
    add = (struct sgx_enclave_add_pages){.src = (uint64_t)image + page * PAGE,
                                         .offset = page * PAGE,
                                         .length = PAGE,
                                         .secinfo = (uint64_t)secinfo,
                                         .flags = SGX_PAGE_MEASURE,
                                         .count = 77};
    return &add;
}
#define ADD(field, value) (good_add(7)->field = (value), ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &add))
#define ADD_INFO(value)                                                                            \
    (good_add(7), secinfo[0] = (value), ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &add))

static int add_bad_tcs(int fd)
{
    static uint64_t tcs[512] __attribute__((aligned(4096)));
    memset(tcs, 0, sizeof(tcs));
    tcs[20] = 1; /* reserved */
    good_add(0)->src = (uint64_t)tcs;
    return ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &add);
}

static int add_both_wrong(int fd)
{
    good_add(7)->src++;
    add.secinfo = NOWHERE;
    return ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &add);
}

static int add_reserved_bytes(int fd)
{
    good_add(7);
    secinfo[7] = 1;
    return ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &add);
}

/* The page is added, and its count has nowhere to go. */
static int add_read_only(int fd)
{
    struct sgx_enclave_add_pages *a =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *a = *good_add(6);
    mprotect(a, PAGE, PROT_READ);
    return ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, a);
}

static void check_add(int fd)
{
    CASE("created: CREATE again", do_create(fd, reserve()), EINVAL);
    CASE("created: CREATE again, bad pointer", ioctl(fd, SGX_IOC_ENCLAVE_CREATE, NOWHERE), EINVAL);
    CASE("ADD_PAGES: bad pointer", ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, NOWHERE), EFAULT);
    CASE("ADD_PAGES: odd source", ADD(src, (uint64_t)image + 1), EINVAL);
    CASE("ADD_PAGES: odd offset", ADD(offset, 0x7001), EINVAL);
    CASE("ADD_PAGES: no length", ADD(length, 0), EINVAL);
    CASE("ADD_PAGES: odd length", ADD(length, 0x801), EINVAL);
    CASE("ADD_PAGES: behind ELRANGE", ADD(offset, SIZE), EINVAL);
    CASE("ADD_PAGES: half behind ELRANGE",
         (good_add(7), add.offset = SIZE - PAGE, add.length = 2 * PAGE,
          ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &add)),
         EINVAL);
    CASE("ADD_PAGES: length wraps around", ADD(length, -PAGE), EINVAL);
    CASE("ADD_PAGES: no SECINFO", ADD(secinfo, NOWHERE), EFAULT);
    CASE("ADD_PAGES: odd source comes before no SECINFO", add_both_wrong(fd), EINVAL);
    CASE("ADD_PAGES: a SECS", ADD_INFO(0x003), EINVAL);
    CASE("ADD_PAGES: a VA page", ADD_INFO(0x303), EINVAL);
    CASE("ADD_PAGES: a trimmed page", ADD_INFO(0x403), EINVAL);
    CASE("ADD_PAGES: W without R", ADD_INFO(0x202), EINVAL);
    CASE("ADD_PAGES: a TCS with permissions", ADD_INFO(0x103), EINVAL);
    CASE("ADD_PAGES: PENDING", ADD_INFO(0x20b), EINVAL);
    CASE("ADD_PAGES: reserved flag", ADD_INFO(0x203 | 1 << 20), EINVAL);
    CASE("ADD_PAGES: reserved bytes", add_reserved_bytes(fd), EINVAL);
    tell(add.count == 77, "ADD_PAGES: what is refused leaves count alone");
    CASE("ADD_PAGES: no source", ADD(src, (uint64_t)gap + PAGE), EFAULT);
    tell(add.count == 0, "ADD_PAGES: ... count 0");
    CASE("ADD_PAGES: a TCS with reserved bytes", add_bad_tcs(fd), EIO);
    CASE("ADD_PAGES: flags that there are not", ADD(flags, ~1ull), 0);
    CASE("ADD_PAGES: a place that is taken comes before no source", ADD(src, (uint64_t)gap + PAGE),
         EBUSY);
    CASE("ADD_PAGES: an argument that cannot be written", add_read_only(fd), EFAULT);
    CASE("ADD_PAGES: ... the page is there all the same",
         (good_add(6), ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &add)), EBUSY);
}

static void check_building(int fd, uint64_t base)
{
    for (uint64_t i = 0; i < PAGES; i++)
        if (do_add(fd, i) != 0)
            tell(false, "a page is added");
    CASE("ADD_PAGES: there is one already", do_add(fd, 7), EBUSY);
    CASE("built: RESTRICT_PERMISSIONS", ioctl(fd, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, NOWHERE),
         sgx2 ? EINVAL : ENODEV);
    CASE("built: MODIFY_TYPES", ioctl(fd, SGX_IOC_ENCLAVE_MODIFY_TYPES, NOWHERE),
         sgx2 ? EINVAL : ENODEV);
    CASE("built: REMOVE_PAGES", ioctl(fd, SGX_IOC_ENCLAVE_REMOVE_PAGES, NOWHERE),
         sgx2 ? EINVAL : ENODEV);
    CASE("mmap: private", map_at(fd, base, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, 0), EINVAL);
    CASE("mmap: before ELRANGE",
         map_at(fd, base - PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, 0), EACCES);
    CASE("mmap: half behind ELRANGE",
         map_at(fd, base + SIZE - PAGE, 2 * PAGE, PROT_NONE, MAP_SHARED | MAP_FIXED, 0), EACCES);
    CASE("mmap: a TCS to be executed", map_at(fd, base, PAGE, 7, MAP_SHARED | MAP_FIXED, 0),
         EACCES);
    CASE("mmap: code to be written",
         map_at(fd, base + 6 * PAGE, PAGE, 3, MAP_SHARED | MAP_FIXED, 0), EACCES);
    CASE("mmap: one page of two says no",
         map_at(fd, base + 6 * PAGE, 2 * PAGE, 5, MAP_SHARED | MAP_FIXED, 0), EACCES);
    CASE("mmap: nothing is asked", map_at(fd, base, SIZE, PROT_NONE, MAP_SHARED | MAP_FIXED, 0), 0);
    CASE("mmap: where no page is, all rights",
         map_at(fd, base + 9 * PAGE, PAGE, 7, MAP_SHARED | MAP_FIXED, 0), 0);
    CASE("mprotect: code to be written", mprotect((void *)(base + 6 * PAGE), PAGE, 3), EACCES);
    CASE("mprotect: code", mprotect((void *)(base + 6 * PAGE), PAGE, 5), 0);
    CASE("mprotect: all of it", mprotect((void *)base, SIZE, PROT_READ | PROT_WRITE), EACCES);
    CASE("mremap: larger", mremap((void *)(base + 9 * PAGE), PAGE, 2 * PAGE, MREMAP_MAYMOVE),
         EFAULT);
    CASE("mremap: as it is", mremap((void *)(base + 8 * PAGE), 2 * PAGE, 2 * PAGE, 0), 0);
    CASE("mremap: to nothing", mremap((void *)(base + 8 * PAGE), 2 * PAGE, 0, 0), EINVAL);
    CASE("mremap: smaller", mremap((void *)(base + 8 * PAGE), 2 * PAGE, PAGE, 0), 0);
    CASE("mmap: where it was, if nothing is there",
         map_at(fd, base + 9 * PAGE, PAGE, 7, MAP_SHARED | MAP_FIXED_NOREPLACE, 0), 0);
    CASE("mmap: where something is, if nothing is there",
         map_at(fd, base + 9 * PAGE, PAGE, 7, MAP_SHARED | MAP_FIXED_NOREPLACE, 0), EEXIST);
    CASE("mmap: neither shared nor private", map_at(fd, base + 9 * PAGE, PAGE, 7, MAP_FIXED, 0),
         EINVAL);
    CASE("munmap", munmap((void *)(base + 9 * PAGE), PAGE), 0);
    CASE("mprotect: over a hole", mprotect((void *)(base + 8 * PAGE), 3 * PAGE, PROT_NONE), ENOMEM);
    CASE("mmap: once more", do_map(fd, base), 0);
}

/* --- EINIT ----------------------------------------------------------------------------------- */

static uint8_t css[4096] __attribute__((aligned(4096)));

static int init_with(int fd, size_t at, uint8_t flip)
{
    struct sgx_enclave_init init = {.sigstruct = (uint64_t)css};
    memcpy(css, sigstruct, sizeof(sigstruct));
    css[at] ^= flip;
    return ioctl(fd, SGX_IOC_ENCLAVE_INIT, &init);
}

static int init_from(int fd, uint64_t at)
{
    struct sgx_enclave_init init = {.sigstruct = at};
    return ioctl(fd, SGX_IOC_ENCLAVE_INIT, &init);
}

/* An enclave with these attributes, whose EINIT is tried; `provision`: 1 before ECREATE, 2 after
 * it. */
static int init_as(uint64_t attributes, int provision, size_t flip)
{
    int fd = device(), p = open("/dev/sgx_provision", O_RDONLY);
    struct sgx_enclave_provision pass = {.fd = (uint64_t)p};
    struct secs *s = good_secs(reserve());
    struct sgx_enclave_create c = {.src = (uint64_t)s};
    s->attributes = attributes;
    if (provision == 1)
        ioctl(fd, SGX_IOC_ENCLAVE_PROVISION, &pass);
    int ret = ioctl(fd, SGX_IOC_ENCLAVE_CREATE, &c);
    if (provision == 2)
        ioctl(fd, SGX_IOC_ENCLAVE_PROVISION, &pass);
    for (uint64_t i = 0; ret == 0 && i < PAGES; i++)
        ret = i == flip ? 0 : do_add(fd, i);
    if (ret == 0)
        ret = do_init(fd);
    int saved = errno;
    close(p);
    close(fd);
    errno = saved;
    return ret;
}

static int do_provision(int fd)
{
    struct sgx_enclave_provision pass = {.fd = (uint64_t)open("/dev/sgx_provision", O_RDONLY)};
    int ret = ioctl(fd, SGX_IOC_ENCLAVE_PROVISION, &pass);
    close((int)pass.fd);
    return ret;
}

static void check_init(int fd)
{
    CASE("INIT: bad pointer", ioctl(fd, SGX_IOC_ENCLAVE_INIT, NOWHERE), EFAULT);
    CASE("INIT: no SIGSTRUCT", init_from(fd, NOWHERE), EFAULT);
    CASE("INIT: half a SIGSTRUCT", init_from(fd, (uint64_t)gap + PAGE - 1000), EFAULT);
    CASE("INIT: another vendor", init_with(fd, 16, 1), EINVAL);
    CASE("INIT: the header", init_with(fd, 0, 1), EPERM);
    CASE("INIT: one bit of the signature", init_with(fd, 516, 1), EPERM);
    CASE("INIT: one bit of Q1", init_with(fd, 1040, 1), EPERM);
    CASE("INIT: one bit of the measurement", init_with(fd, 960, 1), EPERM);
    CASE("INIT: the key", init_with(fd, 200, 1), EPERM);
    CASE("INIT: an attribute that no processor has", init_with(fd, 928, 8), EINVAL);
    CASE("INIT: XFRM that the mask leaves free", init_with(fd, 943, 1), EPERM);
    CASE("INIT: a page is missing", init_as(4, 0, 7), EPERM);
    if (sgx2)
        CASE("INIT: attributes that the signature does not have", init_as(4 | 0x80, 0, 99), EPERM);
    CASE("INIT: PROVISIONKEY without the device", init_as(4 | 16, 0, 99), EACCES);
    CASE("INIT: PROVISIONKEY, allowed before ECREATE", init_as(4 | 16, 1, 99), EACCES);
    CASE("INIT: PROVISIONKEY, allowed; the signature has it not", init_as(4 | 16, 2, 99), EPERM);
    CASE("INIT: EINITTOKENKEY", init_as(4 | 32, 0, 99), EACCES);
    CASE("INIT", do_init(fd), 0);
    CASE("initialized: PROVISION", do_provision(fd), 0);
    CASE("initialized: INIT", do_init(fd), EINVAL);
    CASE("initialized: INIT, bad pointer", ioctl(fd, SGX_IOC_ENCLAVE_INIT, NOWHERE), EINVAL);
    CASE("initialized: ADD_PAGES", do_add(fd, 7), EINVAL);
    CASE("initialized: ADD_PAGES, bad pointer", ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, NOWHERE),
         EINVAL);
}

/* --- SGX2 ------------------------------------------------------------------------------------ */

static struct sgx_enclave_restrict_permissions limit;
static struct sgx_enclave_modify_types change;
static struct sgx_enclave_remove_pages drop;

#define LIMIT(at, rights, more)                                                                    \
    (limit = (struct sgx_enclave_restrict_permissions){.offset = (at),                             \
                                                       .length = PAGE,                             \
                                                       .permissions = (rights)},                   \
     (void)(more), ioctl(fd, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &limit))
#define CHANGE(at, type, more)                                                                     \
    (change =                                                                                      \
         (struct sgx_enclave_modify_types){.offset = (at), .length = PAGE, .page_type = (type)},   \
     (void)(more), ioctl(fd, SGX_IOC_ENCLAVE_MODIFY_TYPES, &change))
#define DROP(at, more)                                                                             \
    (drop = (struct sgx_enclave_remove_pages){.offset = (at), .length = PAGE}, (void)(more),       \
     ioctl(fd, SGX_IOC_ENCLAVE_REMOVE_PAGES, &drop))

static uint64_t run_op(uint64_t base, uint64_t number, uint64_t a, uint64_t result)
{
    struct op op = {number, a, result};
    struct sgx_enclave_run run = {.tcs = base};
    long r = enter_by(find_enter(), &op, 2, &run);
    return r == 0 && run.function == 4 ? op.result : ~0ull;
}

static void check_limit(int fd)
{
    CASE("RESTRICT: bad pointer", ioctl(fd, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, NOWHERE), EFAULT);
    CASE("RESTRICT: odd offset", LIMIT(1, 1, 0), EINVAL);
    CASE("RESTRICT: no length", LIMIT(0x7000, 1, limit.length = 0), EINVAL);
    CASE("RESTRICT: behind ELRANGE", LIMIT(SIZE, 1, 0), EINVAL);
    CASE("RESTRICT: a right that there is not", LIMIT(0x7000, 8, 0), EINVAL);
    CASE("RESTRICT: W without R", LIMIT(0x7000, 2, 0), EINVAL);
    CASE("RESTRICT: result is set", LIMIT(0x7000, 1, limit.result = 1), EINVAL);
    CASE("RESTRICT: count is set", LIMIT(0x7000, 1, limit.count = 1), EINVAL);
    CASE("RESTRICT: no page", LIMIT(0xa000, 1, 0), EFAULT);
    CASE("RESTRICT: a TCS", LIMIT(0, 1, 0), EINVAL);
    CASE("RESTRICT", LIMIT(0x5000, 1, 0), 0);
    tell(limit.count == PAGE && limit.result == 0, "RESTRICT: count");
    CASE("RESTRICT: the second page is not there", LIMIT(0x7000, 3, limit.length = 2 * PAGE),
         EFAULT);
    tell(limit.count == PAGE, "RESTRICT: ... count of the first");
}

static void check_change(int fd, uint64_t base)
{
    CASE("MODIFY: bad pointer", ioctl(fd, SGX_IOC_ENCLAVE_MODIFY_TYPES, NOWHERE), EFAULT);
    CASE("MODIFY: odd offset", CHANGE(1, 4, 0), EINVAL);
    CASE("MODIFY: behind ELRANGE", CHANGE(SIZE, 4, 0), EINVAL);
    CASE("MODIFY: a type of more than eight bits", CHANGE(0x3000, 0x104, 0), EINVAL);
    CASE("MODIFY: to a regular page", CHANGE(0x3000, 2, 0), EINVAL);
    CASE("MODIFY: to a SECS", CHANGE(0x3000, 0, 0), EINVAL);
    CASE("MODIFY: result is set", CHANGE(0x3000, 4, change.result = 1), EINVAL);
    CASE("MODIFY: count is set", CHANGE(0x3000, 4, change.count = 1), EINVAL);
    CASE("MODIFY: no page", CHANGE(0xa000, 4, 0), EFAULT);
    CASE("MODIFY: a TCS to a TCS", CHANGE(0x1000, 1, 0), EINVAL);
    CASE("MODIFY: code to a TCS", CHANGE(0x6000, 1, 0), EPERM);
    CASE("MODIFY: to be trimmed", CHANGE(0x3000, 4, 0), 0);
    tell(change.count == PAGE && change.result == 0, "MODIFY: count");
    CASE("MODIFY: what is trimmed", CHANGE(0x3000, 4, 0), EINVAL);
    CASE("REMOVE: bad pointer", ioctl(fd, SGX_IOC_ENCLAVE_REMOVE_PAGES, NOWHERE), EFAULT);
    CASE("REMOVE: odd offset", DROP(1, 0), EINVAL);
    CASE("REMOVE: no length", DROP(0x3000, drop.length = 0), EINVAL);
    CASE("REMOVE: behind ELRANGE", DROP(SIZE, 0), EINVAL);
    CASE("REMOVE: count is set", DROP(0x3000, drop.count = 1), EINVAL);
    CASE("REMOVE: a regular page", DROP(0x7000, 0), EPERM);
    CASE("REMOVE: no page", DROP(0xa000, 0), EFAULT);
    CASE("REMOVE: the enclave has not accepted it", DROP(0x3000, 0), EPERM);
    tell(run_op(base, 5, base + 0x3000, 0x410) == 0, "the enclave accepts the trimmed page");
    CASE("REMOVE", DROP(0x3000, 0), 0);
    tell(drop.count == PAGE, "REMOVE: count");
    CASE("REMOVE: it is gone", DROP(0x3000, 0), EFAULT);
    CASE("mmap: where it was, all rights",
         map_at(fd, base + 0x3000, PAGE, 7, MAP_SHARED | MAP_FIXED, 0), 0);
    tell(run_op(base, 5, base + 0x9000, 0x20b) == 0, "a page is added as it is accepted");
    CASE("mprotect: of that page, to be executed", mprotect((void *)(base + 0x9000), PAGE, 7), 0);
    /* The enclave reads where no page is: the kernel adds one, which nobody accepts. */
    tell(run_op(base + PAGE, 3, base + 0xb000, 0) == ~0ull, "a page that is not accepted");
    CASE("RESTRICT: what is not accepted", LIMIT(0xb000, 1, 0), EFAULT);
    tell(limit.result == 20 && limit.count == 0, "RESTRICT: ... SGX_PAGE_NOT_MODIFIABLE");
    CASE("MODIFY: what is not accepted", CHANGE(0xb000, 4, 0), EFAULT);
    tell(change.result == 20 && change.count == 0, "MODIFY: ... SGX_PAGE_NOT_MODIFIABLE");
    CASE("MODIFY: the second page is not there", CHANGE(0x9000, 4, change.length = 2 * PAGE),
         EFAULT);
    tell(change.count == PAGE && change.result == 0, "MODIFY: ... count of the first");
    tell(run_op(base, 5, base + 0x9000, 0x410) == 0, "the enclave accepts it");
    CASE("REMOVE: the second page is not there", DROP(0x9000, drop.length = 2 * PAGE), EFAULT);
    tell(drop.count == PAGE, "REMOVE: ... count of the first");
}

int main(int argc, char **argv)
{
    int fd, reader = open("/dev/sgx_enclave", O_RDONLY);
    uint64_t base = reserve();
    (void)argv;
    sgx2 = argc == 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    gap = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(gap + PAGE, PAGE);
    CASE("open: a folder", open("/dev/sgx_enclave", O_RDONLY | O_DIRECTORY), ENOTDIR);
    CASE("open: to be made", open("/dev/sgx_enclave", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
    CASE("opened to read: mmap to write",
         map_at(reader, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0), EACCES);
    CASE("opened to read: mmap to read", map_at(reader, 0, PAGE, PROT_READ, MAP_SHARED, 0), 0);
    check_fresh();
    fd = device();
    CASE("CREATE", do_create(fd, base), 0);
    check_add(fd);
    close(fd);
    base = reserve();
    fd = device();
    do_create(fd, base);
    check_building(fd, base);
    check_init(fd);
    if (!sgx2) {
        CASE("without SGX2: RESTRICT", LIMIT(0x7000, 1, 0), ENODEV);
        CASE("without SGX2: MODIFY, bad pointer", ioctl(fd, SGX_IOC_ENCLAVE_MODIFY_TYPES, NOWHERE),
             ENODEV);
        CASE("without SGX2: REMOVE", DROP(0x7000, 0), ENODEV);
        return 0;
    }
    check_limit(fd);
    check_change(fd, base);
    return 0;
}
