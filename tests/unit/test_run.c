// SPDX-License-Identifier: Apache-2.0
// host/run without a VM: addresses, ports, options, frames, log, config and state of instances.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/signal_name.h"
#include "host/base/temp.h"
#include "host/cli/foreground.h"
#include "host/cli/options.h"
#include "host/run/allowed.h"
#include "host/run/broker_address.h"
#include "host/run/exec_request.h"
#include "host/run/frames.h"
#include "host/run/instance.h"
#include "host/run/instance_log.h"
#include "host/run/ports.h"
#include "host/run/stream.h"
#include "lib/bytes.h"

static void broker(const char *text, const char *want)
{
    struct sh_error err = {0};
    char *url = sh_broker_url(text, true, &err);
    if (want)
        assert_string_equal(url, want);
    else
        assert_null(url);
    assert_int_equal(!want, err.text[0] != 0);
    free(url);
}

static void test_broker(void **state)
{
    broker("kbs", "https://kbs:8080");
    broker("kbs.example.org:9000", "https://kbs.example.org:9000");
    broker("127.0.0.1", "https://10.0.2.2:8080");
    broker("127.1.2.3:81", "https://10.0.2.2:81");
    broker("localhost:8080", "https://10.0.2.2:8080");
    broker("LocalHost", "https://10.0.2.2:8080");
    broker("[::1]:7000", "https://10.0.2.2:7000");
    broker("::1", "https://10.0.2.2:8080");
    broker("[2001:db8::1]:7000", "https://[2001:db8::1]:7000");
    broker("2001:db8::1", "https://[2001:db8::1]:8080");
    broker("https://kbs/path/x", "https://kbs/path/x");
    broker("http://127.0.0.1:8080/kbs", "http://10.0.2.2:8080/kbs");
    broker("HTTPS://[::1]", "https://10.0.2.2");
    broker("localhost.evil.org", "https://localhost.evil.org:8080");
    broker("1270.0.0.1", "https://1270.0.0.1:8080");
    static const char *const bad[] = {
        "",
        ":",
        ":80",
        "kbs:",
        "kbs:0",
        "kbs:65536",
        "kbs:80x",
        "kbs:-1",
        "a b",
        "ftp://kbs",
        "[::1",
        "[::1]x",
        "[kbs]:80",
        "http://",
        "http:///x",
        "http://kbs/a b",
        "http://kbs/'''",
        "user@kbs",
        "kbs/path",
        "http://kbs/?q",
        "-kbs",
        "::1:80:zz",
        "kbs\n",
        "http://kbs/\x80",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        broker(bad[i], NULL);
    struct sh_error err = {0};
    char *own = sh_broker_url("localhost:1", false, &err);
    assert_string_equal(own, "https://localhost:1");
    free(own);
}

static void test_ports(void **state)
{
    struct sh_error err = {0};
    struct sh_port p;
    assert_int_equal(sh_port_parse("8080:80", &p, &err), 0);
    assert_int_equal(p.host_port, 8080);
    assert_int_equal(p.guest_port, 80);
    assert_false(p.udp);
    assert_string_equal(p.host_address, "");
    assert_int_equal(sh_port_parse("127.0.0.1:5353:53/udp", &p, &err), 0);
    assert_true(p.udp);
    assert_string_equal(p.host_address, "127.0.0.1");
    assert_int_equal(sh_port_parse("127.0.0.1::53", &p, &err), 0);
    assert_int_equal(p.host_port, 0);
    assert_int_equal(sh_port_parse("[fd00::5]:8080:80", &p, &err), 0);
    assert_string_equal(p.host_address, "fd00::5");
    assert_true(p.host_port == 8080 && p.guest_port == 80);
    assert_int_equal(sh_port_parse("[::]::80/tcp", &p, &err), 0);
    assert_string_equal(p.host_address, "::");
    assert_int_equal(p.host_port, 0);
    assert_int_equal(sh_port_parse("53", &p, &err), 0);
    assert_int_equal(p.guest_port, 53);
    static const char *const bad[] = {"",           "x",           "80:",        "80:x",
                                      "80:70000",   "80:0",        "-1:80",      "80/sctp",
                                      "1:2:3",      "a.b:1:2",     "[::1]:80",   "[::1]80:80",
                                      "[::1:80:80", "[::g]:80:80", "[]:80:80",   "[1.2.3.4]:80:80",
                                      "::1:80:80",  "8006",        "1:8006/tcp", "80:80/",
                                      " 80",        "80 "};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        memset(&err, 0, sizeof(err));
        assert_int_equal(sh_port_parse(bad[i], &p, &err), -EINVAL);
        assert_true(err.text[0]);
    }
    assert_int_equal(sh_port_parse("[::1]:80:80/udp", &p, &err), 0);
    assert_true(p.udp);
    /* A free one is found, and then it is not free twice. */
    struct sh_port two[2];
    memset(&err, 0, sizeof(err));
    assert_int_equal(sh_port_parse("127.0.0.1::80", &two[0], &err), 0);
    assert_int_equal(sh_ports_check(two, 1, &err), 0);
    assert_true(two[0].host_port);
    two[1] = two[0];
    assert_int_equal(sh_ports_check(two, 2, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, "in use"));
}

