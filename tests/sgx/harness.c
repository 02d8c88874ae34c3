// SPDX-License-Identifier: Apache-2.0
// Builds the test enclave through a driver and tells it what to do.
#include "tests/sgx/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/sgx/sign.h"
#include "host/sgx/sim/sim.h"
#include "verifier/measure/sgx.h"

#define IMAGE "build/tests/sgx/enclave.bin"
#define REG SGX_SECINFO_PT(SGX_PT_REG)

static uint8_t image[0x10000] __attribute__((aligned(4096)));

static int read_image(struct harness *h)
{
    int fd = open(IMAGE, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, image, sizeof(image));
    close(fd);
    const struct probe_header *header = (const void *)image;
    if (n < (ssize_t)sizeof(*header) || header->magic != PROBE_MAGIC)
        return -ENOENT;
    h->code_size = header->code_size;
    h->image_size = header->code_size + header->data_size;
    h->entry = header->entry;
    return 0;
}

struct build {
    struct harness *h;
    struct sgx_measure m;
    const struct harness_options *o;
    struct sh_error *err;
    bool sign; /* first pass: measure only */
};

static int put(struct build *b, uint64_t offset, const void *src, uint64_t size, uint64_t flags)
{
    offset += b->o->shift;
    if (!b->sign)
        return sgx_enclave_add(&b->h->e, offset, src, size, flags, true, b->err);
    int ret = 0;
    for (uint64_t at = 0; ret == 0 && at < size; at += SGX_PAGE_SIZE) {
        ret = sgx_measure_add(&b->m, offset + at, flags);
        sgx_measure_extend(&b->m, offset + at, (const uint8_t *)src + at);
    }
    return ret;
}

static int pages(struct build *b)
{
    static uint8_t page[SGX_PAGE_SIZE] __attribute__((aligned(4096)));
    static uint8_t zeros[H_NSSA * H_FRAME_PAGES * SGX_PAGE_SIZE] __attribute__((aligned(4096)));
    const struct harness_options *o = b->o;
    struct harness *h = b->h;
    uint64_t base = h->e.base + o->shift;
    int ret = put(b, 0, image, h->code_size, REG | 5);
    if (ret == 0)
        ret = put(b, h->code_size, image + h->code_size, h->image_size - h->code_size, REG | 3);
    for (unsigned i = 0; ret == 0 && i < H_TCS_COUNT; i++) {
        struct sgx_tcs *tcs = (void *)page;
        memset(page, 0, sizeof(page));
        tcs->flags = o->tcs_flags;
        tcs->ossa = o->shift + H_SSA(i);
        tcs->nssa = H_NSSA;
        tcs->oentry = o->shift + h->entry;
        tcs->ofsbase = tcs->ogsbase = o->shift + H_TLS(i);
        ret = put(b, H_TCS(i), page, sizeof(page), SGX_SECINFO_PT(SGX_PT_TCS));
        struct probe_tls *tls = (void *)page;
        memset(page, 0, sizeof(page));
        /* Addresses are of this base: the test enclave is measured once a base. */
        tls->stack = base + H_STACK(i) + 0x3000;
        tls->exception_stack = base + H_STACK(i) + 0x4000;
        tls->ssa = base + H_SSA(i);
        tls->ssa_frame_size = H_FRAME_PAGES * SGX_PAGE_SIZE;
        if (ret == 0)
            ret = put(b, H_TLS(i), page, sizeof(page), REG | 3);
        if (ret == 0)
            ret = put(b, H_SSA(i), zeros, sizeof(zeros), REG | 3);
        if (ret == 0)
            ret = put(b, H_STACK(i), zeros, 0x4000, REG | 3);
    }
    memset(page, 0xc3, sizeof(page)); /* ret */
    if (ret == 0)
        ret = put(b, H_RX, page, sizeof(page), REG | 5);
    if (ret == 0)
        ret = put(b, H_R, zeros, SGX_PAGE_SIZE, REG | 1);
    if (ret == 0)
        ret = put(b, H_RW, zeros, 0x4000, REG | 3);
    return ret;
}

