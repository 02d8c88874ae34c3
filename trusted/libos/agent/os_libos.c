// SPDX-License-Identifier: Apache-2.0
// The agent's surroundings in the enclave (trusted/agent/os.h): sockets of the host, which is taken
// for a network and no more; memory, time and randomness of the LibOS; quotes through the port.
//
// Called without the LibOS's lock (agent_call). A host that answers nothing, or nonsense, ends in
// an errno by the deadline; its clock only moves forward.
#include <asm/poll.h>
#include <asm/signal.h>
#include <asm/socket.h>
#include <linux/in.h>
#include <linux/in6.h>

#include "lib/settings.h"
#include "trusted/agent/os.h"
#include "trusted/libos/agent/address.h"
#include "trusted/libos/agent/agent.h"
#include "trusted/libos/base/claim.h"
#include "trusted/libos/net/sock.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

#define ADDRESSES_MAX 8u
#define MS 1000000ull

int agent_os_random(void *out, size_t size)
{
    return port_random(out, size);
}

uint64_t agent_os_now_ms(void)
{
    return clock_now() / MS;
}

int64_t agent_os_time(void)
{
    return clock_seconds();
}

void *agent_os_alloc(size_t size)
{
    los_lock();
    void *p = los_alloc(size);
    los_unlock();
    return p;
}

void agent_os_free(void *p)
{
    los_lock();
    los_free(p);
    los_unlock();
}

void agent_os_log(const char *line)
{
    log_line("shelter: %s", line);
}

const char *agent_os_tee(void)
{
    return port_info.simulated ? "sgx-sim" : "sgx";
}

/* Before the program runs, a signal that would end it ends the wait. */
static bool is_stopped(void)
{
    if (self()->service)
        return false;
    los_lock();
    uint64_t set = agent_stop_signals();
    los_unlock();
    return set != 0;
}

static int wait_outside(struct port_wait *w, uint64_t deadline)
{
    bool inside = agent_leave();
    int r = port_wait(self(), w, deadline);
    agent_return(inside);
    return r;
}

/* Until the handle is ready, as the host says. 0, -ETIMEDOUT, -EINTR, or what the host has against
 * it. */
static int wait_handle(int32_t handle, uint16_t events, uint64_t deadline_ms)
{
    uint64_t deadline = deadline_ms > NO_DEADLINE / MS ? NO_DEADLINE : deadline_ms * MS;
    for (;;) {
        struct port_event ask = {.handle = handle, .events = events};
        struct port_wait w = {.set = -1, .asks = 1, .items = &ask};
        if (is_stopped())
            return -EINTR;
        if (agent_os_now_ms() >= deadline_ms)
            return -ETIMEDOUT;
        int r = wait_outside(&w, deadline);
        if (r < 0 && r != -EINTR && r != -ETIMEDOUT)
            return claim_status(r);
        if (r == 0 && ask.ready)
            return 0;
    }
}

void agent_os_sleep_ms(uint32_t ms)
{
    uint64_t until = agent_os_now_ms() + ms;
    while (!is_stopped() && agent_os_now_ms() < until)
        wait_outside(NULL, until * MS);
}

static int connect_one(const struct port_address *to, uint16_t port, uint64_t deadline_ms)
{
    uint8_t addr[PORT_ADDR_MAX];
    uint32_t size = agent_sockaddr(to, port, addr);
    if (!size)
        return -EAFNOSUPPORT;
    long h = claim_handle(port_socket(to->family, SOCK_STREAM));
    if (h < 0)
        return (int)h;
    int r = claim_status(port_connect((int32_t)h, addr, size));
    if (r == -EINPROGRESS) {
        int32_t error = 0;
        uint32_t n = sizeof(error);
        r = wait_handle((int32_t)h, POLLOUT, deadline_ms);
        if (!r)
            r = claim_status(port_sockopt_get((int32_t)h, SOL_SOCKET, SO_ERROR, &error, &n));
        if (!r && error)
            r = claim_status(-(long)error);
    }
    if (!r)
        return (int)h;
    port_close((int32_t)h);
    return r;
}

/* TLS reads five bytes, then the rest; a call out is dear. Of the one stream that is open. */
static struct {
    size_t at, size;
    uint8_t bytes[16384];
} ahead;

int agent_os_connect(const char *host, uint16_t port, uint64_t deadline_ms)
{
    struct port_address list[ADDRESSES_MAX] = {0};
    long count = agent_literal(host, list) ? 1 : 0;
    ahead.at = ahead.size = 0;
    if (!settings.outside)
        return -ENETUNREACH;
    if (!count) {
        bool inside = agent_leave();
        count = claim_count(port_resolve(host, list, ADDRESSES_MAX), ADDRESSES_MAX);
        agent_return(inside);
    }
    int r = count < 0 ? (int)count : -ENOENT;
    for (long i = 0; i < count; i++) {
        r = connect_one(&list[i], port, deadline_ms);
        if (r >= 0 || r == -EINTR || r == -ETIMEDOUT)
            break;
    }
    return r;
}

static long receive_bytes(int stream, uint64_t deadline_ms)
{
    for (;;) {
        long n = claim_count(port_recv(stream, ahead.bytes, sizeof(ahead.bytes), NULL, NULL, false),
                             sizeof(ahead.bytes));
        if (n != -EAGAIN && n != -EINTR)
            return n;
        n = wait_handle(stream, POLLIN, deadline_ms);
        if (n)
            return n;
    }
}

long agent_os_read(int stream, void *out, size_t size, uint64_t deadline_ms)
{
    if (ahead.at == ahead.size) {
        long n = receive_bytes(stream, deadline_ms);
        if (n <= 0)
            return n;
        ahead.at = 0;
        ahead.size = (size_t)n;
    }
    size_t n = MIN(size, ahead.size - ahead.at);
    memcpy(out, ahead.bytes + ahead.at, n);
    ahead.at += n;
    return (long)n;
}

long agent_os_write(int stream, const void *data, size_t size, uint64_t deadline_ms)
{
    uint32_t room = (uint32_t)MIN(size, PORT_IO_MAX);
    for (;;) {
        long n = claim_count(port_send(stream, data, room, NULL, 0, false), room);
        if (n > 0 || (n < 0 && n != -EAGAIN && n != -EINTR))
            return n;
        n = wait_handle(stream, POLLOUT, deadline_ms);
        if (n)
            return n;
    }
}

void agent_os_close(int stream)
{
    port_close(stream);
}

int agent_os_evidence(const uint8_t report_data[64], struct agent_raw *raw, const char **why)
{
    _Static_assert(AGENT_QUOTE_MAX == PORT_QUOTE_MAX, "one bound");
    *raw = (struct agent_raw){.quote = agent_os_alloc(AGENT_QUOTE_MAX)};
    *why = "no memory for a quote";
    if (!raw->quote)
        return -ENOMEM;
    long n = port_quote(report_data, raw->quote, AGENT_QUOTE_MAX);
    if (n > 0) {
        raw->quote_size = (size_t)n;
        return 0;
    }
    agent_os_free(raw->quote);
    raw->quote = NULL;
    *why = n == -ENODEV   ? "this machine has no quoting service"
           : n == -EPROTO ? "the host's quote is not over this enclave's report"
                          : "the host's quoting service failed";
    return n ? (int)n : -EPROTO;
}

/* An enclave has no register that could be extended: the log is bound into report data. */
int agent_os_extend(const uint8_t digest[48])
{
    (void)digest;
    return -ENODEV;
}
