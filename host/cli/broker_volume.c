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

static int list_volumes(struct sb_store *st, const struct wish *w, struct sh_error *err)
{
    cleanup_free char *text = NULL;
    int r = sb_volume_list(st, NULL, &text);
    if (r)
        return sh_fail_errno(err, r, "cannot read the broker's database");
    if (w->json) {
        puts(text);
        return 0;
    }
    cJSON *all = cJSON_Parse(text);
    const cJSON *o;
    cJSON_ArrayForEach(o, all) print_line(o);
    cJSON_Delete(all);
    return 0;
}

static int show_volume(struct sb_store *st, const struct wish *w, struct sh_error *err)
{
    cleanup_free char *text = NULL;
    int r = sh_broker_store_error(sb_volume_list(st, w->path, &text), "volume", w->path, err);
    if (r)
        return r;
    if (w->json) {
        puts(text);
        return 0;
    }
    cJSON *o = cJSON_Parse(text);
    static const char *const words[] = {"path",  "memory",    "state", "second",
                                        "image", "reference", "peer"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        printf("%-10s %s\n", words[i], sv_json_text(o, words[i]));
    printf("%-10s %s\n", "held", cJSON_IsTrue(sv_json_get(o, "held")) ? "yes" : "no");
    print_time("opened     ", o, "opened_ms");
    print_time("\nheard      ", o, "heard_ms");
    putchar('\n');
    cJSON_Delete(o);
    return 0;
}

static int reset_row(struct sb_volume *v, void *arg)
{
    if (!*v->memory)
        return -ENOENT;
    snprintf(v->memory, sizeof(v->memory), "reset");
    v->lease[0] = 0;
    return 0;
}

static int set_row(struct sb_volume *v, void *arg)
{
    if (!*v->memory)
        snprintf(v->memory, sizeof(v->memory), "never");
    snprintf(v->second, sizeof(v->second), "%s", (const char *)arg);
    return 0;
}

static int change_volume(struct sb_store *st, const struct wish *w, struct sh_error *err)
{
    bool sets = !strcmp(w->action, "set");
    int r = sets       ? sb_volume_change(st, w->path, set_row, (void *)(uintptr_t)w->second)
            : w->fresh ? sb_volume_delete(st, w->path)
                       : sb_volume_change(st, w->path, reset_row, NULL);
    r = sh_broker_store_error(r, "volume", w->path, err);
    return r ? r
             : sh_broker_log_change(st,
                                    sets ? !strcmp(w->second, "fence") ? "volume-second-fences"
                                                                       : "volume-second-refused"
                                    : w->fresh ? "volume-forgotten"
                                               : "volume-reset",
                                    w->path, NULL, NULL, err);
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
    struct sb_store *st = NULL;
    const char *dir_option = NULL;
    struct wish w = {0};
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch (o) {
        case SH_broker_volume_dir:
            dir_option = c.value;
            break;
        case SH_broker_volume_json:
            w.json = true;
            break;
        case SH_broker_volume_new:
            w.fresh = true;
            break;
        default:
            w.second = c.value;
        }
    if (c.status >= 0)
        return c.status;
    w.action = c.args[0];
    w.path = c.count > 1 ? c.args[1] : NULL;
    const char *wrong = judge_wish(&w);
    if (wrong)
        return sh_cli_usage(c.shown, "%s", wrong);
    cleanup_free char *dir = sh_broker_dir(dir_option);
    int r = sh_broker_open(dir, &st, &err);
    if (!r)
        r = !strcmp(w.action, "ls")     ? list_volumes(st, &w, &err)
            : !strcmp(w.action, "show") ? show_volume(st, &w, &err)
                                        : change_volume(st, &w, &err);
    sb_store_close(st);
    return r ? sh_error_report(&err) : 0;
}
