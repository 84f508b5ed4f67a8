main() {
  case ${0##*/}${1-} in
    apollorunner) ;;
    apollo*) read_boot; by_hand "$@"; exit ;;
  esac
  command=$1 nonce=$2 shell=$3 root=$4
  shift 4
  read_boot
  [ "$command" != runner ] || { runner "$@"; exit; }
  say "<<<apollo:$nonce"
  case $command in look | printed) "$command" "$@"; close_answer ;; esac
  owner=$1 grant=$2 turn=$3 attempt=$4 deployment=$5
  shift 5
  case $command in begin | run | drain) job=$(cat) ;; esac
  enter
  journal=.apollo/journal/$deployment/$turn
  "$command" "$@"
  report
  close_answer
}

main "$@"
