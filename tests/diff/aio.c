// SPDX-License-Identifier: Apache-2.0
// Asynchronous input and output: what is refused, what is done, what is told of it.
#include "facts.h"

#include <linux/aio_abi.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <sys/wait.h>

static aio_context_t context;
static struct io_event events[16];
static struct iocb blocks[16];
static char bytes[8192];

static long submit(int opcode, int fd, void *buf, unsigned long size, long long offset)
{
    struct iocb *p = blocks;
    blocks[0] = (struct iocb){.aio_data = 7, .aio_lio_opcode = (uint16_t)opcode, .aio_fildes = (uint32_t)fd, .aio_buf = (uint64_t)buf, .aio_nbytes = size, .aio_offset = offset};
    return sys(io_submit, context, 1, &p);
}

/* Submits, and tells what became of it. */
static void ask(const char *what, int opcode, int fd, void *buf, unsigned long size, long long offset)
{
    struct timespec soon = {2, 0};
    long r = submit(opcode, fd, buf, size, offset);
    say("io_submit", r, "%s", what);
    if (r != 1)
        return;
    memset(events, 0, sizeof(events));
    say("io_getevents", sys(io_getevents, context, 1, 4, events, &soon), "%s", what);
    say("io_getevents", (long)events[0].res, "%s: result", what);
    say("io_getevents", events[0].data == 7 && events[0].obj == (uint64_t)blocks, "%s: data and block", what);
}

static void contexts(void)
{
    aio_context_t other = 0, taken = 5;
    struct timespec none = {0, 0}, bad = {0, -1};
    struct iocb *p = blocks;
    say("io_setup", sys(io_setup, 0, &other), "no events");
    say("io_setup", sys(io_setup, 8, &taken), "a context that is set");
    say("io_setup", sys(io_setup, 8, NULL), "nowhere");
    say("io_setup", sys(io_setup, 0xffffffff, &other), "too many");
    say("io_setup", sys(io_setup, 100, &other), "a second");
    say("io_getevents", sys(io_getevents, other, 0, 1, events, &none), "none yet");
    say("io_getevents", sys(io_getevents, other, 1, 1, events, &none), "one wanted, no time");
    say("io_getevents", sys(io_getevents, other, 2, 1, events, &none), "least above most");
    say("io_getevents", sys(io_getevents, other, -1, 1, events, &none), "least below 0");
    say("io_getevents", sys(io_getevents, other, 0, 1, events, &bad), "no time");
    say("io_getevents", sys(io_getevents, other, 0, 1, events, 8), "time nowhere");
    say("io_submit", sys(io_submit, other, 0, &p), "nothing");
    say("io_submit", sys(io_submit, other, -1, &p), "less");
    say("io_submit", sys(io_submit, other, 1, NULL), "nowhere");
    p = NULL;
    say("io_submit", sys(io_submit, other, 1, &p), "a block nowhere");
    say("io_cancel", sys(io_cancel, other, NULL, events), "nothing");
    say("io_cancel", sys(io_cancel, 0, blocks, events), "of no context");
    say("io_destroy", sys(io_destroy, other), "the second");
    say("io_destroy", sys(io_destroy, other), "again");
    say("io_getevents", sys(io_getevents, other, 0, 1, events, &none), "of a context that is gone");
    p = blocks;
    say("io_submit", sys(io_submit, other, 1, &p), "to a context that is gone");
    say("io_submit", sys(io_submit, 0, 1, &p), "to none");
}

