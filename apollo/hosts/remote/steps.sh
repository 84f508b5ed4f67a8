# ---- Apollo's own steps: the port falls silent, `current` is switched

wait_silent() { # PORT TIMEOUT: or the old process would answer for the new one
  hex=$(printf ':%04X' "$1")
  ticks=$(($2 * 5))
  while listens; do
    if [ "$ticks" -le 0 ]; then
      find_listener
      echo "port $1 still answers after $2 s: $listener"
      return 1
    fi
    sleep 0.2
    ticks=$((ticks - 1))
  done
}

listens() { # by grep: a shell reads byte by byte, and a busy host has many thousands of connections
  for table in /proc/net/tcp /proc/net/tcp6; do
    found=$(grep -sm 1 " [0-9A-F]*$hex [0-9A-F]*:[0-9A-F]* 0A " "$table") || continue
    set -- $found
    uid=$8 inode=${10}
    return 0
  done
  return 1
}

find_listener() { # who has the socket that `listens` has found, as far as we may see
  listener="a process of uid $uid, which this login may not look at"
  found=$(ls -l /proc/[0-9]*/fd/* 2>/dev/null | grep -F "socket:[$inode]")
  [ -n "$found" ] || return 0
  found=${found#*/proc/}
  pid=${found%%/*}
  listener="pid $pid ($(tr '\0\n' '  ' <"/proc/$pid/cmdline" | cut -c 1-100))"
} 2>/dev/null

switch() { # FOLDER: by rename: `current` is never absent, and never points to what is unfinished
  is_finished "$1" || [ "$1" = "$previous" ] || { echo "releases/$1 is not finished"; return 1; }
  lines_of envfile write_env && lines_of envgone drop_env || return 1
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
  case $name in */*) mkdir -p "${name%/*}" || return ;; esac
  (umask 077 && decode "${2-}" >.apollo/env) && sync .apollo/env && mv -fT .apollo/env "$name"
}

drop_env() { rm -f "$(decode "$1")"; } # NAME
