# shellcheck shell=bash
# Where things of the tests are kept on this machine, and how the scripts talk. Sourced by every script in
# tests/cluster and by tests/setup; only names and small helpers live here, nothing that starts or changes anything.

# Everything that can be made again lives below one folder: binaries, clusters, the Python environment.
cache_root=${CROSSTIE_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/crosstie}
cluster_source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034  # the scripts that source this file use these
readonly cache_root cluster_source \
    bin_folder="$cache_root/bin" \
    images_folder="$cache_root/images" \
    clusters_folder="$cache_root/clusters" \
    python_environment="$cache_root/python" \
    pause_image=registry.local/pause:1

program=${0##*/}

# say TEXT…: one line for the person who watches.
say() { printf '%s\n' "$*" >&2; }

# die TEXT…: says what failed and what to do, and ends the script.
die() {
    say "$program: $*"
    exit 1
}

# seconds_since EPOCHREALTIME: with one decimal, for example 3.4.
seconds_since() {
    local tenths=$(((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}) / 100000))
    printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

# have COMMAND…: whether all of these can be run.
have() {
    local name
    for name in "$@"; do
        command -v "$name" >/dev/null 2>&1 || return 1
    done
}
