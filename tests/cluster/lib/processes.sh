# shellcheck shell=bash
# Parts: the long-running processes of a cluster. $parts/NAME.run holds the command line (and where it runs) to start it
# again exactly so; $parts/NAME.pid holds the process id with its start time, so that a reused id is never mistaken.
# Knows nothing of what the parts are.

# stat_fields PID: sets `fields` to /proc/PID/stat from the state on (field 3 of proc(5) is fields[0]).
stat_fields() {
    local line
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    read -ra fields <<<"${line##*) }"
}

# part_pid PART: its process id, if it is alive.
part_pid() {
    local pid started fields
    [[ -s $parts/$1.pid ]] || return 1
    read -r pid started <"$parts/$1.pid" || return 1
    stat_fields "$pid" && [[ ${fields[19]} == "$started" && ${fields[0]} != [ZX] ]] || return 1
    printf '%s\n' "$pid"
}

# part_alive PART…: whether all of these are.
part_alive() {
    local part
    for part in "$@"; do
        part_pid "$part" >/dev/null || return 1
    done
}

# all_parts: every part that was ever started here, in the order of their start.
all_parts() {
    local file
    while read -r file; do
        file=${file##*/}
        printf '%s\n' "${file%.run}"
    done < <(find "$parts" -name '*.run' -printf '%C@ %p\n' 2>/dev/null | sort -n)
}

# namespace_of PLACE: sets `prefix`, the command that brings a process to its place:
#   host     where this script runs
#   network  the cluster's network, with its DNS; the file system stays this machine's
#   node     the cluster's network and its mounts, as its own components need
# The words it ends with are commands that replace themselves, so the process id stays the same.
namespace_of() {
    local holder
    prefix=()
    [[ $1 != host ]] || return 0
    holder=$(part_pid namespace) || die "the namespaces of '$name' are gone; start it anew with: $cluster_source/cluster up --name $name"
    # shellcheck disable=SC2016  # the inner shell expands these
    case $1 in
    network) prefix=(nsenter --target "$holder" --net -- unshare --mount --propagation slave --
        sh -c 'mount --bind "$0" /etc/resolv.conf && exec "$@"' "$data/resolv.conf") ;;
    node) prefix=(nsenter --target "$holder" --net --mount --) ;;
    *) die "there is no place '$1'" ;;
    esac
}

# enter_cgroup: joins the cluster's group; one that runs without root has none.
enter_cgroup() {
    [[ $(mode) != full ]] || echo "$BASHPID" >"$(tracking_mount)/$group/system/cgroup.procs"
}

# launch PART: starts what $parts/PART.run says. The child itself joins the group and writes its id before it becomes
# the program: even if this script is killed right now, `down` finds it.
launch() {
    local part=$1 prefix argv fields
    mapfile -d '' -t argv <"$parts/$part.run"
    namespace_of "${argv[0]}"
    rm -f "$parts/$part.pid"
    (
        exec </dev/null >>"$logs/$part.log" 2>&1
        release_lock
        enter_cgroup
        stat_fields "$BASHPID"
        printf '%s %s\n' "$BASHPID" "${fields[19]}" >"$parts/$part.pid"
        cd /
        ulimit -Sn "$(ulimit -Hn)"
        exec setsid "${prefix[@]}" "${argv[@]:1}"
    ) &
    until [[ -s $parts/$part.pid ]] || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
}

# start_part PART PLACE COMMAND…: records the command line and launches it with a clean environment.
start_part() {
    local part=$1 place=$2
    shift 2
    printf '%s\0' "$place" env -i "$(mark_of "$part")" "HOME=$data" "PATH=$bin_folder:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$@" \
        >"$parts/$part.run"
    launch "$part"
}

# mark_of PART: a word in the environment of a part and of its children, by which they are known for certain.
mark_of() {
    printf 'CROSSTIE_PART=%s\n' "$parts/$1"
}

# session_processes PART PID: the processes of the session that PID leads or led (setsid made it the part's own), as far
# as they have the part's mark: the number alone may have become another's.
session_processes() {
    local part=$1 leader=$2 stat pid fields
    for stat in /proc/[0-9]*/stat; do
        pid=${stat#/proc/}
        pid=${pid%/stat}
        stat_fields "$pid" && [[ ${fields[3]} == "$leader" && ${fields[0]} != [ZX] ]] || continue
        ! grep -zqsxF "$(mark_of "$part")" "/proc/$pid/environ" || printf '%s\n' "$pid"
    done
}

# kill_sessions: ends every part with its children by their recorded ids, for clusters without a cgroup.
kill_sessions() {
    local part pid pids attempt
    for part in $(all_parts); do
        [[ -s $parts/$part.pid ]] || continue
        read -r pid _ <"$parts/$part.pid"
        for ((attempt = 0; attempt < 500; attempt++)); do
            mapfile -t pids < <(session_processes "$part" "$pid")
            ((${#pids[@]})) || break
            kill -KILL "${pids[@]}" 2>/dev/null || true
            sleep 0.01
        done
    done
}

# stop_part PART SIGNAL: sends it and waits for the end; after 30 s it is SIGKILL.
stop_part() {
    local part=$1 signal=$2 pid began=$SECONDS
    pid=$(part_pid "$part") || return 0
    kill "-$signal" "$pid" 2>/dev/null || true
    while part_alive "$part"; do
        ((SECONDS - began < 30)) || kill -KILL "$pid" 2>/dev/null || true
        sleep 0.02
    done
}

# wait_for WHAT PARTS COMMAND…: repeats COMMAND until it succeeds; gives up when a part of the comma-separated PARTS has
# ended or the time is over, and then shows why.
wait_for() {
    local what=$1 needed=${2//,/ } part began=$SECONDS
    shift 2
    until "$@" >/dev/null 2>&1; do
        for part in $needed; do
            part_alive "$part" || fail_with_log "$what: $part has ended" "$part"
        done
        ((SECONDS - began < step_timeout)) || fail_with_log "$what: not after $step_timeout s" "$part"
        sleep 0.05
    done
}

# fail_with_log TEXT PART: ends the script with the end of the part's log.
fail_with_log() {
    tail -n 25 "$logs/$2.log" >&2 || true
    die "$1 (above: the end of $logs/$2.log)"
}
