{{/* Names and labels. */}}

{{/* Short enough for the longest thing that is put behind it, within the 63 bytes of a Service's name. */}}
{{- define "lockkeeper.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $whole := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $whole .Values.fullnameOverride | trunc 46 | trimSuffix "-" -}}
{{- end }}

{{/* The Cluster's name, which the operator wants to be of 50 bytes at most. Takes the root. */}}
{{- define "lockkeeper.cluster" -}}
{{- printf "%s-postgres" (include "lockkeeper.fullname" . | trunc 41 | trimSuffix "-") -}}
{{- end }}

{{/* What Services and Deployments find pods by; never changes. Takes {root, component}. */}}
{{- define "lockkeeper.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The labels of every object. Takes {root, component}. */}}
{{- define "lockkeeper.labels" -}}
{{ include "lockkeeper.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "lockkeeper.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end -}}
{{- end -}}
{{- end }}

{{/* Where a side listens, as in the image. Takes the component. */}}
{{- define "lockkeeper.listenPort" -}}
{{- get (dict "agents" "8080" "managers" "8081") . -}}
{{- end }}

{{/* The port of a side's Service. Takes {root, component}. */}}
{{- define "lockkeeper.port" -}}
{{- (index .root.Values .component).service.port | default (ternary 443 80 (ne .root.Values.tls.existingSecret "")) -}}
{{- end }}
