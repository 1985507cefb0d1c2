"""Configuration files of the node's components."""

from tests.cluster.local import places
from tests.cluster.local.places import CERTIFICATES, SOCKET, STATE

CONTAINERD = f"""\
version = 3
root = "{STATE}/containerd"
state = "{STATE}/containerd-state"
[grpc]
  address = "{SOCKET}"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{places.PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "{STATE}/cni"
"""

CNI = f"""\
{{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {{"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
    "ipam": {{"type": "host-local", "dataDir": "{STATE}/ipam",
              "ranges": [[{{"subnet": "{places.PODS}"}}]], "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
  {{"type": "portmap", "capabilities": {{"portMappings": true}}}}]}}
"""

KUBELET = f"""\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {CERTIFICATES}/ca.crt}}
authorization: {{mode: Webhook}}
cgroupDriver: cgroupfs
cgroupRoot: /{places.CGROUP}
failCgroupV1: false
failSwapOn: false
clusterDNS: [{places.DNS}]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://{SOCKET}
imageGCHighThresholdPercent: 100
evictionHard: {{nodefs.available: "1%", imagefs.available: "1%", memory.available: "50Mi"}}
syncFrequency: 10s
resolvConf: ""
"""

COREDNS = f""".:53 {{
  bind {places.DNS}
  errors
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {places.ADMIN}
  }}
}}
"""

_VOLUME = """\
---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: volume-{number}}}
spec:
  capacity: {{storage: 10Gi}}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: local
  local: {{path: {path}}}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [node]}}]
"""

#: arguments of kubectl
GATEWAYS_ESTABLISHED = (
    "wait", "--for=condition=Established", "crd/gateways.gateway.networking.k8s.io",
    "crd/gatewayclasses.gateway.networking.k8s.io", "--timeout=60s",
)  # fmt: skip
#: a Gateway that takes routes of all namespaces
GATEWAY = """\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: traefik}
spec: {controllerName: traefik.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: traefik, namespace: default}
spec:
  gatewayClassName: traefik
  listeners:
    - name: web
      port: 80
      protocol: HTTP
      allowedRoutes: {namespaces: {from: All}}
"""

#: what every cluster has that somebody set up: a class of ingresses and one of volumes
OBJECTS = """\
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata:
  name: traefik
  annotations: {ingressclass.kubernetes.io/is-default-class: "true"}
spec: {controller: traefik.io/ingress-controller}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: local
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
""" + "".join(
    _VOLUME.format(number=number, path=STATE / "volumes" / str(number))
    for number in range(places.VOLUMES)
)
