# ---- Commands

begin() { # DIGEST FOLDER ARTIFACT POLL yes|no|restart; the job on standard input
  poll=$4
  whole_job || fail TornInput
  refuse_others
  if ! read_turn; then
    read_current
    read_state
    if read_opened "$deployment" "$turn"; then
      reopen_turn || return 0
    elif [ "$5" = restart ]; then
      is_finished "$served" || fail NothingRuns
      open_turn "$digest_of" "$served" "$artifact_of"
    elif [ "$5" = no ] && [ "$status $served_digest $served" = "serving $1 $current" ] &&
      is_finished "$current"; then
      say "same yes"
      return
    else
      open_turn "$1" "$2" "$3"
    fi
    read_turn
  fi
  [ -e "$journal/balancer" ] || note_opened no - -
  [ "$verdict" = - ] || return 0
  is_finished "$folder" && return 0
  if [ "$alive" = no ] && [ ! -e ".apollo/cache/$artifact" ] && ! pulls; then
    say "need-artifact yes"
  else
    drive stage
  fi
}

open_turn() { # DIGEST FOLDER ARTIFACT: what is put back is what served last, wherever `current` points
  find_release "$1" && set -- "$1" "$found" "$3"
  is_finished "$2" && [ "$digest_of" != "$1" ] && fail FolderTaken "$2"
  back=$current
  is_finished "$served" && back=$served
  mkdir -p "$journal" && allocate decision || fail DiskFull
  keep_found ".apollo/journal/$last_deployment/$last_turn"
  ! read_hand ".apollo/journal/$last_deployment/$last_turn" ||
    store "$journal/hand" "$hand_at $hand_by" || fail DiskFull
  store "$journal/turn" "turn $2 $1 $3 $back end" || fail DiskFull
}

keep_found() { # JOURNAL: of the turn before this one, if a hook has removed it
  [ ! -e "$1/balancer" ] && read_opened "$last_deployment" "$last_turn" || return 0
  mkdir -p "$1" && store "$1/balancer" "$found $online" || fail DiskFull
}

note_opened() { # yes|no FOUND ONLINE: how this turn stands, beside its journal, and whether it goes back
  text="opened $deployment $turn $folder $digest $artifact $previous $1 $2 $3 end"
  line=
  [ ! -e .apollo/opened ] || read -r line <.apollo/opened
  [ "$line" = "$text" ] || store .apollo/opened "$text" || fail DiskFull
}

reopen_turn() { # a hook has removed the journal: nobody knows which have run, so the host is put back, once
  [ "$alive$went_back" = nono ] || return 1
  [ "$status $last_deployment $last_turn" = "changing $deployment $turn" ] || return 1
  set -- $opened
  folder=$4 digest=$5 artifact=$6 previous=$7
  note_opened yes "$found" "$online"
  mkdir -p "$journal" && allocate decision && record "$journal/decision" 0 revert &&
    store "$journal/balancer" "$found $online" && store "$journal/lost" yes &&
    store "$journal/turn" "turn $folder $digest $artifact $previous end" || fail DiskFull
}
