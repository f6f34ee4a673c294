package main

import (
	"fmt"
	"io"
	"time"

	"cairn/consensus"
	"cairn/types"
)

// shownAllocations is how many initial balances explain lists.
const shownAllocations = 10

// explain writes what every field of a genesis file means on this network, in
// the file's order.
func explain(w io.Writer, r *consensus.Rules) error {
	e := explainer{w: w, r: r}
	e.printf("The network %s. Its genesis block is %s\nand commits to every rule below: nodes under other rules are no peers of these.\n\n", r.Name, r.ChainID())
	e.field("name", "%s", r.Name)
	e.field("symbol", "%s: how amounts are shown, as in %s", r.Symbol, e.coins(e.unit()))
	e.field("decimals", "%d: a coin is %d base units, the smallest amount is %s", r.Decimals, e.unit(), e.coins(1))
	e.field("address_prefix", "%s%s", r.AddressPrefix, choose(r.Signatures, ": accounts begin with "+r.AddressPrefix+"1", ", unused: accounts are names"))
	e.field("time", "%d: the chain begins at %s", r.Time, time.Unix(int64(r.Time), 0).UTC().Format("2006-01-02 15:04:05 UTC"))
	e.field("bits", "%08x: the easiest target, about %s hashes for a block", r.Bits, e.easiestWork())
	e.field("block_interval", "%d: seconds that a block should take", r.BlockInterval)
	e.field("half_life", "%s", e.halfLife())
	e.field("reward", "%s for the miner of each block, and the fees", e.coins(r.Reward))
	e.field("halving_interval", "%s", e.halving())
	e.field("max_block_size", "%d bytes: some %d transfers", r.MaxBlockSize, int(r.MaxBlockSize)/typicalTransfer(r))
	e.field("tx_lifetime", "%d blocks, %s: a transfer that is not mined by then ends by itself", r.TxLifetime, span(uint64(r.TxLifetime)*uint64(r.BlockInterval)))
	e.field("min_balance", "%s", choose(r.MinBalance == 0, "0: an account may hold any amount", "an account holds nothing or at least "+e.coins(r.MinBalance)))
	e.field("signatures", "%s", choose(r.Signatures, "true: accounts are Ed25519 keys, and only a key's owner spends from it", "false: accounts are names, and anyone may record a transfer"))
	e.field("credit_limit", "%s", e.credit())
	e.allocations()
	return e.err
}

// explainer writes lines until one fails.
type explainer struct {
	w   io.Writer
	r   *consensus.Rules
	err error
}

func (e *explainer) printf(format string, args ...any) {
	if e.err == nil {
		_, e.err = fmt.Fprintf(e.w, format, args...)
	}
}

func (e *explainer) field(name, format string, args ...any) {
	e.printf("  %-17s %s\n", name, fmt.Sprintf(format, args...))
}

// unit is the number of base units in a coin.
func (e *explainer) unit() uint64 {
	unit := uint64(1)
	for range e.r.Decimals {
		unit *= 10
	}
	return unit
}

func (e *explainer) coins(amount uint64) string {
	return e.r.FormatAmount(amount) + " " + e.r.Symbol
}

func (e *explainer) easiestWork() string {
	return consensus.WorkOf(e.r.Bits).String()
}

func (e *explainer) halfLife() string {
	if e.r.HalfLife == 0 {
		return "0: the difficulty never changes"
	}
	return fmt.Sprintf("%d: each %s that blocks come late halves the difficulty, early doubles it", e.r.HalfLife, span(uint64(e.r.HalfLife)))
}

func (e *explainer) halving() string {
	if e.r.HalvingInterval == 0 {
		return "0: the reward never halves"
	}
	return fmt.Sprintf("%d: the reward halves after so many blocks, every %s", e.r.HalvingInterval, span(uint64(e.r.HalvingInterval)*uint64(e.r.BlockInterval)))
}

func (e *explainer) credit() string {
	switch e.r.CreditLimit {
	case 0:
		return "0: money must be had before it is spent"
	case types.MaxAmount:
		return "null: balances may go below zero without limit"
	}
	return "a balance may go down to -" + e.coins(e.r.CreditLimit)
}

func (e *explainer) allocations() {
	all := e.r.Allocations
	if len(all) == 0 {
		e.field("allocations", "none: every coin comes from a block reward")
		return
	}
	var total uint64
	for _, a := range all {
		total += a.Amount
	}
	e.field("allocations", "%d, together %s", len(all), e.coins(total))
	for _, a := range all[:min(len(all), shownAllocations)] {
		e.printf("    %s  %s\n", e.r.FormatAccount(a.Account), e.coins(a.Amount))
	}
	if more := len(all) - shownAllocations; more > 0 {
		e.printf("    and %d more\n", more)
	}
}

// typicalTransfer is the size of a transfer between two keys, or two short
// names, without a memo.
func typicalTransfer(r *consensus.Rules) int {
	t := types.Transfer{Sender: "a name of a ", Recipient: "a name of a "}
	if r.Signatures {
		t.Sender, t.Recipient = types.Account(make([]byte, 32)), types.Account(make([]byte, 32))
	}
	return t.Size()
}

// span says a number of seconds in the largest unit that fits twice.
func span(seconds uint64) string {
	for _, u := range []struct {
		seconds uint64
		name    string
	}{{365 * 86400, "years"}, {86400, "days"}, {3600, "hours"}, {60, "minutes"}} {
		if seconds >= 2*u.seconds {
			return fmt.Sprintf("%.3g %s", float64(seconds)/float64(u.seconds), u.name)
		}
	}
	return fmt.Sprintf("%d seconds", seconds)
}

func choose(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}
