// SPDX-License-Identifier: Apache-2.0
// A program of an image that wants out: in the simulator it finds `syscall; ret` in the loader's
// memory and calls the host's kernel by it. One line an attempt: its name, and EPERM and so on, or
// "done".
//   escape          all attempts
//   escape helper   likewise, then nonsense to the processes beside
//   escape connect  asks the one that connects for the host's loopback by its own address, past the
//                   LibOS
//   escape publish PORT  asks it for a port of the host's beside those that were published
//   escape share    asks the one that has the first two folders for what would give rights outside
//   escape stay     waits for a signal
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <shelter/share.h>

#include "host/sgx/outside/outside.h"

#define TABLE (1ull << 46) /* the simulator's threads: pointers, just above the enclave */
#define REACH (8ull << 20)
#define NOWHERE "/shelter-is-not-here" /* an attempt that gets through does no harm */

static sigjmp_buf back;
static uint64_t gadget;

static void on_fault(int sig)
{
    siglongjmp(back, 1);
}

/* From `at` on, as far as it can be read. */
static uint64_t scan(uint64_t at, uint64_t end)
{
    volatile uint64_t now = at;
    if (sigsetjmp(back, 1))
        return 0;
    for (; now < end; now++) {
        const uint8_t *p = (const uint8_t *)now;
        if (p[0] == 0x0f && p[1] == 0x05 && p[2] == 0xc3)
            return now;
    }
    return 0;
}

static uint64_t word(uint64_t at)
{
    if (sigsetjmp(back, 1))
        return 0;
    return *(const volatile uint64_t *)at;
}

/* The table names the loader's threads, these its code. */
static uint64_t find(void)
{
    for (unsigned i = 0; i < 64; i++) {
        uint64_t thread = word(TABLE + 8 * i);
        for (unsigned k = 0; thread > TABLE && k < 512; k++) {
            uint64_t near = word(thread + 8 * k);
            uint64_t found = near > TABLE && near < 1ull << 47 ? scan(near, near + REACH) : 0;
            if (found)
                return found;
        }
    }
    return 0;
}

static long raw(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long r;
    __asm__ volatile("sub $128, %%rsp; call *%[gadget]; add $128, %%rsp"
                     : "=a"(r)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8),
                       "r"(r9), [gadget] "b"(gadget)
                     : "rcx", "r11", "memory");
    return r;
}

static void try(const char *name, long nr, long a, long b, long c, long d, long e, long f)
{
    long r = raw(nr, a, b, c, d, e, f);
    const char *text = r < 0 && r > -4096 ? strerrorname_np((int)-r) : "done";
    printf("%s %s\n", name, text ? text : "?");
    fflush(stdout);
    if (r == 0 && (!strcmp(name, "fork") || !strcmp(name, "vfork")))
        raw(SYS_exit_group, 0, 0, 0, 0, 0, 0);
}
#define P(x) ((long)(x))
#define TRY3(name, nr, a, b, c) try(name, SYS_##nr, P(a), P(b), P(c), 0, 0, 0)

static void try_files(void)
{
    static char buf[256];
    TRY3("open", open, "/etc/passwd", O_RDONLY, 0);
    TRY3("create", open, "/tmp/shelter-escaped", O_WRONLY | O_CREAT, 0644);
    TRY3("openat", openat, AT_FDCWD, "/", O_PATH);
    TRY3("openat2", openat2, AT_FDCWD, "/", buf);
    TRY3("environ", open, "/proc/self/environ", O_RDONLY, 0);
    TRY3("stat", stat, "/etc/passwd", buf, 0);
    TRY3("readlink", readlink, "/proc/self/exe", buf, sizeof(buf));
    TRY3("getcwd", getcwd, buf, sizeof(buf), 0);
    TRY3("unlink", unlink, "/tmp/shelter-escaped", 0, 0);
    TRY3("mknod", mknod, "/tmp/shelter-escaped", 0600, 0);
    TRY3("chroot", chroot, "/", 0, 0);
    TRY3("mount", mount, "none", NOWHERE, "tmpfs");
    TRY3("umount", umount2, NOWHERE, 0, 0);
    TRY3("name_to_handle", name_to_handle_at, AT_FDCWD, "/", buf);
    TRY3("open_by_handle", open_by_handle_at, 0, buf, 0);
}

