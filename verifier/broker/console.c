// SPDX-License-Identifier: Apache-2.0
// The console: logging in, pages, forms.
#include "verifier/broker/console.h"
#include "verifier/base/json.h"
#include "verifier/broker/admin_http.h"
#include "verifier/broker/console_html.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>
#include <openssl/hmac.h>

#include "lib/hex.h"
#include "lib/number.h"

#define COOKIE "shelter-console"
#define LIFE_S 3600
#define TEXT_MAX 200
#define MAC_SIZE 32
#define MAC_TEXT (2 * MAC_SIZE + 1)

// --- Cookies and forms ---

static void mac_text(const struct sb_request *r, const char *purpose, const char *text,
                     char out[MAC_TEXT])
{
    char all[512];
    uint8_t mac[MAC_SIZE] = {0};
    int n = snprintf(all, sizeof(all), "%s %s", purpose, text);

    HMAC(EVP_sha256(), r->server->console_key, sizeof(r->server->console_key), (const uint8_t *)all,
         (size_t)n < sizeof(all) ? (size_t)n : sizeof(all) - 1, mac, NULL);
    sh_hex(out, mac, sizeof(mac));
}

// NAME.SECONDS.MAC, over these and the digest of the credential, which the client never sees.
static void cookie_mac(const struct sb_request *r, const char *name, int64_t until,
                       const char *digest, char out[MAC_TEXT])
{
    char text[300];

    snprintf(text, sizeof(text), "%s %lld %s", name, (long long)until, digest);
    mac_text(r, "cookie", text, out);
}

static bool same_mac(const char *a, const char *b)
{
    return strlen(a) == MAC_TEXT - 1 && !CRYPTO_memcmp(a, b, MAC_TEXT - 1);
}

// Who a cookie says, in r->operator and r->may.
static bool take_cookie(struct sb_request *r, const char *cookie)
{
    char text[SB_OPERATOR_NAME_MAX + MAC_TEXT + 30], digest[65] = "", mac[MAC_TEXT], *dot, *end;
    int64_t now = sb_wall_ms(r->server) / 1000;
    uint64_t until;

    if (!cookie || strlen(cookie) >= sizeof(text))
        return false;
    memcpy(text, cookie, strlen(cookie) + 1);
    end = strrchr(text, '.');
    if (!end)
        return false;
    *end++ = 0;
    dot = strrchr(text, '.');
    if (!dot)
        return false;
    *dot++ = 0;
    if (sh_parse_number(dot, 1, INT64_MAX, &until) || (int64_t)until <= now ||
        strlen(text) > SB_OPERATOR_NAME_MAX ||
        sb_operator_find(r->server->store, text, now, &r->operator, digest) ||
        strcmp(r->operator.name, text))
        return false;
    cookie_mac(r, text, (int64_t)until, digest, mac);
    if (!same_mac(end, mac))
        return false;
    r->may = sb_role_may(r->operator.role);
    return r->may;
}

// In every form: no other site's page knows it.
static void form_value(const struct sb_request *r, char out[MAC_TEXT])
{
    mac_text(r, "form", r->operator.name, out);
}

static int hex_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

// Up to the next '&' or the end. False: an escape that is none, a NUL, or too long.
static bool decode(const char *text, char *out, size_t size)
{
    size_t n = 0;

    for (; *text && *text != '&'; text++) {
        int byte = (unsigned char)*text;

        if (*text == '+') {
            byte = ' ';
        } else if (*text == '%') {
            int high = hex_of(text[1]), low = high < 0 ? -1 : hex_of(text[2]);

            byte = low < 0 ? 0 : 16 * high + low;
            text += 2;
        }
        if (!byte || n + 1 >= size)
            return false;
        out[n++] = (char)byte;
    }
    out[n] = 0;
    return true;
}

// A member of a form (application/x-www-form-urlencoded). False where it is not there.
static bool form_member(const char *body, const char *name, char *out, size_t size)
{
    size_t n = strlen(name);

    for (const char *p = body; p && *p; p = strchr(p, '&') ? strchr(p, '&') + 1 : NULL)
        if (!strncmp(p, name, n) && p[n] == '=')
            return decode(p + n + 1, out, size);
    return false;
}

