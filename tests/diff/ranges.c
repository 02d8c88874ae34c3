// SPDX-License-Identifier: Apache-2.0
// Random sequences of locks on two files by four processes, one after the other: POSIX ranges, OFD
// ranges, flock,
// with dup, close, fork and exit in between: ranges [SEED [COUNT]].
#include "facts.h"

#include <sys/file.h>
#include <sys/wait.h>

#include "dice.h"

#define WHO 4
#define FDS 6
#define SPAN 40

struct order {
    int what, fd, other, type, whence;
    long start, size;
};
struct reply {
    long r;
    struct flock l;
};

static struct {
    pid_t pid;
    int to, from;
} who[WHO];

static const char *names[] = {"a", "b"};
static const int modes[] = {O_RDWR, O_RDONLY, O_WRONLY};
static int fds[FDS];

static void serve(int in, int out)
{
    struct order o;
    for (int i = 0; i < FDS; i++)
        fds[i] = open(names[i % 2], modes[i / 2]);
    while (read(in, &o, sizeof(o)) == sizeof(o)) {
        struct reply y = {.l = {.l_type = (short)o.type, .l_whence = (short)o.whence,
            .l_start = o.start, .l_len = o.size}};
        switch (o.what) {
        case 0:
            y.r = sys(fcntl, fds[o.fd], F_SETLK, &y.l);
            break;
        case 1:
            y.r = sys(fcntl, fds[o.fd], F_GETLK, &y.l);
            break;
        case 2:
            y.r = sys(fcntl, fds[o.fd], F_OFD_SETLK, &y.l);
            break;
        case 3:
            y.r = sys(fcntl, fds[o.fd], F_OFD_GETLK, &y.l);
            break;
        case 4:
            y.r = sys(flock, fds[o.fd], o.type == F_RDLCK ? LOCK_SH |
                LOCK_NB : o.type == F_WRLCK ? LOCK_EX | LOCK_NB : LOCK_UN);
            break;
        case 5:
            close(fds[o.fd]);
            y.r = (fds[o.fd] = open(names[o.fd % 2], modes[o.fd / 2])) < 0;
            break;
        case 6: /* two numbers of one open file, until it is opened again */
            y.r = o.fd == o.other ? 0 : dup2(fds[o.other], fds[o.fd]) < 0;
            break;
        case 7: { /* a child has the open files, and not the ranges */
            int status;
            pid_t pid = fork();
            if (!pid) {
                struct flock l = y.l;
                _exit(sys(fcntl, fds[o.fd], F_SETLK, &l) ? 1 : 0);
            }
            waitpid(pid, &status, 0);
            y.r = WEXITSTATUS(status);
            break;
        }
        default:
            y.r = lseek(fds[o.fd], o.start, SEEK_SET);
        }
        write(out, &y, sizeof(y));
    }
    _exit(0);
}

static void begin(int i)
{
    int to[2], from[2];
    pipe(to);
    pipe(from);
    who[i].pid = fork();
    if (!who[i].pid) {
        for (int j = 0; j < WHO; j++) {
            if (j != i && who[j].pid)
                close(who[j].to), close(who[j].from);
        }
        close(to[1]);
        close(from[0]);
        serve(to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    who[i].to = to[1];
    who[i].from = from[0];
}

static void end(int i)
{
    close(who[i].to);
    close(who[i].from);
    waitpid(who[i].pid, NULL, 0);
    who[i].pid = 0;
}

static int index_of(pid_t pid)
{
    for (int i = 0; i < WHO; i++) {
        if (who[i].pid == pid)
            return i;
    }
    return pid == -1 ? -1 : pid ? -2 : -3;
}

static void ask(long n)
{
    static const int types[] = {F_RDLCK, F_WRLCK, F_UNLCK, F_RDLCK, F_WRLCK, F_UNLCK, 7};
    static const char *what[] = {"SETLK", "GETLK", "OFD_SETLK", "OFD_GETLK", "flock",
        "opened again", "dup", "a child's SETLK", "lseek"};
    static const int odds[] = {0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8};
    int i = (int)roll(WHO);
    struct reply y;
    if (!roll(60)) {
        end(i);
        begin(i);
        say("exit", 0, "%ld: %d", n, i);
        return;
    }
    struct order o = {.what = odds[roll(COUNT(odds))], .fd = (int)roll(FDS),
        .other = (int)roll(FDS), .type = types[roll(COUNT(types))],
                      .whence = roll(6) ? SEEK_SET : (int)roll(4), .start = (long)roll(SPAN),
                          .size = (long)roll(SPAN) - 8};
    if (!roll(20))
        o.size = 0;
    write(who[i].to, &o, sizeof(o));
    if (read(who[i].from, &y, sizeof(y)) != sizeof(y))
        y.r = -1;
    say("fcntl", y.r, "%ld: %d, %s, file %d (%d), type %d, whence %d, start %ld, size %ld", n, i,
        what[o.what], o.fd, o.other, o.type,
        o.whence, o.start, o.size);
    if ((o.what == 1 || o.what == 3) && !y.r)
        /* Of several OFD locks any may be named. */
        say("fcntl", y.l.l_pid < 0 ? -1 : y.l.l_type * 1000000L + y.l.l_start * 1000 + y.l.l_len,
            "%ld: by %d", n,
            y.l.l_type == F_UNLCK ? -9 : index_of(y.l.l_pid));
}

int main(int argc, char **argv)
{
    long count = argc > 2 ? atol(argv[2]) : 3000;
    dice_seed(argc > 1 ? argv[1] : NULL);
    facts_begin();
    put_file("a", "0123456789012345678901234567", 0666);
    put_file("b", "0123456789", 0666);
    for (int i = 0; i < WHO; i++)
        begin(i);
    for (long n = 0; n < count; n++)
        ask(n);
    for (int i = 0; i < WHO; i++)
        end(i);
    facts_end();
    return 0;
}
