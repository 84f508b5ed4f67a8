# Put before the script's own text: each command that it runs is a point before it and a point after it.
# At the point that $POINTS/plan names, the script waits until the test has done to it what it wants.
point_role=caller
[ "$1" != runner ] || point_role=runner

point() { # before|after COMMAND…; several may be counted at once, so a file that only grows is the counter
  read -r point_who point_at point_what <"$POINTS/plan"
  case $point_what in '' | "$1 $2") ;; *) return 0 ;; esac
  [ "$point_who" = "$point_role" ] || return 0
  point_number=0
  command echo >>"$POINTS/count"
  while read -r _; do point_number=$((point_number + 1)); done <"$POINTS/count"
  [ "$point_at" = "$point_number" ] || return 0
  command echo "$point_role $point_number $*" >"$POINTS/here.new"
  command mv "$POINTS/here.new" "$POINTS/here"
  while [ -e "$POINTS/hold" ]; do command sleep 0.005; done
} 2>/dev/null

full() { [ -e "$POINTS/full" ]; }
to_disk() { full && [ -f /proc/self/fd/1 ]; }

for point_name in mv sync rm rmdir flock sleep tail sha256sum readlink chmod stat wc grep id setsid; do
  eval "$point_name() {
    point before $point_name \"\$@\"
    command $point_name \"\$@\"
    point_code=\$?
    point after $point_name \"\$@\"
    return \$point_code
  }"
done

# What takes room on the disk: on a full one it leaves something torn behind, and fails.
for point_name in cat base64 printf; do
  eval "$point_name() {
    [ $point_name = printf ] && [ ! -f /proc/self/fd/1 ] || point before $point_name
    if to_disk; then command printf torn; return 1; fi
    command $point_name \"\$@\"
  }"
done
for point_name in mkdir ln tar; do
  eval "$point_name() {
    point before $point_name \"\$@\"
    ! full || return 1
    command $point_name \"\$@\"
    point_code=\$?
    point after $point_name \"\$@\"
    return \$point_code
  }"
done

dd() { # of=FILE bs=512 seek=SLOT …: a record that was allocated can be written on a full disk too
  point before dd "$@"
  if full; then
    point_size=$(command stat -c %s "${1#of=}" 2>/dev/null)
    [ "${point_size:-0}" -ge $(((${3#seek=} + 1) * 512)) ] || { : >>"${1#of=}"; return 1; }
  fi
  command dd "$@"
  point_code=$?
  point after dd "$@"
  return $point_code
}

date() { # a clock that can go back
  point before date
  if [ -e "$POINTS/clock" ]; then command date -d @1000000000 "$@"; else command date "$@"; fi
}
