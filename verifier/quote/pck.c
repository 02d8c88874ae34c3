// SPDX-License-Identifier: Apache-2.0
// The SGX extension: a SEQUENCE of { OID 1.2.840.113741.1.13.1.n, value }.
#include "verifier/quote/pck.h"
#include "verifier/base/der.h"

#include <errno.h>

static const uint8_t sgx_oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};

// Takes { OID sgx_oid.arc..., value } and leaves `item` at the value. Returns the last arc, and
// the one before it in *outer when the OID is one level deeper. -1 if malformed.
static int take_item(struct sv_bytes *list, struct sv_bytes *item, int *outer)
{
    struct sv_bytes oid;

    if (!sv_der_take(list, SV_DER_SEQUENCE, item) || !sv_der_take(item, SV_DER_OID, &oid) ||
        oid.size < sizeof(sgx_oid) + 1 || oid.size > sizeof(sgx_oid) + 2 ||
        memcmp(oid.data, sgx_oid, sizeof(sgx_oid)))
        return -1;
    *outer = oid.size == sizeof(sgx_oid) + 2 ? oid.data[sizeof(sgx_oid)] : 0;
    return oid.data[oid.size - 1];
}

static bool take_octets(struct sv_bytes *item, uint8_t *out, size_t size)
{
    struct sv_bytes body;

    if (!sv_der_take(item, SV_DER_OCTETS, &body) || body.size != size)
        return false;
    memcpy(out, body.data, size);
    return true;
}

static bool parse_tcb(struct sv_bytes *item, struct sv_pck *out)
{
    struct sv_bytes list, field;
    uint32_t seen = 0, value;

    if (!sv_der_take(item, SV_DER_SEQUENCE, &list))
        return false;
    while (list.size) {
        int outer, arc = take_item(&list, &field, &outer);

        if (arc < 1 || arc > 18 || outer != 2 || seen & 1u << arc)
            return false;
        seen |= 1u << arc;
        if (arc == 18) {
            if (!take_octets(&field, out->cpusvn, 16))
                return false;
            continue;
        }
        if (!sv_der_uint(&field, &value) || value > (arc == 17 ? 0xffffu : 0xffu))
            return false;
        if (arc == 17)
            out->pcesvn = (uint16_t)value;
        else
            out->svn[arc - 1] = (uint8_t)value;
    }
    return seen == (1u << 19) - 2;
}

static bool parse_type(struct sv_bytes *item, struct sv_pck *out)
{
    struct sv_bytes body;

    if (!sv_der_take(item, SV_DER_ENUMERATED, &body) || body.size != 1 || body.data[0] > 2)
        return false;
    out->sgx_type = body.data[0];
    return true;
}

static bool parse_configuration(struct sv_bytes *item, struct sv_pck *out)
{
    struct sv_bytes list, field, body;
    bool *const flags[] = {NULL, &out->dynamic_platform, &out->cached_keys, &out->smt_enabled};

    if (!sv_der_take(item, SV_DER_SEQUENCE, &list))
        return false;
    while (list.size) {
        int outer, arc = take_item(&list, &field, &outer);

        if (arc < 1 || arc > 3 || outer != 7 || !sv_der_take(&field, SV_DER_BOOLEAN, &body) ||
            body.size != 1)
            return false;
        *flags[arc] = body.data[0];
    }
    return out->has_configuration = true;
}

int sv_pck_parse(X509 *cert, struct sv_pck *out)
{
    const ASN1_OCTET_STRING *ext = sv_extension(cert, sgx_oid, sizeof(sgx_oid));
    struct sv_bytes in, list, item;
    uint32_t seen = 0;
    bool ok = true;

    *out = (struct sv_pck){0};
    if (!ext)
        return -EBADMSG;
    in = (struct sv_bytes){ASN1_STRING_get0_data(ext), (size_t)ASN1_STRING_length(ext)};
    if (!sv_der_take(&in, SV_DER_SEQUENCE, &list) || in.size)
        return -EBADMSG;
    while (ok && list.size) {
        int outer, arc = take_item(&list, &item, &outer);

        if (arc < 1 || arc > 31 || outer || seen & 1u << arc)
            return -EBADMSG;
        seen |= 1u << arc;
        if (arc == 1)
            ok = take_octets(&item, out->ppid, 16);
        else if (arc == 2)
            ok = parse_tcb(&item, out);
        else if (arc == 3)
            ok = take_octets(&item, out->pceid, 2);
        else if (arc == 4)
            ok = take_octets(&item, out->fmspc, 6);
        else if (arc == 5)
            ok = parse_type(&item, out);
        else if (arc == 6)
            ok = out->has_instance = take_octets(&item, out->instance, 16);
        else if (arc == 7)
            ok = parse_configuration(&item, out);
    }
    return ok && (seen & 0x1e) == 0x1e ? 0 : -EBADMSG;
}
