// SPDX-License-Identifier: Apache-2.0
// Pages that leave the EPC and come back: the leaves EPA, EWB, ELDB and ELDU, the kernel's use of
// them under a small EPC, an EPC that enclaves and processes share; what is kept outside is
// changed.
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/sgx/sim/sim.h"
#include "tests/sgx/checks.h"

#define RW (SGX_SECINFO_PT(SGX_PT_REG) | 3)

static uint8_t outside[4096] __attribute__((aligned(4096)));
static struct sgx_pcmd pcmd;

static struct sgx_pageinfo info_for(uint64_t linaddr)
{
    return (struct sgx_pageinfo){
        .linaddr = linaddr, .srcpge = (uint64_t)outside, .secinfo = (uint64_t)&pcmd};
}

/* EBLOCK, ETRACK, EWB; ELDU: nothing outside looks like the page, and one bit changed is seen. */
static void test_leaves(void **state)
{
    struct harness h;
    static struct sim_va va;
    uint8_t secret[4096], frame[4096];
    build(&h, (struct harness_options){.strict = *state == STRICT, .attributes = SGX_ATTR_DEBUG});
    struct sgxsim *dev = h.e.dev;
    const uint64_t at = H_RW, addr = h.e.base + at;
    struct sgx_pageinfo info = info_for(0);
    memset(secret, 0x5a, sizeof(secret));
    harness_poke(&h, at, secret, sizeof(secret));
    assert_int_equal(sim_epa(&va, SGX_PT_VA), SGX_SUCCESS);
    assert_int_equal(sim_ewb(dev, &info, addr, &va, 7), SGX_PAGE_NOT_BLOCKED);
    assert_int_equal(sim_eblock(dev, addr), SGX_SUCCESS);
    assert_int_equal(sim_ewb(dev, &info, addr, &va, 7), SGX_NOT_TRACKED);
    assert_int_equal(sim_etrack(dev), SGX_SUCCESS);
    va.slots[7] = 99;
    struct sim_page was = *sim_page(dev, at);
    assert_int_equal(sim_ewb(dev, &info, addr, &va, 7), SGX_VA_SLOT_OCCUPIED); /* written, though */
    assert_true(va.slots[7] != 0 && va.slots[7] != 99);
    assert_int_equal(sim_page(dev, at)->state & PAGE_VALID, 0);
    assert_int_equal(info.linaddr, addr);
    assert_int_equal(pcmd.enclaveid, dev->eid);
    assert_int_equal(pcmd.secinfo.flags, RW);
    for (unsigned i = 0; i < 4096 - 4; i++)
        assert_memory_not_equal(outside + i, secret, 4);
    memset(sim_frame(dev, at), 0, 4096);
    struct sgx_pcmd good = pcmd;
#define REFUSED(change, back)                                                                      \
    do {                                                                                           \
        change;                                                                                    \
        assert_int_equal(sim_eld(dev, &info, addr, &va, 7, false), SGX_MAC_COMPARE_FAIL);          \
        back;                                                                                      \
        assert_int_equal(sim_page(dev, at)->state &PAGE_VALID, 0);                                 \
        assert_true(sim_zero(sim_frame(dev, at), 4096));                                           \
    } while (0)
    REFUSED(outside[4095] ^= 1, outside[4095] ^= 1);
    REFUSED(pcmd.mac[0] ^= 1, pcmd = good);
    REFUSED(pcmd.secinfo.flags |= SGX_SECINFO_X, pcmd = good);
    REFUSED(pcmd.secinfo.flags &= ~SGX_SECINFO_W, pcmd = good);
    REFUSED(pcmd.secinfo.flags |= SGX_SECINFO_PENDING, pcmd = good);
    REFUSED(va.slots[7]--, va.slots[7]++); /* an older version of the page */
    REFUSED(dev->eid++, dev->eid--);       /* another enclave's */
    uint64_t other = addr + 4096;          /* another place of this one */
    *sim_page(dev, at + 4096) = (struct sim_page){0};
    info.linaddr = addr;
    assert_int_equal(sim_eld(dev, &info, other, &va, 7, false), SGX_MAC_COMPARE_FAIL);
    info.linaddr = other;
    assert_int_equal(sim_eld(dev, &info, other, &va, 7, false), SGX_MAC_COMPARE_FAIL);
    info.linaddr = addr;
    assert_int_equal(sim_eld(dev, &info, addr, &va, 7, true), SGX_SUCCESS); /* ELDB */
    assert_true((sim_page(dev, at)->state & PAGE_BLOCKED) != 0);
    assert_int_equal(va.slots[7], 0);
    assert_int_equal(sim_eld(dev, &info, addr, &va, 7, false), SIM_PF); /* it is there */
    memcpy(frame, sim_frame(dev, at), 4096);
    assert_memory_equal(frame, secret, 4096);
    assert_int_equal(sim_page(dev, at)->perm, was.perm);
    sim_page(dev, at)->state = PAGE_VALID;
    *sim_page(dev, at + 4096) = was;
    assert_int_equal(sim_eremove_va(&va), SGX_SUCCESS);
    assert_int_equal(sim_eld(dev, &info, other + 4096, &va, 7, false), SIM_PF);
    finish(&h);
}

