{{/* Ports for the network policies, as URLs have them. */}}

{{- define "tollgate.port" -}}
{{- $url := urlParse .url -}}
{{- $found := regexFind ":[0-9]+$" $url.host -}}
{{- default .default (trimPrefix ":" $found) -}}
{{- end }}

{{- define "tollgate.databasePort" -}}
{{- if .Values.database.url -}}
{{ include "tollgate.port" (dict "url" .Values.database.url "default" "5432") }}
{{- else -}}
{{ ternary 5432 (int .Values.database.port) .Values.database.trial }}
{{- end -}}
{{- end }}

{{/* Comma-separated; nothing where every upstream is the simulated one. */}}
{{- define "tollgate.upstreamPorts" -}}
{{- $ports := list -}}
{{- range .Values.fleet.spec.upstreams -}}
{{- if hasPrefix "https:" .url -}}
{{- $ports = append $ports (include "tollgate.port" (dict "url" .url "default" "443")) -}}
{{- else if hasPrefix "http:" .url -}}
{{- $ports = append $ports (include "tollgate.port" (dict "url" .url "default" "80")) -}}
{{- end -}}
{{- end -}}
{{- $ports | uniq | sortAlpha | join "," -}}
{{- end }}

{{- define "tollgate.egressToNames" -}}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end }}