static void test_mounts(void **state)
{
    struct sh_error err = {0};
    struct sh_mount m;
    assert_int_equal(sh_mount_parse("/tmp/../tmp:/data:ro", &m, &err), 0);
    assert_string_equal(m.source, "/tmp");
    assert_string_equal(m.target, "/data");
    assert_true(m.read_only);
    free(m.source);
    free(m.target);
    static const char *const bad[] = {"",
                                      "/tmp",
                                      "/tmp:",
                                      "/tmp:data",
                                      "/tmp:/d:x",
                                      ":/data",
                                      "vol:/data",
                                      "/nonexistent/x:/data",
                                      "/etc/passwd:/data",
                                      "/tmp:/"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        memset(&err, 0, sizeof(err));
        assert_true(sh_mount_parse(bad[i], &m, &err) < 0);
        assert_true(err.text[0]);
    }
}

static int parse(struct sh_run_options *o, const char *line)
{
    static char copy[512];
    static char *argv[32];
    int argc = 0;
    snprintf(copy, sizeof(copy), "run %s", line);
    for (char *save, *w = strtok_r(copy, "|", &save); w; w = strtok_r(NULL, "|", &save))
        argv[argc++] = w;
    char *space = strchr(argv[0], ' ');
    for (int i = argc; space && space[1] && i > 1; i--)
        argv[i] = argv[i - 1];
    if (space && space[1])
        argv[1] = space + 1, argc++;
    *space = 0;
    argv[argc] = NULL;
    return sh_run_options_parse(SH_VERB_run, argc, argv, o);
}

static void test_options(void **state)
{
    struct sh_run_options o;
    assert_int_equal(parse(&o, "-t|md5|-c|/bin/md5 'a b'|-i|127.0.0.1:8080|-m|2G"), -1);
    assert_string_equal(o.image, "md5");
    assert_int_equal(o.command.count, 2);
    assert_string_equal(o.command.v[1], "a b");
    assert_string_equal(o.broker, "127.0.0.1:8080");
    assert_true(o.memory == 2ull << 30);
    sh_run_options_free(&o);

    /* Options end at the image. */
    assert_int_equal(parse(&o, "-d|--rm|-eA=1|-e|A=2|img|-it|--rm|-p"), -1);
    assert_string_equal(o.image, "img");
    assert_true(o.detach && o.remove);
    assert_int_equal(o.command.count, 3);
    assert_int_equal(o.env.count, 1);
    assert_string_equal(o.env.v[0], "A=2");
    sh_run_options_free(&o);

    /* With -t all plain arguments are the command. */
    assert_int_equal(parse(&o, "-t|img|prog|-x"), -1);
    assert_string_equal(o.image, "img");
    assert_int_equal(o.command.count, 2);
    sh_run_options_free(&o);

    static const char *const bad[] = {
        "-it|img",
        "-ti|img",
        "-dit|img",
        "img2|",
        "--nope|img",
        "-t",
        "-m|20M|img",
        "-m|x|img",
        "--cpus|0|img",
        "--cpus|1.5|img",
        "--cpus|-1|img",
        "--boot|uefi|img",
        "--network|host|img",
        "--name|a/b|img",
        "--name||img",
        "-w|rel|img",
        "-d|--tty|img",
        "-p|80|--network|none|img",
        "-i|x|--network|none|img",
        "-d",
        "-e|=x|img",
        "-c|'open|img",
        "-t||",
        "--hostname|a b|img",
        "--hostname|-a|img",
        "--hostname|a/b|img",
        "--hostname|a\nb|img",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (!strcmp(bad[i], "img2|") || !strcmp(bad[i], "-t||") || !strcmp(bad[i], "--name||img"))
            continue; /* strtok drops empty words */
        assert_int_equal(parse(&o, bad[i]), 125);
        sh_run_options_free(&o);
    }
    assert_true(sh_is_dash_it("-it") && sh_is_dash_it("-ti") && sh_is_dash_it("-itd"));
    assert_false(sh_is_dash_it("-i") || sh_is_dash_it("-t") || sh_is_dash_it("-d") ||
                 sh_is_dash_it("-int") || sh_is_dash_it("it") || sh_is_dash_it("-"));
}

