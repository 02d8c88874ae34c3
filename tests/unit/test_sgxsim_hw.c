// SPDX-License-Identifier: Apache-2.0
// The hardware driver against a stand-in for the kernel, which checks every argument by <asm/sgx.h>
// and hands it to the simulated processor; and what the layer above makes of a kernel that is busy,
// does things in parts, fails, or lies.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/sgx/driver_hw.h"
#include "tests/sgx/harness.h"

#define FAKE_FD 1000

static struct {
    struct sgxsim *dev;
    int open_error;
    unsigned calls, opens, closes, maps;
    uint64_t part;      /* most bytes done in one call; 0: all */
    unsigned busy_each; /* every so many calls are -EBUSY or -EINTR */
    uint64_t lie;       /* added to counts */
    unsigned cpuid_off; /* bit: 1 SGX, 2 FLC, 4 SGX1, 8 SGX2, 16 EXINFO, 32 KSS, 64 vDSO */
} fake;

static int fake_open(const char *path, int flags)
{
    assert_true((flags & O_CLOEXEC) != 0);
    if (fake.open_error != 0) {
        errno = fake.open_error;
        return -1;
    }
    if (strcmp(path, "/dev/sgx_provision") == 0)
        return sgxsim_open_provision();
    assert_string_equal(path, "/dev/sgx_enclave");
    assert_int_equal(flags & O_ACCMODE, O_RDWR);
    struct sgxsim_options o = {.speed = SGXSIM_PATCHED};
    assert_int_equal(sgxsim_open(&o, &fake.dev), 0);
    fake.opens++;
    return FAKE_FD;
}

static int fake_close(int fd)
{
    assert_int_equal(fd, FAKE_FD);
    fake.closes++;
    return sgxsim_close(fake.dev);
}

static void check_secinfo(uint64_t addr)
{
    const struct sgx_secinfo *info = (const void *)addr;
    static const uint8_t zero[56];
    assert_int_equal(addr % 64, 0);
    assert_memory_equal(info->reserved, zero, sizeof(zero));
}

/* Cuts a request to its first part. */
static void cut(__u64 *length)
{
    if (fake.part != 0 && *length > fake.part)
        *length = fake.part;
}

static int forward(unsigned long request, void *arg)
{
    switch (request) {
    case SGX_IOC_ENCLAVE_CREATE: {
        struct sgx_enclave_create *a = arg;
        assert_int_equal(_IOC_SIZE(request), sizeof(*a));
        assert_non_null(a->src);
        return sgxsim_ioctl(fake.dev, request, a);
    }
    case SGX_IOC_ENCLAVE_ADD_PAGES: {
        struct sgx_enclave_add_pages *a = arg, copy = *a;
        assert_int_equal(a->src % 4096, 0);
        assert_int_equal(a->offset % 4096, 0);
        assert_true(a->length != 0 && a->length % 4096 == 0);
        assert_int_equal(a->flags & ~(uint64_t)SGX_PAGE_MEASURE, 0);
        assert_int_equal(a->count, 0);
        check_secinfo(a->secinfo);
        cut(&copy.length);
        int ret = sgxsim_ioctl(fake.dev, request, &copy);
        a->count = copy.count + fake.lie;
        return ret;
    }
    case SGX_IOC_ENCLAVE_INIT: {
        struct sgx_enclave_init *a = arg;
        assert_non_null(a->sigstruct);
        return sgxsim_ioctl(fake.dev, request, a);
    }
    case SGX_IOC_ENCLAVE_PROVISION:
        return sgxsim_ioctl(fake.dev, request, arg);
    case SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS: {
        struct sgx_enclave_restrict_permissions *a = arg, copy = *a;
        assert_int_equal(a->result, 0);
        assert_int_equal(a->count, 0);
        cut(&copy.length);
        int ret = sgxsim_ioctl(fake.dev, request, &copy);
        a->count = copy.count + fake.lie;
        a->result = copy.result;
        return ret;
    }
    case SGX_IOC_ENCLAVE_MODIFY_TYPES: {
        struct sgx_enclave_modify_types *a = arg, copy = *a;
        assert_int_equal(a->result, 0);
        assert_int_equal(a->count, 0);
        cut(&copy.length);
        int ret = sgxsim_ioctl(fake.dev, request, &copy);
        a->count = copy.count + fake.lie;
        a->result = copy.result;
        return ret;
    }
    case SGX_IOC_ENCLAVE_REMOVE_PAGES: {
        struct sgx_enclave_remove_pages *a = arg, copy = *a;
        assert_int_equal(a->count, 0);
        cut(&copy.length);
        int ret = sgxsim_ioctl(fake.dev, request, &copy);
        a->count = copy.count + fake.lie;
        return ret;
    }
    default:
        fail_msg("ioctl %lx", request);
        return -ENOTTY;
    }
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
    assert_int_equal(fd, FAKE_FD);
    assert_int_equal(_IOC_TYPE(request), SGX_MAGIC);
    fake.calls++;
    int ret = fake.busy_each != 0 && fake.calls % fake.busy_each == 0
                  ? (fake.calls % 2 != 0 ? -EBUSY : -EINTR)
                  : forward(request, arg);
    errno = -ret;
    return ret == 0 ? 0 : -1;
}

