// SPDX-License-Identifier: Apache-2.0
// shelter broker: finds the sub-verb; policies, keys, lists and removals.
#include "host/cli/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "host/cli/cli.h"
#include "verifier/broker/jose.h"
#include "verifier/broker/policy.h"
#include "verifier/broker/server.h"

const char sh_usage_broker[] =
    "Usage: shelter broker serve [OPTION...]\n"
    "       shelter broker add-resource REPOSITORY/TYPE/TAG [FILE] [--image NAME]...\n"
    "       shelter broker add-reference IMAGE|FILE [--name NAME] [--allow KEY[=VALUE]]...\n"
    "       shelter broker policy REPOSITORY/TYPE/TAG|'*' [FILE | --remove]\n"
    "       shelter broker log [-f] [--json] [-n COUNT]\n"
    "       shelter broker list [--json] | key [--jwks] | remove-resource PATH |\n"
    "                      remove-reference NAME\n\n"
    "Gives secrets to programs that prove what they are (the key broker protocol of Confidential\n"
    "Containers, versions 0.4.0 and 0.1.1). Nothing is given to an unknown measurement.\n\n"
    "  --dir DIR           where the broker keeps its database ($SHELTER_BROKER, else\n"
    "                      $XDG_DATA_HOME/shelter-broker, as root /var/lib/shelter-broker)\n\n"
    "serve:\n"
    "  --listen ADDR:PORT  default 127.0.0.1:8080; port 0 takes a free one\n"
    "  --insecure-http     plain HTTP, on a loopback address only\n"
    "  --tls-cert FILE, --tls-key FILE   PEM, instead of a certificate of the broker's own key\n"
    "  --collateral [TEE=]PATH   folder or collateral.json for sgx, tdx, snp or csv; repeatable\n"
    "  --online, --pccs URL, --kds URL, --cache DIR   fetch collateral as 'shelter verify' does\n"
    "  --ca FILE           roots to trust besides the pinned ones\n"
    "  --allow-simulated FILE   accept simulated TEEs of this root; they protect nothing\n"
    "  --policy FILE       what evidence must be like, as for 'shelter verify'\n"
    "  --rate N            requests per second of one peer (100; 0: no limit)\n"
    "  --max-body SIZE     of one request (2M)\n"
    "  --max-sessions N    at once (8192)\n"
    "  --nonce-seconds N, --session-seconds N   how long they are good for (300, 1800)\n"
    "  --url-file FILE     write the URL there once it serves\n\n"
    "add-resource reads FILE or stdin; --image limits it to these images (names or identities).\n"
    "add-reference takes an image of the store, an image folder or a reference.json. What the "
    "host\n"
    "may choose at launch besides memory, CPUs, network, ports, broker and terminal is allowed by\n"
    "--allow: KEY alone for any value, KEY=VALUE for this one (arg, env, workdir, user, hostname,\n"
    "stdin, mount; 'arg=CMD ARG...' is a whole command). --insecure-any-launch allows all but "
    "debug.\n";

char *sh_broker_dir(const char *option)
{
    const char *env = getenv("SHELTER_BROKER"), *home = getenv("HOME"), *data;
    if (option)
        return sh_strdup(option);
    if (env && *env)
        return sh_strdup(env);
    if (!geteuid())
        return sh_strdup("/var/lib/shelter-broker");
    data = getenv("XDG_DATA_HOME");
    if (data && *data == '/')
        return sh_format("%s/shelter-broker", data);
    return sh_format("%s/.local/share/shelter-broker", home ? home : "");
}

int sh_broker_open(const char *dir, bool create, struct sb_store **st, struct sh_error *err)
{
    char why[300] = "";
    char *slash = strrchr(dir, '/');
    if (create && slash && slash != dir) {
        cleanup_free char *parent = strndup(dir, (size_t)(slash - dir));
        int r = sh_make_dirs(parent, 0755, err);
        if (r)
            return r;
    }
    int r = sb_store_open(dir, create, st, why, sizeof(why));
    if (r == -ENOENT)
        return sh_fail(err, r,
                       "%s; start it with 'shelter broker serve --dir %s', or name another "
                       "folder by --dir",
                       why, dir);
    return r ? sh_fail(err, r, "%s", why[0] ? why : strerror(-r)) : 0;
}

