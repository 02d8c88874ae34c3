// SPDX-License-Identifier: Apache-2.0
// Every kind of descriptor under every call that takes one.
#include "facts.h"

#include <linux/fs.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <termios.h>

static char buf[8192];
static int other = -1; /* the other end of a pair, closed afterwards */

static int regular(int flags)
{
    put_file("f", "0123456789abcdef", 0644);
    return open("f", flags);
}
static int k_read(void)
{
    return regular(O_RDONLY);
}
static int k_write(void)
{
    return regular(O_WRONLY);
}
static int k_both(void)
{
    return regular(O_RDWR);
}
static int k_append(void)
{
    return regular(O_RDWR | O_APPEND);
}
static int k_path(void)
{
    return regular(O_PATH);
}
static int k_dir(void)
{
    return open(".", O_RDONLY | O_DIRECTORY);
}
static int k_dirpath(void)
{
    return open(".", O_PATH | O_DIRECTORY);
}
static int k_link(void)
{
    symlink("f", "l");
    return open("l", O_PATH | O_NOFOLLOW);
}
static int k_fifo(void)
{
    mkfifo("p", 0600);
    return open("p", O_RDWR | O_NONBLOCK);
}
static int k_piper(void)
{
    int p[2];
    if (pipe2(p, O_NONBLOCK))
        return -1;
    other = p[1];
    return p[0];
}
static int k_pipew(void)
{
    int p[2];
    if (pipe2(p, O_NONBLOCK))
        return -1;
    other = p[0];
    return p[1];
}
static int pair(int type)
{
    int p[2];
    if (socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, p))
        return -1;
    other = p[1];
    return p[0];
}
static int k_stream(void)
{
    return pair(SOCK_STREAM);
}
static int k_dgram(void)
{
    return pair(SOCK_DGRAM);
}
static int k_seq(void)
{
    return pair(SOCK_SEQPACKET);
}
static int k_unix(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
}
static int k_tcp(void)
{
    return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
}
static int k_listen(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    bind(s, (void *)&a, sizeof(a));
    listen(s, 4);
    return s;
}
static int k_udp(void)
{
    return socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
}
static int k_event(void)
{
    return eventfd(0, EFD_NONBLOCK);
}
static int k_timer(void)
{
    return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
}
static int k_signal(void)
{
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    return signalfd(-1, &s, SFD_NONBLOCK);
}
static int k_epoll(void)
{
    return epoll_create1(0);
}
static int k_inotify(void)
{
    return inotify_init1(IN_NONBLOCK);
}
static int k_memfd(void)
{
    int fd = memfd_create("m", MFD_ALLOW_SEALING);
    ftruncate(fd, 100);
    return fd;
}
static int k_sealed(void)
{
    int fd = memfd_create("m", MFD_ALLOW_SEALING);
    ftruncate(fd, 100);
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    return fd;
}
static int k_null(void)
{
    return open("/dev/null", O_RDWR);
}
static int k_zero(void)
{
    return open("/dev/zero", O_RDWR);
}
static int k_full(void)
{
    return open("/dev/full", O_RDWR);
}
static int k_urandom(void)
{
    return open("/dev/urandom", O_RDWR);
}
static int k_proc(void)
{
    return open("/proc/self/stat", O_RDONLY);
}
static int k_procdir(void)
{
    return open("/proc/self", O_RDONLY);
}
static int terminal(bool slave)
{
    int m = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    unlockpt(m);
    int s = open(ptsname(m), O_RDWR | O_NOCTTY | O_NONBLOCK);
    other = slave ? m : s;
    return slave ? s : m;
}
static int k_master(void)
{
    return terminal(false);
}
static int k_slave(void)
{
    return terminal(true);
}
static int k_ptmx(void)
{
    return open("/dev/ptmx", O_PATH);
}
static int k_pid(void)
{
    return (int)syscall(SYS_pidfd_open, getpid(), 0);
}
static int k_closed(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}
static int k_minus(void)
{
    return -1;
}
static int k_huge(void)
{
    return 1 << 30;
}