/* The kernel's part: the bytes are gone from the EPC, come back by a fault, and a host that changes
 * what it keeps gets a #PF that nothing resolves. */
static void test_tampering(void **state)
{
    struct harness h;
    uint64_t value = 0x1122334455667788;
    build(&h, (struct harness_options){.strict = *state == STRICT, .attributes = SGX_ATTR_DEBUG});
    struct sgxsim *dev = h.e.dev;
    const uint64_t at = H_RW + 0x1000;
    harness_poke(&h, at, &value, sizeof(value));
    dev->epc->limit = dev->stats.epc_pages; /* from here on each new page puts others out */
    uint64_t next = H_HEAP;
    while ((sim_page(dev, at)->state & PAGE_EVICTED) == 0) {
        struct sgx_secinfo s = {.flags = RW | SGX_SECINFO_PENDING};
        harness_poke(&h, H_RW, &s, sizeof(s));
        assert_int_equal(harness_enclu(&h, SGX_EACCEPT, h.e.base + H_RW, h.e.base + next, 0), 0);
        next += 4096;
        assert_true(next < H_SIZE);
    }
    assert_true(dev->stats.epc_pages <= dev->epc->limit);
    uint8_t *kept = dev->chunks[0].store + at;
    assert_memory_not_equal(kept, &value, 8);
    kept[100] ^= 1;
    struct probe p = {.op = PROBE_READ, .rbx = h.e.base + at};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_exception(&h, SGX_ERESUME, SGX_VECTOR_PF, SGX_PF_U, h.e.base + at);
    harness_drop(&h, 0);
    kept[100] ^= 1;
    p = (struct probe){.op = PROBE_READ, .rbx = h.e.base + at};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(p.rax, value);
    finish(&h);
}

