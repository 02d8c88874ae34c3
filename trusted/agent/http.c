// SPDX-License-Identifier: Apache-2.0
// The head of an HTTP/1.x request (RFC 9112), as far as a local GET needs it.
#include "trusted/agent/agent.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "lib/hex.h"

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

static bool starts(const char *line, size_t size, const char *name)
{
    size_t n = strlen(name);
    return size >= n && !strncasecmp(line, name, n);
}

/* No body is taken: one would be read as the next request. */
static int check_headers(const char *at, const char *end)
{
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop)
            return -EBADMSG;
        size_t size = (size_t)(stop - at);
        if (size && at[size - 1] == '\r')
            size--;
        if (starts(at, size, "transfer-encoding:"))
            return -EBADMSG;
        if (starts(at, size, "content-length:")) {
            const char *value = at + strlen("content-length:");
            for (; value < at + size; value++)
                if (*value != ' ' && *value != '\t' && *value != '0')
                    return -EBADMSG;
        }
        if (size && !memchr(at, ':', size))
            return -EBADMSG;
        at = stop + 1;
    }
    return 0;
}

int agent_request_parse(struct agent_request *r, const char *data, size_t size)
{
    const char *end = head_end(data, size > AGENT_REQUEST_MAX ? AGENT_REQUEST_MAX : size);
    *r = (struct agent_request){.query = ""};
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
        r->query = mark + 1;
        r->query_size = (size_t)(space - mark - 1);
    }
    int rc = check_headers(headers, end);
    return rc ? rc : (int)(end - data);
}

static int decode(const char *text, size_t size, uint8_t *out, size_t out_size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++, n++) {
        int c = (uint8_t)text[i];
        if (n >= out_size)
            return -E2BIG;
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = size - i < 3 ? -1 : sh_hex_digit(text[i + 1]);
            int low = high < 0 ? -1 : sh_hex_digit(text[i + 2]);
            if (low < 0)
                return -EINVAL;
            c = high << 4 | low;
            i += 2;
        }
        out[n] = (uint8_t)c;
    }
    return (int)n;
}

int agent_query_get(const struct agent_request *r, const char *name, uint8_t *out, size_t out_size)
{
    size_t name_size = strlen(name);
    for (const char *at = r->query, *end = at + r->query_size; at < end;) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        if (!stop)
            stop = end;
        size_t size = (size_t)(stop - at);
        if (size > name_size && !memcmp(at, name, name_size) && at[name_size] == '=')
            return decode(at + name_size + 1, size - name_size - 1, out, out_size);
        at = stop + 1;
    }
    return -ENOENT;
}
