{{/* What things are called. */}}

{{- define "tollgate.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "tollgate.operator" -}}
{{ include "tollgate.fullname" . }}-operator
{{- end }}

{{- define "tollgate.postgres" -}}
{{ include "tollgate.fullname" . }}-postgres
{{- end }}

{{- define "tollgate.selftest" -}}
{{ include "tollgate.fullname" . }}-selftest
{{- end }}

{{- define "tollgate.fleet" -}}
{{ default (include "tollgate.fullname" .) .Values.fleet.name }}
{{- end }}

{{- define "tollgate.serviceAccount" -}}
{{- if .Values.operator.serviceAccount.create -}}
{{ default (include "tollgate.operator" .) .Values.operator.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.operator.serviceAccount.name }}
{{- end -}}
{{- end }}

{{/* An image's address, of a block with repository, tag and digest; the digest beats the tag. */}}
{{- define "tollgate.address" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .defaultTag .image.tag }}
{{- end -}}
{{- end }}

{{- define "tollgate.image" -}}
{{ include "tollgate.address" (dict "image" .Values.image "defaultTag" .Chart.AppVersion) }}
{{- end }}

{{/* The Secret with the database's URL, and its key. */}}
{{- define "tollgate.databaseSecret" -}}
{{- if .Values.database.trial -}}
{{ default (include "tollgate.postgres" .) .Values.postgres.existingSecret }}
{{- else -}}
{{ default (printf "%s-database" (include "tollgate.fullname" .)) .Values.database.existingSecret.name }}
{{- end -}}
{{- end }}

{{- define "tollgate.databaseKey" -}}
{{ ternary .Values.database.existingSecret.key "url" (not (empty .Values.database.existingSecret.name)) }}
{{- end }}

{{- define "tollgate.installationSecret" -}}
{{ default (printf "%s-installation" (include "tollgate.fullname" .)) .Values.installationSecret.existingSecret }}
{{- end }}

{{/* What selects the pods of one component. */}}
{{- define "tollgate.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "tollgate.labels" -}}
{{ include "tollgate.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tollgate
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Every namespace that the operator watches, its own among them; nothing where it watches all. */}}
{{- define "tollgate.namespaces" -}}
{{- with .Values.operator.watchNamespaces -}}
{{ append . $.Release.Namespace | uniq | sortAlpha | join "," }}
{{- end -}}
{{- end }}
