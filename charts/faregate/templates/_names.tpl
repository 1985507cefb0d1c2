{{/* What things are called. */}}

{{/* The beginning of all names. The longest that is made of it is a Job's, which has 63 characters at
     most. A longer one that was given keeps its beginning, and ends in a hash of all of it. */}}
{{- define "faregate.fullname" -}}
{{- $given := default "" .Values.fullnameOverride -}}
{{- if gt (len $given) 40 -}}
{{ trunc 31 $given | trimAll "-" }}-{{ sha256sum $given | trunc 8 }}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{ default $full $given | lower | replace "." "-" | replace "_" "-" | trunc 40 | trimAll "-" }}
{{- end -}}
{{- end }}

{{- define "faregate.operator" -}}
{{ include "faregate.fullname" . }}-operator
{{- end }}

{{- define "faregate.postgres" -}}
{{ include "faregate.fullname" . }}-postgres
{{- end }}

{{- define "faregate.selftest" -}}
{{ include "faregate.fullname" . }}-selftest
{{- end }}

{{- define "faregate.fleet" -}}
{{ default (include "faregate.fullname" .) .Values.fleet.name }}
{{- end }}

{{- define "faregate.serviceAccount" -}}
{{- if .Values.operator.serviceAccount.create -}}
{{ default (include "faregate.operator" .) .Values.operator.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.operator.serviceAccount.name }}
{{- end -}}
{{- end }}

{{/* An image's address, of a block with repository, tag and digest; the digest beats the tag. The
     registry of an umbrella chart takes the place of the repository's own. */}}
{{- define "faregate.address" -}}
{{- $repository := .image.repository -}}
{{- with (default dict .root.Values.global).imageRegistry -}}
{{- $inside := regexReplaceAll "^([^/]*[.:][^/]*|localhost)/" $repository "" -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $inside -}}
{{- end -}}
{{- if .image.digest -}}
{{ $repository }}@{{ .image.digest }}
{{- else -}}
{{ $repository }}:{{ default .defaultTag .image.tag }}
{{- end -}}
{{- end }}

{{- define "faregate.image" -}}
{{ include "faregate.address" (dict "root" . "image" .Values.image "defaultTag" .Chart.AppVersion) }}
{{- end }}

{{/* The Secrets for pulling images, as a pod has them; an umbrella chart may give names alone. Nothing
     where there are none. */}}
{{- define "faregate.pullSecrets" -}}
{{- $secrets := list -}}
{{- range default (default dict .Values.global).imagePullSecrets .Values.image.pullSecrets -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with $secrets }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/* The Secret with the database's URL, and its key. */}}
{{- define "faregate.databaseSecret" -}}
{{- if .Values.database.trial -}}
{{ default (include "faregate.postgres" .) .Values.postgres.existingSecret }}
{{- else -}}
{{ default (printf "%s-database" (include "faregate.fullname" .)) .Values.database.existingSecret.name }}
{{- end -}}
{{- end }}

{{- define "faregate.databaseKey" -}}
{{ ternary .Values.database.existingSecret.key "url" (not (empty .Values.database.existingSecret.name)) }}
{{- end }}

{{- define "faregate.installationSecret" -}}
{{ default (printf "%s-installation" (include "faregate.fullname" .)) .Values.installationSecret.existingSecret }}
{{- end }}

{{/* What selects the pods of one component. */}}
{{- define "faregate.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The labels of an object, with `more` of its own, which beat those for all. */}}
{{- define "faregate.labels" -}}
{{- $selector := include "faregate.selector" . | fromYaml -}}
{{- $ours := dict
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/part-of" "faregate"
  "app.kubernetes.io/managed-by" .root.Release.Service
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name (.root.Chart.Version | replace "+" "_")) -}}
{{- merge $selector (default dict .more) (default dict .root.Values.commonLabels) $ours | toYaml -}}
{{- end }}

{{/* Every namespace that the operator watches, its own among them; nothing where it watches all. */}}
{{- define "faregate.namespaces" -}}
{{- with .Values.operator.watchNamespaces -}}
{{ append . $.Release.Namespace | uniq | sortAlpha | join "," }}
{{- end -}}
{{- end }}

{{/* Takes what is null out of `part`, in place; not out of members named `kept`. */}}
{{- define "faregate.takeNothingOut" -}}
{{- $part := .part -}}
{{- $kept := .kept -}}
{{- range $name, $value := $part -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $part $name }}{{ end -}}
{{- if and (kindIs "map" $value) (ne $name $kept) }}{{ include "faregate.takeNothingOut" (dict "part" $value "kept" $kept) }}{{ end -}}
{{- if kindIs "slice" $value -}}
{{- range $value -}}
{{- if kindIs "map" . }}{{ include "faregate.takeNothingOut" (dict "part" . "kept" $kept) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Null in the fleet takes away what another file of values has. In parts of pods and Services, `spec`,
     it takes ours away, and the operator has to see it. */}}
{{- define "faregate.tidyFleet" -}}
{{- include "faregate.takeNothingOut" (dict "part" .Values.fleet.spec "kept" "spec") -}}
{{- end }}
