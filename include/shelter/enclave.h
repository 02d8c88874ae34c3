// SPDX-License-Identifier: Apache-2.0
// The enclave's outside: how its image is laid out, and the calls between it and the loader.
//
// Everything in here lies in the host's memory and is written by the host at will: the enclave
// copies a field once, in aligned words of 8 bytes, and bounds it before use.
//
//   enclave                         loader
//   EEXIT, RDI = SH_OUT_CALL   ->   slot: call, args, data in A and B
//                              <-   slot: result, sizes, data; EENTER
//   exception, interrupt       ->   EENTER at CSSA 1
//   EEXIT, RDI = SH_OUT_RESUME ->   ERESUME
//
// A slot is one thread's. The enclave writes call, args, sizes and buffers and leaves; the loader
// reads them, writes result, sizes and buffers, and enters again: no lock is needed, and neither
// side touches it in between. Only `signals` and `control` may be set by the host at any moment,
// and the rings (struct sh_ring) are written by both sides while threads run: each word by one of
// them.
//
// Locks: the enclave's side of a slot is its thread's, that of a ring its handle's
// (trusted/libos/fs/outside.h). The host's locks are unknown to the enclave.
//
// Ownership: what start block and slot point to is the host's, mapped as long as the enclave runs.
//
// Units: bytes, unless pages are named. Addresses are offsets from the enclave's base, 0.
//
// Errors: a result is a count, 0, or -errno of Linux. What each call takes and gives stands beside
// it in <shelter/calls_out.def>.
//
// Source: Intel SDM vol. 3D: EENTER, EEXIT, ERESUME, EADD, EEXTEND; the layouts of SECS, TCS, SSA
// and SECINFO ("Enclave Access Control and Data Structures"). ELF: System V ABI.
#ifndef SHELTER_ENCLAVE_H
#define SHELTER_ENCLAVE_H

#include <stdint.h>

#include <shelter/manifest.h>

#define SH_ENCLAVE_SIZE (1ull << 46)       /* ELRANGE is [0, 2^46) */
#define SH_ENCLAVE_IMAGE 0x3fffc0000000ull /* the LibOS, in its last GiB */
#define SH_ENCLAVE_LOWEST 0x10000ull       /* of what is mapped */
#define SH_ENCLAVE_SSA_PAGES 4u            /* of one frame */

/* The enclave's ELF file: PT_LOAD segments, in order, page-aligned, linked at their addresses.
 * These flags (of PF_MASKOS) mark some of them. */
#define SH_SEGMENT_TCS 0x00100000u /* a TCS page */
#define SH_SEGMENT_IDENTITY                                                                        \
    0x00200000u /* starts with the 48 bytes of the image's identity, put there                     \
                   before the page is measured */

#define SH_SEGMENT_LAZY                                                                            \
    0x00400000u /* at the end of the file and of the image, in one piece: not                      \
                   added at the start. Its SHA-256 stands in a measured page */
#define SH_SEGMENT_BARE                                                                            \
    0x00800000u /* added without its contents being measured (no EEXTEND), since the enclave       \
                   clears it before use; some may follow the lazy ones */
#define SH_SEGMENT_HASHED                                                                          \
    0x01000000u /* read-only; added with its contents, but not measured: their SHA-256 stands in   \
                   a measured page, and the enclave compares before it uses any of them. The       \
                   hashed ones follow each other without a gap */

/* RDI at EEXIT. */
enum sh_out {
    SH_OUT_REFUSED = 0, /* this entry is not one that the enclave expects */
    SH_OUT_CALL = 1,    /* serve slot->call, then EENTER */
    SH_OUT_RESUME = 2,  /* ERESUME */
    SH_OUT_END = 3,     /* the thread has ended */
    SH_OUT_BROKEN = 4,  /* the enclave faulted by itself: slot->args has vector, rip, address, and 1
                           if its stack was too small */
    SH_OUT_CHANGED = 5, /* the hashed pages are not those that were measured: nothing ran */
};

/* Calls out, by number; 0 is none. */
enum sh_call {
#define CALL_OUT(number, NAME, ...) SH_CALL_##NAME = number,
#include <shelter/calls_out.def>
#undef CALL_OUT
    SH_CALL_COUNT, /* above the last */
};

#define SH_QUOTE_SIZE_MAX 32768u
#define SH_TTY_WINDOW 2u /* of SH_CALL_TTY: all that is answered */

struct sh_address {
    uint16_t family; /* of Linux: 2 IPv4, 10 IPv6 */
    uint16_t zero;
    uint8_t bytes[16]; /* network order; of IPv4 the first four */
};

/* A change: interest in a handle (edge-triggered), `events` 0: none any more. `tag` comes back with
 * what the set tells of the handle. A question: `ready` is the answer. */
struct sh_wait_item {
    int32_t handle;
    uint16_t events, ready; /* events: also SH_WAIT_BRING */
    uint32_t tag;
};
#define SH_WAIT_BRING 0x8000u /* when it can be read: into its ring, before it is told */

