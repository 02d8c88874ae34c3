// SPDX-License-Identifier: Apache-2.0
// Does a guest really boot under KVM here? On some machines /dev/kvm opens and a stock guest hangs,
// so the only test is to boot one. The answer is remembered.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#include <shelter/boot.h>

#include "host/base/child.h"
#include "host/base/temp.h"
#include "host/launch/qemu/parts.h"
#include "lib/hex.h"
#include "lib/sha2.h"

#define PROBE_MS 5000
#define REFUSAL_SECONDS (7 * 86400) /* a "no" may come from a busy hour: ask again after a week */

/* What the answer depends on: the host's kernel, QEMU, the CPU, and (by its size) the guest kernel:
 * a trivial guest may run where Linux hangs. */
static char *cache_name(const struct sh_qemu_config *config)
{
    const char *qemu = config->qemu, *kernel = sh_qemu_kernel(config);
    struct stat st;
    struct utsname u;
    struct sh_error ignored = {0};
    char version[32] = "", line[256], cpu[256] = "";
    uname(&u);
    sh_qemu_version(qemu, version, &ignored);
    cleanup_fclose FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && fgets(line, sizeof(line), f))
        if (!strncmp(line, "model name", 10)) {
            strcpy(cpu, line);
            break;
        }
    long long size = kernel && !stat(kernel, &st) ? (long long)st.st_size : 0;
    cleanup_free char *key =
        sh_format("%s\n%s\n%s\n%s\n%s\n%lld", u.release, u.version, qemu, version, cpu, size);
    uint8_t digest[SH_SHA256_SIZE];
    char hex[17];
    sh_sha256(digest, key, strlen(key));
    sh_hex(hex, digest, 8);
    return sh_format("kvm-%s", hex);
}

/* The guest said power-off, not reset: its PID 1 ran. A crash under -no-reboot ends QEMU as well.
 */
static bool powered_off(int fd, int64_t deadline)
{
    static const char hello[] = "{\"execute\":\"qmp_capabilities\"}\n";
    char text[8192];
    size_t size = 0;
    /* A QEMU that ended already is an answer too, not a SIGPIPE. */
    if (send(fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL) != sizeof(hello) - 1)
        return false;
    while (size < sizeof(text) - 1) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - sh_now_ms();
        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            return false;
        ssize_t n = read(fd, text + size, sizeof(text) - 1 - size);
        if (n <= 0)
            return false;
        size += (size_t)n;
        text[size] = 0;
        const char *event = strstr(text, "\"SHUTDOWN\"");
        if (event && strchr(event, '\n'))
            return strstr(event, "guest-shutdown") != NULL;
    }
    return false;
}

static bool boot_guest(const struct sh_qemu_config *config)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return false;
    cleanup_close int ours = pair[0];
    struct sh_strings argv = {0};
    const char *const args[] = {config->qemu,  "-no-user-config",
                                "-nodefaults", "-display",
                                "none",        "-no-reboot",
                                "-m",          "128M",
                                "-accel",      "kvm",
                                "-cpu",        "host",
                                "-bios",       config->firmware,
                                "-kernel",     sh_qemu_kernel(config),
                                "-initrd",     config->initramfs,
                                "-append",     SH_BOOT_COMMON " shelter.probe",
                                "-mon",        "chardev=qmp,mode=control",
                                "-chardev"};
    for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
        sh_strings_add(&argv, args[i]);
    sh_strings_addf(&argv, "socket,id=qmp,fd=%d", pair[1]);
    sh_qemu_machine_args(&argv, "");

    const int keep[] = {pair[1]};
    struct sh_child_walls walls = {0};
    struct sh_child child;
    struct sh_error ignored = {0};
    sh_qemu_walls(config, &walls);
    int r = sh_child_start(argv.v, keep, 1, NULL, &walls, &child, &ignored);
    close(pair[1]);
    bool works = !r && powered_off(ours, sh_now_ms() + PROBE_MS);
    if (!r) {
        kill(child.pid, SIGKILL);
        while (waitpid(child.pid, NULL, 0) < 0 && errno == EINTR)
            ;
        close(child.pid_fd);
        close(child.stderr_fd);
    }
    sh_wall_view_free(&walls.view);
    sh_strings_free(&argv);
    return works;
}

bool sh_qemu_kvm_works(const struct sh_qemu_config *config)
{
    char line[16];
    struct stat st;
    struct sh_error ignored = {0};
    const char *forced = getenv("SHELTER_ACCEL");
    if (forced && !strcmp(forced, "tcg"))
        return false;
    if (forced && !strcmp(forced, "kvm"))
        return true;
    if (access("/dev/kvm", R_OK | W_OK))
        return false;
    cleanup_free char *name = cache_name(config);
    cleanup_free char *cache = sh_qemu_cache_path(name);
    if (cache && !stat(cache, &st) && sh_qemu_read_line(cache, line, sizeof(line))) {
        if (!strcmp(line, "yes"))
            return true;
        if (!strcmp(line, "no") && time(NULL) - st.st_mtime < REFUSAL_SECONDS)
            return false;
    }
    if (!sh_qemu_kernel(config) || !config->initramfs || !config->firmware)
        return false; /* nothing to boot, nothing to remember */
    bool works = boot_guest(config);
    if (cache)
        sh_write_file(AT_FDCWD, cache, works ? "yes\n" : "no\n", works ? 4 : 3, 0600, &ignored);
    return works;
}
