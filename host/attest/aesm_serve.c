// SPDX-License-Identifier: Apache-2.0
#include "host/attest/aesm_serve.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "host/attest/aesm.h"
#include "host/attest/protobuf.h"
#include "host/attest/sim_tee.h"
#include "lib/sha2.h"

#define CLIENTS 64
#define CLIENT_SECONDS 30

/* Numbers of requests; an answer has its request's. What is no request has NOT_SUPPORTED. */
#define GET_LAUNCH_TOKEN 3u
#define GET_GROUP 12u
#define INIT_QUOTE_EX 15u
#define GET_QUOTE_SIZE_EX 16u
#define GET_QUOTE_EX 17u
#define SELECT_KEY_ID 19u
#define NOT_SUPPORTED 20u
#define KEY_ID_COUNT 21u
#define KEY_IDS 22u

#define AESM_SUCCESS 0u
#define AESM_UNEXPECTED_ERROR 1u
#define AESM_PARAMETER_ERROR 3u
#define AESM_SERVICE_UNAVAILABLE 30u
#define AESM_UNSUPPORTED_KEY_ID 38u

#define KEY_ID_LIST_HEAD 8u
#define KEY_ID_BASE 158u /* the part of a key's id that says which it is */

#define PUBLIC_KEY_ID_SIZE 32u
#define LAUNCH_TOKEN_SIZE 1024u
#define QE_INFO_TARGET 16u
#define QE_INFO_REPORT 528u
#define QE_INFO_SIZE 960u

/* The request's parts that any answer needs. */
struct parts {
    struct sh_view report, key_id, info;
    uint64_t room;
};

/* sgx_ql_qe_report_info_t: a nonce and whom the quoting enclave's own report is for; its report
 * data is the digest of nonce and quote. */
static void add_own_report(const struct sh_view *info, const uint8_t *quote, size_t size,
                           struct sh_buffer *out)
{
    uint8_t all[QE_INFO_SIZE], data[64] = {0};
    struct sgx_targetinfo target;
    struct sgx_report report;
    struct sh_sha256 h;
    memcpy(all, info->data, sizeof(all));
    memcpy(&target, all + QE_INFO_TARGET, sizeof(target));
    sh_sha256_init(&h);
    sh_sha256_update(&h, all, QE_INFO_TARGET);
    sh_sha256_update(&h, quote, size);
    sh_sha256_final(&h, data);
    if (sh_sim_qe_report(&target, data, &report))
        return;
    memcpy(all + QE_INFO_REPORT, &report, SGX_REPORT_SIZE);
    sh_pb_put_bytes(out, 3, all, sizeof(all));
}

/* Of any quote: clients hash as many bytes as they were told. The quoting enclave tries one of
 * itself; 0: it cannot. */
static uint64_t quote_size(const char *dir)
{
    static uint8_t quote[SH_QUOTE_MAX];
    static const uint8_t data[64];
    struct sh_error err = {0};
    struct sgx_targetinfo self;
    struct sgx_report report;
    sh_sim_qe_target(&self);
    int size =
        sh_sim_qe_report(&self, data, &report) ? 0 : sh_sim_qe_quote_sgx(dir, &report, quote, &err);
    return size > 0 ? (uint64_t)size : 0;
}

static void add_quote(const char *dir, const struct parts *p, struct sh_buffer *out)
{
    static uint8_t quote[SH_QUOTE_MAX];
    struct sh_error err = {0};
    struct sgx_report r = {0};
    if (!p->report.data || p->report.size < SGX_REPORT_SIZE || p->report.size > sizeof(r)) {
        sh_pb_put_number(out, 1, AESM_PARAMETER_ERROR);
        return;
    }
    memcpy(&r, p->report.data, p->report.size);
    int size = sh_sim_qe_quote_sgx(dir, &r, quote, &err);
    bool fits = size > 0 && (uint64_t)size <= p->room;
    sh_pb_put_number(out, 1,
                     fits       ? AESM_SUCCESS
                     : size > 0 ? AESM_PARAMETER_ERROR
                                : AESM_UNEXPECTED_ERROR);
    if (!fits)
        return;
    sh_pb_put_bytes(out, 2, quote, (size_t)size);
    if (p->info.data && p->info.size == QE_INFO_SIZE)
        add_own_report(&p->info, quote, (size_t)size, out);
}