/* Everything may leave, also TCSs and frames of the SSA: what an enclave does is the same. */
static void test_small(void **state)
{
    struct harness h;
    for (uint64_t pages = 24; pages <= 40; pages += 8) {
        build(&h, (struct harness_options){.strict = *state == STRICT,
                                           .attributes = SGX_ATTR_DEBUG,
                                           .epc_pages = pages});
        for (unsigned round = 0; round < 20; round++) {
            uint64_t value = round * 3 + 1;
            for (unsigned i = 0; i < 40; i++) {
                struct sgx_secinfo s = {.flags = RW | SGX_SECINFO_PENDING};
                uint64_t page = h.e.base + H_HEAP + i * 4096;
                struct probe p = {.op = PROBE_WRITE, .rbx = page, .rcx = value + i};
                if (round == 0) {
                    harness_poke(&h, H_RW, &s, sizeof(s));
                    assert_int_equal(harness_enclu(&h, SGX_EACCEPT, h.e.base + H_RW, page, 0), 0);
                }
                assert_int_equal(harness_call(&h, i % H_TCS_COUNT, &p), 0);
                assert_int_equal(h.run.function, SGX_EEXIT);
            }
            for (unsigned i = 0; i < 40; i++) {
                struct probe p = {.op = PROBE_READ, .rbx = h.e.base + H_HEAP + i * 4096};
                assert_int_equal(harness_call(&h, i % H_TCS_COUNT, &p), 0);
                assert_int_equal(p.rax, value + i);
            }
            struct probe p = {.op = PROBE_INSN, .rbx = INSN_SYSCALL};
            assert_int_equal(harness_call_handled(&h, 0, &p, HANDLER_CONTINUE), 0);
            assert_int_equal(p.rax, 4242);
        }
        struct sgxsim_stats s = stats_of(&h);
        assert_true(s.ewb > 100 && s.eldu > 100 && s.epc_peak_pages <= pages);
        finish(&h);
    }
}

struct worker {
    struct harness *h;
    unsigned tcs, wrong;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < 3000; i++) {
        uint64_t page = w->h->e.base + H_HEAP + (w->tcs * 32 + i % 32) * 4096;
        struct probe p = {.op = PROBE_WRITE, .rbx = page, .rcx = i};
        struct sgx_enclave_run run = {.tcs = w->h->e.base + H_TCS(w->tcs)};
        for (unsigned k = 0; k < 2; k++) {
            if (sgx_enter(w->h->e.driver->entry(), &run, SGX_EENTER, (uint64_t)&p, 0, 0) != 0 ||
                run.function != SGX_EEXIT)
                w->wrong++;
            p.op = PROBE_READ;
        }
        w->wrong += p.rax != i;
    }
    return NULL;
}

static void accept_rows(struct harness *h, unsigned count, uint64_t flags)
{
    struct sgx_secinfo s = {.flags = flags};
    for (unsigned i = 0; i < count; i++) {
        harness_poke(h, H_RW, &s, sizeof(s));
        assert_int_equal(
            harness_enclu(h, SGX_EACCEPT, h->e.base + H_RW, h->e.base + H_HEAP + i * 4096, 0), 0);
    }
}

/* Threads that put each other's pages out, and are interrupted for it. */
static void test_threads(void **state)
{
    struct harness h;
    pthread_t threads[H_TCS_COUNT];
    struct worker workers[H_TCS_COUNT];
    build(&h, (struct harness_options){
                  .strict = *state == STRICT, .attributes = SGX_ATTR_DEBUG, .epc_pages = 60});
    accept_rows(&h, H_TCS_COUNT * 32, RW | SGX_SECINFO_PENDING);
    for (unsigned i = 0; i < H_TCS_COUNT; i++) {
        workers[i] = (struct worker){&h, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < H_TCS_COUNT; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].wrong, 0);
    }
    struct sgxsim_stats s = stats_of(&h);
    assert_true(s.eldu > 50 && s.epc_peak_pages <= 60);
    finish(&h);
}

/* More pages than the EPC has, removed at once: each comes back in the place of those that went. */
static void test_remove_more(void **state)
{
    enum { COUNT = 200 };
    struct harness h;
    struct sh_error err = {0};
    build(&h, (struct harness_options){
                  .strict = *state == STRICT, .attributes = SGX_ATTR_DEBUG, .epc_pages = 60});
    accept_rows(&h, COUNT, RW | SGX_SECINFO_PENDING);
    assert_int_equal(sgx_enclave_set_type(&h.e, H_HEAP, COUNT * 4096, SGX_PT_TRIM, &err), 0);
    accept_rows(&h, COUNT, SGX_SECINFO_PT(SGX_PT_TRIM) | SGX_SECINFO_MODIFIED);
    assert_int_equal(sgx_enclave_remove(&h.e, H_HEAP, COUNT * 4096, &err), 0);
    assert_int_equal(stats_of(&h).eremove, COUNT);
    finish(&h);
}

