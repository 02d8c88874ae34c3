// SPDX-License-Identifier: Apache-2.0
// Keyrings: whose they are, what goes into them, who may use a key, what becomes of it.
#include "facts.h"

#include <linux/keyctl.h>
#include <sys/wait.h>

#define RING(id) ((long)KEY_SPEC_##id##_KEYRING)
#define CTL(...) sys(keyctl, __VA_ARGS__)

static long add(const char *type, const char *name, const char *payload, long ring)
{
    return sys(add_key, type, name, payload, payload ? strlen(payload) : 0, ring);
}

/* A serial number is only told to be one. */
static long serial(long r)
{
    return r > 0 ? 1 : r;
}

static void describe(long key, const char *what)
{
    char text[256] = "", *at;
    long r = CTL(KEYCTL_DESCRIBE, key, text, sizeof(text));
    if (r < 0) {
        say("keyctl", r, "DESCRIBE: %s", what);
        return;
    }
    if ((at = strstr(text, "_pid")) || (at = strstr(text, "_tid")))
        at[4] = 0;
    say_text("keyctl", text, "DESCRIBE: %s", what);
}

static void rings(void)
{
    static const struct {
        long id;
        const char *name;
    } ids[] = {{RING(THREAD), "thread"},
               {RING(PROCESS), "process"},
               {RING(USER), "user"},
               {RING(USER_SESSION), "user's session"},
               {RING(SESSION), "session"},
               {-6, "group"},
               {-7, "authority"},
               {-99, "unknown"},
               {0, "0"},
               {0x7ffffff0, "nobody's"}};
    for (int i = 0; i < COUNT(ids); i++) {
        say("keyctl", serial(CTL(KEYCTL_GET_KEYRING_ID, ids[i].id, 0)), "GET_KEYRING_ID: %s",
            ids[i].name);
        say("keyctl", serial(CTL(KEYCTL_GET_KEYRING_ID, ids[i].id, 1)), "GET_KEYRING_ID: %s, made",
            ids[i].name);
        describe(ids[i].id, ids[i].name);
        if (ids[i].id != RING(USER) && ids[i].id != RING(USER_SESSION))
            say("keyctl", CTL(KEYCTL_READ, ids[i].id, NULL, 0), "READ: %s", ids[i].name);
    }
    say("keyctl",
        CTL(KEYCTL_GET_KEYRING_ID, RING(PROCESS), 0) ==
            CTL(KEYCTL_GET_KEYRING_ID, RING(PROCESS), 1),
        "GET_KEYRING_ID: the same");
}

static void adding(void)
{
    static char big[40000];
    memset(big, 'x', sizeof(big) - 1);
    static const struct {
        const char *type, *name, *payload;
    } cases[] = {{"user", "a", "1"},
                 {"user", "a", ""},
                 {"user", "", "1"},
                 {"keyring", "r", NULL},
                 {"keyring", "r", "1"},
                 {"keyring", ".r", NULL},
                 {"logon", "plain", "1"},
                 {"logon", "my:secret", "1"},
                 {"logon", ":secret", "1"},
                 {"nothing", "a", "1"},
                 {".dot", "a", "1"},
                 {"", "a", "1"},
                 {"user", "with space", "payload with space"},
                 {"a type whose name is much too long to be one", "a", "1"}};
    for (int i = 0; i < COUNT(cases); i++) {
        long k = add(cases[i].type, cases[i].name, cases[i].payload, RING(PROCESS));
        say("add_key", serial(k), "%s '%s' %s", cases[i].type, cases[i].name,
            cases[i].payload ? cases[i].payload : "nothing");
        if (k > 0)
            describe(k, cases[i].type);
    }
    say("add_key", serial(sys(add_key, "user", "big", big, 32767, RING(PROCESS))), "32767 bytes");
    say("add_key", sys(add_key, "user", "big", big, 32768, RING(PROCESS)), "32768 bytes");
    say("add_key", sys(add_key, "user", "big", big, 2 << 20, RING(PROCESS)), "2 MiB");
    say("add_key", sys(add_key, "user", "bad", 8, 10, RING(PROCESS)), "bad payload");
    say("add_key", sys(add_key, 8, "bad", "x", 1, RING(PROCESS)), "bad type");
    say("add_key", sys(add_key, "user", 8, "x", 1, RING(PROCESS)), "bad description");
    say("add_key", add("user", "k", "x", 0), "no ring");
    say("add_key", add("user", "k", "x", 0x7ffffff0), "a ring that is not there");
    long k = add("user", "twice", "one", RING(PROCESS)),
         l = add("user", "twice", "three", RING(PROCESS));
    say("add_key", k == l, "twice: the same key");
    say("add_key", add("user", "k", "x", k), "into a key");
    char b[64] = "";
    say("keyctl", CTL(KEYCTL_READ, k, b, sizeof(b)), "READ: twice");
    say_text("keyctl", b, "READ: the later payload");
    memset(b, 0, sizeof(b));
    say("keyctl", CTL(KEYCTL_READ, k, b, 2), "READ: into 2 bytes");
    say_text("keyctl", b, "READ: into 2 bytes: these");
    say("keyctl", CTL(KEYCTL_READ, k, 8, 64), "READ: bad buffer");
    k = add("logon", "my:secret", "2", RING(PROCESS));
    say("keyctl", CTL(KEYCTL_READ, k, b, sizeof(b)), "READ: logon");
}

