// SPDX-License-Identifier: Apache-2.0
// What a manifest and a launch config say together: the settings that a shelter runs with.
//
// This is the one place where the two are weighed against each other. LibOS, PID 1, the agent, the
// broker and `shelter inspect` use its result; none of them looks at a field of either by itself.
// Pure: no allocation, no file system, no clock; names are resolved by whoever has /etc/passwd.
//
// Attacks expected here: the host wrote the launch config. It asks for what the policy forbids,
// repeats, contradicts itself, names paths and ports that are not its own to give.
#ifndef LIB_SETTINGS_H
#define LIB_SETTINGS_H

#include "lib/launch.h"
#include "lib/manifest.h"

#define SH_SETTINGS_ARGS_MAX 131072u
#define SH_SETTINGS_STRINGS_MAX 8192u /* of any other list, defaults included */
#define SH_SETTINGS_LIMITS 16u        /* RLIMIT_* of Linux */
#define SH_SETTINGS_SHARES_MAX 64u
#define SH_SETTINGS_FILES_MAX 64u
#define SH_LIMIT_NONE UINT64_MAX    /* no limit */
#define SH_LIMIT_FILES 7u           /* RLIMIT_NOFILE */
#define SH_LIMIT_FILES_MAX 1048576u /* what Linux takes at most for it */

/* What --lock freezes: a launch config with one of these keys is refused. A network may still be
 * taken away (the host can cut the wire anyway), or named as it was built. */
#define SH_SETTINGS_LOCKED                                                                         \
    (1u << SH_LAUNCH_ARG | 1u << SH_LAUNCH_ENV | 1u << SH_LAUNCH_WORKDIR | 1u << SH_LAUNCH_USER |  \
     1u << SH_LAUNCH_HOSTNAME | 1u << SH_LAUNCH_LIMIT | 1u << SH_LAUNCH_NETWORK)

struct sh_string_list {
    const char **items; /* count strings, then NULL */
    size_t count;
};

struct sh_limit {
    uint64_t soft, hard;
};

/* A port that the outside may reach. All others are refused inside. */
struct sh_published_port {
    uint16_t port;    /* 0: all but the agent's */
    uint8_t protocol; /* enum sh_protocol */
};

/* A memory file system that the image asks for. */
struct sh_tmpfs {
    const char *path; /* absolute */
    uint64_t size;    /* bytes; 0: no limit */
    uint32_t mode;    /* at most 07777 */
};

/* A folder of the host, untrusted, always noexec, nosuid, nodev. */
struct sh_share {
    const char *tag;  /* "share0", ... */
    const char *path; /* as the manifest's SH_TAG_HOST_MOUNT names it */
    bool read_only;
    bool cover; /* the image's owner said that it may cover what the image has there */
};

/* A file of the host, copied in, untrusted. */
struct sh_file {
    const char *folder, *name; /* absolute; one part of a path */
    const uint8_t *data;
    uint32_t size, mode; /* mode: at most 0777 */
};

/* Storage that lasts. The host's file has its number, the index in the list. */
struct sh_volume {
    const char *name, *path;
    uint64_t size; /* bytes; 0: as large as its file */
    uint32_t away; /* seconds without a broker's answer (SH_VOLUME_AWAY_SHIFT); 0: none is asked */
    bool read_only, strict, pauses;
};

/* Read-only data beside the root image (SH_TAG_DATA). */
struct sh_data {
    const char *name, *path;
    uint64_t size;       /* bytes of its erofs */
    const uint8_t *root; /* 32 bytes, in the manifest */
};

