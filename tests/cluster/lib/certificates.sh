# shellcheck shell=bash
# The cluster's certificates and the kubeconfig files made of them. Each cluster has an authority of its own, made anew
# by every `up` and thrown away by `down`.

readonly certificate_days=3650

# make_key FILE: an elliptic-curve key, because those are made in a millisecond.
make_key() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1"
}

# make_authority: ca.crt and ca.key.
make_authority() {
    make_key "$pki/ca.key"
    openssl req -x509 -new -key "$pki/ca.key" -out "$pki/ca.crt" -subj /CN=crosstie-test-authority -days "$certificate_days" \
        -addext 'keyUsage=critical,keyCertSign,cRLSign,digitalSignature'
}

# make_certificate FILE SUBJECT ALTERNATIVE-NAMES: FILE.crt and FILE.key, signed by the authority.
make_certificate() {
    make_key "$pki/$1.key"
    openssl req -x509 -new -key "$pki/$1.key" -out "$pki/$1.crt" -subj "$2" -days "$certificate_days" \
        -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -addext basicConstraints=critical,CA:false \
        -addext "subjectAltName=$3" -addext extendedKeyUsage=serverAuth,clientAuth
}

# make_certificates: everything that the components of a cluster prove themselves with, in $data/pki.
make_certificates() {
    local pki=$data/pki
    mkdir -p "$pki"
    {
        make_authority
        # service-account tokens are signed with a key that is no certificate's
        make_key "$pki/service-accounts.key"
        make_certificate apiserver /CN=kube-apiserver \
            "IP:127.0.0.1,IP:$node_address,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
        make_certificate admin /O=system:masters/CN=admin DNS:admin
        make_certificate controller-manager /CN=system:kube-controller-manager DNS:kube-controller-manager
        make_certificate scheduler /CN=system:kube-scheduler DNS:kube-scheduler
        make_certificate proxy /CN=system:kube-proxy DNS:kube-proxy
        make_certificate kubelet "/O=system:nodes/CN=system:node:$node_name" "DNS:$node_name,IP:$node_address"
    } 2>"$logs/certificates.log" || fail_with_log "the certificates could not be made" certificates
}

# write_kubeconfig FILE SERVER CERTIFICATE: with everything inside, so that the file can be carried elsewhere.
write_kubeconfig() {
    local pki=$data/pki
    cat >"$1" <<YAML
apiVersion: v1
kind: Config
clusters:
- name: crosstie-$name
  cluster:
    server: $2
    certificate-authority-data: $(base64 -w0 <"$pki/ca.crt")
users:
- name: $3
  user:
    client-certificate-data: $(base64 -w0 <"$pki/$3.crt")
    client-key-data: $(base64 -w0 <"$pki/$3.key")
contexts:
- name: crosstie-$name
  context:
    cluster: crosstie-$name
    user: $3
current-context: crosstie-$name
YAML
}
