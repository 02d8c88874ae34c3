// SPDX-License-Identifier: Apache-2.0
// The SGX extension of a PCK certificate: nested SEQUENCE { OID, value } in DER (X.690).
#include "host/attest/intel.h"

#include <string.h>

#define DER_INTEGER 0x02
#define DER_OCTETS 0x04
#define DER_OID 0x06
#define DER_ENUMERATED 0x0a
#define DER_BOOLEAN 0x01
#define DER_SEQUENCE 0x30
#define SGX_TYPE_SCALABLE 1
#define TCB_COMPONENTS 16u

const uint8_t sh_sgx_extension_oid[9] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};

static size_t put_head(uint8_t *out, uint8_t tag, size_t size)
{
    out[0] = tag;
    if (size < 128) {
        out[1] = (uint8_t)size;
        return 2;
    }
    out[1] = 0x82;
    out[2] = (uint8_t)(size >> 8);
    out[3] = (uint8_t)size;
    return 4;
}

static size_t put_octets(uint8_t *out, const void *data, size_t size)
{
    size_t at = put_head(out, DER_OCTETS, size);
    memcpy(out + at, data, size);
    return at + size;
}

static size_t put_integer(uint8_t *out, uint16_t value)
{
    uint8_t bytes[3] = {0, (uint8_t)(value >> 8), (uint8_t)value};
    size_t skip = value < 0x80 ? 2 : value < 0x8000 ? 1 : 0; /* minimal, and not negative */
    size_t at = put_head(out, DER_INTEGER, 3 - skip);
    memcpy(out + at, bytes + skip, 3 - skip);
    return at + 3 - skip;
}

/* SEQUENCE { OID sh_sgx_extension_oid.arcs, value } */
static size_t put_item(uint8_t *out, const uint8_t *arcs, size_t arc_count, const uint8_t *value,
                       size_t value_size)
{
    uint8_t body[SH_SGX_EXTENSION_MAX];
    size_t at = put_head(body, DER_OID, sizeof(sh_sgx_extension_oid) + arc_count);
    memcpy(body + at, sh_sgx_extension_oid, sizeof(sh_sgx_extension_oid));
    at += sizeof(sh_sgx_extension_oid);
    memcpy(body + at, arcs, arc_count);
    at += arc_count;
    memcpy(body + at, value, value_size);
    at += value_size;
    size_t start = put_head(out, DER_SEQUENCE, at);
    memcpy(out + start, body, at);
    return start + at;
}

/* Components 1 to 16, PCESVN, CPUSVN. */
static size_t put_tcb(uint8_t *out, const struct sh_pck_values *v)
{
    uint8_t list[SH_SGX_EXTENSION_MAX], value[64];
    size_t size = 0;
    for (uint8_t i = 1; i <= TCB_COMPONENTS + 2; i++) {
        const uint8_t arcs[] = {2, i};
        size_t n = i <= TCB_COMPONENTS       ? put_integer(value, v->svn[i - 1])
                   : i == TCB_COMPONENTS + 1 ? put_integer(value, v->pcesvn)
                                             : put_octets(value, v->cpusvn, sizeof(v->cpusvn));
        size += put_item(list + size, arcs, sizeof(arcs), value, n);
    }
    size_t at = put_head(out, DER_SEQUENCE, size);
    memcpy(out + at, list, size);
    return at + size;
}

/* Dynamic platform, cached keys, SMT. */
static size_t put_configuration(uint8_t *out)
{
    static const uint8_t flags[] = {0xff, 0xff, 0xff}; /* as a server with SMT has them */
    uint8_t list[128];
    size_t size = 0;
    for (uint8_t i = 1; i <= sizeof(flags); i++) {
        const uint8_t arcs[] = {7, i}, value[] = {DER_BOOLEAN, 1, flags[i - 1]};
        size += put_item(list + size, arcs, sizeof(arcs), value, sizeof(value));
    }
    size_t at = put_head(out, DER_SEQUENCE, size);
    memcpy(out + at, list, size);
    return at + size;
}

size_t sh_sgx_extension(uint8_t *out, const struct sh_pck_values *v)
{
    uint8_t list[SH_SGX_EXTENSION_MAX], value[SH_SGX_EXTENSION_MAX];
    size_t size = 0;
    size +=
        put_item(list, (const uint8_t[]){1}, 1, value, put_octets(value, v->ppid, sizeof(v->ppid)));
    size += put_item(list + size, (const uint8_t[]){2}, 1, value, put_tcb(value, v));
    size += put_item(list + size, (const uint8_t[]){3}, 1, value,
                     put_octets(value, v->pceid, sizeof(v->pceid)));
    size += put_item(list + size, (const uint8_t[]){4}, 1, value,
                     put_octets(value, v->fmspc, sizeof(v->fmspc)));
    /* What certificates of a Platform CA have besides (Intel's PCK certificate profile, 1.3.5). */
    static const uint8_t type[] = {DER_ENUMERATED, 1, SGX_TYPE_SCALABLE};
    size += put_item(list + size, (const uint8_t[]){5}, 1, type, sizeof(type));
    size += put_item(list + size, (const uint8_t[]){6}, 1, value,
                     put_octets(value, v->instance, sizeof(v->instance)));
    size += put_item(list + size, (const uint8_t[]){7}, 1, value, put_configuration(value));
    size_t at = put_head(out, DER_SEQUENCE, size);
    memcpy(out + at, list, size);
    return at + size;
}
