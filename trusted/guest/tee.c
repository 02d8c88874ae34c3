// SPDX-License-Identifier: Apache-2.0
// What this TEE is, and which launch config its hardware field binds.
//
// TDX: MRCONFIGID of TDREPORT_STRUCT (Intel TDX Module ABI specification); SNP: HOST_DATA of the
// attestation report (AMD 56860, table 23), whose first 32 bytes of the digest it holds; CSV has no
// such field: there the digest stands on the measured command line.
#include "trusted/guest/guest.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <shelter/simtd.h>

#define TD_ANSWER_MS 10000

/* <linux/tdx-guest.h>, which Debian 12's headers lack. */
struct tdx_report_req {
    uint8_t reportdata[64];
    uint8_t tdreport[1024];
};
#define TDX_CMD_GET_REPORT0 _IOWR('T', 1, struct tdx_report_req)

#define SNP_REPORT_HOST_DATA 0xc0
#define SNP_REPORT_SIZE 0x4a0

static bool cpu_is_tdx(void)
{
    unsigned a, b, c, d;
    if (__get_cpuid_max(0, NULL) < 0x21)
        return false;
    __cpuid_count(0x21, 0, a, b, c, d);
    /* "IntelTDX    " in EBX, EDX, ECX. */
    return b == 0x65746e49 && d == 0x5844546c && c == 0x20202020;
}

static bool cpu_is_hygon_sev(void)
{
    unsigned a, b, c, d;
    __cpuid(0, a, b, c, d);
    if (b != 0x6f677948 || d != 0x6e65476e || c != 0x656e6975) /* "HygonGenuine" */
        return false;
    if (__get_cpuid_max(0x80000000, NULL) < 0x8000001f)
        return false;
    __cpuid(0x8000001f, a, b, c, d);
    return a & 2;
}

/* The kernel makes this device only where it runs as an SNP guest with its secrets page. */
static bool kernel_is_snp(void)
{
    return !access(SH_SNP_DEVICE, F_OK);
}

int guest_tee_check(const char *tee, struct guest_error *e)
{
    const char *is = cpu_is_tdx()         ? "tdx"
                     : kernel_is_snp()    ? "snp"
                     : cpu_is_hygon_sev() ? "csv"
                                          : "tdx-sim";
    /* A Hygon host without CSV for this guest shows the same CPUID: there simulation is honest too.
     */
    if (!strcmp(tee, is) || (!strcmp(is, "csv") && !strcmp(tee, "tdx-sim")))
        return 0;
    return guest_fail(e, -EPERM, "the command line says this TEE is %s, but it is %s", tee, is);
}

static int simulated_report(uint8_t report[1024], struct guest_error *e)
{
    struct sh_simtd_request request = {.magic = SH_SIMTD_MAGIC};
    struct sh_simtd_reply reply;
    GUEST_AUTOCLOSE int fd = guest_port_open(SH_SIMTD_PORT, e);
    if (fd < 0)
        return fd;
    int64_t deadline = sh_now_ms() + TD_ANSWER_MS;
    int rc = sh_move_by(fd, &request, sizeof(request), POLLOUT, deadline);
    if (!rc)
        rc = sh_move_by(fd, &reply, sizeof(reply), POLLIN, deadline);
    if (!rc && (reply.magic != SH_SIMTD_MAGIC || reply.status))
        rc = -EPROTO;
    if (rc)
        return guest_fail(e, rc, "the simulated TD module gave no report: %s", strerror(-rc));
    memcpy(report, reply.report, 1024);
    return 0;
}

static int tdx_report(uint8_t report[1024], struct guest_error *e)
{
    struct tdx_report_req request = {0};
    GUEST_AUTOCLOSE int fd = open(SH_TDX_DEVICE, O_RDWR | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, TDX_CMD_GET_REPORT0, &request))
        return guest_fail(e, -errno, "the TDX module gave no report: %s", strerror(errno));
    memcpy(report, request.tdreport, 1024);
    return 0;
}

/* Through configfs-tsm (Documentation/ABI/testing/configfs-tsm). */
static int snp_report(uint8_t report[SNP_REPORT_SIZE], struct guest_error *e)
{
    static const uint8_t zeros[64];
    const char *step = "configfs";
    ssize_t n = -1;
    if (!guest_mount_configfs(-1, "snp") && !mkdir(SH_TSM_REPORTS "/start", 0700)) {
        step = "inblob";
        GUEST_AUTOCLOSE int in = open(SH_TSM_REPORTS "/start/inblob", O_WRONLY | O_CLOEXEC);
        if (in >= 0 && write(in, zeros, sizeof(zeros)) == (ssize_t)sizeof(zeros)) {
            guest_close(&in); /* configfs takes a binary attribute when it is closed */
            step = "outblob";
            GUEST_AUTOCLOSE int out = open(SH_TSM_REPORTS "/start/outblob", O_RDONLY | O_CLOEXEC);
            n = out < 0 ? -1 : read(out, report, SNP_REPORT_SIZE);
        }
    }
    int code = n < 0 ? -errno : -EPROTO;
    rmdir(SH_TSM_REPORTS "/start");
    if (n == SNP_REPORT_SIZE)
        return 0;
    return guest_fail(e, code, "the SNP firmware gave no report (%s): %s", step, strerror(-code));
}

int guest_tee_launch_digest(const struct guest_cmdline *cmdline, uint8_t digest[48], size_t *size,
                            struct guest_error *e)
{
    uint8_t report[SNP_REPORT_SIZE];
    int rc;
    *size = 48;
    if (!strcmp(cmdline->tee, "csv")) {
        if (!cmdline->has_launch)
            return guest_fail(e, -EINVAL, "kernel command line: " SH_BOOT_KEY_LAUNCH " is missing");
        memcpy(digest, cmdline->launch, 48);
        return 0;
    }
    if (cmdline->has_launch)
        return guest_fail(e, -EINVAL,
                          "kernel command line: " SH_BOOT_KEY_LAUNCH " is for csv only");
    if (!strcmp(cmdline->tee, "snp")) {
        rc = snp_report(report, e);
        *size = 32;
        if (!rc)
            memcpy(digest, report + SNP_REPORT_HOST_DATA, 32);
        return rc;
    }
    rc = strcmp(cmdline->tee, "tdx") ? simulated_report(report, e) : tdx_report(report, e);
    if (!rc)
        memcpy(digest, report + SH_TDREPORT_TDINFO + SH_TDINFO_MRCONFIGID, 48);
    return rc;
}
