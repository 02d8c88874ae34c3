// SPDX-License-Identifier: Apache-2.0
// The quoting service's protocol against a scripted service: good, wrong and torn answers.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "host/attest/aesm.h"
#include "host/base/util.h"

static char folder[] = "/tmp/shelter-test-aesm-XXXXXX";
static char *path;
static int listen_fd;

/* What the service answers to the next connections, in order; what it was asked. */
static struct {
    uint8_t bytes[70000];
    size_t size;
    uint32_t announced; /* 0: size */
} answers[3];
static struct {
    uint8_t bytes[2048];
    size_t size;
} asked[3];

static int setup(void **state)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    signal(SIGPIPE, SIG_IGN); /* as the loader does */
    if (!mkdtemp(folder))
        return -1;
    path = sh_format("%s/aesm.socket", folder);
    strcpy(a.sun_path, path);
    listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return bind(listen_fd, (struct sockaddr *)&a, sizeof(a)) || listen(listen_fd, 4);
}

static int teardown(void **state)
{
    close(listen_fd);
    sh_remove_tree(AT_FDCWD, folder);
    free(path);
    return 0;
}

static void *serve(void *arg)
{
    for (int i = 0; i < (int)(intptr_t)arg; i++) {
        uint8_t head[4];
        int fd = accept(listen_fd, NULL, NULL);
        if (!sh_read_all(fd, head, 4) && sh_le32(head) <= sizeof(asked[i].bytes)) {
            asked[i].size = sh_le32(head);
            sh_read_all(fd, asked[i].bytes, asked[i].size);
        }
        sh_put_le32(head, answers[i].announced ? answers[i].announced : (uint32_t)answers[i].size);
        sh_write_all(fd, head, 4);
        sh_write_all(fd, answers[i].bytes, answers[i].size);
        close(fd);
    }
    return NULL;
}