static void redirect(struct sb_request *r, const char *where)
{
    sb_answer_json(r, strdup(""));
    r->status = 303;
    r->type = "text/plain";
    r->location = where;
    r->page = true;
}

// --- Pages ---

static void finish(struct sb_request *r, FILE *out, char **text, int status)
{
    sb_html_foot(out);
    fclose(out);
    sb_answer_json(r, *text);
    if (*text)
        r->status = status;
    r->type = "text/html; charset=utf-8";
    r->page = true;
}

static void refuse_page(struct sb_request *r, int status, const char *detail)
{
    char *text = NULL, form[MAC_TEXT];
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out) {
        sb_problem(r, 500, "internal", "out of memory");
        return;
    }
    form_value(r, form);
    sb_html_head(out, "Refused", *r->operator.name ? r->operator.name : NULL, r->operator.role,
                 form);
    fputs("<p class=\"bad\" id=\"refused\">", out);
    sb_html_text(out, detail);
    fputs("</p>", out);
    finish(r, out, &text, status);
}

bool sb_console_on(struct sb_request *r)
{
    if (r->server->console)
        return true;
    sb_problem(r, 404, "no-such-endpoint", "there is no such endpoint");
    return false;
}

bool sb_console_enter(struct sb_request *r)
{
    const char *search;

    if (!sb_console_on(r))
        return false;
    if (!take_cookie(r, MHD_lookup_connection_value(r->connection, MHD_COOKIE_KIND, COOKIE))) {
        redirect(r, "/console/login");
        return false;
    }
    search = MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, "q");
    if (search && !decode(search, r->argument, sizeof(r->argument)))
        r->argument[0] = 0;
    return true;
}

void sb_console_style(struct sb_request *r, const char *rest)
{
    sb_answer_json(r, strdup(sb_console_css));
    r->type = "text/css; charset=utf-8";
    r->page = true;
}

void sb_console_health(struct sb_request *r, const char *rest)
{
    sb_answer_json(r, strdup("{\"status\":\"ok\"}"));
}

void sb_console_login_page(struct sb_request *r, const char *rest)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out) {
        sb_problem(r, 500, "internal", "out of memory");
        return;
    }
    sb_html_head(out, "Log in", NULL, NULL, NULL);
    fputs("<form method=\"post\" action=\"/console/login\"><p><label>Credential <input "
          "type=\"password\" name=\"credential\" id=\"credential\" autocomplete=\"off\" autofocus "
          "required></label> <button id=\"login\">Log in</button></p></form>",
          out);
    finish(r, out, &text, 200);
}

void sb_console_login(struct sb_request *r, const char *rest)
{
    char credential[SB_CREDENTIAL_SIZE] = "", digest[65], mac[MAC_TEXT];
    int64_t until = sb_wall_ms(r->server) / 1000 + LIFE_S;
    bool good = form_member(r->body, "credential", credential, sizeof(credential)) &&
                sb_operator_enter(r, credential);

    sb_credential_digest(credential, digest);
    OPENSSL_cleanse(credential, sizeof(credential));
    if (r->body)
        OPENSSL_cleanse(r->body, r->body_size);
    if (!good) {
        refuse_page(r, 401, "This is not an operator's credential.");
        return;
    }
    cookie_mac(r, r->operator.name, until, digest, mac);
    snprintf(r->cookie, sizeof(r->cookie),
             COOKIE "=%s.%lld.%s; Path=/console; HttpOnly; SameSite=Strict; Max-Age=%d%s",
             r->operator.name, (long long)until, mac, LIFE_S, r->server->tls ? "; Secure" : "");
    redirect(r, "/console/");
}

// What the pages show, by an operation or two.
static bool put_content(struct sb_request *r, FILE *out, const char *page, const char *form,
                        struct sb_refusal *no)
{
    cJSON *args = cJSON_CreateObject(), *o = NULL, *log = NULL;

