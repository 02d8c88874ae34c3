// SPDX-License-Identifier: Apache-2.0
// shelter broker volume: what the broker remembers of volumes, and its operator's word about them.
#include "host/cli/broker.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "host/cli/cli.h"
#include "verifier/base/json.h"

struct wish {
    const char *action, *path, *second;
    bool json, fresh;
};

static void print_time(const char *what, const cJSON *o, const char *name)
{
    const cJSON *ms = sv_json_get(o, name);
    time_t seconds = cJSON_IsNumber(ms) ? (time_t)(ms->valuedouble / 1000) : 0;
    struct tm tm;
    char text[24];
    if (!seconds)
        return;
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    printf("%s%s", what, text);
}

static void print_line(const cJSON *o)
{
    const char *state = sv_json_text(o, "state");
    int shown = (int)strcspn(state, "-"), log = (int)strcspn(state + shown + !!state[shown], "-");
    printf("%s  %s  state %.*s.%.*s", sv_json_text(o, "path"), sv_json_text(o, "memory"),
           shown ? shown : 1, shown ? state : "0", log ? log : 1, log ? state + shown + 1 : "0");
    if (cJSON_IsTrue(sv_json_get(o, "held")))
        printf("  held by image %.12s at %s", sv_json_text(o, "image"), sv_json_text(o, "peer"));
    print_time("  heard ", o, "heard_ms");
    putchar('\n');
}

static void show_volume(const cJSON *o)
{
    static const char *const words[] = {"path",  "memory",    "state", "second",
                                        "image", "reference", "peer"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        printf("%-10s %s\n", words[i], sv_json_text(o, words[i]));
    printf("%-10s %s\n", "held", cJSON_IsTrue(sv_json_get(o, "held")) ? "yes" : "no");
    print_time("opened     ", o, "opened_ms");
    print_time("\nheard      ", o, "heard_ms");
    putchar('\n');
}

static int read_volumes(struct sh_broker *b, const struct wish *w, struct sh_error *err)
{
    cJSON *answer = NULL, *args = cJSON_CreateObject();
    if (w->path)
        cJSON_AddStringToObject(args, "path", w->path);
    int r = sh_broker_do(b, "volumes", args, &answer, err);
    const cJSON *all = sv_json_get(answer, w->path ? "volume" : "volumes"), *o;
    if (r)
        return r;
    if (w->json) {
        cleanup_free char *text = cJSON_PrintUnformatted(all);
        puts(text ? text : "");
    } else if (w->path) {
        show_volume(all);
    } else {
        cJSON_ArrayForEach(o, all) print_line(o);
    }
    cJSON_Delete(answer);
    return 0;
}

static int change_volume(struct sh_broker *b, const struct wish *w, struct sh_error *err)
{
    bool sets = !strcmp(w->action, "set");
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "path", w->path);
    if (sets)
        cJSON_AddStringToObject(args, "second", w->second);
    else
        cJSON_AddBoolToObject(args, "new", w->fresh);
    return sh_broker_do(b, sets ? "volume-set" : "volume-reset", args, NULL, err);
}

/* NULL, or what is wrong with what was said. */
static const char *judge_wish(const struct wish *w)
{
    bool lists = !strcmp(w->action, "ls"), shows = !strcmp(w->action, "show"),
         resets = !strcmp(w->action, "reset"), sets = !strcmp(w->action, "set");
    if (!lists && !shows && !resets && !sets)
        return "say ls, show, reset or set";
    if (lists != !w->path)
        return lists ? "ls takes no path" : "name the volume by its key: REPOSITORY/TYPE/TAG";
    if (w->path && !sb_path_ok(w->path))
        return "a volume is named by its key: REPOSITORY/TYPE/TAG";
    if (sets && (!w->second || (strcmp(w->second, "refuse") && strcmp(w->second, "fence"))))
        return "set takes --second refuse or --second fence";
    if ((w->json && !lists && !shows) || (w->fresh && !resets) || (w->second && !sets))
        return "--json goes with ls and show, --new with reset, --second with set";
    return NULL;
}

int cmd_broker_volume(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_broker_volume, argc, argv);
    struct sh_error err = {0};
    struct sh_broker b = {0};
    struct wish w = {0};
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        if (o == SH_broker_volume_json)
            w.json = true;
        else if (o == SH_broker_volume_new)
            w.fresh = true;
        else if (!sh_broker_option(&b, o, c.value))
            w.second = c.value;
    if (c.status >= 0)
        return c.status;
    w.action = c.args[0];
    w.path = c.count > 1 ? c.args[1] : NULL;
    const char *wrong = judge_wish(&w);
    if (wrong)
        return sh_cli_usage(c.shown, "%s", wrong);
    int r = sh_broker_connect(&b, &err);
    if (!r)
        r = !strcmp(w.action, "ls") || !strcmp(w.action, "show") ? read_volumes(&b, &w, &err)
                                                                 : change_volume(&b, &w, &err);
    sh_broker_close(&b);
    return r ? sh_error_report(&err) : 0;
}
