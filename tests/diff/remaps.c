// SPDX-License-Identifier: Apache-2.0
// Random sequences of mmap, munmap, mprotect, mremap, madvise and truncation over a small piece of
// memory:
// remaps [SEED [COUNT]]. After each the whole piece is looked at: what can be read, and what is
// there.
#include "facts.h"

#include <sys/mman.h>
#include <sys/wait.h>

#include "dice.h"

#define PAGES 48
#define FILE_PAGES 12
#define PAGE 4096

static char *arena;
static int file, scratch, file_pages = FILE_PAGES;
static uint64_t
    story[PAGES]; /* pages with the same one are surely of one mapping, here and there */

static void tell(int at, int count, uint64_t what, bool begins)
{
    for (int i = at; i < at + count && i < PAGES; i++)
        story[i] = begins ? what : story[i] * 0x100000001b3ull + what;
}

static bool is_one(int at, int count)
{
    for (int i = at; i < at + count && i < PAGES; i++) {
        if (story[i] != story[at])
            return false;
    }
    return true;
}

/* What the kernel can read there, by its own copies: nobody faults. */
static int byte_at(int page)
{
    unsigned char c = 0;
    long r = sys(pwrite64, scratch, arena + page * PAGE + 5, 1, 0);
    if (r != 1)
        return -1;
    pread(scratch, &c, 1, 0);
    return c;
}

static uint64_t look(void)
{
    uint64_t sum = 0xcbf29ce484222325ull;
    for (int i = 0; i < PAGES; i++)
        sum = (sum ^ (uint64_t)(byte_at(i) + 1)) * 0x100000001b3ull;
    return sum;
}

static long put(int page, unsigned char c)
{
    pwrite(scratch, &c, 1, 1);
    return sys(pread64, scratch, arena + page * PAGE + 5, 1, 1);
}

