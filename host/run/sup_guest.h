// SPDX-License-Identifier: Apache-2.0
// The supervisor's side of the guest channel: sessions, credit, the time that an end may take. The
// guest may be hostile too: it can end its own instance, and nothing else.
#ifndef HOST_RUN_SUP_GUEST_H
#define HOST_RUN_SUP_GUEST_H

#include "host/run/sup_life.h"
#include "host/run/sup_requests.h"

struct sup_session {
    bool open, started;
    uint16_t id;
    bool killed_with_client;       /* a copy: of no use without the client */
    struct sh_stream_in output[2]; /* from the guest */
    struct sh_stream_out input;    /* to it */
    int64_t start_by;              /* sh_now_ms: STARTED must have come; 0: it need not */
};

struct sup_guest {
    struct sup_life *life;
    struct sup_clients *clients;
    struct sup_requests *requests;
    int fd;      /* -1: closed */
    pid_t child; /* who is behind it; 0: nobody yet */
    struct sh_frame_reader in;
    struct sh_fifo out;
    bool hello, bounds;                          /* HELLO came, and had SH_CHANNEL_BOUNDS */
    struct sup_session sessions[SH_SESSION_MAX]; /* [0] is the workload */
    uint16_t last_session;
    int64_t kill_at;  /* sh_now_ms: send SIGKILL into the guest; 0: no such plan */
    int64_t power_at; /* end the machine */
};

/* Without a channel yet (fd -1); the workload's session is open. */
void sup_guest_init(struct sup_guest *g, struct sup_life *life, struct sup_clients *clients,
                    struct sup_requests *requests);
void sup_guest_readable(struct sup_guest *g);

/* Stdin of clients within credit, requests, and what of it the socket takes. */
void sup_guest_pump(struct sup_guest *g);

/* What follows from what clients did: credit for what they took, the end of what they left. */
void sup_guest_follow(struct sup_guest *g);

struct sup_session *sup_guest_session(struct sup_guest *g, uint16_t id);
void sup_guest_signal(struct sup_guest *g, struct sup_session *session, uint32_t signal);

/* Somebody stopped (SIGSTOP) the VM or the loader, so that nothing inside answers: with the
 * sentence.
 */
bool sup_guest_stopped(const struct sup_guest *g, char *why, size_t why_size);

/* The image's stop signal now, KILL after that time. */
void sup_guest_stop(struct sup_guest *g, uint32_t after_ms);

/* Starts a program for this client (payload of SH_FRAME_EXEC), once the workload runs, or tells it
 * why not. */
void sup_guest_exec(struct sup_guest *g, struct sup_client *c, const uint8_t *payload, size_t size);

/* When sup_guest_timers has something to do, as sh_now_ms; 0: never. */
int64_t sup_guest_next_timer(const struct sup_guest *g);
void sup_guest_timers(struct sup_guest *g);

#endif
