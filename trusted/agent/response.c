// SPDX-License-Identifier: Apache-2.0
// HTTP responses, read by a state machine that keeps no more than it was told to.
#include "trusted/agent/response.h"

#include <asm/errno.h>
#include <string.h>

enum { HEAD, LENGTH, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, UNTIL_CLOSE };

#define COOKIE "kbs-session-id="

struct line {
    const char *at;
    size_t size;
};

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Is this header's name `name` (lower case)? Then its value, without space around it. */
static bool match_header(struct line l, const char *name, struct line *value)
{
    size_t n = strlen(name);
    if (l.size <= n || l.at[n] != ':')
        return false;
    for (size_t i = 0; i < n; i++)
        if (to_lower(l.at[i]) != name[i])
            return false;
    *value = (struct line){l.at + n + 1, l.size - n - 1};
    while (value->size && (*value->at == ' ' || *value->at == '\t')) {
        value->at++;
        value->size--;
    }
    while (value->size && (value->at[value->size - 1] == ' ' || value->at[value->size - 1] == '\t'))
        value->size--;
    return true;
}

static bool same_word(struct line l, const char *word)
{
    if (l.size != strlen(word))
        return false;
    for (size_t i = 0; i < l.size; i++)
        if (to_lower(l.at[i]) != word[i])
            return false;
    return true;
}

static int take_length(struct agent_response *r, struct line value)
{
    size_t n = 0;
    if (!value.size || r->has_length)
        return -EBADMSG;
    for (size_t i = 0; i < value.size; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return -EBADMSG;
        n = n * 10 + (size_t)(value.at[i] - '0');
        if (n > AGENT_BODY_MAX)
            return -E2BIG;
    }
    r->has_length = true;
    r->left = n;
    return 0;
}

/* The session's cookie; others are not ours. */
static int take_cookie(struct agent_response *r, struct line value)
{
    size_t n = 0;
    if (value.size < sizeof(COOKIE) - 1 || memcmp(value.at, COOKIE, sizeof(COOKIE) - 1))
        return 0;
    while (n < value.size && value.at[n] != ';')
        n++;
    if (n > AGENT_COOKIE_MAX || n == sizeof(COOKIE) - 1)
        return -EBADMSG;
    for (size_t i = 0; i < n; i++)
        if (value.at[i] <= ' ' || value.at[i] > '~' || value.at[i] == '"' || value.at[i] == ',' ||
            value.at[i] == '\\')
            return -EBADMSG;
    memcpy(r->cookie, value.at, n);
    r->cookie[n] = 0;
    return 0;
}

static int take_version(struct agent_response *r, struct line value)
{
    uint64_t n = 0;
    if (!value.size || value.size > 18)
        return -EBADMSG;
    for (size_t i = 0; i < value.size; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return -EBADMSG;
        n = n * 10 + (uint64_t)(value.at[i] - '0');
    }
    r->version = n;
    return 0;
}

static int take_header(struct agent_response *r, struct line l)
{
    struct line value;
    if (match_header(l, "content-length", &value))
        return take_length(r, value);
    if (match_header(l, "transfer-encoding", &value)) {
        if (r->chunked || !same_word(value, "chunked"))
            return -EBADMSG;
        r->chunked = true;
    } else if (match_header(l, "set-cookie", &value)) {
        return take_cookie(r, value);
    } else if (match_header(l, "shelter-resource-version", &value)) {
        return take_version(r, value);
    } else if (match_header(l, "connection", &value)) {
        r->close = r->close || same_word(value, "close");
    } else {
        for (size_t i = 0; i < l.size; i++)
            if (l.at[i] == ':')
                return i ? 0 : -EBADMSG;
        return -EBADMSG;
    }
    return 0;
}

/* "HTTP/1.1 200 OK" */
static int take_status(struct agent_response *r, struct line l)
{
    int status = 0;
    if (l.size < 12 || memcmp(l.at, "HTTP/1.", 7) || (l.at[7] != '0' && l.at[7] != '1') ||
        l.at[8] != ' ' || (l.size > 12 && l.at[12] != ' '))
        return -EBADMSG;
    for (size_t i = 9; i < 12; i++) {
        if (l.at[i] < '0' || l.at[i] > '9')
            return -EBADMSG;
        status = status * 10 + (l.at[i] - '0');
    }
    if (status < 200) /* nothing asked for an interim answer */
        return -EBADMSG;
    r->status = status;
    r->close = l.at[7] == '0';
    return 0;
}

