#!/bin/sh
# Apollo on a host. Runs a turn's steps detached from the connection that asked for them and journals
# each of them, so that whoever comes next attaches to what runs, or learns what became of it.
#
#   apollo-host.sh COMMAND NONCE SHELL ROOT [OWNER GRANT TURN ATTEMPT DEPLOYMENT ARGUMENTS…]
#
# Standard input carries data only; the answer is lines of `key value`, between two marks.
# .apollo/fence is locked (descriptor 8) while a command looks and decides, .apollo/lock (9) for as long
# as a runner works. Hooks inherit neither.
set -u
lang=${LANG:-C.UTF-8}
export LC_ALL=C
ifs=$IFS
nl='
'
journal= deployment=- turn=- job= attached= started=

say() { printf '%s\n' "$*"; }
decode() { printf '%s' "$1" | base64 -d; }
close_answer() { say "apollo:$nonce>>>"; exit 0; }
fail() { say "error $1 $(printf '%s' "${2-}" | base64 -w 0)"; close_answer; }
clock() { at=$(date +%s.%3N); case $at in *[!0-9.]*) at=${at%%.*}.000 ;; esac; }
free_kb() { set -- $(stat -f -c '%a %S' .); free=$(($1 * ($2 / 512) / 2)); }

# ---- Records: lines of 512 bytes, overwritten in place and synced, so that a full disk cannot tear them.

whole() { case $1 in "$2 "*' end') ;; *) return 1 ;; esac; }

record() { # FILE SLOT [TEXT]
  printf '%-511s\n' "${3:+$3 end}" | dd of="$1" bs=512 seek="$2" conv=notrunc,fsync 2>/dev/null
}

store() { # FILE TEXT: for what is written once: there whole, or not there
  printf '%s\n' "$2" 2>/dev/null >"$1.new" && sync "$1.new" && mv -f "$1.new" "$1"
}

allocate() { # NAME…: blank records of this turn, all of them or an error
  fresh=
  for name in "$@"; do [ -e "$journal/$name" ] || fresh="$fresh $journal/.new/$name"; done
  [ -n "$fresh" ] || return 0
  mkdir -p "$journal/.new" || return 1
  for name in $fresh; do printf '%511s\n%511s\n' '' '' >"$name" || return 1; done
  sync $fresh && mv $fresh "$journal/" && sync "$journal"
} 2>/dev/null

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
  line=
  [ ! -e .apollo/state ] || read -r line <.apollo/state
  whole "$line" state || line='state none - - - - 0'
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
    start | undo-start) [ "$was" != "$boot" ] ;;
    switch | undo-switch) read_current; [ "$current" != "$2" ] ;;
    *) false ;;
  esac
}

# ---- The answer

say_manifest() { # KEY FOLDER
  file=releases/$2/.apollo-manifest.json
  [ ! -s "$file" ] || say "$1 $(base64 -w 0 <"$file")"
}

say_steps() {
  for file in "$journal"/step.*; do
    name=${file##*/step.} out=$journal/out.${file##*/step.} cut=0 tail=4096
    read_step "$name"
    [ "$state" != new ] || continue
    case $state$code in ended0 | running*) ;; *) tail=65536 ;; esac
    [ ! -e "$journal/cut.$name" ] || read -r cut <"$journal/cut.$name"
    text=
    [ ! -s "$out" ] || text=$(tail -c $tail "$out" | base64 -w 0)
    say "step $name $state exit=$code start=$began end=$ended n=$n late=$late cut=$cut output=$text"
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
  last=.apollo/journal/$last_deployment/$last_turn/balancer
  if [ -e "$journal/balancer" ]; then
    read -r found online <"$journal/balancer" && say "balancer $found"
  elif [ "$status" != serving ] && [ -e "$last" ]; then
    read -r found online <"$last" && say "balancer-before $found"
  fi
  read_turn || return 0
  say "folder $folder" && say "previous $previous" && say "verdict $verdict"
  say_manifest previous-manifest "$previous"
  [ -z "$revert" ] || say "reverting yes"
  is_finished "$folder" && say "staged yes"
  [ ! -e ".apollo/cache/$artifact" ] || say "cached yes"
  [ -z "$attached" ] || say "attached $attached"
  say_steps
}

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
  line=
  [ ! -e .apollo/fence ] || read -r line <.apollo/fence
  whole "$line" fence || line='fence 0 0 0 -'
  set -- $line
  held_grant=$2 held_turn=$3 held_attempt=$4 held_by=$5
}

