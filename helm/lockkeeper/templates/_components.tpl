{{/* Fields that differ between agents and managers. Each template takes {root, component}. */}}

{{/* Only one of the two listeners is on: a process for agents has no routes that write. */}}
{{- define "lockkeeper.env" -}}
{{- range $component := list "agents" "managers" }}
- name: LOCKKEEPER_LISTENERS__{{ upper $component }}
  value: {{ ternary (printf "%s:%s" $.root.Values.bindAddress (include "lockkeeper.listenPort" $component)) "off" (eq $component $.component) | quote }}
{{- end }}
- name: LOCKKEEPER_LISTENERS__STATUS
  value: {{ printf "%s:8082" .root.Values.bindAddress | quote }}
{{- with .root.Values }}
{{ include "lockkeeper.databaseEnv" $ }}
- name: LOCKKEEPER_DATABASE__MIGRATE
  value: "false"
- name: LOCKKEEPER_DRAIN_DELAY
  value: {{ .stop.drainSeconds }}s
- name: LOCKKEEPER_SHUTDOWN_GRACE
  value: {{ .stop.graceSeconds }}s
{{- if .config }}
- name: LOCKKEEPER_CONFIG
  value: /etc/lockkeeper/config/lockkeeper.toml
{{- end }}
{{- if .tls.existingSecret }}
- name: LOCKKEEPER_TLS__CERTIFICATE
  value: /etc/lockkeeper/tls/tls.crt
- name: LOCKKEEPER_TLS__KEY
  value: /etc/lockkeeper/tls/tls.key
{{- end }}
{{- if and .signingKey.existingSecret (eq $.component "managers") }}
- name: LOCKKEEPER_AUTH__SIGNING_KEY_FILE
  value: /etc/lockkeeper/signing/signing-key.pem
{{- end }}
{{- end }}
{{- with (index .root.Values .component).env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "lockkeeper.mounts" -}}
{{ include "lockkeeper.databaseMounts" .root }}
{{- with .root.Values }}
{{- if .config }}
- name: config
  mountPath: /etc/lockkeeper/config
  readOnly: true
{{- end }}
{{- if .tls.existingSecret }}
- name: tls
  mountPath: /etc/lockkeeper/tls
  readOnly: true
{{- end }}
{{- if and .signingKey.existingSecret (eq $.component "managers") }}
- name: signing-key
  mountPath: /etc/lockkeeper/signing
  readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{- define "lockkeeper.volumes" -}}
{{ include "lockkeeper.databaseVolumes" .root }}
{{- with .root.Values }}
{{- if .config }}
- name: config
  configMap:
    name: {{ include "lockkeeper.fullname" $.root }}-config
{{- end }}
{{- if .tls.existingSecret }}
- name: tls
  secret:
    secretName: {{ .tls.existingSecret }}
    defaultMode: 0440
{{- end }}
{{- if and .signingKey.existingSecret (eq $.component "managers") }}
- name: signing-key
  secret:
    secretName: {{ .signingKey.existingSecret }}
    defaultMode: 0440
    items:
      - key: {{ .signingKey.existingSecretKey }}
        path: signing-key.pem
{{- end }}
{{- end }}
{{- end }}

{{- define "lockkeeper.spread" -}}
{{- range .root.Values.topologySpread.topologyKeys }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: {{ $.root.Values.topologySpread.whenUnsatisfiable }}
  labelSelector:
    matchLabels: {{- include "lockkeeper.selector" $ | nindent 6 }}
  # Pods of each revision are spread on their own, ignoring pods that are about to end.
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}
