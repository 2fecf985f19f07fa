{{/* What the schema cannot say: values that are each right and do not go together. Takes the root. */}}
{{- define "lockkeeper.refusals" -}}
{{- with .Values }}
{{- if not (or .agents.enabled .managers.enabled) }}
{{- fail "agents.enabled and managers.enabled: both are off, so that there is nothing to install" }}
{{- end }}
{{- if not (or .database.existingSecret .cnpg.enabled) }}
{{- fail "database.existingSecret: name a Secret with the database's URL, or set cnpg.enabled" }}
{{- end }}
{{- if and .database.existingSecret .cnpg.enabled }}
{{- fail "database.existingSecret and cnpg.enabled: there can be one database only" }}
{{- end }}
{{- range $side := list "agents" "managers" }}
{{- with index $.Values $side }}
{{- if and .autoscaling.enabled (gt (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas)) }}
{{- fail (printf "%s.autoscaling.minReplicas: is more than maxReplicas" $side) }}
{{- end }}
{{- if and .service.externalTrafficPolicy (eq .service.type "ClusterIP") }}
{{- fail (printf "%s.service.externalTrafficPolicy: a Service of type ClusterIP has none" $side) }}
{{- end }}
{{- if and .ingress.enabled (not .ingress.hosts) }}
{{- fail (printf "%s.ingress.hosts: name at least one; an Ingress without would take every host's requests" $side) }}
{{- end }}
{{- if and .httpRoute.enabled (not .httpRoute.parentRefs) }}
{{- fail (printf "%s.httpRoute.parentRefs: name at least one gateway" $side) }}
{{- end }}
{{- end }}
{{- end }}
{{- $most := ternary .managers.autoscaling.maxReplicas .managers.replicas .managers.autoscaling.enabled }}
{{- if and .managers.enabled (gt (int $most) 1) (not .signingKey.existingSecret) }}
{{- /* Without it each pod makes a key of its own: its tokens are good, but whoever asks another pod for the same one again is
       refused, and with every pod that goes its key is lost. */}}
{{- fail "signingKey.existingSecret: several managers' pods need the same key to sign tokens with (openssl genpkey -algorithm ed25519)" }}
{{- end }}
{{- end }}
{{- end }}
