// SPDX-License-Identifier: Apache-2.0
// A confidential VM: what it is made of, its TEE back end, and the QEMU command line for it.
#ifndef HOST_LAUNCH_LAUNCH_H
#define HOST_LAUNCH_LAUNCH_H

#include "host/base/util.h"
#include "verifier/measure/sim.h"

/* When neither the user nor the image asks for a size. */
#define SH_LAUNCH_MEMORY_DEFAULT (512ull << 20)
#define SH_LAUNCH_MEMORY_MIN (48ull << 20)
#define SH_LAUNCH_CPUS_DEFAULT 1u
#define SH_LAUNCH_CPUS_MAX 64u /* the guest kernel's NR_CPUS */

/* How a simulated TD boots: PVH is the fastest, bzImage under OVMF is as on real TEEs. */
enum sh_qemu_boot { SH_QEMU_BOOT_PVH, SH_QEMU_BOOT_BZIMAGE };

struct sh_port {
    bool udp;
    char host_address[64]; /* numeric; empty: all of 127.0.0.1's host, as -p without address:
                              0.0.0.0 */
    uint16_t host_port;    /* 0 was replaced by a free one before this stands here */
    uint16_t guest_port;
};

struct sh_qemu_share {
    const char *source; /* absolute, existing */
    bool read_only;
};

struct sh_qemu_config {
    const struct sh_backend *tee;
    enum sh_qemu_boot boot;
    const char *name;    /* for the process list */
    const char *vmlinux; /* image's base/ */
    const char *bzimage;
    const char *initramfs;
    const char *firmware;   /* NULL: sh_qemu_prepare takes the back end's default */
    const char *qemu;       /* NULL: sh_qemu_prepare finds it */
    bool kvm;               /* set by sh_qemu_prepare; false: TCG (simulation only) */
    const char *root_image; /* read-only disk */
    const char *config_disk;
    uint8_t manifest_digest[48];
    uint8_t launch_digest[48];
    uint64_t memory; /* bytes */
    unsigned cpus;
    bool network; /* false: no network device at all */
    bool debug;   /* serial console to console_path */
    const char *console_path;
    const struct sh_port *ports;
    size_t port_count;
    const struct sh_qemu_share *shares; /* 9p tags share0, share1, ... */
    size_t share_count;
    int channel_fd; /* connected stream socket that QEMU inherits for SH_CHANNEL_PORT */
    int simtd_fd;   /* the same for SH_SIMTD_PORT; -1 where the TEE is real */
    /* SNP and CSV; set by sh_qemu_prepare from CPUID Fn8000_001F. */
    unsigned cbit_position, reduced_phys_bits;
    const char *cpu_model;    /* SNP; NULL: SH_QEMU_SNP_CPU. It is measured (through the VMSA). */
    const char *quote_socket; /* TDX: path of the quote service's socket; NULL: vsock 1:4050 */
    /* Enclaves: the image's and the instance's files, and the store's keys. */
    const char *enclave, *manifest, *launch, *signature, *fuse_key;
    const char *sim_tee; /* simulated TEEs: the folder of host/attest/sim_tee.h */
    const char *sites; /* sites.bin, or NULL */
    bool tty;
    uint16_t rows, columns; /* of the terminal at the start; an enclave's program may look at once */
    const char *stats_file, *trace_file; /* NULL: none; trace_file "": into the workload's stderr */
};

#define SH_QEMU_SNP_CPU "EPYC-v4" /* runs on Milan, Genoa and Turin: one reference value for all */

/* One back end. The table is in host/launch/backend.c; order is that of `--tee auto`. */
struct sh_backend {
    const char *name; /* "tdx", "snp", "csv", "sgx", "tdx-sim", "sgx-sim" */
    bool simulated;
    bool enclave; /* no machine: sh_qemu_command is the loader's, which inherits channel_fd too */
    /* Appends machine, TEE object, firmware and accelerator arguments. */
    int (*machine_args)(const struct sh_qemu_config *config, struct sh_strings *argv,
                        struct sh_error *err);
    /* Fills in and checks the firmware only. */
    int (*firmware)(struct sh_qemu_config *config, struct sh_error *err);
    /* Fills in what this host decides: firmware, accelerator, C-bit. Strings it sets live as long
     * as the process. */
    int (*prepare)(struct sh_qemu_config *config, struct sh_error *err);
    /* Is it usable here? 0, or a -errno with the reason and the remedy in err. */
    int (*probe)(struct sh_error *err);
};

/* By name, "auto" included (the first that probes well, at last simulation). */
int sh_backend_find(const char *name, const struct sh_backend **tee, struct sh_error *err);

/* The warning that every command gives once, on stderr, when the TEE is simulated. */
void sh_tee_warn_simulated(const char *name);

/* Fills in qemu, firmware, kvm and the like, where they are not set. Call it before sh_qemu_command
 * and sh_qemu_measure_simulated. Remembered results (cache folder) make it cheap. */
int sh_qemu_prepare(struct sh_qemu_config *config, struct sh_error *err);

/* The measured kernel command line; owned by the caller. */
char *sh_qemu_kernel_command_line(const struct sh_qemu_config *config);

/* The whole QEMU argv, argv[0] included. Pure: starts nothing, opens nothing. channel_fd and
 * simtd_fd must be inherited by QEMU under these numbers (no close-on-exec). */
int sh_qemu_command(const struct sh_qemu_config *config, struct sh_strings *argv, struct sh_error *err);

/* Measures what sh_qemu_command would load (tdx-sim), from the very files it names. It takes some ten
 * milliseconds; the guest asks for it late, so it may run while QEMU starts. */
int sh_qemu_measure_simulated(const struct sh_qemu_config *config, struct sh_td_measurement *m,
                            struct sh_error *err);

/* {"mrenclave", "mrsigner", "isv_prod_id", "isv_svn"}: MRENCLAVE measured from the enclave file with
 * this image's identity, the rest from its signature. */
struct cJSON;
int sh_enclave_measurement(const char *enclave, const uint8_t identity[48], const char *signature,
                           struct cJSON **result, struct sh_error *err);
/* The same as the signature alone says: true of an enclave that runs, since EINIT compared. */
int sh_enclave_signed(const char *signature, struct cJSON **result, struct sh_error *err);

/* Answers one SH_SIMTD request with the TDREPORT of this measurement. */
struct sh_simtd_request;
struct sh_simtd_reply;
void sh_simtd_answer(const struct sh_td_measurement *m, const struct sh_simtd_request *request,
                     struct sh_simtd_reply *reply);

/* Answers one for a quote: struct sh_simtd_quote_reply and the quote into `out`, of at least their
 * sizes; returns how much. `sim_tee`: the folder of host/attest/sim_tee.h. */
size_t sh_simtd_answer_quote(const struct sh_td_measurement *m,
                             const struct sh_simtd_request *request, const char *sim_tee,
                             uint8_t *out);

/* Writes the config disk (<shelter/boot.h>): manifest and launch config. */
int sh_qemu_write_config_disk(int dir_fd, const char *name, const void *manifest,
                            size_t manifest_size, const void *launch, size_t launch_size,
                            struct sh_error *err);

#endif