static void touch_all(struct harness *h, uint64_t expect)
{
    for (unsigned i = 0; i < 4; i++) {
        struct probe p = {.op = PROBE_READ, .rbx = h->e.base + H_RW + i * 4096};
        assert_int_equal(harness_call(h, 0, &p), 0);
        assert_int_equal(p.rax, expect);
    }
}

static void write_all(struct harness *h, uint64_t value)
{
    for (unsigned i = 0; i < 4; i++)
        harness_poke(h, H_RW + i * 4096, &value, sizeof(value));
}

/* One EPC for enclaves of one process: who has most gives. */
static void test_shared(void **state)
{
    struct harness a, b;
    struct sgxsim_epc *epc;
    assert_int_equal(sgxsim_epc_open(NULL, 70, &epc), 0);
    struct harness_options o = {
        .strict = *state == STRICT, .attributes = SGX_ATTR_DEBUG, .epc = epc};
    build(&a, o);
    write_all(&a, 1);
    o.base = 1ull << 43;
    build(&b, o);
    write_all(&b, 2);
    assert_true(stats_of(&a).ewb > 0);
    for (unsigned i = 0; i < 20; i++) {
        touch_all(&a, 1);
        touch_all(&b, 2);
    }
    assert_true(sgxsim_epc_used(epc) <= 70);
    assert_int_equal(sgxsim_epc_used(epc), stats_of(&a).epc_pages + stats_of(&b).epc_pages);
    finish(&b);
    finish(&a);
    assert_int_equal(sgxsim_epc_used(epc), 0);
}

/* Half of a test, in a process of its own: the other says when. */
static int other_process(const char *file, int in, int out)
{
    struct harness h;
    struct sgxsim_epc *epc;
    char c = 1;
    if (sgxsim_epc_open(file, 70, &epc) != 0)
        return 2;
    build(&h, (struct harness_options){.attributes = SGX_ATTR_DEBUG, .epc = epc});
    write_all(&h, 7);
    if (write(out, &c, 1) != 1 || read(in, &c, 1) != 0) /* until the other end is closed */
        return 3;
    touch_all(&h, 7);
    return stats_of(&h).ewb > 0 && stats_of(&h).eldu > 0 ? 0 : 4;
}

/* In a PID namespace of its own if `apart`, in which its parent has no number; 77: not here. */
static pid_t start_other(bool apart, const char *file, const int to[2], int out)
{
    pid_t child = fork();
    int in = to[0];
    if (child != 0)
        return child;
    close(to[1]);
    if (apart) {
        if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
            _exit(write(out, "\2", 1) == 1 ? 77 : 3);
        int status;
        pid_t first = fork();
        if (first == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            _exit(other_process(file, in, out));
        }
        close(in);
        close(out);
        _exit(waitpid(first, &status, 0) == first && WIFEXITED(status) ? WEXITSTATUS(status) : 5);
    }
    _exit(other_process(file, in, out));
}

static void add_pages(struct harness *h, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct sgx_secinfo s = {.flags = RW | SGX_SECINFO_PENDING};
        harness_poke(h, H_RW, &s, sizeof(s));
        assert_int_equal(
            harness_enclu(h, SGX_EACCEPT, h->e.base + H_RW, h->e.base + H_HEAP + i * 4096, 0), 0);
    }
}

/* … and of two processes: the one that has most is asked for pages, also while it does nothing, and
 * one that has ended or was killed leaves none behind. Numbers of processes mean nothing to it. */
