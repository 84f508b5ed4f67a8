#!/bin/sh
# Apollo on a host. Runs a turn's steps detached from the connection that asked for them and journals
# each of them, so that whoever comes next attaches to what runs, or learns what became of it.
#
#   sh SCRIPT COMMAND NONCE SHELL ROOT [OWNER GRANT TURN ATTEMPT DEPLOYMENT ARGUMENTS…]
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
journal= deployment=- turn=- job= attached= started= self=$0

say() { printf '%s\n' "$*"; }
decode() { printf '%s' "$1" | base64 -d; }
close_answer() { say "apollo:$nonce>>>"; exit 0; }
fail() { say "error $1 $(printf '%s' "${2-}" | base64 -w 0)"; close_answer; }
clock() { at=$(date +%s.%3N); case $at in *[!0-9.]*) at=${at%%.*}.000 ;; esac; }
free_kb() { set -- $(stat -f -c '%a %S' .); free=$(($1 * ($2 / 512) / 2)); }
