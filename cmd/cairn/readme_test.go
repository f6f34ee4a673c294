package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"cairn/internal/testutil"
)

// TestReadme types what the README says, in its order, and gets what it shows.
// Only ports, hashes, proofs, times and the nodes' addresses may differ, and the
// white space, because the README breaks long lines.
func TestReadme(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil || runtime.GOOS == "windows" {
		t.Skip("the README speaks to a shell that has curl")
	}
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	r := reader{t: t, home: t.TempDir(), ports: make(map[string]string), nodes: make(map[string]*testutil.Process)}
	steps := console(string(text))
	if len(steps) < 10 {
		t.Fatalf("the README has %d commands; is it still marked up as ```console?", len(steps))
	}
	for _, s := range steps {
		r.follow(s)
	}
}

// step is a command and what the README shows beneath it.
type step struct{ command, output string }

// console returns the commands of all ```console blocks.
func console(text string) []step {
	var steps []step
	inside := false
	for line := range strings.Lines(text) {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = strings.TrimSpace(line) == "```console"
		case inside && isCommand:
			steps = append(steps, step{command: strings.TrimSpace(command)})
		case inside && len(steps) > 0:
			steps[len(steps)-1].output += line
		}
	}
	return steps
}

// reader is somebody who follows the README.
type reader struct {
	t     *testing.T
	home  string
	ports map[string]string            // in the README -> here
	nodes map[string]*testutil.Process // by port in the README
}

var (
	startsNode = regexp.MustCompile(`^(?:go run \./cmd/cairn|cairn)((?: -.*)?)$`)
	portFlag   = regexp.MustCompile(`-p (\d+)`)
	anyPort    = regexp.MustCompile(`\b500\d\b`)
	differs    = regexp.MustCompile(`harbour1(?:[a-z0-9]{58}|…)|…|/[^ ]*cairn/wallet|"proof":\d+|"timestamp":1[0-8]\d{8}|[0-9a-f]{64}|[0-9a-f]{32}|\d+\.?\d*(seconds|minutes|hours|days|years)|v0\.0\.0-test|devel`)
)

func (r *reader) follow(s step) {
	r.t.Helper()
	if m := startsNode.FindStringSubmatch(s.command); m != nil {
		r.startNode(m[1])
		return
	}
	if strings.HasPrefix(s.command, "go test") || strings.HasPrefix(s.command, "git ") || strings.HasPrefix(s.command, "cd ") {
		return // this is that test, in that clone
	}
	command := strings.ReplaceAll(r.here(s.command), "go run ./cmd/cairn", "cairn")
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = r.home
	// A person is asked for the passphrase; there is nobody here.
	cmd.Env = append(testutil.Home(r.home), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"), "CAIRN_PASSPHRASE_FILE="+r.passphrase())
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	if got, want := comparable(string(out)), comparable(r.here(s.output)); got != want {
		r.t.Errorf("%s\n got %s\nwant %s", command, got, want)
	}
}

// passphrase returns the file with that of the reader's wallet.
func (r *reader) passphrase() string {
	path := filepath.Join(r.home, "passphrase")
	if err := os.WriteFile(path, []byte("correct horse\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// expand lets the shell put in the output of commands: --reward-to $(cairn …).
func (r *reader) expand(flags string) string {
	if !strings.Contains(flags, "$(") {
		return flags
	}
	cmd := exec.Command("sh", "-c", "echo "+strings.ReplaceAll(flags, "go run ./cmd/cairn", "cairn"))
	cmd.Env = append(testutil.Home(r.home), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("%s: %v", flags, err)
	}
	return string(out)
}

func (r *reader) startNode(flags string) {
	r.t.Helper()
	flags = r.expand(flags)
	port := "5000"
	if m := portFlag.FindStringSubmatch(flags); m != nil {
		port = m[1]
		flags = strings.Replace(flags, m[0], "", 1)
	}
	if old := r.nodes[port]; old != nil {
		old.Stop()
	}
	var number int
	if _, err := fmt.Sscan(r.here(port), &number); err != nil {
		r.t.Fatal(err)
	}
	node, err := testutil.Launch(binary, testutil.Home(r.home), r.home, number, strings.Fields(flags)...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(node.Kill)
	r.nodes[port] = node
}

// here replaces the README's ports with free ones.
func (r *reader) here(text string) string {
	return anyPort.ReplaceAllStringFunc(text, func(port string) string {
		if r.ports[port] == "" {
			free, err := testutil.FreePort()
			if err != nil {
				r.t.Fatal(err)
			}
			r.ports[port] = fmt.Sprint(free)
		}
		return r.ports[port]
	})
}

// comparable drops what differs from one run to the next.
func comparable(text string) string {
	return differs.ReplaceAllString(strings.Join(strings.Fields(text), ""), "*")
}
