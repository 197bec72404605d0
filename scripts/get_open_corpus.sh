#!/bin/sh
# Obtains the free Debian packages of the open corpus and unpacks them under DIR. Needs no root.
#
#   scripts/get_open_corpus.sh DIR
#
# May be run again: what is there stays. Remove DIR to obtain everything anew.
# docs/open_corpus.md tells what the packages hold and under which licences.
set -eu

required="tuxpaint-stamps-default developers-reference debian-policy kgeography-data debian-handbook"
optional="debian-faq debian-reference-en debmake-doc maint-guide packaging-tutorial"

fail() {
  echo "get_open_corpus: $*" >&2
  exit 1
}

[ $# -eq 1 ] && [ -n "$1" ] || fail "expected one argument, the directory to fill; got $#"
case "$1" in
  -h | --help)
    sed -n '2,7s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  -*) fail "expected a directory, got the option $1" ;;
esac
for tool in apt-get apt-cache dpkg-deb; do
  command -v "$tool" >/dev/null 2>&1 ||
    fail "there is no $tool here; run this on Debian or Ubuntu (a container will do) and copy the directory"
done

mkdir -p "$1" || fail "cannot make the directory $1"
target=$(cd "$1" && pwd)
[ -w "$target" ] || fail "cannot write into $target"
marks=$target/.packages
mkdir -p "$marks"

download=
trap '[ -z "$download" ] || rm -rf "$download"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# obtain PACKAGE: 0 if it is under $target afterwards.
obtain() {
  if [ -e "$marks/$1" ]; then
    echo "$1: there already ($(cat "$marks/$1"))"
    return 0
  fi
  if ! apt-cache show --no-all-versions "$1" >/dev/null 2>&1; then
    echo "$1: not in the package lists" >&2
    return 1
  fi
  download=$(mktemp -d "$marks/download.XXXXXX")
  # As root, apt downloads as its own user, which must be able to write here.
  chmod 755 "$download"
  if ! (cd "$download" && apt-get download -q -o APT::Sandbox::User=root "$1" >log 2>&1); then
    sed 's/^/  /' "$download/log" >&2
    echo "$1: the download failed" >&2
    rm -rf "$download"
    download=
    return 1
  fi
  dpkg-deb -x "$download"/*.deb "$target" || return 1
  version=$(dpkg-deb -f "$download"/*.deb Version)
  rm -rf "$download"
  download=
  # Written last: a package that was cut short is unpacked again.
  echo "$version" >"$marks/$1.new"
  mv "$marks/$1.new" "$marks/$1"
  echo "$1: unpacked ($version)"
}

missing=
for package in $required; do
  obtain "$package" || missing="$missing $package"
done
left_out=
for package in $optional; do
  obtain "$package" || left_out="$left_out $package"
done

[ -z "$missing" ] ||
  fail "could not obtain:$missing. If the package lists are empty or old, 'apt-get update' (as root) renews them; then run this again"
[ -z "$left_out" ] || echo "left out, there are fewer document pages for it:$left_out"
echo "The open corpus is in $target. Next: mm15 prepare open_stamps --source $target"