static void try_processes(void)
{
    static char buf[256];
    struct iovec v = {buf, 8};
    TRY3("execve", execve, NOWHERE, NULL, NULL);
    TRY3("fork", clone, SIGCHLD, 0, 0);
    TRY3("vfork", vfork, 0, 0, 0);
    TRY3("clone3", clone3, buf, 88, 0);
    TRY3("kill_all", kill, -1, 0, 0);
    TRY3("kill_init", kill, 1, 0, 0);
    TRY3("kill_group", kill, 0, 0, 0);
    TRY3("tgkill", tgkill, 2, 2, 0);
    TRY3("sigqueue", rt_sigqueueinfo, 2, 0, buf);
    TRY3("pidfd_open", pidfd_open, 1, 0, 0);
    TRY3("ptrace", ptrace, PTRACE_ATTACH, 1 << 22, 0);
    try("vm_write", SYS_process_vm_writev, 2, P(&v), 1, P(&v), 1, 0);
    try("vm_read", SYS_process_vm_readv, 2, P(&v), 1, P(&v), 1, 0);
    TRY3("setpriority", setpriority, 0, 0, 0);
    TRY3("sched", sched_setscheduler, 0, 0, buf);
    TRY3("prlimit", prlimit64, 0, 0, 0);
    TRY3("leash", prctl, PR_SET_PDEATHSIG, 0, 0);
    TRY3("dumpable", prctl, PR_SET_DUMPABLE, 1, 0);
    TRY3("sigio", fcntl, 0, F_SETOWN, 1);
    TRY3("end", exit, 0, 0, 0); /* of this thread alone */
}

static void try_rights(void)
{
    static char buf[256];
    TRY3("setuid", setuid, 0, 0, 0);
    TRY3("setresuid", setresuid, 0, 0, 0);
    TRY3("setgroups", setgroups, 0, 0, 0);
    TRY3("capset", capset, buf, buf, 0);
    TRY3("unshare", unshare, CLONE_NEWUSER, 0, 0);
    TRY3("setns", setns, 0, 0, 0);
    TRY3("keyctl", keyctl, 0, -3, 0);
    TRY3("add_key", add_key, "user", "x", "y");
    TRY3("request_key", request_key, "user", "x", 0);
    TRY3("bpf", bpf, 0, buf, sizeof(buf));
    TRY3("perf", perf_event_open, buf, 0, -1);
    TRY3("io_uring", io_uring_setup, 1, buf, 0);
    TRY3("userfaultfd", userfaultfd, 0, 0, 0);
    TRY3("shmget", shmget, 1, 4096, 0);
    TRY3("mq_open", mq_open, "x", 0, 0);
    TRY3("sethostname", sethostname, "x", -1, 0);
    TRY3("module", init_module, buf, 1, "");
    TRY3("reboot", reboot, 0, 0, 0);
    try("code", SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
        -1, 0);
}

static void try_network(void)
{
    TRY3("unix", socket, AF_UNIX, SOCK_STREAM, 0);
    TRY3("netlink", socket, AF_NETLINK, SOCK_RAW, 0);
    TRY3("packet", socket, AF_PACKET, SOCK_RAW, 0);
    TRY3("vsock", socket, AF_VSOCK, SOCK_STREAM, 0);
    TRY3("raw", socket, AF_INET, SOCK_RAW, 1);
    TRY3("inet", socket, AF_INET, SOCK_STREAM, 0);
    TRY3("packets", setsockopt, 3, SOL_SOCKET, 26 /* SO_ATTACH_FILTER */);
    TRY3("above_tcp", setsockopt, 3, 6 /* TCP */, 31 /* TCP_ULP */);
    TRY3("multicast", setsockopt, 3, 0 /* IP */, 35 /* IP_ADD_MEMBERSHIP */);
    TRY3("zerocopy", getsockopt, 3, 6 /* TCP */, 35 /* TCP_ZEROCOPY_RECEIVE */);
    TRY3("of_peer", getsockopt, 3, SOL_SOCKET, 17 /* SO_PEERCRED */);
    TRY3("terminal", ioctl, 0, 0x5412 /* TIOCSTI */, "x");
}

