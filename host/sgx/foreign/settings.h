// SPDX-License-Identifier: Apache-2.0
// What `shelter sgx-sim` says to sgx-sim, and that to itself for each program that is started from
// there: one variable of the environment, which the program does not see.
#ifndef HOST_SGX_FOREIGN_SETTINGS_H
#define HOST_SGX_FOREIGN_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SH_SIM_ENVIRONMENT "SHELTER_SGX_SIM"
#define SH_SIM_ENVIRONMENT_MAX 16384u
#define SH_SIM_SOCKET_MAX 108u

struct sh_sim_settings {
    char exe[4096];               /* the program, absolute */
    char key[4096];               /* fuse key, or "" */
    char counts[4096];            /* file for counts, or "" */
    char aesm[SH_SIM_SOCKET_MAX]; /* our AESM socket, or "" */
    char epc[SH_SIM_SOCKET_MAX];  /* file of the machine's EPC, or "": one for each process */
    char cpu[32];
    char faults[512]; /* fault.h */
    uint64_t epc_bytes;
    bool strict;
    bool filtered; /* the system calls are trapped already */
};

/* "NAME=VALUE"; its length, or -E2BIG. `to` may be NULL with size 0. */
int sh_sim_settings_write(const struct sh_sim_settings *s, char *to, size_t size);
/* From the variable's value: 0 or -EINVAL. */
int sh_sim_settings_read(struct sh_sim_settings *s, const char *value);

#endif
