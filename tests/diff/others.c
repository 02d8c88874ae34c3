// SPDX-License-Identifier: Apache-2.0
// What a process sees of others, and of the tree: another root, System V's objects by index, /proc
// of other processes, their memory.
#include "facts.h"

#include <dirent.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/times.h>
#include <sys/un.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* Facts are columns. */
static char *untabbed(char *line)
{
    for (char *tab; (tab = strchr(line, '\t'));)
        *tab = ' ';
    return line;
}

/* ---- another root ---- */

static void where(const char *what)
{
    char buf[4096], link[4096] = "";
    long r = sys(getcwd, buf, sizeof(buf));
    char *cut = r > 0 ? strstr(buf, facts_folder) : NULL;
    if (cut) /* its name is chance */
        memmove(cut, cut + strlen(facts_folder), strlen(cut + strlen(facts_folder)) + 1);
    say_text("getcwd", r > 0 ? buf : strerrorname_np(errno), "chroot: %s", what);
    say("open", fd_only(sys(open, "/inside", O_RDONLY)), "chroot: %s: /inside", what);
    say("open", fd_only(sys(open, "/dev/null", O_RDONLY)), "chroot: %s: /dev/null", what);
    say("open", fd_only(sys(open, "../outside", O_RDONLY)), "chroot: %s: ../outside", what);
    say("open", fd_only(sys(open, "../../../../../dev/null", O_RDONLY)), "chroot: %s: up and up",
        what);
    say("open", fd_only(sys(open, "/link", O_RDONLY)), "chroot: %s: absolute link", what);
    r = readlink("/proc/self/root", link, sizeof(link));
    say("readlink", r, "chroot: %s: /proc/self/root", what);
}

