// SPDX-License-Identifier: Apache-2.0
// The agent as a Linux program: its evidence drivers and its server. What PID 1 hands it stands in
// <shelter/agent.h>.
#ifndef AGENT_LINUX_H
#define AGENT_LINUX_H

#include "trusted/agent/text.h"

/* What evidence is made of; -1 for what is not there. */
struct agent_sources {
    const char *tee;
    int tsm, device, log;
    int rtmr3; /* the register, to be extended by a write */
};
extern struct agent_sources agent_sources;

/* --- tsm.c, device.c: drivers. They fill raw->quote and raw->more, from agent_os_alloc --- */

/* A whole file into memory: 0, -EMSGSIZE beyond max, -errno. An empty file is size 0 and NULL. */
int agent_read_whole(int fd, size_t max, uint8_t **out, size_t *size);
int agent_tsm_evidence(int dir, const uint8_t report_data[64], struct agent_raw *raw,
                       const char **why);
int agent_tdx_guest_evidence(int fd, const uint8_t report_data[64], struct agent_raw *raw,
                             const char **why);
int agent_sev_guest_evidence(int fd, const uint8_t report_data[64], struct agent_raw *raw,
                             const char **why);
int agent_csv_guest_evidence(int fd, const uint8_t report_data[64], struct agent_raw *raw,
                             const char **why);
int agent_tdx_sim_evidence(int fd, const uint8_t report_data[64], struct agent_raw *raw,
                           const char **why);

/* Extends RTMR3 by a SHA-384. -ENODEV: the launcher is older than this. */
int agent_tdx_sim_extend(int fd, const uint8_t digest[48]);

/* --- report.c --- */

/* 0 or -errno. */
int agent_report(int fd, uint8_t kind, const char *name, const void *data, size_t size);
/* Lines of the log go there; -1: nowhere. */
void agent_log_to(int fd);

/* --- control.c --- */

/* Answers one record of PID 1. 0; -ENODATA when it is gone, another -errno: this program ends. */
int agent_control(int fd, struct agent *a);
/* Something is to be renewed: sends PID 1 what changed. 0, or -errno of the socket. */
int agent_control_keep(int fd, struct agent *a);

/* --- keep.c: volumes whose states the broker remembers --- */

/* The server of this volume, s->anchored, may ask from now on; it is told what is remembered. 0 or
 * -errno. */
int agent_keep(const struct sh_settings *set, const struct agent_secret *s);
/* Where questions of volume `number` (below SH_VOLUMES_MAX) come from; -1: there are none. */
int agent_kept_fd(size_t number);
/* Answers the one that came there. Takes as long as agent_volume_advance. */
void agent_kept_ask(size_t number, struct agent *a);

/* --- serve.c --- */

/* Serves connections of a listening socket, and PID 1 (-1: not), until one of them fails. */
int agent_serve(int listen_fd, int control_fd, struct agent *a);
/* --- os_linux.c --- */

/* poll(2) of one descriptor, for whoever waits for the broker. agent_serve puts one here that
 * meanwhile serves whoever does not need it: a broker that does not answer holds up nobody else. */
extern int (*agent_wait)(int fd, short events, int limit_ms);

#endif
