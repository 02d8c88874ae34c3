// SPDX-License-Identifier: Apache-2.0
// Evidence for whoever asks through the host: any time, whatever the policy, of nothing but what
// runs here. A child asks the agent as any program inside can; the data that the evidence binds is
// hashed here, so that no nonce of the host's makes evidence for anything else.
#include "trusted/guest/serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <shelter/control.h>

#include "lib/sha2.h"

#define LIMIT_S 45 /* the agent may be talking to the broker */
#define REPLY_MAX (262144u + 4096u)
#define ANSWER_MAX SH_CONTROL_ANSWER_MAX

static struct {
    int fd; /* from the child; -1: nobody has asked */
    uint32_t id;
    size_t have;
    bool whole;
    uint8_t answer[4 + ANSWER_MAX]; /* u32 error, then JSON or a sentence */
} state = {.fd = -1};

/* --- the child --- */

static _Noreturn void finish(int out, uint32_t error, const char *data, size_t size)
{
    uint8_t number[4];
    sh_put_le32(number, error);
    if (write(out, number, sizeof(number)) == sizeof(number))
        for (ssize_t n; size && (n = write(out, data, size)) > 0; size -= (size_t)n)
            data += n;
    _exit(0);
}

static _Noreturn void give_up(int out, uint32_t error, const char *sentence)
{
    finish(out, error, sentence, strlen(sentence));
}

static int ask_agent(const uint8_t report_data[64])
{
    char request[512];
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(GUEST_AGENT_PORT),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int n = snprintf(request, sizeof(request), "GET /aa/evidence?runtime_data=");
    for (size_t i = 0; i < 64; i++)
        n += snprintf(request + n, sizeof(request) - (size_t)n, "%%%02x", report_data[i]);
    n += snprintf(request + n, sizeof(request) - (size_t)n, " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) ||
        write(fd, request, (size_t)n) != n)
        return -1;
    return fd;
}

/* The body of a whole answer; false when it is none. A refusal's body is a sentence in JSON. */
static bool split(char *reply, char **body, bool *ok)
{
    char *end = strstr(reply, "\r\n\r\n");
    if (!end || strncmp(reply, "HTTP/1.", 7))
        return false;
    *ok = !strncmp(reply + 8, " 200", 4);
    *body = end + 4;
    return true;
}

/* An event log that fits no frame is left out: the quote stands without it. */
static void drop_log(char *json)
{
    static const char name[] = "\"cc_eventlog\":\"";
    char *from = strstr(json, name);
    char *to = from ? strchr(from + sizeof(name) - 1, '"') : NULL;
    if (!to)
        return;
    to++;
    if (*to == ',')
        to++;
    else if (from > json && from[-1] == ',')
        from--;
    memmove(from, to, strlen(to) + 1);
}

static _Noreturn void child(int out, const uint8_t report_data[64])
{
    static char reply[REPLY_MAX + 1];
    size_t have = 0;
    char *body;
    bool ok;
    guest_child_reset("-1000");
    alarm(LIMIT_S); /* nobody waits for longer; PID 1 sees the pipe end */
    int fd = ask_agent(report_data);
    if (fd < 0)
        give_up(out, EIO, "the attestation agent does not answer");
    for (ssize_t n; have < REPLY_MAX && (n = read(fd, reply + have, REPLY_MAX - have)) > 0;)
        have += (size_t)n;
    reply[have] = 0;
    if (strlen(reply) != have || !split(reply, &body, &ok))
        give_up(out, EPROTO, "the attestation agent's answer cannot be understood");
    if (ok && strlen(body) > ANSWER_MAX)
        drop_log(body);
    if (strlen(body) > ANSWER_MAX)
        give_up(out, EMSGSIZE, "the evidence is larger than the channel takes");
    finish(out, ok ? 0 : ENODEV, body, strlen(body));
}

/* --- PID 1 --- */

static void answer(struct guest *g, uint32_t id, uint32_t error, const char *text)
{
    uint32_t numbers[2] = {id, error};
    guest_channel_numbers(&g->channel, SH_FRAME_EVIDENCE, 0, 0, numbers, 2, text);
}

static void report_data(const uint8_t *nonce, size_t size, uint8_t out[64])
{
    static const char domain[] = "shelter-attest-v1";
    struct sh_sha512 h;
    sh_sha512_init(&h);
    sh_sha512_update(&h, domain, sizeof(domain) - 1);
    sh_sha512_update(&h, nonce, size);
    sh_sha512_final(&h, out);
}

void guest_attest(struct guest *g, const struct sh_frame *frame, const uint8_t *payload)
{
    uint8_t data[64];
    int pipes[2];
    uint32_t id = sh_le32(payload);
    if (state.fd >= 0) {
        answer(g, id, EBUSY, "evidence is being made for somebody else; try again");
        return;
    }
    if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK)) {
        answer(g, id, EMFILE, "the guest has no descriptor left");
        return;
    }
    report_data(payload + 4, frame->size - 4, data);
    pid_t pid = fork();
    if (pid == 0) {
        fcntl(pipes[1], F_SETFL, 0);
        child(pipes[1], data);
    }
    close(pipes[1]);
    if (pid < 0) {
        close(pipes[0]);
        answer(g, id, EAGAIN, "the guest has no memory left for the request");
        return;
    }
    state.fd = pipes[0];
    state.id = id;
    state.have = 0;
    state.whole = false;
}

int guest_attest_fd(void)
{
    return state.whole ? -1 : state.fd;
}

void guest_attest_pump(struct guest *g, bool ready)
{
    if (state.fd >= 0 && !state.whole && ready) {
        ssize_t n = read(state.fd, state.answer + state.have, sizeof(state.answer) - state.have);
        if (n > 0)
            state.have += (size_t)n;
        state.whole = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) ||
                      state.have == sizeof(state.answer);
    }
    if (!state.whole ||
        guest_channel_room(&g->channel) < GUEST_FRAME_HEAD + SH_FRAME_SIZE_MAX + GUEST_TX_RESERVE)
        return;
    close(state.fd);
    state.fd = -1;
    state.whole = false;
    if (state.have < 4) {
        answer(g, state.id, ETIMEDOUT, "the attestation agent does not answer");
        return;
    }
    uint8_t *p = guest_channel_reserve(&g->channel);
    sh_put_le32(p, state.id);
    memcpy(p + 4, state.answer, state.have);
    guest_channel_commit(&g->channel, SH_FRAME_EVIDENCE, 0, 0, 4 + state.have);
}
