#!/usr/bin/env bash
# The lab's part of `./do demo`: brings up the classroom, looks around in it as anybody could by hand, takes it down,
# and looks whether anything is left. Wants build/rookery and the image; run it as tests/support/demo.sh [NODES].
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly nodes=${1:-100}
readonly rookery=build/rookery lab=classroom
# Where the supervisor keeps its state while a lab runs (base/file.h, vboot/cli/up.cc).
if [[ -n ${XDG_RUNTIME_DIR:-} ]]; then runtime=$XDG_RUNTIME_DIR/rookery; else runtime=/tmp/rookery-$(id -u); fi
readonly runtime
# Files of the shared image that every machine reads over the network, and digests.
readonly shared_files=(/bin/bash /usr/bin/dpkg /usr/lib/x86_64-linux-gnu/libc.so.6 /usr/bin/perl)

supervisor='' work=''
say() { printf '==> %s\n' "$*"; }
show() { printf '\n  $ %s\n' "$*"; }
fact() { printf '  %-22s%s\n' "$1" "$2"; }

finish() {
  local code=$?
  trap - EXIT
  if [[ -n $supervisor ]] && kill -0 "$supervisor" 2>/dev/null; then
    printf './do demo: taking the lab down\n' >&2
    kill -TERM "$supervisor" 2>/dev/null || true
    wait "$supervisor" 2>/dev/null || true
  fi
  [[ -z $work ]] || rm -rf "$work"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() { # CODE WORDS…
  local code=$1; shift
  printf './do demo: %s\n' "$*" >&2
  exit "$code"
}

# A number of the report; its keys are documented in docs/commands.md.
number() { grep -o "\"$1\":[0-9.]*" <<<"$report" | head -n 1 | cut -d: -f2; }
text() { grep -o "\"$1\":\"[^\"]*\"" <<<"$report" | head -n 1 | cut -d'"' -f4; }
mebibytes() { awk -v bytes="$1" -v by="${2:-1}" 'BEGIN { printf "%.1f", bytes / by / 1048576 }'; }
now() { date +%s.%N; }
since() { awk -v from="$1" -v to="$(now)" 'BEGIN { printf "%.2f", to - from }'; }

on_all() { "$rookery" exec --lab "$lab" --all --timeout 60 -- "$@"; }

# "n7: words" lines as how many machines say which words.
tally() { sed 's/^[^:]*: //' | sort | uniq -c | sort -rn | sed 's/^ *\([0-9]*\) /  \1 machines say: /'; }

# What of the lab there still is: its processes, its sockets and files, its guests' memory.
leftovers() {
  local process words place
  for process in /proc/[0-9]*; do
    # Others end while we look: the shell's own complaint about that is none of ours.
    words=$({ tr '\0' ' ' <"$process/cmdline"; } 2>/dev/null) || continue
    if [[ ${words:-} == "$runtime/$lab/"* ]]; then printf 'process %s: %s\n' "${process##*/}" "$words"; fi
  done
  for process in $family; do
    # Z has ended, and waits for the system's init to take notice.
    words=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$process/status" 2>/dev/null) || continue
    if [[ -n $words && $words != Z* ]]; then printf 'process %s: %s\n' "$process" "$words"; fi
  done
  for place in "$runtime/$lab"* "/dev/shm/rookery-$(id -u)-$lab"*; do
    if [[ -e $place ]]; then printf '%s\n' "$place"; fi
  done
}

# All descendants of a process.
family_of() { # PID
  # The parent stands behind the name, which may have anything in it, and the state (proc_pid_stat(5)).
  { cat /proc/[0-9]*/stat 2>/dev/null || true; } | sed -n 's/^\([0-9]*\) (.*) [A-Z] \([0-9]*\) .*/\1 \2/p' | awk -v root="$1" '
    { parent[$1] = $2 }
    END { for (p in parent) { for (q = p; q in parent && q != root; q = parent[q]); if (q == root) print p } }'
}

bring_up() {
  say "bringing up examples/$lab.yaml: 1 boot server and $nodes diskless clients on one simulated switch"
  show "rookery up examples/$lab.yaml --nodes $nodes"
  work=$(mktemp -d)
  mkfifo "$work/report"
  "$rookery" up "examples/$lab.yaml" --nodes "$nodes" --json >"$work/report" </dev/null &
  supervisor=$!
  # One line comes when every client is ready or has failed; none, if it did not get that far.
  if ! IFS= read -r report <"$work/report"; then
    local code=0
    wait "$supervisor" || code=$?
    supervisor=''
    fail "$((code == 0 ? 1 : code))" "the lab did not come up; the reason is above"
  fi
  family=$(family_of "$supervisor")
  if [[ $(number ready) != "$nodes" ]]; then
    sed 's/.*"failed":\[\([^]]*\)\].*/\1/; s/},{/}\n{/g' <<<"$report" |
      sed 's/.*"name":"\([^"]*\)","stage":"\([^"]*\)","reason":"\(.*\)"}/\1 failed in the stage \2: \3/' >&2
    fail 1 "only $(number ready) of $nodes clients got ready"
  fi
  printf '  all %s clients are ready after %s s\n' "$nodes" "$(awk -v s="$(number seconds)" 'BEGIN { printf "%.2f", s }')"
}

look_around() {
  local agree out start
  show "rookery exec --all -- uname -sr"
  on_all uname -sr | tally
  show "rookery exec --all -- sha256sum ${shared_files[*]}"
  start=$(now)
  out=$(on_all sha256sum "${shared_files[@]}")
  # Every machine's lines as one digest; the machines that have the most frequent one agree.
  agree=$(sort -s -t: -k1,1 <<<"$out" | awk -F': ' '{ all[$1] = all[$1] $2 "\n" }
    END { for (m in all) if (++count[all[m]] > most) most = count[all[m]]; print most + 0 }')
  printf '  %s of %s machines read the same %s files of the shared image, and agree on each byte (%s s)\n' \
    "$agree" "$((nodes + 1))" "${#shared_files[@]}" "$(since "$start")"
  [[ $agree == "$((nodes + 1))" ]] || fail 1 "the machines do not agree on what is in their image"
  show "rookery exec n$nodes -- sh -c 'hostname; cat /etc/debian_version; head -n 1 /proc/meminfo'"
  "$rookery" exec --lab "$lab" "n$nodes" -- sh -c 'hostname; cat /etc/debian_version; head -n 1 /proc/meminfo' | sed 's/^/  /'
}

take_down() {
  local start left code=0
  show "rookery down"
  start=$(now)
  "$rookery" down --lab "$lab"
  wait "$supervisor" || code=$?
  supervisor=''
  down_seconds=$(since "$start")
  left=$(leftovers)
  if [[ -n $left ]]; then
    printf '%s\n' "$left" >&2
    fail 1 "the lab left this behind"
  fi
  printf '  down in %s s; no process, socket, file or shared memory of it is left\n' "$down_seconds"
  ((code == 0)) || fail "$code" "the supervisor ended with exit code $code"
}

summary() {
  local machines; machines=$(number machines)
  printf '\n'
  say "what just happened"
  fact "real Linux kernels" "$machines (User-Mode Linux $(text linux-uml)), run by the user $(id -un)"
  fact "one image for all" "$(text image) $(text image_version)"
  fact "how they got it" "DHCP, boot script and image over one simulated Ethernet switch"
  fact "all ready after" "$(awk -v s="$(number seconds)" 'BEGIN { printf "%.2f", s }') s"
  fact "memory" "$(mebibytes "$(number memory_peak_bytes)") MiB in all, $(mebibytes "$(number memory_peak_bytes)" "$machines") MiB a machine"
  fact "sent by the server" "$(mebibytes "$(number boot_server_bytes)") MiB, $(mebibytes "$(number boot_server_bytes)" "$nodes") MiB a client"
  fact "left on this machine" "nothing but the image in the cache"
  printf '\n'
  say "by hand: build/rookery up examples/$lab.yaml (README.md goes on from there)"
}

bring_up
look_around
take_down
summary
