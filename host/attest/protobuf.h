// SPDX-License-Identifier: Apache-2.0
// As much of protobuf's wire format as AESM's messages need.
#ifndef HOST_ATTEST_PROTOBUF_H
#define HOST_ATTEST_PROTOBUF_H

#include "host/base/util.h"
#include "lib/bytes.h"

#define SH_PB_MAX 65536u /* bytes of a field */

void sh_pb_put_number(struct sh_buffer *b, unsigned field, uint64_t v);
void sh_pb_put_bytes(struct sh_buffer *b, unsigned field, const void *data, size_t size);

/* One field; bytes.data is NULL where it is a number. A bad one sets r->failed. */
unsigned sh_pb_take_field(struct sh_reader *r, struct sh_view *bytes, uint64_t *number);

#endif
