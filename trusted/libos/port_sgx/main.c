// SPDX-License-Identifier: Apache-2.0
// Port `sgx`: from the first entry to los_start. What the host gave is copied in and held against
// what was measured: the manifest against the identity page, the launch config against CONFIGID.
#include "lib/launch.h"
#include "lib/manifest.h"
#include "lib/sha2.h"
#include "trusted/libos/entry/entry.h"
#include "trusted/libos/port_sgx/sgx.h"

#define EXC_STACK_SIZE 8192u
#define ZONE_ALIGN (2ull << 20)

/* The loader writes the image's identity here before the page is measured. */
struct identity {
    uint8_t manifest_digest[SH_ID_SIZE];
    uint8_t reserved[PAGE_SIZE - SH_ID_SIZE];
};
__attribute__((section(".identity"), aligned(4096))) const volatile struct identity sgx_identity;

/* Each on pages of its own, below which there is none (enclave.lds). */
static _Alignas(4096) uint8_t exc_stack[EXC_STACK_SIZE];
static _Alignas(4096) uint8_t first_stack[KSTACK_SIZE];
static _Alignas(4096) uint8_t boot_xsave[XSAVE_SIZE];
_Alignas(4096) uint8_t sgx_boot_ssa[2 * SH_ENCLAVE_SSA_PAGES * PAGE_SIZE];

extern const uint8_t sgx_boot_tcs[];

__attribute__((section(".boot"), aligned(4096))) struct port_thread sgx_boot = {
    .self = &sgx_boot,
    .state = STATE_NEW,
    .exc_stack = (uint64_t)exc_stack + EXC_STACK_SIZE,
    .xfrm = SGX_XFRM_LEGACY,
    .xsave = boot_xsave,
    .entry_stack = (uint64_t)first_stack + KSTACK_SIZE,
    .ssa = sgx_boot_ssa,
};

static struct port_start start;

static bool wants_stats; /* the host; the policy decides whether they may be told */

_Noreturn void port_exit(int status)
{
    char *stats_json =
        wants_stats && control_allows(SH_POLICY_STATS) ? los_alloc(STATS_JSON_MAX) : NULL;
    int n = stats_json ? los_stats_json(stats_json, STATS_JSON_MAX) : 0;
    for (;;)
        SGX_CALL(.nr = SH_CALL_EXIT, .args = {(uint32_t)status}, .a = stats_json,
                 .size_a = n > 0 ? (uint32_t)n : 0);
}

_Noreturn void port_stop(void)
{
    for (;;)
        SGX_CALL(.nr = SH_CALL_EXIT, .args = {125, 1});
}

static _Noreturn void refuse_start(const char *why)
{
    log_line("shelter: %s", why);
    port_stop();
}

/* A place that is there already while it lasts, which is enough for nearly all; then fresh pages at
 * the end of the zone. */
static void *early_room(uint64_t size)
{
    static _Alignas(8) uint8_t room[1024];
    static uint64_t used;
    uint64_t at = used, end = at + ((size + 7) & ~7ul);
    if (end <= sizeof(room)) {
        used = end;
        return room + at;
    }
    uint64_t pages = (size + PAGE_SIZE - 1) >> PAGE_SHIFT;
    start.info.zone_end -= pages << PAGE_SHIFT;
    if (port_pages_add(start.info.zone_end, pages, PORT_R | PORT_W))
        refuse_start("the host gives no memory");
    return (void *)start.info.zone_end;
}

/* What starts as zeros is added but not measured, which would cost more than all else: until here
 * it is what the host likes. Nothing of it was read so far: the boot thread, as the entry code and
 * exceptions know it, is measured, and has no struct thread yet. Of the stack that we are on, what
 * is in use stays. */
#define IN_USE 1024u
static __attribute__((noinline)) void clear_bare(void)
{
    extern char sgx_bss[], sgx_bss_end[];
    uint64_t used = (uint64_t)__builtin_frame_address(0) - IN_USE;
    memset(sgx_bss, 0, (size_t)(sgx_bss_end - sgx_bss));
    memset(exc_stack, 0, sizeof(exc_stack));
    memset(first_stack, 0, used - (uint64_t)first_stack);
}

/* Copies `size` bytes of the host's there. */
static void *take_range(uint64_t from, uint64_t size, uint64_t limit, const char *what)
{
    if (!size || size > limit || !sgx_outside(from, size))
        refuse_start(what);
    void *to = early_room(size);
    sgx_copy_in(to, from, size);
    return to;
}

static void take_manifest(const struct sh_start *s)
{
    uint8_t digest[SH_ID_SIZE], expected[SH_ID_SIZE];
    const void *data = take_range(s->manifest, s->manifest_size, SH_MANIFEST_SIZE_MAX,
                                  "the host gave no manifest");
    sh_sha384(digest, data, s->manifest_size);
    for (unsigned i = 0; i < SH_ID_SIZE; i++)
        expected[i] = sgx_identity.manifest_digest[i];
    if (memcmp(digest, expected, SH_ID_SIZE))
        refuse_start("the manifest is not the one that was measured; build the image again");
    start.manifest = data;
    start.manifest_size = s->manifest_size;
}

static void take_launch(const struct sh_start *s, const struct sgx_report *report)
{
    uint8_t digest[64] = {0};
    start.launch = take_range(s->launch, s->launch_size, SH_LAUNCH_SIZE_MAX,
                              "the host gave no launch config; nothing starts without one");
    start.launch_size = s->launch_size;
    sh_sha384(digest, start.launch, start.launch_size);
    if (memcmp(digest, report->configid, sizeof(digest)))
        refuse_start("the launch config is not the one that CONFIGID binds");
}