/* Of the verifier's list (sgx_ql_att_key_id_list_t) the one that is ours; without a list, ours. */
static void add_choice(const struct sh_view *list, struct sh_buffer *out)
{
    uint8_t own[SH_AESM_KEY_ID_SIZE];
    const uint8_t *choice = list->data ? NULL : own;
    sh_aesm_key_id(own);
    for (size_t at = KEY_ID_LIST_HEAD; !choice && at + sizeof(own) <= list->size; at += sizeof(own))
        if (!memcmp(list->data + at, own, KEY_ID_BASE))
            choice = list->data + at;
    sh_pb_put_number(out, 1, choice ? AESM_SUCCESS : AESM_UNSUPPORTED_KEY_ID);
    if (choice)
        sh_pb_put_bytes(out, 2, choice, sizeof(own));
}

static void answer_known(const char *dir, unsigned number, const struct parts *p,
                         struct sh_buffer *out)
{
    static const uint8_t zero[LAUNCH_TOKEN_SIZE];
    uint8_t id[SH_AESM_KEY_ID_SIZE];
    struct sgx_targetinfo target;
    if (number == GET_QUOTE_EX || number == SELECT_KEY_ID) {
        number == GET_QUOTE_EX ? add_quote(dir, p, out) : add_choice(&p->key_id, out);
        return;
    }
    uint64_t size = number == GET_QUOTE_SIZE_EX ? quote_size(dir) : 0;
    bool fails = number == GET_QUOTE_SIZE_EX && !size;
    sh_pb_put_number(out, 1, fails ? AESM_UNEXPECTED_ERROR : AESM_SUCCESS);
    switch (number) {
    case GET_LAUNCH_TOKEN: /* none is needed where the kernel writes the launch key */
        sh_pb_put_bytes(out, 2, zero, LAUNCH_TOKEN_SIZE);
        break;
    case INIT_QUOTE_EX:
        sh_sim_qe_target(&target);
        sh_pb_put_bytes(out, 2, &target, sizeof(target));
        sh_pb_put_number(out, 3, PUBLIC_KEY_ID_SIZE);
        if (p->room >= PUBLIC_KEY_ID_SIZE)
            sh_pb_put_bytes(out, 4, target.mrenclave, PUBLIC_KEY_ID_SIZE);
        break;
    case GET_QUOTE_SIZE_EX:
        if (!fails)
            sh_pb_put_number(out, 2, size);
        break;
    case KEY_IDS:
        sh_aesm_key_id(id);
        sh_pb_put_bytes(out, 2, id, sizeof(id));
        break;
    case KEY_ID_COUNT:
        sh_pb_put_number(out, 2, 1);
        break;
    }
}

static void read_parts(unsigned number, const struct sh_view *message, struct parts *p)
{
    struct sh_reader in = sh_reader(message->data, message->size);
    struct sh_view bytes;
    uint64_t value;
    while (!in.failed && in.at < in.size) {
        unsigned field = sh_pb_take_field(&in, &bytes, &value);
        if (field == 1 && bytes.data)
            *(number == GET_QUOTE_EX ? &p->report : &p->key_id) = bytes;
        if (field == 3 && bytes.data)
            p->info = bytes;
        if (field == 4)
            p->room = value;
    }
}

/* Quotes by EPID, white lists, groups, registration, updates. */
static bool is_epid(unsigned number)
{
    return number == 1 || number == 2 || number == 4 || (number >= 10 && number <= 14) ||
           number == 18;
}