static void *fake_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
    assert_int_equal(fd, FAKE_FD);
    assert_int_equal(flags, MAP_SHARED | MAP_FIXED);
    assert_int_equal(offset, 0);
    fake.maps++;
    int ret = sgxsim_map(fake.dev, (uint64_t)addr, size, prot);
    errno = -ret;
    return ret == 0 ? addr : MAP_FAILED;
}

static int fake_mprotect(void *addr, size_t size, int prot)
{
    int ret = sgxsim_protect(fake.dev, (uint64_t)addr, size, prot);
    errno = -ret;
    return ret == 0 ? 0 : -1;
}

/* A processor with everything, less fake.cpuid_off. */
static void fake_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0, 16);
    if (leaf == 7) {
        out[1] = (fake.cpuid_off & 1) ? 0 : 1u << 2;
        out[2] = (fake.cpuid_off & 2) ? 0 : 1u << 30;
    } else if (leaf == 0x12 && subleaf == 0) {
        out[0] = 3u | 1u << 11;
        if (fake.cpuid_off & 4)
            out[0] &= ~1u;
        if (fake.cpuid_off & 8)
            out[0] &= ~2u;
        out[1] = (fake.cpuid_off & 16) ? 0 : SGX_MISC_EXINFO;
        out[3] = 56u << 8 | 31;
    } else if (leaf == 0x12 && subleaf == 1) {
        out[0] = 0xf6 & ~((fake.cpuid_off & 32) ? (uint32_t)SGX_ATTR_KSS : 0);
        out[2] = 0xe7;
    }
}

static void *fake_vdso(const char *name)
{
    assert_string_equal(name, "__vdso_sgx_enter_enclave");
    return (fake.cpuid_off & 64) ? NULL : (void *)sgxsim_enter_enclave;
}

static const struct sgx_hw_os fakes = {
    .open = fake_open,
    .close = fake_close,
    .ioctl = fake_ioctl,
    .mmap = fake_mmap,
    .mprotect = fake_mprotect,
    .cpuid = fake_cpuid,
    .vdso = fake_vdso,
};

static int setup(void **state)
{
    memset(&fake, 0, sizeof(fake));
    sgx_hw_os = fakes;
    return 0;
}

static void expect_open(int code, const char *words)
{
    struct sgx_driver_options o = {0};
    struct sh_error err = {0};
    void *dev;
    int ret = sgx_driver_hw.open(&o, &dev, &err);
    assert_int_equal(ret, code);
    assert_null(dev);
    if (strstr(err.text, words) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, words);
}

/* Each thing that a machine may lack has its own sentence. (The vDSO comes first: it is found
 * once.) */
