# shellcheck shell=bash
# Brings a cluster up: the order of things, and what each step waits for. A cluster counts as up once $data/ready is
# there; whatever a step leaves behind when it fails, `down` and the next `up` clear away.

# bring_up MODE: does nothing for a healthy cluster of that mode; a broken one under that name starts anew.
bring_up() {
    if is_healthy; then
        [[ $(mode) == "$1" ]] || die "'$name' is up as another kind of cluster ($(mode)); end it first, or choose another --name"
        say "cluster '$name' is up already"
        return
    fi
    [[ ! -e $data ]] || say "cluster '$name' is not healthy: starting anew"
    take_down
    began=$EPOCHREALTIME
    make_folders "$1"
    case $1 in
    full) bring_up_full ;;
    api-only) bring_up_api_only ;;
    esac
    touch "$data/ready"
    step "cluster '$name' is up"
}

# step TEXT: what was just reached, and how long after the start.
step() {
    say "$(printf '%5s s  %s' "$(seconds_since "$began")" "$1")"
}

# make_folders MODE: only their owner may look inside, for the keys there open the whole cluster.
make_folders() {
    if [[ $1 == full ]]; then
        # another cluster's `down` may delete the empty parent at this moment: then once more
        mkdir -p "$run_folder" 2>/dev/null || mkdir -p "$run_folder"
        printf '%s\n' "$data" >"$run_folder/owner"
    fi
    mkdir -p "$data"
    chmod 0700 "$data"
    printf '%s\n' "$1" >"$data/mode"
    mkdir -p "$parts" "$logs" "$data"/{config,kubelet,volumes,volume-plugins}
}

# free_port: a port of this machine's loopback that nobody listens on and no other cluster of this cache was given.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 10000))
        ! grep -qsxw "$port" "$clusters_folder"/*/ports || continue
        # connecting to a port that nobody listens on fails
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    printf '%s\n' "$port" >>"$data/ports"
    printf '%s\n' "$port"
}

bring_up_api_only() {
    local port etcd_port peer_port
    port=$(free_port) etcd_port=$(free_port) peer_port=$(free_port)
    start_etcd host "$etcd_port" "$peer_port"
    make_certificates
    write_audit_policy
    write_kubeconfig "$data/kubeconfig" "https://127.0.0.1:$port" admin
    start_loopback_apiserver "$port" "$etcd_port"
    wait_for "the API server answers" etcd,apiserver api_is_ready
    step "API server at https://127.0.0.1:$port (no node, no controllers)"
}

bring_up_full() {
    make_cgroups "$group"
    start_namespace
    make_certificates
    write_configuration
    wait_for "network and mounts are prepared" namespace test -e "$data/namespace-ready"
    step "network, mounts, certificates"
    start_control_plane
    start_containerd
    wait_for "containerd answers" containerd containerd_is_ready
    load_image "$images_folder/pause.tar"
    step "containerd"
    wait_for "the API server answers" etcd,apiserver,tunnel-inside,tunnel-outside api_is_ready
    step "API server at $(api_address)"
    start_rest
    wait_until_usable
}

# api_address: where the API server answers outside the namespace.
api_address() {
    sed -nE 's/^ *server: //p' "$data/kubeconfig"
}

start_control_plane() {
    local port
    port=$(free_port)
    start_etcd node 2379 2380
    start_node_apiserver
    start_tunnel "$port"
    write_kubeconfig "$data/kubeconfig" "https://127.0.0.1:$port" admin
    write_kubeconfig "$data/kubeconfig-inside" "https://$node_address:6443" admin
}

start_rest() {
    start_controller_manager
    start_scheduler
    start_kubelet
    start_kube_proxy
    start_coredns
    start_provisioner
}

wait_until_usable() {
    wait_for "the StorageClass exists" provisioner storage_class_exists
    wait_for "the node is ready" kubelet,containerd,controller-manager node_is_ready
    step "node $node_name is ready"
    wait_for "the default ServiceAccount exists" controller-manager default_account_exists
    wait_for "names resolve" coredns names_resolve
    part_alive kube-proxy scheduler || fail_with_log "kube-proxy or the scheduler has ended" kube-proxy
    step "ServiceAccount, StorageClass, DNS"
}

# load_image TAR: makes the images of an archive known to the node.
load_image() {
    containerd_control images import --all-platforms "$1" >>"$logs/images.log" 2>&1 ||
        fail_with_log "the image archive $1 could not be loaded" images
}
