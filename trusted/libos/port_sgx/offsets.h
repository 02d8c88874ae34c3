// SPDX-License-Identifier: Apache-2.0
// Offsets of struct port_thread, for entry.S.
#ifndef PORT_SGX_OFFSETS_H
#define PORT_SGX_OFFSETS_H

#define P_SELF 0
#define P_STATE 8
#define P_HOST_RSP 16
#define P_HOST_RBP 24
#define P_HOST_RET 32
#define P_THREAD 40
#define P_CALL_RSP 48
#define P_EXC_STACK 56
#define P_EXC_RSP 64
#define P_EXC_RBP 72
#define P_EXC_RET 80
#define P_XFRM 88
#define P_XSAVE 96
#define P_FS 104
#define P_ENTRY_STACK 112

/* State of a TCS: what an entry at CSSA 0 may be. */
#define STATE_NEW 0     /* the thread's start, once */
#define STATE_RUNNING 1 /* none */
#define STATE_CALLING 2 /* the return from a call out */
#define STATE_FREE 3    /* none, until the TCS is used again */

#define OUT_REFUSED 0
#define OUT_CALL 1
#define OUT_END 3

#endif
