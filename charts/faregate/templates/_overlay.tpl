{{/* Laying the administrator's part of an object over ours, as the operator does it for gateways: objects
     member by member, where null takes a member away; lists of named things name by name; any other
     list, and any other value, is the administrator's. */}}
{{- define "faregate.laidOver" -}}
{{- $laid := include "faregate.overlay" (dict "ours" (fromYaml .ours) "theirs" .theirs) | fromJson -}}
{{- include "faregate.takeNothingOut" (dict "part" $laid "kept" "") -}}
{{- toYaml $laid.merged -}}
{{- end }}

{{- define "faregate.overlay" -}}
{{- $ours := .ours -}}
{{- $theirs := .theirs -}}
{{- $merged := $theirs -}}
{{- if and (kindIs "map" $ours) (kindIs "map" $theirs) -}}
{{- $merged = deepCopy $ours -}}
{{- range $key, $value := $theirs -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $merged $key -}}
{{- else if hasKey $ours $key -}}
{{- $_ := set $merged $key (include "faregate.overlay" (dict "ours" (get $ours $key) "theirs" $value) | fromJson).merged -}}
{{- else -}}
{{- $_ := set $merged $key $value -}}
{{- end -}}
{{- end -}}
{{- else if and (kindIs "slice" $ours) (kindIs "slice" $theirs) -}}
{{- $name := include "faregate.naming" (concat $ours $theirs) -}}
{{- if $name -}}
{{- $given := dict -}}
{{- range $theirs }}{{ $_ := set $given (get . $name) . }}{{ end -}}
{{- $merged = list -}}
{{- $known := list -}}
{{- range $ours -}}
{{- $known = append $known (get . $name) -}}
{{- $laid := dict "ours" . "theirs" (default dict (get $given (get . $name))) -}}
{{- $merged = append $merged (include "faregate.overlay" $laid | fromJson).merged -}}
{{- end -}}
{{- range $theirs -}}
{{- if not (has (get . $name) $known) }}{{ $merged = append $merged . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- dict "merged" $merged | toJson -}}
{{- end }}

{{/* What names each thing of a list; nothing where they have no names. */}}
{{- define "faregate.naming" -}}
{{- $found := "" -}}
{{- range $name := list "name" "mountPath" -}}
{{- $all := true -}}
{{- range $ -}}
{{- if not (kindIs "map" .) }}{{ $all = false }}{{ else if not (hasKey . $name) }}{{ $all = false }}{{ end -}}
{{- end -}}
{{- if $all }}{{ $found = $name }}{{ end -}}
{{- end -}}
{{- $found -}}
{{- end }}
