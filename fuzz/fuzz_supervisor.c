// SPDX-License-Identifier: Apache-2.0
// A guest that sends anything: the supervisor stays within its bounds and its memory.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "host/run/sup_guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sup_life life;
static struct sup_clients clients;
static struct sup_requests requests;
static struct sup_guest g;

static void check(void)
{
    for (int i = 0; i < 2; i++) {
        if (clients.slot[0].fd >= 0 && clients.slot[0].output[i].waiting.size > SH_CREDIT_WINDOW)
            abort();
        if (g.sessions[0].open && g.sessions[0].output[i].granted > SH_CREDIT_WINDOW)
            abort();
    }
    if (life.ended && (life.state.exit_code < 0 || life.state.exit_code > 255))
        abort();
}

/* The first byte: is there a client, does it read, does an exec run; then the guest's bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sh_instance instance = {.dir_fd = -1};
    int guest[2], client[2];
    if (!size || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, guest) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, client))
        return 0;
    life = (struct sup_life){.instance = &instance,
                             .state = {.state = SH_STATE_STARTING},
                             .log = {.dir_fd = -1, .fd = -1, .size_max = 1000}};
    sup_clients_init(&clients);
    requests = (struct sup_requests){.clients = &clients};
    sup_guest_init(&g, &life, &clients, &requests);
    g.fd = guest[0];
    struct sup_client *c = sup_clients_add(&clients, client[0]);
    c->first = true;
    if (data[0] & 1)
        sup_client_attach(c, 0, true);
    if (data[0] & 2)
        clients.slot[0].output[0].out.credit = clients.slot[0].output[1].out.credit = 1 << 30;
    if (data[0] & 4) {
        g.sessions[0].started = true;
        sup_guest_exec(&g, c, (const uint8_t *)"\0\0\1\0\0\0\0\0\0\0x\0\0\0", 14);
    }
    for (size_t at = 1; at < size && g.fd >= 0 && !life.ended;) {
        ssize_t n = write(guest[1], data + at, size - at);
        if (n <= 0)
            break;
        at += (size_t)n;
        sup_guest_readable(&g);
        if (clients.slot[0].fd >= 0)
            sup_client_pump(c);
        sup_guest_pump(&g);
        sup_guest_follow(&g);
        static uint8_t sink[65536];
        while (read(guest[1], sink, sizeof(sink)) > 0 || read(client[1], sink, sizeof(sink)) > 0)
            ;
        check();
    }
    if (clients.slot[0].fd >= 0)
        sup_client_drop(c);
    sh_frames_free(&g.in);
    sh_fifo_free(&g.out);
    if (g.fd >= 0)
        close(g.fd);
    close(guest[1]);
    close(client[1]);
    return 0;
}