static void test_env_file(void **state)
{
    char path[] = "/tmp/shelter-env.XXXXXX";
    struct sh_error err = {0};
    struct sh_strings env = {0};
    int fd = mkstemp(path);
    const char text[] = "# comment\n\nA=1\n  B=two words \r\nC\nD==\nA=3";
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    setenv("C", "from here", 1);
    assert_int_equal(sh_env_file(&env, path, &err), 0);
    assert_int_equal(env.count, 4);
    assert_string_equal(env.v[0], "A=3");
    assert_string_equal(env.v[1], "B=two words ");
    assert_string_equal(env.v[2], "C=from here");
    assert_string_equal(env.v[3], "D==");
    sh_strings_free(&env);
    assert_int_equal(pwrite(fd, "A B=1\n", 6, 0), 6);
    assert_int_equal(sh_env_file(&env, path, &err), -EINVAL);
    assert_non_null(strstr(err.text, "line 1"));
    sh_strings_free(&env);
    close(fd);
    unlink(path);
    assert_int_equal(sh_env_file(&env, path, &err), -ENOENT);
}

static void test_signals(void **state)
{
    struct sh_error err = {0};
    uint32_t n;
    assert_int_equal(sh_signal_parse("TERM", &n, &err), 0);
    assert_int_equal(n, 15);
    assert_int_equal(sh_signal_parse("sigusr1", &n, &err), 0);
    assert_int_equal(n, 10);
    assert_int_equal(sh_signal_parse("64", &n, &err), 0);
    assert_int_equal(sh_signal_parse("65", &n, &err), -EINVAL);
    assert_int_equal(sh_signal_parse("0", &n, &err), -EINVAL);
    assert_int_equal(sh_signal_parse("", &n, &err), -EINVAL);
    assert_int_equal(sh_signal_parse("SIG", &n, &err), -EINVAL);
    struct sh_instance_config c = {.signals = 1 << 1 | 1 << 2 | 1 << 8};
    assert_int_equal(sh_signal_need(&c, 2, &err), 0);
    assert_int_equal(sh_signal_need(&c, 3, &err), 0);
    assert_int_equal(sh_signal_need(&c, 9, &err), 0);
    assert_int_equal(sh_signal_need(&c, 1, &err), -EPERM);
    assert_int_equal(sh_signal_need(&c, 0, &err), -EINVAL);
    c.signals = UINT64_MAX;
    assert_int_equal(sh_signal_need(&c, 1, &err), 0);
    assert_int_equal(sh_signal_need(&c, 65, &err), -EINVAL);
}

static void test_fifo(void **state)
{
    struct sh_fifo f = {0};
    uint8_t next_in = 0, next_out = 0, bytes[700];
    for (int round = 0; round < 2000; round++) {
        size_t n = (size_t)(round * 37 % 700);
        for (size_t i = 0; i < n; i++)
            bytes[i] = next_in++;
        sh_fifo_add(&f, bytes, n);
        size_t take = f.size * (size_t)(round % 5) / 4;
        for (size_t i = 0; i < take; i++)
            assert_int_equal(sh_fifo_peek(&f)[i], next_out++);
        sh_fifo_drop(&f, take);
    }
    sh_fifo_free(&f);
}