static EVP_PKEY *key(struct sh_error *err)
{
    static EVP_PKEY *k;
    if (k == NULL)
        (void)sgx_key_generate(&k, err);
    return k;
}

static int sign(struct harness *h, const struct sgx_secs *secs, const struct harness_options *o,
                struct sh_error *err)
{
    struct sgx_sign_params p = {
        .attributes = secs->attributes,
        .attribute_mask = {~0ull, ~0ull},
        .miscselect = secs->miscselect,
        .miscmask = ~0u,
        .date = 0x20260101,
        .isv_prod_id = 9,
        .isv_svn = o->isv_svn,
    };
    memcpy(p.mrenclave, h->mrenclave, 32);
    return key(err) == NULL ? -EIO : sgx_sign(&h->css, &p, key(err), err);
}

static int map_all(struct harness *h, struct sh_error *err)
{
    const struct {
        uint64_t from, to;
        int prot;
    } maps[] = {{0, h->code_size, 5}, {h->code_size, H_RX, 3},  {H_RX, H_R, 5},
                {H_R, H_RW, 1},       {H_RW, H_RW + 0x4000, 3}, {H_HEAP, h->e.size - h->shift, 7}};
    int ret = 0;
    for (size_t i = 0; ret == 0 && i < sizeof(maps) / sizeof(maps[0]); i++)
        ret = sgx_enclave_map(&h->e, h->shift + maps[i].from, maps[i].to - maps[i].from,
                              maps[i].prot, err);
    /* Below the enclave's own pages, where programs go. */
    if (ret == 0 && h->shift > 0x10000)
        ret = sgx_enclave_map(&h->e, 0x10000, h->shift - 0x10000, 7, err);
    return ret;
}

int harness_build(struct harness *h, const struct harness_options *o, bool stop_before_init,
                  struct sh_error *err)
{
    struct sgx_secs secs = {
        .size = o->size ? o->size : H_SIZE,
        .base = o->base ? o->base : 1ull << 44,
        .ssa_frame_size = H_FRAME_PAGES,
        .miscselect = o->no_exinfo ? 0 : SGX_MISC_EXINFO,
        .attributes = {SGX_ATTR_MODE64BIT | o->attributes, o->xfrm ? o->xfrm : 3},
    };
    struct sgx_driver_options d = {
        .strict = o->strict, .epc = o->epc, .epc_pages = o->epc_pages, .key_file = o->key_file};
    if (o->base == UINT64_MAX)
        secs.base = 0;
    if (o->configid != NULL)
        memcpy(secs.configid, o->configid, 64);
    memset(h, 0, sizeof(*h));
    h->shift = o->shift;
    struct build b = {.h = h, .o = o, .err = err, .sign = true};
    int ret = read_image(h);
    if (ret != 0)
        return sh_fail(err, ret, "no " IMAGE);
    h->e.base = secs.base;
    ret = sgx_measure_create(&b.m, secs.size, secs.ssa_frame_size);
    if (ret == 0)
        ret = pages(&b);
    if (ret != 0)
        return sh_fail(err, ret, "cannot measure");
    sgx_measure_final(&b.m, h->mrenclave);
    ret = sign(h, &secs, o, err);
    if (ret != 0)
        return ret;
    if ((ret = sgx_enclave_create(&h->e, o->driver ? o->driver : &sgx_driver_sim, &d, &secs,
                                  err)) != 0)
        return ret;
    b.sign = false;
    if (o->flip != 0)
        image[o->flip] ^= 1;
    if ((o->attributes & SGX_ATTR_PROVISIONKEY) != 0 && !o->no_provision)
        ret = sgx_enclave_provision(&h->e, err);
    if (ret == 0)
        ret = pages(&b);
    if (ret == 0)
        ret = map_all(h, err);
    if (ret == 0 && !stop_before_init)
        ret = sgx_enclave_init(&h->e, &h->css, err);
    if (ret != 0)
        sgx_enclave_destroy(&h->e);
    return ret;
}

int harness_destroy(struct harness *h)
{
    return sgx_enclave_destroy(&h->e);
}

