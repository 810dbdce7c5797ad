# shellcheck shell=bash
# Ends a cluster from whatever state it is in, including one that a killed `up` left half made. Nothing here trusts that
# an earlier step was reached: each looks at what there is.

# take_down: leaves no process, mount, cgroup or file of this cluster.
take_down() {
    refuse_strangers
    # with a group, it knows every process; without one, the recorded ids do
    if cgroup_exists "$group"; then
        require_root "ending a cluster with a node"
        end_cgroup "$group"
    fi
    kill_sessions
    unmount_below "$data"
    unmount_below "$run_folder"
    remove_folder "$run_folder"
    remove_folder "$data"
    rmdir /run/crosstie 2>/dev/null || true
}

# unmount_below FOLDER: mounts end with their namespace; this is for one that someone made by hand in ours.
unmount_below() {
    local target
    while read -r target; do
        umount --lazy "$target"
    done < <(awk -v folder="$1/" 'index($5 "/", folder) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
}

# remove_folder FOLDER: containers leave files that only root may delete.
remove_folder() {
    [[ -e $1 ]] || return 0
    rm -rf --one-file-system "$1" || die "$1 could not be deleted; was the cluster started as another user?"
}

# known_clusters: the names of all clusters of this cache, whole or half made.
known_clusters() {
    local folder owner
    {
        for folder in "$clusters_folder"/*/; do
            [[ ! -d $folder ]] || basename "$folder"
        done
        for owner in /run/crosstie/*/owner; do
            [[ ! -f $owner || $(<"$owner") != "$clusters_folder"/* ]] || basename "${owner%/owner}"
        done
    } | sort -u
}
