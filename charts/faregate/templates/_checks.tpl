{{/* What values.schema.json cannot say. Each refusal is one sentence that names the values. */}}

{{/* A gateway's connections to PostgreSQL: 2 of the ledger, 1 of stored responses, 1 of keys and lease, 2 for the rest. */}}
{{- define "faregate.gatewayConnections" -}}6{{- end }}

{{- define "faregate.operatorConnections" -}}3{{- end }}

{{/* A console's: 1 of keys, 2 of the JSON API, 2 of pages. */}}
{{- define "faregate.consoleConnections" -}}5{{- end }}

{{- define "faregate.consolesMax" -}}
{{- $console := default dict .Values.fleet.spec.console -}}
{{- if and .Values.fleet.create $console.url -}}{{ int (dig "replicas" 2 $console) }}{{- else -}}0{{- end -}}
{{- end }}

{{/* What PostgreSQL keeps for its superuser. */}}
{{- define "faregate.reservedConnections" -}}3{{- end }}

{{- define "faregate.replicasMax" -}}
{{- $spec := .Values.fleet.spec -}}
{{- if not .Values.fleet.create -}}0
{{- else if $spec.autoscaling -}}{{ int $spec.autoscaling.maxReplicas }}
{{- else -}}{{ int (dig "replicas" 2 $spec) }}
{{- end -}}
{{- end }}

{{- define "faregate.check" -}}
{{- include "faregate.tidyFleet" . -}}
{{- include "faregate.checkDatabase" . -}}
{{- include "faregate.checkConnections" . -}}
{{- include "faregate.checkIngress" . -}}
{{- include "faregate.checkPolicies" . -}}
{{- include "faregate.checkLabels" . -}}
{{- include "faregate.checkNames" . -}}
{{- end }}

{{/* Pods are found by these. */}}
{{- define "faregate.checkLabels" -}}
{{- $selector := include "faregate.selector" (dict "root" . "component" "operator") | fromYaml -}}
{{- range $value, $labels := dict "commonLabels" .Values.commonLabels "operator.podLabels" .Values.operator.podLabels -}}
{{- range $name := keys $selector | sortAlpha -}}
{{- if hasKey (default dict $labels) $name -}}
{{- fail (printf "\n\n%s may not have %s: the chart finds its pods by that label." $value $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := $labels -}}
{{- if hasPrefix "faregate.dev/" $name -}}
{{- fail (printf "\n\n%s may not have %s: labels that begin with faregate.dev/ are the operator's." $value $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A fleet's name becomes that of Services. */}}
{{- define "faregate.checkNames" -}}
{{- $fleet := include "faregate.fleet" . -}}
{{- if and .Values.fleet.create (not (regexMatch "^[a-z]" $fleet)) -}}
{{- fail (printf "\n\nThe name of a GatewayFleet begins with a letter, and here it would be %s: give fleet.name." $fleet) -}}
{{- end -}}
{{- if and (include "faregate.consolesMax" . | int) (gt (len $fleet) 55) -}}
{{- fail "\n\nThe name of a fleet with a console has 55 characters at most: give a shorter fleet.name." -}}
{{- end -}}
{{- end }}

{{/* Who may send requests must not leave out the way in that is configured. */}}
{{- define "faregate.checkPolicies" -}}
{{- $gateway := .Values.networkPolicy.gateway -}}
{{- $hasWayIn := or .Values.ingress.enabled .Values.fleet.spec.httpRoute -}}
{{- if and .Values.networkPolicy.enabled $hasWayIn $gateway.clients (not $gateway.ingressControllers) -}}
{{- fail "\n\nnetworkPolicy.gateway.clients would keep the Ingress controller out: name it in networkPolicy.gateway.ingressControllers, as `from` of a policy." -}}
{{- end -}}
{{- end }}

{{- define "faregate.checkDatabase" -}}
{{- $database := .Values.database -}}
{{- $given := list -}}
{{- if $database.existingSecret.name }}{{ $given = append $given "database.existingSecret.name" }}{{ end -}}
{{- if $database.url }}{{ $given = append $given "database.url" }}{{ end -}}
{{- if $database.trial }}{{ $given = append $given "database.trial" }}{{ end -}}
{{- if eq (len $given) 0 -}}
{{- fail "\n\nThere is no database: give database.existingSecret.name (a Secret with the URL of a PostgreSQL), database.url, or database.trial=true for a PostgreSQL to try things with." -}}
{{- else if gt (len $given) 1 -}}
{{- fail (printf "\n\nThere is one database in an installation, and these name several: %s." (join ", " $given)) -}}
{{- end -}}
{{- if and $database.url (not (regexMatch "^postgres(ql([+]psycopg)?)?://.+" $database.url)) -}}
{{- /* Here, as a refusal by the schema would print the password. */ -}}
{{- fail "\n\ndatabase.url must begin with postgresql://." -}}
{{- end -}}
{{- if and $database.ca.configMap $database.ca.secret -}}
{{- fail "\n\nThe database's certificate authorities are in one place: give database.ca.configMap or database.ca.secret." -}}
{{- end -}}
{{- end }}

{{- define "faregate.checkConnections" -}}
{{- $each := include "faregate.gatewayConnections" . | int -}}
{{- $operator := include "faregate.operatorConnections" . | int -}}
{{- $reserved := include "faregate.reservedConnections" . | int -}}
{{- $replicas := include "faregate.replicasMax" . | int -}}
{{- $consoles := include "faregate.consolesMax" . | int -}}
{{- $ofConsoles := mul $consoles (include "faregate.consoleConnections" . | int) -}}
{{- $needed := add (mul $replicas $each) $ofConsoles $operator $reserved -}}
{{- if gt (int $needed) (int .Values.database.maxConnections) -}}
{{- fail (printf "\n\n%d gateways with %d connections each, %d of the console, %d of the operator and %d that PostgreSQL keeps for itself are %d connections, and database.maxConnections is %d: run fewer gateways, or raise max_connections in PostgreSQL and database.maxConnections here." $replicas $each $ofConsoles $operator $reserved $needed (int .Values.database.maxConnections)) -}}
{{- end -}}
{{- end }}

{{- define "faregate.checkIngress" -}}
{{- if hasKey .Values.fleet.spec "ingress" -}}
{{- fail "\n\nfleet.spec.ingress is made from the value ingress: give className, host and tlsSecretName there." -}}
{{- end -}}
{{- if .Values.ingress.enabled -}}
{{- if not .Values.fleet.create -}}
{{- fail "\n\ningress.enabled needs fleet.create: the Ingress belongs to the GatewayFleet, so give it in your own." -}}
{{- end -}}
{{- if not .Values.ingress.host -}}
{{- fail "\n\ningress.enabled needs ingress.host, the host name that clients use." -}}
{{- end -}}
{{- end -}}
{{- end }}
