// SPDX-License-Identifier: Apache-2.0
// The contract between whoever starts an instance and the ways to run it. There is one back end a
// TEE: host/launch/qemu/ has the confidential VMs and their simulation, host/launch/enclave/ the
// enclaves. Nothing above this header asks which one it holds: what differs is a function or a fact
// of the table.
//
// The order of calls for one launch:
//
//   sh_backend_find -> prepare -> [write_files] -> [start_network] -> command -> [confine]
//     -> (the child starts) -> [go] -> measure -> serve, as often as it asks -> explain, if it dies
//     -> release
//
// Nothing here takes locks or keeps state of its own but what `prepare` hangs into the spec;
// functions return 0 or -errno with the sentence for the user in err. Terms: the *launch config* is
// the measured document of <shelter/launch.h> (host/launch/launch_write.h writes it); the *spec*
// below is what this host is asked to start.
#ifndef HOST_LAUNCH_LAUNCH_H
#define HOST_LAUNCH_LAUNCH_H

#include <cjson/cJSON.h>

#include "host/base/child.h"
#include "host/base/egress.h"
#include "host/store/store.h"

/* When neither the user nor the image asks for a size (bytes). */
#define SH_LAUNCH_MEMORY_DEFAULT (512ull << 20)
#define SH_LAUNCH_MEMORY_MIN (48ull << 20) /* with less the guest kernel does not boot */
#define SH_LAUNCH_CPUS_DEFAULT 1u
#define SH_LAUNCH_CPUS_MAX 64u /* the guest kernel's NR_CPUS */

/* How a simulated TD boots: PVH is the fastest, bzImage under OVMF is as on real TEEs. */
enum sh_qemu_boot { SH_QEMU_BOOT_PVH, SH_QEMU_BOOT_BZIMAGE };

/* A published port. */
struct sh_port {
    bool udp;
    char host_address[64]; /* numeric; empty: all, as -p without one. A back end sees IPv4 only */
    uint16_t host_port;    /* 0 was replaced by a free one before a back end sees it */
    uint16_t guest_port;
};

/* A folder of the host inside. */
struct sh_mount {
    char *source; /* absolute, existing */
    char *target; /* absolute, inside */
    bool read_only;
    bool copied; /* it is in the launch config; nothing is shared */
};

struct sh_backend;

/* A volume's file or block device. The child inherits the descriptor, and the lock with it. */
struct sh_volume_disk {
    int fd;
    bool read_only, device;
};

/* What is to be started. Whoever fills it in owns all that it points to and keeps it alive until
 * `release`; back ends only read it, but for `own`. */
struct sh_launch_spec {
    const struct sh_backend *backend;
    const struct sh_image *image; /* open; its folder has base/, root.img, manifest, ... */
    const char *store_path;       /* absolute: keys of the simulated TEEs lie there */
    const char *instance_path;    /* absolute; NULL until there is an instance (`prepare`) */
    const char *name;             /* for the process list; NULL: "shelter" */
    uint8_t manifest_digest[48];  /* the image's identity */
    uint8_t launch_digest[48];    /* SHA-384 of the launch config, bound by the hardware's field */
    uint64_t memory;              /* bytes */
    unsigned cpus;
    bool network;             /* false: none at all */
    struct sh_egress egress;  /* where its packets may go */
    bool debug;               /* the policy allows it (checked above, and again inside) */
    bool require_confinement; /* a wall around the child that cannot be raised is an error */
    bool hold;                /* the child waits before the inside runs (`go`) */
    bool tty;                 /* the workload has a terminal, */
    uint16_t rows, columns;   /* of this size at the start: a program may look at once */
    const struct sh_port *ports;
    size_t port_count;
    bool publish_all; /* instead: each port that the workload listens on, under its number */
    int tap_fd;   /* a machine's frames go here, judged by `egress` as all: the network namespace is
                   * the workload's own; -1: there is none */
    struct {      /* TCP of that namespace's 127.0.0.1 reaches the machine, */
        bool has; /* where this is set: */
        uint8_t address[4], mac[6]; /* the machine's */
    } loopback;
    const char *mac;               /* of the machine's interface; NULL: QEMU's own */
    const char *resolver;          /* numeric address of the name server; NULL: this host's own */
    const struct sh_mount *mounts; /* the inside knows them as share0, share1, ... */
    size_t mount_count;
    const struct sh_strings
        *volumes; /* NAME=FILE or NAME=ro:FILE, as the image counts its volumes; or NULL */
    const struct sh_strings *data; /* NAME=FILE of sets of data that lie elsewhere; or NULL */
    struct sh_volume_disk
        volume_disks[SH_VOLUMES_MAX]; /* opened and locked by the supervisor, before
                                       * `command`; the child inherits them */
    size_t volume_disk_count;
    enum sh_qemu_boot boot; /* --boot; only simulated machines have a choice */
    const char *firmware;   /* --firmware, absolute; NULL: the back end's default */
    const char *stats_file; /* --stats, by a name that the child can open; NULL: none */
    const char *trace_file; /* --trace, likewise; "": into the workload's stderr; NULL: none */
    int output_fds[2];      /* what these two names are about; the child inherits them; -1: none */
    /* Filled in by the supervisor, before `command`: connected stream sockets that the child
     * inherits under these numbers (no close-on-exec). */
    int channel_fd; /* the guest channel (<shelter/channel.h>) */
    int service_fd; /* the other end of what `serve` reads; -1 where there is none */
    int network_fd; /* the other end of what `start_network` serves; -1 where there is none */
    void *own;      /* the back end's own: made by `prepare`, freed by `release` */
};

