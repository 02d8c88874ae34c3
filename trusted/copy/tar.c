// SPDX-License-Identifier: Apache-2.0
// Tar headers as bytes.
#include "trusted/copy/tar.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ustar's fields: offset and width. */
enum {
    NAME = 0,
    MODE = 100,
    UID = 108,
    GID = 116,
    SIZE = 124,
    MTIME = 136,
    SUM = 148,
    TYPE = 156,
    LINK = 157,
    MAGIC = 257,
    MAJOR = 329,
    MINOR = 337,
    PREFIX = 345
};

static const char xattr_key[] = "SCHILY.xattr.security.capability";

static uint32_t block_checksum(const uint8_t *block)
{
    uint32_t sum = 8 * ' ';
    for (size_t i = 0; i < TAR_BLOCK; i++)
        if (i < SUM || i >= SUM + 8)
            sum += block[i];
    return sum;
}

static void put_octal(uint8_t *field, size_t width, uint64_t value)
{
    for (size_t i = width - 1; i-- > 0; value >>= 3)
        field[i] = (uint8_t)('0' + (value & 7));
    field[width - 1] = 0;
}

static void put_header(uint8_t *block, const struct tar_entry *e)
{
    memset(block, 0, TAR_BLOCK);
    memcpy(block + NAME, e->name, strnlen(e->name, 100));
    memcpy(block + LINK, e->link, strnlen(e->link, 100));
    put_octal(block + MODE, 8, e->mode & 07777);
    put_octal(block + UID, 8, e->uid < 1 << 21 ? e->uid : 0);
    put_octal(block + GID, 8, e->gid < 1 << 21 ? e->gid : 0);
    put_octal(block + SIZE, 12, e->size < 1ull << 33 ? e->size : 0);
    put_octal(block + MTIME, 12, e->mtime >= 0 && e->mtime < 1ll << 33 ? (uint64_t)e->mtime : 0);
    put_octal(block + MAJOR, 8, e->major);
    put_octal(block + MINOR, 8, e->minor);
    block[TYPE] = (uint8_t)e->type;
    memcpy(block + MAGIC,
           "ustar\0"
           "00",
           8);
    put_octal(block + SUM, 7, block_checksum(block));
    block[SUM + 7] = ' ';
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static size_t put_record(uint8_t *out, const char *key, const void *value, size_t size)
{
    char head[80];
    size_t rest = strlen(key) + size + 3, digits = 1;
    for (size_t limit = 10; rest + digits >= limit; limit *= 10)
        digits++;
    size_t n = (size_t)snprintf(head, sizeof(head), "%zu %s=", rest + digits, key);
    memcpy(out, head, n);
    memcpy(out + n, value, size);
    out[n + size] = '\n';
    return n + size + 1;
}

static size_t number_record(uint8_t *out, const char *key, int64_t value)
{
    char text[24];
    return put_record(out, key, text,
                      (size_t)snprintf(text, sizeof(text), "%lld", (long long)value));
}

size_t tar_write(uint8_t *out, const struct tar_entry *e)
{
    uint8_t *records = out + TAR_BLOCK;
    size_t size = 0;
    if (strlen(e->name) > 100)
        size += put_record(records + size, "path", e->name, strlen(e->name));
    if (strlen(e->link) > 100)
        size += put_record(records + size, "linkpath", e->link, strlen(e->link));
    if (e->size >= 1ull << 33)
        size += number_record(records + size, "size", (int64_t)e->size);
    if (e->uid >= 1 << 21)
        size += number_record(records + size, "uid", e->uid);
    if (e->gid >= 1 << 21)
        size += number_record(records + size, "gid", e->gid);
    if (e->mtime < 0 || e->mtime >= 1ll << 33)
        size += number_record(records + size, "mtime", e->mtime);
    if (e->capability_size)
        size += put_record(records + size, xattr_key, e->capability, e->capability_size);
    if (!size) {
        put_header(out, e);
        return TAR_BLOCK;
    }
    struct tar_entry pax = {.type = 'x', .mode = 0644, .size = size, .name = "pax"};
    put_header(out, &pax);
    size_t padded = (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    memset(records + size, 0, padded - size);
    put_header(records + padded, e);
    return padded + 2 * TAR_BLOCK;
}

/* Octal with spaces or NULs around it, or GNU's base 256. */
static int parse_number(const uint8_t *field, size_t width, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;
    if (field[0] & 0x80) {
        if (field[0] != 0x80) /* negative, or above 64 bits */
            return -EBADMSG;
        for (i = 1; i < width; i++) {
            if (v >> 55)
                return -EBADMSG;
            v = v << 8 | field[i];
        }
        *out = v;
        return 0;
    }
    while (i < width && field[i] == ' ')
        i++;
    for (; i < width && field[i] >= '0' && field[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(field[i] - '0'); /* 12 digits at most */
    for (; i < width; i++)
        if (field[i] && field[i] != ' ')
            return -EBADMSG;
    *out = v;
    return 0;
}

int tar_read(struct tar_entry *e, const uint8_t block[TAR_BLOCK])
{
    uint64_t sum, mode, uid, gid, size, mtime, major = 0, minor = 0;
    size_t n = 0;
    memset(e, 0, sizeof(*e));
    bool zero = true;
    for (size_t i = 0; i < TAR_BLOCK && zero; i++)
        zero = !block[i];
    if (zero)
        return 0;
    if (parse_number(block + SUM, 8, &sum) || sum != block_checksum(block) ||
        parse_number(block + MODE, 8, &mode) || parse_number(block + UID, 8, &uid) ||
        parse_number(block + GID, 8, &gid) || parse_number(block + SIZE, 12, &size) ||
        parse_number(block + MTIME, 12, &mtime) || size > 1ull << 50 || uid > UINT32_MAX ||
        gid > UINT32_MAX || mtime > INT64_MAX)
        return -EBADMSG;
    e->type = block[TYPE] ? (char)block[TYPE] : '0';
    if (e->type == '7') /* contiguous file */
        e->type = '0';
    if (e->type == '3' || e->type == '4') {
        if (parse_number(block + MAJOR, 8, &major) || parse_number(block + MINOR, 8, &minor))
            return -EBADMSG;
    }
    if (!memcmp(block + MAGIC, "ustar\0", 6) && block[PREFIX]) {
        n = strnlen((const char *)block + PREFIX, 155);
        memcpy(e->name, block + PREFIX, n);
        e->name[n++] = '/';
    }
    memcpy(e->name + n, block + NAME, strnlen((const char *)block + NAME, 100));
    memcpy(e->link, block + LINK, strnlen((const char *)block + LINK, 100));
    e->mode = (uint32_t)mode & 07777;
    e->uid = (uint32_t)uid;
    e->gid = (uint32_t)gid;
    e->mtime = (int64_t)mtime;
    e->major = (uint32_t)major;
    e->minor = (uint32_t)minor;
    /* Only these have contents; others may state a size and mean none. */
    e->size = e->type == '0' || e->type == 'x' || e->type == 'g' || e->type == 'L' || e->type == 'K'
                  ? size
                  : 0;
    if (e->type == '0' && e->name[0] && e->name[strlen(e->name) - 1] == '/')
        e->type = '5';
    return 0;
}

static int parse_decimal(const char *text, size_t size, int64_t *out)
{
    int64_t v = 0;
    bool minus = size && text[0] == '-';
    size_t i = minus;
    if (i >= size)
        return -EBADMSG;
    for (; i < size && text[i] != '.'; i++) {
        if (text[i] < '0' || text[i] > '9' || v > (1ll << 50))
            return -EBADMSG;
        v = v * 10 + (text[i] - '0');
    }
    *out = minus ? -v : v;
    return 0;
}

static int take_text(bool *has, char *out, const char *value, size_t size)
{
    if (size >= TAR_NAME_MAX || memchr(value, 0, size))
        return -EBADMSG;
    memcpy(out, value, size);
    out[size] = 0;
    *has = true;
    return 0;
}

static bool is_key(const char *key, size_t size, const char *want)
{
    return strlen(want) == size && !memcmp(key, want, size);
}

static int take_record(struct tar_extra *x, const char *key, size_t key_size, const char *value,
                       size_t size)
{
    int64_t v;
    if (is_key(key, key_size, "path"))
        return take_text(&x->has_name, x->e.name, value, size);
    if (is_key(key, key_size, "linkpath"))
        return take_text(&x->has_link, x->e.link, value, size);
    if (is_key(key, key_size, xattr_key)) {
        if (size > sizeof(x->e.capability))
            return -EBADMSG;
        memcpy(x->e.capability, value, size);
        x->e.capability_size = size;
        return 0;
    }
    if (is_key(key, key_size, "mtime")) {
        x->has_mtime = true;
        return parse_decimal(value, size, &x->e.mtime);
    }
    bool is_size = is_key(key, key_size, "size"), is_uid = is_key(key, key_size, "uid");
    if (!is_size && !is_uid && !is_key(key, key_size, "gid"))
        return 0;
    if (parse_decimal(value, size, &v) || v < 0 || (!is_size && v > UINT32_MAX))
        return -EBADMSG;
    if (is_size) {
        x->has_size = true;
        x->e.size = (uint64_t)v;
    } else if (is_uid) {
        x->has_uid = true;
        x->e.uid = (uint32_t)v;
    } else {
        x->has_gid = true;
        x->e.gid = (uint32_t)v;
    }
    return 0;
}

int tar_pax(struct tar_extra *x, const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    for (size_t at = 0; at < size;) {
        size_t length = 0, i = at;
        for (; i < size && text[i] >= '0' && text[i] <= '9' && length < size; i++)
            length = length * 10 + (size_t)(text[i] - '0');
        if (i == at || i >= size || text[i] != ' ' || length > size - at || length < i + 2 - at ||
            text[at + length - 1] != '\n')
            return -EBADMSG;
        const char *key = text + i + 1, *end = text + at + length - 1;
        const char *equals = memchr(key, '=', (size_t)(end - key));
        if (!equals ||
            take_record(x, key, (size_t)(equals - key), equals + 1, (size_t)(end - equals - 1)))
            return -EBADMSG;
        at += length;
    }
    return 0;
}

void tar_apply(struct tar_entry *e, const struct tar_extra *x)
{
    if (x->has_name)
        memcpy(e->name, x->e.name, sizeof(e->name));
    if (x->has_link)
        memcpy(e->link, x->e.link, sizeof(e->link));
    if (x->has_size && e->type == '0')
        e->size = x->e.size;
    if (x->has_uid)
        e->uid = x->e.uid;
    if (x->has_gid)
        e->gid = x->e.gid;
    if (x->has_mtime)
        e->mtime = x->e.mtime;
    memcpy(e->capability, x->e.capability, sizeof(e->capability));
    e->capability_size = x->e.capability_size;
}

int tar_clean(char *name)
{
    char *out = name;
    for (char *at = name; *at;) {
        size_t size = strcspn(at, "/");
        if (size == 2 && !memcmp(at, "..", 2))
            return -EBADMSG;
        if (size && !(size == 1 && *at == '.')) {
            if (out != name)
                *out++ = '/';
            memmove(out, at, size);
            out += size;
        }
        at += size;
        at += strspn(at, "/");
    }
    *out = 0;
    return 0;
}
