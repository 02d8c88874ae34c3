// SPDX-License-Identifier: Apache-2.0
// Where a workload's packets may go: the rule itself, for sockets' addresses, and for a guest's
// frames, whole and broken.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "host/base/egress.h"
#include "host/launch/qemu/frame.h"

static bool allowed(const struct sh_egress *e, const char *text)
{
    struct sh_egress_end end;
    assert_int_equal(sh_egress_parse(text, &end), 0);
    return sh_egress_allows(e, end.address, end.port);
}

static const char *const refused[] = {
    "127.0.0.1:80",
    "127.255.0.9:80",
    "0.0.0.0:80",
    "0.1.2.3:80",
    "169.254.169.254:80",
    "169.254.0.1:80",
    "100.100.100.200:80",
    "168.63.129.16:80",
    "192.0.0.192:80",
    "224.0.0.251:5353",
    "239.255.255.250:1900",
    "255.255.255.255:67",
    "10.0.2.2:80",
    "10.0.2.3:80",
    "10.0.2.15:80",
    "10.0.2.7:53",
    "[::1]:80",
    "[::]:80",
    "[::127.0.0.1]:80",
    "[::ffff:127.0.0.1]:80",
    "[::ffff:169.254.169.254]:80",
    "[64:ff9b::a9fe:a9fe]:80",
    "[64:ff9b::7f00:1]:80",
    "[64:ff9b:1::1]:80",
    "[fe80::1]:80",
    "[febf::1]:80",
    "[fec0::1]:80",
    "[ff02::fb]:5353",
    "[fd00:ec2::254]:80",
    "[fd20:ce::254]:80",
};
static const char *const open[] = {
    "10.0.2.3:53",    "10.0.1.2:80", "10.0.3.2:80",       "192.168.1.1:80", "172.17.0.1:80",
    "100.64.0.1:443", "8.8.8.8:53",  "[2001:db8::1]:443", "[fd12::1]:80",   "[64:ff9b::808:808]:53",
};

static void test_rule(void **state)
{
    const struct sh_egress none = {0}, loopback = {.host_loopback = true};
    struct sh_egress broker = {0};
    assert_int_equal(sh_egress_parse("10.0.2.2:8080", &broker.broker), 0);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        bool host = !strncmp(refused[i], "10.0.2.2:", 9);
        assert_false(allowed(&none, refused[i]));
        assert_false(allowed(&broker, refused[i]));
        assert_int_equal(allowed(&loopback, refused[i]), host);
    }
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        assert_true(allowed(&none, open[i]));
        assert_true(allowed(&broker, open[i]));
    }
    assert_true(allowed(&broker, "10.0.2.2:8080"));
    assert_true(allowed(&broker, "[::ffff:10.0.2.2]:8080"));
    assert_false(allowed(&broker, "10.0.2.2:8081"));
    assert_int_equal(sh_egress_parse("169.254.1.1:8080", &broker.broker), 0);
    assert_true(allowed(&broker, "169.254.1.1:8080"));
    assert_false(allowed(&broker, "169.254.1.1:80"));
    assert_false(allowed(&broker, "10.0.2.2:8080"));
}

static void test_parse(void **state)
{
    static const char *const bad[] = {
        "",        "1.2.3.4", "1.2.3.4:", "1.2.3.4:0",     "1.2.3.4:x", ":80",        "[]:80",
        "[::1:80", "::1:80",  "[::1]",    "1.2.3.4:65536", "name:80",   "[1.2.3.4]:1"};
    struct sh_egress_end end;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(sh_egress_parse(bad[i], &end), -EINVAL);
}