static void share_with(bool apart, bool killed)
{
    char file[64], c = 0;
    int to[2], from[2], status;
    struct harness h;
    struct sgxsim_epc *epc;
    snprintf(file, sizeof(file), "/tmp/sgxsim-epc.%d", (int)getpid());
    assert_int_equal(pipe(to) | pipe(from), 0);
    pid_t child = start_other(apart, file, to, from[1]);
    close(from[1]);
    close(to[0]);
    assert_int_equal(read(from[0], &c, 1), 1);
    if (c == 2)
        print_message("no PID namespaces here\n");
    assert_int_equal(sgxsim_epc_open(file, 70, &epc), 0);
    uint64_t theirs = sgxsim_epc_used(epc);
    assert_true(c == 2 || theirs > 40);
    build(&h,
          (struct harness_options){.attributes = SGX_ATTR_DEBUG, .epc = epc, .base = 1ull << 43});
    write_all(&h, 8);
    assert_true(c == 2 || sgxsim_epc_used(epc) - stats_of(&h).epc_pages < theirs); /* they gave */
    if (killed)
        assert_int_equal(kill(child, SIGKILL) | (int)read(from[0], &c, 1), 0);
    close(to[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, killed ? SIGKILL : c == 2 ? 77 << 8 : 0);
    touch_all(&h, 8);
    /* What the dead one had is free when somebody needs it. */
    add_pages(&h, 60);
    assert_true(sgxsim_epc_used(epc) == stats_of(&h).epc_pages);
    finish(&h);
    close(from[0]);
    unlink(file);
}

static void test_processes(void **state)
{
    (void)state;
    share_with(false, false);
}

static void test_namespaces(void **state)
{
    (void)state;
    share_with(true, false);
}

static void test_killed(void **state)
{
    (void)state;
    share_with(false, true);
    share_with(true, true);
}

/* EUPDATESVN: when nobody uses the EPC, and there is something newer. */
static void test_update_svn(void **state)
{
    struct harness h;
    uint8_t before[16], newer[16];
    (void)state;
    struct sgx_targetinfo none = {0};
    struct sgx_report r;
    build(&h, (struct harness_options){.attributes = SGX_ATTR_DEBUG});
    memcpy(before, sim_cpu.cpusvn, 16);
    memcpy(newer, before, 16);
    newer[0]++;
    sgxsim_load_microcode(newer);
    assert_int_equal(sim_eupdatesvn(true), SGX_EPC_NOT_READY);
    finish(&h);
    assert_int_equal(sim_eupdatesvn(false), SGX_INSUFFICIENT_ENTROPY);
    assert_memory_equal(sim_cpu.cpusvn, before, 16);
    build(&h, (struct harness_options){.attributes = SGX_ATTR_DEBUG}); /* the kernel does it */
    memset(&r, 0, sizeof(r));
    assert_int_equal(sgxsim_report_finish(&none, &r), 0);
    assert_memory_equal(r.cpusvn, newer, 16);
    finish(&h);
    assert_int_equal(sim_eupdatesvn(true), SGX_NO_UPDATE);
    sgxsim_load_microcode(before);
    assert_int_equal(sim_eupdatesvn(true), SGX_SUCCESS);
}

static void *hold_page(void *arg)
{
    struct harness *h = arg;
    struct probe p = {
        .op = PROBE_ENCLU, .rax = SGX_EACCEPT, .rbx = h->e.base + H_RW, .rcx = h->e.base + H_HEAP};
    struct sgx_enclave_run run = {.tcs = h->e.base + H_TCS(1)};
    (void)sgx_enter(h->e.driver->entry(), &run, SGX_EENTER, (uint64_t)&p, 0, 0);
    return (void *)p.rax;
}

/* 38.1.4: a page that another leaf has just now. */
static void test_conflicts(void **state)
{
    struct harness h;
    build(&h, (struct harness_options){.strict = *state == STRICT, .attributes = SGX_ATTR_DEBUG});
    struct sgxsim *dev = h.e.dev;
    struct sgx_secinfo s = {.flags = RW | SGX_SECINFO_PENDING};
    harness_poke(&h, H_RW, &s, sizeof(s));
    pthread_t thread;
    void *code;
    /* This thread is the other leaf. */
    sim_lock(dev);
    dev->leaf_page = H_HEAP + 1;
    assert_int_equal(pthread_create(&thread, NULL, hold_page, &h), 0);
    pthread_join(thread, &code);
    assert_int_equal((uint64_t)code, SGX_EPC_PAGE_CONFLICT);
    dev->leaf_page = H_HEAP + 4096 + 1; /* another page: it waits */
    assert_int_equal(pthread_create(&thread, NULL, hold_page, &h), 0);
    usleep(2000);
    dev->leaf_page = 0;
    sim_unlock(dev);
    pthread_join(thread, &code);
    assert_int_equal((uint64_t)code, SGX_SUCCESS);
    /* EMODPR and EMODT that came while a leaf had the page; the driver tells it. */
    struct sgx_secinfo r = {.flags = SGX_SECINFO_R};
    struct sgx_secinfo trim = {.flags = SGX_SECINFO_PT(SGX_PT_TRIM)};
    dev->met_page = H_HEAP + 1;
    assert_int_equal(sim_emodpr(dev, &r, h.e.base + H_HEAP), SGX_EPC_PAGE_CONFLICT);
    dev->met_page = H_HEAP + 1;
    assert_int_equal(sim_emodt(dev, &trim, h.e.base + H_HEAP), SGX_EPC_PAGE_CONFLICT);
    dev->met_page = H_HEAP + 1;
    assert_int_equal(sim_eblock(dev, h.e.base + H_HEAP), SGX_EPC_PAGE_CONFLICT);
    dev->met_page = H_HEAP + 1;
    assert_int_equal(sim_emodpr(dev, &r, h.e.base + H_RW), SGX_SUCCESS);
    dev->met_page = 0;
    assert_int_equal(sim_emodpr(dev, &r, h.e.base + H_HEAP), SGX_SUCCESS);
    finish(&h);
}

/* What a debugger has written into code (here by the kernel, as ptrace does) leaves with the page,
 * comes back with it, and is there when the page's rights or its mapping change. */
static void test_poked(void **state)
{
    struct harness h;
    build(&h, (struct harness_options){
                  .strict = *state == STRICT, .attributes = SGX_ATTR_DEBUG, .epc_pages = 64});
    struct sgxsim *dev = h.e.dev;
    const uint64_t at = H_RX + 8, addr = h.e.base + at;
    uint64_t word, value = 0x1122334455667788;
    int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, &value, 8, (off_t)addr), 8);
    memcpy(&word, sim_frame(dev, at), 8);
    assert_int_not_equal(word, value); /* a copy, as yet */
    for (unsigned i = 0; i < 100; i++) {
        struct probe p = {.op = PROBE_WRITE, .rbx = h.e.base + H_HEAP + i * 4096, .rcx = i + 1};
        assert_int_equal(harness_call_handled(&h, 0, &p, HANDLER_ACCEPT), 0);
    }
    assert_true((sim_page(dev, at)->state & PAGE_EVICTED) != 0);
    struct probe p = {.op = PROBE_READ, .rbx = addr};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(p.rax, value);
    for (unsigned prot = 0; prot < 2; prot++) {
        value++;
        assert_int_equal(pwrite(fd, &value, 8, (off_t)addr), 8);
        assert_int_equal(sgxsim_protect(dev, addr & ~4095ull, 4096, PROT_NONE), 0);
        memcpy(&word, sim_frame(dev, at), 8);
        assert_int_equal(word, value);
        assert_int_equal(sgxsim_unmap(dev, addr & ~4095ull, 4096), 0);
        assert_int_equal(sgxsim_map(dev, addr & ~4095ull, 4096, PROT_READ), 0);
        assert_int_equal(harness_call(&h, 0, &p), 0);
        assert_int_equal(p.rax, value);
    }
    close(fd);
    finish(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_leaves),
        BOTH(test_tampering),
        BOTH(test_small),
        BOTH(test_threads),
        BOTH(test_remove_more),
        BOTH(test_shared),
        cmocka_unit_test(test_processes),
        cmocka_unit_test(test_namespaces),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_update_svn),
        BOTH(test_conflicts),
        BOTH(test_poked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
