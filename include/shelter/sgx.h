// SPDX-License-Identifier: Apache-2.0
// SGX's architectural structures and numbers, as both sides of the enclave and the verifier see
// them.
//
// Names, offsets and values follow the Intel SDM, volume 3D: section 35.7 and on ("Enclave Access
// Control and Data Structures") for the structures, chapter 38 ("SGX Instruction References") for
// leaves and error codes. Everything is little-endian; reserved fields are zero.
#ifndef SHELTER_SGX_H
#define SHELTER_SGX_H

#include <stddef.h>
#include <stdint.h>

#define SGX_PAGE_SIZE 4096u
#define SGX_PAGE_SHIFT 12

/* ENCLS leaves (ring 0), SDM 38.3. */
enum sgx_encls {
    SGX_ECREATE = 0x00,
    SGX_EADD = 0x01,
    SGX_EINIT = 0x02,
    SGX_EREMOVE = 0x03,
    SGX_EDBGRD = 0x04,
    SGX_EDBGWR = 0x05,
    SGX_EEXTEND = 0x06,
    SGX_ELDB = 0x07,
    SGX_ELDU = 0x08,
    SGX_EBLOCK = 0x09,
    SGX_EPA = 0x0a,
    SGX_EWB = 0x0b,
    SGX_ETRACK = 0x0c,
    SGX_EAUG = 0x0d,
    SGX_EMODPR = 0x0e,
    SGX_EMODT = 0x0f,
    SGX_EUPDATESVN = 0x18,
};

/* ENCLU leaves (ring 3), SDM 38.4. */
enum sgx_enclu {
    SGX_EREPORT = 0x00,
    SGX_EGETKEY = 0x01,
    SGX_EENTER = 0x02,
    SGX_ERESUME = 0x03,
    SGX_EEXIT = 0x04,
    SGX_EACCEPT = 0x05,
    SGX_EMODPE = 0x06,
    SGX_EACCEPTCOPY = 0x07,
    SGX_EVERIFYREPORT2 = 0x08,
    SGX_EDECCSSA = 0x09,
};

/* What a leaf leaves in RAX, SDM 38.1.3 (table 38-4). Faults are not here: they are exceptions. */
enum sgx_error {
    SGX_SUCCESS = 0,
    SGX_INVALID_SIG_STRUCT = 1,
    SGX_INVALID_ATTRIBUTE = 2,
    SGX_BLKSTATE = 3,
    SGX_INVALID_MEASUREMENT = 4,
    SGX_NOTBLOCKABLE = 5,
    SGX_PG_INVLD = 6,
    SGX_EPC_PAGE_CONFLICT = 7,
    SGX_INVALID_SIGNATURE = 8,
    SGX_MAC_COMPARE_FAIL = 9,
    SGX_PAGE_NOT_BLOCKED = 10,
    SGX_NOT_TRACKED = 11,
    SGX_VA_SLOT_OCCUPIED = 12,
    SGX_CHILD_PRESENT = 13,
    SGX_ENCLAVE_ACT = 14,
    SGX_ENTRYEPOCH_LOCKED = 15,
    SGX_INVALID_EINITTOKEN = 16,
    SGX_PREV_TRK_INCMPL = 17,
    SGX_PG_IS_SECS = 18,
    SGX_PAGE_ATTRIBUTES_MISMATCH = 19,
    SGX_PAGE_NOT_MODIFIABLE = 20,
    SGX_PAGE_NOT_DEBUGGABLE = 21,
    SGX_INSUFFICIENT_ENTROPY = 29,
    SGX_EPC_NOT_READY = 30,
    SGX_NO_UPDATE = 31,
    SGX_INVALID_CPUSVN = 32,
    SGX_INVALID_ISVSVN = 64,
    SGX_UNMASKED_EVENT = 128,
    SGX_INVALID_KEYNAME = 256,
};

/* ATTRIBUTES, SDM 35.7.1. */
#define SGX_ATTR_INIT (1ull << 0)
#define SGX_ATTR_DEBUG (1ull << 1)
#define SGX_ATTR_MODE64BIT (1ull << 2)
#define SGX_ATTR_PROVISIONKEY (1ull << 4)
#define SGX_ATTR_EINITTOKENKEY (1ull << 5)
#define SGX_ATTR_CET (1ull << 6)
#define SGX_ATTR_KSS (1ull << 7)
#define SGX_ATTR_AEXNOTIFY (1ull << 10)

