package api

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cairn/api/client"
	"cairn/chain/chaintest"
	"cairn/types"
)

// limits are the lengths of pages that are tried.
var limits = []int{1, 2, 3, 7, 20, 99, 100}

// walk returns all items of a list, by pages of some length. Between two pages it
// calls meanwhile, where that is not nil.
func walk[T any](n *testNode, path, query string, limit int, meanwhile func()) (all []T) {
	n.t.Helper()
	cursor := ""
	for {
		page := decode[client.Page[T]](n.get(fmt.Sprintf("%s?limit=%d%s%s", path, limit, query, cursor)))
		if len(page.Items) > limit || len(page.Items) < limit && page.Next != "" {
			n.t.Fatalf("a page of %d, next %q; asked for %d", len(page.Items), page.Next, limit)
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		cursor = "&cursor=" + url.QueryEscape(page.Next)
		if meanwhile != nil {
			meanwhile()
		}
	}
}

// same wants what a walk found to be what is there.
func same[T any](t *testing.T, what string, limit int, got, want []T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s by %d (-want +got):\n%s", what, limit, diff)
	}
}

func TestListsOfBlocks(t *testing.T) {
	n := newNode(t, nodeConfig{})
	addTenEach(t, n, 45)
	var want []client.BlockData
	for height := range 46 {
		want = append(want, decode[client.BlockData](n.get(fmt.Sprint("/v1/blocks/", height))))
	}
	turned := slices.Clone(want)
	slices.Reverse(turned)
	for _, limit := range limits {
		same(t, "ascending", limit, walk[client.BlockData](n, "/v1/blocks", "&order=asc", limit, nil), want)
		same(t, "descending", limit, walk[client.BlockData](n, "/v1/blocks", "&order=desc", limit, nil), turned)
	}
	same(t, "by default", 20, decode[client.Page[client.BlockData]](n.get("/v1/blocks")).Items, turned[:20])
	for _, query := range []string{"cursor=46", "cursor=4294967295&order=asc"} { // one that the chain has lost
		n.get("/v1/blocks?"+query).is(200, `{"items":[]}`)
	}
	last := decode[client.Page[client.BlockData]](n.get("/v1/blocks?order=asc&limit=100"))
	if last.Next != "" || last.Items[0].Confirmations != 46 || last.Items[45].Confirmations != 1 {
		t.Errorf("next %q, confirmations %d and %d", last.Next, last.Items[0].Confirmations, last.Items[45].Confirmations)
	}
}

func TestListsOfTransfers(t *testing.T) {
	n := newNode(t, nodeConfig{})
	b := chaintest.New(n.chain.Rules())
	for _, count := range []int{0, 1, 99, 100, 101, 231} {
		var transfers []types.Transfer
		var want []client.TransferData
		for i := range count {
			transfer := n.transfer(byte(i%7), byte(i%5), uint64(i), 1, uint64(count*1000+i))
			transfer.Expiry = 1000
			transfers = append(transfers, transfer)
			want = append(want, *n.data(&transfer))
		}
		name := fmt.Sprint("of ", count) // beside one another: all but the first are not on the best chain
		block := b.Add(name, chaintest.Genesis, chaintest.Spec{Transfers: transfers})
		if err := n.chain.AddBlocks(t.Context(), []*types.Block{block}); err != nil {
			t.Fatal(err)
		}
		path := "/v1/blocks/" + b.Hash(name).String()
		shows := decode[client.BlockData](n.get(path))
		if shows.TransferCount != count || len(shows.Transfers) != min(count, shown) || shows.Best != (count == 0) || shows.Best != (shows.Confirmations == 1) {
			t.Errorf("a block of %d transfers: %d, %d of them shown, best %v, %d confirmations",
				count, shows.TransferCount, len(shows.Transfers), shows.Best, shows.Confirmations)
		}
		for _, limit := range limits {
			same(t, name, limit, walk[client.TransferData](n, path+"/transfers", "", limit, nil), want)
		}
		n.get(path+"/transfers?cursor=4000000000").is(200, `{"items":[]}`)
	}
}

