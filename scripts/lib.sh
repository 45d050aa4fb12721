# Sourced by the other scripts: one-line errors, and installing Debian packages.
# Sets $top, the root of the work tree, and makes it the working directory.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$top"
# An ordinary user's PATH leaves out where mkfs and fusermount3 may be.
PATH=$PATH:/usr/sbin:/sbin

fail() {
    printf '%s: %s\n' "scripts/${0##*/}" "$*" >&2
    exit 1
}

# install_packages PACKAGE...: through apt, as root or with sudo; says what to do where neither works.
install_packages() {
    local as_root=() by_hand="install them as root: apt-get install -y $*"
    command -v apt-get >/dev/null || fail "missing: $*. This is no Debian; install what matches them and run this again"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "missing: $*. There is no sudo; $by_hand"
        as_root=(sudo)
        [ -t 0 ] || as_root=(sudo -n)
        "${as_root[@]}" true 2>/dev/null || fail "missing: $*. sudo refused; $by_hand"
    fi
    printf 'installing %s\n' "$*"
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    if ! "${apt[@]}" install -y --no-install-recommends "$@" >/dev/null 2>&1; then
        # The package lists of a fresh machine may be empty or old.
        "${apt[@]}" update >/dev/null || fail "apt-get update failed; see the lines above"
        "${apt[@]}" install -y --no-install-recommends "$@" >/dev/null || fail "apt-get could not install: $*"
    fi
}

# missing_for COMMAND=PACKAGE...: prints the packages whose command is not there.
missing_for() {
    local pair
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || printf '%s\n' "${pair#*=}"
    done
}
