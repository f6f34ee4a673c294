package syncer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/types"
)

// ask calls a node's Handler.
func (x *node) ask(method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	x.Handler().ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

// The fork below, where the node has b's branch: what is asked for and what comes.
//
//	genesis ─ a1 ─ a2 ┬ a3
//	                  └ b3 ─ b4
func TestServeHeaders(t *testing.T) {
	n := newNetwork(t, nil)
	n.Chain("a", chaintest.Genesis, 3, chaintest.Spec{})
	n.Add("b3", "a2", chaintest.Spec{})
	n.Add("b4", "b3", chaintest.Spec{})
	x := n.node().has("a1", "a2", "a3").has("b3", "b4")
	unknown := types.Sum(nil)
	for _, c := range []struct {
		after []types.Hash
		max   string
		want  []string
	}{
		{[]types.Hash{n.Hash(chaintest.Genesis)}, "", []string{"a1", "a2", "b3", "b4"}},
		{[]types.Hash{n.Hash(chaintest.Genesis)}, "&max=2", []string{"a1", "a2"}},
		{[]types.Hash{n.Hash("a3"), n.Hash("a2"), n.Hash("a1")}, "", []string{"b3", "b4"}},
		{[]types.Hash{unknown, n.Hash("b3"), n.Hash("a1")}, "&max=100000", []string{"b4"}},
		{[]types.Hash{n.Hash("b4")}, "", nil},
	} {
		w := x.ask("GET", headersPath+"?after="+formatHashes(c.after)+c.max)
		claim, headers, err := readHeaders(w.Body.Bytes(), 10)
		if err != nil || w.Code != http.StatusOK || w.Header().Get("Content-Type") != mediaType {
			t.Fatalf("%d: %v", w.Code, err)
		}
		if claim.Hash != n.Hash("b4") || claim.Height != 4 || claim.Work != n.State("b4").Work {
			t.Errorf("claims %+v", claim)
		}
		var got []string
		for i := range headers {
			got = append(got, n.Name(headers[i].Hash()))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("after %v%s: %v, want %v", c.after, c.max, got, c.want)
		}
	}
	if w := x.ask("GET", headersPath+"?after="+formatHashes([]types.Hash{unknown, n.Hash("a3")})); w.Code != http.StatusNotFound {
		t.Errorf("a locator of unknown blocks: %d", w.Code)
	}
}

func TestServeTip(t *testing.T) {
	n := newNetwork(t, nil)
	n.Chain("a", chaintest.Genesis, 2, chaintest.Spec{})
	x := n.node().has("a1", "a2")
	w := x.ask("GET", tipPath)
	c, err := readClaim(w.Body)
	if err != nil || c.Chain != n.rules.ChainID() || c.Instance != x.instance || c.Height != 2 || c.Hash != n.Hash("a2") || c.Work != n.State("a2").Work {
		t.Errorf("%+v, %v", c, err)
	}
}

// Blocks of every branch are served, in the order in which they were asked for.
func TestServeBlocks(t *testing.T) {
	n := newNetwork(t, nil)
	n.Chain("a", chaintest.Genesis, 2, chaintest.Spec{})
	n.Chain("b", chaintest.Genesis, 3, chaintest.Spec{})
	bulky(n, 20)
	bad := n.Add("bad", "b3", chaintest.Spec{Spoil: func(b *types.Block) { b.Reward.Amount++ }})
	x := n.node().has("a1", "a2").has("b1", "b2", "b3")
	if err := x.chain.AddBlocks(t.Context(), []*types.Block{bad}); !errors.Is(err, consensus.ErrRewardAmount) {
		t.Fatal(err)
	}
	x.has(names("x", 1, 20)...)
	want := []string{"b3", "a2", "", "", chaintest.Genesis, "b1", "b2", "x3", "b2", "x20"}
	want = append(want, names("x", 1, 20)...)
	want = append(want, "", "x5", "x4")
	asked := make([]types.Hash, len(want))
	for i, name := range want {
		asked[i] = types.Sum(nil)
		if name != "" {
			asked[i] = n.Hash(name)
		}
	}
	asked[3] = n.Hash("bad")
	w := x.ask("GET", blocksPath+"?hash="+formatHashes(asked))
	for _, name := range want {
		size, err := readSize(w.Body, 100_000)
		if err != nil {
			t.Fatal(err)
		}
		if name == "" {
			if size != 0 {
				t.Errorf("%d bytes of an unknown block", size)
			}
			continue
		}
		if b := w.Body.Next(size); !bytes.Equal(b, n.Block(name).Encode()) {
			t.Errorf("%s is %x", name, b)
		}
	}
	if w.Body.Len() > 0 {
		t.Error("the answer goes on")
	}
}

func TestServeRefuses(t *testing.T) {
	n := newNetwork(t, nil)
	x := n.node()
	genesis := n.rules.ChainID().String()
	many := strings.TrimSuffix(strings.Repeat(genesis+",", max(maxLocator, maxBlocks)+1), ",")
	for _, c := range []struct {
		method, path string
		code         int
	}{
		{"POST", tipPath, 405},
		{"HEAD", tipPath, 405},
		{"OPTIONS", headersPath, 405},
		{"PUT", blocksPath, 405},
		{"HEAD", genesisPath, 405},
		{"GET", genesisPath + "?a=b", 400},
		{"GET", Path, 404},
		{"GET", "/sync/2/tip", 404},
		{"GET", tipPath + "/", 404},
		{"GET", tipPath + "?a=b", 400},
		{"GET", headersPath, 400},
		{"GET", headersPath + "?after=", 400},
		{"GET", headersPath + "?after=xyz", 400},
		{"GET", headersPath + "?after=" + strings.ToUpper(genesis), 400},
		{"GET", headersPath + "?after=" + many, 400},
		{"GET", headersPath + "?after=" + genesis + "&max=0", 400},
		{"GET", headersPath + "?after=" + genesis + "&max=100001", 400},
		{"GET", headersPath + "?after=" + genesis + "&max=-1", 400},
		{"GET", headersPath + "?after=" + genesis + "&after=" + genesis, 400},
		{"GET", headersPath + "?after=" + genesis + "&more=1", 400},
		{"GET", headersPath + "?after=%zz", 400},
		{"GET", blocksPath, 400},
		{"GET", blocksPath + "?hash=" + many, 400},
		{"GET", blocksPath + "?hash=" + genesis + ",", 400},
	} {
		w := x.ask(c.method, c.path)
		var problem struct {
			Status int
			Detail string
		}
		err := json.Unmarshal(w.Body.Bytes(), &problem)
		if w.Code != c.code || err != nil || problem.Status != c.code || problem.Detail == "" || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %v %+v", c.method, c.path, w.Code, err, problem)
		}
		if c.code == 405 && w.Header().Get("Allow") != "GET" {
			t.Errorf("%s %s allows %q", c.method, c.path, w.Header().Get("Allow"))
		}
	}
}