raise_fence() {
  [ "$difference" -eq 0 ] || record .apollo/fence 0 "fence $grant $turn $attempt $deployment" ||
    fail DiskFull
}

refuse_others() { # only this turn's runner may be at work
  read_lock
  [ "$alive" = no ] || [ "$lock_deployment/$lock_turn" = "$deployment/$turn" ] ||
    fail HostBusy "$lock_deployment/$lock_turn $lock_phase"
}

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
  if [ "$alive" = no ] && [ ! -e ".apollo/cache/$artifact" ]; then
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
  mkdir -p "$journal" && allocate decision && store "$journal/turn" "turn $2 $1 $3 $back end" ||
    fail DiskFull
}

put() { # SHA256 SIZE; the artifact on standard input
  exec 8>&-
  free_kb
  need=$(($2 / 1024 * 3 + 4096))
  [ "$free" -ge "$need" ] || fail DiskFull "$need $free"
  rm -f ".apollo/cache/$1".*
  part=.apollo/cache/$1.$attempt
  cat >"$part" 2>/dev/null && sync "$part" || { rm -f "$part"; fail DiskFull "$need $free"; }
  sum=$(sha256sum <"$part")
  [ "${sum%% *}" = "$1" ] && mv -f "$part" ".apollo/cache/$1" && return
  rm -f "$part"
  fail DigestMismatch "${sum%% *}"
}

run() { # PHASE POLL; the job on standard input, or nothing: then it only follows
  poll=$2
  [ -z "$job" ] || whole_job || fail TornInput
  refuse_others
  read_turn || fail NoTurn
  case $1$revert in
    revert) record "$journal/decision" 0 "revert" || fail DiskFull ;;
    stageyes | activateyes) fail Reverting ;;
  esac
  drive "$1"
}

drain() { # FOUND FILE|- STEP…: from here on a full disk must not keep anything from being written
  refuse_others
  read_turn || fail NoTurn
  [ "$verdict" = - ] || fail Settled "$verdict"
  found=$1 file=$2
  shift 2
  records=decision
  for name in "$@"; do records="$records step.$name"; done
  allocate $records || fail DiskFull
  read_state
  if [ ! -e "$journal/balancer" ]; then
    find_online
    store "$journal/balancer" "$found $online" || fail DiskFull
  fi
  set_state changing "$served" "$served_digest"
  [ "$file" = - ] || rm -f "$file"
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
  read_turn || fail NoTurn
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
    online=no
    [ ! -e "$journal/balancer" ] || read -r _ online <"$journal/balancer"
    [ "$3" = - ] || [ "$online" = no ] || : >"$3" || fail DiskFull
    is_finished "$current" || :
    set_state serving "$current" "$digest_of"
  fi
  prune "$2"
}

set_state() { # STATUS FOLDER DIGEST: the release that served last, and the turn that last touched the host
  clock
  record .apollo/state 0 "state $1 $2 $3 $deployment $turn $at" || fail DiskFull
}

fence() { :; }
adopt() { :; }

look() { # DEPLOYMENT TURN: reads only, needs no lock
  cd "$root" 2>/dev/null || return 0
  deployment=$1 turn=$2
  if [ "$1" = - ]; then
    read_fence
    deployment=$held_by turn=$held_turn
    [ -d ".apollo/journal/$held_by/$held_turn" ] || { read_state; deployment=$last_deployment turn=$last_turn; }
  fi
  journal=.apollo/journal/$deployment/$turn
  report
}

# ---- Pruning: renamed at once, removed behind the answer

