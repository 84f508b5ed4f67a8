# ---- Apollo's own steps: the release is laid out beside the running one

unpack() { # beside the running release; may begin anew
  new=releases/$folder file=.apollo/cache/$artifact suspect=
  ! is_finished "$folder" || return 0
  rm -rf "$new"
  look_through "$file" || suspect=$file
  if [ -z "$suspect" ]; then
    lacks "$room" && return 28
    if mkdir -p "$new" && tar -xzof "$file" -C "$new" && stay_inside; then
      lines_of shared link_shared && lines_of file write_file && lines_of manifest write_manifest &&
        sync_all && return
    else
      suspect=$file
    fi
  fi
  lacks 1024 && code=28 || code=1 # before anything is given back, or a full disk would not look like one
  rm -rf "$new" ${suspect:+"$suspect"}
  return "$code"
}

lacks() { # KB: whether there is less room than that
  free_kb
  [ "$free" -lt "$1" ] && echo "no room: $1 kB are needed, $free kB are free"
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
