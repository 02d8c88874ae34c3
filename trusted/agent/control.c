// SPDX-License-Identifier: Apache-2.0
// What PID 1 asks of the agent: records over a socket (<shelter/agent.h>).
#include <errno.h>
#include <string.h>

#include <shelter/agent.h>
#include <shelter/channel.h>
#include <shelter/control.h>

#include "lib/io.h"
#include "trusted/agent/linux.h"
#include "trusted/agent/state.h"

struct start {
    struct agent *a;
    int fd;
};

static int send_secret(void *arg, const struct agent_secret *s)
{
    const struct start *t = arg;
    int rc = s->anchored ? agent_keep(t->a->settings, s) : 0;
    if (rc)
        return rc;
    enum sh_agent_record kind = s->identity ? SH_AGENT_IDENTITY
                                : s->env    ? SH_AGENT_SECRET_ENV
                                : s->volume ? SH_AGENT_SECRET_VOLUME
                                            : SH_AGENT_SECRET_FILE;
    return agent_report(t->fd, kind, s->name, s->data, s->size);
}

static int start_agent(int fd, struct agent *a)
{
    struct agent_error e;
    struct start t = {a, fd};
    agent_log_to(fd);
    int rc = agent_start(a, send_secret, &t, &e);
    agent_log_to(-1);
    int sent =
        agent_report(fd, rc ? SH_AGENT_ERROR : SH_AGENT_DONE, "", e.text, rc ? strlen(e.text) : 0);
    return rc ? rc : sent;
}

int agent_control_keep(int fd, struct agent *a)
{
    static const uint32_t known[] = {1, 10, 12};
    struct start t = {a, fd};
    unsigned signals = agent_renew(a, send_secret, &t);
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof(known) / sizeof(known[0]); i++) {
        uint8_t number[4];
        sh_put_le32(number, known[i]);
        if (signals & 1u << known[i])
            rc = agent_report(fd, SH_AGENT_CHANGED, "", number, sizeof(number));
    }
    return rc;
}

/* An event log that makes it too large for a frame is left out: the quote stands without it. */
static int make_evidence(struct agent *a, const uint8_t *nonce, size_t nonce_size, char **json,
                         size_t *size, struct agent_error *e)
{
    int log = agent_sources.log;
    int rc = agent_attest_json(a, nonce, nonce_size, json, size, e);
    if (rc || *size <= SH_CONTROL_ANSWER_MAX)
        return rc;
    agent_os_free(*json);
    *json = NULL;
    agent_sources.log = -1;
    rc = agent_attest_json(a, nonce, nonce_size, json, size, e);
    agent_sources.log = log;
    if (rc || *size <= SH_CONTROL_ANSWER_MAX)
        return rc;
    agent_os_free(*json);
    *json = NULL;
    return agent_fail(e, -EMSGSIZE, "the evidence is larger than the channel takes", NULL);
}

/* u32 id, nonce: answered by u32 id, u32 error, evidence or a sentence. */
static int attest_now(int fd, struct agent *a, const uint8_t *data, size_t size)
{
    static uint8_t answer[8 + SH_CONTROL_ANSWER_MAX];
    struct agent_error e;
    char *json = NULL, *text = e.text;
    size_t text_size = 0;
    int rc = make_evidence(a, data + 4, size - 4, &json, &text_size, &e);
    if (rc)
        text_size = strlen(e.text);
    else
        text = json;
    memcpy(answer, data, 4);
    sh_put_le32(answer + 4, rc ? (uint32_t)-rc : 0);
    memcpy(answer + 8, text, text_size);
    agent_os_free(json);
    return agent_report(fd, SH_AGENT_EVIDENCE, "", answer, 8 + text_size);
}

int agent_control(int fd, struct agent *a)
{
    uint8_t head[SH_AGENT_HEAD_SIZE], data[4 + SH_ATTEST_NONCE_MAX];
    int rc = sh_read_all(fd, head, sizeof(head));
    if (rc)
        return rc;
    size_t size = sh_le32(head + 4);
    if (sh_le16(head + 2) || size > sizeof(data))
        return -EBADMSG;
    rc = sh_read_all(fd, data, size);
    if (rc)
        return rc;
    if (head[0] == SH_AGENT_START && !size)
        return start_agent(fd, a);
    if (head[0] == SH_AGENT_ATTEST && size > 4)
        return attest_now(fd, a, data, size);
    return -EBADMSG;
}