/* The head is over: how does the body end? */
static int begin_body(struct agent_response *r)
{
    if (r->chunked && r->has_length)
        return -EBADMSG;
    if (r->status == 204 || r->status == 304 || (r->has_length && !r->left))
        r->done = true;
    else if (r->chunked)
        r->state = CHUNK_SIZE;
    else if (r->has_length)
        r->state = LENGTH;
    else
        r->state = UNTIL_CLOSE;
    if (r->state == UNTIL_CLOSE)
        r->close = true;
    return 0;
}

static int take_chunk_size(struct agent_response *r, struct line l)
{
    size_t n = 0, i = 0;
    for (; i < l.size && l.at[i] != ';' && l.at[i] != ' '; i++) {
        char c = to_lower(l.at[i]);
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (d < 0)
            return -EBADMSG;
        n = n << 4 | (size_t)d;
        if (n > AGENT_BODY_MAX)
            return -E2BIG;
    }
    if (!i)
        return -EBADMSG;
    r->left = n;
    r->state = n ? CHUNK_DATA : TRAILER;
    return 0;
}

static int take_line(struct agent_response *r, struct line l)
{
    for (size_t i = 0; i < l.size; i++)
        if ((uint8_t)l.at[i] < 0x20 && l.at[i] != '\t')
            return -EBADMSG;
    switch (r->state) {
    case CHUNK_SIZE:
        return take_chunk_size(r, l);
    case CHUNK_END:
        r->state = CHUNK_SIZE;
        return l.size ? -EBADMSG : 0;
    case TRAILER:
        r->done = !l.size;
        return 0;
    default:
        if (!r->status)
            return take_status(r, l);
        return l.size ? take_header(r, l) : begin_body(r);
    }
}

/* Bytes of a line; r->head holds the unfinished one. Chunks of one byte cost six more each: the
 * lines may be AGENT_HEAD_MAX and as long as the body eight times. */
static int feed_line(struct agent_response *r, const char *data, size_t size, size_t *taken)
{
    size_t n = 0;
    while (n < size && data[n] != '\n')
        n++;
    *taken = n < size ? n + 1 : n;
    agent_text_add(&r->head, data, n);
    if (r->head.failed)
        return -ENOMEM;
    r->line_bytes += *taken;
    if (r->line_bytes > AGENT_HEAD_MAX + 8 * r->body.size)
        return -E2BIG;
    if (n == size)
        return 0;
    size_t length = r->head.size;
    if (length && r->head.data[length - 1] == '\r')
        length--;
    int rc = take_line(r, (struct line){r->head.data, length});
    r->head.size = 0;
    return rc;
}

static int feed_body(struct agent_response *r, const char *data, size_t size, size_t *taken)
{
    bool counted = r->state != UNTIL_CLOSE;
    *taken = counted && r->left < size ? r->left : size;
    if (r->body.size + *taken > AGENT_BODY_MAX)
        return -E2BIG;
    agent_text_add(&r->body, data, *taken);
    if (r->body.failed)
        return -ENOMEM;
    if (!counted || (r->left -= *taken))
        return 0;
    r->done = r->state == LENGTH;
    r->state = CHUNK_END;
    return 0;
}

int agent_response_feed(struct agent_response *r, const char *data, size_t size)
{
    while (size) {
        size_t taken;
        if (r->done)
            return -EBADMSG;
        bool body = r->state == LENGTH || r->state == CHUNK_DATA || r->state == UNTIL_CLOSE;
        int rc = body ? feed_body(r, data, size, &taken) : feed_line(r, data, size, &taken);
        if (rc)
            return rc;
        data += taken;
        size -= taken;
    }
    return 0;
}

int agent_response_end(struct agent_response *r)
{
    if (r->state == UNTIL_CLOSE)
        r->done = true;
    return r->done ? 0 : -EBADMSG;
}

void agent_response_free(struct agent_response *r)
{
    agent_text_free(&r->body);
    agent_text_free(&r->head);
    *r = (struct agent_response){0};
}
