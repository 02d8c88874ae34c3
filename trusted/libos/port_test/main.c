// SPDX-License-Identifier: Apache-2.0
// libos-test: runs a program of an image on the LibOS, as an ordinary process without a libc.
//
//   libos-test [--trace] [--stats] [--sites SITES.bin] [-m BYTES] [-e NAME=VALUE]... [-p PORT]...
//              ROOT.img MANIFEST [-- ARG...]
//
// It writes itself the launch config that says so; a terminal is one if stdin and stdout are.
#include <linux/auxvec.h>
#include <linux/elf.h>

#include "trusted/libos/base/processor.h"
#include <shelter/launch.h>

#include "lib/cpuid.h"
#include "trusted/libos/entry/entry.h"
#include "trusted/libos/port_test/host.h"

#define MANIFEST_MAX 65536u
#define OPTION_MAX 64u

static struct port_start start;
static uint8_t manifest[MANIFEST_MAX + 1];
static const char *env[OPTION_MAX + 1], *ports[OPTION_MAX + 1], *memory;
static char launch[SH_LAUNCH_SIZE_MAX];
static bool want_stats;

void port_exit(int status)
{
    static char text[STATS_JSON_MAX + 1];
    int n = want_stats ? los_stats_json(text, STATS_JSON_MAX) : 0;
    if (n > 0) {
        text[n] = '\n';
        port_log(text, (uint32_t)n + 1);
    }
    for (;;)
        host_call(__NR_exit_group, status);
}

void port_stop(void)
{
    port_exit(125);
}

__attribute__((noreturn)) static void usage(const char *why)
{
    log_line("libos-test: %s", why);
    log_line("usage: libos-test [--trace] [--stats] [--sites SITES.bin] [-m BYTES] [-e NAME=VALUE] "
             "[-p PORT] ROOT.img MANIFEST [-- ARG...]");
    port_exit(125);
}

static uint64_t parse_number(const char *s)
{
    uint64_t v = 0;
    for (; *s >= '0' && *s <= '9'; s++)
        v = v * 10 + (uint64_t)(*s - '0');
    return *s == 'G' ? v << 30 : *s == 'M' ? v << 20 : *s == 'K' ? v << 10 : v;
}

static int open_file(const char *path)
{
    long fd = host_call(__NR_openat, -100, path, 0);
    if (fd < 0)
        usage("an input cannot be opened");
    /* Out of the way of the standard streams. */
    return (int)host_call(__NR_fcntl, fd, 1030 /* F_DUPFD_CLOEXEC */, 100);
}

static void add_text(const char *text)
{
    size_t n = strlen(text);
    if (start.launch_size + n > sizeof(launch))
        usage("the arguments are too long");
    memcpy(launch + start.launch_size, text, n);
    start.launch_size += n;
}

/* A line of the launch config; its escapes are <shelter/launch.h>'s. */
static void add_line(const char *key, const char *kind, const char *value)
{
    add_text(key);
    add_text(" ");
    for (add_text(kind); *value; value++) {
        unsigned char c = (unsigned char)*value;
        bool plain = c >= 0x20 && c <= 0x7e && c != '%' && c != '\'';
        char one[4] = {plain ? (char)c : '%'};
        if (!plain) {
            one[1] = "0123456789ABCDEF"[c >> 4];
            one[2] = "0123456789ABCDEF"[c & 15];
        }
        add_text(one);
    }
    add_text("\n");
}

static bool is_terminal(int fd)
{
    uint8_t termios[64];
    return !host_call(__NR_ioctl, fd, 0x5401 /* TCGETS */, termios);
}

static void write_launch(char **args)
{
    char bytes[24];
    add_text(SH_LAUNCH_HEAD);
    for (; *args; args++)
        add_line("arg", "", *args);
    for (unsigned i = 0; env[i]; i++)
        add_line("env", "", env[i]);
    if (is_terminal(0) && is_terminal(1))
        add_line("tty", "", "1");
    add_line("stdin", "", "1");
    for (unsigned i = 0; ports[i]; i++)
        add_line("port", "tcp ", ports[i]);
    fmt(bytes, sizeof(bytes), "%lu", memory ? parse_number(memory) : 0);
    if (memory)
        add_line("memory", "", bytes);
    add_text(SH_LAUNCH_TAIL);
    start.launch = launch;
}

static void parse_options(char **argv)
{
    start.info.debug = true; /* an ordinary process: who runs it may see all of it */
    unsigned env_count = 0, port_count = 0;
    char **a = argv + 1;
    for (; *a && a[0][0] == '-'; a++) {
        if (!strcmp(*a, "--trace"))
            start.trace = true;
        else if (!strcmp(*a, "--stats"))
            want_stats = true;
        else if (!strcmp(*a, "--sites") && a[1])
            host_sites_fd = open_file(*++a);
        else if (!strcmp(*a, "-m") && a[1])
            memory = *++a;
        else if (!strcmp(*a, "-e") && a[1] && env_count < OPTION_MAX)
            env[env_count++] = *++a;
        else if (!strcmp(*a, "-p") && a[1] && port_count < OPTION_MAX)
            ports[port_count++] = *++a;
        else
            usage("unknown option");
    }
    if (!a[0] || !a[1])
        usage("ROOT.img and MANIFEST are needed");
    host_root_fd = open_file(a[0]);
    int fd = open_file(a[1]);
    long n = host_call(__NR_read, fd, manifest, sizeof(manifest));
    host_call(__NR_close, fd);
    if (n <= 0 || n > (long)MANIFEST_MAX)
        usage("the manifest cannot be read");
    start.manifest = manifest;
    start.manifest_size = (size_t)n;
    start.info.root_size = (uint64_t)host_call(__NR_lseek, host_root_fd, 0, 2);
    if (host_sites_fd >= 0)
        start.info.sites_size = (uint64_t)host_call(__NR_lseek, host_sites_fd, 0, 2);
    a += 2;
    if (*a && !strcmp(*a, "--"))
        a++;
    write_launch(a);
}

