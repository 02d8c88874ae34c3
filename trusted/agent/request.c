// SPDX-License-Identifier: Apache-2.0
// The head of an HTTP/1.x request (RFC 9112), as far as the local API needs it; an exchange's
// bytes.
#include "trusted/agent/exchange.h"

#include <asm/errno.h>
#include <string.h>

/* The end of the head: the byte after its empty line, or NULL. */
static const char *head_end(const char *data, size_t size)
{
    for (size_t i = 0; i + 1 < size; i++) {
        if (data[i] != '\n')
            continue;
        if (data[i + 1] == '\n')
            return data + i + 2;
        if (i + 2 < size && data[i + 1] == '\r' && data[i + 2] == '\n')
            return data + i + 3;
    }
    return NULL;
}

static bool line_starts(const char *line, size_t size, const char *name)
{
    size_t n = strlen(name);
    if (size < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((line[i] >= 'A' && line[i] <= 'Z' ? line[i] + 32 : line[i]) != name[i])
            return false;
    return true;
}

/* A header's value, without the spaces around it. */
static struct sh_view trim_value(const char *text, size_t size)
{
    while (size && (*text == ' ' || *text == '\t')) {
        text++;
        size--;
    }
    while (size && (text[size - 1] == ' ' || text[size - 1] == '\t'))
        size--;
    return (struct sh_view){(const uint8_t *)text, size};
}

/* Digits and nothing else, once. */
static int take_length(struct agent_request *r, struct sh_view value, bool *seen)
{
    const char *text = (const char *)value.data;
    size_t n = 0, digits = 0, size = value.size;
    for (; digits < size && text[digits] >= '0' && text[digits] <= '9'; digits++)
        if ((n = n * 10 + (size_t)(text[digits] - '0')) > AGENT_REQUEST_MAX)
            return -E2BIG;
    if (!size || digits != size || *seen)
        return -EBADMSG;
    *seen = true;
    r->body_size = n;
    return 0;
}

/* NAME or NAME:DIGITS, where NAME is this loopback's. A name of somebody's DNS that leads here (DNS
 * rebinding) is none. */
static bool is_own_host(struct sh_view v)
{
    static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};
    const char *host = (const char *)v.data;
    size_t name = v.size;
    while (name && host[name - 1] >= '0' && host[name - 1] <= '9')
        name--;
    name = name && name < v.size && host[name - 1] == ':' ? name - 1 : v.size;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (name == strlen(names[i]) && line_starts(host, name, names[i]))
            return true;
    return false;
}

/* Headers of those who ask for somebody else: browsers and proxies. Sec-Fetch-Mode is not among
 * them, since Node's own client sends it. */
static bool is_forwarded(const char *line, size_t size)
{
    static const char *const names[] = {"origin:",    "referer:",     "sec-fetch-site:", "via:",
                                        "forwarded:", "x-forwarded-", "x-real-ip:"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (line_starts(line, size, names[i]))
            return true;
    return false;
}

/* What the headers say so far: of each kind, how often. */
struct sender {
    unsigned hosts, others, marks;
};

static void take_sender(struct sender *s, const char *line, size_t size)
{
    static const char host[] = "host:", mark[] = "shelter-request:";
    if (line_starts(line, size, host)) {
        s->hosts++;
        s->others += !is_own_host(trim_value(line + sizeof(host) - 1, size - sizeof(host) + 1));
    } else if (line_starts(line, size, mark)) {
        struct sh_view v = trim_value(line + sizeof(mark) - 1, size - sizeof(mark) + 1);
        s->marks += v.size == 1 && *v.data == '1';
    } else if (is_forwarded(line, size)) {
        s->others++;
    }
}

/* A body whose end is not stated plainly would be read as the next request. */
static int check_headers(struct agent_request *r, const char *at, const char *end)
{
    static const char length[] = "content-length:";
    struct sender sender = {0};
    bool seen = false;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop)
            return -EBADMSG;
        size_t size = (size_t)(stop - at), name = sizeof(length) - 1;
        if (size && at[size - 1] == '\r')
            size--;
        if (line_starts(at, size, "transfer-encoding:"))
            return -EBADMSG;
        int rc = line_starts(at, size, length)
                     ? take_length(r, trim_value(at + name, size - name), &seen)
                     : 0;
        if (rc)
            return rc;
        if (size && !memchr(at, ':', size))
            return -EBADMSG;
        take_sender(&sender, at, size);
        at = stop + 1;
    }
    if (sender.hosts == 1 && !sender.others)
        r->who |= AGENT_FROM_HERE;
    if (sender.marks == 1)
        r->who |= AGENT_HEADER;
    return 0;
}

int agent_request_parse(struct agent_request *r, const char *data, size_t size)
{
    const char *end = head_end(data, size > AGENT_REQUEST_MAX ? AGENT_REQUEST_MAX : size);
    *r = (struct agent_request){0};
    if (!end)
        return size >= AGENT_REQUEST_MAX ? -E2BIG : 0;
    const char *line_end = memchr(data, '\n', (size_t)(end - data));
    const char *headers = line_end + 1;
    if (line_end > data && line_end[-1] == '\r')
        line_end--;
    if (memchr(data, 0, (size_t)(end - data)))
        return -EBADMSG;

    const char *space = memchr(data, ' ', (size_t)(line_end - data));
    size_t n = space ? (size_t)(space - data) : 0;
    if (!n || n >= sizeof(r->method))
        return -EBADMSG;
    memcpy(r->method, data, n);
    const char *target = space + 1;
    space = memchr(target, ' ', (size_t)(line_end - target));
    if (!space || *target != '/' || line_end - space != 9 || memcmp(space + 1, "HTTP/1.", 7) ||
        (space[8] != '0' && space[8] != '1'))
        return -EBADMSG;
    const char *mark = memchr(target, '?', (size_t)(space - target));
    n = (size_t)((mark ? mark : space) - target);
    if (n >= sizeof(r->path))
        return -EBADMSG;
    memcpy(r->path, target, n);
    if (mark) {
        r->query = (struct sh_view){(const uint8_t *)mark + 1, (size_t)(space - mark - 1)};
    }
    int rc = check_headers(r, headers, end);
    if (!rc && (size_t)(end - data) + r->body_size > AGENT_REQUEST_MAX)
        rc = -E2BIG;
    return rc ? rc : (int)(end - data);
}

bool agent_exchange_take(struct agent_exchange *x, size_t size)
{
    x->have += size;
    x->parsed = agent_request_parse(&x->request, x->in, x->have);
    return x->parsed < 0 || (x->parsed && x->have >= (size_t)x->parsed + x->request.body_size);
}

struct sh_view agent_exchange_rest(const struct agent_exchange *x)
{
    if (x->sent < x->head_size)
        return (struct sh_view){(const uint8_t *)x->head + x->sent, x->head_size - x->sent};
    size_t at = x->sent - x->head_size;
    return (struct sh_view){x->reply.body ? x->reply.body + at : NULL, x->reply.size - at};
}
