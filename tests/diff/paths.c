// SPDX-License-Identifier: Apache-2.0
// Random sequences of calls on paths: paths [SEED [COUNT]]. The same seed asks the same on Linux
// and in the enclave.
#include "facts.h"

#include <dirent.h>
#include <sys/xattr.h>

#include "dice.h"

/* A name out of few, so that the calls meet each other. */
static const char *name(char out[128])
{
    static const char *const parts[] = {"a", "b", "c", "d", "l", "..", ".", "a", "b", ""};
    size_t at = 0;
    int count = 1 + (int)roll(4);
    out[0] = 0;
    if (roll(40) == 0)
        return "";
    for (int i = 0; i < count; i++)
        at += (size_t)snprintf(out + at, 128 - at, "%s%s", i ? "/" : "",
                               parts[roll(i ? COUNT(parts) : 5)]);
    if (roll(12) == 0)
        strcat(out, "/");
    return out;
}

static int folders[3] = {AT_FDCWD, AT_FDCWD, AT_FDCWD};

static int folder(void)
{
    return folders[roll(COUNT(folders))];
}

/* What a file is, apart from what two systems cannot agree on. */
static long seen(long r, const struct stat *st)
{
    return r ? r
             : (long)(st->st_mode | (st->st_nlink << 16) |
                      ((S_ISREG(st->st_mode) ? (long)st->st_size : 0) << 32));
}

static void ask(long n)
{
    static const int opens[] = {O_RDONLY,
                                O_WRONLY,
                                O_RDWR,
                                O_RDWR | O_CREAT,
                                O_RDWR | O_CREAT | O_EXCL,
                                O_WRONLY | O_TRUNC,
                                O_RDONLY | O_DIRECTORY,
                                O_RDONLY | O_NOFOLLOW,
                                O_PATH,
                                O_PATH | O_NOFOLLOW,
                                O_WRONLY | O_CREAT | O_APPEND,
                                O_RDWR | O_TMPFILE};
    char p[128], q[128], buf[256];
    const char *a = name(p), *b = name(q);
    struct stat st = {0};
    int at = folder(), to = folder(), flags, fd;
    long r;
    switch (roll(24)) {
    case 0:
    case 1:
        flags = opens[roll(COUNT(opens))];
        r = fd = (int)sys(openat, at, a, flags | O_NONBLOCK, 0640);
        if (fd >= 0) {
            if (roll(2))
                r = write(fd, "some bytes", 10) < 0 ? -errno : 10;
            else
                r = read(fd, buf, sizeof(buf)) < 0 ? -errno : 0;
            close(fd);
        }
        say("openat", r, "%ld: %s %o", n, a, flags);
        break;
    case 2:
    case 3:
    case 4:
        say("mkdirat", sys(mkdirat, at, a, 0755), "%ld: %s", n, a);
        break;
    case 5:
        say("rmdir", sys(unlinkat, at, a, AT_REMOVEDIR), "%ld: %s", n, a);
        break;
    case 6:
        say("unlinkat", sys(unlinkat, at, a, 0), "%ld: %s", n, a);
        break;
    case 7:
    case 8:
        flags = (int)roll(8) ? 0 : (int)roll(4);
        say("renameat2", sys(renameat2, at, a, to, b, flags), "%ld: %s to %s, %d", n, a, b, flags);
        break;
    case 9:
        flags = roll(2) ? AT_SYMLINK_FOLLOW : 0;
        say("linkat", sys(linkat, at, a, to, b, flags), "%ld: %s to %s, %x", n, a, b, flags);
        break;
    case 10:
    case 11:
        say("symlinkat", sys(symlinkat, a, at, b), "%ld: %s at %s", n, a, b);
        break;
    case 12:
        memset(buf, 0, sizeof(buf));
        r = sys(readlinkat, at, a, buf, sizeof(buf) - 1);
        say("readlinkat", r, "%ld: %s", n, a);
        if (r > 0)
            say_text("readlinkat", buf, "%ld: %s: text", n, a);
        break;
    case 13:
    case 14:
        flags = roll(2) ? AT_SYMLINK_NOFOLLOW : 0;
        say("newfstatat", seen(sys(newfstatat, at, a, &st, flags), &st), "%ld: %s %x", n, a, flags);
        break;
    case 15:
        r = sys(openat, at, a, O_RDONLY | O_DIRECTORY, 0);
        say("openat", r < 0 ? r : 0, "%ld: a folder to start from: %s", n, a);
        if (r >= 0) {
            fd = (int)roll(2) + 1;
            if (folders[fd] != AT_FDCWD)
                close(folders[fd]);
            folders[fd] = (int)r;
        }
        break;
    case 16:
        say("truncate", sys(truncate, a, roll(9000)), "%ld: %s", n, a);
        break;
    case 17:
        say("fchmodat", sys(fchmodat, at, a, 0700 | roll(64)), "%ld: %s", n, a);
        break;
    case 18:
        r = sys(chdir, a);
        say("chdir", r, "%ld: %s", n, a);
        if (!r && roll(4) == 0)
            say("chdir", sys(chdir, "/"), "%ld: back", n);
        break;
    case 19:
        memset(buf, 0, sizeof(buf));
        r = sys(getcwd, buf, sizeof(buf));
        say("getcwd", r, "%ld", n);
        if (r > 0)
            say_text("getcwd", buf, "%ld: text", n);
        break;
    case 20: {
        DIR *d = opendir(a);
        long names = 0;
        for (struct dirent *e; d && (e = readdir(d));)
            for (const char *c = e->d_name; *c; c++)
                names += *c;
        say("getdents64", d ? names : -errno, "%ld: %s: sum of names", n, a);
        if (d)
            closedir(d);
        break;
    }
    case 21:
        say("faccessat2", sys(faccessat2, at, a, roll(8), roll(2) ? AT_SYMLINK_NOFOLLOW : 0),
            "%ld: %s", n, a);
        break;
    case 22:
        say("mknodat", sys(mknodat, at, a, S_IFIFO | 0600, 0), "%ld: %s", n, a);
        break;
    default:
        say("setxattr", sys(setxattr, a, "user.x", "y", 1, roll(3)), "%ld: %s", n, a);
        break;
    }
}

/* A working directory that was removed has no path. */
static void in_removed(void)
{
    char buf[4096];
    struct stat st;
    say("mkdirat", sys(mkdirat, AT_FDCWD, "gone", 0700), "removed");
    say("chdir", sys(chdir, "gone"), "removed");
    say("unlinkat", sys(unlinkat, AT_FDCWD, "../gone", AT_REMOVEDIR), "removed");
    say("getcwd", sys(getcwd, buf, sizeof(buf)), "removed");
    say("newfstatat", sys(newfstatat, AT_FDCWD, ".", &st, 0), "removed: itself");
    say("mkdirat", sys(mkdirat, AT_FDCWD, "x", 0700), "removed: in it");
    say("chdir", sys(chdir, "/"), "removed: back");
}

int main(int argc, char **argv)
{
    long count = argc > 2 ? atol(argv[2]) : 4000;
    dice_seed(argc > 1 ? argv[1] : NULL);
    facts_begin();
    if (chroot(".")) /* `..` leads nowhere else */
        return 1;
    in_removed();
    for (long n = 0; n < count; n++)
        ask(n);
    facts_end();
    return 0;
}