static struct {
    uint64_t at, size;
} images[1 + SH_DATA_MAX];

int port_image_read(uint32_t number, uint64_t offset, void *buf, uint32_t size)
{
    if (offset > images[number].size || size > images[number].size - offset)
        return -EIO;
    sgx_copy_in(buf, images[number].at + offset, size);
    return 0;
}

static uint64_t sites_at;

int port_sites_read(uint64_t offset, void *buf, uint32_t size)
{
    if (offset > start.info.sites_size || size > start.info.sites_size - offset)
        return -EIO;
    sgx_copy_in(buf, sites_at + offset, size);
    return 0;
}

/* What the host says once of the processor and of sites.bin. */
static void take_claims(const struct sh_start *s)
{
    static struct sh_cpuid cpuid[SH_CPUID_MAX];
    if (s->sites_size && !sgx_outside(s->sites, s->sites_size))
        refuse_start("sites.bin is not mapped");
    sites_at = s->sites;
    start.info.sites_size = s->sites_size;
    memcpy(cpuid, s->cpuid, sizeof(cpuid));
    start.info.cpuid = cpuid;
    start.info.cpuid_count = (uint32_t)MIN(s->cpuid_count, (uint64_t)SH_CPUID_MAX);
}

static void fill_info(const struct sh_start *s, const struct sgx_report *own)
{
    struct port_info *i = &start.info;
    i->user_start = SH_ENCLAVE_LOWEST;
    i->user_end = SH_ENCLAVE_IMAGE;
    i->zone_start = ((uint64_t)sgx_image_end + ZONE_ALIGN - 1) & ~(ZONE_ALIGN - 1);
    i->zone_end = SH_ENCLAVE_SIZE - 0x10000;
    i->vdso = (uint64_t)sgx_vdso;
    i->hwcap = s->hwcap;
    i->hwcap2 = 2; /* FSGSBASE: without it we would not be here */
    i->xfrm = own->attributes.xfrm;
    i->xsave_size = processor_xsave_size(i->xfrm);
    i->cpu_count = (uint32_t)MIN(s->cpu_count, 512ul);
    i->root_size = s->root_size;
    i->lends = true;
    sgx_end_wakes = s->flags & SH_START_END_WAKES;
    i->sha_instructions = s->flags & SH_START_SHA;
    i->simulated = s->flags & SH_START_SIMULATED;
    i->debug = own->attributes.flags & SGX_ATTR_DEBUG;
}

static struct sh_start given;
static struct sgx_report own;
static _Noreturn void bring_up(void)
{
    take_claims(&given);
    take_manifest(&given);
    take_launch(&given, &own);
    start.trace = given.flags & SH_START_TRACE;
    wants_stats = given.flags & SH_START_STATS;
    int status = los_start(&start);
    for (;;)
        SGX_CALL(.nr = SH_CALL_EXIT, .args = {(uint32_t)status, 1});
}

void sgx_boot_main(struct port_thread *p)
{
    static const struct sgx_targetinfo nobody;
    static const uint8_t nothing[64];
    clear_bare();
    struct thread *t = los_first_thread((uint64_t)first_stack + KSTACK_SIZE);
    t->port = p;
    p->thread = t;
    p->tcs = (uint64_t)sgx_boot_tcs;
    __asm__ volatile("wrgsbase %0" : : "r"(t) : "memory");
    p->canary = canary_new();
    t->canary = canary_new();
    sgx_copy_in(&given, (uint64_t)p->slot->a, sizeof(given));
    if (sgx_report(&nobody, nothing, &own))
        refuse_start("the processor gives no report");
    if (own.attributes.xfrm >> 8 || (own.attributes.xfrm & 3) != 3)
        refuse_start("this enclave has processor state that it does not know (XFRM)");
    /* Neither is in MRENCLAVE. Without EXINFO a fault's address would be the host's word; without
     * KSS there is no CONFIGID. */
    if (!(own.miscselect & SGX_MISC_EXINFO) || !(own.attributes.flags & SGX_ATTR_KSS))
        refuse_start("this enclave was made without EXINFO or KSS, which it needs");
    p->xfrm = own.attributes.xfrm;
    if (given.version != SH_START_VERSION)
        refuse_start("the loader and the enclave of this image are of different versions");
    if (!sgx_outside(given.root, given.root_size))
        refuse_start("the root image is not mapped");
    if (!sgx_rings_init(given.rings))
        refuse_start("the rings are not mapped");
    if (!sgx_uses_init(given.uses, given.known_count))
        refuse_start("the list of pages is not mapped");
    images[0].at = given.root;
    images[0].size = given.root_size;
    for (unsigned i = 0; i < SH_DATA_MAX; i++) {
        if (given.data[i].size && !sgx_outside(given.data[i].at, given.data[i].size))
            refuse_start("the image's data is not mapped");
        images[1 + i].at = given.data[i].at;
        images[1 + i].size = given.data[i].size;
    }
    sgx_clock_init(p->slot, given.tsc_hz);
    fill_info(&given, &own);
    sgx_notify = own.attributes.flags & SGX_ATTR_AEXNOTIFY; /* as this TCS has it, or no entry */
    t->notify = sgx_notify ? &sgx_registers(p)->aexnotify : NULL;
    bring_up();
}

int port_random(void *buf, size_t size)
{
    return processor_random(buf, size);
}
