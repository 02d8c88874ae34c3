// SPDX-License-Identifier: Apache-2.0
// Offsets of struct port_thread, for entry.S.
#ifndef PORT_SGX_OFFSETS_H
#define PORT_SGX_OFFSETS_H

#define P_SELF 0
#define P_STATE 16 /* 8: CANARY of struct thread, too */
#define P_HOST_RSP 24
#define P_HOST_RBP 32
#define P_HOST_RET 40
#define P_THREAD 48
#define P_CALL_RSP 56
#define P_EXC_STACK 64
#define P_EXC_RSP 72
#define P_EXC_RBP 80
#define P_EXC_RET 88
#define P_XFRM 96
#define P_XSAVE 104
#define P_FS 112
#define P_ENTRY_STACK 120

/* State of a TCS: what an entry at CSSA 0 may be. */
#define STATE_NEW 0     /* the thread's start, once */
#define STATE_RUNNING 1 /* none */
#define STATE_CALLING 2 /* the return from a call out */
#define STATE_FREE 3    /* none, until the TCS is used again */

#define OUT_REFUSED 0
#define OUT_CALL 1

#endif