static void read_cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf), "c"(sub));
}

/* What a program may use of XSAVE: x87, SSE, AVX, AVX-512; AMX needs a permission of the host. */
static void find_xsave(struct port_info *info)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    info->xfrm = low & 0xe7;
    info->xsave_size = processor_xsave_size(info->xfrm);
}

static bool has_sha(void)
{
    uint32_t r[4], sse[4];
    read_cpuid(1, 0, sse);
    read_cpuid(7, 0, r);
    return (r[1] >> 29 & 1) && (sse[2] >> 19 & 1) && (sse[2] >> 9 & 1);
}

static uint64_t find_auxv(const uint64_t *v, uint64_t key)
{
    for (; v[0] != AT_NULL; v += 2) {
        if (v[0] == key)
            return v[1];
    }
    return 0;
}

void runner_main(uint64_t *top) __attribute__((used, noreturn));
void runner_main(uint64_t *top)
{
    char **argv = (char **)(top + 1);
    uint64_t *v = top + 1 + top[0] + 1;
    uint8_t cpus[128];
    while (*v)
        v++;
    v++;
    parse_options(argv);
    start.info.hwcap = find_auxv(v, AT_HWCAP);
    start.info.hwcap2 = find_auxv(v, AT_HWCAP2);
    long n = host_call(__NR_sched_getaffinity, 0, sizeof(cpus), cpus);
    for (long i = 0; i < n * 8; i++)
        start.info.cpu_count += cpus[i / 8] >> i % 8 & 1;
    start.info.simulated = true;
    find_xsave(&start.info);
    static struct sh_cpuid answers[SH_CPUID_MAX];
    start.info.cpuid_count = sh_cpuid_collect(answers);
    start.info.cpuid = answers;
    start.info.sha_instructions = has_sha();
    if (host_reserve(&start.info))
        usage("addresses below 1 TiB are taken");
    struct port_thread *p = host_thread_new();
    uint64_t stack = host_guarded(KSTACK_SIZE);
    if (!p || !stack)
        usage("no memory");
    struct thread *t = los_first_thread(stack + KSTACK_SIZE);
    p->tid = (int32_t)host_call(__NR_gettid);
    t->port = p;
    host_traps_init();
    host_thread_init(t);
    t->canary = canary_new();
    port_exit(los_start(&start));
}

/* Static PIE without a libc: relocations first, all of the kind base + addend; then what they were
 * for becomes read-only. */
struct rela {
    uint64_t offset, info, addend;
};

uint64_t runner_gs[2];

static void protect_data(const Elf64_Ehdr *h)
{
    const Elf64_Phdr *p = (const Elf64_Phdr *)((const char *)h + h->e_phoff);
    for (unsigned i = 0; i < h->e_phnum; i++, p++) {
        uint64_t at = page_down((uint64_t)h + p->p_vaddr);
        if (p->p_type == PT_GNU_RELRO)
            host_call(__NR_mprotect, at, page_down((uint64_t)h + p->p_vaddr + p->p_memsz) - at, 1);
    }
}

__asm__(".text\n"
        ".globl _start\n"
        "_start:\n"
        "xor %ebp, %ebp\n"
        "mov %rsp, %rbx\n"
        "and $-16, %rsp\n"
        "mov $158, %eax\n" /* arch_prctl(ARCH_SET_GS): a canary of zero until there is a thread */
        "mov $0x1001, %edi\n"
        "lea runner_gs(%rip), %rsi\n"
        "syscall\n"
        "mov %rbx, %rdi\n"
        "lea _DYNAMIC(%rip), %rsi\n"
        "lea __ehdr_start(%rip), %rdx\n"
        "call runner_relocate\n"
        "ud2\n");

void runner_relocate(uint64_t *stack, const uint64_t *dynamic, uint64_t base)
    __attribute__((used, noreturn));
void runner_relocate(uint64_t *stack, const uint64_t *dynamic, uint64_t base)
{
    uint64_t rela = 0, size = 0;
    for (; dynamic[0]; dynamic += 2) {
        if (dynamic[0] == 7) /* DT_RELA */
            rela = base + dynamic[1];
        if (dynamic[0] == 8) /* DT_RELASZ */
            size = dynamic[1];
    }
    for (const struct rela *r = (const struct rela *)rela; size >= sizeof(*r);
         r++, size -= sizeof(*r))
        *(uint64_t *)(base + r->offset) = base + r->addend;
    protect_data((const Elf64_Ehdr *)base);
    runner_main(stack);
}