static void test_what_is_missing(void **state)
{
    static const struct {
        unsigned off;
        const char *words;
    } cases[] = {
        {64, "vDSO"},   {1, "no SGX"}, {2, "launch control"}, {4, "firmware settings"}, {8, "SGX2"},
        {16, "EXINFO"}, {32, "KSS"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake.cpuid_off = cases[i].off;
        expect_open(-ENODEV, cases[i].words);
    }
    fake.cpuid_off = 0;
    fake.open_error = ENOENT;
    expect_open(-ENODEV, "is missing");
    fake.open_error = EACCES;
    expect_open(-EACCES, "permission");
    fake.open_error = EMFILE;
    expect_open(-EMFILE, "cannot open");
    struct sgx_driver_caps caps;
    struct sh_error err = {0};
    assert_int_equal(sgx_driver_hw.caps(&caps, &err), 0);
    assert_int_equal(caps.max_enclave_size, 1ull << 56);
    assert_int_equal(caps.attributes.xfrm, 0xe7);
    assert_true(caps.edeccssa && caps.sgx2);
    assert_ptr_equal(sgx_driver_find("sgx"), &sgx_driver_hw);
    assert_ptr_equal(sgx_driver_find("sgx-sim"), &sgx_driver_sim);
    assert_null(sgx_driver_find("tdx"));
}

static void build(struct harness *h, uint64_t attributes)
{
    struct sh_error err = {0};
    struct harness_options o = {.driver = &sgx_driver_hw, .attributes = attributes};
    int ret = harness_build(h, &o, false, &err);
    if (ret != 0)
        fail_msg("%d: %s", ret, err.text);
}

static void call(struct harness *h)
{
    struct probe p = {.op = PROBE_BASES};
    assert_int_equal(harness_call(h, 0, &p), 0);
    assert_int_equal(h->run.function, SGX_EEXIT);
    assert_int_equal(p.rbx, h->e.base + H_TLS(0));
}

static int64_t accept_page(struct harness *h, uint64_t offset, uint64_t flags)
{
    struct sgx_secinfo info = {.flags = flags};
    harness_poke(h, H_RW, &info, sizeof(info));
    return harness_enclu(h, SGX_EACCEPT, h->e.base + H_RW, h->e.base + offset, 0);
}

/* An enclave's whole life through the hardware driver. */
static void life(void)
{
    const uint64_t reg = SGX_SECINFO_PT(SGX_PT_REG);
    struct harness h;
    struct sh_error err = {0};
    struct sgxsim_stats s;
    build(&h, SGX_ATTR_PROVISIONKEY);
    call(&h);
    assert_int_equal(h.e.driver->stats(h.e.dev, &s), -ENOTSUP);
    assert_int_equal(sgx_enclave_restrict(&h.e, H_RW + 0x1000, 0x3000, SGX_SECINFO_R, &err), 0);
    for (unsigned i = 1; i < 4; i++)
        assert_int_equal(accept_page(&h, H_RW + i * 0x1000, reg | 1 | SGX_SECINFO_PR), 0);
    assert_int_equal(sgx_enclave_set_type(&h.e, H_RW + 0x1000, 0x3000, SGX_PT_TRIM, &err), 0);
    assert_int_equal(sgx_enclave_remove(&h.e, H_RW + 0x1000, 0x3000, &err), -EPERM);
    for (unsigned i = 1; i < 4; i++)
        assert_int_equal(
            accept_page(&h, H_RW + i * 0x1000, SGX_SECINFO_PT(SGX_PT_TRIM) | SGX_SECINFO_MODIFIED),
            0);
    assert_int_equal(sgx_enclave_remove(&h.e, H_RW + 0x1000, 0x3000, &err), 0);
    assert_int_equal(h.e.driver->protect(h.e.dev, h.e.base + H_RW, 0x1000, PROT_READ), 0);
    assert_int_equal(harness_destroy(&h), 0);
}

static void test_life(void **state)
{
    life();
    assert_int_equal(fake.opens, 1);
    assert_int_equal(fake.closes, 1);
    assert_true(fake.maps > 3);
}

/* The same, by a kernel that does one page a call and is busy or interrupted every third time. */
static void test_partial_and_busy(void **state)
{
    fake.part = 4096;
    fake.busy_each = 3;
    life();
    assert_true(fake.calls > 50);
    fake.part = 8192;
    fake.busy_each = 2;
    life();
}

/* Counts that cannot be are an error, not a loop and not a skipped page. */
static void test_lies(void **state)
{
    static const uint64_t lies[] = {1, 1ull << 40, UINT64_MAX - 4095};
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct harness h;
        struct sh_error err = {0};
        struct harness_options o = {.driver = &sgx_driver_hw};
        fake.lie = lies[i];
        assert_int_equal(harness_build(&h, &o, false, &err), -EIO);
        fake.lie = 0;
        build(&h, 0);
        fake.lie = lies[i];
        err = (struct sh_error){0};
        assert_int_equal(sgx_enclave_restrict(&h.e, H_RW, 0x2000, SGX_SECINFO_R, &err), -EIO);
        fake.lie = 0;
        assert_int_equal(harness_destroy(&h), 0);
    }
}

