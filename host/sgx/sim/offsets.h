// SPDX-License-Identifier: Apache-2.0
// Where entry.S finds the fields of struct sim_thread and struct sgx_enclave_run.
#ifndef HOST_SGX_SIM_OFFSETS_H
#define HOST_SGX_SIM_OFFSETS_H

#define T_RAX 0
#define T_RCX 8
#define T_RDX 16
#define T_RBX 24
#define T_RSP 32
#define T_RBP 40
#define T_RSI 48
#define T_RDI 56
#define T_R8 64
#define T_R9 72
#define T_R10 80
#define T_R11 88
#define T_R12 96
#define T_R13 104
#define T_R14 112
#define T_R15 120
#define T_RFLAGS 128
#define T_RIP 136
#define T_FS 144
#define T_GS 152
#define T_HOST_FS 160
#define T_HOST_GS 168
#define T_STACK 176
#define T_STUB 184
#define T_XRSTOR 192
#define T_XMASK 200
#define T_PENDING 208
#define T_INSN 216
#define T_CODE 224
#define T_LIB_FS 232

#define RUN_TCS 0
#define RUN_FUNCTION 8
#define RUN_VECTOR 12
#define RUN_ERROR 14
#define RUN_ADDR 16
#define RUN_HANDLER 24
#define RUN_RESERVED 40

#endif
