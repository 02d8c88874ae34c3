// SPDX-License-Identifier: Apache-2.0
// What epoll must hear of, and what poll asks of it.
#ifndef LIBOS_EPOLL_H
#define LIBOS_EPOLL_H

#include <stdbool.h>

struct file;
struct questions;
void epoll_opened(struct file *f); /* f->outside has a handle now */
bool file_is_epoll(const struct file *f);
/* If f is an epoll: what the host must be asked about it and those inside it. */
void epoll_questions(struct file *f, struct questions *q);

#endif
