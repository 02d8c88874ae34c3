// SPDX-License-Identifier: Apache-2.0
// The console's pages.
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "verifier/base/json.h"
#include "verifier/broker/console_html.h"

const char sb_console_css[] =
    ":root{color-scheme:light dark}"
    "body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:76rem;padding:0 1rem 3rem}"
    "header{display:flex;gap:1rem;flex-wrap:wrap;align-items:center;border-bottom:1px solid #8886;"
    "padding:.7rem 0}header b{font-size:1.1rem}header form{margin-left:auto}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .7rem .3rem 0;"
    "border-bottom:1px solid #8884;vertical-align:top}td{overflow-wrap:anywhere}"
    "code,pre{font:13px/1.4 ui-monospace,monospace}pre{overflow:auto;max-height:30rem;"
    "border:1px solid #8886;padding:.6rem}.bad{color:#c33}.good{color:#2a7d2a}.dim{opacity:.65}"
    "button{font:inherit;padding:.2rem .8rem}input{font:inherit;padding:.2rem .4rem;width:24rem}";

void sb_html_text(FILE *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        switch (*p) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            if ((*p < 0x20 && *p != '\n') || *p == 0x7f)
                fputs("&#xfffd;", out);
            else
                putc(*p, out);
        }
}

void sb_html_head(FILE *out, const char *title, const char *name, const char *role,
                  const char *form)
{
    static const char *const pages[][2] = {
        {"", "Attested"},           {"refusals", "Refusals"}, {"references", "References"},
        {"resources", "Resources"}, {"volumes", "Volumes"},   {"log", "Audit log"}};

    fputs("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta "
          "name=\"viewport\" content=\"width=device-width\"><title>",
          out);
    sb_html_text(out, title);
    fputs(" - Shelter broker</title><link rel=\"stylesheet\" href=\"/console/style.css\"></head>"
          "<body><header><b>Shelter broker</b>",
          out);
    for (size_t i = 0; name && i < sizeof(pages) / sizeof(pages[0]); i++)
        fprintf(out, "<a href=\"/console/%s\">%s</a>", pages[i][0], pages[i][1]);
    if (name) {
        fputs("<form method=\"post\" action=\"/console/logout\"><span id=\"who\">", out);
        sb_html_text(out, name);
        fprintf(out, " (%s)</span> <input type=\"hidden\" name=\"form\" value=\"%s\">", role, form);
        fputs("<button>Log out</button></form>", out);
    }
    fputs("</header><main><h1>", out);
    sb_html_text(out, title);
    fputs("</h1>", out);
}

void sb_html_foot(FILE *out)
{
    fputs("</main></body></html>\n", out);
}

// --- Tables ---

static void begin_table(FILE *out, const char *id, const char *const heads[])
{
    fprintf(out, "<table id=\"%s\"><thead><tr>", id);
    for (; *heads; heads++)
        fprintf(out, "<th>%s</th>", *heads);
    fputs("</tr></thead><tbody>", out);
}

static void end_table(FILE *out, const cJSON *rows)
{
    fputs("</tbody></table>", out);
    if (!rows || !rows->child)
        fputs("<p class=\"dim\">None.</p>", out);
}

static void put_cell(FILE *out, const char *text)
{
    fputs("<td>", out);
    sb_html_text(out, text);
    fputs("</td>", out);
}

// So many characters of it, the rest on a pointer's wish.
static void put_short(FILE *out, const char *text, int size)
{
    fputs("<td><code title=\"", out);
    sb_html_text(out, text);
    fputs("\">", out);
    for (int i = 0; i < size && text[i]; i++)
        sb_html_text(out, (const char[]){text[i], 0});
    fputs("</code></td>", out);
}

static void put_json(FILE *out, const cJSON *o)
{
    char *text = cJSON_PrintUnformatted(o);

    fputs("<td><code>", out);
    sb_html_text(out, text ? text : "");
    fputs("</code></td>", out);
    cJSON_free(text);
}

static void put_time(FILE *out, const cJSON *number, bool ms)
{
    time_t seconds = cJSON_IsNumber(number) ? (time_t)(number->valuedouble / (ms ? 1000 : 1)) : 0;
    struct tm tm;
    char text[24] = "";

    if (seconds) {
        gmtime_r(&seconds, &tm);
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%SZ", &tm);
    }
    put_cell(out, text);
}

void sb_html_attested(FILE *out, const cJSON *o)
{
    static const char *const heads[] = {"Reference", "TEE",  "TCB",     "Simulated",
                                        "Image",     "Ends", "Volumes", NULL};
    const cJSON *list = sv_json_get(o, "attested"), *e;

    begin_table(out, "attested", heads);
    cJSON_ArrayForEach(e, list)
    {
        const cJSON *seconds = sv_json_get(e, "seconds");

        fputs("<tr>", out);
        put_cell(out, sv_json_text(e, "reference"));
        put_cell(out, sv_json_text(e, "tee"));
        put_cell(out, sv_json_text(e, "tcb-status"));
        put_cell(out, cJSON_IsTrue(sv_json_get(e, "simulated")) ? "yes: protects nothing" : "no");
        put_short(out, sv_json_text(e, "image"), 12);
        fprintf(out, "<td>in %.0f s</td>", cJSON_IsNumber(seconds) ? seconds->valuedouble : 0);
        put_json(out, sv_json_get(e, "volumes"));
        fputs("</tr>", out);
    }
    end_table(out, list);
}