#define SGX_XFRM_LEGACY 0x3ull /* x87 and SSE: always set */

struct sgx_attributes {
    uint64_t flags; /* SGX_ATTR_* */
    uint64_t xfrm;  /* which XSAVE components the enclave may use */
};

/* MISCSELECT, SDM 35.7.2. */
#define SGX_MISC_EXINFO (1u << 0)
#define SGX_MISC_CPINFO (1u << 1)

/* SECS, SDM 35.7. The page whose EPC copy only the processor reads. */
struct sgx_secs {
    uint64_t size;           /* of ELRANGE in bytes; a power of two, at least two pages */
    uint64_t base;           /* multiple of size */
    uint32_t ssa_frame_size; /* in pages */
    uint32_t miscselect;
    uint64_t cet_leg_bitmap_offset;
    uint8_t cet_attributes;
    uint8_t reserved1[15];
    struct sgx_attributes attributes;
    uint8_t mrenclave[32];
    uint8_t reserved2[32];
    uint8_t mrsigner[32];
    uint8_t reserved3[32];
    uint8_t configid[64];
    uint16_t isv_prod_id;
    uint16_t isv_svn;
    uint16_t config_svn;
    uint8_t reserved4[3834];
};

/* TCS, SDM 35.8. */
#define SGX_TCS_DBGOPTIN (1ull << 0)
#define SGX_TCS_AEXNOTIFY (1ull << 1)
struct sgx_tcs {
    uint64_t state;
    uint64_t flags;
    uint64_t ossa; /* offsets are from SECS.BASEADDR */
    uint32_t cssa;
    uint32_t nssa;
    uint64_t oentry;
    uint64_t aep;
    uint64_t ofsbase;
    uint64_t ogsbase;
    uint32_t fslimit;
    uint32_t gslimit;
    uint64_t ocetssa;
    uint64_t prevssp;
    uint8_t reserved[4008];
};

/* The end of each SSA frame, SDM 35.9. Frame: XSAVE area | … | MISC (EXINFO) | GPRSGX. */
struct sgx_gprsgx {
    uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rflags, rip;
    uint64_t ursp, urbp; /* of the untrusted side, stored by EENTER */
    uint32_t exitinfo;   /* SGX_EXIT_* */
    uint8_t reserved[3];
    uint8_t aexnotify; /* bit 0: ask ERESUME for a notification */
    uint64_t fsbase, gsbase;
};

/* GPRSGX.EXITINFO, SDM 35.9.1.1. */
#define SGX_EXIT_VECTOR(info) ((info)&0xffu)
#define SGX_EXIT_TYPE(info) (((info) >> 8) & 7u)
#define SGX_EXIT_HARDWARE 3u
#define SGX_EXIT_SOFTWARE 6u
#define SGX_EXIT_VALID (1u << 31)

/* EXINFO of the MISC region, SDM 35.9.2.1; there only if MISCSELECT.EXINFO is set. */
struct sgx_exinfo {
    uint64_t maddr; /* linear address of a #PF */
    uint32_t errcd; /* error code of a #PF or #GP */
    uint32_t reserved;
};

/* SECINFO, SDM 35.11. */
#define SGX_SECINFO_R (1ull << 0)
#define SGX_SECINFO_W (1ull << 1)
#define SGX_SECINFO_X (1ull << 2)
#define SGX_SECINFO_RWX 7ull
#define SGX_SECINFO_PENDING (1ull << 3)
#define SGX_SECINFO_MODIFIED (1ull << 4)
#define SGX_SECINFO_PR (1ull << 5)
#define SGX_SECINFO_PT(type) ((uint64_t)(type) << 8)
#define SGX_SECINFO_PT_OF(flags) (((flags) >> 8) & 0xffu)
#define SGX_SECINFO_RESERVED (~(SGX_SECINFO_RWX | 0x38ull | 0xff00ull))
struct sgx_secinfo {
    uint64_t flags;
    uint8_t reserved[56];
} __attribute__((aligned(64)));

