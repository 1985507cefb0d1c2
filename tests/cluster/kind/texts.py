"""Files and objects of the node image, and the commands that bring images into it."""

import json

from tests.cluster.kind.places import HELPER_IMAGE, STORAGE_IMAGE

#: a Debian package of each program that a node calls
PACKAGES = (
    "systemd,systemd-sysv,dbus,conntrack,iptables,nftables,iproute2,ethtool,util-linux,mount,kmod,"
    "libseccomp2,pigz,e2fsprogs,bash,ca-certificates,curl,jq,procps,runc,"
    "containernetworking-plugins,socat,busybox-static"
)

#: addresses of the first node's pods: the module of kind's own network is not served
NETWORK = json.dumps(
    {
        "cniVersion": "0.4.0",
        "name": "kindnet",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": True,
                "mtu": 1500,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni-ipam-state",
                    "ranges": [[{"subnet": "10.244.0.0/24"}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
)

#: kind applies a file of this name; the network is there already
NETWORK_OBJECTS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: pod-network, namespace: kube-system}
data: {what: "/etc/cni/net.d/10-node.conflist of the node image; one node"}
"""

STORAGE_OBJECTS = f"""\
apiVersion: v1
kind: Namespace
metadata: {{name: local-path-storage}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: provisioner, namespace: local-path-storage}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: local-path-provisioner}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects: [{{kind: ServiceAccount, name: provisioner, namespace: local-path-storage}}]
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: standard
  annotations: {{storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: rancher.io/local-path
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: local-path-config, namespace: local-path-storage}}
data:
  config.json: |
    {{"nodePathMap": [{{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES",
      "paths": ["/var/local-path-provisioner"]}}]}}
  setup: |
    mkdir -m 0777 -p "$VOL_DIR"
  teardown: |
    rm -rf "$VOL_DIR"
  helperPod.yaml: |
    apiVersion: v1
    kind: Pod
    metadata: {{name: helper}}
    spec:
      tolerations: [{{operator: Exists}}]
      containers: [{{name: helper, image: "{HELPER_IMAGE}", imagePullPolicy: IfNotPresent}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: local-path-provisioner, namespace: local-path-storage}}
spec:
  selector: {{matchLabels: {{app: provisioner}}}}
  template:
    metadata: {{labels: {{app: provisioner}}}}
    spec:
      serviceAccountName: provisioner
      tolerations: [{{key: node-role.kubernetes.io/control-plane, effect: NoSchedule}}]
      containers:
        - name: provisioner
          image: {STORAGE_IMAGE}
          imagePullPolicy: IfNotPresent
          args: [start, --config, /etc/config/config.json, --helper-image, "{HELPER_IMAGE}"]
          env:
            - {{name: POD_NAMESPACE, valueFrom: {{fieldRef: {{fieldPath: metadata.namespace}}}}}}
            - {{name: CONFIG_MOUNT_PATH, value: /etc/config/}}
            - {{name: SERVICE_ACCOUNT_NAME, value: provisioner}}
          volumeMounts: [{{name: config, mountPath: /etc/config}}]
      volumes: [{{name: config, configMap: {{name: local-path-config}}}}]
"""

#: becomes a node's root by itself: containerd looks for the mount that its folder is on
ENTER = 'mount --bind "$1" "$1" && exec chroot "$1" /bin/bash -c "$0"'

#: runs there, in namespaces of its own: containerd, for as long as images come in
IMPORT = """
set -e
export CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
/usr/local/bin/containerd >/run/containerd.log 2>&1 &
for i in $(seq 300); do ctr version >/dev/null 2>&1 && break; sleep 0.2; done
for file in /import/*.tar; do
  ctr --namespace=k8s.io images import --label=io.cri-containerd.pinned=pinned --all-platforms \\
    --no-unpack --digests "$file" >/dev/null || { tail /run/containerd.log; exit 1; }
done
kill %1; wait || true
"""
