{{/* Ports and namespaces for the network policies, as URLs have them. */}}

{{/* Host and port of a URL. `urlParse` fails where a password is not encoded, and prints it. */}}
{{- define "faregate.host" -}}
{{ regexReplaceAll "^([a-zA-Z][a-zA-Z0-9+.-]*://)?([^/?#]*@)?([^/?#]*)(.|\n)*$" . "${3}" }}
{{- end }}

{{- define "faregate.port" -}}
{{- $found := regexFind ":[0-9]+$" (include "faregate.host" .url) -}}
{{- default .default (trimPrefix ":" $found) -}}
{{- end }}

{{/* A parameter of a URL's query, as libpq takes `host` and `port` there; nothing where it has none. */}}
{{- define "faregate.parameter" -}}
{{- $found := regexFind (printf "[?&]%s=[^&#]*" .name) .url -}}
{{- regexReplaceAll "^[^=]*=" $found "" -}}
{{- end }}

{{/* The hosts of the database's URL with their ports, separated by blanks. libpq takes several. */}}
{{- define "faregate.databaseHosts" -}}
{{- $url := default "" .Values.database.url -}}
{{- $hosts := default (include "faregate.host" $url) (include "faregate.parameter" (dict "url" $url "name" "host")) -}}
{{- splitList "," $hosts | join " " -}}
{{- end }}

{{/* The ports of the database, separated by commas. */}}
{{- define "faregate.databasePorts" -}}
{{- if .Values.database.url -}}
{{- $ports := list -}}
{{- with include "faregate.parameter" (dict "url" .Values.database.url "name" "port") -}}
{{- range splitList "," . }}{{ $ports = append $ports (default "5432" .) }}{{ end -}}
{{- else -}}
{{- range splitList "," (include "faregate.host" .Values.database.url) -}}
{{- $ports = append $ports (include "faregate.port" (dict "url" . "default" "5432")) -}}
{{- end -}}
{{- end -}}
{{- $ports | uniq | sortAlpha | join "," -}}
{{- else -}}
{{ ternary 5432 (int .Values.database.port) .Values.database.trial }}
{{- end -}}
{{- end }}

{{/* The namespace of what may be a Service of this cluster, by a URL's host; nothing for any other.
     A Service's port need not be that of its pods, which is what policies go by. */}}
{{- define "faregate.namespaceOf" -}}
{{- $host := regexReplaceAll ":[0-9]+$" (include "faregate.host" .url) "" | lower -}}
{{- if regexMatch "^[a-z0-9-]+$" $host -}}{{ .namespace }}
{{- else if regexMatch "^[a-z0-9-]+[.][a-z0-9-]+([.]svc([.].*)?)?$" $host -}}{{ index (splitList "." $host) 1 }}
{{- end -}}
{{- end }}

{{/* The addresses in variables of a pod template: collectors of traces, a proxy. */}}
{{- define "faregate.variableURLs" -}}
{{- range dig "podTemplate" "spec" "containers" list . -}}
{{- range .env -}}
{{- if and (regexMatch "^(OTEL_EXPORTER_OTLP.*ENDPOINT|HTTPS?_PROXY|https?_proxy)$" .name) .value }}{{ .value }} {{ end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The addresses that gateways reach beside the database: upstreams, a web hook, collectors of traces, a proxy. */}}
{{- define "faregate.urls" -}}
{{- $spec := .Values.fleet.spec -}}
{{- range $spec.upstreams -}}
{{- if ne .url "simulated:" }}{{ .url }} {{ end -}}
{{- end -}}
{{- with dig "webhook" "url" "" $spec }}{{ . }} {{ end -}}
{{- include "faregate.variableURLs" $spec -}}
{{- end }}

{{/* The addresses that a console reaches beside the database: the identity provider, the keys of a
     proxy that signs, a proxy on the way there. */}}
{{- define "faregate.consoleURLs" -}}
{{- $console := default dict .Values.fleet.spec.console -}}
{{- range list (dig "oidc" "issuer" "" $console) (dig "proxy" "jwksURL" "" $console) }}{{ . }} {{ end -}}
{{- include "faregate.variableURLs" $console -}}
{{- end }}

{{/* The ports of URLs, comma-separated; nothing where there are none. */}}
{{- define "faregate.ports" -}}
{{- $ports := list -}}
{{- range compact (splitList " " .) -}}
{{- $ports = append $ports (include "faregate.port" (dict "url" . "default" (ternary "443" "80" (hasPrefix "https:" .)))) -}}
{{- end -}}
{{- $ports | uniq | sortAlpha | join "," -}}
{{- end }}

{{/* Rules for the namespaces of this cluster in which the database and the addresses of `urls` may be. */}}
{{- define "faregate.egressToNamespaces" -}}
{{- $names := list -}}
{{- range compact (concat (splitList " " .urls) (splitList " " (include "faregate.databaseHosts" .root))) -}}
{{- with include "faregate.namespaceOf" (dict "url" . "namespace" $.root.Release.Namespace) -}}
{{- $names = append $names . -}}
{{- end -}}
{{- end -}}
{{- range $names | uniq | sortAlpha }}
- to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ . | quote }}}}}]
{{- end -}}
{{- end }}

{{- define "faregate.egressToDatabase" -}}
- ports:
    {{- range splitList "," (include "faregate.databasePorts" .) }}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
{{- end }}

{{/* The API server, whose address no policy can name. */}}
{{- define "faregate.egressToApiServer" -}}
- ports:
    {{- range .Values.networkPolicy.apiServerPorts }}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
{{- end }}

{{- define "faregate.egressToNames" -}}
- ports:
    {{- range .Values.networkPolicy.dnsPorts }}
    - {protocol: UDP, port: {{ int . }}}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
{{- end }}

{{/* Rules for all that a fleet's pods reach: names, the database, and the addresses of `urls`. */}}
{{- define "faregate.egressOfFleet" -}}
{{ include "faregate.egressToNames" .root }}
{{ include "faregate.egressToDatabase" .root }}
{{- with include "faregate.ports" .urls }}
- ports:
    {{- range splitList "," . }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end }}
{{- include "faregate.egressToNamespaces" . }}
{{- end }}
