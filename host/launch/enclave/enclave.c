// SPDX-License-Identifier: Apache-2.0
// sgx and sgx-sim: no machine but a loader process, which plays the guest's side of the channel.
#include "host/launch/enclave/enclave.h"

#include <arpa/inet.h>
#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "host/attest/sim_tee.h"
#include "host/base/beside.h"
#include "host/store/base_files.h"
#include "host/store/signature.h"
#include "host/launch/check.h"
#include "host/sgx/driver.h"
#include "host/sgx/hold.h"

/* The loader; owned by the caller. */
static char *find_loader(struct sh_error *err)
{
    return sh_find_beside("sgx-loader", "SHELTER_SGX_LOADER", "the enclave loader", err);
}

static void add_option(struct sh_strings *argv, const char *name, const char *folder,
                       const char *file)
{
    sh_strings_add(argv, name);
    sh_strings_addf(argv, "%s/%s", folder, file);
}

static void add_network(const struct sh_launch_spec *spec, struct sh_strings *argv)
{
    const struct sh_egress_end *b = &spec->egress.broker;
    char address[INET6_ADDRSTRLEN];
    sh_strings_addf(argv, "--network=%s",
                    !spec->network               ? "none"
                    : spec->egress.host_loopback ? "host-loopback"
                                                 : "user");
    if (!spec->network || !b->port)
        return;
    bool ipv4 = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)b->address);
    inet_ntop(ipv4 ? AF_INET : AF_INET6, b->address + (ipv4 ? 12 : 0), address, sizeof(address));
    sh_strings_addf(argv, ipv4 ? "--broker=%s:%u" : "--broker=[%s]:%u", address, b->port);
}

static void add_ports(const struct sh_launch_spec *spec, struct sh_strings *argv)
{
    for (size_t i = 0; i < spec->port_count; i++) {
        const struct sh_port *p = &spec->ports[i];
        sh_strings_addf(argv, "--publish=%s%s%u:%u%s", p->host_address,
                        p->host_address[0] ? ":" : "", p->host_port, p->guest_port,
                        p->udp ? "/udp" : "");
    }
}

static void add_terminal(const struct sh_launch_spec *spec, struct sh_strings *argv)
{
    if (spec->tty)
        sh_strings_addf(argv, "--tty=%ux%u", spec->rows, spec->columns);
}

/* The loader's. */
static int command(const struct sh_launch_spec *spec, struct sh_strings *argv, struct sh_error *err)
{
    const char *image = spec->image->path;
    if (!spec->own)
        return sh_fail(err, -EINVAL, "internal error: the enclave was not prepared");
    sh_strings_add(argv, spec->own);
    sh_strings_add(argv, "--tee");
    sh_strings_add(argv, spec->backend->name);
    add_option(argv, "--signature", image, spec->debug ? SH_SIGNATURE_DEBUG : SH_SIGNATURE);
    add_option(argv, "--fuse-key", spec->store_path, SH_STORE_FUSE_KEY);
    add_option(argv, "--sim-tee", spec->store_path, SH_STORE_SIM_TEE);
    add_option(argv, "--launch", spec->instance_path, "launch");
    sh_strings_addf(argv, "--channel=%d", spec->channel_fd);
    add_network(spec, argv);
    add_ports(spec, argv);
    for (size_t i = 0; i < spec->volume_disk_count; i++)
        sh_strings_addf(argv, "--volume=%d", spec->volume_disks[i].fd);
    for (size_t i = 0; i < spec->mount_count; i++) {
        const struct sh_mount *m = &spec->mounts[i];
        if (!m->copied)
            sh_strings_addf(argv, "--share=%zu:%s:%s", i, m->read_only ? "ro" : "rw", m->source);
    }
    struct sh_strings data = {0};
    sh_launch_data(spec, &data);
    for (size_t i = 0; i < data.count; i++)
        sh_strings_addf(argv, "--data=%s", data.v[i]);
    sh_strings_free(&data);
    if (spec->publish_all)
        sh_strings_add(argv, "--publish-all");
    if (spec->resolver)
        sh_strings_addf(argv, "--resolver=%s:53", spec->resolver);
    if (spec->image->manifest.has_sites)
        sh_strings_addf(argv, "--sites=%s/sites.bin", image);
    sh_strings_addf(argv, "--uses=%s/used-pages", image);
    if (spec->debug)
        sh_strings_add(argv, "--debug");
    if (spec->require_confinement)
        sh_strings_add(argv, "--require-confinement");
    if (spec->hold)
        sh_strings_add(argv, "--hold");
    add_terminal(spec, argv);
    if (spec->stats_file)
        sh_strings_addf(argv, "--stats=%s", spec->stats_file);
    if (spec->trace_file)
        sh_strings_addf(argv, *spec->trace_file ? "--trace=%s" : "--trace", spec->trace_file);
    sh_strings_addf(argv, "%s/base/enclave", image);
    sh_strings_addf(argv, "%s/root.img", image);
    sh_strings_addf(argv, "%s/manifest", image);
    return 0;
}