void sb_html_log(FILE *out, const cJSON *o, bool refusals_only, const char *search)
{
    static const char *const heads[] = {"Time",      "Event",    "Outcome", "Who", "TEE",
                                        "Reference", "Resource", "Reason",  NULL};
    const cJSON *list = sv_json_get(o, "entries"), *e;

    fprintf(out,
            "<form method=\"get\" action=\"/console/%s\"><p><input name=\"q\" id=\"q\" value=\"",
            refusals_only ? "refusals" : "log");
    sb_html_text(out, search);
    fputs("\"> <button>Search</button> <span class=\"dim\">among the last 20,000 "
          "entries</span></p></form>",
          out);
    if (*sv_json_text(o, "damaged")) {
        fputs("<p class=\"bad\">", out);
        sb_html_text(out, sv_json_text(o, "damaged"));
        fputs("</p>", out);
    }
    begin_table(out, "log", heads);
    // The newest stands first.
    for (e = list && list->child ? list->child->prev : NULL; e;
         e = e == list->child ? NULL : e->prev) {
        const char *outcome = sv_json_text(e, "outcome"), *detail = sv_json_text(e, "detail");
        const cJSON *count = sv_json_get(e, "count");
        bool refused = !strcmp(outcome, "refused");

        if (refusals_only && !refused)
            continue;
        fputs("<tr>", out);
        put_cell(out, sv_json_text(e, "time"));
        put_cell(out, sv_json_text(e, "event"));
        fprintf(out, "<td class=\"%s\">", refused ? "bad" : "good");
        sb_html_text(out, outcome);
        if (cJSON_IsNumber(count) && count->valuedouble > 1)
            fprintf(out, " %.0f times", count->valuedouble);
        fputs("</td>", out);
        put_cell(out, sv_json_text(e, "peer"));
        put_cell(out, sv_json_text(e, "tee"));
        put_cell(out, sv_json_text(e, "reference"));
        put_cell(out, sv_json_text(e, "resource"));
        fputs("<td>", out);
        sb_html_text(out, sv_json_text(e, "code"));
        fputs(*detail ? ": " : "", out);
        sb_html_text(out, detail);
        fputs("</td></tr>", out);
    }
    end_table(out, list);
}

static void put_link(FILE *out, const char *name)
{
    fputs("<td><a href=\"/console/proposal?q=", out);
    for (const unsigned char *p = (const unsigned char *)name; *p; p++)
        fprintf(out, "%%%02x", *p);
    fputs("\">Review and approve</a></td>", out);
}

void sb_html_references(FILE *out, const cJSON *list)
{
    static const char *const waiting[] = {"Name", "Image", "Launch", "Proposed by", "", NULL};
    static const char *const heads[] = {"Name",        "Image",       "Launch", "Since",
                                        "Proposed by", "Approved by", NULL};
    const cJSON *proposals = sv_json_get(list, "proposals"),
                *references = sv_json_get(list, "references"), *e;

    fputs("<h2>Waiting for approval</h2>", out);
    begin_table(out, "proposals", waiting);
    cJSON_ArrayForEach(e, proposals)
    {
        fputs("<tr>", out);
        put_cell(out, sv_json_text(e, "name"));
        put_short(out, sv_json_text(e, "image"), 12);
        put_json(out, sv_json_get(e, "launch"));
        put_cell(out, sv_json_text(e, "proposer"));
        put_link(out, sv_json_text(e, "name"));
        fputs("</tr>", out);
    }
    end_table(out, proposals);
    fputs("<h2>In force</h2>", out);
    begin_table(out, "references", heads);
    cJSON_ArrayForEach(e, references)
    {
        fputs("<tr>", out);
        put_cell(out, sv_json_text(e, "name"));
        put_short(out, sv_json_text(e, "image"), 12);
        put_json(out, sv_json_get(e, "launch"));
        put_time(out, sv_json_get(e, "changed"), false);
        put_cell(out, sv_json_text(e, "proposer"));
        put_cell(out, sv_json_text(e, "approver"));
        fputs("</tr>", out);
    }
    end_table(out, references);
}

// The last entry of the log of a resource that was given to somebody.
static const cJSON *last_reader(const cJSON *log, const char *path)
{
    const cJSON *e, *last = NULL;

    cJSON_ArrayForEach(
        e, sv_json_get(log, "entries")) if (!strcmp(sv_json_text(e, "resource"), path) &&
                                            !strcmp(sv_json_text(e, "outcome"), "granted")) last =
        e;
    return last;
}

