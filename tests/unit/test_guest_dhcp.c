// SPDX-License-Identifier: Apache-2.0
// The DHCP client's messages: a good server, and every bad one.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "trusted/guest/guest.h"

static const uint8_t mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
#define XID 0x1badcafeu

struct reply {
    uint8_t data[1500];
    size_t size;
};

static void option(struct reply *r, uint8_t code, const void *data, uint8_t size)
{
    r->data[r->size++] = code;
    r->data[r->size++] = size;
    memcpy(r->data + r->size, data, size);
    r->size += size;
}

static struct reply offer(uint8_t type)
{
    struct reply r = {.size = 240};
    uint32_t xid = XID;
    r.data[0] = 2;
    r.data[1] = 1;
    r.data[2] = 6;
    memcpy(r.data + 4, &xid, 4);
    memcpy(r.data + 16, "\x0a\0\2\x0f", 4);
    memcpy(r.data + 28, mac, 6);
    memcpy(r.data + 236, "\x63\x82\x53\x63", 4);
    option(&r, 53, &type, 1);
    option(&r, 54, "\x0a\0\2\2", 4);
    option(&r, 1, "\xff\xff\xff\0", 4);
    option(&r, 3, "\x0a\0\2\2", 4);
    option(&r, 6, "\x0a\0\2\3\1\1\1\1", 8);
    return r;
}

static int parse(struct guest_lease *l, const struct reply *r, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, r->data, size);
    int rc = guest_dhcp_parse(l, copy, size, XID, mac);
    free(copy);
    return rc;
}

static void test_good(void **state)
{
    struct guest_lease l;
    struct reply r = offer(GUEST_DHCP_OFFER);
    assert_int_equal(parse(&l, &r, r.size), 0);
    assert_int_equal(l.type, GUEST_DHCP_OFFER);
    assert_memory_equal(l.address, "\x0a\0\2\x0f", 4);
    assert_memory_equal(l.router, "\x0a\0\2\2", 4);
    assert_memory_equal(l.mask, "\xff\xff\xff\0", 4);
    assert_int_equal(l.dns_count, 2);
    assert_memory_equal(l.dns[1], "\1\1\1\1", 4);
    r.data[r.size++] = 255;
    memset(r.data + r.size, 0xee, 100); /* after the end option: anything */
    r.size += 100;
    assert_int_equal(parse(&l, &r, r.size), 0);
    r = offer(GUEST_DHCP_NAK);
    memset(r.data + 16, 0, 4);
    assert_int_equal(parse(&l, &r, r.size), 0);
    assert_int_equal(l.type, GUEST_DHCP_NAK);
}

static void test_build(void **state)
{
    uint8_t out[GUEST_DHCP_SIZE];
    struct guest_lease l;
    struct reply r = offer(GUEST_DHCP_OFFER);
    uint32_t xid = XID;
    assert_int_equal(guest_dhcp_build(out, XID, mac, NULL), 300);
    assert_true(out[0] == 1 && out[10] == 0x80 && out[242] == GUEST_DHCP_DISCOVER);
    assert_memory_equal(out + 4, &xid, 4);
    assert_memory_equal(out + 28, mac, 6);
    assert_int_equal(parse(&l, &r, r.size), 0);
    guest_dhcp_build(out, XID, mac, &l);
    assert_int_equal(out[242], GUEST_DHCP_REQUEST);
    assert_memory_equal(out + 243, "\x32\4\x0a\0\2\x0f\x36\4\x0a\0\2\2", 12);
    /* A request is not an answer: the client does not talk to itself. */
    assert_int_equal(guest_dhcp_parse(&l, out, 300, XID, mac), -EBADMSG);
}

static void test_bad(void **state)
{
    struct guest_lease l;
    struct reply r = offer(GUEST_DHCP_ACK);
    for (size_t n = 0; n < 252; n++) /* without type, server and mask whole */
        if (n != 249)                /* a mask may be missing */
            assert_int_equal(parse(&l, &r, n), -EBADMSG);
    for (size_t n = 252; n <= r.size; n++) {
        int rc = parse(&l, &r, n); /* torn: refused, or without the torn option */
        assert_true(rc == 0 || rc == -EBADMSG);
    }
    /* Fixed fields: each wrong byte counts. */
    static const size_t fixed[] = {0, 1, 2, 4, 5, 6, 7, 28, 29, 33, 236, 239};
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        r = offer(GUEST_DHCP_ACK);
        r.data[fixed[i]] ^= 0x40;
        assert_int_equal(parse(&l, &r, r.size), -EBADMSG);
    }
    static const char *const addresses[] = {"\0\0\0\0", "\x7f\0\0\1", "\xe0\0\0\1",
                                            "\xff\xff\xff\xff"};
    for (size_t i = 0; i < 4; i++) {
        r = offer(GUEST_DHCP_ACK);
        memcpy(r.data + 16, addresses[i], 4);
        assert_int_equal(parse(&l, &r, r.size), -EBADMSG);
    }
    static const char *const masks[] = {"\xff\0\xff\0", "\0\0\0\1", "\xff\xff\xff\xfd"};
    for (size_t i = 0; i < 3; i++) {
        r = offer(GUEST_DHCP_ACK);
        option(&r, 1, masks[i], 4);
        assert_int_equal(parse(&l, &r, r.size), -EBADMSG);
    }
    for (unsigned type = 0; type < 256; type++) {
        r = offer((uint8_t)type);
        bool good = type == GUEST_DHCP_OFFER || type == GUEST_DHCP_ACK || type == GUEST_DHCP_NAK;
        assert_int_equal(parse(&l, &r, r.size), good ? 0 : -EBADMSG);
    }
    /* An option that runs over the end; name servers without end. */
    r = offer(GUEST_DHCP_ACK);
    r.data[r.size++] = 6;
    r.data[r.size++] = 255;
    assert_int_equal(parse(&l, &r, r.size), -EBADMSG);
    r = offer(GUEST_DHCP_ACK);
    uint8_t many[252];
    memset(many, 9, sizeof(many));
    for (int i = 0; i < 4; i++)
        option(&r, 6, many, sizeof(many));
    assert_int_equal(parse(&l, &r, r.size), 0);
    assert_int_equal(l.dns_count, GUEST_DNS_MAX);
    /* Options of the wrong size are passed over. */
    r = offer(GUEST_DHCP_ACK);
    option(&r, 3, "\x0a\0", 2);
    option(&r, 54, "", 0);
    assert_int_equal(parse(&l, &r, r.size), 0);
    /* Noise. */
    srand(1);
    for (int i = 0; i < 20000; i++) {
        r = offer(GUEST_DHCP_ACK);
        for (int k = rand() % 8; k >= 0; k--)
            r.data[(size_t)rand() % r.size] = (uint8_t)rand();
        parse(&l, &r, (size_t)rand() % (r.size + 1));
        assert_true(l.dns_count <= GUEST_DNS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_build),
        cmocka_unit_test(test_bad),
    };
    return cmocka_run_group_tests_name("guest dhcp", tests, NULL, NULL);
}