static const struct {
    const char *name;
    int (*make)(void);
} kinds[] = {
    {"O_RDONLY", k_read},
    {"O_WRONLY", k_write},
    {"O_RDWR", k_both},
    {"O_APPEND", k_append},
    {"O_PATH", k_path},
    {"directory", k_dir},
    {"O_PATH directory", k_dirpath},
    {"O_PATH link", k_link},
    {"fifo", k_fifo},
    {"pipe read", k_piper},
    {"pipe write", k_pipew},
    {"unix stream", k_stream},
    {"unix dgram", k_dgram},
    {"unix seqpacket", k_seq},
    {"unix unbound", k_unix},
    {"tcp", k_tcp},
    {"tcp listener", k_listen},
    {"udp", k_udp},
    {"eventfd", k_event},
    {"timerfd", k_timer},
    {"signalfd", k_signal},
    {"epoll", k_epoll},
    {"inotify", k_inotify},
    {"memfd", k_memfd},
    {"sealed memfd", k_sealed},
    {"/dev/null", k_null},
    {"/dev/zero", k_zero},
    {"/dev/full", k_full},
    {"/dev/urandom", k_urandom},
    {"/proc file", k_proc},
    {"/proc directory", k_procdir},
    {"terminal's master", k_master},
    {"terminal's slave", k_slave},
    {"O_PATH terminal", k_ptmx},
    {"pidfd", k_pid},
    {"closed", k_closed},
    {"-1", k_minus},
    {"2^30", k_huge},
};

#define OP(name, ...)                                                                              \
    static long name(int fd)                                                                       \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
OP(o_read, return sys(read, fd, buf, 8) > 0;)
OP(o_read0, return sys(read, fd, buf, 0);)
OP(o_readbad, long r = sys(read, fd, 16L, 8); return r;)
OP(o_write, return sys(write, fd, "xxxxxxxx", 8);)
OP(o_write0, return sys(write, fd, buf, 0);)
OP(o_write4, return sys(write, fd, buf, 4);)
OP(o_pread, return sys(pread64, fd, buf, 8, 0L) > 0;)
OP(o_preadneg, return sys(pread64, fd, buf, 8, -1L);)
OP(o_pwrite, return sys(pwrite64, fd, "xxxxxxxx", 8, 0L);)
OP(o_pwriteneg, return sys(pwrite64, fd, buf, 8, -1L);)
OP(o_readv, struct iovec v[2] = {{buf, 4}, {buf + 4, 4}}; return sys(readv, fd, v, 2) > 0;)
OP(o_writev, struct iovec v[2] = {{buf, 4}, {buf + 4, 4}}; return sys(writev, fd, v, 2);)
OP(o_readv0, return sys(readv, fd, NULL, 0);)
OP(o_writev0, return sys(writev, fd, NULL, 0);)
OP(o_preadv, struct iovec v = {buf, 8}; return sys(preadv, fd, &v, 1, 0L, 0L) > 0;)
OP(o_pwritev, struct iovec v = {buf, 8}; return sys(pwritev, fd, &v, 1, 0L, 0L);)
OP(o_preadv2, struct iovec v = {buf, 8}; return sys(preadv2, fd, &v, 1, -1L, -1L, 0) > 0;)
OP(o_pwritev2, struct iovec v = {buf, 8}; return sys(pwritev2, fd, &v, 1, -1L, -1L, 0);)
OP(o_preadv2at, struct iovec v = {buf, 8}; long r = sys(preadv2, fd, &v, 1, 0L, 0L, 0);
   return r > 0 ? 1 : r;)
OP(o_pwritev2at, struct iovec v = {buf, 8}; return sys(pwritev2, fd, &v, 1, 0L, 0L, 0);)
OP(o_preadv2neg, struct iovec v = {buf, 8}; return sys(preadv2, fd, &v, 1, -2L, -1L, 0);)
OP(o_pwritev2neg, struct iovec v = {buf, 8}; return sys(pwritev2, fd, &v, 1, -2L, -1L, 0);)
OP(o_readnowait, struct iovec v = {buf, 8}; long r = sys(preadv2, fd, &v, 1, -1L, -1L, 8);
   return r > 0 ? 1 : r;)
