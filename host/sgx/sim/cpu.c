// SPDX-License-Identifier: Apache-2.0
// What the simulated processor has: XSAVE components, its fuse key, what CPUID.12H would say.
#include "host/sgx/sim/sim.h"
#include "lib/io.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <unistd.h>

#include <openssl/crypto.h>

struct sim_cpu sim_cpu;

/* Components that Linux gives a process only after it asked (AMX). */
#define XFRM_ON_REQUEST (3ull << 17)
#define XFRM_PKRU (1ull << 9)

static int read_xstate(void)
{
    uint32_t a, b, c, d;
    if (sim_cpu.xfrm != 0)
        return 0;
    if (__get_cpuid_count(1, 0, &a, &b, &c, &d) == 0 || (c & (1u << 27)) == 0)
        return -ENOSYS; /* no OSXSAVE */
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    sim_cpu.xcr0 = (uint64_t)d << 32 | a;
    sim_cpu.xfrm = sim_cpu.xcr0 & ~XFRM_ON_REQUEST;
    sim_cpu.xstate[0].size = 160;
    sim_cpu.xstate[1].offset = 160;
    sim_cpu.xstate[1].size = 256;
    for (unsigned i = 2; i < 63; i++) {
        if ((sim_cpu.xfrm >> i & 1) == 0)
            continue;
        __cpuid_count(13, i, a, b, c, d);
        sim_cpu.xstate[i].size = a;
        sim_cpu.xstate[i].offset = b;
    }
    static uint8_t area[512] __attribute__((aligned(64)));
    __asm__ volatile("fxsave64 %0" : "=m"(area));
    memcpy(&sim_cpu.mxcsr_mask, area + 28, 4);
    if (sim_cpu.mxcsr_mask == 0)
        sim_cpu.mxcsr_mask = 0xffbf;
    return 0;
}

uint32_t sim_xsave_size(uint64_t xfrm)
{
    uint32_t size = 576; /* legacy area and header */
    for (unsigned i = 2; i < 63; i++) {
        uint32_t end = sim_cpu.xstate[i].offset + sim_cpu.xstate[i].size;
        if ((xfrm >> i & 1) != 0 && end > size)
            size = end;
    }
    return size;
}

/* Made under another name and linked, so that two processes that start together share one key. */
static int make_key(const char *path)
{
    char temp[4096];
    uint8_t key[32];
    size_t size = strlen(path);
    if (size + 8 > sizeof(temp))
        return -ENAMETOOLONG;
    memcpy(temp, path, size);
    memcpy(temp + size, ".XXXXXX", 8);
    if (getrandom(key, sizeof(key), 0) != sizeof(key))
        return -EIO;
    int fd = mkostemp(temp, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return -errno;
    int ret = write(fd, key, sizeof(key)) == sizeof(key) && fsync(fd) == 0 ? 0 : -EIO;
    close(fd);
    if (ret == 0 && link(temp, path) != 0 && errno != EEXIST)
        ret = -errno;
    unlink(temp);
    OPENSSL_cleanse(key, sizeof(key));
    return ret;
}

static int load_key(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        int ret = make_key(path);
        if (ret != 0)
            return ret;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    }
    if (fd < 0)
        return -errno;
    int ret = sh_read_all(fd, sim_cpu.fuse_key, sizeof(sim_cpu.fuse_key));
    if (ret == -ENODATA) /* cut */
        ret = -EBADMSG;
    close(fd);
    return ret;
}

int sim_cpu_init(const char *key_file)
{
    static bool have_key;
    int ret = read_xstate();
    if (ret != 0)
        return ret;
    if ((getauxval(AT_HWCAP2) & 2) == 0)
        return -ENOSYS; /* no FSGSBASE in user mode */
    if (key_file != NULL)
        ret = load_key(key_file);
    else if (!have_key && getrandom(sim_cpu.fuse_key, 32, 0) != 32)
        ret = -EIO;
    if (ret != 0)
        return ret;
    if (have_key)
        return 0;
    if (getrandom(sim_cpu.report_keyid, 32, 0) != 32 || getrandom(sim_cpu.paging_key, 16, 0) != 16)
        return -EIO;
    have_key = true;
    memset(sim_cpu.cpusvn, 0, sizeof(sim_cpu.cpusvn));
    memset(sim_cpu.cpusvn, 2, 8); /* a TCB level with room below it */
    memcpy(sim_cpu.next_cpusvn, sim_cpu.cpusvn, sizeof(sim_cpu.cpusvn));
    return 0;
}

int sgxsim_power_on(const char *key_file)
{
    return sim_cpu_init(key_file);
}

/* --- kinds of processors --------------------------------------------------------------------- */

#define XFRM_AVX512 (7ull << 5)

static const struct kind {
    const char *name;
    uint32_t signature;
    uint8_t size_log; /* of the largest enclave */
    bool sgx2, kss, notify, cet;
    uint64_t xfrm; /* at most */
} kinds[] = {
    {"", 0x806f8, 56, true, true, true, true, ~XFRM_PKRU},
    {"icelake", 0x606a6, 56, true, true, false, false, ~0ull},
    {"sapphire-rapids", 0x806f8, 56, true, true, true, true, ~0ull},
    {"emerald", 0xc06f2, 56, true, true, true, true, ~0ull},
    {"client", 0x706e5, 47, true, true, false, false, ~XFRM_PKRU},
    {"sgx1", 0x906ec, 36, false, false, false, false, ~(XFRM_AVX512 | XFRM_PKRU)},
};
static const struct kind *kind = &kinds[0];

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 1; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(name, kinds[i].name) == 0)
            return &kinds[i];
    return NULL;
}

bool sgxsim_cpu_known(const char *name)
{
    return find_kind(name) != NULL;
}

int sgxsim_set_cpu(const char *name)
{
    if (find_kind(name) == NULL)
        return -EINVAL;
    kind = find_kind(name);
    sim_cpu.absent =
        (kind->sgx2 ? 0 : 1u << SGX_EACCEPT | 1u << SGX_EMODPE | 1u << SGX_EACCEPTCOPY) |
        (kind->notify ? 0 : 1u << SGX_EDECCSSA);
    return 0;
}

uint32_t sgxsim_cpu_signature(void)
{
    return kind->signature;
}

void sgxsim_caps(struct sgxsim_caps *caps)
{
    (void)read_xstate();
    *caps = (struct sgxsim_caps){
        .attributes = {SGX_ATTR_DEBUG | SGX_ATTR_MODE64BIT | SGX_ATTR_PROVISIONKEY |
                           SGX_ATTR_EINITTOKENKEY | (kind->kss ? SGX_ATTR_KSS : 0) |
                           (kind->notify ? SGX_ATTR_AEXNOTIFY : 0),
                       sim_cpu.xfrm & kind->xfrm},
        .miscselect = kind->sgx2 ? SGX_MISC_EXINFO : 0,
        .sgx2 = kind->sgx2,
        .edeccssa = kind->notify,
        .cet = kind->cet,
        .max_enclave_size = 1ull << kind->size_log,
    };
}
