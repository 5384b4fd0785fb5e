#!/usr/bin/env bash
# What `./do lint` looks at, over the files that git knows: form, scripts, what must not be in a public project, the
# links of the documents, and the bugs that clang-tidy finds. Wants build-lint/compile_commands.json (the preset lint:
# without a precompiled header, so that a file that includes too little is found). Every finding is shown; the exit code
# is 1 if there was one.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly size_limit=300000
readonly ours='^(base|netsim|disks|backends|guest|images|vboot)/.*[.]cc$'
findings=0

check() { # NAME COMMAND…
  local name=$1 start=$SECONDS; shift
  if "$@"; then
    printf '==> %s: good (%s s)\n' "$name" "$((SECONDS - start))"
  else
    printf '==> %s: SEE ABOVE (%s s)\n' "$name" "$((SECONDS - start))"
    findings=$((findings + 1))
  fi
}

tracked() { git ls-files -z -- "$@"; }

form() {
  # shellcheck disable=SC2016  # the inner shell's variable
  tracked '*.cc' '*.h' | xargs -0 -P "$(nproc)" -n 1 bash -c \
    '[[ ! -e $1 ]] || clang-format --dry-run -Werror "$1" 2>/dev/null || { echo "clang-format -i $1"; exit 1; }' _
}

scripts() {
  git ls-files | while read -r file; do
    if [[ -f $file && ! -L $file ]] && head -n 1 "$file" | grep -qaE '^#!.*\b(ba)?sh\b'; then printf '%s\0' "$file"; fi
  done | xargs -0 shellcheck --exclude=SC3045,SC2015  # dash and BusyBox know ulimit -n; in a && b || fail, fail ends it
}

# Paths of one machine, and where packages come from: the sources name neither. (In pieces, or this file would.)
machine_words() {
  # shellcheck disable=SC2016  # a pattern, not variables
  local paths='(^|[^[:alnum:]_./~${}-])/(home|root|work)/[[:alnum:]_]'
  local hosts='(deb|security|ftp|snapshot)[.]debian[.]org|npmjs[.]|(docker|ghcr|quay|crates)[.]io|pypi[.]org|pkg[.]dev|googleapis[.]'
  local found=0
  tracked . | xargs -0 grep -snIE -- "$hosts" /dev/null && found=1
  # What lies in a guest's root file system, and what tests do there, has the guest's own paths.
  tracked . ':!images/make/rootfs' ':!tests/guest' | xargs -0 grep -snIE -- "$paths" /dev/null && found=1
  return "$found"
}

sizes() {
  local found=0 file
  while IFS= read -r -d '' file; do
    if [[ -f $file && $(stat -c %s "$file") -gt $size_limit ]]; then
      printf '%s has more than %s bytes\n' "$file" "$size_limit"
      found=1
    fi
  done < <(tracked)
  return "$found"
}

# Relative links in Markdown lead to files that are there.
links() {
  local found=0 file target
  while IFS= read -r -d '' file; do
    while IFS= read -r target; do
      if [[ $target != *://* && -n ${target%%#*} && ! -e $(dirname "$file")/${target%%#*} ]]; then
        printf '%s: there is no %s\n' "$file" "$target"
        found=1
      fi
    done < <(grep -oE '\]\([^) ]+\)|src(set)?="[^"]+"' "$file" | sed -E 's/^\]\((.*)\)$/\1/; s/^src(set)?="(.*)"$/\2/')
  done < <(tracked '*.md')
  return "$found"
}

# The compiler's flags are GCC's, so clang meets some that it does not know; and clang-tidy 14 takes the zero in
# every defaulted operator<=> for a null pointer. A file that was clean is not looked at again until it, a header of
# ours or the configuration changes.
bugs() {
  local clean=build-lint/clean headers
  mkdir -p "$clean"
  headers=$(tracked '*.h' .clang-tidy '*CMakeLists.txt' | xargs -0 cat | sha256sum | cut -c1-32)
  export clean headers
  # shellcheck disable=SC2016  # the inner shell's variables
  git ls-files | grep -E "$ours" | xargs -P "$(nproc)" -I{} bash -c '
    mark=$clean/$(sha256sum <(printf "%s %s" "$headers" "$1") "$1" | sha256sum | cut -c1-32)
    [[ ! -e $mark ]] || exit 0
    grep -qF "/$1\"" build-lint/compile_commands.json || exit 0
    if out=$(timeout 300 clang-tidy --quiet -p build-lint --extra-arg=-Wno-unknown-warning-option \
        --checks=-modernize-use-nullptr "$1" 2>/dev/null); then touch "$mark"; else printf "%s\n" "$out"; exit 1; fi' _ {}
}

check 'clang-format' form
check 'shellcheck' scripts
check 'paths and hosts' machine_words
check 'sizes' sizes
check 'links' links
check 'clang-tidy' bugs
((findings == 0)) || { printf 'lint: %s of 6 checks have findings\n' "$findings"; exit 1; }
