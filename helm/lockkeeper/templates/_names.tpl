{{/* Names and labels. */}}

{{/* The prefix of names. It leaves room for the longest suffix within the 63 bytes of a Service's name. */}}
{{- define "lockkeeper.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $fullname := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $fullname .Values.fullnameOverride | trunc 46 | trimSuffix "-" -}}
{{- end }}

{{/* The Cluster's name, at most 50 bytes long, as the operator requires. Takes the root. */}}
{{- define "lockkeeper.cluster" -}}
{{- printf "%s-postgres" (include "lockkeeper.fullname" . | trunc 41 | trimSuffix "-") -}}
{{- end }}

{{/* The labels by which Services and Deployments select pods. They must not change. Takes {root, component}. */}}
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

{{/* The port that a component listens on, as in the image. Takes the component. */}}
{{- define "lockkeeper.listenPort" -}}
{{- get (dict "agents" "8080" "managers" "8081") . -}}
{{- end }}

{{/* The port of a component's Service. Takes {root, component}. */}}
{{- define "lockkeeper.port" -}}
{{- (index .root.Values .component).service.port | default (ternary 443 80 (ne .root.Values.tls.existingSecret "")) -}}
{{- end }}