/* The end of the child process, as its parent saw it. */
enum sh_death_kind {
    SH_DEATH_UNBORN, /* it could not be executed; number: errno */
    SH_DEATH_KILLED, /* number: the signal */
    SH_DEATH_EXITED, /* number: the exit status, 0 included */
    SH_DEATH_LATE,   /* no sign of life of the inside; number: the seconds that were waited */
};
struct sh_death {
    enum sh_death_kind kind;
    int number;
    const char *program; /* as executed (argv[0]) */
    const char *words;   /* the last line that it wrote to stderr; "" */
    bool inside_spoke;   /* the agent or OS inside had said HELLO */
    bool workload_ran;   /* the workload had started */
};

struct sh_predict;

/* What an image has reference values for (reference.json), where a TEE has several. */
struct sh_reference_kind {
    const char *name; /* "boot" of the entry, where there are several ways to boot; else NULL */
    enum sh_qemu_boot boot;
    const char *cpu_model; /* NULL: it does not matter */
    bool own_firmware;     /* `build --firmware` does not reach it */
    bool by_memory;        /* the values depend on the size of memory */
    bool every_cpu_count;  /* they depend on the count of vCPUs */
};

/* One back end. The table is in host/launch/backend.c, in the order in which `--tee auto` looks. */
struct sh_backend {
    const char *name; /* of --tee: "tdx", "snp", "csv", "sgx", "tdx-sim", "sgx-sim" */
    bool simulated;   /* it protects nothing; every command says so */
    bool copies;      /* a folder of the host (-v ...:ro) in at the start, where the image names no
                       * place for one */
    bool debuggable;  /* a debugger of the host can look inside (SH_FRAME_MAPS is answered) */
    const struct sh_reference_kind *kinds;
    size_t kind_count;

    /* Is it usable on this host? 0, or a -errno with the reason and the remedy. Starts nothing. */
    int (*probe)(struct sh_error *err);

    /* Would --tee auto take it? NULL: where `probe` says 0. */
    bool (*is_automatic)(void);

    /* Has this image (its folder) what the back end starts? -ENOENT with the remedy if not. */
    int (*check_image)(int image_fd, struct sh_error *err);

    /* What this host has and lacks for it, as lines of host/launch/check.h; true: usable. May start
     * a guest once to see whether KVM works (remembered; five seconds at most). */
    bool (*check_host)(cJSON *checks);

    /* Refuses what the back end cannot do (-ENOTSUP), finds the programs and files that it needs,
     * and makes spec->own. Called before there is an instance, so that a failure leaves nothing
     * behind; `release` is called after a failure too. */
    int (*prepare)(struct sh_launch_spec *spec, struct sh_error *err);

    /* Writes what the child reads of manifest and launch config besides the instance's file
     * `launch`, once, into a new instance's folder. NULL: nothing. */
    int (*write_files)(int instance_fd, struct sh_view manifest, struct sh_view launch,
                       struct sh_error *err);

