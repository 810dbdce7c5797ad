# shellcheck shell=bash
# The command line of each component, one function each. The order in which they start is up.sh's business.

# all_components: what has to be alive in a healthy cluster, by its mode.
all_components() {
    case $(mode) in
    full) echo namespace etcd apiserver tunnel-inside tunnel-outside controller-manager scheduler containerd kubelet kube-proxy coredns provisioner ;;
    api-only) echo etcd apiserver ;;
    esac
}

# start_namespace: the process that holds the cluster's network and mounts; see lib/namespace.
start_namespace() {
    start_part namespace host unshare --net --mount --propagation slave -- \
        "$cluster_source/lib/namespace" "$data" "$run_folder" "$node_address" "$service_range" "$bin_folder/pause"
}

# start_etcd PLACE CLIENT-PORT PEER-PORT: a power cut may lose its data, which is thrown away anyway.
start_etcd() {
    start_part etcd "$1" "$bin_folder/etcd" --data-dir "$data/etcd" --unsafe-no-fsync --log-level warn \
        --listen-client-urls "http://127.0.0.1:$2" --advertise-client-urls "http://127.0.0.1:$2" \
        --listen-peer-urls "http://127.0.0.1:$3" --initial-advertise-peer-urls "http://127.0.0.1:$3" \
        --initial-cluster "default=http://127.0.0.1:$3"
}

# start_apiserver PLACE ETCD-PORT OPTION…: what both kinds of cluster share.
start_apiserver() {
    local place=$1 etcd_port=$2
    shift 2
    start_part apiserver "$place" "$bin_folder/kube-apiserver" --etcd-servers "http://127.0.0.1:$etcd_port" \
        --service-cluster-ip-range "$service_range" --allow-privileged \
        --tls-cert-file "$data/pki/apiserver.crt" --tls-private-key-file "$data/pki/apiserver.key" \
        --client-ca-file "$data/pki/ca.crt" \
        --service-account-key-file "$data/pki/service-accounts.key" \
        --service-account-signing-key-file "$data/pki/service-accounts.key" \
        --service-account-issuer https://kubernetes.default.svc \
        --audit-policy-file "$data/config/audit.yaml" --audit-log-path "$data/audit.log" --audit-log-maxsize 1024 \
        "$@"
}

# start_node_apiserver: the API server of a cluster with a node, on the node's address.
start_node_apiserver() {
    start_apiserver node 2379 --bind-address "$node_address" --advertise-address "$node_address" --secure-port 6443 \
        --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
        --kubelet-preferred-address-types InternalIP --kubelet-certificate-authority "$data/pki/ca.crt" \
        --kubelet-client-certificate "$data/pki/admin.crt" --kubelet-client-key "$data/pki/admin.key"
}

# start_loopback_apiserver PORT ETCD-PORT: alone on this machine's loopback. Nothing makes ServiceAccounts there, so
# their admission would refuse every pod.
start_loopback_apiserver() {
    start_apiserver host "$2" --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port "$1" \
        --authorization-mode RBAC --endpoint-reconciler-type none --disable-admission-plugins ServiceAccount
}

# start_tunnel PORT: this machine's loopback to the API server, over a socket, since the networks do not meet.
start_tunnel() {
    start_part tunnel-inside node socat "UNIX-LISTEN:$run_folder/api.sock,fork,unlink-early" "TCP:$node_address:6443"
    start_part tunnel-outside host socat "TCP-LISTEN:$1,bind=127.0.0.1,reuseaddr,fork,backlog=128" "UNIX-CONNECT:$run_folder/api.sock"
}

# start_controller_manager: with the default rate of requests it would take seconds to get its own credentials.
start_controller_manager() {
    start_part controller-manager node "$bin_folder/kube-controller-manager" --kubeconfig "$data/config/controller-manager.kubeconfig" \
        --bind-address 127.0.0.1 --leader-elect=false --use-service-account-credentials \
        --kube-api-qps 500 --kube-api-burst 1000 \
        --service-account-private-key-file "$data/pki/service-accounts.key" --root-ca-file "$data/pki/ca.crt" \
        --cluster-signing-cert-file "$data/pki/ca.crt" --cluster-signing-key-file "$data/pki/ca.key" \
        --flex-volume-plugin-dir "$data/volume-plugins"
}

start_scheduler() {
    start_part scheduler node "$bin_folder/kube-scheduler" --kubeconfig "$data/config/scheduler.kubeconfig" \
        --bind-address 127.0.0.1 --leader-elect=false
}

start_containerd() {
    start_part containerd node "$bin_folder/containerd" --config "$data/config/containerd.toml"
}

start_kubelet() {
    start_part kubelet node "$bin_folder/kubelet" --config "$data/config/kubelet.yaml" --kubeconfig "$data/config/kubelet.kubeconfig" \
        --root-dir "$run_folder/kubelet" --cert-dir "$data/kubelet-certificates" \
        --hostname-override "$node_name" --node-ip "$node_address"
}

start_kube_proxy() {
    start_part kube-proxy node "$bin_folder/kube-proxy" --config "$data/config/proxy.yaml"
}

start_coredns() {
    start_part coredns node "$bin_folder/coredns" -conf "$data/config/Corefile"
}

start_provisioner() {
    start_part provisioner node "$bin_folder/provisioner" --kubeconfig "$data/config/admin.kubeconfig" --directory "$data/volumes"
}
