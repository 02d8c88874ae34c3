// SPDX-License-Identifier: Apache-2.0
// A program of an image that wants out: in the simulator it finds `syscall; ret` in the loader's
// memory and calls the host's kernel by it. One line an attempt: its name, and EPERM and so on, or
// "done".
//   escape          all attempts
//   escape helper   likewise, then nonsense to the processes beside
//   escape connect  asks the one that connects for the host's loopback by its own address, past the
//   LibOS escape stay     waits for a signal
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

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

/* A question of host/sgx/outside/network.c, on every descriptor that may lead there: the answer's
 * result. */
static long ask_connect(const uint8_t ip[4])
{
    struct {
        uint32_t kind, number;
        int32_t value;
        uint32_t size;
        uint8_t address[128];
    } q = {.kind = 1 /* OUTSIDE_CONNECT */,
           .size = 16,
           .address = {2, 0, 0, 9, ip[0], ip[1], ip[2], ip[3]}};
    int64_t result = 0;
    for (int fd = 3; fd < 32; fd++) {
        if (raw(SYS_sendto, fd, P(&q), sizeof(q), MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0) != sizeof(q))
            continue;
        usleep(100000);
        /* The helper knows no such name. */
        if (raw(SYS_recvfrom, fd, P(&result), sizeof(result), MSG_DONTWAIT, 0, 0) == 8 && result &&
            result != -ENOENT)
            return result;
    }
    return result;
}

static void try_connect(void)
{
    static const uint8_t own[] = {127, 0, 0, 1}, any[4], meant[] = {10, 0, 2, 2};
    static const uint8_t metadata[] = {169, 254, 169, 254};
    int s = socket(AF_INET, SOCK_STREAM, 0); /* so that there is number 0 */
    connect(s, &(struct sockaddr){.sa_family = AF_INET, .sa_data = {0, 9, 10, 0, 2, 2}},
            sizeof(struct sockaddr));
    printf("loopback %s\n", strerrorname_np((int)-ask_connect(own)));
    printf("nowhere %s\n", strerrorname_np((int)-ask_connect(any)));
    printf("metadata %s\n", strerrorname_np((int)-ask_connect(metadata)));
    printf("host %s\n", strerrorname_np((int)-ask_connect(meant)));
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
    try_files();
    try_processes();
    try_rights();
    try_network();
    if (argc > 1 && !strcmp(argv[1], "helper"))
        ask_nonsense();
    puts("end");
    return 0;
}
