// SPDX-License-Identifier: Apache-2.0
// The QEMU command line of each TEE, argument by argument against QEMU's documentation
// (docs/system/i386/{tdx,amd-memory-encryption}.rst, qapi/qom.json, qemu-options).
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include <shelter/boot.h>

#include "host/launch/qemu/parts.h"

/* What a test changes, and what QEMU gets out of it. */
static struct sh_launch_spec spec;

static struct sh_qemu_config config(const char *tee)
{
    struct sh_error err = {0};
    spec = (struct sh_launch_spec){
        .name = "a,b",
        .instance_path = "/i,nst",
        .memory = 256ull << 20,
        .cpus = 2,
        .channel_fd = 7,
        .service_fd = -1,
    };
    assert_int_equal(sh_backend_find(tee, -1, &spec.backend, &err), 0);
    struct sh_qemu_config c = {
        .spec = &spec,
        .tee = (const struct sh_qemu_tee *)spec.backend,
        .qemu = "/q/qemu-system-x86_64",
        .firmware = "/f/fw.fd",
        .vmlinux = "/b/vmlinux",
        .bzimage = "/b/bzImage",
        .initramfs = "/b/initramfs",
        .root_image = "/i/root.img",
        .cbit_position = 51,
        .reduced_phys_bits = 1,
    };
    for (unsigned i = 0; i < 48; i++) {
        spec.manifest_digest[i] = (uint8_t)i;
        spec.launch_digest[i] = (uint8_t)(0xa0 + i);
    }
    if (spec.backend->serve)
        spec.service_fd = 8;
    return c;
}

static void build(const struct sh_qemu_config *c, struct sh_strings *argv)
{
    struct sh_error err = {0};
    *argv = (struct sh_strings){0};
    int r = sh_qemu_command(c, argv, &err);
    if (r)
        fail_msg("%s", err.text);
}

/* How often `option` stands in argv with exactly this value (any value: NULL). */
static size_t count(const struct sh_strings *argv, const char *option, const char *value)
{
    size_t n = 0;
    for (size_t i = 1; i + 1 < argv->count; i++)
        n += !strcmp(argv->v[i], option) && (!value || !strcmp(argv->v[i + 1], value));
    return n;
}

static const char *value_of(const struct sh_strings *argv, const char *option)
{
    assert_int_equal(count(argv, option, NULL), 1);
    for (size_t i = 1;; i++)
        if (!strcmp(argv->v[i], option))
            return argv->v[i + 1];
}

static bool mentions(const struct sh_strings *argv, const char *text)
{
    for (size_t i = 0; i < argv->count; i++)
        if (strstr(argv->v[i], text))
            return true;
    return false;
}

#define MANIFEST                                                                                   \
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"                             \
    "202122232425262728292a2b2c2d2e2f"
#define LAUNCH                                                                                     \
    "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"                             \
    "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
#define LAUNCH_BASE64 "oKGio6SlpqeoqaqrrK2ur7CxsrO0tba3uLm6u7y9vr/AwcLDxMXGx8jJysvMzc7P"
#define LAUNCH32_BASE64 "oKGio6SlpqeoqaqrrK2ur7CxsrO0tba3uLm6u7y9vr8="
#define MACHINE                                                                                    \
    "q35,graphics=off,usb=off,sata=off,smbus=off,i8042=off,vmport=off,hpet=off,smm=off,"           \
    "dump-guest-core=off"

