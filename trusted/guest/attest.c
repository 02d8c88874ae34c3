// SPDX-License-Identifier: Apache-2.0
// Evidence for whoever asks through the host: any time, whatever the policy, of nothing but what
// runs here. The agent makes it, and hashes the nonce so that it is no evidence for anything else;
// here the request goes to it and its answer to the host.
#include "trusted/guest/serve.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <shelter/control.h>

#define LIMIT_MS 45000 /* the agent may be talking to the broker */

static struct {
    uint32_t id;   /* of the request that waits */
    long deadline; /* of its answer; 0: nobody waits */
    size_t have;
    uint8_t record[SH_AGENT_HEAD_SIZE + 8 + SH_CONTROL_ANSWER_MAX];
} state;

static void send_answer(struct guest *g, uint32_t id, uint32_t error, const char *text)
{
    uint32_t numbers[2] = {id, error};
    guest_channel_numbers(&g->channel, SH_FRAME_EVIDENCE, 0, 0, numbers, 2, text);
}

void guest_attest(struct guest *g, const struct sh_frame *frame, const uint8_t *payload)
{
    uint32_t id = sh_le32(payload);
    if (state.deadline) {
        send_answer(g, id, EBUSY, "evidence is being made for somebody else; try again");
        return;
    }
    int rc = guest_agent_start(g);
    if (!rc)
        rc = guest_agent_ask(g, SH_AGENT_ATTEST, payload, frame->size);
    if (rc) {
        send_answer(g, id, (uint32_t)-rc, "the attestation agent does not run; try again");
        return;
    }
    state.id = id;
    state.deadline = sh_now_ms() + LIMIT_MS;
}

/* No answer will come, or no more. */
static void give_up(struct guest *g, uint32_t error, const char *why)
{
    if (state.deadline)
        send_answer(g, state.id, error, why);
    state.deadline = 0;
}

/* Name and data of the record whose head is there; 0: it is none. */
static size_t record_size(void)
{
    size_t name = sh_le16(state.record + 2), size = sh_le32(state.record + 4);
    if (name > SH_AGENT_NAME_MAX || size > sizeof(state.record) - SH_AGENT_HEAD_SIZE - name)
        return 0;
    switch (state.record[0]) {
    case SH_AGENT_EVIDENCE:
        return name || size < 8 ? 0 : size;
    case SH_AGENT_IDENTITY:
    case SH_AGENT_SECRET_FILE:
        return !name || !size ? 0 : name + size;
    case SH_AGENT_CHANGED:
        return name || size != 4 ? 0 : size;
    }
    return 0;
}

/* What the agent says by itself. */
static void take_news(struct guest *g)
{
    size_t name_size = sh_le16(state.record + 2);
    const uint8_t *data = state.record + SH_AGENT_HEAD_SIZE;
    char name[SH_AGENT_NAME_MAX + 1] = "";
    memcpy(name, data, name_size);
    if (state.record[0] == SH_AGENT_IDENTITY)
        guest_identity_put(g, name, data + name_size, sh_le32(state.record + 4));
    else if (state.record[0] == SH_AGENT_SECRET_FILE)
        guest_secret_renew(g, name, data + name_size, sh_le32(state.record + 4));
    else
        guest_identity_changed(g, sh_le32(data));
}

/* 1: a whole record is there; 0: not yet; -errno: it ended, or is broken. */
static int take_record(struct guest *g)
{
    size_t want = SH_AGENT_HEAD_SIZE;
    if (state.have >= want) {
        size_t size = record_size();
        if (!size)
            return -EPROTO;
        want += size;
        if (state.have == want)
            return 1;
    }
    ssize_t n = recv(g->agent_fd, state.record + state.have, want - state.have, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return -EPIPE;
    state.have += (size_t)n;
    return take_record(g);
}

bool guest_attest_waits(const struct guest *g)
{
    return guest_channel_room(&g->channel) >=
           GUEST_FRAME_HEAD + SH_FRAME_SIZE_MAX + GUEST_TX_RESERVE;
}

long guest_attest_left(void)
{
    long left = state.deadline - sh_now_ms();
    return !state.deadline ? -1 : left > 0 ? left : 0;
}

void guest_attest_pump(struct guest *g, bool ready)
{
    int rc = ready && guest_attest_waits(g) ? take_record(g) : 0;
    if (rc < 0) {
        guest_agent_end(g);
        state.have = 0;
        give_up(g, EIO,
                rc == -EPIPE ? "the attestation agent ended"
                             : "the attestation agent's answer cannot be understood");
    }
    if (rc > 0 && state.record[0] != SH_AGENT_EVIDENCE) {
        take_news(g);
        explicit_bzero(state.record, state.have);
        state.have = 0;
    } else if (rc > 0) {
        const uint8_t *data = state.record + SH_AGENT_HEAD_SIZE;
        /* Another id is of a request that was given up. */
        if (state.deadline && sh_le32(data) == state.id) {
            guest_channel_send(&g->channel, SH_FRAME_EVIDENCE, 0, 0, data,
                               state.have - SH_AGENT_HEAD_SIZE);
            state.deadline = 0;
        }
        state.have = 0;
    }
    if (state.deadline && sh_now_ms() >= state.deadline)
        give_up(g, ETIMEDOUT, "the attestation agent does not answer");
}