static void test_sockets(void **state)
{
    const struct sh_egress none = {0};
    struct sockaddr_in6 b = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(40000)};
    assert_false(sh_egress_allows_socket(&none, &b, sizeof(b), false));
    inet_pton(AF_INET6, "2001:db8::1", &b.sin6_addr);
    assert_true(sh_egress_allows_socket(&none, &b, sizeof(b), false));
    assert_false(sh_egress_allows_socket(&none, &b, sizeof(b) - 1, false));
    assert_false(sh_egress_allows_socket(&none, &b, 0, false));
    b.sin6_family = AF_UNIX;
    assert_false(sh_egress_allows_socket(&none, &b, sizeof(b), true));
    /* A published UDP port answers the host's own programs, and asks none of its services. */
    inet_pton(AF_INET, "10.0.2.2", &a.sin_addr);
    assert_false(sh_egress_allows_socket(&none, &a, sizeof(a), false));
    assert_true(sh_egress_allows_socket(&none, &a, sizeof(a), true));
    a.sin_port = htons(53);
    assert_false(sh_egress_allows_socket(&none, &a, sizeof(a), true));
    a.sin_port = htons(40000);
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    assert_false(sh_egress_allows_socket(&none, &a, sizeof(a), true));
}

/* --- frames --- */

struct packet {
    uint8_t bytes[14 + 60 + 20];
    size_t size;
};

static struct packet make(const char *to, unsigned protocol, unsigned from_port, unsigned to_port,
                          unsigned flags)
{
    struct packet p = {.bytes = {0x52, 0x55, 10, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 0},
                       .size = 14 + 20 + 20};
    uint8_t *ip = p.bytes + 14;
    ip[0] = 0x45;
    sh_frame_write(ip + 2, 2, 40);
    ip[8] = 64;
    ip[9] = (uint8_t)protocol;
    memcpy(ip + 12, (const uint8_t[]){10, 0, 2, 15}, 4);
    assert_int_equal(inet_pton(AF_INET, to, ip + 16), 1);
    sh_frame_write(ip + 20, 2, from_port);
    sh_frame_write(ip + 22, 2, to_port);
    ip[33] = (uint8_t)flags;
    return p;
}

static enum sh_frame_verdict judge(const struct sh_launch_spec *spec, const struct packet *p)
{
    return sh_frame_judge(spec, p->bytes, p->size);
}

#define SYN 2u
#define ACK 16u

static void test_frames(void **state)
{
    struct sh_port ports[] = {{.udp = true, .guest_port = 53}, {.guest_port = 54}};
    struct sh_launch_spec spec = {.network = true, .ports = ports, .port_count = 2};
    struct packet p = make("8.8.8.8", IPPROTO_TCP, 40000, 80, SYN);
    assert_int_equal(judge(&spec, &p), SH_FRAME_PASS);
    static const char *const no[] = {"10.0.2.2", "169.254.169.254", "127.0.0.1",
                                     "0.0.0.0",  "10.0.2.9",        "100.100.100.200"};
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        p = make(no[i], IPPROTO_TCP, 40000, 80, SYN);
        assert_int_equal(judge(&spec, &p), SH_FRAME_REFUSE);
        p = make(no[i], IPPROTO_UDP, 40000, 80, 0);
        assert_int_equal(judge(&spec, &p), SH_FRAME_REFUSE);
        p = make(no[i], IPPROTO_ICMP, 8 << 8, 0, 0);
        assert_int_equal(judge(&spec, &p), SH_FRAME_DROP);
        p = make(no[i], 47 /* GRE */, 0, 0, 0);
        assert_int_equal(judge(&spec, &p), SH_FRAME_REFUSE);
        /* Of a connection that came from there. */
        p = make(no[i], IPPROTO_TCP, 80, 40000, SYN | ACK);
        assert_int_equal(judge(&spec, &p), SH_FRAME_PASS);
    }
    p = make("8.8.8.8", IPPROTO_TCP, 40000, 80, SYN);
    memcpy(p.bytes + 14 + 12, (const uint8_t[]){127, 0, 0, 1}, 4); /* a source of no wire */
    assert_int_equal(judge(&spec, &p), SH_FRAME_DROP);
    p = make("255.255.255.255", IPPROTO_UDP, 68, 67, 0);
    assert_int_equal(judge(&spec, &p), SH_FRAME_DROP);
    p = make("10.0.2.3", IPPROTO_UDP, 40000, 53, 0);
    assert_int_equal(judge(&spec, &p), SH_FRAME_PASS);
    /* Answers of a published UDP port to the host's ephemeral ports; port 54 is published for TCP.
     */
    p = make("10.0.2.2", IPPROTO_UDP, 53, 40000, 0);
    assert_int_equal(judge(&spec, &p), SH_FRAME_PASS);
    p = make("10.0.2.2", IPPROTO_UDP, 54, 40000, 0);
    assert_int_equal(judge(&spec, &p), SH_FRAME_REFUSE);
    p = make("10.0.2.2", IPPROTO_UDP, 53, 111, 0);
    assert_int_equal(judge(&spec, &p), SH_FRAME_REFUSE);
    p = make("169.254.169.254", IPPROTO_UDP, 53, 40000, 0);
    assert_int_equal(judge(&spec, &p), SH_FRAME_REFUSE);
}

