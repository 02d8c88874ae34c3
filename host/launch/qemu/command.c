// SPDX-License-Identifier: Apache-2.0
// The QEMU command line: what every back end has in common. Starts nothing, opens nothing.
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <shelter/boot.h>
#include <shelter/channel.h>
#include <shelter/simtd.h>

#include "host/launch/qemu/parts.h"
#include "lib/base64.h"
#include "lib/hex.h"

char *sh_qemu_escape(const char *value)
{
    char *out = sh_alloc(2 * strlen(value) + 1), *o = out;
    for (const char *p = value; *p; p++) {
        if (*p == ',')
            *o++ = ',';
        *o++ = *p;
    }
    return out;
}

char *sh_qemu_base64(const void *data, size_t size)
{
    char *out = sh_alloc(SH_BASE64_ROOM(size));
    sh_base64(out, data, size, SH_BASE64);
    return out;
}

void sh_qemu_machine_args(struct sh_strings *argv, const char *more)
{
    sh_strings_add(argv, "-machine");
    sh_strings_addf(argv,
                    "q35,graphics=off,usb=off,sata=off,smbus=off,i8042=off,vmport=off,hpet=off,"
                    "smm=off,dump-guest-core=off%s",
                    more);
    /* Nothing can be plugged in later; the tables that the guest must interpret get shorter. */
    sh_strings_add(argv, "-global");
    sh_strings_add(argv, "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off");
}

void sh_qemu_memfd_args(const struct sh_qemu_config *config, struct sh_strings *argv)
{
    sh_strings_add(argv, "-object");
    sh_strings_addf(argv,
                    "memory-backend-memfd,id=ram0,size=%llu,share=on,prealloc=off,reserve=off",
                    (unsigned long long)config->spec->memory);
}

char *sh_qemu_kernel_command_line(const struct sh_qemu_config *config)
{
    char manifest[97], launch[97];
    sh_hex(manifest, config->spec->manifest_digest, 48);
    sh_hex(launch, config->spec->launch_digest, 48);
    bool has_launch = config->tee->launch_on_command_line;
    return sh_format("%s %s%s %s%s%s%s%s", SH_BOOT_COMMON, SH_BOOT_KEY_TEE,
                     config->tee->backend.name, SH_BOOT_KEY_MANIFEST, manifest,
                     has_launch ? " " SH_BOOT_KEY_LAUNCH : "", has_launch ? launch : "",
                     config->spec->debug ? " " SH_BOOT_DEBUG : "");
}

/* Options of every virtio device: PCI 1.0 only, no option ROM; under a TEE through shared pages. */
static const char *virtio_options(const struct sh_qemu_config *config)
{
    return sh_qemu_confidential(config) ? "disable-legacy=on,iommu_platform=on"
                                        : "disable-legacy=on";
}

static void add_disk(const struct sh_qemu_config *config, struct sh_strings *argv, const char *node,
                     const char *path, const char *serial)
{
    cleanup_free char *file = sh_qemu_escape(path);
    sh_strings_add(argv, "-blockdev");
    /* No locking: QEMU takes no locks for read-only users that would hinder others, but a folder
     * without lock support would fail. */
    sh_strings_addf(argv,
                    "driver=raw,node-name=%s,read-only=on,file.driver=file,file.read-only=on,"
                    "file.locking=off,file.filename=%s",
                    node, file);
    sh_strings_add(argv, "-device");
    sh_strings_addf(argv, "virtio-blk-pci,drive=%s,serial=%s,%s", node, serial,
                    virtio_options(config));
}

