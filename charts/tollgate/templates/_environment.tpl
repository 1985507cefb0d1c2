{{/* What the operator is told; gateways get the same database and installation from it. */}}
{{- define "tollgate.operatorEnvironment" -}}
- name: TOLLGATE_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: TOLLGATE_WATCH_NAMESPACES
  value: {{ include "tollgate.namespaces" . | quote }}
- name: TOLLGATE_IMAGE
  value: {{ include "tollgate.image" . | quote }}
- name: TOLLGATE_INSTALLATION
  value: {{ .Values.installation | quote }}
- name: TOLLGATE_INSTALLATION_SECRET_NAME
  value: {{ include "tollgate.installationSecret" . }}
- name: TOLLGATE_INSTALLATION_SECRET_KEY
  value: {{ .Values.installationSecret.key }}
- name: TOLLGATE_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "tollgate.databaseSecret" . }}
      key: {{ include "tollgate.databaseKey" . }}
- name: TOLLGATE_DATABASE_SECRET_NAME
  value: {{ include "tollgate.databaseSecret" . }}
- name: TOLLGATE_DATABASE_SECRET_KEY
  value: {{ include "tollgate.databaseKey" . }}
{{- with .Values.database.ca.configMap }}
- name: TOLLGATE_DATABASE_CA_CONFIG_MAP
  value: {{ . }}
{{- end }}
{{- with .Values.database.ca.secret }}
- name: TOLLGATE_DATABASE_CA_SECRET
  value: {{ . }}
{{- end }}
{{- if include "tollgate.hasDatabaseAuthorities" . }}
- name: TOLLGATE_DATABASE_CA_KEY
  value: {{ .Values.database.ca.key }}
- name: PGSSLROOTCERT
  value: /etc/tollgate-ca/database/ca.crt
{{- end }}
- name: TOLLGATE_DATABASE_CONNECTIONS
  value: {{ include "tollgate.gatewayConnections" . | quote }}
- name: TOLLGATE_SWEEP_SECONDS
  value: {{ .Values.operator.sweepSeconds | quote }}
- name: TOLLGATE_POD_TEMPLATES
  value: {{ .Values.operator.podTemplates }}
- name: TOLLGATE_LOG_LEVEL
  value: {{ .Values.operator.logLevel }}
{{- end }}