static void several(int fd)
{
    struct iocb *list[4];
    struct timespec soon = {2, 0}, none = {0, 0};
    int e = eventfd(0, EFD_NONBLOCK);
    uint64_t count = 0;
    for (int i = 0; i < 4; i++) {
        blocks[i] = (struct iocb){.aio_data = (uint64_t)i, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = (uint32_t)fd, .aio_buf = (uint64_t)bytes, .aio_nbytes = (uint64_t)i + 1,
                                  .aio_flags = IOCB_FLAG_RESFD, .aio_resfd = (uint32_t)e};
        list[i] = &blocks[i];
    }
    say("io_submit", sys(io_submit, context, 4, list), "four");
    long sum = 0, n = sys(io_getevents, context, 4, 4, events, &soon);
    for (long i = 0; i < n; i++)
        sum += events[i].res;
    say("io_getevents", n, "four");
    say("io_getevents", sum, "four: bytes");
    say("read", read(e, &count, sizeof(count)), "eventfd after four");
    say("read", (long)count, "eventfd after four: value");
    blocks[2].aio_fildes = 999;
    say("io_submit", sys(io_submit, context, 4, list), "the third is bad");
    say("io_getevents", sys(io_getevents, context, 2, 4, events, &soon), "the third is bad");
    say("io_getevents", sys(io_getevents, context, 0, 4, events, &none), "then none");
    blocks[0].aio_resfd = (uint32_t)fd;
    say("io_submit", sys(io_submit, context, 1, list), "eventfd that is none");
    blocks[0].aio_resfd = 999;
    say("io_submit", sys(io_submit, context, 1, list), "eventfd that is not open");
    blocks[1].aio_reserved2 = 1;
    say("io_submit", sys(io_submit, context, 1, list + 1), "reserved");
    blocks[3].aio_flags = 0x80;
    say("io_submit", sys(io_submit, context, 1, list + 3), "flags");
    blocks[3].aio_flags = 0;
    blocks[3].aio_nbytes = (uint64_t)-1;
    say("io_submit", sys(io_submit, context, 1, list + 3), "a size below 0");
    close(e);
}

int main(void)
{
    facts_begin();
    contexts();
    say("io_setup", sys(io_setup, 16, &context), "a context");
    int fd = open("file", O_CREAT | O_RDWR, 0600), r = open("file", O_RDONLY), w = open("file", O_WRONLY), d = open(".", O_RDONLY);
    struct iovec v[2] = {{bytes, 3}, {bytes + 100, 5}};
    ask("pwrite", IOCB_CMD_PWRITE, fd, "0123456789", 10, 0);
    ask("pwrite behind the end", IOCB_CMD_PWRITE, fd, "abc", 3, 5000);
    ask("pread", IOCB_CMD_PREAD, fd, bytes, 100, 4);
    say_text("io_getevents", memcmp(bytes, "456789", 6) ? "other" : "right", "pread: bytes");
    ask("pread at the end", IOCB_CMD_PREAD, fd, bytes, 100, 5003);
    ask("pread into nowhere", IOCB_CMD_PREAD, fd, (void *)8, 100, 0);
    ask("pread before the start", IOCB_CMD_PREAD, fd, bytes, 100, -1);
    ask("pread of what is for writing", IOCB_CMD_PREAD, w, bytes, 10, 0);
    ask("pwrite to what is for reading", IOCB_CMD_PWRITE, r, bytes, 10, 0);
    ask("pread of a folder", IOCB_CMD_PREAD, d, bytes, 10, 0);
    ask("pread of nothing", IOCB_CMD_PREAD, 999, bytes, 10, 0);
    ask("preadv", IOCB_CMD_PREADV, fd, v, 2, 0);
    ask("pwritev", IOCB_CMD_PWRITEV, fd, v, 2, 20);
    ask("preadv of no parts", IOCB_CMD_PREADV, fd, v, 0, 0);
    ask("fsync", IOCB_CMD_FSYNC, fd, NULL, 0, 0);
    ask("fdsync", IOCB_CMD_FDSYNC, fd, NULL, 0, 0);
    ask("fsync with bytes", IOCB_CMD_FSYNC, fd, bytes, 10, 0);
    for (int op = 9; op < 20; op++)
        ask("an operation that is none", op, fd, bytes, 10, 0);
    struct stat st;
    fstat(fd, &st);
    say("fstat", st.st_size, "size afterwards");
    say("lseek", lseek(fd, 0, SEEK_CUR), "offset afterwards");
    several(fd);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        struct timespec none = {0, 0};
        say("io_getevents", sys(io_getevents, context, 0, 1, events, &none), "in a child");
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    say("io_destroy", sys(io_destroy, context), "the context");
    return 0;
}
