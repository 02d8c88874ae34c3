// SPDX-License-Identifier: Apache-2.0
// The supervisor's clients as connections: output that waits for each within its credit, stdin that
// it feeds. What they ask for is judged in sup_commands. A client may be hostile only to itself:
// its connection is dropped.
#ifndef HOST_RUN_SUP_CLIENTS_H
#define HOST_RUN_SUP_CLIENTS_H

#include <shelter/control.h>

#include "host/run/control.h"
#include "host/run/stream.h"

/* Output of a session that waits in one client. */
struct sup_output {
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
    struct sup_output output[2];
    bool feeds; /* stdin */
    struct sh_stream_in input;
    struct sh_fifo input_waiting;
    uint8_t request_type; /* SH_FRAME_STATS, TRACE or ATTEST: waits for its answer; 0: nothing */
    bool request_sent;
    uint8_t request[4 + SH_CONTROL_ASK_MAX];
    size_t request_size;
    bool traces, trace_lost; /* gets the trace; some of it was dropped */
    struct sh_fifo exec;     /* payload of its EXEC, which waits until the workload runs */
    struct sh_fifo last;     /* the frame that ends it, once its output is delivered */
    bool closing;            /* ends when `out` is empty */
};

struct sup_clients {
    int listen_fd; /* -1: none */
    struct sup_client slot[SH_CONTROL_CLIENT_MAX];
};

#define FOR_SUP_CLIENTS(c, clients)                                                                \
    for (struct sup_client *c = (clients)->slot; c < (clients)->slot + SH_CONTROL_CLIENT_MAX; c++) \
        if (c->fd >= 0)

void sup_clients_init(struct sup_clients *s);
void sup_clients_accept(struct sup_clients *s);

/* Takes over a connection; NULL: there are too many, and it was closed. */
struct sup_client *sup_clients_add(struct sup_clients *s, int fd);
void sup_client_attach(struct sup_client *c, uint16_t session, bool feeds);
void sup_client_drop(struct sup_client *c);

/* Grants stdin, frames output within credit, writes what the socket takes; drops a client that is
 * gone or done. */
void sup_client_pump(struct sup_client *c);

bool sup_clients_attached(const struct sup_clients *s, uint16_t session);

/* The bytes of this stream (0 stdout, 1 stderr) that wait in the slowest client. */
size_t sup_clients_queued(const struct sup_clients *s, uint16_t session, unsigned i);

/* Output of a session to all its clients, and its end. */
void sup_clients_data(struct sup_clients *s, uint16_t session, unsigned i, const void *data,
                      size_t size);
void sup_clients_eof(struct sup_clients *s, uint16_t session, unsigned i);

/* STARTED, to those who wait for it. */
void sup_clients_started(struct sup_clients *s, uint16_t session);

/* The last frame for all clients of a session (and those who wait for it, for session 0). */
void sup_clients_end(struct sup_clients *s, uint16_t session, const struct sh_fifo *last);

#endif
