// SPDX-License-Identifier: Apache-2.0
// The running shelter: its sessions, and the one loop that moves their bytes.
#ifndef GUEST_SERVE_H
#define GUEST_SERVE_H

#include "trusted/guest/stream.h"

/* What is run in the workload's root, and as whom. */
struct guest_run {
    uint8_t kind; /* enum sh_exec_kind */
    bool tty, input, output;
    char **argv, **env;
    const char *workdir;
    const struct sh_user *user;
    uint16_t rows, columns;
    int *pid_ns;  /* guest_fork_inside */
    bool starter; /* argv is /container's, which finds root and user itself */
};

enum guest_state {
    GUEST_UNUSED,
    GUEST_NEW,      /* the workload before its start */
    GUEST_STARTING, /* forked; exec has not told yet */
    GUEST_RUNNING,
    GUEST_ENDED, /* the leader is gone; output is being drained */
};

struct guest_session {
    enum guest_state state;
    uint16_t id;
    bool tty;
    const struct sh_container *container; /* whose it is; NULL: the workload's */
    bool leads;                           /* the first one there */
    int pid_ns;                           /* of a container that this one leads; -1 */
    pid_t pid;
    int wait_status;
    int status_fd;       /* carries the child's struct guest_error when exec fails */
    uint32_t signal_due; /* came before the start */
    uint16_t rows, columns;
    struct guest_in in;
    struct guest_out out[2]; /* stdout, stderr */
};

struct guest_volume {
    pid_t pid;   /* of its server; 0: none runs */
    int root;    /* O_PATH: where it is mounted */
    bool lost;   /* the server ended before its time */
    int control; /* what it says for the instance's log; -1: nothing more */
    int counts;  /* the file where it counts (volume/server.h); -1 */
    int anchor;  /* its side to the agent, who asks the broker for it, until it is started; -1 */
};

struct guest {
    struct guest_config config;
    struct guest_cmdline cmdline;
    int root;   /* O_PATH: the workload's root */
    int pid_ns; /* its PID namespace; -1 before its start */
    struct sh_user user;
    struct guest_strings env; /* the workload's */
    struct guest_channel channel;
    struct guest_session sessions[SH_SESSION_MAX];
    uint8_t ids_seen[65536 / 8]; /* a session's number is used once */
    int signal_fd;
    int notify_fd;    /* binds and listens of the image's programs; -1: there is no network */
    int agent_listen; /* our agent is started when somebody connects */
    int agent_fd;     /* its records (<shelter/agent.h>); -1: it does not run */
    pid_t agent;
    long agent_next;  /* not before this time */
    bool agent_again; /* it ran before */
    struct guest_volume volumes[SH_VOLUMES_MAX];
    bool stopping;  /* the workload is gone: everything else goes too */
    bool alone;     /* no process is left, but servers of volumes */
    bool exit_sent; /* EXIT or ERROR of session 0 */
    bool bye;
    long deadline; /* of what is waited for last, in ms; 0: none */
};

/* --- publish.c --- */

/* From now on each bind and listen of this process and its children waits for guest_publish_take.
 * The descriptor that tells of them, or -errno. */
int guest_publish_begin(struct guest_error *e);
/* One such call: lets it go on, or fail. */
void guest_publish_take(const struct guest *g);

/* --- process.c --- */

/* Forks and execs `run` for a session; the session's descriptors are filled in. */
int guest_spawn(struct guest *g, struct guest_session *s, const struct guest_run *run,
                struct guest_error *e);
/* Percent of the memory that files of one root may take: all together half. */
#define guest_share(g) (50 / (1 + (unsigned)(g)->config.settings.container_count))

/* --- child.c --- */

/* A child in that PID namespace; -1: in a new one, as its first process, and *pid_ns is it. */
pid_t guest_fork_inside(int *pid_ns);
/* In a fresh child: what any program of the workload gets and may not keep. */
void guest_child_reset(const char *oom_score_adj);
/* In a fresh child: a program of the initramfs in an empty root, as a user who owns nothing, with
 * these descriptors (fd -1: without). Returns if that fails. */
struct guest_handed {
    int fd, at;
};
void guest_child_service(const char *path, struct guest_handed *h, size_t count, unsigned id,
                         char **argv, char **env);
/* In a child: into the root, as the user, with a container's capabilities. 0 or -errno. */
int guest_child_enter(int root, const struct sh_user *user);

/* --- session.c --- */

