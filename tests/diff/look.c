// SPDX-License-Identifier: Apache-2.0
// /proc and /sys as programs read them: what is there, which members a file has, what can be done to it. Values
// belong to the machine.
#include "facts.h"

#include <ctype.h>
#include <dirent.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

static char buf[65536];

static long slurp(const char *path)
{
    int fd = open(path, O_RDONLY);
    long n = fd < 0 ? -errno : read(fd, buf, sizeof(buf) - 1);
    if (fd >= 0)
        close(fd);
    buf[n > 0 ? n : 0] = 0;
    return n;
}

/* Of "name: value" and "name value" lines, the names that we know of Linux. */
static void members(const char *path, const char *const *names)
{
    slurp(path);
    for (; *names; names++) {
        size_t n = strlen(*names);
        int there = 0;
        for (char *p = buf; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
            there |= !strncmp(p, *names, n);
        say("read", there, "%s has %s", path, *names);
    }
}

static void text(const char *path)
{
    slurp(path);
    for (char *p = buf; *p; p++)
        if (*p == '\n' || *p == '\t')
            *p = ' ';
    buf[100] = 0;
    say_text("read", buf, "%s", path);
}

int main(void)
{
    static const char *const files[] = {
        "/proc/self/maps", "/proc/self/smaps", "/proc/self/smaps_rollup", "/proc/self/stat", "/proc/self/statm", "/proc/self/status", "/proc/self/cmdline",
        "/proc/self/environ", "/proc/self/comm", "/proc/self/limits", "/proc/self/mounts", "/proc/self/mountinfo", "/proc/self/cgroup", "/proc/self/oom_score_adj",
        "/proc/self/oom_score", "/proc/self/io", "/proc/self/auxv", "/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups", "/proc/self/timerslack_ns",
        "/proc/cpuinfo", "/proc/meminfo", "/proc/uptime", "/proc/loadavg", "/proc/stat", "/proc/version", "/proc/filesystems", "/proc/vmstat", "/proc/diskstats",
        "/proc/partitions", "/proc/swaps", "/proc/cgroups", "/proc/devices", "/proc/mounts", "/proc/cmdline", "/proc/sys/kernel/ostype", "/proc/sys/kernel/osrelease",
        "/proc/sys/kernel/version", "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname", "/proc/sys/kernel/threads-max", "/proc/sys/kernel/pid_max", "/proc/sys/kernel/tainted",
        "/proc/sys/kernel/random/uuid", "/proc/sys/kernel/random/boot_id", "/proc/sys/kernel/random/entropy_avail", "/proc/sys/kernel/random/poolsize", "/proc/sys/kernel/cap_last_cap",
        "/proc/sys/kernel/ngroups_max", "/proc/sys/kernel/shmmax", "/proc/sys/kernel/shmall", "/proc/sys/kernel/sem", "/proc/sys/kernel/msgmax", "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/randomize_va_space", "/proc/sys/vm/overcommit_memory", "/proc/sys/vm/max_map_count", "/proc/sys/vm/swappiness", "/proc/sys/vm/mmap_min_addr",
        "/proc/sys/vm/nr_hugepages", "/proc/sys/vm/overcommit_ratio", "/proc/sys/fs/file-max", "/proc/sys/fs/file-nr", "/proc/sys/fs/nr_open", "/proc/sys/fs/pipe-max-size",
        "/proc/sys/fs/aio-max-nr", "/proc/sys/fs/inotify/max_user_watches", "/proc/sys/fs/inotify/max_queued_events", "/proc/sys/fs/mqueue/msg_max", "/proc/sys/fs/epoll/max_user_watches",
        "/proc/sys/net/core/somaxconn", "/proc/sys/net/ipv4/ip_local_port_range", "/proc/sys/net/ipv4/tcp_keepalive_time", "/proc/sys/net/ipv4/tcp_fin_timeout",
        "/proc/self/none", "/proc/none", "/proc/sys/none", "/sys/none",
        "/sys/devices/system/cpu/online", "/sys/devices/system/cpu/possible", "/sys/devices/system/cpu/present", "/sys/devices/system/cpu/kernel_max",
    };
    static const char *const folders[] = {"/proc", "/proc/self", "/proc/self/fd", "/proc/self/task", "/proc/self/ns", "/proc/sys", "/proc/sys/kernel", "/proc/sys/vm", "/proc/sys/fs", "/proc/sys/net", "/sys",
                                          "/sys/devices/system/cpu", "/sys/fs", "/sys/kernel/mm", "/sys/class/net"};
    static const char *const links[] = {"/proc/self/exe", "/proc/self/cwd", "/proc/self/root", "/proc/self/ns/uts", "/proc/self/ns/pid", "/proc/self/fd/0", "/proc/mounts", "/proc/self"};
    static const char *const status[] = {"Name:", "Umask:", "State:", "Tgid:", "Ngid:", "Pid:", "PPid:", "TracerPid:", "Uid:", "Gid:", "FDSize:", "Groups:", "NStgid:", "NSpid:", "NSpgid:", "NSsid:", "VmPeak:",
                                         "VmSize:", "VmLck:", "VmHWM:", "VmRSS:", "VmSwap:", "Threads:", "SigQ:", "SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:",
                                         "CapAmb:", "NoNewPrivs:", "Seccomp:", "Cpus_allowed_list:", "Mems_allowed_list:", "voluntary_ctxt_switches:", "None:", NULL};
    static const char *const limits[] = {"Limit ", "Max cpu time ", "Max file size ", "Max data size ", "Max stack size ", "Max core file size ", "Max resident set ", "Max processes ", "Max open files ",
                                         "Max locked memory ", "Max address space ", "Max file locks ", "Max pending signals ", "Max msgqueue size ", "Max nice priority ", "Max realtime priority ", "Max realtime timeout ", NULL};
    static const char *const meminfo[] = {"MemTotal:", "MemFree:", "MemAvailable:", "Buffers:", "Cached:", "SwapTotal:", "SwapFree:", NULL};
    static const char *const smaps[] = {"Size:", "Rss:", "Pss:", "Private_Dirty:", "Anonymous:", "Swap:", "Locked:", NULL};
    facts_begin();
    for (long i = 0; i < COUNT(files); i++) {
        struct stat st;
        long n = slurp(files[i]);
        say("open", n < 0 ? n : 0, "%s", files[i]);
        say("open", n > 0 ? buf[n - 1] == '\n' : 0, "%s: ends with a line", files[i]);
        long r = sys(stat, files[i], &st);
        say("stat", r, "%s", files[i]);
        if (!r) {
            say("stat", st.st_mode & S_IFMT, "%s: type", files[i]);
            say("stat", st.st_mode & 0444 ? 1 : 0, "%s: readable", files[i]);
        }
        say("unlink", sys(unlink, files[i]), "%s", files[i]);
        say("access", sys(access, files[i], R_OK), "%s", files[i]);
    }
    for (long i = 0; i < COUNT(folders); i++) {
        DIR *d = opendir(folders[i]);
        int n = 0;
        for (struct dirent *e; d && (e = readdir(d));)
            n++;
        say("getdents64", d ? n > 0 : -ENOENT, "%s", folders[i]);
        if (d)
            closedir(d);
        struct stat st;
        say("stat", sys(stat, folders[i], &st) ? 0 : st.st_mode & S_IFMT, "%s", folders[i]);
        char path[128];
        snprintf(path, sizeof(path), "%s/new", folders[i]);
        say("mkdir", sys(mkdir, path, 0700) < 0, "%s: refused", path);
        say("open", sys(open, path, O_CREAT | O_RDWR, 0600) < 0, "%s: refused", path);
    }
    for (long i = 0; i < COUNT(links); i++) {
        say("readlink", sys(readlink, links[i], buf, 4096) > 0, "%s", links[i]);
        struct stat st;
        say("lstat", sys(lstat, links[i], &st) ? 0 : st.st_mode & S_IFMT, "%s", links[i]);
    }
    members("/proc/self/status", status);
    members("/proc/self/limits", limits);
    members("/proc/meminfo", meminfo);
    members("/proc/self/smaps", smaps);
    prctl(PR_SET_NAME, "a new name");
    text("/proc/self/comm");
    text("/proc/sys/kernel/ostype");
    text("/proc/sys/kernel/tainted");
    text("/proc/sys/fs/pipe-max-size");
    text("/proc/sys/kernel/cap_last_cap");
    text("/proc/sys/fs/mqueue/msg_max");
    text("/proc/sys/net/ipv4/ip_local_port_range");
    /* A descriptor shows the name that its file has now. */
    put_file("one", "x", 0600);
    int fd = open("one", O_RDONLY);
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    rename("one", "two");
    long n = readlink(link, buf, 4096);
    buf[n > 0 ? n : 0] = 0;
    say_text("readlink", strrchr(buf, '/') ? strrchr(buf, '/') : buf, "after rename");
    unlink("two");
    n = readlink(link, buf, 4096);
    buf[n > 0 ? n : 0] = 0;
    say_text("readlink", strrchr(buf, '/') ? strrchr(buf, '/') : buf, "after unlink");
    /* stat: 52 fields; the name may hold anything. */
    prctl(PR_SET_NAME, "a) b (c");
    slurp("/proc/self/stat");
    char *p = strrchr(buf, ')');
    int fields = 2;
    for (char *q = p; q && *q; q++)
        fields += *q == ' ';
    say("read", fields, "/proc/self/stat: fields");
    say("read", p ? p[2] : 0, "/proc/self/stat: state");
    slurp("/proc/self/auxv");
    long *aux = (long *)buf;
    while (aux[0] && aux[0] != AT_PHDR)
        aux += 2;
    say("read", aux[0] && aux[1] == (long)getauxval(AT_PHDR), "/proc/self/auxv is the program's");
    facts_end();
    return 0;
}
