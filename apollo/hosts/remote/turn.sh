# ---- A turn's commands after staging, and those that only look

run() { # PHASE POLL; the job on standard input, or nothing: then it only follows
  poll=$2
  [ -z "$job" ] || whole_job || fail TornInput
  refuse_others
  need_turn
  case $1$revert in
    revert) decide_back ;;
    stageyes | activateyes) fail Reverting ;;
  esac
  drive "$1"
}

drain() { # FOUND FILE|- STEP…; the job of putting back by hand on standard input, or nothing: from here on a full disk must not keep anything from being written
  refuse_others
  need_turn
  [ "$verdict" = - ] || fail Settled "$verdict"
  [ -z "$job" ] || whole_job || fail TornInput
  found=$1 file=$2
  shift 2
  records=decision
  for name in "$@"; do records="$records step.$name"; done
  allocate $records || fail DiskFull
  [ -z "$job" ] || [ -e "$journal/put-back" ] || (umask 077 && store "$journal/put-back" "$job") ||
    fail DiskFull
  read_state
  if [ ! -e "$journal/balancer" ]; then
    find_online
    store "$journal/balancer" "$found $online" || fail DiskFull
  fi
  read -r found online <"$journal/balancer"
  note_opened no "$found" "$online"
  set_state changing "$served" "$served_digest"
  [ "$file" = - ] || rm -f "$file"
}

decide_back() {
  record "$journal/decision" 0 "revert" || fail DiskFull
  [ -e "$journal/balancer" ] || return 0
  read -r found online <"$journal/balancer"
  note_opened yes "$found" "$online"
}

need_turn() {
  read_turn && return
  read_opened "$deployment" "$turn" && fail JournalLost || fail NoTurn
}

find_online() { # whether the balancer's file was there; a host that is not serving lost it to a turn of ours
  online=yes
  last=.apollo/journal/$last_deployment/$last_turn/balancer
  if [ "$status" = serving ]; then
    [ -e "$file" ] || online=no
  elif [ -e "$last" ]; then
    read -r _ online <"$last"
  fi
}

settle() { # VERDICT KEEP FILE|-
  refuse_others
  [ "$alive" = no ] || fail HostBusy "$lock_deployment/$lock_turn $lock_phase"
  need_turn
  case $verdict in - | "$1") ;; *) fail Settled "$verdict" ;; esac
  read_current
  read_state
  case $1$revert in
    verified) set -- "$@" "$folder" ;;
    verifiedyes) fail Reverting ;;
    reverted*) set -- "$@" "$previous" ;;
    *) set -- "$@" "$current" ;;
  esac
  [ "$current" = "$4" ] || fail NotCurrent "$current"
  clock
  allocate decision && record "$journal/decision" 1 "verdict $1 $at" || fail DiskFull
  if [ "$1" = broken ]; then
    set_state broken "$served" "$served_digest"
  else
    serve_again "$3"
  fi
  prune "$2"
}

serve_again() { # FILE|-: the balancer's file is there again if the turn found it there
  online=no
  [ ! -e "$journal/balancer" ] || read -r _ online <"$journal/balancer"
  [ "$1" = - ] || [ "$online" = no ] || : >"$1" || fail DiskFull
  is_finished "$current" || :
  set_state serving "$current" "$digest_of"
}

set_state() { # STATUS FOLDER DIGEST: the release that served last, and the turn that last touched the host
  clock
  record_twice .apollo/state "state $1 $2 $3 $deployment $turn $at" || fail DiskFull
}

fence() { :; }
adopt() { :; }

look() { # DEPLOYMENT TURN: reads only, needs no lock
  cd "$root" 2>/dev/null || return 0
  whose_turn "$1" "$2"
  report
}

whose_turn() { # DEPLOYMENT|- TURN: without a deployment the one that last touched the host
  deployment=$1 turn=$2
  if [ "$1" = - ]; then
    read_fence
    deployment=$held_by turn=$held_turn
    [ -d ".apollo/journal/$held_by/$held_turn" ] || { read_state; deployment=$last_deployment turn=$last_turn; }
  fi
  journal=.apollo/journal/$deployment/$turn
}
