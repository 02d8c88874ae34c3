// SPDX-License-Identifier: Apache-2.0
// Opens the volume with the key that PID 1 gives, says so, and serves it until it is unmounted. The
// exit status says whether it was closed in order.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/io.h"
#include "trusted/guest/volume/server.h"
#include "trusted/volume/crypt.h"

static int open_volume(struct server *s, struct server_order *o)
{
    s->read_only = o->read_only;
    int r = keep_start(s, o);
    struct volume_disk d = disk_of(s);
    d.judge_found = keep_judge;
    d.writer = s->keeper.hello.writer;
    void *memory =
        mmap(NULL, VOLUME_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    crypt_init(__builtin_cpu_supports("avx") && __builtin_cpu_supports("movbe"));
    o->name[sizeof(o->name) - 1] = 0;
    return r ? r
           : memory == MAP_FAILED
               ? -ENOMEM
               : volume_start(&d, o->key, o->name, o->read_only ? VOLUME_READ_ONLY : 0, memory,
                              VOLUME_MEMORY, &s->v);
}

static int prepare_server(struct server *s)
{
    s->in = malloc(SERVER_IN_SIZE);
    s->out = malloc(SERVER_OUT_SIZE);
    if (!s->in || !s->out)
        return -ENOMEM;
    (void)mlockall(MCL_CURRENT | MCL_FUTURE); /* or it may wait for memory that waits for it */
    return sync_start(s);
}

int main(void)
{
    static struct server s = {
        .fuse_fd = SERVER_FUSE_FD, .disk_fd = SERVER_DISK_FD, .flush_fd = -1, .flushed_fd = -1};
    struct server_order order;
    struct server_answer answer = {0};
    if (sh_read_all(SERVER_CONTROL_FD, &order, sizeof(order)))
        return 1;
    int r = prepare_server(&s);
    if (!r)
        r = open_volume(&s, &order);
    explicit_bzero(&order, sizeof(order));
    answer.error = r;
    if (r)
        strncpy(answer.text, *s.keeper.why ? s.keeper.why : volume_why_not(r),
                sizeof(answer.text) - 1);
    if (sh_write_all(SERVER_CONTROL_FD, &answer, sizeof(answer)) || r)
        return 1;
    r = serve_requests(&s);
    sync_wait(&s);
    int closed = keep_close(&s);
    return r || closed;
}