static void go(const struct sh_launch_spec *spec, struct sh_buffer *out)
{
    struct sh_strings words = {0};
    struct sh_buffer text = {0};
    add_ports(spec, &words);
    add_terminal(spec, &words);
    for (size_t i = 0; i < words.count; i++)
        sh_buffer_add(&text, words.v[i], strlen(words.v[i]) + 1);
    uint32_t size = (uint32_t)text.size;
    sh_buffer_add(out, &size, sizeof(size));
    sh_buffer_add(out, text.data, text.size);
    sh_strings_free(&words);
    sh_buffer_free(&text);
}

static int probe_driver(const struct sgx_driver *driver, struct sh_error *err)
{
    struct sgx_driver_options options = {0};
    void *dev;
    cleanup_free char *loader = find_loader(err);
    if (!loader)
        return -ENOENT;
    int r = driver->open(&options, &dev, err);
    if (!r)
        driver->close(dev);
    return r;
}

static int probe(struct sh_error *err)
{
    return probe_driver(&sgx_driver_sim, err);
}

static int probe_hw(struct sh_error *err)
{
    return probe_driver(&sgx_driver_hw, err);
}

static int check_image(int image_fd, struct sh_error *err)
{
    if (sh_base_has(image_fd, SH_BASE_ENCLAVE))
        return 0;
    return sh_fail(err, -ENOENT,
                   "the image was built without an enclave; build it again, or use --tee tdx-sim");
}

static int prepare(struct sh_launch_spec *spec, struct sh_error *err)
{
    struct sh_error why = {0};
    const char *signature = spec->debug ? SH_SIGNATURE_DEBUG : SH_SIGNATURE;
    int r = spec->backend->simulated ? 0 : probe_hw(&why);
    if (r)
        return sh_fail(err, r, "--tee sgx: %s; 'shelter doctor' shows all that SGX needs",
                       why.text);
    sh_launch_warn_shares(spec);
    long here = sysconf(_SC_NPROCESSORS_ONLN);
    if (here > 0 && spec->cpus > here && spec->cpus != SH_LAUNCH_CPUS_DEFAULT)
        fprintf(stderr,
                "shelter: warning: --cpus %u: this machine has %ld processors, and an enclave "
                "uses no more\n",
                spec->cpus, here);
    if (faccessat(spec->image->dir_fd, signature, R_OK, 0))
        return sh_fail(err, -ENOENT, "the image's enclave is not signed; build it again");
    /* Now if need be: the loader only reads it. */
    cleanup_free char *sim_tee = sh_format("%s/" SH_STORE_SIM_TEE, spec->store_path);
    if (spec->backend->simulated && sh_sim_tee_make(sim_tee, err))
        return -EIO;
    /* Ours in the spec: the loader's path, found while the user's folder is still the current one.
     */
    spec->own = find_loader(err);
    return spec->own ? 0 : -ENOENT;
}

static void release(struct sh_launch_spec *spec)
{
    free(spec->own);
    spec->own = NULL;
}

static bool read_leaf(unsigned number, unsigned sub, unsigned out[4])
{
    return __get_cpuid_count(number, sub, &out[0], &out[1], &out[2], &out[3]);
}

