# ---- An archive is looked through before it is unpacked, whoever made it

refuse() { echo "the archive is refused: '$1' $2"; return 1; }

look_through() { # FILE: what it takes of the disk is in `room` (kB), the links it holds in `links`
  style= list=$journal/list room=1024 links= name=
  case $(sha256sum <"$1") in "$artifact "*) ;; *) echo "the cached artifact is damaged"; return 1 ;; esac
  case $(tar --version 2>/dev/null) in *GNU*) style='--quoting-style=literal --numeric-owner' ;; esac
  tar $style -tzf "$1" >"$list.names" 2>"$list.said" && tar $style -tvzf "$1" >"$list.lines" \
    2>/dev/null || { cat "$list.said"; return 1; }
  case $(cat "$list.said") in # what busybox leaves out of a name, it says only here
    *emoving\ leading*) refuse "a name" "is absolute, or goes up with '..'" || return ;;
  esac
  mark=$(printf '\001')
  set -f
  look_at_members >"$list.paths" && look_for_links_above
  result=$?
  set +f
  [ "$result" -eq 0 ] || tail -n 1 "$list.paths"
  rm -f "$list".*
  return "$result"
}

# A member's name and its line in the long list come in turn. A name with a newline in it makes two
# lines of each, and neither pair passes.
look_at_members() {
  IFS=$nl
  for line in $(paste -d '\n' "$list.names" "$list.lines"); do
    [ -n "$name" ] || { name=$line; continue; }
    IFS=$ifs
    look_at_member "$name" "$line" || return
    name=
  done
  IFS=$ifs
  [ -z "$name" ] || refuse "$name" "has no end"
}

look_at_member() { # NAME LINE
  path=${1#./} kind=
  path=${path%/}
  case /$path/ in */../* | */./* | *//?*) refuse "$1" "is absolute, or goes up with '..'" || return ;; esac
  case $2 in
    ???[sS]* | ??????[sS]*) refuse "$1" "is setuid or setgid" || return ;;
    -*" $1" | d*" $1") ;;
    l*" $1 -> "*) kind=$mark links=$links$path$nl ;;
    *) refuse "$1" "is neither a file, a folder nor a symbolic link" || return ;;
  esac
  [ -z "$path" ] || say "$path/$kind" || return
  set -- $2
  case $3 in *[!0-9]*) ;; *) room=$((room + $3 / 1024 + 4)) ;; esac
}

look_for_links_above() { # sorted, what lies beneath a link follows it at once
  link=// before=
  IFS=$nl
  for line in $(sort "$list.paths"); do
    case $line in
      "$link"* | "$before$mark")
        IFS=$ifs
        refuse "${line%/*}" "lies beneath a link, or has its name" >>"$list.paths"
        return 1
        ;;
      *"/$mark") link=${line%"$mark"} ;;
    esac
    before=$line
  done
  IFS=$ifs
}

stay_inside() { # the links that were unpacked lead to nothing outside
  IFS=$nl
  for link in $links; do
    IFS=$ifs
    [ -L "$new/$link" ] && leads_inside "$link" || { refuse "$link" "is a link that leaves the release"; return 1; }
  done
  IFS=$ifs
}

leads_inside() { # LINK: what lies on the way may be a link itself
  case $1 in */*) at=/${1%/*} ;; *) at= ;; esac
  ahead=${1##*/}/ followed=0
  while [ -n "$ahead" ]; do
    word=${ahead%%/*} ahead=${ahead#*/}
    case $word in
      '' | .) continue ;;
      ..) [ -n "$at" ] || return 1; at=${at%/*}; continue ;;
    esac
    if [ ! -L "$new$at/$word" ]; then
      at=$at/$word
      continue
    fi
    followed=$((followed + 1))
    target=$(readlink "$new$at/$word")
    case $target in /*) return 1 ;; esac
    [ "$followed" -le 40 ] || return 1
    ahead=$target/$ahead
  done
}
