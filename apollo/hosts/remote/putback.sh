# ---- Putting back by hand: the steps of the revert, with the runner that Apollo has

put_back() {
  exec 8<>.apollo/fence
  flock -w 30 8 || fail "The lock of $root was held for 30 seconds; look who has it."
  last_touch
  [ "$alive" = no ] || fail "A runner is at work in $lock_phase: wait for it, then look again."
  case $status in changing | broken) ;; *) fail "Nothing to put back: no turn is unfinished here." ;; esac
  [ -n "$job" ] && [ "$previous" != - ] || fail "Nothing to put back: there is no earlier release."
  whole_job || fail "The journal has no whole job for it: $journal/put-back"
  read_fence
  grant=$held_grant attempt=$held_attempt
  [ "$held_by/$held_turn" = "$deployment/$turn" ] ||
    fail "A newer turn has begun: $held_by/$held_turn. It has drained nothing; end it first."
  fill_job
  clock
  by=$(printf '%s' "${SUDO_USER:-$(id -un)}" | tr -cd 'A-Za-z0-9._@-')
  hand="$at ${by:-unknown}"
  [ "$status" = changing ] && steps_of_job not_failed || forget_steps ||
    fail "No room on the disk, or $journal cannot be written."
  record "$journal/decision" 0 "revert $hand" || fail "No room on the disk for the decision."
  version_of "$previous"
  tell "Putting back $version. It goes on when this terminal goes."
  verdict=-
  drive revert
  while read_lock && [ "$alive" = yes ]; do drive revert; done
  end_by_hand
}

fill_job() { # the job without secrets gets them from who types, or from the file that services read
  missing= filled= undo=yes
  read_step start
  case $nl$job in *"${nl}only-begun"*) [ "$state" != new ] && is_finished "$folder" || undo= ;; esac
  env_name=
  lines_of envfile read_env_name
  lines_of secrets need
  [ -z "$missing" ] || fail "These secrets are needed, and are nowhere on this host: export$missing"
  IFS=$nl
  for entry in $job; do
    IFS=$ifs
    fill_line $entry
  done
  IFS=$ifs
  job=$filled
}

read_env_name() { env_name=$(decode "$1"); }

need() { # NEW|OLD NAME…
  shift
  for name in "$@"; do secret "$name" || case $missing in *" $name"*) ;; *) missing="$missing $name" ;; esac; done
}

secret() { # NAME: its value, in `value`
  eval "value=\${$1-}"
  [ -z "$value" ] || return 0
  [ -n "$env_name" ] && [ -r "$env_name" ] || return 1
  value=$(unset "$1"; . "./$env_name" >/dev/null 2>&1; eval "printf '%s.' \"\${$1-}\"")
  value=${value%.}
  [ -n "$value" ]
}

fill_line() { # the words of one line
  case "$1 ${2-}" in
    'hook undo-stop'*) [ -n "$undo" ] || return 0 ;;
    'hide '*) set -- hide "$(hidden | base64 -w 0)" \
      "$(hidden | sed 's/[][\\/.*^$]/\\&/g; s/.*/s\/&\/[redacted]\/g/' | base64 -w 0)" ;;
    env\ *) set -- env "$2" "$( { decode "${3-}"; values "$2" export; } | base64 -w 0)" ;;
    envfile\ *) set -- envfile "$2" "$( { decode "${3-}"; values old file; } | base64 -w 0)" ;;
  esac
  filled=$filled${filled:+$nl}$*
}

values() { # NEW|OLD export|file: lines with the secrets of that release
  side=$1 form=$2
  lines_of secrets write_values
}

write_values() {
  [ "$1" = "$side" ] || return 0
  shift
  for name in "$@"; do
    secret "$name" || return
    case $form in
      plain) printf '%s\n' "$value" ;;
      export) printf "export %s='%s'\n" "$name" "$(printf '%s' "$value" | sed "s/'/'\\\\''/g")" ;;
      file) printf '%s="%s"\n' "$name" "$(printf '%s' "$value" | sed 's/[\\"$`]/\\&/g')" ;;
    esac
  done
}

hidden() { # the lines of secrets that no output keeps
  { values new plain; values old plain; } | grep ....
}

forget_steps() { # a put-back that failed begins anew: that is what the person who types wants
  was=$journal/was.$at
  mkdir -p "$was" && steps_of_job forget && sync "$journal"
}

forget() {
  [ ! -e "$journal/step.$2" ] || mv "$journal/step.$2" "$was/"
  [ ! -e "$journal/out.$2" ] || mv "$journal/out.$2" "$was/"
}

end_by_hand() {
  read_current
  if ! steps_of_job settled_well || [ "$current" != "$previous" ]; then
    show_failed
    fail "It is not put back. Mend what failed, then: sh $self put-back"
  fi
  clock
  record "$journal/decision" 1 "verdict reverted $at ${hand#* }" || fail "No room on the disk."
  serve_again "$back_file"
  version_of "$current"
  tell "$version is put back. Apollo will report it at its next contact."
  [ "$balancer_kind" = - ] || [ "$back_file" != - ] || {
    show_balancer
    tell "Give the host back to its balancer now: Apollo does not reach it from here."
  }
}
