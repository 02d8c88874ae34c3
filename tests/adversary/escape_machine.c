// SPDX-License-Identifier: Apache-2.0
// QEMU in a guest's hands: this program is executed in its place and tries to get out, by the
// host's system calls themselves. One line an attempt into the file `result` of the first shared
// folder: its name, and EPERM and so on, or "done". Arguments are QEMU's; the file `target` of that
// folder names a process outside and a file that nobody may read.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static FILE *out;
static char share[4096];
static long outside; /* a process */
static char secret[4096];

static void tell(const char *name, long r)
{
    fprintf(out, "%s %s\n", name, r < 0 ? strerrorname_np(errno) : "done");
    fflush(out);
}

#define TRY(name, call) tell(name, (long)(call))
#define NOWHERE "/shelter-is-not-here"

static const char *in_share(const char *name)
{
    static char path[2][4200];
    static unsigned turn;
    turn = !turn;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", share, name);
    return path[turn];
}

static void try_files(char *const *argv)
{
    char text[8];
    TRY("secret", open(secret, O_RDONLY));
    TRY("shadow", open("/etc/shadow", O_RDONLY));
    TRY("passwd", open("/etc/passwd", O_RDONLY));
    TRY("home", open("/root", O_RDONLY));
    TRY("create", open("/tmp/shelter-escaped", O_WRONLY | O_CREAT, 0600));
    TRY("root", open("/shelter-escaped", O_WRONLY | O_CREAT, 0600));
    TRY("programs", open("/usr/bin/shelter-escaped", O_WRONLY | O_CREAT, 0600));
    TRY("itself", open(argv[0], O_WRONLY));
    TRY("memory", open("/dev/mem", O_RDWR));
    TRY("sys", open("/sys/kernel", O_RDONLY));
    TRY("init", open("/proc/1/environ", O_RDONLY));
    TRY("sysctl", open("/proc/sys/kernel/core_pattern", O_WRONLY));
    TRY("folder", open("/proc/self/cwd/etc/passwd", O_RDONLY));
    TRY("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
    TRY("bind", mount("/", "/tmp", NULL, MS_BIND, NULL));
    TRY("umount", umount2("/", MNT_DETACH));
    TRY("chroot", chroot(share));
    TRY("handle", syscall(SYS_open_by_handle_at, 0, text, 0));
    TRY("openat2", syscall(SYS_openat2, AT_FDCWD, "/", text, 24));
}

/* What a share gives to whoever finds it later. */
static void try_share(void)
{
    int fd = open(in_share("file"), O_RDWR | O_CREAT, 0755);
    char magic[48];
    snprintf(magic, sizeof(magic), "/proc/self/fd/%d", fd);
    TRY("share", fd);
    TRY("chmod", chmod(in_share("file"), 04755));
    TRY("chmod_group", chmod(in_share("file"), 02755));
    TRY("chmod_magic", chmod(magic, 04755));
    TRY("fchmod", fchmod(fd, 04755));
    TRY("fchmodat", fchmodat(AT_FDCWD, in_share("file"), 04755, 0));
    TRY("fchmodat2", syscall(452, AT_FDCWD, in_share("file"), 04755, 0));
    TRY("creat", creat(in_share("set"), 04755));
    TRY("open_mode", open(in_share("set"), O_CREAT | O_WRONLY, 06755));
    TRY("mkdir", mkdir(in_share("setdir"), 02755));
    TRY("mknod_file", mknod(in_share("set"), S_IFREG | 04755, 0));
    TRY("character", mknod(in_share("char"), S_IFCHR | 0666, 1 << 8 | 1));
    TRY("block", mknod(in_share("block"), S_IFBLK | 0666, 8 << 8));
    TRY("chown", chown(in_share("file"), 0, 0));
    TRY("capability", syscall(SYS_setxattr, in_share("file"), "security.capability", "x", 1, 0));
    TRY("link", symlink("/etc/passwd", in_share("link")));
    TRY("follow", open(in_share("link"), O_RDONLY));
    TRY("up", open(in_share("../secret"), O_RDONLY));
    TRY("rename", rename(in_share("file"), "/usr/bin/shelter-escaped"));
    TRY("hardlink", link("/usr/bin/env", in_share("hard")));
    TRY("execute", execl(in_share("program"), "x", (char *)NULL));
}

static void try_processes(void)
{
    char buf[256];
    struct iovec v = {buf, 8};
    TRY("kill", kill((pid_t)outside, 0));
    TRY("kill_all", kill(-1, SIGKILL));
    TRY("kill_group", kill(-(pid_t)outside, 0));
    TRY("parent", getppid() ? 0 : (errno = ESRCH, -1));
    TRY("ptrace", ptrace(PTRACE_ATTACH, (pid_t)outside, 0, 0));
    TRY("traceme", ptrace(PTRACE_TRACEME, 0, 0, 0));
    TRY("vm_write", process_vm_writev((pid_t)outside, &v, 1, &v, 1, 0));
    TRY("vm_read", process_vm_readv(getpid(), &v, 1, &v, 1, 0));
    TRY("pidfd", syscall(SYS_pidfd_open, outside, 0));
    TRY("getfd", syscall(SYS_pidfd_getfd, 0, 0, 0));
    TRY("sigio", fcntl(2, F_SETOWN, (int)outside));
    TRY("priority", syscall(SYS_setpriority, 0, outside, -20));
}

static void try_rights(void)
{
    char buf[256] = "";
    TRY("setuid", syscall(SYS_setuid, 0));
    TRY("setgid", syscall(SYS_setgid, 0));
    TRY("setgroups", syscall(SYS_setgroups, 0, NULL));
    TRY("unshare", unshare(CLONE_NEWUSER));
    TRY("clone_user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    TRY("clone3", syscall(SYS_clone3, buf, 88));
    TRY("setns", setns(0, 0));
    TRY("keyctl", syscall(SYS_keyctl, 0, -3, 0));
    TRY("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -4));
    TRY("request_key", syscall(SYS_request_key, "user", "x", NULL, 0));
    TRY("bpf", syscall(SYS_bpf, 0, buf, sizeof(buf)));
    TRY("perf", syscall(SYS_perf_event_open, buf, 0, -1, -1, 0));
    TRY("io_uring", syscall(SYS_io_uring_setup, 1, buf));
    TRY("userfaultfd", syscall(SYS_userfaultfd, 0));
    TRY("ldt", syscall(SYS_modify_ldt, 0, buf, sizeof(buf)));
    TRY("personality", syscall(SYS_personality, 0xffffffff));
    TRY("vmsplice", syscall(SYS_vmsplice, 1, NULL, 0, 0));
    TRY("remap", syscall(SYS_remap_file_pages, 0, 0, 0, 0, 0));
    TRY("move_pages", syscall(SYS_move_pages, 0, 0, NULL, NULL, NULL, 0));
    TRY("hidden_memory", syscall(SYS_memfd_secret, 0));
    TRY("module", syscall(SYS_init_module, buf, 1, ""));
    TRY("kexec", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    TRY("reboot", syscall(SYS_reboot, 0, 0, 0, 0));
    TRY("sethostname", sethostname("x", 1));
    TRY("settime", syscall(SYS_clock_settime, 0, buf));
    TRY("new_privileges", prctl(PR_GET_NO_NEW_PRIVS) ? (errno = EPERM, -1) : 0);
}

static long connect_to(int family, const void *address, socklen_t size)
{
    int fd = socket(family, SOCK_STREAM, 0);
    return fd < 0 ? -1 : connect(fd, address, size);
}

static void try_network(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(22)};
    struct sockaddr_un u = {.sun_family = AF_UNIX};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    TRY("loopback", connect_to(AF_INET, &a, sizeof(a)));
    a.sin_addr.s_addr = htonl(0xa9fea9feu);
    TRY("metadata", connect_to(AF_INET, &a, sizeof(a)));
    a.sin_addr.s_addr = htonl(0x08080808u);
    TRY("internet", connect_to(AF_INET, &a, sizeof(a)));
    memcpy(u.sun_path, "\0shelter-test", 13);
    TRY("abstract",
        connect_to(AF_UNIX, &u, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 13)));
    strcpy(u.sun_path, "/run/dbus/system_bus_socket");
    TRY("bus", connect_to(AF_UNIX, &u, sizeof(u)));
    TRY("packet", socket(AF_PACKET, SOCK_RAW, 0));
    TRY("raw", socket(AF_INET, SOCK_RAW, 1));
}

/* Anything open that was not given to QEMU, and is no socket, pipe or /dev/null? */
static void look_at_descriptors(void)
{
    for (int fd = 0; fd < 1024; fd++) {
        char path[40], target[4096] = "";
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (fd == fileno(out) || readlink(path, target, sizeof(target) - 1) < 0)
            continue;
        if (strncmp(target, "socket:", 7) && strncmp(target, "pipe:", 5) &&
            strcmp(target, "/dev/null"))
            fprintf(out, "descriptor %s\n", target);
    }
}

static bool read_target(void)
{
    FILE *f = fopen(in_share("target"), "re");
    bool good = f && fscanf(f, "%ld %4095s", &outside, secret) == 2;
    if (f)
        fclose(f);
    return good;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc && !share[0]; i++) {
        const char *path = strstr(argv[i], "path=");
        if (!strncmp(argv[i], "local,id=fs0", 12) && path)
            snprintf(share, sizeof(share), "%.*s", (int)strcspn(path + 5, ","), path + 5);
    }
    if (!share[0] || !(out = fopen(in_share("result"), "we")) || !read_target())
        return 3;
    look_at_descriptors();
    fprintf(out, "environment %s\n", environ[0] ? "some" : "none");
    try_files(argv);
    try_processes();
    try_rights();
    try_network();
    try_share();
    fprintf(out, "end\n");
    return fclose(out) ? 3 : 0;
}