static size_t varint(uint8_t *out, uint64_t v)
{
    size_t n = 0;
    for (; v > 0x7f; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

/* Response { answer { errorCode = error, 2 = data or number } } */
static void script(int i, unsigned answer, uint64_t error, const uint8_t *data, size_t size,
                   uint64_t number)
{
    static uint8_t inner[69000];
    size_t n = 0, at;
    inner[n++] = 1 << 3;
    n += varint(inner + n, error);
    if (data) {
        inner[n++] = 2 << 3 | 2;
        n += varint(inner + n, size);
        memcpy(inner + n, data, size);
        n += size;
    } else {
        inner[n++] = 2 << 3;
        n += varint(inner + n, number);
    }
    at = varint(answers[i].bytes, answer << 3 | 2);
    at += varint(answers[i].bytes + at, n);
    memcpy(answers[i].bytes + at, inner, n);
    answers[i].size = at + n;
    answers[i].announced = 0;
}

static int run(int count, int (*f)(struct sh_error *err), struct sh_error *err)
{
    pthread_t t;
    *err = (struct sh_error){0};
    assert_int_equal(pthread_create(&t, NULL, serve, (void *)(intptr_t)count), 0);
    int r = f(err);
    pthread_join(t, NULL);
    return r;
}

static struct sgx_targetinfo target;
static struct sgx_report report;
static uint8_t quote[32768];

static int do_target(struct sh_error *err)
{
    return sh_aesm_target(path, &target, err);
}

static int do_quote(struct sh_error *err)
{
    return sh_aesm_quote(path, &report, quote, err);
}

static void test_target(void **state)
{
    struct sh_error err;
    uint8_t bytes[513];
    memset(bytes, 0x77, sizeof(bytes));
    script(0, 15, 0, bytes, 512, 0);
    assert_int_equal(run(1, do_target, &err), 0);
    assert_memory_equal(&target, bytes, 512);
    /* Request { 15: { 1: 256 bytes, 3: 1, 4: 32, 9: timeout } } */
    static const uint8_t head[] = {15 << 3 | 2, 0x8d, 0x02, 1 << 3 | 2, 0x80, 0x02};
    assert_memory_equal(asked[0].bytes, head, 1);
    assert_memory_equal(asked[0].bytes + 3, head + 3, 3);
    static const uint8_t tail[] = {3 << 3, 1, 4 << 3, 32, 9 << 3};
    assert_memory_equal(asked[0].bytes + 6 + 256, tail, sizeof(tail));
    for (size_t wrong = 511; wrong <= 513; wrong += 2) {
        script(0, 15, 0, bytes, wrong, 0);
        assert_int_equal(run(1, do_target, &err), -EBADMSG);
    }
    script(0, 16, 0, bytes, 512, 0); /* another request's answer */
    assert_int_equal(run(1, do_target, &err), -EBADMSG);
    script(0, 15, 42, bytes, 512, 0);
    assert_int_equal(run(1, do_target, &err), -EREMOTEIO);
    assert_non_null(strstr(err.text, "42"));
}

static void test_quote(void **state)
{
    static uint8_t bytes[40000];
    struct sh_error err;
    memset(bytes, 0x5a, sizeof(bytes));
    sh_put_le32(bytes + 432, 4000);
    script(0, 16, 0, NULL, 0, 5000);
    script(1, 17, 0, bytes, 5000, 0);
    assert_int_equal(run(2, do_quote, &err), 4436);
    assert_memory_equal(quote, bytes, 4436);
    sh_put_le32(bytes + 432, 5000 - 436 + 1); /* ends beyond its end */
    script(1, 17, 0, bytes, 5000, 0);
    assert_int_equal(run(2, do_quote, &err), -EBADMSG);
    sh_put_le32(bytes + 432, 0xffffffff);
    script(1, 17, 0, bytes, 5000, 0);
    assert_int_equal(run(2, do_quote, &err), -EBADMSG);
    script(1, 17, 0, bytes, 435, 0);
    assert_int_equal(run(2, do_quote, &err), -EBADMSG);
    script(1, 17, 0, bytes, 32769, 0);
    assert_int_equal(run(2, do_quote, &err), -EBADMSG);
    script(0, 16, 0, NULL, 0, 32769);
    assert_int_equal(run(1, do_quote, &err), -EBADMSG);
    script(0, 16, 0, NULL, 0, UINT64_MAX);
    assert_int_equal(run(1, do_quote, &err), -EBADMSG);
}

static void test_torn(void **state)
{
    struct sh_error err;
    uint8_t bytes[512] = {1};
    script(0, 15, 0, bytes, 512, 0);
    size_t whole = answers[0].size;
    for (size_t n = 0; n < whole; n += n < 8 || n > whole - 8 ? 1 : 64) {
        answers[0].size = n;
        assert_true(run(1, do_target, &err) < 0);
        answers[0].announced = (uint32_t)whole; /* and then closes */
        assert_true(run(1, do_target, &err) < 0);
        answers[0].announced = 0;
    }
    answers[0].announced = SH_AESM_MESSAGE_MAX + 1;
    assert_int_equal(run(1, do_target, &err), -EMSGSIZE);
    close(listen_fd);
    assert_int_equal(do_target(&err), -ENODEV);
    unlink(path);
    assert_int_equal(do_target(&err), -ENODEV);
}

static void test_parse(void **state)
{
    struct sh_aesm_answer a;
    static const struct {
        uint8_t bytes[16];
        size_t size;
    } wrong[] = {
        {{0x7a, 0x7f, 0x08}, 3},                                               /* beyond the end */
        {{0x7a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 11}, /* a huge size */
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 11}, /* no end */
        {{0x7b, 0x00}, 2},                                                     /* a group */
        {{0x7a, 0x00}, 2},                                                     /* no errorCode */
        {{0}, 0},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(sh_aesm_parse(wrong[i].bytes, wrong[i].size, 15, &a), -EBADMSG);
    static const uint8_t good[] = {0x0d, 1, 2, 3, 4, 0x7a, 2, 0x08, 0x07};
    assert_int_equal(sh_aesm_parse(good, sizeof(good), 15, &a), 0);
    assert_int_equal(a.error, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target),
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_torn),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
