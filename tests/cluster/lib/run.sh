# shellcheck shell=bash
# Runs other people's programs beside the cluster: `exec` in the foreground, `spawn` as a part that `down` ends.

# prepare_environment: for a program that is to meet the cluster. A proxy of this machine cannot reach it.
prepare_environment() {
    local direct="$node_address,$service_range,$pod_range,.svc,.cluster.local"
    KUBECONFIG=$(kubeconfig_inside)
    export KUBECONFIG PATH="$bin_folder:$PATH"
    # what kubectl remembers of a cluster ends with it
    [[ $(mode) == foreign ]] || export KUBECACHEDIR="$data/kubectl-cache"
    [[ $(mode) != full ]] || export NO_PROXY="${NO_PROXY:+$NO_PROXY,}$direct" no_proxy="${no_proxy:+$no_proxy,}$direct"
}

# place_of_programs: where exec and spawn run.
place_of_programs() {
    if [[ $(mode) == full ]]; then
        require_root "entering the cluster's network"
        echo network
    else
        echo host
    fi
}

# run_in_foreground PLACE COMMAND…: replaces this script. The place is `programs` or `node`.
run_in_foreground() {
    local place=$1 prefix
    shift
    [[ $place != node ]] || require_root "entering the node"
    [[ $place == node ]] || place=$(place_of_programs)
    namespace_of "$place"
    prepare_environment
    exec "${prefix[@]}" "$@"
}

# spawn_part NAME COMMAND…: like run_in_foreground, but detached, logged and remembered with its whole environment and
# folder. Prints the process id.
spawn_part() {
    local part=$1 place variables words
    shift
    [[ $part =~ ^[a-z0-9][-a-z0-9.]*$ ]] || die "a log's name has a-z, 0-9, '-' and '.'; '$part' is none"
    words=" $(all_components) images certificates "
    [[ $words != *" $part "* ]] || die "'$part' is the name of a part of the cluster; choose another"
    mkdir -p "$parts" "$logs"
    ! part_alive "$part" || die "'$part' runs already, as process $(part_pid "$part")"
    place=$(place_of_programs)
    prepare_environment
    mapfile -d '' -t variables < <(env --null)
    printf '%s\0' "$place" env -i --chdir "$PWD" -- "${variables[@]}" "$(mark_of "$part")" "$@" >"$parts/$part.run"
    launch "$part"
    read -r part _ <"$parts/$part.pid"
    printf '%s\n' "$part"
}