/* Always busy ends after a second, with the kernel's word. */
static void test_busy_for_ever(void **state)
{
    struct harness h;
    struct sh_error err = {0};
    struct harness_options o = {.driver = &sgx_driver_hw};
    fake.busy_each = 1;
    int ret = harness_build(&h, &o, false, &err);
    assert_true(ret == -EBUSY || ret == -EINTR);
    fake.busy_each = 0;
    assert_int_equal(fake.closes, 1);
}

/* Where the enclave would go there is something: nothing is overwritten. */
static void test_taken_addresses(void **state)
{
    struct harness h;
    struct sh_error err = {0};
    struct harness_options o = {.driver = &sgx_driver_hw};
    char *p = mmap((void *)((1ull << 44) + 0x5000), 4096, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    assert_true(p != MAP_FAILED);
    *p = 7;
    assert_int_equal(harness_build(&h, &o, false, &err), -EEXIST);
    assert_int_equal(*p, 7);
    munmap(p, 4096);
    assert_int_equal(fake.opens, fake.closes);
}

/* It reads each page by a system call: where there can be none it says so, and no signal comes. */
static void test_populate(void **state)
{
    uint8_t *p = mmap(NULL, 3 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    assert_int_equal(sgx_driver_hw.populate(NULL, (uint64_t)p, 3 * 4096), 0);
    mprotect(p + 4096, 4096, PROT_NONE);
    assert_int_equal(sgx_driver_hw.populate(NULL, (uint64_t)p, 3 * 4096), -EFAULT);
    munmap(p, 3 * 4096);
}

/* The harness looks into the simulated processor only where the device is one of its own: the
 * driver's is a descriptor, and behind that anything may stand. */
static void test_harness_looks_nowhere_else(void **state)
{
    void *junk[256];
    struct harness h;
    uint64_t in = 0x1122334455667788, out = 0;
    for (size_t i = 0; i < 256; i++)
        memset(junk[i] = malloc(24), 0xff, 24);
    for (size_t i = 0; i < 256; i += 16)
        free(junk[i]);
    build(&h, SGX_ATTR_DEBUG);
    harness_poke(&h, H_RW, &in, sizeof(in));
    harness_peek(&h, H_RW, &out, sizeof(out));
    assert_int_equal(out, in);
    assert_int_equal(harness_destroy(&h), 0);
    for (size_t i = 0; i < 256; i++)
        if (i % 16 != 0)
            free(junk[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_what_is_missing, setup),
        cmocka_unit_test_setup(test_life, setup),
        cmocka_unit_test_setup(test_partial_and_busy, setup),
        cmocka_unit_test_setup(test_lies, setup),
        cmocka_unit_test_setup(test_populate, setup),
        cmocka_unit_test_setup(test_busy_for_ever, setup),
        cmocka_unit_test_setup(test_taken_addresses, setup),
        cmocka_unit_test_setup(test_harness_looks_nowhere_else, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
