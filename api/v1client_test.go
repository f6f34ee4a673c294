package api

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cairn/api/client"
	"cairn/mempool"
	"cairn/types"
)

// collect returns what a list yields, up to its error.
func collect[T any](t *testing.T, list iter.Seq2[T, error]) (all []T) {
	t.Helper()
	for item, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, item)
	}
	return all
}

// got wants a call to go well.
func got[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// The calls of the Go client are those of the node.
func TestClient(t *testing.T) {
	l := newLive(t, keyedRules(t, nil), mempool.Limits{MinFeeRate: 10})
	c, ctx := l.client(), t.Context()
	network := got[client.Network](t)(c.Network(ctx))
	if network.ChainID != l.Rules.ChainID() || !network.Signatures || network.Policy.MinFeeRate != 10 || network.Policy.MaxTransfers != mempool.DefaultTransfers {
		t.Errorf("network %+v", network)
	}
	if genesis := got[client.Genesis](t)(c.Genesis(ctx)); string(genesis)+"\n" != string(l.Rules.JSON()) {
		t.Errorf("genesis %s", genesis)
	}

	var sent []types.Transfer
	for salt := range uint64(130) {
		transfer := l.transfer(1, 2, 3, 100+salt, salt)
		sent = append(sent, transfer)
		encoding := transfer.Append(nil)
		if salt < 5 {
			if check := got[client.Checked](t)(c.Check(ctx, encoding)); !check.Acceptable || check.LeastFee != 2 || check.Size != len(encoding) {
				t.Errorf("check %+v", check)
			}
		}
		if taken := got[client.Accepted](t)(c.Submit(ctx, encoding)); taken != (client.Accepted{ID: transfer.ID(), Status: client.Pending, BlockIndex: 1}) {
			t.Errorf("accepted %+v", taken)
		}
	}
	pool := collect(t, c.Pool(ctx))
	if len(pool) != 130 || pool[0].Transfer.ID != sent[129].ID() || pool[129].Transfer.ID != sent[0].ID() {
		t.Errorf("%d transfers in the pool", len(pool))
	}
	if waiting := got[[]client.PendingTransfer](t)(c.AccountWaiting(ctx, l.text(2))); len(waiting) != 100 {
		t.Errorf("%d transfers wait", len(waiting))
	}
	if fees := got[client.Fees](t)(c.Fees(ctx)); fees.Least != 10 || len(fees.Bands) != 1 || fees.Bands[0].Transfers != 130 {
		t.Errorf("fees %+v", fees)
	}
	ahead := 0
	for i := range sent[1:] {
		ahead += sent[1+i].Size()
	}
	transaction := got[client.TransactionData](t)(c.Transaction(ctx, sent[0].ID(), 0))
	if transaction.Status != client.Pending || transaction.Waiting.Problem != nil || transaction.Waiting.BytesAhead != ahead {
		t.Errorf("pending: %+v %+v", transaction, transaction.Waiting)
	}

	block := got[client.BlockData](t)(c.MineBlock(ctx))
	if diff := cmp.Diff(block, got[client.BlockData](t)(c.Block(ctx, "1"))); diff != "" || block.TransferCount != 130 || len(block.Transfers) != 100 {
		t.Errorf("mined (-mined +got):\n%s", diff)
	}
	if transaction := got[client.TransactionData](t)(c.Transaction(ctx, sent[0].ID(), 0)); transaction.Status != client.Confirmed || transaction.Block.Hash != block.Hash {
		t.Errorf("confirmed: %+v", transaction)
	}
	if transaction := got[client.TransactionData](t)(c.Transaction(ctx, types.Hash{1}, 1)); transaction.Status != client.Lapsed {
		t.Errorf("expired: %+v", transaction)
	}
	if taken := got[client.Accepted](t)(c.Submit(ctx, sent[0].Append(nil))); taken != (client.Accepted{ID: sent[0].ID(), Status: client.Confirmed, BlockIndex: 1}) {
		t.Errorf("accepted again: %+v", taken)
	}
	history := collect(t, c.AccountHistory(ctx, l.text(1)))
	if len(history) != 131 || history[0].Kind != "reward" || history[130].Block.Position != 0 {
		t.Errorf("a history of %d", len(history))
	}
	account := got[client.AccountData](t)(c.AccountData(ctx, l.text(2)))
	if account.Balance != 3*130 || account.Spendable != 3*130 || account.Height != 1 || account.Block != block.Hash {
		t.Errorf("account %+v", account)
	}
	if status := got[client.Status](t)(c.Status(ctx)); status.Tip != block.Hash || status.Height != 1 || status.Pool.Transfers != 0 {
		t.Errorf("status %+v", status)
	}

	if n := got[client.NeighbourData](t)(c.AddNeighbour(ctx, "http://a.example/")); n.Address == "" {
		t.Errorf("neighbour %+v", n)
	}
	if all := got[[]client.NeighbourData](t)(c.Neighbours(ctx)); len(all) != 1 || all[0].Address != "http://a.example" {
		t.Errorf("neighbours %+v", all)
	}
	if err := c.RemoveNeighbour(ctx, "http://a.example"); err != nil {
		t.Error(err)
	}
	token := got[client.TokenData](t)(c.CreateToken(ctx, client.NewToken{Name: "till 7?", Scope: client.ScopeSubmit}))
	if all := got[[]client.TokenData](t)(c.Tokens(ctx)); len(all) != 1 || all[0].Name != "till 7?" || token.Token == "" {
		t.Errorf("tokens %+v", all)
	}
	if err := c.RevokeToken(ctx, "till 7?"); err != nil {
		t.Error(err)
	}
	if err := c.RevokeToken(ctx, "till 7?"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("revoked again: %v", err)
	}
}

// What a transfer lacks is found by its rule, with the values that were compared.
func TestClientErrors(t *testing.T) {
	l := newLive(t, keyedRules(t, nil), mempool.Limits{MinFeeRate: 1000, PerAccount: 1})
	c, ctx := l.client(), t.Context()
	waits := l.transfer(1, 2, allOfIt/2, 1000, 1)
	if _, err := c.Submit(ctx, waits.Append(nil)); err != nil {
		t.Fatal(err)
	}
	same := waits
	same.Fee = 999
	l.Rules.Sign(&same, keyOf(1))
	poor, cheap, second := l.transfer(2, 1, 5, 1000, 1), l.transfer(2, 1, 5, 1, 1), l.transfer(1, 2, 5, 1000, 2)
	late := l.transfer(2, 1, 5, 1000, 1)
	late.Expiry = 4_000_000
	l.Rules.Sign(&late, keyOf(2))
	for _, test := range []struct {
		transfer types.Transfer
		rule     client.Rule
		values   client.Values
	}{
		{poor, client.ErrInsufficient, client.Values{"balance": 0, "spendable": 0, "pending": 0, "needed": 1005}},
		{cheap, client.ErrFeeTooLow, client.Values{"fee": 1, "least": int64(cheap.Size()), "size": int64(cheap.Size())}},
		{second, client.ErrAccountLimit, client.Values{"limit": 1}},
		{same, client.ErrConflict, client.Values{"fee": 999, "pending_fee": 1000}},
		{late, client.ErrExpiryTooFar, client.Values{"expiry": 4_000_000, "least": 1, "most": 1_000_001}},
	} {
		_, err := c.Submit(ctx, test.transfer.Append(nil))
		var p *client.Problem
		if !errors.Is(err, test.rule) || !errors.As(err, &p) {
			t.Errorf("%v; want %s", err, test.rule)
			continue
		}
		if diff := cmp.Diff(test.values, p.Values); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.rule, diff)
		}
		check := got[client.Checked](t)(c.Check(ctx, test.transfer.Append(nil)))
		if diff := cmp.Diff(p, check.Problem); diff != "" || check.Acceptable {
			t.Errorf("%s is checked otherwise (-submitted +checked):\n%s", test.rule, diff)
		}
	}
	if errors.Is(fmt.Errorf("around: %w", client.ErrInsufficient), client.ErrConflict) {
		t.Error("one rule is taken for another")
	}
	if rules := client.Rules(); !slices.Contains(rules, client.ErrInsufficient) {
		t.Errorf("rules %v", rules)
	}
}
