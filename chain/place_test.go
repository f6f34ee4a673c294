package chain_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/mempool"
	"cairn/types"
)

// What leaves the pool without being mined says why, and Find tells.
func TestPoolChanges(t *testing.T) {
	f := newFixture(t, func(r *consensus.Rules) {
		r.CreditLimit = 0
		r.Allocations = []consensus.Allocation{{Account: "rich", Amount: 1000}, {Account: "poor", Amount: 10}}
	})
	f.stop()
	f.pool = mempool.Limits{Transfers: 4}
	f.reopen(f.fs)
	_, from := f.PoolSnapshot()
	step := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, f.poolEvents(from)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		_, from = f.PoolSnapshot()
	}
	with := func(t types.Transfer, fee uint64, expiry uint32) types.Transfer {
		t.Fee, t.Expiry = fee, expiry
		return t
	}

	first := with(pay("rich", "x", 1, 1), 1, 50)
	f.submit(first)
	step("submitted", "1 pooled")
	if found, err := f.Find(first.ID()); err != nil || found.Pending == nil || *found.Transfer != first {
		t.Errorf("pending: %+v, %v", found, err)
	}
	bid := with(pay("rich", "x", 2, 1), 30, 50)
	f.submit(bid)
	step("outbid", "1 replaced", "1 pooled")
	if found, _ := f.Find(first.ID()); !errors.Is(found.Dropped, chain.ErrReplaced) || found.Pending != nil {
		t.Errorf("replaced: %+v", found)
	}
	poor := with(pay("poor", "x", 4, 2), 5, 50)
	f.submit(poor, with(pay("rich", "y", 1, 3), 2, 50), with(pay("rich", "y", 1, 4), 3, 2))
	step("more", "2 pooled", "3 pooled", "4 pooled")
	f.submit(with(pay("rich", "y", 1, 5), 40, 50))
	step("into the full pool", "3 evicted", "5 pooled")

	// A block of somebody else's holds another transfer of rich's salt 5, and spends
	// what poor has.
	other := pay("rich", "z", 7, 5)
	f.Add("a1", chaintest.Genesis, chaintest.Spec{Transfers: []types.Transfer{other, pay("poor", "z", 3, 9), bid}})
	f.mustAdd("a1")
	step("a block", "5 other mined", "2 uncovered")
	if found, err := f.Find(bid.ID()); err != nil || found.Mined == nil || found.Mined.Position != 2 || *found.Transfer != bid || found.Mined.Hash != f.Hash("a1") {
		t.Errorf("mined: %+v, %v", found, err)
	}
	f.Add("a2", "a1", chaintest.Spec{})
	f.mustAdd("a2")
	step("a block later", "4 expired")

	// The blocks lose to others: what they held is pending again.
	f.Chain("b", chaintest.Genesis, 3, chaintest.Spec{})
	f.mustAdd(names("b", 1, 3)...)
	step("a reorganisation", "5 pooled", "9 pooled", "1 pooled")
	if found, err := f.Find(types.Hash{1}); err != nil || found.Transfer != nil {
		t.Errorf("unknown: %+v, %v", found, err)
	}
}

// The ring of changes forgets the oldest.
func TestPoolChangesAreBounded(t *testing.T) {
	f := newFixture(t, nil)
	for i := range 3 {
		p := pay("a", "b", 1, 1)
		p.Fee = uint64(100 * (i + 1))
		f.submit(p)
	}
	if got := f.poolEvents(0); len(got) != 5 {
		t.Errorf("%v", got)
	}
	for _, from := range []uint64{6, 1 << 40} {
		if _, next, ok := f.PoolChanges(nil, from, 10); ok || next != 5 {
			t.Errorf("from %d: %v, next %d", from, ok, next)
		}
	}
	changes, next, ok := f.PoolChanges(nil, 1, 2)
	if len(changes) != 2 || next != 3 || !ok {
		t.Errorf("%d changes, next %d, %v", len(changes), next, ok)
	}
}

