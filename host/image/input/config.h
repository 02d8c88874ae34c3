// SPDX-License-Identifier: Apache-2.0
// What an image's manifest says beside its root: collected from the input, the build file and the
// command line, in that order; later ones win.
#ifndef HOST_IMAGE_INPUT_CONFIG_H
#define HOST_IMAGE_INPUT_CONFIG_H

#include <shelter/manifest.h>

#include "host/base/util.h"

struct sh_config_mount {
    char *path;
    uint64_t size;
    uint32_t mode;
};

/* Where the host may mount a folder of its own. */
struct sh_config_host_mount {
    char *path;
    bool cover; /* what the image has there may be hidden by it */
};

struct sh_config_port {
    uint16_t port;
    uint8_t protocol;
};

struct sh_config {
    struct sh_strings entrypoint, command, env, secrets;
    char *workdir, *user, *hostname, *network, *agent, *broker;
    struct sh_buffer broker_key; /* DER */
    uint32_t stop_signal, cpus;
    uint64_t policy, memory;
    struct sh_limit_record *limits;
    size_t limit_count;
    struct sh_config_mount *mounts;
    size_t mount_count;
    struct sh_config_volume {
        char *name, *path;
        uint64_t size;
        uint32_t flags; /* SH_VOLUME_* */
    } * volumes;
    size_t volume_count;
    struct sh_config_data {
        char *folder; /* of this machine */
        char *name, *path;
    } * data;
    size_t data_count;
    struct sh_buffer *containers; /* records of the manifest */
    size_t container_count;
    uint64_t container_stops; /* signals that ask them to end: bit n is signal n + 1 */
    struct sh_config_host_mount *host_mounts;
    size_t host_mount_count;
    struct sh_config_port *ports;
    size_t port_count;
};

void sh_config_free(struct sh_config *c);

/* NAME=VALUE; replaces an earlier one of that name. */
int sh_config_env(struct sh_config *c, const char *text, struct sh_error *err);

/* Replaces an owned string. */
void sh_config_set(char **slot, const char *value);
void sh_config_list(struct sh_strings *slot, char *const *words, size_t count);

/* Words of `--allow` ("exec,mount"), "lock", "no-input", "no-output", "agent-header",
 * "no-evidence". */
int sh_config_policy(struct sh_config *c, const char *words, struct sh_error *err);

/* "80", "80/tcp", "53/udp". Added once. */
int sh_config_port(struct sh_config *c, const char *text, struct sh_error *err);

/* "TERM", "SIGTERM", "15". */
int sh_config_stop_signal(struct sh_config *c, const char *text, struct sh_error *err);

/* "nofile=1024:4096", "core=0", "stack=unlimited". */
int sh_config_limit(struct sh_config *c, const char *text, struct sh_error *err);

int sh_limit_parse(const char *text, struct sh_limit_record *l, struct sh_error *err);

/* "nofile" for RLIMIT_NOFILE. */
const char *sh_limit_name(uint32_t resource);
/* Its number; -EINVAL: there is none of this name. */
int sh_limit_find(const char *name, size_t size);

/* "/path", "/path:size=64M,mode=1777": a tmpfs. */
int sh_config_mount(struct sh_config *c, const char *text, struct sh_error *err);

/* "none", "dhcp", "ADDR/LEN[,GATEWAY[,DNS...]]". */
int sh_config_network(struct sh_config *c, const char *text, struct sh_error *err);

/* "/path", "/path:cover": a folder of the host may be mounted there. */
/* NAME:/PATH:key=kbs:///...:freshness=insecure-none[:size=SIZE][:ro]; a secret too, the key. */
int sh_config_volume(struct sh_config *c, const char *text, struct sh_error *err);
int sh_config_host_mount(struct sh_config *c, const char *text, struct sh_error *err);
/* FOLDER:/PATH[:name=NAME]: read-only data beside the root image; its name is the last of PATH. */
int sh_config_data(struct sh_config *c, const char *text, struct sh_error *err);

/* Letters, digits, '-' and '.', at most 64. */
int sh_config_hostname(struct sh_config *c, const char *text, struct sh_error *err);

/* http:// or https://. */
int sh_config_broker(struct sh_config *c, const char *text, struct sh_error *err);

/* "NAME=kbs:///REPOSITORY/TYPE/TAG[:file|:env]". */
int sh_config_secret(struct sh_config *c, const char *text, struct sh_error *err);
/* spiffe://TRUST-DOMAIN/PATH[:HUP|:USR1|:USR2]: the image's own; kept among its secrets */
int sh_config_identity(struct sh_config *c, const char *text, struct sh_error *err);

/* "512M", "2G"; 1 to 64. */
int sh_config_memory(struct sh_config *c, const char *text, struct sh_error *err);
int sh_config_cpus(struct sh_config *c, const char *text, struct sh_error *err);

/* PEM or DER public key. */
int sh_config_broker_key(struct sh_config *c, const char *file, struct sh_error *err);

/* The policy's words, for people and JSON. */
void sh_policy_words(uint64_t policy, struct sh_strings *words);

/* The files that a manifest speaks for. sites_size 0: there is no sites.bin. */
struct sh_manifest_files {
    uint64_t root_size, sites_size;
    uint8_t root_hash[32], sites_hash[32];
    struct {
        uint64_t size;
        uint8_t hash[32];
    } data[SH_DATA_MAX]; /* as struct sh_config has them */
};

/* Writes the manifest's bytes and checks them with the reader. */
int sh_manifest_write(const struct sh_config *c, const struct sh_manifest_files *files,
                      struct sh_buffer *out, struct sh_error *err);

#endif
