package testutil

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"cairn/api/client"
)

// startPatience is how long a node may take to answer before a test gives up.
const startPatience = time.Minute

// Process is a running node. Its log can be read at any time.
type Process struct {
	URL    string
	cmd    *exec.Cmd
	http   *http.Client // that reaches it
	log    lockedBuffer
	exited chan struct{}
	err    error // of the wait; read after exited is closed
}

// Launch starts bin on a port of the loopback interface and waits until it
// answers. The error has the node's log in it.
func Launch(bin string, env []string, dir string, port int, args ...string) (*Process, error) {
	number := strconv.Itoa(port)
	return launch(exec.Command(bin, append([]string{"-p", number}, args...)...), env, dir, "http://127.0.0.1:"+number, http.DefaultClient)
}

// launch runs the command of a node whose URL, seen by a client, is known.
func launch(cmd *exec.Cmd, env []string, dir, url string, by *http.Client) (*Process, error) {
	p := &Process{URL: url, cmd: cmd, http: by, exited: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir = env, dir
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	if err := waitReady(by, p.URL, p.exited, startPatience); err != nil {
		p.Kill()
		return nil, fmt.Errorf("%w; its log:\n%s", err, p.Log())
	}
	return p, nil
}

// Start is Launch on a free port in a fresh home, for a test: the node ends with
// it.
func Start(t testing.TB, bin string, args ...string) *Process {
	t.Helper()
	port, err := FreePort()
	must(t, err)
	dir := t.TempDir()
	p, err := Launch(bin, Home(dir), dir, port, args...)
	must(t, err)
	t.Cleanup(p.Kill)
	return p
}

// WaitReady waits until the node at url answers that it is ready, ended is closed
// (it may be nil), or patience is over.
func WaitReady(url string, ended <-chan struct{}, patience time.Duration) error {
	return waitReady(http.DefaultClient, url, ended, patience)
}

func waitReady(by *http.Client, url string, ended <-chan struct{}, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return err
	}
	for {
		if resp, err := by.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ended:
			return errors.New("the node ended before it answered")
		case <-ctx.Done():
			return errors.New("the node did not answer")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Client returns a client of the node.
func (p *Process) Client(t testing.TB) *client.Client {
	t.Helper()
	c, err := client.New(p.URL, client.Options{HTTP: p.http})
	must(t, err)
	return c
}

// Log returns what the node has written so far.
func (p *Process) Log() string { return p.log.String() }

// Stop asks the node to end, as a service manager does, and returns its exit
// code.
func (p *Process) Stop() int {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails when it has ended already
	return p.Wait()
}

// Wait returns the exit code once the node has ended, -1 after a signal.
func (p *Process) Wait() int {
	<-p.exited
	return p.cmd.ProcessState.ExitCode()
}

// Ended says whether the node has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// Kill ends the node as a power cut does: it gets no chance to do anything.
func (p *Process) Kill() {
	_ = p.cmd.Process.Signal(os.Kill) // fails when it has ended already
	<-p.exited
}

// lockedBuffer is a buffer that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
