// SPDX-License-Identifier: Apache-2.0
// What the back ends share; not for use outside host/launch.
#ifndef HOST_LAUNCH_QEMU_PARTS_H
#define HOST_LAUNCH_QEMU_PARTS_H

#include "host/launch/launch.h"

extern const struct sh_backend sh_tee_tdx, sh_tee_snp, sh_tee_csv, sh_tee_tdx_sim, sh_tee_sgx_sim,
    sh_tee_sgx;

/* The loader's command line (enclave.c). */
int sh_enclave_command(const struct sh_qemu_config *config, struct sh_strings *argv,
                       struct sh_error *err);

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
    return !config->tee->simulated;
}

/* The kernel file that this boot loads. */
static inline const char *sh_qemu_kernel(const struct sh_qemu_config *config)
{
    return config->tee->simulated && config->boot == SH_QEMU_BOOT_PVH ? config->vmlinux
                                                                    : config->bzimage;
}

/* The first readable file of a NULL-terminated list, or NULL. */
const char *sh_qemu_first_file(const char *const *paths);

/* --- what is loaded (measure.c) --- */

struct sh_qemu_files {
    struct sh_view firmware, kernel, initramfs; /* owned */
};

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

/* A file of the cache folder ($XDG_CACHE_HOME/shelter), made if need be; NULL if it cannot be. */
char *sh_qemu_cache_path(const char *name);

/* --- firmware (firmware.c) --- */

/* Can this firmware check kernel hashes (SEV: an entry with the hash table's GUID)? 0, or -EBADMSG.
 */
int sh_qemu_firmware_has_hash_table(const char *path, struct sh_error *err);
/* Is it a TDVF (metadata entry of TDX)? */
int sh_qemu_firmware_has_tdx(const char *path, struct sh_error *err);

/* config->firmware if it is set, else the first of `paths`, else a sentence with `package`. */
int sh_qemu_pick_firmware(struct sh_qemu_config *config, const char *const *paths, const char *package,
                        struct sh_error *err);

/* --- KVM (kvm_probe.c) --- */

/* Does a guest really boot under KVM here? Remembered; starts a guest otherwise (5 s at most). */
bool sh_qemu_kvm_works(const struct sh_qemu_config *config);

/* Reads a small sysfs or procfs file into out as a string without its newline; false without one.
 */
bool sh_qemu_read_line(const char *path, char *out, size_t size);

#endif