/* What all TEEs share: a bare machine, two read-only disks, the channel, and no more. */
static void common(const struct sh_strings *argv, const struct sh_qemu_config *c)
{
    assert_string_equal(argv->v[0], "/q/qemu-system-x86_64");
    assert_string_equal(value_of(argv, "-name"), "guest=a,,b");
    assert_string_equal(value_of(argv, "-display"), "none");
    assert_string_equal(value_of(argv, "-sandbox"),
                        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    assert_string_equal(value_of(argv, "-m"), "268435456B");
    assert_string_equal(value_of(argv, "-smp"), "cpus=2,sockets=1,cores=2,threads=1");
    assert_string_equal(value_of(argv, "-initrd"), "/b/initramfs");
    assert_string_equal(value_of(argv, "-bios"), "/f/fw.fd");
    assert_string_equal(value_of(argv, "-global"),
                        "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off");
    size_t bare = 0;
    for (size_t i = 0; i < argv->count; i++)
        bare += !strcmp(argv->v[i], "-no-user-config") || !strcmp(argv->v[i], "-nodefaults") ||
                !strcmp(argv->v[i], "-no-reboot");
    assert_int_equal(bare, 3);
    assert_int_equal(count(argv, "-blockdev", NULL), 2);
    assert_int_equal(count(argv, "-blockdev",
                           "driver=raw,node-name=root,read-only=on,file.driver=file,"
                           "file.read-only=on,file.locking=off,file.filename=/i/root.img"),
                     1);
    assert_int_equal(count(argv, "-chardev", "socket,id=channel,fd=7"), 1);
    assert_int_equal(count(argv, "-device", "virtserialport,chardev=channel,name=shelter.channel"),
                     1);
    /* Nothing else reaches the guest or the host. */
    static const char *const never[] = {"virtio-rng", "virtio-vga", "usb-",        "pflash",
                                        "balloon",    "pvpanic",    "chardev=mon", "isa-debug"};
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        assert_false(mentions(argv, never[i]));
    static const char *const options[] = {"-monitor", "-qmp", "-mon", "-serial", "-gdb", "-s"};
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        assert_int_equal(count(argv, options[i], NULL), 0);
    const char *v =
        c->tee->backend.simulated ? "disable-legacy=on" : "disable-legacy=on,iommu_platform=on";
    char want[128];
    snprintf(want, sizeof(want), "virtio-blk-pci,drive=root,serial=shelter-root,%s", v);
    assert_int_equal(count(argv, "-device", want), 1);
    snprintf(want, sizeof(want), "virtio-blk-pci,drive=config,serial=shelter-config,%s", v);
    assert_int_equal(count(argv, "-device", want), 1);
    snprintf(want, sizeof(want), "virtio-serial-pci,max_ports=%d,%s",
             c->tee->backend.simulated ? 3 : 2, v);
    assert_int_equal(count(argv, "-device", want), 1);
}

static void test_simulated(void **state)
{
    struct sh_qemu_config c = config("tdx-sim");
    struct sh_strings argv;
    build(&c, &argv);
    common(&argv, &c);
    assert_string_equal(value_of(&argv, "-machine"), MACHINE);
    assert_string_equal(value_of(&argv, "-kernel"), "/b/vmlinux");
    assert_string_equal(value_of(&argv, "-append"),
                        SH_BOOT_COMMON " shelter.tee=tdx-sim shelter.manifest=" MANIFEST);
    assert_int_equal(count(&argv, "-chardev", "socket,id=td,fd=8"), 1);
    assert_int_equal(count(&argv, "-device", "virtserialport,chardev=td,name=shelter.td"), 1);
    assert_int_equal(strncmp(value_of(&argv, "-accel"), "tcg,thread=multi", 16), 0);
    assert_int_equal(count(&argv, "-netdev", NULL), 0);
    assert_int_equal(count(&argv, "-object", NULL), 0);
    assert_int_equal(count(&argv, "-device", NULL), 5);
    sh_strings_free(&argv);

    c.boot = SH_QEMU_BOOT_BZIMAGE;
    c.kvm = true;
    build(&c, &argv);
    assert_string_equal(value_of(&argv, "-kernel"), "/b/bzImage");
    assert_string_equal(value_of(&argv, "-accel"), "kvm");
    assert_string_equal(value_of(&argv, "-cpu"), "host");
    sh_strings_free(&argv);
}

static void test_tdx(void **state)
{
    struct sh_qemu_config c = config("tdx");
    struct sh_strings argv;
    build(&c, &argv);
    common(&argv, &c);
    assert_string_equal(value_of(&argv, "-machine"),
                        MACHINE ",pic=off,kernel-irqchip=split,memory-backend=ram0,"
                                "confidential-guest-support=tee0");
    assert_int_equal(count(&argv, "-object", NULL), 2);
    assert_int_equal(count(&argv, "-object",
                           "memory-backend-memfd,id=ram0,size=268435456,share=on,"
                           "prealloc=off,reserve=off"),
                     1);
    assert_int_equal(count(&argv, "-object",
                           "{\"qom-type\":\"tdx-guest\",\"id\":\"tee0\",\"sept-ve-disable\":true,"
                           "\"mrconfigid\":\"" LAUNCH_BASE64 "\",\"quote-generation-socket\":"
                           "{\"type\":\"vsock\",\"cid\":\"1\",\"port\":\"4050\"}}"),
                     1);
    assert_string_equal(value_of(&argv, "-accel"), "kvm");
    assert_string_equal(value_of(&argv, "-cpu"), "host,pmu=off");
    assert_string_equal(value_of(&argv, "-kernel"), "/b/bzImage"); /* never PVH */
    assert_string_equal(value_of(&argv, "-append"),
                        SH_BOOT_COMMON " shelter.tee=tdx shelter.manifest=" MANIFEST);
    assert_false(mentions(&argv, "shelter.td,"));
    sh_strings_free(&argv);

    struct sh_error err = {0};
    c.quote_socket = "/run/qgs.socket";
    build(&c, &argv);
    assert_true(mentions(&argv, "\"quote-generation-socket\":"
                                "{\"type\":\"unix\",\"path\":\"/run/qgs.socket\"}}"));
    sh_strings_free(&argv);
    c.quote_socket = "/run/\",\"mrconfigid\":\"";
    assert_int_equal(sh_qemu_command(&c, &argv, &err), -EINVAL);
    sh_strings_free(&argv);
}

static void test_snp(void **state)
{
    struct sh_qemu_config c = config("snp");
    struct sh_strings argv;
    build(&c, &argv);
    common(&argv, &c);
    assert_string_equal(value_of(&argv, "-machine"),
                        MACHINE ",memory-backend=ram0,confidential-guest-support=tee0");
    assert_int_equal(count(&argv, "-object",
                           "sev-snp-guest,id=tee0,policy=0x30000,cbitpos=51,reduced-phys-bits=1,"
                           "kernel-hashes=on,host-data=" LAUNCH32_BASE64),
                     1);
    assert_int_equal(count(&argv, "-object",
                           "memory-backend-memfd,id=ram0,size=268435456,share=on,"
                           "prealloc=off,reserve=off"),
                     1);
    assert_int_equal(count(&argv, "-object", NULL), 2);
    assert_string_equal(value_of(&argv, "-accel"), "kvm");
    assert_string_equal(value_of(&argv, "-cpu"), "EPYC-v4");
    assert_string_equal(value_of(&argv, "-kernel"), "/b/bzImage");
    assert_string_equal(value_of(&argv, "-append"),
                        SH_BOOT_COMMON " shelter.tee=snp shelter.manifest=" MANIFEST);
    sh_strings_free(&argv);
    c.cpu_model = "EPYC-Milan-v2";
    build(&c, &argv);
    assert_string_equal(value_of(&argv, "-cpu"), "EPYC-Milan-v2");
    sh_strings_free(&argv);
}

static void test_csv(void **state)
{
    struct sh_qemu_config c = config("csv");
    struct sh_strings argv;
    c.cbit_position = 47;
    c.reduced_phys_bits = 5;
    build(&c, &argv);
    common(&argv, &c);
    assert_string_equal(value_of(&argv, "-machine"), MACHINE ",confidential-guest-support=tee0");
    assert_string_equal(value_of(&argv, "-object"),
                        "sev-guest,id=tee0,policy=0xf,cbitpos=47,reduced-phys-bits=5,"
                        "kernel-hashes=on");
    assert_string_equal(value_of(&argv, "-accel"), "kvm");
    assert_string_equal(value_of(&argv, "-append"), SH_BOOT_COMMON
                        " shelter.tee=csv shelter.manifest=" MANIFEST " shelter.launch=" LAUNCH);
    sh_strings_free(&argv);
}

static void test_network(void **state)
{
    struct sh_port ports[] = {
        {.host_port = 8080, .guest_port = 80},
        {.udp = true, .host_address = "127.0.0.1", .host_port = 5353, .guest_port = 53},
    };
    struct sh_qemu_config c = config("tdx-sim");
    struct sh_error err = {0};
    struct sh_strings argv;
    spec.network = true;
    spec.network_fd = 9;
    build(&c, &argv);
    assert_string_equal(value_of(&argv, "-netdev"), "socket,id=net0,fd=9");
    assert_int_equal(
        count(&argv, "-device", "virtio-net-pci,netdev=net0,romfile=,disable-legacy=on"), 1);
    sh_strings_free(&argv);
    spec.ports = ports;
    spec.port_count = 2;
    build(&c, &argv);
    assert_string_equal(value_of(&argv, "-netdev"), "socket,id=net0,fd=9");
    sh_strings_free(&argv);
    /* An address that is none could carry further options. */
    static const char *const bad[] = {"::1", "localhost", "1.2.3.4,x=y", "1.2.3"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        strcpy(ports[1].host_address, bad[i]);
        assert_int_equal(sh_qemu_command(&c, &argv, &err), -EINVAL);
        sh_strings_free(&argv);
    }
    spec.network = false;
    assert_int_equal(sh_qemu_command(&c, &argv, &err), -EINVAL);
    sh_strings_free(&argv);
}

static void test_shares_and_debug(void **state)
{
    struct sh_mount shares[] = {{.source = "/srv/a,readonly=off", .read_only = true},
                                {.source = "/srv/b"}};
    struct sh_qemu_config c = config("tdx-sim");
    struct sh_strings argv;
    spec.mounts = shares;
    spec.mount_count = 2;
    spec.debug = true;
    build(&c, &argv);
    assert_int_equal(count(&argv, "-fsdev",
                           "local,id=fs0,path=/srv/a,,readonly=off,"
                           "security_model=none,multidevs=remap,readonly=on"),
                     1);
    assert_int_equal(count(&argv, "-fsdev",
                           "local,id=fs1,path=/srv/b,security_model=none,"
                           "multidevs=remap"),
                     1);
    assert_int_equal(
        count(&argv, "-device", "virtio-9p-pci,fsdev=fs1,mount_tag=share1,disable-legacy=on"), 1);
    assert_int_equal(count(&argv, "-chardev", "file,id=console,path=/i,,nst/console.log"), 1);
    assert_int_equal(count(&argv, "-device", "isa-serial,chardev=console"), 1);
    const char *line = value_of(&argv, "-append");
    assert_string_equal(line + strlen(line) - strlen(" " SH_BOOT_DEBUG), " " SH_BOOT_DEBUG);
    sh_strings_free(&argv);
}

static void test_refused(void **state)
{
    struct sh_strings argv = {0};
    const uint64_t sizes[] = {0, 1 << 20, (64 << 20) + 1, 1ull << 50};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct sh_error err = {0};
        struct sh_qemu_config c = config("tdx-sim");
        spec.memory = sizes[i];
        assert_int_equal(sh_qemu_command(&c, &argv, &err), -EINVAL);
        assert_non_null(strstr(err.text, "memory"));
    }
    const unsigned cpus[] = {0, 65};
    for (size_t i = 0; i < 2; i++) {
        struct sh_error err = {0};
        struct sh_qemu_config c = config("tdx-sim");
        spec.cpus = cpus[i];
        assert_int_equal(sh_qemu_command(&c, &argv, &err), -EINVAL);
    }
    struct sh_error err = {0};
    struct sh_qemu_config c = config("tdx-sim");
    c.firmware = NULL;
    assert_int_equal(sh_qemu_command(&c, &argv, &err), -EINVAL);
    sh_strings_free(&argv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simulated), cmocka_unit_test(test_tdx),
        cmocka_unit_test(test_snp),       cmocka_unit_test(test_csv),
        cmocka_unit_test(test_network),   cmocka_unit_test(test_shares_and_debug),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
