// SPDX-License-Identifier: Apache-2.0
// The image manifest: everything about an image that is measured, in one fixed binary form.
//
//   0        8         12        16
//   +--------+---------+---------+----------+----------+-----
//   | magic  | version | size    | record 0 | record 1 | ...     size = whole manifest, <= 64 KiB
//   +--------+---------+---------+----------+----------+-----
//
//   record:  u16 tag | u16 zero | u32 size | size bytes          all integers little endian
//
// Records stand in ascending order of tag; a list is one record an element, in order. There is one
// encoding for one content. The reader refuses unknown tags, wrong sizes, wrong order, repeats of
// what is not a list, and bytes after the end. The SHA-384 of these bytes is the image's identity;
// it stands on the measured command line (VM) or in a measured page (enclave).
#ifndef SHELTER_MANIFEST_H
#define SHELTER_MANIFEST_H

#include <stdint.h>

#define SH_MANIFEST_MAGIC "SHLTRMAN"
#define SH_MANIFEST_VERSION 1u
#define SH_MANIFEST_SIZE_MAX 65536u
#define SH_ID_SIZE 48u /* SHA-384 of the manifest */

enum sh_manifest_tag {
    SH_TAG_ROOT_HASH = 1,    /* 32 bytes: root of the dm-verity tree (SHA-256, 4 KiB, no salt) */
    SH_TAG_ROOT_SIZE = 2,    /* u64: bytes of erofs in root.img; the hash tree starts there */
    SH_TAG_SITES_HASH = 3,   /* 32 bytes: verity root of sites.bin (SGX); absent without one */
    SH_TAG_SITES_SIZE = 4,   /* u64: bytes of sites.bin before its hash tree */
    SH_TAG_ENTRYPOINT = 16,  /* list: leading part of argv, kept when the host gives a command */
    SH_TAG_COMMAND = 17,     /* list: rest of argv */
    SH_TAG_ENV = 18,         /* list: NAME=VALUE */
    SH_TAG_WORKDIR = 19,     /* absolute path */
    SH_TAG_USER = 20,        /* user[:group], names or numbers, resolved in the image's /etc */
    SH_TAG_HOSTNAME = 21,    /* at most 64 bytes */
    SH_TAG_STOP_SIGNAL = 22, /* u32, Linux signal number */
    SH_TAG_LIMIT = 23,       /* list: struct sh_limit_record */
    SH_TAG_MOUNT = 24,       /* list: u64 size (0: no limit) | u32 mode | absolute path: a tmpfs */
    SH_TAG_PORT = 25,        /* list: u16 port | u8 enum sh_protocol: for documentation */
    SH_TAG_NETWORK = 26,     /* "none", "dhcp" or "ADDR/LEN[,GATEWAY[,DNS...]]" */
    SH_TAG_AGENT = 27,       /* path in the image of the API server that replaces ours */
    SH_TAG_BROKER = 28,      /* key broker's URL */
    SH_TAG_BROKER_KEY = 29,  /* its public key, DER SubjectPublicKeyInfo */
    SH_TAG_SECRET = 30,      /* list: name=kbs:///repository/type/tag[:file|env] */
    SH_TAG_POLICY = 31,      /* u64: SH_POLICY_* */
    SH_TAG_MEMORY = 32,      /* u64: bytes the workload asks for; the host may give others */
    SH_TAG_CPUS = 33,        /* u32: likewise */
    SH_TAG_HOST_MOUNT = 34,  /* list: u32 SH_HOST_MOUNT_* | plain absolute path: where the host may
                                mount a folder of its own (untrusted, noexec) */
    SH_TAG_VOLUME = 35, /* list: u64 size (0: as large as its file) | u32 SH_VOLUME_* | u32 bytes of
                           name | name | plain absolute path: storage whose blocks the host
                           keeps; the secret NAME:volume opens it */
    SH_TAG_DATA = 36, /* list: 32 bytes root of a dm-verity tree | u64 bytes before it (erofs) | u32
                         bytes of name | name | plain absolute path: read-only data in a file of
                         its own, data-NAME.img, laid out as root.img */
    SH_TAG_CONTAINER = 37, /* list: name, its NUL | struct sh_exec_head and strings as of an
                              SH_FRAME_EXEC: a program that the host may start, with the folder
                              SH_CONTAINERS_DIR/NAME as its root; of a pod in one machine */
    SH_TAG_COUNT           /* no tag: one more than the last */
};

