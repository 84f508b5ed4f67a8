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

discard_release() { # FOLDER EXTRA: unless it is among the newest, current, previous, or a process uses it
  [ "$2" -ge 0 ] && [ -d "releases/$1" ] || return 1
  case $kept in *" $1 "*) return 1 ;; esac
  [ -n "$used" ] || used=$(ls -l /proc/[0-9]*/cwd /proc/[0-9]*/exe /proc/[0-9]*/fd 2>/dev/null)$nl
  case $used in *"> $(pwd -P)/releases/$1"[/"$nl"]*) return 1 ;; esac
  rm -f ".apollo/finished/$1"
  discard "releases/$1" "$1"
}

discard() { mkdir -p "$trash" && mv "$1" "$trash/$2"; }
