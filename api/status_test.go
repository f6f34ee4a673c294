package api

import (
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"cairn/api/client"
	"cairn/chain/chaintest"
	"cairn/consensus"
)

func TestStatus(t *testing.T) {
	n := newNode(t, nodeConfig{})
	n.mine()
	n.post("/create-transaction", `{"sender":"a","recipient":"b","amount":1}`)
	n.post("/register-node", `{"address":"http://a.example"}`)
	a := n.get("/v1/status")
	got := decode[client.Status](a)
	tip := n.chain.Tip()
	if got.Pool.Bytes <= 0 || got.Uptime < 0 {
		t.Errorf("pool %+v, uptime %d", got.Pool, got.Uptime)
	}
	if got.Disk.Used <= 0 {
		t.Errorf("disk %+v", got.Disk)
	}
	got.Pool.Bytes, got.Uptime, got.Disk = 0, 0, client.DiskStatus{}
	want := client.Status{
		Network: "dev", ChainID: consensus.Dev().ChainID(), Height: 1, Tip: tip.Hash, Work: tip.Work.String(), Time: tip.Time,
		Pool: client.PoolStatus{Transfers: 1}, Sync: client.SyncStatus{Height: 1}, Neighbours: 1, Version: "v1.2.3-test", NodeAddress: n.address,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if ct := a.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("content type %q", ct)
	}
}

// The hash rate is always that of the tip that is told beside it.
func TestHashRate(t *testing.T) {
	n := newNode(t, nodeConfig{})
	b := chaintest.New(n.chain.Rules())
	first := b.Chain("a", chaintest.Genesis, 1, chaintest.Spec{})
	if err := n.chain.AddBlocks(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	parent := "a1"
	for i, interval := range []uint32{10, 1, 100} {
		name := string(rune('b' + i))
		if err := n.chain.AddBlocks(t.Context(), b.Chain(name, parent, 5, chaintest.Spec{Interval: interval})); err != nil {
			t.Fatal(err)
		}
		parent = name + "5"
		from, tip := b.State("a1"), b.State(parent)
		want := (workFloat(tip.Work) - workFloat(from.Work)) / float64(tip.Time-from.Time)
		for range 2 {
			if got := decode[client.Status](n.get("/v1/status")); got.Tip != tip.Hash || got.HashRate != want {
				t.Errorf("hash rate %v, want %v", got.HashRate, want)
			}
		}
	}
}

// usageFS counts how often it is asked for the room on the disk.
type usageFS struct {
	vfs.FS
	asked atomic.Int64
}

func (f *usageFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	f.asked.Add(1)
	return vfs.DiskUsage{AvailBytes: uint64(f.asked.Load())}, nil
}

// Whoever asks again and again does not have the disk looked at each time, but hears of
// it in time.
func TestStatusDisk(t *testing.T) {
	fs := &usageFS{FS: vfs.NewMem()}
	n := newNode(t, nodeConfig{fs: fs})
	free := func() int64 { return decode[client.Status](n.get("/v1/status")).Disk.Free }
	began, before := time.Now(), fs.asked.Load()
	first := free()
	for range 50 {
		free()
	}
	if asked, most := fs.asked.Load()-before, 1+int64(time.Since(began)/diskAge); asked > most {
		t.Errorf("the disk was looked at %d times", asked)
	}
	time.Sleep(diskAge)
	if first == free() {
		t.Error("it is not looked at any more")
	}
}

func TestHealth(t *testing.T) {
	n := newNode(t, nodeConfig{})
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		a := n.get(path)
		if a.status != 200 || a.body != want || a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d %q %v", path, a.status, a.body, a.header)
		}
		if got := a.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q", path, got)
		}
	}
}

func TestMetrics(t *testing.T) {
	n := newNode(t, nodeConfig{})
	n.mine()
	n.post("/create-transaction", `{"sender":"a","recipient":"b","amount":1}`)
	n.post("/create-transaction", `{"sender":"a"}`)
	for _, path := range []string{"/random1", "/random2", "/page.css", "/sync/1/tip"} {
		n.get(path)
	}
	text := n.get("/metrics").body
	for _, line := range []string{
		"cairn_chain_height 1", "cairn_pool_transfers 1", "cairn_neighbours 0",
		`cairn_http_requests_total{route="/mine",status="200"} 1`,
		`cairn_http_requests_total{route="/create-transaction",status="201"} 1`,
		`cairn_http_requests_total{route="/create-transaction",status="422"} 1`,
		`cairn_http_requests_total{route="other",status="404"} 2`,
		`cairn_http_requests_total{route="page",status="200"} 1`,
		`cairn_http_requests_total{route="/sync/",status="200"} 1`,
		`cairn_http_requests_running{route="/metrics"} 1`,
		`cairn_http_requests_running{route="/mine"} 0`,
		`cairn_http_request_duration_seconds_count{route="/mine"} 1`,
		"go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("no line %q", line)
		}
	}
	for _, line := range []string{`cairn_chain_work [1-9]`, `cairn_chain_tip_time_seconds 1\.\d+e\+09`, `cairn_pool_bytes [1-9]`,
		`cairn_build_info\{go="go[^"]+",network="dev",version="v1.2.3-test"\} 1`} {
		if !regexp.MustCompile(`(?m)^` + line).MatchString(text) {
			t.Errorf("no line like %s", line)
		}
	}
	if strings.Contains(text, "random") {
		t.Error("what clients ask for became a label")
	}
}

func TestWorkFloat(t *testing.T) {
	if got := workFloat(consensus.Work{3}); got != 3 {
		t.Errorf("3 became %v", got)
	}
	if got := workFloat(consensus.Work{0, 1, 0, 1}); got != 0x1p192+0x1p64 {
		t.Errorf("2^192 + 2^64 became %v", got)
	}
}