/* How fresh a volume must be: that an earlier state was put back is noticed by a broker that has
 * the state of each fsync (STRICT), of about each second (neither), or by nobody (INSECURE_NONE).
 * Where a broker is asked: how many seconds changes go on while it does not answer, and whether
 * they then wait for it (PAUSE) or fail. */
#define SH_VOLUME_INSECURE_NONE 1u
#define SH_VOLUME_STRICT 2u
#define SH_VOLUME_READ_ONLY 4u
#define SH_VOLUME_PAUSE 8u
#define SH_VOLUME_AWAY_SHIFT 16u /* the upper half: seconds, from 1; 0 for INSECURE_NONE */
#define SH_VOLUME_NAME_MAX 32u
#define SH_VOLUME_KEY_SIZE 32u
#define SH_VOLUMES_MAX 8u

#define SH_DATA_MAX 8u

#define SH_CONTAINERS_MAX 16u
#define SH_CONTAINERS_DIR "/containers" /* in the image's root */

#define SH_HOST_MOUNT_COVER 1u /* it may cover what the image has there */

/* Policy: what the host may do with a running shelter. No policy record means 0, which lets the
 * host choose command, environment, user and resources, feed stdin, see stdout and stderr, and stop
 * it; nothing else. */
#define SH_POLICY_EXEC (1ull << 0)       /* run further programs inside (also: cp) */
#define SH_POLICY_SIGNAL (1ull << 2)     /* signals other than INT, TERM, KILL, the stop signal */
#define SH_POLICY_TRACE (1ull << 3)      /* see its system calls */
#define SH_POLICY_STATS (1ull << 4)      /* see counts of calls */
#define SH_POLICY_DEBUG (1ull << 5)      /* kernel console, debugger */
#define SH_POLICY_FILES (1ull << 6)      /* files of the host are copied in, untrusted */
#define SH_POLICY_POD (1ull << 7)        /* loopback is its pod's, so the host's too */
#define SH_POLICY_LOCK (1ull << 16)      /* command, environment, directory, user stay as built */
#define SH_POLICY_NO_INPUT (1ull << 17)  /* stdin is /dev/null */
#define SH_POLICY_NO_OUTPUT (1ull << 18) /* stdout and stderr do not reach the host */
#define SH_POLICY_AGENT_HEADER (1ull << 19) /* the local API answers only with its header */
#define SH_POLICY_NO_EVIDENCE (1ull << 20)  /* the local API gives no raw evidence and no token */
#define SH_POLICY_ALL                                                                              \
    (SH_POLICY_EXEC | SH_POLICY_SIGNAL | SH_POLICY_TRACE | SH_POLICY_STATS | SH_POLICY_DEBUG |     \
     SH_POLICY_FILES | SH_POLICY_POD | SH_POLICY_LOCK | SH_POLICY_NO_INPUT | SH_POLICY_NO_OUTPUT | \
     SH_POLICY_AGENT_HEADER | SH_POLICY_NO_EVIDENCE)

/* The transport protocols that have ports, by their numbers in IP. */
enum sh_protocol { SH_TCP = 6, SH_UDP = 17 };
static inline const char *sh_protocol_name(uint8_t protocol)
{
    return protocol == SH_UDP ? "udp" : "tcp";
}

struct sh_limit_record {
    uint32_t resource; /* RLIMIT_* of Linux on x86-64 */
    uint32_t zero;
    uint64_t soft;
    uint64_t hard;
};

#endif
