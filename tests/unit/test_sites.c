// SPDX-License-Identifier: Apache-2.0
// Call sites: what the finder takes and what it must leave alone, on programs made up for it and on
// the system's libc; and the reader of sites.bin against broken lists.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/image/write/sites.h"
#include "lib/bytes.h"
#include "lib/sites.h"

#define CODE 0x1000u /* offset and address of the text */
#define DATA 0x3000u /* 64 bytes of data behind it */
#define SYMBOLS 0x3100u
#define NAMES 0x3300u
#define SECTIONS 0x3400u
#define SIZE 0x3600u

/* A library: one segment, text at CODE, a symbol for each range of functions. */
struct program {
    uint8_t bytes[SIZE];
    unsigned symbols;
};

static struct program *start(void)
{
    static struct program p;
    memset(&p, 0, sizeof(p));
    memset(p.bytes + CODE, 0xcc, DATA - CODE);
    Elf64_Ehdr h = {.e_type = ET_DYN,
                    .e_machine = EM_X86_64,
                    .e_phoff = 64,
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 1,
                    .e_shoff = SECTIONS,
                    .e_shentsize = sizeof(Elf64_Shdr),
                    .e_shnum = 3,
                    .e_shstrndx = 2};
    memcpy(h.e_ident, ELFMAG "\2\1\1", 7);
    Elf64_Phdr load = {
        .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = SYMBOLS, .p_memsz = SYMBOLS};
    Elf64_Shdr symbols = {.sh_name = 1,
                          .sh_type = SHT_SYMTAB,
                          .sh_offset = SYMBOLS,
                          .sh_size = 16 * sizeof(Elf64_Sym),
                          .sh_entsize = sizeof(Elf64_Sym)};
    Elf64_Shdr names = {.sh_name = 1, .sh_type = SHT_STRTAB, .sh_offset = NAMES, .sh_size = 16};
    memcpy(p.bytes, &h, sizeof(h));
    memcpy(p.bytes + 64, &load, sizeof(load));
    memcpy(p.bytes + NAMES, "\0names", 7);
    memcpy(p.bytes + SECTIONS + sizeof(Elf64_Shdr), &symbols, sizeof(symbols));
    memcpy(p.bytes + SECTIONS + 2 * sizeof(Elf64_Shdr), &names, sizeof(names));
    return &p;
}

static void code(struct program *p, uint32_t at, const char *bytes, size_t size)
{
    memcpy(p->bytes + CODE + at, bytes, size);
}

static void function(struct program *p, uint32_t at, uint32_t size)
{
    Elf64_Sym y = {.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                   .st_shndx = 1,
                   .st_value = CODE + at,
                   .st_size = size};
    memcpy(p->bytes + SYMBOLS + ++p->symbols * sizeof(y), &y, sizeof(y));
}

static struct sh_site_list found;

static size_t find(const struct program *p)
{
    free(found.v);
    sh_sites_find_in(p->bytes, sizeof(p->bytes), &found);
    return found.count;
}

/* One function of these bytes at the text's start; how many sites. */
#define FIND(bytes) find_in(bytes, sizeof(bytes) - 1)
static size_t find_in(const char *bytes, size_t size)
{
    struct program *p = start();
    code(p, 0, bytes, size);
    function(p, 0, (uint32_t)size);
    return find(p);
}

static void assert_site(size_t i, uint32_t offset, unsigned kind, unsigned size, unsigned at)
{
    assert_in_range(i, 0, found.count - 1);
    assert_int_equal(found.v[i].offset, CODE + offset);
    assert_int_equal(found.v[i].kind, kind);
    assert_int_equal(found.v[i].size, size);
    assert_int_equal(found.v[i].at, at);
}

#define RET "\xc3"
#define SYSCALL "\x0f\x05"
#define CPUID "\x0f\xa2"
#define GETPID "\xb8\x27\x00\x00\x00"  /* mov $39, %eax */
#define READ "\x31\xc0"                /* xor %eax, %eax */
#define CMP "\x48\x3d\x00\xf0\xff\xff" /* cmp $-4096, %rax */