func (n *testNode) data(t *types.Transfer) *client.TransferData {
	return (&writer{rules: n.chain.Rules()}).transferData(t.ID(), t)
}

// entriesOf is what a list of an account's history should be, from the blocks.
func (n *testNode) entriesOf(a types.Account) (all []client.AccountEntry) {
	snapshot, err := n.chain.Snapshot()
	if err != nil {
		n.t.Fatal(err)
	}
	defer snapshot.Close()
	for block, err := range snapshot.BestBlocks(1, snapshot.Tip.Height) {
		if err != nil {
			n.t.Fatal(err)
		}
		place := client.Place{Hash: block.Header.Hash(), Height: block.Reward.Height, Time: block.Header.Time}
		confirmations := snapshot.Tip.Height - place.Height + 1
		for i := range block.Transfers {
			t := clone(&block.Transfers[i])
			place.Position = uint32(i)
			change := int64(0)
			if t.Sender == a {
				change -= int64(t.Amount) + int64(t.Fee)
			}
			if t.Recipient == a {
				change += int64(t.Amount)
			}
			if t.Sender == a || t.Recipient == a {
				all = append(all, client.AccountEntry{Kind: "transfer", ID: t.ID(), Change: change, Block: place, Confirmations: confirmations, Transfer: n.data(t)})
			}
		}
		if block.Reward.Recipient == a {
			place.Position = uint32(len(block.Transfers))
			all = append(all, client.AccountEntry{Kind: "reward", ID: block.Reward.ID(), Change: int64(block.Reward.Amount), Block: place, Confirmations: confirmations})
		}
	}
	slices.Reverse(all)
	return all
}

// clone returns a transfer with memory of its own.
func clone(t *types.Transfer) *types.Transfer {
	c := *t
	c.Sender, c.Recipient, c.Memo = types.Account(strings.Clone(string(t.Sender))), types.Account(strings.Clone(string(t.Recipient))), strings.Clone(t.Memo)
	return &c
}

// Persons pay each other and themselves, and are paid for blocks; on a branch that
// loses as well.
func TestListsOfHistory(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	n := newNode(t, nodeConfig{})
	b := chaintest.New(n.chain.Rules())
	for _, branch := range []struct {
		name   string
		length int
	}{{"loses", 5}, {"wins", 25}} {
		parent := chaintest.Genesis
		for i := range branch.length {
			var transfers []types.Transfer
			for range rng.IntN(8) {
				transfer := n.transfer(byte(rng.IntN(3)), byte(rng.IntN(3)), rng.Uint64N(100), rng.Uint64N(5), rng.Uint64())
				transfers = append(transfers, transfer)
			}
			name := fmt.Sprint(branch.name, i)
			block := b.Add(name, parent, chaintest.Spec{Transfers: transfers, Miner: n.person(byte(rng.IntN(3)))})
			if err := n.chain.AddBlocks(t.Context(), []*types.Block{block}); err != nil {
				t.Fatal(err)
			}
			parent = name
		}
	}
	for i := range byte(4) {
		want := n.entriesOf(n.person(i))
		sum := int64(0)
		for _, e := range want {
			sum += e.Change
		}
		account := decode[client.AccountData](n.get("/v1/accounts/" + n.text(i)))
		if account.Balance != sum || (i < 3) != (len(want) > 20) {
			t.Errorf("%d entries that come to %d; the balance is %d", len(want), sum, account.Balance)
		}
		path := "/v1/accounts/" + n.text(i) + "/transactions"
		for _, limit := range limits {
			same(t, n.text(i), limit, walk[client.AccountEntry](n, path, "", limit, nil), want)
		}
		// What comes between two pages does not shift the list.
		if i < 3 {
			got := walk[client.AccountEntry](n, path, "", 7, func() {
				n.submit(n.transfer(i, i, 1, 1, rng.Uint64()))
				n.mineV1()
			})
			for k := range got {
				got[k].Confirmations = want[k].Confirmations
			}
			same(t, n.text(i), 7, got, want)
		}
	}
	for _, cursor := range []string{"x", "1", "1.", ".1", "1.2.3", "-1.0", "4294967296.0", strings.Repeat("1", 201)} {
		n.get("/v1/accounts/"+n.text(0)+"/transactions?cursor="+cursor).refused(422, "cursor")
	}
}

