# ---- What is known

read_boot() { # a reboot changes the boot id, or (of a container) the start of process 1
  boot=- stat=
  read -r boot </proc/sys/kernel/random/boot_id
  read -r stat </proc/1/stat
  set -- ${stat##*) }
  boot=$boot/${20:--}
} 2>/dev/null

read_current() { # the name of the release that `current` points to
  current=$(readlink current) || current=-
  current=${current##*/}
  case $current in '' | *[!A-Za-z0-9._+-]*) current=- ;; esac
}

read_state() {
  read_twice .apollo/state state 'state none - - - - 0'
  set -- $line
  status=$2 served=$3 served_digest=$4 last_deployment=$5 last_turn=$6 since=$7
}

is_finished() { # FOLDER: whether that release was staged to its end; its digest, artifact and turn
  line=
  { [ -d "releases/$1" ] && read -r line <".apollo/finished/$1"; } 2>/dev/null
  digest_of=- artifact_of=- staged_by=-
  whole "$line" finished || return 1
  set -- $line
  digest_of=$2 artifact_of=$3 staged_by=$4
}

find_release() { # DIGEST: the newest finished release of that manifest
  found=
  for file in .apollo/finished/*; do
    is_finished "${file##*/}" && [ "$digest_of" = "$1" ] && found=${file##*/}
  done
  [ -n "$found" ]
}

read_turn() { # what this turn brings, what it puts back, what was decided
  folder=- digest=- artifact=- previous=- revert= verdict=- line=
  [ ! -e "$journal/turn" ] || read -r line <"$journal/turn"
  whole "$line" turn || return 1
  set -- $line
  folder=$2 digest=$3 artifact=$4 previous=$5
  one= two=
  [ ! -e "$journal/decision" ] || { read -r one; read -r two; } <"$journal/decision"
  [ -z "$one" ] || revert=yes
  whole "$two" verdict || return 0
  set -- $two
  verdict=$2
}

read_opened() { # DEPLOYMENT TURN: how that turn stood, kept beside its journal, which a hook may remove
  opened= line=
  [ ! -e .apollo/opened ] || read -r line <.apollo/opened
  whole "$line" "opened $1 $2" || return 1
  opened=$line
  set -- $line
  went_back=$8 found=$9
  shift 9
  online=$1
}

read_hand() { # JOURNAL: when and by whom that turn was put back by hand
  hand_at= hand_by= one= two=
  [ ! -e "$1/decision" ] || { read -r one; read -r two; } <"$1/decision"
  ! whole "$one" revert || { set -- $one; [ $# -ne 4 ] || hand_at=$2 hand_by=$3; }
  ! whole "$two" verdict || { set -- $two; [ $# -ne 5 ] || hand_at=$3 hand_by=$4; }
  [ -n "$hand_by" ]
}

read_lock() { # whose runner has the work lock, or had it last
  line= lock_deployment=- lock_turn=- lock_phase=- alive=no
  [ -e .apollo/lock ] || return 0
  exec 7<.apollo/lock
  flock -s -n 7 || alive=yes
  read -r line <&7
  exec 7<&-
  whole "$line" lock || return 0
  set -- $line
  lock_deployment=$2 lock_turn=$3 lock_phase=$4
}

read_step() { # NAME [JOURNAL]: its state is new, ended, running, lost, or down (to be run again)
  state=new code=- n=0 began=- ended=- was=- kind=hook user=- late=no closed=no torn=no one= two=
  step_file=${2:-$journal}/step.$1
  [ -e "$step_file" ] || return 0
  { read -r one && read -r two; } <"$step_file" || torn=yes
  if whole "$one" start; then
    set -- $one
    n=$2 began=$3 was=$4 kind=$5 user=$6
  elif [ -n "$one" ]; then
    torn=yes
  fi
  if whole "$two" ended || whole "$two" lost; then
    set -- $two
    state=$1 code=$2 ended=$3 was=$4 late=$5 closed=yes
  elif [ "$torn" = yes ] || [ -n "$two" ]; then
    state=lost torn=yes
  elif [ -n "$one" ]; then
    state=lost
    [ "$kind" = hook ] && [ "$was" = "$boot" ] || state=down
    [ "$alive" = yes ] && [ "$was" = "$boot" ] && state=running
  fi
}

stale() { # STEP [FOLDER]: ended well but needed again: a start before a reboot, a switch that got lost
  case $1 in
    start | undo-start | start.* | undo-start.*) [ "$was" != "$boot" ] ;;
    switch | undo-switch) read_current; [ "$current" != "$2" ] ;;
    *) false ;;
  esac
}