static void test_forms(void **state)
{
    assert_int_equal(FIND("\x90" GETPID SYSCALL RET), 1);
    assert_site(0, 1, SH_SITE_CALL, 7, 5);
    assert_memory_equal(found.v[0].bytes, GETPID SYSCALL, 7);
    assert_int_equal(found.v[0].bytes[7], 0);
    assert_int_equal(FIND("\x48\xc7\xc0\x27\x00\x00\x00" SYSCALL RET), 1); /* mov $39, %rax */
    assert_site(0, 0, SH_SITE_CALL, 9, 7);
    assert_int_equal(FIND(READ SYSCALL CMP RET), 1);
    assert_site(0, 0, SH_SITE_CALL, 10, 2);
    assert_int_equal(FIND("\x31\xff\x31\xf6" SYSCALL RET), 1); /* xor %edi, %edi; xor %esi, %esi */
    assert_site(0, 0, SH_SITE_CALL, 6, 4);
    assert_int_equal(FIND("\x31\xff" SYSCALL RET), 1);
    assert_site(0, 0, SH_SITE_CALL, 5, 2);
    assert_int_equal(FIND("\x0f\xa2" RET), 1);
    assert_site(0, 0, SH_SITE_CPUID, 2, 0);
    assert_int_equal(FIND(READ CPUID "\x89\xc2" RET), 1); /* mov %eax, %edx */
    assert_site(0, 0, SH_SITE_CPUID, 6, 2);
    assert_int_equal(FIND("\x74\x00" CPUID "\x41\x89\xc1" RET), 1); /* je; mov %eax, %r9d */
    assert_site(0, 2, SH_SITE_CPUID, 5, 0);
    assert_int_equal(FIND(READ CPUID "\x74\xfc" RET), 1); /* something jumps to it */
    assert_site(0, 2, SH_SITE_CPUID, 2, 0);
    assert_int_equal(FIND(GETPID CPUID "\xff\xe2"), 1); /* a switch's jump does not matter here */
    assert_site(0, 0, SH_SITE_CPUID, 7, 5);
    assert_int_equal(FIND(GETPID SYSCALL GETPID SYSCALL RET), 2);
    assert_site(1, 7, SH_SITE_CALL, 7, 5);
    /* The second would take what the first one keeps. */
    assert_int_equal(FIND(READ SYSCALL CMP SYSCALL "\x74\x00" RET), 1);
}

static void test_left_alone(void **state)
{
    assert_int_equal(FIND("\xb8\x0f\x00\x00\x00" SYSCALL RET), 0);         /* the signal's return */
    assert_int_equal(FIND("\x48\xc7\xc0\x0f\x00\x00\x00" SYSCALL RET), 0); /* likewise */
    assert_int_equal(FIND("\x48\x8d\x3d\x00\x00\x00\x00" SYSCALL "\x74\x00" RET), 0); /* %rip */
    assert_int_equal(FIND("\xe8\x00\x00\x00\x00" SYSCALL "\xe8\x00\x00\x00\x00"), 0); /* calls */
    assert_int_equal(FIND(RET READ SYSCALL CMP), 0);      /* nothing leads there: perhaps data */
    assert_int_equal(FIND("\x06" GETPID SYSCALL RET), 0); /* what is no instruction before it */
    assert_int_equal(FIND("\xc7\x05\x00\x00\x00\x00\x0f\x05\x00\x00" RET), 0); /* a constant */
    assert_int_equal(FIND(READ SYSCALL CMP "\xff\xe2"), 0); /* a jump that may lead anywhere */
    assert_int_equal(FIND(GETPID SYSCALL "\xff\xe2"), 1);   /* and does not matter here */
    struct program *p = start();
    code(p, 0, GETPID SYSCALL RET, 8);
    assert_int_equal(find(p), 0); /* nobody says that it is code */
    function(p, 1, 7);
    assert_int_equal(find(p), 0); /* nor that an instruction begins there */
}

/* Someone refers to an instruction of the site. */
static void test_targets(void **state)
{
    struct program *p = start();
    code(p, 0, READ SYSCALL CMP RET, 11);
    function(p, 0, 11);
    assert_int_equal(find(p), 1);
    code(p, 0x100, "\xe9\xfd\xfe\xff\xff", 5); /* jmp to the syscall */
    function(p, 0x100, 5);
    assert_int_equal(find(p), 1); /* begins there then */
    assert_site(0, 2, SH_SITE_CALL, 8, 0);
    code(p, 0x100, "\xe9\xff\xfe\xff\xff", 5); /* behind it */
    assert_int_equal(find(p), 0);
    code(p, 0x100, "\xe9\xfb\xfe\xff\xff", 5); /* to the first instruction */
    assert_int_equal(find(p), 1);
    code(p, 0x100, "\x48\x8d\x05\xfd\xfe\xff\xff" RET, 8); /* its address */
    function(p, 0x100, 8);
    assert_int_equal(find(p), 0);
    code(p, 0x100, "\x90\x90\x90\x90\x90\x90\x90" RET, 8);
    assert_int_equal(find(p), 1);
    sh_put_le64(p->bytes + DATA + 8, CODE + 4); /* a table */
    assert_int_equal(find(p), 0);
    sh_put_le64(p->bytes + DATA + 8, 0);
    function(p, 4, 4); /* a symbol */
    assert_int_equal(find(p), 0);
    /* The plain form does not mind: its syscall stays where it is. */
    p = start();
    code(p, 0, GETPID SYSCALL RET, 8);
    function(p, 0, 8);
    code(p, 0x100, "\xe9\x00\xff\xff\xff", 5);
    function(p, 0x100, 5);
    assert_int_equal(find(p), 1);
}