OP(o_writenowait, struct iovec v = {buf, 8}; return sys(pwritev2, fd, &v, 1, -1L, -1L, 8);)
OP(o_readbadpart, struct iovec v[2] = {{buf, 4}, {(void *)-4096L, 4}}; return sys(readv, fd, v, 2);)
OP(o_writebadpart, struct iovec v[2] = {{buf, 4}, {(void *)-4096L, 4}};
   return sys(writev, fd, v, 2);)
OP(o_writelostpart, struct iovec v[2] = {{buf, 4}, {(void *)16L, 4}}; return sys(writev, fd, v, 2);)
OP(o_birth, struct statx s; long r = sys(statx, fd, "", AT_EMPTY_PATH, STATX_BTIME, &s);
   return r < 0 ? r : !!(s.stx_mask & STATX_BTIME);)
OP(o_seekset, return sys(lseek, fd, 4L, SEEK_SET);)
OP(o_seekcur, return sys(lseek, fd, 0L, SEEK_CUR);)
OP(o_seekend, return sys(lseek, fd, 0L, SEEK_END) > 0;)
OP(o_seekdata, return sys(lseek, fd, 0L, SEEK_DATA);)
OP(o_seekhole, return sys(lseek, fd, 0L, SEEK_HOLE) > 0;)
OP(o_seekneg, return sys(lseek, fd, -1L, SEEK_SET);)
OP(o_fsync, return sys(fsync, fd);)
OP(o_fdatasync, return sys(fdatasync, fd);)
OP(o_syncfs, return sys(syncfs, fd);)
OP(o_syncrange, return sys(sync_file_range, fd, 0L, 0L, 7);)
OP(o_ftruncate, return sys(ftruncate, fd, 50L);)
OP(o_ftruncateneg, return sys(ftruncate, fd, -1L);)
OP(o_fallocate, return sys(fallocate, fd, 0, 0L, 200L);)
OP(o_punch, return sys(fallocate, fd, 3, 0L, 10L);)
OP(o_fadvise, return sys(fadvise64, fd, 0L, 0L, 1);)
OP(o_fadvisebad, return sys(fadvise64, fd, 0L, 0L, 99);)
OP(o_readahead, return sys(readahead, fd, 0L, 10L);)
OP(o_fchmod, return sys(fchmod, fd, 0600);)
OP(o_fchown, return sys(fchown, fd, -1, -1);)
OP(o_fstat, struct stat s; long r = sys(fstat, fd, &s); return r < 0 ? r : s.st_mode & S_IFMT;)
OP(o_statmode, struct stat s; long r = sys(fstat, fd, &s); return r < 0 ? r : s.st_mode & 07777;)
OP(o_statsize, struct stat s; long r = sys(fstat, fd, &s); return r < 0 ? r
                                                                  : (s.st_mode & S_IFMT) == S_IFREG
                                                                      ? s.st_size
                                                                      : 0;)
OP(o_statempty, struct stat s; return sys(newfstatat, fd, "", &s, AT_EMPTY_PATH);)
OP(o_statnull, struct stat s; long r = sys(newfstatat, fd, "x", &s, 0); return r;)
OP(o_statx, struct statx s; return sys(statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &s);)
OP(o_fstatfs, struct statfs s; long r = sys(fstatfs, fd, &s);
   return r < 0                                          ? r
          : s.f_type == 0x01021994 || s.f_type == 0x9fa0 ? s.f_type
                                                         : 0;)
OP(o_getfl, return sys(fcntl, fd, F_GETFL);)
OP(o_setfl, return sys(fcntl, fd, F_SETFL, O_NONBLOCK);)
OP(o_setflall, return sys(fcntl, fd, F_SETFL, -1) < 0 ? -EINVAL : 0;)
OP(o_setflread, sys(fcntl, fd, F_SETFL, O_APPEND | O_NONBLOCK | O_NOATIME);
   return sys(fcntl, fd, F_GETFL);)
OP(o_getfd, return sys(fcntl, fd, F_GETFD);)
OP(o_setfd, long r = sys(fcntl, fd, F_SETFD, 1); return r < 0 ? r : sys(fcntl, fd, F_GETFD);)
OP(o_dup, return fd_only(sys(dup, fd));)
OP(o_dupfd, return fd_only(sys(fcntl, fd, F_DUPFD_CLOEXEC, 100));)
OP(o_dup3same, return sys(dup3, fd, fd, 0);)
OP(o_dup2same, return sys(dup2, fd, fd) >= 0 ? 0 : sys(dup2, fd, fd);)
OP(o_getlk, struct flock l = {.l_type = F_WRLCK}; long r = sys(fcntl, fd, F_GETLK, &l);
   return r < 0 ? r : l.l_type;)