static void links(void)
{
    long a = add("keyring", "a", NULL, RING(PROCESS)), b = add("keyring", "b", NULL, a);
    long k = add("user", "inner", "x", b);
    int ids[64];
    say("keyctl", CTL(KEYCTL_READ, a, ids, sizeof(ids)), "READ: a ring");
    say("keyctl", ids[0] == b, "READ: a ring: its key");
    say("keyctl", CTL(KEYCTL_SEARCH, a, "user", "inner", 0) == k, "SEARCH: below a ring");
    say("keyctl", CTL(KEYCTL_SEARCH, a, "user", "none", 0), "SEARCH: none");
    say("keyctl", CTL(KEYCTL_SEARCH, a, "nothing", "inner", 0), "SEARCH: no such type");
    say("keyctl", CTL(KEYCTL_SEARCH, k, "user", "inner", 0), "SEARCH: in a key");
    say("keyctl", CTL(KEYCTL_SEARCH, a, "keyring", "a", 0) == a, "SEARCH: itself");
    say("keyctl", CTL(KEYCTL_LINK, a, b), "LINK: a ring into its own");
    say("keyctl", CTL(KEYCTL_LINK, a, a), "LINK: a ring into itself");
    say("keyctl", CTL(KEYCTL_LINK, k, a), "LINK");
    say("keyctl", CTL(KEYCTL_LINK, k, a), "LINK: again");
    say("keyctl", CTL(KEYCTL_LINK, a, k), "LINK: into a key");
    say("keyctl", CTL(KEYCTL_READ, a, NULL, 0), "READ: two in it");
    say("keyctl", CTL(KEYCTL_UNLINK, k, b), "UNLINK");
    say("keyctl", CTL(KEYCTL_UNLINK, k, b), "UNLINK: again");
    say("keyctl", CTL(KEYCTL_UNLINK, k, k), "UNLINK: from a key");
    say("keyctl", CTL(KEYCTL_UNLINK, 0x7ffffff0, a), "UNLINK: what is not there");
    say("request_key", sys(request_key, "user", "inner", NULL, 0) == k, "found");
    say("request_key", sys(request_key, "user", "none", NULL, 0), "none");
    say("request_key", sys(request_key, "nothing", "inner", NULL, 0), "no such type");
    say("request_key", sys(request_key, "user", "inner", NULL, b) == k, "found, into a ring");
    say("keyctl", CTL(KEYCTL_READ, b, NULL, 0), "READ: it is there");
    say("request_key", sys(request_key, 8, "inner", NULL, 0), "bad type");
    say("request_key", sys(request_key, "user", 8, NULL, 0), "bad description");
    say("keyctl", CTL(KEYCTL_CLEAR, b), "CLEAR");
    say("keyctl", CTL(KEYCTL_READ, b, NULL, 0), "READ: after CLEAR");
    say("keyctl", CTL(KEYCTL_CLEAR, k), "CLEAR: a key");
    say("keyctl", CTL(KEYCTL_UNLINK, k, a), "UNLINK: the last");
    say("request_key", sys(request_key, "user", "inner", NULL, 0), "unlinked");
}