static void test_frames(void **state)
{
    struct sh_fifo out = {0};
    struct sh_frame_reader in = {0};
    struct sh_frame_view f;
    uint8_t big[SH_FRAME_SIZE_MAX];
    memset(big, 'x', sizeof(big));
    sh_frame_put(&out, SH_FRAME_DATA, SH_STREAM_OUT, 7, big, sizeof(big));
    sh_frame_put_exit(&out, 0, 3, 11, NULL);
    sh_frame_put_text(&out, SH_FRAME_ERROR, 0, 127, "no\nway");
    sh_frame_put(&out, SH_FRAME_EOF, SH_STREAM_ERR, 65535, NULL, 0);
    unsigned count = 0;
    for (size_t i = 0; i < out.size; i++) { /* byte by byte */
        sh_frames_feed(&in, sh_fifo_peek(&out) + i, 1);
        while (sh_frames_next(&in, &f) == 1) {
            char text[16];
            if (count == 0) {
                assert_int_equal(f.size, sizeof(big));
                assert_int_equal(f.session, 7);
                assert_memory_equal(f.data, big, sizeof(big));
            } else if (count == 1) {
                assert_int_equal(sh_frame_exit_status(&f), 128 + 11);
            } else if (count == 2) {
                sh_frame_text(&f, text, sizeof(text));
                assert_string_equal(text, "no?way");
                sh_frame_text(&f, text, 3);
                assert_string_equal(text, "no");
                assert_int_equal(sh_frame_u32(&f, 0), 127);
                assert_int_equal(sh_frame_u32(&f, 8), 0);
            } else {
                assert_int_equal(f.session, 65535);
                assert_int_equal(f.size, 0);
                assert_int_equal(sh_frame_exit_status(&f), 0);
            }
            count++;
        }
    }
    assert_int_equal(count, 4);
    static const uint8_t too_big[8] = {SH_FRAME_DATA, 1, 0, 0, 1, 0, 1, 0};
    sh_frames_feed(&in, too_big, sizeof(too_big));
    assert_int_equal(sh_frames_next(&in, &f), -EBADMSG);
    sh_frames_free(&in);
    sh_fifo_free(&out);
}

/* A sender and a receiver that reads in fits: all arrives in order, and never more than the window
 * waits. */
static void test_stream(void **state)
{
    struct sh_stream_out from = {.stream = SH_STREAM_OUT, .session = 9};
    struct sh_stream_in to = {.stream = SH_STREAM_OUT, .session = 9, .window = 100000};
    struct sh_fifo waiting = {0}, wire = {0}, back = {0}, held = {0};
    struct sh_frame_reader in = {0}, in_back = {0};
    struct sh_frame_view f;
    uint32_t written = 0, seen = 0;
    for (int round = 0; round < 3000; round++) {
        for (int i = 0; i < round * 7 % 500 && written < 200000; i++, written++)
            sh_fifo_add(&waiting, &written, sizeof(written));
        bool empty = sh_stream_pump(&from, &waiting, &wire, 50000);
        assert_int_equal(empty, waiting.size == 0);
        if (empty && written == 200000)
            sh_stream_end(&from, &wire);
        sh_frames_feed(&in, sh_fifo_peek(&wire), wire.size);
        sh_fifo_drop(&wire, wire.size);
        while (sh_frames_next(&in, &f) == 1) {
            assert_int_equal(f.session, 9);
            if (f.type == SH_FRAME_EOF) {
                assert_false(to.ended); /* said once */
                to.ended = true;
                continue;
            }
            assert_true(f.size && f.size <= SH_STREAM_PIECE);
            assert_int_equal(sh_stream_take(&to, f.size), 0);
            sh_fifo_add(&held, f.data, f.size);
        }
        assert_true(held.size + to.granted <= to.window);
        for (int i = 0; i < round * 13 % 400 && held.size; i++, seen++) {
            assert_memory_equal(sh_fifo_peek(&held), &seen, sizeof(seen));
            sh_fifo_drop(&held, sizeof(seen));
        }
        sh_stream_grant(&to, held.size, &back);
        sh_frames_feed(&in_back, sh_fifo_peek(&back), back.size);
        sh_fifo_drop(&back, back.size);
        while (sh_frames_next(&in_back, &f) == 1)
            sh_stream_credit(&from, &f);
    }
    assert_int_equal(seen, 200000);
    assert_true(to.ended && from.ended);
    assert_int_equal(sh_stream_take(&to, 1), -EBADMSG); /* behind its end */
    to.ended = false;
    assert_int_equal(sh_stream_take(&to, (size_t)to.granted + 1), -EBADMSG);
    sh_frames_free(&in);
    sh_frames_free(&in_back);
    sh_fifo_free(&waiting);
    sh_fifo_free(&wire);
    sh_fifo_free(&back);
    sh_fifo_free(&held);
}

