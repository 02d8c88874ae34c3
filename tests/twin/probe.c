// SPDX-License-Identifier: Apache-2.0
// Prints what a workload sees of its world, one "key value" a line: run natively, in an enclave and
// in a VM, the lines must be the same (tests/twin/compare.py has the exceptions).
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/capability.h>
#include <netinet/in.h>

extern char **environ;

static const char *word(int error)
{
    const char *name = error ? strerrorname_np(error) : "ok";
    return name ? name : "?";
}

static int result(long r)
{
    return r < 0 ? errno : 0;
}

/* --- who and where --- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void show_environment(void)
{
    size_t n = 0;
    while (environ[n])
        n++;
    char **sorted = malloc(n * sizeof(*sorted));
    memcpy(sorted, environ, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_text);
    for (size_t i = 0; i < n; i++)
        printf("env %s\n", sorted[i]);
    free(sorted);
}

static void show_identity(int argc, char **argv)
{
    char path[4096], host[65] = "";
    uid_t u[3];
    gid_t g[3], groups[70];
    struct utsname uts;
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    for (int i = 0; i < argc; i++)
        printf("argv %d=%s\n", i, argv[i]);
    getresuid(&u[0], &u[1], &u[2]);
    getresgid(&g[0], &g[1], &g[2]);
    printf("uid %u %u %u\ngid %u %u %u\ngroups", u[0], u[1], u[2], g[0], g[1], g[2]);
    int n = getgroups(70, groups);
    for (int i = 0; i < n; i++)
        printf(" %u", groups[i]);
    printf("\npid %d ppid %d pgid %d sid %d\n", getpid(), getppid(), getpgrp(), getsid(0));
    printf("cwd %s\n", getcwd(path, sizeof(path)) ? path : word(errno));
    mode_t mask = umask(0);
    umask(mask);
    printf("umask %03o\n", mask);
    gethostname(host, sizeof(host));
    uname(&uts);
    printf("hostname %s\nnodename %s\nsysname %s\nmachine %s\ndomainname %s\n", host, uts.nodename,
           uts.sysname, uts.machine, uts.domainname);
    syscall(SYS_capget, &head, data);
    printf("capabilities %08x%08x permitted, %08x%08x effective, %08x%08x inheritable\n",
           data[1].permitted, data[0].permitted, data[1].effective, data[0].effective,
           data[1].inheritable, data[0].inheritable);
    unsigned long long bounding = 0;
    for (int i = 0; i < 64 && prctl(PR_CAPBSET_READ, i) >= 0; i++)
        bounding |= (unsigned long long)prctl(PR_CAPBSET_READ, i) << i;
    printf("bounding %llx\nno_new_privs %d\nsecurebits %d\ndumpable %d\nnice %d\n", bounding,
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_SECUREBITS), prctl(PR_GET_DUMPABLE),
           getpriority(PRIO_PROCESS, 0));
    printf("personality %#lx\n", (long)syscall(SYS_personality, 0xffffffffu));
}

static void show_limits(void)
{
    for (int i = 0; i < 16; i++) {
        struct rlimit l;
        printf("limit %d ", i);
        if (getrlimit(i, &l))
            printf("%s\n", word(errno));
        else
            printf("%lld %lld\n", (long long)l.rlim_cur, (long long)l.rlim_max);
    }
}

static void show_signals(void)
{
    sigset_t blocked, pending;
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    sigpending(&pending);
    for (int i = 1; i < 65; i++) {
        struct sigaction a = {0};
        /* The kernel's own call: libc hides two of them. */
        struct {
            void *handler;
            unsigned long flags;
            void *restorer;
            unsigned long mask;
        } raw = {0};
        if (syscall(SYS_rt_sigaction, i, NULL, &raw, 8))
            printf("signal %d %s\n", i, word(errno));
        else if (raw.handler)
            printf("signal %d %s\n", i, raw.handler == (void *)1 ? "ignored" : "handled");
        (void)a;
        if (sigismember(&blocked, i) == 1 || sigismember(&pending, i) == 1)
            printf("signal %d blocked or pending\n", i);
    }
}

