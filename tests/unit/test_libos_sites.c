// SPDX-License-Identifier: Apache-2.0
// The LibOS patches what sites.bin lists and nothing else: only private executable mappings of
// unchanged files, only bytes that are as they were built; addresses go there and back; cpuid.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <asm/unistd_64.h>

#include <shelter/sites.h>

#include "host/store/sink.h"
#include "lib/bytes.h"
#include "lib/sha2.h"
#include "tests/unit/libos_start.h"
#include "trusted/libos/entry/entry.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/mm/sites.h"

#define FDCWD ((uint64_t)-100)
#define PAGES 4u

#define GETPID "\xb8\x27\x00\x00\x00\x0f\x05"
#define MOVED "\x31\xc9\x0f\xa2\x89\xc2" /* xor %ecx, %ecx; cpuid; mov %eax, %edx */
#define READ "\x31\xc0\x0f\x05\x48\x3d\x00\xf0\xff\xff"

/* Where the sites of /program are. */
static const struct sh_site listed[] = {
    {.offset = 0x10, .kind = SH_SITE_CALL, .size = 7, .at = 5, .bytes = GETPID},
    {.offset = 0x40, .kind = SH_SITE_CPUID, .size = 2, .bytes = "\x0f\xa2"},
    {.offset = 0x80, .kind = SH_SITE_CALL, .size = 10, .at = 2, .bytes = READ},
    {.offset = 0xff9, .kind = SH_SITE_CALL, .size = 7, .at = 5, .bytes = GETPID},
    {.offset = 0x2000, .kind = SH_SITE_CALL, .size = 7, .at = 5, .bytes = GETPID}, /* not there */
    {.offset = 0x2800, .kind = SH_SITE_CPUID, .size = 6, .at = 2, .bytes = MOVED},
};
#define COUNT ARRAY_COUNT(listed)
#define ABSENT 4u

static uint8_t *root, text[PAGES * 4096], list[4096];
static struct sh_erofs_result built;
static uint64_t nid, strings;

static void make_text(void)
{
    memset(text, 0x90, sizeof(text));
    for (size_t i = 0; i < COUNT; i++) {
        if (i != ABSENT)
            memcpy(text + listed[i].offset, listed[i].bytes, listed[i].size);
    }
}

static int setup(void **state)
{
    struct sh_error err = {0};
    struct sh_inode *folder, *i;
    struct sh_tree t;
    char *name;
    int dir = open("/tmp", O_RDONLY | O_DIRECTORY);
    make_text();
    assert_int_equal(sh_tree_init(&t, dir, &err), 0);
    assert_int_equal(sh_tree_parent(&t, "program", true, &folder, &name, &err), 0);
    i = sh_tree_inode(&t, S_IFREG | 0755);
    i->size = sizeof(text);
    assert_int_equal(sh_tree_reserve(&t, i->size, &i->spool, &err), 0);
    assert_int_equal(pwrite(t.spool_fd, text, sizeof(text), (off_t)i->spool), sizeof(text));
    assert_int_equal(sh_tree_link(&t, folder, name, i, &err), 0);
    root = start_tree(&t, &built);
    nid = i->nid;
    free(name);
    sh_tree_free(&t);
    close(dir);
    strings = unit_memory(4096);
    return 0;
}

/* Gives the LibOS a list, as the builder would; its tree is one block, whose digest is the root. */
static void give(const struct sh_site *sites, uint32_t count)
{
    uint8_t hash[32];
    memset(list, 0, sizeof(list));
    memcpy(list, SH_SITES_MAGIC, 8);
    sh_put_le32(list + 8, SH_SITES_VERSION);
    sh_put_le32(list + 12, 1);
    sh_put_le32(list + 16, count);
    sh_put_le64(list + 32, nid);
    sh_put_le32(list + 44, count);
    memcpy(list + 48, sites, count * sizeof(*sites));
    unit_host.sites = list;
    unit_host.sites_size = sizeof(list);
    sh_sha256(hash, list, sizeof(list));
    los_lock();
    sites_free(space());
    assert_int_equal(sites_open(sizeof(list), hash), 0);
    los_unlock();
}

static long open_program(int flags)
{
    assert_int_equal(user_write(strings, "/program", 9), 0);
    return call(__NR_openat, FDCWD, strings, flags, 0);
}

static const uint8_t *map(int prot, int flags)
{
    long fd = open_program(O_RDONLY);
    assert_true(fd >= 0);
    long at = call(__NR_mmap, 0, sizeof(text), prot, flags, fd, 0);
    assert_true(at > 0);
    assert_int_equal(call(__NR_close, fd), 0);
    los_lock();
    assert_int_equal(mm_ready((uint64_t)at, sizeof(text), PORT_R), 0);
    los_unlock();
    return (const uint8_t *)at;
}