OP(o_setlkr, struct flock l = {.l_type = F_RDLCK}; return sys(fcntl, fd, F_SETLK, &l);)
OP(o_setlkw, struct flock l = {.l_type = F_WRLCK}; return sys(fcntl, fd, F_SETLK, &l);)
OP(o_unlk, struct flock l = {.l_type = F_UNLCK}; return sys(fcntl, fd, F_SETLK, &l);)
OP(o_ofdget, struct flock l = {.l_type = F_WRLCK}; long r = sys(fcntl, fd, F_OFD_GETLK, &l);
   return r < 0 ? r : l.l_type;)
OP(o_ofdset, struct flock l = {.l_type = F_RDLCK}; return sys(fcntl, fd, F_OFD_SETLK, &l);)
OP(o_getown, return sys(fcntl, fd, F_GETOWN);)
OP(o_setown, long r = sys(fcntl, fd, F_SETOWN, getpid());
   return r < 0 ? r : sys(fcntl, fd, F_GETOWN) == getpid();)
OP(o_getownex, int o[2]; return sys(fcntl, fd, 16, o);)
OP(o_setownex, int o[2] = {0, gettid()}; return sys(fcntl, fd, 15, o);)
OP(o_getsig, return sys(fcntl, fd, 11);)
OP(o_setsig, long r = sys(fcntl, fd, 10, SIGUSR2); return r < 0 ? r : sys(fcntl, fd, 11);)
OP(o_setsigbad, return sys(fcntl, fd, 10, 65);)
OP(o_getlease, return sys(fcntl, fd, F_GETLEASE);)
OP(o_notify, return sys(fcntl, fd, F_NOTIFY, DN_MODIFY);)
OP(o_getpipe, return sys(fcntl, fd, F_GETPIPE_SZ);)
OP(o_setpipe, return sys(fcntl, fd, F_SETPIPE_SZ, 8192);)
OP(o_getseals, return sys(fcntl, fd, F_GET_SEALS);)
OP(o_addseals, return sys(fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK);)
OP(o_hint, uint64_t h; return sys(fcntl, fd, F_GET_RW_HINT, &h);)
OP(o_fcntlbad, return sys(fcntl, fd, 9999, 0);)
OP(o_flocksh, return sys(flock, fd, LOCK_SH | LOCK_NB);)
OP(o_flockex, return sys(flock, fd, LOCK_EX | LOCK_NB);)
OP(o_flockun, return sys(flock, fd, LOCK_UN);)
OP(o_flockbad, return sys(flock, fd, 99);)
OP(o_fchdir, int here = open(".", O_PATH); long r = sys(fchdir, fd); fchdir(here); close(here);
   return r;)
OP(o_getdents, return sys(getdents64, fd, buf, 8192) > 0 ? 1 : sys(getdents64, fd, buf, 8192);)
OP(o_openat, return fd_only(sys(openat, fd, "f", O_RDONLY));)
OP(o_readlinkat, return sys(readlinkat, fd, "", buf, 100);)
OP(o_ionread, int n = -1; long r = sys(ioctl, fd, FIONREAD, &n); return r < 0 ? r : n > 0;)
OP(o_ionbio, int n = 1; return sys(ioctl, fd, FIONBIO, &n);)
OP(o_ioasync, int n = 0; return sys(ioctl, fd, FIOASYNC, &n);)
OP(o_ioclex, return sys(ioctl, fd, FIOCLEX);)
OP(o_iogets, struct termios t; return sys(ioctl, fd, TCGETS, &t);)
OP(o_iowinsz, struct winsize w; return sys(ioctl, fd, TIOCGWINSZ, &w);)
OP(o_iobad, return sys(ioctl, fd, 0xdeadbeef, buf);)
OP(o_iooutq, int n; return sys(ioctl, fd, TIOCOUTQ, &n);)
OP(o_iogetfl, long f; return sys(ioctl, fd, FS_IOC_GETFLAGS, &f);)
OP(o_ioqsize, loff_t n; return sys(ioctl, fd, FIOQSIZE, &n);)
OP(o_sendfrom, int n = open("/dev/null", O_WRONLY); long r = sys(sendfile, n, fd, NULL, 4L);
   close(n); return r;)
