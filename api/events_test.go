package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"cairn/api/client"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/mempool"
	"cairn/types"
)

// richPeople changes rules so that nobody may owe, and the persons 1 to 9 have 1,000.
func richPeople(r *consensus.Rules) {
	r.CreditLimit = 0
	for i := range byte(9) {
		r.Allocations = append(r.Allocations, consensus.Allocation{Account: types.Account(fmt.Sprint("person", i+1)), Amount: 1000})
	}
}

// listen follows the events of the node from its tip, or from a block, and passes
// them on.
func (l *live) listen(o client.EventsOptions) <-chan client.Event {
	events := make(chan client.Event, 1000)
	go func() {
		for e, err := range l.client().Events(l.t.Context(), o) {
			if err == nil {
				events <- e
			}
		}
	}()
	return events
}

// next wants these events, and nothing between them. What is wanted of each is its
// type, the id of its transfer or the hash of its block, and why it was dropped.
func next(t *testing.T, events <-chan client.Event, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case e := <-events:
			if got := inWords(e); got != w {
				t.Fatalf("event %s; want %s", got, w)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no event; want %s", w)
		}
	}
}

func inWords(e client.Event) string {
	s := e.Type
	if e.Block != nil {
		s += " " + e.Block.Hash.String()
	}
	if e.Transfer != nil {
		s += " " + e.Transfer.ID.String()
	}
	if e.Reason != nil {
		s += " " + string(e.Reason.Rule())
	}
	return s
}

func pooled(t types.Transfer) string { return client.TransferPooled + " " + t.ID().String() }

func droppedFor(t types.Transfer, rule client.Rule) string {
	return client.TransferDropped + " " + t.ID().String() + " " + string(rule)
}

func (l *live) applied(name string) string { return client.BlockApplied + " " + l.Hash(name).String() }
func (l *live) reverted(name string) string {
	return client.BlockReverted + " " + l.Hash(name).String()
}

// Every way into the pool and out of it is told.
func TestPoolEvents(t *testing.T) {
	l := newLive(t, liveRules(t, richPeople), mempool.Limits{Transfers: 3})
	first := l.transfer(1, 2, 1, 10, 1)
	l.submit(first)
	events := l.listen(client.EventsOptions{Pool: true})
	next(t, events, client.PoolReset, pooled(first))

	replaced := l.transfer(2, 3, 1, 20, 2)
	better := l.transfer(2, 3, 1, 30, 2)
	l.submit(replaced)
	next(t, events, pooled(replaced))
	l.submit(better)
	next(t, events, droppedFor(replaced, client.ErrReplaced), pooled(better))

	other := l.transfer(3, 4, 1, 40, 3)
	l.submit(other)
	next(t, events, pooled(other))
	best := l.transfer(4, 5, 900, 50, 4)
	l.submit(best)
	next(t, events, droppedFor(first, client.ErrEvicted), pooled(best))

	// A block with another transfer in the place of one that waits.
	l.extend("a1", chaintest.Genesis, l.transfer(3, 4, 2, 0, 3))
	next(t, events, l.applied("a1"), droppedFor(other, client.ErrOtherMined))
	// One that spends what was to pay for another.
	l.extend("a2", "a1", l.transfer(4, 5, 900, 0, 5))
	next(t, events, l.applied("a2"), droppedFor(best, client.ErrUncovered))
	// One that holds what waits: the block says so itself.
	l.extend("a3", "a2", better)
	next(t, events, l.applied("a3"))
	// One after which it is too late.
	late := l.transfer(1, 2, 1, 60, 6)
	late.Expiry = 4
	l.submit(late)
	next(t, events, pooled(late))
	l.extend("a4", "a3")
	next(t, events, l.applied("a4"), droppedFor(late, client.ErrExpired))

	// Another branch, which holds one of two that come back.
	l.Chain("b", "a2", 3, chaintest.Spec{})
	l.add("b1", "b2", "b3")
	next(t, events, l.reverted("a4"), l.reverted("a3"), l.applied("b1"), l.applied("b2"), l.applied("b3"), pooled(better))

	// Whoever does not ask for the pool hears nothing of it.
	blocks := l.listen(client.EventsOptions{After: l.Hash("b2")})
	next(t, blocks, l.applied("b3"))
	l.submit(l.transfer(5, 6, 1, 60, 7))
	l.extend("b4", "b3")
	next(t, blocks, l.applied("b4"))
}