static void test_exec_request(void **state)
{
    char *args[] = {(char[]){"prog"}, (char[]){"two words"}, NULL};
    struct sh_exec_request q = {
        .tty = false, .args = args, .arg_count = 2, .workdir = "/w", .user = ""};
    struct sh_fifo out = {0};
    struct sh_error err = {0};
    sh_strings_add(&q.env, "A=b");
    assert_int_equal(sh_exec_request_put(&out, &q, &err), 0);
    static const uint8_t want[] = "\x22\0\0\0\x21\0\0\0"
                                  "\0\0\2\0\1\0\0\0\0\0prog\0two words\0A=b\0/w\0";
    assert_int_equal(out.size, sizeof(want));
    assert_memory_equal(sh_fifo_peek(&out), want, sizeof(want));
    sh_fifo_free(&out);
    char *huge = sh_alloc(70000);
    memset(huge, 'a', 69999);
    args[1] = huge;
    assert_int_equal(sh_exec_request_put(&out, &q, &err), -E2BIG);
    free(huge);
    sh_strings_free(&q.env);
}

static int temp_dir(char *path)
{
    strcpy(path, "/tmp/shelter-run.XXXXXX");
    assert_non_null(mkdtemp(path));
    return open(path, O_RDONLY | O_DIRECTORY);
}

static void test_log(void **state)
{
    char path[64];
    int dir = temp_dir(path);
    struct sh_log log;
    struct sh_log_reader reader;
    struct sh_log_record r;
    assert_int_equal(sh_log_read_open(&reader, dir), -ENOENT);
    sh_log_open(&log, dir);
    sh_log_add(&log, 1, "one\0two", 7);
    sh_log_add(&log, 2, "err", 3);
    assert_int_equal(sh_log_read_open(&reader, dir), 0);
    assert_int_equal(sh_log_read_next(&reader, &r), 1);
    assert_int_equal(r.stream, 1);
    assert_int_equal(r.size, 7);
    assert_memory_equal(r.data, "one\0two", 7);
    assert_int_equal(sh_log_read_next(&reader, &r), 1);
    assert_int_equal(sh_log_read_next(&reader, &r), 0);
    sh_log_add(&log, 1, "later", 5); /* a follower gets it */
    assert_int_equal(sh_log_read_next(&reader, &r), 1);
    assert_memory_equal(r.data, "later", 5);
    /* Every torn end: the whole records before it stay, and the writer goes on behind them. */
    uint64_t whole = log.size;
    sh_log_close(&log);
    for (uint64_t cut = whole - 20; cut < whole; cut++) {
        int fd = openat(dir, "log", O_RDWR);
        assert_int_equal(ftruncate(fd, (off_t)cut), 0);
        close(fd);
        sh_log_open(&log, dir);
        sh_log_add(&log, 1, "later", 5);
        assert_true(log.size == whole);
        sh_log_close(&log);
    }
    /* Rotation: bounded on disk, the newest kept, in order. */
    sh_log_open(&log, dir);
    log.size_max = 1000;
    for (uint32_t i = 0; i < 500; i++) {
        uint8_t number[4];
        sh_put_le32(number, i);
        sh_log_add(&log, 1, number, 4);
    }
    struct stat st;
    assert_int_equal(fstatat(dir, "log", &st, 0), 0);
    assert_true(st.st_size <= 1000);
    assert_int_equal(fstatat(dir, "log.1", &st, 0), 0);
    assert_true(st.st_size <= 1000);
    sh_log_read_close(&reader);
    assert_int_equal(sh_log_read_open(&reader, dir), 0);
    uint32_t last = 0, count = 0;
    while (sh_log_read_next(&reader, &r) == 1) {
        assert_int_equal(r.size, 4);
        assert_true(!count || sh_le32(r.data) == last + 1);
        last = sh_le32(r.data);
        count++;
    }
    assert_int_equal(last, 499);
    assert_true(count > 49 && count < 100);
    sh_log_read_close(&reader);
    sh_log_close(&log);
    /* What is no log is not read as one; the writer begins a new one. */
    int fd = openat(dir, "log", O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "garbage garbage garbage", 23), 23);
    close(fd);
    unlinkat(dir, "log.1", 0);
    assert_int_equal(sh_log_read_open(&reader, dir), 0);
    assert_int_equal(sh_log_read_next(&reader, &r), -EBADMSG);
    sh_log_read_close(&reader);
    unlinkat(dir, "log", 0);
    close(dir);
    rmdir(path);
}