OP(o_sendto_, int n = open("g", O_RDONLY); long r = sys(sendfile, fd, n, NULL, 8L); close(n);
   return r;)
OP(o_copyfrom, int n = open("o", O_CREAT | O_RDWR | O_TRUNC, 0600);
   long r = sys(copy_file_range, fd, NULL, n, NULL, 4L, 0); close(n); return r;)
OP(o_copyto, int n = open("g", O_RDONLY); long r = sys(copy_file_range, n, NULL, fd, NULL, 4L, 0);
   close(n); return r;)
OP(o_splicefrom, int p[2]; pipe2(p, O_NONBLOCK);
   long r = sys(splice, fd, NULL, p[1], NULL, 8L, SPLICE_F_NONBLOCK); close(p[0]); close(p[1]);
   return r;)
OP(o_spliceto, int p[2]; pipe2(p, O_NONBLOCK); write(p[1], "xxxxxxxx", 8);
   long r = sys(splice, p[0], NULL, fd, NULL, 8L, SPLICE_F_NONBLOCK); close(p[0]); close(p[1]);
   return r;)
OP(o_tee, int p[2]; pipe2(p, O_NONBLOCK); long r = sys(tee, fd, p[1], 8L, SPLICE_F_NONBLOCK);
   close(p[0]); close(p[1]); return r;)
OP(o_vmsplice, struct iovec v = {buf, 8}; return sys(vmsplice, fd, &v, 1, SPLICE_F_NONBLOCK);)
static long map(int fd, int prot, int flags)
{
    long r = sys(mmap, 0, 4096L, prot, flags, fd, 0L);
    if (r < 0)
        return r;
    munmap((void *)r, 4096);
    return 0;
}
OP(o_mappriv, return map(fd, PROT_READ, MAP_PRIVATE);)
OP(o_mapprivw, return map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);)
OP(o_mapshared, return map(fd, PROT_READ, MAP_SHARED);)
OP(o_mapsharedw, return map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);)
OP(o_epolladd, int e = epoll_create1(0); struct epoll_event v = {.events = EPOLLIN};
   long r = sys(epoll_ctl, e, EPOLL_CTL_ADD, fd, &v); close(e); return r;)
OP(o_epolldel, int e = epoll_create1(0); long r = sys(epoll_ctl, e, EPOLL_CTL_DEL, fd, NULL);
   close(e); return r;)
OP(o_epollin, struct epoll_event v = {.events = EPOLLIN}; int e = eventfd(0, 0);
   long r = sys(epoll_ctl, fd, EPOLL_CTL_ADD, e, &v); close(e); return r;)
OP(o_epollwait, struct epoll_event v; return sys(epoll_wait, fd, &v, 1, 0);)
OP(o_poll, struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
   long r = sys(poll, &p, 1, 0); return r < 0 ? r : p.revents;)
OP(o_pollnorm, struct pollfd p = {fd, POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND, 0};
   long r = sys(poll, &p, 1, 0); return r < 0 ? r : p.revents;)
OP(o_getsockname, char a[128]; int n = 128; long r = sys(getsockname, fd, a, &n);
   return r < 0 ? r : n;)
OP(o_getpeername, char a[128]; int n = 128; long r = sys(getpeername, fd, a, &n);
   return r < 0 ? r : n;)
OP(o_listen, return sys(listen, fd, 1);)
OP(o_accept, return fd_only(sys(accept4, fd, NULL, NULL, SOCK_NONBLOCK));)
OP(o_shutdown, return sys(shutdown, fd, SHUT_WR);)
OP(o_shutdownbad, return sys(shutdown, fd, 3);)
OP(o_recv, return sys(recvfrom, fd, buf, 8, MSG_DONTWAIT, NULL, NULL);)
OP(o_send, return sys(sendto, fd, buf, 8, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);)
OP(o_sotype, int v; int n = 4; long r = sys(getsockopt, fd, SOL_SOCKET, SO_TYPE, &v, &n);
   return r < 0 ? r : v;)
