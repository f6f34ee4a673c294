package p2p

import (
	"context"
	"crypto/ed25519"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/chain"
	"cairn/consensus"
	"cairn/miner"
	"cairn/store"
	"cairn/types"
)

var measure = flag.Int("p2p.measure", 0, "TestPropagation measures a network of so many nodes")

// TestPropagation measures how long full blocks take through a simulated network, and
// what they cost. It is no benchmark since those cannot run in a bubble, and what it
// measures passes in its time: that of packets on their way, without that of the
// processors.
//
//	go test ./p2p -run TestPropagation -p2p.measure=100 -v
func TestPropagation(t *testing.T) {
	if *measure == 0 {
		t.Skip("needs -p2p.measure=100")
	}
	synctest.Test(t, func(t *testing.T) { propagate(t, *measure) })
}

// source is a chain without a network, where blocks come from.
type source struct {
	*chain.Manager
	fs    vfs.FS
	store *store.Store
	salt  uint64
}

func newSource(t testing.TB, rules *consensus.Rules) *source {
	s := &source{fs: vfs.NewMem()}
	var err error
	if s.store, err = store.Create("data", rules, store.Options{FS: s.fs}); err != nil {
		t.Fatal(err)
	}
	if s.Manager, err = chain.New(chain.Config{Store: s.store}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *source) close(t testing.TB) {
	s.Manager.Close()
	if err := s.store.Close(); err != nil {
		t.Error(err)
	}
}

// fullBlock is how many transfers with two accounts of 32 bytes fill a block of 1 MB.
const fullBlock = 6100

// transfers makes so many, as large as on a network with signatures.
func (s *source) transfers(count int) []types.Transfer {
	all := make([]types.Transfer, count)
	for i := range all {
		s.salt++
		all[i] = types.Transfer{
			Sender: types.Account(fmt.Sprintf("sender%026d", s.salt%1000)), Recipient: types.Account(fmt.Sprintf("recipient%023d", s.salt%977)),
			Amount: 1, Expiry: 1000, Salt: s.salt,
		}
	}
	return all
}

func addAll(t testing.TB, m *chain.Manager, all []types.Transfer) {
	t.Helper()
	for some := range slices.Chunk(all, 1000) {
		each := make([]*types.Transfer, len(some))
		for i := range some {
			each[i] = &some[i]
		}
		answers, err := m.AddTransfers(t.Context(), each)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range answers {
			if a.Err != nil {
				t.Fatal(a.Err)
			}
		}
	}
}

func propagate(t *testing.T, count int) {
	rules := testRules(t, nil)
	pools, blocks := newSource(t, rules), newSource(t, rules)
	defer blocks.close(t)
	known := blocks.transfers(3 * fullBlock)
	addAll(t, pools.Manager, known)
	pools.close(t)

	dice := rand.New(rand.NewPCG(1, 0))
	w := newWorld(t, 1, count, rules)
	for at, n := range w.nodes {
		if _, err := vfs.Clone(pools.fs, n.fs, "data", "data"); err != nil {
			t.Fatal(err)
		}
		n.stored = true
		n.peers = dice.Perm(at)[:min(at, 3)]
		w.start(at)
	}
	time.Sleep(3*time.Minute + 11*time.Second) // they find each other; not when all greet
	links := 0
	for _, n := range w.nodes {
		links += len(n.Peers())
	}
	t.Logf("%d nodes with %.1f peers on average, 10 to 150 ms and 20 to 50 Mbit/s between them", count, float64(links)/float64(count))

	const quiet = 30 * time.Second
	sent := func() (each []float64) {
		for _, n := range w.nodes {
			each = append(each, float64(n.sent.Swap(0)))
		}
		return each
	}
	sent()
	time.Sleep(quiet)
	idle := sum(sent()) / float64(count)
	t.Logf("without a block, a node sends %.0f bytes in %v", idle, quiet)

	for i := range 6 {
		what, transfers := "all transfers are in all pools", known[i%3*fullBlock:][:fullBlock]
		if i >= 3 {
			what, transfers = "no transfer is in any other pool", blocks.transfers(fullBlock)
		}
		addAll(t, blocks.Manager, transfers)
		block, _, err := miner.New(miner.Config{Chain: blocks.Manager, Recipient: "miner"}).MineOne(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var times []float64
		var cancels []func()
		began := time.Now()
		for _, n := range w.nodes {
			seen := false
			cancels = append(cancels, n.chain.OnChange(func() {
				mu.Lock()
				defer mu.Unlock()
				if !seen && n.chain.Tip().Hash == block.Header.Hash() {
					seen = true
					times = append(times, time.Since(began).Seconds()*1000)
				}
			}))
		}
		origin := dice.IntN(count)
		if err := w.nodes[origin].chain.AddBlocks(context.Background(), []*types.Block{block}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(quiet)
		for _, cancel := range cancels {
			cancel()
		}
		each := sent()
		first := each[origin]
		slices.Sort(each)
		slices.Sort(times)
		if len(times) < count {
			t.Errorf("only %d of %d nodes have block %v", len(times), count, block.Header.Hash())
		}
		size := float64(len(block.Encode()))
		t.Logf("%s: %d in %.0f bytes; median %.0f ms, 95%% %.0f ms, last %.0f ms; a node sends %.0f bytes more (%.2f blocks), at most %.0f, the first %.0f",
			what, len(block.Transfers), size, times[len(times)/2], times[len(times)*95/100], times[len(times)-1],
			sum(each)/float64(count)-idle, (sum(each)/float64(count)-idle)/size, each[count-1], first)
	}
}

func sum(all []float64) (sum float64) {
	for _, x := range all {
		sum += x
	}
	return sum
}

// BenchmarkGossip measures how long 10,000 transfers with signatures take from one
// node's AddTransfers to the pool of the last of four in a line, over TCP on this
// machine, whose cores they share. It is no more than peers take at once.
//
//	go test ./p2p -run XXX -bench Gossip
func BenchmarkGossip(b *testing.B) {
	const count = 10_000
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	owner := types.Account(key.Public().(ed25519.PublicKey))
	rules := testRules(b, func(r *consensus.Rules) {
		r.Signatures, r.CreditLimit = true, 0
		r.Allocations = []consensus.Allocation{{Account: owner, Amount: types.MaxAmount / 2}}
	})
	all := make([]types.Transfer, count)
	for i := range all {
		all[i] = types.Transfer{Sender: owner, Recipient: owner, Amount: 1, Expiry: 1000, Salt: uint64(i)}
		rules.Sign(&all[i], key)
	}
	for range b.N {
		b.StopTimer()
		var nodes []*testNode
		for i, most := range []int{1, 2, 2, 1} { // peers, so that it stays a line
			n := startNode(b, fmt.Sprintf("n%d", i), rules, nil, func(c *Config) { c.MaxPeers = most })
			if i > 0 {
				n.join(nodes[i-1])
			}
			nodes = append(nodes, n)
		}
		time.Sleep(3 * time.Second) // for gossipsub's mesh
		b.StartTimer()
		addAll(b, nodes[0].chain, all)
		eventually(b, "the last node has them all", func() bool { return nodes[3].chain.Pool().Transfers == count })
		b.StopTimer()
		for _, n := range nodes {
			n.stop()
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.N)*count/b.Elapsed().Seconds(), "transfers/s")
}
