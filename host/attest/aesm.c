// SPDX-License-Identifier: Apache-2.0
// AESM's messages and its socket.
#include "host/attest/aesm.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "host/attest/protobuf.h"
#include "host/attest/sim_tee.h"
#include "host/base/util.h"

#define ANSWER_SECONDS 30
#define TIMEOUT_US 30000000u

/* Numbers of requests and of their answers. */
#define INIT_QUOTE_EX 15u
#define GET_QUOTE_SIZE_EX 16u
#define GET_QUOTE_EX 17u
#define FIELD_TIMEOUT 9u

#define SGX_QUOTE_HEAD (48u + SGX_REPORT_BODY_SIZE + 4u) /* its end tells the signature's size */

/* sgx_att_key_id_t: ECDSA over P-256 of the quoting enclave that Intel signs. */
#define KEY_ID_SIGNER_SIZE 4u
#define KEY_ID_SIGNER 6u
#define KEY_ID_PRODUCT 54u
#define KEY_ID_ALGORITHM 154u
void sh_aesm_key_id(uint8_t id[SH_AESM_KEY_ID_SIZE])
{
    static const uint8_t signer[32] = {0x8c, 0x4f, 0x57, 0x75, 0xd7, 0x96, 0x50, 0x3e,
                                       0x96, 0x13, 0x7f, 0x77, 0xc6, 0x8a, 0x82, 0x9a,
                                       0x00, 0x56, 0xac, 0x8d, 0xed, 0x70, 0x14, 0x0b,
                                       0x08, 0x1b, 0x09, 0x44, 0x90, 0xc5, 0x7b, 0xff};
    memset(id, 0, SH_AESM_KEY_ID_SIZE);
    sh_put_le16(id + KEY_ID_SIGNER_SIZE, sizeof(signer));
    memcpy(id + KEY_ID_SIGNER, signer, sizeof(signer));
    sh_put_le32(id + KEY_ID_PRODUCT, 1);
    sh_put_le32(id + KEY_ID_ALGORITHM, 2);
}

int sh_aesm_parse(const uint8_t *data, size_t size, unsigned answer, struct sh_aesm_answer *out)
{
    struct sh_reader all = sh_reader(data, size), in = sh_reader(NULL, 0);
    struct sh_view bytes;
    uint64_t number;
    bool found = false, has_error = false;
    *out = (struct sh_aesm_answer){0};
    while (!all.failed && all.at < all.size)
        if (sh_pb_take_field(&all, &bytes, &number) == answer && bytes.data) {
            in = sh_reader(bytes.data, bytes.size);
            found = true;
        }
    while (!all.failed && !in.failed && in.at < in.size) {
        unsigned field = sh_pb_take_field(&in, &bytes, &number);
        if (field == 1) {
            out->error = number;
            has_error = true;
        }
        if (field == 2) {
            out->bytes = bytes;
            out->number = number;
        }
    }
    return all.failed || in.failed || !found || !has_error ? -EBADMSG : 0;
}

/* --- the socket --- */

static int connect_service(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = ANSWER_SECONDS};
    if (strlen(path) >= sizeof(a.sun_path))
        return -ENAMETOOLONG;
    memcpy(a.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
        int e = errno;
        close(fd);
        return e == ENOENT || e == ECONNREFUSED ? -ENODEV : -e;
    }
    return fd;
}

/* One request of this number, and its answer's message in `message`, which the caller frees. */
static int ask_service(const char *path, unsigned number, const struct sh_buffer *request,
                       struct sh_buffer *message, struct sh_aesm_answer *answer,
                       struct sh_error *err)
{
    struct sh_buffer out = {0};
    uint8_t size[4];
    cleanup_close int fd = connect_service(path);
    if (fd < 0)
        return sh_fail(err, fd, "the quoting service does not answer at %s (%s); is aesmd running?",
                       path, strerror(-fd));
    sh_pb_put_bytes(&out, number, request->data, request->size);
    sh_put_le32(size, (uint32_t)out.size);
    int r = sh_write_all(fd, size, sizeof(size));
    if (!r)
        r = sh_write_all(fd, out.data, out.size);
    sh_buffer_free(&out);
    if (!r)
        r = sh_read_all(fd, size, sizeof(size));
    if (!r && sh_le32(size) > SH_AESM_MESSAGE_MAX)
        r = -EMSGSIZE;
    if (!r) {
        message->size = sh_le32(size);
        message->data = sh_alloc(message->size + 1);
        r = sh_read_all(fd, message->data, message->size);
    }
    if (!r)
        r = sh_aesm_parse(message->data, message->size, number, answer);
    if (r)
        return sh_fail(err, r, "the quoting service's answer cannot be used (%s)", strerror(-r));
    if (answer->error)
        return sh_fail(err, -EREMOTEIO,
                       "the quoting service failed with AESM error %llu; see aesmd's log, and "
                       "whether the platform is registered",
                       (unsigned long long)answer->error);
    return 0;
}

