// SPDX-License-Identifier: Apache-2.0
// A real QEMU reads our command lines: it boots a guest of a few instructions (tdx-sim), and for
// TDX, SNP and CSV it gets as far as asking KVM; QMP tells the properties' names. SHELTER_QEMU
// names a newer QEMU than this system's.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "host/base/temp.h"
#include "host/launch/qemu/parts.h"

#define LIMIT_MS 20000

static char dir[] = "/tmp/shelter-unit.XXXXXX";
static const char *qemu;

/* Runs argv with the given descriptor kept open; its output (both streams) goes to out. The exit
 * status, or -1 when it had to be killed. */
static int run(char **argv, int keep, const char *input, char *out, size_t size)
{
    int in[2], from[2];
    assert_int_equal(pipe(in) | pipe2(from, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (!pid) {
        dup2(in[0], 0);
        dup2(from[1], 1);
        dup2(from[1], 2);
        close(in[1]);
        if (keep >= 0)
            fcntl(keep, F_SETFD, 0);
        execv(argv[0], argv);
        _exit(127);
    }
    close(in[0]);
    close(from[1]);
    assert_int_equal(sh_write_all(in[1], input, strlen(input)), 0);
    int64_t deadline = sh_now_ms() + LIMIT_MS, left;
    size_t have = 0;
    struct pollfd p = {.fd = from[0], .events = POLLIN};
    bool ended = false;
    while (!ended && have < size - 1 && (left = deadline - sh_now_ms()) > 0)
        if (poll(&p, 1, (int)left) > 0) {
            ssize_t n = read(from[0], out + have, size - 1 - have);
            ended = n <= 0;
            have += n > 0 ? (size_t)n : 0;
        }
    out[have] = 0;
    close(in[1]);
    close(from[0]);
    if (!ended)
        kill(pid, SIGKILL);
    int status;
    waitpid(pid, &status, 0);
    return ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* 32-bit ELF with a PVH entry note; the program writes S5 to q35's power management port. */
static void write_guest(const char *path)
{
    static const uint8_t code[] = {0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00,
                                   0x20, 0x66, 0xef, 0xf4, 0xeb, 0xfd};
    uint8_t f[0x100] = {0x7f, 'E', 'L', 'F', 1, 1, 1};
    struct sh_error err = {0};
    sh_put_le16(f + 16, 2); /* executable */
    sh_put_le16(f + 18, 3); /* i386 */
    sh_put_le32(f + 20, 1);
    sh_put_le32(f + 24, 0x100080); /* entry */
    sh_put_le32(f + 28, 0x34);     /* program headers */
    sh_put_le16(f + 40, 0x34);
    sh_put_le16(f + 42, 32);
    sh_put_le16(f + 44, 2);
    uint8_t *load = f + 0x34, *note = load + 32;
    sh_put_le32(load, 1);
    sh_put_le32(load + 8, 0x100000);
    sh_put_le32(load + 12, 0x100000);
    sh_put_le32(load + 16, sizeof(f));
    sh_put_le32(load + 20, sizeof(f));
    sh_put_le32(load + 24, 7);
    sh_put_le32(load + 28, 4096);
    sh_put_le32(note, 4);
    sh_put_le32(note + 4, 0xa0);
    sh_put_le32(note + 8, 0x1000a0);
    sh_put_le32(note + 12, 0x1000a0);
    sh_put_le32(note + 16, 20);
    sh_put_le32(note + 20, 20);
    sh_put_le32(note + 24, 4);
    sh_put_le32(note + 28, 4);
    memcpy(f + 0x80, code, sizeof(code));
    sh_put_le32(f + 0xa0, 4);  /* "Xen\0" */
    sh_put_le32(f + 0xa4, 4);  /* a 32-bit address */
    sh_put_le32(f + 0xa8, 18); /* XEN_ELFNOTE_PHYS32_ENTRY */
    memcpy(f + 0xac, "Xen", 4);
    sh_put_le32(f + 0xb0, 0x100080);
    assert_int_equal(sh_write_file(AT_FDCWD, path, f, sizeof(f), 0600, &err), 0);
}

static char *in_dir(const char *name)
{
    return sh_format("%s/%s", dir, name);
}

/* Builds this TEE's command line over the tiny guest and runs it. */
static int start(const char *tee, char *out, size_t size, struct sh_error *err)
{
    int pair[2], wire[2], r;
    struct sh_strings argv = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, wire), 0);
    cleanup_close int ours = pair[0], theirs = pair[1];
    cleanup_close int network = wire[0], guest = wire[1];
    cleanup_free char *kernel = in_dir("kernel"), *disk = in_dir("a,disk"), *share = in_dir("");
    /* Below the range that the system hands out; another test run has another pid. */
    uint16_t port = (uint16_t)(20000 + getpid() % 6000 * 2);
    struct sh_port ports[] = {{.host_address = "127.0.0.1", .host_port = port, .guest_port = 80},
                              {.udp = true, .host_port = (uint16_t)(port + 1), .guest_port = 53}};
    struct sh_mount shares[] = {{.source = share, .read_only = true}};
    struct sh_launch_spec spec = {
        .name = "unit,test",
        .instance_path = dir,
        .memory = 64 << 20,
        .cpus = 2,
        .network = true,
        .ports = ports,
        .port_count = 2,
        .mounts = shares,
        .mount_count = 1,
        .channel_fd = theirs,
        .service_fd = -1,
        .network_fd = guest,
    };
    assert_int_equal(sh_backend_find(tee, -1, &spec.backend, err), 0);
    struct sh_qemu_config c = {
        .spec = &spec,
        .tee = (const struct sh_qemu_tee *)spec.backend,
        .qemu = qemu,
        .vmlinux = kernel,
        .bzimage = kernel,
        .initramfs = disk,
        .root_image = disk,
        .cbit_position = 51,
        .reduced_phys_bits = 1,
    };
    if (!spec.backend->simulated)
        c.firmware = kernel; /* never read: KVM is asked first */
    else if ((r = c.tee->firmware(&c, err)))
        return r;
    assert_int_equal(sh_qemu_command(&c, &argv, err), 0);
    r = run(argv.v, theirs, "", out, size);
    sh_strings_free(&argv);
    return r;
}

static int set_up(void **state)
{
    struct sh_error err = {0};
    char zero[8192] = {0};
    qemu = sh_qemu_find();
    if (!mkdtemp(dir))
        return -1;
    cleanup_free char *kernel = in_dir("kernel"), *disk = in_dir("a,disk");
    write_guest(kernel);
    cleanup_free char *config_disk = in_dir(SH_QEMU_CONFIG_DISK);
    if (sh_write_file(AT_FDCWD, config_disk, zero, sizeof(zero), 0600, &err))
        return -1;
    return sh_write_file(AT_FDCWD, disk, zero, sizeof(zero), 0600, &err);
}

static int tear_down(void **state)
{
    return sh_remove_tree(AT_FDCWD, dir);
}

static void test_simulated(void **state)
{
    char out[8192] = "";
    struct sh_error err = {0};
    if (!qemu)
        skip();
    int r = start("tdx-sim", out, sizeof(out), &err);
    if (r == -ENOENT)
        skip();
    if (r || out[0])
        fail_msg("status %d: %s", r, out);
}

/* This host's KVM has none of these TEEs, so QEMU must stop there, and not at an option. */
static void stops_at_kvm(const char *tee, int major, int minor)
{
    char out[8192] = "", lower[8192];
    struct sh_error err = {0};
    if (!qemu || sh_qemu_need(qemu, major, minor, tee, &err))
        skip();
    if (!access("/dev/sev", F_OK) || access("/dev/kvm", R_OK | W_OK))
        skip(); /* the real thing, or none at all: another message */
    int r = start(tee, out, sizeof(out), &err);
    size_t n = 0;
    for (; out[n]; n++)
        lower[n] = (char)(out[n] >= 'A' && out[n] <= 'Z' ? out[n] + 32 : out[n]);
    lower[n] = 0;
    if (r != 1 || !strstr(lower, "kvm") || strstr(lower, "property") ||
        strstr(lower, "parameter") || strstr(lower, "invalid") || strstr(lower, "json"))
        fail_msg("status %d: %s", r, out);
}

static void test_tdx(void **state)
{
    stops_at_kvm("tdx", 10, 1);
}
static void test_snp(void **state)
{
    stops_at_kvm("snp", 9, 1);
}
static void test_csv(void **state)
{
    stops_at_kvm("csv", 6, 2);
}

/* Asks QMP for a type's properties; every name must be there. */
static void has_properties(const char *type, const char *const *names)
{
    char out[65536], *argv[] = {(char *)qemu, "-machine", "none", "-nodefaults", "-display",
                                "none",       "-S",       "-qmp", "stdio",       NULL};
    cleanup_free char *input = sh_format("{\"execute\":\"qmp_capabilities\"}\n"
                                         "{\"execute\":\"qom-list-properties\",\"arguments\":"
                                         "{\"typename\":\"%s\"}}\n{\"execute\":\"quit\"}\n",
                                         type);
    if (run(argv, -1, input, out, sizeof(out)))
        fail_msg("QEMU's QMP does not answer: %s", out);
    for (; *names; names++) {
        cleanup_free char *name = sh_format("\"name\": \"%s\"", *names);
        if (!strstr(out, name))
            fail_msg("%s has no property %s: %s", type, *names, out);
    }
}

static void test_properties(void **state)
{
    struct sh_error err = {0};
    if (!qemu || sh_qemu_need(qemu, 6, 2, "sev-guest", &err))
        skip();
    has_properties("sev-guest", (const char *const[]){"policy", "cbitpos", "reduced-phys-bits",
                                                      "kernel-hashes", NULL});
    has_properties("memory-backend-memfd",
                   (const char *const[]){"size", "share", "prealloc", "reserve", NULL});
}

static void test_properties_snp(void **state)
{
    struct sh_error err = {0};
    if (!qemu || sh_qemu_need(qemu, 9, 1, "sev-snp-guest", &err))
        skip();
    has_properties("sev-snp-guest", (const char *const[]){"policy", "cbitpos", "reduced-phys-bits",
                                                          "kernel-hashes", "host-data", NULL});
}

static void test_properties_tdx(void **state)
{
    struct sh_error err = {0};
    if (!qemu || sh_qemu_need(qemu, 10, 1, "tdx-guest", &err))
        skip();
    has_properties("tdx-guest", (const char *const[]){"sept-ve-disable", "mrconfigid",
                                                      "quote-generation-socket", NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simulated),
        cmocka_unit_test(test_tdx),
        cmocka_unit_test(test_snp),
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_properties_snp),
        cmocka_unit_test(test_properties_tdx),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
