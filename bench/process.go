package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// process is a node that runs.
type process struct {
	cmd   *exec.Cmd
	url   string
	ready time.Duration // from its start to its first answer
}

// launch starts a node on a free port and waits for its first answer.
func (r *run) launch(args ...string) (*process, error) {
	cmd, err := r.command(append([]string{"--port", "0", "--log-format", "json"}, args...)...)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd}
	log, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	err = p.awaitAnswer(r.ctx, bufio.NewReader(log))
	p.ready = time.Since(start)
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	go func() { _, _ = io.Copy(io.Discard, log) }() // ends with the process
	return p, nil
}

// command is the program with arguments, and none of the user's own settings.
func (r *run) command(args ...string) (*exec.Cmd, error) {
	settings := filepath.Join(r.dir, "settings.toml")
	if err := os.WriteFile(settings, nil, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(r.ctx, r.Node, append(args, "--config", settings)...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "CAIRN_") })
	cmd.Env = append(cmd.Env, "CAIRN_P2P=off") // it is measured alone
	cmd.Env = append(cmd.Env, r.env...)
	return cmd, nil
}

// awaitAnswer reads from the log where the node is, and asks it something.
func (p *process) awaitAnswer(ctx context.Context, log *bufio.Reader) error {
	line, err := log.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the node did not start: %s", line)
	}
	var up struct{ URL string }
	if err := json.Unmarshal(line, &up); err != nil || up.URL == "" {
		return fmt.Errorf("the node did not start: %s", line)
	}
	p.url = up.URL
	_, err = get(ctx, p.url+"/readyz")
	return err
}

// stop ends the node as Ctrl-C does. Where a process cannot be asked to end, it
// is killed: nothing is needed of it any more.
func (p *process) stop() error {
	if p.cmd.Process.Signal(os.Interrupt) != nil {
		_ = p.cmd.Process.Kill() // fails when it has ended
		_ = p.cmd.Wait()
		return nil
	}
	return p.cmd.Wait()
}

// address is the host and port of the node.
func (p *process) address() string { return strings.TrimPrefix(p.url, "http://") }

// memory returns the bytes of memory that the process has, 0 where the system
// does not tell.
func (p *process) memory() uint64 { return memoryOf(p.cmd, "VmRSS") }

// peak runs a command and returns the most memory that it had, 0 where the system
// does not tell. What the system says at the end of a process would not do: on
// Linux that counts what the parent had when it started the process.
func (r *run) peak(cmd *exec.Cmd) (most uint64, err error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			most = max(most, memoryOf(cmd, "VmHWM"))
		case err := <-ended:
			if err != nil {
				err = fmt.Errorf("%w: %s", err, &out)
			}
			return most, err
		}
	}
}

// memoryOf returns one of the sizes that Linux tells of a process that runs, in
// bytes, and 0 elsewhere.
func memoryOf(cmd *exec.Cmd, size string) uint64 {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "status"))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), size+":")
	var kibibytes uint64
	_, _ = fmt.Sscan(rest, &kibibytes) // leaves 0
	return kibibytes << 10
}

// get reads the whole answer and returns its length.
func get(ctx context.Context, url string) (int64, error) { return send(ctx, http.MethodGet, url, "") }

func send(ctx context.Context, method, url, body string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return n, err
}

// load is what requests over some connections came to.
type load struct {
	rate float64 // answers in a second
	latency
}

// request is a request as bytes, to be sent again and again.
func request(method, address, path, body string) []byte {
	return requestOf(method, address, path, "application/json", []byte(body))
}

// requestOf is request with a body of some type.
func requestOf(method, address, path, media string, body []byte) []byte {
	text := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, address)
	if len(body) > 0 {
		text = fmt.Appendf(text, "Content-Type: %s\r\nContent-Length: %d\r\n", media, len(body))
	}
	return append(append(text, "\r\n"...), body...)
}

// openStream connects a reader of events and reads up to the first of them.
func openStream(address string) (net.Conn, *bufio.Reader, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, nil, err
	}
	_, err = conn.Write(request(http.MethodGet, address, "/v1/events", ""))
	answers := bufio.NewReaderSize(conn, 512)
	for blank := 0; err == nil && blank < 2; { // after the headers, and after the greeting
		var line string
		if line, err = answers.ReadString('\n'); strings.TrimSpace(line) == "" {
			blank++
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, answers, nil
}

// fetch reads an answer.
func fetch(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// press sends a request on each of some connections as soon as the one before is
// answered, for the time of a load. It costs less than net/http's client would:
// the node has the machine to itself, nearly.
func (r *run) press(step, address string, connections int, request []byte) (load, error) {
	return r.pressEach(step, address, connections, func() []byte { return request })
}

// pressEach is press with a request of its own each time, until next has none.
func (r *run) pressEach(step, address string, connections int, next func() []byte) (load, error) {
	type result struct {
		all []time.Duration
		err error
	}
	results := make(chan result)
	start := time.Now()
	for range connections {
		go func() {
			all, err := pressOne(address, func(int) []byte {
				if r.ctx.Err() != nil || time.Since(start) >= r.load {
					return nil
				}
				return next()
			})
			results <- result{all, err}
		}()
	}
	var all []time.Duration
	var errs error
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for left := connections; left > 0; {
		select {
		case got := <-results:
			all, errs = append(all, got.all...), errors.Join(errs, got.err)
			left--
		case <-tick.C:
			r.progress(step, int(time.Since(start)), int(r.load))
		}
	}
	return load{float64(len(all)) / time.Since(start).Seconds(), summary(all)}, errors.Join(errs, r.ctx.Err())
}

// pressOne sends requests on one connection, as next gives them, which is told how
// many were answered, until that is nil.
func pressOne(address string, next func(answered int) []byte) (all []time.Duration, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for request := next(0); request != nil; request = next(len(all)) {
		before := time.Now()
		if _, err := conn.Write(request); err != nil {
			return all, err
		}
		resp, err := http.ReadResponse(answers, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		if err != nil {
			return all, err
		}
		if resp.StatusCode/100 != 2 {
			return all, errors.New(resp.Status)
		}
		all = append(all, time.Since(before))
	}
	return all, nil
}

// echo serves one answer to everything for as long as use takes.
func echo(answer []byte, use func(address string) error) error {
	return withServer(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}, use)
}

// withServer runs a bare server for as long as use takes.
func withServer(handler http.HandlerFunc, use func(address string) error) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(ln) }() // ends with Close
	defer server.Close()
	return use(ln.Addr().String())
}

const (
	newTransaction = `{"sender":"address_1","recipient":"address_2","amount":3}`
	submitted      = `{"message":"Transaction has been submitted successfully","block_index":1}` + "\n"
)

// connections are the numbers of them that are measured.
var connections = []int{1, 16}
