// SPDX-License-Identifier: Apache-2.0
// Doubly linked lists, the node inside the object.
#ifndef LIBOS_LIST_H
#define LIBOS_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
/* `p` is each object of `type` in turn, whose `member` is on the list. */
#define list_each(type, p, head, member)                                                           \
    for (type *p = container_of((head)->next, type, member); &p->member != (head);                 \
         p = container_of(p->member.next, type, member))
/* The loop's body may remove `p`, and free it. */
#define list_each_safe(type, p, head, member)                                                      \
    for (type *p = container_of((head)->next, type, member),                                       \
              *after_##p = container_of(p->member.next, type, member);                             \
         &p->member != (head);                                                                     \
         p = after_##p, after_##p = container_of(p->member.next, type, member))

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}
static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}
static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}
/* The node points to itself afterwards: removing it twice does no harm. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}
/* All of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
