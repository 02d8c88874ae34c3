// SPDX-License-Identifier: Apache-2.0
// Reads an image configuration: OCI layouts and docker archives have the same.
#include "host/image/input/oci_config.h"
#include "verifier/base/json.h"

#include <errno.h>
#include <string.h>

static const char *text_of(const cJSON *o, const char *name)
{
    return sv_json_string(o, name);
}

static int take_words(const cJSON *config, const char *name, struct sh_strings *out)
{
    const cJSON *list = sv_json_get(config, name), *word;
    cJSON_ArrayForEach(word, list)
    {
        if (!cJSON_IsString(word))
            return -EBADMSG;
        sh_strings_add(out, word->valuestring);
    }
    return !list || cJSON_IsArray(list) || cJSON_IsNull(list) ? 0 : -EBADMSG;
}

int sh_oci_config(const cJSON *image, const char *name, struct sh_config *config,
                  struct sh_error *err)
{
    const char *os = text_of(image, "os"), *machine = text_of(image, "architecture");
    if ((os && strcmp(os, "linux")) || (machine && strcmp(machine, "amd64")))
        return sh_fail(err, -EINVAL, "%s is for %.20s/%.20s; linux/amd64 is needed", name,
                       os ? os : "linux", machine ? machine : "amd64");
    const cJSON *c = sv_json_get(image, "config"), *item;
    struct sh_strings env = {0};
    int r = take_words(c, "Entrypoint", &config->entrypoint);
    r = r ? r : take_words(c, "Cmd", &config->command);
    r = r ? r : take_words(c, "Env", &env);
    if (r)
        sh_fail(err, r, "%s: its command or environment is not a list of words", name);
    for (size_t i = 0; !r && i < env.count; i++)
        if (strchr(env.v[i], '='))
            r = sh_config_env(config, env.v[i], err);
    sh_strings_free(&env);
    const char *s = text_of(c, "WorkingDir");
    if (s && *s) {
        cleanup_free char *absolute = sh_format("%s%s", *s == '/' ? "" : "/", s);
        sh_config_set(&config->workdir, absolute);
    }
    s = text_of(c, "User");
    if (s && *s)
        sh_config_set(&config->user, s);
    s = text_of(c, "StopSignal");
    if (!r && s && *s)
        r = sh_config_stop_signal(config, s, err);
    cJSON_ArrayForEach(item, sv_json_get(c, "ExposedPorts"))
    {
        struct sh_error ignored = {0}; /* ranges and SCTP: for documentation anyway */
        if (item->string)
            sh_config_port(config, item->string, &ignored);
    }
    return r;
}
