#!/usr/bin/env bash
# ./do refuses words that it does not know with exit code 2, before it does anything; in a copy without a project.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp ./do "$folder/do"
mkdir "$folder/build"
failed=0

refuses() { # WHAT WORDS…
  local want=$1 said code=0; shift
  said=$("$folder/do" "$@" 2>&1) || code=$?
  if [[ $code != 2 || $said != *"$want"* || ! -d $folder/build ]]; then
    printf "FAILED: ./do %s: exit code %s, not 2: %s\n" "$*" "$code" "$said"
    failed=1
  fi
}

refuses "did you mean 'test'" tset
refuses "what is '--al'" clean --al
refuses '--nodes wants a number' demo --nodes
refuses "not 'many'" demo --nodes many
refuses '-R wants a regular expression' test -R
refuses "no tier 'units'" test --tier units
refuses "'guest' is required but not asked for" test --tier unit --require guest
refuses 'takes no words' image --force
refuses 'takes no words' lint --all
refuses "no user 'nobody-of-that-name'" ids nobody-of-that-name
refuses "what is '--quick'" bench --quick
refuses 'a number of seconds' fuzz soon
refuses "no command 'everything'" deps everything

eval "$(sed -n '/^next_free_ids()/,/^}/p' ./do)"
printf 'ann:100000:65536\nbob:165536:65536\n' >"$folder/subuid"
for files in "$folder/subuid $folder/none" "$folder/none $folder/subuid"; do
  # shellcheck disable=SC2086  # two words
  found=$(next_free_ids $files)
  [[ $found == 231072 ]] || { printf 'FAILED: the next free id of %s is not %s\n' "$files" "$found"; failed=1; }
done
[[ $(next_free_ids "$folder/none") == 100000 ]] || { printf 'FAILED: without a file the first id is not 100000\n'; failed=1; }
exit "$failed"
