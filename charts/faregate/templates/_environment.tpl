{{/* The operator's environment; gateways get the same database and installation from it. */}}
{{- define "faregate.operatorEnvironment" -}}
- name: FAREGATE_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: FAREGATE_WATCH_NAMESPACES
  value: {{ include "faregate.namespaces" . | quote }}
- name: FAREGATE_IMAGE
  value: {{ include "faregate.image" . | quote }}
- name: FAREGATE_INSTALLATION
  value: {{ .Values.installation | quote }}
- name: FAREGATE_INSTALLATION_SECRET_NAME
  value: {{ include "faregate.installationSecret" . | quote }}
- name: FAREGATE_INSTALLATION_SECRET_KEY
  value: {{ .Values.installationSecret.key | quote }}
- name: FAREGATE_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "faregate.databaseSecret" . | quote }}
      key: {{ include "faregate.databaseKey" . | quote }}
- name: FAREGATE_DATABASE_SECRET_NAME
  value: {{ include "faregate.databaseSecret" . | quote }}
- name: FAREGATE_DATABASE_SECRET_KEY
  value: {{ include "faregate.databaseKey" . | quote }}
{{- with .Values.database.ca.configMap }}
- name: FAREGATE_DATABASE_CA_CONFIG_MAP
  value: {{ . | quote }}
{{- end }}
{{- with .Values.database.ca.secret }}
- name: FAREGATE_DATABASE_CA_SECRET
  value: {{ . | quote }}
{{- end }}
{{- if include "faregate.hasDatabaseAuthorities" . }}
- name: FAREGATE_DATABASE_CA_KEY
  value: {{ .Values.database.ca.key | quote }}
- name: PGSSLROOTCERT
  value: /etc/faregate-ca/database/ca.crt
{{- end }}
- name: FAREGATE_DATABASE_CONNECTIONS
  value: {{ include "faregate.gatewayConnections" . | quote }}
- name: FAREGATE_SWEEP_SECONDS
  value: {{ .Values.operator.sweepSeconds | quote }}
- name: FAREGATE_POD_TEMPLATES
  value: {{ .Values.operator.podTemplates }}
{{- if include "faregate.platformIds" . }}
- name: FAREGATE_PLATFORM_IDS
  value: "true"
{{- end }}
- name: FAREGATE_LOG_LEVEL
  value: {{ .Values.operator.logLevel }}
{{- end }}
