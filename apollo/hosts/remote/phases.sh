# ---- Driving a phase from outside

whole_job() { case $nl$job in *"${nl}end") ;; *) return 1 ;; esac; }

steps_of_job() { # calls "$1" with the words of each line that is a step
  visit=$1
  IFS=$nl
  for line in $job; do
    IFS=$ifs
    case $line in hook\ * | switch\ * | silent\ * | kill\ *) $visit $line ;; esac || return
  done
  IFS=$ifs
}

name_step() { names="$names step.$2"; }
not_failed() { read_step "$2"; [ "$closed" = no ] || [ "$state$code" = ended0 ]; }
settled_well() {
  read_step "$2"
  [ "$state$code" = ended0 ] || return 1
  case $1 in hook) ! stale "$2" ;; switch) ! stale "$2" "$3" ;; esac
}

pending() { # whether the phase has work left: nothing in it failed, and not all of it ended
  case $1$verdict in stage- | activate- | revert-) ;; stage* | activate* | revert*) return 1 ;; esac
  case $1$revert in stageyes | activateyes) return 1 ;; esac
  steps_of_job not_failed || return 1
  [ "$1" != stage ] || { not_failed unpack unpack && ! is_finished "$folder"; return; }
  ! steps_of_job settled_well
}

drive() { # PHASE: starts its runner unless it is at work or through, then follows it
  for round in 1 2 3; do
    if [ "$alive" = no ]; then
      [ -n "$job" ] && pending "$1" || return 0
      start_runner "$1"
    elif [ -z "$started" ]; then
      attached=$lock_phase
    fi
    [ "$poll" -gt 0 ] || return 0
    flock -u 8
    exec 7<.apollo/lock
    flock -s -w "$poll" 7 || return 0
    exec 7<&-
    pass_fence
    refuse_others
    read_turn
  done
}

start_runner() { # the runner inherits the lock, so there is no moment without it
  names=
  [ "$1" != stage ] || names=step.unpack
  steps_of_job name_step
  allocate $names || fail DiskFull
  exec 9<>.apollo/lock
  flock -w 5 9 || fail HostBusy "$lock_deployment/$lock_turn $lock_phase"
  printf '%-511s\n' "lock $deployment $turn $1 end" 1<>.apollo/lock
  printf '%s\n' "$job" | setsid setsid $shell "$self" runner "$nonce" "$shell" "$root" "$deployment" \
    "$turn" "$1" "$lock_deployment/$lock_turn" >>"$journal/runner.log" 2>&1 8>&-
  exec 9>&-
  started=yes alive=yes
}