enum sgx_page_type {
    SGX_PT_SECS = 0,
    SGX_PT_TCS = 1,
    SGX_PT_REG = 2,
    SGX_PT_VA = 3,
    SGX_PT_TRIM = 4,
};

/* PAGEINFO, SDM 35.10: linear addresses. */
struct sgx_pageinfo {
    uint64_t linaddr;
    uint64_t srcpge;
    uint64_t secinfo;
    uint64_t secs;
} __attribute__((aligned(32)));

/* SIGSTRUCT, SDM 35.13. Signed: bytes 0–127 and 900–1027. */
#define SGX_RSA_SIZE 384u
struct sgx_sigstruct {
    uint8_t header[16];
    uint32_t vendor; /* 0, or 0x8086 for Intel's own */
    uint32_t date;   /* BCD, 0xyyyymmdd */
    uint8_t header2[16];
    uint32_t swdefined;
    uint8_t reserved1[84];
    uint8_t modulus[SGX_RSA_SIZE]; /* little-endian, like all big numbers here */
    uint32_t exponent;             /* 3 */
    uint8_t signature[SGX_RSA_SIZE];
    uint32_t miscselect;
    uint32_t miscmask;
    uint8_t cet_attributes;
    uint8_t cet_attributes_mask;
    uint8_t reserved2[2];
    uint8_t isv_family_id[16];
    struct sgx_attributes attributes;
    struct sgx_attributes attribute_mask;
    uint8_t enclave_hash[32];
    uint8_t reserved3[16];
    uint8_t isv_ext_prod_id[16];
    uint16_t isv_prod_id;
    uint16_t isv_svn;
    uint8_t reserved4[12];
    uint8_t q1[SGX_RSA_SIZE];
    uint8_t q2[SGX_RSA_SIZE];
};

/* PCMD, SDM 35.12: what EWB says of a page that it has put out, and ELDU holds it to. */
struct sgx_pcmd {
    struct sgx_secinfo secinfo;
    uint64_t enclaveid;
    uint8_t reserved[40];
    uint8_t mac[16];
} __attribute__((aligned(128)));

/* EINITTOKEN, SDM 35.14; VALID=0 (all zero) under flexible launch control. The MAC covers the first
 * 192 bytes; what follows them tells its key. */
#define SGX_TOKEN_BODY_SIZE 192u
struct sgx_einittoken {
    uint32_t valid;
    uint8_t reserved1[44];
    struct sgx_attributes attributes;
    uint8_t mrenclave[32];
    uint8_t reserved2[32];
    uint8_t mrsigner[32];
    uint8_t reserved3[32];
    uint8_t cpusvn_le[16]; /* of the launch enclave, as all below */
    uint16_t isv_prod_id_le;
    uint16_t isv_svn_le;
    uint8_t cet_masked_attributes_le;
    uint8_t reserved4[23];
    uint32_t masked_miscselect_le;
    struct sgx_attributes masked_attributes_le;
    uint8_t keyid[32];
    uint8_t mac[16];
};

/* TARGETINFO, SDM 35.17: for whom EREPORT makes its MAC. */
struct sgx_targetinfo {
    uint8_t mrenclave[32];
    struct sgx_attributes attributes;
    uint8_t cet_attributes;
    uint8_t reserved1;
    uint16_t config_svn;
    uint32_t miscselect;
    uint8_t reserved2[8];
    uint8_t configid[64];
    uint8_t reserved3[384];
} __attribute__((aligned(512)));

/* REPORT, SDM 35.15. The MAC covers the first 384 bytes. */
#define SGX_REPORT_SIZE 432u
#define SGX_REPORT_BODY_SIZE 384u
struct sgx_report {
    uint8_t cpusvn[16];
    uint32_t miscselect;
    uint8_t cet_attributes;
    uint8_t reserved1[11];
    uint8_t isv_ext_prod_id[16];
    struct sgx_attributes attributes;
    uint8_t mrenclave[32];
    uint8_t reserved2[32];
    uint8_t mrsigner[32];
    uint8_t reserved3[32];
    uint8_t configid[64];
    uint16_t isv_prod_id;
    uint16_t isv_svn;
    uint16_t config_svn;
    uint8_t reserved4[42];
    uint8_t isv_family_id[16];
    uint8_t report_data[64];
    uint8_t keyid[32];
    uint8_t mac[16];
};