static void test_pages(void **state)
{
    for (uint32_t at = 4096 - 8; at < 4096 + 2; at++) {
        struct program *p = start();
        code(p, at, GETPID SYSCALL RET, 8);
        function(p, at, 8);
        assert_int_equal(find(p), at + 7 <= 4096 || at >= 4096);
    }
}

static void load_file(const char *path, uint8_t **data, size_t *size)
{
    struct sh_error err = {0};
    if (sh_read_file(AT_FDCWD, path, 1u << 28, data, size, &err))
        *size = 0;
}

static void test_libc(void **state)
{
    uint8_t *data;
    size_t size, calls = 0, plain = 0;
    load_file("/lib/x86_64-linux-gnu/libc.so.6", &data, &size);
    if (!size)
        skip();
    free(found.v);
    sh_sites_find_in(data, size, &found);
    for (size_t i = 0; i < found.count; i++) {
        const struct sh_site *s = &found.v[i];
        assert_memory_equal(data + s->offset, s->bytes, s->size);
        assert_true(!i || s->offset >= s[-1].offset + s[-1].size);
        calls += s->kind == SH_SITE_CALL;
        plain += s->kind == SH_SITE_CALL && s->at == 5 && s->size == 7 && s->bytes[0] == 0xb8;
    }
    assert_in_range(calls, 300, 2000);
    assert_in_range(plain, 200, calls);
    free(data);
}

static void test_broken_files(void **state)
{
    struct program *p = start();
    uint64_t rng = 88172645463325252ull;
    code(p, 0, READ SYSCALL CMP RET, 11);
    function(p, 0, 11);
    for (size_t size = 0; size < sizeof(p->bytes); size += size < 256 ? 1 : 97) {
        uint8_t *cut = malloc(size ? size : 1); /* so that a read beyond is seen */
        memcpy(cut, p->bytes, size);
        free(found.v);
        sh_sites_find_in(cut, size, &found);
        free(cut);
    }
    for (int i = 0; i < 3000; i++) {
        struct program bent = *p;
        for (int n = 0; n < 4; n++) {
            rng ^= rng << 13;
            rng ^= rng >> 7;
            rng ^= rng << 17;
            uint32_t regions[] = {0, 64, SYMBOLS, SECTIONS};
            bent.bytes[regions[rng & 3] + (rng >> 8) % 120] = (uint8_t)(rng >> 32);
        }
        find(&bent);
    }
}

/* --- the reader --- */

struct list {
    uint8_t bytes[4096];
    size_t size;
    int error;
};

static int read_list(void *arg, uint64_t offset, void *buf, size_t size)
{
    struct list *l = arg;
    assert_true(offset <= l->size && size <= l->size - offset);
    memcpy(buf, l->bytes + offset, size);
    return l->error;
}

static const struct sh_site good[] = {
    {.offset = 100, .kind = SH_SITE_CALL, .size = 7, .at = 5, .bytes = GETPID SYSCALL},
    {.offset = 107, .kind = SH_SITE_CPUID, .size = 2, .bytes = "\x0f\xa2"},
    {.offset = 200, .kind = SH_SITE_CPUID, .size = 6, .at = 2, .bytes = READ CPUID "\x89\xc2"},
    {.offset = 4086, .kind = SH_SITE_CALL, .size = 10, .at = 2, .bytes = READ SYSCALL CMP},
};

#define COUNT (sizeof(good) / sizeof(good[0]))

