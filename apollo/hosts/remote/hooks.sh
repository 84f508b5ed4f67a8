# ---- A hook: in a session of its own, watched, and ended with all that it started

attempt_hook() { # waits for the hook itself, not for those who keep its output
  rm -f "$journal/late.$1"
  exec 7<>"$journal/step.$1"
  flock 7
  watch "$1" "$4" "$6" &
  { [ "$2" = new ] && decode "$env_new" || decode "$env_old"; decode "$7"; } |
    { exec 7<&- 9>&-; launch "$1" "$3" "$6"; } >>"$journal/out.$1" 2>&1
  result=$?
  exec 7<&-
  wait
  [ ! -e "$journal/late.$1" ] || late=yes result=124
}

launch() { # STEP FOLDER USER: in a session of its own; values come by standard input
  read -r pid _ </proc/self/stat
  echo "$pid" >"$journal/pid.$1"
  mark=$root:$deployment/$turn/$1/ home=${HOME:-/} name=${USER:-$(id -un)}
  cd "releases/$2" || exit 126
  [ "$3" = - ] || eval "home=~$3 name=$3"
  as_user "$3"
  [ -z "$sudo" ] || command -v sudo >/dev/null ||
    { echo "apollo: user $3 needs sudo, which this host does not have" && exit 126; }
  exec setsid $sudo env -i PATH="$PATH" HOME="$home" USER="$name" LANG="$lang" APOLLO_STEP="$mark" \
    /bin/sh -c 'eval "$(cat)"'
}

as_user() { # USER|-: what goes before a command
  sudo=
  [ "$1" = - ] || [ "$1" = "$(id -un)" ] || sudo="sudo -n -u $1 --"
}

watch() { # STEP TIMEOUT USER: trims the output, ends the hook at its deadline; leaves with the hook or runner
  exec 7<&- 9>&- 6<"$journal/step.$1"
  left=$2
  while [ "$left" -gt 0 ]; do
    pause=$((left < 2 ? left : 2))
    flock -w "$pause" 6 && return
    left=$((left - pause))
    trim "$1"
  done
  true >"$journal/late.$1"
  pid=-
  read -r pid <"$journal/pid.$1"
  stop_all "$deployment/$turn/$1/" "$pid" "$3"
}

trim() { # STEP: whole lines of the last MiB of an output above 16 MiB; the hook appends: no hole is left
  file=$journal/out.$1 cut=0
  size=$(wc -c <"$file")
  [ "$size" -gt 16777216 ] || return 0
  [ ! -e "$journal/cut.$1" ] || read -r cut <"$journal/cut.$1"
  tail -c 1048576 "$file" | tail -n +2 >"$file.tail"
  kept=$(wc -c <"$file.tail")
  : >"$file"
  cat "$file.tail" >>"$file"
  rm -f "$file.tail"
  echo $((cut + size - kept)) >"$journal/cut.$1"
}

conceal() { # OUTPUT: takes the values of secrets out, which came by standard input and stay there
  [ -n "$hidden" ] && [ -s "$1" ] && decode "$hidden" | grep -qF -f - "$1" || return 0
  long=$(wc -c <"$1")
  decode "$concealing" | sed -f /proc/self/fd/3 "$1" 3<&0 >"$1.tail" && : >"$1" && cat "$1.tail" >>"$1" ||
    echo 'apollo: no room to take secrets out' >"$1"
  rm -f "$1.tail"
  echo $((long - $(wc -c <"$1"))) >"$1.shift" # for those who have read it while it was longer
}

# Signals a process group, and every process that carries a mark: one may have left the group.
# A group of nothing but zombies, which an idle process 1 leaves for long, is gone.
signal='grep -qsE "\) [^ZX] [0-9]+ $2 " /proc/[0-9]*/stat && kill -s "$0" -- "-$2" && found=yes
for file in $(grep -lsF "APOLLO_STEP=$1" /proc/[0-9]*/environ); do
  file=${file%/environ}
  kill -s "$0" "${file#/proc/}" && found=yes
done
[ -n "$found" ]'

send() { # SIGNAL MARK GROUP|- USER
  as_user "$4"
  $sudo /bin/sh -c "found=; $signal" "$1" "$root:$2" "$3" 2>/dev/null
}

stop_all() { # MARK GROUP|- USER: TERM, and after ten seconds KILL
  send TERM "$@" || return 0
  waits=50
  while [ "$waits" -gt 0 ] && send 0 "$@"; do
    sleep 0.2
    waits=$((waits - 1))
  done
  # What forks faster than it is killed is stopped first, until nothing is left that could fork.
  for round in 1 2 3; do send STOP "$@" || return 0; done
  waits=50
  while [ "$waits" -gt 0 ] && send KILL "$@"; do
    sleep 0.1
    waits=$((waits - 1))
  done
}

stop_turn() { # everything that this turn has started, as any user
  users=' - '
  for file in "$journal"/step.*; do
    read_step "${file##*/step.}"
    case $users in *" $user "*) ;; *) users="$users$user " ;; esac
  done
  for user in $users; do stop_all "$deployment/$turn/" - "$user"; done
}