struct guest_session *guest_session_find(struct guest *g, uint16_t id);
struct guest_session *guest_session_new(struct guest *g, uint16_t id);
bool guest_session_seen(const struct guest *g, uint16_t id);
void guest_session_free(struct guest_session *s);
void guest_session_signal(struct guest_session *s, uint32_t number);
/* Its number is used from now on. */
void guest_session_mark(struct guest *g, uint16_t id);
/* It was not started, because of e. */
void guest_session_error(struct guest *g, uint16_t id, const struct guest_error *e);
/* Moves what can be moved now. */
void guest_session_pump(struct guest *g, struct guest_session *s, bool in_ready, bool out_ready[2]);
/* Did the start succeed? Called when status_fd is readable. */
void guest_session_started(struct guest *g, struct guest_session *s);
void guest_session_reaped(struct guest *g, pid_t pid, int wait_status);
/* A line of ours to the workload's stderr, as the enclave's are; where nobody listens it is lost.
 */
void guest_session_tell(struct guest *g, const char *line, size_t size);

/* --- stats.c --- */

/* Answers SH_FRAME_STATS and SH_FRAME_TRACE. */
void guest_stats(struct guest *g, const struct sh_frame *frame, const uint8_t *payload);

/* --- files.c --- */

bool guest_secret_name_ok(const char *name, size_t size, bool env);
/* A file in SH_SECRETS_DIR, of a good name. -EEXIST; another -errno. */
int guest_secret_put(struct guest *g, const char *name, const uint8_t *data, size_t size);
/* One that is there is another one from now on. -EBADMSG for any other name. */
int guest_secret_renew(struct guest *g, const char *name, const uint8_t *data, size_t size);
/* A file of the image's identity. 0 or -errno. */
int guest_identity_put(struct guest *g, const char *name, const uint8_t *data, size_t size);
/* The workload is told by this signal that they are others: HUP, USR1 and USR2 only. */
void guest_identity_changed(struct guest *g, uint32_t number);

/* --- attest.c --- */

/* Passes an SH_FRAME_ATTEST on to the agent. */
void guest_attest(struct guest *g, const struct sh_frame *frame, const uint8_t *payload);
/* Takes what the agent says, and answers when all of it is there and the channel has room. */
void guest_attest_pump(struct guest *g, bool ready);
/* Is the agent to be listened to? */
bool guest_attest_waits(const struct guest *g);
/* Milliseconds that a request still waits; -1: there is none. */
long guest_attest_left(void);

/* --- agent.c --- */

/* Ours listens (and is started on the first connection), unless the image has its own server. */
int guest_agent_prepare(struct guest *g, struct guest_error *e);
/* Starts the image's own. */
int guest_agent_replace(struct guest *g, struct guest_error *e);
/* Starts ours, if it does not run: 0 with g->agent_fd, or -errno. */
int guest_agent_start(struct guest *g);
/* A record to it. Does not wait: a few small ones always fit. */
int guest_agent_ask(struct guest *g, enum sh_agent_record kind, const void *data, size_t size);
/* Ends it. It may be started again. */
void guest_agent_end(struct guest *g);

/* --- secrets.c --- */

/* With a broker or secrets: attests, and puts the image's secrets into environment and
 * SH_SECRETS_DIR. What fails here has the status SH_EXIT_ATTESTATION. */
int guest_secrets(struct guest *g, struct guest_error *e);

/* --- volumes.c --- */

/* Mounts a volume of the settings and starts its server: a descriptor that will have its struct
 * server_answer, or -errno. */
int guest_volume_begin(struct guest *g, size_t number, const uint8_t *key, struct guest_error *e);
/* Was it a server? */
bool guest_volume_reaped(struct guest *g, pid_t pid);
/* There are servers, and no other process. */
bool guest_volumes_alone(const struct guest *g);
/* Ends every other process. */
void guest_kill_rest(struct guest *g);
/* Unmounts all. 0, or -errno: not all that was written is on the disks. */
int guest_volumes_close(struct guest *g);

/* What a server says, on its `control`: a line for guest_session_tell; 0: nothing. */
#define GUEST_LINE 512u
size_t guest_volume_said(struct guest *g, size_t number, char line[GUEST_LINE]);
/* The workload is to end: no program waits for a broker any more. */
void guest_volumes_hurry(struct guest *g);

/* --- frames.c --- */

/* Takes the host's frames that came so far; one that no honest host sends ends the channel. */
void guest_take_frames(struct guest *g);

/* --- loop.c --- */

/* Until the workload has ended and the host knows. */
void guest_loop(struct guest *g);

#endif
