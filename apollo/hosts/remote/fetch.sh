# ---- The artifact is brought: whole, or in a part that a later attempt goes on with

has_room() { # KB
  free_kb
  [ "$free" -ge "$1" ] || fail DiskFull "$1 $free"
}

put() { # SHA256 SIZE ROOM; the artifact on standard input
  exec 8>&-
  drop_parts "$1"
  need=$((($2 + $3) / 1024 + 4096))
  has_room "$need"
  part=.apollo/cache/$1.$attempt.part
  cat >"$part" 2>/dev/null && sync "$part" || { rm -f "$part"; fail DiskFull "$need $free"; }
  keep_part "$1"
}

# Each attempt writes a file of its own: one that was cut off may still write to the file it had.
part() { # SHA256 SIZE ROOM: this attempt's part, with what an attempt before it has left
  exec 8>&-
  [ ! -e ".apollo/cache/$1" ] || return 0
  had=0 best= part=.apollo/cache/$1.$attempt.part
  for file in ".apollo/cache/$1".*.part; do
    [ -e "$file" ] || continue
    size=$(wc -c <"$file") && [ "$size" -gt "$had" ] && [ "$size" -le "$2" ] || continue
    had=$size best=$file
  done
  [ -n "$best" ] || drop_parts "$1"
  has_room $((($2 - had + $3) / 1024 + 4096))
  if [ -n "$best" ] && [ "$best" != "$part" ]; then
    head -c "$had" "$best" >"$part" 2>/dev/null || : >"$part"
  else
    : >>"$part"
  fi 2>/dev/null || fail DiskFull
  drop_parts "$1"
  say "part ${part##*/} $(wc -c <"$part")"
}

keep() { # SHA256 SIZE: the part becomes the artifact if it is whole; if it is wrong it goes
  exec 8>&-
  [ ! -e ".apollo/cache/$1" ] || return 0
  part=.apollo/cache/$1.$attempt.part
  size=$(wc -c <"$part") && [ "$size" -ge "$2" ] || fail Incomplete "${size:-0} $2"
  sync "$part"
  keep_part "$1"
}

keep_part() { # SHA256
  sum=$(sha256sum <"$part")
  [ "${sum%% *}" = "$1" ] && mv -f "$part" ".apollo/cache/$1" && return
  rm -f "$part"
  fail DigestMismatch "${sum%% *}"
}

drop_parts() { # SHA256: those of attempts before this one
  for file in ".apollo/cache/$1".*.part; do
    number=${file%.part} number=${number##*.}
    case $number in *[!0-9]*) ;; *) [ "$number" -ge "$attempt" ] || rm -f "$file" ;; esac
  done
}