int sh_broker_store_error(int rc, const char *what, const char *name, struct sh_error *err)
{
    if (!rc)
        return 0;
    if (rc == -ENOENT)
        return sh_fail(err, rc, "the broker has no %s '%s'; see 'shelter broker list'", what, name);
    return sh_fail_errno(err, rc, "cannot change %s '%s' in the broker's database", what, name);
}

int sh_broker_log_change(struct sb_store *st, const char *code, const char *resource,
                         const char *reference, const char *image, struct sh_error *err)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    char who[40];
    snprintf(who, sizeof(who), "uid %u", (unsigned)getuid());
    struct sb_entry e = {.time_ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000,
                         .event = "admin",
                         .outcome = "changed",
                         .code = code,
                         .peer = who,
                         .resource = resource,
                         .reference = reference,
                         .image = image};
    int r = sb_log_add(st, &e);
    return r ? sh_fail_errno(err, r, "cannot write the broker's audit log") : 0;
}

static int show(char *text, const char *what, struct sh_error *err)
{
    if (!text)
        return sh_fail(err, -ENOMEM, "cannot print %s", what);
    fputs(text, stdout);
    if (*text && text[strlen(text) - 1] != '\n')
        putchar('\n');
    free(text);
    return 0;
}

static int set_policy(struct sb_store *st, const char *path, const char *file, struct sh_error *err)
{
    cleanup_free uint8_t *text = NULL;
    size_t size;
    char why[200] = "";
    int r = sh_read_file(AT_FDCWD, strcmp(file, "-") ? file : "/dev/stdin", SB_JSON_SIZE_MAX, &text,
                         &size, err);
    if (r)
        return r;
    if (sb_policy_check((const char *)text, why, sizeof(why)))
        return sh_fail(err, -EINVAL, "%s: %s", file, why);
    r = sh_broker_store_error(sb_policy_put(st, path, (const char *)text), "policy", path, err);
    return r ? r : sh_broker_log_change(st, "policy-set", path, NULL, NULL, err);
}

static int policy(struct sb_store *st, int argc, char **argv, bool removes, struct sh_error *err)
{
    const char *path = argc > 0 ? argv[0] : NULL;
    if (!path || argc > 2 || (removes && argc > 1))
        return sh_fail(err, -EINVAL, "policy takes a resource or '*', and a FILE or --remove");
    if (strcmp(path, "*") && !sb_path_ok(path))
        return sh_fail(err, -EINVAL, "'%s' is no resource; give REPOSITORY/TYPE/TAG or '*'", path);
    if (argc == 2)
        return set_policy(st, path, argv[1], err);
    if (removes) {
        int r = sh_broker_store_error(sb_policy_delete(st, path), "policy", path, err);
        return r ? r : sh_broker_log_change(st, "policy-removed", path, NULL, NULL, err);
    }
    char *text = NULL;
    int r = sb_policy_get(st, path, &text);
    return r ? sh_broker_store_error(r, "policy of its own for", path, err)
             : show(text, "the policy", err);
}

static int print_key(struct sb_store *st, bool jwks, struct sh_error *err)
{
    if (!jwks)
        return show(sb_key_pem(sb_store_key(st), false), "the key", err);
    cJSON *set = cJSON_CreateObject();
    cJSON_AddItemToArray(cJSON_AddArrayToObject(set, "keys"), sb_jwk_public(sb_store_key(st)));
    char *text = cJSON_Print(set);
    cJSON_Delete(set);
    return show(text, "the key", err);
}

static const char *text_of(const cJSON *o, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));
    return text ? text : "";
}

