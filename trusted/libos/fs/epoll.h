// SPDX-License-Identifier: Apache-2.0
// What epoll must hear of.
#ifndef LIBOS_EPOLL_H
#define LIBOS_EPOLL_H

#include <stdint.h>

struct file;
void epoll_forget(struct file *f); /* the last reference goes */
/* Calls fn for each file that f, if it is an epoll, waits for, through all levels. */
void epoll_each(const struct file *f, void (*fn)(void *arg, struct file *file, uint32_t events),
                void *arg);

#endif
