package ansible_test

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pushglue/glue/gluetest/service"
)

// suite is the release of Debian that the machines run.
var suite = flag.String("suite", "bookworm", "the release of Debian that the machines run, such as trixie")

const (
	// present are the packages of a fresh machine, beside Debian's essential ones: it boots, and Ansible reaches it.
	present = "systemd,systemd-sysv,dbus,openssh-server,python3,python3-apt,apt-utils,iproute2,procps,kmod"
	// offered are the packages that the roles install. A machine has them, and those that they need, in a repository of its
	// own, because it reaches no other.
	offered = "nginx libnginx-mod-nchan libnginx-mod-http-set-misc nftables logrotate redis-server"
)

// baseSteps make the base, in its directory, of a suite: the machines' repository, from where this machine has its packages.
const baseSteps = `
set -eu
cp -a etc/apt fresh-apt
rm -rf etc/apt
cp -a /etc/apt etc/
. /etc/os-release
find etc/apt/sources.list* -type f -exec sed -i "s/\\b$VERSION_CODENAME\\b/$SUITE/g" {} +
cp --dereference /etc/resolv.conf etc/
chroot . apt-get -q update
mkdir -p srv/packages/partial
chroot . apt-get -q -y --no-install-recommends --download-only -o Dir::Cache::archives=/srv/packages/ install ` + offered + `
chroot . sh -c 'cd /srv/packages && apt-ftparchive packages . >Packages'
rm -rf etc/apt var/lib/apt/lists/* srv/packages/partial srv/packages/lock
mv fresh-apt etc/apt
echo 'deb [trusted=yes] file:/srv/packages ./' >etc/apt/sources.list
chroot . apt-get -q update
rm -f etc/hostname etc/resolv.conf
: >etc/machine-id
`

// base returns the directory of a fresh Debian, which nobody writes into. It is made once for all tests of a user, in some
// minutes, and kept in the user's cache directory.
func base(tb testing.TB) string {
	tb.Helper()
	service.NeedRoot(tb, "a machine made by debootstrap")
	service.Need(tb, "debootstrap")
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Fatal(err)
	}
	key := sha256.Sum256([]byte(*suite + present + baseSteps))
	dir := filepath.Join(cache, "pushglue-ansible", fmt.Sprintf("%s-%x", *suite, key[:6]))
	unlock := lock(tb, dir+".lock")
	defer unlock()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return dir
	}
	unfinished := dir + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		tb.Fatal(err)
	}
	execute(tb, exec.Command("debootstrap", "--variant=minbase", "--include="+present, *suite, unfinished, mirror(tb)))
	steps := exec.Command("sh", "-c", baseSteps)
	steps.Dir = unfinished
	steps.Env = append(os.Environ(), "SUITE="+*suite, "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	execute(tb, steps)
	if err := os.Rename(unfinished, dir); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// mirror returns where this machine has Debian's packages from.
func mirror(tb testing.TB) string {
	tb.Helper()
	for line := range strings.Lines(execute(tb, exec.Command("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)"))) {
		if label, uri, _ := strings.Cut(strings.TrimSpace(line), " "); label == "Debian" {
			return uri
		}
	}
	return "http://deb.debian.org/debian"
}

// lock waits until nobody else has the lock.
func lock(tb testing.TB, path string) (unlock func()) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	file, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		tb.Fatal(err)
	}
	return func() { file.Close() }
}

// execute returns the standard output of a command that must succeed.
func execute(tb testing.TB, command *exec.Cmd) string {
	tb.Helper()
	var stdout, stderr strings.Builder
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		tb.Fatalf("%s: %v\n%s%s", strings.Join(command.Args, " "), err, tail(stdout.String()), tail(stderr.String()))
	}
	return stdout.String()
}

// tail returns the end of a long text.
func tail(text string) string {
	const most = 6000
	return text[max(0, len(text)-most):]
}