// Whoever keeps the pool by its events has the pool, although transfers are mined
// faster than the events are read.
func TestPoolByEvents(t *testing.T) {
	l := newLive(t, liveRules(t, nil), mempool.Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	pending := make(map[types.Hash]bool)
	at := types.Hash{}
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	wait.Go(func() {
		c := l.client()
		for e, err := range c.Events(ctx, client.EventsOptions{Pool: true}) {
			if err != nil {
				return
			}
			mu.Lock()
			switch e.Type {
			case client.PoolReset:
				clear(pending)
			case client.TransferPooled:
				pending[e.Transfer.ID] = true
			case client.TransferDropped:
				delete(pending, e.Transfer.ID)
			case client.BlockApplied:
				block, err := c.Block(ctx, e.Block.Hash.String())
				if err == nil {
					for _, t := range block.Transfers {
						delete(pending, t.ID)
					}
				}
				at = e.Block.Hash
			}
			mu.Unlock()
		}
	})
	parent := chaintest.Genesis
	for i := range 300 {
		mined, waits := l.transfer(1, 2, 1, 1, uint64(i)), l.transfer(1, 3, 1, 1, uint64(10_000+i))
		if _, err := l.chain.AddTransfers(ctx, []*types.Transfer{&mined, &waits}); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprint("b", i)
		l.extend(name, parent, mined)
		parent = name
	}
	last := l.transfer(1, 2, 1, 1, 99_999)
	l.submit(last)
	eventually(t, "the reader at the end", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return at == l.chain.Tip().Hash && pending[last.ID()]
	})
	mu.Lock()
	defer mu.Unlock()
	if want := l.chain.Pool().Transfers; len(pending) != want {
		t.Errorf("the reader has %d pending transfers, the node %d", len(pending), want)
	}
	for id := range pending {
		if _, ok := l.chain.Pending(id); !ok {
			t.Fatalf("the reader has %v, which is not pending", id)
		}
	}
}

// More transfers than are read at a time may be mined before anybody hears of them.
func TestMinedUnheard(t *testing.T) {
	l := newLive(t, liveRules(t, nil), mempool.Limits{})
	w := httptest.NewRecorder()
	s := &server{chain: l.chain, rules: l.Rules, stall: stallTime}
	f := &follower{s: s, w: &response{ResponseWriter: w, control: http.NewResponseController(w), stall: s.stall}, at: l.Rules.ChainID(), pool: true}
	if err := f.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	var many []types.Transfer
	for i := range uint64(2*eventRun + 10) {
		many = append(many, l.transfer(1, 2, 1, 1, i))
	}
	var each []*types.Transfer
	for i := range many {
		each = append(each, &many[i])
	}
	if _, err := l.chain.AddTransfers(t.Context(), each); err != nil {
		t.Fatal(err)
	}
	l.extend("a1", chaintest.Genesis, many...)
	last := l.transfer(1, 2, 1, 1, 99_999)
	l.submit(last)
	if err := f.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	var events []string
	for line := range strings.Lines(w.Body.String()) {
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			events = append(events, strings.TrimSpace(name))
		}
	}
	if got := strings.Join(events, " "); got != "pool_reset block_applied transfer_pooled" || !strings.Contains(w.Body.String(), last.ID().String()) {
		t.Errorf("events %s", got)
	}
}

