#!/usr/bin/env bash
# What CI asks of a repository of specs; each step is a command of its own: check.sh STEP [ARGUMENT...]
#
#   install            mlimg, from the package index or from MLIMG (a path, a wheel, a requirement)
#   specs              every spec is right
#   locks              every lock is what its spec and sources decide now
#   fraction           the first shards of every spec are, byte for byte, those that its lock names
#   review BASE        Markdown on stdout: what changes from the commit BASE to the locks that are here
#   comment PULL FILE  the file becomes mlimg's comment on the pull request; a former one is replaced
#
# SPECS is the folder of specs (specs), OUT where things are built (build), FRACTION how much of each (0.01). Images at
# URLs come from MLIMG_STORE, the store of the release; with OFFLINE=1 nobody is asked for one that it lacks.
set -euo pipefail

SPECS=${SPECS:-specs}
OUT=${OUT:-build}
FRACTION=${FRACTION:-0.01}
MARK='<!-- mlimg diff -->'

install() {
    python -m pip install --quiet "${MLIMG:-mlimg}"
}

specs() {
    mlimg check "$SPECS"/*.yaml
}

# runs a command with each spec; all are tried, and the worst exit code is kept
each() {
    local spec code worst=0
    for spec in "$SPECS"/*.yaml; do
        code=0
        "$@" "$spec" || code=$?
        if ((code > worst)); then worst=$code; fi
    done
    return "$worst"
}

locks() {
    each mlimg lock --check --out "$OUT"
}

fraction() {
    each rebuild
}

rebuild() {
    local made offline=
    if [ "${OFFLINE:-0}" != 0 ]; then offline=--offline; fi
    made=$(mlimg build --locked $offline --fraction "$FRACTION" --until dataset --out "$OUT" "$1") || return
    mlimg verify --labels "$(sed -n 1p <<<"$made")"
}

review() {
    local base lock before="$OUT/base" code
    base=$(git merge-base "$1" HEAD)
    rm -rf "$before"
    mkdir -p "$before"
    if git cat-file -e "$base:$SPECS" 2>/dev/null; then git archive "$base" "$SPECS" | tar -x -C "$before"; fi
    echo "$MARK"
    for lock in "$SPECS"/*.lock; do
        if [ ! -d "$lock" ]; then continue; fi
        if [ ! -d "$before/$lock" ]; then
            printf '### %s\n\nA new lock; there is none in the base to compare it with.\n\n' "$lock"
            continue
        fi
        code=0
        mlimg diff --markdown --exit-code "$before/$lock" "$lock" || code=$?
        if ((code != 0 && code != 3)); then return "$code"; fi
        echo
    done
    for lock in "$before/$SPECS"/*.lock; do
        if [ -d "$lock" ] && [ ! -d "${lock#"$before"/}" ]; then
            printf '### %s\n\nThis lock is removed.\n\n' "${lock#"$before"/}"
        fi
    done
}

comment() {
    local comments="repos/{owner}/{repo}/issues/$1/comments" former
    former=$(gh api --paginate "$comments" --jq ".[] | select(.body | startswith(\"$MARK\")) | .id" | tail -n 1)
    if [ -n "$former" ]; then
        gh api --method PATCH "repos/{owner}/{repo}/issues/comments/$former" --field "body=@$2" --silent
    else
        gh api --method POST "$comments" --field "body=@$2" --silent
    fi
}

case "${1:-}" in
install | specs | locks | fraction | review | comment) "$@" ;;
*)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac
