// SPDX-License-Identifier: Apache-2.0
// The growing text.
#include "trusted/agent/text.h"

#include <stdarg.h>
#include <string.h>

#include "lib/base64.h"

void agent_wipe(void *data, size_t size)
{
    memset(data, 0, size);
    __asm__ volatile("" : : "r"(data) : "memory"); /* so it is not left out */
}

static bool grow_text(struct agent_text *t, size_t size)
{
    size_t room = t->room ? t->room : 256;
    while (room - t->size <= size)
        room *= 2;
    char *data = agent_os_alloc(room);
    if (!data)
        return false;
    if (t->data) {
        memcpy(data, t->data, t->size);
        agent_wipe(t->data, t->room);
        agent_os_free(t->data);
    }
    t->data = data;
    t->room = room;
    return true;
}

void agent_text_add(struct agent_text *t, const void *data, size_t size)
{
    if (t->failed || size > AGENT_TEXT_MAX || t->size > AGENT_TEXT_MAX - size ||
        ((!t->room || t->room - t->size <= size) && !grow_text(t, size))) {
        t->failed = true;
        return;
    }
    if (size)
        memcpy(t->data + t->size, data, size);
    t->size += size;
    t->data[t->size] = 0;
}

void agent_text_str(struct agent_text *t, const char *text)
{
    agent_text_add(t, text, strlen(text));
}

const char *agent_number(char out[21], uint64_t number)
{
    char digits[20];
    size_t n = 0, at = 0;
    do
        digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    while (n)
        out[at++] = digits[--n];
    out[at] = 0;
    return out;
}

void agent_text_number(struct agent_text *t, uint64_t number)
{
    char digits[21];
    agent_text_str(t, agent_number(digits, number));
}

static void add_base64(struct agent_text *t, const uint8_t *data, size_t size, enum sh_base64 kind)
{
    char part[SH_BASE64_ROOM(48)];
    for (size_t at = 0, n; at < size; at += n) {
        n = size - at < 48 ? size - at : 48;
        agent_text_add(t, part, sh_base64(part, data + at, n, kind));
    }
}

void agent_text_base64(struct agent_text *t, const void *data, size_t size)
{
    add_base64(t, data, size, SH_BASE64);
}

void agent_text_base64url(struct agent_text *t, const void *data, size_t size)
{
    add_base64(t, data, size, SH_BASE64URL);
}

void agent_text_json(struct agent_text *t, const void *data, size_t size)
{
    static const char hex[] = "0123456789abcdef", named[] = "btn\0fr";
    const uint8_t *p = data;
    agent_text_add(t, "\"", 1);
    for (size_t i = 0; i < size; i++) {
        char escape[6] = {'\\', (char)p[i], '0', '0', hex[p[i] >> 4], hex[p[i] & 15]};
        size_t n = 2;
        if (p[i] >= 8 && p[i] <= 13 && p[i] != 11) {
            escape[1] = named[p[i] - 8];
        } else if (p[i] < 0x20) {
            escape[1] = 'u';
            n = 6;
        } else if (p[i] != '"' && p[i] != '\\') {
            agent_text_add(t, p + i, 1);
            continue;
        }
        agent_text_add(t, escape, n);
    }
    agent_text_add(t, "\"", 1);
}

void agent_text_free(struct agent_text *t)
{
    if (t->data) {
        agent_wipe(t->data, t->room);
        agent_os_free(t->data);
    }
    *t = (struct agent_text){0};
}

int agent_fail(struct agent_error *e, int code, ...)
{
    size_t at = 0;
    const char *part;
    va_list parts;
    va_start(parts, code);
    while ((part = va_arg(parts, const char *)))
        for (; *part && at < sizeof(e->text) - 1; part++)
            e->text[at++] = *part >= 0x20 && *part <= 0x7e ? *part : '?';
    va_end(parts);
    e->text[at] = 0;
    return code;
}

bool agent_same(const char *a, size_t a_size, const char *b)
{
    return strlen(b) == a_size && !memcmp(a, b, a_size);
}
