// SPDX-License-Identifier: Apache-2.0
// Memory that is locked: what it counts, what it forbids, which pages are there; memory of others.
#include "facts.h"

#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define PAGE 4096l

static char *fresh(long pages, int prot)
{
    return mmap(NULL, (size_t)(pages * PAGE), prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* "NAME: N kB" of /proc/self/status, or -1. */
static long status_field(const char *name)
{
    char line[256];
    long value = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof(line), f))
        if (!strncmp(line, name, strlen(name)))
            value = atol(line + strlen(name) + 1);
    if (f)
        fclose(f);
    return value;
}

/* Which pages are there: bit n for page n. */
static long there(char *at, long pages)
{
    unsigned char v[64] = {0};
    long bits = 0, r = sys(mincore, at, pages * PAGE, v);
    for (long i = 0; i < pages; i++)
        bits |= (long)(v[i] & 1) << i;
    return r ? r : bits;
}

#define STEP(call, what, ...)                                                                      \
    (say(#call, sys(call, __VA_ARGS__), "%s: %s", as, what),                                       \
     say("mincore", there(m, pages), "%s: after %s: %s", as, #call, what),                         \
     say(#call, status_field("VmLck:"), "%s: VmLck after %s", as, what))

static void locking(const char *as, long limit)
{
    struct rlimit l = {(rlim_t)limit, (rlim_t)limit};
    setrlimit(RLIMIT_MEMLOCK, &l);
    long pages = 8;
    char *m = fresh(8, PROT_READ | PROT_WRITE);
    say("mincore", there(m, 8), "%s: fresh", as);
    STEP(mlock, "one page", m + PAGE, PAGE);
    if (there(m, 2) == 2)
        m[PAGE] = 1;
    STEP(mlock, "the same", m + PAGE, PAGE);
    STEP(mlock, "over a border", m + 3 * PAGE + 5, PAGE);
    STEP(mlock, "nothing", m, 0);
    STEP(mlock, "one byte", m + 5, 1);
    STEP(mlock2, "on fault", m + 6 * PAGE, 2 * PAGE, MLOCK_ONFAULT);
    STEP(munlock, "one of them", m + PAGE, PAGE);
    STEP(munlock, "half", m, 4 * PAGE);
    STEP(mlock, "all", m, 8 * PAGE);
    STEP(madvise, "DONTNEED", m, PAGE, MADV_DONTNEED);
    STEP(madvise, "FREE", m, PAGE, MADV_FREE);
    STEP(madvise, "DONTNEED_LOCKED", m, PAGE, 24);
    STEP(msync, "INVALIDATE", m, PAGE, MS_INVALIDATE);
    munmap(m + 4 * PAGE, PAGE);
    say("munmap", status_field("VmLck:"), "%s: VmLck", as);
    STEP(mlock, "over a hole", m, 8 * PAGE);
    STEP(munlock, "over a hole", m, 8 * PAGE);
    STEP(munlock, "the rest", m + 5 * PAGE, 3 * PAGE);
    say("mlock", sys(mlock, m, -1), "%s: to the end", as);
    say("mlock", sys(mlock, m + 1, -4096), "%s: round the end", as);
    say("munlock", sys(munlock, m, -1), "%s: to the end", as);
    say("munlock", sys(munlock, m, -4096), "%s: round the end", as);
    munmap(m, 8 * PAGE);
    m = fresh(8, PROT_NONE);
    STEP(mlock, "no rights", m, PAGE);
    munmap(m, 8 * PAGE);
    m = fresh(8, PROT_READ);
    STEP(mlock, "read only", m, PAGE);
    munmap(m, 8 * PAGE);
    char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED,
                   -1, 0);
    say("mmap", p == MAP_FAILED ? -errno : there(p, 8), "%s: MAP_LOCKED", as);
    say("mmap", status_field("VmLck:"), "%s: VmLck after MAP_LOCKED", as);
    if (p != MAP_FAILED) {
        char *q = mremap(p, 8 * PAGE, 16 * PAGE, MREMAP_MAYMOVE);
        say("mremap", q == MAP_FAILED ? -errno : 0, "%s: locked", as);
        say("mremap", status_field("VmLck:"), "%s: VmLck", as);
        pid_t pid = fork();
        if (!pid) {
            say("fork", status_field("VmLck:"), "%s: VmLck", as);
            _exit(0);
        }
        waitpid(pid, NULL, 0);
        sys(munlockall, 0);
        munmap(q == MAP_FAILED ? p : q, 16 * PAGE);
    }
    static const unsigned all[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    for (long i = 0; i < COUNT(all); i++) {
        say("mlockall", sys(mlockall, all[i]), "%s: %u", as, all[i]);
        if (!(all[i] & 1)) /* else it is as much as the program has */
            say("mlockall", status_field("VmLck:"), "%s: VmLck after %u", as, all[i]);
        p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        say("mmap", p == MAP_FAILED ? -errno : 0, "%s: after mlockall %u", as, all[i]);
        if (p != MAP_FAILED) {
            say("mincore", there(p, 1), "%s: mapped after mlockall %u", as, all[i]);
            munmap(p, PAGE);
        }
        say("munlockall", sys(munlockall, 0), "%s: after %u", as, all[i]);
        say("munlockall", status_field("VmLck:"), "%s: VmLck after %u", as, all[i]);
    }
    int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
    struct shmid_ds d = {0};
    say("shmctl", sys(shmctl, id, SHM_LOCK, 0), "%s: lock", as);
    shmctl(id, IPC_STAT, &d);
    say("shmctl", d.shm_perm.mode, "%s: mode when locked", as);
    say("shmctl", sys(shmctl, id, SHM_UNLOCK, 0), "%s: unlock", as);
    shmctl(id, IPC_STAT, &d);
    say("shmctl", d.shm_perm.mode, "%s: mode when not", as);
    shmctl(id, IPC_RMID, NULL);
}

static void as_somebody(const char *as, uid_t uid, long limit)
{
    pid_t pid = fork();
    if (!pid) {
        if (uid)
            setresuid(uid, uid, uid);
        locking(as, limit);
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static void files(void)
{
    const char *as = "file";
    long pages = 4;
    int fd = open("pages", O_CREAT | O_RDWR, 0600);
    ftruncate(fd, 8 * PAGE);
    for (int i = 0; i < 4; i++)
        pwrite(fd, "x", 1, i * PAGE);
    for (int shared = 0; shared < 2; shared++) {
        char *m =
            mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
        as = shared ? "shared file" : "private file";
        say("mincore", there(m, 4), "%s: written", as);
        STEP(mlock, "some", m, 4 * PAGE);
        STEP(munlock, "some", m, 4 * PAGE);
        munmap(m, 8 * PAGE);
        m = mmap(NULL, 12 * PAGE, PROT_READ, shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
        say("mlock", sys(mlock, m, 12 * PAGE), "%s: behind the end", as);
        say("munlock", sys(munlock, m, 12 * PAGE), "%s: behind the end", as);
        munmap(m, 12 * PAGE);
    }
    unsigned char v[8];
    char *m = fresh(8, PROT_READ);
    say("mincore", sys(mincore, m + 1, PAGE, v), "not aligned");
    say("mincore", sys(mincore, m, 0, v), "nothing");
    say("mincore", sys(mincore, m, 1, v), "one byte");
    say("mincore", sys(mincore, m, -1, v), "too much");
    say("mincore", sys(mincore, m, PAGE, 1), "nowhere to put it");
    munmap(m + PAGE, PAGE);
    say("mincore", sys(mincore, m, 3 * PAGE, v), "a hole");
    close(fd);
}

#define SEALED(call, what, ...) say(#call, sys(call, __VA_ARGS__), "sealed: %s", what)

static void sealing(void)
{
    since(6, 10);
    char *m = fresh(8, PROT_READ | PROT_WRITE), *n = fresh(8, PROT_READ);
    SEALED(mseal, "flags", m, PAGE, 1);
    SEALED(mseal, "not aligned", m + 1, PAGE, 0);
    SEALED(mseal, "nothing", m, 0, 0);
    SEALED(mseal, "round the end", m, -PAGE, 0);
    SEALED(mseal, "size overflows", m, -1, 0);
    SEALED(mprotect, "before", m, PAGE, PROT_READ | PROT_WRITE);
    SEALED(mseal, "some", m + PAGE, 2 * PAGE, 0);
    SEALED(mseal, "again", m + PAGE, 2 * PAGE, 0);
    SEALED(mseal, "read only", n, 2 * PAGE, 0);
    m[PAGE] = 1;
    SEALED(mprotect, "within", m + PAGE, PAGE, PROT_READ);
    SEALED(mprotect, "beside", m, PAGE, PROT_READ | PROT_WRITE);
    SEALED(munmap, "within", m + PAGE, PAGE);
    SEALED(munmap, "over it", m, 8 * PAGE);
    SEALED(munmap, "beside", m + 4 * PAGE, PAGE);
    SEALED(madvise, "writable", m + PAGE, PAGE, MADV_DONTNEED);
    SEALED(madvise, "read only", n, PAGE, MADV_DONTNEED);
    SEALED(madvise, "read only, a hint", n, PAGE, MADV_WILLNEED);
    SEALED(mremap, "shrinks", m + PAGE, 2 * PAGE, PAGE, 0);
    SEALED(mremap, "grows", m + PAGE, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
    SEALED(mlock, "it", m + PAGE, PAGE);
    SEALED(munlock, "it", m + PAGE, PAGE);
    void *p = mmap(m + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    say("mmap", p == MAP_FAILED ? -errno : 0, "sealed: over it");
    SEALED(mseal, "over a hole", m, 8 * PAGE, 0);
    since(0, 0);
}

static void cached(void)
{
    uint64_t all[2] = {0, 0}, some[2] = {PAGE, 2 * PAGE}, edge[2] = {PAGE - 1, 2}, counts[5];
    since(6, 5);
    int fd = open("cached", O_CREAT | O_RDWR, 0600), p[2];
    pipe(p);
    for (int i = 0; i < 6; i++)
        pwrite(fd, "x", 1, i * PAGE);
#define CACHED(what, ...)                                                                          \
    (say("cachestat", sys(cachestat, __VA_ARGS__), "%s", what),                                    \
     say("cachestat", (long)counts[0], "%s: there", what),                                         \
     say("cachestat", (long)counts[3], "%s: gone", what))
    CACHED("all", fd, all, counts, 0);
    CACHED("two", fd, some, counts, 0);
    CACHED("over a border", fd, edge, counts, 0);
    CACHED("a pipe", p[0], all, counts, 0);
    CACHED("flags", fd, all, counts, 1);
    CACHED("no file", 999, all, counts, 0);
    CACHED("bad range", fd, 1, counts, 0);
    CACHED("bad result", fd, all, 1, 0);
    CACHED("bad range, flags", fd, 1, counts, 1);
    since(0, 0);
    close(fd);
    /* getdents, which has the type behind the name */
    char b[4096];
    mkdir("names", 0700);
    put_file("names/a", "", 0600);
    mkdir("names/longer than that", 0700);
    fd = open("names", O_RDONLY);
    say("getdents", sys(getdents, fd, b, 10), "no room");
    long n = sys(getdents, fd, b, sizeof(b)), types = 0;
    say("getdents", n, "size");
    for (long at = 0; at < n; at += *(uint16_t *)(b + at + 16)) {
        uint16_t size = *(uint16_t *)(b + at + 16);
        say("getdents", size, "length of %s", b + at + 18);
        say("getdents", b[at + size - 1], "type of %s", b + at + 18);
        types += b[at + size - 1];
    }
    say("getdents", types, "types");
    say("getdents", sys(getdents, fd, b, sizeof(b)), "at the end");
    say("getdents", sys(getdents, fd, 1, sizeof(b)), "bad pointer, at the end");
    say("getdents", sys(getdents, 0, b, sizeof(b)) < 0, "no folder");
    close(fd);
}

/* Several mappings of one page: whoever writes to it, all see it but private pages that were
 * written. */
static void one_file(void)
{
    int fd = memfd_create("f", 0);
    ftruncate(fd, PAGE);
    volatile char *shared = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    volatile char *seen[3];
    shared[5] = 1;
    for (int i = 0; i < 3; i++) /* read only, to be written, read only and written by a child */
        seen[i] = mmap(0, PAGE, i == 1 ? PROT_READ | PROT_WRITE : PROT_READ, MAP_PRIVATE, fd, 0);
    for (int step = 0; step < 8; step++) {
        if (step == 3)
            seen[1][5] = 100;
        if (step % 2)
            shared[5]++;
        else if (!fork())
            _exit(++shared[5] == 0);
        else
            wait(NULL);
        for (int i = 0; i < 3; i++)
            say("mmap", seen[i][5], "private %d follows a store to shared, step %d", i, step);
    }
}

/* What a mapping holds is not lost when its rights change, and stays nowhere when it moves. */
static void kept(void)
{
    int all = PROT_READ | PROT_WRITE;
    char *p = mmap(0, 2 * PAGE, all, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *q = mmap(0, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static const int prots[] = {PROT_READ, PROT_NONE, PROT_WRITE, PROT_READ | PROT_EXEC, PROT_READ};
    p[5] = 1;
    for (int i = 0; i < COUNT(prots); i++) {
        say("mprotect", sys(mprotect, p, 2 * PAGE, prots[i]), "shared and nobody else's: %d", i);
        say("mprotect", prots[i] ? p[5] : 0, "shared and nobody else's: what is there, %d", i);
    }
    sys(mprotect, p, 2 * PAGE, all);
    say("mremap", sys(mremap, p, 2 * PAGE, 2 * PAGE, 7, q) == (long)q, "shared, DONTUNMAP");
    munmap(p, 2 * PAGE);
    p = mmap(p, 2 * PAGE, all, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    say("mremap", p[5], "shared, DONTUNMAP: what is mapped there later");
    p[5] = 9;
    say("mremap", q[5], "shared, DONTUNMAP: what moved");
    p = mmap(0, 3 * PAGE, all, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    say("mremap", address_only(sys(mremap, p + PAGE, PAGE, PAGE, 5, 0)), "DONTUNMAP of the middle");
    say("mremap", address_only(sys(mremap, p, 3 * PAGE, 8 * PAGE, 1, 0)), "... which stays one");
}

int main(void)
{
    facts_begin();
    sealing();
    one_file();
    kept();
    cached();
    as_somebody("root", 0, 1 << 26);
    as_somebody("user", 1000, 1 << 26);
    as_somebody("user, 12 KiB", 1000, 12 << 10);
    as_somebody("user, one byte less than a page", 1000, PAGE - 1);
    as_somebody("user, none", 1000, 0);
    as_somebody("root, none", 0, 0);
    files();
    facts_end();
    return 0;
}