static void unmap(const uint8_t *at)
{
    assert_int_equal(call(__NR_munmap, at, sizeof(text)), 0);
}

/* Is the content as in the file, but for sites that are jumps (bits of `jumps`) or UD2? */
static void assert_text(const uint8_t *at, uint32_t changed)
{
    uint8_t want[sizeof(text)];
    memcpy(want, text, sizeof(want));
    for (size_t i = 0; i < COUNT; i++) {
        if (!(changed >> i & 1))
            continue;
        if (at[listed[i].offset] == 0xe9)
            memcpy(want + listed[i].offset, at + listed[i].offset, SH_SITE_JUMP);
        else if (listed[i].kind == SH_SITE_CPUID)
            memcpy(want + listed[i].offset + listed[i].at, "\x0f\x0b", 2);
        if (listed[i].kind == SH_SITE_CALL)
            assert_int_equal(at[listed[i].offset], 0xe9);
    }
    assert_memory_equal(at, want, sizeof(want));
}

static const uint8_t *slot_of(const uint8_t *at, size_t i)
{
    const uint8_t *jump = at + listed[i].offset;
    return jump + 5 + (int32_t)sh_le32(jump + 1);
}

static void test_patch(void **state)
{
    give(listed, COUNT);
    const uint8_t *at = map(PROT_READ | PROT_EXEC, MAP_PRIVATE), *slot = slot_of(at, 2);
    assert_text(at, 0x2f);
    assert_memory_equal(slot, "\x31\xc0\x48\x8d\x0d\x08\x00\x00\x00\x65\xff\x24\x25", 13);
    assert_int_equal(sh_le32(slot + 13), offsetof(struct thread, fast));
    assert_memory_equal(slot + 17, "\x48\x3d\x00\xf0\xff\xff\xe9", 7);
    assert_ptr_equal(slot + 28 + (int32_t)sh_le32(slot + 24), at + 0x80 + 10);
    slot = slot_of(at, 5);
    assert_memory_equal(slot, "\x31\xc9\x48\x8d\x15\x08\x00\x00\x00\x65\xff\x24\x25", 13);
    assert_int_equal(sh_le32(slot + 13), offsetof(struct thread, fast_cpuid));
    assert_memory_equal(slot + 17, "\x89\xc2\xe9", 3);
    slot = slot_of(at, 0);
    assert_memory_equal(slot, GETPID, 5);
    assert_ptr_equal(slot + 12 + (int32_t)sh_le32(slot + 8), at + 0x17);
    los_lock();
    struct area *a = area_find((uint64_t)slot);
    assert_string_equal(a->name, "[sites]");
    assert_int_equal(a->prot, PORT_R | PORT_X);
    los_unlock();
    unmap(at);
    /* Again at the same place: the same slots; the rights may also come later. */
    long fd = open_program(O_RDONLY);
    long there = call(__NR_mmap, at, sizeof(text), PROT_NONE, MAP_PRIVATE | MAP_FIXED, fd, 0);
    assert_int_equal(there, at);
    assert_int_equal(call(__NR_mprotect, at, sizeof(text), PROT_READ | PROT_EXEC), 0);
    los_lock();
    assert_int_equal(mm_ready((uint64_t)at, sizeof(text), PORT_X), 0);
    los_unlock();
    assert_ptr_equal(slot_of(at, 0), slot);
    call(__NR_close, fd);
    unmap(at);
}

static void test_not_patched(void **state)
{
    static const struct {
        int prot, flags;
    } others[] = {{PROT_READ, MAP_PRIVATE},
                  {PROT_READ | PROT_WRITE, MAP_PRIVATE},
                  {PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE},
                  {PROT_READ | PROT_EXEC, MAP_SHARED}};
    give(listed, COUNT);
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        const uint8_t *at = map(others[i].prot, others[i].flags);
        assert_text(at, 0);
        unmap(at);
    }
}

/* Lists that do not fit the file, or nothing. */
static void test_lists(void **state)
{
    struct sh_site s[COUNT];
    memcpy(s, listed, sizeof(s));
    s[0].bytes[1] = 0x28; /* other bytes than the file has */
    give(s, COUNT);
    const uint8_t *at = map(PROT_READ | PROT_EXEC, MAP_PRIVATE);
    assert_text(at, 0x2e);
    unmap(at);
    memcpy(s, listed, sizeof(s));
    s[5].offset = 0x100000; /* far behind the file's end */
    give(s, COUNT);
    at = map(PROT_READ | PROT_EXEC, MAP_PRIVATE);
    assert_text(at, 0x0f);
    unmap(at);
    s[5].offset = 0x11; /* descending: all of it is refused */
    give(s, COUNT);
    at = map(PROT_READ | PROT_EXEC, MAP_PRIVATE);
    assert_text(at, 0);
    unmap(at);
}