/* Every string ends with a NUL and stands in the caller's arena; none is NULL. */
struct sh_settings {
    struct sh_string_list args; /* argv; empty: nobody named a command, and nothing can start */
    size_t entrypoint_count;    /* how many of them are the image's entry point */
    /* NAME=VALUE, each name once: PATH, HOSTNAME and (with a terminal) TERM as docker sets them,
     * unless the image or the host says otherwise. HOME is whose who reads /etc/passwd. */
    struct sh_string_list env;
    struct sh_string_list image_env; /* the image's own alone: for what is the image's, not the
                                      * workload's (its API server) */
    const char *workdir;             /* absolute */
    const char *user;                /* user[:group], names or numbers; "": root */
    const char *hostname;            /* sh_hostname_ok */
    const char *network; /* "none", "dhcp", "ADDR/LEN[,GATEWAY[,DNS...]]"; "": nobody says */
    uint8_t own4[4];     /* the workload's IPv4 address: that of `network`, else 10.0.2.15 */
    uint8_t prefix4;     /* bits of its network */
    const char *broker;  /* key broker's URL; "": none */
    const char *agent;   /* API server of the image's own; "": ours */
    struct sh_string_list
        secrets; /* NAME=kbs:///...[:file|:env|:volume]; not empty only in locked images */
    struct sh_view broker_key; /* DER, in the manifest's bytes; size 0: none */
    struct sh_published_port *ports;
    size_t port_count;
    struct sh_tmpfs *tmpfs;
    size_t tmpfs_count;
    struct sh_volume *volumes;
    size_t volume_count; /* at most SH_VOLUMES_MAX */
    struct sh_data *data;
    size_t data_count;               /* at most SH_DATA_MAX */
    struct sh_container *containers; /* in the manifest's bytes, as data[].root */
    size_t container_count;          /* at most SH_CONTAINERS_MAX; then the image is locked */
    struct sh_share *shares;
    size_t share_count;
    struct sh_file *files;
    size_t file_count;
    struct sh_limit limits[SH_SETTINGS_LIMITS]; /* by RLIMIT_*; what nobody says has its default */
    bool read_only;                             /* nobody writes to the image's root (EROFS) */
    bool outside;                               /* is there a network besides loopback? */
    bool pod;           /* loopback's ports that nobody here uses are the host's */
    bool input;         /* the host feeds stdin; else it is empty */
    bool input_allowed; /* the image lets the host feed what it may start (exec) */
    bool output;        /* stdout and stderr reach the host; else they are dropped */
    bool terminal;      /* the streams are a terminal (only where there are input and output) */
    bool locked;
    bool agent_header;    /* the local API wants its header with each request */
    bool no_evidence;     /* ... and gives neither raw evidence nor a token */
    bool debug;           /* the host asked for it, and may */
    uint64_t requests;    /* SH_POLICY_EXEC, _TRACE, _STATS, _DEBUG: what the host may ask for */
    uint64_t signals;     /* bit n - 1: the host may send signal n */
    uint32_t stop_signal; /* what asks the workload to end */
    uint64_t memory;      /* bytes; 0: nobody says */
    uint32_t cpus;        /* likewise */
};

/* Bytes of arena that these inputs need at most. */
size_t sh_settings_size(const struct sh_manifest *m, size_t launch_size);

/* Works out the settings. `m` was parsed by sh_manifest_parse, and its bytes must outlive `s`
 * (broker_key, data[].root and containers point there); `launch` is checked here and not needed
 * afterwards. `arena` is aligned to 8 bytes and belongs to `s`. 0, or -errno with *why, one line
 * for the user:
 *   -ENOENT   there is no launch config (launch NULL): nothing starts without one
 *   -EBADMSG  it is not canonical, or a value of it (or of the manifest) is malformed
 *   -EPERM    it asks for what the image does not allow, or the image's own policy is unsafe
 *   -E2BIG    more strings than SH_SETTINGS_ARGS_MAX or SH_SETTINGS_STRINGS_MAX
 *   -ENOMEM   the arena is smaller than sh_settings_size */
int sh_settings_make(struct sh_settings *s, const struct sh_manifest *m, const void *launch,
                     size_t launch_size, void *arena, size_t arena_size, const char **why);

/* May the host send this signal? */
bool sh_settings_signal(const struct sh_settings *s, uint32_t signal);

/* Does the image name this path for a folder of the host (SH_TAG_HOST_MOUNT)? */
bool sh_settings_place(const struct sh_manifest *m, const char *path);

/* Is this port of ours published? */
bool sh_settings_published(const struct sh_settings *s, uint8_t protocol, uint16_t port);

#endif