/* A volume's file, by its descriptor: its name and its owner are nothing to QEMU. */
static void add_volume(const struct sh_qemu_config *config, struct sh_strings *argv, size_t number)
{
    const struct sh_volume_disk *d = &config->spec->volume_disks[number];
    sh_strings_add(argv, "-add-fd");
    sh_strings_addf(argv, "fd=%d,set=%zu", d->fd, number + 1);
    sh_strings_add(argv, "-blockdev");
    sh_strings_addf(argv,
                    "driver=raw,node-name=volume%zu,discard=unmap,read-only=%s,file.driver=%s,"
                    "file.locking=off,file.filename=/dev/fdset/%zu",
                    number, d->read_only ? "on" : "off", d->device ? "host_device" : "file",
                    number + 1);
    sh_strings_add(argv, "-device");
    /* A host without room is an error inside, not a machine that stands still. */
    sh_strings_addf(argv,
                    "virtio-blk-pci,drive=volume%zu,serial=" SH_BOOT_VOLUME_SERIAL
                    "%zu,werror=report,rerror=report,%s",
                    number, number, virtio_options(config));
}

static void add_port(struct sh_strings *argv, const char *id, int fd, const char *name)
{
    sh_strings_add(argv, "-chardev");
    sh_strings_addf(argv, "socket,id=%s,fd=%d", id, fd);
    sh_strings_add(argv, "-device");
    sh_strings_addf(argv, "virtserialport,chardev=%s,name=%s", id, name);
}

static void add_channels(const struct sh_qemu_config *config, struct sh_strings *argv)
{
    sh_strings_add(argv, "-device");
    /* Port 0 is a console's and stays empty. Every port costs two queues, so as few as there are.
     */
    sh_strings_addf(argv, "virtio-serial-pci,max_ports=%d,%s",
                    config->spec->service_fd >= 0 ? 3 : 2, virtio_options(config));
    add_port(argv, "channel", config->spec->channel_fd, SH_CHANNEL_PORT);
    if (config->spec->service_fd >= 0)
        add_port(argv, "td", config->spec->service_fd, SH_SIMTD_PORT);
}

static int add_network(const struct sh_qemu_config *config, struct sh_strings *argv,
                       struct sh_error *err)
{
    if (!config->spec->network) {
        if (config->spec->port_count)
            return sh_fail(err, -EINVAL,
                           "cannot publish port %u: the instance has no network; "
                           "leave out -p or --network none",
                           config->spec->ports[0].guest_port);
        return 0;
    }
    for (size_t i = 0; i < config->spec->port_count; i++) {
        const struct sh_port *p = &config->spec->ports[i];
        struct in_addr address;
        if (p->host_address[0] && inet_pton(AF_INET, p->host_address, &address) != 1)
            return sh_fail(err, -EINVAL,
                           "cannot publish on '%s': user-mode networking publishes on "
                           "numeric IPv4 addresses only",
                           p->host_address);
    }
    /* To the process of network.c: QEMU itself has no network. */
    sh_strings_add(argv, "-netdev");
    sh_strings_addf(argv, "socket,id=net0,fd=%d", config->spec->network_fd);
    sh_strings_add(argv, "-device");
    sh_strings_addf(argv, "virtio-net-pci,netdev=net0,romfile=,%s%s%s", virtio_options(config),
                    config->spec->mac ? ",mac=" : "", config->spec->mac ? config->spec->mac : "");
    return 0;
}

/* security_model=none: files have the guest's modes and QEMU's owner, so both sides see plain
 * files, as with docker; chown is ignored. `mapped` would hide owner and mode in attributes that
 * the host's programs do not know and turn symlinks into files; `passthrough` needs root. */
static void add_shares(const struct sh_qemu_config *config, struct sh_strings *argv)
{
    for (size_t i = 0; i < config->spec->mount_count; i++) {
        const struct sh_mount *s = &config->spec->mounts[i];
        cleanup_free char *path = sh_qemu_escape(s->source);
        sh_strings_add(argv, "-fsdev");
        sh_strings_addf(argv, "local,id=fs%zu,path=%s,security_model=none,multidevs=remap%s", i,
                        path, s->read_only ? ",readonly=on" : "");
        sh_strings_add(argv, "-device");
        sh_strings_addf(argv, "virtio-9p-pci,fsdev=fs%zu,mount_tag=%s%zu,%s", i, SH_BOOT_SHARE_TAG,
                        i, virtio_options(config));
    }
}

