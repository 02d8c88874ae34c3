// SPDX-License-Identifier: Apache-2.0
// The simulated TD module (tdx-sim): what TDG.MR.REPORT and the quote service are on hardware, over
// a virtio-serial port.
//
// The guest writes struct sh_simtd_request; the launcher, which measured what it loaded, answers by
// kind: struct sh_simtd_reply with a TDREPORT_STRUCT (Intel TDX Module ABI specification, 1,024
// bytes), or struct sh_simtd_quote_reply and behind it `size` bytes of a TDX quote, version 4. One
// request at a time: the port carries no numbers to tell answers apart.
// A simulation protects nothing: whoever runs the launcher can forge this.
#ifndef SHELTER_SIMTD_H
#define SHELTER_SIMTD_H

#include <stdint.h>

#define SH_SIMTD_PORT "shelter.td"
#define SH_SIMTD_MAGIC 0x51524454u /* "TDRQ" */

#define SH_SIMTD_REPORT 0u /* TDG.MR.REPORT */
#define SH_SIMTD_QUOTE                                                                             \
    1u /* a quote over that report, by the machine's simulated quoting enclave                     \
        */

#define SH_SIMTD_EXTEND 2u /* TDG.MR.RTMR.EXTEND of RTMR3, then a report with it */

struct sh_simtd_request {
    uint32_t magic;
    uint32_t kind;           /* one of those above; another: sh_simtd_reply with EINVAL */
    uint8_t report_data[64]; /* SH_SIMTD_EXTEND: a SHA-384 and 16 zero bytes */
};

struct sh_simtd_reply {
    uint32_t magic;
    uint32_t status; /* 0, or a positive errno */
    uint8_t report[1024];
};

/* The launcher's word like any other: bound `size` before reading on. */
#define SH_SIMTD_QUOTE_MAX 32768u
struct sh_simtd_quote_reply {
    uint32_t magic;
    uint32_t status; /* 0, or a positive errno: then size is 0 */
    uint32_t size;   /* of the quote that follows, SH_SIMTD_QUOTE_MAX at most */
};

/* TDREPORT_STRUCT: REPORTMACSTRUCT (256), TEE_TCB_INFO (239), reserved (17), TDINFO_STRUCT (512).
 */
#define SH_TDREPORT_REPORTDATA 128u /* 64 bytes, in REPORTMACSTRUCT */
#define SH_TDREPORT_TDINFO 512u
#define SH_TDINFO_ATTRIBUTES 0u /* 8 bytes */
#define SH_TDINFO_XFAM 8u       /* 8 */
#define SH_TDINFO_MRTD 16u      /* 48, as all below */
#define SH_TDINFO_MRCONFIGID 64u
#define SH_TDINFO_MROWNER 112u
#define SH_TDINFO_MROWNERCONFIG 160u
#define SH_TDINFO_RTMR 208u /* four of them */

#endif
