// SPDX-License-Identifier: Apache-2.0
// What simulated TEEs have instead of Intel's: a root of this machine's own, a quoting enclave, a
// TCB.
//
//   $STORE/sim-tee/            made whole when first needed; whoever reads its keys can forge
//   evidence
//     root.pem                 the root certificate, OU = "Shelter simulated TEE": for --ca
//     quoting.pem   0600       attestation key, PCK key, PCK certificate chain: the quoting
//     enclave's authority.pem 0600       root, CA and TCB signing certificates and keys: for
//     collateral
//
// It protects nothing, and no verifier accepts its root unless told so by name.
#ifndef HOST_ATTEST_SIM_TEE_H
#define HOST_ATTEST_SIM_TEE_H

#include <stddef.h>
#include <stdint.h>

#include <shelter/sgx.h>

#include "host/base/error.h"

#define SH_STORE_SIM_TEE "sim-tee" /* in the store's folder */
#define SH_SIM_ROOT "root.pem"
#define SH_QUOTE_MAX 32768u

/* Makes the folder if it is not there. Two processes that do it at once end with one. */
int sh_sim_tee_make(const char *dir, struct sh_error *err);

/* Writes root.pem and the collateral that vouches for this machine's quotes, with the file names of
 * shelter_collateral_load(), valid from now for 30 days. `tdx`: for TDX, else SGX. */
int sh_sim_collateral_write(const char *dir, const char *out_dir, int tdx, struct sh_error *err);

/* --- the simulated quoting enclave (sim_qe.c) --- */

/* For whom an enclave makes the report that it wants quoted. */
void sh_sim_qe_target(struct sgx_targetinfo *target);

/* A quote, version 3, over a report for that target whose MAC holds on this process's simulated
 * processor. Its size, -EBADMSG for any other report, or another -errno. `out`: SH_QUOTE_MAX. */
int sh_sim_qe_quote_sgx(const char *dir, const struct sgx_report *report, uint8_t *out,
                        struct sh_error *err);

/* The certificate (PEM) of the key that signs for the quoting enclave; the caller's. 0 or -errno.
 */
int sh_sim_qe_pck(const char *dir, char **pem, struct sh_error *err);

/* The quoting enclave's own report for an enclave that asked for it, as EREPORT makes it. 0 or
 * -errno. */
int sh_sim_qe_report(const struct sgx_targetinfo *target, const uint8_t data[64],
                     struct sgx_report *report);

/* A quote, version 4, over a TDREPORT_STRUCT that the caller, the simulated TD module, has just
 * made. Its size or -errno. `out`: SH_QUOTE_MAX. */
int sh_sim_qe_quote_tdx(const char *dir, const uint8_t report[1024], uint8_t *out,
                        struct sh_error *err);

/* The TCB that the simulated platform has: what its PCK certificate and collateral name. */
#define SH_SIM_PCESVN 13u
#define SH_SIM_QE_ISVSVN 8u
#define SH_SIM_QE_ISVPRODID 1u    /* quotes enclaves */
#define SH_SIM_TD_QE_ISVPRODID 2u /* quotes TDs */
#define SH_SIM_QE_ATTRIBUTES (SGX_ATTR_INIT | SGX_ATTR_MODE64BIT | SGX_ATTR_PROVISIONKEY)
extern const uint8_t sh_sim_svn[16];         /* CPUSVN and SGX components */
extern const uint8_t sh_sim_tee_tcb_svn[16]; /* of TDs: module SVN, module version 1, loader SVN */
extern const uint8_t sh_sim_fmspc[6];
void sh_sim_qe_mrsigner(uint8_t mrsigner[32]);

#endif
