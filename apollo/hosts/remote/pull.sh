# ---- The artifact is pulled: the host fetches it from a URL, which may hold a secret

pulls() { # whether the job has a URL that this host may still try
  case $nl$job in *"${nl}url "*) ;; *) return 1 ;; esac
  [ ! -e "$journal/pull" ] && { has_curl || has_wget; }
}

has_curl() { command -v curl >/dev/null; }
has_wget() { case $(wget --version 2>/dev/null) in *GNU*) ;; *) return 1 ;; esac; } # others want the URL as a word

pull() { # URL SIZE ROOM; only the runner writes to this part, whose lock the program holds as well
  part=.apollo/cache/$artifact.pull tries=5
  [ ! -e ".apollo/cache/$artifact" ] || return 0
  if why=$(lacks $((($2 + $3) / 1024 + 4096))); then
    tries=0
  fi
  while [ "$tries" -gt 0 ]; do
    tries=$((tries - 1))
    download "$1" "$2" && mv -f "$part" ".apollo/cache/$artifact" && return
  done
  store "$journal/pull" "$why"
  return 1
}

download() { # URL SIZE: goes on with what is there; what does not grow, or is wrong in the end, goes
  had=$(size_of "$part") why="not all of it arrived"
  [ "$had" -ge "$2" ] || transfer "$1" || why="$program ended with $?"
  size=$(size_of "$part")
  [ "$size" -eq 0 ] || case $(sha256sum <"$part") in "$artifact "*) sync "$part" && return ;; esac
  [ "$size" -le "$had" ] || [ "$size" -ge "$2" ] || return 1
  [ "$size" -lt "$2" ] || why="what arrived is not what was asked for"
  [ "$size" -gt 0 ] || tries=0
  rm -f "$part"
  return 1
}

size_of() { if [ -e "$1" ]; then wc -c <"$1"; else echo 0; fi; }

transfer() { # URL: the program reads it, so it stands in no process list; what the program says may name it
  if has_curl; then
    program=curl
    printf 'url = "%s"\n' "$(decode "$1")" | curl -q -fsL -K - -C - -o "$part" \
      --connect-timeout 15 --speed-limit 1000 --speed-time 60 --proto '=http,https'
  else
    program=wget
    decode "$1" | wget -q -c -t 1 -T 60 -O "$part" -i -
  fi >/dev/null 2>&1
}
