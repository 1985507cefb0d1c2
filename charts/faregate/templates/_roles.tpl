{{/* What the operator may do in every namespace that it watches. Secrets are never deleted: those
     of keys go with their ApiKey. */}}
{{- define "faregate.watchedRules" -}}
- apiGroups: [faregate.dev]
  resources: [accounts, apikeys, creditallowances, creditgrants, gatewayfleets]
  verbs: [get, list, watch]
# Its finalizer.
- apiGroups: [faregate.dev]
  resources: [apikeys]
  verbs: [patch]
- apiGroups: [faregate.dev]
  resources:
    - accounts/status
    - apikeys/status
    - creditallowances/status
    - creditgrants/status
    - gatewayfleets/status
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* What it may do in its own namespace besides: the gateways and their console. */}}
{{- define "faregate.ownRules" -}}
- apiGroups: [""]
  resources: [configmaps, services]
  verbs: [get, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, create, patch, delete]
# The operator itself, before an uninstall.
- apiGroups: [apps]
  resources: [deployments/scale]
  resourceNames: [{{ include "faregate.operator" . | quote }}]
  verbs: [patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, create, patch, delete]
# What it makes is owned by the fleet, and blocks its end (OwnerReferencesPermissionEnforcement).
- apiGroups: [faregate.dev]
  resources: [gatewayfleets/finalizers]
  verbs: [update]
# Its heartbeat, the ids of revoked keys, and an annotation by which orphaned keys are confirmed.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [faregate-operator-heartbeat, faregate-revoked-keys, {{ include "faregate.installationSecret" . | quote }}]
  verbs: [patch]
# At its end: is the namespace going, and the operator for good?
- apiGroups: [""]
  resources: [namespaces]
  resourceNames: [{{ .Release.Namespace | quote }}]
  verbs: [get]
{{- end }}

{{/* The operator's account as the subject of a binding. */}}
{{- define "faregate.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "faregate.serviceAccount" . | quote }}
    namespace: {{ .Release.Namespace | quote }}
{{- end }}