static int check_config(const struct sh_qemu_config *c, struct sh_error *err)
{
    char size[16];
    if (!c->qemu || !c->firmware)
        return sh_fail(err, -EINVAL, "internal error: sh_qemu_prepare was not called");
    if (!sh_qemu_kernel(c) || !c->initramfs || !c->root_image || !c->spec->instance_path ||
        c->spec->channel_fd < 0)
        return sh_fail(err, -EINVAL, "internal error: the VM's description is not complete");
    if (c->spec->memory < SH_LAUNCH_MEMORY_MIN) {
        sh_format_size(size, sizeof(size), c->spec->memory);
        return sh_fail(err, -EINVAL,
                       "%s of memory is too little for the guest kernel; use -m 64M or "
                       "more",
                       size);
    }
    if (c->spec->memory > 1ull << 46 || c->spec->memory % 8192)
        return sh_fail(err, -EINVAL,
                       "a memory size of %llu bytes is not possible; use a multiple of "
                       "1 MiB up to 64 TiB",
                       (unsigned long long)c->spec->memory);
    if (!c->spec->cpus || c->spec->cpus > SH_LAUNCH_CPUS_MAX)
        return sh_fail(err, -EINVAL, "%u CPUs are not possible; use 1 to %u", c->spec->cpus,
                       SH_LAUNCH_CPUS_MAX);
    return 0;
}

int sh_qemu_command(const struct sh_qemu_config *config, struct sh_strings *argv,
                    struct sh_error *err)
{
    int r = check_config(config, err);
    if (r)
        return r;
    cleanup_free char *name = sh_qemu_escape(config->spec->name ? config->spec->name : "shelter");
    cleanup_free char *command_line = sh_qemu_kernel_command_line(config);
    cleanup_free char *config_disk =
        sh_format("%s/" SH_QEMU_CONFIG_DISK, config->spec->instance_path);

    sh_strings_add(argv, config->qemu);
    sh_strings_add(argv, "-name");
    sh_strings_addf(argv, "guest=%s", name);
    /* Nothing that was not asked for; a reset ends the machine, as a panic must. */
    static const char *const bare[] = {"-no-user-config",
                                       "-nodefaults",
                                       "-display",
                                       "none",
                                       "-no-reboot",
                                       "-sandbox",
                                       "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
                                       "resourcecontrol=deny"};
    for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++)
        sh_strings_add(argv, bare[i]);

    r = config->tee->machine_args(config, argv, err);
    if (r)
        return r;
    sh_strings_add(argv, "-m");
    sh_strings_addf(argv, "%lluB", (unsigned long long)config->spec->memory);
    sh_strings_add(argv, "-smp");
    sh_strings_addf(argv, "cpus=%u,sockets=1,cores=%u,threads=1", config->spec->cpus,
                    config->spec->cpus);
    const char *const boot[] = {"-bios",   config->firmware,  "-kernel", sh_qemu_kernel(config),
                                "-initrd", config->initramfs, "-append", command_line};
    for (size_t i = 0; i < sizeof(boot) / sizeof(boot[0]); i++)
        sh_strings_add(argv, boot[i]);

    add_disk(config, argv, "root", config->root_image, SH_BOOT_ROOT_SERIAL);
    add_disk(config, argv, "config", config_disk, SH_BOOT_CONFIG_SERIAL);
    for (unsigned i = 0; i < config->data.count; i++) {
        char node[16], serial[24];
        snprintf(node, sizeof(node), "data%u", i);
        snprintf(serial, sizeof(serial), SH_BOOT_DATA_SERIAL "%u", i);
        add_disk(config, argv, node, config->data.v[i], serial);
    }
    for (size_t i = 0; i < config->spec->volume_disk_count; i++)
        add_volume(config, argv, i);
    add_channels(config, argv);
    r = add_network(config, argv, err);
    if (r)
        return r;
    add_shares(config, argv);
    if (config->spec->debug) {
        cleanup_free char *folder = sh_qemu_escape(config->spec->instance_path);
        sh_strings_add(argv, "-chardev");
        sh_strings_addf(argv, "file,id=console,path=%s/console.log", folder);
        sh_strings_add(argv, "-device");
        sh_strings_add(argv, "isa-serial,chardev=console");
    }
    return 0;
}
