# shellcheck shell=bash
# The configuration files of the components, all below $data/config. Paths that two clusters, or the machine, could
# share are named here, so that nothing is shared.

# write_audit_policy: every write is logged with who and what, which is how a test proves that an idle operator writes
# nothing. Reads are not logged.
write_audit_policy() {
    cat >"$data/config/audit.yaml" <<'YAML'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: None
YAML
}

# write_containerd_configuration: `restrict_oom_score_adj` because a process may not be allowed to lower its own score,
# and then no pod would start.
write_containerd_configuration() {
    cat >"$data/config/containerd.toml" <<TOML
version = 3
imports = []
root = "$data/containerd"
state = "$run_folder/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.nri.v1.nri",
  "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  address = "$run_folder/containerd.sock"
[ttrpc]
  address = "$run_folder/containerd-ttrpc.sock"
[plugins.'io.containerd.shim.v1.manager']
  socket_dir = "$run_folder/shims"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "$(snapshotter)"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "$pause_image"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  cdi_spec_dirs = []
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["$(network_plugins)"]
  conf_dir = "$data/config/cni"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  Root = "$run_folder/runc"
TOML
}

# snapshotter: an overlay cannot lie on an overlay, as in a CI job that is itself a container.
snapshotter() {
    case $(stat --file-system --format %T "$data") in
    overlayfs) echo native ;;
    *) echo overlayfs ;;
    esac
}

# network_plugins: where this distribution keeps the CNI plugins.
network_plugins() {
    local folder
    for folder in /usr/lib/cni /opt/cni/bin /usr/libexec/cni; do
        if [[ -x $folder/bridge && -x $folder/host-local && -x $folder/portmap ]]; then
            echo "$folder"
            return
        fi
    done
    die "the CNI plugins (bridge, host-local, portmap) are missing; run tests/setup"
}

write_network_configuration() {
    mkdir -p "$data/config/cni"
    cat >"$data/config/cni/10-pods.conflist" <<JSON
{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge", "bridge": "pods0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
      "ipam": {
        "type": "host-local", "dataDir": "$data/addresses",
        "ranges": [[{"subnet": "$node_pod_range"}]], "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
JSON
}

# max_open_files: as many as this process may have; the kubelet's own default may be more, and it would complain.
max_open_files() {
    local limit
    limit=$(ulimit -Hn)
    [[ $limit != unlimited ]] || limit=1000000
    printf '%s\n' "$limit"
}

# write_kubelet_configuration: eviction and image collection are off, because the disk is the developer's own.
write_kubelet_configuration() {
    cat >"$data/config/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $data/pki/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: $data/pki/kubelet.crt
tlsPrivateKeyFile: $data/pki/kubelet.key
address: $node_address
cgroupDriver: cgroupfs
cgroupRoot: /$group/pods
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix://$run_folder/containerd.sock
clusterDNS: [$node_address]
clusterDomain: cluster.local
resolvConf: $data/resolv.conf
podLogsDir: $data/pod-logs
volumePluginDir: $data/volume-plugins
serializeImagePulls: false
maxOpenFiles: $(max_open_files)
evictionHard: {}
imageGCHighThresholdPercent: 100
YAML
}

write_proxy_configuration() {
    cat >"$data/config/proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: $pod_range
hostnameOverride: $node_name
clientConnection: {kubeconfig: $data/config/proxy.kubeconfig}
conntrack: {maxPerCore: 0}
YAML
}

# write_dns_configuration: a name that is not the cluster's can be given an address in $data/hosts, in the form of
# hosts(5); every other name does not exist, and is said so at once instead of after a timeout.
write_dns_configuration() {
    printf 'nameserver %s\n' "$node_address" >"$data/resolv.conf"
    printf '# ADDRESS NAME…: names for pods and for what runs with exec or spawn; read again within a second\n' >"$data/hosts"
    printf '. 1 IN SOA ns.crosstie.test. root.crosstie.test. 1 3600 600 86400 1\n' >"$data/config/empty.zone"
    cat >"$data/config/Corefile" <<COREFILE
.:53 {
    bind $node_address
    errors
    kubernetes cluster.local {
        kubeconfig $data/config/admin.kubeconfig
        ttl 1
    }
    hosts $data/hosts {
        reload 1s
        ttl 1
        fallthrough
    }
    file $data/config/empty.zone .
}
COREFILE
}

# write_storage_class: what the provisioner serves.
write_storage_class() {
    cat >"$data/config/storage-class.yaml" <<'YAML'
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: standard
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: crosstie.test/local
volumeBindingMode: WaitForFirstConsumer
reclaimPolicy: Delete
YAML
}

# write_configuration: all of it, for a cluster with a node.
write_configuration() {
    local component
    for component in admin controller-manager scheduler proxy kubelet; do
        write_kubeconfig "$data/config/$component.kubeconfig" "https://$node_address:6443" "$component"
    done
    write_audit_policy
    write_containerd_configuration
    write_network_configuration
    write_kubelet_configuration
    write_proxy_configuration
    write_dns_configuration
    write_storage_class
}
