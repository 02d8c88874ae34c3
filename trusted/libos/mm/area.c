// SPDX-License-Identifier: Apache-2.0
// The list of mappings: a sorted array, found by halving.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"

static size_t index_in(const struct space *s, uint64_t addr)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (s->areas[mid]->end > addr)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

size_t area_index(uint64_t addr)
{
    return index_in(space(), addr);
}

struct area *area_find_in(const struct space *s, uint64_t addr)
{
    size_t i = index_in(s, addr);
    return i < s->count && s->areas[i]->start <= addr ? s->areas[i] : NULL;
}

struct area *area_find(uint64_t addr)
{
    return area_find_in(space(), addr);
}

bool area_free_range(uint64_t start, uint64_t end)
{
    size_t i = area_index(start);
    return i == space()->count || space()->areas[i]->start >= end;
}

static int insert_area(size_t at, struct area *a)
{
    if (space()->count == space()->room) {
        size_t room = space()->room ? space()->room * 2 : 64;
        struct area **areas = los_realloc(space()->areas, room * sizeof(*areas));
        if (!areas)
            return -ENOMEM;
        space()->areas = areas;
        space()->room = room;
    }
    memmove(space()->areas + at + 1, space()->areas + at,
            (space()->count - at) * sizeof(*space()->areas));
    space()->areas[at] = a;
    space()->count++;
    return 0;
}

int area_add(struct area a)
{
    struct area *copy = los_alloc(sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    *copy = a;
    copy->space = space();
    int r = insert_area(area_index(a.start), copy);
    if (r) {
        los_free(copy);
        return r;
    }
    if (a.file)
        file_get(a.file);
    object_map_add(copy);
    space()->mapped_size += a.end - a.start;
    return 0;
}

int area_split(uint64_t addr)
{
    struct area *a = area_find(addr);
    if (!a || a->start == addr)
        return 0;
    struct area *rest = los_alloc(sizeof(*rest));
    if (!rest)
        return -ENOMEM;
    *rest = *a;
    rest->start = addr;
    rest->offset += addr - a->start;
    int r = insert_area(area_index(addr) + 1, rest);
    if (r) {
        los_free(rest);
        return r;
    }
    a->end = addr;
    if (a->file)
        file_get(a->file);
    object_map_add(rest);
    return 0;
}

/* Who shares the big lock lets no file go. */
static bool areas_alike(const struct area *a, const struct area *b)
{
    return a->end == b->start && !a->changing && !b->changing && a->prot == b->prot &&
           a->shared == b->shared && a->file == b->file && a->name == b->name &&
           a->write_ok == b->write_ok && a->locked == b->locked && a->sealed == b->sealed &&
           a->grows == b->grows && a->not_forked == b->not_forked &&
           a->wiped_by_fork == b->wiped_by_fork &&
           (!a->file || (!los_is_shared() && a->offset + (a->end - a->start) == b->offset));
}

static void area_free(struct area *a)
{
    object_map_remove(a);
    if (a->file)
        file_put(a->file);
    los_free(a);
}

static void drop_area(size_t at)
{
    struct area *a = space()->areas[at];
    memmove(space()->areas + at, space()->areas + at + 1,
            (space()->count - at - 1) * sizeof(*space()->areas));
    space()->count--;
    area_free(a);
}

void area_merge(uint64_t start, uint64_t end)
{
    size_t i = area_index(start ? start - 1 : 0);
    while (i + 1 < space()->count && space()->areas[i]->start <= end) {
        struct area *a = space()->areas[i];
        if (!areas_alike(a, space()->areas[i + 1])) {
            i++;
            continue;
        }
        a->end = space()->areas[i + 1]->end;
        drop_area(i + 1);
    }
}

uint64_t area_find_gap(uint64_t size, uint64_t low, uint64_t high)
{
    if (size > high - low || high < low)
        return 0;
    uint64_t top = high;
    for (size_t i = area_index(high - 1) + 1; i-- > 0;) {
        if (i >= space()->count || space()->areas[i]->start >= high)
            continue;
        struct area *a = space()->areas[i];
        if (top > a->end && top - a->end >= size)
            break;
        top = MIN(top, a->start);
        if (top < low + size)
            return 0;
    }
    return top >= low + size ? top - size : 0;
}

void area_drop(uint64_t start, uint64_t end)
{
    size_t i = area_index(start);
    while (i < space()->count && space()->areas[i]->start < end) {
        space()->mapped_size -= space()->areas[i]->end - space()->areas[i]->start;
        drop_area(i);
    }
}

bool area_covers(uint64_t start, uint64_t end)
{
    for (uint64_t at = start; at < end;) {
        const struct area *a = area_find(at);
        if (!a)
            return false;
        at = a->end;
    }
    return true;
}

bool area_writes(const struct inode *i)
{
    list_each(const struct area, a, &i->maps, mapped) {
        if (a->shared && a->write_ok)
            return true;
    }
    return false;
}

int area_copy_all(struct space *to, const struct space *from)
{
    to->areas = los_alloc(MAX(from->count, 1) * sizeof(*to->areas));
    if (!to->areas)
        return -ENOMEM;
    to->room = MAX(from->count, 1);
    for (size_t i = 0; i < from->count; i++) {
        if (from->areas[i]->not_forked) {
            to->mapped_size -= from->areas[i]->end - from->areas[i]->start;
            continue;
        }
        struct area *a = los_alloc(sizeof(*a));
        if (!a)
            return -ENOMEM;
        *a = *from->areas[i];
        a->space = to;
        a->locked = false;
        if (a->file)
            file_get(a->file);
        object_map_add(a);
        to->areas[to->count++] = a;
    }
    to->mapped_size += from->mapped_size;
    return 0;
}

void area_drop_all(struct space *s)
{
    while (s->count)
        area_free(s->areas[--s->count]);
    los_free(s->areas);
    s->areas = NULL;
    s->room = 0;
}
