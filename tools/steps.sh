# Sourced by test.sh and demo.sh: long steps, quiet, with progress, and a plain word when one fails.
# Every step's output goes to build/logs/NAME.log.

logs=build/logs
mkdir -p "$logs"

# step NAME "what it does" COMMAND...: shows how far it is (ninja's and ctest's counters) and how long it took. When it
# fails: the last lines of its log, and status 1.
step() {
  local name=$1 title=$2 log=$logs/$1.log begin=$SECONDS status=0 seen='' last=$SECONDS
  shift 2
  "$@" >"$log" 2>&1 </dev/null &
  local job=$!
  step_job=$job
  while kill -0 $job 2>/dev/null; do
    sleep 0.5
    seen=$(tail -c 4000 "$log" | tr '\r' '\n' | grep -aoE '^\[[0-9]+/[0-9]+\]|^ *[0-9]+/[0-9]+ Test' | tail -n 1 | tr -d ' []a-zA-Z' || true)
    if [ -t 1 ]; then
      printf '\r\033[K%s  %s  %ds' "$title" "$seen" $((SECONDS - begin))
    elif [ $((SECONDS - last)) -ge 60 ]; then
      last=$SECONDS
      echo "$title: $seen, $((SECONDS - begin)) s so far"
    fi
  done
  wait $job || status=$?
  step_job=
  [ -t 1 ] && printf '\r\033[K'
  if [ $status -ne 0 ]; then
    echo "$title: FAILED after $((SECONDS - begin)) s; the last lines of $log:"
    tail -n 40 "$log"
    return 1
  fi
  echo "$title: done in $((SECONDS - begin)) s"
}

# Ctrl-C ends the running step too, and the script with it.
stop_steps() {
  [ -n "${step_job:-}" ] && kill "$step_job" 2>/dev/null
  echo
  exit 130
}
trap stop_steps INT TERM

# build PRESET [TARGET...]: configures and builds.
build() {
  local preset=$1
  shift
  cmake --preset "$preset" && cmake --build --preset "$preset" ${1:+--target "$@"}
}
