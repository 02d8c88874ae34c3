// SPDX-License-Identifier: Apache-2.0
// Port `sgx`: streams, sockets and words for the user, each a call out.
#include "lib/settings.h"
#include "trusted/libos/port_sgx/sgx.h"

/* A count that the host gives for bytes it also delivered: both must agree. */
static long check_received(const struct sgx_call *c, int64_t result, uint32_t size)
{
    if (result < 0)
        return (long)result;
    return (uint64_t)result <= size && c->in_size_a == (uint64_t)result ? (long)result : -EIO;
}

long port_read(int32_t handle, void *buf, uint32_t size)
{
    if (!port_stream_allowed(handle, false))
        return -EBADF;
    struct sgx_call c = {
        .nr = SH_CALL_READ, .args = {(uint32_t)handle, size}, .in_a = buf, .in_size_a = size};
    return check_received(&c, sgx_call(&c), size);
}

long port_write(int32_t handle, const void *buf, uint32_t size)
{
    if (!port_stream_allowed(handle, true))
        return -EBADF;
    int64_t r = SGX_CALL(.nr = SH_CALL_WRITE, .args = {(uint32_t)handle}, .a = buf, .size_a = size);
    return r > (int64_t)size ? -EIO : (long)r;
}

int port_window(void *window)
{
    struct sgx_call c = {
        .nr = SH_CALL_TTY, .args = {0, SH_TTY_WINDOW}, .in_a = window, .in_size_a = 8};
    int64_t r = settings.terminal ? sgx_call(&c) : -ENOTTY;
    return r < 0 ? (int)r : c.in_size_a == 8 ? 0 : -EIO;
}

long port_socket(int family, int type)
{
    return SGX_CALL(.nr = SH_CALL_SOCKET, .args = {(uint32_t)family, (uint32_t)type});
}

long port_bind(int32_t handle, const void *addr, uint32_t size)
{
    return SGX_CALL(.nr = SH_CALL_BIND, .args = {(uint32_t)handle}, .b = addr, .size_b = size);
}

long port_listen(int32_t handle, uint32_t backlog)
{
    return SGX_CALL(.nr = SH_CALL_LISTEN, .args = {(uint32_t)handle, backlog});
}

/* A call whose answer is an address or a value of at most *size bytes. */
static long with_b(struct sgx_call *c, void *out, uint32_t *size)
{
    c->in_b = out;
    c->in_size_b = size ? *size : 0;
    int64_t r = sgx_call(c);
    if (r >= 0 && size)
        *size = c->in_size_b;
    return r;
}

long port_accept(int32_t handle, void *addr, uint32_t *size)
{
    struct sgx_call c = {.nr = SH_CALL_ACCEPT, .args = {(uint32_t)handle}};
    return with_b(&c, addr, addr ? size : NULL);
}

long port_connect(int32_t handle, const void *addr, uint32_t size)
{
    return SGX_CALL(.nr = SH_CALL_CONNECT, .args = {(uint32_t)handle}, .b = addr, .size_b = size);
}

long port_available(int32_t handle)
{
    return SGX_CALL(.nr = SH_CALL_AVAILABLE, .args = {(uint32_t)handle});
}

long port_send(int32_t handle, const void *buf, uint32_t size, const void *addr, uint32_t addr_size,
               bool more)
{
    int64_t r = SGX_CALL(.nr = SH_CALL_SEND, .args = {(uint32_t)handle, more}, .a = buf,
                         .size_a = size, .b = addr, .size_b = addr ? addr_size : 0);
    return r > (int64_t)size ? -EIO : (long)r;
}

long port_recv(int32_t handle, void *buf, uint32_t size, void *addr, uint32_t *addr_size, bool peek)
{
    struct sgx_call c = {
        .nr = SH_CALL_RECV, .args = {(uint32_t)handle, size, peek}, .in_a = buf, .in_size_a = size};
    return check_received(&c, with_b(&c, addr, addr ? addr_size : NULL), size);
}

long port_shutdown(int32_t handle, int how)
{
    return SGX_CALL(.nr = SH_CALL_SHUTDOWN, .args = {(uint32_t)handle, (uint32_t)how});
}

long port_name(int32_t handle, int what, void *addr, uint32_t *size)
{
    struct sgx_call c = {.nr = SH_CALL_NAME, .args = {(uint32_t)handle, (uint32_t)what}};
    return with_b(&c, addr, size);
}

long port_sockopt_get(int32_t handle, int level, int name, void *value, uint32_t *size)
{
    struct sgx_call c = {.nr = SH_CALL_OPTION_GET,
                         .args = {(uint32_t)handle, (uint32_t)level, (uint32_t)name, *size}};
    return with_b(&c, value, size);
}

long port_sockopt_set(int32_t handle, int level, int name, const void *value, uint32_t size)
{
    return SGX_CALL(.nr = SH_CALL_OPTION_SET,
                    .args = {(uint32_t)handle, (uint32_t)level, (uint32_t)name}, .b = value,
                    .size_b = size);
}

void port_close(int32_t handle)
{
    SGX_CALL(.nr = SH_CALL_CLOSE, .args = {(uint32_t)handle});
}

long port_resolve(const char *name, struct port_address *out, uint32_t count)
{
    _Static_assert(sizeof(*out) == sizeof(struct sh_address), "one layout");
    uint32_t size = MIN(count, 16) * (uint32_t)sizeof(*out);
    struct sgx_call c = {.nr = SH_CALL_RESOLVE,
                         .args = {MIN(count, 16)},
                         .a = name,
                         .size_a = (uint32_t)strlen(name),
                         .in_a = out,
                         .in_size_a = size};
    int64_t r = sgx_call(&c);
    if (r < 0)
        return r;
    return r <= count && c.in_size_a == (uint64_t)r * sizeof(*out) ? r : -EIO;
}

int port_control(struct sh_control_request *request)
{
    struct sgx_call c = {.nr = SH_CALL_CONTROL, .in_a = request, .in_size_a = sizeof(*request)};
    int64_t r = sgx_call(&c);
    if (r < 0)
        return (int)r;
    return c.in_size_a == sizeof(*request) ? 0 : -EIO;
}

void port_answer(uint32_t id, int error, const char *text, uint32_t size)
{
    SGX_CALL(.nr = SH_CALL_ANSWER, .args = {id, (uint32_t)error}, .a = text,
             .size_a = MIN(size, SH_CONTROL_ANSWER_MAX));
}

void port_session_end(uint32_t session, uint32_t code, uint32_t signal)
{
    SGX_CALL(.nr = SH_CALL_SESSION, .args = {session, code, signal});
}

void port_log(const char *text, uint32_t size)
{
    SGX_CALL(.nr = SH_CALL_LOG, .a = text, .size_a = size);
}
