{{/* Whether PodMonitors and a PrometheusRule are made: `true`, or nothing. */}}
{{- define "faregate.hasPrometheusOperator" -}}
{{- $given := toString .Values.monitoring.prometheusOperator -}}
{{- if eq $given "auto" -}}
{{- if .Capabilities.APIVersions.Has "monitoring.coreos.com/v1/PodMonitor" }}true{{ end -}}
{{- else if eq $given "true" }}true{{ end -}}
{{- end }}

{{/* How a Prometheus without an operator finds a pod, as the gateways have it of ours. */}}
{{- define "faregate.scrapeAnnotations" -}}
prometheus.io/scrape: {{ empty (include "faregate.hasPrometheusOperator" .root) | quote }}
prometheus.io/port: {{ .port | quote }}
prometheus.io/path: /metrics
{{- end }}

{{/* The groups of one file of rules, without what the values leave out. */}}
{{- define "faregate.ruleGroups" -}}
{{- $given := .root.Values.monitoring.rules -}}
{{- $text := .root.Files.Get (printf "files/rules/%s.yaml" .file) -}}
{{- $runbooks := trimSuffix "/" $given.runbooks -}}
{{- $text = $text | replace "runbook_url: docs/reference/runbooks/" (printf "runbook_url: %s/" $runbooks) -}}
{{- range $group := (fromYaml $text).groups }}
{{- $rules := list -}}
{{- range $group.rules -}}
{{- if not (has .alert $given.disabled) }}{{ $rules = append $rules . }}{{ end -}}
{{- end }}
{{- with $rules }}
- {{ dict "name" $group.name "rules" . | toYaml | nindent 2 | trim }}
{{- end }}
{{- end }}
{{- end }}
