# ---- Records: lines of 512 bytes, overwritten in place and synced, so that a full disk cannot tear them.

whole() { case $1 in "$2 "*' end') ;; *) return 1 ;; esac; }

record() { # FILE SLOT [TEXT]
  printf '%-511s\n' "${3:+$3 end}" | dd of="$1" bs=512 seek="$2" conv=notrunc,fsync 2>/dev/null
}

record_twice() { # FILE TEXT: the second line first, so that one of both is whole at any moment
  record "$1" 1 "$2" && record "$1" 0 "$2"
}

read_twice() { # FILE KEYWORD DEFAULT: the first of its lines that is whole, in `line`
  line= two=
  [ ! -e "$1" ] || { read -r line; read -r two; } <"$1"
  whole "$line" "$2" || line=$two
  whole "$line" "$2" || line=$3
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
