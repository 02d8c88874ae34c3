// SPDX-License-Identifier: Apache-2.0
// shelter doctor: QEMU, base files, network, store and disk.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include "host/base/cgroup.h"
#include "host/base/walls.h"
#include "host/cli/doctor.h"
#include "host/store/base_files.h"
#include "host/store/store.h"
#include "host/launch/check.h"
#include "host/launch/launch.h"

#define SPACE_WANTED                                                                               \
    (2ull << 30) /* an image of some hundred megabytes, twice, and a kernel build */

static void check_base(cJSON *checks)
{
    struct sh_error err = {0};
    cleanup_free char *dir = sh_base_find(NULL, &err);
    for (size_t i = 0; dir && i < SH_BASE_MACHINE; i++) {
        cleanup_free char *path = sh_format("%s/%s", dir, sh_base_names[i]);
        if (access(path, R_OK))
            sh_fail_errno(&err, -errno, "cannot read %s", path);
    }
    bool ok = dir && !err.text[0];
    sh_check_add(checks, "base files", ok,
                 "run 'make tools' in Shelter's folder, or name one in "
                 "SHELTER_BASE",
                 "%s", ok ? dir : err.text);
}

static void check_store(cJSON *checks)
{
    struct sh_error err = {0};
    struct sh_store store;
    struct statvfs fs;
    char size[16];
    bool ok = !sh_store_open(&store, &err), opened = ok;
    if (ok && faccessat(store.dir_fd, ".", W_OK, AT_EACCESS)) {
        sh_fail_errno(&err, -errno, "%s is not writable", store.path);
        ok = false;
    }
    if (!sh_check_add(checks, "store", ok,
                      "make the folder writable, or name another in "
                      "SHELTER_STORE",
                      "%s", ok ? store.path : err.text)) {
        if (opened)
            sh_store_close(&store);
        return;
    }
    if (!fstatvfs(store.dir_fd, &fs)) {
        uint64_t space = (uint64_t)fs.f_bavail * fs.f_frsize;
        sh_format_size(size, sizeof(size), space);
        sh_check_add(checks, "disk space", space >= SPACE_WANTED,
                     "free some space, or name another "
                     "folder in SHELTER_STORE",
                     "%s free in the store", size);
    }
    sh_store_close(&store);
}

/* Around an enclave's loader, and around QEMU. */
static void check_walls(cJSON *checks)
{
    static const char *const weaker[SH_WALL_COUNT] = {
        [SH_WALL_PIDS] = "it sees this machine's processes, and signals its user's",
        [SH_WALL_FILES] = "only Landlock keeps it from its user's files",
        [SH_WALL_NETWORK] = "who takes QEMU or the loader over has this machine's network",
        [SH_WALL_USER] = "it keeps its user's rights",
        [SH_WALL_LANDLOCK] = "only the mount namespace keeps it from files",
        [SH_WALL_SECCOMP] = "it may make all of the kernel's calls",
    };
    static const char namespaces[] =
        "allow user namespaces (user.max_user_namespaces, "
        "kernel.apparmor_restrict_unprivileged_userns), or start as root";
    static const char *const remedies[SH_WALL_COUNT] = {
        [SH_WALL_PIDS] = namespaces,
        [SH_WALL_FILES] = namespaces,
        [SH_WALL_NETWORK] = namespaces,
        [SH_WALL_LANDLOCK] = "use Linux 5.13 or later with landlock in CONFIG_LSM",
        [SH_WALL_SECCOMP] = "use a kernel with CONFIG_SECCOMP_FILTER",
    };
    unsigned walls = sh_walls_probe();
    for (unsigned i = 0; i < SH_WALL_COUNT; i++) {
        bool ok = walls >> i & 1;
        sh_check_add(checks, "wall", ok, remedies[i], "%s%s%s", sh_wall_name(i),
                     ok ? "" : ": cannot be raised; without it ", ok ? "" : weaker[i]);
    }
    unsigned abi = sh_walls_landlock_abi();
    if (abi)
        sh_check_add(checks, "Landlock", true, NULL, "ABI %u%s", abi,
                     abi >= 6   ? ""
                     : abi >= 4 ? ": without signals and abstract sockets (ABI 6, Linux 6.12)"
                                : ": without TCP (ABI 4, Linux 6.7), signals and abstract sockets");
}

/* No wall that is missed: no warning says so at run. */
static void check_shadow_stack(cJSON *checks)
{
    sh_check_add(checks, "shadow stacks", true, NULL, "%s",
                 sh_walls_have_shadow_stack()
                     ? "used by the loader of enclaves on hardware"
                     : "none here (they need a processor with CET and Linux 6.6): overwritten "
                       "return addresses of an enclave's loader are not noticed");
}

static void check_cgroup(cJSON *checks)
{
    struct sh_cgroup c;
    cleanup_free char *name = sh_format("doctor-%d", (int)getpid());
    bool ok = sh_cgroup_make(&c, name, 1 << 20, 1);
    sh_check_add(checks, "cgroup", true, NULL, "%s",
                 c.limited ? "one for each instance, with limits of memory and threads"
                 : ok
                     ? "one for each instance, but without limits: the controllers memory and "
                       "pids cannot be used here"
                     : "none may be made: an instance is limited as its user's programs are; start "
                       "as root, or in a delegated one (systemd-run --user -p Delegate=yes)");
    sh_cgroup_remove(&c);
}

cJSON *sh_doctor_host(void)
{
    cJSON *checks = cJSON_CreateArray();
    struct utsname u;
    uname(&u);
    sh_check_add(checks, "kernel", true, NULL, "%s %s", u.sysname, u.release);
    sh_qemu_check(checks);
    check_base(checks);
    check_store(checks);
    check_walls(checks);
    check_shadow_stack(checks);
    check_cgroup(checks);
    return checks;
}