/* 0, or the signal that a store or a load there ends with. */
static long in_child(int page, bool store, unsigned char c)
{
    int status;
    pid_t pid = fork();
    if (!pid) {
        for (int s = 1; s < 32; s++)
            signal(s, SIG_DFL);
        volatile unsigned char *p = (unsigned char *)arena + page * PAGE + 5;
        if (store)
            *p = c;
        _exit(*p == c);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? -1000 - WTERMSIG(status) : WEXITSTATUS(status);
}

static int some_prot(void)
{
    static const int prots[] = {PROT_READ | PROT_WRITE,
                                PROT_READ | PROT_WRITE,
                                PROT_READ,
                                PROT_NONE,
                                PROT_WRITE,
                                PROT_READ | PROT_EXEC,
                                PROT_READ | PROT_WRITE | PROT_EXEC};
    return prots[roll(COUNT(prots))];
}

static void ask_map(long n, int at, int count)
{
    int shared = roll(2) ? MAP_SHARED : MAP_PRIVATE, prot = some_prot();
    int of_file = (int)roll(3), how = roll(8) ? MAP_FIXED : MAP_FIXED_NOREPLACE;
    long offset = (long)roll(FILE_PAGES + 4) * PAGE;
    int flags = shared | how | (of_file ? 0 : MAP_ANONYMOUS);
    long r = sys(mmap, arena + at * PAGE, (long)count * PAGE, prot, flags, of_file ? file : -1,
                 of_file ? offset : 0);
    if (!address_only(r))
        tell(at, count, 2 * n + 1, true);
    say("mmap", address_only(r), "%ld: %d pages at %d, prot %d, flags %x, offset %ld", n, count, at,
        prot, flags, offset / PAGE);
}

static void ask_move(long n, int at, int count)
{
    int to = (int)roll(PAGES - 1), size = 1 + (int)roll(8), way = (int)roll(8);
    size = size > PAGES - to ? PAGES - to : size;
    int old = roll(6) ? count : 0;
    if (!is_one(at, count))
        old = old ? 1 : 0; /* whether two mappings are one again is nothing that is promised */
    if (way < 3) {         /* in its place, if it can be */
        if (size > PAGES - at)
            size = PAGES - at;
        long r = sys(mremap, arena + at * PAGE, (long)old * PAGE, (long)size * PAGE, 0, 0);
        if (!address_only(r))
            tell(at, size > old ? size : old, 2 * n + 1, true);
        say("mremap", address_only(r), "%ld: %d pages at %d to %d", n, old, at, size);
    } else if (way < 7) {
        old = old ? old : 1;
        int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (way == 6 ? 4 /* DONTUNMAP */ : 0);
        if (way == 6)
            old = 1;
        else if (size == old) /* the newest kernels move several mappings at once */
            old++;
        long r = sys(mremap, arena + at * PAGE, (long)old * PAGE,
                     (long)(way == 6 ? old : size) * PAGE, flags, arena + to * PAGE);
        tell(at, old > size ? old : size, 2 * n, false); /* a failed one may have taken a part */
        tell(to, size, 2 * n + 1, !address_only(r));
        say("mremap", address_only(r), "%ld: %d pages at %d to %d at %d, flags %x", n, old, at,
            way == 6 ? old : size, to, flags);
    } else { /* anywhere: then it goes */
        long r = sys(mremap, arena + at * PAGE, (long)old * PAGE, (long)(size + 8) * PAGE,
                     MREMAP_MAYMOVE, 0);
        say("mremap", address_only(r), "%ld: %d pages at %d to %d anywhere", n, old, at, size + 8);
        if (r > 0) {
            munmap((void *)r, (size_t)(size + 8) * PAGE);
            tell(at, count, 2 * n + 1, true);
        }
    }
}

static void ask(long n)
{
    static const int advices[] = {
        MADV_DONTNEED,      MADV_NORMAL,         MADV_WILLNEED,   MADV_REMOVE,     MADV_DOFORK, 99,
        MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_COLD};
    int at = (int)roll(PAGES), count = 1 + (int)roll(6), k = (int)roll(20);
    int prot, a;
    count = count > PAGES - at ? PAGES - at : count;
    switch (k) {
    case 0 ... 4:
        ask_map(n, at, count);
        break;
    case 5:
        tell(at, count, 2 * n + 1, true);
        say("munmap", sys(munmap, arena + at * PAGE, (long)count * PAGE), "%ld: %d at %d", n, count,
            at);
        break;
    case 6 ... 8:
        prot = some_prot();
        tell(at, count, 2 * n, false);
        say("mprotect", sys(mprotect, arena + at * PAGE, (long)count * PAGE, prot),
            "%ld: %d at %d: %d", n, count, at, prot);
        break;
    case 9 ... 11:
        ask_move(n, at, count);
        break;
    case 12:
        a = advices[roll(COUNT(advices))];
        tell(at, count, 2 * n, false);
        say("madvise", sys(madvise, arena + at * PAGE, (long)count * PAGE, a), "%ld: %d at %d: %d",
            n, count, at, a);
        break;
    case 13:
        /* It only grows: what a private mapping wrote behind a new end stays here. */
        a = (int)roll(FILE_PAGES + 3);
        file_pages = a > file_pages ? a : file_pages;
        say("ftruncate", sys(ftruncate, file, (long)file_pages * PAGE), "%ld: %d", n, file_pages);
        break;
    case 14:
        a = (int)roll(FILE_PAGES);
        say("pwrite64", sys(pwrite64, file, &(char){(char)n}, 1, (long)a * PAGE + 5),
            "%ld: page %d", n, a);
        break;
    case 15:
        say("msync", sys(msync, arena + at * PAGE, (long)count * PAGE, (long)roll(8)),
            "%ld: %d at %d", n, count, at);
        break;
    case 16:
        say("fallocate",
            sys(fallocate, file, 3, (long)roll(FILE_PAGES) * PAGE, (long)(1 + roll(3)) * PAGE),
            "%ld: a hole", n);
        break;
    case 17:
        say("fork", in_child(at, false, (unsigned char)n), "%ld: a child at %d", n, at);
        break;
    default:
        say("pread64", put(at, (unsigned char)n), "%ld: into page %d", n, at);
        break;
    }
    say("look", (long)(look() >> 8), "%ld", n);
}

int main(int argc, char **argv)
{
    long count = argc > 2 ? atol(argv[2]) : 1500;
    dice_seed(argc > 1 ? argv[1] : NULL);
    facts_begin();
    arena = mmap(NULL, (PAGES + 32) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    arena += 16 * PAGE;
    file = memfd_create("f", 0);
    scratch = memfd_create("s", 0);
    ftruncate(file, FILE_PAGES * PAGE);
    ftruncate(scratch, PAGE);
    for (long n = 0; n < count; n++)
        ask(n);
    facts_end();
    return 0;
}
