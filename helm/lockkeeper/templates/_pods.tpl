{{/* Fields of all pods, including the migration Job's. */}}

{{/* Complies with the restricted Pod Security Standard. Takes the root. */}}
{{- define "lockkeeper.pod" -}}
automountServiceAccountToken: false
# Variables for Services (LOCKKEEPER_AGENTS_PORT) would be rejected as unknown settings.
enableServiceLinks: false
{{- with .Values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- with .Values.security.runAsUser }}
  runAsUser: {{ . }}
  {{- end }}
  {{- with .Values.security.runAsGroup }}
  runAsGroup: {{ . }}
  fsGroup: {{ . }}
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{/* Takes the root. */}}
{{- define "lockkeeper.container" -}}
image: {{ include "lockkeeper.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Environment variables for the database. Takes {root, component}. */}}
{{- define "lockkeeper.databaseEnv" -}}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      {{- $database := .root.Values.database }}
      {{- if and $database.agentsSecret (eq .component "agents") }}
      name: {{ $database.agentsSecret }}
      key: {{ ternary "uri" $database.existingSecretKey .root.Values.cnpg.enabled }}
      {{- else if .root.Values.cnpg.enabled }}
      name: {{ include "lockkeeper.cluster" .root }}-app
      key: uri
      {{- else }}
      name: {{ $database.existingSecret }}
      key: {{ $database.existingSecretKey }}
      {{- end }}
{{- if $database.caSecret }}
- name: PGSSLROOTCERT
  value: /etc/lockkeeper/database/ca.crt
{{- end }}
- name: LOCKKEEPER_DATA_DIR
  value: /var/lib/lockkeeper
{{- end }}

{{/* Takes the root. */}}
{{- define "lockkeeper.databaseMounts" -}}
- name: data
  mountPath: /var/lib/lockkeeper
{{- if .Values.database.caSecret }}
- name: database-ca
  mountPath: /etc/lockkeeper/database
  readOnly: true
{{- end }}
{{- end }}

{{/* Takes the root. */}}
{{- define "lockkeeper.databaseVolumes" -}}
- name: data
  emptyDir:
    sizeLimit: {{ .Values.dataSizeLimit }}
{{- with .Values.database }}
{{- if .caSecret }}
- name: database-ca
  secret:
    secretName: {{ .caSecret }}
    defaultMode: 0440
    items:
      - key: {{ .caSecretKey }}
        path: ca.crt
{{- end }}
{{- end }}
{{- end }}