    if (!strcmp(page, "")) {
        o = sb_operator_do(r, "attested", NULL, no);
        sb_html_attested(out, o);
    } else if (!strcmp(page, "refusals") || !strcmp(page, "log")) {
        bool refusals = !strcmp(page, "refusals");

        cJSON_AddStringToObject(args, "search",
                                *r->argument ? r->argument
                                : refusals   ? "refused"
                                             : "");
        cJSON_AddNumberToObject(args, "count", 500);
        o = sb_operator_do(r, "log", args, no);
        sb_html_log(out, o, refusals, r->argument);
    } else if (!strcmp(page, "references")) {
        o = sb_operator_do(r, "list", NULL, no);
        sb_html_references(out, o);
    } else if (!strcmp(page, "resources")) {
        cJSON_AddStringToObject(args, "search", "granted");
        cJSON_AddNumberToObject(args, "count", 10000);
        o = sb_operator_do(r, "list", NULL, no);
        log = o ? sb_operator_do(r, "log", args, no) : NULL;
        sb_html_resources(out, o, log);
    } else if (!strcmp(page, "volumes")) {
        o = sb_operator_do(r, "volumes", NULL, no);
        sb_html_volumes(out, o);
    } else if (!strcmp(page, "proposal")) {
        cJSON_AddStringToObject(args, "name", r->argument);
        o = sb_operator_do(r, "proposal", args, no);
        if (o)
            sb_html_proposal(out, o, form);
    } else {
        *no = (struct sb_refusal){.status = 404, .detail = "There is no such page."};
    }
    cJSON_Delete(args);
    cJSON_Delete(log);
    cJSON_Delete(o);
    return !no->status;
}

void sb_console_page(struct sb_request *r, const char *page)
{
    static const struct {
        const char *page, *title;
    } titles[] = {{"", "Attested now"},
                  {"refusals", "Refusals"},
                  {"references", "References"},
                  {"resources", "Resources"},
                  {"volumes", "Volumes"},
                  {"log", "Audit log"},
                  {"proposal", "A proposed reference"}};
    struct sb_refusal no = {.status = 0};
    char *text = NULL, form[MAC_TEXT];
    const char *title = "";
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out) {
        sb_problem(r, 500, "internal", "out of memory");
        return;
    }
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        if (!strcmp(titles[i].page, page))
            title = titles[i].title;
    form_value(r, form);
    sb_html_head(out, title, r->operator.name, r->operator.role, form);
    if (put_content(r, out, page, form, &no)) {
        finish(r, out, &text, 200);
        return;
    }
    fclose(out);
    free(text);
    refuse_page(r, no.status, no.detail);
}

// --- Forms ---

// A form of ours: with the value that only our pages have, and not from elsewhere by the browser's
// own word.
static bool is_own_form(struct sb_request *r)
{
    char form[MAC_TEXT], given[MAC_TEXT + 1] = "";

    form_value(r, form);
    return form_member(r->body, "form", given, sizeof(given)) && same_mac(given, form);
}

void sb_console_form(struct sb_request *r, const char *what)
{
    char name[TEXT_MAX] = "", digest[TEXT_MAX] = "";
    struct sb_refusal no = {.status = 0};
    cJSON *args, *o;
    bool approves = !strcmp(what, "approve");

    if (!is_own_form(r)) {
        refuse_page(r, 403, "This form is not of this console, or too old.");
        return;
    }
    if (!strcmp(what, "logout")) {
        snprintf(r->cookie, sizeof(r->cookie),
                 COOKIE "=; Path=/console; HttpOnly; SameSite=Strict; Max-Age=0");
        redirect(r, "/console/login");
        return;
    }
    if (!approves && strcmp(what, "reject")) {
        refuse_page(r, 404, "There is no such form.");
        return;
    }
    form_member(r->body, "name", name, sizeof(name));
    form_member(r->body, "sha384", digest, sizeof(digest));
    args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "name", name);
    if (approves)
        cJSON_AddStringToObject(args, "sha384", digest);
    o = sb_operator_do(r, approves ? "reference-approve" : "reference-reject", args, &no);
    if (o)
        redirect(r, "/console/references");
    else
        refuse_page(r, no.status, no.detail);
    cJSON_Delete(o);
    cJSON_Delete(args);
}
