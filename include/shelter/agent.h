// SPDX-License-Identifier: Apache-2.0
// Between PID 1 of the confidential VM and the agent's program that it starts.
//
// The agent finds these descriptors; SHELTER_FDS names by letters which of them are there:
//
//   3    the listening socket (LISTEN_FDS=1)
//   4 t  a configfs-tsm entry, a directory
//   5 d  the TEE's device, or the simulated TD module's port
//   6 l  the event log (CCEL), a file
//   7 c  manifest and launch config, laid out as on the config disk (<shelter/boot.h>)
//   8 s  where to report: attest first, then report, then serve
//
// A report is a row of records; SH_AGENT_DONE or SH_AGENT_ERROR is the last one:
//
//   u8 kind | u8 zero | u16 name size | u32 data size | name | data       little endian
#ifndef SHELTER_AGENT_H
#define SHELTER_AGENT_H

enum sh_agent_fd {
    SH_AGENT_LISTEN_FD = 3,
    SH_AGENT_TSM_FD,
    SH_AGENT_DEVICE_FD,
    SH_AGENT_LOG_FD,
    SH_AGENT_CONFIG_FD,
    SH_AGENT_START_FD
};

enum sh_agent_record {
    SH_AGENT_LOG = 1,     /* data: a line for the instance's log */
    SH_AGENT_SECRET_FILE, /* name, content */
    SH_AGENT_SECRET_ENV,  /* name, value */
    SH_AGENT_DONE,
    SH_AGENT_ERROR, /* data: the sentence; the workload must not start */
};
#define SH_AGENT_HEAD_SIZE 8u
#define SH_AGENT_NAME_MAX 64u
#define SH_AGENT_DATA_MAX (1u << 20)

/* Where secrets are: a tmpfs of their own, files 0400 of the workload's user. Both TEEs. */
#define SH_SECRETS_DIR "/run/secrets"

#endif