/* Whole pages in a row. */
struct sh_pages {
    uint64_t addr, size; /* bytes */
};

#define SH_SLOT_A_SIZE 65536u
#define SH_SLOT_B_SIZE 4096u

/* One a thread, aligned to 64 bytes. */
struct sh_slot {
    uint64_t call; /* enum sh_call */
    uint64_t args[6];
    int64_t result;
    uint64_t size_a, size_b;           /* bytes in the buffers */
    uint64_t signals;                  /* host to enclave: bit n-1: signal n was sent */
    uint64_t control;                  /* host to enclave: a request waits for SH_CALL_CONTROL */
    uint64_t tsc, monotonic, realtime; /* clocks in ns at one value of the counter; at the first
                                          entry too */
    uint64_t reserved;
    uint8_t a[SH_SLOT_A_SIZE];
    uint8_t b[SH_SLOT_B_SIZE];
};

/* The rings of a stream socket, by its handle. What it sends is put into `out` and goes out at the
 * next exit of any thread, or when a helper of the host looks; what it receives the host puts into
 * `in` when it tells of it. Counters are bytes since the handle was new, when all was zero. Byte n
 * stands at (n - base) % size: whoever writes moves the base to his counter while the ring is
 * empty, so that small traffic stays in one page. A send that the host took and could not do is
 * told in `error`; from then on the socket is served by calls. Of a listening socket `in` holds
 * struct sh_accepted; handle 0, the standard input, has an `in` too, and handle 1 an `out`, used
 * from its second write on (until then `error` says EAGAIN). */
#define SH_RING_IN ((512u << 10) - 128u)
#define SH_RING_OUT (256u << 10)
struct sh_ring {
    /* The host's: received; what in_put was when nothing was left; sent; an errno. */
    uint64_t in_base, in_put, in_dry, out_taken, error, zero[3];
    /* The enclave's; more: 1, MSG_MORE with the last bytes; closed: 1, SH_CALL_CLOSE behind them.
     */
    uint64_t out_base, out_put, out_more, in_taken, closed, zero2[3];
    uint8_t in[SH_RING_IN];
    uint8_t out[SH_RING_OUT];
};

struct sh_accepted {
    int32_t handle;
    uint32_t size;
    uint8_t address[32];
};

/* Handle h has bytes to send, or is closed: bit h % 64 of dirty[h / 64], then bit h / 64 % 64 of
 * any[h / 4096]. The enclave sets, the host clears before it looks. Handles from SH_RINGS on have
 * no rings. */
#define SH_RINGS 16384u
struct sh_rings {
    uint64_t any[SH_RINGS / 4096], dirty[SH_RINGS / 64];
    uint8_t zero[4096 - (SH_RINGS / 4096 + SH_RINGS / 64) * 8];
    struct sh_ring ring[SH_RINGS];
};

/* One answer of `cpuid`, which an enclave cannot execute. */
struct sh_cpuid {
    uint32_t leaf, subleaf, eax, ebx, ecx, edx;
};
#define SH_CPUID_MAX 64u

/* Pages of root.img's files that runs of an image used, remembered by the host: a hint. A word is
 * the inode's number << SH_USES_SHIFT | the page. */
#define SH_USES_MAX 8192u
#define SH_USES_SHIFT 24
struct sh_uses {
    uint64_t known[SH_USES_MAX]; /* by earlier runs, ascending; the host's, constant */
    uint64_t used[SH_USES_MAX];  /* by this one, as they came; the enclave's; 0: no more */
};

/* In buffer A at the first entry. Addresses are the host's. */
#define SH_START_VERSION 4u
#define SH_START_TRACE 1u
#define SH_START_STATS 2u
#define SH_START_SHA 4u /* the processor has SHA-NI */
#define SH_START_SIMULATED 8u
#define SH_START_END_WAKES                                                                         \
    16u /* with SH_OUT_END the host does the slot's WAKE, if its result is                         \
         * -ENOSYS: the last one was not answered */
struct sh_start {
    uint64_t version;
    uint64_t root, root_size;         /* root.img, mapped */
    uint64_t manifest, manifest_size; /* the image's manifest */
    uint64_t launch, launch_size;     /* launch config */
    uint64_t hwcap;
    uint64_t cpu_count;
    uint64_t flags;             /* SH_START_* */
    uint64_t tsc_hz;            /* of RDTSC; 0: not known, or the counter is no clock here */
    uint64_t sites, sites_size; /* sites.bin, mapped, or 0, 0 */
    struct {
        uint64_t at, size;
    } data[SH_DATA_MAX]; /* the image's data-NAME.img in the manifest's order, mapped, or 0, 0 */
    uint64_t rings;      /* struct sh_rings, or 0: there are none */
    uint64_t cpuid_count;
    struct sh_cpuid cpuid[SH_CPUID_MAX];
    uint64_t uses, known_count; /* struct sh_uses, or 0; how many are known */
};

#endif