/* --- streams --- */

static const char *type_of(mode_t mode)
{
    return S_ISREG(mode)    ? "file"
           : S_ISDIR(mode)  ? "folder"
           : S_ISCHR(mode)  ? "character"
           : S_ISBLK(mode)  ? "block"
           : S_ISFIFO(mode) ? "pipe"
           : S_ISLNK(mode)  ? "link"
           : S_ISSOCK(mode) ? "socket"
                            : "none";
}

static void show_streams(void)
{
    char text[256], path[64];
    struct stat st;
    for (int fd = 0; fd < 3; fd++) {
        int flags = fcntl(fd, F_GETFL);
        printf("stream %d flags %s%s%s", fd,
               (flags & O_ACCMODE) == O_RDONLY   ? "read"
               : (flags & O_ACCMODE) == O_WRONLY ? "write"
                                                 : "both",
               flags & O_APPEND ? " append" : "", flags & O_NONBLOCK ? " nonblock" : "");
        printf(" cloexec %d tty %d", fcntl(fd, F_GETFD), isatty(fd));
        if (fstat(fd, &st))
            printf(" %s\n", word(errno));
        else
            printf(" %s %04o %u:%u\n", type_of(st.st_mode), st.st_mode & 07777, st.st_uid,
                   st.st_gid);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, text, sizeof(text) - 1);
        text[n < 0 ? 0 : n] = 0;
        text[strcspn(text, "0123456789")] = 0;
        printf("stream %d is %s\n", fd, text);
        int again = open(path, fd ? O_WRONLY : O_RDONLY | O_NONBLOCK);
        printf("stream %d opened again: %s\n", fd, word(result(again)));
        if (again >= 0)
            close(again);
        printf("stream %d seek %s\n", fd, word(result(lseek(fd, 0, SEEK_CUR))));
    }
    struct termios t;
    struct winsize w = {0};
    printf("termios %s\n", word(result(tcgetattr(0, &t))));
    if (!ioctl(0, TIOCGWINSZ, &w))
        printf("window %d x %d\n", w.ws_row, w.ws_col);
    int tty = open("/dev/tty", O_RDWR);
    printf("/dev/tty %s\n", word(result(tty)));
    if (tty >= 0)
        close(tty);
    printf("tcgetpgrp %d %s\n", tcgetpgrp(0) > 0, word(result(tcgetpgrp(0))));
    for (int fd = 0; fd < 64; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf("descriptor %d\n", fd);
}

static void show_input(void)
{
    char text[65536];
    ssize_t n;
    long total = 0, pieces = 0;
    struct pollfd p = {.fd = 0, .events = POLLIN};
    if (isatty(0))
        return; /* nobody types */
    printf("input %d ready\n", poll(&p, 1, 5000));
    while ((n = read(0, text, sizeof(text))) > 0) {
        total += n;
        pieces++;
    }
    printf("input %ld bytes, then %s, again %zd\n", total, n ? word(errno) : "the end",
           read(0, text, 1));
    (void)pieces;
    printf("input written to: %s\n", word(result(write(0, "x", 1))));
    printf("output read from: %s\n", word(result(read(1, text, 1))));
}

/* --- files --- */

static void show_file(const char *path)
{
    char text[65536];
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    struct stat st;
    if (fd < 0 || n < 0) {
        printf("file %s: %s\n", path, word(errno));
    } else {
        text[n] = 0;
        fstat(fd, &st);
        printf("file %s: %s %04o %u:%u\n", path, type_of(st.st_mode), st.st_mode & 07777, st.st_uid,
               st.st_gid);
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
            printf("file %s| %s\n", path, line);
    }
    if (fd >= 0)
        close(fd);
}

