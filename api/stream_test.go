package api

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"cairn/chain/chaintest"
	"cairn/types"
)

// recorder is a connection that notes how it was used.
type recorder struct {
	httptest.ResponseRecorder
	events []string
	broken bool
}

func (r *recorder) SetWriteDeadline(t time.Time) error {
	if left := time.Until(t); left <= 0 || left > stallTime {
		return fmt.Errorf("a deadline in %v", left)
	}
	r.events = append(r.events, "deadline")
	return nil
}

func (r *recorder) Write(b []byte) (int, error) {
	r.events = append(r.events, fmt.Sprint(len(b)))
	if r.broken {
		return 0, io.ErrClosedPipe
	}
	return r.ResponseRecorder.Write(b)
}

// Every piece that is written has a deadline of its own.
func TestRollingDeadlines(t *testing.T) {
	r := &recorder{ResponseRecorder: *httptest.NewRecorder()}
	w := &response{ResponseWriter: r, control: http.NewResponseController(r), stall: stallTime}
	big := strings.Repeat("x", 2*pieceSize+1)
	if n, err := w.Write([]byte(big)); n != len(big) || err != nil || w.status != 200 {
		t.Errorf("Write = %d, %v; status %d", n, err, w.status)
	}
	if got := strings.Join(r.events, " "); got != "deadline 65536 deadline 65536 deadline 1" {
		t.Errorf("the connection saw %s", got)
	}
	if r.Body.String() != big {
		t.Error("what was written is not what arrived")
	}
	r.broken = true
	if n, err := w.Write([]byte(big)); n != 0 || err == nil {
		t.Errorf("on a broken connection Write = %d, %v", n, err)
	}
}

// An answer of many runs, of small blocks and of blocks nearly as large as a run, is
// the blocks one after another.
func TestRuns(t *testing.T) {
	n := newNode(t, nodeConfig{})
	line := chaintest.NewLine(n.chain.Rules())
	want := []byte(`{"chain":[`)
	want = appendBlock(want, n.chain.Rules(), 0, n.chain.Rules().Genesis())
	var blocks []*types.Block
	for height := range uint32(120) {
		var transfers []types.Transfer
		if height > 60 {
			for i := range uint64(height) * 2 {
				transfers = append(transfers, types.Transfer{Sender: "a", Recipient: "b", Amount: i, Expiry: 1000, Salt: uint64(height)<<32 + i})
			}
		}
		b := line.Next(chaintest.Spec{Transfers: transfers, Interval: 1})
		blocks = append(blocks, b)
		want = appendBlock(append(want, ','), n.chain.Rules(), height+1, b)
	}
	want = append(want, "]}\n"...)
	if err := n.chain.AddBlocks(t.Context(), blocks); err != nil {
		t.Fatal(err)
	}
	if len(want) < 4*runSize {
		t.Fatalf("only %d bytes", len(want))
	}
	if got := n.get("/chain").body; got != string(want) {
		t.Errorf("%d bytes that are not the %d that were expected", len(got), len(want))
	}
}

// A client that stops reading is cut off, although the server itself has no
// timeouts; one that is slow is not.
func TestStalledClient(t *testing.T) {
	n := newNode(t, nodeConfig{})
	for range 20 {
		n.post("/create-transaction", `{"sender":"a","recipient":"`+strings.Repeat("b", 64)+`","amount":1}`)
		n.mine()
	}
	ended := make(chan error, 1)
	s := &server{chain: n.chain, rules: n.chain.Rules(), syncer: n.syncer, guard: guard{loopback: true}, log: quiet, stall: 100 * time.Millisecond}
	s.metrics = newMetrics(s)
	server := httptest.NewServer(s.wrap("test", func(w *response, r *http.Request) error {
		// The same chain over and over, as one that is far longer than what the
		// system buffers on its own.
		err := writePart(w, http.StatusOK, nil)
		for range 20_000 {
			if err = s.streamChain(w, `{"chain":`, wholeChain); err != nil {
				break
			}
		}
		ended <- err
		return err
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !isTimeout(err) {
		t.Errorf("the answer ended with %v", err)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// A client that sends no body that it announced does not hold a connection.
func TestStalledBody(t *testing.T) {
	n := newNode(t, nodeConfig{})
	s := &server{chain: n.chain, rules: n.chain.Rules(), syncer: n.syncer, guard: guard{loopback: true}, log: quiet, stall: 50 * time.Millisecond}
	s.metrics = newMetrics(s)
	mux := http.NewServeMux()
	for path, rt := range s.routes() {
		mux.Handle(path, s.handle(rt))
	}
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, request := range []string{
		"POST /create-transaction HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{",
		"POST /create-transaction HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n",
		"GET /chain HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, request)
		if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%.40q: %v", request, err)
		}
	}
}

// However many ask at once, each gets all of the chain, in answers of several runs.
func TestChainToMany(t *testing.T) {
	n := newNode(t, nodeConfig{})
	addTenEach(t, n, 300)
	get := func() string {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/chain", nil)
		r.Host = "localhost"
		n.handler.ServeHTTP(w, r)
		return w.Body.String()
	}
	want := get()
	if len(want) < 2*runSize || !json.Valid([]byte(want)) {
		t.Fatalf("%d bytes, which should be the JSON of some runs of %d", len(want), runSize)
	}
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 4 {
				if got := get(); got != want {
					t.Errorf("%d bytes came, want %d", len(got), len(want))
				}
			}
		})
	}
	group.Wait()
}