static void roots(void)
{
    char up[4200];
    mkdir("jail", 0755);
    mkdir("jail/sub", 0755);
    put_file("jail/inside", "x", 0644);
    put_file("outside", "x", 0644);
    symlink("/inside", "jail/link");
    mkdir("locked", 0);
    chmod("locked", 0);
    say("chroot", sys(chroot, "none"), "none");
    say("chroot", sys(chroot, "outside"), "a file");
    say("chroot", sys(chroot, 1), "bad pointer");
    say("chroot", sys(chroot, ""), "empty");
    memset(up, 'a', sizeof(up));
    up[sizeof(up) - 1] = 0;
    say("chroot", sys(chroot, up), "too long");
    symlink("loop", "loop");
    say("chroot", sys(chroot, "loop"), "loop");
    pid_t pid = fork();
    if (!pid) {
        setresuid(1000, 1000, 1000);
        say("chroot", sys(chroot, "jail"), "user");
        say("chroot", sys(chroot, "locked"), "user: no right to search");
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    pid = fork();
    if (!pid) {
        int old = open(".", O_RDONLY | O_DIRECTORY), fd = open("jail/inside", O_RDONLY);
        where("before");
        say("chroot", sys(chroot, "jail"), "root");
        where("still outside");
        say("chdir", sys(chdir, "/"), "chroot: to it");
        where("inside");
        say("chdir", sys(chdir, "sub"), "chroot: below");
        where("below");
        sprintf(up, "/proc/self/fd/%d", fd);
        say("readlink", sys(readlink, up, up, sizeof(up)), "chroot: no /proc there");
        say("fchdir", sys(fchdir, old), "chroot: by an old descriptor");
        where("out by descriptor");
        sys(chdir, "/sub");
        pid_t child = fork();
        if (!child) {
            where("child");
            _exit(0);
        }
        waitpid(child, NULL, 0);
        say("chroot", sys(chroot, "."), "root: again");
        where("again");
        say("link", sys(link, "/proc/self/exe", "x"), "chroot: from nowhere");
        say("mkdir", sys(mkdir, "/new", 0700), "chroot: at the top");
        say("rmdir", sys(rmdir, "/new"), "chroot: at the top");
        say("rename", sys(rename, "/..", "/x"), "chroot: dots");
        say("execve", sys(execve, "/bin/others", NULL, NULL), "chroot: nothing there");
        setresuid(1000, 1000, 1000);
        say("chroot", sys(chroot, "."), "chroot: user inside");
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    where("afterwards");
}

/* ---- System V's objects by index ---- */

/* The line of /proc/sysvipc/KIND that belongs to id, in which ids and times are as they are told.
 */
static void line_of(const char *kind, int id, int fields)
{
    char path[64], line[512], *at;
    snprintf(path, sizeof(path), "/proc/sysvipc/%s", kind);
    FILE *f = fopen(path, "r");
    for (int n = 0; f && fgets(line, sizeof(line), f); n++) {
        line[strcspn(line, "\n")] = 0;
        if (!n) {
            say_text("open", line, "%s: head", path);
            continue;
        }
        long v[20];
        int count = 0;
        for (at = line; count < 20 && *at; count++) {
            v[count] = strtol(at, &at, count == 2 ? 8 : 10);
            at += strspn(at, " ");
        }
        if (v[1] != id)
            continue;
        say("open", count, "%s: fields", path);
        say("open", (long)strlen(line), "%s: length", path);
        for (int i = 2; i < fields; i++)
            say("open",
                (kind[0] == 'm' ? i == 5 || i == 6 : kind[1] == 'h' && (i == 4 || i == 5))
                    ? (v[i] == getpid()) + 2 * !v[i]
                    : v[i],
                "%s: field %d", path, i);
    }
    if (f)
        fclose(f);
    else
        say("open", -errno, "%s", path);
}

static int index_of(int (*stat_of)(int index))
{
    for (int i = 0; i < 64; i++)
        if (stat_of(i))
            return i;
    return -1;
}

static int queue_id, set_id, segment_id;
static struct msqid_ds queue_state;
static struct semid_ds set_state;
static struct shmid_ds segment_state;
static int stat_queue(int i)
{
    return msgctl(i, MSG_STAT, &queue_state) == queue_id;
}
static int stat_set(int i)
{
    return semctl(i, 0, SEM_STAT, &set_state) == set_id;
}
static int stat_segment(int i)
{
    return shmctl(i, SHM_STAT, &segment_state) == segment_id;
}

static void system_v(const char *as)
{
    struct {
        long type;
        char text[64];
    } m = {1, "one"};
    queue_id = msgget(0x1234, IPC_CREAT | 0640);
    set_id = semget(0x1234, 3, IPC_CREAT | 0604);
    segment_id = shmget(0x1234, 5000, IPC_CREAT | 0600);
    for (int i = 1; i < 4; i++) {
        m.type = i;
        say("msgsnd", sys(msgsnd, queue_id, &m, 4 * i, 0), "%s: %d", as, i);
    }
    say("msgctl", index_of(stat_queue) >= 0, "%s: MSG_STAT", as);
    say("msgctl", (long)queue_state.msg_qnum, "%s: MSG_STAT: messages", as);
    say("msgctl", (long)queue_state.__msg_cbytes, "%s: MSG_STAT: bytes", as);
    say("msgctl", queue_state.msg_perm.mode, "%s: MSG_STAT: mode", as);
    say("semctl", index_of(stat_set) >= 0, "%s: SEM_STAT", as);
    say("semctl", (long)set_state.sem_nsems, "%s: SEM_STAT: semaphores", as);
    say("shmctl", index_of(stat_segment) >= 0, "%s: SHM_STAT", as);
    say("shmctl", (long)segment_state.shm_segsz, "%s: SHM_STAT: size", as);
    say("msgctl", sys(msgctl, 70000, MSG_STAT, &queue_state), "%s: MSG_STAT of none", as);
    say("msgctl", sys(msgctl, -1, MSG_STAT, &queue_state), "%s: MSG_STAT below", as);
    since(4, 17);
    say("msgctl", sys(msgctl, index_of(stat_queue), 13, &queue_state) == queue_id,
        "%s: MSG_STAT_ANY", as);
    say("msgctl", sys(msgctl, index_of(stat_queue), 13, 1), "%s: MSG_STAT_ANY to nowhere", as);
    since(0, 0);
    struct msginfo info;
    say("msgctl", msgctl(0, MSG_INFO, (void *)&info) >= 0, "%s: MSG_INFO", as);
    say("msgctl", info.msgpool, "%s: MSG_INFO: queues", as);
    say("msgctl", info.msgmap, "%s: MSG_INFO: messages", as);
    say("msgctl", info.msgtql, "%s: MSG_INFO: bytes", as);
    say("msgctl", msgctl(0, IPC_INFO, (void *)&info) >= 0, "%s: IPC_INFO", as);
    say("msgctl", info.msgmax, "%s: IPC_INFO: msgmax", as);
    say("msgctl", info.msgmnb, "%s: IPC_INFO: msgmnb", as);
    for (int at = -1; at < 5; at++)
        for (int flags = 0; flags < 8; flags++) {
            int f = MSG_COPY | (flags & 1 ? IPC_NOWAIT : 0) | (flags & 2 ? MSG_NOERROR : 0) |
                    (flags & 4 ? MSG_EXCEPT : 0);
            memset(&m, 0, sizeof(m));
            say("msgrcv", sys(msgrcv, queue_id, &m, 60, at, f), "%s: MSG_COPY of %d, %x", as, at,
                f);
            say("msgrcv", m.type, "%s: MSG_COPY of %d, %x: type", as, at, f);
            say("msgrcv", sys(msgrcv, queue_id, &m, 6, at, f),
                "%s: MSG_COPY of %d, %x, little room", as, at, f);
        }
    line_of("msg", queue_id, 11);
    line_of("sem", set_id, 8);
    line_of("shm", segment_id, 11);
    void *p = shmat(segment_id, NULL, 0);
    line_of("shm", segment_id, 11);
    msgrcv(queue_id, &m, 60, 0, 0);
    shmctl(segment_id, IPC_RMID, NULL);
    line_of("shm", segment_id, 11);
    line_of("msg", queue_id, 11);
    shmdt(p);
    pid_t pid = fork();
    if (!pid) {
        setresuid(1000, 1000, 1000);
        say("msgctl", sys(msgctl, queue_id, IPC_STAT, &queue_state), "%s: another user: IPC_STAT",
            as);
        say("msgctl", index_of(stat_queue) >= 0, "%s: another user: MSG_STAT", as);
        say("semctl", index_of(stat_set) >= 0, "%s: another user: SEM_STAT", as);
        line_of("msg", queue_id, 3);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    msgctl(queue_id, IPC_RMID, NULL);
    semctl(set_id, 0, IPC_RMID);
    line_of("sem", set_id, 8);
}

/* ---- /proc of other processes ---- */

static char text[65536];

static long slurp(const char *format, int pid)
{
    char path[128];
    snprintf(path, sizeof(path), format, pid);
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return -errno;
    long n = 0, r;
    while (n < (long)sizeof(text) - 1 && (r = read(fd, text + n, sizeof(text) - 1 - (size_t)n)) > 0)
        n += r;
    r = r < 0 ? -errno : n;
    text[n] = 0;
    close(fd);
    return r;
}

static long readlink_of(const char *format, int pid, const char *as, const char *what)
{
    char path[128], to[4096] = "";
    snprintf(path, sizeof(path), format, pid);
    long r = readlink(path, to, sizeof(to) - 1);
    if (r < 0)
        return -errno;
    char *cut = strstr(to, facts_folder);
    const char *slash = strrchr(to, '/');
    if (what[0] != 'n') /* a namespace's number */
        say_text("readlink",
                 cut                       ? cut + strlen(facts_folder)
                 : what[0] == 'e' && slash ? slash
                                           : to,
                 "%s: %s leads", as, what);
    return 0;
}

static const char *line_in(const char *name)
{
    static char line[128];
    char *at = strstr(text, name);
    snprintf(line, sizeof(line), "%.*s", at ? (int)strcspn(at, "\n") : 4, at ? at : "none");
    return untabbed(line);
}

static void look_at(const char *as, int pid)
{
    static const char *const files[] = {"stat",
                                        "status",
                                        "statm",
                                        "cmdline",
                                        "comm",
                                        "environ",
                                        "maps",
                                        "smaps",
                                        "limits",
                                        "io",
                                        "auxv",
                                        "mounts",
                                        "mountinfo",
                                        "cgroup",
                                        "oom_score_adj",
                                        "oom_score",
                                        "personality",
                                        "wchan",
                                        "schedstat",
                                        "uid_map",
                                        "task/%d/stat",
                                        "task/%d/comm",
                                        "task/%d/children",
                                        "fdinfo/9",
                                        "fd/9",
                                        "none"};
    char path[128];
    for (long i = 0; i < COUNT(files); i++) {
        char file[64];
        struct stat st;
        snprintf(file, sizeof(file), files[i], pid);
        snprintf(path, sizeof(path), "/proc/%%d/%s", file);
        long r = slurp(path, pid);
        say("read", r > 0 ? 1 : r, "%s: %s", as, files[i]);
        snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
        say("newfstatat", stat(path, &st) ? -errno : (long)st.st_uid, "%s: owner of %s", as,
            files[i]);
        say("access", access(path, R_OK) ? -errno : 0, "%s: %s", as, files[i]);
    }
    say("readlink", readlink_of("/proc/%d/cwd", pid, as, "cwd"), "%s: cwd", as);
    say("readlink", readlink_of("/proc/%d/root", pid, as, "root"), "%s: root", as);
    say("readlink", readlink_of("/proc/%d/exe", pid, as, "exe"), "%s: exe", as);
    say("readlink", readlink_of("/proc/%d/fd/9", pid, as, "fd/9"), "%s: fd/9", as);
    say("readlink", readlink_of("/proc/%d/ns/uts", pid, as, "ns/uts"), "%s: ns", as);
    static const char *const folders[] = {"/proc/%d",      "/proc/%d/fd",      "/proc/%d/fdinfo",
                                          "/proc/%d/task", "/proc/%d/task/%d", "/proc/%d/ns"};
    for (long i = 0; i < COUNT(folders); i++) {
        snprintf(path, sizeof(path), folders[i], pid, pid);
        DIR *d = opendir(path);
        say("getdents64", d ? 0 : -errno, "%s: %s", as, folders[i]);
        long n = 0;
        errno = 0;
        while (d && readdir(d))
            n++;
        if (i == 3)
            say("getdents64", n, "%s: entries of %s", as, folders[i]);
        if (d)
            closedir(d);
    }
    static const char *const members[] = {
        "Name:",    "Umask:",     "State:",  "Uid:",    "Gid:",    "Groups:",
        "Threads:", "TracerPid:", "SigBlk:", "SigIgn:", "CapEff:", "NoNewPrivs:"};
    slurp("/proc/%d/status", pid);
    for (long i = 0; i < COUNT(members); i++)
        say_text("read", line_in(members[i]), "%s: status: %s", as, members[i]);
    say("read", atoi(strstr(text, "\nPPid:") + 7) == getpid(), "%s: status: PPid", as);
    say("read", atoi(strstr(text, "\nPid:") + 6) == pid, "%s: status: Pid", as);
    say("read", strstr(text, "VmSize:") != NULL, "%s: status: VmSize", as);
    if (slurp("/proc/%d/stat", pid) > 0) {
        char *p = strrchr(text, ')');
        int ppid, pgid;
        char state;
        sscanf(p + 2, "%c %d %d", &state, &ppid, &pgid);
        say("read", state, "%s: stat: state", as);
        say("read", ppid == getpid(), "%s: stat: parent", as);
        say("read", pgid == getpgid(pid), "%s: stat: group", as);
    }
    if (slurp("/proc/%d/comm", pid) > 0)
        say_text("read", line_in("o"), "%s: comm", as);
    if (slurp("/proc/%d/cmdline", pid) > 0)
        say_text("read", strrchr(text, '/') ? strrchr(text, '/') : text, "%s: cmdline", as);
    DIR *d = opendir("/proc");
    int found = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        found += atoi(e->d_name) == pid;
    if (d)
        closedir(d);
    say("getdents64", found, "%s: /proc names it", as);
}

static int dumpable;

/* A child in a state; it is told by a pipe when it is there, and waits until it is killed. */
static int child_of_user(uid_t uid, int (*state)(void))
{
    int p[2];
    char c;
    pipe(p);
    pid_t pid = fork();
    if (!pid) {
        if (uid) {
            say("prctl", prctl(PR_GET_DUMPABLE), "dumpable");
            setresgid(uid, uid, uid), setresuid(uid, uid, uid);
            say("prctl", prctl(PR_GET_DUMPABLE), "dumpable after setresuid");
            prctl(PR_SET_DUMPABLE, dumpable);
            fflush(stdout);
        }
        close(p[0]);
        if (state && state())
            _exit(3);
        write(p[1], "x", 1);
        close(p[1]);
        for (;;)
            pause();
    }
    close(p[1]);
    if (read(p[0], &c, 1) != 1)
        usleep(50000);
    close(p[0]);
    usleep(50000); /* it sleeps now */
    return pid;
}

static void end_child(int pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static int ends(void)
{
    return 1;
}

static void as_user(void (*f)(const char *as, int pid), const char *as, int pid)
{
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        setresgid(1000, 1000, 1000);
        setresuid(1000, 1000, 1000);
        f(as, pid);
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static void processes(void)
{
    char path[64], buf[64];
    int pid = child_of_user(0, NULL);
    look_at("root's", pid);
    as_user(look_at, "root's, by a user", pid);
    kill(pid, SIGSTOP);
    waitpid(pid, NULL, WUNTRACED);
    slurp("/proc/%d/status", pid);
    say_text("read", line_in("State:"), "stopped: state");
    kill(pid, SIGCONT);
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY);
    say("pread64", pread(fd, buf, sizeof(buf), 0) > 0, "stat, alive");
    end_child(pid);
    say("pread64", sys(pread64, fd, buf, sizeof(buf), 0), "stat, when it is gone");
    close(fd);
    say("open", fd_only(sys(open, path, O_RDONLY)), "stat of who is gone");
    for (dumpable = 0; dumpable < 2; dumpable++) {
        pid = child_of_user(1000, NULL);
        look_at(dumpable ? "a user's, by root" : "a user's that was root, by root", pid);
        as_user(look_at, dumpable ? "a user's, by itself" : "a user's that was root, by itself",
                pid);
        end_child(pid);
    }
    pid = child_of_user(0, ends);
    look_at("zombie", pid);
    end_child(pid);
    say("open", fd_only(sys(open, "/proc/0/stat", O_RDONLY)), "of 0");
    say("open", fd_only(sys(open, "/proc/01/stat", O_RDONLY)), "of 01");
    say("open", fd_only(sys(open, "/proc/999999/stat", O_RDONLY)), "of nobody");
    fd = open("/proc/self/comm", O_RDWR);
    say("write", sys(write, fd, "longer than sixteen bytes", 25), "comm");
    say("pread64", sys(pread64, fd, buf, 60, 0), "comm");
    close(fd);
    fd = open("/proc/self/oom_score_adj", O_RDWR);
    static const char *const values[] = {"100", "100\n", "-1", "2000", "x", "", "99", "500"};
    for (long i = 0; i < COUNT(values); i++) {
        say("pwrite64", sys(pwrite64, fd, values[i], strlen(values[i]), 0), "oom_score_adj: %ld",
            i);
        long n = pread(fd, buf, 60, 0);
        say("pread64", n > 0 ? atol(buf) : n, "oom_score_adj: after %ld", i);
    }
    close(fd);
}

/* ---- memory of others ---- */

static char data[3 * 4096] = "data", *heap, *fresh, *shared, *closed, *fixed, *file;
static int report[2];

static void say_memory(const char *as, int pid)
{
    struct {
        const char *name;
        char *at;
    } places[] = {{"data", data},
                  {"heap", heap},
                  {"fresh", fresh},
                  {"shared", shared},
                  {"closed", closed},
                  {"read only", fixed},
                  {"file", file},
                  {"nowhere", (char *)0x1000},
                  {"kernel", (char *)-4096l}};
    for (long i = 0; i < COUNT(places); i++) {
        char b[9000] = "";
        struct iovec mine = {b, sizeof(b)}, theirs = {places[i].at, 5};
        say("process_vm_readv", sys(process_vm_readv, pid, &mine, 1, &theirs, 1, 0), "%s: %s", as,
            places[i].name);
        say_text("process_vm_readv", b, "%s: %s: content", as, places[i].name);
        theirs.iov_len = 8192 + 100;
        say("process_vm_readv", sys(process_vm_readv, pid, &mine, 1, &theirs, 1, 0),
            "%s: %s: more than there is", as, places[i].name);
        struct iovec parts[3] = {{b, 2}, {b + 100, 0}, {b + 200, 2}};
        say("process_vm_readv", sys(process_vm_readv, pid, parts, 3, &theirs, 1, 0),
            "%s: %s: parts", as, places[i].name);
        strcpy(b, "NEW");
        mine.iov_len = theirs.iov_len = 4;
        say("process_vm_writev", sys(process_vm_writev, pid, &mine, 1, &theirs, 1, 0), "%s: %s", as,
            places[i].name);
        memset(b, 0, 10);
        say("process_vm_readv", sys(process_vm_readv, pid, &mine, 1, &theirs, 1, 0),
            "%s: %s: after", as, places[i].name);
        say_text("process_vm_readv", b, "%s: %s: content after", as, places[i].name);
    }
    char b[10];
    struct iovec v = {b, 10}, bad = {(char *)0x1000, 10}, theirs = {data, 10},
                 huge = {b, (size_t)-1};
    say("process_vm_readv", sys(process_vm_readv, pid, &v, 1, &theirs, 1, 1), "%s: flags", as);
    say("process_vm_readv", sys(process_vm_readv, pid, &bad, 1, &theirs, 1, 0), "%s: to nowhere",
        as);
    say("process_vm_readv", sys(process_vm_readv, pid, 1, 1, &theirs, 1, 0), "%s: bad vector", as);
    say("process_vm_readv", sys(process_vm_readv, pid, &v, 1, 1, 1, 0), "%s: bad vector of theirs",
        as);
    say("process_vm_readv", sys(process_vm_readv, pid, &huge, 1, &theirs, 1, 0), "%s: huge", as);
    say("process_vm_readv", sys(process_vm_readv, pid, &v, 1, &huge, 1, 0), "%s: huge of theirs",
        as);
    say("process_vm_readv", sys(process_vm_readv, pid, &v, -1, &theirs, 1, 0), "%s: count", as);
    say("process_vm_readv", sys(process_vm_readv, pid, &v, 2000, &theirs, 1, 0), "%s: count 2000",
        as);
    say("process_vm_readv", sys(process_vm_readv, pid, &v, 0, &theirs, 1, 0), "%s: count 0", as);
    say("process_vm_readv", sys(process_vm_readv, 999999, &v, 1, &theirs, 1, 0), "%s: nobody", as);
    say("process_vm_writev", sys(process_vm_writev, 999999, &v, 1, &theirs, 1, 0), "%s: nobody",
        as);
}

static void tell_mine(int signo)
{
    char b[64];
    int n = snprintf(b, sizeof(b), "%.5s %.5s %.5s %.5s %.5s", data, heap, fresh, shared, file);
    write(report[1], b, (size_t)n);
}

static int wait_for_questions(void)
{
    strcpy(data + 4096, "child");
    memcpy(heap, "child", 5);
    signal(SIGUSR1, tell_mine);
    return 0;
}

static void memory(void)
{
    char b[64] = "";
    heap = calloc(1, 3 * 4096);
    strcpy(heap, "heap");
    fresh = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(fresh + 8192, 4096, PROT_NONE);
    shared = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    strcpy(shared, "share");
    closed = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fixed = mmap(NULL, 3 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    put_file("mapped", "filed", 0600);
    truncate("mapped", 3 * 4096);
    int fd = open("mapped", O_RDWR);
    file = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    close(fd);
    pipe(report);
    int pid = child_of_user(0, wait_for_questions);
    say_memory("child", pid);
    kill(pid, SIGUSR1);
    read(report[0], b, sizeof(b));
    say_text("process_vm_writev", b, "the child has");
    snprintf(b, sizeof(b), "%.5s %.5s %.5s %.5s %.5s", data, heap, fresh, shared, file);
    say_text("process_vm_writev", b, "we have");
    as_user(say_memory, "root's, by a user", pid);
    end_child(pid);
    for (dumpable = 0; dumpable < 2; dumpable++) {
        pid = child_of_user(1000, wait_for_questions);
        say_memory(dumpable ? "a user's, by root" : "a user's that was root, by root", pid);
        as_user(say_memory, dumpable ? "a user's, by itself" : "a user's that was root, by itself",
                pid);
        end_child(pid);
    }
    say_memory("itself", getpid());
    pid = child_of_user(0, ends);
    say_memory("zombie", pid);
    end_child(pid);
}

/* ---- /proc/net ---- */

/* Lines of a file that have all these words; and what stands in a column of them. */
static long lines_with(const char *path, const char *a, const char *b, int column, char *out)
{
    char line[512], word[64];
    long n = 0, length = 0;
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f)) {
        if (!strstr(line, a) || !strstr(line, b))
            continue;
        n++;
        length = (long)strlen(line);
        char *at = line;
        for (int i = 0, used; i <= column && sscanf(at, "%63s%n", word, &used) == 1; i++)
            at += used;
        strcpy(out, word);
    }
    if (f)
        fclose(f);
    else
        n = -errno;
    (void)length;
    return n;
}

static void network(void)
{
    static const char *const files[] = {"tcp",  "tcp6", "udp",   "udp6",
                                        "unix", "dev",  "route", "if_inet6"};
    struct sockaddr_in a = {AF_INET, htons(4711), {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 a6 = {AF_INET6, htons(4712)};
    struct sockaddr_un u = {AF_UNIX, "named"}, abstract = {AF_UNIX, "\0hidden"};
    char path[64], line[512] = "", word[64] = "";
    for (long i = 0; i < COUNT(files); i++) {
        snprintf(path, sizeof(path), "/proc/net/%s", files[i]);
        FILE *f = fopen(path, "r");
        say("open", f ? 0 : -errno, "%s", path);
        if (f && i != 7 && fgets(line, sizeof(line), f)) {
            line[strcspn(line, "\n")] = '|';
            say_text("read", untabbed(line), "%s: head", path);
        }
        if (f)
            fclose(f);
    }
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0),
        d = socket(AF_INET, SOCK_DGRAM, 0), l6 = socket(AF_INET6, SOCK_STREAM, 0);
    int ul = socket(AF_UNIX, SOCK_STREAM, 0), ud = socket(AF_UNIX, SOCK_DGRAM, 0);
    bind(l, (void *)&a, sizeof(a));
    say("read", lines_with("/proc/net/tcp", "0100007F:1267", " 07 ", 3, word), "bound");
    listen(l, 5);
    say("read", lines_with("/proc/net/tcp", "0100007F:1267", "", 3, word), "listening");
    say_text("read", word, "listening: state");
    connect(c, (void *)&a, sizeof(a));
    say("read", lines_with("/proc/net/tcp", "0100007F:1267", " 0A ", 4, word), "one to accept");
    say_text("read", word, "one to accept: queues");
    int s = accept(l, NULL, NULL);
    say("read", lines_with("/proc/net/tcp", "0100007F:1267", " 01 ", 3, word),
        "connected: both ends");
    write(c, "12345", 5);
    say("read", lines_with("/proc/net/tcp", " 0100007F:1267 0100007F", ":00000005 ", 4, word),
        "what waits");
    dup2(s, 20);
    say("read", lines_with("/proc/net/tcp", " 0100007F:1267 0100007F", "", 3, word),
        "once, with two descriptors");
    close(20);
    a.sin_port = htons(4713);
    bind(d, (void *)&a, sizeof(a));
    say("read", lines_with("/proc/net/udp", "0100007F:1269", "", 3, word), "datagrams");
    say_text("read", word, "datagrams: state");
    bind(l6, (void *)&a6, sizeof(a6));
    listen(l6, 5);
    say("read", lines_with("/proc/net/tcp6", "00000000000000000000000000000000:1268", "", 3, word),
        "IPv6");
    say_text("read", word, "IPv6: state");
    bind(ul, (void *)&u, sizeof(u));
    say("read", lines_with("/proc/net/unix", " named", " 00000000 0001 01 ", 4, word),
        "unix, bound");
    listen(ul, 5);
    say("read", lines_with("/proc/net/unix", " named", " 00010000 0001 01 ", 4, word),
        "unix, listening");
    bind(ud, (void *)&abstract, 9);
    say("read", lines_with("/proc/net/unix", "@hidden", " 00000000 0002 01 ", 4, word),
        "unix, abstract");
    say("read", lines_with("/proc/net/dev", "lo:", "", 0, word), "lo");
    say_text("read", word, "lo: its name");
    close(l), close(c), close(s), close(d), close(l6), close(ul), close(ud);
    say("read", lines_with("/proc/net/tcp", ":1267", " 0A ", 3, word), "closed");
}

/* ---- what a process moved, and what it took ---- */

static long io_field(const char *name)
{
    slurp("/proc/self/io", 0);
    char *at = strstr(text, name);
    return at ? atol(at + strlen(name)) : -1;
}

static void usage(void)
{
    char b[100] = "";
    int fd = open("moved", O_CREAT | O_RDWR, 0600), status;
    struct iovec parts[2] = {{b, 10}, {b, 20}};
    long wrote = io_field("wchar:"), writes = io_field("syscw:"), got = io_field("rchar:");
    write(fd, b, 50);
    writev(fd, parts, 2);
    pwrite(fd, b, 5, 0);
    long after = io_field("rchar:");
    pread(fd, b, 85, 0);
    pread(fd, b, 85, 0);
    long last = io_field("rchar:");
    say("write", io_field("wchar:") - wrote, "io: wchar");
    say("write", io_field("syscw:") - writes, "io: syscw");
    say("read", last - after - (after - got) > 100, "io: rchar");
    close(fd);
    /* A child's time is its own until it is waited for. */
    struct rusage mine, children, its;
    pid_t pid = fork();
    if (!pid) {
        struct rusage r;
        say("getrusage", (getrusage(RUSAGE_SELF, &r), r.ru_utime.tv_sec > 0),
            "a fresh child took nothing");
        for (volatile long i = 0; i < 300000000; i++)
            ;
        _exit(0);
    }
    getrusage(RUSAGE_CHILDREN, &children);
    long before = children.ru_utime.tv_sec * 1000000 + children.ru_utime.tv_usec;
    wait4(pid, &status, 0, &its);
    getrusage(RUSAGE_SELF, &mine);
    getrusage(RUSAGE_CHILDREN, &children);
#define TIME(r)                                                                                    \
    ((r).ru_utime.tv_sec * 1000000 + (r).ru_utime.tv_usec + (r).ru_stime.tv_sec * 1000000 +        \
     (r).ru_stime.tv_usec)
    say("wait4", TIME(its) > 50000, "a busy child took time");
    say("getrusage", TIME(children) - before > 50000, "children: it is told");
    say("getrusage", TIME(mine) < TIME(its), "its parent took less");
    struct tms t;
    times(&t);
    say("times", t.tms_cutime + t.tms_cstime > 4, "children");
}

/* MSG_MORE: parts of one datagram. */
static void parts(void)
{
    struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}}, other = a;
    socklen_t n = sizeof(a);
    static char big[70000];
    char b[100] = "";
    int r = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0),
        o = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    bind(r, (void *)&a, n);
    getsockname(r, (void *)&a, &n);
    bind(o, (void *)&other, n);
    getsockname(o, (void *)&other, &n);
    for (int connected = 0; connected < 2; connected++) {
        const char *as = connected ? "connected" : "not connected";
#define PART(what, fd, data, size, flags, to)                                                      \
    (say("sendto", sys(sendto, fd, data, size, flags, to, (to) ? sizeof(a) : 0), "parts, %s: %s",  \
         as, what),                                                                                \
     memset(b, 0, sizeof(b)),                                                                      \
     say("recvfrom", sys(recvfrom, r, b, sizeof(b), 0, 0, 0), "parts, %s: after %s", as, what),    \
     say_text("recvfrom", b, "parts, %s: bytes after %s", as, what))
        if (connected)
            connect(s, (void *)&a, n);
        else
            PART("no address", s, "x", 1, MSG_MORE, NULL);
        struct sockaddr_in *to = connected ? NULL : &a;
        PART("first", s, "one ", 4, MSG_MORE, to);
        PART("nothing", s, "", 0, MSG_MORE, to);
        PART("bad pointer", s, (void *)1, 4, MSG_MORE, to);
        PART("second", s, "two ", 4, MSG_MORE, to);
        PART("last", s, "three", 5, 0, to);
        PART("alone", s, "four", 4, 0, to);
        PART("first again", s, "five ", 5, MSG_MORE, to);
        PART("to another", s, "six", 3, 0, &other);
        say("recvfrom", sys(recvfrom, o, b, sizeof(b), 0, 0, 0), "parts, %s: the other", as);
        PART("before too much", s, "seven", 5, MSG_MORE, to);
        PART("too much", s, big, sizeof(big), 0, to);
        PART("after too much", s, "eight", 5, 0, to);
    }
    close(r), close(o), close(s);
}

int main(int argc, char **argv)
{
    facts_begin();
    roots();
    dup2(open("outside", O_RDONLY), 9);
    system_v("root");
    processes();
    memory();
    network();
    usage();
    parts();
    facts_end();
    return 0;
}
