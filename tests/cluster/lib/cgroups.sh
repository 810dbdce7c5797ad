# shellcheck shell=bash
# Control groups: how every process of a cluster is found again without a pid file, on machines with cgroup v2, v1, or
# both. Knows nothing of what the processes are.

readonly cgroup_mount=/sys/fs/cgroup

# cgroup_v2_mount: where the unified hierarchy is, if there is one (on a hybrid machine it has no controllers, but it
# can still kill a whole group at once).
cgroup_v2_mount() {
    awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts
}

# cgroup_mounts: every hierarchy of this machine, one a line.
cgroup_mounts() {
    awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts | sort -u
}

# is_pure_v2: whether the kubelet will use the unified hierarchy.
is_pure_v2() {
    [[ $(cgroup_v2_mount) == "$cgroup_mount" ]]
}

# tracking_mount: the hierarchy that the cluster's own processes are tracked in.
tracking_mount() {
    local unified
    unified=$(cgroup_v2_mount)
    printf '%s\n' "${unified:-$cgroup_mount/pids}"
}

# make_cgroups GROUP: GROUP/system in the tracking hierarchy and GROUP/pods wherever the kubelet looks for it.
make_cgroups() {
    local mount
    mkdir -p "$(tracking_mount)/$1/system"
    if is_pure_v2; then
        delegate_controllers "$1"
        mkdir -p "$cgroup_mount/$1/pods"
        return
    fi
    while read -r mount; do
        mkdir -p "$mount/$1/pods"
        copy_cpusets "$mount" "$1"
    done < <(awk '$3 == "cgroup" { print $2 }' /proc/mounts | sort -u)
}

# delegate_controllers GROUP: v2 gives a group only the controllers that its parents pass on, and the kubelet wants all of
# these. The root keeps passing them on after `down`, because by then something else may rely on it.
delegate_controllers() {
    local controller folder
    for folder in "$cgroup_mount" "$cgroup_mount/$1"; do
        for controller in cpuset cpu io memory hugetlb pids; do
            grep -qw "$controller" "$folder/cgroup.controllers" || continue
            grep -qw "$controller" "$folder/cgroup.subtree_control" || echo "+$controller" >"$folder/cgroup.subtree_control" ||
                die "the cgroup controller '$controller' cannot be passed on from $folder; is this a container without cgroups of its own?"
        done
    done
}

# copy_cpusets MOUNT GROUP: a new v1 cpuset is empty, and nothing can run in it until it is filled from its parent.
copy_cpusets() {
    local mount=$1 folder file
    [[ -f $mount/cpuset.cpus ]] || return 0
    for folder in "$mount/$2" "$mount/$2/pods"; do
        for file in cpuset.cpus cpuset.mems; do
            [[ -n $(<"$folder/$file") ]] || cat "${folder%/*}/$file" >"$folder/$file"
        done
    done
}

# cgroup_exists GROUP: in any hierarchy.
cgroup_exists() {
    local mount
    while read -r mount; do
        [[ ! -d $mount/$1 ]] || return 0
    done < <(cgroup_mounts)
    return 1
}

# cgroup_processes GROUP: the ids of all processes in the group and below it, in any hierarchy.
cgroup_processes() {
    local mount
    while read -r mount; do
        [[ ! -d $mount/$1 ]] || find "$mount/$1" -name cgroup.procs -exec cat {} + 2>/dev/null || true
    done < <(cgroup_mounts) | sort -un
}

# kill_cgroup_once GROUP: SIGKILL for everything in it. `cgroup.kill` cannot miss a process that forks meanwhile.
kill_cgroup_once() {
    local unified pids
    unified=$(cgroup_v2_mount)
    if [[ -n $unified && -f $unified/$1/cgroup.kill ]]; then
        echo 1 >"$unified/$1/cgroup.kill"
    fi
    mapfile -t pids < <(cgroup_processes "$1")
    ((${#pids[@]} == 0)) || kill -KILL "${pids[@]}" 2>/dev/null || true
}

# remove_cgroup_folders GROUP: fails while a process is still in one of them.
remove_cgroup_folders() {
    local mount
    while read -r mount; do
        [[ ! -d $mount/$1 ]] || find "$mount/$1" -depth -type d -exec rmdir {} + 2>/dev/null || return 1
    done < <(cgroup_mounts)
}

# end_cgroup GROUP: kills and removes until nothing is left; a process that is just being started may need two rounds.
end_cgroup() {
    local began=$SECONDS
    cgroup_exists "$1" || return 0
    until
        kill_cgroup_once "$1"
        remove_cgroup_folders "$1"
    do
        ((SECONDS - began < 30)) || die "processes of $1 survive SIGKILL: $(cgroup_processes "$1" | paste -sd' ')"
        sleep 0.02
    done
}
