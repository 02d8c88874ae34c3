// SPDX-License-Identifier: Apache-2.0
// Addresses that are none: every call that takes one gets each kind of bad one, the other arguments being good.
#include "facts.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

static int file, folder, pipes[2], sock[2], timer, epoll;

/* Each letter an argument: P the address asked about, p a good one, s "f", S a name that is not there, 0-9 a number,
 * n 64, N 4096, c AT_FDCWD, f the file, d the folder, r and w a pipe's ends, k a socket, t a timerfd, e an epoll, g a
 * group of signals' size, m -1. */
static const struct { const char *name; long nr; const char *args; } calls[] = {
#define C(name, args) {#name, SYS_##name, args}
    C(read, "fPn"), C(write, "fPn"), C(pread64, "fPn0"), C(pwrite64, "fPn0"), C(readv, "fP1"), C(writev, "fP1"), C(preadv, "fP100"),
    C(pwritev, "fP100"), C(read, "rPn"), C(write, "wPn"), C(sendto, "kPn000"), C(recvfrom, "kPn800"), C(open, "P00"), C(openat, "cP00"),
    C(openat2, "csPn"), C(openat2, "cPpn"), C(creat, "P7"), C(stat, "Pp"), C(stat, "sP"), C(lstat, "Pp"), C(lstat, "sP"), C(fstat, "fP"),
    C(newfstatat, "cPp0"), C(newfstatat, "csP0"), C(statx, "cP00p"), C(statx, "cs00P"), C(access, "P0"), C(faccessat, "cP0"), C(faccessat2, "cP00"),
    C(readlink, "Ppn"), C(readlinkat, "cPpn"), C(statfs, "Pp"), C(statfs, "sP"), C(fstatfs, "fP"), C(truncate, "P0"), C(chdir, "P"), C(mkdir, "P7"),
    C(mkdirat, "cP7"), C(rmdir, "P"), C(unlink, "P"), C(unlinkat, "cP0"), C(rename, "PS"), C(rename, "sP"), C(renameat2, "cPcS0"), C(renameat2, "cscP0"),
    C(link, "PS"), C(link, "sP"), C(linkat, "cPcS0"), C(linkat, "cscP0"), C(symlink, "PS"), C(symlink, "sP"), C(symlinkat, "PcS"), C(symlinkat, "scP"),
    C(chmod, "P7"), C(fchmodat, "cP7"), C(chown, "Pmm"), C(lchown, "Pmm"), C(fchownat, "cPmm0"), C(utimensat, "cP00"), C(utimensat, "csP0"),
    C(utimes, "P0"), C(utimes, "sP"), C(utime, "P0"), C(utime, "sP"), C(futimesat, "cP0"), C(mknod, "P00"), C(mknodat, "cP00"), C(getcwd, "PN"),
    C(getdents64, "dPN"), C(getxattr, "Pspn"), C(getxattr, "sPpn"), C(setxattr, "Pspn0"), C(setxattr, "sPpn0"), C(listxattr, "Ppn"), C(removexattr, "Ps"),
    C(fgetxattr, "fPpn"), C(fsetxattr, "fPpn0"), C(lgetxattr, "Pspn"), C(pipe, "P"), C(pipe2, "P0"), C(sendfile, "wfP4"), C(splice, "fPw040"),
    C(copy_file_range, "fPf040"), C(select, "5P00z"), C(select, "50P0z"), C(select, "0000P"), C(pselect6, "5P00z0"), C(pselect6, "0000P0"), C(poll, "P10"),
    C(ppoll, "P1p0"), C(epoll_ctl, "e1rP"), C(epoll_wait, "eP10"), C(timerfd_settime, "t0P0"), C(timerfd_gettime, "tP"), C(signalfd4, "mPg0"),
    C(memfd_create, "P0"), C(inotify_add_watch, "0P1"), C(mincore, "0NP"), C(rt_sigaction, "5P0g"), C(rt_sigaction, "50Pg"), C(rt_sigprocmask, "0P0g"),
    C(rt_sigprocmask, "00Pg"), C(rt_sigpending, "Pg"), C(rt_sigtimedwait, "Ppzg"), C(rt_sigsuspend, "Pg"), C(sigaltstack, "P0"), C(sigaltstack, "0P"),
    C(getrlimit, "7P"), C(setrlimit, "4P"), C(prlimit64, "070P"), C(prlimit64, "04P0"), C(getrusage, "0P"), C(sysinfo, "P"), C(times, "P"), C(uname, "P"),
    C(getgroups, "nP"), C(getresuid, "Ppp"), C(getresuid, "pPp"), C(getresuid, "ppP"), C(getresgid, "Ppp"), C(capget, "P0"), C(sched_getaffinity, "0NP"),
    C(sched_setaffinity, "08P"), C(sched_getparam, "0P"), C(sched_setscheduler, "00P"), C(getcpu, "P0"), C(getcpu, "0P"), C(getrandom, "Pn0"),
    C(prctl, "?P000"), C(futex, "P10000"), C(futex, "P00000"), C(get_robust_list, "0Pp"), C(get_robust_list, "0pP"), C(nanosleep, "P0"), C(getitimer, "0P"),
    C(setitimer, "0P0"), C(setitimer, "00P"), C(gettimeofday, "P0"), C(gettimeofday, "0P"), C(time, "P"), C(timer_create, "10P"), C(timer_create, "1Pp"),
    C(clock_gettime, "1P"), C(clock_getres, "1P"), C(clock_nanosleep, "10P0"), C(connect, "kPn"), C(bind, "kPn"), C(getsockname, "kPp"), C(getsockname, "kpP"),
    C(getpeername, "kPp"), C(getpeername, "kpP"), C(socketpair, "110P"), C(setsockopt, "k19P4"), C(getsockopt, "k13Pp"), C(getsockopt, "k13pP"),
    C(sendmsg, "kP0"), C(recvmsg, "kP0"), C(sendmmsg, "kP10"), C(recvmmsg, "kP100"), C(accept, "kPp"), C(mq_open, "P000"), C(mq_unlink, "P"), C(msgctl, "02P"),
    C(execve, "P00"), C(execve, "sP0"), C(execve, "s0P"), C(vmsplice, "wP10"), C(preadv2, "fP1000"), C(pwritev2, "fP1000"), C(waitid, "00P4"), C(wait4, "mP00"),
    C(ioctl, "f\x7fP"), C(flock, "fP"), C(arch_prctl, "\x7eP"), C(clock_settime, "0P"), C(sched_getattr, "0PN0"), C(sched_rr_get_interval, "0P"),
};

