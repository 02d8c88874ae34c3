// SPDX-License-Identifier: Apache-2.0
// A guest that sends anything: the supervisor stays within its bounds and its memory.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "host/run/sup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sup s;

static void check(void)
{
    for (int i = 0; i < 2; i++) {
        if (s.clients[0].fd >= 0 && s.clients[0].stream[i].waiting.size > SH_CREDIT_WINDOW)
            abort();
        if (s.sessions[0].open && s.sessions[0].output[i].granted > SH_CREDIT_WINDOW)
            abort();
    }
    if (s.ended && (s.state.exit_code < 0 || s.state.exit_code > 255))
        abort();
}

/* The first byte: is there a client, does it read, does an exec run; then the guest's bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sh_instance instance = {.dir_fd = -1};
    static struct sh_launch_plan plan = {.instance = &instance, .lock_fd = -1, .image_fd = -1};
    int guest[2], client[2];
    if (!size || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, guest) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, client))
        return 0;
    s = (struct sup){.plan = &plan, .instance = &instance, .listen_fd = -1, .simtd_fd = -1,
                     .channel_fd = guest[0], .state = {.state = SH_STATE_STARTING}};
    s.qemu.pid_fd = s.qemu.stderr_fd = -1;
    s.log = (struct sh_log){.dir_fd = -1, .fd = -1, .size_max = 1000};
    for (size_t i = 0; i < SH_CONTROL_CLIENT_MAX; i++)
        s.clients[i].fd = -1;
    sup_session_open(&s.sessions[0], 0);
    sup_client_add(&s, client[0], true, data[0] & 1, true);
    if (data[0] & 2)
        s.clients[0].stream[0].out.credit = s.clients[0].stream[1].out.credit = 1 << 30;
    if (data[0] & 4) {
        s.sessions[0].started = true;
        sup_guest_exec(&s, &s.clients[0], (const uint8_t *)"\0\0\1\0\0\0\0\0\0\0x\0\0\0", 14);
    }
    for (size_t at = 1; at < size && s.channel_fd >= 0 && !s.ended;) {
        ssize_t n = write(guest[1], data + at, size - at);
        if (n <= 0)
            break;
        at += (size_t)n;
        sup_guest_readable(&s);
        if (s.clients[0].fd >= 0)
            sup_client_pump(&s, &s.clients[0]);
        sup_guest_pump(&s);
        static uint8_t sink[65536];
        while (read(guest[1], sink, sizeof(sink)) > 0 || read(client[1], sink, sizeof(sink)) > 0)
            ;
        check();
    }
    if (s.clients[0].fd >= 0)
        sup_client_drop(&s, &s.clients[0]);
    sh_frames_free(&s.channel_in);
    sh_fifo_free(&s.channel_out);
    if (s.channel_fd >= 0)
        close(s.channel_fd);
    close(guest[1]);
    close(client[1]);
    return 0;
}
