package api

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"cairn/accounts"
	"cairn/api/client"
	"cairn/chain"
	"cairn/consensus"
	"cairn/mempool"
	"cairn/store"
	"cairn/types"
)

// registerAccounts registers the calls about accounts.
func (d *docs) registerAccounts() {
	s := d.s
	endpoint(d, get("/v1/accounts/{account}", "get-account", tagMoney, "What an account holds, and what is pending for it"), s.account)
	endpoint(d, get("/v1/accounts/{account}/transactions", "list-account-transactions", tagMoney,
		"What happened to an account on the best chain, the latest first"), s.accountHistory)
	endpoint(d, get("/v1/accounts/{account}/pending", "list-account-pending", tagMoney,
		"Pending transfers from and to an account"), s.accountPending)
}

func (s *server) account(_ context.Context, in *AccountParam) (client.AccountData, error) {
	a, err := in.parse(s.rules)
	if err != nil {
		return client.AccountData{}, err
	}
	info, err := s.chain.Account(a)
	if err != nil {
		return client.AccountData{}, err
	}
	return client.AccountData{
		Account: s.rules.FormatAccount(a), Balance: info.Balance, Spendable: info.Spendable(s.rules),
		Pending: client.AccountPending{
			Outgoing: info.Out.Amount(), OutgoingTransfers: info.Out.Count,
			Incoming: info.In.Amount(), IncomingTransfers: info.In.Count,
		},
		Height: info.Tip.Height, Block: info.Tip.Hash,
	}, nil
}

type accountPage struct {
	AccountParam
	Paging
}

// entryCursor is where a page of an account's history begins: at a height, with what
// is at a position or below.
type entryCursor struct{ height, position uint32 }

func (c entryCursor) String() string { return fmt.Sprintf("%d.%d", c.height, c.position) }

func parseEntryCursor(text string) (c entryCursor, err error) {
	if text == "" {
		return entryCursor{math.MaxUint32, math.MaxUint32}, nil
	}
	height, position, found := strings.Cut(text, ".")
	h, err1 := strconv.ParseUint(height, 10, 32)
	p, err2 := strconv.ParseUint(position, 10, 32)
	if !found || err1 != nil || err2 != nil {
		return c, badCursor(text)
	}
	return entryCursor{uint32(h), uint32(p)}, nil
}

func (s *server) accountHistory(_ context.Context, in *accountPage) (client.Page[client.AccountEntry], error) {
	page := client.Page[client.AccountEntry]{Items: []client.AccountEntry{}}
	a, err := in.parse(s.rules)
	if err != nil {
		return page, err
	}
	at, err := parseEntryCursor(in.Cursor)
	if err != nil {
		return page, err
	}
	snapshot, err := s.chain.Snapshot()
	if err != nil {
		return page, err
	}
	defer snapshot.Close()
	h := history{s.writer(), snapshot, a}
	for m, err := range snapshot.Mentions(accounts.KeyOf(a), at.height) {
		if err != nil {
			return page, err
		}
		for i := len(m.Positions) - 1; i >= 0; i-- {
			position := m.Positions[i]
			if m.Height == at.height && position > at.position {
				continue
			}
			if len(page.Items) == in.Limit {
				page.Next = entryCursor{m.Height, position}.String()
				return page, nil
			}
			entry, err := h.entry(store.Loc{Height: m.Height, Position: position})
			if err != nil {
				return page, err
			}
			page.Items = append(page.Items, entry)
		}
	}
	return page, nil
}

// history makes the lines of one account's history.
type history struct {
	*writer
	snapshot *chain.Snapshot
	account  types.Account
}

func (h *history) entry(loc store.Loc) (client.AccountEntry, error) {
	e := client.AccountEntry{Kind: "transfer", Confirmations: h.snapshot.Tip.Height - loc.Height + 1}
	if loc.Position == consensus.RewardPosition {
		return h.reward(e, loc.Height)
	}
	place, t, err := h.snapshot.TransferAt(loc)
	if err != nil {
		return e, err
	}
	if t.Sender == h.account {
		e.Change -= int64(t.Amount + t.Fee)
	}
	if t.Recipient == h.account {
		e.Change += int64(t.Amount)
	}
	e.ID, e.Block = t.ID(), *placeOf(place)
	e.Transfer = h.transferData(e.ID, t)
	return e, nil
}

func (h *history) reward(e client.AccountEntry, height uint32) (client.AccountEntry, error) {
	hash, err := h.snapshot.BestHash(height)
	if err != nil {
		return e, err
	}
	header, reward, transfers, err := h.snapshot.Reward(height, hash)
	if err != nil {
		return e, err
	}
	e.Kind, e.ID, e.Change = "reward", reward.ID(), int64(reward.Amount)
	e.Block = client.Place{Hash: hash, Height: height, Time: header.Time, Position: uint32(transfers)}
	return e, nil
}

func (s *server) accountPending(_ context.Context, in *AccountParam) (client.Page[client.PendingTransfer], error) {
	page := client.Page[client.PendingTransfer]{Items: []client.PendingTransfer{}}
	a, err := in.parse(s.rules)
	if err != nil {
		return page, err
	}
	w := s.writer()
	for _, e := range s.chain.PendingOf(a, 100) {
		page.Items = append(page.Items, w.pending(&e))
	}
	return page, nil
}

func (w *writer) pending(e *mempool.Entry) client.PendingTransfer {
	return client.PendingTransfer{FeeRate: e.Rate(), Transfer: *w.transferData(e.ID, e.Transfer)}
}
