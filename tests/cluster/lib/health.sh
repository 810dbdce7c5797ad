# shellcheck shell=bash
# Conditions: small questions to a cluster, each answered by an exit status. `up` waits for them, `status` shows them.

# kubectl_outside ARGUMENTS…: asks the cluster the way a person would, but never for long.
kubectl_outside() {
    "$bin_folder/kubectl" --kubeconfig "$data/kubeconfig" --cache-dir "$data/kubectl-cache" --request-timeout 5s "$@"
}

api_is_ready() {
    [[ $(kubectl_outside get --raw /readyz) == ok ]]
}

containerd_is_ready() {
    containerd_control version
}

# containerd_control ARGUMENTS…: containerd's own client, in the namespace that the kubelet uses.
containerd_control() {
    "$bin_folder/ctr" --address "$run_folder/containerd.sock" --namespace k8s.io "$@"
}

# node_is_ready: ready, and without the taints of a node that was not; else the first pods would wait for the scheduler.
node_is_ready() {
    [[ $(kubectl_outside get node "$node_name" --output \
        'jsonpath={.status.conditions[?(@.type=="Ready")].status} {.spec.taints}') == 'True ' ]]
}

# default_account_exists: a pod cannot be made before.
default_account_exists() {
    kubectl_outside get serviceaccount default --namespace default
}

storage_class_exists() {
    kubectl_outside apply --server-side --field-manager crosstie-test-cluster --filename "$data/config/storage-class.yaml"
}

# names_resolve: asked from where `exec` runs, so that it sees what the tests will see.
names_resolve() {
    local prefix
    namespace_of network
    "${prefix[@]}" "$bin_folder/pause" resolve kubernetes.default.svc.cluster.local
}

# container_id NAMESPACE POD CONTAINER: containerd's name of a running container.
container_id() {
    local id
    id=$(kubectl_outside get pod "$2" --namespace "$1" --output \
        "jsonpath={.status.containerStatuses[?(@.name==\"$3\")].containerID}") || return 1
    [[ -n $id ]] || die "the pod $1/$2 has no container '$3' yet"
    printf '%s\n' "${id#containerd://}"
}

# is_healthy: `up` finished, nothing has died since, and the API server and the node answer.
is_healthy() {
    local components
    [[ -f $data/ready ]] || return 1
    read -ra components < <(all_components)
    part_alive "${components[@]}" && api_is_ready 2>/dev/null || return 1
    [[ $(mode) == api-only ]] || node_is_ready 2>/dev/null
}
