{{/* What every pod of this chart has in common: the restricted pod security standard. */}}

{{/* No links to services: Kubernetes would put FAREGATE_PORT and the like into the environment,
     next to the settings of the processes. */}}
{{- define "faregate.podSecurity" -}}
enableServiceLinks: false
{{- with include "faregate.pullSecrets" .root }}
imagePullSecrets:
  {{- . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- if not (include "faregate.platformIds" .root) }}
  runAsUser: {{ .user }}
  runAsGroup: {{ .user }}
  fsGroup: {{ .user }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Where the operator and its jobs run: on Linux, as a cluster may have nodes of Windows, too. */}}
{{- define "faregate.placement" -}}
nodeSelector:
  {{- merge (deepCopy (default dict .Values.operator.nodeSelector)) (include "faregate.onLinux" . | fromYaml) | toYaml | nindent 2 }}
{{- with .Values.operator.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "faregate.onLinux" -}}
kubernetes.io/os: linux
{{- end }}

{{/* Whether the platform gives pods their user and groups, and refuses others: `true`, or nothing. */}}
{{- define "faregate.platformIds" -}}
{{- $given := toString .Values.openshift -}}
{{- if eq $given "auto" -}}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1" }}true{{ end -}}
{{- else if eq $given "true" }}true{{ end -}}
{{- end }}

{{- define "faregate.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* The operator's program with an empty folder for temporary files. */}}
{{- define "faregate.program" -}}
image: {{ include "faregate.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{ include "faregate.containerSecurity" . }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "faregate.programVolumes" -}}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: 64Mi}
{{- end }}

{{/* Whether the database is verified by certificate authorities of its own: `true`, or nothing. */}}
{{- define "faregate.hasDatabaseAuthorities" -}}
{{- if or .Values.database.ca.configMap .Values.database.ca.secret }}true{{ end -}}
{{- end }}

{{- define "faregate.databaseAuthoritiesMount" -}}
- {name: ca-database, mountPath: /etc/faregate-ca/database, readOnly: true}
{{- end }}

{{- define "faregate.databaseAuthoritiesVolume" -}}
{{- $ca := .Values.database.ca -}}
- name: ca-database
  {{- if $ca.configMap }}
  configMap:
    name: {{ $ca.configMap | quote }}
  {{- else }}
  secret:
    secretName: {{ $ca.secret | quote }}
  {{- end }}
    items: [{key: {{ $ca.key | quote }}, path: ca.crt}]
{{- end }}
