// SPDX-License-Identifier: Apache-2.0
// The simulated TD module's side of TDG.MR.REPORT (Intel TDX Module ABI spec, TDREPORT_STRUCT).
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <shelter/simtd.h>

#include "host/attest/sim_tee.h"
#include "host/launch/qemu/parts.h"
#include "lib/bytes.h"
#include "lib/sha2.h"

/* REPORTMACSTRUCT */
#define TCB_INFO_HASH 32u
#define TD_INFO_HASH 80u
#define MAC 224u
/* TEE_TCB_INFO, 239 bytes at 256 */
#define TCB_INFO 256u
#define TCB_INFO_SIZE 239u
#define TCB_INFO_TEE_TCB_SVN 8u
#define TCB_INFO_MRSEAM 24u

#define REPORT_TYPE_TDX 0x81u
#define ATTRIBUTE_SEPT_VE_DISABLE (1ull << 28)
#define XFAM 0x7ull /* x87, SSE, AVX */
#define TD_INFO_SIZE 512u

/* The MAC key is the simulated CPU's: it lives as long as the launcher. */
static uint8_t mac_key[32];

static void make_key(void)
{
    if (RAND_bytes(mac_key, sizeof(mac_key)) != 1)
        abort();
}

void sh_simtd_answer(const struct sh_td_measurement *m, const struct sh_simtd_request *request,
                     struct sh_simtd_reply *reply)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static const char module[] = "shelter simulated TDX module 1";
    memset(reply, 0, sizeof(*reply));
    reply->magic = SH_SIMTD_MAGIC;
    if (request->magic != SH_SIMTD_MAGIC || request->kind != SH_SIMTD_REPORT) {
        reply->status = EINVAL;
        return;
    }
    pthread_once(&once, make_key);

    uint8_t *report = reply->report, *td = report + SH_TDREPORT_TDINFO;
    sh_put_le64(td + SH_TDINFO_ATTRIBUTES, ATTRIBUTE_SEPT_VE_DISABLE);
    sh_put_le64(td + SH_TDINFO_XFAM, XFAM);
    memcpy(td + SH_TDINFO_MRTD, m->mrtd, 48);
    memcpy(td + SH_TDINFO_MRCONFIGID, m->mrconfigid, 48);
    memcpy(td + SH_TDINFO_RTMR, m->rtmr, sizeof(m->rtmr));

    uint8_t *tcb = report + TCB_INFO;
    sh_put_le64(tcb, 0x1ff); /* VALID: the fields of TDX 1.0 */
    memcpy(tcb + TCB_INFO_TEE_TCB_SVN, sh_sim_tee_tcb_svn, sizeof(sh_sim_tee_tcb_svn));
    sh_sha384(tcb + TCB_INFO_MRSEAM, module, sizeof(module) - 1);

    report[0] = REPORT_TYPE_TDX;
    sh_sha384(report + TCB_INFO_HASH, tcb, TCB_INFO_SIZE);
    sh_sha384(report + TD_INFO_HASH, td, TD_INFO_SIZE);
    memcpy(report + SH_TDREPORT_REPORTDATA, request->report_data, sizeof(request->report_data));
    if (!HMAC(EVP_sha256(), mac_key, sizeof(mac_key), report, MAC, report + MAC, NULL))
        abort();
}

void sh_simtd_extend(struct sh_td_measurement *m, const struct sh_simtd_request *request,
                     struct sh_simtd_reply *reply)
{
    struct sh_simtd_request report = {.magic = request->magic, .kind = SH_SIMTD_REPORT};
    uint8_t both[96];
    memcpy(both, m->rtmr[3], 48);
    memcpy(both + 48, request->report_data, 48);
    sh_sha384(m->rtmr[3], both, sizeof(both));
    sh_simtd_answer(m, &report, reply);
}

size_t sh_simtd_answer_quote(const struct sh_td_measurement *m,
                             const struct sh_simtd_request *request, const char *sim_tee,
                             uint8_t *out)
{
    struct sh_simtd_quote_reply head = {.magic = SH_SIMTD_MAGIC};
    struct sh_simtd_request report_request = *request;
    struct sh_simtd_reply report;
    struct sh_error ignored = {0};
    report_request.kind = SH_SIMTD_REPORT;
    sh_simtd_answer(m, &report_request, &report);
    int r = report.status ? -(int)report.status : sh_sim_tee_make(sim_tee, &ignored);
    if (!r)
        r = sh_sim_qe_quote_tdx(sim_tee, report.report, out + sizeof(head), &ignored);
    if (r < 0)
        head.status = (uint32_t)-r;
    else
        head.size = (uint32_t)r;
    memcpy(out, &head, sizeof(head));
    return sizeof(head) + head.size;
}

/* One whole request of the TD. */
static void answer_request(struct sh_qemu_config *c, const struct sh_simtd_request *request, int fd)
{
    static uint8_t out[sizeof(struct sh_simtd_reply) + sizeof(struct sh_simtd_quote_reply) +
                       SH_SIMTD_QUOTE_MAX];
    struct sh_simtd_reply *reply = (struct sh_simtd_reply *)out;
    size_t size = sizeof(*reply);
    memset(out, 0, size);
    if (!c->measured) {
        /* Both answers begin alike; a status other than 0 has nothing behind it but the size. */
        *reply = (struct sh_simtd_reply){.magic = SH_SIMTD_MAGIC, .status = EIO};
        if (request->kind == SH_SIMTD_QUOTE)
            size = sizeof(struct sh_simtd_quote_reply);
    } else if (request->kind == SH_SIMTD_QUOTE) {
        size = sh_simtd_answer_quote(&c->measurement, request, c->sim_tee, out);
    } else if (request->magic == SH_SIMTD_MAGIC && request->kind == SH_SIMTD_EXTEND) {
        sh_simtd_extend(&c->measurement, request, reply);
    } else {
        sh_simtd_answer(&c->measurement, request, reply);
    }
    /* A guest that asks without reading loses its answers, not our loop. */
    (void)!send(fd, out, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int sh_simtd_serve(struct sh_launch_spec *spec, int fd)
{
    struct sh_qemu_config *c = spec->own;
    ssize_t n = read(fd, c->request + c->request_have, sizeof(c->request) - c->request_have);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return -EPIPE;
    c->request_have += (size_t)n;
    if (c->request_have < sizeof(c->request))
        return 0;
    c->request_have = 0;
    struct sh_simtd_request request;
    memcpy(&request, c->request, sizeof(request));
    answer_request(c, &request, fd);
    return 0;
}
