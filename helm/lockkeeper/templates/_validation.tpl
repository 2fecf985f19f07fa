{{/* Rejects combinations of values that the schema cannot check. Takes the root. */}}
{{- define "lockkeeper.validate" -}}
{{- with .Values }}
{{- if not (or .agents.enabled .managers.enabled) }}
{{- fail "agents.enabled and managers.enabled: both are false, so there is nothing to install" }}
{{- end }}
{{- if not (or .database.existingSecret .cnpg.enabled) }}
{{- fail "database.existingSecret: set it to a Secret with the database's URL, or set cnpg.enabled" }}
{{- end }}
{{- if and .database.existingSecret .cnpg.enabled }}
{{- fail "database.existingSecret and cnpg.enabled: set only one of them" }}
{{- end }}
{{- range $component := list "agents" "managers" }}
{{- with index $.Values $component }}
{{- if and .autoscaling.enabled (gt (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas)) }}
{{- fail (printf "%s.autoscaling.minReplicas: must not be greater than maxReplicas" $component) }}
{{- end }}
{{- if and .service.externalTrafficPolicy (eq .service.type "ClusterIP") }}
{{- fail (printf "%s.service.externalTrafficPolicy: not allowed for a Service of type ClusterIP" $component) }}
{{- end }}
{{- if and .ingress.enabled (not .ingress.hosts) }}
{{- fail (printf "%s.ingress.hosts: list at least one host; without hosts an Ingress would receive the requests of every host" $component) }}
{{- end }}
{{- if and .httpRoute.enabled (not .httpRoute.parentRefs) }}
{{- fail (printf "%s.httpRoute.parentRefs: list at least one gateway" $component) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .networkPolicy.enabled .serviceMonitor.enabled (not .networkPolicy.statusFrom) }}
{{- fail "networkPolicy.statusFrom: list Prometheus' pods; without peers, Prometheus cannot scrape the metrics for serviceMonitor.enabled" }}
{{- end }}
{{- $maxPods := ternary .managers.autoscaling.maxReplicas .managers.replicas .managers.autoscaling.enabled }}
{{- if and .managers.enabled (gt (int $maxPods) 1) (not .signingKey.existingSecret) }}
{{- /* Without it, each pod creates its own key. Tokens are valid everywhere, but repeating a token request on another pod fails,
       and a pod's key is lost with the pod. */}}
{{- fail "signingKey.existingSecret: required if several managers' pods can run, which must share a key (openssl genpkey -algorithm ed25519)" }}
{{- end }}
{{- end }}
{{- end }}
