// SPDX-License-Identifier: Apache-2.0
// What the back ends of machines share; not for use outside host/launch/qemu, but for the table.
#ifndef HOST_LAUNCH_QEMU_PARTS_H
#define HOST_LAUNCH_QEMU_PARTS_H

#include "host/launch/launch.h"

#include <shelter/simtd.h>

#include "verifier/measure/sim.h"

#define SH_QEMU_SNP_CPU                                                                            \
    "EPYC-v4" /* runs on Milan, Genoa and Turin: one reference value for all                       \
               */

/* A machine for one spec: what QEMU needs beyond it. In spec->own after `prepare`. */
struct sh_qemu_config {
    const struct sh_launch_spec *spec;
    const struct sh_qemu_tee *tee;
    enum sh_qemu_boot boot;
    char *vmlinux, *bzimage, *initramfs; /* image's base/; owned, as all char * here */
    char *root_image;                    /* read-only disk */
    struct sh_strings data;              /* read-only disks too: the image's data */
    char *sim_tee;                       /* simulated TEEs: the folder of host/attest/sim_tee.h */
    const char *firmware;                /* lives as long as the spec or the process */
    const char *qemu;                    /* likewise */
    bool kvm;                            /* false: TCG (simulation only) */
    unsigned cbit_position, reduced_phys_bits; /* SNP and CSV: CPUID Fn8000_001F */
    const char *cpu_model;    /* SNP; NULL: SH_QEMU_SNP_CPU. It is measured (through the VMSA). */
    cJSON *steps;             /* predictions: gets what is measured; or NULL */
    const char *quote_socket; /* TDX: path of the quote service's socket; NULL: vsock 1:4050 */
    /* The simulated TD module: what was measured, and the request that arrives. */
    struct sh_td_measurement measurement;
    bool measured;
    uint8_t request[sizeof(struct sh_simtd_request)];
    size_t request_have;
};

/* Firmware, kernel and initramfs as they are measured (measure.c). */
struct sh_qemu_files {
    struct sh_view firmware, kernel, initramfs; /* owned */
};

/* One TEE of machines: what differs between them. `backend` comes first, so that a spec's back end
 * leads here. */
struct sh_qemu_tee {
    struct sh_backend backend;
    bool launch_on_command_line; /* no field of the hardware for the launch config's digest */
    /* Appends machine, TEE object, firmware and accelerator arguments. */
    int (*machine_args)(const struct sh_qemu_config *config, struct sh_strings *argv,
                        struct sh_error *err);
    /* Fills in and checks the firmware only. */
    int (*firmware)(struct sh_qemu_config *config, struct sh_error *err);
    /* Fills in what this host decides: firmware, accelerator, C-bit. */
    int (*prepare)(struct sh_qemu_config *config, struct sh_error *err);
    /* Adds "measurement" to *result. NULL: there is no reference value. */
    int (*predict)(struct sh_qemu_config *config, bool every_cpu_count, cJSON *result,
                   struct sh_error *err);
};
extern const struct sh_qemu_tee sh_qemu_tdx, sh_qemu_snp, sh_qemu_csv, sh_qemu_tdx_sim;

/* The functions of struct sh_backend that all of them share (machine.c, predict.c). */
#define SH_QEMU_FUNCTIONS                                                                          \
    .check_image = sh_qemu_check_image, .prepare = sh_qemu_prepare,                                \
    .write_files = sh_qemu_write_files, .command = sh_qemu_backend_command,                        \
    .measure = sh_qemu_measure, .start_network = sh_qemu_start_network,                            \
    .confine = sh_qemu_confine, .explain = sh_qemu_explain, .release = sh_qemu_release,            \
    .predict = sh_qemu_predict
int sh_qemu_check_image(int image_fd, struct sh_error *err);
int sh_qemu_prepare(struct sh_launch_spec *spec, struct sh_error *err);
int sh_qemu_write_files(int instance_fd, struct sh_view manifest, struct sh_view launch,
                        struct sh_error *err);
int sh_qemu_backend_command(const struct sh_launch_spec *spec, struct sh_strings *argv,
                            struct sh_error *err);
int sh_qemu_measure(struct sh_launch_spec *spec, cJSON **result, struct sh_error *err);
int sh_qemu_start_network(const struct sh_launch_spec *spec, int fd, pid_t *pid,
                          struct sh_error *err);
int sh_qemu_confine(const struct sh_launch_spec *spec, struct sh_child_walls *walls,
                    struct sh_error *err);
void sh_qemu_explain(const struct sh_death *death, char *out, size_t size);
void sh_qemu_release(struct sh_launch_spec *spec);
int sh_qemu_predict(const struct sh_backend *backend, const struct sh_image *image,
                    const struct sh_predict *what, cJSON **result, struct sh_error *err);

/* The config of a spec, with the image's files in it; free with sh_qemu_config_free. */
void sh_qemu_config_init(struct sh_qemu_config *config, const struct sh_launch_spec *spec);
void sh_qemu_config_free(struct sh_qemu_config *config);

/* The walls around QEMU for that config (confine.c): what it needs for the machine's devices and
 * shares. */
void sh_qemu_walls(const struct sh_qemu_config *config, struct sh_child_walls *walls);

/* The measured kernel command line; owned by the caller. */
char *sh_qemu_kernel_command_line(const struct sh_qemu_config *config);

/* The whole QEMU argv, argv[0] included. Pure: starts nothing, opens nothing. */
int sh_qemu_command(const struct sh_qemu_config *config, struct sh_strings *argv,
                    struct sh_error *err);