// When all places are taken, a caller waits a little and is then told to come
// back; the client does.
func TestServeBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, nil)
		n.Chain("a", chaintest.Genesis, 2, chaintest.Spec{})
		x, other := n.node().has("a1", "a2"), n.node()
		for range concurrent {
			x.serving <- struct{}{}
		}
		w := x.ask("GET", tipPath)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		other.register(n.host("x", x.Handler()))
		other.wantSync(false, Busy)
		go func() {
			time.Sleep(3 * time.Second)
			<-x.serving
		}()
		other.wantSync(true, Adopted)
	})
}

// A caller that does not read, or reads too slowly, is cut off and gives its
// place back.
func TestServeWhoDoesNotRead(t *testing.T) {
	for _, reads := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t, nil)
			blocks := bulky(n, 20)
			x := n.node().has(names("x", 1, 20)...)
			n.host("x", x.Handler())
			conn, err := n.dial(t.Context(), "", "x:80")
			if err != nil {
				t.Fatal(err)
			}
			var hashes []types.Hash
			for _, b := range blocks {
				hashes = append(hashes, b.Header.Hash())
			}
			io.WriteString(conn, "GET "+blocksPath+"?hash="+formatHashes(hashes)+" HTTP/1.1\r\nHost: x\r\n\r\n")
			synctest.Wait()
			if len(x.serving) != 1 {
				t.Fatal("it is not being served")
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for b := make([]byte, 300); reads; time.Sleep(time.Second / 10) {
					if _, err := conn.Read(b); err != nil {
						return
					}
				}
			}()
			time.Sleep(x.limits.stall + time.Second)
			if len(x.serving) != 0 {
				t.Error("it is still being served")
			}
			conn.Close()
			<-done
		})
	}
}

// One who reads slowly, but does read, gets everything.
func TestServeSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, nil)
		blocks := bulky(n, 20)
		x := n.node().has(names("x", 1, 20)...)
		var hashes []types.Hash
		want := 0
		for _, b := range blocks {
			hashes = append(hashes, b.Header.Hash())
			want += 4 + b.Size()
		}
		src := &source{address: n.host("x", x.Handler()), carrier: x.transport, limits: x.limits, clock: x.noteClock}
		a, err := src.call(t.Context(), blocksPath+"?hash="+formatHashes(hashes), x.limits.blockBytes)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		got := 0
		for buffer := make([]byte, 8<<10); err == nil; {
			var count int
			count, err = a.Read(buffer)
			got += count
			time.Sleep(time.Second) // 8 KiB/s: five minutes in all
		}
		if err != io.EOF || got != want {
			t.Errorf("%d of %d bytes, %v", got, want, err)
		}
	})
}

// What is served leaves the connection as it was: the next call may come much
// later.
func TestServeOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, nil)
		mux := http.NewServeMux()
		mux.Handle(Path, n.node().Handler())
		mux.HandleFunc("/other", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("other")) })
		src := &source{address: n.host("x", mux), carrier: n.node().transport, limits: defaultLimits(), clock: n.node().noteClock}
		for range 3 {
			if _, err := src.tip(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(45 * time.Second)
			a, err := src.get(t.Context(), "/other", 1)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(a); string(b) != "other" || err != nil {
				t.Errorf("%q, %v", b, err)
			}
			a.Close()
		}
		if n.dials != 1 {
			t.Errorf("%d connections were made", n.dials)
		}
	})
}

// The whole over real sockets, with the transport that nodes have.
func TestOverTCP(t *testing.T) {
	n := newNetwork(t, nil)
	n.Chain("a", chaintest.Genesis, 300, chaintest.Spec{})
	a, b := n.node().has(names("a", 1, 300)...), n.node()
	mux := http.NewServeMux()
	mux.Handle("/some/path"+Path, http.StripPrefix("/some/path", a.Handler()))
	server := httptest.NewServer(mux)
	defer server.Close()
	secure := httptest.NewUnstartedServer(a.Handler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	secure.StartTLS()
	defer secure.Close()
	transport := newTransport()
	defer transport.CloseIdleConnections()
	b.transport = transport
	b.register(server.URL+"/some/path/", secure.URL)
	r, err := b.Sync(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range r.Neighbours {
		want := Adopted
		if got.Address == secure.URL {
			want = Unreachable // nobody vouches for its certificate
		}
		if got.Result != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
	b.wantTip("a300")
}