/* What the helper must bear: no question, an unknown one, names and reports of every size. */
static void ask_nonsense(void)
{
    static uint8_t junk[600];
    for (int fd = 3; fd < 32; fd++) {
        for (unsigned kind = 0; kind < 5; kind++) {
            junk[0] = (uint8_t)kind;
            memset(junk + 4, 'x', sizeof(junk) - 4);
            for (unsigned size = 0; size < sizeof(junk); size += 149)
                raw(SYS_sendto, fd, P(junk), size, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
        }
    }
}

/* One answer of a process beside; its bytes go into `out`. */
static int64_t ask(int fd, const void *q, size_t size, void *out, size_t out_size)
{
    static struct {
        int64_t result;
        uint8_t data[4096];
    } a;
    a.result = -EIO;
    if (raw(SYS_sendto, fd, P(q), (long)size, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0) != (long)size)
        return -EBADF;
    for (int i = 0; i < 100; i++) {
        if (raw(SYS_recvfrom, fd, P(&a), sizeof(a), MSG_DONTWAIT, 0, 0) >= 8)
            break;
        usleep(20000);
    }
    memcpy(out, a.data, out_size < sizeof(a.data) ? out_size : sizeof(a.data));
    return a.result;
}

/* Of the processes beside, the one that has an answer to this. Their sockets come before the
 * supervisor's channel, if there is one, which takes no nonsense. */
static int find_beside(const void *q, size_t size)
{
    for (int fd = 3; fd < 32; fd++) {
        if (ask(fd, q, size, NULL, 0) >= 0)
            return fd;
    }
    printf("nobody answers\n");
    return -1;
}

static void say(const char *name, int64_t r)
{
    printf("%s %s\n", name, r < 0 ? strerrorname_np((int)-r) : "done");
}

/* --- host/sgx/outside/network.c --- */

#define SOCKET (OUTSIDE_SEND + 1)
#define PUBLISH (OUTSIDE_SEND + 3)

struct network_question {
    uint32_t kind, number;
    int32_t value;
    uint32_t size;
    uint8_t address[128];
};

static int find_network(void)
{
    const struct network_question q = {.kind = SOCKET, .number = AF_INET, .value = SOCK_STREAM};
    return find_beside(&q, sizeof(q));
}

/* Of its first socket, which try_connect has made. */
static int64_t ask_connect(int fd, const uint8_t ip[4])
{
    const struct network_question q = {
        .kind = OUTSIDE_CONNECT, .size = 16, .address = {2, 0, 0, 9, ip[0], ip[1], ip[2], ip[3]}};
    return ask(fd, &q, sizeof(q), NULL, 0);
}

/* Each number that there could be, once as it was published and once as another port. */
static void try_publish(uint16_t port)
{
    int fd = find_network();
    struct {
        struct network_question q;
        struct sh_port port;
    } m = {.q = {.kind = PUBLISH}, .port = {.host_port = port, .guest_port = 8000}};
    strcpy(m.port.host_address, "127.0.0.1");
    for (m.q.number = 0; m.q.number < 2; m.q.number++)
        say("publish", ask(fd, &m, sizeof(m.q) + sizeof(m.port), NULL, 0));
    m.q.number = OUTSIDE_PORTS_MAX;
    say("publish", ask(fd, &m, sizeof(m.q) + sizeof(m.port), NULL, 0));
}

static void try_connect(void)
{
    static const uint8_t own[] = {127, 0, 0, 1}, any[4], meant[] = {10, 0, 2, 2};
    static const uint8_t metadata[] = {169, 254, 169, 254};
    int s = socket(AF_INET, SOCK_STREAM, 0); /* so that there is number 0 */
    connect(s, &(struct sockaddr){.sa_family = AF_INET, .sa_data = {0, 9, 10, 0, 2, 2}},
            sizeof(struct sockaddr));
    int fd = find_network();
    say("loopback", ask_connect(fd, own));
    say("nowhere", ask_connect(fd, any));
    say("metadata", ask_connect(fd, metadata));
    say("host", ask_connect(fd, meant));
}

/* --- host/sgx/outside/share.c --- */

static int shares;

/* `name` in that folder, with `rest` behind it; *st: what came back. */
static int64_t share(struct sh_share_request q, const char *name, const char *rest,
                     struct sh_share_stat *st)
{
    struct {
        struct sh_share_request q;
        char data[512];
    } m = {.q = q};
    size_t size = strlen(name) + strlen(rest);
    struct sh_share_stat none;
    m.q.size = m.q.size ? m.q.size : strlen(name);
    memcpy(m.data, name, strlen(name));
    memcpy(m.data + strlen(name), rest, strlen(rest));
    return ask(shares, &m, sizeof(m.q) + size, st ? st : &none, sizeof(none));
}
#define SHARE(op_, node_, ...)                                                                     \
    ((struct sh_share_request){.op = SH_SHARE_##op_, .node = node_, __VA_ARGS__})

static uint32_t look_up(uint32_t folder, const char *name)
{
    struct sh_share_stat st = {0};
    int64_t r = share(SHARE(LOOKUP, folder), name, "", &st);
    return r < 0 ? 0 : st.node;
}

/* The first folder may be written, the second not. */
static void try_share(void)
{
    static const char *const names[] = {"../secret", "..", ".", "/etc/passwd", "sub/file", ""};
    static const uint32_t nodes[] = {S_IFCHR | 0666, S_IFBLK | 0666, S_IFIFO | 0666,
                                     S_IFSOCK | 0666};
    const struct sh_share_request room = SHARE(ROOM, 1);
    shares = find_beside(&room, sizeof(room));
    uint32_t file = look_up(1, "file"), link = look_up(1, "link"), folder = look_up(1, "way");
    printf("known %d\n", file && link && folder);
    say("set_id",
        share(SHARE(CHANGE, file, .what = SH_SHARE_SET_MODE, .mode = 06755), "", "", NULL));
    say("set_id_link",
        share(SHARE(CHANGE, link, .what = SH_SHARE_SET_MODE, .mode = 06755), "", "", NULL));
    say("make_set_id", share(SHARE(MAKE, 1, .mode = S_IFREG | 06755), "made", "", NULL));
    say("make_folder", share(SHARE(MAKE, 1, .mode = S_IFDIR | 02755), "folder", "", NULL));
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
        say("make_node", share(SHARE(MAKE, 1, .mode = nodes[i]), "node", "", NULL));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        say("look", share(SHARE(LOOKUP, 1), names[i], "", NULL));
        say("make", share(SHARE(MAKE, 1, .mode = S_IFREG | 0666), names[i], "", NULL));
        say("remove", share(SHARE(REMOVE, 1), names[i], "", NULL));
        say("rename", share(SHARE(RENAME, 1, .to = 1), "made", names[i], NULL));
    }
    say("read_link", share(SHARE(READ, link, .size = 64), "", "", NULL));
    say("write_link", share(SHARE(WRITE, link), "x", "", NULL));
    say("through_link", share(SHARE(LOOKUP, folder), "secret", "", NULL));
    say("across", share(SHARE(RENAME, 1, .to = 2), "made", "made", NULL));
    say("across_back", share(SHARE(RENAME, 2, .to = 1), "kept", "kept", NULL));
    say("read_only", share(SHARE(MAKE, 2, .mode = S_IFREG | 0666), "x", "", NULL));
    say("read_only", share(SHARE(REMOVE, 2), "kept", "", NULL));
    say("read_only", share(SHARE(WRITE, look_up(2, "kept")), "x", "", NULL));
    say("nobody", share(SHARE(READ, 99, .size = 64), "", "", NULL));
    say("nobody", share(SHARE(READ, UINT32_MAX, .size = 64), "", "", NULL));
    say("long", share(SHARE(MAKE, 1, .mode = S_IFREG, .size = UINT64_MAX), "made", "", NULL));
    say("unknown", share((struct sh_share_request){.op = 99, .node = 1}, "", "", NULL));
}

static void leave(int sig)
{
    _exit(7);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "stay")) {
        signal(SIGTERM, leave);
        puts("ready");
        fflush(stdout);
        pause();
        return 0;
    }
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    gadget = find();
    printf("gadget %s\n", gadget ? "found" : "none");
    fflush(stdout);
    if (!gadget)
        return 1;
    if (argc > 1 && !strcmp(argv[1], "connect")) {
        try_connect();
        return 0;
    }
    if (argc > 2 && !strcmp(argv[1], "publish")) {
        try_publish((uint16_t)atoi(argv[2]));
        return 0;
    }
    if (argc > 1 && !strcmp(argv[1], "share")) {
        try_share();
        return 0;
    }
    try_files();
    try_processes();
    try_rights();
    try_network();
    if (argc > 1 && !strcmp(argv[1], "helper"))
        ask_nonsense();
    puts("end");
    return 0;
}
