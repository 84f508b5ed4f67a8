# ---- Fence and owner

enter() { # the root is there, is ours, and nobody newer has it; from here on alone
  why=$( { cd "$root" && { [ -d .apollo/trash ] || mkdir -p releases shared .apollo/journal \
    .apollo/cache .apollo/finished .apollo/trash; } && : 8<>.apollo/fence; } 2>&1) ||
    fail RootNotWritable "$why"
  cd "$root" && exec 8<>.apollo/fence
  pass_fence
  held=$owner
  [ ! -e .apollo/owner ] || read -r held <.apollo/owner
  [ "$held" = "$owner" ] || [ "$command" = adopt ] || fail ForeignRoot "$held"
  raise_fence
  [ -e .apollo/owner ] && [ "$command" != adopt ] || store .apollo/owner "$owner" || fail DiskFull
}

pass_fence() {
  flock -w 30 8 || fail HostBusy "the lock of the root was held for 30 seconds"
  read_fence
  difference=$((grant - held_grant))
  [ "$difference" -ne 0 ] || difference=$((turn - held_turn))
  [ "$difference" -ne 0 ] || difference=$((attempt - held_attempt))
  [ "$difference" -ge 0 ] || fail Fenced "$held_grant $held_turn $held_attempt $held_by"
}

read_fence() {
  read_twice .apollo/fence fence 'fence 0 0 0 -'
  set -- $line
  held_grant=$2 held_turn=$3 held_attempt=$4 held_by=$5
}

raise_fence() {
  [ "$difference" -eq 0 ] || record_twice .apollo/fence "fence $grant $turn $attempt $deployment" ||
    fail DiskFull
}

refuse_others() { # only this turn's runner may be at work
  read_lock
  [ "$alive" = no ] || [ "$lock_deployment/$lock_turn" = "$deployment/$turn" ] ||
    fail HostBusy "$lock_deployment/$lock_turn $lock_phase"
}
