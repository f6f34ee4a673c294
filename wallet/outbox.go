package wallet

import (
	"fmt"
	"slices"
	"time"

	"cairn/types"
)

// pending is a signed transfer that is not known to be in a block.
type pending struct {
	transfer types.Transfer
	sent     int64 // Unix seconds
}

// Remember puts a signed transfer into the outbox, before it is sent for the
// first time: from then on the same bytes are sent again until it is confirmed
// or has expired, and nobody is paid twice. One that is there already stays as
// it is. The errors are those of consensus.Rules for its signature and for the
// transfer by itself, ErrMemo, ErrBusy and those of the file system.
func (w *Wallet) Remember(t types.Transfer) error {
	if err := check(w.rules, &t); err != nil {
		return err
	}
	if err := w.rules.VerifySignatures([]types.Transfer{t}, nil); err != nil {
		return fmt.Errorf("only signed transfers are kept: %w", err)
	}
	return w.update(func(p *public) error {
		if !slices.ContainsFunc(p.outbox, func(o pending) bool { return o.transfer == t }) {
			p.outbox = append(p.outbox, pending{t, time.Now().Unix()})
		}
		return nil
	})
}

// Outbox returns the transfers that wait, in the order in which they were
// remembered.
func (w *Wallet) Outbox() []types.Transfer {
	ts := make([]types.Transfer, len(w.outbox))
	for i := range w.outbox {
		ts[i] = w.outbox[i].transfer
	}
	return ts
}

// Forget takes a transfer that is confirmed or has expired out of the outbox, if
// it is there. The errors are ErrBusy and those of the file system.
func (w *Wallet) Forget(id types.Hash) error {
	return w.update(func(p *public) error {
		p.outbox = slices.DeleteFunc(p.outbox, func(o pending) bool { return o.transfer.ID() == id })
		return nil
	})
}