static struct sh_instance_config sample(void)
{
    struct sh_instance_config c = {.boot = SH_QEMU_BOOT_BZIMAGE,
                                   .memory = 1ull << 40,
                                   .cpus = 3,
                                   .network = true,
                                   .tty = true,
                                   .stop_signal = 15,
                                   .requests = SH_POLICY_EXEC,
                                   .signals = UINT64_MAX,
                                   .created = 1790000000};
    strcpy(c.id, "0123456789abcdef0123456789abcdef");
    memset(c.image, 'a', 96);
    memset(c.launch_digest, 'b', 96);
    c.name = sh_strdup("n");
    c.reference = sh_strdup("img:latest");
    c.tee = sh_strdup("tdx-sim");
    c.simulated = true;
    sh_strings_add(&c.command, "/bin/\"x\"");
    sh_strings_add(&c.command, "a\nb");
    c.ports = sh_alloc(2 * sizeof(*c.ports));
    c.ports[0] = (struct sh_port){
        .udp = true, .host_address = "127.0.0.1", .host_port = 5, .guest_port = 65535};
    c.port_count = 1;
    c.mounts = sh_alloc(2 * sizeof(*c.mounts));
    c.mounts[0] = (struct sh_mount){sh_strdup("/a"), sh_strdup("/b"), true};
    c.mount_count = 1;
    return c;
}

static void test_config(void **state)
{
    struct sh_instance_config c = sample(), d;
    char *text = sh_instance_config_text(&c);
    assert_int_equal(sh_instance_config_parse(text, &d), 0);
    char *again = sh_instance_config_text(&d);
    assert_string_equal(text, again);
    assert_true(d.requests == SH_POLICY_EXEC && d.signals == UINT64_MAX && d.memory == 1ull << 40);
    sh_instance_config_free(&d);
    /* Torn anywhere, it is refused. */
    size_t size = strlen(text);
    for (size_t n = 0; n + 1 < size; n++) {
        char *torn = strndup(text, n);
        assert_int_equal(sh_instance_config_parse(torn, &d), -EBADMSG);
        free(torn);
    }
    free(text);
    free(again);
    sh_instance_config_free(&c);
}

static void test_state(void **state)
{
    char path[64];
    int dir = temp_dir(path);
    struct sh_instance_state s = {.state = SH_STATE_RUNNING,
                                  .supervisor_pid = 4,
                                  .child_pid = 5,
                                  .started = 1795444075820297634,
                                  .measurement = cJSON_Parse("{\"mrtd\":\"5a\"}")};
    struct sh_instance_state t;
    char *text = sh_instance_state_text(&s);
    assert_int_equal(sh_instance_state_parse(text, &t), 0);
    assert_int_equal(t.state, SH_STATE_RUNNING);
    assert_true(t.started == s.started);
    assert_true(cJSON_Compare(t.measurement, s.measurement, true));
    cJSON_Delete(t.measurement);
    for (size_t n = 0, size = strlen(text); n + 1 < size; n++) {
        char *torn = strndup(text, n);
        assert_int_equal(sh_instance_state_parse(torn, &t), -EBADMSG);
        free(torn);
    }
    free(text);
    /* The file says running; nobody holds the lock: it is dead. */
    struct sh_instance i = {.dir_fd = dir};
    assert_int_equal(sh_instance_save_state(dir, &s), 0);
    sh_instance_refresh(&i);
    assert_int_equal(i.state.state, SH_STATE_DEAD);
    assert_int_equal(i.state.child_pid, 0);
    int lock;
    assert_int_equal(sh_instance_lock(&i, &lock), 0);
    sh_instance_refresh(&i);
    assert_int_equal(i.state.state, SH_STATE_RUNNING);
    assert_int_equal(i.state.child_pid, 5);
    int second;
    assert_int_equal(sh_instance_lock(&i, &second), -EBUSY);
    s.state = SH_STATE_EXITED;
    s.exit_code = 7;
    assert_int_equal(sh_instance_save_state(dir, &s), 0);
    sh_instance_refresh(&i); /* the file says that it ended, and somebody holds the lock: it runs */
    assert_int_equal(i.state.state, SH_STATE_RUNNING);
    close(lock);
    sh_instance_refresh(&i);
    assert_int_equal(i.state.state, SH_STATE_EXITED);
    assert_int_equal(i.state.exit_code, 7);
    unlinkat(dir, "state.json", 0);
    sh_instance_refresh(&i);
    assert_null(i.state.measurement);
    cJSON_Delete(s.measurement);
    assert_int_equal(i.state.state, SH_STATE_DEAD);
    unlinkat(dir, "lock", 0);
    close(dir);
    rmdir(path);
}