prune() { # KEEP
  trash=.apollo/trash/$attempt kept=" $current $previous $folder " used=
  set -- "$1" .apollo/finished/*
  extra=$(($# - 1 - $1)) shas=" $artifact " turns=
  shift
  for file in "$@"; do
    extra=$((extra - 1))
    discard_release "${file##*/}" "$extra" && continue
    is_finished "${file##*/}" || continue
    shas="$shas$artifact_of " turns="$turns$staged_by "
  done
  for file in releases/[0-9]*T[0-9]*Z-*; do
    is_finished "${file##*/}" || discard_release "${file##*/}" 0
  done
  for file in .apollo/journal/*/*; do
    name=${file#.apollo/journal/}
    case " $deployment/$turn $turns" in *" $name "*) continue ;; esac
    case $name in "$deployment"/* | '*/*') ;; *) discard "$file" "${name%/*}.${name#*/}" ;; esac
  done
  rmdir .apollo/journal/* 2>/dev/null
  for file in .apollo/cache/*; do
    case $shas in *" ${file##*/} "*) ;; *) rm -f "$file" ;; esac
  done
  [ ! -d "$trash" ] || setsid setsid rm -rf .apollo/trash/* </dev/null >/dev/null 2>&1 8>&-
}

discard_release() { # FOLDER EXTRA: unless it is among the newest, current, previous, or a process is in it
  [ "$2" -ge 0 ] && [ -d "releases/$1" ] || return 1
  case $kept in *" $1 "*) return 1 ;; esac
  [ -n "$used" ] || used=$(ls -l /proc/[0-9]*/cwd /proc/[0-9]*/exe 2>/dev/null)$nl
  case $used in *"> $(pwd -P)/releases/$1"[/"$nl"]*) return 1 ;; esac
  rm -f ".apollo/finished/$1"
  discard "releases/$1" "$1"
}

discard() { mkdir -p "$trash" && mv "$1" "$trash/$2"; }

# ---- Driving a phase from outside

whole_job() { case $nl$job in *"${nl}end") ;; *) return 1 ;; esac; }

steps_of_job() { # calls "$1" with the words of each line that is a step
  visit=$1
  IFS=$nl
  for line in $job; do
    IFS=$ifs
    case $line in hook\ * | switch\ * | silent\ * | kill\ *) $visit $line ;; esac || return
  done
  IFS=$ifs
}

name_step() { names="$names step.$2"; }
not_failed() { read_step "$2"; [ "$closed" = no ] || [ "$state$code" = ended0 ]; }
settled_well() {
  read_step "$2"
  [ "$state$code" = ended0 ] || return 1
  case $1 in hook) ! stale "$2" ;; switch) ! stale "$2" "$3" ;; esac
}

pending() { # whether the phase has work left: nothing in it failed, and not all of it ended
  case $1$verdict in stage- | activate- | revert-) ;; stage* | activate* | revert*) return 1 ;; esac
  case $1$revert in stageyes | activateyes) return 1 ;; esac
  steps_of_job not_failed || return 1
  [ "$1" != stage ] || { not_failed unpack unpack && ! is_finished "$folder"; return; }
  ! steps_of_job settled_well
}

drive() { # PHASE: starts its runner unless it is at work or through, then follows it
  for round in 1 2 3; do
    if [ "$alive" = no ]; then
      [ -n "$job" ] && pending "$1" || return 0
      start_runner "$1"
    elif [ -z "$started" ]; then
      attached=$lock_phase
    fi
    [ "$poll" -gt 0 ] || return 0
    flock -u 8
    exec 7<.apollo/lock
    flock -s -w "$poll" 7 || return 0
    exec 7<&-
    pass_fence
    refuse_others
    read_turn
  done
}

start_runner() { # the runner inherits the lock, so there is no moment without it
  names=
  [ "$1" != stage ] || names=step.unpack
  steps_of_job name_step
  allocate $names || fail DiskFull
  exec 9<>.apollo/lock
  flock -w 5 9 || fail HostBusy "$lock_deployment/$lock_turn $lock_phase"
  printf '%-511s\n' "lock $deployment $turn $1 end" 1<>.apollo/lock
  printf '%s\n' "$job" | setsid setsid $shell "$0" runner "$nonce" "$shell" "$root" "$deployment" \
    "$turn" "$1" "$lock_deployment/$lock_turn" >>"$journal/runner.log" 2>&1 8>&-
  exec 9>&-
  started=yes alive=yes
}

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

hook() { # STEP SCOPE FOLDER TIMEOUT RETRIES USER SCRIPT
  skips "$1" && return "$code"
  tries=$5
  while start_step "$1" hook "$6"; do
    attempt_hook "$@"
    [ "$result" -ne 0 ] && [ "$tries" -gt 0 ] || break
    tries=$((tries - 1))
  done
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
  : >"$journal/late.$1"
  read -r pid <"$journal/pid.$1"
  stop_all "$deployment/$turn/$1/" "$pid" "$3"
}