// A block is told of when it is on disk, and not before.
func TestEventsAreDurable(t *testing.T) {
	var gate sync.RWMutex // held by the test while nothing gets to the disk
	var held atomic.Int32
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			held.Add(1)
			gate.RLock()
			defer gate.RUnlock()
			held.Add(-1)
		}
		return nil
	}))
	l := newLiveOn(t, fs, liveRules(t, nil), mempool.Limits{}, nil)
	genesis := l.Rules.ChainID()
	early := l.listen(client.EventsOptions{After: genesis, Pool: true})
	next(t, early, client.PoolReset)
	gate.Lock()
	open := sync.OnceFunc(gate.Unlock)
	defer open()
	l.Add("a1", chaintest.Genesis, chaintest.Spec{})
	added := make(chan error, 1)
	go func() { added <- l.chain.AddBlocks(context.Background(), l.Blocks("a1")) }()
	eventually(t, "the block on its way to the disk", func() bool { return held.Load() > 0 })
	late := l.listen(client.EventsOptions{After: genesis})
	select {
	case e := <-early:
		t.Errorf("%s before the block is on disk", inWords(e))
	case e := <-late:
		t.Errorf("%s before the block is on disk, to one who came meanwhile", inWords(e))
	case err := <-added:
		t.Errorf("the block was added, although nothing gets to the disk: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	open()
	if err := <-added; err != nil {
		t.Fatal(err)
	}
	next(t, early, l.applied("a1"))
	next(t, late, l.applied("a1"))
}

// eventServer serves events and nothing else, by a server that is changed for the
// test. Its ends come out of the channel.
func (l *live) eventServer(change func(*server), o eventsParams) (*httptest.Server, <-chan error) {
	ended := make(chan error, 10)
	s := &server{chain: l.chain, rules: l.Rules, syncer: l.syncer, guard: guard{loopback: true}, log: quiet, stall: stallTime}
	change(s)
	s.metrics = newMetrics(s)
	h := httptest.NewUnstartedServer(s.wrap("events", func(w *response, r *http.Request) error {
		at := o
		at.LastEventID = r.Header.Get("Last-Event-ID")
		err := s.events(w, r, &at)
		ended <- err
		return err
	}))
	h.Listener = smallBuffers{h.Listener}
	h.Start()
	l.t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
	return h, ended
}

// smallBuffers make connections for which the system keeps little.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(4096) // the system may do as it likes
	}
	return conn, err
}

// A reader that takes nothing is cut off, and resumes where it was.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	l := newLive(t, liveRules(t, nil), mempool.Limits{})
	const count = 1500
	blocks := l.Chain("a", chaintest.Genesis, count, chaintest.Spec{})
	if err := l.chain.AddBlocks(t.Context(), blocks); err != nil {
		t.Fatal(err)
	}
	h, ended := l.eventServer(func(s *server) { s.stall = 100 * time.Millisecond }, eventsParams{After: l.Rules.ChainID().String()})
	dialer := net.Dialer{}
	conn, err := dialer.DialContext(t.Context(), "tcp", h.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if err := <-ended; !isTimeout(err) {
		t.Fatalf("the stream ended with %v", err)
	}
	got := make(map[string]bool)
	last := readIDs(t, conn, got)
	if len(got) == 0 || len(got) >= count {
		t.Fatalf("%d of %d events came before the end", len(got), count)
	}
	request, err := http.NewRequestWithContext(t.Context(), "GET", h.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Last-Event-ID", last)
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if lines.Scan(); lines.Text() != "id: "+last {
		t.Errorf("the stream begins with %q", lines.Text())
	}
	for len(got) < count && lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			if got[id] {
				t.Fatalf("%s came twice", id)
			}
			got[id] = true
		}
	}
	if len(got) != count || !got[l.Hash(fmt.Sprint("a", count)).String()] {
		t.Errorf("%d of %d events", len(got), count)
	}
}

// readIDs reads what came of a stream that was cut, and returns the id of the last
// event that is whole.
func readIDs(t *testing.T, conn net.Conn, got map[string]bool) (last string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	all, _ := io.ReadAll(resp.Body) // it was cut
	whole := string(all[:strings.LastIndex(string(all), "\n\n")+2])
	for event := range strings.SplitSeq(whole, "\n\n") {
		line, rest, _ := strings.Cut(event, "\n")
		id, ok := strings.CutPrefix(line, "id: ")
		if !ok {
			continue
		}
		if last = id; rest != "" { // the first has no event: it says where the stream begins
			got[id] = true
		}
	}
	return last
}