/* KEYREQUEST, SDM 35.18. */
enum sgx_keyname {
    SGX_KEY_EINITTOKEN = 0,
    SGX_KEY_PROVISION = 1,
    SGX_KEY_PROVISION_SEAL = 2,
    SGX_KEY_REPORT = 3,
    SGX_KEY_SEAL = 4,
};
#define SGX_KEYPOLICY_MRENCLAVE 0x01u
#define SGX_KEYPOLICY_MRSIGNER 0x02u
#define SGX_KEYPOLICY_NOISVPRODID 0x04u
#define SGX_KEYPOLICY_CONFIGID 0x08u
#define SGX_KEYPOLICY_ISVFAMILYID 0x10u
#define SGX_KEYPOLICY_ISVEXTPRODID 0x20u
#define SGX_KEYPOLICY_KSS 0x3cu
struct sgx_keyrequest {
    uint16_t keyname;
    uint16_t keypolicy;
    uint16_t isv_svn;
    uint8_t cet_attributes_mask;
    uint8_t reserved1;
    uint8_t cpusvn[16];
    struct sgx_attributes attribute_mask;
    uint8_t keyid[32];
    uint32_t miscmask;
    uint16_t config_svn;
    uint8_t reserved2[434];
} __attribute__((aligned(512)));

/* Exception vectors that an enclave meets, SDM volume 3A, 6.15. */
enum sgx_vector {
    SGX_VECTOR_DE = 0,
    SGX_VECTOR_DB = 1,
    SGX_VECTOR_BP = 3,
    SGX_VECTOR_BR = 5,
    SGX_VECTOR_UD = 6,
    SGX_VECTOR_GP = 13,
    SGX_VECTOR_PF = 14,
    SGX_VECTOR_MF = 16,
    SGX_VECTOR_AC = 17,
    SGX_VECTOR_XM = 19,
};

/* Error code of a #PF (SDM volume 3A, 4.7). */
#define SGX_PF_P 0x1u
#define SGX_PF_W 0x2u
#define SGX_PF_U 0x4u
#define SGX_PF_I 0x10u
#define SGX_PF_SGX 0x8000u /* refused by the EPCM */

#define SGX_LAYOUT(what, size) _Static_assert(sizeof(what) == (size), #what)
SGX_LAYOUT(struct sgx_secs, 4096);
SGX_LAYOUT(struct sgx_tcs, 4096);
SGX_LAYOUT(struct sgx_gprsgx, 184);
SGX_LAYOUT(struct sgx_exinfo, 16);
SGX_LAYOUT(struct sgx_secinfo, 64);
SGX_LAYOUT(struct sgx_pageinfo, 32);
SGX_LAYOUT(struct sgx_sigstruct, 1808);
SGX_LAYOUT(struct sgx_pcmd, 128);
SGX_LAYOUT(struct sgx_einittoken, 304);
SGX_LAYOUT(struct sgx_targetinfo, 512);
SGX_LAYOUT(struct sgx_report, SGX_REPORT_SIZE);
SGX_LAYOUT(struct sgx_keyrequest, 512);
_Static_assert(offsetof(struct sgx_secs, attributes) == 48, "SECS.ATTRIBUTES");
_Static_assert(offsetof(struct sgx_secs, isv_prod_id) == 256, "SECS.ISVPRODID");
_Static_assert(offsetof(struct sgx_sigstruct, miscselect) == 900, "SIGSTRUCT.MISCSELECT");
_Static_assert(offsetof(struct sgx_sigstruct, attributes) == 928, "SIGSTRUCT.ATTRIBUTES");
_Static_assert(offsetof(struct sgx_sigstruct, isv_prod_id) == 1024, "SIGSTRUCT.ISVPRODID");
_Static_assert(offsetof(struct sgx_gprsgx, exitinfo) == 160, "GPRSGX.EXITINFO");
_Static_assert(offsetof(struct sgx_einittoken, masked_miscselect_le) == 236, "EINITTOKEN.MISC");
_Static_assert(offsetof(struct sgx_report, isv_family_id) == 304, "REPORT.ISVFAMILYID");
_Static_assert(offsetof(struct sgx_keyrequest, keyid) == 40, "KEYREQUEST.KEYID");

#endif