static void test_fragments(void **state)
{
    struct sh_launch_spec spec = {.network = true};
    assert_int_equal(sh_egress_parse("10.0.2.2:8080", &spec.egress.broker), 0);
    struct packet p = make("10.0.2.2", IPPROTO_TCP, 40000, 8080, SYN);
    assert_int_equal(judge(&spec, &p), SH_FRAME_PASS);
    sh_frame_write(p.bytes + 14 + 6, 2, 1); /* a later fragment: what looks like ports are none */
    assert_int_equal(judge(&spec, &p), SH_FRAME_REFUSE);
    p = make("10.0.2.2", IPPROTO_TCP, 40000, 80, ACK);
    p.size = 14 + 20 + 8; /* the flags come in the next one */
    sh_frame_write(p.bytes + 14 + 6, 2, 0x2000);
    assert_int_equal(judge(&spec, &p), SH_FRAME_REFUSE);
}

static void test_broken_frames(void **state)
{
    struct sh_launch_spec spec = {.network = true};
    struct packet p = make("8.8.8.8", IPPROTO_TCP, 40000, 80, SYN);
    for (size_t size = 0; size < 34; size++)
        assert_int_equal(sh_frame_judge(&spec, p.bytes, size), SH_FRAME_DROP);
    for (unsigned head = 0; head < 5; head++) {
        p.bytes[14] = (uint8_t)(0x40 | head);
        assert_int_equal(judge(&spec, &p), SH_FRAME_DROP);
    }
    p.bytes[14] = 0x4f; /* its head is longer than the frame */
    p.size = 14 + 59;
    assert_int_equal(judge(&spec, &p), SH_FRAME_DROP);
    p.bytes[14] = 0x65;
    p.size = 54;
    assert_int_equal(judge(&spec, &p), SH_FRAME_DROP);
    p.bytes[12] = 0x86; /* IPv6 */
    p.bytes[13] = 0xdd;
    assert_int_equal(judge(&spec, &p), SH_FRAME_DROP);
    p.bytes[12] = 8; /* ARP */
    p.bytes[13] = 6;
    assert_int_equal(judge(&spec, &p), SH_FRAME_PASS);
}

static uint32_t sum(const uint8_t *p, size_t size)
{
    uint32_t s = 0;
    for (size_t i = 0; i + 1 < size; i += 2)
        s += sh_frame_read(p + i, 2);
    return (s & 0xffff) + (s >> 16);
}

static void test_refusal(void **state)
{
    struct packet p = make("10.0.2.2", IPPROTO_TCP, 40000, 80, SYN);
    uint8_t a[SH_FRAME_REFUSAL_SIZE];
    assert_int_equal(sh_frame_refusal(p.bytes, p.size, a), 14 + 20 + 8 + 28);
    assert_memory_equal(a, p.bytes + 6, 6);
    assert_memory_equal(a + 14 + 16, p.bytes + 14 + 12, 4); /* to whom it came from */
    assert_int_equal(sum(a + 14, 20), 0xffff);
    assert_int_equal(sum(a + 34, 8 + 28), 0xffff);
    assert_int_equal(sh_frame_read(a + 34, 2), 3 << 8 | 13);
    assert_memory_equal(a + 42, p.bytes + 14, 28);
    p.size = 14 + 20; /* nothing behind the head */
    assert_int_equal(sh_frame_refusal(p.bytes, p.size, a), 14 + 20 + 8 + 20);
    p.bytes[14] = 0x4f; /* the longest head */
    p.size = 14 + 60 + 20;
    assert_int_equal(sh_frame_refusal(p.bytes, p.size, a), SH_FRAME_REFUSAL_SIZE);
}

