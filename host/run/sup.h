// SPDX-License-Identifier: Apache-2.0
// Inside the supervisor: one poll loop over the guest channel, the child, its service socket and the clients.
#ifndef HOST_RUN_SUP_H
#define HOST_RUN_SUP_H

#include <shelter/control.h>

#include "host/run/child.h"
#include "host/run/control.h"
#include "host/run/instance_log.h"
#include "host/run/stream.h"
#include "host/run/supervisor.h"

/* Output of a session that waits in one client, and what the client still takes. */
struct sup_stream {
    struct sh_fifo waiting;
    struct sh_stream_out out;
    bool eof; /* EOF follows what waits */
};

struct sup_client {
    int fd; /* -1: free slot */
    struct sh_frame_reader in;
    struct sh_fifo out;
    bool attached; /* to `session` */
    bool first;    /* it started us, and wants to hear STARTED */
    bool waits;    /* for the workload's end only */
    uint16_t session;
    struct sup_stream stream[2];
    bool feeds; /* stdin */
    struct sh_stream_in input;
    struct sh_fifo input_waiting;
    uint8_t request_type; /* SH_FRAME_STATS, TRACE or ATTEST: waits for its answer; 0: nothing */
    bool request_sent;
    uint8_t request[4 + SH_CONTROL_DATA_MAX];
    size_t request_size;
    bool traces, trace_lost; /* gets the trace; some of it was dropped */
    struct sh_fifo last; /* the frame that ends it, once its streams are delivered */
    bool closing;        /* ends when `out` is empty */
};

struct sup_session {
    bool open, started;
    uint16_t id;
    bool killed_with_client; /* a copy: of no use without the client */
    struct sh_stream_in output[2]; /* from the guest */
    struct sh_stream_out input;    /* to it */
};

struct sup {
    struct sh_launch_plan *plan;
    struct sh_instance *instance;
    struct sh_instance_state state;
    struct sh_log log;
    struct sh_child child; /* QEMU, or the enclave loader */
    const char *program; /* as it was executed */
    bool child_ended;
    struct sh_buffer child_words; /* the end of what it wrote to stderr */
    int channel_fd;
    struct sh_frame_reader channel_in;
    struct sh_fifo channel_out;
    bool hello;
    int service_fd; /* sh_backend.serve's; -1: none */
    int listen_fd;
    struct sup_client clients[SH_CONTROL_CLIENT_MAX];
    struct sup_session sessions[SH_SESSION_MAX]; /* [0] is the workload */
    uint16_t last_session;
    uint32_t last_request, asking; /* asking: the guest owes this one's answer; 0: none */
    int64_t asking_by;
    bool traced;      /* the guest was told to trace */
    int64_t kill_at;  /* sh_now_ms: send SIGKILL into the guest; 0: no such plan */
    int64_t power_at; /* stop the machine */
    int64_t boot_by;  /* HELLO must have come */
    bool ended;       /* state.exit_code is decided */
    bool ended_by_error;
    uint32_t exit_code, exit_signal; /* as told to clients */
};

/* sup_guest.c */
void sup_guest_readable(struct sup *s);
void sup_guest_pump(struct sup *s); /* stdin into credit, frames into the socket */
void sup_guest_signal(struct sup *s, struct sup_session *session, uint32_t signal);
void sup_guest_exec(struct sup *s, struct sup_client *c, const uint8_t *payload, size_t size);
void sup_session_open(struct sup_session *session, uint16_t id);
struct sup_session *sup_session_find(struct sup *s, uint16_t id);
/* Gives the guest as much credit as our clients' queues have room. */
void sup_guest_grant(struct sup *s, struct sup_session *session);

/* sup_requests.c */
void sup_request(struct sup *s, struct sup_client *c, const struct sh_frame_view *f);
void sup_requests_pump(struct sup *s);
void sup_answer(struct sup *s, const struct sh_frame_view *f);
void sup_traced(struct sup *s, const struct sh_frame_view *f);

/* sup_clients.c */
void sup_clients_accept(struct sup *s);
void sup_client_add(struct sup *s, int fd, bool first, bool attach, bool input);
void sup_client_attach(struct sup_client *c, uint16_t session, bool input);
void sup_client_readable(struct sup *s, struct sup_client *c);
void sup_client_pump(struct sup *s, struct sup_client *c);
void sup_client_drop(struct sup *s, struct sup_client *c);
/* Output of a session to all its clients. */
void sup_clients_data(struct sup *s, struct sup_session *session, unsigned i, const void *data,
                      size_t size);
void sup_clients_eof(struct sup *s, struct sup_session *session, unsigned i);
/* The last frame for all clients of a session (and the waiting ones, for session 0). */
void sup_clients_end(struct sup *s, uint16_t session, const struct sh_fifo *last);
/* Stop signal now, KILL after that time. */
void sup_begin_stop(struct sup *s, uint32_t after_ms);
/* STARTED, to those who wait for it. */
void sup_clients_started(struct sup *s, uint16_t session);

/* supervisor.c: the instance's end. The first call decides. */
void sup_end_exit(struct sup *s, uint32_t code, uint32_t signal);
void sup_end_error(struct sup *s, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int64_t sup_wall_ns(void);
void sup_save_state(struct sup *s);

#endif