/* Measures what sh_qemu_command would load (tdx-sim), from the very files it names. */
int sh_qemu_measure_simulated(const struct sh_qemu_config *config, struct sh_td_measurement *m,
                              struct sh_error *err);

/* {"mrtd": hex, "rtmr": [four]}; owned by the caller. */
cJSON *sh_qemu_measurement_json(const struct sh_td_measurement *m);

/* 48 bytes as hex. */
cJSON *sh_qemu_digest_json(const uint8_t digest[48]);

/* --- the simulated TD module (simtd.c) --- */

/* struct sh_backend.serve. */
int sh_simtd_serve(struct sh_launch_spec *spec, int fd);

/* Answers one SH_SIMTD request with the TDREPORT of this measurement. */
void sh_simtd_answer(const struct sh_td_measurement *m, const struct sh_simtd_request *request,
                     struct sh_simtd_reply *reply);

/* Extends RTMR3 by the request's SHA-384, and answers as above. */
void sh_simtd_extend(struct sh_td_measurement *m, const struct sh_simtd_request *request,
                     struct sh_simtd_reply *reply);

/* Answers one for a quote: struct sh_simtd_quote_reply and the quote into `out`, of at least their
 * sizes; returns how much. `sim_tee`: the folder of host/attest/sim_tee.h. */
size_t sh_simtd_answer_quote(const struct sh_td_measurement *m,
                             const struct sh_simtd_request *request, const char *sim_tee,
                             uint8_t *out);

#define SH_QEMU_CONFIG_DISK "config.disk" /* in the instance's folder */

/* Writes the config disk (<shelter/boot.h>): manifest and launch config. */
int sh_qemu_write_config_disk(int dir_fd, const char *name, const void *manifest,
                              size_t manifest_size, const void *launch, size_t launch_size,
                              struct sh_error *err);

/* --- the command line (command.c) --- */

/* A value of QEMU's comma-separated options: commas are doubled. Owned by the caller. */
char *sh_qemu_escape(const char *value);

char *sh_qemu_base64(const void *data, size_t size);

/* -machine q35 without every device that no guest here needs, then `more` (may be ""). */
void sh_qemu_machine_args(struct sh_strings *argv, const char *more);

/* The memory of confidential guests: a shareable memfd for the pages the guest makes shared. */
void sh_qemu_memfd_args(const struct sh_qemu_config *config, struct sh_strings *argv);

/* True when the TEE is hardware: devices then go through shared pages only. */
static inline bool sh_qemu_confidential(const struct sh_qemu_config *config)
{
    return !config->tee->backend.simulated;
}

/* The kernel file that this boot loads. */
static inline const char *sh_qemu_kernel(const struct sh_qemu_config *config)
{
    return config->tee->backend.simulated && config->boot == SH_QEMU_BOOT_PVH ? config->vmlinux
                                                                              : config->bzimage;
}

/* The first readable file of a NULL-terminated list, or NULL. */
const char *sh_qemu_first_file(const char *const *paths);

/* --- what is loaded (measure.c) --- */

/* Reads them whole; free also after a failure. */
int sh_qemu_load_files(const struct sh_qemu_config *config, struct sh_qemu_files *files,
                       struct sh_error *err);
void sh_qemu_free_files(struct sh_qemu_files *files);

/* --- QEMU (qemu.c) --- */

/* $SHELTER_QEMU, or qemu-system-x86_64 of $PATH or the usual folders; NULL if there is none. */
const char *sh_qemu_find(void);

/* "7.2.22"; remembered by the program's identity. */
int sh_qemu_version(const char *qemu, char out[32], struct sh_error *err);

/* Does `qemu OPTION help` list this word? */
bool sh_qemu_lists(const char *qemu, const char *option, const char *word);

/* -EOPNOTSUPP with a sentence when QEMU is older than major.minor, which brought `what`. */
int sh_qemu_need(const char *qemu, int major, int minor, const char *what, struct sh_error *err);

/* Is the CPU made by "GenuineIntel", "AuthenticAMD", "HygonGenuine"? */
bool sh_qemu_cpu_is(const char *vendor);

/* Is it there, and new enough for `what`? */
void sh_qemu_check_version(cJSON *checks, int major, int minor, const char *what);
/* The parameter of a KVM module. */
void sh_qemu_check_parameter(cJSON *checks, const char *module, const char *name,
                             const char *remedy);

/* A file of the cache folder ($XDG_CACHE_HOME/shelter), made if need be; NULL if it cannot be. */
char *sh_qemu_cache_path(const char *name);

/* --- firmware (firmware.c) --- */

/* Can this firmware check kernel hashes (SEV: an entry with the hash table's GUID)? 0, or -EBADMSG.
 */
int sh_qemu_firmware_has_hash_table(const char *path, struct sh_error *err);
/* Is it a TDVF (metadata entry of TDX)? */
int sh_qemu_firmware_has_tdx(const char *path, struct sh_error *err);

/* config->firmware if it is set, else the first of `paths`, else a sentence with `package`. */
int sh_qemu_pick_firmware(struct sh_qemu_config *config, const char *const *paths,
                          const char *package, struct sh_error *err);

/* The firmware that this TEE would take, as a line of host/launch/check.h. */
void sh_qemu_check_firmware(cJSON *checks, const struct sh_qemu_tee *tee);

/* --- KVM (kvm_probe.c) --- */

/* Does a guest really boot under KVM here? Remembered; starts a guest otherwise (5 s at most). */
bool sh_qemu_kvm_works(const struct sh_qemu_config *config);

/* Reads a small sysfs or procfs file into out as a string without its newline; false without one.
 */
bool sh_qemu_read_line(const char *path, char *out, size_t size);

#endif
