# Sourced by test.sh and demo.sh: long steps, quiet, with progress, and a plain word when one fails.
# Every step's output goes to build/logs/NAME.log.

logs=build/logs
mkdir -p "$logs"
step_job=

# begin COMMAND...: runs it in the background as a process group of its own, so that stop_step reaches all it started.
begin() {
  set -m
  "$@" </dev/null &
  step_job=$!
  set +m
}

# step NAME "what it does" COMMAND...: shows how far it is (ninja's and ctest's counters) and how long it took. When it
# fails: the last lines of its log, and status 1.
step() {
  local name=$1 title=$2 log=$logs/$1.log begin=$SECONDS status=0 seen='' last=$SECONDS
  shift 2
  begin "$@" >"$log" 2>&1
  while kill -0 "$step_job" 2>/dev/null; do
    sleep 0.5
    seen=$(tail -c 4000 "$log" | tr '\r' '\n' | grep -aoE '^\[[0-9]+/[0-9]+\]|^ *[0-9]+/[0-9]+ Test' | tail -n 1 | tr -d ' []a-zA-Z' || true)
    if [ -t 1 ]; then
      printf '\r\033[K%s  %s  %ds' "$title" "$seen" $((SECONDS - begin))
    elif [ $((SECONDS - last)) -ge 60 ]; then
      last=$SECONDS
      echo "$title: $seen, $((SECONDS - begin)) s so far"
    fi
  done
  wait "$step_job" || status=$?
  step_job=
  [ -t 1 ] && printf '\r\033[K'
  if [ $status -ne 0 ]; then
    echo "$title: FAILED after $((SECONDS - begin)) s; the last lines of $log:"
    tail -n 40 "$log"
    return 1
  fi
  echo "$title: done in $((SECONDS - begin)) s"
}

# live COMMAND...: a step that shows its own progress on stderr. Its status is the command's.
live() {
  local status=0
  begin "$@"
  wait "$step_job" || status=$?
  step_job=
  return $status
}

# Ends the running step and all its processes: asks first (training saves then), and after 20 s, or at a second Ctrl-C,
# makes them.
stop_step() {
  local job=$step_job tries
  step_job=
  [ -n "$job" ] || return 0
  trap 'kill -KILL -- "-$job" 2>/dev/null' INT TERM HUP
  kill -TERM -- "-$job" 2>/dev/null
  for ((tries = 0; tries < 200; ++tries)); do
    kill -0 -- "-$job" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL -- "-$job" 2>/dev/null
  return 0
}

stop_script() {
  trap - EXIT
  set +e
  echo
  stop_step
  exit $((128 + $1))
}
trap 'stop_script 1' HUP
trap 'stop_script 2' INT
trap 'stop_script 15' TERM
trap stop_step EXIT

# build PRESET [TARGET...]: configures and builds.
build() {
  local preset=$1
  shift
  cmake --preset "$preset" && cmake --build --preset "$preset" -j "$(nproc)" ${1:+--target "$@"}
}