trim() { # STEP: the last MiB of an output above 16 MiB; the hook appends, so no hole is left
  file=$journal/out.$1 cut=0
  size=$(wc -c <"$file")
  [ "$size" -gt 16777216 ] || return 0
  [ ! -e "$journal/cut.$1" ] || read -r cut <"$journal/cut.$1"
  tail -c 1048576 "$file" >"$file.tail"
  : >"$file"
  cat "$file.tail" >>"$file"
  rm -f "$file.tail"
  echo $((cut + size - 1048576)) >"$journal/cut.$1"
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
  send KILL "$@" || return 0
}

stop_turn() { # everything that this turn has started, as any user
  users=' - '
  for file in "$journal"/step.*; do
    read_step "${file##*/step.}"
    case $users in *" $user "*) ;; *) users="$users$user " ;; esac
  done
  for user in $users; do stop_all "$deployment/$turn/" - "$user"; done
}

wait_silent() { # PORT TIMEOUT: or the old process would answer for the new one
  hex=$(printf ':%04X' "$1")
  ticks=$(($2 * 5))
  while listens; do
    [ "$ticks" -gt 0 ] || { echo "port $1 still answers after $2 s"; return 1; }
    sleep 0.2
    ticks=$((ticks - 1))
  done
}

listens() {
  for table in /proc/net/tcp /proc/net/tcp6; do
    [ -r "$table" ] || continue
    while read -r _ local _ state _; do
      case "$local $state" in *"$hex 0A") return 0 ;; esac
    done <"$table"
  done
  return 1
}

switch() { # FOLDER: by rename: `current` is never absent, and never points to what is unfinished
  is_finished "$1" || [ "$1" = "$previous" ] || { echo "releases/$1 is not finished"; return 1; }
  lines_of envfile write_env || return 1
  rm -f .apollo/current && ln -s "releases/$1" .apollo/current && mv -T .apollo/current current &&
    sync .
}

lines_of() { # KEYWORD FUNCTION: calls it with the other words of each such line of the job
  IFS=$nl
  for entry in $job; do
    IFS=$ifs
    case $entry in "$1 "*) $2 ${entry#"$1 "} || return ;; esac
  done
  IFS=$ifs
}

write_env() { # NAME TEXT
  name=$(decode "$1")
  (umask 077 && decode "${2-}" >.apollo/env) && sync .apollo/env && mv -fT .apollo/env "$name"
}

unpack() { # beside the running release; may begin anew
  suspect=
  new=releases/$folder
  ! is_finished "$folder" || return 0
  if rm -rf "$new" && mkdir -p "$new" && tar -xzof ".apollo/cache/$artifact" -C "$new"; then
    lines_of shared link_shared && lines_of file write_file && lines_of manifest write_manifest &&
      sync_all && return
  else
    suspect=.apollo/cache/$artifact
  fi
  free_kb # before anything is given back, or a full disk would not look like one
  rm -rf "$new" ${suspect:+"$suspect"}
  [ "$free" -gt 1024 ] || return 28
  return 1
}

sync_all() { sync -f "$new" 2>/dev/null || sync; }

link_shared() { # PATH, a folder when it ends with a slash
  path=$(decode "$1")
  target=$root/shared/${path%/} link=$new/${path%/}
  case $path in */) mkdir -p "$target" ;; *) mkdir -p "${target%/*}" ;; esac
  mkdir -p "${link%/*}" && rm -rf "$link" && ln -s "$target" "$link"
}

write_file() { # PATH MODE TEXT
  path=$new/$(decode "$1")
  mkdir -p "${path%/*}" && rm -rf "$path" && (umask 077 && decode "${3-}" >"$path") &&
    chmod "$2" "$path"
}

write_manifest() { rm -rf "$new/.apollo-manifest.json" && decode "$1" >"$new/.apollo-manifest.json"; }

seal() { # all of it is on the disk before the release counts as finished
  is_finished "$folder" && return
  new=releases/$folder
  sync_all
  clock
  store ".apollo/finished/$folder" "finished $digest $artifact $deployment/$turn $at end"
}

main() {
  command=$1 nonce=$2 shell=$3 root=$4
  shift 4
  read_boot
  [ "$command" != runner ] || { runner "$@"; exit; }
  say "<<<apollo:$nonce"
  if [ "$command" = look ]; then
    look "$@"
    close_answer
  fi
  owner=$1 grant=$2 turn=$3 attempt=$4 deployment=$5
  shift 5
  case $command in begin | run) job=$(cat) ;; esac
  enter
  journal=.apollo/journal/$deployment/$turn
  "$command" "$@"
  report
  close_answer
}

main "$@"
