// SPDX-License-Identifier: Apache-2.0
// What is deep by a program's doing, not by Linux's: trees, chains of links and of sockets in
// sockets' queues, messages full of files. Prints the same inside as outside.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEVELS 2000
#define FILES 32

static void say(const char *what, long r)
{
    printf("%s: %ld %s\n", what, r, r < 0 ? strerror(errno) : "");
}

static void tree(void)
{
    int here = open(".", O_PATH);
    long r = mkdir("up", 0777) | chdir("up");
    for (int i = 0; !r && i < LEVELS; i++)
        r = mkdir("d", 0777) | chdir("d");
    say("a deep tree", r);
    say("a file at its end", mknod("leaf", S_IFREG | 0600, 0));
    say("renamed", fchdir(here) | rename("up", "final"));
    say("renamed into itself", rename("final", "final/d/d/d"));
    r = chdir("final");
    for (int i = 0; !r && i < LEVELS; i++)
        r = chdir("d");
    say("the file is there", r | unlink("leaf"));
    for (int i = 0; !r && i < LEVELS; i++)
        r = chdir("..") | rmdir("d");
    say("taken down", r | chdir("..") | rmdir("final"));
    close(here);
}

static void links(int count)
{
    char from[16], to[16];
    for (int i = 0; i < count; i++) {
        snprintf(from, sizeof(from), "l%d", i);
        snprintf(to, sizeof(to), "l%d", i + 1);
        if (symlink(to, from))
            say("symlink", -1);
    }
    int fd = open("l0", O_CREAT | O_RDWR, 0600);
    say(count > 40 ? "too many links" : "links", fd < 0 ? -1 : 0);
    close(fd);
    for (int i = 0; i <= count; i++) {
        snprintf(from, sizeof(from), "l%d", i);
        unlink(from);
    }
}

static long send_files(int to, const int *files, int count)
{
    char control[CMSG_SPACE(FILES * sizeof(int))] = {0}, byte = 'x';
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control};
    m.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){CMSG_LEN((size_t)count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(c), files, (size_t)count * sizeof(int));
    return sendmsg(to, &m, 0);
}

/* Each socket's queue holds the one before; the last one's end is the end of all. */
static void sockets(void)
{
    int s[2], before = -1, outermost[2];
    if (pipe(outermost))
        return;
    long r = 0;
    for (int i = 0; r >= 0 && i < 900; i++) {
        r = socketpair(AF_UNIX, SOCK_STREAM, 0, s);
        if (r >= 0)
            r = send_files(s[0], before < 0 ? &outermost[1] : &before, 1);
        close(before < 0 ? outermost[1] : before);
        close(s[0]);
        before = s[1];
    }
    say("sockets in sockets", r);
    say("closed", close(before));
    char byte;
    say("what the innermost held is closed", read(outermost[0], &byte, 1));
    close(outermost[0]);
}

static void messages(int flags)
{
    int s[2], files[FILES], count = 0;
    char bytes[8], control[CMSG_SPACE(253 * sizeof(int))];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s))
        return;
    for (int i = 0; i < FILES; i++)
        files[i] = open("/dev/null", O_RDONLY);
    say("a byte", send(s[0], "a", 1, 0));
    for (int i = 0; i < 4; i++)
        say("a byte with files", send_files(s[0], files, FILES));
    say("bytes", send(s[0], "bc", 2, 0));
    shutdown(s[0], SHUT_WR);
    for (int i = 0; i < FILES; i++)
        close(files[i]);
    for (;;) {
        struct iovec v = {bytes, sizeof(bytes)};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control};
        m.msg_controllen = sizeof(control);
        long n = recvmsg(s[1], &m, flags);
        struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
        count = c ? (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
        printf("received %ld bytes, %d files, flags %#x\n", n, count, m.msg_flags);
        for (int i = 0; i < count; i++)
            close(((int *)CMSG_DATA(c))[i]);
        if (n <= 0)
            break;
    }
    close(s[0]);
    close(s[1]);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc < 2 || chdir(argv[1]))
        return 2;
    tree();
    links(39);
    links(41);
    sockets();
    messages(0);
    messages(MSG_WAITALL);
    puts("done");
    return 0;
}
