// SPDX-License-Identifier: Apache-2.0
// What a supervisor and a loader that holds its enclave say to each other (host/sgx/loader/hold.c).
#ifndef HOST_SGX_HOLD_H
#define HOST_SGX_HOLD_H

#define SGX_HELD 'h'             /* no frame of the channel begins so */
#define SGX_HOLD_MAX (64u << 10) /* bytes of options */

#endif