static void test_names(void **state)
{
    assert_true(sh_instance_name_ok("a") && sh_instance_name_ok("A-b_c.9"));
    assert_false(sh_instance_name_ok("") || sh_instance_name_ok("-a") ||
                 sh_instance_name_ok("a b") || sh_instance_name_ok("a/b") ||
                 sh_instance_name_ok("..") || sh_instance_name_ok("\xc3\xa4"));
    char name[80];
    memset(name, 'x', sizeof(name));
    name[64] = 0;
    assert_false(sh_instance_name_ok(name));
    name[63] = 0;
    assert_true(sh_instance_name_ok(name));
}

/* Who can write to the folder foresees no name, and no link of theirs is followed. */
static void test_temp(void **state)
{
    struct sh_error err = {0};
    struct sh_temp t, other;
    char folder[] = "/tmp/shelter-temp.XXXXXX", trap[64];
    assert_non_null(mkdtemp(folder));
    cleanup_close int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(sh_write_file(dir, "victim", "mine", 4, 0600, &err), 0);
    snprintf(trap, sizeof(trap), "f.%d.tmp", (int)getpid());
    assert_int_equal(symlinkat("victim", dir, trap), 0);
    assert_int_equal(symlinkat("victim", dir, "f"), 0);
    assert_int_equal(sh_write_file(dir, "f", "new", 3, 0600, &err), 0);
    char text[8] = "";
    cleanup_close int victim = openat(dir, "victim", O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(victim, text, sizeof(text)), 4);
    cleanup_close int file = openat(dir, "f", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    assert_int_equal(read(file, text, sizeof(text)), 3);

    assert_int_equal(sh_temp_open(&t, dir, "g", 0600), 0);
    assert_int_equal(sh_temp_open(&other, dir, "g", 0600), 0);
    assert_string_not_equal(t.name, other.name);
    assert_int_equal(faccessat(dir, "g", F_OK, 0), -1);
    sh_temp_drop(&other);
    assert_int_equal(sh_temp_commit(&t, true), 0);
    assert_int_equal(faccessat(dir, "g", F_OK, 0), 0);
    assert_int_equal(mkdirat(dir, "h", 0700), 0); /* cannot be replaced: nothing stays */
    assert_true(sh_write_file(dir, "h", "x", 1, 0600, &err) < 0);
    assert_int_equal(unlinkat(dir, trap, 0), 0);
    unsigned count = 0;
    cleanup_closedir DIR *list = fdopendir(dup(dir));
    for (struct dirent *e; (e = readdir(list));)
        count += e->d_name[0] != '.';
    assert_int_equal(count, 4); /* f, g, h, victim */
    assert_int_equal(sh_remove_tree(AT_FDCWD, folder), 0);
}

static void test_number(void **state)
{
    static const char *const bad[] = {"", " 1", "1 ", "+1", "-1", "0x1", "1k", "1.0"};
    uint64_t n = 7;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(sh_parse_number(bad[i], 0, UINT64_MAX, &n), -EINVAL);
    assert_int_equal(sh_parse_number("18446744073709551616", 0, UINT64_MAX, &n), -ERANGE);
    assert_int_equal(sh_parse_number("0", 1, 9, &n), -ERANGE);
    assert_int_equal(sh_parse_number("10", 1, 9, &n), -ERANGE);
    assert_int_equal(n, 7);
    assert_int_equal(sh_parse_number("18446744073709551615", 0, UINT64_MAX, &n), 0);
    assert_true(n == UINT64_MAX);
    assert_int_equal(sh_parse_number("009", 9, 9, &n), 0);
    assert_int_equal(n, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broker),   cmocka_unit_test(test_ports),
        cmocka_unit_test(test_mounts),   cmocka_unit_test(test_options),
        cmocka_unit_test(test_env_file), cmocka_unit_test(test_signals),
        cmocka_unit_test(test_fifo),     cmocka_unit_test(test_frames),
        cmocka_unit_test(test_stream),   cmocka_unit_test(test_number),
        cmocka_unit_test(test_temp),     cmocka_unit_test(test_exec_request),
        cmocka_unit_test(test_log),      cmocka_unit_test(test_config),
        cmocka_unit_test(test_state),    cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