static void show_node(const char *path)
{
    struct stat st;
    char target[256] = "";
    if (lstat(path, &st)) {
        printf("node %s: %s\n", path, word(errno));
        return;
    }
    printf("node %s: %s %04o %u:%u", path, type_of(st.st_mode), st.st_mode & 07777, st.st_uid,
           st.st_gid);
    if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
        printf(" %u,%u", major(st.st_rdev), minor(st.st_rdev));
    if (S_ISLNK(st.st_mode) && readlink(path, target, sizeof(target) - 1) > 0)
        printf(" -> %s", target);
    putchar('\n');
}

static void show_folder(const char *path)
{
    struct dirent **list;
    int n = scandir(path, &list, NULL, alphasort);
    if (n < 0)
        printf("folder %s: %s\n", path, word(errno));
    for (int i = 0; i < n; i++) {
        char name[4096];
        if (strcmp(list[i]->d_name, ".") && strcmp(list[i]->d_name, "..")) {
            snprintf(name, sizeof(name), "%s/%s", strcmp(path, "/") ? path : "", list[i]->d_name);
            show_node(name);
        }
        free(list[i]);
    }
    if (n >= 0)
        free(list);
}

/* Of /proc/self/status what is the same everywhere. */
static void show_status(void)
{
    static const char *const names[] = {
        "Name:",      "Umask:",  "State:",  "Tgid:",   "Ngid:",       "Pid:",    "PPid:",
        "TracerPid:", "Uid:",    "Gid:",    "Groups:", "NStgid:",     "NSpid:",  "Threads:",
        "SigQ:",      "SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:",     "SigCgt:", "CapInh:",
        "CapPrm:",    "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:"};
    char line[512];
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = 0;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (!strncmp(line, names[i], strlen(names[i])))
                printf("status %s\n", line);
    }
    if (f)
        fclose(f);
}

static void show_link(const char *path)
{
    char text[4096];
    ssize_t n = readlink(path, text, sizeof(text) - 1);
    text[n < 0 ? 0 : n] = 0;
    printf("link %s: %s\n", path, n < 0 ? word(errno) : text);
}

static void try_write(const char *path, int flags, mode_t mode)
{
    int fd = open(path, flags, mode);
    struct stat st;
    printf("write %s: %s", path, word(result(fd)));
    if (fd >= 0 && !fstat(fd, &st))
        printf(" %04o %u:%u", st.st_mode & 07777, st.st_uid, st.st_gid);
    putchar('\n');
    if (fd >= 0)
        close(fd);
}

