# What Tab offers for shelter. The tables of verbs and options stand before this in the installed file
# (build/completions/shelter.bash); tools/verb_lists writes them.

_shelter_images() {
    shelter images 2>/dev/null | awk 'NR > 1 && $1 != "-" { print $1; sub(/:latest$/, "", $1); print $1 }'
}

_shelter_instances() { # -a: also those that ended
    shelter ps "$@" 2>/dev/null | awk 'NR > 1 { print $2 }'
}

# Fills COMPREPLY with what words and @kinds offer.
_shelter_offer() {
    local cur=$1 kind words=''
    local -a files=()
    for kind in $2; do
        case $kind in
        @image) words+=" $(_shelter_images)" ;;
        @instance) words+=" $(_shelter_instances)" ;;
        @instance:)
            compopt -o nospace 2>/dev/null
            words+=" $(_shelter_instances | sed 's/$/:/')" ;;
        @any-instance) words+=" $(_shelter_instances -a)" ;;
        @verb) words+=" $(awk '!/ /' <<<"$_shelter_verbs")" ;;
        @file)
            compopt -o filenames 2>/dev/null
            mapfile -t files < <(compgen -f -- "$cur") ;;
        -) ;;
        *) words+=" $kind" ;;
        esac
    done
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    COMPREPLY+=("${files[@]}")
}

_shelter() {
    local cur prev verb first=2 values
    COMPREPLY=()
    cur=${COMP_WORDS[COMP_CWORD]}
    prev=${COMP_WORDS[COMP_CWORD - 1]}
    if [ "$COMP_CWORD" -eq 1 ]; then
        _shelter_offer "$cur" @verb
        return
    fi
    verb=${COMP_WORDS[1]}
    if grep -q "^$verb " <<<"$_shelter_verbs"; then # a family, such as broker
        if [ "$COMP_CWORD" -eq 2 ]; then
            _shelter_offer "$cur" "$(sed -n "s/^$verb //p" <<<"$_shelter_verbs")"
            return
        fi
        verb+=" ${COMP_WORDS[2]}"
        first=3
    fi
    values=$([ "$COMP_CWORD" -gt "$first" ] && _shelter_values "$verb $prev")
    if [ -n "$values" ]; then
        _shelter_offer "$cur" "$values"
        return
    fi
    if [[ $cur == -* ]]; then
        _shelter_offer "$cur" "$(_shelter_options "$verb")"
        return
    fi
    _shelter_offer "$cur" "$(_shelter_plain "$verb")"
    # A tag's colon parts words for readline: what stands before it is there already.
    if [[ $cur == *:* ]] && type __ltrim_colon_completions >/dev/null 2>&1; then
        __ltrim_colon_completions "$cur"
    fi
}

complete -F _shelter shelter
