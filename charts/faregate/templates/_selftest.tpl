{{/* The model that `helm test` asks: where it can, one that costs nothing. */}}
{{- define "faregate.selftestModel" -}}
{{- $spec := .Values.fleet.spec -}}
{{- $simulated := list -}}
{{- range $spec.upstreams -}}
{{- if eq .url "simulated:" }}{{ $simulated = append $simulated .name }}{{ end -}}
{{- end -}}
{{- $chosen := .Values.selftest.model -}}
{{- range $spec.models -}}
{{- if and (not $chosen) (has .upstream $simulated) }}{{ $chosen = .id }}{{ end -}}
{{- end -}}
{{- default (first $spec.models).id $chosen -}}
{{- end }}
