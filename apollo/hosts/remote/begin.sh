# ---- Commands

begin() { # DIGEST FOLDER ARTIFACT POLL yes|no|restart; the job on standard input
  poll=$4
  whole_job || fail TornInput
  refuse_others
  if ! read_turn; then
    read_current
    read_state
    if [ "$5" = restart ]; then
      is_finished "$served" || fail NothingRuns
      set -- "$digest_of" "$served" "$artifact_of" "$4"
    elif [ "$5" = no ] && [ "$status $served_digest $served" = "serving $1 $current" ] &&
      is_finished "$current"; then
      say "same yes"
      return
    fi
    open_turn "$1" "$2" "$3"
    read_turn
  fi
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
  ! read_hand ".apollo/journal/$last_deployment/$last_turn" ||
    store "$journal/hand" "$hand_at $hand_by" || fail DiskFull
  store "$journal/turn" "turn $2 $1 $3 $back end" || fail DiskFull
}