static char good[8192] __attribute__((aligned(4096)));

static long value(char letter, long address)
{
    switch (letter) {
    case 'P': return address;
    case 'p': return (long)good;
    case 's': return (long)"f";
    case 'S': return (long)"not there";
    case 'n': return 64;
    case 'N': return 4096;
    case 'c': return AT_FDCWD;
    case 'f': return file;
    case 'd': return folder;
    case 'r': return pipes[0];
    case 'w': return pipes[1];
    case 'k': return sock[0];
    case 't': return timer;
    case 'e': return epoll;
    case 'g': return 8;
    case 'm': return -1;
    case 'z': return (long)good; /* a time of nothing */
    case '?': return 16;         /* PR_GET_NAME */
    case 0x7f: return 0x541b;    /* FIONREAD */
    case 0x7e: return 0x1003;    /* ARCH_GET_FS */
    default: return letter - '0';
    }
}

static void settle(void)
{
    struct epoll_event none;
    memset(good, 0, sizeof(good));
    rmdir("not there");
    unlink("not there");
    rename("renamed", "f");
    put_file("f", "0123456789abcdef", 0644);
    lseek(file, 0, SEEK_SET);
    lseek(folder, 0, SEEK_SET);
    epoll_ctl(epoll, EPOLL_CTL_DEL, pipes[0], &none);
    while (read(pipes[0], good, sizeof(good)) > 0)
        ;
    while (recv(sock[0], good, sizeof(good), MSG_DONTWAIT) > 0)
        ;
    memset(good, 0, sizeof(good));
    if (write(pipes[1], "abcdefgh", 8) != 8 || write(sock[1], "abcdefgh", 8) != 8)
        printf("facts\tsettle\tfailed\n");
}

int main(void)
{
    facts_begin();
    signal(SIGPIPE, SIG_IGN);
    put_file("f", "0123456789abcdef", 0644);
    file = open("f", O_RDWR);
    folder = open(".", O_RDONLY);
    pipe2(pipes, O_NONBLOCK);
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sock);
    timer = (int)syscall(SYS_timerfd_create, CLOCK_MONOTONIC, 0);
    epoll = epoll_create1(0);
    char *edge = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *closed = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *fixed = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(edge + 4096, 8192);
    const struct { const char *name; long address; } bad[] = {
        {"NULL", 0}, {"1", 1}, {"unmapped", (long)edge + 8192}, {"no access", (long)closed}, {"read only", (long)fixed}, {"the last byte", (long)edge + 4095},
        {"the kernel's", (long)0xffffffff80000000}, {"not canonical", (long)0x800000000000}, {"-1", -1L}, {"-4096", -4096L},
    };
    for (long c = 0; c < COUNT(calls); c++) {
        for (long b = 0; b < COUNT(bad); b++) {
            settle();
            memset(edge, 0, 4096);
            long a[6] = {0};
            for (int i = 0; i < 6 && calls[c].args[i]; i++)
                a[i] = value(calls[c].args[i], bad[b].address);
            if ((calls[c].nr == SYS_rt_sigsuspend || calls[c].nr == SYS_futex || calls[c].nr == SYS_rt_sigtimedwait) && (b == 4 || b == 5))
                continue; /* a good address: it would wait */
            if (b == 0 && !strncmp(calls[c].args, "0000P", 5))
                continue; /* no time at all: likewise */
            long r = kernel(calls[c].nr, a[0], a[1], a[2], a[3], a[4], a[5]);
            bool new_fd = strstr("open openat openat2 creat memfd_create signalfd4 mq_open accept", calls[c].name) && r > 2;
            if (calls[c].nr == SYS_time && r > 0)
                r = 0;
            if (calls[c].nr == SYS_times && r > 0)
                r = 0;
            say(calls[c].name, new_fd ? fd_only(r) : r, "argument %ld of %s is %s", (long)(strchr(calls[c].args, 'P') - calls[c].args), calls[c].args, bad[b].name);
            say(calls[c].name, lseek(file, 0, SEEK_CUR), "argument %ld of %s is %s: the file's place", (long)(strchr(calls[c].args, 'P') - calls[c].args), calls[c].args, bad[b].name);
            char now[32] = {0};
            long n = pread(file, now, 31, 0);
            say_text(calls[c].name, n >= 0 ? now : "?", "argument %ld of %s is %s: the file", (long)(strchr(calls[c].args, 'P') - calls[c].args), calls[c].args, bad[b].name);
            if (calls[c].nr == SYS_chdir && r == 0 && fchdir(folder))
                return 1;
        }
    }
    facts_end();
    return 0;
}