/* Two files, numbers 7 and 9; the first has these sites, the second one more. */
static struct list *make(const struct sh_site *sites, uint32_t count)
{
    static struct list l;
    memset(&l, 0, sizeof(l));
    memcpy(l.bytes, SH_SITES_MAGIC, 8);
    sh_put_le32(l.bytes + 8, SH_SITES_VERSION);
    sh_put_le32(l.bytes + 12, 2);
    sh_put_le32(l.bytes + 16, count + 1);
    sh_put_le64(l.bytes + 32, 7);
    sh_put_le32(l.bytes + 44, count);
    sh_put_le64(l.bytes + 48, 9);
    sh_put_le32(l.bytes + 56, count);
    sh_put_le32(l.bytes + 60, 1);
    memcpy(l.bytes + 64, sites, count * sizeof(*sites));
    memcpy(l.bytes + 64 + count * sizeof(*sites), good, sizeof(*good));
    l.size = sizeof(l.bytes);
    return &l;
}

static int read_all(struct list *l)
{
    struct sh_sites s;
    struct sh_site out[8];
    uint32_t first, count;
    int r = sh_sites_open(&s, l->size, read_list, l);
    if (!r)
        r = sh_sites_find(&s, 7, &first, &count);
    return r ? r : count > 8 ? -EBADMSG : sh_sites_get(&s, first, count, out);
}

static void test_reader(void **state)
{
    struct sh_sites s;
    struct sh_site out[COUNT];
    uint32_t first, count;
    struct list *l = make(good, COUNT);
    assert_int_equal(sh_sites_open(&s, l->size, read_list, l), 0);
    assert_int_equal(sh_sites_find(&s, 7, &first, &count), 0);
    assert_int_equal(count, COUNT);
    assert_int_equal(sh_sites_get(&s, first, count, out), 0);
    assert_memory_equal(out, good, sizeof(good));
    assert_int_equal(sh_sites_find(&s, 9, &first, &count), 0);
    assert_int_equal(first, COUNT);
    assert_int_equal(sh_sites_get(&s, first, 2, out), -EBADMSG);
    for (uint64_t nid = 0; nid < 12; nid++) {
        int want = nid == 7 || nid == 9 ? 0 : -ENOENT;
        assert_int_equal(sh_sites_find(&s, nid, &first, &count), want);
    }
    l->error = -EIO;
    assert_int_equal(sh_sites_find(&s, 7, &first, &count), -EIO);
    assert_int_equal(read_all(l), -EIO);
}

static void test_reader_refuses(void **state)
{
    struct sh_site s[COUNT];
    static const struct {
        unsigned at;
        uint8_t value;
    } head[] = {{0, 'x'}, {8, 2},  {12, 0xff}, {13, 1}, {15, 1}, {16, 0xff}, {19, 1},
                {20, 1},  {31, 1}, {40, 3},    {43, 1}, {44, 0}, {44, 5},    {47, 1}};
    for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++) {
        struct list *l = make(good, COUNT);
        l->bytes[head[i].at] = head[i].value;
        assert_int_equal(read_all(l), -EBADMSG);
    }
    struct list *l = make(good, COUNT);
    for (l->size = 0; l->size < 64 + 4 * 24; l->size++)
        assert_int_equal(read_all(l), -EBADMSG);
    l->size = SH_SITES_SIZE_MAX + 4096ull;
    assert_int_equal(read_all(l), -EBADMSG);
#define BAD(change)                                                                                \
    do {                                                                                           \
        memcpy(s, good, sizeof(s));                                                                \
        change;                                                                                    \
        assert_int_equal(read_all(make(s, COUNT)), -EBADMSG);                                      \
    } while (0)
    BAD(s[0].kind = 0);
    BAD(s[0].kind = 3);
    BAD(s[0].size = 4);
    BAD(s[0].size = 17);
    BAD(s[0].at = 6);
    BAD(s[0].at = 255);
    BAD(s[0].zero = 1);
    BAD(s[0].bytes[5] = 0);
    BAD(s[0].bytes[7] = 1);
    BAD(s[0].offset = 101);    /* overlaps the next one */
    BAD(s[1].offset = 50);     /* descends */
    BAD(s[3].offset = 4087);   /* over a page's end */
    BAD(s[1].bytes[1] = 0x05); /* no cpuid */
    BAD(s[1].size = 3);
    BAD(s[1].at = 1);
    BAD(s[2].bytes[3] = 0x05); /* a system call */
    BAD(s[2].at = 1);
    BAD(s[2].size = 4; s[2].bytes[4] = s[2].bytes[5] = 0); /* too little */
    BAD(s[3].size = 15; s[3].bytes[14] = 0x90);            /* more than is moved */
#undef BAD
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),   cmocka_unit_test(test_left_alone),
        cmocka_unit_test(test_targets), cmocka_unit_test(test_pages),
        cmocka_unit_test(test_libc),    cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_reader),  cmocka_unit_test(test_reader_refuses),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    free(found.v);
    return r;
}