static const cJSON *policy_of(const cJSON *list, const char *path)
{
    const cJSON *e;

    cJSON_ArrayForEach(
        e, sv_json_get(list, "policies")) if (!strcmp(sv_json_text(e, "path"), path)) return e;
    return NULL;
}

void sb_html_resources(FILE *out, const cJSON *list, const cJSON *log)
{
    static const char *const heads[] = {"Path",   "Bytes",       "Version", "Since",
                                        "Policy", "Last reader", NULL};
    const cJSON *resources = sv_json_get(list, "resources"), *e, *wide = policy_of(list, "*");

    fputs("<p>Policy of every resource:</p><table><tr>", out);
    if (wide)
        put_json(out, sv_json_get(wide, "policy"));
    else
        put_cell(out, "none");
    fputs("</tr></table>", out);
    begin_table(out, "resources", heads);
    cJSON_ArrayForEach(e, resources)
    {
        const char *path = sv_json_text(e, "path");
        const cJSON *own = policy_of(list, path), *reader = last_reader(log, path),
                    *size = sv_json_get(e, "size"), *version = sv_json_get(e, "version");

        fputs("<tr>", out);
        put_cell(out, path);
        fprintf(out, "<td>%.0f</td><td>%.0f</td>", cJSON_IsNumber(size) ? size->valuedouble : 0,
                cJSON_IsNumber(version) ? version->valuedouble : 0);
        put_time(out, sv_json_get(e, "changed"), false);
        if (own)
            put_json(out, sv_json_get(own, "policy"));
        else
            put_cell(out, "none of its own");
        fputs("<td>", out);
        sb_html_text(out, sv_json_text(reader, "reference"));
        fputs(reader ? " at " : "", out);
        sb_html_text(out, sv_json_text(reader, "peer"));
        fputs(" ", out);
        sb_html_text(out, sv_json_text(reader, "time"));
        fputs("</td></tr>", out);
    }
    end_table(out, resources);
}

void sb_html_volumes(FILE *out, const cJSON *o)
{
    static const char *const heads[] = {"Key",    "Memory", "State", "Held by",
                                        "Second", "Opened", "Heard", NULL};
    const cJSON *list = sv_json_get(o, "volumes"), *e;

    begin_table(out, "volumes", heads);
    cJSON_ArrayForEach(e, list)
    {
        bool held = cJSON_IsTrue(sv_json_get(e, "held"));

        fputs("<tr>", out);
        put_cell(out, sv_json_text(e, "path"));
        put_cell(out, sv_json_text(e, "memory"));
        put_cell(out, sv_json_text(e, "state"));
        fputs("<td>", out);
        sb_html_text(out, held ? sv_json_text(e, "reference") : "nobody");
        fputs(held ? " at " : "", out);
        sb_html_text(out, held ? sv_json_text(e, "peer") : "");
        fputs("</td>", out);
        put_cell(out, *sv_json_text(e, "second") ? sv_json_text(e, "second") : "refuse");
        put_time(out, sv_json_get(e, "opened_ms"), true);
        put_time(out, sv_json_get(e, "heard_ms"), true);
        fputs("</tr>", out);
    }
    end_table(out, list);
}

static void put_button(FILE *out, const char *action, const char *label, const cJSON *o,
                       const char *form)
{
    fprintf(out,
            "<form method=\"post\" action=\"/console/%s\"><input type=\"hidden\" name=\"form\" "
            "value=\"%s\"><input type=\"hidden\" name=\"name\" value=\"",
            action, form);
    sb_html_text(out, sv_json_text(o, "name"));
    fputs("\"><input type=\"hidden\" name=\"sha384\" value=\"", out);
    sb_html_text(out, sv_json_text(o, "sha384"));
    fprintf(out, "\"><button id=\"%s\">%s</button></form>", action, label);
}

void sb_html_proposal(FILE *out, const cJSON *o, const char *form)
{
    const cJSON *values = sv_json_get(sv_json_get(o, "reference"), "references");
    char *text = cJSON_Print(values);

    fputs("<p>Whoever measures as below may attest as <b>", out);
    sb_html_text(out, sv_json_text(o, "name"));
    fputs("</b>. Proposed by ", out);
    sb_html_text(out, sv_json_text(o, "proposer"));
    fputs(".</p><table><tr><th>Image</th><td><code>", out);
    sb_html_text(out, sv_json_text(o, "image"));
    fputs("</code></td></tr><tr><th>SHA-384</th><td><code id=\"sha384\">", out);
    sb_html_text(out, sv_json_text(o, "sha384"));
    fputs("</code></td></tr><tr><th>Launch</th>", out);
    put_json(out, sv_json_get(o, "launch"));
    fputs("</tr></table><pre>", out);
    sb_html_text(out, text ? text : "");
    fputs("</pre>", out);
    cJSON_free(text);
    put_button(out, "approve", "Approve this reference", o, form);
    put_button(out, "reject", "Reject it", o, form);
}