static int list(struct sb_store *st, bool json, struct sh_error *err)
{
    char *text = NULL;
    int r = sb_store_list(st, &text);
    if (r)
        return sh_fail_errno(err, r, "cannot read the broker's database");
    if (json)
        return show(text, "the list", err);
    cJSON *all = cJSON_Parse(text);
    const cJSON *o;
    free(text);
    cJSON_ArrayForEach(o, cJSON_GetObjectItemCaseSensitive(all, "resources"))
        printf("resource   %s  %d bytes\n", text_of(o, "path"),
               cJSON_GetObjectItemCaseSensitive(o, "size")->valueint);
    cJSON_ArrayForEach(o, cJSON_GetObjectItemCaseSensitive(all, "references"))
    {
        cleanup_free char *rules =
            cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(o, "launch"));
        printf("reference  %s  image %.12s  launch %s\n", text_of(o, "name"), text_of(o, "image"),
               rules);
    }
    cJSON_ArrayForEach(o, cJSON_GetObjectItemCaseSensitive(all, "policies"))
    {
        cleanup_free char *rules =
            cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(o, "policy"));
        printf("policy     %s  %s\n", text_of(o, "path"), rules);
    }
    cJSON_Delete(all);
    return 0;
}

static int removal(struct sb_store *st, const char *verb, int argc, char **argv,
                   struct sh_error *err)
{
    bool resource = !strcmp(verb, "remove-resource");
    const char *what = resource ? "resource" : "reference";
    if (argc != 1)
        return sh_fail(err, -EINVAL, "%s takes one name", verb);
    int r = resource ? sb_resource_delete(st, argv[0]) : sb_reference_delete(st, argv[0]);
    r = sh_broker_store_error(r, what, argv[0], err);
    return r ? r
             : sh_broker_log_change(st, resource ? "resource-removed" : "reference-removed",
                                    resource ? argv[0] : NULL, resource ? NULL : argv[0], NULL,
                                    err);
}

/* The verbs that share --dir, --json, --jwks and --remove. */
static int small_verb(int argc, char **argv)
{
    static const struct option longs[] = {
        {"dir", required_argument, NULL, 'd'}, {"json", no_argument, NULL, 'j'},
        {"jwks", no_argument, NULL, 'k'},      {"remove", no_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},      {NULL, 0, NULL, 0}};
    const char *verb = argv[0], *dir_option = NULL;
    bool json = false, jwks = false, removes = false;
    struct sh_error err = {0};
    int c;
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'd')
            dir_option = optarg;
        else if (c == 'h')
            return sh_cli_help("broker");
        else if (c == 'j' && !strcmp(verb, "list"))
            json = true;
        else if (c == 'k' && !strcmp(verb, "key"))
            jwks = true;
        else if (c == 'r' && !strcmp(verb, "policy"))
            removes = true;
        else
            return sh_cli_usage("broker", "unknown option or missing value");
    }
    cleanup_free char *dir = sh_broker_dir(dir_option);
    struct sb_store *st = NULL;
    bool reads = !strcmp(verb, "list") || !strncmp(verb, "remove", 6);
    int r = sh_broker_open(dir, !reads, &st, &err);
    argc -= optind;
    argv += optind;
    if (r)
        return sh_error_report(&err);
    if (!strcmp(verb, "policy"))
        r = policy(st, argc, argv, removes, &err);
    else if (strncmp(verb, "remove", 6) && argc)
        r = sh_fail(&err, -EINVAL, "'%s' is one argument too many; see 'shelter broker --help'",
                    argv[0]);
    else if (!strcmp(verb, "key"))
        r = print_key(st, jwks, &err);
    else if (!strcmp(verb, "list"))
        r = list(st, json, &err);
    else
        r = removal(st, verb, argc, argv, &err);
    sb_store_close(st);
    return r ? sh_error_report(&err) : 0;
}

int cmd_broker(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } verbs[] = {{"serve", sh_broker_serve},
                 {"add-resource", sh_broker_add_resource},
                 {"add-reference", sh_broker_add_reference},
                 {"policy", small_verb},
                 {"log", sh_broker_log},
                 {"list", small_verb},
                 {"key", small_verb},
                 {"remove-resource", small_verb},
                 {"remove-reference", small_verb}};
    if (argc < 2)
        return sh_cli_usage("broker", "what should the broker do?");
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        return sh_cli_help("broker");
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (!strcmp(argv[1], verbs[i].name))
            return verbs[i].run(argc - 1, argv + 1);
    return sh_cli_usage("broker", "there is no 'broker %s'", argv[1]);
}
