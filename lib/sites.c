// SPDX-License-Identifier: Apache-2.0
// The reader of sites.bin.
#include "lib/sites.h"

#include <errno.h>

#include "lib/bytes.h"

int sh_sites_open(struct sh_sites *s, uint64_t size, sh_sites_read *source, void *arg)
{
    uint8_t head[SH_SITES_HEAD_SIZE];
    static const uint8_t zeros[12];
    *s = (struct sh_sites){.source = source, .arg = arg};
    if (size < sizeof(head) || size > SH_SITES_SIZE_MAX)
        return -EBADMSG;
    int r = source(arg, 0, head, sizeof(head));
    if (r)
        return r;
    if (memcmp(head, SH_SITES_MAGIC, 8) || sh_le32(head + 8) != SH_SITES_VERSION ||
        memcmp(head + 20, zeros, sizeof(zeros)))
        return -EBADMSG;
    s->file_count = sh_le32(head + 12);
    s->site_count = sh_le32(head + 16);
    uint64_t need = SH_SITES_HEAD_SIZE + (uint64_t)s->file_count * SH_SITES_FILE_SIZE +
                    (uint64_t)s->site_count * SH_SITES_SITE_SIZE;
    return need <= size ? 0 : -EBADMSG;
}

int sh_sites_find(const struct sh_sites *s, uint64_t nid, uint32_t *first, uint32_t *count)
{
    uint8_t file[SH_SITES_FILE_SIZE];
    uint32_t low = 0, high = s->file_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int r = s->source(s->arg, SH_SITES_HEAD_SIZE + (uint64_t)mid * sizeof(file), file,
                          sizeof(file));
        if (r)
            return r;
        uint64_t here = sh_le64(file);
        if (here == nid) {
            *first = sh_le32(file + 8);
            *count = sh_le32(file + 12);
            bool fits = *count && *count <= SH_SITES_OF_FILE_MAX && *first <= s->site_count &&
                        *count <= s->site_count - *first;
            return fits ? 0 : -EBADMSG;
        }
        if (here < nid)
            low = mid + 1;
        else
            high = mid;
    }
    return -ENOENT;
}

static bool is_site_valid(const struct sh_site *site)
{
    if (site->zero || site->size > SH_SITE_BYTES_MAX || site->offset % 4096 + site->size > 4096)
        return false;
    for (unsigned i = site->size; i < SH_SITE_BYTES_MAX; i++) {
        if (site->bytes[i])
            return false;
    }
    bool cpuid = site->kind == SH_SITE_CPUID;
    if ((!cpuid && site->kind != SH_SITE_CALL) || site->at + 2 > site->size)
        return false;
    if (!sh_site_moves(site) && !(cpuid && site->size == 2))
        return false;
    if (site->at + 2 < site->size && site->size - 2u > SH_SITE_MOVED_MAX)
        return false;
    return site->bytes[site->at] == 0x0f && site->bytes[site->at + 1] == (cpuid ? 0xa2 : 0x05);
}

int sh_sites_get(const struct sh_sites *s, uint32_t first, uint32_t count, struct sh_site *out)
{
    uint64_t at = SH_SITES_HEAD_SIZE + (uint64_t)s->file_count * SH_SITES_FILE_SIZE +
                  (uint64_t)first * SH_SITES_SITE_SIZE;
    uint64_t free_from = 0;
    if (first > s->site_count || count > s->site_count - first)
        return -EBADMSG;
    int r = s->source(s->arg, at, out, count * sizeof(*out));
    for (uint32_t i = 0; !r && i < count; i++) {
        out[i].offset = sh_le32((const uint8_t *)&out[i].offset);
        if (!is_site_valid(&out[i]) || out[i].offset < free_from)
            r = -EBADMSG;
        free_from = (uint64_t)out[i].offset + out[i].size;
    }
    return r;
}
