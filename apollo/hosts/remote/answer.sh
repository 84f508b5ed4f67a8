# ---- The answer

say_manifest() { # KEY FOLDER
  file=releases/$2/.apollo-manifest.json
  [ ! -s "$file" ] || say "$1 $(base64 -w 0 <"$file")"
}

say_hand() { # that this turn was put back by hand, or the one that it found on the host
  last=.apollo/journal/$last_deployment/$last_turn
  if read_hand "$journal"; then
    say "by-hand $hand_at $hand_by this"
  elif [ -e "$journal/hand" ]; then
    read -r hand_at hand_by <"$journal/hand" && say "by-hand $hand_at $hand_by before"
  elif [ ! -e "$journal/turn" ] && read_hand "$last"; then
    say "by-hand $hand_at $hand_by before"
  fi
}

say_steps() {
  for file in "$journal"/step.*; do
    name=${file##*/step.} out=$journal/out.${file##*/step.} cut=0 size=0 tail=4096
    read_step "$name"
    [ "$state" != new ] || continue
    case $state$code in ended0 | running*) ;; *) tail=65536 ;; esac
    [ ! -e "$journal/cut.$name" ] || read -r cut <"$journal/cut.$name"
    text=
    [ ! -s "$out" ] || size=$(wc -c <"$out") text=$(tail -c $tail "$out" | base64 -w 0)
    say "step $name $state exit=$code start=$began end=$ended n=$n late=$late cut=$cut size=$size output=$text"
  done
}

report() {
  clock
  free_kb
  read_current
  read_state
  read_lock
  say "now $at" && say "boot $boot" && say "free $free" && say "current $current"
  say "state $status $served $served_digest $last_deployment $last_turn $since"
  say_manifest manifest "$current"
  if [ "$alive" = no ]; then
    say "running -"
  elif [ "$lock_deployment/$lock_turn" = "$deployment/$turn" ]; then
    say "running $lock_phase"
  else
    say "running other"
    alive=no
  fi
  say_hand
  last=.apollo/journal/$last_deployment/$last_turn/balancer
  if [ -e "$journal/balancer" ]; then
    read -r found online <"$journal/balancer" && say "balancer $found"
  elif [ -e "$last" ]; then
    read -r found online <"$last"
    [ "$status" = serving ] && say "balancer-last $found" || say "balancer-before $found"
  fi
  [ ! -e "$journal/lost" ] || say "journal-lost yes"
  read_turn || { read_opened "$deployment" "$turn" && say "journal-lost yes"; return 0; }
  say "folder $folder" && say "previous $previous" && say "verdict $verdict"
  say_manifest previous-manifest "$previous"
  [ -z "$revert" ] || say "reverting yes"
  is_finished "$folder" && say "staged yes"
  [ ! -e ".apollo/cache/$artifact" ] || say "cached yes"
  [ ! -e "$journal/pull" ] || say "pull-failed $(base64 -w 0 <"$journal/pull")"
  [ -z "$attached" ] || say "attached $attached"
  say_steps
}