// Transfers that are submitted together are answered each by itself.
func TestAddTransfers(t *testing.T) {
	f := newFixture(t, func(r *consensus.Rules) { r.CreditLimit = 0 })
	f.Chain("a", chaintest.Genesis, 1, chaintest.Spec{})
	f.mustAdd("a1")
	var ts []*types.Transfer
	for i := range 3000 {
		p := pay(chaintest.Miner, "x", 0, uint64(i))
		ts = append(ts, &p)
	}
	*ts[7] = pay("nobody", "x", 1, 7)
	ts[2000].Signature[0] = 1
	answers, err := f.AddTransfers(t.Context(), ts)
	if err != nil || len(answers) != len(ts) {
		t.Fatal(len(answers), err)
	}
	for i, a := range answers {
		want := error(nil)
		switch i {
		case 7:
			want = consensus.ErrInsufficient
		case 2000:
			want = consensus.ErrUnexpectedSignature
		}
		if !errors.Is(a.Err, want) || (a.Err == nil) != (want == nil) || a.Err == nil && a.Receipt.ID != ts[i].ID() {
			t.Fatalf("answer %d: %+v", i, a)
		}
		_, err := f.CheckTransfer(*ts[i])
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Fatalf("check %d: %v", i, err)
		}
	}
	if answers, err := f.AddTransfers(t.Context(), nil); err != nil || len(answers) != 0 {
		t.Errorf("nothing: %v, %v", answers, err)
	}
	if n := f.Pool().Transfers; n != 2998 {
		t.Errorf("%d are pending", n)
	}
}

// What a place in a block costs follows the pool, and the latest blocks where those
// are full.
func TestFees(t *testing.T) {
	f := newFixture(t, func(r *consensus.Rules) { r.MaxBlockSize = 2000 })
	fees := func() chain.Fees {
		t.Helper()
		fees, err := f.Fees()
		if err != nil {
			t.Fatal(err)
		}
		return fees
	}
	if got := fees(); got.Estimates[0] != (chain.FeeEstimate{Blocks: 1, Rate: 0}) || len(got.Bands) != 0 {
		t.Errorf("empty: %+v", got)
	}
	for i := range 60 { // 19 of 101 bytes go into a band
		p := pay("a", "b", 1, uint64(i))
		p.Fee = uint64(1000 - 10*i)
		f.submit(p)
	}
	got := fees()
	if len(got.Bands) != 4 || got.Bands[0].Transfers != 19 || got.Bands[3].Transfers != 3 || got.Bands[0].Highest != 1000*1000/101 || got.Beyond != 0 {
		t.Errorf("bands %+v", got.Bands)
	}
	if got.Estimates[0].Rate != got.Bands[0].Lowest+1 || got.Estimates[1].Rate != got.Bands[1].Lowest+1 || got.Estimates[2].Rate != 0 {
		t.Errorf("estimates %+v", got.Estimates)
	}
	for range 3 {
		f.mine()
	}
	if got := fees(); got.Bands[0].Transfers < 3 || got.Estimates[0].Rate == 0 {
		t.Errorf("after full blocks %+v", got)
	}
}

func TestObstacle(t *testing.T) {
	f := newFixture(t, func(r *consensus.Rules) { r.CreditLimit = 0 })
	f.Chain("a", chaintest.Genesis, 1, chaintest.Spec{})
	spend := pay(chaintest.Miner, "x", 50, 1)
	f.Add("a2", "a1", chaintest.Spec{Transfers: []types.Transfer{spend}})
	onward := pay("x", "y", 40, 2)
	f.Add("a3", "a2", chaintest.Spec{Transfers: []types.Transfer{onward}})
	f.mustAdd("a1", "a2", "a3")
	f.Chain("b", "a1", 3, chaintest.Spec{Miner: "other"})
	f.mustAdd(names("b", 1, 3)...)
	f.wantPending(spend, onward)
	obstacle := func(id types.Hash) chain.Obstacle {
		t.Helper()
		e, ok := f.Pending(id)
		if !ok {
			t.Fatal("it is not pending")
		}
		o, err := f.Obstacle(&e)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	if o := obstacle(spend.ID()); o.Err != nil || o.Ahead != 0 {
		t.Errorf("what can be paid: %+v", o)
	}
	if o := obstacle(onward.ID()); !errors.Is(o.Err, consensus.ErrInsufficient) || o.Ahead != spend.Size() {
		t.Errorf("what waits for it: %+v", o)
	}
	info, err := f.Account("x")
	if err != nil || info.Out.Amount() != 40 || info.In.Amount() != 50 || info.Balance != 0 || info.Spendable(f.rules) != 0 {
		t.Errorf("account: %+v, %v", info, err)
	}
}