static void show_files(void)
{
    static const char *const files[] = {"/etc/hostname",
                                        "/etc/hosts",
                                        "/etc/resolv.conf",
                                        "/etc/passwd",
                                        "/etc/group",
                                        "/etc/mtab",
                                        "/run/keep/file",
                                        "/scratch/hidden",
                                        "/tmp/kept",
                                        "/dev/own",
                                        "/proc/self/comm",
                                        "/proc/1/comm",
                                        "/proc/self/oom_score_adj",
                                        "/proc/self/limits",
                                        "/proc/sys/kernel/hostname",
                                        "/proc/sys/kernel/pid_max",
                                        "/proc/sys/kernel/ostype",
                                        "/proc/sys/vm/overcommit_memory",
                                        "/proc/sys/kernel/ngroups_max",
                                        "/proc/filesystems",
                                        "/proc/self/cgroup",
                                        "/proc/self/uid_map",
                                        "/proc/sys/net/core/somaxconn",
                                        "/proc/self/loginuid",
                                        "/proc/self/attr/current",
                                        "/sys/kernel/mm/transparent_hugepage/enabled",
                                        "/sys/fs/cgroup/memory.max",
                                        "/proc/sys/kernel/random/entropy_avail",
                                        "/proc/sys/fs/file-max",
                                        "/proc/sys/fs/nr_open"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        show_file(files[i]);
    show_status();
    static const char *const links[] = {"/proc/self/exe", "/proc/self/cwd", "/proc/self/root",
                                        "/proc/1/exe",    "/proc/self",     "/proc/mounts",
                                        "/proc/net"};
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
        show_link(links[i]);
    static const char *const folders[] = {
        "/",    "/dev",     "/dev/pts", "/dev/shm",        "/run", "/run/keep",
        "/tmp", "/scratch", "/sys",     "/proc/self/task", "/srv"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        show_folder(folders[i]);
    try_write("/new", O_WRONLY | O_CREAT | O_EXCL, 0666);
    try_write("/tmp/new", O_WRONLY | O_CREAT | O_EXCL, 0666);
    try_write("/scratch/new", O_WRONLY | O_CREAT | O_EXCL, 0666);
    try_write("/dev/shm/new", O_WRONLY | O_CREAT | O_EXCL, 0666);
    try_write("/run/new", O_WRONLY | O_CREAT | O_EXCL, 0666);
    try_write("/etc/passwd", O_WRONLY, 0);
    try_write("/etc/hosts", O_WRONLY, 0);
    try_write("/proc/sys/kernel/hostname", O_WRONLY, 0);
    try_write("/sys/new", O_WRONLY | O_CREAT, 0666);
    try_write("/proc/self/oom_score_adj", O_WRONLY, 0);
    printf("hostname set: %s\n", word(result(sethostname("other", 5))));
    printf("chroot: %s\n", word(result(chroot("/"))));
    printf("device made: %s\n", word(result(mknod("/tmp/null", S_IFCHR | 0666, makedev(1, 3)))));
    printf("mounted: %s\n", word(result(syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL))));
}

/* --- the network, inside --- */

static void show_network(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t size = sizeof(a);
    char text[64];
    int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    printf("bind %s\n", word(result(bind(s, (void *)&a, sizeof(a)))));
    printf("listen %s\n", word(result(listen(s, 5))));
    getsockname(s, (void *)&a, &size);
    printf("listens at %s\n", inet_ntop(AF_INET, &a.sin_addr, text, sizeof(text)));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    printf("loopback %s\n", word(result(connect(c, (void *)&a, sizeof(a)))));
    size = sizeof(a);
    int got = accept(s, (void *)&a, &size);
    printf("accepted %s from %s\n", word(result(got)),
           inet_ntop(AF_INET, &a.sin_addr, text, sizeof(text)));
    int six = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 b = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    printf("IPv6 %s\n", word(result(six)));
    printf("IPv6 bind %s\n", word(result(bind(six, (void *)&b, sizeof(b)))));
    int low = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in l = {.sin_family = AF_INET, .sin_port = htons(80)};
    printf("port 80 %s\n", word(result(bind(low, (void *)&l, sizeof(l)))));
    int raw = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    printf("raw socket %s\n", word(result(raw)));
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in peer = {/* the name server: every workload may ask it */
                               .sin_family = AF_INET,
                               .sin_port = htons(53),
                               .sin_addr.s_addr = htonl(0x0a000203)};
    int r = connect(udp, (void *)&peer, sizeof(peer));
    size = sizeof(a);
    getsockname(udp, (void *)&a, &size);
    printf("towards the name server %s as %s\n", word(r ? errno : 0),
           inet_ntop(AF_INET, &a.sin_addr, text, sizeof(text)));
    close(s), close(c), close(got), close(six), close(low), close(raw), close(udp);
}

static void show_machine(void)
{
    struct sysinfo info;
    sysinfo(&info);
    printf("processes at least %d\n", info.procs > 0);
    printf("page %ld, clock tick %ld\n", sysconf(_SC_PAGESIZE), sysconf(_SC_CLK_TCK));
    struct statfs fs;
    static const char *const places[] = {"/",    "/tmp",     "/proc",    "/sys",
                                         "/dev", "/dev/shm", "/scratch", "/run"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (statfs(places[i], &fs))
            printf("statfs %s: %s\n", places[i], word(errno));
        else
            printf("statfs %s: type %lx names %ld flags%s%s%s%s\n", places[i], (long)fs.f_type,
                   (long)fs.f_namelen, fs.f_flags & 1 ? " ro" : "", fs.f_flags & 2 ? " nosuid" : "",
                   fs.f_flags & 4 ? " nodev" : "", fs.f_flags & 8 ? " noexec" : "");
    }
}

/* --- ways to end --- */

static int end(const char *how)
{
    if (!strcmp(how, "exit"))
        return 7;
    if (!strcmp(how, "abort"))
        abort();
    if (!strcmp(how, "segv"))
        *(volatile int *)8 = 1;
    if (!strcmp(how, "term"))
        raise(SIGTERM); /* PID 1 has no default action: it goes on */
    if (!strcmp(how, "kill"))
        kill(getpid(), SIGKILL);
    return 9;
}

/* Accepts on a port until somebody says "end". */
static int serve(const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    socklen_t size = sizeof(a);
    char text[64], name[64];
    int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(s, (void *)&a, sizeof(a)) || listen(s, 5))
        return 3;
    for (int i = 0; i < 100; i++) {
        int c = accept(s, (void *)&a, &size);
        ssize_t n = read(c, text, sizeof(text) - 1);
        text[n < 0 ? 0 : n] = 0;
        struct sockaddr_in own;
        socklen_t own_size = sizeof(own);
        getsockname(c, (void *)&own, &own_size);
        char other[64];
        dprintf(c, "from %s to %s\n", inet_ntop(AF_INET, &a.sin_addr, name, sizeof(name)),
                inet_ntop(AF_INET, &own.sin_addr, other, sizeof(other)));
        close(c);
        if (!strncmp(text, "end", 3))
            return 0;
    }
    return 4;
}