static void test_wrong_hash(void **state)
{
    static const uint8_t hash[32];
    give(listed, COUNT);
    los_lock();
    assert_int_equal(sites_open(sizeof(list), hash), -EIO);
    assert_int_equal(sites_open(0, hash), -EINVAL);
    unit_host.sites_size = 100;
    assert_int_equal(sites_open(sizeof(list), hash), -EIO);
    los_unlock();
}

static void test_addresses(void **state)
{
    give(listed, COUNT);
    const uint8_t *at = map(PROT_READ | PROT_EXEC, MAP_PRIVATE);
    uint64_t text_at = (uint64_t)at;
    uint64_t plain = (uint64_t)slot_of(at, 0), both = (uint64_t)slot_of(at, 2);
    los_lock();
    /* In the slot: leading code, the call (wherever in it), trailing code, the way back. */
    assert_int_equal(sites_virtual(plain), text_at + 0x10);
    for (unsigned k = 5; k < 20; k++)
        assert_int_equal(sites_virtual(plain + k), text_at + 0x15);
    assert_int_equal(sites_virtual(both + 2), text_at + 0x82);
    assert_int_equal(sites_virtual(both + 17), text_at + 0x84);
    assert_int_equal(sites_virtual(both + 23), text_at + 0x8a);
    assert_int_equal(sites_virtual(text_at + 0x10), text_at + 0x10);
    /* In the program: where it was overwritten, the slot has it. */
    assert_int_equal(sites_real(text_at + 0x10), text_at + 0x10);
    assert_int_equal(sites_real(text_at + 0x15), plain + 5);
    assert_int_equal(sites_real(text_at + 0x17), text_at + 0x17);
    assert_int_equal(sites_real(text_at + 0x82), both + 2);
    assert_int_equal(sites_real(text_at + 0x84), both + 17);
    assert_int_equal(sites_real(text_at + 0x8a), text_at + 0x8a);
    assert_int_equal(sites_real(text_at + 0x2005), text_at + 0x2005); /* not patched */
    assert_true(sites_is_cpuid(text_at + 0x40));
    assert_false(sites_is_cpuid(text_at + 0x41));
    assert_false(sites_is_cpuid(0));
    los_unlock();
    unmap(at);
    los_lock();
    assert_int_equal(sites_real(text_at + 0x15), text_at + 0x15);
    los_unlock();
}

/* Elsewhere the jumps would go astray. */
static void test_moved(void **state)
{
    give(listed, COUNT);
    const uint8_t *at = map(PROT_READ | PROT_EXEC, MAP_PRIVATE);
    uint64_t to = unit_memory(2 * sizeof(text));
    assert_int_equal(call(__NR_mremap, at, sizeof(text), sizeof(text), 3, to), to);
    assert_text((const uint8_t *)to, 0x22); /* UD2 stays, and is known there */
    los_lock();
    assert_true(sites_is_cpuid(to + 0x40));
    assert_true(sites_is_cpuid(to + 0x2802));
    los_unlock();
    assert_int_equal(call(__NR_munmap, to, 2 * sizeof(text)), 0);
}

static struct regs ask(const uint8_t *at, uint32_t leaf, uint32_t subleaf)
{
    struct thread *t = self();
    t->regs = (struct regs){.rip = (uint64_t)at + 0x40, .rax = leaf, .rcx = subleaf};
    los_lock();
    assert_true(cpuid_emulate(t));
    los_unlock();
    assert_int_equal(t->regs.rip, (uint64_t)at + 0x42);
    assert_int_equal((t->regs.rax | t->regs.rbx | t->regs.rcx | t->regs.rdx) >> 32, 0);
    return t->regs;
}

