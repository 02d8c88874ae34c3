# SPDX-License-Identifier: Apache-2.0
# bash completion for shelter. Verbs come from `shelter help`, a verb's options from its --help, so
# that nothing has to be kept in step here.

_shelter_images() {
    shelter images 2>/dev/null | awk 'NR > 1 && $1 != "-" { print $1; sub(/:latest$/, "", $1); print $1 }'
}

_shelter_instances() { # -a: also those that ended
    shelter ps "$@" 2>/dev/null | awk 'NR > 1 { print $2 }'
}

_shelter() {
    local cur prev verb word
    local -a words_list=()
    COMPREPLY=()
    cur=${COMP_WORDS[COMP_CWORD]}
    prev=${COMP_WORDS[COMP_CWORD - 1]}
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$(shelter help 2>/dev/null |
            awk '/^  [a-z]/ { print $1 }')" -- "$cur")
        return
    fi
    verb=${COMP_WORDS[1]}
    case $prev in
    --tee) word='auto tdx snp csv sgx tdx-sim sgx-sim' ;;
    --boot) word='pvh bzimage' ;;
    --network | --net) [ "$verb" = build ] && word='none dhcp' || word='user none' ;;
    --allow) word='exec mount signal trace stats debug' ;;
    -s | --signal) [ "$verb" = kill ] && word='INT TERM KILL HUP QUIT USR1 USR2' ;;
    --type) word='instance image' ;;
    -t | --tag) [ "$verb" = run ] || [ "$verb" = start ] && word=$(_shelter_images) ;;
    esac
    if [ -n "$word" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
        return
    fi
    case $prev in
    -f | --file | -r | --rootfs | -C | --config | -a | --agent | --base | --env-file | -v | --volume | -o | --output | --stats | --trace)
        [ "$verb$prev" = logs-f ] || [ "$verb$prev" = rm-f ] || [ "$verb$prev" = rmi-f ] || {
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
        } ;;
    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(shelter "$verb" --help 2>/dev/null |
            grep -oE '(^|[ ,[|(])--?[a-zA-Z][a-z-]*' | tr -d ' ,[|(' | sort -u)" -- "$cur")
        return
    fi
    case $verb in
    run | rmi | tag | save | measure) word=$(_shelter_images) ;;
    start) word="$(_shelter_instances -a) $(_shelter_images)" ;;
    exec | attach | attest | stop | kill | stats | trace | debug) word=$(_shelter_instances) ;;
    rm | logs | wait | status) word=$(_shelter_instances -a) ;;
    inspect) word="$(_shelter_instances -a) $(_shelter_images)" ;;
    cp) word=$(_shelter_instances | sed 's/$/:/')
        compopt -o nospace -o filenames
        mapfile -t words_list < <(compgen -f -- "$cur") ;;
    load | verify)
        compopt -o filenames
        mapfile -t words_list < <(compgen -f -- "$cur") ;;
    help) word=$(shelter help 2>/dev/null | awk '/^  [a-z]/ { print $1 }') ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
    COMPREPLY+=("${words_list[@]}")
    # A tag's colon parts words for readline: what stands before it is there already.
    if [[ $cur == *:* ]] && type __ltrim_colon_completions >/dev/null 2>&1; then
        __ltrim_colon_completions "$cur"
    fi
}

complete -F _shelter shelter