OP(o_soerror, int v; int n = 4; long r = sys(getsockopt, fd, SOL_SOCKET, SO_ERROR, &v, &n);
   return r < 0 ? r : v;)
OP(o_soaccept, int v; int n = 4; long r = sys(getsockopt, fd, SOL_SOCKET, SO_ACCEPTCONN, &v, &n);
   return r < 0 ? r : v;)
OP(o_setkeep, int v = 1; return sys(setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, &v, 4);)
OP(o_connectnone, return sys(connect, fd, buf, 0);)
OP(o_bindnone, return sys(bind, fd, buf, 1);)
OP(o_getxattr, return sys(fgetxattr, fd, "user.none", buf, 10);)
OP(o_listxattr, return sys(flistxattr, fd, buf, 0);)
OP(o_removexattr, return sys(fremovexattr, fd, "user.none");)
OP(o_futimens, return sys(utimensat, fd, NULL, NULL, 0);)
OP(o_timerget, struct itimerspec t; return sys(timerfd_gettime, fd, &t);)
OP(o_timerset, struct itimerspec t = {{0}}; return sys(timerfd_settime, fd, 0, &t, NULL);)
OP(o_inadd, return sys(inotify_add_watch, fd, ".", IN_CREATE);)
OP(o_inrm, return sys(inotify_rm_watch, fd, 1);)
OP(o_pidsend, return sys(pidfd_send_signal, fd, 0, NULL, 0);)
OP(o_setns, return sys(setns, fd, 0);)
OP(o_handle, return sys(name_to_handle_at, fd, "", buf, buf + 256, 0x9999);)
OP(o_openat2, struct open_how h = {0}; return fd_only(sys(openat2, fd, "f", &h, sizeof(h)));)
OP(o_linkempty, return sys(linkat, fd, "", AT_FDCWD, "new", AT_EMPTY_PATH) == 0
                           ? unlink("new")
                           : sys(linkat, fd, "", AT_FDCWD, "new", AT_EMPTY_PATH);)
OP(o_close, return sys(close, fd);)
OP(o_faccess, return sys(faccessat2, fd, "", R_OK, AT_EMPTY_PATH);)
OP(o_fchownempty, return sys(fchownat, fd, "", -1, -1, AT_EMPTY_PATH);)
OP(o_signalfd, uint64_t s = 1;
   return sys(signalfd4, fd, &s, 8L, 0) == fd ? 0 : sys(signalfd4, fd, &s, 8L, 0);)
OP(o_reopen, char p[64]; sprintf(p, "/proc/self/fd/%d", fd);
   return fd_only(sys(open, p, O_RDONLY | O_NONBLOCK | O_NOCTTY));)
OP(o_statproc, char p[64]; struct stat s; sprintf(p, "/proc/self/fd/%d", fd);
   return sys(newfstatat, AT_FDCWD, p, &s, 0);)