int harness_call(struct harness *h, unsigned i, struct probe *p)
{
    h->run = (struct sgx_enclave_run){.tcs = h->e.base + h->shift + H_TCS(i)};
    return sgx_enter(h->e.driver->entry(), &h->run, SGX_EENTER, (uint64_t)p, 0, 0);
}

/* What the exit handler does in harness_call_handled: the enclave's own handler on each exception,
 * then ERESUME, as a runtime would. */
static int handle_exception(long rdi, long rsi, long rdx, long rsp, long r8, long r9,
                            struct sgx_enclave_run *run)
{
    struct harness *h = (struct harness *)run->user_data;
    if (run->function == SGX_EEXIT && !h->in_handler)
        return 0;
    if (run->function == SGX_EEXIT) { /* of the enclave's handler */
        h->in_handler = false;
        return SGX_ERESUME;
    }
    if (h->in_handler || h->exceptions++ == 100)
        return -1;
    h->vector = run->exception_vector;
    h->error = run->exception_error_code;
    h->addr = run->exception_addr;
    h->in_handler = !h->continues;
    return SGX_EENTER;
}

int harness_call_handled(struct harness *h, unsigned i, struct probe *p, enum probe_handler handler)
{
    uint64_t value = handler;
    if (h->handlers[i] != value)
        harness_poke(h, H_TLS(i) + offsetof(struct probe_tls, handler), &value, sizeof(value));
    h->handlers[i] = value;
    h->in_handler = false;
    h->exceptions = 0;
    h->continues = handler == HANDLER_CONTINUE;
    h->run = (struct sgx_enclave_run){.tcs = h->e.base + h->shift + H_TCS(i),
                                      .user_handler = (uint64_t)handle_exception,
                                      .user_data = (uint64_t)h};
    return sgx_enter(h->e.driver->entry(), &h->run, SGX_EENTER, (uint64_t)p, 0, 0);
}

int64_t harness_enclu(struct harness *h, uint64_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx)
{
    struct probe p = {.op = PROBE_ENCLU, .rax = leaf, .rbx = rbx, .rcx = rcx, .rdx = rdx};
    if (harness_call(h, 0, &p) != 0 || h->run.function != SGX_EEXIT)
        return -1;
    return (int64_t)p.rax;
}

/* A debug enclave is read by EDBGRD, another one by asking it. */
static void copy(struct harness *h, uint64_t to, uint64_t from, uint64_t size)
{
    struct probe p = {.op = PROBE_COPY, .rax = to, .rbx = from, .rcx = size};
    if (harness_call(h, 0, &p) != 0 || h->run.function != SGX_EEXIT)
        abort();
}

/* The processor's view, for what EDBGRD and EDBGWR refuse, too: TCSs. NULL: not a debug enclave, or
 * not the processor of this process, of which the driver's device is. */
static uint8_t *view(struct harness *h, uint64_t offset)
{
    struct sgxsim *dev = h->e.driver == &sgx_driver_sim ? h->e.dev : NULL;
    if (dev == NULL || (dev->secs.attributes.flags & SGX_ATTR_DEBUG) == 0)
        return NULL;
    if (sim_bring_back(dev, (h->shift + offset) & ~4095ull) != 0)
        abort();
    return sim_frame(dev, h->shift + offset);
}

void harness_peek(struct harness *h, uint64_t offset, void *out, uint64_t size)
{
    const uint8_t *p = view(h, offset);
    if (p != NULL)
        memcpy(out, p, size);
    else
        copy(h, (uint64_t)out, h->e.base + h->shift + offset, size);
}

void harness_poke(struct harness *h, uint64_t offset, const void *data, uint64_t size)
{
    uint8_t *p = view(h, offset);
    if (p != NULL)
        memcpy(p, data, size);
    else
        copy(h, h->e.base + h->shift + offset, (uint64_t)data, size);
}

void harness_drop(struct harness *h, unsigned i)
{
    uint32_t cssa = 0;
    harness_poke(h, H_TCS(i) + offsetof(struct sgx_tcs, cssa), &cssa, sizeof(cssa));
}
