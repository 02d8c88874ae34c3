// SPDX-License-Identifier: Apache-2.0
// PID 1 of the confidential VM: what its files share. docs/guest.md tells the order of things.
//
// Attacks expected here: the host chooses every byte of the disks, the channel, the network and the
// shared folders, at every moment, and may answer late, twice or never. What it may vary lawfully
// is in the launch config; all else must equal what is measured, or this program powers off.
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <shelter/agent.h>
#include <shelter/boot.h>

#include "lib/io.h"
#include "lib/settings.h"
#include "lib/users.h"
#include "trusted/guest/start/start.h"

#define GUEST_EXIT_OWN 125 /* our own failure; 126 and 127 are exec's */

/* The one line that the user will read, and the exit status that goes with it. */
struct guest_error {
    int status;
    char text[512];
};

/* Fills e (status GUEST_EXIT_OWN) and returns code, a -errno. */
int guest_fail(struct guest_error *e, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static inline void guest_close(int *fd)
{
    extern int close(int);
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
#define GUEST_AUTOCLOSE __attribute__((cleanup(guest_close)))

/* --- cmdline.c (pure) --- */

struct guest_cmdline {
    char tee[16];
    uint8_t manifest[SH_ID_SIZE];
    bool has_launch;
    uint8_t launch[SH_LAUNCH_DIGEST_SIZE];
    bool console; /* some console= is there: only a debug image may run */
    bool probe;   /* shelter.probe: power off at once */
};

/* 0; -EEXIST for a key given twice, -EINVAL for a missing or malformed one. */
int guest_cmdline_parse(struct guest_cmdline *c, const char *text, struct guest_error *e);

/* --- config.c --- */

#define GUEST_CONFIG_SIZE_MAX                                                                      \
    (sizeof(struct sh_boot_config_head) + SH_MANIFEST_SIZE_MAX + SH_LAUNCH_SIZE_MAX)

struct guest_config {
    struct sh_view manifest_bytes, launch; /* in the caller's buffer; unchecked until checked */
    struct sh_manifest manifest;
    struct sh_settings settings; /* what both say, and all that is used of the launch config here */
    void *arena;                 /* of the settings */
};

/* Splits the config disk's bytes. Nothing inside the parts is looked at. */
int guest_config_split(struct guest_config *c, const void *data, size_t size,
                       struct guest_error *e);
/* Compares the manifest with its measured digest, then parses it. */
int guest_config_manifest(struct guest_config *c, const uint8_t digest[SH_ID_SIZE],
                          struct guest_error *e);
/* Compares the launch config with the first `size` bytes of its bound digest, then makes the
 * settings. */
int guest_config_launch(struct guest_config *c, const uint8_t *digest, size_t size,
                        struct guest_error *e);

/* --- tee.c --- */

/* Does the CPU agree with the command line's TEE? */
int guest_tee_check(const char *tee, struct guest_error *e);
/* The launch config's digest as the TEE has it; size is 48, or 32 where the field is shorter. */
int guest_tee_launch_digest(const struct guest_cmdline *cmdline, uint8_t digest[48], size_t *size,
                            struct guest_error *e);

/* --- device.c --- */

/* "/dev/vda" for a virtio disk by its serial number. Waits a short while for it to appear. */
int guest_disk_find(const char *serial, char *path, size_t path_size, struct guest_error *e);
/* Opens a virtio-serial port by its name. */
int guest_port_open(const char *name, struct guest_error *e);
/* Reads a small file whole: its size, or -errno (-EFBIG when it does not fit; a NUL is added). */
ssize_t guest_read_file(const char *path, char *out, size_t out_size);

/* --- verity.c --- */

/* Makes a block device of a disk with `size` bytes and then their hash tree; each block read from
 * it was checked against the root hash. name: of the device mapping, and for sentences. */
int guest_verity(const char *disk, const char *name, uint64_t size, const uint8_t root_hash[32],
                 char *path, size_t path_size, struct guest_error *e);

/* --- path.c: names inside the workload's root, which may be full of links --- */

/* Opens a path as the workload would see it; never leaves root. -errno. */
int guest_open_in(int root, const char *path, int flags);
/* A directory, made with its parents (0755, root) where missing. O_PATH descriptor or -errno. */
int guest_mkdir_in(int root, const char *path);
/* Replaces directory/name by a file with this content; links are replaced, not followed. */
int guest_write_in(int root, const char *directory, const char *name, const char *text);
/* The same with any content and mode. */
int guest_put_in(int root, const char *directory, const char *name, mode_t mode, const void *data,
                 size_t size);

/* --- mounts.c --- */

int guest_mount_own(struct guest_error *e);
/* The overlay of the checked root image and its share of memory. An O_PATH descriptor or -errno. */
int guest_mount_root(const char *device, unsigned share, struct guest_error *e);
/* Shows the processes of the caller's PID namespace: for the workload's first. */
int guest_mount_proc(int root);
/* /dev, /sys, /tmp and the image's tmpfs mounts. */
int guest_mount_workload(int root, const struct sh_settings *s, struct guest_error *e);
/* configfs, where this TEE has it: inside this root, or PID 1's own (root -1). 0 if there is none.
 */
int guest_mount_configfs(int root, const char *tee);
/* A tmpfs over whatever was there: a descriptor of its directory, or -errno. */
int guest_mount_files(int root, const char *path, const char *options);
/* Nobody writes to our programs any more (CVE-2019-5736), nor to the root if that is wanted too;
 * mounts in it are not changed. After all that is written there. */
int guest_mount_readonly(int root, bool too);
/* The image's data of that block device at its place. */
int guest_mount_data(int root, const struct sh_data *d, const char *device);
/* The volume at its place, served over `fuse`. */
int guest_mount_volume(int root, const struct sh_volume *v, int fuse);
/* The host's folders, at places that the image names. */
int guest_mount_shares(int root, const struct sh_settings *s, struct guest_error *e);

/* --- netconf.c (pure) --- */

#define GUEST_DNS_MAX 4

struct guest_address {
    int family; /* AF_INET, AF_INET6 or 0: none */
    uint8_t bytes[16];
};

struct guest_network {
    bool none;
    struct guest_address address, gateway, dns[GUEST_DNS_MAX];
    unsigned prefix;
    size_t dns_count;
};

/* "none", "dhcp" (what the launcher's network would give: <shelter/network.h>) or
 * "ADDR/LEN[,GATEWAY[,DNS...]]". 0 or -EINVAL. */
int guest_network_parse(struct guest_network *n, const char *text);

/* --- network.c --- */

int guest_network_up(const char *text, struct guest_network *n, struct guest_error *e);
/* /etc/hostname, /etc/hosts, /etc/resolv.conf in the overlay. */
int guest_network_files(int root, const char *hostname, const struct guest_network *n,
                        struct guest_error *e);
/* The DNS servers alone, for our agent's root. */
int guest_network_resolver(int root, const struct guest_network *n);

/* --- users.c --- */

#define GUEST_ETC_SIZE_MAX 1048576u /* of /etc/passwd and /etc/group */

int guest_user_find(struct sh_user *u, int root, const char *spec, struct guest_error *e);

/* --- strings.c (pure): argv and environment --- */

#define GUEST_STRINGS_MAX 8192u /* of one list */

struct guest_strings {
    char **items; /* NULL-terminated */
    size_t count, room;
};

int guest_strings_add(struct guest_strings *s, const char *text, size_t size);
/* Adds NAME=VALUE, or replaces what has this name. */
int guest_env_set(struct guest_strings *env, const char *text, size_t size);
const char *guest_env_get(const struct guest_strings *env, const char *name);
void guest_strings_free(struct guest_strings *s);

#endif