void sh_aesm_answer(const char *dir, const uint8_t *request, size_t size, struct sh_buffer *out)
{
    struct sh_reader all = sh_reader(request, size);
    struct sh_view bytes, message = {0};
    struct sh_buffer answer = {0};
    struct parts parts = {0};
    uint64_t value;
    unsigned number = 0;
    while (!all.failed && all.at < all.size) {
        unsigned field = sh_pb_take_field(&all, &bytes, &value);
        if (bytes.data || field) {
            number = field;
            message = bytes;
        }
    }
    bool known = number == GET_LAUNCH_TOKEN ||
                 (number >= INIT_QUOTE_EX && number <= GET_QUOTE_EX) || number == SELECT_KEY_ID ||
                 number == KEY_ID_COUNT || number == KEY_IDS;
    if (!all.failed && is_epid(number)) {
        bool group = number == GET_GROUP; /* runtimes ask for it before any kind of quote */
        sh_pb_put_number(&answer, 1, group ? AESM_SUCCESS : AESM_SERVICE_UNAVAILABLE);
        if (group)
            sh_pb_put_number(&answer, 2, 0);
    } else if (all.failed || !known) {
        sh_pb_put_number(&answer, 1, AESM_UNEXPECTED_ERROR);
        number = NOT_SUPPORTED;
    } else {
        read_parts(number, &message, &parts);
        answer_known(dir, number, &parts, &answer);
    }
    sh_pb_put_bytes(out, number, answer.data, answer.size);
    sh_buffer_free(&answer);
}

/* --- the socket --- */

struct client {
    struct sh_buffer in;
    time_t since;
};

static void answer_client(int fd, struct client *c, const char *dir)
{
    struct sh_buffer out = {0};
    uint8_t size[4];
    sh_aesm_answer(dir, c->in.data + 4, c->in.size - 4, &out);
    sh_put_le32(size, (uint32_t)out.size);
    if (!sh_write_all(fd, size, sizeof(size)))
        (void)sh_write_all(fd, out.data, out.size);
    sh_buffer_free(&out);
    c->in.size = 0;
}

/* False: it is done with. */
static bool read_client(int fd, struct client *c, const char *dir)
{
    uint8_t part[4096];
    uint64_t want = c->in.size < 4 ? 4 : 4 + (uint64_t)sh_le32(c->in.data);
    size_t more = want - c->in.size < sizeof(part) ? want - c->in.size : sizeof(part);
    ssize_t n = recv(fd, part, more, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    sh_buffer_add(&c->in, part, (size_t)n);
    want = c->in.size < 4 ? UINT64_MAX : 4 + (uint64_t)sh_le32(c->in.data);
    if (c->in.size == want)
        answer_client(fd, c, dir);
    return c->in.size < 4 || want <= SH_AESM_MESSAGE_MAX;
}

static void drop_client(struct pollfd *p, struct client *c)
{
    close(p->fd);
    p->fd = -1;
    sh_buffer_free(&c->in);
    *c = (struct client){0};
}

static void take_client(int listener, struct pollfd *p, struct client *c)
{
    struct timeval limit = {.tv_sec = 2};
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    for (unsigned i = 0; i < CLIENTS; i++)
        if (p[i].fd < 0) {
            p[i].fd = fd;
            c[i].since = time(NULL);
            return;
        }
    close(fd);
}

int sh_aesm_serve(int listener, int until, const char *dir)
{
    struct pollfd p[CLIENTS + 2];
    static struct client clients[CLIENTS];
    for (unsigned i = 0; i < CLIENTS + 2; i++)
        p[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    p[CLIENTS].fd = listener;
    p[CLIENTS + 1].fd = until;
    for (;;) {
        if (poll(p, CLIENTS + 2, CLIENT_SECONDS * 1000) < 0 && errno != EINTR)
            return -errno;
        if (p[CLIENTS + 1].revents)
            return 0;
        for (unsigned i = 0; i < CLIENTS; i++) {
            bool gone = p[i].fd >= 0 && p[i].revents && !read_client(p[i].fd, &clients[i], dir);
            if (p[i].fd >= 0 && (gone || time(NULL) - clients[i].since > CLIENT_SECONDS))
                drop_client(&p[i], &clients[i]);
        }
        if (p[CLIENTS].revents)
            take_client(listener, p, clients);
    }
}
