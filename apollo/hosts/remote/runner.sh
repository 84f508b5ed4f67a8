# ---- The runner: a phase's steps, one after the other

runner() { # DEPLOYMENT TURN PHASE LAST; the job on standard input, the work lock on 9
  job=$(cat)
  exec </dev/null
  deployment=$1 turn=$2 phase=$3 alive=no env_new= env_old=
  cd "$root" && whole_job || exit 1
  root=$(pwd -P)
  journal=.apollo/journal/$1/$2
  read_turn || exit 1
  bury ".apollo/journal/$4"
  bury "$journal"
  [ "$phase" != stage ] || own unpack unpack || exit 1
  IFS=$nl
  for line in $job; do
    IFS=$ifs
    work $line || exit 1
  done
  [ "$phase" != stage ] || seal
}

work() { # the words of one line of the job
  keyword=$1
  shift
  case $keyword in
    env) [ "$1" = new ] && env_new=${2-} || env_old=${2-} ;;
    hook) hook "$@" ;;
    switch) own "$1" switch "$2" ;;
    silent) own "$1" wait_silent "$2" "$3" ;;
    kill) own "$1" stop_turn ;;
  esac
}

bury() { # JOURNAL: what a vanished runner left of a hook is killed, and the hook counts as lost
  for file in "$1"/step.*; do
    read_step "${file##*/step.}" "$1"
    [ "$state$closed" = lostno ] || continue
    stop_all "${1#.apollo/journal/}/${file##*/step.}/" - "$user"
    clock
    [ "$torn" = no ] || record "$file" 0 "start $n $at $boot hook $user"
    record "$file" 1 "lost - $at $boot no"
  done
}

skips() { # STEP [FOLDER]: nothing to do here; its exit code is in `code`
  read_turn
  [ "$phase" = revert ] || [ -z "$revert" ] || exit 1
  read_step "$1"
  [ "$closed" = yes ] || return 1
  [ "$code" != - ] || code=1
  [ "$code" != 0 ] || ! stale "$1" "${2-}"
}

own() { # STEP COMMAND…: a step of Apollo's own: done twice does no harm
  step=$1
  shift
  skips "$step" "${2-}" && return "$code"
  start_step "$step" own - || return 1
  "$@" >>"$journal/out.$step" 2>&1
  end_step "$step" $? no
}

hook() { # STEP SCOPE FOLDER TIMEOUT RETRIES USER SCRIPT [ignored]
  skips "$1" && return "$code"
  tries=$5
  while start_step "$1" hook "$6"; do
    attempt_hook "$@"
    [ "$result" -ne 0 ] && [ "$tries" -gt 0 ] || break
    tries=$((tries - 1))
  done
  if [ "$result" -ne 0 ] && [ "${8-}" = ignored ]; then
    echo "apollo: $1 exit $result, which is ignored" >>"$journal/out.$1"
    result=0 late=no
  fi
  trim "$1"
  end_step "$1" "$result" "$late"
}

start_step() { # STEP KIND USER: durable before the step begins, or it does not begin
  n=$((n + 1)) result=1 late=no
  clock
  { [ "$n" -eq 1 ] || record "$journal/step.$1" 1; } && record "$journal/step.$1" 0 "start $n $at $boot $2 $3"
}

end_step() { # STEP CODE LATE
  clock
  record "$journal/step.$1" 1 "ended $2 $at $boot $3" && return "$2"
}
