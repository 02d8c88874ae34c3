// SPDX-License-Identifier: Apache-2.0
// The simulated TD module (tdx-sim): what TDG.MR.REPORT is on hardware, over a virtio-serial port.
//
// The guest writes struct sh_simtd_request; the launcher, which measured what it loaded, answers
// struct sh_simtd_reply with a TDREPORT_STRUCT (Intel TDX Module ABI specification, 1,024 bytes).
// A simulation protects nothing: whoever runs the launcher can forge this.
#ifndef SHELTER_SIMTD_H
#define SHELTER_SIMTD_H

#include <stdint.h>

#define SH_SIMTD_PORT "shelter.td"
#define SH_SIMTD_MAGIC 0x51524454u /* "TDRQ" */

struct sh_simtd_request {
    uint32_t magic;
    uint32_t kind; /* 0: TDG.MR.REPORT */
    uint8_t report_data[64];
};

struct sh_simtd_reply {
    uint32_t magic;
    uint32_t status; /* 0, or a positive errno */
    uint8_t report[1024];
};

/* TDREPORT_STRUCT: REPORTMACSTRUCT (256), TEE_TCB_INFO (239), reserved (17), TDINFO_STRUCT (512). */
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
