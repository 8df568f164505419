#!/bin/bash
# Checks tools/steps.sh: whatever ends a script, the processes of its running step end too, grandchildren included; and
# a step's status is its command's.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
wrong=0

# A step that starts a process of its own, which would live for a minute.
cat >script.sh <<SCRIPT
. "$here/steps.sh"
family() { sh -c 'sleep 60 & echo \$! >grandchild; wait' & wait; }
"\$@"
SCRIPT

# A zombie, whose parent has not asked for it yet, is dead.
alive() { [ -s grandchild ] && grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$(cat grandchild)/status"; }
within() { local i; for ((i = 0; i < 600; ++i)); do "$@" && return 0; sleep 0.1; done; return 1; }
dead() { ! alive; }

for kind in step live; do
  for signal in TERM INT HUP; do
    rm -f grandchild
    words=(family)
    [ $kind = step ] && words=(name title family)
    # Job control here, or the shell would start the script deaf to INT.
    set -m
    bash script.sh $kind "${words[@]}" >out 2>&1 &
    script=$!
    set +m
    within alive || { echo "$kind did not start"; wrong=1; }
    kill -$signal $script
    wait $script 2>/dev/null
    status=$?
    [ $status -eq $((128 + $(kill -l $signal))) ] || { echo "$kind, $signal: status $status"; wrong=1; }
    within dead || { echo "$kind, $signal: its processes live on"; wrong=1; }
  done
done

status_of() { bash script.sh "$@" >out 2>&1; echo $?; }
[ "$(status_of step a a true)" = 0 ] || { echo "a good step failed"; wrong=1; }
[ "$(status_of step a a sh -c 'echo why; exit 3')" = 1 ] && grep -q '^why$' out || { echo "a bad step did not say why"; wrong=1; }
[ "$(status_of live sh -c 'exit 3')" = 3 ] || { echo "live lost the status"; wrong=1; }
[ $wrong -eq 0 ] && echo "steps: all ends judged right"
exit $wrong
