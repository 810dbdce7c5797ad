# shellcheck shell=bash
# A person's own cluster, named by CROSSTIE_KUBECONFIG (kind, minikube, EKS, …). Nothing of it is ever started, stopped
# or deleted here; only what `spawn` started on this machine is ours.

# check_foreign: `up` for such a cluster.
check_foreign() {
    local answer
    [[ -f $CROSSTIE_KUBECONFIG ]] || die "CROSSTIE_KUBECONFIG names $CROSSTIE_KUBECONFIG, which is no file"
    answer=$(kubectl_foreign version 2>&1) || {
        say "$answer"
        die "the cluster of CROSSTIE_KUBECONFIG=$CROSSTIE_KUBECONFIG does not answer (above: what kubectl said)"
    }
    say "the cluster of $CROSSTIE_KUBECONFIG answers"
}

kubectl_foreign() {
    PATH=$bin_folder:$PATH kubectl --kubeconfig "$CROSSTIE_KUBECONFIG" --request-timeout 10s "$@"
}

# load_foreign TAR…: with the command that the person gave, because every kind of cluster has its own.
load_foreign() {
    local archive command
    [[ -n ${CROSSTIE_IMAGE_LOAD:-} ]] || die "set CROSSTIE_IMAGE_LOAD to the command that loads an image archive into your cluster;" \
        "the archive's name is appended. For example: CROSSTIE_IMAGE_LOAD='kind load image-archive --name kind'"
    read -ra command <<<"$CROSSTIE_IMAGE_LOAD"
    for archive in "$@"; do
        "${command[@]}" "$archive"
    done
}

# foreign_address: where that cluster's pods reach servers that run on this machine.
foreign_address() {
    [[ -n ${CROSSTIE_HOST_ADDRESS:-} ]] ||
        die "set CROSSTIE_HOST_ADDRESS to an address of this machine that the pods of your cluster can reach"
    printf '%s\n' "$CROSSTIE_HOST_ADDRESS"
}

# end_foreign: what spawn started, and its logs.
end_foreign() {
    kill_sessions
    remove_folder "$data"
}