static void ends(void)
{
    long k = add("user", "e", "x", RING(PROCESS));
    say("keyctl", CTL(KEYCTL_UPDATE, k, "longer", 6), "UPDATE");
    say("keyctl", CTL(KEYCTL_READ, k, NULL, 0), "READ: after UPDATE");
    say("keyctl", CTL(KEYCTL_UPDATE, k, "x", 0), "UPDATE: nothing");
    say("keyctl", CTL(KEYCTL_UPDATE, k, 8, 5), "UPDATE: bad payload");
    say("keyctl", CTL(KEYCTL_UPDATE, RING(PROCESS), "x", 1), "UPDATE: a ring");
    say("keyctl", CTL(KEYCTL_SET_TIMEOUT, k, 100), "SET_TIMEOUT");
    say("keyctl", CTL(KEYCTL_READ, k, NULL, 0), "READ: in time");
    say("keyctl", CTL(KEYCTL_SETPERM, k, -1), "SETPERM: unknown bits");
    say("keyctl", CTL(KEYCTL_SETPERM, k, 0x3f000000), "SETPERM");
    describe(k, "after SETPERM");
    say("keyctl", CTL(KEYCTL_CHOWN, k, -1, -1), "CHOWN: nothing");
    say("keyctl", CTL(KEYCTL_CHOWN, k, 5, -1), "CHOWN");
    say("keyctl", CTL(KEYCTL_GET_SECURITY, 0x7ffffff0, NULL, 0), "GET_SECURITY: nobody's");
    say("keyctl", CTL(KEYCTL_REVOKE, k), "REVOKE");
    say("keyctl", CTL(KEYCTL_READ, k, NULL, 0), "READ: revoked");
    say("keyctl", CTL(KEYCTL_REVOKE, k), "REVOKE: again");
    say("request_key", sys(request_key, "user", "e", NULL, 0), "revoked");
    say("keyctl", CTL(KEYCTL_SEARCH, RING(PROCESS), "user", "e", 0), "SEARCH: revoked");
    long m = add("user", "e", "y", RING(PROCESS));
    say("add_key", m > 0 && m != k, "in place of a revoked one");
    say("keyctl", CTL(KEYCTL_SET_TIMEOUT, m, 1), "SET_TIMEOUT: 1");
    sleep(2);
    say("keyctl", CTL(KEYCTL_READ, m, NULL, 0), "READ: too late");
    say("request_key", sys(request_key, "user", "e", NULL, 0), "too late");
    k = add("user", "i", "x", RING(PROCESS));
    say("keyctl", CTL(KEYCTL_INVALIDATE, k), "INVALIDATE");
    say("keyctl", CTL(KEYCTL_INVALIDATE, 0), "INVALIDATE: 0");
    say("keyctl", CTL(KEYCTL_SET_REQKEY_KEYRING, -1), "SET_REQKEY_KEYRING: asked");
    say("keyctl", CTL(KEYCTL_SET_REQKEY_KEYRING, 2), "SET_REQKEY_KEYRING: 2");
    say("keyctl", CTL(KEYCTL_SET_REQKEY_KEYRING, -1), "SET_REQKEY_KEYRING: asked again");
    say("keyctl", CTL(KEYCTL_SET_REQKEY_KEYRING, 99), "SET_REQKEY_KEYRING: 99");
    say("keyctl", CTL(KEYCTL_ASSUME_AUTHORITY, 0), "ASSUME_AUTHORITY: none");
    say("keyctl", CTL(999), "unknown");
}

static void sessions(void)
{
    long s = CTL(KEYCTL_JOIN_SESSION_KEYRING, NULL);
    say("keyctl", serial(s), "JOIN_SESSION: nameless");
    describe(RING(SESSION), "a nameless session");
    say("keyctl", CTL(KEYCTL_JOIN_SESSION_KEYRING, ".dot"), "JOIN_SESSION: .dot");
    say("keyctl", CTL(KEYCTL_JOIN_SESSION_KEYRING, 8), "JOIN_SESSION: bad name");
    long k = add("user", "of session", "x", RING(SESSION)),
         p = add("user", "of process", "x", RING(PROCESS));
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        say("request_key", sys(request_key, "user", "of session", NULL, 0) == k,
            "a child: of the session");
        say("request_key", sys(request_key, "user", "of process", NULL, 0),
            "a child: of its parent");
        say("keyctl", CTL(KEYCTL_READ, p, NULL, 0), "a child: READ of its parent's");
        say("keyctl", CTL(KEYCTL_GET_KEYRING_ID, RING(PROCESS), 0), "a child: it has no ring");
        CTL(KEYCTL_JOIN_SESSION_KEYRING, NULL);
        say("request_key", sys(request_key, "user", "of session", NULL, 0),
            "a child: in another session");
        say("keyctl", serial(add("user", "of child", "x", RING(SESSION))), "a child: adds");
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    say("request_key", sys(request_key, "user", "of child", NULL, 0), "of a child's session");
    say("keyctl", CTL(KEYCTL_GET_KEYRING_ID, RING(SESSION), 0) == s, "the session is the same");
    fflush(stdout);
    pid = fork();
    if (!pid) {
        setresuid(1000, 1000, 1000);
        say("keyctl", CTL(KEYCTL_READ, k, NULL, 0), "a user: READ of the session's");
        CTL(KEYCTL_JOIN_SESSION_KEYRING, NULL);
        say("keyctl", CTL(KEYCTL_READ, k, NULL, 0), "a user: READ of root's");
        say("keyctl", CTL(KEYCTL_DESCRIBE, k, NULL, 0), "a user: DESCRIBE of root's");
        say("keyctl", CTL(KEYCTL_REVOKE, k), "a user: REVOKE of root's");
        say("keyctl", CTL(KEYCTL_LINK, k, RING(SESSION)), "a user: LINK of root's");
        long own = add("user", "own", "x", RING(SESSION));
        say("keyctl", CTL(KEYCTL_CHOWN, own, 0, -1), "a user: CHOWN to root");
        describe(own, "a user's");
        describe(RING(USER), "a user's ring");
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

int main(void)
{
    facts_begin();
    CTL(KEYCTL_JOIN_SESSION_KEYRING, NULL);
    rings();
    adding();
    links();
    ends();
    sessions();
    facts_end();
    return 0;
}
