// SPDX-License-Identifier: Apache-2.0
// What the agent needs of its surroundings: the interface between its core and the system.
//
// os_linux.c is the confidential VM's side; the enclave's stands in the LibOS; tests bring their
// own. The core calls nothing else but <string.h>, mbedTLS and lib/, so that it links freestanding.
// Every function returns 0, a count or -errno (values of <asm/errno.h>), keeps no global error, and
// may be called by one thread at a time: the core has no locks and no threads of its own.
//
// Attacks expected here: streams carry whatever the host likes, at any speed; evidence is what the
// platform gave and is judged by the verifier, not here; clocks may stand still or jump.
#ifndef AGENT_OS_H
#define AGENT_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- Streams to the key broker: TCP, nothing secret in them, no promise of who is there --- */

/* Connects to a name or an IPv4/IPv6 literal (without brackets). deadline_ms is a time of
 * agent_os_now_ms. Returns a stream's number >= 0, or -errno: -ENOENT for a name that is not known,
 * -ETIMEDOUT. At most one stream is open at a time. */
int agent_os_connect(const char *host, uint16_t port, uint64_t deadline_ms);

/* At least one byte, at most `size`: how many. read: 0 is the end. -ETIMEDOUT after the deadline.
 * The count is never above `size`: whoever implements this checks what the host said. */
long agent_os_read(int stream, void *out, size_t size, uint64_t deadline_ms);
long agent_os_write(int stream, const void *data, size_t size, uint64_t deadline_ms);

void agent_os_close(int stream);

/* --- Randomness, time, memory, words --- */

/* Bytes that the host does not know, from the CPU. 0 or -errno, then nothing may be done. */
int agent_os_random(void *out, size_t size);

/* Milliseconds of a clock that does not go back; for deadlines only. */
uint64_t agent_os_now_ms(void);
void agent_os_sleep_ms(uint32_t ms);

/* Seconds since 1970 as far as known. The host may have chosen it: nothing may depend on it but the
 * dates written into a certificate. */
int64_t agent_os_time(void);

/* Zeroed memory, or NULL. free takes NULL; it need not wipe: the core wipes what is secret. */
void *agent_os_alloc(size_t size);
void agent_os_free(void *p);

/* One line for the instance's log, without a newline. The host may read it: never a secret. */
void agent_os_log(const char *line);

/* --- Evidence --- */

/* "tdx", "tdx-sim", "sgx", "sgx-sim", "snp" or "csv"; lives as long as the program. */
const char *agent_os_tee(void);

/* What the platform gave. The core owns the memory (agent_os_free); sizes are bounded by the
 * constants below, whoever implements agent_os_evidence checks. */
struct agent_raw {
    uint8_t *quote; /* SGX and TDX quote, SNP and CSV attestation report */
    size_t quote_size;
    uint8_t *more; /* TDX: event log (CCEL table); SNP: certificate table (GHCB specification) */
    size_t more_size;
};
#define AGENT_QUOTE_MAX                                                                            \
    32768u /* configfs-tsm gives no more, and no quote in the wild is larger                       \
            */
#define AGENT_MORE_MAX 131072u

/* Extends the TEE's register for what happens at run time (RTMR3) by a SHA-384: 0; -ENODEV where
 * there is none, which never changes while we run. */
int agent_os_extend(const uint8_t digest[48]);

/* Evidence of this TEE over report_data. -ENODEV where the platform has no way to it, -EPROTO for
 * an answer that cannot be one; `why`, when it fails, is a short reason for the log. */
int agent_os_evidence(const uint8_t report_data[64], struct agent_raw *raw, const char **why);

#endif
