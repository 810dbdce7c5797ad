{{/* Names and labels. The release's name, unless it already says crosstie. */}}
{{- define "crosstie.name" -}}
{{- if contains "crosstie" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-crosstie" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "crosstie.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "crosstie.name" .) }}
{{- end }}

{{- define "crosstie.selector" -}}
app.kubernetes.io/name: crosstie
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "crosstie.labels" -}}
{{ include "crosstie.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* The operator's permissions in a namespace it serves, verb by verb. */}}
{{- define "crosstie.rules" -}}
# What people write, and what the operator says of it.
- apiGroups: [crosstie.dev]
  resources: [connectors, integrations]
  verbs: [list, watch]
- apiGroups: [crosstie.dev]
  resources: [connectors/status, integrations/status]
  verbs: [patch]
# One report for each Integration. Its status belongs to the worker; the operator grants that right, so it must hold it.
- apiGroups: [crosstie.dev]
  resources: [syncreports]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [crosstie.dev]
  resources: [syncreports/status]
  verbs: [get, patch]
# What runs a worker. Deployments, claims and Secrets are never deleted: they go with their owner, or stay.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, watch, create, patch]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch]
# Plans and shares for workers, and people's labelled fixtures, which are only read.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [list, watch, create, patch, delete]
# Credentials handed to workers, and labelled Secrets that a Connector refers to. Access tokens that the operator got are read one by one.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch]
# What leads webhooks to a worker.
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies, ingresses]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [list, watch, create, patch, delete]
# Why a worker does not run, and the nudge that makes the kubelet refresh its mounted files.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}