    /* The child's argv, argv[0] the program. Opens nothing, starts nothing. After `prepare`. */
    int (*command)(const struct sh_launch_spec *spec, struct sh_strings *argv,
                   struct sh_error *err);

    /* Measures what the child loads (simulation), or reads what was signed (enclaves), as `predict`
     * has it; *result is owned by the caller, and NULL where only the hardware knows. May run while
     * the child starts: ten milliseconds. Call it before the first `serve`. */
    int (*measure)(struct sh_launch_spec *spec, cJSON **result, struct sh_error *err);

    /* Answers the child, which asked on the service socket: `fd` is readable, non-blocking, and the
     * child is not trusted to read. -EPIPE when the child closed it. NULL: there is no such socket.
     * What is answered: the simulated TD module of <shelter/simtd.h>. */
    int (*serve)(struct sh_launch_spec *spec, int fd);

    /* Starts the process that makes the child's connections and has its published ports: `fd` is
     * its end of spec->network_fd. It ends with that, or with its parent, and the caller reaps it.
     * NULL: the child starts such a one itself. */
    int (*start_network)(const struct sh_launch_spec *spec, int fd, pid_t *pid,
                         struct sh_error *err);

    /* What is to stand around the child; whoever calls frees walls->view. NULL: it raises its walls
     * itself. */
    int (*confine)(const struct sh_launch_spec *spec, struct sh_child_walls *walls,
                   struct sh_error *err);

    /* Of a child with spec->hold, which has made all that can be made before the inside runs, and
     * has sent one byte on the channel: the bytes that it waits for there, with what the spec says
     * by now of the terminal's size and of published ports on this host's side. NULL: no child of
     * this back end can wait. */
    void (*go)(const struct sh_launch_spec *spec, struct sh_buffer *out);

    /* The sentence for the user about the child's end, without a newline. */
    void (*explain)(const struct sh_death *death, char *out, size_t size);

    /* Frees spec->own; also when `prepare` was never called or failed. */
    void (*release)(struct sh_launch_spec *spec);

    /* See sh_predict_image; `backend` is this one. */
    int (*predict)(const struct sh_backend *backend, const struct sh_image *image,
                   const struct sh_predict *what, cJSON **result, struct sh_error *err);
};

/* By name, or with "auto" the first that would be taken here: the best hardware, else simulation.
 * `image_fd`: the folder of the image that is to run, which decides too; -1: none. */
int sh_backend_find(const char *name, int image_fd, const struct sh_backend **backend,
                    struct sh_error *err);

/* Says so on stderr where a folder is shared that whoever serves it may not write to: root's are
 * served as nobody. */
void sh_launch_warn_shares(const struct sh_launch_spec *spec);

/* The files of the image's data in their order: where `data` says, else in the image's folder. */
void sh_launch_data(const struct sh_launch_spec *spec, struct sh_strings *files);

/* The table: NULL behind the last. */
const struct sh_backend *sh_backend_at(size_t index);

/* QEMU and its network, which most back ends need, as lines of host/launch/check.h. */
void sh_qemu_check(cJSON *checks);

/* The warning that every command gives once, on stderr, when the TEE is simulated. */
void sh_tee_warn_simulated(const char *name);

/* --- prediction: the launch measurement of an image, without starting anything --- */

struct sh_predict {
    const char *tee; /* "auto": what `run` would take */
    enum sh_qemu_boot boot;
    const char *firmware;  /* NULL: the back end's default */
    const char *cpu_model; /* SNP; NULL: the default */
    uint64_t memory;       /* bytes; 0: the default */
    unsigned cpus;         /* 0: likewise */
    bool every_cpu_count;  /* SNP: launch_digest is an array, for 1 to `cpus` vCPUs */
    bool debug;
    cJSON *steps; /* an array that gets what is measured, in order (verifier/measure/steps.h); or
                     NULL */
};

/* *result, owned by the caller: {"tee", "simulated", "image", "measurement"}, and for machines
 * "memory", "cpus", "boot", "firmware". `measurement` holds what the evidence's fields must be:
 * mrtd and rtmr (TDX, tdx-sim), launch_digest (SNP), mrenclave and the like (SGX). The launch
 * config's field is not in it: it is the host's choice. -ENODATA with a sentence where there can be
 * no reference value. */
int sh_predict_image(const struct sh_image *image, const struct sh_predict *what, cJSON **result,
                     struct sh_error *err);

#endif
