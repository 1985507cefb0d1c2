{{/* What every pod of this chart has in common: the restricted pod security standard. */}}

{{/* No links to services: Kubernetes would put TOLLGATE_PORT and the like into the environment,
     next to the settings of the processes. */}}
{{- define "tollgate.podSecurity" -}}
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user }}
  runAsGroup: {{ .user }}
  fsGroup: {{ .user }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "tollgate.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* The operator's program with an empty folder for temporary files. */}}
{{- define "tollgate.program" -}}
image: {{ include "tollgate.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{ include "tollgate.containerSecurity" . }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "tollgate.programVolumes" -}}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: 64Mi}
{{- end }}