// However little happens, a reader hears something every 15 seconds.
func TestHeartbeat(t *testing.T) {
	n := newNode(t, nodeConfig{})
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		s := &server{chain: n.chain, rules: n.chain.Rules(), stall: stallTime}
		ctx, cancel := context.WithCancel(t.Context())
		f := &follower{s: s, w: &response{ResponseWriter: w, control: http.NewResponseController(w), stall: s.stall}, at: n.chain.Tip().Hash}
		ended := make(chan error)
		go func() { ended <- f.follow(ctx) }()
		time.Sleep(3*heartbeat + time.Second)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got, want := w.Body.String(), "id: "+n.chain.Tip().Hash.String()+"\n\n"+strings.Repeat(":\n\n", 3); got != want {
			t.Errorf("%q came, want %q", got, want)
		}
	})
}

func TestEventsAnswers(t *testing.T) {
	n := newNode(t, nodeConfig{})
	for _, target := range []string{"/v1/events", "/v1/events?pool=true", "/v1/events?after=" + n.chain.Tip().Hash.String()} {
		a := n.do(http.MethodHead, target, "")
		if a.status != 200 || a.body != "" || a.header.Get("Content-Type") != mediaEvents {
			t.Errorf("%s: %d %q %v", a.what, a.status, a.body, a.header)
		}
	}
	unknown := strings.Repeat("ab", 32)
	for _, a := range []answer{
		n.get("/v1/events?after=" + unknown), n.get("/v1/events", "Last-Event-ID", unknown), n.do(http.MethodHead, "/v1/events?after="+unknown, ""),
		n.get("/v1/events?after="+n.chain.Tip().Hash.String(), "Last-Event-ID", unknown),
	} {
		if p := a.refused(404, n.chain.Rules().ChainID().String()); p.Rule() != client.ErrNotFound {
			t.Errorf("%s: %+v", a.what, p)
		}
	}
	for _, query := range []string{"after=1", "pool=maybe", "before=1"} {
		n.get("/v1/events?" + query).refused(422)
	}
	n.post("/v1/events", "").refused(405)
	for range maxReaders { // each gives its place back
		if a := n.do(http.MethodHead, "/v1/events", ""); a.status != 200 {
			t.Fatalf("%s: %d %s", a.what, a.status, a.body)
		}
	}
}

// The node says so when it serves as many streams as it can.
func TestTooManyReaders(t *testing.T) {
	l := newLive(t, liveRules(t, nil), mempool.Limits{})
	h, _ := l.eventServer(func(s *server) { s.readers.most = 1 }, eventsParams{})
	first, err := http.Get(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	get := func() int {
		resp, err := http.Get(h.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if status := get(); status != http.StatusTooManyRequests {
		t.Errorf("the second stream: %d", status)
	}
	first.Body.Close()
	eventually(t, "a place for another", func() bool { return get() == http.StatusOK })
}

// A thousand readers at once hear of a block, and cost little.
func TestThousandReaders(t *testing.T) {
	const count = 1000
	l := newLive(t, liveRules(t, nil), mempool.Limits{})
	l.extend("a1", chaintest.Genesis)
	before := memoryInUse()
	readers := make([]net.Conn, count)
	for i := range readers {
		conn, err := net.Dial("tcp", l.hostPort)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /v1/events?after=%v HTTP/1.1\r\nHost: localhost\r\n\r\n", l.Rules.ChainID())
		readers[i] = conn
	}
	hear := func(name string) {
		b := make([]byte, 4096)
		for _, conn := range readers {
			if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			for text := ""; !strings.Contains(text, "id: "+l.Hash(name).String()); {
				n, err := conn.Read(b)
				if err != nil {
					t.Fatal(err)
				}
				text += string(b[:n])
			}
		}
	}
	hear("a1")
	each := (memoryInUse() - before) / count
	t.Logf("%d bytes of memory for each reader, both ends of the connection together", each)
	if each > 100_000 {
		t.Errorf("%d bytes of memory for each reader", each)
	}
	l.extend("a2", "a1")
	hear("a2")
}

func memoryInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
