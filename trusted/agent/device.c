// SPDX-License-Identifier: Apache-2.0
// Evidence from device files, where configfs-tsm is not: SNP's and Hygon's, and the simulated TD
// module's port. Not yet run on hardware.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/sev-guest.h>

#include <shelter/simtd.h>

#include "lib/io.h"
#include "trusted/agent/linux.h"
#include "trusted/agent/sm3.h"

#define SNP_REPORT_SIZE 1184u
#define SNP_REPORT_AT 32u /* in MSG_REPORT_RSP: status u32, size u32, reserved */
#define CERTIFICATES_MAX 0x4000u
#define TDX_REPORT_SIZE 1024u
#define CSV_PAGE 4096u
#define SIMULATED_MS 10000u

/* --- SNP (Documentation/virt/coco/sev-guest.rst) --- */

static int take_snp(const struct snp_report_resp *reply, struct agent_raw *raw)
{
    uint32_t status = sh_le32(reply->data), size = sh_le32(reply->data + 4);
    if (status || size != SNP_REPORT_SIZE)
        return -EPROTO;
    raw->quote = agent_os_alloc(SNP_REPORT_SIZE);
    if (!raw->quote)
        return -ENOMEM;
    memcpy(raw->quote, reply->data + SNP_REPORT_AT, SNP_REPORT_SIZE);
    raw->quote_size = SNP_REPORT_SIZE;
    return 0;
}

int agent_sev_guest_evidence(int fd, const uint8_t report_data[64], struct agent_raw *raw,
                             const char **why)
{
    struct snp_ext_report_req ext = {.certs_len = CERTIFICATES_MAX};
    struct snp_report_resp reply = {0};
    struct snp_guest_request_ioctl request = {
        .msg_version = 1, .req_data = (uintptr_t)&ext, .resp_data = (uintptr_t)&reply};
    *why = "the SNP firmware gives no report";
    memcpy(ext.data.user_data, report_data, 64);
    raw->more = agent_os_alloc(CERTIFICATES_MAX);
    if (!raw->more)
        return -ENOMEM;
    ext.certs_address = (uintptr_t)raw->more;
    if (!ioctl(fd, SNP_GET_EXT_REPORT, &request)) {
        raw->more_size = CERTIFICATES_MAX;
        return take_snp(&reply, raw);
    }
    /* The host has no certificates, or too many: the verifier fetches them. */
    request.req_data = (uintptr_t)&ext.data;
    reply = (struct snp_report_resp){0};
    return ioctl(fd, SNP_GET_REPORT, &request) ? -errno : take_snp(&reply, raw);
}

/* --- TDX: kernels before configfs-tsm, whose driver asks the host itself (GHCI, GetQuote) --- */

struct tdx_report_request {
    uint8_t report_data[64], report[TDX_REPORT_SIZE];
};
struct tdx_quote_buffer { /* GHCI 3.3, table 3-11: the report in, the quote out */
    uint64_t version, status;
    uint32_t in_size, out_size;
    uint8_t data[AGENT_QUOTE_MAX];
};
struct tdx_quote_request {
    uint64_t buffer, size;
};
#define TDX_GET_REPORT0 _IOWR('T', 1, struct tdx_report_request)
#define TDX_GET_QUOTE _IOWR('T', 4, struct tdx_quote_request)

