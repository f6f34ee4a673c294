// Package testutil runs the real binary for tests: it builds it once, starts
// nodes on free ports, waits until they answer, and stops or kills them.
package testutil

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Build compiles cmd/cairn into a directory and returns the path of the binary.
// extra are further arguments of go build.
func Build(dir string, extra ...string) (string, error) {
	bin := filepath.Join(dir, "cairn")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	args := append(append([]string{"build", "-o", bin}, extra...), "cairn/cmd/cairn")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
}

// FreePort returns a TCP port of the loopback interface that was free a moment
// ago.
func FreePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil // a TCP listener has a TCP address
}

// Home returns an environment in which the user's directories are empty ones in
// dir, so that a test neither sees nor leaves anything elsewhere, and nodes look for
// no peers unless they are told to.
func Home(dir string) []string {
	return append(os.Environ(),
		"CAIRN_P2P=off",
		"HOME="+dir,
		"XDG_DATA_HOME="+filepath.Join(dir, "data"),
		"XDG_CONFIG_HOME="+filepath.Join(dir, "config"),
		"LocalAppData="+filepath.Join(dir, "data"),
		"AppData="+filepath.Join(dir, "config"))
}

// must ends a test that cannot go on.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