static const struct {
    const char *call, *what;
    long (*ask)(int fd);
    int since;
} ops[] = {
    {"read", "8 bytes", o_read},
    {"read", "nothing", o_read0},
    {"write", "8 bytes", o_write},
    {"write", "nothing", o_write0},
    {"write", "4 bytes", o_write4},
    {"pread64", "8 bytes", o_pread},
    {"pread64", "at -1", o_preadneg},
    {"pwrite64", "8 bytes", o_pwrite},
    {"pwrite64", "at -1", o_pwriteneg},
    {"readv", "two parts", o_readv},
    {"writev", "two parts", o_writev},
    {"readv", "no part", o_readv0},
    {"writev", "no part", o_writev0},
    {"preadv", "at 0", o_preadv},
    {"pwritev", "at 0", o_pwritev},
    {"preadv2", "at -1", o_preadv2},
    {"pwritev2", "at -1", o_pwritev2},
    {"preadv2", "at 0", o_preadv2at},
    {"pwritev2", "at 0", o_pwritev2at},
    {"preadv2", "at -2", o_preadv2neg},
    {"pwritev2", "at -2", o_pwritev2neg},
    {"preadv2", "RWF_NOWAIT", o_readnowait},
    {"pwritev2", "RWF_NOWAIT", o_writenowait},
    {"readv", "second part nowhere", o_readbadpart},
    {"writev", "second part nowhere", o_writebadpart},
    {"writev", "second part missing", o_writelostpart},
    {"statx", "STATX_BTIME", o_birth},
    {"lseek", "SEEK_SET 4", o_seekset},
    {"lseek", "SEEK_CUR", o_seekcur},
    {"lseek", "SEEK_END > 0", o_seekend},
    {"lseek", "SEEK_DATA", o_seekdata},
    {"lseek", "SEEK_HOLE > 0", o_seekhole},
    {"lseek", "-1", o_seekneg},
    {"fsync", "", o_fsync},
    {"fdatasync", "", o_fdatasync},
    {"syncfs", "", o_syncfs},
    {"sync_file_range", "", o_syncrange},
    {"ftruncate", "50", o_ftruncate},
    {"ftruncate", "-1", o_ftruncateneg},
    {"fallocate", "200", o_fallocate},
    {"fallocate", "punch", o_punch},
    {"fadvise64", "random", o_fadvise},
    {"fadvise64", "99", o_fadvisebad},
    {"readahead", "", o_readahead},
    {"fchmod", "0600", o_fchmod},
    {"fchown", "none", o_fchown},
    {"fstat", "type", o_fstat},
    {"fstat", "mode", o_statmode},
    {"fstat", "size", o_statsize},
    {"newfstatat", "AT_EMPTY_PATH", o_statempty},
    {"newfstatat", "name below", o_statnull},
    {"statx", "AT_EMPTY_PATH", o_statx},
    {"fstatfs", "type", o_fstatfs},
    {"fcntl", "F_GETFL", o_getfl},
    {"fcntl", "F_SETFL O_NONBLOCK", o_setfl},
    {"fcntl", "F_SETFL -1", o_setflall},
    {"fcntl", "F_SETFL, F_GETFL", o_setflread},
    {"fcntl", "F_GETFD", o_getfd},
    {"fcntl", "F_SETFD", o_setfd},
    {"dup", "", o_dup},
    {"fcntl", "F_DUPFD_CLOEXEC", o_dupfd},
    {"dup3", "onto itself", o_dup3same},
    {"dup2", "onto itself", o_dup2same},
    {"fcntl", "F_GETLK", o_getlk},
    {"fcntl", "F_SETLK F_RDLCK", o_setlkr},
    {"fcntl", "F_SETLK F_WRLCK", o_setlkw},
    {"fcntl", "F_SETLK F_UNLCK", o_unlk},
    {"fcntl", "F_OFD_GETLK", o_ofdget},
    {"fcntl", "F_OFD_SETLK", o_ofdset},
    {"fcntl", "F_GETOWN", o_getown},
    {"fcntl", "F_SETOWN", o_setown},
    {"fcntl", "F_GETOWN_EX", o_getownex},
    {"fcntl", "F_SETOWN_EX", o_setownex},
    {"fcntl", "F_GETSIG", o_getsig},
    {"fcntl", "F_SETSIG", o_setsig},
    {"fcntl", "F_SETSIG 65", o_setsigbad},
    {"fcntl", "F_GETLEASE", o_getlease},
    {"fcntl", "F_NOTIFY", o_notify},
    {"fcntl", "F_GETPIPE_SZ", o_getpipe},
    {"fcntl", "F_SETPIPE_SZ", o_setpipe},
    {"fcntl", "F_GET_SEALS", o_getseals},
    {"fcntl", "F_ADD_SEALS", o_addseals},
    {"fcntl", "F_GET_RW_HINT", o_hint},
    {"fcntl", "9999", o_fcntlbad},
    {"flock", "LOCK_SH", o_flocksh},
    {"flock", "LOCK_EX", o_flockex},
    {"flock", "LOCK_UN", o_flockun},
    {"flock", "99", o_flockbad},
    {"fchdir", "", o_fchdir},
    {"getdents64", "", o_getdents},
    {"openat", "below", o_openat},
    {"readlinkat", "empty path", o_readlinkat},
    {"ioctl", "FIONREAD > 0", o_ionread},
    {"ioctl", "FIONBIO", o_ionbio},
    {"ioctl", "FIOASYNC off", o_ioasync},
    {"ioctl", "FIOCLEX", o_ioclex},
    {"ioctl", "TCGETS", o_iogets},
    {"ioctl", "TIOCGWINSZ", o_iowinsz},
    {"ioctl", "unknown", o_iobad},
    {"ioctl", "TIOCOUTQ", o_iooutq},
    {"ioctl", "FS_IOC_GETFLAGS", o_iogetfl},
    {"ioctl", "FIOQSIZE", o_ioqsize},
    {"sendfile", "from it", o_sendfrom},
    {"sendfile", "into it", o_sendto_},
    {"copy_file_range", "from it", o_copyfrom},
    {"copy_file_range", "into it", o_copyto},
    {"splice", "from it", o_splicefrom},
    {"splice", "into it", o_spliceto},
    {"tee", "from it", o_tee},
    {"vmsplice", "", o_vmsplice},
    {"mmap", "private, read", o_mappriv},
    {"mmap", "private, write", o_mapprivw},
    {"mmap", "shared, read", o_mapshared},
    {"mmap", "shared, write", o_mapsharedw},
    {"epoll_ctl", "ADD", o_epolladd},
    {"epoll_ctl", "DEL what is not there", o_epolldel},
    {"epoll_ctl", "as the epoll", o_epollin},
    {"epoll_wait", "on it", o_epollwait},
    {"poll", "events", o_poll},
    {"poll", "normal and band", o_pollnorm},
    {"getsockname", "size", o_getsockname},
    {"getpeername", "size", o_getpeername},
    {"listen", "", o_listen},
    {"accept4", "", o_accept},
    {"shutdown", "SHUT_WR", o_shutdown},
    {"shutdown", "3", o_shutdownbad},
    {"recvfrom", "", o_recv},
    {"sendto", "", o_send},
    {"getsockopt", "SO_TYPE", o_sotype},
    {"getsockopt", "SO_ERROR", o_soerror},
    {"getsockopt", "SO_ACCEPTCONN", o_soaccept},
    {"setsockopt", "SO_KEEPALIVE", o_setkeep},
    {"connect", "size 0", o_connectnone},
    {"bind", "size 1", o_bindnone},
    {"fgetxattr", "none", o_getxattr, 6006},
    {"flistxattr", "size", o_listxattr},
    {"fremovexattr", "none", o_removexattr, 6006},
    {"utimensat", "by descriptor", o_futimens},
    {"timerfd_gettime", "", o_timerget},
    {"timerfd_settime", "", o_timerset},
    {"inotify_add_watch", "", o_inadd},
    {"inotify_rm_watch", "", o_inrm},
    {"pidfd_send_signal", "0", o_pidsend},
    {"name_to_handle_at", "bad flags", o_handle},
    {"openat2", "below", o_openat2},
    {"linkat", "AT_EMPTY_PATH", o_linkempty},
    {"close", "", o_close},
    {"faccessat2", "AT_EMPTY_PATH", o_faccess},
    {"fchownat", "AT_EMPTY_PATH", o_fchownempty},
    {"signalfd4", "of it", o_signalfd},
    {"open", "its name in /proc/self/fd", o_reopen},
    {"newfstatat", "its name in /proc/self/fd", o_statproc},
    {"read", "to a bad address", o_readbad},
};

int main(void)
{
    facts_begin();
    signal(SIGPIPE, SIG_IGN);
    put_file("f", "0123456789abcdef", 0644);
    put_file("g", "ABCDEFGHIJKLMNOP", 0644);
    for (long k = 0; k < COUNT(kinds); k++) {
        for (long o = 0; o < COUNT(ops); o++) {
            other = -1;
            int fd = kinds[k].make();
            facts_since = ops[o].since;
            say(ops[o].call, ops[o].ask(fd), "%s%s%s", ops[o].what, *ops[o].what ? ": " : "",
                kinds[k].name);
            facts_since = 0;
            if (fd >= 0)
                close(fd);
            if (other >= 0)
                close(other);
        }
    }
    facts_end();
    return 0;
}