int agent_tdx_guest_evidence(int fd, const uint8_t report_data[64], struct agent_raw *raw,
                             const char **why)
{
    struct tdx_report_request report = {0};
    *why = "the TDX module gives no report";
    memcpy(report.report_data, report_data, 64);
    if (ioctl(fd, TDX_GET_REPORT0, &report))
        return -errno;
    *why = "this kernel has neither configfs-tsm nor a driver that gets quotes";
    struct tdx_quote_buffer *b = agent_os_alloc(sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->version = 1;
    b->in_size = TDX_REPORT_SIZE;
    memcpy(b->data, report.report, TDX_REPORT_SIZE);
    struct tdx_quote_request request = {(uintptr_t)b, sizeof(*b)};
    int rc = ioctl(fd, TDX_GET_QUOTE, &request) ? -errno : b->status ? -EIO : 0;
    if (!rc && (!b->out_size || b->out_size > AGENT_QUOTE_MAX))
        rc = -EPROTO;
    if (!rc && !(raw->quote = agent_os_alloc(b->out_size)))
        rc = -ENOMEM;
    if (!rc) {
        raw->quote_size = b->out_size;
        memcpy(raw->quote, b->data, b->out_size);
    }
    agent_os_free(b);
    return rc;
}

/* --- CSV: Hygon's own driver, /dev/csv-guest --- */

struct csv_guest_mem {
    uint64_t va;
    int32_t size;
};
#define CSV_GET_REPORT _IOWR('D', 1, struct csv_guest_mem)

/* The page in: report data 64, a nonce of ours 16, SM3 of both 32. The page out: the report. */
int agent_csv_guest_evidence(int fd, const uint8_t report_data[64], struct agent_raw *raw,
                             const char **why)
{
    *why = "the CSV firmware gives no report";
    uint8_t *page = agent_os_alloc(CSV_PAGE);
    if (!page)
        return -ENOMEM;
    raw->quote = page;
    raw->quote_size = CSV_PAGE;
    memcpy(page, report_data, 64);
    if (agent_os_random(page + 64, 16))
        return -EIO;
    agent_sm3(page + 80, page, 80);
    struct csv_guest_mem request = {(uintptr_t)page, (int32_t)CSV_PAGE};
    return ioctl(fd, CSV_GET_REPORT, &request) ? -errno : 0;
}

/* --- tdx-sim: the launcher's simulated TD module and quoting enclave --- */

/* An answer that came too late for its question would be read as the next one's. */
static void drain_device(int fd)
{
    uint8_t old[512];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    for (unsigned i = 0; i < 256 && poll(&p, 1, 0) == 1 && p.revents & POLLIN; i++)
        if (read(fd, old, sizeof(old)) <= 0)
            return;
}

int agent_tdx_sim_evidence(int fd, const uint8_t report_data[64], struct agent_raw *raw,
                           const char **why)
{
    struct sh_simtd_request request = {.magic = SH_SIMTD_MAGIC, .kind = SH_SIMTD_QUOTE};
    struct sh_simtd_quote_reply reply;
    int64_t deadline = sh_now_ms() + SIMULATED_MS;
    *why = "the launcher's simulated quoting enclave does not answer";
    drain_device(fd);
    memcpy(request.report_data, report_data, 64);
    int rc = sh_move_by(fd, &request, sizeof(request), POLLOUT, deadline);
    if (!rc)
        rc = sh_move_by(fd, &reply, sizeof(reply), POLLIN, deadline);
    if (rc)
        return rc;
    *why = "the launcher's simulated quoting enclave gives no quote";
    if (reply.magic != SH_SIMTD_MAGIC || reply.status || !reply.size ||
        reply.size > SH_SIMTD_QUOTE_MAX)
        return -EPROTO;
    raw->quote = agent_os_alloc(reply.size);
    if (!raw->quote)
        return -ENOMEM;
    raw->quote_size = reply.size;
    return sh_move_by(fd, raw->quote, reply.size, POLLIN, deadline);
}

int agent_tdx_sim_extend(int fd, const uint8_t digest[48])
{
    struct sh_simtd_request request = {.magic = SH_SIMTD_MAGIC, .kind = SH_SIMTD_EXTEND};
    struct sh_simtd_reply reply;
    int64_t deadline = sh_now_ms() + SIMULATED_MS;
    drain_device(fd);
    memcpy(request.report_data, digest, 48);
    int rc = sh_move_by(fd, &request, sizeof(request), POLLOUT, deadline);
    if (!rc)
        rc = sh_move_by(fd, &reply, sizeof(reply), POLLIN, deadline);
    if (rc)
        return rc;
    if (reply.magic != SH_SIMTD_MAGIC)
        return -EPROTO;
    return !reply.status ? 0 : reply.status == EINVAL ? -ENODEV : -EIO;
}