/* Everything a program might try to reach the host's terminal by, whatever the image sealed. */
static int leak(void)
{
    static const char *const names[] = {
        "/dev/tty",        "/dev/console",    "/dev/stdout",     "/dev/stderr", "/dev/stdin",
        "/proc/self/fd/1", "/proc/self/fd/2", "/proc/self/fd/0", "/dev/pts/0",  "/dev/ptmx",
        "/dev/ttyS0",      "/dev/kmsg",       "/dev/hvc0"};
    char text[100] = "";
    int n = 0;
    dprintf(1, "LEAK stdout\n");
    dprintf(2, "LEAK stderr\n");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int fd = open(names[i], O_RDWR | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
            fd = open(names[i], O_WRONLY | O_NONBLOCK | O_NOCTTY);
        if (fd >= 0)
            dprintf(fd, "LEAK %s\n", names[i]);
        int in = open(names[i], O_RDONLY | O_NONBLOCK | O_NOCTTY);
        ssize_t got = in < 0 ? -1 : read(in, text, sizeof(text) - 1);
        n += got > 0;
    }
    n += read(0, text, sizeof(text) - 1) > 0;
    return n ? 8 : open("/dev/tty", O_RDWR) < 0 && errno == ENXIO ? 5 : 6;
}

int main(int argc, char **argv)
{
    static char all[1 << 20];
    setvbuf(stdout, all, _IOLBF, sizeof(all));
    if (argc > 2 && !strcmp(argv[1], "end"))
        return end(argv[2]);
    if (argc > 2 && !strcmp(argv[1], "serve"))
        return serve(argv[2]);
    if (argc > 1 && !strcmp(argv[1], "leak"))
        return leak();
    show_identity(argc, argv);
    show_environment();
    show_limits();
    show_signals();
    show_streams();
    show_files();
    show_network();
    show_machine();
    show_input();
    fflush(stdout);
    return 0;
}
