// SPDX-License-Identifier: Apache-2.0
// The launch config: everything the host may vary at launch, bound by its digest to the TEE.
//
// It is CoCo initdata (version 0.1.0) in one canonical form, so that its exact bytes can be hashed
// and the inside needs no TOML parser:
//
//   version = "0.1.0"\n
//   algorithm = "sha384"\n
//   \n
//   [data]\n
//   "shelter.launch" = '''\n
//   key value\n            lines in the order of enum sh_launch_key; lists repeat their key
//   '''\n
//
// A value is the field's bytes; every byte outside 0x20..0x7e, and % and ', is written %XX (upper
// case). Unknown keys, other orders, other escapes and other bytes are refused: one content, one
// text. Its SHA-384 stands in MRCONFIGID (TDX), CONFIGID (SGX, zero-padded to 64), HOST_DATA (SNP,
// its first 32 bytes, as CoCo truncates it), or on the measured command line (CSV).
#ifndef SHELTER_LAUNCH_H
#define SHELTER_LAUNCH_H

#define SH_LAUNCH_HEAD                                                                             \
    "version = \"0.1.0\"\nalgorithm = \"sha384\"\n\n[data]\n\"shelter.launch\" = '''\n"
#define SH_LAUNCH_TAIL "'''\n"
/* Room for the 2 MiB of strings that Linux gives a program, escapes aside. */
#define SH_LAUNCH_SIZE_MAX 4194304u
#define SH_LAUNCH_DIGEST_SIZE 48u
/* The launch config of a host that chooses nothing. */
#define SH_LAUNCH_EMPTY SH_LAUNCH_HEAD SH_LAUNCH_TAIL

/* In canonical order; the comment gives key and value. Absent means: as the manifest says. */
enum sh_launch_key {
    SH_LAUNCH_ARG,      /* arg: list, the whole argv; replaces entrypoint and command */
    SH_LAUNCH_ENV,      /* env: list, NAME=VALUE; overrides the image's */
    SH_LAUNCH_WORKDIR,  /* workdir: absolute path */
    SH_LAUNCH_USER,     /* user: user[:group[:gid,...]] */
    SH_LAUNCH_HOSTNAME, /* hostname */
    SH_LAUNCH_TTY,      /* tty: "1", a terminal for the workload */
    SH_LAUNCH_STDIN,    /* stdin: "1", the host feeds stdin; else it is empty */
    SH_LAUNCH_MOUNT,    /* mount: list, "TAG ro|rw /path": a host folder, untrusted */
    SH_LAUNCH_FILE,     /* file: list, "MODE /path HEX": a file of the host, untrusted: four octal
                         * digits, its place, its content */
    SH_LAUNCH_READONLY, /* readonly: "1", nobody writes to the image's root (EROFS) */
    SH_LAUNCH_LIMIT,   /* limit: list, "RESOURCE SOFT HARD": RLIMIT_* of Linux on x86-64, decimal */
    SH_LAUNCH_NETWORK, /* network: as the manifest's record */
    SH_LAUNCH_PORT,    /* port: list, "tcp|udp PORT|all": published by the host */
    SH_LAUNCH_BROKER,  /* broker: URL of the key broker */
    SH_LAUNCH_MEMORY,  /* memory: bytes, decimal */
    SH_LAUNCH_CPUS,    /* cpus: decimal */
    SH_LAUNCH_DEBUG,   /* debug: "1" */
    SH_LAUNCH_KEY_COUNT
};

#define SH_LAUNCH_PORT_FORMAT "%s %u" /* the protocol's name, the port; or instead of it: */
#define SH_LAUNCH_PORT_ALL "all"
#define SH_LAUNCH_MOUNT_FORMAT "%s %s %s" /* tag, "ro" or "rw", path */
#define SH_LAUNCH_LIMIT_FORMAT "%u %llu %llu"
#define SH_LAUNCH_FILE_FORMAT "%04o %s %s" /* mode, path, content in hexadecimal */

#endif