static void test_cpuid(void **state)
{
    static const struct sh_cpuid claims[] = {
        {0, 0, 0xffffffff, 0x756e6547, 0x6c65746e, 0x49656e69},
        {1, 0, 0x000906ea, 0xffffffff, 0xffffffff, 0xffffffff},
        {7, 0, 2, 0xffffffff, 0xffffffff, 0xffffffff},
        {0xb, 1, 4, 16, 0xffffffff, 77},
        {0xd, 0, 0xffffffff, 1, 1, 0xffffffff}, /* a lie that would overrun buffers */
        {0xd, 1, 0xffffffff, 1, 0xffffffff, 0xffffffff},
    };
    struct thread *t = self();
    uint64_t xfrm = port_info.xfrm;
    uint32_t size = port_info.xsave_size;
    give(listed, COUNT);
    const uint8_t *at = map(PROT_READ | PROT_EXEC, MAP_PRIVATE);
    port_info.cpuid = claims;
    port_info.cpuid_count = ARRAY_COUNT(claims);
    port_info.xfrm = 7;
    port_info.xsave_size = 832;
    struct regs r = ask(at, 0, 5);
    assert_int_equal(r.rax, 0x1f);
    assert_int_equal(r.rbx, 0x756e6547);
    r = ask(at, 1, 0);
    assert_int_equal(r.rcx >> 26 & 7, 7); /* XSAVE, OSXSAVE, AVX */
    assert_int_equal(r.rcx & (1u << 31 | 1u << 5), 0);
    assert_int_equal(r.rbx >> 24, 0);
    r = ask(at, 7, 0);
    assert_int_equal(r.rbx >> 5 & 1, 1);  /* AVX2 */
    assert_int_equal(r.rbx >> 16 & 3, 0); /* no AVX-512 in XFRM */
    assert_int_equal(r.rdx >> 24 & 3, 0); /* nor AMX */
    r = ask(at, 0xb, 1);
    assert_int_equal(r.rcx & 0xff, 1);
    assert_int_equal(r.rdx, 0);
    r = ask(at, 0xd, 0);
    assert_int_equal(r.rax, 7);
    assert_int_equal(r.rbx, 832);
    assert_int_equal(r.rcx, 832);
    assert_int_equal(r.rdx, 0);
    r = ask(at, 0xd, 1);
    assert_int_equal(r.rax, 7);
    assert_int_equal(r.rbx, 832);
    r = ask(at, 0xd, 2);
    assert_int_equal(r.rax, 256);
    assert_int_equal(r.rbx, 576);
    assert_int_equal(ask(at, 0xd, 5).rax, 0);
    port_info.xfrm = 0xe7;
    port_info.xsave_size = 2688;
    assert_int_equal(ask(at, 0xd, 7).rbx, 1664);
    port_info.xsave_size = 2432;
    assert_int_equal(ask(at, 0xd, 7).rbx, 1408);
    assert_int_equal(ask(at, 0xd, 1).rbx, 576 + 256 + 64 + 512 + 1024);
    port_info.xfrm = 3;
    port_info.xsave_size = 576;
    r = ask(at, 1, 0);
    assert_int_equal(r.rcx & (1u << 28), 0);
    assert_int_equal(ask(at, 0x1234567, 0).rax, 0);
    port_info.cpuid_count = 0;
    assert_int_equal(ask(at, 0, 0).rbx, 0);
    /* A program's own UD2 is its own; a cpuid that nobody listed is answered. */
    uint64_t own = unit_memory(4096);
    los_lock();
    assert_int_equal(user_write(own, "\x0f\x0b\x0f\xa2", 4), 0);
    t->regs = (struct regs){.rip = own};
    assert_false(cpuid_emulate(t));
    t->regs.rip = own + 2;
    assert_true(cpuid_emulate(t));
    t->regs.rip = 0x10;
    assert_false(cpuid_emulate(t));
    los_unlock();
    port_info.xfrm = xfrm;
    port_info.xsave_size = size;
    unmap(at);
}

/* The last test: from now on the file is another. */
static void test_written(void **state)
{
    give(listed, COUNT);
    const uint8_t *before = map(PROT_READ | PROT_EXEC, MAP_PRIVATE);
    long fd = open_program(O_RDWR);
    assert_int_equal(user_write(strings + 100, "\x90", 1), 0);
    assert_int_equal(call(__NR_pwrite64, fd, strings + 100, 1, 0x3000), 1);
    assert_int_equal(call(__NR_close, fd), 0);
    const uint8_t *at = map(PROT_READ | PROT_EXEC, MAP_PRIVATE);
    assert_text(at, 0);
    /* A page that nobody changed there follows its file, and is made again when it is used. */
    assert_int_equal(page_state((uint64_t)before + 0x3000), 0);
    unmap(at);
    unmap(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patch),     cmocka_unit_test(test_not_patched),
        cmocka_unit_test(test_lists),     cmocka_unit_test(test_wrong_hash),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_moved),
        cmocka_unit_test(test_cpuid),     cmocka_unit_test(test_written),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
