// SPDX-License-Identifier: Apache-2.0
// Processes beside the one that runs the enclave, outside its walls. Each does one thing that needs
// the machine: names and quotes, sockets, folders. They believe the loader, which the enclave may
// have taken over, no more than a stranger; they know nothing of the enclave.
//
// Before there are threads each is forked once; afterwards any thread may ask. Options, and what
// they lead to, last as long as the process. Errors: -errno of the system call that failed, where
// no other is named; with a struct sh_error its text is the sentence for the user. Sizes are bytes.
#ifndef HOST_SGX_OUTSIDE_OUTSIDE_H
#define HOST_SGX_OUTSIDE_OUTSIDE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "host/base/egress.h"
#include "host/base/error.h"
#include "host/run/ports.h"
#include <shelter/enclave.h>
#include <shelter/share.h>

#define OUTSIDE_PORTS_MAX 1024u
#define OUTSIDE_SHARES_MAX 64u

/* What the user allows. Strings: NULL: not given. */
struct outside_options {
    unsigned number;  /* of the process that was started: no other run has it now */
    bool simulated;   /* the processor is; keys and quotes are, too */
    bool has_channel; /* signals for the workload come by it */
    const char *fuse_key;
    const char *
        sim_tee; /* folder of host/attest/sim_tee.h; without it the simulated TEE gives no quotes */
    const char *aesm;              /* socket of the quoting service; always set */
    bool network;                  /* published ports, connections out */
    struct sh_egress_end resolver; /* IPv4; port 0: the host's */
    struct sh_egress egress;
    struct sh_port *ports; /* published */
    unsigned port_count;
    bool publish_all;   /* instead: each port, under its own number */
    bool publish_later; /* by outside_network_publish */
    struct outside_share {
        const char *folder;
        bool read_only;
    } shares[OUTSIDE_SHARES_MAX]; /* by the share's number; folder NULL: there is none */
    unsigned share_count;
};

/* --- outside.c: how they start, and how they are asked --- */
struct outside_process {
    int fd; /* our end of a socket of whole messages; -1: there is none */
    pthread_mutex_t lock;
    uint8_t message[SH_SLOT_A_SIZE + 256];
};
/* As fork, with a socket between the two: *fd is the caller's end, in either process, and its own.
 * The process's id, 0 in the child, or -errno of socketpair or fork. */
pid_t outside_fork(int *fd, struct sh_error *err);
/* For such a process, once: a name, no new rights, and nothing open but `fd` (above 2) and stderr.
 */
void outside_begin(const char *name, int fd);
/* Sends both parts as one message, and waits for the answer: a number, and bytes for `out`. One
 * question at a time; others wait. *made: the descriptor that came along, the caller's, or -1.
 * Without `out` and `made` nobody waits: 0. The number, or -EIO (it is gone), -EINVAL (too long),
 * -ENOSPC (the bytes do not fit). */
int64_t outside_ask(struct outside_process *to, const struct iovec question[2], void *out,
                    size_t out_size, int *made);

/* --- helper.c: what needs the host's files, services and keys --- */
enum outside_help {
    OUTSIDE_TARGET,  /* answer: struct sgx_targetinfo of the quoting enclave */
    OUTSIDE_QUOTE,   /* struct sgx_report; answer: a quote, at most SH_QUOTE_SIZE_MAX bytes */
    OUTSIDE_RESOLVE, /* a host name; answer: struct sh_address[], at most 16 */
};
/* Forks; returns in the process that is to run the enclave, with nothing of this process's changed
 * but its id. The helper is the parent or the child. 0, or -errno of outside_fork. */
int outside_helper_start(const struct outside_options *o, bool parent_helps, struct sh_error *err);
/* From now on the caller dies with its parent. 0, or -ECHILD: that one is dead already. Once the
 * user is final, since another one resets it. */
int outside_helper_follow(void);
/* Waits for its answer, also where the network is slow. Its bytes, or -errno: of outside_ask,
 * -ENOENT (no such name), -ENODEV (no quotes here), -EINVAL (no such question), or what the quoting
 * service failed with. */
int64_t outside_help(enum outside_help kind, const void *data, size_t size, void *out,
                     size_t out_size);

/* --- network.c: the enclave's network; addresses are those of <shelter/network.h> ---
 * What names an address is done outside, one question at a time; none waits for the network. */
/* Takes the published ports, so that nobody else does, and forks; nothing without a network. 0, or
 * -errno: what forbade a port, or -EIO (the process is gone). */
int outside_network_open(const struct outside_options *o, struct sh_error *err);
/* With publish_later: takes the ports of the options as they are now. 0, or -errno as
 * outside_network_open. */
int outside_network_publish(struct sh_error *err);
/* A socket for TCP or UDP, not blocking, owned by the caller until outside_socket_close; or -errno:
 * -EAFNOSUPPORT, -EMFILE, and those below. */
int outside_socket(int family, int type);
/* Closes any descriptor of the enclave's, a socket at both ends. */
void outside_socket_close(int fd);
enum outside_question { OUTSIDE_BIND, OUTSIDE_CONNECT, OUTSIDE_LISTEN, OUTSIDE_SEND };
/* What names an address (OUTSIDE_SEND: with bytes), and listening. Nobody waits. 0 (OUTSIDE_SEND:
 * the bytes that went), or -errno of Linux for that call; -EACCES (not published; not bound; not
 * allowed by host/base/egress.h), -EINVAL (it was accepted: it has its names; or the address is too
 * long), -ENETUNREACH (no network), -EIO (the process is gone). */
int64_t outside_socket_ask(int fd, enum outside_question kind, int backlog,
                           const struct iovec *address, const struct iovec *bytes);
/* The address that a datagram came from, made the enclave's; others stay. */
void outside_seen_address(void *address, socklen_t size);

/* --- share.c: folders of the host --- */
/* Looks at them and forks; nothing if there are none. 0, or -errno of what lacks. */
int outside_shares_open(const struct outside_options *o, struct sh_error *err);
/* Does what <shelter/share.h> says. Bytes in `out`, of SH_SLOT_A_SIZE, or -errno: that of the list,
 * -ENOENT (no folder is shared), or of outside_ask. */
int64_t outside_share(const struct sh_share_request *q, const void *data, size_t size, void *out);

#endif
