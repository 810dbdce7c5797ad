# shellcheck shell=bash
# What one cluster is called and where its things are. Everything that the other parts must agree on is named here;
# nothing is started or written here.

# The node's address, on a bridge of the cluster's own network namespace, and the ranges beside it.
# shellcheck disable=SC2034  # used by the files that source this one
readonly node_name=node1 \
    node_address=10.255.0.1 \
    service_range=10.96.0.0/16 \
    pod_range=10.244.0.0/16 \
    node_pod_range=10.244.0.0/24

# How long one step of `up` may take on a busy machine, in seconds.
readonly step_timeout=${CROSSTIE_CLUSTER_TIMEOUT:-120}

# select_cluster NAME: sets the paths that belong to this cluster.
select_cluster() {
    [[ $1 =~ ^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$ ]] ||
        die "a cluster's name has up to 40 of a-z, 0-9 and '-', none at the ends; '$1' is none"
    name=$1
    # The data folder: certificates, configuration, logs, volumes, the API server's data.
    data=$clusters_folder/$name
    [[ -z ${CROSSTIE_KUBECONFIG:-} ]] || data=$clusters_folder/.foreign/$name
    # Sockets and mount points: here paths are short, as sockets need.
    run_folder=/run/crosstie/$name
    # Below each cgroup hierarchy: `system` for the cluster's own processes, `pods` for the kubelet.
    group=crosstie-$name
    parts=$data/parts
    logs=$data/logs
}

# mode: full, api-only, foreign (a person's cluster), or empty when there is no such cluster.
mode() {
    if [[ -n ${CROSSTIE_KUBECONFIG:-} ]]; then
        echo foreign
    elif [[ -f $data/mode ]]; then
        cat "$data/mode"
    fi
}

# kubeconfig_outside: what a person or a test outside the namespace uses; kubeconfig_inside: what `exec` uses.
kubeconfig_outside() {
    printf '%s\n' "${CROSSTIE_KUBECONFIG:-$data/kubeconfig}"
}

kubeconfig_inside() {
    case $(mode) in
    full) printf '%s\n' "$data/kubeconfig-inside" ;;
    *) kubeconfig_outside ;;
    esac
}

# require_cluster: every command but `up` and `down` needs one that was brought up.
require_cluster() {
    [[ $(mode) == foreign || -f $data/ready ]] ||
        die "there is no cluster '$name' that is up; start it with: $cluster_source/cluster up --name $name"
}

# owner_of_run_folder: the data folder of the cluster that has this name on this machine, whoever's cache it is in.
owner_of_run_folder() {
    [[ ! -f $run_folder/owner ]] || cat "$run_folder/owner"
}

# refuse_strangers: a cluster of this name that another cache made is not ours to stop.
refuse_strangers() {
    local owner
    owner=$(owner_of_run_folder)
    [[ -z $owner || $owner == "$data" ]] ||
        die "a cluster named '$name' belongs to $owner; choose another --name"
}