int sh_aesm_target(const char *socket_path, struct sgx_targetinfo *target, struct sh_error *err)
{
    struct sh_buffer request = {0}, message = {0};
    struct sh_aesm_answer answer;
    uint8_t id[SH_AESM_KEY_ID_SIZE];
    sh_aesm_key_id(id);
    sh_pb_put_bytes(&request, 1, id, sizeof(id));
    sh_pb_put_number(&request, 3, 1); /* b_pub_key_id: makes the attestation key, too */
    sh_pb_put_number(&request, 4, 32);
    sh_pb_put_number(&request, FIELD_TIMEOUT, TIMEOUT_US);
    int r = ask_service(socket_path, INIT_QUOTE_EX, &request, &message, &answer, err);
    if (!r && (!answer.bytes.data || answer.bytes.size != sizeof(*target)))
        r = sh_fail(err, -EBADMSG, "the quoting service named no quoting enclave");
    if (!r)
        memcpy(target, answer.bytes.data, sizeof(*target));
    sh_buffer_free(&request);
    sh_buffer_free(&message);
    return r;
}

static int quote_size(const char *path, const uint8_t *id, uint32_t *size, struct sh_error *err)
{
    struct sh_buffer request = {0}, message = {0};
    struct sh_aesm_answer answer;
    sh_pb_put_bytes(&request, 1, id, SH_AESM_KEY_ID_SIZE);
    sh_pb_put_number(&request, FIELD_TIMEOUT, TIMEOUT_US);
    int r = ask_service(path, GET_QUOTE_SIZE_EX, &request, &message, &answer, err);
    if (!r && (answer.number < SGX_QUOTE_HEAD || answer.number > SH_QUOTE_MAX))
        r = sh_fail(err, -EBADMSG, "the quoting service wants to give a quote of %llu bytes",
                    (unsigned long long)answer.number);
    if (!r)
        *size = (uint32_t)answer.number;
    sh_buffer_free(&request);
    sh_buffer_free(&message);
    return r;
}

/* The service gives as many bytes as it was offered: the quote itself tells where it ends. */
static int quote_length(const struct sh_view *quote)
{
    if (!quote->data || quote->size < SGX_QUOTE_HEAD || quote->size > SH_QUOTE_MAX)
        return -EBADMSG;
    uint32_t rest = sh_le32(quote->data + SGX_QUOTE_HEAD - 4);
    return rest && rest <= quote->size - SGX_QUOTE_HEAD ? (int)(SGX_QUOTE_HEAD + rest) : -EBADMSG;
}

int sh_aesm_quote(const char *socket_path, const struct sgx_report *report, uint8_t *out,
                  struct sh_error *err)
{
    struct sh_buffer request = {0}, message = {0};
    struct sh_aesm_answer answer;
    uint8_t id[SH_AESM_KEY_ID_SIZE];
    uint32_t size;
    sh_aesm_key_id(id);
    int r = quote_size(socket_path, id, &size, err);
    if (r)
        return r;
    sh_pb_put_bytes(&request, 1, report, SGX_REPORT_SIZE);
    sh_pb_put_bytes(&request, 2, id, sizeof(id));
    sh_pb_put_number(&request, 4, size);
    sh_pb_put_number(&request, FIELD_TIMEOUT, TIMEOUT_US);
    r = ask_service(socket_path, GET_QUOTE_EX, &request, &message, &answer, err);
    if (!r && (r = quote_length(&answer.bytes)) < 0)
        sh_fail(err, r, "the quoting service gave no quote");
    if (r > 0)
        memcpy(out, answer.bytes.data, (size_t)r);
    sh_buffer_free(&request);
    sh_buffer_free(&message);
    return r;
}
