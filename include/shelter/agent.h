// SPDX-License-Identifier: Apache-2.0
// Between PID 1 of the confidential VM and the agent's program that it starts; where the agent is
// found, in both TEEs.
//
// The agent finds these descriptors; SHELTER_FDS names by letters which of them are there:
//
//   3    the listening socket (LISTEN_FDS=1)
//   4 t  a configfs-tsm entry, a directory
//   5 d  the TEE's device, or the simulated TD module's port
//   6 l  the event log (CCEL), a file
//   7 c  manifest and launch config, laid out as on the config disk (<shelter/boot.h>)
//   8 s  a stream socket of PID 1's: records both ways
//   9 r  the register for what happens at run time (RTMR3), a file
//  10+   sockets to the servers of volumes (trusted/volume/anchor.h), the n-th volume's at 10 + n
//     a  no descriptor: an agent ran before this one
//
//   u8 kind | u8 zero | u16 name size | u32 data size | name | data       little endian
//
// PID 1 asks, one request at a time, and the agent answers between the requests of its local API:
//
//   START     ->  LOG..., SECRET_FILE..., SECRET_ENV..., SECRET_VOLUME..., then DONE or ERROR:
//   attests, fetches what
//                 the image names. After ERROR the agent ends
//   (nothing) ->  IDENTITY..., CHANGED: among the answers of START, and later by itself; later also
//                 SECRET_FILE, of a secret that was there at the start
//   ATTEST    ->  EVIDENCE: data as SH_FRAME_ATTEST's and SH_FRAME_EVIDENCE's (<shelter/channel.h>)
#ifndef SHELTER_AGENT_H
#define SHELTER_AGENT_H

/* The local API's port, on the TEE's own loopback: never published. */
#define SH_AGENT_PORT 8006u

/* Where secrets are: a tmpfs of their own, files 0400 of the workload's user. Both TEEs. */
#define SH_SECRETS_DIR "/run/secrets"

/* Where the image's identity is, renewed while it runs: likewise. */
#define SH_IDENTITY_DIR "/run/identity"

enum sh_agent_fd {
    SH_AGENT_LISTEN_FD = 3,
    SH_AGENT_TSM_FD,
    SH_AGENT_DEVICE_FD,
    SH_AGENT_LOG_FD,
    SH_AGENT_CONFIG_FD,
    SH_AGENT_CONTROL_FD,
    SH_AGENT_RTMR3_FD,
    SH_AGENT_VOLUME_FD /* and those behind it: one for each volume that the broker remembers */
};

enum sh_agent_record {
    SH_AGENT_LOG = 1,       /* data: a line for the instance's log */
    SH_AGENT_SECRET_FILE,   /* name, content */
    SH_AGENT_SECRET_ENV,    /* name, value */
    SH_AGENT_SECRET_VOLUME, /* a volume's name, its key */
    SH_AGENT_DONE,
    SH_AGENT_ERROR, /* data: the sentence; the workload must not start */
    SH_AGENT_EVIDENCE,
    SH_AGENT_START, /* of PID 1, as the next */
    SH_AGENT_ATTEST,
    SH_AGENT_IDENTITY, /* as SECRET_FILE, for SH_IDENTITY_DIR; at any time */
    SH_AGENT_CHANGED,  /* u32 signal: the workload reads its files anew */
};
#define SH_AGENT_HEAD_SIZE 8u
#define SH_AGENT_NAME_MAX 64u
#define SH_AGENT_DATA_MAX (1u << 20)

/* Where Linux has evidence (Documentation/ABI/testing/configfs-tsm; the drivers' devices). */
#define SH_TSM_REPORTS "/sys/kernel/config/tsm/report"
#define SH_TSM_ENTRY SH_TSM_REPORTS "/agent" /* the agent's own */
#define SH_TDX_DEVICE "/dev/tdx_guest"
#define SH_SNP_DEVICE "/dev/sev-guest"
#define SH_CSV_DEVICE "/dev/csv-guest"                                 /* Hygon's driver */
#define SH_RTMR3 "/sys/class/misc/tdx_guest/measurements/rtmr3:sha384" /* Linux 6.16 */
#define SH_EVENT_LOG "/sys/firmware/acpi/tables/data/CCEL"

#endif