/* --- the loopback of the machine's network namespace --- */

static void check_sums(const struct packet *p)
{
    const uint8_t *ip = p->bytes + 14;
    uint8_t pseudo[12 + 20];
    memcpy(pseudo, ip + 12, 8);
    memcpy(pseudo + 8, (const uint8_t[]){0, 6, 0, 20}, 4);
    memcpy(pseudo + 12, ip + 20, 20);
    assert_int_equal(sum(ip, 20), 0xffff);
    assert_int_equal(sum(pseudo, sizeof(pseudo)), 0xffff);
}

static void set_sums(struct packet *p)
{
    uint8_t *ip = p->bytes + 14, pseudo[12 + 20];
    sh_frame_write(ip + 10, 2, 0);
    sh_frame_write(ip + 36, 2, 0);
    sh_frame_write(ip + 10, 2, (uint16_t)~sum(ip, 20));
    memcpy(pseudo, ip + 12, 8);
    memcpy(pseudo + 8, (const uint8_t[]){0, 6, 0, 20}, 4);
    memcpy(pseudo + 12, ip + 20, 20);
    sh_frame_write(ip + 36, 2, (uint16_t)~sum(pseudo, sizeof(pseudo)));
    check_sums(p);
}

/* A packet to the machine from the loopback or, with another source, from the wire. */
static bool ask(const struct sh_launch_spec *spec, struct sh_frame_flows *flows, const char *source,
                unsigned client, unsigned server)
{
    bool local = !strcmp(source, "127.0.0.1");
    struct packet p = make(local ? source : "10.88.200.7", IPPROTO_TCP, client, server, ACK);
    assert_int_equal(inet_pton(AF_INET, source, p.bytes + 14 + 12), 1);
    return sh_frame_from_loopback(spec, flows, p.bytes, p.size);
}

/* Is the machine's packet from its port `server` to that port of 10.0.2.2 the loopback's? */
static bool is_taken(const struct sh_launch_spec *spec, struct sh_frame_flows *flows,
                     unsigned client, unsigned server)
{
    struct packet p = make("10.0.2.2", IPPROTO_TCP, server, client, ACK);
    memcpy(p.bytes + 14 + 12, spec->loopback.address, 4);
    return sh_frame_to_loopback(spec, flows, p.bytes, p.size);
}

/* A client on the wire may have the address 10.0.2.2, too. */
static void test_flows(void **state)
{
    static struct sh_frame_flows flows;
    struct sh_launch_spec spec = {.loopback = {.has = true, .address = {10, 88, 200, 7}}};
    assert_false(ask(&spec, &flows, "10.0.2.2", 40000, 80));
    assert_false(is_taken(&spec, &flows, 40000, 80));
    assert_true(ask(&spec, &flows, "127.0.0.1", 40000, 80));
    assert_true(is_taken(&spec, &flows, 40000, 80));
    assert_false(is_taken(&spec, &flows, 40001, 80));
    assert_false(is_taken(&spec, &flows, 40000, 81));
    assert_false(is_taken(&spec, &flows, 80, 40000));
    assert_false(ask(&spec, &flows, "10.0.2.2", 40001, 80)); /* others beside it */
    assert_false(ask(&spec, &flows, "10.0.2.3", 40000, 80));
    assert_true(is_taken(&spec, &flows, 40000, 80));
    assert_false(ask(&spec, &flows, "10.0.2.2", 40000, 80)); /* the pair is the wire's now */
    assert_false(is_taken(&spec, &flows, 40000, 80));
    /* Any number of clients of a server; of those in one place, the last. */
    for (unsigned client = 1; client < 65536; client++)
        assert_true(ask(&spec, &flows, "127.0.0.1", client, 80));
    for (unsigned client = 1; client < 65536; client++)
        assert_true(is_taken(&spec, &flows, client, 80));
    unsigned other = (40000 - 40503) & 0xffff;
    assert_true(ask(&spec, &flows, "127.0.0.1", other, 81));
    assert_true(is_taken(&spec, &flows, other, 81));
    assert_false(is_taken(&spec, &flows, 40000, 80));
    assert_false(ask(&spec, &flows, "10.0.2.2", 40000, 80));
    assert_true(is_taken(&spec, &flows, other, 81));
    assert_true(ask(&spec, &flows, "127.0.0.1", 40000, 80));
    assert_true(is_taken(&spec, &flows, 40000, 80));
    assert_false(is_taken(&spec, &flows, 40000, 0));
}

