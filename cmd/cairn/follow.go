package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cairn/api/client"
	"cairn/types"
)

// nodePatience is how long a node that is followed may not answer.
const nodePatience = time.Minute

// lapseDepth is how many blocks must be on the last that could hold a transfer until
// it counts as expired: a reorganisation could still bring it into one, and whoever
// paid anew meanwhile would pay twice.
const lapseDepth = 6

// expired tells whether a transfer has expired to stay so.
func expired(t *types.Transfer, d *client.TransactionData) bool {
	return d.Status == client.Lapsed && uint64(d.Height) >= uint64(t.Expiry)+lapseDepth
}

// errLapsed says that a transfer ended without a block.
var errLapsed = errors.New("expired before a block held it, so it was not paid and never will be")

// follow waits until a transfer that was submitted has so many confirmations, and
// takes it out of the outbox then, or when it has expired. What the node does not
// know any more is sent to it again.
func (m *means) follow(ctx context.Context, c *client.Client, b book, t *types.Transfer, confirmations uint32) (*client.TransactionData, error) {
	id := t.ID()
	defer m.line("")
	heard := time.Now()
	for {
		d, err := c.Transaction(ctx, id, t.Expiry)
		switch {
		case ctx.Err() != nil:
			return nil, m.keptError(b, t, "no longer followed", errors.New("interrupted"))
		case err != nil && time.Since(heard) > nodePatience:
			return nil, m.keptError(b, t, "the node has it, but does not answer any more", err)
		case err != nil:
			m.line("the node does not answer: " + err.Error())
		case d.Status == client.Confirmed && d.Confirmations >= confirmations:
			return &d, m.confirmed(b, t, &d)
		case expired(t, &d):
			return nil, m.lapsed(b, t, &d)
		case d.Status == client.Unknown:
			if _, err := c.Submit(ctx, t.Append(nil)); refusedForGood(err) {
				return nil, m.keptError(b, t, "the node no longer has it, and refuses it now", err)
			}
		}
		if err == nil {
			heard = time.Now()
			m.line(b.waitingFor(t, &d, confirmations))
		}
		select {
		case <-time.After(b.pollEvery()):
		case <-ctx.Done():
		}
	}
}

// pollEvery is a small part of the time that a block takes.
func (b book) pollEvery() time.Duration {
	return min(max(time.Duration(b.BlockInterval)*time.Second/20, 100*time.Millisecond), time.Second)
}

// refusedForGood tells a refusal from a node that is busy or away.
func refusedForGood(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Status < 500 && p.Rule() != client.ErrRateLimited
}

// line shows a person one line that the next replaces; "" takes it away.
func (m *means) line(text string) {
	if isTerminal(m.a.stderr) {
		fmt.Fprintf(m.a.stderr, "\r\x1b[K%s", text)
	}
}

// waitingFor says how far a transfer is.
func (b book) waitingFor(t *types.Transfer, d *client.TransactionData, confirmations uint32) string {
	if d.Status == client.Confirmed {
		return fmt.Sprintf("in block %d: %d of %d confirmations", d.Block.Height, d.Confirmations, confirmations)
	}
	if d.Status == client.Lapsed {
		return fmt.Sprintf("expired at height %d without a block; at %d that is certain", t.Expiry, uint64(t.Expiry)+lapseDepth)
	}
	text := fmt.Sprintf("waiting for a block: the chain is at height %d, it expires at %d", d.Height, t.Expiry)
	if w := d.Waiting; w != nil {
		if w.BlocksAhead > 0 {
			text += fmt.Sprintf("; %d blocks of transfers pay more", w.BlocksAhead)
		}
		if w.Problem != nil {
			text += "; " + w.Problem.Detail
		}
	}
	return text
}

func (m *means) confirmed(b book, t *types.Transfer, d *client.TransactionData) error {
	m.line("")
	m.say("Paid %s to %s: confirmed by block %d (%v), %s.", b.coins(t.Amount), b.name(t.Recipient), d.Block.Height, d.Block.Hash,
		count(d.Confirmations, "confirmation"))
	return m.forget(b, d.ID)
}

func (m *means) lapsed(b book, t *types.Transfer, d *client.TransactionData) error {
	m.line("")
	why := ""
	if d.Dropped != nil && d.Dropped.Rule() != client.ErrExpired {
		why = " (the node had dropped it: " + d.Dropped.Detail + b.valuesOf(d.Dropped) + ")"
	}
	err := fmt.Errorf("%v, %s to %s, %w%s: the chain is at height %d, the last block that could hold it was %d; send it anew, with a higher --fee or a longer --expire-in",
		d.ID, b.coins(t.Amount), b.name(t.Recipient), errLapsed, why, d.Height, t.Expiry)
	return errors.Join(err, m.forget(b, d.ID))
}

// forget takes a transfer out of the outbox, where there is one.
func (m *means) forget(b book, id types.Hash) error {
	if b.wallet == nil {
		return nil
	}
	return b.wallet.Forget(id)
}

// count says a number of things.
func count(n uint32, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
