# ---- What a turn's hooks have printed so far: reads only, needs no lock

printed() { # DEPLOYMENT TURN POLL [STEP=SEEN…]: beyond the bytes that were seen of that turn
  cd "$root" 2>/dev/null || return 0
  wanted=$1 seen_of=$2 left=$3
  shift 3
  known=" $* "
  while :; do
    whose_turn - -
    [ "$deployment" = "$wanted" ] || journal=.apollo/none # its turn has not begun
    [ "$turn" = "$seen_of" ] && seen=$known || seen=
    read_turn
    [ "$left" -gt 0 ] && [ "$verdict" = - ] && nothing_new || break
    sleep 1
    left=$((left - 1))
  done
  clock
  read_current
  read_lock
  [ "$lock_deployment/$lock_turn" = "$deployment/$turn" ] || alive=no
  say "now $at" && say "turn $turn" && say "current $current"
  [ "$alive" = no ] || say "running $lock_phase"
  say_manifest manifest "$current"
  read_turn && say "folder $folder" && say_manifest new-manifest "$folder" &&
    say_manifest previous-manifest "$previous"
  for file in "$journal"/step.*; do
    measure "${file##*/step.}"
    say_rest "${file##*/step.}"
  done
}

nothing_new() {
  for file in "$journal"/step.*; do
    measure "${file##*/step.}"
    [ "$total" -le "$from" ] || return 1
  done
}

measure() { # STEP: how much it has printed, and how much of that was seen
  out=$journal/out.$1 cut=0 size=0 from=0 shift=0
  [ ! -e "$journal/cut.$1" ] || read -r cut <"$journal/cut.$1"
  [ ! -e "$out.shift" ] || read -r shift <"$out.shift"
  [ ! -e "$out" ] || size=$(wc -c <"$out")
  total=$((cut + shift + size))
  case $seen in *" $1="*) from=${seen##*" $1="} from=${from%% *} ;; esac
}

say_rest() { # STEP: what came since, or the last 64 KiB of it
  read_step "$1"
  [ "$state" != new ] || return 0
  skip=$((from + size - total))
  [ "$skip" -ge 0 ] || skip=0
  [ "$skip" -le "$size" ] || skip=$size
  [ $((size - skip)) -le 65536 ] || skip=$((size - 65536))
  [ "$from$cut$skip" = 000 ] || from=$((total - size + skip))
  text=
  [ "$size" -le "$skip" ] ||
    text=$(tail -c +$((skip + 1)) "$out" | head -c $((size - skip)) | base64 -w 0)
  say "step $1 $state exit=$code start=$began end=$ended n=$n late=$late cut=$from" \
    "size=$((total - from)) output=$text"
}
