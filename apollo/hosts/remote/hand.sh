# ---- By hand: `sh <root>/.apollo/apollo status|put-back`, where Temporal and catalog are gone

by_hand() { # COMMAND, typed by a person: the answer is text
  fail() {
    case $1 in
      Fenced) tell "Apollo is back and has taken this turn over. It ends it: sh $self status" ;;
      DiskFull) tell "There is no room on the disk." ;;
      *) tell "$1" ;;
    esac
    exit 1
  }
  cd "${0%/*}/.." && root=$(pwd -P) || exit 1
  self=$root/.apollo/apollo shell=/bin/sh nonce=hand poll=3600
  [ -e .apollo/owner ] || fail "Apollo has brought nothing to $root."
  case ${1-} in
    status) hand_status ;;
    put-back) put_back ;;
    *) fail "sh $self status|put-back" ;;
  esac
}

tell() { printf '%s\n' "$*"; }
row() { printf '%-11s %s\n' "$1" "$2"; }
version_of() { case $1 in *Z-*) version=${1#*Z-} ;; *) version=$1 ;; esac; }
time_of() { when=$(date -u -d "@${1%.*}" '+%Y-%m-%d %H:%M:%S UTC' 2>/dev/null) || when=$1; }

last_touch() { # the turn that last touched the host, and what it left
  read_current
  read_state
  read_lock
  deployment=$last_deployment turn=$last_turn
  journal=.apollo/journal/$deployment/$turn
  read_turn || :
  read_hand "$journal" || :
  label=$deployment back_file=- balancer_kind=-
  job=
  [ ! -e "$journal/put-back" ] || job=$(cat "$journal/put-back")
  lines_of hand read_label
  back_file=${back_file:--}
}

read_label() { label=$1 back_file=$(decode "$2") balancer_kind=$3; }

hand_status() {
  last_touch
  read -r held <.apollo/owner
  time_of "$since"
  row root "$root belongs to ${held#*/} (catalog ${held%%/*})"
  version_of "$current"
  case $status in
    none) row runs "nothing that ever served" ;;
    serving) row runs "$version, serving since $when (releases/$current)" ;;
    *) row runs "$version (releases/$current); out of service since $when" ;;
  esac
  [ "$status" = none ] || row "last turn" "$label, turn $turn: $(how_it_stands)"
  show_failed
  if [ "$alive" = yes ]; then row "at work" "a runner, in $lock_phase"; else row "at work" nobody; fi
  show_balancer
  row next "$(what_next)"
}

how_it_stands() {
  text="unfinished"
  [ -z "$revert" ] || text="unfinished, being put back"
  [ "$verdict" = - ] || text=$verdict
  [ -z "$hand_by" ] || { time_of "$hand_at"; text="$text, by hand at $when by $hand_by"; }
  tell "$text"
}

show_failed() { # the steps that did not end well, and the end of what they printed
  for file in "$journal"/step.*; do
    [ -e "$file" ] || continue
    name=${file##*/step.}
    read_step "$name"
    case $state$code in new* | ended0) continue ;; ended*) row "$name" "exit $code" ;; *) row "$name" "$state" ;; esac
    [ ! -s "$journal/out.$name" ] ||
      tail -n 10 "$journal/out.$name" | tr -d '\000-\010\013-\037\177' | sed 's/^/  | /'
  done
}

show_balancer() {
  found=- online=-
  [ ! -e "$journal/balancer" ] || read -r found online <"$journal/balancer"
  if [ "$back_file" != - ]; then
    there=away
    [ ! -e "$back_file" ] || there=there
    row balancer "the file $back_file is $there; found before the turn: $(was_there "$online")"
  elif [ "$balancer_kind" != - ]; then
    [ "$found" != - ] && found=$(decode "$found") || found=unknown
    row balancer "$balancer_kind; found before the turn: $found"
  fi
}

was_there() { if [ "$1" = no ]; then tell away; else tell there; fi; }

what_next() {
  version_of "$previous"
  if [ "$alive" = yes ]; then
    tell "wait for the runner, then look again"
  elif [ "$status" = serving ] || [ "$status" = none ]; then
    tell "nothing: no turn is unfinished here"
  elif [ "$previous" = - ] || [ -z "$job" ]; then
    tell "nothing to put back: there is no earlier release; deploy one"
  else
    tell "Apollo goes on by itself when it is back; without it: sh $self put-back (to $version)"
  fi
}
