{{/* What the operator may do in every namespace that it watches. Secrets are never deleted: those
     of keys go with their ApiKey. */}}
{{- define "tollgate.watchedRules" -}}
- apiGroups: [tollgate.dev]
  resources: [apikeys, creditgrants, gatewayfleets]
  verbs: [get, list, watch, patch]
- apiGroups: [tollgate.dev]
  resources: [apikeys/status, creditgrants/status, gatewayfleets/status]
  verbs: [patch]
- apiGroups: [tollgate.dev]
  resources: [apikeys/finalizers, gatewayfleets/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* What it may do in its own namespace besides: the gateways. */}}
{{- define "tollgate.ownRules" -}}
- apiGroups: [""]
  resources: [configmaps, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch, create, patch, delete]
# At its end: is the namespace going, and the operator for good?
- apiGroups: [""]
  resources: [namespaces]
  resourceNames: [{{ .Release.Namespace }}]
  verbs: [get]
{{- end }}

{{/* The operator's account as the subject of a binding. */}}
{{- define "tollgate.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "tollgate.serviceAccount" . }}
    namespace: {{ .Release.Namespace }}
{{- end }}