/* SDM vol. 3D: leaf 7 EBX.2 SGX, ECX.30 SGX_LC; leaf 12H.0 EAX.1 SGX2, EBX.0 EXINFO; 12H.1 EAX.7
 * KSS. */
static bool check_cpu(cJSON *checks)
{
    unsigned seven[4] = {0}, zero[4] = {0}, one[4] = {0};
    bool sgx = read_leaf(7, 0, seven) && (seven[1] & 1u << 2);
    sh_check_add(checks, "CPU", sgx,
                 "use an Intel Xeon (Ice Lake or later) and enable SGX "
                 "in the BIOS",
                 sgx ? "has SGX" : "has no SGX, or the BIOS turned it off");
    if (!sgx)
        return false;
    bool has2 = read_leaf(0x12, 0, zero) && (zero[0] & 2), exinfo = zero[1] & 1;
    bool kss = read_leaf(0x12, 1, one) && (one[0] & 1u << 7), flc = seven[2] & 1u << 30;
    return sh_check_add(checks, "CPU features", has2 && exinfo && kss && flc,
                        "use a CPU of the Xeon line, Ice Lake or later",
                        "SGX2 %s, EXINFO %s, KSS %s, FLC %s", has2 ? "yes" : "no",
                        exinfo ? "yes" : "no", kss ? "yes" : "no", flc ? "yes" : "no");
}

static bool check_host_hw(cJSON *checks)
{
    struct utsname u;
    int major = 0;
    bool ok = check_cpu(checks);
    uname(&u);
    sscanf(u.release, "%d", &major);
    ok &= sh_check_add(checks, "kernel", major >= 6, "use Linux 6.0 or later (EDMM)", "%s",
                       u.release);
    ok &= sh_check_device(checks, "/dev/sgx_enclave",
                          "load the kernel's SGX driver, join the group sgx");
    sh_check_add(checks, "Shelter", true, "",
                 "has been tested on the simulated processor only, not yet on hardware");
    struct sh_error err = {0};
    if (ok) {
        ok = !probe_hw(&err);
        sh_check_add(checks, "driver", ok, "", "%s", ok ? "opens" : err.text);
    }
    return ok;
}

static bool check_host(cJSON *checks)
{
    struct sh_error err = {0}, no_base = {0};
    unsigned seven[4] = {0};
    bool ok = read_leaf(7, 0, seven) && (seven[1] & 1);
    ok = sh_check_add(checks, "CPU", ok, "use a CPU with FSGSBASE (Ivy Bridge or later)", "%s",
                      ok ? "has FSGSBASE" : "has no FSGSBASE");
    bool loader = !probe(&err);
    ok &= sh_check_add(checks, "loader", loader, "run 'make' in Shelter's folder", "%s",
                       loader ? "is there" : err.text);
    cleanup_free char *dir = sh_base_find(NULL, &no_base);
    cleanup_free char *enclave = dir ? sh_format("%s/enclave", dir) : NULL;
    bool there = enclave && !access(enclave, R_OK);
    ok &= sh_check_add(checks, "enclave", there, "run 'make' in Shelter's folder", "%s",
                       there ? enclave
                       : dir ? "the base files have none"
                             : no_base.text);
    return ok;
}

/* One MRENCLAVE for both; MRSIGNER is whoever signs on the machine that runs it. */
static const struct sh_reference_kind kinds[] = {{.name = NULL}};

#define FUNCTIONS                                                                                  \
    .check_image = check_image, .prepare = prepare, .command = command,                            \
    .measure = sh_enclave_measure, .explain = sh_enclave_explain, .release = release, .go = go,    \
    .copies = true, .predict = sh_enclave_predict, .kinds = kinds, .kind_count = 1

const struct sh_backend sh_enclave_sgx = {
    FUNCTIONS,
    .name = "sgx",
    .probe = probe_hw,
    .check_host = check_host_hw,
};

const struct sh_backend sh_enclave_sgx_sim = {
    FUNCTIONS,          .name = "sgx-sim", .simulated = true,
    .debuggable = true, .probe = probe,    .check_host = check_host,
};