static void test_loopback(void **state)
{
    static const uint8_t local[] = {127, 0, 0, 1}, own[] = {10, 88, 200, 7}, host[] = {10, 0, 2, 2};
    static const uint8_t own_mac[] = {2, 4, 6, 8, 10, 12}, host_mac[] = {SH_FRAME_HOST_MAC};
    static struct sh_frame_flows flows;
    struct sh_launch_spec spec = {.loopback = {.has = true}},
                          without = {.loopback = {.has = false}};
    memcpy(spec.loopback.address, own, 4);
    memcpy(spec.loopback.mac, own_mac, 6);
    for (unsigned port = 1; port < 65536; port += 257) {
        struct packet p = make("127.0.0.1", IPPROTO_TCP, port, 8080, SYN), before;
        memcpy(p.bytes + 14 + 12, local, 4);
        set_sums(&p);
        before = p;
        assert_false(sh_frame_from_loopback(&without, &flows, p.bytes, p.size));
        assert_false(sh_frame_to_loopback(&spec, &flows, p.bytes, p.size));
        assert_memory_equal(p.bytes, before.bytes, p.size);
        assert_true(sh_frame_from_loopback(&spec, &flows, p.bytes, p.size));
        assert_memory_equal(p.bytes, own_mac, 6);
        assert_memory_equal(p.bytes + 6, host_mac, 6);
        assert_memory_equal(p.bytes + 14 + 12, host, 4);
        assert_memory_equal(p.bytes + 14 + 16, own, 4);
        check_sums(&p);
        memcpy(p.bytes + 14 + 12, own, 4); /* an answer: the same ends the other way round */
        memcpy(p.bytes + 14 + 16, host, 4);
        sh_frame_write(p.bytes + 14 + 20, 2, 8080);
        sh_frame_write(p.bytes + 14 + 22, 2, port);
        p.bytes[14 + 33] = SYN | ACK;
        set_sums(&p);
        before = p;
        assert_false(sh_frame_to_loopback(&without, &flows, p.bytes, p.size));
        assert_false(sh_frame_from_loopback(&spec, &flows, p.bytes, p.size));
        assert_memory_equal(p.bytes, before.bytes, p.size);
        assert_true(sh_frame_to_loopback(&spec, &flows, p.bytes, p.size));
        assert_memory_equal(p.bytes, host_mac, 6);
        assert_memory_equal(p.bytes + 14 + 12, local, 4);
        assert_memory_equal(p.bytes + 14 + 16, local, 4);
        check_sums(&p);
    }
    /* Nothing else: another end, another protocol, a fragment, less than a head of TCP. */
    struct packet good = make("10.0.2.2", IPPROTO_TCP, 80, 40000, ACK), p;
    memcpy(good.bytes + 14 + 12, own, 4);
    set_sums(&good);
    assert_true(ask(&spec, &flows, "127.0.0.1", 40000, 80));
    for (size_t size = 0; size < good.size; size++)
        assert_false(sh_frame_to_loopback(&spec, &flows, good.bytes, size));
    const struct {
        unsigned at;
        uint8_t value;
    } changes[] = {{12, 0x86}, {14, 0x46}, {20, 0x20}, {21, 1}, {23, 17}, {26, 11}, {33, 3}};
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        p = good;
        p.bytes[changes[i].at] = changes[i].value;
        assert_false(sh_frame_to_loopback(&spec, &flows, p.bytes, p.size));
        p.bytes[changes[i].at] = good.bytes[changes[i].at];
        assert_memory_equal(p.bytes, good.bytes, good.size);
    }
    assert_true(sh_frame_to_loopback(&spec, &flows, good.bytes, good.size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule),      cmocka_unit_test(test_parse),
        cmocka_unit_test(test_sockets),   cmocka_unit_test(test_frames),
        cmocka_unit_test(test_fragments), cmocka_unit_test(test_broken_frames),
        cmocka_unit_test(test_refusal),   cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_flows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