// Most transfers of a pool pay the same for each byte. Those that are there all the
// time come once and in order, while others come and leave.
func TestListsOfPool(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	n := newNode(t, nodeConfig{})
	salt, steady := uint64(0), make(map[types.Hash]bool)
	submit := func(fee uint64) types.Transfer {
		salt++
		transfer := n.transfer(1, 2, 1, fee, salt)
		transfer.Memo = "always the same length"
		n.submit(transfer)
		return transfer
	}
	for range 60 {
		transfer := submit([]uint64{0, 500, 500, 500, 1000}[rng.IntN(5)])
		steady[transfer.ID()] = true
	}
	var want []client.PendingTransfer
	pool, _ := n.chain.PoolSnapshot()
	for e := range pool.Best() {
		want = append(want, client.PendingTransfer{FeeRate: e.Rate(), Transfer: *n.data(e.Transfer)})
	}
	for _, limit := range limits {
		same(t, "pool", limit, walk[client.PendingTransfer](n, "/v1/pool", "", limit, nil), want)
	}
	for _, limit := range []int{1, 2, 7} {
		var last types.Transfer
		got := walk[client.PendingTransfer](n, "/v1/pool", "", limit, func() {
			if last.Salt != 0 && rng.IntN(2) == 0 { // takes the place of the last, which a cursor may name
				last.Fee += 100
				n.submit(last)
				return
			}
			last = submit([]uint64{0, 499, 500, 501, 999, 1001}[rng.IntN(6)])
		})
		seen, kept := make(map[types.Hash]bool), []client.PendingTransfer(nil)
		for _, p := range got {
			if seen[p.Transfer.ID] {
				t.Fatalf("%v came twice", p.Transfer.ID)
			}
			seen[p.Transfer.ID] = true
			if steady[p.Transfer.ID] {
				kept = append(kept, p)
			}
		}
		same(t, "a pool that changes", limit, kept, want)
	}
	for _, cursor := range []string{"x", "1.1", "1.0.1", "1.512.1", "9007199254740992.100.1", "1.100.1.1", "-1.100.1"} {
		n.get("/v1/pool?cursor="+cursor).refused(422, "cursor")
	}
}

// An account's pending transfers are those from and to it.
func TestAccountPending(t *testing.T) {
	n := newNode(t, nodeConfig{})
	out, self, in, other := n.transfer(1, 2, 5, 1, 1), n.transfer(1, 1, 7, 1, 2), n.transfer(3, 1, 11, 1, 3), n.transfer(2, 3, 13, 1, 4)
	for _, transfer := range []types.Transfer{in, other, out, self} {
		n.submit(transfer)
	}
	page := decode[client.Page[client.PendingTransfer]](n.get("/v1/accounts/" + n.text(1) + "/pending"))
	var got []types.Hash
	for _, p := range page.Items {
		got = append(got, p.Transfer.ID)
	}
	same(t, "pending", 100, got, []types.Hash{out.ID(), self.ID(), in.ID()})
	account := decode[client.AccountData](n.get("/v1/accounts/" + n.text(1)))
	want := client.AccountPending{Outgoing: 5 + 1 + 7 + 1, OutgoingTransfers: 2, Incoming: 7 + 11, IncomingTransfers: 2}
	if account.Pending != want || account.Balance != 0 || account.Spendable != types.MaxAmount-14 {
		t.Errorf("%+v", account)
	}
}
