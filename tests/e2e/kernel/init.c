// SPDX-License-Identifier: Apache-2.0
// PID 1 of the guest kernel's own test: says what the kernel offers and powers off.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// A call counts as there unless the kernel has no such call: bad arguments are refused differently.
static void call(const char *name, long number)
{
    errno = 0;
    long r = syscall(number, -1, 0, 0, 0, 0, 0);
    printf("call %s %s\n", name, r == -1 && errno == ENOSYS ? "no" : "yes");
}

static void family(const char *name, int af, int type)
{
    int fd = socket(af, type, 0);
    printf("socket %s %s\n", name, fd < 0 ? "no" : "yes");
    if (fd >= 0)
        close(fd);
}

static void file(const char *path)
{
    printf("file %s %s\n", path, access(path, F_OK) ? "no" : "yes");
}

static void content(const char *path)
{
    char line[512];
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    while (fgets(line, sizeof line, f))
        printf("%s: %s", path, line);
    fclose(f);
}

// The drivers bound to virtio devices.
static void virtio(void)
{
    DIR *d = opendir("/sys/bus/virtio/devices");
    struct dirent *e;
    while (d && (e = readdir(d))) {
        char path[512], link[256];
        snprintf(path, sizeof path, "/sys/bus/virtio/devices/%s/driver", e->d_name);
        ssize_t n = readlink(path, link, sizeof link - 1);
        if (n <= 0)
            continue;
        link[n] = 0;
        printf("virtio %s\n", strrchr(link, '/') + 1);
    }
    if (d)
        closedir(d);
}

int main(void)
{
    static const char *const dirs[] = {"/proc", "/sys", "/dev"};
    static const char *const types[] = {"proc", "sysfs", "devtmpfs"};
    for (int i = 0; i < 3; i++) {
        mkdir(dirs[i], 0755);
        if (mount(types[i], dirs[i], types[i], 0, NULL) && errno != EBUSY)
            printf("mount %s: %s\n", dirs[i], strerror(errno));
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("init reached\n");
    call("shmget", SYS_shmget);
    call("semget", SYS_semget);
    call("msgget", SYS_msgget);
    call("mq_open", SYS_mq_open);
    call("inotify_init1", SYS_inotify_init1);
    call("io_setup", SYS_io_setup);
    call("futex", SYS_futex);
    call("epoll_create1", SYS_epoll_create1);
    call("signalfd4", SYS_signalfd4);
    call("timerfd_create", SYS_timerfd_create);
    call("eventfd2", SYS_eventfd2);
    call("memfd_create", SYS_memfd_create);
    call("membarrier", SYS_membarrier);
    call("seccomp", SYS_seccomp);
    call("pkey_alloc", SYS_pkey_alloc);
    call("flock", SYS_flock);
    call("madvise", SYS_madvise);
    call("ptrace", SYS_ptrace);
    call("rseq", 334);
    call("io_uring_setup", 425);
    call("bpf", SYS_bpf);
    call("userfaultfd", SYS_userfaultfd);
    call("kexec_load", SYS_kexec_load);
    call("init_module", SYS_init_module);
    call("modify_ldt", SYS_modify_ldt);
    call("swapon", SYS_swapon);
    family("inet", AF_INET, SOCK_STREAM);
    family("inet6", AF_INET6, SOCK_DGRAM);
    family("unix", AF_UNIX, SOCK_STREAM);
    family("netlink", AF_NETLINK, SOCK_RAW);
    family("vsock", AF_VSOCK, SOCK_STREAM);
    family("packet", AF_PACKET, SOCK_RAW);
    family("alg", 38, SOCK_SEQPACKET);
    file("/dev/null");
    file("/dev/ptmx");
    file("/dev/hwrng");
    file("/dev/mem");
    file("/dev/port");
    file("/dev/mapper/control");
    file("/proc/modules");
    file("/proc/kcore");
    file("/proc/sysrq-trigger");
    file("/proc/self/smaps");
    content("/proc/filesystems");
    content("/sys/devices/system/clocksource/clocksource0/available_clocksource");
    content("/sys/devices/system/cpu/online");
    virtio();
    printf("init done\n");
    fflush(stdout);
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}
