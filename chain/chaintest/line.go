package chaintest

import (
	"crypto/ed25519"
	"encoding/binary"
	"runtime"
	"sync"

	"cairn/consensus"
	"cairn/types"
)

// Line makes one block after another and keeps only the last, so that a chain can
// be longer than memory. It is not safe for concurrent use.
type Line struct {
	rules *consensus.Rules
	tip   *node
}

// NewLine returns a line that begins at the genesis block of rules.
func NewLine(rules *consensus.Rules) *Line { return &Line{rules, genesis(rules)} }

// Height returns the height of the last block.
func (l *Line) Height() uint32 { return l.tip.state.Height }

// Next makes the next block, which is to be valid.
func (l *Line) Next(spec Spec) *types.Block {
	l.tip = l.tip.child(l.rules, spec, uint64(l.Height()))
	return l.tip.block
}

// Crowd is a network with signatures whose accounts pay each other in turn. Two
// of the same size are alike to the last bit.
type Crowd struct {
	Rules *consensus.Rules
	keys  []ed25519.PrivateKey
	made  int // transfers
}

// PerBlock is how many of a crowd's transfers fill a block.
const PerBlock = 4800

// NewCrowd returns a network of that many accounts, each with a balance from the
// start.
func NewCrowd(accounts int) *Crowd {
	c := &Crowd{keys: make([]ed25519.PrivateKey, accounts)}
	allocations := make([]consensus.Allocation, accounts)
	onAllCores(accounts, func(i int) {
		seed := make([]byte, ed25519.SeedSize)
		binary.LittleEndian.PutUint64(seed, uint64(i))
		c.keys[i] = ed25519.NewKeyFromSeed(seed)
		allocations[i] = consensus.Allocation{Account: c.Account(i), Amount: 1 << 30}
	})
	c.Rules = must(consensus.NewRules(consensus.Rules{
		Name: "crowd", Symbol: "CROWD", AddressPrefix: "crowd",
		Time: 1_767_225_600, Bits: 0x207fffff, BlockInterval: 10, HalfLife: 120,
		Reward: 50, MaxBlockSize: 1_000_000, TxLifetime: 8640, Signatures: true,
		Allocations: allocations,
	}))
	return c
}

// Account returns the account of that number.
func (c *Crowd) Account(i int) types.Account {
	return types.Account(c.keys[i].Public().(ed25519.PublicKey))
}

// Transfers returns the next transfers, which expire a hundred blocks after that
// height.
func (c *Crowd) Transfers(count int, height uint32) []types.Transfer {
	ts := make([]types.Transfer, count)
	onAllCores(count, func(i int) {
		n := c.made + i
		sender := n % len(c.keys)
		ts[i] = types.Transfer{
			Sender: c.Account(sender), Recipient: c.Account((n*7 + 1) % len(c.keys)),
			Amount: 1000, Fee: 10, Expiry: height + 100, Salt: uint64(n) * 0x9e3779b97f4a7c15,
		}
		c.Rules.Sign(&ts[i], c.keys[sender])
	})
	c.made += count
	return ts
}

// onAllCores calls do for each number below count.
func onAllCores(count int, do func(i int)) {
	var wg sync.WaitGroup
	cores := runtime.GOMAXPROCS(0)
	for core := range cores {
		wg.Go(func() {
			for i := core; i < count; i += cores {
				do(i)
			}
		})
	}
	wg.Wait()
}
