// SPDX-License-Identifier: Apache-2.0
// Instances: their folder, their immutable config, their state.
//
//   $STORE/instances/<id>/     id: 32 hex digits, random; mode 0700
//     config.json    written once, when the instance is made
//     state.json     replaced by the supervisor at each change; padded with spaces to 4 KiB, so
//     that
//                    a full disk cannot keep the last state from being written over it
//     lock           the supervisor holds it (flock) for as long as the child may run
//     ctl.sock       control socket (host/run/control.h) while the supervisor lives
//     launch         launch config as hashed (<shelter/launch.h>)
//     config.disk    manifest and launch config for the guest (<shelter/boot.h>)
//     log, log.1     what the workload wrote (host/run/instance_log.h)
//     console.log    kernel console, --debug only
//   $STORE/instances/.lock     taken (flock), shortly, to make, rename or remove instances
//
// Nobody believes state.json alone: "starting" and "running" are true only while `lock` is held.
#ifndef HOST_RUN_INSTANCE_H
#define HOST_RUN_INSTANCE_H

#include <cjson/cJSON.h>

#include "host/store/store.h"
#include "host/launch/launch.h"

#define SH_INSTANCE_ID_SIZE 33u /* with the NUL */

/* config.json */
struct sh_instance_config {
    char id[SH_INSTANCE_ID_SIZE];
    char *name;
    char image[SH_ID_TEXT_SIZE];
    char *reference; /* as the user named the image */
    char *tee;
    bool simulated;
    enum sh_qemu_boot boot;
    char *firmware; /* absolute; NULL: the TEE's default */
    uint64_t memory;
    uint32_t cpus;
    bool network;
    bool host_loopback; /* --network host-loopback */
    char *broker;       /* the URL of -i as the inside knows it; NULL: not given */
    bool debug;
    bool require_confinement; /* no walls, no start */
    bool tty;
    bool stdin_open; /* the launch config lets the host feed stdin */
    bool remove;     /* --rm */
    uint32_t stop_signal;
    uint64_t requests;         /* SH_POLICY_*: what may be asked of it (lib/settings.h) */
    uint64_t signals;          /* bit n - 1: it takes signal n */
    int64_t created;           /* seconds since 1970 */
    struct sh_strings command; /* what runs, for people */
    struct sh_port *ports;
    size_t port_count;
    struct sh_mount *mounts;
    size_t mount_count;
    struct sh_strings volumes; /* NAME=FILE */
    struct sh_strings data;    /* NAME=FILE: sets of data that do not lie in the image's folder */
    char launch_digest[97];    /* hex */
};
void sh_instance_config_free(struct sh_instance_config *config);

enum sh_run_state {
    SH_STATE_CREATED, /* made, never started */
    SH_STATE_STARTING,
    SH_STATE_RUNNING,
    SH_STATE_EXITED,
    SH_STATE_DEAD, /* its supervisor went without a word: killed, or the host went down */
};
extern const char *const sh_state_words[];

/* state.json */
struct sh_instance_state {
    enum sh_run_state state;
    int supervisor_pid, child_pid; /* QEMU, or the enclave loader */
    /* 0: none */
    int64_t started, finished; /* nanoseconds since 1970; 0: not yet */
    int exit_code;             /* valid when exited */
    char error[1024];          /* why Shelter ended it; empty otherwise */
    cJSON *measurement;        /* as `measure --json` has it; owned; NULL: not measured */
};

/* An instance opened for use. */
struct sh_instance {
    int dir_fd;
    struct sh_instance_config config;
    struct sh_instance_state state; /* as it is, not as the file says: see sh_instance_refresh */
};
void sh_instance_close(struct sh_instance *instance);

/* Random. */
int sh_instance_new_id(char id[SH_INSTANCE_ID_SIZE], struct sh_error *err);

/* Is it the form of an id? */
bool sh_instance_is_id(const char *text);

/* Makes the folder with config.json in it, gives it an id where it has none, and a name where
 * config->name is NULL; returns with its `lock` held in *lock_fd. -EEXIST when the name is taken.
 */
int sh_instance_create(struct sh_store *store, struct sh_instance_config *config,
                       struct sh_instance *instance, int *lock_fd, struct sh_error *err);

/* By name, id or unique beginning of an id. -ENOENT with a sentence when there is none. */
int sh_instance_open(struct sh_store *store, const char *reference, struct sh_instance *instance,
                     struct sh_error *err);

/* All ids, oldest first. */
int sh_instance_list(struct sh_store *store, struct sh_strings *ids, struct sh_error *err);
int sh_instance_open_id(struct sh_store *store, const char *id, struct sh_instance *instance,
                        struct sh_error *err);

/* One whose config cannot be read: its id (as its name, too) and its folder, to end and remove it.
 */
int sh_instance_open_damaged(struct sh_store *store, const char *id, struct sh_instance *instance,
                             struct sh_error *err);

/* Reads state.json again and corrects it by the lock: while that is held the instance runs,
 * whatever the file says. */
void sh_instance_refresh(struct sh_instance *instance);

/* The process that holds the lock, found by looking and not by what a file says; 0: nobody, or a
 * process of somebody else. */
pid_t sh_instance_holder(const struct sh_instance *instance);

/* Takes the lock; -EBUSY while a supervisor holds it. */
int sh_instance_lock(const struct sh_instance *instance, int *lock_fd);

/* Writes state.json; over the old bytes where the disk is full. */
int sh_instance_save_state(int dir_fd, const struct sh_instance_state *state);

/* Removes the folder. Whoever calls it holds the lock or knows that there is no supervisor. */
int sh_instance_remove(struct sh_store *store, const char *id, struct sh_error *err);

/* Removes what creation left behind when it was killed; returns how many. */
size_t sh_instance_clean_leftovers(struct sh_store *store);

static inline bool sh_instance_alive(const struct sh_instance *i)
{
    return i->state.state == SH_STATE_STARTING || i->state.state == SH_STATE_RUNNING;
}

/* Is it a name that an instance may have ([a-zA-Z0-9][a-zA-Z0-9_.-]{0,62})? */
bool sh_instance_name_ok(const char *name);

/* command, ports and mounts, as config.json and `inspect` have them. */
void sh_instance_add_lists(cJSON *root, const struct sh_instance_config *config);
cJSON *sh_instance_ports_json(const struct sh_instance_config *config);

/* config.json and state.json as text; parse returns 0 or -EBADMSG. */
char *sh_instance_config_text(const struct sh_instance_config *config);
int sh_instance_config_parse(const char *text, struct sh_instance_config *config);
char *sh_instance_state_text(const struct sh_instance_state *state);
int sh_instance_state_parse(const char *text, struct sh_instance_state *state);

#endif
